//! `enroute bench capacity`: many transfers at a time, at one frame of twelve numerics
//! a second each, then with four waveforms as well: processor time per frame and
//! memory per transfer beside those of a hundred.
//!
//! Journal, engines and their snapshots are the server's; frames come without a
//! network, on a clock that runs as fast as the machine can: a second of the patients'
//! time takes as long as its work. Each number of transfers has a process of its own.

use super::figures::{Figure, Report, progress};
use super::parts::{Part, Server, float, used};
use super::{SetClock, Vehicle, numerics, still, vehicles, waveforms};
use crate::args::{CapacityArgs, MeasureArgs};
use crate::out;
use crate::simulate::Data;
use anyhow::{Context, Result};
use enroute_journal::{Append, Journal, Options};
use enroute_live::Live;
use enroute_model::ids::Stream;
use enroute_model::time::Clock;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Transfers, the yardstick first.
const TRANSFERS: [u64; 4] = [100, 1_000, 3_000, 10_000];
/// Transfers with waveforms: a second of 10,000 is more than one machine takes.
const WITH_WAVEFORMS: [u64; 3] = [100, 1_000, 3_000];
/// Frames that are measured at the least.
const FRAMES: u64 = 60_000;
/// Seconds before: the trend windows are full.
const BEFORE: u64 = 120;

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let rounds = if args.short { 1 } else { args.rounds.min(5) };
    let (before, frames) = if args.short {
        (10, 2_000)
    } else {
        (BEFORE, FRAMES)
    };
    let mut report = Report {
        measure: "capacity",
        command: "enroute bench capacity".into(),
        notes: vec![format!(
            "{rounds} rounds, each number of transfers in a process of its own, {before} s of the \
             patients' time before it is measured"
        )],
        figures: Vec::new(),
    };
    let start = Server::start(None).await?.part.used()?.memory / f64::from(1 << 20);
    let start = Figure::new("capacity/start", "MiB", vec![start]);
    report.figures.push(start.at_most(25.0));
    for (word, all, waveforms) in [
        ("numerics", TRANSFERS.as_slice(), false),
        ("waveforms", WITH_WAVEFORMS.as_slice(), true),
    ] {
        let most = if args.short { 2 } else { all.len() };
        let mut costs = vec![Vec::new(); most];
        for round in 1..=rounds {
            for (transfers, costs) in all.iter().zip(&mut costs) {
                progress(format!(
                    "{transfers} with {word}, round {round} of {rounds}"
                ));
                let seconds = (frames / transfers).max(6);
                costs.push(part(*transfers, waveforms, before, seconds).await?);
            }
        }
        let Some(yardstick) = costs.first().cloned() else {
            continue;
        };
        for (transfers, costs) in all.iter().zip(costs) {
            let pairs = costs.iter().zip(&yardstick);
            let pairs: Vec<_> = pairs.map(|(cost, yard)| (cost.0, yard.0)).collect();
            let name = format!("capacity/{word}/{transfers}");
            let processor = Figure::beside(format!("{name}/processor"), "µs/frame", &pairs);
            let memory = costs.iter().map(|cost| cost.1).collect();
            let memory = Figure::new(format!("{name}/memory"), "KiB/transfer", memory);
            report.figures.extend([processor.at_most(1.2), memory]);
        }
    }
    Ok(report)
}

/// Microseconds per frame, and KiB per transfer.
async fn part(transfers: u64, waveforms: bool, before: u64, seconds: u64) -> Result<(f64, f64)> {
    let mut arguments = vec!["capacity".to_owned()];
    let numbers = [
        ("--transfers", transfers),
        ("--before", before),
        ("--seconds", seconds),
    ];
    arguments.extend(
        numbers
            .iter()
            .flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]),
    );
    arguments.extend(waveforms.then(|| "--waveforms".to_owned()));
    let told = Part::own(&arguments)?.says("took").await?;
    let (cpu, memory) = told.split_once(' ').context("it does not tell both")?;
    Ok((cpu.parse()?, memory.parse()?))
}

/// The part: prints microseconds per frame and KiB per transfer.
pub(super) async fn hold(args: &CapacityArgs) -> Result<()> {
    let data = Data::at(None, "enroute-bench-capacity")?;
    let (journal, tail) = Journal::open(data.path(), Options::default())?;
    let clock = Arc::new(SetClock::default());
    let started = Live::start(
        &journal,
        tail,
        Arc::clone(&clock) as Arc<dyn Clock>,
        still(),
    );
    let started = started.await?;
    let vehicles = vehicles(args.transfers)?;
    let memory = used("self")?.memory;
    let mut cpu = 0.0;
    for second in 0..i64::from(args.before) + i64::from(args.seconds) {
        clock
            .0
            .store(second.saturating_mul(1_000_000), Ordering::Relaxed);
        for some in vehicles.chunks(256) {
            let records: Vec<Append> = some
                .iter()
                .flat_map(|vehicle| vehicle.frames(second, args.waveforms))
                .collect();
            let before = used("self")?.cpu_us;
            let last = journal.appender().append(records).await?;
            started.live.reached(last).await?;
            if second >= i64::from(args.before) {
                cpu += used("self")?.cpu_us - before;
            }
        }
    }
    let frames = u64::from(args.transfers) * u64::from(args.seconds);
    let frames = frames * if args.waveforms { 2 } else { 1 };
    let grown = (used("self")?.memory - memory) / 1_024.0 / f64::from(args.transfers);
    out::line(format!("took {} {grown}", cpu / float(frames)))?;
    super::restart::crash(journal, started).await
}

impl Vehicle {
    fn frames(&self, second: i64, with_waveforms: bool) -> Vec<Append> {
        let mut records = vec![self.record(Stream::Numerics, second, numerics(second))];
        if with_waveforms {
            records.push(self.record(Stream::Waveforms, second, waveforms(second, 4)));
        }
        records
    }
}
