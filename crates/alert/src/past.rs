//! The limits over values that came late: the same machines as live ones, run
//! over the patient's time instead of the engine's. What they find is told once,
//! as a whole, when it is over or when there is no more to look at.

use crate::limit::{LimitCondition, Side, Step};
use crate::profile::LimitRule;
use enroute_model::frame::Priority;
use enroute_model::reading::Decimal;
use enroute_model::state::AlertPhase;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// Both sides of one vital sign over an interval of the past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PastCondition {
    condition: LimitCondition,
    low: Past,
    high: Past,
    /// Of the last usable value; `None`: none yet, or the last reading was none.
    fresh_until: Option<EngineTime>,
}

/// One side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Past {
    /// A usable value that was no breach has been seen.
    was_normal: bool,
    breach: Option<Breach>,
}

/// A breach that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Breach {
    /// It was there from the first value on.
    from_start: bool,
    since: EngineTime,
    /// The last value of it.
    until: EngineTime,
    furthest: Decimal,
    /// It lasted for the delay of the level that it reached.
    raised: Option<(Priority, f64)>,
}

/// A breach that would have been an alert.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Which side.
    pub side: Side,
    /// When it began.
    pub since: EngineTime,
    /// When a value ended it, or its last one came.
    pub until: EngineTime,
    /// The highest priority that it reached, and the limit of that level.
    pub priority: Priority,
    /// That limit.
    pub limit: f64,
    /// The value furthest beyond it.
    pub furthest: Decimal,
    /// It was there from the first value on: it may have begun before.
    pub from_start: bool,
    /// It was there at the last value: it may go on.
    pub to_end: bool,
}

impl PastCondition {
    /// A reading at `now`: what is usable of it, stale after `stale`. Times that
    /// go back count as the latest one.
    pub fn value(
        &mut self,
        rule: &LimitRule,
        (value, stale): (Option<Decimal>, Span),
        now: EngineTime,
        mut out: impl FnMut(Found),
    ) {
        self.reach(rule, now);
        let Some(value) = value else {
            self.fresh_until = None;
            self.condition.no_value(rule, false, |_| {});
            return;
        };
        self.fresh_until = Some(now.plus(stale));
        let mut steps = Steps::default();
        self.condition
            .value(rule, value.value(), now, |step| steps.push(step));
        for side in [Side::Low, Side::High] {
            self.follow(side, value, steps.of(side), now, &mut out);
        }
    }

    /// Time passes without a reading: what was pending may be due, or stale.
    pub fn reach(&mut self, rule: &LimitRule, now: EngineTime) {
        let Some(fresh_until) = self.fresh_until else {
            return;
        };
        while let Some(due) = self.condition.next_timeout(rule) {
            if due > now || due >= fresh_until {
                break;
            }
            let mut steps = Steps::default();
            self.condition
                .handle_timeout(rule, due, |step| steps.push(step));
            for side in [Side::Low, Side::High] {
                self.raise(side, steps.of(side));
            }
        }
        if fresh_until <= now {
            self.fresh_until = None;
            self.condition.no_value(rule, true, |_| {});
            for side in [Side::Low, Side::High] {
                let past = self.side(side);
                past.breach = past.breach.filter(|breach| breach.raised.is_some());
            }
        }
    }

    /// Whether its last value is usable and not stale.
    #[must_use]
    pub fn is_fresh(&self, now: EngineTime) -> bool {
        self.fresh_until.is_some_and(|until| until > now)
    }

    /// A better measurement of the same thing speaks: what was found is told.
    pub fn end(&mut self, rule: &LimitRule, mut out: impl FnMut(Found)) {
        self.condition.end(rule, |_| {});
        for side in [Side::Low, Side::High] {
            if let Some(breach) = self.side(side).breach.take() {
                tell(side, breach, false, &mut out);
            }
        }
    }

    /// There is no more to look at.
    pub fn close(&mut self, mut out: impl FnMut(Found)) {
        for side in [Side::Low, Side::High] {
            if let Some(breach) = self.side(side).breach.take() {
                tell(side, breach, true, &mut out);
            }
        }
    }

    fn side(&mut self, side: Side) -> &mut Past {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }

    fn raise(&mut self, side: Side, step: Option<Step>) {
        let Some(step) = step.filter(|step| step.phase == AlertPhase::Active) else {
            return;
        };
        if let Some(breach) = &mut self.side(side).breach {
            let higher = breach.raised.is_none_or(|(known, _)| known < step.priority);
            if higher {
                breach.raised = Some((step.priority, step.limit));
            }
        }
    }

    fn follow(
        &mut self,
        side: Side,
        value: Decimal,
        step: Option<Step>,
        now: EngineTime,
        out: &mut impl FnMut(Found),
    ) {
        if step.is_some_and(|step| step.phase == AlertPhase::Latched) {
            self.condition.looked_at(side);
        }
        let present = self.condition.is_pending(side) || self.condition.is_shown(side);
        let past = self.side(side);
        if !present {
            past.was_normal = true;
            if let Some(breach) = past.breach.take() {
                let until = now;
                tell(side, Breach { until, ..breach }, false, out);
            }
            return;
        }
        let breach = past.breach.get_or_insert(Breach {
            from_start: !past.was_normal,
            since: now,
            until: now,
            furthest: value,
            raised: None,
        });
        breach.until = now;
        let further = match side {
            Side::Low => value.value() < breach.furthest.value(),
            Side::High => value.value() > breach.furthest.value(),
        };
        if further {
            breach.furthest = value;
        }
        self.raise(side, step);
    }
}

/// The last step of each side.
#[derive(Default)]
struct Steps {
    low: Option<Step>,
    high: Option<Step>,
}

impl Steps {
    fn push(&mut self, step: Step) {
        match step.side {
            Side::Low => self.low = Some(step),
            Side::High => self.high = Some(step),
        }
    }

    fn of(&self, side: Side) -> Option<Step> {
        match side {
            Side::Low => self.low,
            Side::High => self.high,
        }
    }
}

/// What did not last for its delay is no find.
fn tell(side: Side, breach: Breach, to_end: bool, out: &mut impl FnMut(Found)) {
    if let Some((priority, limit)) = breach.raised {
        out(Found {
            side,
            since: breach.since,
            until: breach.until,
            priority,
            limit,
            furthest: breach.furthest,
            from_start: breach.from_start,
            to_end,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::RuleBook;
    use enroute_model::catalogue::catalogue;

    /// Heart rates, one a second from 0 s on; `None`: no value.
    fn found(
        rates: impl IntoIterator<Item = Option<i64>>,
    ) -> Vec<(Side, i64, i64, f64, bool, bool)> {
        let profile = RuleBook::built_in().population(None);
        let rule = profile
            .rule(catalogue().vital_by_id("hr").unwrap().code)
            .unwrap();
        let (mut past, mut all) = (PastCondition::default(), Vec::new());
        for (second, rate) in (0..).zip(rates) {
            let value = rate.map(|rate| Decimal::new(rate, 0).unwrap());
            let at = EngineTime(second * 1_000_000);
            past.value(rule, (value, Span::from_secs(10)), at, |found| {
                all.push(found);
            });
        }
        past.close(|found| all.push(found));
        let line = |f: Found| {
            let (since, until) = (f.since.0 / 1_000_000, f.until.0 / 1_000_000);
            (
                f.side,
                since,
                until,
                f.furthest.value(),
                f.from_start,
                f.to_end,
            )
        };
        all.into_iter().map(line).collect()
    }

    fn rates(runs: &[(usize, i64)]) -> Vec<Option<i64>> {
        let runs = runs.iter();
        runs.flat_map(|(seconds, rate)| std::iter::repeat_n(Some(*rate), *seconds))
            .collect()
    }

    #[test]
    fn a_breach_is_found_as_a_whole_with_its_worst_value() {
        let all = found(rates(&[(5, 80), (10, 30), (3, 24), (10, 35), (5, 80)]));
        assert_eq!(all, [(Side::Low, 5, 28, 24.0, false, false)]);
        assert_eq!(found(rates(&[(5, 80), (3, 30), (9, 80)])), []);
    }

    #[test]
    fn what_touches_an_edge_is_marked() {
        let all = found(rates(&[(20, 30), (20, 80), (20, 150)]));
        let wanted = [
            (Side::Low, 0, 20, 30.0, true, false),
            (Side::High, 40, 59, 150.0, false, true),
        ];
        assert_eq!(all, wanted);
    }

    #[test]
    fn values_that_are_missing_end_nothing_and_raise_nothing() {
        let mut with_gap = rates(&[(5, 80), (3, 30)]);
        with_gap.extend(std::iter::repeat_n(None, 30));
        with_gap.extend(rates(&[(5, 80)]));
        assert_eq!(found(with_gap), []);
        let mut with_gap = rates(&[(5, 80), (20, 30)]);
        with_gap.extend(std::iter::repeat_n(None, 30));
        with_gap.extend(rates(&[(5, 80)]));
        assert_eq!(found(with_gap), [(Side::Low, 5, 55, 30.0, false, false)]);
    }
}
