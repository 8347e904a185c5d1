//! What an export is made of, and the order in which it is written.

use enroute_model::frame::{Body, Frame, Header};
use enroute_model::ids::Stream;
use enroute_wire::v1;

/// Sorts before and behind each other as things happened on board: by time, then
/// by source, stream and number.
///
/// The time is not the label of a frame but the clock that never steps, anchored
/// to the label of the first frame of its start that was received: a monitor's
/// clock that is set back does not mix what it measured before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Microseconds UTC.
    pub(crate) time: i64,
    /// Index of the source.
    pub(crate) source: u32,
    /// Of the stream, in the order of the contract; alerts come last.
    pub(crate) stream: u8,
    /// Number in the stream; of an alert its ordinal.
    pub(crate) sequence: u64,
    /// In the journal.
    pub(crate) position: u64,
}

/// One thing of a recording.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "few are held at a time, and alerts are few"
)]
pub(crate) enum Item {
    /// A frame as its gateway wrote it.
    Frame(v1::Samples),
    /// A step of an alert.
    Alert(v1::AlertTransition),
}

/// A frame, decoded, with the words around it.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    /// Index of its source: a gateway and a life of its spool.
    pub(crate) source: u32,
    /// As received.
    pub(crate) raw: &'a v1::Samples,
    /// Decoded.
    pub(crate) frame: &'a Frame,
}

impl Taken<'_> {
    /// The device's time of the frame, microseconds UTC.
    #[must_use]
    pub(crate) fn at(&self) -> i64 {
        label(&self.frame.header)
    }
}

/// The time that a frame is labelled with: the monitor's clock, else the gateway's.
#[must_use]
pub(crate) fn label(header: &Header) -> i64 {
    header.observed_at.map_or(header.captured_at.0, |at| at.0)
}

/// From the first sample of a body to behind its last, microseconds.
pub(crate) fn lasted(body: &Body) -> i64 {
    let Body::Waveforms(waveforms) = body else {
        return 0;
    };
    let lasts = waveforms
        .iter()
        .map(|w| crate::num::us(w.samples.len(), w.rate_hz));
    lasts.max().unwrap_or(0)
}

pub(crate) fn stream_order(stream: Stream) -> u8 {
    match stream {
        Stream::Events => 0,
        Stream::Numerics => 1,
        Stream::Waveforms => 2,
    }
}
