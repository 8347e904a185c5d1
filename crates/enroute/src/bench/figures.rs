//! What a measure gives: figures, each with its spread over the rounds, beside a
//! yardstick that was measured in turns with it, and the aim that it is held to.

use crate::out;
use anyhow::Result;
use serde::{Deserialize, Deserializer, Serialize};

/// Least, median and greatest of all rounds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Spread {
    #[serde(deserialize_with = "number")]
    pub(super) least: f64,
    #[serde(deserialize_with = "number")]
    pub(super) median: f64,
    #[serde(deserialize_with = "number")]
    pub(super) greatest: f64,
}

/// JSON has no word for what is no number and writes `null`.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Spread {
    /// Of these values; of none there is no figure.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self {
            least: at(0),
            median: at(values.len() / 2),
            greatest: at(values.len().saturating_sub(1)),
        }
    }
}

/// What a figure is held to: its ratio, or itself where it has no yardstick.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Figure {
    /// By which it is stored: lower case, no spaces.
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) seen: Spread,
    /// What the yardstick is, and what it gave.
    pub(super) over: Option<String>,
    pub(super) yardstick: Option<Spread>,
    pub(super) ratio: Option<Spread>,
    pub(super) aim: Option<Aim>,
    /// A count or a size, the same on every machine and under any load but for this
    /// factor: more than so many times what is stored fails the check.
    pub(super) within: Option<f64>,
}

/// A count or size that differs by its rounding only.
const EXACT: f64 = 1.001;

impl Figure {
    /// What was seen, in rounds.
    pub(super) fn new(name: impl Into<String>, unit: &str, seen: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit: unit.to_owned(),
            seen: Spread::of(seen),
            over: None,
            yardstick: None,
            ratio: None,
            aim: None,
            within: None,
        }
    }

    /// Beside a yardstick, each round's ratio to its own.
    pub(super) fn beside(
        name: impl Into<String>,
        unit: &str,
        over: &str,
        rounds: &[(f64, f64)],
    ) -> Self {
        let all = |of: fn(&(f64, f64)) -> f64| rounds.iter().map(of).collect();
        Self {
            over: Some(over.to_owned()),
            yardstick: Some(Spread::of(all(|round| round.1))),
            ratio: Some(Spread::of(all(|round| round.0 / round.1))),
            ..Self::new(name, unit, all(|round| round.0))
        }
    }

    pub(super) fn at_most(self, most: f64) -> Self {
        let aim = Some(Aim::AtMost(most));
        Self { aim, ..self }
    }

    pub(super) fn at_least(self, least: f64) -> Self {
        let aim = Some(Aim::AtLeast(least));
        Self { aim, ..self }
    }

    pub(super) fn exact(self) -> Self {
        self.within(EXACT)
    }

    pub(super) fn within(self, times: f64) -> Self {
        let within = Some(times);
        Self { within, ..self }
    }

    /// What is held to the aim, and stored.
    pub(super) fn held(&self) -> f64 {
        self.ratio.unwrap_or(self.seen).median
    }

    /// As a row of a table: name, what was seen, yardstick, ratio, aim, whether it is met.
    pub(super) fn row(&self) -> String {
        let unit = &self.unit;
        let seen = match self.ratio {
            Some(_) => short(self.seen.median),
            None => ranged(self.seen),
        };
        let yardstick = { self.over.iter().zip(self.yardstick) }
            .map(|(over, yard)| format!("{} ({over})", short(yard.median)));
        let aim = match self.aim {
            Some(Aim::AtMost(most)) => format!("≤ {}", short(most)),
            Some(Aim::AtLeast(least)) => format!("≥ {}", short(least)),
            None => String::new(),
        };
        let met = match self.aim {
            Some(aim) if aim.is_met(self.held()) => "yes",
            Some(_) => "no",
            None => "",
        };
        format!(
            "| {} | {seen} {unit} | {} | {} | {aim} | {met} |",
            self.name,
            yardstick.collect::<String>(),
            self.ratio.map(ranged).unwrap_or_default(),
        )
    }
}

fn ranged(spread: Spread) -> String {
    let Spread {
        least,
        median,
        greatest,
    } = spread;
    let (least, median, greatest) = (short(least), short(median), short(greatest));
    if least == greatest {
        return median;
    }
    format!("{median} ({least} to {greatest})")
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The head of a table of figures.
pub(super) const HEAD: [&str; 2] = [
    "| figure | seen | yardstick | ratio (least to greatest) | aim | met |",
    "| --- | --- | --- | --- | --- | --- |",
];

/// The figures of one measure, with how they came about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) measure: String,
    /// The command that prints it.
    pub(super) command: String,
    pub(super) notes: Vec<String>,
    pub(super) took_s: f64,
    pub(super) figures: Vec<Figure>,
}

impl Report {
    /// Without figures yet.
    pub(super) fn new(measure: &str, note: String) -> Self {
        Self {
            measure: measure.to_owned(),
            command: format!("enroute bench {measure}"),
            notes: vec![note],
            took_s: 0.0,
            figures: Vec::new(),
        }
    }

    /// Prints it, as a table that a page of prose can hold, or as one JSON object.
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            out::line(serde_json::to_string(self)?)?;
            return Ok(());
        }
        Ok(self.lines().into_iter().try_for_each(out::line)?)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{}: {}, took {:.0} s",
            self.measure, self.command, self.took_s
        )];
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.extend(HEAD.map(str::to_owned));
        lines.extend(self.figures.iter().map(Figure::row));
        lines.push(String::new());
        lines
    }
}

/// Says on standard error how far a measure is.
#[expect(
    clippy::print_stderr,
    reason = "progress is for who waits at the terminal; standard output is the table's"
)]
pub(super) fn progress(what: impl AsRef<str>) {
    eprintln!("bench: {}", what.as_ref());
}
