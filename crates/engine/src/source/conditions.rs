//! The rule book's conditions of one source: what they are told, when they are
//! asked, what they make of the values that they doubt or cover.
//!
//! They are asked after each live frame, when a value or the source goes silent,
//! and at their own deadlines; never for what comes late (I11).

use super::values::no_value;
use super::{Ctx, Source};
use enroute_alert::condition::{Quantity, Rule, Rules, Step};
use enroute_model::frame::{Code, Metric};
use enroute_model::reading::Reading;
use enroute_model::state::{AlertKind, Baseline, RuleSubject, ScoreState};
use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeMap;

fn metric(code: Code) -> Metric {
    Metric {
        code,
        label: String::new(),
    }
}

impl Source {
    /// A live reading came.
    pub(super) fn tell_conditions(
        &mut self,
        of: Quantity,
        value: Option<f64>,
        interval: Span,
        ctx: &Ctx,
    ) {
        if let Some(channel) = ctx.conditions.channel(of) {
            let rules = ctx.conditions;
            self.conditions
                .note(rules, channel, value, interval, ctx.at);
        }
    }

    /// The upper end of a score and whether one item alone is at its worst.
    pub(super) fn tell_score(
        &mut self,
        code: Code,
        score: Option<ScoreState>,
        interval: Span,
        ctx: &Ctx,
    ) {
        let high = score.map(|score| f64::from(score.high));
        let red = score.map(|score| f64::from(u8::from(score.single_red)));
        self.tell_conditions(Quantity::ScoreHigh(code), high, interval, ctx);
        self.tell_conditions(Quantity::ScoreRed(code), red, interval, ctx);
    }

    /// Asks all of them. Returns a lower bound of the deadlines that they set.
    pub(crate) fn ask_conditions(&mut self, ctx: &mut Ctx) -> Option<EngineTime> {
        if self.ask_once(ctx) {
            self.apply_doubts(ctx);
            // What was believed before may be in doubt now, or the reverse.
            self.ask_once(ctx);
        }
        self.conditions.next_timeout()
    }

    /// The same, if it may raise anything.
    pub(crate) fn ask_if_watched(&mut self, ctx: &mut Ctx) -> Option<EngineTime> {
        let watched = self.is_watched(ctx);
        watched.then(|| self.ask_conditions(ctx)).flatten()
    }

    /// Says whether what is doubted or covered changed.
    fn ask_once(&mut self, ctx: &mut Ctx) -> bool {
        let silent = self.link.loss().is_some() || !self.active;
        let Self {
            conditions, values, ..
        } = self;
        let (rules, marks) = (ctx.conditions, ctx.marks);
        let changed = conditions.ask(rules, (marks, silent), ctx.at, |rule, step| {
            let spoke = step.spoke.and_then(|place| rules.channels().get(place));
            let spoke = spoke.and_then(|spec| match spec.of {
                Quantity::Value(code) => values.get(&metric(code)),
                Quantity::ScoreHigh(_) | Quantity::ScoreRed(_) => None,
            });
            let value = match values.get(&rule.metric) {
                Some(slot) => slot.usable().map(|_| (slot.reading, slot.heard_at)),
                None => spoke.map(|slot| (slot.reading, slot.heard_at)),
            };
            tell(rule, step, value, ctx);
        });
        if changed.unavailable {
            ctx.out.changed.source(ctx.gateway);
        }
        changed.doubts
    }

    /// Brings the values in line with what raised rules say of them.
    pub(super) fn apply_doubts(&mut self, ctx: &mut Ctx) {
        let raised: Vec<&Rule> = self.conditions.raised(ctx.conditions).collect();
        let mut doubted = Vec::new();
        for (metric, slot) in self.values.iter_mut() {
            let known = metric.label.is_empty();
            let is_in = |codes: &[Code]| known && codes.contains(&metric.code);
            slot.covered = raised.iter().any(|rule| is_in(&rule.covers));
            let doubt = raised.iter().any(|rule| is_in(&rule.doubts));
            if doubt == slot.doubted {
                continue;
            }
            slot.doubted = doubt;
            doubted.push((metric.code, doubt));
            ctx.out.changed.value(ctx.gateway, metric);
            if doubt {
                no_value(metric, slot, false, ctx);
            }
        }
        for (code, doubt) in doubted {
            if let Some(channel) = ctx.conditions.channel(Quantity::Value(code)) {
                self.conditions.set_doubted(channel, doubt);
            }
        }
    }

    /// Whether a raised rule says why a value is not to be believed.
    pub(super) fn is_doubted(&self, metric: &Metric) -> bool {
        self.values.get(metric).is_some_and(|slot| slot.doubted)
    }

    /// No value speaks of now: the link is lost, or another source speaks.
    pub(super) fn silence_conditions(&mut self, ctx: &mut Ctx) {
        self.conditions.all_stopped();
        // On a closed transfer there is nothing that could become unknown, and
        // nobody would see to a deadline.
        if ctx.open {
            self.ask_conditions(ctx);
        }
    }

    /// Other rules apply, or these for the first time.
    pub(crate) fn adopt_conditions(&mut self, old: Option<&Rules>, ctx: &mut Ctx) {
        let mut ended = Vec::new();
        self.conditions
            .adopt(old, ctx.conditions, |id| ended.push(id.to_owned()));
        for id in ended {
            let old = old.and_then(|old| old.rule(&id));
            if let Some(kind) = old.map(Rule::kind) {
                let key = (Some(ctx.gateway.clone()), kind);
                ctx.alerts.end(&key, ctx.at, ctx.out);
            }
        }
        self.take_baselines(ctx);
        self.apply_doubts(ctx);
        ctx.out.changed.source(ctx.gateway);
    }

    /// All that clinicians said is usual for this patient.
    pub(crate) fn take_baselines(&mut self, ctx: &Ctx) {
        for (code, baseline) in ctx.baselines {
            self.set_baseline(*code, Some(baseline), ctx.conditions);
        }
    }

    /// What a snapshot held is of these rules, or forgotten.
    pub(crate) fn relink_conditions(
        &mut self,
        rules: &Rules,
        baselines: &BTreeMap<Code, Baseline>,
    ) {
        if !self.conditions.fits(rules) {
            self.conditions.adopt(None, rules, |_| {});
        }
        for (code, baseline) in baselines {
            self.set_baseline(*code, Some(baseline), rules);
        }
    }

    /// A clinician said what is usual for this patient, or took it back.
    pub(crate) fn set_baseline(&mut self, code: Code, set: Option<&Baseline>, rules: &Rules) {
        if let Some(channel) = rules.channel(Quantity::Value(code)) {
            let value = set.map(|set| set.value.value());
            self.conditions.set_baseline(channel, value);
        }
    }

    /// Another source of the patient has spoken: where it can tell, that is the
    /// answer to what this inactive one left unknown.
    pub(super) fn yield_conditions(&mut self, speaking: &Self, ctx: &mut Ctx) {
        let open = self.conditions.open();
        let answered: Vec<String> = open
            .filter(|id| speaking.conditions.is_settled(id))
            .map(str::to_owned)
            .collect();
        for id in answered {
            self.conditions.end_one(&id);
            if let Some(rule) = ctx.conditions.rule(&id) {
                let key = (Some(ctx.gateway.clone()), rule.kind());
                ctx.alerts.end(&key, ctx.at, ctx.out);
            }
        }
    }

    /// Takes over what another engine made of the same gateway.
    pub(super) fn merge_conditions(&mut self, other: &mut Self, ctx: &mut Ctx) {
        let gateway = Some(ctx.gateway);
        ctx.alerts.end_all(ctx.at, ctx.out, |alert| {
            let of_a_rule = matches!(alert.kind, AlertKind::Rule(_));
            of_a_rule && alert.gateway.as_ref() == gateway
        });
        self.conditions = std::mem::take(&mut other.conditions);
    }

    /// Somebody has looked at a rule's alert.
    pub(crate) fn looked_at_rule(&mut self, subject: &RuleSubject) {
        self.conditions.looked_at(&subject.rule);
    }
}

/// The value is the one that it is shown with; where there is none (unknown) the
/// last one stays.
fn tell(rule: &Rule, step: Step, value: Option<(Reading, EngineTime)>, ctx: &mut Ctx) {
    ctx.alerts
        .rule_step(ctx.gateway, rule, step, value, ctx.at, ctx.out);
}
