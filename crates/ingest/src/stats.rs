//! Counters, readable at any time.

use enroute_model::ids::{Lane, Stream};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What ingest counted since it started. Lanes and threads share it.
#[derive(Debug, Default)]
pub struct Stats {
    /// Publishes that came in, bad ones included.
    pub publishes: AtomicU64,
    /// Their payload bytes.
    pub bytes: AtomicU64,
    /// Good publishes that are durable and acknowledged.
    pub commits: AtomicU64,
    /// Publishes acknowledged although the journal could not be written: no
    /// receipt covers them, and their gateways send them again.
    pub unrecorded: AtomicU64,
    /// Publishes between reading and PUBACK, now.
    pub in_flight: AtomicU64,
    /// Lanes that are connected and subscribed, now; 2 is all of them.
    pub subscribed: AtomicU64,
    /// Status messages.
    pub statuses: AtomicU64,
    /// Receipts handed to the broker.
    pub receipts: AtomicU64,
    /// Commands that the broker has.
    pub commands: AtomicU64,
    /// Connections lost or not made, both lanes.
    pub disconnects: AtomicU64,
    /// Bad publishes that the disk did not keep, being too slow or full.
    pub quarantine_dropped: AtomicU64,
    /// The journal's committer died: nothing more is taken.
    pub journal_failed: AtomicBool,
    frames: [[AtomicU64; 2]; 3],
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Stats {
    /// Frames that are durable, duplicates included.
    #[must_use]
    pub fn frames(&self, stream: Stream, lane: Lane) -> u64 {
        self.counter(stream, lane).load(Ordering::Relaxed)
    }

    /// Frames that are durable, duplicates included, of all streams and lanes.
    #[must_use]
    pub fn frames_all(&self) -> u64 {
        let counters = self.frames.iter().flatten();
        counters
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    }

    /// Refused publishes by reason.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn count_frames(&self, stream: Stream, lane: Lane, frames: u64) {
        self.counter(stream, lane)
            .fetch_add(frames, Ordering::Relaxed);
    }

    /// One more; says how many of this reason there are.
    pub(crate) fn count_refused(&self, word: &'static str) -> u64 {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(word).or_default();
        *count += 1;
        *count
    }

    fn counter(&self, stream: Stream, lane: Lane) -> &AtomicU64 {
        let [events, numerics, waveforms] = &self.frames;
        let [live, history] = match stream {
            Stream::Events => events,
            Stream::Numerics => numerics,
            Stream::Waveforms => waveforms,
        };
        match lane {
            Lane::Live => live,
            Lane::History => history,
        }
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
