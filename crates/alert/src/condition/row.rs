//! The `[[condition]]` tables of a rule book.
//!
//! ```toml
//! [[condition]]
//! id = "sys_fall"
//! for = ["adult", "adolescent"]     # left out: all ages
//! metric = "abp_sys"                # what it is shown with
//! priority = "medium"
//! on_delay_s = 30
//! off_delay_s = 30
//! when.change = { of = ["abp_sys", "nibp_sys"], falls_percent = 20, within_s = 600 }
//! ```
//!
//! `of` names values of the catalogue, the best measurement first: the first
//! with a usable value speaks. A score is named like a value (its lower end);
//! `news2.high` is its upper end.

use enroute_model::registry::AgeBand;
use serde::Deserialize;
use toml::Spanned;

/// One `[[condition]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name: letters, digits and `_`.
    pub id: Spanned<String>,
    /// Ages that it applies to; empty: all. `adult` also while none is known.
    #[serde(default, rename = "for")]
    pub ages: Vec<Age>,
    /// What it is shown with, an id of the catalogue.
    pub metric: String,
    /// How urgent; not for a silent one.
    pub priority: Option<Level>,
    /// Of the equipment, not of the patient.
    #[serde(default)]
    pub technical: bool,
    /// How long it must hold before it is raised.
    #[serde(default)]
    pub on_delay_s: u32,
    /// How long it must not hold before it is over.
    #[serde(default)]
    pub off_delay_s: u32,
    /// Stays until somebody looks.
    #[serde(default)]
    pub latching: bool,
    /// Raises no alert: it only doubts or covers.
    #[serde(default)]
    pub silent: bool,
    /// Values that are questionable while it is raised.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Values whose limits raise nothing new while it is raised.
    #[serde(default)]
    pub covers: Vec<String>,
    /// Where it comes from.
    #[serde(default)]
    pub basis: String,
    /// How sure that is.
    #[serde(default)]
    pub confidence: String,
    /// For people.
    #[serde(default)]
    pub note: String,
    /// What it asks.
    pub when: Ask,
}

/// An age band by its name in a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as in the registry")]
pub enum Age {
    Neonate,
    Infant,
    Child,
    Adolescent,
    Adult,
}

impl Age {
    pub(super) fn is(self, band: Option<AgeBand>) -> bool {
        match self {
            Self::Neonate => band == Some(AgeBand::Neonate),
            Self::Infant => band == Some(AgeBand::Infant),
            Self::Child => band == Some(AgeBand::Child),
            Self::Adolescent => band == Some(AgeBand::Adolescent),
            Self::Adult => matches!(band, None | Some(AgeBand::Adult)),
        }
    }
}

/// A priority by its name in a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as in the standard")]
pub enum Level {
    Low,
    Medium,
    High,
}

/// What a rule asks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// A value beyond a bound.
    Level(Value),
    /// The first less the second beyond a bound.
    Difference(Value),
    /// Beyond a bound for nearly all of a time: outliers do not end it. The time
    /// is kept to a twentieth of it.
    Sustained {
        /// Values, the best measurement first.
        of: Vec<String>,
        /// Exactly one of `below` and `above`.
        below: Option<f64>,
        /// See `below`.
        above: Option<f64>,
        /// How long.
        lasts_s: i64,
        /// Share of the values that must be beyond.
        #[serde(default = "ninety")]
        percent: f64,
    },
    /// Away from the baseline: one set by a clinician, else the median of the
    /// oldest part of what came within the time and the part before it.
    Change {
        /// Values, the best measurement first.
        of: Vec<String>,
        /// Exactly one of the four amounts.
        falls: Option<f64>,
        /// See `falls`.
        rises: Option<f64>,
        /// See `falls`.
        falls_percent: Option<f64>,
        /// See `falls`.
        rises_percent: Option<f64>,
        /// Within which time.
        within_s: i64,
        /// Length of the baseline's part; half of the time if left out.
        baseline_s: Option<i64>,
        /// So much less keeps it raised, in the unit of the amount.
        #[serde(default)]
        hysteresis: f64,
    },
    /// Robust slope.
    Slope {
        /// Values, the best measurement first.
        of: Vec<String>,
        /// Exactly one of the two, per minute.
        falls_per_min: Option<f64>,
        /// See `falls_per_min`.
        rises_per_min: Option<f64>,
        /// Over which time.
        over_s: i64,
        /// So much less keeps it raised.
        #[serde(default)]
        hysteresis: f64,
    },
    /// Away from the least or greatest within a time.
    Swing {
        /// Values, the best measurement first.
        of: Vec<String>,
        /// Of which values the least or greatest is meant, one for each of
        /// `of`; left out: the same.
        from: Option<Vec<String>>,
        /// Exactly one of the two.
        falls: Option<f64>,
        /// See `falls`.
        rises: Option<f64>,
        /// Within which time.
        within_s: i64,
    },
    /// Short breaches, again and again.
    Repeated {
        /// Values, the best measurement first.
        of: Vec<String>,
        /// Exactly one of `below` and `above`.
        below: Option<f64>,
        /// See `below`.
        above: Option<f64>,
        /// One has ended when the value is inside by so much.
        #[serde(default)]
        hysteresis: f64,
        /// How long each must last.
        lasts_s: u32,
        /// How many.
        times: u8,
        /// Within which time.
        within_s: i64,
    },
    /// A score with three points for one item alone.
    SingleRed(String),
    /// One of them has a usable value.
    Usable(Vec<String>),
    /// It was there and is not any more, or is below what can be true.
    Gone {
        /// Of what.
        of: String,
        /// A measured value below this is none.
        below: Option<f64>,
    },
    /// The transfer is marked with this word (`TransferInfo.condition`).
    Marked(String),
    /// A measurement that takes a while is due about now, or just came.
    Measuring {
        /// Of what.
        of: String,
        /// From so long before it is due.
        before_s: u32,
        /// Until so long after.
        after_s: u32,
    },
    /// An earlier rule of the book is raised.
    Raised(String),
    /// No alert of that earlier rule stands, also while too little is known to
    /// raise one: for what would say the same twice.
    UnlessRaised(String),
    /// It does not hold.
    Not(Box<Ask>),
    /// All of them.
    All(Vec<Ask>),
    /// One of them.
    Any(Vec<Ask>),
    /// So many of them, each now or within a time before.
    AtLeast {
        /// How many.
        count: usize,
        /// Within which time; left out: all now.
        #[serde(default)]
        within_s: u32,
        /// Of which.
        of: Vec<Ask>,
    },
}

/// A value and a bound.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Values, the best measurement first.
    pub of: Vec<String>,
    /// Exactly one of `below` and `above`.
    pub below: Option<f64>,
    /// See `below`.
    pub above: Option<f64>,
    /// So far inside keeps it raised.
    #[serde(default)]
    pub hysteresis: f64,
}

fn ninety() -> f64 {
    90.0
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Which of the rows.
    pub row: usize,
    /// What is wrong, for people.
    pub what: String,
}
