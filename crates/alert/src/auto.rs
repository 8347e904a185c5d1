//! Limits around the current value, by the rules in `data/auto_limits.csv` that
//! several monitors share. A rule gives the nearer limits; the further ones stay
//! where the rule book has them, unless they would lie inside.

use enroute_model::catalogue::{VitalSign, catalogue};
use enroute_model::frame::Code;
use enroute_model::registry::AgeBand;
use enroute_model::state::LimitsInForce;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The rules of one vital sign and one of the table's populations.
#[derive(Clone, Debug)]
struct Row {
    vital: &'static VitalSign,
    population: String,
    low: Formula,
    high: Formula,
    /// Of whole adults and of children.
    range_min: Option<f64>,
    range_max: (Option<f64>, Option<f64>),
}

/// How a limit follows from the value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Formula {
    /// `value * factor + offset`, at least or at most the bound.
    Line {
        factor: f64,
        offset: f64,
        bound: Option<f64>,
        at_least: bool,
    },
    /// End-tidal CO2 in steps, this many mmHg off in the middle one.
    Steps { off: f64 },
    /// The table does not say: the limit stays.
    Unknown,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let table = include_str!("../data/auto_limits.csv");
    let rows = csv::Reader::from_reader(table.as_bytes()).into_deserialize();
    let rows = rows.filter_map(|row: Result<BTreeMap<String, String>, _>| row.ok());
    rows.filter_map(|row| Row::read(&row)).collect()
});

impl Row {
    fn read(row: &BTreeMap<String, String>) -> Option<Self> {
        let text = |column: &str| row.get(column).map_or("", String::as_str);
        let maximum = text("range_max");
        let (adults, children) = maximum.split_once('/').unwrap_or((maximum, maximum));
        Some(Self {
            vital: catalogue().vital_by_id(text("param"))?,
            population: text("population").to_owned(),
            low: Formula::read(text("low_formula")),
            high: Formula::read(text("high_formula")),
            range_min: text("range_min").parse().ok(),
            range_max: (first_number(adults), first_number(children)),
        })
    }

    fn of(code: Code, band: AgeBand) -> Option<&'static Self> {
        let population = match band {
            AgeBand::Neonate => "neonate",
            AgeBand::Infant | AgeBand::Child | AgeBand::Adolescent | AgeBand::Adult => {
                "adult/paediatric"
            }
        };
        ROWS.iter().find(|row| {
            row.vital.code == code && (row.population == population || row.population == "all")
        })
    }

    /// Within the row's range and what can be measured, as it is displayed.
    fn bounded(&self, limit: f64, band: AgeBand) -> f64 {
        let range_max = match band {
            AgeBand::Adult | AgeBand::Adolescent => self.range_max.0,
            AgeBand::Child | AgeBand::Infant | AgeBand::Neonate => self.range_max.1,
        };
        let least = self.range_min.unwrap_or(self.vital.plausible_min);
        let most = range_max.unwrap_or(self.vital.plausible_max);
        let scale = 10f64.powi(self.vital.decimals.into());
        ((limit * scale).round() / scale).max(least).min(most)
    }
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

impl Formula {
    /// Such as `max(HR*0.8,40)`, `SYS*0.68+10`, `T-0.5`.
    fn read(text: &str) -> Self {
        if text.starts_with("<=32 same;") {
            let off = if text.contains("v-6") { -6.0 } else { 6.0 };
            return Self::Steps { off };
        }
        let inner = |name| text.strip_prefix(name)?.strip_suffix(')')?.split_once(',');
        let (term, bound, at_least) = match (inner("max("), inner("min(")) {
            (Some((term, bound)), _) => (term, bound.parse().ok(), true),
            (None, Some((term, bound))) => (term, bound.parse().ok(), false),
            (None, None) => (text, None, false),
        };
        let Some(rest) = term
            .find(|c: char| !c.is_ascii_alphabetic())
            .filter(|at| *at > 0)
            .and_then(|at| term.get(at..))
        else {
            return Self::Unknown;
        };
        let scaled = rest.strip_prefix('*').unwrap_or(rest);
        let cut = scaled.rfind(['+', '-']).unwrap_or(scaled.len());
        let (factor, offset) = scaled.split_at(cut);
        let number = |text: &str, none: f64| match text {
            "" => Some(none),
            some => some.parse().ok(),
        };
        match number(factor, 1.0).zip(number(offset, 0.0)) {
            Some((factor, offset)) => Self::Line {
                factor,
                offset,
                bound,
                at_least,
            },
            None => Self::Unknown,
        }
    }

    fn of(self, value: f64) -> Option<f64> {
        match self {
            Self::Line {
                factor,
                offset,
                bound,
                at_least,
            } => {
                let limit = value * factor + offset;
                let bound = bound.unwrap_or(limit);
                Some(if at_least {
                    limit.max(bound)
                } else {
                    limit.min(bound)
                })
            }
            Self::Steps { off } => {
                // As displayed: whole numbers.
                let value = value.round();
                match value {
                    33.0..=35.0 => Some(35.0 + off),
                    36.0..=45.0 => Some(value + off),
                    46.0..=48.0 => Some(45.0 + off),
                    _ => None,
                }
            }
            Self::Unknown => None,
        }
    }
}

/// Whether a vital sign has a rule at all.
#[must_use]
pub fn has_rule(code: Code, band: Option<AgeBand>) -> bool {
    Row::of(code, band.unwrap_or(AgeBand::Adult)).is_some()
}

/// The limits around `value`, given those of the rule book and those in force.
/// A side on which the rule says nothing stays as it is in force. `None`: no
/// rule.
#[must_use]
pub fn around(
    code: Code,
    band: Option<AgeBand>,
    value: f64,
    (book, in_force): (LimitsInForce, LimitsInForce),
) -> Option<LimitsInForce> {
    let band = band.unwrap_or(AgeBand::Adult);
    let row = Row::of(code, band)?;
    let mut limits = in_force;
    if let Some(low) = row.low.of(value).map(|low| row.bounded(low, band)) {
        limits.warn_low = Some(low);
        limits.crit_low = book.crit_low.map(|crit| crit.min(low));
    }
    if let Some(high) = row.high.of(value).map(|high| row.bounded(high, band)) {
        limits.warn_high = Some(high);
        limits.crit_high = book.crit_high.map(|crit| crit.max(high));
    }
    Some(limits)
}

#[cfg(test)]
mod tests;
