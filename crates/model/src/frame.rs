//! A frame as the engine sees it: decoded, within limits, in the model's words.

use crate::ids::{Epoch, Stream};
use crate::reading::{Decimal, Reading};
use crate::registry::Population;
use crate::time::{DeviceTime, GatewayTime, Span};
use serde::{Deserialize, Serialize};

/// IEEE 11073-10101 context-free code (partition × 65,536 + term); 0 has none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Code(pub u32);

/// One numbered message of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Identity and times.
    pub header: Header,
    /// What it carries.
    pub body: Body,
}

/// What a source gives, before the gateway numbers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// When it can be told, since the source began: for waveforms when the last
    /// sample has been taken. Never decreases.
    pub due: Span,
    /// The monitor's clock, if it has one (waveforms: of the first sample).
    pub observed_at: Option<DeviceTime>,
    /// What it carries.
    pub body: Body,
}

/// Identity and times of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Life of the spool that numbered it.
    pub epoch: Epoch,
    /// Which stream.
    pub stream: Stream,
    /// From 1, without holes.
    pub sequence: u64,
    /// First sequence of this stream and epoch that belongs to this leg.
    pub leg_first: u64,
    /// The gateway's clock at capture (waveforms: of the first sample).
    pub captured_at: GatewayTime,
    /// The monitor's clock for the same moment, if it has one.
    pub observed_at: Option<DeviceTime>,
    /// Start of the gateway, counted within the epoch.
    pub boot: u32,
    /// Since that start, by a clock that never steps.
    pub monotonic: Span,
    /// Estimates of clock differences, when one changed.
    pub clocks: Option<ClockOffsets>,
    /// Simulated or published again.
    pub exercise: bool,
}

/// An estimated difference between two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offset {
    /// Estimate.
    pub offset: Span,
    /// Half-width of the interval that holds the true value.
    pub uncertainty: Span,
}

/// What a gateway knows of the clocks around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffsets {
    /// Monitor's clock minus gateway's.
    pub monitor: Option<Offset>,
    /// Gateway's clock minus server's.
    pub gateway: Option<Offset>,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Measured quantities at one moment.
    Numerics(Vec<Numeric>),
    /// Runs of samples.
    Waveforms(Vec<Waveform>),
    /// Alarms of a bedside device.
    DeviceAlarms(Vec<DeviceAlarm>),
    /// Where the vehicle is.
    Position(GeoPoint),
    /// What the crew entered.
    Crew(CrewEvent),
    /// The gateway's view of its link.
    Link(LinkReport),
    /// Frames that the spool gave up.
    Shed(Shed),
    /// A body that this version does not know: kept, numbered, not understood.
    Unknown,
}

/// What identifies a quantity of a source: its code, and for code 0 its label.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metric {
    /// Code, 0 if it has none.
    pub code: Code,
    /// The source's own name; empty for codes of the catalogue.
    pub label: String,
}

/// Written out because each value of a frame is told with its metric, nearly always
/// without a label: to copy an empty text is a call that has nothing to do.
impl Clone for Metric {
    #[inline]
    fn clone(&self) -> Self {
        let label = if self.label.is_empty() {
            String::new()
        } else {
            self.label.clone()
        };
        Self {
            code: self.code,
            label,
        }
    }
}

/// By code, then label. Written out because it is the key of every look-up per
/// value: comparing two empty strings is a `memcmp` at a dangling address, which
/// some processors take hundreds of cycles to mask.
impl Ord for Metric {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code.cmp(&other.code).then_with(|| {
            match (self.label.is_empty(), other.label.is_empty()) {
                (true, true) => std::cmp::Ordering::Equal,
                _ => self.label.cmp(&other.label),
            }
        })
    }
}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One measured quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Numeric {
    /// Of what.
    pub metric: Metric,
    /// UCUM; empty: the catalogue's unit.
    pub unit: String,
    /// The value, or why there is none.
    pub reading: Reading,
    /// How often the source means to send it.
    pub interval: Span,
}

/// A run of samples of one channel: physical value = (sample − baseline) / gain.
#[derive(Clone, Debug, PartialEq)]
pub struct Waveform {
    /// Which channel.
    pub metric: Metric,
    /// UCUM; empty: the catalogue's unit.
    pub unit: String,
    /// Samples per second; finite, above 0.
    pub rate_hz: f64,
    /// Sample steps per unit; finite, not 0.
    pub gain: f64,
    /// The sample that stands for zero.
    pub baseline: i32,
    /// Number of the first sample since the source began.
    pub first_sample: u64,
    /// When the first sample was taken, relative to the frame's time.
    pub start_offset: Span,
    /// The samples; `None` where the source had none.
    pub samples: Vec<Option<i32>>,
}

/// IEC 60601-1-8 priority; the order is the urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Awareness.
    Low,
    /// Prompt response.
    Medium,
    /// Immediate response.
    High,
}

/// An alarm that a bedside device raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAlarm {
    /// Event code, 0 if none.
    pub code: Code,
    /// The device's own text.
    pub label: String,
    /// The device's priority, if it gave one.
    pub priority: Option<Priority>,
    /// False: the device ended it.
    pub active: bool,
    /// The vital sign it speaks of, 0 if none.
    pub subject: Code,
}

/// WGS 84 position with movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeoPoint {
    /// Degrees × 10^7, north positive; within ±900,000,000.
    pub latitude_e7: i32,
    /// Degrees × 10^7, east positive; within ±1,800,000,000.
    pub longitude_e7: i32,
    /// Metres above mean sea level.
    pub altitude_m: Option<i32>,
    /// Over ground, centimetres per second.
    pub speed_cm_s: Option<u32>,
    /// Over ground, degrees × 100 from true north.
    pub course_cdeg: Option<u32>,
}

/// What the crew entered by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrewEvent {
    /// A quantity that no monitor measures.
    Observation {
        /// Which.
        code: Code,
        /// Its value in the catalogue's unit.
        value: Decimal,
    },
    /// Age band and weight.
    Population(Population),
    /// A button on the page.
    Intervention {
        /// Word from the contract's list.
        kind: String,
        /// Free text.
        text: String,
    },
    /// A note to the ICU.
    Note(String),
    /// This leg is a part of a known transfer.
    Join {
        /// As typed.
        short_code: String,
    },
    /// Another gateway goes on.
    HandOver,
    /// The transfer is over.
    End,
    /// Notes of the hospital reached the box on board.
    NotesTaken {
        /// The ids of the actions that wrote them.
        notes: Vec<String>,
        /// The crew says that it has read them; false: they are on its page.
        read: bool,
    },
}

/// The gateway's view of its link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Step of the degradation ladder: 0 everything live, 1 no waveforms,
    /// 2 numerics less often, 3 summary only.
    pub degradation_level: u32,
    /// How often the newest of a kind of numerics comes live at most; zero: as
    /// often as its source gives it.
    pub numerics_interval: Span,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Its limit.
    pub spool_bytes_max: u64,
    /// Of the bytes in the spool, at most so many are of frames that no receipt
    /// covers; `None`: not counted.
    pub unconfirmed_bytes: Option<u64>,
    /// Frames that no receipt covers.
    pub unconfirmed_frames: u64,
    /// Frames given up since the epoch began.
    pub shed_frames: u64,
    /// Connections made since the gateway started.
    pub connections: u32,
    /// Battery, percent; `None` on mains.
    pub battery_percent: Option<u32>,
    /// All streams of the present life of the spool, and those of earlier lives
    /// that still hold unconfirmed frames.
    pub streams: Vec<StreamReport>,
}

/// What a gateway made and sent of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Life of the spool.
    pub epoch: Epoch,
    /// Stream.
    pub stream: Stream,
    /// The last sequence given out.
    pub produced: u64,
    /// Different frames of the leg that were handed to the network at least
    /// once; `None`: not counted.
    pub sent: Option<u64>,
    /// First sequence of the leg that the report is made for; `None`: that life
    /// of the spool has no leg of this transfer.
    pub leg_first: Option<u64>,
}

/// A durable statement that frames will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shed {
    /// First sequence given up.
    pub first: u64,
    /// Last sequence given up.
    pub last: u64,
    /// When the first of them was captured.
    pub first_captured_at: GatewayTime,
    /// Why; `None`: a reason that this version does not know.
    pub cause: Option<GapCause>,
}

/// Why frames are not in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GapCause {
    /// The spool was full and gave them up.
    SpoolFull,
    /// The server lost them by being restored from an older copy, and the
    /// gateway no longer held them.
    Restored,
    /// The gateway's disk could not give them back.
    Damaged,
    /// The spool that held them is gone.
    SpoolLost,
}
