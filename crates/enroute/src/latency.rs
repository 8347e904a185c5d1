//! How long frames take, stage by stage, as HDR histograms.

use enroute_journal::{Meter, TailItem};
use enroute_live::{AlertStage, Latency, Stage};
use enroute_model::ids::Position;
use enroute_model::time::{Clock, ServerTime, Span};
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest time that is told apart: what takes longer counts as this.
const LONGEST_US: u64 = 3_600_000_000;
/// Significant digits.
const DIGITS: u8 = 3;
/// Records whose times are remembered until they reach the next stage: as many as
/// the journal's tail may hold, so that none is forgotten before it is handled.
const REMEMBERED: usize = 1 << 14;

/// A histogram of microseconds that many threads fill; a record takes well under a
/// microsecond.
#[derive(Debug)]
pub(crate) struct Times(Mutex<Option<Histogram<u64>>>);

impl Times {
    /// Empty.
    pub(crate) fn new() -> Self {
        // The bounds are constants; were they wrong, nothing would be measured.
        Self(Mutex::new(
            Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok(),
        ))
    }

    fn locked(&self) -> MutexGuard<'_, Option<Histogram<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one; a negative time (clocks apart) counts as none.
    pub(crate) fn record(&self, time: Span) {
        let us = u64::try_from(time.0).unwrap_or(0);
        if let Some(histogram) = self.locked().as_mut() {
            histogram.saturating_record(us.max(1));
        }
    }

    /// How many, and their percentiles.
    pub(crate) fn summary(&self) -> Percentiles {
        self.locked()
            .as_ref()
            .filter(|histogram| !histogram.is_empty())
            .map_or_else(Percentiles::default, |histogram| Percentiles {
                count: histogram.len(),
                p50_us: histogram.value_at_quantile(0.5),
                p90_us: histogram.value_at_quantile(0.9),
                p99_us: histogram.value_at_quantile(0.99),
                max_us: histogram.max(),
            })
    }

    /// How many took at most each of `bounds_us`, each count without those before
    /// it, then the rest; and the sum in microseconds, exact to the histogram's digits.
    pub(crate) fn buckets(&self, bounds_us: &[u64]) -> (Vec<u64>, u64) {
        let mut counts = vec![0; bounds_us.len().saturating_add(1)];
        let mut sum = 0u64;
        if let Some(histogram) = self.locked().as_ref() {
            for value in histogram.iter_recorded() {
                let (us, count) = (value.value_iterated_to(), value.count_at_value());
                let bucket = bounds_us.partition_point(|bound| *bound < us);
                if let Some(slot) = counts.get_mut(bucket) {
                    *slot = count.saturating_add(*slot);
                }
                sum = sum.saturating_add(us.saturating_mul(count));
            }
        }
        (counts, sum)
    }
}

/// Percentiles of a stage, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Percentiles {
    /// How many were measured.
    pub(crate) count: u64,
    /// Half took at most this long.
    pub(crate) p50_us: u64,
    /// Nine in ten.
    pub(crate) p90_us: u64,
    /// 99 in a hundred.
    pub(crate) p99_us: u64,
    /// The longest.
    pub(crate) max_us: u64,
}

/// When the newest records passed a stage, by position.
#[derive(Debug)]
struct Passed(Mutex<Vec<(u64, ServerTime)>>);

impl Passed {
    fn new() -> Self {
        Self(Mutex::new(vec![(0, ServerTime(0)); REMEMBERED]))
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(u64, ServerTime)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(position: Position) -> usize {
        let remembered = u64::try_from(REMEMBERED).unwrap_or(1);
        usize::try_from(position.0 % remembered).unwrap_or(0)
    }

    fn put(&self, positions: impl Iterator<Item = Position>, at: ServerTime) {
        let mut passed = self.locked();
        for position in positions {
            if let Some(slot) = passed.get_mut(Self::place(position)) {
                *slot = (position.0, at);
            }
        }
    }

    fn at(&self, position: Position) -> Option<ServerTime> {
        let passed = self.locked();
        let (known, at) = passed.get(Self::place(position))?;
        (*known == position.0).then_some(*at)
    }
}

/// What the server measures: of frames of the live lane how long they took, and
/// its commits.
pub(crate) struct ServerTimes {
    clock: Arc<dyn Clock>,
    /// From capture on board until their reception.
    pub(crate) received: Times,
    /// Of every record: from reception until it was durable.
    pub(crate) durable: Times,
    /// From durable until the engine had handled them.
    pub(crate) engine: Times,
    /// From reception until the engine had handled them.
    pub(crate) handled: Times,
    /// From reception until they were handed to a viewer's stream.
    pub(crate) sent: Times,
    /// The last part of that: from handled on.
    pub(crate) viewer: Times,
    /// The way of alerts.
    pub(crate) alerts: AlertTimes,
    /// Writes and syncs of the journal.
    pub(crate) commits: Times,
    /// Records in them.
    pub(crate) records: AtomicU64,
    /// Bytes of payload in them.
    pub(crate) bytes: AtomicU64,
    durable_at: Passed,
    handled_at: Passed,
    commit_began: AtomicI64,
}

impl ServerTimes {
    /// Empty.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            received: Times::new(),
            durable: Times::new(),
            engine: Times::new(),
            handled: Times::new(),
            sent: Times::new(),
            viewer: Times::new(),
            alerts: AlertTimes::default(),
            commits: Times::new(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            durable_at: Passed::new(),
            handled_at: Passed::new(),
            commit_began: AtomicI64::new(0),
        }
    }

    fn wall(&self) -> ServerTime {
        ServerTime(self.clock.wall())
    }

    /// How long the record at `position` has been durable, if that is remembered.
    pub(crate) fn waiting(&self, position: Position) -> Option<Span> {
        let at = self.durable_at.at(position)?;
        Some(self.wall().since(at))
    }
}

impl std::fmt::Debug for ServerTimes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTimes").finish_non_exhaustive()
    }
}

impl Latency for ServerTimes {
    fn alert(&self, stage: AlertStage, took: Span) {
        let times = match stage {
            AlertStage::Received => &self.alerts.received,
            AlertStage::Raised => &self.alerts.raised,
            AlertStage::Sent => &self.alerts.sent,
            AlertStage::Shown => &self.alerts.shown,
            AlertStage::Acknowledged => &self.alerts.acknowledged,
        };
        times.record(took);
    }

    fn record(&self, stage: Stage, position: Position, took: Span) {
        let now = self.wall();
        match stage {
            Stage::Received => self.received.record(took),
            Stage::Handled => {
                self.handled.record(took);
                if let Some(at) = self.durable_at.at(position) {
                    self.engine.record(now.since(at));
                }
                self.handled_at.put(std::iter::once(position), now);
            }
            Stage::Sent => {
                self.sent.record(took);
                if let Some(at) = self.handled_at.at(position) {
                    self.viewer.record(now.since(at));
                }
            }
        }
    }
}

/// How long alerts took from one stage to the next.
#[derive(Debug)]
pub(crate) struct AlertTimes {
    /// From the measurement of the value that raised it until its reception.
    pub(crate) received: Times,
    /// From there until it was raised.
    pub(crate) raised: Times,
    /// From there until it was handed to a viewer, to each.
    pub(crate) sent: Times,
    /// Until it was shown, to the first of each role.
    pub(crate) shown: Times,
    /// Until somebody acknowledged it.
    pub(crate) acknowledged: Times,
}

impl Default for AlertTimes {
    fn default() -> Self {
        Self {
            received: Times::new(),
            raised: Times::new(),
            sent: Times::new(),
            shown: Times::new(),
            acknowledged: Times::new(),
        }
    }
}

impl Meter for ServerTimes {
    fn begins(&self) {
        let now = self.clock.monotonic();
        self.commit_began.store(now.0, Ordering::Relaxed);
    }

    fn durable(&self, items: &[TailItem], bytes: u64) {
        let began = self.commit_began.load(Ordering::Relaxed);
        let took = self.clock.monotonic().0.saturating_sub(began);
        self.commits.record(Span(took));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = self.wall();
        for item in items {
            let TailItem::Records(records) = item else {
                continue;
            };
            let count = u64::try_from(records.len()).unwrap_or(0);
            self.records.fetch_add(count, Ordering::Relaxed);
            for record in records {
                self.durable.record(now.since(record.received_at));
            }
            let positions = records.iter().map(|record| record.position);
            self.durable_at.put(positions, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let times = Times::new();
        assert_eq!(times.summary(), Percentiles::default());
        for ms in 1..=100 {
            times.record(Span::from_millis(ms));
        }
        times.record(Span(-5));
        let summary = times.summary();
        assert_eq!(summary.count, 101);
        assert!((49_000..=51_100).contains(&summary.p50_us), "{summary:?}");
        assert!((98_000..=100_100).contains(&summary.p99_us), "{summary:?}");
        assert!(summary.max_us >= 100_000);
    }

    #[test]
    fn buckets_hold_each_time_once_and_their_sum() {
        let times = Times::new();
        for us in [1, 500, 501, 1_000, 7_200_000_000] {
            times.record(Span(us));
        }
        let (counts, sum) = times.buckets(&[500, 1_000]);
        assert_eq!(counts, [2, 2, 1]);
        let exact = 1 + 500 + 501 + 1_000 + LONGEST_US;
        assert!(sum.abs_diff(exact) <= exact / 1_000, "{sum}");
    }

    #[test]
    fn a_place_that_a_newer_record_took_is_not_the_older_ones() {
        let passed = Passed::new();
        let again = Position(1 + u64::try_from(REMEMBERED).unwrap());
        passed.put([Position(1)].into_iter(), ServerTime(10));
        assert_eq!(passed.at(Position(1)), Some(ServerTime(10)));
        passed.put([again].into_iter(), ServerTime(20));
        assert_eq!(passed.at(Position(1)), None);
        assert_eq!(passed.at(again), Some(ServerTime(20)));
    }
}
