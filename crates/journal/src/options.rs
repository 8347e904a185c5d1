//! The journal's limits. What is not here is a constant beside its use.

use crate::meter::Meter;
use enroute_model::time::Span;
use enroute_seal::Keys;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A hook for tests.
#[derive(Clone)]
pub struct Probe(pub Arc<dyn Fn() -> std::io::Result<()> + Send + Sync>);

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").finish_non_exhaustive()
    }
}

/// Where runs of steps between samples are in a payload, in order.
pub type StepsIn = fn(&[u8]) -> Vec<Range<usize>>;

/// Bounds and timing of a journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rest after a commit, in which records gather for the next one. What comes after
    /// a longer pause is committed at once; zero: everything is. Default 3 ms.
    pub commit_interval: Duration,
    /// A commit starts at once when so many records are waiting. Default 1,024.
    pub commit_records_max: usize,
    /// A commit starts at once when so many bytes are waiting. Default 4 MiB.
    pub commit_bytes_max: usize,
    /// Records queued and not yet durable; appenders wait above it. Default 8,192.
    pub queue_records_max: usize,
    /// Bytes queued and not yet durable; appenders wait above it. Default 16 MiB.
    pub queue_bytes_max: usize,
    /// Items that the tail holds; the committer waits above it. An item has the
    /// records of at most one commit. Default 16.
    pub tail_items_max: usize,
    /// How soon after a failure the store is tried again; then twice as long
    /// each time, up to five times as long. Default 1 s.
    pub repair_after: Duration,
    /// Runs before each commit and each attempt at a repair; its error is as one
    /// of the disk's. For tests of failures.
    pub before_commit: Option<Probe>,
    /// Engine time per slice. Fixed when the journal is created; later ignored.
    /// Default one day.
    pub slice: Span,
    /// Deleted transfers that are remembered over an opening. Default 100,000: at a
    /// hundred transfers a day, for longer than any gateway keeps frames of them on
    /// board; some 30 MB on the disk.
    pub deleted_max: usize,
    /// By which what is stored is sealed; without, it lies in clear, and a journal with
    /// sealed records is not opened. Default none.
    pub keys: Option<Arc<Keys>>,
    /// Where in the payload of a record of waveforms the steps between samples are, each
    /// a number zigzag in base 128 (protobuf's packed `sint32`): they are stored in half
    /// as many bits. What it says need not be true, nor the same at the next opening.
    /// Default nowhere.
    pub steps_in: StepsIn,
    /// Is told of each commit. Default none.
    pub meter: Option<Arc<dyn Meter>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_millis(3),
            commit_records_max: 1_024,
            commit_bytes_max: 4 << 20,
            queue_records_max: 8_192,
            queue_bytes_max: 16 << 20,
            tail_items_max: 16,
            repair_after: Duration::from_secs(1),
            before_commit: None,
            slice: Span::from_secs(24 * 60 * 60),
            deleted_max: 100_000,
            keys: None,
            steps_in: |_| Vec::new(),
            meter: None,
        }
    }
}
