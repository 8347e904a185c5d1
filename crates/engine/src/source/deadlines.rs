//! Deadlines of a source. None is stored: each follows from what is held, so
//! that nothing has to be re-armed when a value comes.

use super::values::no_value;
use super::{Ctx, Source};
use crate::alerts::Now;
use crate::value::Slot;
use enroute_model::frame::{Metric, Priority};
use enroute_model::state::AlertKind;
use enroute_model::time::{EngineTime, Span};

/// Least time that a value gets to come again after its source was silent.
const EXCUSE_MIN: Span = Span::from_secs(5);

/// The earlier of two deadlines, where there are any.
pub(super) fn earliest(one: Option<EngineTime>, other: Option<EngineTime>) -> Option<EngineTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Slot {
    /// A lower bound of the same, at a small part of the cost, behind a live value:
    /// nearly always only that it may become stale.
    pub(crate) fn next_timeout_at_least(&self) -> Option<EngineTime> {
        match self.about.vital {
            Some(vital) if self.condition.is_normal() && self.stale_alert_at.is_none() => {
                Some(self.heard_at.plus(vital.stale_after))
            }
            _ => self.next_timeout(),
        }
    }

    /// When something happens to it if nothing comes. A condition that nobody
    /// watches has nothing pending.
    pub(crate) fn next_timeout(&self) -> Option<EngineTime> {
        let pending = self
            .about
            .rule
            .as_ref()
            .and_then(|rule| self.condition.next_timeout(rule));
        earliest(earliest(pending, self.stale_at()), self.stale_alert_at)
    }
}

impl Source {
    pub(crate) fn next_timeout(&self) -> Option<EngineTime> {
        let values = self.values.values().filter_map(Slot::next_timeout);
        let technical = self.technical.next_timeout();
        let rules = self.conditions.next_timeout().filter(|_| self.active);
        let others = [self.link.next_timeout(), technical, rules];
        values.chain(others.into_iter().flatten()).min()
    }

    /// Fires what is due at `ctx.at`: the link, then value by value.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Ctx) {
        let was_lost = self.link.loss().is_some();
        if self.link.handle_timeout(ctx.at) {
            if was_lost {
                ctx.out.changed.source(ctx.gateway);
                self.tell_loss(ctx);
            } else {
                self.lost(ctx);
            }
        }
        self.fire_sensors(ctx);
        self.settle_late(ctx);
        let watched = self.is_watched(ctx);
        let mut ask = self
            .conditions
            .next_timeout()
            .is_some_and(|due| due <= ctx.at);
        let last_heard = self.link.last_heard();
        let off: Vec<Metric> = { self.values.keys() }
            .filter(|metric| self.is_off(metric))
            .cloned()
            .collect();
        for (metric, slot) in self.values.iter_mut() {
            let covered = off.contains(metric);
            raise_pending(metric, slot, ctx);
            if let Some(due) = slot.stale_at().filter(|due| *due <= ctx.at) {
                slot.stale = true;
                ctx.out.changed.value(ctx.gateway, metric);
                no_value(metric, slot, true, ctx);
                if let Some(channel) = slot.about.channel {
                    self.conditions.stopped(channel);
                    ask = true;
                }
                if watched && !covered && !slot.is_unpromised() {
                    // The whole source may be silent: then its link alert, which
                    // takes a little longer, says it once for all values.
                    let half = slot.heard_at.plus(due.since(slot.heard_at).scaled(1, 2));
                    if last_heard.is_some_and(|heard| heard >= half) {
                        tell_stale(metric, slot, ctx);
                    } else {
                        self.excused = true;
                    }
                }
            }
            if slot.stale_alert_at.is_some_and(|due| due <= ctx.at) {
                slot.stale_alert_at = None;
                if watched && !covered {
                    tell_stale(metric, slot, ctx);
                }
            }
        }
        if ask && watched {
            self.ask_conditions(ctx);
        }
    }

    /// The source is heard again: a value that stays away is told after half of
    /// its staleness.
    pub(super) fn no_longer_excused(&mut self, at: EngineTime) {
        self.excused = false;
        for slot in self.values.values_mut() {
            if slot.stale && !slot.stale_alert && !slot.is_unpromised() {
                let grace = slot.stale_span().scaled(1, 2).max(EXCUSE_MIN);
                slot.stale_alert_at.get_or_insert(at.plus(grace));
            }
        }
    }
}

fn raise_pending(metric: &Metric, slot: &mut Slot, ctx: &mut Ctx) {
    if let Some(rule) = &slot.about.rule {
        let (value, at) = ((slot.reading, slot.heard_at), ctx.at);
        slot.condition.handle_timeout(rule, at, |step| {
            ctx.alerts
                .limit_step((ctx.gateway, metric), step, Some(value), at, ctx.out);
        });
    }
}

fn tell_stale(metric: &Metric, slot: &mut Slot, ctx: &mut Ctx) {
    if slot.stale && !slot.stale_alert {
        slot.stale_alert = true;
        let key = (Some(ctx.gateway.clone()), AlertKind::Stale(metric.clone()));
        let now = Now::technical(Priority::Low, ctx.at);
        ctx.alerts.set(key, now, ctx.at, ctx.out);
    }
}
