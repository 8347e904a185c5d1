//! `enroute bench capacity`: many transfers at a time, at one frame of twelve numerics
//! a second each, then with four waveforms as well: processor time per frame and
//! memory per transfer beside those of a hundred.
//!
//! Journal, engines and their snapshots are the server's; frames come without a
//! network, on a clock that runs as fast as the machine can: a second of the patients'
//! time takes as long as its work. Each number of transfers has a process of its own;
//! they take turns with the same number of frames in commits of the same size.
//! Transfers begin one after the other, so that in every second as many of them are due
//! for a snapshot.

use super::figures::{Figure, Report, progress};
use super::parts::{Part, Server, float, used};
use super::{SetClock, Vehicle, numerics, still, vehicles, waveforms};
use crate::args::{CapacityArgs, MeasureArgs};
use crate::out;
use crate::simulate::Data;
use anyhow::{Context, Result, bail};
use enroute_journal::{Append, Journal, Options};
use enroute_live::{Live, Started};
use enroute_model::ids::Stream;
use enroute_model::time::Clock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Transfers, the yardstick first.
const TRANSFERS: [u64; 4] = [100, 1_000, 3_000, 10_000];
/// Frames of numerics of a turn: enough that each has its share of what the store does
/// behind them from time to time.
const FRAMES: u64 = 60_000;
/// Seconds before: with numerics until what a transfer keeps hardly grows any more,
/// with waveforms until all that they take is there.
const BEFORE: [u64; 2] = [120, 45];
/// Transfers of which a commit has a second.
const TOGETHER: usize = 100;
/// Seconds over which transfers begin: as often is one due for a snapshot.
const BEGIN: usize = 30;
/// Frames of numerics that are made beforehand, so that they are not the memory that is
/// measured.
const AT_A_TIME: i64 = 1_000;
/// Starts of a server.
const STARTS: u64 = 5;
const MIB: f64 = 1_048_576.0;
/// KiB that one transfer more takes at most: 32 and its trend window, which by then has
/// room for eight points of 24 bytes of each of twelve vital signs.
const MEMORY_MAX: f64 = 32.0 + 12.0 * 8.0 * 24.0 / 1_024.0;
/// What processor time is beside.
const HUNDRED: &str = "itself with 100";

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let rounds = if args.short { 1 } else { args.rounds };
    let mut report = Report::new(
        "capacity",
        format!(
            "{rounds} rounds of {FRAMES} seconds of a patient, after {} s of each with numerics \
             alone, {} s with waveforms; all transfers begin within {BEGIN} s",
            BEFORE[0], BEFORE[1]
        ),
    );
    let (mut starts, mut anonymous) = (Vec::new(), Vec::new());
    for start in 1..=STARTS {
        progress(format!("start {start} of {STARTS}"));
        let used = Server::start(None).await?.part.used()?;
        starts.push(used.memory / MIB);
        anonymous.push(used.anonymous / MIB);
    }
    let start = Figure::new("capacity/start", "MiB", starts);
    report.figures.push(start.at_most(25.0));
    let anonymous = Figure::new("capacity/start-without-program", "MiB", anonymous);
    report.figures.push(anonymous);
    for (word, before) in ["numerics", "waveforms"].into_iter().zip(BEFORE) {
        let most = if args.short { 2 } else { TRANSFERS.len() };
        let transfers = TRANSFERS.into_iter().take(most);
        let mut parts = Vec::new();
        for transfers in transfers {
            progress(format!("{transfers} with {word} begin"));
            parts.push((transfers, start_part(transfers, word, before).await?));
        }
        let mut costs = vec![Vec::new(); most];
        for round in 1..=rounds {
            progress(format!("with {word}, round {round} of {rounds}"));
            for ((transfers, part), costs) in parts.iter_mut().zip(&mut costs) {
                let seconds = (FRAMES / *transfers).max(1);
                part.tell(&format!("measure {seconds}")).await?;
                let told = part.says("took").await?;
                let (cpu, memory) = told.split_once(' ').context("it does not tell both")?;
                costs.push((cpu.parse()?, memory.parse()?));
            }
        }
        report.figures.extend(figures(word, &costs));
    }
    Ok(report)
}

/// Of the rounds of each number of transfers: microseconds per frame, KiB per transfer.
fn figures(word: &str, costs: &[Vec<(f64, f64)>]) -> Vec<Figure> {
    let yardstick = costs.first().cloned().unwrap_or_default();
    let mut figures = Vec::new();
    for (transfers, costs) in TRANSFERS.into_iter().zip(costs) {
        let pairs = costs.iter().zip(&yardstick);
        let pairs: Vec<_> = pairs.map(|(cost, yard)| (cost.0, yard.0)).collect();
        let name = format!("capacity/{word}/{transfers}");
        let processor = format!("{name}/processor");
        let processor = Figure::beside(processor, "µs/frame", HUNDRED, &pairs);
        let memory = costs.iter().map(|cost| cost.1).collect();
        let memory = Figure::new(format!("{name}/memory"), "KiB/transfer", memory);
        figures.extend([processor.at_most(1.2), memory]);
    }
    figures.extend(one_more(word, costs));
    figures
}

/// What one transfer more takes, from the last but one number of them to the last: what
/// all share, the store's tables in memory above all, is in both.
fn one_more(word: &str, costs: &[Vec<(f64, f64)>]) -> Option<Figure> {
    let [.., fewer, most] = costs else {
        return None;
    };
    let [.., few, many] = TRANSFERS.get(..costs.len())? else {
        return None;
    };
    let (few, many) = (float(*few), float(*many));
    let pairs = fewer.iter().zip(most);
    let each = pairs.map(|(fewer, most)| (most.1 * many - fewer.1 * few) / (many - few));
    let name = format!("capacity/{word}/memory-of-one-more");
    Some(Figure::new(name, "KiB/transfer", each.collect()).at_most(MEMORY_MAX))
}

async fn start_part(transfers: u64, word: &str, before: u64) -> Result<Part> {
    let (transfers, before) = (transfers.to_string(), before.to_string());
    let mut arguments = vec!["capacity", "--transfers", &transfers, "--before", &before];
    arguments.extend((word == "waveforms").then_some("--waveforms"));
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let mut part = Part::own(&arguments)?;
    part.says("ready").await?;
    Ok(part)
}

/// The part: told `measure SECONDS`, it says microseconds per frame and KiB per transfer.
pub(super) async fn hold(args: &CapacityArgs) -> Result<()> {
    let data = Data::at(None, "enroute-bench-capacity")?;
    let options = Options {
        steps_in: enroute_wire::record::steps,
        ..Options::default()
    };
    let (journal, tail) = Journal::open(data.path(), options)?;
    let clock = Arc::new(SetClock::default());
    let shown = Arc::clone(&clock) as Arc<dyn Clock>;
    let started = Live::start(&journal, tail, shown, still()).await?;
    let mut ward = Ward {
        vehicles: vehicles(args.transfers)?,
        waveforms: args.waveforms,
        journal,
        started,
        clock,
        second: 0,
    };
    let memory = used("self")?.memory;
    for _ in 0..args.before {
        ward.seconds(1).await?;
    }
    out::line("ready")?;
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = words.next_line().await? {
        let Some(seconds) = line.strip_prefix("measure ") else {
            bail!("the capacity was told {line:?}");
        };
        let (mut left, mut cpu, mut frames) = (seconds.parse::<i64>()?, 0.0, 0);
        while left > 0 {
            let some = left.min((AT_A_TIME / i64::from(args.transfers)).max(1));
            let (us, done) = ward.seconds(some).await?;
            (left, cpu, frames) = (left - some, cpu + us, frames + done);
        }
        let grown = (used("self")?.memory - memory) / 1_024.0 / f64::from(args.transfers);
        out::line(format!("took {} {grown}", cpu / float(frames.max(1))))?;
    }
    super::restart::crash(ward.journal, ward.started).await
}

/// Transfers under way.
struct Ward {
    vehicles: Vec<Vehicle>,
    waveforms: bool,
    journal: Journal,
    started: Started,
    clock: Arc<SetClock>,
    second: i64,
}

impl Ward {
    /// So many seconds of all of them: microseconds of processor, and frames. Making the
    /// frames is not counted.
    async fn seconds(&mut self, seconds: i64) -> Result<(f64, u64)> {
        let last = self.second.saturating_add(seconds);
        let made: Vec<(i64, Vec<Vec<Append>>)> = (self.second..last)
            .map(|second| (second, self.made(second)))
            .collect();
        self.second = last;
        let mut frames = 0;
        let before = used("self")?;
        for (second, commits) in made {
            let us = second.saturating_mul(1_000_000);
            self.clock.0.store(us, Ordering::Relaxed);
            for records in commits {
                frames += u64::try_from(records.len())?;
                let last = self.journal.appender().append(records).await?;
                self.started.live.reached(last).await?;
            }
        }
        Ok((used("self")?.cpu_us_since(&before), frames))
    }

    /// The commits of a second.
    fn made(&self, second: i64) -> Vec<Vec<Append>> {
        let begun = |(place, _): &(usize, &Vehicle)| {
            i64::try_from(place % BEGIN).is_ok_and(|begins| begins <= second)
        };
        let begun: Vec<_> = self.vehicles.iter().enumerate().filter(begun).collect();
        let commits = begun.chunks(TOGETHER).map(|some| {
            let frames = some.iter();
            let frames = frames.flat_map(|(_, vehicle)| vehicle.frames(second, self.waveforms));
            frames.collect()
        });
        commits.collect()
    }
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
