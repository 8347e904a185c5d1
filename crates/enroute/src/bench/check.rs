//! `enroute bench check` and `enroute bench table`: what was measured beside the figures
//! that are stored in the source, and as the table of the README.

use super::all::{MEASURES, Measure, Run, take};
use super::figures::{Figure, HEAD, progress};
use crate::args::{CheckArgs, MeasureArgs, TableArgs};
use crate::out;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// What was measured when it was stored, by the name of the figure: its ratio, or
/// itself where it has no yardstick.
const STORED: &str = include_str!("../../bench.toml");
/// What a busy machine can take in a minute, in a build that is not optimized.
const SHORT: [Measure; 5] = [
    Measure::Bytes,
    Measure::Engine,
    Measure::Counts,
    Measure::Journal,
    Measure::Latency,
];
/// Rounds without a word otherwise.
const ROUNDS: u16 = 5;

/// A figure beside what was stored.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    unit: String,
    now: f64,
    stored: Option<f64>,
    /// The most that it may be, if it is a count or a size.
    most: Option<f64>,
}

impl Checked {
    fn new(figure: &Figure, stored: &BTreeMap<String, f64>) -> Self {
        let stored = stored.get(&figure.name).copied();
        let unit = figure.ratio.map_or(figure.unit.as_str(), |_| "x");
        Self {
            name: figure.name.clone(),
            unit: unit.to_owned(),
            now: figure.held(),
            stored,
            most: figure.within.zip(stored).map(|(times, was)| was * times),
        }
    }

    fn grew(&self) -> bool {
        self.most.is_some_and(|most| self.now > most)
    }

    fn line(&self) -> String {
        let stored = self.stored.map(|stored| format!("{stored:.3}"));
        let most = self.most.map(|most| format!("at most {most:.3}"));
        let word = if self.grew() { "  GREW" } else { "" };
        let (name, now, unit) = (&self.name, self.now, &self.unit);
        format!(
            "{name:<44}{now:>12.3}{:>12} {unit:<16}{}{word}",
            stored.unwrap_or_default(),
            most.unwrap_or_default()
        )
    }
}

/// Every figure of a run.
fn checked(run: &Run, stored: &str) -> Result<Vec<Checked>> {
    let stored: BTreeMap<String, f64> =
        toml::from_str(stored).context("the stored figures cannot be read")?;
    let figures = run.reports.iter().flat_map(|report| &report.figures);
    Ok(figures
        .map(|figure| Checked::new(figure, &stored))
        .collect())
}

/// Measures, or reads what was measured, and prints both. Fails only when a count or a
/// size grew, or when one could not be taken.
pub(super) async fn check(args: &CheckArgs) -> Result<ExitCode> {
    let run = if let Some(file) = &args.run {
        Run::read(file)?
    } else {
        let how = MeasureArgs {
            rounds: ROUNDS,
            short: args.short,
            json: args.json,
        };
        let measures: &[Measure] = if args.short { &SHORT } else { &MEASURES };
        take(measures, &how, |_| Ok(())).await?
    };
    let all = checked(&run, STORED)?;
    if args.json {
        out::line(serde_json::to_string(&all)?)?;
    } else {
        out::line(format!("{:<44}{:>12}{:>12}", "", "now", "stored"))?;
        for one in &all {
            out::line(one.line())?;
        }
    }
    for failed in &run.failed {
        progress(failed.words());
    }
    let grown = all.iter().filter(|one| one.grew()).count();
    if grown > 0 {
        progress(format!(
            "{grown} counts or sizes grew: mend it, or store the new ones and say why"
        ));
    }
    let failed = grown > 0 || !run.failed.is_empty();
    Ok(ExitCode::from(u8::from(failed)))
}

/// Prints what an earlier run measured.
pub(super) fn table(args: &TableArgs) -> Result<()> {
    let run = Run::read(&args.run)?;
    let figures = run.reports.iter().flat_map(|report| &report.figures);
    if args.stored {
        for figure in figures {
            out::line(format!("\"{}\" = {:.5}", figure.name, figure.held()))?;
        }
        return Ok(());
    }
    for line in HEAD {
        out::line(line)?;
    }
    for figure in figures.filter(|figure| figure.aim.is_some()) {
        out::line(figure.row())?;
    }
    for failed in &run.failed {
        out::line(format!("| {} | | | | | |", failed.words()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
