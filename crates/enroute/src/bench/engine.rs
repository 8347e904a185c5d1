//! `enroute bench engine`: what a frame costs behind the wire, as a ratio to
//! decoding the same frame with `prost` alone.
//!
//! One engine by the built-in rule book, an adult with every overlay: twelve
//! numerics a second, or three waveforms of a second. A record of the journal is
//! decoded, checked and handled as the live view does it. Yardstick and subject
//! take turns every few frames; a round's figure is the median of its turns, so
//! that what else the machine does stays out of it. A build that is not optimized also
//! counts what is allocated.

use super::figures::{Figure, Report, Spread, progress};
use super::parts::float;
use super::{Vehicle, numerics, us_since, vehicles, waveform};
use crate::args::EngineArgs;
use crate::clock::SystemClock;
use crate::out;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use enroute_alert::book::RuleBook;
use enroute_engine::{Effects, Engine};
use enroute_model::frame::Body;
use enroute_model::ids::{Position, Stream};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::{AgeBand, Population, RegistryAction, TransferInfo};
use enroute_model::state::Verdict;
use enroute_model::time::{Clock, EngineTime, ServerTime};
use enroute_wire::{record, v1};
use prost::Message;
use serde::Serialize;
use std::hint::black_box;

/// Frames of a round.
const FRAMES: usize = 2_000;
/// Frames before yardstick and subject change places.
const TURN: usize = 100;
/// Frames before the first round: every window of the rule book is full.
const BEFORE: i64 = 4_000;

/// Runs the command.
pub(super) fn run(args: &EngineArgs) -> Result<()> {
    for (name, stream, body) in KINDS {
        let cost = measure(name, stream, body, args.rounds)?;
        if args.json {
            out::line(serde_json::to_string(&cost)?)?;
        } else {
            for line in cost.lines() {
                out::line(line)?;
            }
        }
    }
    Ok(())
}

/// Both kinds of frames as figures.
pub(super) fn report(rounds: u16) -> Result<Report> {
    let mut report = Report::new("engine", format!("{rounds} rounds of {FRAMES} frames"));
    for (name, stream, body) in KINDS {
        progress(format!("engine, {name}"));
        let cost = measure(name, stream, body, rounds)?;
        let (word, most) = match stream {
            Stream::Waveforms => ("engine/waveforms", 1.4),
            Stream::Events | Stream::Numerics => ("engine/numerics", 2.0),
        };
        let seen = vec![cost.decode_ns.median + cost.engine_ns.median];
        let figure = Figure {
            over: Some("prost decode".to_owned()),
            yardstick: Some(cost.prost_ns),
            ratio: Some(cost.ratio),
            ..Figure::new(word, "ns", seen)
        };
        report.figures.push(figure.at_most(most));
        match cost.allocations {
            [Some(prost), Some(decode), Some(engine)] => {
                let name = format!("{word}/allocations");
                let engine = Figure::new(name, "for each frame", vec![engine]);
                let name = format!("{word}/allocations-decoding");
                let pair = [(decode, prost)];
                let decode = Figure::beside(name, "for each frame", "prost decode", &pair);
                report.figures.push(engine.at_most(0.0).exact());
                report.figures.push(decode.exact());
            }
            _ => report
                .notes
                .push("SKIPPED allocations: counted by a build that is not optimized".into()),
        }
    }
    Ok(report)
}

type Kind = (&'static str, Stream, fn(i64) -> Body);
const KINDS: [Kind; 2] = [
    ("12 numerics", Stream::Numerics, numerics),
    ("3 waveforms at 250 Hz", Stream::Waveforms, waveform),
];

/// What came out.
#[derive(Debug, Serialize)]
struct Cost {
    frames: &'static str,
    bytes: usize,
    rounds: u16,
    prost_ns: Spread,
    decode_ns: Spread,
    engine_ns: Spread,
    /// Of all that the live view does with a record to the yardstick.
    ratio: Spread,
    /// Of the engine alone to the yardstick.
    engine_ratio: Spread,
    /// Of `prost`, of decoding and checks, and of the engine, for each frame.
    allocations: [Option<f64>; 3],
}

impl Cost {
    fn lines(&self) -> Vec<String> {
        let line = |what: &str, unit: &str, figures: &Spread| {
            let Spread {
                least,
                median,
                greatest,
            } = figures;
            format!("  {what:<34}{median:>8.2} {unit}  ({least:.2} to {greatest:.2})")
        };
        vec![
            format!(
                "{}, {} bytes, {} rounds of {FRAMES}: median (least to greatest)",
                self.frames, self.bytes, self.rounds
            ),
            line("prost decode of the frame", "ns", &self.prost_ns),
            line("decode and checks of the record", "ns", &self.decode_ns),
            line("order, state and alerts", "ns", &self.engine_ns),
            line("all of it to prost decode", "x ", &self.ratio),
            line("order, state and alerts to it", "x ", &self.engine_ratio),
        ]
    }
}

/// What one turn took.
struct Turn {
    prost: Spent,
    decode: Spent,
    engine: Spent,
}

/// Microseconds, and allocations where this build counts them.
#[derive(Clone, Copy)]
struct Spent {
    us: i64,
    allocations: Option<u64>,
}

/// A build that checks itself counts what is allocated; one that is optimized does not
/// pay for that.
#[cfg(debug_assertions)]
fn counted(step: impl FnOnce() -> Result<()>) -> (Result<()>, Option<u64>) {
    let mut done = Ok(());
    let counted = allocation_counter::measure(|| done = step());
    (done, Some(counted.count_total))
}

#[cfg(not(debug_assertions))]
fn counted(step: impl FnOnce() -> Result<()>) -> (Result<()>, Option<u64>) {
    (step(), None)
}

/// One engine and what it is fed.
struct Bench {
    clock: SystemClock,
    engine: Engine,
    out: Effects,
    vehicle: Vehicle,
    stream: Stream,
    body: fn(i64) -> Body,
    second: i64,
}

fn measure(name: &'static str, stream: Stream, body: fn(i64) -> Body, rounds: u16) -> Result<Cost> {
    let vehicle = vehicles(1)?.pop().context("no vehicle")?;
    let mut bench = Bench {
        clock: SystemClock::new(),
        engine: Engine::new(vehicle.transfer.clone()),
        out: Effects::default(),
        vehicle,
        stream,
        body,
        second: 0,
    };
    bench.admit()?;
    bench.round(BEFORE)?;
    let frames = i64::try_from(FRAMES)?;
    let rounds: Vec<Vec<Turn>> = (0..rounds)
        .map(|_| bench.round(frames))
        .collect::<Result<_>>()?;
    let (_, frame) = bench.frame(bench.second);
    Ok(Cost {
        frames: name,
        bytes: frame.len(),
        rounds: u16::try_from(rounds.len())?,
        prost_ns: spread(&rounds, |r| per_frame(r.prost.us)),
        decode_ns: spread(&rounds, |r| per_frame(r.decode.us)),
        engine_ns: spread(&rounds, |r| per_frame(r.engine.us)),
        ratio: spread(&rounds, |r| {
            over(r.decode.us.saturating_add(r.engine.us), r.prost.us)
        }),
        engine_ratio: spread(&rounds, |r| over(r.engine.us, r.prost.us)),
        allocations: [
            allocations(&rounds, |turn| turn.prost),
            allocations(&rounds, |turn| turn.decode),
            allocations(&rounds, |turn| turn.engine),
        ],
    })
}

impl Bench {
    /// An adult with every overlay that the book has for one.
    fn admit(&mut self) -> Result<()> {
        let book = RuleBook::built_in();
        let info = TransferInfo {
            hospital: "bench".to_owned(),
            population: Population {
                age_band: Some(AgeBand::Adult),
                weight_g: None,
            },
            conditions: book.overlays().iter().map(|o| o.name.clone()).collect(),
            ..TransferInfo::default()
        };
        let entry = Entry::Registry {
            action_id: "admit".to_owned(),
            actor: "bench".to_owned(),
            action: RegistryAction::Put(info),
            happened_unrecorded: None,
        };
        let record = self.record(EngineTime(super::START), entry);
        let verdict = self.engine.handle(&record, &mut self.out);
        if verdict != Verdict::Applied {
            bail!("the engine refuses its patient: {verdict:?}");
        }
        Ok(())
    }

    fn record(&self, at: EngineTime, entry: Entry) -> Record {
        Record {
            position: Position(1),
            at,
            received_at: ServerTime(at.0),
            transfer: self.vehicle.transfer.clone(),
            entry,
        }
    }

    /// The journal's payload, and the frame in it as its gateway wrote it.
    fn frame(&self, second: i64) -> (Bytes, Bytes) {
        let append = self
            .vehicle
            .record(self.stream, second, (self.body)(second));
        let record = v1::Record::decode(append.payload.clone()).ok();
        let frame = match record.and_then(|record| record.entry) {
            Some(v1::record::Entry::Frame(received)) => received.frame,
            _ => Bytes::new(),
        };
        (append.payload, frame)
    }

    fn round(&mut self, frames: i64) -> Result<Vec<Turn>> {
        let mut round = Vec::new();
        let last = self.second.saturating_add(frames);
        while self.second < last {
            let turn = self.second..self.second.saturating_add(i64::try_from(TURN)?);
            let made: Vec<(i64, (Bytes, Bytes))> =
                turn.map(|second| (second, self.frame(second))).collect();
            let prost = self.timed(|_| {
                for (_, (_, frame)) in &made {
                    black_box(v1::Frame::decode(black_box(frame.clone()))?);
                }
                Ok(())
            })?;
            // Given back at once, as a server does: memory that is fresh for each would be
            // measured instead.
            let decode = self.timed(|_| {
                for (_, (payload, _)) in &made {
                    black_box(record::decode(black_box(payload))?);
                }
                Ok(())
            })?;
            let at = |second: i64| EngineTime(super::START.saturating_add(second * 1_000_000));
            let records: Vec<Record> = made
                .iter()
                .map(
                    |(second, (payload, _))| Ok(self.record(at(*second), record::decode(payload)?)),
                )
                .collect::<Result<_>>()?;
            let engine = self.timed(|bench| {
                for record in &records {
                    bench.out.clear();
                    let verdict = bench.engine.handle(record, &mut bench.out);
                    if !matches!(verdict, Verdict::Accepted { late: false }) {
                        bail!("the engine says {verdict:?}");
                    }
                    black_box(&bench.out);
                }
                Ok(())
            })?;
            round.push(Turn {
                prost,
                decode,
                engine,
            });
            self.second = self.second.saturating_add(i64::try_from(TURN)?);
        }
        Ok(round)
    }

    /// What `step` takes.
    fn timed(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<Spent> {
        let clock = self.clock;
        let began = clock.monotonic();
        let (done, allocations) = counted(|| step(self));
        done?;
        Ok(Spent {
            us: us_since(&clock, began),
            allocations,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
fn per_frame(us: i64) -> f64 {
    us as f64 * 1_000.0 / TURN as f64
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
fn over(us: i64, yardstick: i64) -> f64 {
    us as f64 / yardstick.max(1) as f64
}

/// For each frame, over all rounds.
fn allocations(rounds: &[Vec<Turn>], of: fn(&Turn) -> Spent) -> Option<f64> {
    let turns = rounds.iter().flatten();
    let all: Option<u64> = turns.clone().map(|turn| of(turn).allocations).sum();
    let frames = float(u64::try_from(turns.count() * TURN).ok()?);
    Some(float(all?) / frames)
}

fn spread(rounds: &[Vec<Turn>], of: impl Fn(&Turn) -> f64) -> Spread {
    let median = |turns: &Vec<Turn>| Spread::of(turns.iter().map(&of).collect()).median;
    Spread::of(rounds.iter().map(median).collect())
}
