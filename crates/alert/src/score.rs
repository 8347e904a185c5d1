//! Early warning scores: points from a table of ranges.
//!
//! Nothing is imputed: an item without a usable value makes the score a range,
//! from the points if it were at its best to those if it were at its worst. A
//! score is *complete* when both ends are equal for every item. Values are
//! rounded as a monitor shows them before they are looked up, so that the score
//! is the one a nurse adds up from the screen.
//!
//! The tables belong to the rule book (`rules/scores.toml` is the built-in one):
//! NEWS2 (Royal College of Physicians, 2017), MEWS (Subbe 2001), qSOFA (Sepsis-3,
//! 2016), REMS (Olsson 2004). [`crate::book`] reads and checks them.

use enroute_model::reading::Decimal;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// What a score asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Item {
    /// Breaths per minute.
    Respiration,
    /// Percent.
    Saturation,
    /// 0 on air, 1 on supplemental oxygen.
    Oxygen,
    /// mmHg.
    Systolic,
    /// mmHg.
    MeanPressure,
    /// Beats per minute.
    Pulse,
    /// ACVPU as in the catalogue: 0 alert, 1 new confusion, 2 voice, 3 pain,
    /// 4 unresponsive.
    Consciousness,
    /// Glasgow Coma Scale, 3 to 15.
    ComaScale,
    /// Degrees Celsius.
    Temperature,
    /// Years.
    Age,
}

impl Item {
    /// Decimal places shown by monitors.
    pub(crate) fn decimals(self) -> u8 {
        match self {
            Self::Temperature => 1,
            Self::Respiration
            | Self::Saturation
            | Self::Oxygen
            | Self::Systolic
            | Self::MeanPressure
            | Self::Pulse
            | Self::Consciousness
            | Self::ComaScale
            | Self::Age => 0,
        }
    }
}

/// Which scale of NEWS2 judges the saturation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaturationScale {
    /// Everybody else.
    #[default]
    One,
    /// Hypercapnic respiratory failure with a prescribed target of 88 to 92 %;
    /// only by a clinician's decision.
    Two,
}

/// Which score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From 16 years.
    News2(SaturationScale),
    /// Modified early warning score.
    Mews,
    /// Quick SOFA; positive from 2.
    Qsofa,
    /// Rapid emergency medicine score.
    Rems,
}

/// Points: certain when both ends are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Points {
    /// At least.
    pub low: u8,
    /// At most.
    pub high: u8,
}

impl Points {
    /// Whether they are known.
    #[must_use]
    pub fn is_certain(self) -> bool {
        self.low == self.high
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low.saturating_add(other.low),
            high: self.high.saturating_add(other.high),
        }
    }

    fn either(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// A score at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Of all items.
    pub points: Points,
    /// One item alone has 3 points for certain (in NEWS2: *red*).
    pub single_red: bool,
    /// Items without a usable value.
    pub missing: u8,
}

/// What NEWS2 asks the staff for, from the points that are certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Response {
    /// 0.
    Minimum,
    /// 1 to 4.
    Low,
    /// One item with 3: urgent review on the ward.
    SingleRed,
    /// 5 or 6: urgent.
    Urgent,
    /// 7 or more: emergency.
    Emergency,
}

impl Score {
    /// The response that NEWS2 names. A range is judged by its lower end: more
    /// is not known.
    #[must_use]
    pub fn response(&self) -> Response {
        match (self.points.low, self.single_red) {
            (7.., _) => Response::Emergency,
            (5.., _) => Response::Urgent,
            (_, true) => Response::SingleRed,
            (1.., false) => Response::Low,
            (0, false) => Response::Minimum,
        }
    }
}

/// One range of an item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Only on oxygen or only on air.
    pub(crate) oxygen: Option<bool>,
    pub(crate) range: RangeInclusive<f64>,
    pub(crate) points: u8,
}

/// One item of a score.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) item: Item,
    pub(crate) rows: Vec<Row>,
}

/// The table of one score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub(crate) items: Vec<Judged>,
}

/// The tables of a rule book.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    pub(crate) news2: Table,
    /// The saturation by the second scale, all else as in `news2`.
    pub(crate) news2_scale2: Table,
    pub(crate) mews: Table,
    pub(crate) qsofa: Table,
    pub(crate) rems: Table,
}

impl Scores {
    /// One of them.
    #[must_use]
    pub fn table(&self, kind: Kind) -> &Table {
        match kind {
            Kind::News2(SaturationScale::One) => &self.news2,
            Kind::News2(SaturationScale::Two) => &self.news2_scale2,
            Kind::Mews => &self.mews,
            Kind::Qsofa => &self.qsofa,
            Kind::Rems => &self.rems,
        }
    }
}

impl Table {
    /// What it asks for.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.items.iter().map(|rows| rows.item)
    }

    /// The score of what is known; `None` is missing, or too old to count.
    #[must_use]
    pub fn score(&self, known: impl Fn(Item) -> Option<f64>) -> Score {
        let mut score = Score::default();
        for rows in &self.items {
            let value = known(rows.item);
            let points = rows.points(value, known(Item::Oxygen));
            score.points = score.points.plus(points);
            score.single_red |= points.low >= 3;
            score.missing = score.missing.saturating_add(u8::from(value.is_none()));
        }
        score
    }

    /// The points of one item; `None` if the score does not ask for it.
    #[must_use]
    pub fn points(&self, item: Item, known: impl Fn(Item) -> Option<f64>) -> Option<Points> {
        let rows = self.items.iter().find(|rows| rows.item == item)?;
        Some(rows.points(known(item), known(Item::Oxygen)))
    }
}

impl Judged {
    fn points(&self, value: Option<f64>, oxygen: Option<f64>) -> Points {
        let oxygen = oxygen.map(|oxygen| oxygen > 0.5);
        let value = value.and_then(|value| Decimal::from_f64(value, self.item.decimals()));
        let fits = |row: &&Row| {
            let here = value.is_none_or(|value| row.range.contains(&value.value()));
            let same = |needed: bool| oxygen.is_none_or(|oxygen| oxygen == needed);
            here && row.oxygen.is_none_or(same)
        };
        let certain = |points| Points {
            low: points,
            high: points,
        };
        let found = self.rows.iter().filter(fits).map(|row| certain(row.points));
        found.reduce(Points::either).unwrap_or_else(|| self.any())
    }

    /// A value that the table does not know.
    fn any(&self) -> Points {
        let all = self.rows.iter().map(|row| Points {
            low: row.points,
            high: row.points,
        });
        all.reduce(Points::either).unwrap_or_default()
    }
}

/// Heart rate over systolic pressure (Allgöwer and Burri 1967), to two decimals;
/// `None` without a pressure.
#[must_use]
pub fn shock_index(pulse: f64, systolic: f64) -> Option<Decimal> {
    if systolic <= 0.0 {
        return None;
    }
    Decimal::from_f64(pulse / systolic, 2)
}

#[cfg(test)]
mod tests;
