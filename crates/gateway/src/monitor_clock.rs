//! How far the monitor's clock is from ours. Pure.
//!
//! A reading carries the monitor's time and is captured a moment later: the
//! delivery. `observed - captured` is the offset minus that delay, and delays only
//! ever add, so the largest of a window is believed (the minimum filter of RFC 5905,
//! clause 10, one way). What the shortest delivery took cannot be seen; the spread
//! of the window and the monitor's resolution are taken as its bound.
//!
//! ```text
//! observed - captured
//!     ┊ ·─ · ─ · ·  ·─   the largest: the offset, less the shortest delivery
//!     ┊·  ·   ·    ·
//!     ┊    ·              a late delivery: below, and alone
//! ```
//!
//! Delivery cannot be early, so what lies far above is a step at once; what lies
//! far below is one only when [`STEP_RUN`] in a row do. The clock's rate is taken
//! from the window's two halves and widens the uncertainty by what the window hides.

use enroute_model::frame::Offset;
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use std::collections::VecDeque;

/// Readings remembered, and for how long.
const WINDOW_MAX: usize = 64;
const WINDOW: Span = Span::from_secs(60);
/// What a monitor's time is told to, where nothing better is known.
const RESOLUTION: Span = Span::from_millis(1);
/// Further off than this, and than twice the spread, is a step and no jitter.
const STEP_MIN: Span = Span::from_millis(500);
/// Readings in a row that show a step back.
const STEP_RUN: usize = 4;
/// A change of less than this is not worth a statement.
const CHANGE_MIN: Span = Span::from_millis(20);

/// The estimator of one monitor.
#[derive(Debug, Default)]
pub(crate) struct MonitorClock {
    /// When (monotonic) and by how much the monitor was ahead, as it looked.
    window: VecDeque<(Span, Span)>,
    /// The latest in a row that lie far below.
    low: Vec<(Span, Span)>,
    stated: Option<Offset>,
}

impl MonitorClock {
    /// Takes a reading; gives the estimate (the monitor's clock minus ours) if it
    /// changed enough to be stated.
    pub(crate) fn observe(
        &mut self,
        observed: DeviceTime,
        captured: GatewayTime,
        now: Span,
    ) -> Option<Offset> {
        let ahead = Span(observed.0.saturating_sub(captured.0));
        let reading = (now, ahead);
        if let Some((highest, lowest)) = self.extent() {
            let far = STEP_MIN.0.max(distance(highest, lowest).saturating_mul(2));
            if ahead.0 > highest.0.saturating_add(far) {
                self.restart(vec![reading]);
            } else if ahead.0 < lowest.0.saturating_sub(far) {
                self.low.push(reading);
                if self.low.len() < STEP_RUN {
                    return None;
                }
                let low = std::mem::take(&mut self.low);
                self.restart(low);
            } else {
                self.low.clear();
                self.window.push_back(reading);
            }
        } else {
            self.window.push_back(reading);
        }
        self.forget(now);
        self.news()
    }

    fn restart(&mut self, readings: Vec<(Span, Span)>) {
        self.low.clear();
        self.window = readings.into();
        self.stated = None;
    }

    fn forget(&mut self, now: Span) {
        let old = |at: Span| now.0.saturating_sub(at.0) > WINDOW.0;
        while self.window.len() > WINDOW_MAX
            || (self.window.len() > 1 && self.window.front().is_some_and(|(at, _)| old(*at)))
        {
            self.window.pop_front();
        }
    }

    fn extent(&self) -> Option<(Span, Span)> {
        let ahead = || self.window.iter().map(|(_, ahead)| *ahead);
        Some((ahead().max()?, ahead().min()?))
    }

    /// What the clocks drift apart within the window, from the best of its halves.
    fn drifted(&self) -> i64 {
        let half = self.window.len() / 2;
        let best = |readings: &mut dyn Iterator<Item = &(Span, Span)>| {
            readings.map(|(_, ahead)| *ahead).max()
        };
        let early = best(&mut self.window.iter().take(half));
        let late = best(&mut self.window.iter().skip(half));
        match (early, late) {
            (Some(early), Some(late)) => distance(early, late).saturating_mul(2),
            _ => 0,
        }
    }

    fn news(&mut self) -> Option<Offset> {
        let (highest, lowest) = self.extent()?;
        let uncertainty = { distance(highest, lowest) }
            .saturating_add(self.drifted())
            .saturating_add(RESOLUTION.0);
        let estimate = Offset {
            offset: highest,
            uncertainty: Span(uncertainty),
        };
        let news = self.stated.is_none_or(|stated| {
            let change = distance(stated.offset, estimate.offset);
            let wider = distance(stated.uncertainty, estimate.uncertainty);
            change >= CHANGE_MIN.0 || wider >= CHANGE_MIN.0.max(stated.uncertainty.0 / 2)
        });
        news.then(|| *self.stated.insert(estimate))
    }
}

fn distance(a: Span, b: Span) -> i64 {
    a.0.saturating_sub(b.0).saturating_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a reading a second; `at` gives what the monitor's clock is ahead by
    /// and how long the delivery took, in microseconds. Checks that the truth lies
    /// in the last statement at each second but the first `blind` ones after a
    /// change, and gives the number of statements.
    fn check(seconds: i64, blind: &[i64], at: impl Fn(i64) -> (i64, i64)) -> usize {
        let mut clock = MonitorClock::default();
        let (mut stated, mut statements) = (None, 0);
        for second in 0..seconds {
            let now = second * 1_000_000;
            let (ahead, delay) = at(second);
            let captured = 1_800_000_000_000_000 + now;
            let observed = DeviceTime(captured - delay + ahead);
            if let Some(offset) = clock.observe(observed, GatewayTime(captured), Span(now)) {
                stated = Some(offset);
                statements += 1;
            }
            let known = stated.unwrap();
            let error = (known.offset.0 - ahead).abs();
            // A statement may be old by what is not worth another one.
            let bound = known.uncertainty.0 + CHANGE_MIN.0 + delay;
            assert!(
                error <= bound || blind.contains(&second),
                "second {second}: {known:?}, and the truth is {ahead}"
            );
        }
        statements
    }

    /// Deliveries that vary, always the same.
    fn jitter(second: i64, most: i64) -> i64 {
        (second * 7_919 + 104_729) % most
    }

    #[test]
    fn a_constant_offset_is_stated_once() {
        assert_eq!(check(600, &[], |_| (-3_600_000_000, 0)), 1);
    }

    #[test]
    fn a_recording_of_another_century_is_an_offset_like_any_other() {
        assert_eq!(check(100, &[], |_| (-6_000_000_000_000_000, 0)), 1);
    }

    #[test]
    fn late_deliveries_do_not_move_the_estimate() {
        let statements = check(600, &[], |s| (5_000_000, 1_000 + jitter(s, 150_000)));
        assert!(statements < 12, "{statements}");
        // One delivery of three seconds, and then two more.
        let late = |s: i64| {
            if [30, 70, 71].contains(&s) {
                3_000_000
            } else {
                2_000
            }
        };
        assert_eq!(check(200, &[], |s| (5_000_000, late(s))), 1);
    }

    #[test]
    fn the_shortest_delivery_is_believed() {
        let mut clock = MonitorClock::default();
        let stated = [150_000, 1_000, 90_000].map(|delay| {
            let observed = DeviceTime(5_000_000 - delay);
            clock.observe(observed, GatewayTime(0), Span(0))
        });
        assert_eq!(stated[1].unwrap().offset, Span(4_999_000));
        assert_eq!(stated[2], None);
    }

    #[test]
    fn a_drift_is_followed() {
        for ppm in [-100, 100] {
            let statements = check(3_600, &[], |s| {
                (1_000_000 + s * ppm, 2_000 + jitter(s, 9_000))
            });
            // 0.36 s an hour, in steps of some 20 ms.
            assert!((8..60).contains(&statements), "{ppm} ppm: {statements}");
        }
    }

    #[test]
    fn a_step_forward_is_seen_at_once_and_one_back_after_a_few_readings() {
        let forward = |s: i64| if s < 100 { 0 } else { 60_000_000 };
        assert_eq!(check(200, &[], |s| (forward(s), 2_000)), 2);
        let back = |s: i64| if s < 100 { 0 } else { -60_000_000 };
        assert_eq!(check(200, &[100, 101, 102], |s| (back(s), 2_000)), 2);
    }

    #[test]
    fn a_clock_that_jumps_back_again_and_again_is_followed() {
        let saw = |s: i64| -(s / 50) * 10_000_000;
        let blind: Vec<i64> = (1..6).flat_map(|n| n * 50..n * 50 + 3).collect();
        assert_eq!(check(300, &blind, |s| (saw(s), 1_000)), 6);
    }

    #[test]
    fn extremes_are_survived() {
        let mut clock = MonitorClock::default();
        for (device, ours) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 0)] {
            clock.observe(DeviceTime(device), GatewayTime(ours), Span(i64::MAX));
        }
    }
}
