//! Short trend of one metric: a robust slope over the last ten minutes of
//! device time.
//!
//! The window is cut into buckets; each keeps its first value and counts the
//! rest. The slope is the repeated median (Siegel 1982): it stays true with up
//! to half of the points wrong. It is given only when at least 60 % of the
//! values that the declared interval promises are there: unavailable is not
//! normal.

use enroute_model::time::Span;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::OnceLock;

/// Length of the window.
pub const WINDOW: Span = Span::from_secs(600);
/// One point is kept per bucket: at most 21 points.
const BUCKET: Span = Span::from_secs(30);
/// Fewer points give no slope.
const POINTS_MIN: usize = 3;
/// No window has more.
pub(crate) const POINTS_MAX: usize = 32;

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    /// Device time, microseconds UTC.
    at: i64,
    value: f64,
    /// Values in this bucket.
    count: u32,
}

/// The window of one metric.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trend {
    /// By bucket, ascending, at most one per bucket.
    points: VecDeque<Point>,
    newest: i64,
    /// `newest` when the last bucket was opened: the slope is of that moment.
    opened: i64,
    /// Found when somebody asks: most of what a value costs, and of most transfers
    /// nobody looks at each one. It follows from the points.
    #[serde(skip)]
    slope: OnceLock<Option<f64>>,
    /// The end of the bucket of `newest`, as far as is known: what comes before it
    /// and live is only counted. It follows from `newest`.
    #[serde(skip)]
    until: Option<i64>,
}

impl PartialEq for Trend {
    fn eq(&self, other: &Self) -> bool {
        (&self.points, self.newest, self.opened) == (&other.points, other.newest, other.opened)
    }
}

impl Trend {
    /// A usable value at a device time (microseconds UTC). `late` fills the
    /// window and never moves it. A live value outside the window, before or
    /// after, means that the device's clock stepped: the window starts anew.
    #[inline]
    pub fn push(&mut self, at: i64, value: f64, late: bool) {
        // Nearly always: the next value of the newest bucket.
        if !late
            && self.newest <= at
            && self.until.is_some_and(|until| at < until)
            && let Some(newest) = self.points.back_mut()
        {
            self.newest = at;
            newest.count = newest.count.saturating_add(1);
            return;
        }
        self.push_any(at, value, late);
    }

    fn push_any(&mut self, at: i64, value: f64, late: bool) {
        let behind = Span(self.newest.saturating_sub(at));
        let fits = !self.points.is_empty() && behind < WINDOW;
        if late && (!fits || behind < Span::ZERO) {
            return;
        }
        if !late {
            // A step back by less than the window would mix two time lines.
            if !fits || behind > Span::ZERO || behind.0 < WINDOW.0.saturating_neg() {
                self.points.clear();
            }
            self.newest = at;
            let next = at.div_euclid(BUCKET.0).saturating_add(1);
            self.until = Some(next.saturating_mul(BUCKET.0));
        }
        if self.file(at, value) {
            self.forget();
            self.opened = self.newest;
            self.slope.take();
        }
    }

    /// Change per minute; `None` below 60 % of what `interval` promises.
    #[must_use]
    pub fn slope_per_min(&self, interval: Span) -> Option<f64> {
        let count: u64 = self.points.iter().map(|p| u64::from(p.count)).sum();
        let expected = u64::try_from(WINDOW.0 / interval.0.max(1)).unwrap_or(0);
        let enough = count.saturating_mul(10) >= expected.saturating_mul(6);
        let slope = || *self.slope.get_or_init(|| self.fresh_slope());
        enough.then(slope).flatten()
    }

    /// Puts a value into its bucket; says whether it opened one.
    fn file(&mut self, at: i64, value: f64) -> bool {
        let bucket = at.div_euclid(BUCKET.0);
        let place = self
            .points
            .partition_point(|p| p.at.div_euclid(BUCKET.0) < bucket);
        match self.points.get_mut(place) {
            Some(point) if point.at.div_euclid(BUCKET.0) == bucket => {
                point.count = point.count.saturating_add(1);
                false
            }
            _ => {
                self.points.insert(
                    place,
                    Point {
                        at,
                        value,
                        count: 1,
                    },
                );
                true
            }
        }
    }

    fn forget(&mut self) {
        while let Some(oldest) = self.points.front() {
            if self.newest.saturating_sub(oldest.at) <= WINDOW.0 {
                break;
            }
            self.points.pop_front();
        }
    }

    fn fresh_slope(&self) -> Option<f64> {
        let opened = self.opened;
        let points = self.points.iter();
        let points = points.map(|p| (Span(p.at.saturating_sub(opened)).as_secs_f64(), p.value));
        let mut places = [(0.0, 0.0); POINTS_MAX];
        let points = filled(&mut places, points);
        (points.len() >= POINTS_MIN)
            .then(|| repeated_median(points))
            .flatten()
    }
}

/// Whether both times are in one bucket, with one division instead of two.
pub(crate) fn is_same_bucket(one: i64, other: i64, bucket: Span) -> bool {
    let into = one.rem_euclid(bucket.0);
    let other = other.saturating_sub(one).saturating_add(into);
    (0..bucket.0).contains(&other)
}

/// Slope per minute of (seconds, value) points by the repeated median: of the
/// slopes to all other points the median, and of these medians the median.
/// Points at the same time have no slope between them; `None` if no two differ.
#[must_use]
pub fn repeated_median(points: &[(f64, f64)]) -> Option<f64> {
    // As many as a window has need no memory but the stack's.
    let mut few = [[0.0; POINTS_MAX]; 2];
    let mut many: [Vec<f64>; 2];
    let (slopes, medians): (&mut [f64], &mut [f64]) = if points.len() <= POINTS_MAX {
        let [slopes, medians] = &mut few;
        (slopes, medians)
    } else {
        many = [vec![0.0; points.len()], vec![0.0; points.len()]];
        let [slopes, medians] = &mut many;
        (slopes, medians)
    };
    let of_points = points.iter().filter_map(|(t, x)| {
        let others = points.iter().filter(|(u, _)| (u - t).abs() > 0.0);
        median(filled(slopes, others.map(|(u, y)| (y - x) / (u - t))))
    });
    median(filled(medians, of_points)).map(|per_second| per_second * 60.0)
}

/// The part of `places` that `values` fill.
pub(crate) fn filled<T>(places: &mut [T], values: impl Iterator<Item = T>) -> &mut [T] {
    let mut count = 0;
    for (place, value) in places.iter_mut().zip(values) {
        *place = value;
        count += 1;
    }
    places.get_mut(..count).unwrap_or_default()
}

/// The middle value, or the mean of the two. To sort is the fastest for so few.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(*upper);
    }
    values
        .get(values.len() / 2 - 1)
        .map(|lower| f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    #[test]
    fn the_worked_cases_of_the_reference() {
        let table = include_str!("../data/trend_vectors.csv");
        let numbers =
            |text: &str| -> Vec<f64> { text.split(' ').map(|n| n.parse().unwrap()).collect() };
        for row in csv::Reader::from_reader(table.as_bytes()).records() {
            let row = row.unwrap();
            let points: Vec<(f64, f64)> =
                numbers(&row[1]).into_iter().zip(numbers(&row[2])).collect();
            let wanted: f64 = row[5].parse().unwrap();
            let slope = repeated_median(&points).unwrap();
            assert!((slope - wanted).abs() < 1e-5, "{}: {slope}", &row[0]);
        }
    }

    #[test]
    fn few_points_or_one_moment_have_no_slope() {
        assert_eq!(repeated_median(&[]), None);
        assert_eq!(repeated_median(&[(1.0, 2.0)]), None);
        assert_eq!(repeated_median(&[(1.0, 2.0), (1.0, 5.0)]), None);
    }

    #[test]
    fn unavailable_below_sixty_percent_of_the_promised_values() {
        let mut trend = Trend::default();
        for i in 0..359 {
            trend.push(i * S, 80.0, false);
        }
        assert_eq!(trend.slope_per_min(Span::from_secs(1)), None);
        trend.push(359 * S, 80.0, false);
        assert_eq!(trend.slope_per_min(Span::from_secs(1)), Some(0.0));
        assert_eq!(trend.slope_per_min(Span::from_millis(500)), None);
    }

    #[test]
    fn late_values_fill_the_gap_and_never_move_the_window() {
        let (mut whole, mut healed) = (Trend::default(), Trend::default());
        for i in 0..10 {
            whole.push(
                i * 60 * S,
                80.0 + f64::from(i32::try_from(i).unwrap()),
                false,
            );
        }
        for i in [0, 1, 9, 8, 7, 6, 5, 4, 3, 2] {
            let late = (2..9).contains(&i);
            healed.push(
                i * 60 * S,
                80.0 + f64::from(i32::try_from(i).unwrap()),
                late,
            );
        }
        assert_eq!(whole, healed);
        assert!((whole.slope_per_min(Span::from_secs(60)).unwrap() - 1.0).abs() < 1e-9);
        healed.push(10 * 60 * S, 200.0, true);
        assert_eq!(whole, healed, "late and ahead of the newest");
    }

    #[test]
    fn a_slope_that_was_asked_for_is_found_anew_with_the_next_bucket() {
        let (mut asked, mut unasked) = (Trend::default(), Trend::default());
        let mut slopes = Vec::new();
        for i in 0..30 {
            // Falls, then rises.
            let value = f64::from(i32::abs(i - 10));
            for trend in [&mut asked, &mut unasked] {
                trend.push(i64::from(i) * 60 * S, value, false);
            }
            slopes.push(asked.slope_per_min(Span::from_secs(60)));
        }
        assert!(slopes[9].unwrap() < -0.5, "{slopes:?}");
        assert!(slopes[29].unwrap() > 0.5, "{slopes:?}");
        assert_eq!(slopes[29], unasked.slope_per_min(Span::from_secs(60)));
    }

    #[test]
    fn buckets_are_the_same_where_their_numbers_are() {
        let bucket = Span(30);
        for one in [-61, -60, -1, 0, 29, 30, 59, i64::MIN, i64::MAX] {
            for other in [-61, -60, -31, -30, -1, 0, 29, 30, i64::MIN, i64::MAX] {
                let same = i64::div_euclid(one, 30) == i64::div_euclid(other, 30);
                assert_eq!(is_same_bucket(one, other, bucket), same, "{one} {other}");
            }
        }
    }

    #[test]
    fn a_clock_that_steps_starts_a_new_window() {
        let mut trend = Trend::default();
        for i in 0..600 {
            trend.push(i * S, 80.0, false);
        }
        for at in [100 * S, 100_000 * S, i64::MIN, i64::MAX] {
            trend.push(at, 90.0, false);
            assert_eq!(trend.points.len(), 1);
        }
    }
}
