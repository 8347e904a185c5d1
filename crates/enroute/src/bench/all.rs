//! `enroute bench all` and `enroute bench check`: every measure, one after the other,
//! and beside the figures that are stored in the source.

use super::figures::{Figure, Report, progress};
use super::{backfill, capacity, engine, fanout, flow, latency, store, wire};
use crate::args::{CheckArgs, MeasureArgs};
use crate::out;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// What was measured when it was stored, by the name of the figure: its ratio, or
/// itself where it has no yardstick.
const STORED: &str = include_str!("../../bench.toml");
/// A count or size may be so much more than what is stored, for its rounding there.
const ROUNDING: f64 = 1.001;

/// Runs them all.
pub(super) async fn run(args: &MeasureArgs) -> Result<()> {
    for measure in MEASURES {
        measure.run(args).await?.print(args.json)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Measure {
    Bytes,
    Engine,
    Journal,
    Throughput,
    Latency,
    Fanout,
    Capacity,
    Backfill,
}

const MEASURES: [Measure; 8] = [
    Measure::Bytes,
    Measure::Engine,
    Measure::Journal,
    Measure::Throughput,
    Measure::Latency,
    Measure::Fanout,
    Measure::Capacity,
    Measure::Backfill,
];

impl Measure {
    async fn run(self, args: &MeasureArgs) -> Result<Report> {
        match self {
            Self::Bytes => wire::report().await,
            Self::Engine => engine::report(args.rounds.max(5)),
            Self::Journal => store::run(args).await,
            Self::Throughput => flow::run(args).await,
            Self::Latency => latency::run(args).await,
            Self::Fanout => fanout::run(args).await,
            Self::Capacity => capacity::run(args).await,
            Self::Backfill => backfill::run(args).await,
        }
    }
}

/// A figure beside what was stored.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    unit: &'static str,
    now: f64,
    stored: Option<f64>,
    /// A count or size that may not grow.
    exact: bool,
    grown: bool,
}

impl Checked {
    fn new(figure: &Figure, stored: &BTreeMap<String, f64>) -> Self {
        let (now, stored) = (figure.held(), stored.get(&figure.name).copied());
        let grown = stored.is_some_and(|stored| now > stored * ROUNDING);
        Self {
            name: figure.name.clone(),
            unit: if figure.ratio.is_some() {
                "x"
            } else {
                figure.unit
            },
            now,
            stored,
            exact: figure.exact,
            grown: figure.exact && grown,
        }
    }

    fn line(&self) -> String {
        let stored = self.stored.map(|stored| format!("{stored:.3}"));
        let word = if self.grown { "  GREW" } else { "" };
        let (name, now, unit) = (&self.name, self.now, self.unit);
        format!(
            "{name:<40}{now:>12.3}{:>12} {unit}{word}",
            stored.unwrap_or_default()
        )
    }
}

/// Measures, and prints both. Fails only when a count or a size grew.
pub(super) async fn check(args: &CheckArgs) -> Result<ExitCode> {
    let stored: BTreeMap<String, f64> =
        toml::from_str(STORED).context("the stored figures cannot be read")?;
    let measures: &[Measure] = if args.short {
        &[Measure::Bytes, Measure::Engine]
    } else {
        &MEASURES
    };
    let how = MeasureArgs {
        rounds: 5,
        short: args.short,
        json: args.json,
    };
    let mut all = Vec::new();
    for measure in measures {
        let report = measure.run(&how).await?;
        let figures = report.figures.iter();
        all.extend(figures.map(|figure| Checked::new(figure, &stored)));
    }
    if args.json {
        out::line(serde_json::to_string(&all)?)?;
    } else {
        out::line(format!("{:<40}{:>12}{:>12}", "", "now", "stored"))?;
        for one in &all {
            out::line(one.line())?;
        }
    }
    let grown = all.iter().filter(|one| one.grown).count();
    if grown > 0 {
        progress(format!(
            "{grown} counts or sizes grew: mend it, or store the new ones and say why"
        ));
    }
    Ok(ExitCode::from(u8::from(grown > 0)))
}
