//! How long frames take, stage by stage, as HDR histograms.

use enroute_live::{Latency, Stage};
use enroute_model::time::Span;
use hdrhistogram::Histogram;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Longest time that is told apart: what takes longer counts as this.
const LONGEST_US: u64 = 3_600_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

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

/// What the server measures of frames of the live lane, since their reception.
#[derive(Debug)]
pub(crate) struct ServerTimes {
    /// Until the engine had handled them.
    pub(crate) handled: Times,
    /// Until they were handed to a viewer's stream.
    pub(crate) sent: Times,
}

impl ServerTimes {
    /// Empty.
    pub(crate) fn new() -> Self {
        Self {
            handled: Times::new(),
            sent: Times::new(),
        }
    }
}

impl Latency for ServerTimes {
    fn record(&self, stage: Stage, since_received: Span) {
        match stage {
            Stage::Handled => self.handled.record(since_received),
            Stage::Sent => self.sent.record(since_received),
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
}
