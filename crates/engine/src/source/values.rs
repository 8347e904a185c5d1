//! Values of a source: what is newest, and what its limits make of it.

use super::deadlines::earliest;
use super::slots::Slots;
use super::{Ctx, Source};
use crate::bounds::METRICS_MAX;
use crate::value::{About, Incoming, Origin, Slot};
use enroute_alert::condition::{Conditions, Rules};
use enroute_alert::limit::Side;
use enroute_alert::profile::Profile;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Metric, Numeric};
use enroute_model::ids::GatewayId;
use enroute_model::reading::Reading;
use enroute_model::state::{AlertKind, Baseline};
use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What several sensors measure: the heart rate by the ECG, the arterial line and the
/// pleth, breaths by capnography and impedance.
static RATES: LazyLock<[Metric; RATES_COUNT]> = LazyLock::new(|| {
    ["hr", "abp_pr", "pr", "rr_co2", "rr_imp"].map(|id| Metric {
        code: catalogue()
            .vital_by_id(id)
            .map_or(Code(0), |vital| vital.code),
        label: String::new(),
    })
});
pub(super) const RATES_COUNT: usize = 5;

/// Each that others measure better, with those, the best one first, by their places in
/// [`RATES`]. The order matters: what is ended or spoken for here is looked at by those
/// behind.
const DOUBLES: [(usize, &[usize]); 3] = [(1, &[0]), (2, &[0, 1]), (4, &[3])];

impl Source {
    /// Measured quantities of one frame. Late ones fill trends only (I11).
    /// Returns a lower bound of the deadlines that they set.
    pub(crate) fn numerics(
        &mut self,
        numerics: &[Numeric],
        origin: Origin,
        ctx: &mut Ctx,
    ) -> Option<EngineTime> {
        let mut due: Option<EngineTime> = None;
        for numeric in numerics {
            let incoming = Incoming {
                reading: numeric.reading,
                unit: &numeric.unit,
                interval: numeric.interval,
                origin,
            };
            due = earliest(due, self.value(&numeric.metric, &incoming, ctx));
        }
        if !origin.late && self.is_watched(ctx) {
            due = earliest(due, self.doubles(ctx));
        }
        due
    }

    /// A quantity that the crew entered. One that comes late replaces an older
    /// one of the same stream, for nobody will say it again; it raises nothing.
    pub(crate) fn observation(
        &mut self,
        (code, reading): (Code, Reading),
        origin: Origin,
        ctx: &mut Ctx,
    ) -> Option<EngineTime> {
        let vital = catalogue().vital(code);
        let metric = Metric {
            code,
            label: String::new(),
        };
        let incoming = Incoming {
            reading,
            unit: "",
            interval: vital.map_or(Span::ZERO, |vital| vital.interval),
            origin,
        };
        if !origin.late {
            return self.value(&metric, &incoming, ctx);
        }
        match self.values.get_mut(&metric) {
            Some(held) => {
                let same_stream = held.origin.stream == origin.stream;
                if !same_stream || held.origin.order >= origin.order {
                    return None;
                }
                held.update(&incoming, ctx.at);
            }
            None => {
                self.insert(&metric, &incoming, ctx)?;
            }
        }
        ctx.out.changed.value(ctx.gateway, &metric);
        self.values.get(&metric).and_then(Slot::stale_at)
    }

    pub(super) fn value(
        &mut self,
        metric: &Metric,
        incoming: &Incoming,
        ctx: &mut Ctx,
    ) -> Option<EngineTime> {
        let watched = self.is_watched(ctx);
        if incoming.origin.late {
            if let Some(slot) = self.values.get_mut(metric) {
                slot.note_trend(incoming.reading, incoming.origin);
            }
            return None;
        }
        // Looked up once: that is a good part of what a value costs.
        let held = self.values.get_in_turn(metric);
        let (next, other_interval) = if let Some(slot) = held {
            let (value, other_interval) = slot.update(incoming, ctx.at);
            let next = came(metric, (slot, value), (&mut self.conditions, watched), ctx);
            (next, other_interval)
        } else {
            self.insert(metric, incoming, ctx)?;
            let slot = self.values.get_mut(metric)?;
            let value = slot.as_came();
            let next = came(metric, (slot, value), (&mut self.conditions, watched), ctx);
            (next, true)
        };
        if other_interval {
            self.expect();
        }
        next
    }

    fn insert(&mut self, metric: &Metric, incoming: &Incoming, ctx: &mut Ctx) -> Option<()> {
        if self.values.len() >= METRICS_MAX {
            ctx.overflow.metrics = ctx.overflow.metrics.saturating_add(1);
            return None;
        }
        let about = About::of(metric, ctx.profile, ctx.conditions);
        let slot = Slot::new(about, incoming, self.declared(), ctx.at);
        self.values.insert(metric.clone(), slot);
        Some(())
    }

    /// Evaluates what is only evaluated while a better measurement of the same
    /// thing has no usable value; ends it as soon as that one has.
    fn doubles(&mut self, ctx: &mut Ctx) -> Option<EngineTime> {
        let mut due = None;
        // A value is never taken out: with as many as before all are where they were.
        if self.rates.0 != self.values.len() {
            let places = RATES.each_ref().map(|rate| self.values.place_of(rate));
            self.rates = (self.values.len(), places);
        }
        let (_, places) = self.rates;
        let place_of = |rate: usize| places.get(rate).copied().flatten();
        for (other, better) in DOUBLES {
            let Some((place, other)) = place_of(other).zip(RATES.get(other)) else {
                continue;
            };
            let mut better = better.iter().filter_map(|better| place_of(*better));
            let covered = better.any(|place| {
                let slot = self.values.at(place);
                slot.is_some_and(|slot| slot.usable().is_some())
            });
            let Some(slot) = self.values.at_mut(place) else {
                continue;
            };
            if covered {
                end(other, slot, ctx);
            } else if slot.heard_at == ctx.at && !slot.origin.late {
                // Live and of this very record.
                let value = slot.as_came();
                evaluate(other, (slot, value), ctx);
                due = earliest(due, slot.next_timeout());
            }
        }
        due
    }

    /// No value of this source speaks of now: its link is lost, or another
    /// source speaks for the patient.
    pub(super) fn no_values(&mut self, ctx: &mut Ctx) {
        for (metric, slot) in self.values.iter_mut() {
            no_value(metric, slot, true, ctx);
        }
        self.silence_conditions(ctx);
    }

    /// Ends every limit condition: the transfer closed.
    pub(crate) fn end_conditions(&mut self, ctx: &mut Ctx) {
        for (metric, slot) in self.values.iter_mut() {
            end(metric, slot, ctx);
        }
        self.conditions.end();
        self.apply_doubts(ctx);
    }

    /// Other limits apply. Open conditions of the old ones end; a breach of the
    /// new ones counts from now.
    pub(crate) fn use_profile(&mut self, ctx: &mut Ctx) {
        let watched = self.is_watched(ctx);
        for (metric, slot) in self.values.iter_mut() {
            let about = About::of(metric, ctx.profile, ctx.conditions);
            slot.about.channel = about.channel;
            if about.rule == slot.about.rule {
                continue;
            }
            end(metric, slot, ctx);
            let direct = about
                .rule
                .as_ref()
                .is_some_and(|r| r.only_without.is_none());
            slot.about = about;
            ctx.out.changed.value(ctx.gateway, metric);
            if watched && direct && slot.usable().is_some() {
                let value = slot.as_came();
                evaluate(metric, (slot, value), ctx);
            }
        }
    }

    /// Looks the tables up again after a restore.
    pub(crate) fn relink(
        &mut self,
        profile: &Profile,
        rules: &Rules,
        baselines: &BTreeMap<Code, Baseline>,
    ) {
        self.relink_conditions(rules, baselines);
        for (metric, slot) in self.values.iter_mut() {
            slot.about = About::of(metric, profile, rules);
        }
    }

    /// Another source of the same patient has spoken: where it has a usable
    /// value and its own condition is settled, that is the answer to what this
    /// inactive one left unknown.
    pub(crate) fn yield_to(&mut self, speaking: &Self, ctx: &mut Ctx) {
        for (metric, slot) in self.values.iter_mut() {
            if slot.condition.is_normal() {
                continue;
            }
            let Some(theirs) = speaking.values.get(metric) else {
                continue;
            };
            let waits = |side| theirs.condition.is_pending(side);
            if theirs.usable().is_some() && !waits(Side::Low) && !waits(Side::High) {
                end(metric, slot, ctx);
            }
        }
        self.yield_conditions(speaking, ctx);
    }

    /// Takes over newer values; what ours had raised ends with them.
    pub(super) fn merge_values(&mut self, theirs: Slots<Slot>, ctx: &mut Ctx) {
        for (metric, newer) in theirs.into_list() {
            let room = self.values.len() < METRICS_MAX;
            match self.values.get_mut(&metric) {
                Some(ours) if ours.heard_at >= newer.heard_at => {}
                Some(ours) => {
                    end(&metric, ours, ctx);
                    let key = (Some(ctx.gateway.clone()), AlertKind::Stale(metric));
                    ctx.alerts.end(&key, ctx.at, ctx.out);
                    *ours = newer;
                }
                None if room => {
                    self.values.insert(metric, newer);
                }
                None => ctx.overflow.metrics = ctx.overflow.metrics.saturating_add(1),
            }
        }
    }

    /// Somebody has looked at a condition.
    pub(crate) fn looked_at(&mut self, metric: &Metric, side: Side) {
        if let Some(slot) = self.values.get_mut(metric) {
            slot.condition.looked_at(side);
        }
    }

    /// Whether an inactive source left conditions open.
    pub(crate) fn has_open(&self) -> bool {
        let values = self.values.values();
        self.conditions.has_open() || values.into_iter().any(|slot| !slot.condition.is_normal())
    }
}

/// What a live value does that is in its place, `value` if it may raise an alert.
/// Returns its next deadline.
fn came(
    metric: &Metric,
    (slot, value): (&mut Slot, Option<f64>),
    (conditions, watched): (&mut Conditions, bool),
    ctx: &mut Ctx,
) -> Option<EngineTime> {
    ctx.out.changed.value(ctx.gateway, metric);
    if let Some(channel) = slot.about.channel {
        let interval = slot.live_interval();
        conditions.note(ctx.conditions, channel, value, interval, ctx.at);
    }
    if slot.stale_alert {
        slot.stale_alert = false;
        let key = (Some(ctx.gateway.clone()), AlertKind::Stale(metric.clone()));
        ctx.alerts.end(&key, ctx.at, ctx.out);
    }
    let rule = slot.about.rule.as_ref();
    let doubled = rule.is_some_and(|rule| rule.only_without.is_some());
    if watched && !doubled {
        evaluate(metric, (slot, value), ctx);
    }
    slot.next_timeout_at_least()
}

/// Feeds a live reading to its limits, `value` if it may raise an alert.
fn evaluate(metric: &Metric, (slot, value): (&mut Slot, Option<f64>), ctx: &mut Ctx) {
    if slot.covered {
        // A rule says the same, better: nothing new is raised, and what is open
        // stays as it is.
        let shown = |side| slot.condition.is_shown(side);
        if !shown(Side::Low) && !shown(Side::High) {
            no_value(metric, slot, false, ctx);
        }
        return;
    }
    let Some(value) = value.filter(|_| !slot.stale && !slot.doubted) else {
        no_value(metric, slot, false, ctx);
        return;
    };
    if let Some(rule) = &slot.about.rule {
        let (reading, at, about) = (slot.reading, ctx.at, (ctx.gateway, metric));
        slot.condition.value(rule, value, at, |step| {
            ctx.alerts
                .limit_step(about, step, Some((reading, at)), at, ctx.out);
        });
    }
}

/// Tells the limits that there is nothing to go by.
pub(super) fn no_value(metric: &Metric, slot: &mut Slot, stopped: bool, ctx: &mut Ctx) {
    if let Some(rule) = &slot.about.rule {
        let (at, about): (_, (&GatewayId, _)) = (ctx.at, (ctx.gateway, metric));
        let last = slot.last_usable;
        slot.condition.no_value(rule, stopped, |step| {
            ctx.alerts.limit_step(about, step, last, at, ctx.out);
        });
    }
}

fn end(metric: &Metric, slot: &mut Slot, ctx: &mut Ctx) {
    if slot.condition.is_normal() {
        return;
    }
    if let Some(rule) = &slot.about.rule {
        let (at, about): (_, (&GatewayId, _)) = (ctx.at, (ctx.gateway, metric));
        slot.condition.end(rule, |step| {
            ctx.alerts.limit_step(about, step, None, at, ctx.out);
        });
    }
}
