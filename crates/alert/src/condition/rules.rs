//! The rules of a book for one population, ready to be asked.

use super::clause::{Clause, Memory};
use super::machine::Timing;
use super::repeated::Bound;
use super::row::Row;
use enroute_model::frame::{Code, Metric};
use enroute_model::state::{AlertKind, RuleSubject};
use enroute_model::time::Span;

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// A value of the catalogue; of a score its lower end.
    Value(Code),
    /// The upper end of a score.
    ScoreHigh(Code),
    /// 1 while one item of a score alone has three points, else 0.
    ScoreRed(Code),
}

/// One channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSpec {
    /// What it carries.
    pub of: Quantity,
    /// Windows that it fills.
    pub(super) windows: Vec<usize>,
    /// Rules that look at it, a bit for each place.
    pub(super) rules: u64,
}

/// One window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WindowSpec {
    pub(super) channel: usize,
    pub(super) span: Span,
    /// Filled with ones (beyond) and zeros.
    pub(super) bound: Option<Bound>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name in the book, in alerts, and in the catalogue of messages.
    pub id: String,
    /// What it is shown with.
    pub metric: Metric,
    /// Of the patient; else of the equipment.
    pub physiological: bool,
    /// How fast its alert comes and goes.
    pub timing: Timing,
    /// Raises no alert: it only doubts or covers.
    pub silent: bool,
    /// Values that are questionable while it is raised.
    pub doubts: Vec<Code>,
    /// Values whose limits raise nothing new while it is raised: it says the
    /// same, better.
    pub covers: Vec<Code>,
    pub(super) when: Clause,
    pub(super) memory: Vec<Memory>,
    /// As the book has it.
    pub row: Row,
}

impl Rule {
    /// Whether it speaks of how far values can be believed: it sees them as
    /// they came.
    #[must_use]
    pub fn judges_quality(&self) -> bool {
        !(self.doubts.is_empty() && self.covers.is_empty())
    }

    /// What its alert is on the contract.
    #[must_use]
    pub fn kind(&self) -> AlertKind {
        AlertKind::Rule(RuleSubject {
            rule: self.id.clone(),
            metric: self.metric.clone(),
            physiological: self.physiological,
        })
    }
}

/// All rules of one population, in the book's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub(super) list: Vec<Rule>,
    pub(super) channels: Vec<ChannelSpec>,
    pub(super) windows: Vec<WindowSpec>,
}

impl Rules {
    /// All of them.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.list
    }

    /// One of them.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.list.iter().find(|rule| rule.id == id)
    }

    /// What they look at.
    #[must_use]
    pub fn channels(&self) -> &[ChannelSpec] {
        &self.channels
    }

    /// The place of a channel.
    #[must_use]
    pub fn channel(&self, of: Quantity) -> Option<usize> {
        self.channels.iter().position(|spec| spec.of == of)
    }

    pub(super) fn windows(&self) -> &[WindowSpec] {
        &self.windows
    }
}
