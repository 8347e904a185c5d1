//! Which limits are in force, and what they come from: a rule book, the overlays
//! of the conditions that the transfer is marked with, the patient's own limits.
//! Each change is a record; what follows from them is laid together anew.

use super::{Bound, Engine, RestoreError};
use crate::effects::Effects;
use enroute_alert::auto;
use enroute_alert::book::{Books, Escalation, RuleBook};
use enroute_alert::condition::Rules as Conditions;
use enroute_alert::profile::{Profile, is_ordered};
use enroute_alert::score::Scores;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Priority};
use enroute_model::ids::BookHash;
use enroute_model::reading::Decimal;
use enroute_model::registry::TransferInfo;
use enroute_model::state::{
    AlertKind, Attention, Baseline, LimitsInForce, OwnLimits, RulesInForce, Verdict,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const OUT_OF_ORDER: &str =
    "the limits are out of order: crit low, warn low, warn high and crit high ascend";

/// The limits in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rules {
    /// Of the book that applies.
    hash: BookHash,
    /// Of the one that should, and is not known here.
    missing: Option<BookHash>,
    own: BTreeMap<Code, OwnLimits>,
    #[serde(skip)]
    books: Books,
    #[serde(skip, default = "RuleBook::built_in")]
    book: Arc<RuleBook>,
    /// Follows from all else.
    #[serde(skip)]
    profile: Arc<Profile>,
    /// The same.
    #[serde(skip)]
    conditions: Arc<Conditions>,
}

impl Rules {
    pub(super) fn new(books: Books) -> Self {
        let book = RuleBook::built_in();
        Self {
            hash: book.hash(),
            missing: None,
            own: BTreeMap::new(),
            books,
            profile: book.population(None),
            conditions: book.conditions(None),
            book,
        }
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) fn is_missing(&self) -> bool {
        self.missing.is_some()
    }

    pub(super) fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }

    pub(super) fn scores(&self) -> &Scores {
        self.book.scores()
    }

    /// When alerts that nobody acknowledges are passed on.
    pub(super) fn escalation(&self) -> Escalation {
        self.book.escalation()
    }

    /// Lays them on top of each other anew.
    pub(super) fn resolve(&mut self, info: &TransferInfo) {
        self.profile = self.of_the_book(info);
        self.conditions = self.book.conditions(info.population.age_band);
        for own in self.own.values() {
            Arc::make_mut(&mut self.profile).put_own(own.code, own.limits);
        }
    }

    /// Finds the book again after a restore.
    pub(super) fn relink(
        &mut self,
        books: &Books,
        info: &TransferInfo,
    ) -> Result<(), RestoreError> {
        let book = books.get(self.hash);
        self.book = book.ok_or(RestoreError::UnknownBook(self.hash))?;
        self.books = books.clone();
        self.resolve(info);
        Ok(())
    }

    /// Without the patient's own limits.
    fn of_the_book(&self, info: &TransferInfo) -> Arc<Profile> {
        let band = info.population.age_band;
        self.book.profile(band, &info.conditions)
    }

    /// Limits of a transfer that is joined go on where this one has none.
    pub(super) fn adopt(&mut self, other: &Self) {
        for (code, own) in &other.own {
            self.own.entry(*code).or_insert_with(|| own.clone());
        }
    }

    pub(super) fn state(&self, info: &TransferInfo) -> RulesInForce {
        let head = self.book.head();
        let band = info.population.age_band;
        let overlays = self.book.overlays_for(band, &info.conditions);
        RulesInForce {
            book_name: head.name.clone(),
            book_version: head.version.clone(),
            book_hash: self.hash,
            approved_by: head.approved_by.clone(),
            approved_on: head.approved_on.clone(),
            overlays: overlays.map(|overlay| overlay.name.clone()).collect(),
            own: self.own.values().cloned().collect(),
            missing_book: self.missing,
        }
    }
}

impl Engine {
    /// The rule book that the newest record names, or the built-in one.
    #[must_use]
    pub fn rule_book(&self) -> BookHash {
        self.rules.missing.unwrap_or(self.rules.hash)
    }

    /// What the limits come from has changed.
    pub(super) fn apply_rules(&mut self, out: &mut Effects) {
        let old = Arc::clone(self.rules.conditions());
        self.rules.resolve(&self.info);
        let other = !Arc::ptr_eq(&old, self.rules.conditions());
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, |source, ctx| {
                if other {
                    source.adopt_conditions(Some(&old), ctx);
                }
                source.use_profile(ctx);
            });
        }
        out.changed.info = true;
        self.bound = Bound::Unknown;
    }

    /// Another rule book applies from here on. One that is not known here cannot:
    /// the old one stays, and the transfer is shown as degraded.
    pub(super) fn use_book(&mut self, hash: BookHash, out: &mut Effects) {
        out.changed.info = true;
        let Some(book) = self.rules.books.get(hash) else {
            self.rules.missing = Some(hash);
            self.degrade(Priority::Medium, out);
            return;
        };
        self.rules.book = book;
        self.rules.hash = hash;
        if self.rules.missing.take().is_some() && self.poisoned.is_empty() {
            let key = (None, AlertKind::EngineDegraded);
            self.alerts.end(&key, self.now, out);
        }
        self.apply_rules(out);
    }

    /// A clinician's own limits for one vital sign, or back to the book's.
    pub(super) fn set_limits(
        &mut self,
        code: Code,
        limits: Option<LimitsInForce>,
        (reason, actor): (&str, &str),
        out: &mut Effects,
    ) -> Verdict {
        let Some(vital) = catalogue().vital(code) else {
            return Verdict::refused("there is no such vital sign");
        };
        let Some(limits) = limits else {
            if self.rules.own.remove(&code).is_none() {
                return Verdict::refused(
                    "the limits of this vital sign are the rule book's already",
                );
            }
            self.apply_rules(out);
            return Verdict::Applied;
        };
        if !is_ordered(&limits) {
            return Verdict::refused(OUT_OF_ORDER);
        }
        let plausible = vital.plausible_min..=vital.plausible_max;
        let all = [
            limits.crit_low,
            limits.warn_low,
            limits.warn_high,
            limits.crit_high,
        ];
        if all.iter().flatten().any(|limit| !plausible.contains(limit)) {
            return Verdict::refused("a limit lies outside of what can be measured");
        }
        self.put_own(code, (limits, false), (reason, actor));
        self.apply_rules(out);
        Verdict::Applied
    }

    /// Limits around the values of this moment: all that are asked for, or none.
    pub(super) fn auto_limits(
        &mut self,
        codes: &[Code],
        (reason, actor): (&str, &str),
        out: &mut Effects,
    ) -> Verdict {
        let band = self.info.population.age_band;
        let all: Vec<Code>;
        let wanted = if codes.is_empty() {
            all = catalogue().vitals().map(|vital| vital.code).collect();
            &all
        } else {
            codes
        };
        let book = self.rules.of_the_book(&self.info);
        let mut found = Vec::new();
        for code in wanted {
            match self.around(*code, band, &book) {
                Ok(limits) => found.push((*code, limits)),
                Err(_) if codes.is_empty() => {}
                Err(refused) => return Verdict::refused(refused),
            }
        }
        if found.is_empty() {
            return Verdict::refused("no vital sign with a rule has a current value");
        }
        for (code, limits) in found {
            self.put_own(code, (limits, true), (reason, actor));
        }
        self.apply_rules(out);
        Verdict::Applied
    }

    fn around(
        &self,
        code: Code,
        band: Option<enroute_model::registry::AgeBand>,
        book: &Profile,
    ) -> Result<LimitsInForce, &'static str> {
        if !auto::has_rule(code, band) {
            return Err("there is no rule for limits around this vital sign: set them");
        }
        let sources = self.sources.values().filter(|source| source.active);
        let mut values = sources.flat_map(|source| source.values.iter());
        let value = values.find_map(|(metric, slot)| slot.usable().filter(|_| metric.code == code));
        let value = value.ok_or("the vital sign has no current value to set limits around")?;
        let limits = |profile: &Profile| {
            let rule = profile.rule(code);
            rule.map_or_else(LimitsInForce::default, |rule| rule.in_force())
        };
        let known = (limits(book), limits(self.rules.profile()));
        let around = auto::around(code, band, value, known);
        around.filter(is_ordered).ok_or(OUT_OF_ORDER)
    }

    fn put_own(
        &mut self,
        code: Code,
        (limits, automatic): (LimitsInForce, bool),
        (reason, actor): (&str, &str),
    ) {
        let own = OwnLimits {
            code,
            limits,
            automatic,
            from: Attention {
                by: actor.to_owned(),
                at: self.now,
            },
            reason: reason.to_owned(),
        };
        self.rules.own.insert(code, own);
    }

    /// A clinician says what is usual for this patient. It counts from the next
    /// live value on.
    pub(super) fn put_baseline(
        &mut self,
        (code, value): (Code, Option<Decimal>),
        from: Attention,
        reason: &str,
        out: &mut Effects,
    ) -> Verdict {
        let Some(vital) = catalogue().vital(code) else {
            return Verdict::refused("a baseline is of a vital sign of the catalogue");
        };
        let plausible = vital.plausible_min..=vital.plausible_max;
        let reason = reason.to_owned();
        match value {
            Some(value) if !plausible.contains(&value.value()) => {
                return Verdict::refused("the baseline is not plausible");
            }
            Some(value) => {
                let baseline = Baseline {
                    code,
                    value,
                    from,
                    reason,
                };
                self.baselines.insert(code, baseline);
            }
            None => {
                self.baselines.remove(&code);
            }
        }
        out.changed.info = true;
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, |source, ctx| {
                source.set_baseline(code, ctx.baselines.get(&code), ctx.conditions);
            });
        }
        Verdict::Applied
    }
}
