//! From the tables of a book's files to limits, with everything that is wrong.

use super::file::{File, HeadTable, LimitTable, MannerTable, PriorityWord, SideTable};
use super::scores::ScoreName;
use super::{BookFile, Change, FILE_BYTES_MAX, FILES_MAX, Head, MannerChange, Overlay, Problem};
use super::{Escalation, Side, file};
use crate::condition::Rules;
use crate::condition::row::Row;
use crate::profile::{LimitRule, Profile, Terms};
use crate::score::{Scores, Table};
use enroute_model::catalogue::{VitalSign, catalogue};
use enroute_model::frame::{Code, Priority};
use enroute_model::registry::AgeBand;
use enroute_model::time::Span;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;

/// No delay is longer.
const DELAY_S_MAX: u32 = 3_600;
/// Longest name or other short text.
const NAME_CHARS_MAX: usize = 64;

/// The populations by the names that a book uses.
pub(super) const BANDS: [(&str, AgeBand); 5] = [
    ("adult", AgeBand::Adult),
    ("adolescent", AgeBand::Adolescent),
    ("child", AgeBand::Child),
    ("infant", AgeBand::Infant),
    ("neonate", AgeBand::Neonate),
];

/// A book without problems.
pub(super) struct Parts {
    pub(super) head: Head,
    pub(super) populations: BTreeMap<AgeBand, Arc<Profile>>,
    pub(super) overlays: Vec<Overlay>,
    pub(super) conditions: BTreeMap<AgeBand, Arc<Rules>>,
    pub(super) scores: Arc<Scores>,
    pub(super) escalation: Escalation,
}

/// One file and what is found wrong in it.
pub(super) struct Page<'a> {
    file: &'a BookFile,
    pub(super) problems: Vec<Problem>,
}

/// Where something stands.
#[derive(Clone)]
pub(super) struct Place {
    file: String,
    line: usize,
}

/// Everything that the files say, before it is put together.
#[derive(Default)]
pub(super) struct Said {
    pub(super) head: Option<Head>,
    pub(super) order: Vec<(String, Place)>,
    pub(super) likes: BTreeMap<AgeBand, AgeBand>,
    pub(super) limits: BTreeMap<AgeBand, BTreeMap<Code, (LimitRule, Place)>>,
    pub(super) overlays: BTreeMap<String, (Overlay, Place)>,
    pub(super) places: BTreeMap<(String, Code), Place>,
    pub(super) conditions: Vec<Row>,
    pub(super) condition_places: Vec<Place>,
    pub(super) scores: BTreeMap<ScoreName, (Table, Place)>,
    pub(super) escalation: Option<(Escalation, Place)>,
}

/// Reads all files.
pub(super) fn book(files: &[BookFile]) -> (Option<Parts>, Vec<Problem>) {
    if files.is_empty() || files.len() > FILES_MAX {
        let reason = format!(
            "a rule book has 1 to {FILES_MAX} .toml files, not {}",
            files.len()
        );
        return (None, vec![whole(reason)]);
    }
    let (mut said, mut problems) = (Said::default(), Vec::new());
    for file in files {
        problems.append(&mut Page::new(file).read_all(&mut said));
    }
    // What is missing is only said when all of it could be read.
    if !problems.is_empty() {
        return (None, problems);
    }
    let parts = said.put_together(&mut problems);
    (parts, problems)
}

pub(super) fn whole(reason: impl Into<String>) -> Problem {
    Problem {
        file: String::new(),
        line: None,
        reason: reason.into(),
    }
}

impl Place {
    pub(super) fn wrong(&self, reason: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: Some(self.line),
            reason: reason.into(),
        }
    }
}

impl<'a> Page<'a> {
    pub(super) fn new(file: &'a BookFile) -> Self {
        let problems = Vec::new();
        Self { file, problems }
    }

    /// Adds what the file says to all else. Gives what is wrong with it.
    pub(super) fn read_all(mut self, said: &mut Said) -> Vec<Problem> {
        if let Some(tables) = self.tables() {
            self.read(tables, said);
        }
        self.problems
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let before = self.file.text.get(..span.start).unwrap_or(&self.file.text);
        Place {
            file: self.file.name.clone(),
            line: before.matches('\n').count().saturating_add(1),
        }
    }

    pub(super) fn wrong(&mut self, span: &Range<usize>, reason: impl Into<String>) {
        let problem = self.place(span).wrong(reason);
        self.problems.push(problem);
    }

    fn tables(&mut self) -> Option<File> {
        if self.file.text.len() > FILE_BYTES_MAX {
            let reason = format!(
                "has {} bytes; a file of a rule book has at most {FILE_BYTES_MAX}",
                self.file.text.len()
            );
            self.problems.push(Problem {
                file: self.file.name.clone(),
                line: None,
                reason,
            });
            return None;
        }
        match toml::from_str(&self.file.text) {
            Ok(file) => Some(file),
            Err(error) => {
                let span = error.span().unwrap_or_default();
                self.wrong(&span, error.message().replace('\n', " "));
                None
            }
        }
    }

    fn read(&mut self, tables: File, said: &mut Said) {
        if let Some(head) = tables.book {
            self.head(&head, said);
        }
        for (name, table) in &tables.population {
            let bands = self.band(name).zip(self.band(&table.like));
            if let Some((band, like)) = bands
                && said.likes.insert(band, like).is_some()
            {
                self.wrong(&name.span(), "this population is described twice");
            }
        }
        for (name, limits) in &tables.limits {
            if let Some(band) = self.band(name) {
                for (id, table) in limits {
                    self.population_limit(band, id, table, said);
                }
            }
        }
        for (name, table) in tables.overlay {
            self.overlay(&name, &table, said);
        }
        for row in tables.condition {
            said.condition_places.push(self.place(&row.id.span()));
            said.conditions.push(row);
        }
        for (name, table) in &tables.score {
            self.score(name, table, said);
        }
        if let Some(table) = &tables.escalation {
            self.escalation(table, said);
        }
    }

    fn head(&mut self, head: &Spanned<HeadTable>, said: &mut Said) {
        let span = head.span();
        let head = head.get_ref();
        for (key, text, may_be_empty) in [
            ("name", &head.name, false),
            ("version", &head.version, false),
            ("author", &head.author, false),
            ("approved_by", &head.approved_by, true),
            ("approved_on", &head.approved_on, true),
        ] {
            let chars = text.get_ref().chars().count();
            if chars > NAME_CHARS_MAX || chars == 0 && !may_be_empty {
                let reason = format!("{key} has {chars} characters, not 1 to {NAME_CHARS_MAX}");
                self.wrong(&text.span(), reason);
            }
        }
        let (by, on) = (head.approved_by.get_ref(), head.approved_on.get_ref());
        if by.is_empty() != on.is_empty() {
            let reason = "an approval has both approved_by and approved_on, or neither";
            self.wrong(&head.approved_by.span(), reason);
        }
        if !on.is_empty() && !is_date(on) {
            let reason = format!("{on:?} is no date such as 2026-03-01");
            self.wrong(&head.approved_on.span(), reason);
        }
        let order = head.overlays.iter();
        said.order = order
            .map(|name| (name.get_ref().clone(), self.place(&name.span())))
            .collect();
        let read = Head {
            name: head.name.get_ref().clone(),
            version: head.version.get_ref().clone(),
            author: head.author.get_ref().clone(),
            approved_by: by.clone(),
            approved_on: on.clone(),
        };
        if said.head.replace(read).is_some() {
            self.wrong(
                &span,
                "a rule book has one [book] table, this is another one",
            );
        }
    }

    fn band(&mut self, name: &Spanned<String>) -> Option<AgeBand> {
        let known = BANDS.iter().find(|(known, _)| known == name.get_ref());
        if known.is_none() {
            let names = BANDS.map(|(name, _)| name).join(", ");
            let reason = format!("{:?} is no population; there are {names}", name.get_ref());
            self.wrong(&name.span(), reason);
        }
        known.map(|(_, band)| *band)
    }

    fn vital(&mut self, id: &Spanned<String>) -> Option<&'static VitalSign> {
        let vital = catalogue().vital_by_id(id.get_ref());
        if vital.is_none() {
            let reason = format!("{:?} is no vital sign of the catalogue", id.get_ref());
            self.wrong(&id.span(), reason);
        }
        vital
    }

    fn population_limit(
        &mut self,
        band: AgeBand,
        id: &Spanned<String>,
        table: &LimitTable,
        said: &mut Said,
    ) {
        let Some(vital) = self.vital(id) else { return };
        if table.low.is_none() && table.high.is_none() {
            self.wrong(&id.span(), "there is neither a low nor a high limit");
        }
        for (level, manner) in [("warn", &table.warn), ("crit", &table.crit)] {
            let priority = manner.as_ref().and_then(|table| table.get_ref().priority);
            if table.has_limit(level) && priority.is_none() {
                let span = manner.as_ref().map_or(id.span(), Spanned::span);
                self.wrong(&span, format!("the {level} limit has no priority"));
            }
        }
        let Some(mut change) = self.change(id, table, vital) else {
            return;
        };
        for manner in [&mut change.warn, &mut change.crit] {
            if manner.priority.is_some() {
                manner.on_delay.get_or_insert(Span::ZERO);
            }
        }
        let better = table.only_without.as_ref();
        let better = better.and_then(|better| self.vital(better));
        let terms = change.of(Terms::default());
        let rule = LimitRule::new(vital.code, better.map(|vital| vital.code), terms);
        let place = self.place(&id.span());
        let limits = said.limits.entry(band).or_default();
        if let Some((_, first)) = limits.insert(vital.code, (rule, place)) {
            let reason = format!("{} has limits already, in {first}", id.get_ref());
            self.wrong(&id.span(), reason);
        }
    }

    /// What a table says of one vital sign.
    fn change(
        &mut self,
        id: &Spanned<String>,
        table: &LimitTable,
        vital: &VitalSign,
    ) -> Option<Change> {
        let known = self.problems.len();
        match &table.unit {
            Some(unit) if *unit.get_ref() != vital.unit => {
                let (said, reason) = (unit.get_ref(), &vital.unit);
                self.wrong(
                    &unit.span(),
                    format!("{said:?} is not its unit, {reason:?} is"),
                );
            }
            None if table.low.is_some() || table.high.is_some() => {
                self.wrong(&id.span(), format!("its unit is missing: {:?}", vital.unit));
            }
            Some(_) | None => {}
        }
        let low = table.low.as_ref().map(|side| self.side(side, vital, 1.0));
        let high = table.high.as_ref().map(|side| self.side(side, vital, -1.0));
        if let (Some(low), Some(high), Some(table)) = (low, high, &table.high)
            && !are_apart(low, high)
        {
            let reason = "a high limit lies at or below a low one: every value would be beyond one";
            self.wrong(&table.span(), reason);
        }
        let hysteresis = table.hysteresis.as_ref().map(|number| {
            if !number.get_ref().is_finite() || *number.get_ref() < 0.0 {
                self.wrong(&number.span(), "the hysteresis is a number from 0");
            }
            *number.get_ref()
        });
        let change = Change {
            low,
            high,
            warn: self.manner(table.warn.as_ref()),
            crit: self.manner(table.crit.as_ref()),
            hysteresis,
        };
        (self.problems.len() == known).then_some(change)
    }

    /// `outwards`: 1 where warn must be the larger one.
    fn side(&mut self, table: &Spanned<SideTable>, vital: &VitalSign, outwards: f64) -> Side {
        let SideTable { warn, crit } = table.get_ref();
        let plausible = vital.plausible_min..=vital.plausible_max;
        for limit in [warn, crit].into_iter().flatten() {
            let value = *limit.get_ref();
            if !value.is_finite() {
                self.wrong(
                    &limit.span(),
                    format!("{value} is no limit: give a finite number"),
                );
            } else if !plausible.contains(&value) {
                let reason = format!(
                    "{value} is outside of what can be measured, {} to {} {}",
                    vital.plausible_min, vital.plausible_max, vital.unit
                );
                self.wrong(&limit.span(), reason);
            }
        }
        let side = Side {
            warn: warn.as_ref().map(|limit| *limit.get_ref()),
            crit: crit.as_ref().map(|limit| *limit.get_ref()),
        };
        if let (Some(warn), Some(crit)) = (side.warn, side.crit)
            && (warn - crit) * outwards < 0.0
        {
            let reason = format!("out of order: crit ({crit}) lies inside warn ({warn})");
            self.wrong(&table.span(), reason);
        }
        side
    }

    fn manner(&mut self, table: Option<&Spanned<MannerTable>>) -> MannerChange {
        let Some(table) = table.map(Spanned::get_ref) else {
            return MannerChange::default();
        };
        let mut delay = |seconds: &Option<Spanned<u32>>| {
            let seconds = seconds.as_ref()?;
            if *seconds.get_ref() > DELAY_S_MAX {
                let reason = format!("a delay is at most {DELAY_S_MAX} s");
                self.wrong(&seconds.span(), reason);
            }
            Some(Span::from_secs((*seconds.get_ref()).into()))
        };
        MannerChange {
            on_delay: delay(&table.on_delay_s),
            off_delay: delay(&table.off_delay_s),
            priority: table.priority.map(|word| match word {
                PriorityWord::High => Priority::High,
                PriorityWord::Medium => Priority::Medium,
                PriorityWord::Low => Priority::Low,
            }),
            latching: table.latching,
        }
    }

    fn overlay(&mut self, name: &Spanned<String>, table: &file::OverlayTable, said: &mut Said) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.get_ref().len() > NAME_CHARS_MAX || !name.get_ref().chars().all(fits) {
            self.wrong(&name.span(), "a condition's name has a to z, 0 to 9 and _");
        }
        let bands = table.bands.iter().filter_map(|band| self.band(band));
        let mut overlay = Overlay {
            name: name.get_ref().clone(),
            bands: bands.collect(),
            basis: table.basis.clone(),
            changes: BTreeMap::new(),
        };
        for (id, limits) in &table.limits {
            let Some(vital) = self.vital(id) else {
                continue;
            };
            if let Some(better) = &limits.only_without {
                self.wrong(&better.span(), "only_without belongs to a population");
            }
            if let Some(change) = self.change(id, limits, vital) {
                overlay.changes.insert(vital.code, change);
                let key = (overlay.name.clone(), vital.code);
                said.places.insert(key, self.place(&id.span()));
            }
        }
        let place = self.place(&name.span());
        let name = overlay.name.clone();
        if let Some((_, first)) = said.overlays.insert(name, (overlay, place.clone())) {
            let reason = format!("this overlay is there already, in {first}");
            self.problems.push(place.wrong(reason));
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl LimitTable {
    fn has_limit(&self, level: &str) -> bool {
        [&self.low, &self.high].into_iter().flatten().any(|side| {
            let SideTable { warn, crit } = side.get_ref();
            if level == "warn" {
                warn.is_some()
            } else {
                crit.is_some()
            }
        })
    }
}

pub(super) fn are_apart(low: Side, high: Side) -> bool {
    let low = low.warn.or(low.crit);
    let high = high.warn.or(high.crit);
    low.zip(high).is_none_or(|(low, high)| low < high)
}

/// As ISO 8601 writes it; whether the day exists is the reader's to judge.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut digits = |count: usize| {
        let part = parts.next().unwrap_or_default();
        part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    digits(4) && digits(2) && digits(2) && parts.next().is_none()
}
