//! Counters of one gateway, for the demo's summary and for metrics.

use crate::spool::Spooled;
use enroute_model::frame::GapCause;
use enroute_model::ids::{Lane, Stream};
use enroute_model::time::Span;
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
    /// Frames given up: for want of space, because a restored server had lost
    /// them, because the disk could not give them back.
    shed: [Counter; 3],
    /// From a publish to its PUBACK, on the live lane and on the history lane.
    round_trips: [RoundTrips; 2],
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

    pub(crate) fn add_produced(&self, frames: &[Spooled]) {
        for frame in frames {
            self.slot(frame.life.1).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frames given up for this reason; only the server can say that a spool is lost.
    #[must_use]
    pub fn shed(&self, cause: GapCause) -> u64 {
        self.shed_slot(cause).map_or(0, Counter::get)
    }

    pub(crate) fn add_shed(&self, cause: GapCause, frames: u64) {
        if let Some(counter) = self.shed_slot(cause) {
            counter.add(frames);
        }
    }

    fn shed_slot(&self, cause: GapCause) -> Option<&Counter> {
        let [spool_full, restored, damaged] = &self.shed;
        match cause {
            GapCause::SpoolFull => Some(spool_full),
            GapCause::Restored => Some(restored),
            GapCause::Damaged => Some(damaged),
            GapCause::SpoolLost => None,
        }
    }

    /// From a publish to its PUBACK.
    #[must_use]
    pub fn round_trips(&self, lane: Lane) -> &RoundTrips {
        let [live, history] = &self.round_trips;
        match lane {
            Lane::Live => live,
            Lane::History => history,
        }
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

/// Upper bounds of the round trips that are told apart, microseconds: from a cable to
/// the thinnest link with a queue.
pub const ROUND_TRIP_BOUNDS_US: [u64; 12] = [
    5_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000,
];

/// How long the broker took to answer.
#[derive(Debug, Default)]
pub struct RoundTrips {
    counts: [AtomicU64; ROUND_TRIP_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl RoundTrips {
    pub(crate) fn record(&self, round_trip: Span) {
        let us = u64::try_from(round_trip.0).unwrap_or(0);
        let bucket = ROUND_TRIP_BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many took at most each of [`ROUND_TRIP_BOUNDS_US`], each count without
    /// those before it, then the rest; and the sum in microseconds.
    #[must_use]
    pub fn buckets(&self) -> (Vec<u64>, u64) {
        let counts = self.counts.iter().map(|c| c.load(Ordering::Relaxed));
        (counts.collect(), self.sum_us.load(Ordering::Relaxed))
    }
}
