//! The limit condition of one vital sign of one source: two levels each side,
//! on-delays, hysteresis, off-delays, latching.
//!
//! ```text
//!            beyond the limit            for the on-delay
//!   normal ──────────────────► pending ──────────────────► active ⇄ unknown
//!      ▲                          │                           │ inside the hysteresis, for the off-delay
//!      └──────────────────────────┴───────────────────────────┴─► over, or latched
//! ```
//!
//! Pending is internal. No usable value: an active condition becomes unknown
//! (I6), a pending one can not be raised; a usable one within the staleness
//! goes on where it stopped, so that single missing values do not start the
//! delay anew. Data that stopped for longer drops what was pending.

use crate::profile::{Level, Levels, LimitRule};
use enroute_model::frame::Priority;
use enroute_model::state::AlertPhase;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// Which side of a vital sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// Below.
    Low,
    /// Above.
    High,
}

/// A step that viewers see: the condition after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which side.
    pub side: Side,
    /// Where it stands now.
    pub phase: AlertPhase,
    /// How urgent, now.
    pub priority: Priority,
    /// When the breach began.
    pub since: EngineTime,
    /// The limit of the level that it stands at.
    pub limit: f64,
}

/// Both sides of one vital sign of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitCondition {
    low: SideState,
    high: SideState,
}

/// One side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SideState {
    /// Since when each level is beyond its limit without a break; kept inside
    /// the hysteresis once it or a higher level is on. What is beyond crit is
    /// beyond warn: when crit ends, warn goes on by its own hysteresis, whatever
    /// is left of its longer delay.
    warn_since: Option<EngineTime>,
    crit_since: Option<EngineTime>,
    /// Since when a level that is on has been inside the hysteresis.
    warn_inside: Option<EngineTime>,
    crit_inside: Option<EngineTime>,
    shown: Shown,
    /// No usable value since the last one.
    blind: bool,
}

/// What viewers know of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Shown {
    #[default]
    Nothing,
    Open {
        level: Rank,
        since: EngineTime,
        /// A latching level was reached.
        latched: bool,
        phase: AlertPhase,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Rank {
    Warn,
    Crit,
}

/// The levels of one side with its direction.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    side: Side,
    levels: &'a Levels,
}

impl<'a> Bounds<'a> {
    fn low(rule: &'a LimitRule) -> Self {
        Self {
            side: Side::Low,
            levels: &rule.low,
        }
    }

    fn high(rule: &'a LimitRule) -> Self {
        Self {
            side: Side::High,
            levels: &rule.high,
        }
    }

    fn off_delay(self, rank: Rank) -> Span {
        let level = self.level(rank);
        level.map_or(Span::ZERO, |level| level.manner.off_delay)
    }

    fn level(self, rank: Rank) -> Option<Level> {
        match rank {
            Rank::Warn => self.levels.warn,
            Rank::Crit => self.levels.crit,
        }
    }

    fn beyond(self, level: Level, value: f64) -> bool {
        match self.side {
            Side::Low => value < level.limit,
            Side::High => value > level.limit,
        }
    }

    fn short_of_clearing(self, level: Level, value: f64) -> bool {
        match self.side {
            Side::Low => value < level.clears_at,
            Side::High => value > level.clears_at,
        }
    }
}

impl LimitCondition {
    /// A usable value: measured, plausible, in the rule's unit, live.
    #[inline]
    pub fn value(
        &mut self,
        rule: &LimitRule,
        value: f64,
        now: EngineTime,
        mut out: impl FnMut(Step),
    ) {
        // Nearly always, and half of the cost of all limits otherwise.
        if self.is_normal() && rule.is_inside(value) {
            (self.low.blind, self.high.blind) = (false, false);
            return;
        }
        self.beyond(rule, value, now, &mut out);
    }

    fn beyond(
        &mut self,
        rule: &LimitRule,
        value: f64,
        now: EngineTime,
        out: &mut impl FnMut(Step),
    ) {
        for (state, bounds) in self.sides(rule) {
            state.value(bounds, value, now, out);
        }
    }

    /// There is no usable value at this moment. `stopped`: and there was none
    /// for longer than its staleness, or its source is not heard.
    pub fn no_value(&mut self, rule: &LimitRule, stopped: bool, mut out: impl FnMut(Step)) {
        for (state, bounds) in self.sides(rule) {
            state.no_value(bounds, stopped, &mut out);
        }
    }

    /// Over for a reason other than its own value: a better measurement took
    /// its place, another source speaks for the patient, the transfer closed,
    /// the limits are no more. Ends what is latched too.
    pub fn end(&mut self, rule: &LimitRule, mut out: impl FnMut(Step)) {
        for (state, bounds) in self.sides(rule) {
            state.end(bounds, &mut out);
        }
    }

    /// Raises what has been pending for its delay, ends what has been inside for
    /// its off-delay.
    pub fn handle_timeout(&mut self, rule: &LimitRule, now: EngineTime, mut out: impl FnMut(Step)) {
        for (state, bounds) in self.sides(rule) {
            state.settle(bounds, now, &mut out);
        }
    }

    /// Somebody has looked: what is latched is over, and what is present does not
    /// latch unless it gets worse. The caller ends the alert of the former.
    pub fn looked_at(&mut self, side: Side) {
        let state = match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        };
        match &mut state.shown {
            Shown::Open {
                phase: AlertPhase::Latched,
                ..
            } => state.shown = Shown::Nothing,
            Shown::Open { latched, .. } => *latched = false,
            Shown::Nothing => {}
        }
    }

    /// When something pending is to be raised, or something raised to end.
    #[must_use]
    pub fn next_timeout(&self, rule: &LimitRule) -> Option<EngineTime> {
        if self.is_normal() {
            return None;
        }
        let low = self.low.next_timeout(Bounds::low(rule));
        let high = self.high.next_timeout(Bounds::high(rule));
        low.into_iter().chain(high).min()
    }

    /// Whether viewers see nothing and nothing is pending.
    #[must_use]
    #[inline]
    pub fn is_normal(&self) -> bool {
        let normal = |side: &SideState| {
            let nothing = matches!(side.shown, Shown::Nothing);
            nothing && side.warn_since.is_none() && side.crit_since.is_none()
        };
        normal(&self.low) && normal(&self.high)
    }

    /// Whether a breach waits for its delay and nothing is shown yet.
    #[must_use]
    pub fn is_pending(&self, side: Side) -> bool {
        let state = self.side(side);
        let waiting = state.warn_since.is_some() || state.crit_since.is_some();
        waiting && state.shown == Shown::Nothing
    }

    /// Whether viewers see this side: active, unknown or latched.
    #[must_use]
    pub fn is_shown(&self, side: Side) -> bool {
        self.side(side).shown != Shown::Nothing
    }

    fn side(&self, side: Side) -> &SideState {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    fn sides<'a>(
        &mut self,
        rule: &'a LimitRule,
    ) -> impl Iterator<Item = (&mut SideState, Bounds<'a>)> {
        [
            (&mut self.low, Bounds::low(rule)),
            (&mut self.high, Bounds::high(rule)),
        ]
        .into_iter()
    }
}

impl SideState {
    fn value(&mut self, bounds: Bounds, value: f64, now: EngineTime, out: &mut impl FnMut(Step)) {
        self.blind = false;
        let on = self.on();
        for rank in [Rank::Warn, Rank::Crit] {
            let is_on = on.is_some_and(|shown| rank <= shown);
            let present = bounds.level(rank).is_some_and(|level| {
                bounds.beyond(level, value) || is_on && bounds.short_of_clearing(level, value)
            });
            let (since, inside) = self.times_mut(rank);
            match *since {
                _ if present => {
                    since.get_or_insert(now);
                    *inside = None;
                }
                // It ends when it was inside for its off-delay.
                Some(_) if is_on => {
                    inside.get_or_insert(now);
                }
                Some(_) | None => (*since, *inside) = (None, None),
            }
        }
        self.settle(bounds, now, out);
    }

    fn no_value(&mut self, bounds: Bounds, stopped: bool, out: &mut impl FnMut(Step)) {
        self.blind = true;
        if let Shown::Open { phase, .. } = &mut self.shown
            && *phase == AlertPhase::Active
        {
            *phase = AlertPhase::Unknown;
            self.tell(bounds, out);
        }
        if stopped {
            let on = self.on();
            for rank in [Rank::Warn, Rank::Crit] {
                let (since, inside) = self.times_mut(rank);
                *inside = None;
                if on.is_none_or(|shown| rank > shown) {
                    *since = None;
                }
            }
        }
    }

    fn end(&mut self, bounds: Bounds, out: &mut impl FnMut(Step)) {
        if let Shown::Open { phase, .. } = &mut self.shown {
            *phase = AlertPhase::Ended;
            self.tell(bounds, out);
        }
        *self = Self::default();
    }

    /// Brings what is shown in line with what is present for long enough.
    fn settle(&mut self, bounds: Bounds, now: EngineTime, out: &mut impl FnMut(Step)) {
        if self.blind {
            return;
        }
        for rank in [Rank::Warn, Rank::Crit] {
            let off_delay = bounds.off_delay(rank);
            let (since, inside) = self.times_mut(rank);
            if inside.is_some_and(|inside| inside.plus(off_delay) <= now) {
                (*since, *inside) = (None, None);
            }
        }
        let due = |rank: Rank, since: Option<EngineTime>| {
            let level = bounds.level(rank)?;
            (since?.plus(level.manner.on_delay) <= now).then_some(rank)
        };
        let crit = due(Rank::Crit, self.crit_since);
        let warn = due(Rank::Warn, self.warn_since);
        let before = self.shown;
        self.shown = match (before, crit.or(warn)) {
            (Shown::Nothing, None) => Shown::Nothing,
            (Shown::Nothing, Some(level)) => self.opened(bounds, level, false, now),
            (
                Shown::Open {
                    phase: AlertPhase::Latched,
                    latched,
                    ..
                },
                Some(level),
            ) => self.opened(bounds, level, latched, now),
            (
                Shown::Open {
                    phase: AlertPhase::Latched,
                    ..
                },
                None,
            ) => before,
            (
                Shown::Open {
                    level,
                    since,
                    latched,
                    ..
                },
                _,
            ) => self.carried_on(bounds, level, since, latched, crit),
        };
        if self.shown != before {
            self.tell(bounds, out);
        }
        if let Shown::Open {
            phase: AlertPhase::Ended,
            ..
        } = self.shown
        {
            self.shown = Shown::Nothing;
        }
    }

    fn opened(&self, bounds: Bounds, level: Rank, latched: bool, now: EngineTime) -> Shown {
        let since = self.earliest().unwrap_or(now);
        let latching = bounds
            .level(level)
            .is_some_and(|level| level.manner.latching);
        Shown::Open {
            level,
            since,
            latched: latched || latching,
            phase: AlertPhase::Active,
        }
    }

    /// An open condition after a usable value or a deadline.
    fn carried_on(
        &mut self,
        bounds: Bounds,
        level: Rank,
        since: EngineTime,
        latched: bool,
        crit_due: Option<Rank>,
    ) -> Shown {
        let crit_stays = level == Rank::Crit && self.crit_since.is_some();
        let now_at = if crit_stays || crit_due.is_some() {
            Some(Rank::Crit)
        } else {
            self.warn_since.map(|_| Rank::Warn)
        };
        let worse = now_at.filter(|rank| *rank > level);
        let reached = worse.and_then(|rank| bounds.level(rank));
        let latched = latched || reached.is_some_and(|level| level.manner.latching);
        let phase = match (now_at, latched) {
            (Some(_), _) => AlertPhase::Active,
            (None, true) => AlertPhase::Latched,
            (None, false) => AlertPhase::Ended,
        };
        Shown::Open {
            level: now_at.unwrap_or(level),
            since,
            latched,
            phase,
        }
    }

    fn tell(&self, bounds: Bounds, out: &mut impl FnMut(Step)) {
        let Shown::Open {
            level,
            since,
            latched,
            phase,
        } = self.shown
        else {
            return;
        };
        // What latched keeps the urgency it had.
        let urgent = if latched { Rank::Crit } else { level };
        let (Some(at), Some(urgent)) = (
            bounds.level(level),
            bounds.level(urgent).or(bounds.level(level)),
        ) else {
            return;
        };
        out(Step {
            side: bounds.side,
            phase,
            priority: at.manner.priority.max(urgent.manner.priority),
            since,
            limit: at.limit,
        });
    }

    fn next_timeout(&self, bounds: Bounds) -> Option<EngineTime> {
        if self.blind {
            return None;
        }
        let on = self.on();
        let due = |rank: Rank, since: Option<EngineTime>, level: Option<Level>| {
            let waits = on.is_none_or(|shown| rank > shown);
            waits.then_some(since?.plus(level?.manner.on_delay))
        };
        let warn = due(Rank::Warn, self.warn_since, bounds.levels.warn);
        let crit = due(Rank::Crit, self.crit_since, bounds.levels.crit);
        let ends = |rank, inside: Option<EngineTime>| Some(inside?.plus(bounds.off_delay(rank)));
        let ends = [
            ends(Rank::Warn, self.warn_inside),
            ends(Rank::Crit, self.crit_inside),
        ];
        [warn, crit].into_iter().chain(ends).flatten().min()
    }

    /// The level that is present, as far as is known.
    fn on(&self) -> Option<Rank> {
        match self.shown {
            Shown::Open { level, phase, .. } if phase != AlertPhase::Latched => Some(level),
            Shown::Open { .. } | Shown::Nothing => None,
        }
    }

    fn earliest(&self) -> Option<EngineTime> {
        self.warn_since.into_iter().chain(self.crit_since).min()
    }

    /// Since when a level is present, and since when it is inside nevertheless.
    fn times_mut(&mut self, rank: Rank) -> (&mut Option<EngineTime>, &mut Option<EngineTime>) {
        match rank {
            Rank::Warn => (&mut self.warn_since, &mut self.warn_inside),
            Rank::Crit => (&mut self.crit_since, &mut self.crit_inside),
        }
    }
}

#[cfg(test)]
mod tests;
