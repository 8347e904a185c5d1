//! `enroute bench latency`: from the moment in which a frame is handed to the network
//! to the viewer that has it over gRPC, at a steady pace through Mosquitto.
//!
//! The yardstick is what nobody can be below: the same frames through the broker to a
//! bare subscriber, and one synced write of the store with as many records as come in
//! a commit interval. Both clocks are the same machine's.

use super::bare::Times;
use super::figures::{Figure, Report, progress};
use super::flow::{counting, load, mosquitto};
use super::parts::{Server, Through, float, found};
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
use tonic::transport::Endpoint;

/// As many as a viewer may name.
const TRANSFERS: u64 = 64;
const RATES: [u64; 2] = [1_000, 10_000];
/// The journal's commit interval, which is configured and not the machine's.
const INTERVAL_US: f64 = 3_000.0;
/// Synced writes of which the 99th percentile is taken.
const COMMITS: u64 = 300;
/// Bytes of a record.
const RECORD: usize = 200;

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, seconds) = if args.short {
        (1, 1)
    } else {
        (args.rounds, 10)
    };
    let mut report = Report {
        measure: "latency",
        command: "enroute bench latency".into(),
        notes: vec![format!(
            "{rounds} rounds of {seconds} s, frames of twelve numerics of {TRANSFERS} transfers \
             through Mosquitto; yardstick of p99: the broker alone and one commit, each its p99; \
             its ratio leaves out the commit interval of 3 ms"
        )],
        figures: Vec::new(),
    };
    if found("mosquitto", &["/usr/sbin/mosquitto"]).is_none() {
        report.notes.push("SKIPPED: no mosquitto".into());
        return Ok(report);
    }
    for rate in RATES {
        let mut all = Vec::new();
        for round in 1..=rounds {
            progress(format!(
                "latency at {rate} frames/s, round {round} of {rounds}"
            ));
            let alone = alone(rate, seconds).await?;
            let commit = commit(rate)?;
            let ours = ours(rate, seconds).await?;
            all.push((ours, alone, commit));
        }
        let per = |at: usize| -> Vec<f64> {
            let one = all.iter().filter_map(|(ours, _, _)| ours.get(at).copied());
            one.collect()
        };
        let most = if rate == 1_000 { 1.5 } else { 2.5 };
        let pairs: Vec<(f64, f64)> = all
            .iter()
            .map(|([_, p99, _, _], [_, broker, _], commit)| (p99 - INTERVAL_US, broker + commit))
            .collect();
        let word = format!("latency/{rate}");
        let p99 = Figure::beside(format!("{word}/p99-less-interval"), "µs", &pairs);
        report.figures.extend([
            Figure::new(format!("{word}/p50"), "µs", per(0)),
            Figure::new(format!("{word}/p99"), "µs", per(1)),
            Figure::new(format!("{word}/p99.9"), "µs", per(2)),
            Figure::new(format!("{word}/conflated"), "%", per(3)),
            p99.at_most(most),
        ]);
    }
    Ok(report)
}

/// Through the broker alone: median, 99th, 99.9th percentile.
async fn alone(rate: u64, seconds: u64) -> Result<[f64; 3]> {
    let mosquitto = mosquitto(Through::Mosquitto).await?;
    let (mut count, broker) = counting(mosquitto.as_ref()).await?;
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

/// To a viewer of the samples of all transfers; last, how many in a hundred made room
/// for newer ones because it was behind.
async fn ours(rate: u64, seconds: u64) -> Result<[f64; 4]> {
    let mosquitto = mosquitto(Through::Mosquitto).await?;
    let server = Server::start(mosquitto.as_ref().map(|mosquitto| mosquitto.port)).await?;
    let mut load = load(&server.broker, TRANSFERS).await?;
    // All transfers are there, and every part has run once.
    load.tell("pace 1000 1").await?;
    load.says("sent").await?;
    super::parts::until("the first second", async || {
        Ok(server.metric("enroute_frames_durable_total").await? >= 1_000.0)
    })
    .await?;
    let channel = Endpoint::from_shared(format!("http://{}", server.http))?;
    let channel = channel.tcp_nodelay(true).connect().await?;
    let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let request = v1::WatchRequest {
        transfer: (0..TRANSFERS).map(|n| format!("tx-bench-{n}")).collect(),
        samples: true,
        ..v1::WatchRequest::default()
    };
    let mut stream = client.watch(request).await?.into_inner();
    stream.message().await?.context("no first message")?;
    let clock = SystemClock::new();
    let mut times = Times::new()?;
    load.tell(&format!("pace {rate} {seconds}")).await?;
    let (mut left, mut conflated) = (rate * seconds, 0);
    while left > conflated {
        let message = stream.message().await?.context("the stream ended")?;
        match message.update {
            Some(v1::watch_response::Update::Samples(sample)) => {
                let frame = v1::Frame::decode(sample.frame)?;
                let captured_at = frame.header.context("no header")?.captured_at_us;
                times.add(clock.wall().saturating_sub(captured_at));
                left = left.saturating_sub(1);
            }
            Some(v1::watch_response::Update::Heartbeat(beat)) => conflated = beat.conflated,
            _ => {}
        }
    }
    let [p50, p99, p999] = times.percentiles();
    let conflated = float(left) / float(rate * seconds) * 100.0;
    Ok([p50, p99, p999, conflated])
}
