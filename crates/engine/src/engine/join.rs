//! One transfer becomes a part of another.

use super::{Bound, Engine};
use crate::bounds::{
    ACTIONS_MAX, ALIASES_MAX, CREW_LOG_MAX, POISONED_MAX, SOURCES_MAX, UNRECORDED_MAX,
};
use crate::effects::Effects;
use crate::source::Source;
use enroute_model::ids::GatewayId;
use enroute_model::registry::Population;
use enroute_model::time::EngineTime;

impl Engine {
    /// Joins another transfer to this one: its sources, open alerts (with new
    /// ids), crew log, track and aliases move over. Its id is an alias from here
    /// on: give this engine the records stored under it. Of the same gateway in
    /// both the newer values stay. Sources beyond the bound are refused. Age and
    /// weight come along where this one knows neither; the rest of what people
    /// entered about the other one ends with it.
    ///
    /// Deadlines of the other up to `at` must have fired: call its
    /// [`Engine::handle_timeout`] with `at` and use the effects first.
    pub fn absorb(&mut self, mut other: Self, at: EngineTime, out: &mut Effects) {
        self.handle_timeout(at, out);
        let first_source = u32::try_from(self.appeared.len()).unwrap_or(u32::MAX);
        self.started_at = match (self.started_at, other.started_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_frame_at = self.last_frame_at.max(other.last_frame_at);
        self.adopt_aliases(&other);
        self.adopt_actions(&mut other);
        let was_open = other.is_open();
        for gateway in std::mem::take(&mut other.appeared) {
            if let Some(mut source) = other.sources.remove(&gateway) {
                let (theirs, ours) = (other.rules.conditions(), self.rules.conditions());
                source.conditions.adopt(Some(theirs), ours, |_| {});
                self.adopt_source(&gateway, source, out);
            }
        }
        self.rules.adopt(&other.rules);
        self.rules.resolve(&self.info);
        for (code, baseline) in &other.baselines {
            let known = self.baselines.entry(*code);
            known.or_insert_with(|| baseline.clone());
        }
        self.adopt_alerts(&other, was_open, out);
        if self.info.population == Population::default() {
            self.set_population(other.info.population, out);
        }
        self.exercise |= other.exercise;
        self.adopt_logs(&mut other);
        self.journey
            .merge(other.journey, first_source, &self.info.legs);
        let changed = &mut out.changed;
        changed.info = true;
        changed.travel = true;
        changed.crew_log = true;
        changed.poisoned = true;
        self.bound = Bound::Unknown;
    }

    fn adopt_aliases(&mut self, other: &Self) {
        for id in std::iter::once(&other.transfer).chain(&other.aliases) {
            if *id == self.transfer || self.aliases.contains(id) {
                continue;
            }
            if self.aliases.len() < ALIASES_MAX {
                self.aliases.push(id.clone());
            } else {
                self.overflow.aliases = self.overflow.aliases.saturating_add(1);
            }
        }
    }

    /// Who asks again by the old name is answered as before.
    fn adopt_actions(&mut self, other: &mut Self) {
        other.actions.append(&mut self.actions);
        let surplus = other.actions.len().saturating_sub(ACTIONS_MAX);
        other.actions.drain(..surplus);
        self.actions = std::mem::take(&mut other.actions);
    }

    fn adopt_source(&mut self, gateway: &GatewayId, mut source: Box<Source>, out: &mut Effects) {
        if self.sources.contains_key(gateway) {
            self.with_source(gateway, out, |ours, ctx| ours.merge(*source, ctx));
        } else if self.sources.len() < SOURCES_MAX {
            source.named = false;
            self.sources.insert(gateway.clone(), source);
            self.appeared.push(gateway.clone());
        } else {
            self.overflow.sources = self.overflow.sources.saturating_add(1);
            return;
        }
        self.with_source(gateway, out, |source, ctx| {
            ctx.out.changed.source(ctx.gateway);
            ctx.out.changed.complete(ctx.gateway);
            for metric in source.values.keys() {
                ctx.out.changed.value(ctx.gateway, metric);
            }
        });
    }

    /// Alerts whose condition came along go on under new ids, then the limits
    /// of this transfer's population apply.
    fn adopt_alerts(&mut self, other: &Self, was_open: bool, out: &mut Effects) {
        let open = self.is_open();
        if open {
            let sources = &self.sources;
            let holds = |gateway: &GatewayId, kind: &_| {
                sources
                    .get(gateway)
                    .is_some_and(|source| source.stands_behind(kind))
            };
            self.alerts.adopt(&other.alerts, self.now, out, holds);
        }
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, |source, ctx| {
                if !open {
                    source.end_conditions(ctx);
                    source.forget_stale_alerts();
                } else if !was_open && source.active {
                    source.watch(ctx);
                }
                source.use_profile(ctx);
                source.take_baselines(ctx);
            });
        }
    }

    fn adopt_logs(&mut self, other: &mut Self) {
        self.crew_log.append(&mut other.crew_log);
        self.crew_log.sort_by_key(|entry| entry.captured_at);
        let surplus = self.crew_log.len().saturating_sub(CREW_LOG_MAX);
        self.crew_log.drain(..surplus);
        self.notes_to_crew.append(&mut other.notes_to_crew);
        self.notes_to_crew.sort_by_key(|note| note.from.at);
        self.trim_notes();
        self.unrecorded.append(&mut other.unrecorded);
        self.unrecorded.sort_by_key(|unrecorded| unrecorded.since);
        self.unrecorded.dedup();
        let surplus = self.unrecorded.len().saturating_sub(UNRECORDED_MAX);
        self.unrecorded.drain(..surplus);
        self.poisoned.append(&mut other.poisoned);
        self.poisoned.sort_by_key(|record| record.position);
        self.poisoned.truncate(POISONED_MAX);
    }
}
