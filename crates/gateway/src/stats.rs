//! Counters of one gateway, for the demo's summary and for metrics.

use enroute_model::ids::Stream;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the gateway started; read at any time, each exact by itself.
#[derive(Debug, Default)]
pub struct Stats {
    /// Frames spooled (shed records included), by [`Stream`].
    produced: [AtomicU64; 3],
    /// Frames published on the live lane.
    pub published_live: Counter,
    /// Frames published on the history lane, repeats included.
    pub published_history: Counter,
    /// Publishes on both lanes.
    pub publishes: Counter,
    /// Bytes of payload published on both lanes.
    pub published_bytes: Counter,
    /// Receipts that arrived and could be read.
    pub receipts: Counter,
    /// Frames freed because a receipt covered them.
    pub freed: Counter,
    /// Frames given up for want of space.
    pub shed: Counter,
    /// Emissions and entries lost because the spool's disk had failed.
    pub unrecorded: Counter,
    /// Emissions dropped because they break a limit of the contract.
    pub refused: Counter,
    /// Batches of the source dropped after the crew ended a transfer.
    pub dropped_after_end: Counter,
    /// Connections made, both lanes.
    pub connections: Counter,
}

impl Stats {
    /// Frames spooled in a stream.
    #[must_use]
    pub fn produced(&self, stream: Stream) -> u64 {
        self.slot(stream).load(Ordering::Relaxed)
    }

    /// Frames spooled in all streams.
    #[must_use]
    pub fn produced_all(&self) -> u64 {
        Stream::ALL.iter().map(|s| self.produced(*s)).sum()
    }

    pub(crate) fn add_produced(&self, stream: Stream) {
        self.slot(stream).fetch_add(1, Ordering::Relaxed);
    }

    fn slot(&self, stream: Stream) -> &AtomicU64 {
        let [events, numerics, waveforms] = &self.produced;
        match stream {
            Stream::Events => events,
            Stream::Numerics => numerics,
            Stream::Waveforms => waveforms,
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}
