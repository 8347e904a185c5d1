//! What the network can make grow, and how far (I9). What lies beyond is
//! refused and counted in [`Overflow`].

use enroute_model::time::Span;
use serde::{Deserialize, Serialize};

/// Gateways that may speak for one transfer; frames of a further one are refused.
pub const SOURCES_MAX: usize = 8;
/// Metrics of one source; further ones are not shown and not watched.
pub const METRICS_MAX: usize = 512;
/// Lives of a spool of one source; a further one drops the longest unheard.
pub const EPOCHS_MAX: usize = 32;
/// Streams and legs of one epoch; a frame of a further one is refused.
pub const LEGS_MAX: usize = 96;
/// Ranges of received sequences of one stream, each with the gateway's clock at
/// both ends (32 bytes); and as many that the gateway gave up. A frame that would need one more
/// is refused and therefore not in a receipt: the gateway sends it again once
/// gaps have closed. (To give up a gap here instead would free what was never
/// received, against I3.)
pub const RANGES_MAX: usize = 4_096;
/// Sequences below the highest whose content is remembered to tell a duplicate
/// from a conflict; a repetition of an older one counts as a duplicate.
pub const DIGESTS_MAX: usize = 1_024;
/// Alerts that are not over, in one transfer.
pub const ALERTS_MAX: usize = 1_024;
/// Finds of the past kept for viewers; the newest stay.
pub const RETROSPECTIVE_MAX: usize = 64;
/// Silences of one source whose history is searched at a time; one more ends the
/// search of the oldest, and what was left of it is counted.
pub const PASSES_MAX: usize = 256;
/// Late frames of one source that came before their turn; one more ends the
/// waiting for what is missing before them, which is counted.
pub const LATE_WAITING_MAX: usize = 512;
/// Active alarms of one source's device.
pub const DEVICE_ALARMS_MAX: usize = 128;
/// Crew events kept for viewers.
pub const CREW_LOG_MAX: usize = 64;
/// Notes to the crew kept for viewers and for the page on board; the newest stay.
pub const NOTES_TO_CREW_MAX: usize = 32;
/// Notes of a crew, and acknowledged alerts, that its page on board is told of.
pub const TOLD_ON_BOARD_MAX: usize = 16;
/// Points of the travelled track.
pub const TRACK_MAX: usize = 256;
/// Poisoned records kept for viewers; the oldest stay.
pub const POISONED_MAX: usize = 16;
/// Times without a recording kept for viewers; the newest stay.
pub const UNRECORDED_MAX: usize = 16;
/// Ids of past actions that are remembered to apply each once.
pub const ACTIONS_MAX: usize = 1_024;
/// Gaps listed per stream for viewers; what lies behind is counted.
pub const GAPS_SHOWN_MAX: usize = 16;
/// Ranges above the first in one receipt.
pub const RECEIPT_RANGES_MAX: usize = 64;
/// Joined transfers whose ids resolve to this one.
pub const ALIASES_MAX: usize = 64;
/// Longest interval of live numerics that a gateway may declare: the ladder's
/// last step sends them every 30 s. A longer one is not believed, or a number
/// could keep a value fresh for ever.
pub const LIVE_INTERVAL_MAX: Span = Span::from_secs(60);
/// An unassigned transfer closes after this silence.
pub const UNASSIGNED_SILENCE: Span = Span::from_secs(12 * 3_600);

/// What was refused for want of room, since the transfer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overflow {
    /// Frames of gateways beyond [`SOURCES_MAX`].
    pub sources: u64,
    /// Values of metrics beyond [`METRICS_MAX`].
    pub metrics: u64,
    /// Epochs forgotten beyond [`EPOCHS_MAX`].
    pub epochs: u64,
    /// Frames beyond [`RANGES_MAX`].
    pub ranges: u64,
    /// Alerts beyond [`ALERTS_MAX`].
    pub alerts: u64,
    /// Alarms beyond [`DEVICE_ALARMS_MAX`].
    pub device_alarms: u64,
    /// Joined transfers beyond [`ALIASES_MAX`].
    pub aliases: u64,
}
