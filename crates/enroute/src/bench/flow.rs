//! `enroute bench throughput`: publishers → broker → ingest → journal with sync →
//! engines → one viewer over gRPC, beside a bare subscriber that only counts, on the
//! same broker with the same load.
//!
//! The load comes in bursts that the queue of both brokers holds, so that nothing is
//! dropped and both have the same to do; a burst of the server is over when its viewer
//! shows the last frame of every transfer, one of the yardstick's when it has counted
//! all. Everything shares one machine: publishers, broker, server, viewer.

use super::figures::{Figure, Report, progress};
use super::parts::{Mosquitto, Part, Server, Through, float, found, until};
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
use std::process::Stdio;
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
/// At which system calls and commits are counted.
const RATE: u64 = 10_000;
/// The script of the other pipeline.
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/node");

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    per_second: f64,
    cpu_us: f64,
}

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, bursts, seconds) = if args.short {
        (1, 1, 1)
    } else {
        (args.rounds, BURSTS, 5)
    };
    let mut report = Report {
        measure: "throughput",
        command: "enroute bench throughput".into(),
        notes: vec![format!(
            "{rounds} rounds of {bursts} bursts of {BURST} frames of twelve numerics, one in a \
             publish, of {TRANSFERS} transfers"
        )],
        figures: Vec::new(),
    };
    for through in [Through::Mosquitto, Through::Embedded] {
        let word = through.word();
        let mut pairs = Vec::new();
        for round in 1..=rounds {
            progress(format!(
                "throughput through {word}, round {round} of {rounds}"
            ));
            let Some(bare) = bare(through, bursts).await? else {
                break;
            };
            let ours = ours(through, bursts).await?;
            pairs.push((ours, bare));
        }
        if pairs.is_empty() {
            report.notes.push("SKIPPED: no mosquitto".into());
            continue;
        }
        let of = |pick: fn(&Flow) -> f64| -> Vec<(f64, f64)> {
            let both = pairs.iter().map(|(ours, bare)| (pick(ours), pick(bare)));
            both.collect()
        };
        let (name, aim) = match through {
            Through::Mosquitto => ("throughput/mosquitto", 0.9),
            Through::Embedded => ("throughput/embedded", 0.45),
        };
        let rates = Figure::beside(name, "frames/s", &of(|flow| flow.per_second));
        report.figures.push(rates.at_least(aim));
        if through == Through::Mosquitto {
            let of_ours = of(|flow| flow.cpu_us).into_iter().map(|pair| pair.0);
            let cpu = Figure::new("throughput/processor", "µs/frame", of_ours.collect());
            report.figures.push(cpu.at_most(12.0));
            let beside = of(|flow| flow.cpu_us);
            let beside = Figure::beside("throughput/processor-to-bare", "µs/frame", &beside);
            report.figures.push(beside);
        }
    }
    node(rounds, bursts, &mut report).await?;
    counts(seconds, &mut report).await?;
    Ok(report)
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

/// `None`: there is no Mosquitto.
async fn bare(through: Through, bursts: u64) -> Result<Option<Flow>> {
    if through == Through::Mosquitto && found("mosquitto", &["/usr/sbin/mosquitto"]).is_none() {
        return Ok(None);
    }
    let mosquitto = mosquitto(through).await?;
    let (mut count, broker) = counting(mosquitto.as_ref()).await?;
    let mut load = load(&broker, TRANSFERS).await?;
    let clock = SystemClock::new();
    let (mut took, mut before) = (0, 0.0);
    for burst in 0..=bursts {
        load.tell(&format!("make {BURST}")).await?;
        load.says("made").await?;
        if burst == 1 {
            before = count.used()?.cpu_us;
            took = 0;
        }
        count.tell(&format!("expect {BURST}")).await?;
        let began = clock.monotonic();
        load.tell("go").await?;
        count.says("done").await?;
        took += us_since(&clock, began);
        load.says("sent").await?;
    }
    let cpu = count.used()?.cpu_us - before;
    Ok(Some(flow(bursts, took, cpu)))
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
    let (mut took, mut before) = (0, 0.0);
    for burst in 0..=bursts {
        load.tell(&format!("make {BURST}")).await?;
        let last = load.says("made").await?.parse()?;
        if burst == 1 {
            before = server.part.used()?.cpu_us;
            took = 0;
        }
        let began = clock.monotonic();
        load.tell("go").await?;
        viewer.shows(last, TRANSFERS).await?;
        took += us_since(&clock, began);
        load.says("sent").await?;
    }
    let cpu = server.part.used()?.cpu_us - before;
    let sent = float((bursts + 1) * BURST);
    // None was dropped by the broker.
    until("the last frames", async || {
        Ok(server.frames().await? >= sent)
    })
    .await?;
    Ok(flow(bursts, took, cpu))
}

impl Server {
    async fn frames(&self) -> Result<f64> {
        self.metric("enroute_frames_durable_total").await
    }
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

/// What the same load costs a plain pipeline in JavaScript: subscribe, decode, check
/// limits, append to a file with a sync for each batch.
async fn node(rounds: u16, bursts: u64, report: &mut Report) -> Result<()> {
    let (Some(node), true) = (
        found("node", &[]),
        Path::new(NODE).join("node_modules").exists(),
    ) else {
        let note = format!("SKIPPED the Node.js pipeline: run `npm ci` in {NODE}");
        report.notes.push(note);
        return Ok(());
    };
    let mut pairs = Vec::new();
    for round in 1..=rounds {
        progress(format!("beside Node.js, round {round} of {rounds}"));
        let Some(mosquitto) = Mosquitto::start().await? else {
            return Ok(());
        };
        let mut command = Command::new(&node);
        command.arg(Path::new(NODE).join("pipeline.mjs"));
        command.arg(format!("mqtt://127.0.0.1:{}", mosquitto.port));
        let mut pipeline = Part::start(command)?;
        pipeline.says("ready").await?;
        let mut load = load(&format!("127.0.0.1:{}", mosquitto.port), TRANSFERS).await?;
        let mut before = 0.0;
        for burst in 0..=bursts {
            load.tell(&format!("make {BURST}")).await?;
            load.says("made").await?;
            if burst == 1 {
                before = pipeline.used()?.cpu_us;
            }
            pipeline.tell(&format!("expect {BURST}")).await?;
            load.tell("go").await?;
            pipeline.says("done").await?;
            load.says("sent").await?;
        }
        let theirs = (pipeline.used()?.cpu_us - before) / float(bursts * BURST);
        drop((pipeline, load, mosquitto));
        pairs.push((ours(Through::Mosquitto, bursts).await?.cpu_us, theirs));
    }
    let beside = Figure::beside("throughput/processor-to-node", "µs/frame", &pairs);
    report.figures.push(beside.at_most(0.5));
    Ok(())
}

/// Commits and system calls of the server for each frame, at a steady pace.
async fn counts(seconds: u64, report: &mut Report) -> Result<()> {
    progress(format!("commits and system calls at {RATE} frames/s"));
    let mosquitto = Mosquitto::start().await?;
    let server = Server::start(mosquitto.as_ref().map(|mosquitto| mosquitto.port)).await?;
    let mut load = load(&server.broker, TRANSFERS).await?;
    let _viewer = Viewer::open(&server.http).await?;
    let commits = "enroute_journal_commit_duration_seconds_count";
    let paced = format!("pace {RATE} {seconds}");
    load.tell("pace 1000 1").await?;
    load.says("sent").await?;
    let before = (server.metric(commits).await?, server.frames().await?);
    load.tell(&paced).await?;
    load.says("sent").await?;
    let after = (server.metric(commits).await?, server.frames().await?);
    let each = (after.0 - before.0) / (after.1 - before.1).max(1.0);
    let each = Figure::new("throughput/commits", "commits/frame", vec![each]);
    report.figures.push(each.at_most(0.1));
    let Some(strace) = found("strace", &[]) else {
        report.notes.push("SKIPPED system calls: no strace".into());
        return Ok(());
    };
    let mut tracing = Command::new(strace);
    tracing.args(["-c", "-f", "-p", &server.part.id()?.to_string()]);
    let tracing = tracing
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let before = server.frames().await?;
    load.tell(&paced).await?;
    load.says("sent").await?;
    let frames = server.frames().await? - before;
    let tracer = tracing
        .id()
        .context("strace has ended: may this user trace?")?;
    Command::new("kill")
        .args(["-INT", &tracer.to_string()])
        .status()
        .await?;
    let told = tracing.wait_with_output().await?;
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let Some(calls) = calls(&told) else {
        report
            .notes
            .push("SKIPPED system calls: strace may not trace the server".into());
        return Ok(());
    };
    report.notes.push(format!(
        "system calls: all of all the server's threads while strace counted them, {RATE} frames/s"
    ));
    let each = Figure::new(
        "throughput/calls",
        "calls/frame",
        vec![calls / frames.max(1.0)],
    );
    report.figures.push(each.at_most(0.5));
    Ok(())
}

/// The sum that `strace -c` tells: percent, seconds, microseconds per call, calls.
fn calls(told: &str) -> Option<f64> {
    let total = told
        .lines()
        .find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}
