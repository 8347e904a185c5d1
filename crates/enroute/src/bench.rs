//! `enroute bench`. `restart`: how long a server with many active transfers takes to
//! come back after its power was cut.
//!
//! The journal is written by the real live view, snapshots at its own pace, on a
//! clock that runs as fast as the machine can. Nothing says goodbye. Then it is
//! opened as a server opens it, until the live view answers. All transfers begin
//! in the same second, so that their snapshots fall due together: the tail to be
//! run again is the longest that the pace allows.

mod day;
mod engine;
mod recordings;
mod wire;

use crate::args::{BenchArgs, BenchKind, RestartArgs};
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::out;
use crate::simulate::Data;
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use enroute_journal::{Append, Class, Journal};
use enroute_live::{Live, Options, Started};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric, Waveform};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::time::{Clock, EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::record;
use serde::Serialize;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
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
        BenchKind::Restart(args) => restart(&args).await?,
        BenchKind::Engine(args) => engine::run(&args)?,
        BenchKind::Bytes(args) => wire::run(&args)?,
        BenchKind::Recordings(args) => recordings::run(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn restart(args: &RestartArgs) -> Result<()> {
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
async fn crash(journal: Journal, started: Started) -> Result<()> {
    let mut health = started.live.health();
    drop(started);
    let closed = tokio::task::spawn_blocking(move || journal.close()).await?;
    closed.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
    while health.changed().await.is_ok() {}
    Ok(())
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
    fn second(&self, second: i64, waveforms: bool) -> Vec<Append> {
        let mut records = vec![self.record(Stream::Numerics, second, numerics(second))];
        if waveforms {
            records.push(self.record(Stream::Waveforms, second, waveform(second)));
        }
        records
    }

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
        let class = match stream {
            Stream::Waveforms => Class::Waveforms,
            Stream::Events | Stream::Numerics => Class::Vitals,
        };
        let frame = Bytes::from(enroute_wire::frame::encode(&frame));
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
    let sample = |n: u16| Some(i32::from(n % 97) - 48);
    let first = second.unsigned_abs().saturating_mul(u64::from(SAMPLES));
    let channels = ["ecg_ii", "pleth", "abp"];
    let channels = channels
        .into_iter()
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
