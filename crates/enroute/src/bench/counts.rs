//! `enroute bench counts`: what does not depend on how fast a machine is. Commits and
//! system calls of a server that gets ten thousand frames a second through Mosquitto,
//! and encodings of an update that ten viewers are told. What a frame allocates, the
//! engine's measure counts.
//!
//! What comes with one read, and so how many calls a frame takes at a pace, is the
//! machine's. So calls are also counted while a burst waits in the broker's queue: then
//! every read and every commit has as much as it may, which is the same everywhere.

use super::fanout::Shape;
use super::figures::{Figure, Report, progress};
use super::flow::{Viewer, load};
use super::parts::{MOSQUITTO, Mosquitto, Part, Server, float, found, until};
use super::us_since;
use crate::args::MeasureArgs;
use crate::clock::SystemClock;
use anyhow::{Context, Result};
use enroute_model::time::Clock;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Frames a second.
const RATE: u64 = 10_000;
/// Transfers that they are of.
const TRANSFERS: u64 = 200;
/// Viewers of one transfer.
const VIEWERS: u64 = 10;
/// Frames of a burst: fewer than wait in the broker's queue.
const BURST: u64 = 8_000;
/// The journal commits when its interval is over, and cannot do so more often: so much
/// more is something else.
const COMMITS_WITHIN: f64 = 1.5;
/// One call more for each frame is several times as much.
const CALLS_WITHIN: f64 = 2.0;
/// Looks without one more frame, after which the broker has dropped the rest.
const STILL: u32 = 200;
/// A viewer that is behind is told what nobody else is; one encoding for each is ten.
const ENCODINGS_WITHIN: f64 = 3.0;

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, seconds) = if args.short { (1, 2) } else { (args.rounds, 2) };
    let mut report = Report::new(
        "counts",
        format!("{rounds} rounds of {seconds} s at {RATE} frames/s"),
    );
    if found("mosquitto", &[MOSQUITTO]).is_some() {
        server((rounds, seconds), &mut report).await?;
    } else {
        report.notes.push("SKIPPED: no mosquitto".into());
    }
    progress(format!("encodings for {VIEWERS} viewers"));
    let mut shape = Shape::start(1, VIEWERS, seconds).await?;
    let mut encodings = Vec::new();
    for _ in 0..rounds {
        encodings.push(shape.ours().await?.encodings);
    }
    let encodings = Figure::new("counts/encodings", "for each update", encodings);
    let encodings = encodings.at_most(1.1).within(ENCODINGS_WITHIN);
    report.figures.push(encodings);
    Ok(report)
}

async fn server((rounds, seconds): (u16, u64), report: &mut Report) -> Result<()> {
    let mosquitto = Mosquitto::start().await?.context("no mosquitto")?;
    let server = Server::start(Some(mosquitto.port)).await?;
    let mut viewer = Viewer::open(&server.http).await?;
    let mut fed = Fed {
        load: load(&server.broker, TRANSFERS).await?,
        server,
        sent: 0,
    };
    fed.paced(1_000, 1).await?;
    fed.drained().await?;
    let (mut commits, mut calls, mut in_bursts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        progress(format!("commits, round {round} of {rounds}"));
        commits.push(fed.commits(seconds).await?);
        progress(format!("system calls, round {round} of {rounds}"));
        calls.extend(fed.calls(seconds).await?);
        in_bursts.extend(fed.calls_in_burst(&mut viewer).await?);
    }
    let commits = Figure::new("counts/commits", "for each frame", commits);
    let commits = commits.at_most(0.1).within(COMMITS_WITHIN);
    report.figures.push(commits);
    if calls.is_empty() || in_bursts.is_empty() {
        let note = "SKIPPED system calls: there is no strace, or it may not trace the server";
        report.notes.push(note.into());
        return Ok(());
    }
    let note = "system calls: all of all the server's threads, counted by strace";
    report.notes.push(note.into());
    let calls = Figure::new("counts/calls", "for each frame", calls);
    let in_bursts = Figure::new("counts/calls-in-bursts", "for each frame", in_bursts);
    let figures = [calls.at_most(0.5), in_bursts.within(CALLS_WITHIN)];
    report.figures.extend(figures);
    Ok(())
}

/// A server and its load.
struct Fed {
    server: Server,
    load: Part,
    sent: u64,
}

impl Fed {
    /// Sends at the pace. Gives how many times as long it took as it should: meanwhile a
    /// timer comes as much more often.
    async fn paced(&mut self, rate: u64, seconds: u64) -> Result<f64> {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        self.load.tell(&format!("pace {rate} {seconds}")).await?;
        self.load.says("sent").await?;
        self.sent += rate * seconds;
        let took_s = float(us_since(&clock, began).unsigned_abs()) / 1e6;
        Ok((took_s / float(seconds)).max(1.0))
    }

    /// Waits until all is durable, or nothing more comes: the broker dropped the rest.
    async fn drained(&self) -> Result<()> {
        let (mut seen, mut still) = (0.0, 0);
        until("what was sent", async || {
            let now = self.server.frames().await?;
            still = if now > seen { 0 } else { still + 1 };
            seen = now;
            Ok(now >= float(self.sent) || still > STILL)
        })
        .await
    }

    /// Commits for each frame.
    async fn commits(&mut self, seconds: u64) -> Result<f64> {
        let metric = "enroute_journal_commit_duration_seconds_count";
        let before = (
            self.server.metric(metric).await?,
            self.server.frames().await?,
        );
        let longer = self.paced(RATE, seconds).await?;
        self.drained().await?;
        let commits = self.server.metric(metric).await? - before.0;
        let frames = self.server.frames().await? - before.1;
        Ok(commits / frames.max(1.0) / longer)
    }

    /// System calls for each frame; `None`: they cannot be counted here.
    async fn calls(&mut self, seconds: u64) -> Result<Option<f64>> {
        let before = self.server.frames().await?;
        let Some(tracing) = Tracing::start(self.server.part.id()?).await? else {
            return Ok(None);
        };
        let longer = self.paced(RATE, seconds).await?;
        let calls = tracing.end().await?;
        let frames = self.server.frames().await? - before;
        self.drained().await?;
        Ok(calls.map(|calls| calls / frames.max(1.0) / longer))
    }

    /// The same while as much as may wait in the broker.
    async fn calls_in_burst(&mut self, viewer: &mut Viewer) -> Result<Option<f64>> {
        self.load.tell(&format!("make {BURST}")).await?;
        let last = self.load.says("made").await?.parse()?;
        let Some(tracing) = Tracing::start(self.server.part.id()?).await? else {
            return Ok(None);
        };
        self.load.tell("go").await?;
        viewer.shows(last, TRANSFERS).await?;
        let calls = tracing.end().await?;
        self.load.says("sent").await?;
        self.sent += BURST;
        self.drained().await?;
        Ok(calls.map(|calls| calls / float(BURST)))
    }
}

/// `strace` on a process that runs.
struct Tracing {
    strace: Child,
    words: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
}

impl Tracing {
    async fn start(process: u32) -> Result<Option<Self>> {
        let Some(strace) = found("strace", &[]) else {
            return Ok(None);
        };
        let mut strace = Command::new(strace)
            .args(["-c", "-f", "-p", &process.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let words = strace.stderr.take().context("strace has no output")?;
        let mut words = BufReader::new(words).lines();
        // It says so when it is on all threads, or why not.
        while let Some(line) = words.next_line().await? {
            if line.contains(" attached") {
                return Ok(Some(Self { strace, words }));
            }
        }
        Ok(None)
    }

    /// Ends it, and gives the sum of what it counted.
    async fn end(mut self) -> Result<Option<f64>> {
        let id = self.strace.id().context("strace has ended")?;
        let mut kill = Command::new("kill");
        kill.args(["-INT", &id.to_string()]).status().await?;
        let mut calls = None;
        while let Some(line) = self.words.next_line().await? {
            calls = calls.or_else(|| total(&line));
        }
        self.strace.wait().await?;
        Ok(calls)
    }
}

/// Of the line of `strace -c` that tells it: percent, seconds, microseconds per call, calls.
fn total(line: &str) -> Option<f64> {
    let line = line.trim_end().strip_suffix(" total")?;
    line.split_whitespace().nth(3)?.parse().ok()
}
