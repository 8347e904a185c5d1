//! Where readings come from.

use crate::battery::Gauge;
use enroute_model::frame::Emission;

pub mod wfdb;

/// A source that the gateway pulls from, each emission when it is due.
///
/// Pulling may block on a file or wait for a device: the gateway does it on a
/// thread of its own, a few emissions ahead of their time. Pacing is the
/// gateway's: a recording gives at once what it has.
pub trait Source: Send {
    /// The next emission, in order of [`Emission::due`]; `None` at the end.
    fn next(&mut self) -> Option<Emission>;

    /// Whether the content is simulated or a recording published again. It is
    /// marked so in every frame and on every screen.
    fn is_exercise(&self) -> bool;

    /// A battery that it plays; absent: the box's own is told.
    fn battery(&self) -> Option<Gauge> {
        None
    }
}
