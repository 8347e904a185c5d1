//! `enroute bench`: what this build costs on this machine. Each measure is a module;
//! here are the content that all of them send, and what starts them.
//!
//! A figure is a ratio to a yardstick that is measured in the same run, in turns with
//! it: the median of the rounds, with their range. What else the machine does falls on
//! both. Start reading at `figures.rs` and `parts.rs`.

mod all;
mod backfill;
mod bare;
mod capacity;
mod check;
mod counts;
mod day;
mod engine;
mod fanout;
mod figures;
mod flow;
mod latency;
mod load;
mod parts;
mod recordings;
mod restart;
mod store;
mod wire;

use crate::args::{BenchArgs, BenchKind, PartArgs};
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use all::Measure;
use anyhow::{Result, anyhow};
use bytes::Bytes;
use enroute_journal::{Append, Class};
use enroute_live::Options;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric, Waveform};
use enroute_model::ids::{Epoch, GatewayId, Lane, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::time::{Clock, EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::record;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};

/// When the made-up transfers began, microseconds UTC.
const START: i64 = 1_700_000_000_000_000;
/// A resting adult: quantity, value, decimals.
const NUMERICS: [(&str, i64, u8); 12] = [
    ("hr", 82, 0),
    ("pr", 82, 0),
    ("spo2", 97, 0),
    ("rr_imp", 15, 0),
    ("nibp_sys", 121, 0),
    ("nibp_dia", 74, 0),
    ("nibp_mean", 90, 0),
    ("abp_sys", 123, 0),
    ("abp_dia", 72, 0),
    ("abp_mean", 89, 0),
    ("temp1", 368, 1),
    ("etco2", 38, 0),
];
/// Samples of one waveform frame of a second.
const SAMPLES: u16 = 250;

/// Runs the command.
pub(crate) async fn run(args: BenchArgs, log: Option<&str>) -> Result<ExitCode> {
    // The live view says that its journal has ended: that is meant here.
    log::start(log, None, Some("error,enroute_live=off"), Screen::Free)?;
    match args.kind {
        BenchKind::Restart(args) => restart::run(&args).await?,
        BenchKind::Engine(args) => engine::run(&args)?,
        BenchKind::Bytes(args) => wire::run(&args).await?,
        BenchKind::Recordings(args) => recordings::run(&args).await?,
        BenchKind::Counts(args) => all::one(Measure::Counts, &args).await?,
        BenchKind::Throughput(args) => all::one(Measure::Throughput, &args).await?,
        BenchKind::Latency(args) => all::one(Measure::Latency, &args).await?,
        BenchKind::Journal(args) => all::one(Measure::Journal, &args).await?,
        BenchKind::Fanout(args) => all::one(Measure::Fanout, &args).await?,
        BenchKind::Backfill(args) => all::one(Measure::Backfill, &args).await?,
        BenchKind::Capacity(args) => all::one(Measure::Capacity, &args).await?,
        BenchKind::All(args) => return all::run(&args).await,
        BenchKind::Check(args) => return check::check(&args).await,
        BenchKind::Table(args) => check::table(&args)?,
        BenchKind::Part(part) => play(part).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A process of a measure.
async fn play(part: PartArgs) -> Result<()> {
    match part {
        PartArgs::Load(args) => load::run(&args).await,
        PartArgs::Count(args) => bare::count(&args).await,
        PartArgs::Stream => bare::stream().await,
        PartArgs::Viewers(args) => bare::viewers(&args).await,
        PartArgs::Capacity(args) => capacity::hold(&args).await,
    }
}

/// Microseconds since `began`.
fn us_since(clock: &SystemClock, began: Span) -> i64 {
    clock.monotonic().0.saturating_sub(began.0)
}

/// A clock that is set.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn wall(&self) -> i64 {
        START.saturating_add(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Span {
        Span(self.0.load(Ordering::Relaxed))
    }
}

/// Never comes by itself.
fn still() -> Options {
    Options {
        tick: std::time::Duration::from_hours(24),
        ..Options::default()
    }
}

struct Vehicle {
    transfer: TransferId,
    gateway: GatewayId,
}

fn vehicles(count: u16) -> Result<Vec<Vehicle>> {
    let one = |number| {
        Ok(Vehicle {
            transfer: TransferId::new(&format!("tx-bench-{number}"))
                .map_err(|_| anyhow!("no id"))?,
            gateway: GatewayId::new(&format!("gw-bench-{number}")).map_err(|_| anyhow!("no id"))?,
        })
    };
    (0..count).map(one).collect()
}

impl Vehicle {
    /// A frame of this second that came live and at once.
    fn record(&self, stream: Stream, second: i64, body: Body) -> Append {
        let us = START.saturating_add(second.saturating_mul(1_000_000));
        let frame = Frame {
            header: Header {
                epoch: Epoch(1),
                stream,
                sequence: second.unsigned_abs().saturating_add(1),
                leg_first: 1,
                captured_at: GatewayTime(us),
                observed_at: None,
                boot: 1,
                monotonic: Span::from_secs(second),
                clocks: None,
                exercise: true,
            },
            body,
        };
        let frame = Bytes::from(enroute_wire::frame::encode(&frame));
        self.append(stream, second, frame)
    }

    fn append(&self, stream: Stream, second: i64, frame: Bytes) -> Append {
        let us = START.saturating_add(second.saturating_mul(1_000_000));
        let class = match stream {
            Stream::Waveforms => Class::Waveforms,
            Stream::Events | Stream::Numerics => Class::Vitals,
        };
        Append {
            class,
            transfer: self.transfer.clone(),
            at: EngineTime(us),
            received_at: ServerTime(us),
            payload: record::of_frame(&self.gateway, Lane::Live, frame),
        }
    }
}

fn numerics(second: i64) -> Body {
    let one = |(id, value, decimals): &(&str, i64, u8)| {
        let vital = catalogue().vital_by_id(id)?;
        let value = Decimal::new(value.saturating_add(second % 3), *decimals)?;
        Some(Numeric {
            metric: Metric {
                code: vital.code,
                label: String::new(),
            },
            unit: String::new(),
            reading: Reading::Value {
                value,
                validity: Validity::Measured,
            },
            interval: Span::from_secs(1),
        })
    };
    Body::Numerics(NUMERICS.iter().filter_map(one).collect())
}

fn waveform(second: i64) -> Body {
    waveforms(second, 3)
}

/// So many channels of a second.
fn waveforms(second: i64, channels: usize) -> Body {
    let sample = |n: u16| Some(i32::from(n % 97) - 48);
    let first = second.unsigned_abs().saturating_mul(u64::from(SAMPLES));
    let ids = ["ecg_ii", "pleth", "abp", "resp"];
    let channels = { ids.into_iter() }
        .take(channels)
        .filter_map(|id| catalogue().waveform_by_id(id));
    let one = |code| Waveform {
        metric: Metric {
            code,
            label: String::new(),
        },
        unit: String::new(),
        rate_hz: f64::from(SAMPLES),
        gain: 200.0,
        baseline: 0,
        first_sample: first,
        start_offset: Span::ZERO,
        samples: (0..SAMPLES).map(sample).collect(),
    };
    Body::Waveforms(channels.map(|channel| one(channel.code)).collect())
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1e6
}

/// Bytes of all files below `dir`, each read once.
fn read_all(dir: &Path) -> Result<u64> {
    let mut bytes = 0u64;
    let mut buffer = vec![0; 1 << 20];
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes = bytes.saturating_add(read_all(&entry.path())?);
            continue;
        }
        let mut file = std::fs::File::open(entry.path())?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            bytes = bytes.saturating_add(u64::try_from(read)?);
        }
    }
    Ok(bytes)
}
