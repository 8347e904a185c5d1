//! What the formats with a fixed rate need: signals as columns, rows at equal
//! distances. A *stretch* is a run of rows that one file can hold: the same
//! signals with the same scales, no long gap, no step of a clock.

use crate::error::Error;
use crate::survey::Wave;
use std::path::Path;

/// A longer gap ends a stretch; a shorter one is filled with missing samples.
pub(crate) const GAP_US_MAX: i64 = 600 * 1_000_000;
/// So far a channel may lag behind the others before rows go on without it.
pub(crate) const LAG_US_MAX: i64 = 10 * 1_000_000;
/// Samples that are held at most for that, over all channels.
pub(crate) const HELD_SAMPLES_MAX: i64 = 4 << 20;
/// A label this far from what the count of samples says ends a stretch.
pub(crate) const STEP_US_MAX: i64 = 500_000;

/// What a stretch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Samples of waveforms.
    Waves,
    /// Values of vital signs.
    Vitals,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signal {
    /// Its name.
    pub(crate) name: String,
    /// UCUM.
    pub(crate) unit: String,
    /// Steps per unit.
    pub(crate) gain: f64,
    /// The sample that stands for zero.
    pub(crate) baseline: i32,
    /// Samples in a row.
    pub(crate) per_row: usize,
    /// How many rows earlier its samples were taken.
    pub(crate) skew_rows: usize,
    /// Lowest and highest sample in the whole recording.
    pub(crate) range: (i32, i32),
}

/// A run of rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// Name of its file, without an ending.
    pub(crate) name: String,
    /// Of what.
    pub(crate) kind: Kind,
    /// Rows per second.
    pub(crate) rows_hz: f64,
    /// Time of the first row, microseconds UTC by the clock on board.
    pub(crate) start_us: i64,
    /// Whether that is the monitor's clock; else the gateway's.
    pub(crate) device_clock: bool,
    /// Simulated, or published again.
    pub(crate) exercise: bool,
    /// Number of the source in the recording, from 1.
    pub(crate) source: u32,
    /// Columns.
    pub(crate) signals: Vec<Signal>,
}

/// A file that takes rows.
pub(crate) trait Rows {
    /// One row: all samples of the first signal, then of the next.
    ///
    /// # Errors
    /// When the disk does not take it.
    fn row(&mut self, samples: &[Option<i32>]) -> Result<(), Error>;
    /// Something that happened, at so many microseconds UTC.
    ///
    /// # Errors
    /// When the disk does not take it.
    fn event(&mut self, at_us: i64, text: &str) -> Result<(), Error>;
    /// Ends the file and syncs it; says what could not be written as it was.
    ///
    /// # Errors
    /// When the disk does not take it.
    fn finish(self: Box<Self>) -> Result<Vec<String>, Error>;
}

/// Begins a file in a directory.
pub(crate) type Open = fn(&Path, &Stretch) -> Result<Box<dyn Rows>, Error>;

/// Channels of one source that share rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// Rows per second.
    pub(crate) rows_hz: f64,
    /// Index of each channel, and its samples in a row.
    pub(crate) channels: Vec<(usize, usize)>,
}

/// Samples in a row, over all channels; a group has no more.
const ROW_SAMPLES_MAX: f64 = 4_096.0;

/// Puts channels whose rates are multiples of one row rate together.
#[must_use]
pub(crate) fn groups(waves: &[Wave]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for index in 0..waves.len() {
        let joined = groups.iter().position(|group| {
            let mut members: Vec<usize> = group.channels.iter().map(|(i, _)| *i).collect();
            members.push(index);
            group_of(waves, &members).is_some()
        });
        let mut members = vec![index];
        if let Some(at) = joined {
            let group = groups.remove(at);
            members = group.channels.iter().map(|(i, _)| *i).collect();
            members.push(index);
        }
        let at = joined.unwrap_or(groups.len());
        if let Some(group) = group_of(waves, &members) {
            groups.insert(at, group);
        }
    }
    groups
}

fn group_of(waves: &[Wave], members: &[usize]) -> Option<Group> {
    let rates: Vec<f64> = members
        .iter()
        .filter_map(|index| waves.get(*index).map(|wave| wave.rate_hz))
        .collect();
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let whole = |rows_hz: f64, rate: f64| {
        let per_row = rate / rows_hz;
        let near = (per_row - per_row.round()).abs() < 1e-6 * per_row;
        (near && per_row < ROW_SAMPLES_MAX).then(|| crate::num::index(crate::num::whole(per_row)))
    };
    // 62.5 Hz beside 100 Hz: five and eight samples in a row.
    (1..=8u8).find_map(|part| {
        let rows_hz = slowest / f64::from(part);
        let per_row = rates.iter().map(|rate| whole(rows_hz, *rate));
        let per_row: Vec<usize> = per_row.collect::<Option<_>>()?;
        let channels = members.iter().copied().zip(per_row).collect();
        Some(Group { rows_hz, channels })
    })
}
