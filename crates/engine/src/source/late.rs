//! The search of history for what live evaluation could not see. It has a state
//! of its own, and nothing here touches a live condition (I11).
//!
//! The first live numerics behind a silence open a *pass* over the frames that
//! are missing between. As they come, they are run through the limits in the
//! order of their numbers, which is that of the patient's time, each as soon as
//! all before it have come or been given up; so a pass holds its limits' state
//! and the few frames that came out of order, never the history itself. A breach
//! is told when it is over. What stood live when the silence began, or was raised
//! live from its end on, is the same breach and is not told again.
//!
//! A silence of less than [`SILENCE_MIN`] is not searched: the values around it
//! were evaluated as they came.

use super::Source;
use crate::alerts::Past;
use crate::bounds::{LATE_WAITING_MAX, PASSES_MAX};
use crate::source::Ctx;
use crate::value::judge;
use enroute_alert::limit::Side;
use enroute_alert::past::{Found, PastCondition};
use enroute_alert::profile::Profile;
use enroute_alert::technical::stale_after;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Header, Metric, Numeric};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::reading::{Decimal, Reading};
use enroute_model::state::{AlertKind, AlertPhase};
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Shorter silences are not searched. The delays of most limits are as long.
const SILENCE_MIN: Span = Span::from_secs(10);

/// One side of one vital sign.
type About = (Code, Side);

/// Searches of one source's history.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Late {
    /// In order of their silences.
    passes: Vec<Pass>,
    newest: Option<Newest>,
    pub(super) unsearched: u64,
}

/// The newest live numerics.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Newest {
    leg: (Epoch, u64),
    sequence: u64,
    heard_at: EngineTime,
}

/// One silence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pass {
    leg: (Epoch, u64),
    /// All before this have been looked at.
    next: u64,
    /// `None`: nothing live has come behind it.
    last: Option<u64>,
    /// What stood when it began.
    before: Vec<About>,
    /// What was in breach when it ended, and whether it was raised; `None`: it
    /// may still be.
    behind: BTreeMap<About, Option<bool>>,
    /// Came before their turn.
    waiting: BTreeMap<u64, Frame>,
    /// The patient's time: that of the gateway's clock, never going back.
    at: Option<EngineTime>,
    conditions: BTreeMap<Code, PastCondition>,
    /// Go on behind its end: told unless they were raised live.
    undecided: Vec<(Code, Found)>,
}

/// What a late frame holds for the limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Frame {
    at: EngineTime,
    values: Vec<(Code, Option<Decimal>, Span)>,
}

impl Pass {
    fn new(leg: (Epoch, u64), next: u64, last: Option<u64>, before: Vec<About>) -> Self {
        Self {
            leg,
            next,
            last,
            before,
            behind: BTreeMap::new(),
            waiting: BTreeMap::new(),
            at: None,
            conditions: BTreeMap::new(),
            undecided: Vec::new(),
        }
    }

    fn holds(&self, leg: (Epoch, u64), sequence: u64) -> bool {
        let ends = self.last.is_none_or(|last| sequence <= last);
        self.leg == leg && self.next <= sequence && ends
    }

    fn is_through(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    /// Runs one frame through the limits.
    fn search(&mut self, frame: &Frame, profile: &Profile, out: &mut impl FnMut(Code, Found)) {
        let at = self.at.map_or(frame.at, |at| at.max(frame.at));
        self.at = Some(at);
        for (code, condition) in &mut self.conditions {
            if let Some(rule) = profile.rule(*code) {
                condition.reach(rule, at);
            }
        }
        for (code, value, stale) in &frame.values {
            let Some(rule) = profile.rule(*code) else {
                continue;
            };
            let better = rule.only_without;
            let better = better.and_then(|better| self.conditions.get(&better));
            let covered = better.is_some_and(|better| better.is_fresh(at));
            let condition = self.conditions.entry(*code).or_default();
            if covered {
                condition.end(rule, |found| out(*code, found));
            } else {
                condition.value(rule, (*value, *stale), at, |found| out(*code, found));
            }
        }
    }

    /// A find that goes on into what live evaluation saw is the same breach.
    fn is_known(&self, code: Code, found: &Found) -> bool {
        found.from_start && self.before.contains(&(code, found.side))
    }
}

impl Late {
    fn waiting(&self) -> usize {
        self.passes.iter().map(|pass| pass.waiting.len()).sum()
    }

    fn add(&mut self, pass: Pass) {
        if self.passes.len() >= PASSES_MAX {
            let oldest = self.passes.remove(0);
            let left = oldest
                .last
                .map_or(0, |last| (last + 1).saturating_sub(oldest.next));
            self.unsearched = self.unsearched.saturating_add(left);
        }
        self.passes.push(pass);
    }

    /// Takes over what another engine searches of the same gateway.
    pub(super) fn merge(&mut self, other: Self) {
        for pass in other.passes {
            self.add(pass);
        }
        self.unsearched = self.unsearched.saturating_add(other.unsearched);
        self.newest = self.newest.or(other.newest);
    }
}

impl Source {
    /// Late frames that were not searched, for want of room.
    pub(crate) fn unsearched(&self) -> u64 {
        self.late.unsearched
    }

    /// Live numerics come, their values not yet applied: whether there was a
    /// silence before them.
    pub(crate) fn silence_before(&mut self, header: &Header, ctx: &Ctx) -> Option<Pass> {
        let first = header.leg_first.min(header.sequence).max(1);
        let leg = (header.epoch, first);
        let newest = self.late.newest.filter(|newest| newest.leg == leg);
        self.late.newest = Some(Newest {
            leg,
            sequence: header.sequence,
            heard_at: ctx.at,
        });
        let next = newest.map_or(first, |newest| newest.sequence.saturating_add(1));
        let last = header.sequence.saturating_sub(1);
        let silent = newest.is_none_or(|newest| ctx.at.since(newest.heard_at) >= SILENCE_MIN);
        // What came of it by history alone is being searched already.
        let open =
            { self.late.passes.iter() }.position(|pass| pass.leg == leg && pass.last.is_none());
        if let Some(open) = open {
            let mut pass = self.late.passes.remove(open);
            pass.last = Some(last);
            return Some(pass);
        }
        (next <= last && silent).then(|| Pass::new(leg, next, Some(last), standing(ctx)))
    }

    /// The values behind a silence have been applied.
    pub(crate) fn search_silence(&mut self, silence: Option<Pass>, ctx: &mut Ctx) {
        if let Some(mut pass) = silence {
            let raised = standing(ctx);
            for (metric, slot) in self.values.iter() {
                for side in [Side::Low, Side::High] {
                    if slot.condition.is_pending(side) {
                        pass.behind.insert((metric.code, side), None);
                    }
                }
            }
            pass.behind
                .extend(raised.into_iter().map(|about| (about, Some(true))));
            self.late.add(pass);
            self.advance(ctx);
        }
        self.settle_late(ctx);
    }

    /// Numerics that came late.
    pub(crate) fn note_late(&mut self, header: &Header, numerics: &[Numeric], ctx: &mut Ctx) {
        let first = header.leg_first.min(header.sequence).max(1);
        let (leg, sequence) = ((header.epoch, first), header.sequence);
        let known = { self.late.passes.iter() }.position(|pass| pass.holds(leg, sequence));
        let place = known.or_else(|| {
            let newest = self.late.newest.filter(|newest| newest.leg == leg);
            let from = newest.map_or(first, |newest| newest.sequence.saturating_add(1));
            let begun =
                { self.late.passes.iter() }.any(|pass| pass.leg == leg && pass.last.is_none());
            if sequence < from || begun {
                return None;
            }
            self.late.add(Pass::new(leg, from, None, standing(ctx)));
            self.late.passes.len().checked_sub(1)
        });
        let frame = Frame {
            at: EngineTime(header.captured_at.0),
            values: values_of(numerics, ctx.profile),
        };
        if let Some(pass) = place.and_then(|place| self.late.passes.get_mut(place)) {
            pass.waiting.insert(sequence, frame);
        }
        self.advance(ctx);
    }

    /// Frames of a leg will never come.
    pub(crate) fn note_given_up(&mut self, ctx: &mut Ctx) {
        if !self.late.passes.is_empty() {
            self.advance(ctx);
        }
    }

    /// Looks at all whose turn it is, and makes room.
    fn advance(&mut self, ctx: &mut Ctx) {
        let mut passes = std::mem::take(&mut self.late.passes);
        for pass in &mut passes {
            self.advance_pass(pass, ctx);
        }
        self.late.passes = passes;
        while self.late.waiting() > LATE_WAITING_MAX {
            self.skip(ctx);
        }
        self.settle_late(ctx);
    }

    fn advance_pass(&mut self, pass: &mut Pass, ctx: &mut Ctx) {
        let mut found = Vec::new();
        while !pass.is_through() {
            if let Some(frame) = pass.waiting.remove(&pass.next) {
                pass.search(&frame, ctx.profile, &mut |code, find| {
                    found.push((code, find));
                });
                pass.next = pass.next.saturating_add(1);
            } else if let Some(through) = self.covered(pass.leg, pass.next) {
                let held = pass.waiting.keys().next().copied();
                let next = through.saturating_add(1);
                pass.next = held.map_or(next, |held| next.min(held));
            } else {
                break;
            }
        }
        if pass.is_through() {
            for (code, condition) in &mut pass.conditions {
                condition.close(|find| found.push((*code, find)));
            }
            pass.conditions.clear();
            pass.waiting.clear();
        }
        for (code, find) in found {
            if pass.is_known(code, &find) {
                continue;
            }
            if find.to_end && pass.behind.contains_key(&(code, find.side)) {
                pass.undecided.push((code, find));
            } else {
                self.tell_found(code, &find, ctx);
            }
        }
    }

    /// Through which number frames have come or been given up, from this one on.
    fn covered(&self, leg: (Epoch, u64), sequence: u64) -> Option<u64> {
        let life = self.epochs.get(&leg.0)?;
        life.covered(Stream::Numerics, leg.1, sequence)
    }

    /// More came before its turn than there is room for: what is missing before
    /// is passed over, and counted.
    fn skip(&mut self, ctx: &mut Ctx) {
        let passes = self.late.passes.iter_mut();
        let Some(fullest) = passes.max_by_key(|pass| pass.waiting.len()) else {
            return;
        };
        if let Some(held) = fullest.waiting.keys().next().copied() {
            let left = held.saturating_sub(fullest.next);
            self.late.unsearched = self.late.unsearched.saturating_add(left);
            fullest.next = held;
        }
        ctx.out.changed.info = true;
        let mut passes = std::mem::take(&mut self.late.passes);
        for pass in &mut passes {
            self.advance_pass(pass, ctx);
        }
        self.late.passes = passes;
    }

    /// Decides what live evaluation has decided, and forgets what is done.
    pub(crate) fn settle_late(&mut self, ctx: &mut Ctx) {
        if self.late.passes.is_empty() {
            return;
        }
        let raised = standing(ctx);
        let mut passes = std::mem::take(&mut self.late.passes);
        for pass in &mut passes {
            for (about, fate) in pass.behind.iter_mut().filter(|(_, fate)| fate.is_none()) {
                *fate = if raised.contains(about) {
                    Some(true)
                } else {
                    (!self.waits(*about)).then_some(false)
                };
            }
            for (code, find) in std::mem::take(&mut pass.undecided) {
                match pass.behind.get(&(code, find.side)).copied().flatten() {
                    Some(true) => {}
                    Some(false) => self.tell_found(code, &find, ctx),
                    None => pass.undecided.push((code, find)),
                }
            }
        }
        passes.retain(|pass| !pass.is_through() || !pass.undecided.is_empty());
        self.late.passes = passes;
    }

    /// A live breach that may still be raised.
    fn waits(&self, (code, side): About) -> bool {
        let label = String::new();
        let slot = self.values.get(&Metric { code, label });
        slot.is_some_and(|slot| slot.condition.is_pending(side))
    }

    /// On the server's clock as far as the difference is known.
    fn tell_found(&self, code: Code, found: &Found, ctx: &mut Ctx) {
        let ahead = self.clocks.offsets().gateway;
        let ahead = ahead.map_or(Span::ZERO, |gateway| gateway.offset);
        let on_server = |at: EngineTime| EngineTime(at.0.saturating_sub(ahead.0));
        let label = String::new();
        let metric = Metric { code, label };
        let past = Past {
            gateway: ctx.gateway.clone(),
            kind: match found.side {
                Side::Low => AlertKind::LimitLow(metric),
                Side::High => AlertKind::LimitHigh(metric),
            },
            priority: found.priority,
            since: on_server(found.since),
            until: on_server(found.until),
            value: Reading::measured(found.furthest),
            limit: found.limit,
        };
        ctx.alerts.found(past, ctx.at, ctx.out);
    }
}

/// The limits that this source's values are known to break, or were when they
/// stopped.
fn standing(ctx: &Ctx) -> Vec<About> {
    let open = ctx.alerts.open().filter(|alert| {
        let present = matches!(alert.phase, AlertPhase::Active | AlertPhase::Unknown);
        present && alert.gateway.as_ref() == Some(ctx.gateway)
    });
    let sides = open.filter_map(|alert| match &alert.kind {
        AlertKind::LimitLow(metric) => Some((metric.code, Side::Low)),
        AlertKind::LimitHigh(metric) => Some((metric.code, Side::High)),
        AlertKind::Stale(_)
        | AlertKind::LinkLost
        | AlertKind::Conflict(_)
        | AlertKind::EngineDegraded
        | AlertKind::NotRecorded
        | AlertKind::Rule(_)
        | AlertKind::SensorOff(_)
        | AlertKind::ClockWrong
        | AlertKind::SpoolFilling
        | AlertKind::BatteryLow
        | AlertKind::HistoryIncomplete
        | AlertKind::NotAttended => None,
    });
    sides.collect()
}

fn values_of(numerics: &[Numeric], profile: &Profile) -> Vec<(Code, Option<Decimal>, Span)> {
    let ruled = numerics.iter().filter(|numeric| {
        numeric.metric.label.is_empty() && profile.rule(numeric.metric.code).is_some()
    });
    let values = ruled.map(|numeric| {
        let vital = catalogue().vital(numeric.metric.code);
        let usable = judge(vital, &numeric.unit, numeric.reading);
        let value = match numeric.reading {
            Reading::Value { value, .. } => usable.map(|_| value),
            Reading::None(_) => None,
        };
        (
            numeric.metric.code,
            value,
            stale_after(vital, numeric.interval),
        )
    });
    values.collect()
}
