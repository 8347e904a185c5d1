//! What a measure gives: figures, each with its spread over the rounds, beside a
//! yardstick that was measured in turns with it, and the aim that it is held to.

use crate::out;
use anyhow::Result;
use serde::Serialize;

/// Least, median and greatest of all rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) greatest: f64,
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
#[derive(Clone, Copy, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// By which it is stored: lower case, no spaces.
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) seen: Spread,
    pub(super) yardstick: Option<Spread>,
    pub(super) ratio: Option<Spread>,
    pub(super) aim: Option<Aim>,
    /// A count or a size: the same on every machine and under any load.
    pub(super) exact: bool,
}

impl Figure {
    /// What was seen, in rounds.
    pub(super) fn new(name: impl Into<String>, unit: &'static str, seen: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            seen: Spread::of(seen),
            yardstick: None,
            ratio: None,
            aim: None,
            exact: false,
        }
    }

    /// Beside a yardstick, each round's ratio to its own.
    pub(super) fn beside(
        name: impl Into<String>,
        unit: &'static str,
        rounds: &[(f64, f64)],
    ) -> Self {
        let all = |of: fn(&(f64, f64)) -> f64| rounds.iter().map(of).collect();
        Self {
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
        let exact = true;
        Self { exact, ..self }
    }

    /// What is held to the aim, and stored.
    pub(super) fn held(&self) -> f64 {
        self.ratio.unwrap_or(self.seen).median
    }

    fn row(&self) -> String {
        let unit = self.unit;
        let seen = match self.ratio {
            Some(_) => short(self.seen.median),
            None => ranged(self.seen),
        };
        let yardstick = self.yardstick.map(|yard| short(yard.median));
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
            yardstick.unwrap_or_default(),
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

/// The figures of one measure, with how they came about.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) measure: &'static str,
    /// The command that prints it.
    pub(super) command: String,
    pub(super) notes: Vec<String>,
    pub(super) figures: Vec<Figure>,
}

impl Report {
    /// Prints it, as a table that a page of prose can hold, or as one JSON object.
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            out::line(serde_json::to_string(self)?)?;
            return Ok(());
        }
        out::line(format!("{}: {}", self.measure, self.command))?;
        for note in &self.notes {
            out::line(format!("  {note}"))?;
        }
        out::line("| measure | seen | yardstick | ratio (least to greatest) | aim | met |")?;
        out::line("| --- | --- | --- | --- | --- | --- |")?;
        for figure in &self.figures {
            out::line(figure.row())?;
        }
        out::line("")?;
        Ok(())
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
