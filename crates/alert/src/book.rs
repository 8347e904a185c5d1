//! Rule books: limits as readable TOML files, checked as a whole, known by the
//! hash of their text.
//!
//! A book has limits for each population and overlays for conditions that a
//! transfer is marked with. What applies to a patient is [`RuleBook::profile`]:
//!
//! ```text
//!   population ◄── overlays, in the order that the book states ◄── the patient's own limits
//! ```
//!
//! The book that is built in is `crates/alert/rules`; it is also the example to
//! start from. [`RuleBook::parse`] takes files as text: reading them is the
//! caller's. A book is taken whole or not at all, and every [`Problem`] names
//! file and line.

mod check;
mod file;
mod scores;
mod shelf;
mod text;
mod whole;

use crate::condition::Rules;
use crate::profile::{LimitRule, Manner, Profile, Terms};
use crate::score::Scores;
use enroute_model::frame::{Code, Priority};
use enroute_model::ids::BookHash;
use enroute_model::registry::AgeBand;
use enroute_model::state::LimitsInForce;
use enroute_model::time::Span;
pub use shelf::Books;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
pub use text::{BookFile, NotABook};

/// More bytes than a file of a book may have.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// More files than a book may have.
pub const FILES_MAX: usize = 32;

/// What is wrong with a book, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file; empty: the book as a whole.
    pub file: String,
    /// From 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// For people.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.file.is_empty() {
            write!(f, " ")?;
        }
        write!(f, "{}", self.reason)
    }
}

/// Who stands behind a book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// Of these figures, in its author's words.
    pub version: String,
    /// Who wrote it.
    pub author: String,
    /// Who approved it for use; empty: nobody did.
    pub approved_by: String,
    /// When, as written; empty: it was not.
    pub approved_on: String,
}

impl Head {
    /// Somebody answers for it.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        !self.approved_by.is_empty() && !self.approved_on.is_empty()
    }
}

/// A rule book that was found to be in order.
#[derive(Clone, Debug)]
pub struct RuleBook {
    head: Head,
    hash: BookHash,
    files: Vec<BookFile>,
    populations: BTreeMap<AgeBand, Arc<Profile>>,
    /// In the order in which they are laid on.
    overlays: Vec<Overlay>,
    conditions: BTreeMap<AgeBand, Arc<Rules>>,
    scores: Arc<Scores>,
    escalation: Escalation,
}

/// When an alert of high priority that nobody acknowledges is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// To those on call, counted from its demand for attention.
    pub on_call_after: Span,
    /// When an alert of its own says that nobody sees to it, counted the same.
    pub unattended_after: Span,
}

impl Default for Escalation {
    /// Of a book that says nothing of it.
    fn default() -> Self {
        Self {
            on_call_after: Span::from_secs(60),
            unattended_after: Span::from_secs(180),
        }
    }
}

/// What is different for patients with a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// As in `TransferInfo::conditions`.
    pub name: String,
    /// For patients of these ages.
    pub bands: Vec<AgeBand>,
    /// On what it rests.
    pub basis: String,
    changes: BTreeMap<Code, Change>,
}

/// What an overlay changes of one vital sign.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Change {
    /// Replaces the side: warn, crit.
    low: Option<Side>,
    high: Option<Side>,
    warn: MannerChange,
    crit: MannerChange,
    hysteresis: Option<f64>,
}

/// The figures of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Side {
    warn: Option<f64>,
    crit: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct MannerChange {
    priority: Option<Priority>,
    on_delay: Option<Span>,
    off_delay: Option<Span>,
    latching: Option<bool>,
}

impl RuleBook {
    /// Checks and takes a book.
    ///
    /// # Errors
    /// Everything that is wrong with it; never empty.
    pub fn parse(mut files: Vec<BookFile>) -> Result<Self, Vec<Problem>> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let (book, mut problems) = check::book(&files);
        match book {
            Some(parts) if problems.is_empty() => Ok(Self {
                head: parts.head,
                hash: text::hash(&files),
                files,
                populations: parts.populations,
                overlays: parts.overlays,
                conditions: parts.conditions,
                scores: parts.scores,
                escalation: parts.escalation,
            }),
            Some(_) | None => {
                problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
                problems.dedup();
                Err(problems)
            }
        }
    }

    /// The book that applies where none is configured.
    #[must_use]
    #[expect(
        clippy::panic,
        reason = "the book is compiled in; a test checks every line"
    )]
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<RuleBook>> = LazyLock::new(|| {
            let files = text::built_in();
            match RuleBook::parse(files) {
                Ok(book) => Arc::new(book),
                Err(problems) => panic!("the built-in rule book: {problems:?}"),
            }
        });
        Arc::clone(&BUILT_IN)
    }

    /// Who stands behind it.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What it goes by.
    #[must_use]
    pub fn hash(&self) -> BookHash {
        self.hash
    }

    /// The files it is made of, by name.
    #[must_use]
    pub fn files(&self) -> &[BookFile] {
        &self.files
    }

    /// Its overlays, in the order in which they are laid on.
    #[must_use]
    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
    }

    /// The limits of an age band alone. Unknown: adult, to be marked *assumed*.
    #[must_use]
    pub fn population(&self, band: Option<AgeBand>) -> Arc<Profile> {
        let band = band.unwrap_or(AgeBand::Adult);
        self.populations.get(&band).cloned().unwrap_or_default()
    }

    /// The conditions of an age band. Unknown: adult.
    #[must_use]
    pub fn conditions(&self, band: Option<AgeBand>) -> Arc<Rules> {
        let band = band.unwrap_or(AgeBand::Adult);
        self.conditions.get(&band).cloned().unwrap_or_default()
    }

    /// The tables of its scores; where it has none of its own, the built-in ones.
    #[must_use]
    pub fn scores(&self) -> &Arc<Scores> {
        &self.scores
    }

    /// When alerts that nobody acknowledges are passed on.
    #[must_use]
    pub fn escalation(&self) -> Escalation {
        self.escalation
    }

    /// The overlays that apply to a patient of this age with these conditions,
    /// in the order in which they are laid on.
    pub fn overlays_for<'a>(
        &'a self,
        band: Option<AgeBand>,
        conditions: &'a [String],
    ) -> impl Iterator<Item = &'a Overlay> {
        let band = band.unwrap_or(AgeBand::Adult);
        let overlays = self.overlays.iter();
        overlays.filter(move |overlay| {
            overlay.bands.contains(&band) && conditions.contains(&overlay.name)
        })
    }

    /// What applies to a patient, before limits of their own.
    #[must_use]
    pub fn profile(&self, band: Option<AgeBand>, conditions: &[String]) -> Arc<Profile> {
        let mut profile = self.population(band);
        for overlay in self.overlays_for(band, conditions) {
            overlay.lay_on(Arc::make_mut(&mut profile));
        }
        profile
    }
}

impl Overlay {
    /// Puts its limits in the place of those of a profile.
    pub fn lay_on(&self, profile: &mut Profile) {
        for (code, change) in &self.changes {
            let known = profile.rule(*code).map(|rule| **rule);
            let terms = known.map_or_else(Terms::default, |rule| *rule.terms());
            let terms = change.of(terms);
            if known.is_some() || terms.limits != LimitsInForce::default() {
                let only_without = known.and_then(|rule| rule.only_without);
                profile.put(LimitRule::new(*code, only_without, terms));
            }
        }
    }
}

impl Change {
    fn of(&self, mut terms: Terms) -> Terms {
        if let Some(Side { warn, crit }) = self.low {
            (terms.limits.warn_low, terms.limits.crit_low) = (warn, crit);
        }
        if let Some(Side { warn, crit }) = self.high {
            (terms.limits.warn_high, terms.limits.crit_high) = (warn, crit);
        }
        terms.warn = self.warn.of(terms.warn);
        terms.crit = self.crit.of(terms.crit);
        terms.hysteresis = self.hysteresis.unwrap_or(terms.hysteresis);
        terms
    }
}

impl MannerChange {
    fn of(self, manner: Manner) -> Manner {
        Manner {
            priority: self.priority.unwrap_or(manner.priority),
            on_delay: self.on_delay.unwrap_or(manner.on_delay),
            off_delay: self.off_delay.unwrap_or(manner.off_delay),
            latching: self.latching.unwrap_or(manner.latching),
        }
    }
}

#[cfg(test)]
mod tests;
