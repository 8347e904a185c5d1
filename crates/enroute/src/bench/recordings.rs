//! `enroute bench recordings`: what a viewer, an engineer and another hospital wait
//! for when they open one long recording.
//!
//! Where the aim is a ratio, what it is held against is measured in the same run:
//! reading the same records without doing anything with them. Each export runs in a
//! process of its own, as the system tells the peak of memory per process.

use super::figures::{Figure, Report, progress};
use super::{day, read_all, seconds};
use crate::args::{FormatArg, MeasureArgs, RecordingsBenchArgs};
use crate::clock::SystemClock;
use crate::export;
use crate::out;
use crate::reevaluate::journal_dir;
use crate::simulate::Data;
use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use enroute_journal::{Classes, Journal, Options};
use enroute_live::replay::{Captures, Command, Order, Play, Speed};
use enroute_live::{Live, Trial, trials};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::{Clock, EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Moments that are sought.
const SEEKS: i64 = 40;

/// Runs the command.
pub(super) async fn run(args: &RecordingsBenchArgs) -> Result<()> {
    let data = Data::at(args.data.as_deref(), "enroute-bench")?;
    if let Some(format) = args.export {
        let exported = one_export(data.path(), format).await?;
        out::line(serde_json::to_string(&exported)?)?;
        return Ok(());
    }
    if !journal_dir(data.path()).exists() {
        day::write(&journal_dir(data.path()), args.hours).await?;
    }
    let measured = measure(data.path()).await?;
    if args.json {
        out::line(serde_json::to_string(&measured)?)?;
    } else {
        for line in measured.lines() {
            out::line(line)?;
        }
    }
    Ok(())
}

/// Reading it and re-evaluating it, in turns, as figures.
pub(super) async fn report(args: &MeasureArgs) -> Result<Report> {
    let (rounds, hours) = if args.short {
        (1, 1)
    } else {
        (args.rounds, 24)
    };
    let data = Data::at(None, "enroute-bench")?;
    let dir = journal_dir(data.path());
    progress(format!("a recording of {hours} h"));
    day::write(&dir, hours).await?;
    let (journal, _tail) = Journal::open(&dir, Options::default())?;
    let watch = Watch(SystemClock::new());
    let mut seen = Vec::new();
    for round in 1..=rounds {
        progress(format!("re-evaluation, round {round} of {rounds}"));
        let (_, read_s) = watch.time(|| read_records(&journal))?;
        let (trial, again_s) = watch.time(|| trial(&journal))?;
        if differences(&trial) > 0 {
            bail!("alerts differ when the recording is run again");
        }
        seen.push((again_s, read_s));
    }
    let close = tokio::task::spawn_blocking(move || journal.close());
    let closed = close.await?;
    closed.map_err(|failure| anyhow!("{}", failure.reason()))?;
    let took = seen.iter().map(|round| round.0).collect();
    let took = Figure::new("recordings/reevaluate", "s", took);
    let beside = "recordings/reevaluate-to-reading";
    let beside = Figure::beside(beside, "s", "reading its records", &seen);
    let mut report = Report::new(
        "recordings",
        format!("{rounds} rounds, {hours} h of numerics and four waveforms"),
    );
    let figures = [took.at_most(1.0), beside.at_most(3.0)];
    report.figures.extend(figures);
    Ok(report)
}

/// What came out; times in seconds.
#[derive(Debug, Serialize)]
struct Measured {
    recorded_s: f64,
    records: u64,
    bytes: u64,
    /// Reading all files of the journal, and all its records.
    read_files_s: f64,
    read_records_s: f64,
    list_s: f64,
    /// Putting it in the order of its capture, which a server does beside the rest.
    keep_order_s: f64,
    seek: Seeks,
    seek_in_order_of_capture: Seeks,
    reevaluate_s: f64,
    reevaluate_ratio: f64,
    alerts: usize,
    differences: usize,
    exports: Vec<Exported>,
}

/// Of all moments that were sought, in seconds, median and worst: the first picture of a new playback, and a jump
/// of one that has been there.
#[derive(Debug, Default, Serialize)]
struct Seeks {
    first: f64,
    first_worst: f64,
    again: f64,
    again_worst: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    format: String,
    took_s: f64,
    peak_bytes: u64,
    written_bytes: u64,
}

impl Measured {
    fn lines(&self) -> Vec<String> {
        let mib = |bytes: u64| bytes >> 20;
        let mut lines = vec![
            format!(
                "{:.1} h recorded, {} records, {} MiB on disk",
                self.recorded_s / 3_600.0,
                self.records,
                mib(self.bytes)
            ),
            format!("reading the files              {:.3} s", self.read_files_s),
            format!(
                "reading the records            {:.3} s",
                self.read_records_s
            ),
            format!("listing                        {:.3} s", self.list_s),
            format!("keeping its order of capture   {:.3} s", self.keep_order_s),
        ];
        let orders = [
            ("arrival", &self.seek),
            ("capture", &self.seek_in_order_of_capture),
        ];
        for (order, seek) in orders {
            lines.push(format!(
                "seeking, order of {order:9}   first picture {:.3} s (worst {:.3}), again {:.3} s \
                 (worst {:.3})",
                seek.first, seek.first_worst, seek.again, seek.again_worst
            ));
        }
        lines.push(format!(
            "re-evaluating                  {:.3} s: {:.0} times real time, {:.1} times the reading \
             of the records; {} alert transitions, {} differ",
            self.reevaluate_s,
            self.recorded_s / self.reevaluate_s.max(1e-6),
            self.reevaluate_ratio,
            self.alerts,
            self.differences
        ));
        lines.extend(self.exports.iter().map(|one| {
            format!(
                "exporting {:9}            {:.3} s, {} MiB written, {} MiB of memory at the most",
                one.format,
                one.took_s,
                mib(one.written_bytes),
                mib(one.peak_bytes)
            )
        }));
        lines
    }
}

async fn measure(data: &Path) -> Result<Measured> {
    let dir = journal_dir(data);
    let watch = Watch(SystemClock::new());
    let (bytes, read_files_s) = watch.time(|| read_all(&dir))?;
    let (journal, _tail) = Journal::open(&dir, Options::default())?;
    let (records, read_records_s) = watch.time(|| read_records(&journal))?;
    let (trial, reevaluate_s) = watch.time(|| trial(&journal))?;
    let differences = differences(&trial);
    let recorded_s = seconds(trial.to.since(trial.from));
    let close = tokio::task::spawn_blocking(move || journal.close());
    close
        .await?
        .map_err(|failure| anyhow!("{}", failure.reason()))?;
    let source = export::Source::directory(data).await?;
    let export::Source::Directory { started, .. } = &source else {
        bail!("a directory is opened as one");
    };
    let live = &started.live;
    let began = watch.now();
    let listed = live.recordings(None).await?;
    let list_s = watch.since(began);
    let began = watch.now();
    let mut captures = Captures::default();
    // A server does it when nothing came between two looks.
    live.keep_captures(&mut captures).await?;
    live.keep_captures(&mut captures).await?;
    let keep_order_s = watch.since(began);
    let ends = listed.first().context("nothing is listed")?;
    let ends = (EngineTime(ends.starts_at_us), EngineTime(ends.ends_at_us));
    let seek = seeks(live, Order::Arrival, ends, &watch).await?;
    let seek_in_order_of_capture = seeks(live, Order::Device, ends, &watch).await?;
    source.close().await?;
    let formats = FormatArg::value_variants().iter();
    Ok(Measured {
        recorded_s,
        records,
        bytes,
        read_files_s,
        read_records_s,
        list_s,
        keep_order_s,
        seek,
        seek_in_order_of_capture,
        reevaluate_s,
        reevaluate_ratio: reevaluate_s / read_records_s.max(1e-6),
        alerts: trial.derived.len(),
        differences,
        exports: formats
            .map(|format| export_apart(data, *format))
            .collect::<Result<_>>()?,
    })
}

/// Measures time.
struct Watch(SystemClock);

impl Watch {
    fn now(&self) -> Span {
        self.0.monotonic()
    }

    fn since(&self, began: Span) -> f64 {
        seconds(Span(self.now().0.saturating_sub(began.0)))
    }

    fn time<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        let began = self.now();
        let done = what()?;
        Ok((done, self.since(began)))
    }
}

fn trial(journal: &Journal) -> Result<Trial> {
    let mut trial = None;
    trials(journal, Some(day::TRANSFER), None, |one| trial = Some(one))?;
    trial.context("the recording is not in this directory")
}

/// Steps of alerts that are not what they were.
fn differences(trial: &Trial) -> usize {
    let both = trial.stored.iter().zip(&trial.derived);
    let changed = both.filter(|(was, is)| was != is).count();
    changed + trial.stored.len().abs_diff(trial.derived.len())
}

fn read_records(journal: &Journal) -> Result<u64> {
    let transfer = TransferId::new(day::TRANSFER).map_err(|_| anyhow!("no id"))?;
    let mut records = 0;
    for stored in journal.reader().scan(&transfer, Classes::All, Position(0)) {
        stored?;
        records += 1;
    }
    Ok(records)
}

async fn seeks(
    live: &Live,
    order: Order,
    (from, to): (EngineTime, EngineTime),
    watch: &Watch,
) -> Result<Seeks> {
    // Spread over all of it, never in its direction.
    let moments = (0..SEEKS).map(|n| from.plus(to.since(from).scaled(n * 17 % SEEKS, SEEKS)));
    let moments: Vec<_> = moments.collect();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for moment in &moments {
        let began = watch.now();
        let (mut playback, _controls) = live.play(play(order, Some(*moment))).await?;
        playback.next().await.context("it plays nothing")??;
        first.push(watch.since(began));
    }
    let (mut playback, controls) = live.play(play(order, None)).await?;
    let draining = tokio::spawn(async move { while playback.next().await.is_some() {} });
    controls.control(Command::Seek(to)).await?;
    for moment in moments {
        let began = watch.now();
        controls.control(Command::Seek(moment)).await?;
        again.push(watch.since(began));
    }
    draining.abort();
    let ((first, first_worst), (again, again_worst)) = (spread(first), spread(again));
    Ok(Seeks {
        first,
        first_worst,
        again,
        again_worst,
    })
}

fn play(order: Order, from: Option<EngineTime>) -> Play {
    Play {
        transfer: day::TRANSFER.to_owned(),
        order,
        from,
        speed: Speed::REAL,
        paused: true,
        samples: true,
        waveforms: true,
    }
}

fn spread(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    (median, times.last().copied().unwrap_or_default())
}

/// In a process of its own.
fn export_apart(data: &Path, format: FormatArg) -> Result<Exported> {
    let word = word(format)?;
    let this = std::env::current_exe()?;
    let mut bench = std::process::Command::new(this);
    bench.args(["bench", "recordings", "--export", &word, "--data"]);
    let done = bench.arg(data).output()?;
    if !done.status.success() {
        bail!(
            "exporting {word}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn word(format: FormatArg) -> Result<String> {
    let value = format.to_possible_value().context("it has no word")?;
    Ok(value.get_name().to_owned())
}

async fn one_export(data: &Path, format: FormatArg) -> Result<Exported> {
    let out = Data::at(None, "enroute-bench-export")?;
    let watch = Watch(SystemClock::new());
    let source = export::Source::directory(data).await?;
    let began = watch.now();
    export::export(&source, (day::TRANSFER, format, out.path())).await?;
    let took_s = watch.since(began);
    source.close().await?;
    Ok(Exported {
        format: word(format)?,
        took_s,
        peak_bytes: peak_bytes()?,
        written_bytes: read_all(out.path())?,
    })
}

/// The most memory that this process had at a time.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("the system does not tell it")?.trim().parse()?;
    Ok(kib * 1_024)
}
