//! What the files of a book say, put together, with what is wrong between them.

use super::check::{BANDS, Parts, Said, are_apart, whole};
use super::{Change, Overlay, Problem, Side};
use crate::condition::Rules;
use crate::profile::{LimitRule, Profile};
use enroute_model::frame::Code;
use enroute_model::registry::AgeBand;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Said {
    pub(super) fn put_together(mut self, problems: &mut Vec<Problem>) -> Option<Parts> {
        let overlays = self.in_order(problems);
        let populations = self.populations(problems);
        self.stay_apart(&populations, &overlays, problems);
        let conditions = self.conditions(problems);
        let scores = Arc::new(self.scores(problems));
        if self.head.is_none() {
            problems.push(whole(
                "no file has a [book] table with name, version and author",
            ));
        }
        Some(Parts {
            head: self.head?,
            populations,
            overlays,
            conditions,
            scores,
            escalation: self.escalation.map(|(said, _)| said).unwrap_or_default(),
        })
    }

    fn conditions(&self, problems: &mut Vec<Problem>) -> BTreeMap<AgeBand, Arc<Rules>> {
        let mut conditions = BTreeMap::new();
        for (_, band) in BANDS {
            match Rules::of(&self.conditions, Some(band)) {
                Ok(rules) => {
                    conditions.insert(band, Arc::new(rules));
                }
                Err(error) => {
                    let place = self.condition_places.get(error.row);
                    problems.extend(place.map(|place| place.wrong(error.what.clone())));
                }
            }
        }
        conditions
    }

    fn in_order(&mut self, problems: &mut Vec<Problem>) -> Vec<Overlay> {
        let mut ordered: Vec<Overlay> = Vec::new();
        for (name, place) in &self.order {
            match self.overlays.remove(name) {
                Some((overlay, _)) => ordered.push(overlay),
                None if ordered.iter().any(|known| known.name == *name) => {
                    problems.push(place.wrong(format!("{name} is named twice")));
                }
                None => problems.push(place.wrong(format!("there is no [overlay.{name}]"))),
            }
        }
        for (name, (_, place)) in &self.overlays {
            let reason = format!("[book] does not name {name} in the order of its overlays");
            problems.push(place.wrong(reason));
        }
        ordered
    }

    fn populations(&self, problems: &mut Vec<Problem>) -> BTreeMap<AgeBand, Arc<Profile>> {
        let mut populations = BTreeMap::new();
        for (name, band) in BANDS {
            let like = self.likes.get(&band);
            let likes_itself = like.is_some_and(|like| self.likes.contains_key(like));
            let groups = like.into_iter().chain([&band]);
            let mut profile = Profile::default();
            for (rule, _) in groups
                .filter_map(|band| self.limits.get(band))
                .flat_map(BTreeMap::values)
            {
                profile.put(*rule);
            }
            if likes_itself {
                let reason = format!("{name} is like a population that is itself like another one");
                problems.push(whole(reason));
            } else if profile.rules().next().is_none() {
                problems.push(whole(format!(
                    "there are no limits for the population {name}"
                )));
            }
            populations.insert(band, Arc::new(profile));
        }
        populations
    }

    /// Whatever overlays lie on a population, in any mixture, low stays below
    /// high: each low side is held against each high side.
    fn stay_apart(
        &self,
        populations: &BTreeMap<AgeBand, Arc<Profile>>,
        overlays: &[Overlay],
        problems: &mut Vec<Problem>,
    ) {
        for (name, band) in BANDS {
            let base = populations.get(&band);
            for (overlay, code, change) in changes(overlays, band) {
                let Some(place) = self.places.get(&(overlay.name.clone(), code)) else {
                    continue;
                };
                let base = base.and_then(|profile| profile.rule(code));
                let base = base.map(|rule| ("its limits", sides(rule)));
                let others = changes(overlays, band)
                    .filter(|(_, other, _)| *other == code)
                    .map(|(other, _, change)| (other.name.as_str(), (change.low, change.high)));
                for (other, (low, high)) in base.into_iter().chain(others) {
                    let met = [(change.low, high), (low, change.high)];
                    let mut pairs = met.into_iter().filter_map(|(low, high)| low.zip(high));
                    if pairs.any(|(low, high)| !are_apart(low, high)) {
                        let reason = format!(
                            "for the population {name} this meets {other}: a high limit at or below a low one"
                        );
                        problems.push(place.wrong(reason));
                    }
                }
            }
        }
    }
}

fn changes(overlays: &[Overlay], band: AgeBand) -> impl Iterator<Item = (&Overlay, Code, &Change)> {
    let overlays = overlays.iter();
    let overlays = overlays.filter(move |overlay| overlay.bands.contains(&band));
    overlays.flat_map(|overlay| {
        let changes = overlay.changes.iter();
        changes.map(move |(code, change)| (overlay, *code, change))
    })
}

fn sides(rule: &LimitRule) -> (Option<Side>, Option<Side>) {
    let limits = rule.in_force();
    let side = |warn, crit| Some(Side { warn, crit });
    (
        side(limits.warn_low, limits.crit_low),
        side(limits.warn_high, limits.crit_high),
    )
}
