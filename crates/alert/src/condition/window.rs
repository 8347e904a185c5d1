//! The last minutes of one value, for rules: by engine time, live values only.
//!
//! Unlike the trend that viewers see (`trend`, device time, late values fill
//! it), nothing here depends on a clock on board (I7) or on history (I11). The
//! window is cut into buckets; each keeps its first value, its least and its
//! greatest, and counts the rest. So an outlier is one point of many, and a
//! window costs the same whatever the rate of its values.

use crate::trend::{POINTS_MAX, filled, is_same_bucket, median, repeated_median};
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Buckets of a window.
const BUCKETS: i64 = 20;
/// Fewer points give no slope.
const POINTS_MIN: usize = 3;

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    at: EngineTime,
    first: f64,
    least: f64,
    greatest: f64,
    sum: f64,
    count: u32,
}

/// What came within a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    span: Span,
    /// Ascending, at most one per bucket.
    points: VecDeque<Point>,
    /// Values in it.
    count: u64,
}

impl Window {
    /// An empty one.
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            points: VecDeque::new(),
            count: 0,
        }
    }

    /// A usable live value. Engine time never goes back. Says whether it opened a
    /// bucket.
    pub(super) fn push(&mut self, now: EngineTime, value: f64) -> bool {
        self.forget(now);
        self.count = self.count.saturating_add(1);
        let length = self.bucket_length();
        let same = |p: &Point| is_same_bucket(p.at.0, now.0, length);
        if let Some(newest) = self.points.back_mut().filter(|newest| same(newest)) {
            newest.count = newest.count.saturating_add(1);
            newest.least = newest.least.min(value);
            newest.greatest = newest.greatest.max(value);
            newest.sum += value;
            return false;
        }
        self.points.push_back(Point {
            at: now,
            first: value,
            least: value,
            greatest: value,
            sum: value,
            count: 1,
        });
        true
    }

    /// Until when it holds what it holds, if nothing comes.
    pub(super) fn until(&self) -> Option<EngineTime> {
        self.points.front().map(|oldest| oldest.at.plus(self.span))
    }

    /// Drops what is older than the window.
    pub(super) fn forget(&mut self, now: EngineTime) {
        while let Some(oldest) = self.points.front() {
            if now.since(oldest.at) <= self.span {
                break;
            }
            self.count = self.count.saturating_sub(oldest.count.into());
            self.points.pop_front();
        }
    }

    /// Whether at least 60 % of what `interval` promises for the whole window
    /// is there.
    pub(super) fn is_covered(&self, interval: Span) -> bool {
        enough(self.count, self.span, interval)
    }

    /// Change per minute by the repeated median over the buckets; `None` with
    /// fewer than three.
    pub(super) fn slope_per_min(&self) -> Option<f64> {
        let newest = self.points.back()?.at;
        let points = self.points.iter();
        let points = points.map(|p| (p.at.since(newest).as_secs_f64(), p.first));
        let mut places = [(0.0, 0.0); POINTS_MAX];
        let points = filled(&mut places, points);
        (points.len() >= POINTS_MIN)
            .then(|| repeated_median(points))
            .flatten()
    }

    /// The median of the oldest `part` of what is here; `None` while less than
    /// 60 % of what that part promises has come.
    pub(super) fn baseline(&self, part: Span, interval: Span) -> Option<f64> {
        let from = self.points.front()?.at;
        let old = |p: &&Point| p.at.since(from) < part;
        let count = self.points.iter().filter(old).map(|p| u64::from(p.count));
        if !enough(count.sum(), part, interval) {
            return None;
        }
        let firsts = self.points.iter().filter(old).map(|p| p.first);
        median(filled(&mut [0.0; POINTS_MAX], firsts))
    }

    /// The least value.
    pub(super) fn least(&self) -> Option<f64> {
        self.points.iter().map(|p| p.least).reduce(f64::min)
    }

    /// The greatest value.
    pub(super) fn greatest(&self) -> Option<f64> {
        self.points.iter().map(|p| p.greatest).reduce(f64::max)
    }

    /// The mean of all values.
    #[expect(clippy::cast_precision_loss, reason = "counts of a window are small")]
    pub(super) fn mean(&self) -> Option<f64> {
        let sum: f64 = self.points.iter().map(|p| p.sum).sum();
        (self.count > 0).then(|| sum / self.count as f64)
    }

    /// The mean of the oldest bucket.
    pub(super) fn oldest_mean(&self) -> Option<f64> {
        let oldest = self.points.front()?;
        Some(oldest.sum / f64::from(oldest.count))
    }

    /// Whether it reaches back over its whole length, but for one bucket.
    pub(super) fn is_whole(&self, now: EngineTime) -> bool {
        let bucket = Span(self.span.0 / BUCKETS);
        let oldest = self.points.front();
        oldest.is_some_and(|p| now.since(p.at).0 >= self.span.0.saturating_sub(bucket.0))
    }

    /// A number that changes when a bucket is opened.
    pub(super) fn version(&self) -> i64 {
        self.points.back().map_or(i64::MIN, |p| self.bucket(p.at))
    }

    fn bucket(&self, at: EngineTime) -> i64 {
        at.0.div_euclid(self.bucket_length().0)
    }

    fn bucket_length(&self) -> Span {
        Span((self.span.0 / BUCKETS).max(1))
    }
}

fn enough(count: u64, span: Span, interval: Span) -> bool {
    let expected = u64::try_from(span.0 / interval.0.max(1)).unwrap_or(0);
    count.max(1) == count && count.saturating_mul(10) >= expected.saturating_mul(6)
}
