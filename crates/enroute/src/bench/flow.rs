//! `enroute bench throughput`: publishers → broker → ingest → journal with sync →
//! engines → one viewer over gRPC, beside a bare subscriber that only counts, on the
//! same broker with the same load.
//!
//! The load comes in bursts that the queue of both brokers holds, so that nothing is
//! dropped and both have the same to do; a burst of the server is over when its viewer
//! shows the last frame of every transfer, one of the yardstick's when it has counted
//! all. Everything shares one machine: publishers, broker, server, viewer.

use super::figures::{Figure, Report, progress};
use super::parts::{MOSQUITTO, Mosquitto, Part, Server, Through, float, found, until};
use super::us_since;
use crate::args::MeasureArgs;
use crate::client::RESPONSE_BYTES_MAX;
use crate::clock::SystemClock;
use anyhow::{Context, Result};
use enroute_model::time::Clock;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::watch;
use tonic::transport::Endpoint;

/// Transfers that the load is spread over.
const TRANSFERS: u64 = 200;
/// Frames of a burst: fewer than wait in either broker's queue.
const BURST: u64 = 8_000;
/// Bursts of a round; a first one that is not counted comes before.
const BURSTS: u64 = 10;
/// The script of the other pipeline.
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/node");

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    per_second: f64,
    cpu_us: f64,
}

/// What the figures are beside.
const BARE: &str = "bare rumqttc subscriber";
const NODE_JS: &str = "the same in Node.js";

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, bursts) = if args.short {
        (1, 1)
    } else {
        (args.rounds, BURSTS)
    };
    let mut report = Report::new(
        "throughput",
        format!(
            "{rounds} rounds of {bursts} bursts of {BURST} frames of twelve numerics, one in a \
             publish, of {TRANSFERS} transfers"
        ),
    );
    if found("mosquitto", &[MOSQUITTO]).is_some() {
        through_mosquitto((rounds, bursts), &mut report).await?;
    } else {
        report.notes.push("SKIPPED: no mosquitto".into());
    }
    let mut pairs = Vec::new();
    for round in 1..=rounds {
        progress(format!("the embedded broker, round {round} of {rounds}"));
        let bare = bare(Through::Embedded, bursts).await?;
        pairs.push((ours(Through::Embedded, bursts).await?, bare));
    }
    let rates = of(&pairs, |flow| flow.per_second);
    let rates = Figure::beside("throughput/embedded", "frames/s", BARE, &rates);
    report.figures.push(rates.at_least(0.45));
    Ok(report)
}

/// Bare, ours and Node.js take turns.
async fn through_mosquitto((rounds, bursts): (u16, u64), report: &mut Report) -> Result<()> {
    let (mut pairs, mut beside_node) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        progress(format!("Mosquitto, round {round} of {rounds}"));
        let bare = bare(Through::Mosquitto, bursts).await?;
        let ours = ours(Through::Mosquitto, bursts).await?;
        pairs.push((ours, bare));
        if let Some(theirs) = node(bursts).await? {
            beside_node.push((ours.cpu_us, theirs));
        }
    }
    let rates = of(&pairs, |flow| flow.per_second);
    let rates = Figure::beside("throughput/mosquitto", "frames/s", BARE, &rates);
    let cpu = pairs.iter().map(|(ours, _)| ours.cpu_us).collect();
    let cpu = Figure::new("throughput/processor", "µs/frame", cpu);
    let beside = of(&pairs, |flow| flow.cpu_us);
    let beside = Figure::beside("throughput/processor-to-bare", "µs/frame", BARE, &beside);
    let figures = [rates.at_least(0.9), cpu.at_most(12.0), beside];
    report.figures.extend(figures);
    if beside_node.is_empty() {
        let note = format!("SKIPPED the Node.js pipeline: run `npm ci` in {NODE}");
        report.notes.push(note);
    } else {
        let name = "throughput/processor-to-node";
        let beside = Figure::beside(name, "µs/frame", NODE_JS, &beside_node);
        report.figures.push(beside.at_most(0.5));
    }
    Ok(())
}

fn of(pairs: &[(Flow, Flow)], pick: fn(&Flow) -> f64) -> Vec<(f64, f64)> {
    let both = pairs.iter().map(|(ours, bare)| (pick(ours), pick(bare)));
    both.collect()
}

pub(super) async fn mosquitto(through: Through) -> Result<Option<Mosquitto>> {
    match through {
        Through::Mosquitto => {
            let started = Mosquitto::start().await?;
            Ok(Some(started.context("no mosquitto")?))
        }
        Through::Embedded => Ok(None),
    }
}

pub(super) async fn load(broker: &str, transfers: u64) -> Result<Part> {
    let transfers = transfers.to_string();
    let arguments = ["load", "--broker", broker, "--transfers", &transfers];
    let mut load = Part::own(&arguments.map(str::to_owned))?;
    load.says("ready").await?;
    Ok(load)
}

/// The yardstick, ready, and where its broker is.
pub(super) async fn counting(mosquitto: Option<&Mosquitto>) -> Result<(Part, String)> {
    let mut arguments = vec!["count".to_owned()];
    let at = mosquitto.map(|mosquitto| format!("127.0.0.1:{}", mosquitto.port));
    arguments.extend(at.iter().flat_map(|at| ["--broker".to_owned(), at.clone()]));
    let mut count = Part::own(&arguments)?;
    let broker = match at {
        Some(at) => at,
        None => count.says("broker").await?,
    };
    count.says("ready").await?;
    Ok((count, broker))
}

async fn bare(through: Through, bursts: u64) -> Result<Flow> {
    let mosquitto = mosquitto(through).await?;
    let (mut count, broker) = counting(mosquitto.as_ref()).await?;
    let mut load = load(&broker, TRANSFERS).await?;
    let clock = SystemClock::new();
    let (mut took, mut before) = (0, count.used()?);
    for burst in 0..=bursts {
        load.tell(&format!("make {BURST}")).await?;
        load.says("made").await?;
        if burst == 1 {
            before = count.used()?;
            took = 0;
        }
        count.tell(&format!("expect {BURST}")).await?;
        let began = clock.monotonic();
        load.tell("go").await?;
        count.says("done").await?;
        took += us_since(&clock, began);
        load.says("sent").await?;
    }
    let cpu = count.used()?.cpu_us_since(&before);
    Ok(flow(bursts, took, cpu))
}

fn flow(bursts: u64, took: i64, cpu_us: f64) -> Flow {
    let frames = float(bursts * BURST);
    Flow {
        per_second: frames / (float(took.unsigned_abs()) / 1e6),
        cpu_us: cpu_us / frames,
    }
}

async fn ours(through: Through, bursts: u64) -> Result<Flow> {
    let mosquitto = mosquitto(through).await?;
    let server = Server::start(mosquitto.as_ref().map(|mosquitto| mosquitto.port)).await?;
    let mut load = load(&server.broker, TRANSFERS).await?;
    let mut viewer = Viewer::open(&server.http).await?;
    let clock = SystemClock::new();
    let (mut took, mut before) = (0, server.part.used()?);
    for burst in 0..=bursts {
        load.tell(&format!("make {BURST}")).await?;
        let last = load.says("made").await?.parse()?;
        if burst == 1 {
            before = server.part.used()?;
            took = 0;
        }
        let began = clock.monotonic();
        load.tell("go").await?;
        viewer.shows(last, TRANSFERS).await?;
        took += us_since(&clock, began);
        load.says("sent").await?;
    }
    let cpu = server.part.used()?.cpu_us_since(&before);
    let sent = float((bursts + 1) * BURST);
    // None was dropped by the broker.
    until("the last frames", async || {
        Ok(server.frames().await? >= sent)
    })
    .await?;
    Ok(flow(bursts, took, cpu))
}

/// A viewer of the board that remembers the newest of each transfer.
pub(super) struct Viewer {
    newest: watch::Receiver<BTreeMap<String, i64>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Viewer {
    pub(super) async fn open(server: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{server}"))?
            .connect()
            .await?;
        let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let mut stream = client
            .watch(v1::WatchRequest::default())
            .await?
            .into_inner();
        let (seen, newest) = watch::channel(BTreeMap::new());
        let reading = tokio::spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                for (transfer, value) in values(message) {
                    let at = value.captured_at_us;
                    seen.send_if_modified(|seen: &mut BTreeMap<String, i64>| {
                        let newest = seen.entry(transfer).or_default();
                        let newer = at > *newest;
                        *newest = at.max(*newest);
                        newer
                    });
                }
            }
        });
        Ok(Self { newest, reading })
    }

    /// Waits until so many transfers show a value captured then or later.
    pub(super) async fn shows(&mut self, at: i64, transfers: u64) -> Result<()> {
        let transfers = usize::try_from(transfers)?;
        let all = |seen: &BTreeMap<String, i64>| {
            seen.len() >= transfers && seen.values().all(|newest| *newest >= at)
        };
        let waited = tokio::time::timeout(Duration::from_mins(2), self.newest.wait_for(all));
        waited
            .await
            .context("the viewer never showed the last frames")??;
        Ok(())
    }
}

/// One value of each transfer that the message is about: all of a frame have its time.
fn values(message: v1::WatchResponse) -> Vec<(String, v1::Value)> {
    use v1::watch_response::Update;
    let of_state = |state: v1::TransferState| {
        let values = state.source.into_iter().flat_map(|source| source.value);
        let newest = values.max_by_key(|value| value.captured_at_us);
        newest.map(|value| (state.transfer, value))
    };
    match message.update {
        Some(Update::Values(values)) => {
            let newest = values
                .value
                .into_iter()
                .max_by_key(|value| value.captured_at_us);
            newest
                .map(|value| (values.transfer, value))
                .into_iter()
                .collect()
        }
        Some(Update::Transfer(state)) => of_state(state).into_iter().collect(),
        Some(Update::Snapshot(snapshot)) => {
            snapshot.transfer.into_iter().filter_map(of_state).collect()
        }
        Some(Update::Samples(_) | Update::Alert(_) | Update::Heartbeat(_)) | None => Vec::new(),
    }
}

/// What a frame of the same load costs a plain pipeline in JavaScript: subscribe, decode,
/// check limits, append to a file with a sync for each batch. `None`: it is not installed.
async fn node(bursts: u64) -> Result<Option<f64>> {
    let installed = Path::new(NODE).join("node_modules").exists();
    let (Some(node), true) = (found("node", &[]), installed) else {
        return Ok(None);
    };
    let mosquitto = Mosquitto::start().await?.context("no mosquitto")?;
    let broker = format!("127.0.0.1:{}", mosquitto.port);
    let mut command = Command::new(&node);
    command.arg(Path::new(NODE).join("pipeline.mjs"));
    command.arg(format!("mqtt://{broker}"));
    let mut pipeline = Part::start(command)?;
    pipeline.says("ready").await?;
    let mut load = load(&broker, TRANSFERS).await?;
    let mut before = pipeline.used()?;
    for burst in 0..=bursts {
        load.tell(&format!("make {BURST}")).await?;
        load.says("made").await?;
        if burst == 1 {
            before = pipeline.used()?;
        }
        pipeline.tell(&format!("expect {BURST}")).await?;
        load.tell("go").await?;
        pipeline.says("done").await?;
        load.says("sent").await?;
    }
    let used = pipeline.used()?.cpu_us_since(&before);
    Ok(Some(used / float(bursts * BURST)))
}
