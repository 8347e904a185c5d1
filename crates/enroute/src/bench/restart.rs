//! `enroute bench restart`: how long a server with many active transfers takes to
//! come back after its power was cut.
//!
//! The journal is written by the real live view, snapshots at its own pace, on a
//! clock that runs as fast as the machine can. Nothing says goodbye. Then it is
//! opened as a server opens it, until the live view answers. All transfers begin
//! in the same second, so that their snapshots fall due together: the tail to be
//! run again is the longest that the pace allows.

use super::figures::{Figure, Report, progress};
use super::{START, SetClock, Vehicle, numerics, read_all, seconds, still, vehicles, waveform};
use crate::args::{MeasureArgs, RestartArgs};
use crate::clock::SystemClock;
use crate::out;
use crate::simulate::Data;
use anyhow::{Context, Result, anyhow};
use enroute_journal::{Append, Journal};
use enroute_live::{Live, Started};
use enroute_model::ids::{Position, Stream};
use enroute_model::time::{Clock, Span};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Runs the command.
pub(super) async fn run(args: &RestartArgs) -> Result<()> {
    let data = Data::at(args.data.as_deref(), "enroute-bench")?;
    let journal = data.path().join("journal");
    if !journal.exists() {
        write(&journal, args).await?;
    }
    let measured = measure(&journal).await?;
    if args.json {
        out::line(serde_json::to_string(&measured)?)?;
    } else {
        for line in measured.lines() {
            out::line(line)?;
        }
    }
    Ok(())
}

/// The same journal opened again and again, as figures.
pub(super) async fn report(args: &MeasureArgs) -> Result<Report> {
    let (rounds, transfers, minutes) = if args.short {
        (1, 100, 1)
    } else {
        (args.rounds, 1_000, 9)
    };
    let data = Data::at(None, "enroute-bench")?;
    let journal = data.path().join("journal");
    let written = RestartArgs {
        transfers,
        minutes,
        waveforms: false,
        data: None,
        json: false,
    };
    progress(format!("{transfers} transfers for {minutes} minutes"));
    write(&journal, &written).await?;
    let mut rounds_seen = Vec::new();
    for round in 1..=rounds {
        progress(format!("restart, round {round} of {rounds}"));
        let measured = measure(&journal).await?;
        rounds_seen.push((measured.restart_s, measured.read_s));
    }
    let took = rounds_seen.iter().map(|round| round.0).collect();
    let took = Figure::new("restart/took", "s", took).at_most(2.0);
    let beside = "reading the same files";
    let beside = Figure::beside("restart/to-reading", "s", beside, &rounds_seen);
    let mut report = Report::new(
        "restart",
        format!("{rounds} rounds, {transfers} active transfers after {minutes} minutes"),
    );
    report.figures.extend([took, beside]);
    Ok(report)
}

/// What came out.
#[derive(Debug, Serialize)]
struct Measured {
    transfers: usize,
    records: u64,
    bytes: u64,
    read_s: f64,
    open_s: f64,
    rebuild_s: f64,
    restart_s: f64,
    ratio: f64,
}

impl Measured {
    fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "{} active transfers, {} records, {} MiB on disk",
                self.transfers,
                self.records,
                self.bytes >> 20
            ),
            format!("reading the same files        {:.3} s", self.read_s),
            format!("opening the journal           {:.3} s", self.open_s),
            format!("until the live view answers   {:.3} s", self.rebuild_s),
            format!(
                "restart in all                {:.3} s, {:.1} times the reading",
                self.restart_s, self.ratio
            ),
        ]
    }
}

async fn write(journal: &Path, args: &RestartArgs) -> Result<()> {
    let (journal, tail) = Journal::open(journal, enroute_journal::Options::default())?;
    let clock = Arc::new(SetClock::default());
    let started = Live::start(
        &journal,
        tail,
        Arc::clone(&clock) as Arc<dyn Clock>,
        still(),
    );
    let started = started.await?;
    let vehicles = vehicles(args.transfers)?;
    let mut last = Position(0);
    for second in 0..i64::from(args.minutes) * 60 {
        clock
            .0
            .store(second.saturating_mul(1_000_000), Ordering::Relaxed);
        for some in vehicles.chunks(256) {
            let records = some
                .iter()
                .flat_map(|vehicle| vehicle.second(second, args.waveforms));
            last = journal.appender().append(records.collect()).await?;
        }
    }
    started.live.reached(last).await?;
    crash(journal, started).await
}

/// As after a power cut: no snapshots at the end, so that the same journal can be
/// measured again. The live view ends with the journal.
pub(super) async fn crash(journal: Journal, started: Started) -> Result<()> {
    let mut health = started.live.health();
    drop(started);
    let closed = tokio::task::spawn_blocking(move || journal.close()).await?;
    closed.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
    while health.changed().await.is_ok() {}
    Ok(())
}

impl Vehicle {
    fn second(&self, second: i64, waveforms: bool) -> Vec<Append> {
        let mut records = vec![self.record(Stream::Numerics, second, numerics(second))];
        if waveforms {
            records.push(self.record(Stream::Waveforms, second, waveform(second)));
        }
        records
    }
}

async fn measure(dir: &Path) -> Result<Measured> {
    let clock = SystemClock::new();
    let since = |began: Span| Span(clock.monotonic().0.saturating_sub(began.0));
    let began = clock.monotonic();
    let bytes = read_all(dir)?;
    let read = since(began);
    let began = clock.monotonic();
    let (journal, tail) = Journal::open(dir, enroute_journal::Options::default())?;
    let opened = since(began);
    let at = journal.opened_at().context("the journal is empty")?;
    let set = Arc::new(SetClock(AtomicI64::new(at.0.saturating_sub(START))));
    let started = Live::start(&journal, tail, set as Arc<dyn Clock>, still()).await?;
    let states = started.live.list(false).await?;
    let restarted = since(began);
    let (transfers, records) = (states.len(), journal.last_position().0);
    crash(journal, started).await?;
    Ok(Measured {
        transfers,
        records,
        bytes,
        read_s: seconds(read),
        open_s: seconds(opened),
        rebuild_s: seconds(restarted) - seconds(opened),
        restart_s: seconds(restarted),
        ratio: seconds(restarted) / seconds(read).max(1e-6),
    })
}
