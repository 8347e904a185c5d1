//! `enroute bench latency`: from the moment in which a frame is handed to the network
//! to the viewer that has it over gRPC, at a steady pace through Mosquitto.
//!
//! The yardstick is what nobody can be below: the same frames through the broker to a
//! bare subscriber, and one synced write of the store with as many records as come in
//! a commit interval. Both clocks are the same machine's.

use super::bare::Times;
use super::figures::{Figure, Report, progress};
use super::flow::{counting, load};
use super::parts::{MOSQUITTO, Mosquitto, Server, float, found, until};
use super::us_since;
use crate::args::MeasureArgs;
use crate::client::RESPONSE_BYTES_MAX;
use crate::clock::SystemClock;
use crate::simulate::Data;
use anyhow::{Context, Result};
use enroute_journal::bare::Bare;
use enroute_model::time::Clock;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::{Message, v1};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Endpoint;

/// As many as a viewer may name.
const TRANSFERS: u64 = 64;
/// Frames a second, and the aim.
const RATES: [(u64, f64); 2] = [(1_000, 1.5), (10_000, 2.5)];
/// The journal's commit interval, which is configured and not the machine's.
const INTERVAL_US: f64 = 3_000.0;
/// Synced writes of which the 99th percentile is taken.
const COMMITS: u64 = 300;
/// Bytes of a record.
const RECORD: usize = 200;

/// How long after the last sample the rest counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// What p99 is held against.
const OVER: &str = "broker alone and one commit";

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, seconds) = if args.short { (1, 1) } else { (args.rounds, 4) };
    let mut report = Report::new(
        "latency",
        format!(
            "{rounds} rounds of {seconds} s, frames of twelve numerics of {TRANSFERS} transfers \
             through Mosquitto; yardstick of p99: the broker alone and one commit, each its p99; \
             its ratio leaves out the commit interval of 3 ms"
        ),
    );
    if found("mosquitto", &[MOSQUITTO]).is_none() {
        report.notes.push("SKIPPED: no mosquitto".into());
        return Ok(report);
    }
    for (rate, most) in RATES {
        let mut all = Vec::new();
        for round in 1..=rounds {
            progress(format!(
                "latency at {rate} frames/s, round {round} of {rounds}"
            ));
            let mosquitto = Mosquitto::start().await?.context("no mosquitto")?;
            let alone = alone(&mosquitto, rate, seconds).await?;
            let commit = commit(rate)?;
            let ours = ours(&mosquitto, rate, seconds).await?;
            all.push((ours, alone, commit));
        }
        let word = format!("latency/{rate}");
        let per = |name: &str, unit: &str, of: fn(&Ours) -> f64| {
            let seen = all.iter().map(|(ours, _, _)| of(ours)).collect();
            Figure::new(format!("{word}/{name}"), unit, seen)
        };
        let pairs: Vec<(f64, f64)> = all
            .iter()
            .map(|(ours, [_, broker, _], commit)| (ours.p99 - INTERVAL_US, broker + commit))
            .collect();
        let p99 = Figure::beside(format!("{word}/p99-less-interval"), "µs", OVER, &pairs);
        report.figures.extend([
            p99.at_most(most),
            per("p50", "µs", |ours| ours.p50),
            per("p99", "µs", |ours| ours.p99),
            per("p99.9", "µs", |ours| ours.p999),
            per("conflated", "%", |ours| ours.conflated),
            per("lost", "frames", |ours| ours.lost),
        ]);
    }
    Ok(report)
}

/// What a viewer of the samples of all transfers saw; times in microseconds.
struct Ours {
    p50: f64,
    p99: f64,
    p999: f64,
    /// In a hundred: made room for newer ones because the viewer was behind.
    conflated: f64,
    /// Never came, and nobody says why.
    lost: f64,
}

/// Through the broker alone: median, 99th, 99.9th percentile.
async fn alone(mosquitto: &Mosquitto, rate: u64, seconds: u64) -> Result<[f64; 3]> {
    let (mut count, broker) = counting(Some(mosquitto)).await?;
    let mut load = load(&broker, TRANSFERS).await?;
    count.tell(&format!("time {}", rate * seconds)).await?;
    load.tell(&format!("pace {rate} {seconds}")).await?;
    let words = count.says("done").await?;
    let numbers: Vec<f64> = { words.split_whitespace() }
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    <[f64; 3]>::try_from(numbers).ok().context("no percentiles")
}

/// The 99th percentile of one synced write of what comes in a commit interval.
fn commit(rate: u64) -> Result<f64> {
    let data = Data::at(None, "enroute-bench-store")?;
    let store = Bare::open(data.path())?;
    let clock = SystemClock::new();
    let mut times = Times::new()?;
    let records = (rate * 3 / 1_000).max(1);
    for round in 0..COMMITS {
        let row = |record: u64| {
            let key = (round * records + record).to_be_bytes().to_vec();
            (key, vec![7; RECORD])
        };
        let rows = (0..records).map(row).collect();
        let began = clock.monotonic();
        store.commit(rows)?;
        times.add(us_since(&clock, began));
    }
    Ok(times.of(0.99))
}

async fn ours(mosquitto: &Mosquitto, rate: u64, seconds: u64) -> Result<Ours> {
    let server = Server::start(Some(mosquitto.port)).await?;
    let mut load = load(&server.broker, TRANSFERS).await?;
    // All transfers are there, and every part has run once.
    load.tell("pace 1000 1").await?;
    load.says("sent").await?;
    until("the first second", async || {
        Ok(server.frames().await? >= 1_000.0)
    })
    .await?;
    let mut stream = samples(&server.http).await?;
    let clock = SystemClock::new();
    let mut times = Times::new()?;
    load.tell(&format!("pace {rate} {seconds}")).await?;
    let all = rate * seconds;
    let (mut left, mut conflated) = (all, 0);
    let mut last = Instant::now();
    while left > conflated {
        let Ok(message) = timeout_at(last + LOST_AFTER, stream.message()).await else {
            break;
        };
        match message?.context("the stream ended")?.update {
            Some(v1::watch_response::Update::Samples(sample)) => {
                let frame = v1::Frame::decode(sample.frame)?;
                let captured_at = frame.header.context("no header")?.captured_at_us;
                times.add(clock.wall().saturating_sub(captured_at));
                left = left.saturating_sub(1);
                last = Instant::now();
            }
            Some(v1::watch_response::Update::Heartbeat(beat)) => conflated = beat.conflated,
            _ => {}
        }
    }
    let [p50, p99, p999] = times.percentiles();
    Ok(Ours {
        p50,
        p99,
        p999,
        conflated: float(conflated.min(left)) / float(all) * 100.0,
        lost: float(left.saturating_sub(conflated)),
    })
}

/// The samples of all transfers, once the first message is there.
async fn samples(server: &str) -> Result<tonic::Streaming<v1::WatchResponse>> {
    let channel = Endpoint::from_shared(format!("http://{server}"))?;
    let channel = channel.tcp_nodelay(true).connect().await?;
    let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let request = v1::WatchRequest {
        transfer: (0..TRANSFERS).map(|n| format!("tx-bench-{n}")).collect(),
        samples: true,
        ..v1::WatchRequest::default()
    };
    let mut stream = client.watch(request).await?.into_inner();
    stream.message().await?.context("no first message")?;
    Ok(stream)
}
