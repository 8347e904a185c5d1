//! `enroute bench all`: every measure, one after the other. One that fails does not keep
//! the others from being taken.

use super::figures::{Report, progress};
use super::{backfill, capacity, counts, engine, fanout, flow, latency};
use super::{recordings, restart, store, us_since, wire};
use crate::args::MeasureArgs;
use crate::clock::SystemClock;
use crate::out;
use anyhow::{Context, Result, anyhow, bail};
use enroute_model::time::Clock;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::timeout;

/// Engine rounds are too short to be fewer.
const ENGINE_ROUNDS: u16 = 5;
/// A measure that takes so many times as long as it should, and at least so many seconds,
/// has failed.
const PATIENCE: u64 = 3;
const LEAST_PATIENCE_S: u64 = 240;

/// What `bench all` gives as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// Processors of the machine.
    pub(super) processors: usize,
    pub(super) reports: Vec<Report>,
    pub(super) failed: Vec<Failed>,
}

/// A measure without figures, and why.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) measure: String,
    pub(super) why: String,
}

impl Failed {
    pub(super) fn words(&self) -> String {
        format!("{} FAILED: {}", self.measure, self.why)
    }
}

impl Run {
    /// What an earlier run wrote.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let told = std::fs::read_to_string(file);
        let told = told.with_context(|| format!("failed to read {}", file.display()))?;
        let wrong = || format!("{} is not what `bench all --json` writes", file.display());
        serde_json::from_str(&told).with_context(wrong)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    Bytes,
    Engine,
    Counts,
    Journal,
    Throughput,
    Latency,
    Fanout,
    Capacity,
    Recordings,
    Restart,
    Backfill,
}

pub(super) const MEASURES: [Measure; 11] = [
    Measure::Bytes,
    Measure::Engine,
    Measure::Counts,
    Measure::Journal,
    Measure::Throughput,
    Measure::Latency,
    Measure::Fanout,
    Measure::Capacity,
    Measure::Recordings,
    Measure::Restart,
    Measure::Backfill,
];

impl Measure {
    fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Engine => "engine",
            Self::Counts => "counts",
            Self::Journal => "journal",
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Fanout => "fanout",
            Self::Capacity => "capacity",
            Self::Recordings => "recordings",
            Self::Restart => "restart",
            Self::Backfill => "backfill",
        }
    }

    /// How long it takes on two idle cores: beside its rounds, and each of them, seconds.
    fn lasts(self, args: &MeasureArgs) -> u64 {
        let (once, round) = match self {
            Self::Bytes | Self::Engine => (2, 0),
            Self::Counts => (4, 8),
            Self::Journal => (0, 4),
            Self::Throughput => (0, 20),
            Self::Latency => (0, 22),
            Self::Fanout => (20, 20),
            Self::Capacity => (120, 12),
            Self::Recordings => (35, 1),
            Self::Restart => (20, 2),
            Self::Backfill => (140, 28),
        };
        if args.short {
            return (once + round).min(15);
        }
        once + round * u64::from(args.rounds)
    }

    /// Takes it; says first for how long.
    pub(super) async fn run(self, args: &MeasureArgs) -> Result<Report> {
        let (word, lasts) = (self.word(), self.lasts(args));
        progress(format!("{word} takes about {lasts} s"));
        let clock = SystemClock::new();
        let began = clock.monotonic();
        let patience = Duration::from_secs((lasts * PATIENCE).max(LEAST_PATIENCE_S));
        let taken = timeout(patience, Box::pin(self.report(args))).await;
        let late = |_| anyhow!("{word} did not end within {} s", patience.as_secs());
        let mut report = taken.map_err(late)?.with_context(|| word.to_owned())?;
        report.took_s = super::seconds(enroute_model::time::Span(us_since(&clock, began)));
        Ok(report)
    }

    async fn report(self, args: &MeasureArgs) -> Result<Report> {
        match self {
            Self::Bytes => wire::report().await,
            Self::Engine => engine::report(args.rounds.max(ENGINE_ROUNDS)),
            Self::Counts => counts::run(args).await,
            Self::Journal => store::run(args).await,
            Self::Throughput => flow::run(args).await,
            Self::Latency => latency::run(args).await,
            Self::Fanout => fanout::run(args).await,
            Self::Capacity => capacity::run(args).await,
            Self::Recordings => recordings::report(args).await,
            Self::Restart => restart::report(args).await,
            Self::Backfill => backfill::run(args).await,
        }
    }
}

/// One measure alone.
pub(super) async fn one(measure: Measure, args: &MeasureArgs) -> Result<()> {
    measure.run(args).await?.print(args.json)
}

/// Runs them all: each table as it is there, or one JSON object of all at the end and the
/// tables on standard error.
pub(super) async fn run(args: &MeasureArgs) -> Result<ExitCode> {
    let run = take(&MEASURES, args, |report| {
        if args.json {
            report.lines().iter().for_each(progress);
            return Ok(());
        }
        report.print(false)
    })
    .await?;
    if args.json {
        out::line(serde_json::to_string(&run)?)?;
    }
    for failed in &run.failed {
        progress(failed.words());
    }
    Ok(ExitCode::from(u8::from(!run.failed.is_empty())))
}

/// Takes these, and goes on when one fails.
pub(super) async fn take(
    measures: &[Measure],
    args: &MeasureArgs,
    mut tell: impl FnMut(&Report) -> Result<()>,
) -> Result<Run> {
    let lasts: u64 = measures.iter().map(|measure| measure.lasts(args)).sum();
    progress(format!(
        "{} measures take about {} minutes",
        measures.len(),
        lasts.div_ceil(60)
    ));
    let mut run = Run {
        processors: std::thread::available_parallelism()?.get(),
        reports: Vec::new(),
        failed: Vec::new(),
    };
    for measure in measures {
        match measure.run(args).await {
            Ok(report) => {
                tell(&report)?;
                run.reports.push(report);
            }
            Err(error) => {
                progress(format!("FAILED: {error:#}"));
                run.failed.push(Failed {
                    measure: measure.word().to_owned(),
                    why: format!("{error:#}"),
                });
            }
        }
    }
    if run.reports.is_empty() {
        bail!("no measure could be taken");
    }
    Ok(run)
}
