//! A recorded transfer played again: the engine that ran live over the same
//! records, from any moment, at any speed.
//!
//! `player` is the heart and has no I/O: it is told the time and says what to
//! send. `course` runs the engines, `source` and `device` give it records in the
//! order of arrival or of capture, `captured` keeps the latter, `index` remembers where it has been, `playback`
//! is the task that reads, waits and sends.
//!
//! Bounds: [`Options::playbacks_max`](crate::Options) playbacks; each with at most
//! 128 saved courses (some 50 KB each), 64 responses under way, one command.

pub(crate) mod captured;
pub(crate) mod course;
mod device;
mod index;
mod playback;
mod player;
mod shelf;
pub(crate) mod source;
mod survey;
mod telling;

use crate::live::LookupError;
use crate::update::Update;
use enroute_journal::ReadError;
use enroute_model::time::{EngineTime, Span};

pub use captured::Captures;
pub(crate) use playback::open;
pub use playback::{ControlError, Controls, Playback};

/// In which order a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As it was received: the course that viewers saw.
    Arrival,
    /// As it was captured, without what the link did to it.
    Device,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(Pace);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Thousandths of real time.
    Thousandths(u32),
    Fastest,
}

impl Speed {
    /// Real time.
    pub const REAL: Self = Self(Pace::Thousandths(1_000));
    /// As fast as it is computed and taken.
    pub const FASTEST: Self = Self(Pace::Fastest);

    /// So many times real time; `None` below 0.1 and above 10,000.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie between 100 and 10,000,000"
    )]
    pub fn times(times: f64) -> Option<Self> {
        let legal = (0.1..=10_000.0).contains(&times);
        legal.then(|| Self(Pace::Thousandths((times * 1_000.0).round() as u32)))
    }

    /// Times real time; `None`: as fast as possible.
    #[must_use]
    pub fn as_times(self) -> Option<f64> {
        match self.0 {
            Pace::Thousandths(thousandths) => Some(f64::from(thousandths) / 1_000.0),
            Pace::Fastest => None,
        }
    }

    /// How far the recording comes in so much time; `None`: to its end.
    fn covers(self, span: Span) -> Option<Span> {
        match self.0 {
            Pace::Thousandths(thousandths) => Some(span.scaled(i64::from(thousandths), 1_000)),
            Pace::Fastest => None,
        }
    }

    /// How long so much of the recording takes.
    fn takes(self, span: Span) -> Span {
        match self.0 {
            Pace::Thousandths(thousandths) => span.scaled(1_000, i64::from(thousandths)),
            Pace::Fastest => Span::ZERO,
        }
    }
}

/// What a viewer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// Id, alias or short code.
    pub transfer: String,
    /// In which order.
    pub order: Order,
    /// Where to begin; `None`: at the start.
    pub from: Option<EngineTime>,
    /// How fast.
    pub speed: Speed,
    /// Begin with a picture that stands.
    pub paused: bool,
    /// Also each frame with numerics and events, …
    pub samples: bool,
    /// … and those with waveforms.
    pub waveforms: bool,
}

/// What a viewer does to its playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stand.
    Pause,
    /// Go on.
    Resume,
    /// Go on at this speed, or stand and go on so later.
    Speed(Speed),
    /// Through the next record, and stand.
    StepFrame,
    /// One second on, and stand.
    StepSecond,
    /// To this moment, or as near as there is.
    Seek(EngineTime),
    /// To the next alert that asked for attention.
    NextAlert,
    /// To the one before.
    PreviousAlert,
    /// The same moment in this order.
    Order(Order),
}

/// What a playback does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The playhead moves.
    Playing,
    /// It stands because the viewer wants it to.
    Paused,
    /// Behind the last record of a closed transfer.
    Ended,
    /// Behind the last record so far of an open one.
    CaughtUp,
}

/// What marks an update as replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The moment of the recording.
    pub at: EngineTime,
    /// How fast.
    pub speed: Speed,
    /// In which order.
    pub order: Order,
    /// What it does.
    pub state: State,
    /// The first record.
    pub starts_at: EngineTime,
    /// The end; of an open transfer it moves on.
    pub ends_at: EngineTime,
    /// The transfer is open.
    pub open: bool,
    /// Counts jumps.
    pub jump: u32,
    /// Why the last jump went nowhere.
    pub note: Option<&'static str>,
}

/// One thing to send, and where the playhead is.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Where it belongs.
    pub replayed: Replayed,
    /// What was seen then; `None`: only the playhead.
    pub update: Option<Update>,
}

/// Why nothing is played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The name does not resolve.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The journal has failed.
    #[error(
        "recordings cannot be read while the journal is not: {reason}; \
         try again when it is repaired"
    )]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// What is stored could not be read.
    #[error("failed to read the recording: {0}")]
    Read(#[from] ReadError),
    /// As many are played as are allowed.
    #[error("{max} recordings are being played and no more are allowed: try again later")]
    Full {
        /// How many.
        max: usize,
    },
    /// More than can be sorted.
    #[error("the recording has more than {max} frames: it plays in order of arrival only")]
    TooLong {
        /// How many.
        max: usize,
    },
}
