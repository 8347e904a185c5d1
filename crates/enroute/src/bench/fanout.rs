//! `enroute bench fanout`: boards of one transfer and of many, beside a bare `tonic`
//! stream that sends the same values at the same pace.
//!
//! A delivery is one message to one viewer. The server's processor time without
//! viewers is taken off, as it is not the viewers'. Both are paced to the same
//! deliveries a second, which two cores can take with the viewers on them, and a turn
//! is over when its last delivery has come.

use super::figures::{Figure, Report, progress};
use super::flow::load;
use super::parts::{Part, Server, float, until};
use crate::args::MeasureArgs;
use anyhow::{Context, Result, bail};

/// Transfers, viewers and seconds of a turn: longer where there is less to do.
const SHAPES: [(u64, u64, u64); 5] = [
    (1, 1, 3),
    (1, 10, 1),
    (1, 100, 1),
    (1, 1_000, 1),
    (1_000, 10, 1),
];
/// Deliveries a second that a shape is paced to, and at most so many frames: below what
/// the server takes of one gateway for long.
const DELIVERIES: u64 = 5_000;
const FRAMES: u64 = 400;
/// Of idle viewers.
const IDLE: u64 = 100;
/// Looks without one more delivery, after which the rest was conflated.
const STILL: u32 = 10;
/// What all of it is beside.
const BARE: &str = "bare tonic stream";

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let rounds = if args.short { 1 } else { args.rounds };
    let mut report = Report::new(
        "fanout",
        format!(
            "{rounds} rounds, {DELIVERIES} deliveries a second or {FRAMES} frames, each viewer on \
             a connection of its own"
        ),
    );
    for (transfers, viewers, seconds) in SHAPES {
        let mut shape = Shape::start(transfers, viewers, seconds).await?;
        let (mut cpu, mut bytes, mut encodings) = (Vec::new(), Vec::new(), Vec::new());
        // The first round, in which all of it runs for the first time, is not counted.
        for round in 0..=rounds {
            progress(format!(
                "{transfers} to {viewers} viewers, round {round} of {rounds}"
            ));
            let bare = shape.bare().await?;
            let ours = shape.ours().await?;
            if round > 0 {
                cpu.push((ours.cpu_us, bare.cpu_us));
                bytes.push((ours.bytes, bare.bytes));
                encodings.push(ours.encodings);
            }
        }
        let name = format!("fanout/{transfers}-to-{viewers}");
        let cpu = Figure::beside(name.clone(), "µs/delivery", BARE, &cpu);
        let bytes = Figure::beside(format!("{name}/size"), "bytes/delivery", BARE, &bytes);
        let encodings = Figure::new(format!("{name}/encodings"), "for each update", encodings);
        let figures = [cpu.at_most(1.3), bytes, encodings.at_most(1.1)];
        report.figures.extend(figures);
    }
    let mut pairs = Vec::new();
    for round in 1..=rounds {
        progress(format!("idle viewers, round {round} of {rounds}"));
        pairs.push(idle().await?);
    }
    let figure = Figure::beside("fanout/idle-viewer", "KiB", BARE, &pairs);
    report.figures.push(figure.at_most(1.25));
    Ok(report)
}

async fn boards(server: &str, viewers: u64) -> Result<Part> {
    let viewers = viewers.to_string();
    let arguments = ["viewers", "--server", server, "--viewers", &viewers];
    let mut boards = Part::own(&arguments.map(str::to_owned))?;
    boards.says("ready").await?;
    Ok(boards)
}

/// Deliveries and their bytes since it was asked last.
async fn counted(boards: &mut Part) -> Result<(u64, u64)> {
    boards.tell("count").await?;
    let told = boards.says("count").await?;
    let (messages, bytes) = told.split_once(' ').context("it does not tell both")?;
    Ok((messages.parse()?, bytes.parse()?))
}

/// The same, once so many have come or no more come.
async fn delivered(boards: &mut Part, all: u64) -> Result<(u64, u64)> {
    let (mut messages, mut bytes, mut still) = (0, 0, 0);
    until("the last deliveries", async || {
        let (more, size) = counted(boards).await?;
        (messages, bytes) = (messages + more, bytes + size);
        still = if more == 0 { still + 1 } else { 0 };
        Ok(messages >= all || still > STILL)
    })
    .await?;
    Ok((messages, bytes))
}

/// What a delivery cost.
pub(super) struct Cost {
    cpu_us: f64,
    bytes: f64,
    /// For each update, however many get it.
    pub(super) encodings: f64,
}

/// Both sides of a number of transfers and viewers, running.
pub(super) struct Shape {
    server: Server,
    load: Part,
    stream: Part,
    stream_at: String,
    viewers: u64,
    frames: u64,
    pace: String,
}

impl Shape {
    pub(super) async fn start(transfers: u64, viewers: u64, seconds: u64) -> Result<Self> {
        let rate = (DELIVERIES / viewers).clamp(1, FRAMES);
        let server = Server::start(None).await?;
        let mut stream = Part::own(&["stream".to_owned()])?;
        let mut shape = Self {
            load: load(&server.broker, transfers).await?,
            stream_at: stream.says("serves").await?,
            server,
            stream,
            viewers,
            frames: rate * seconds,
            pace: format!("pace {rate} {seconds}"),
        };
        // Every transfer is there.
        shape.load.tell(&format!("make {transfers}")).await?;
        shape.load.says("made").await?;
        shape.load.tell("go").await?;
        shape.load.says("sent").await?;
        until("the first frame of each", async || {
            Ok(shape.server.frames().await? >= float(transfers))
        })
        .await?;
        Ok(shape)
    }

    async fn bare(&mut self) -> Result<Cost> {
        let mut boards = boards(&self.stream_at, self.viewers).await?;
        counted(&mut boards).await?;
        let before = self.stream.used()?;
        self.stream.tell(&self.pace).await?;
        self.stream.says("sent").await?;
        let all = self.frames * self.viewers;
        let (messages, bytes) = delivered(&mut boards, all).await?;
        let used = self.stream.used()?.cpu_us_since(&before);
        let messages = float(messages.max(1));
        Ok(Cost {
            cpu_us: used / messages,
            bytes: float(bytes) / messages,
            encodings: 1.0,
        })
    }

    pub(super) async fn ours(&mut self) -> Result<Cost> {
        let without = self.server.part.used()?;
        self.paced().await?;
        let without = self.server.part.used()?.cpu_us_since(&without);
        let mut boards = boards(&self.server.http, self.viewers).await?;
        let encodings = "enroute_viewer_encodings_total";
        let encoded = self.server.metric(encodings).await?;
        counted(&mut boards).await?;
        let before = self.server.part.used()?;
        self.paced().await?;
        let all = self.frames * self.viewers;
        let (messages, bytes) = delivered(&mut boards, all).await?;
        let with = self.server.part.used()?.cpu_us_since(&before);
        let encoded = self.server.metric(encodings).await? - encoded;
        let messages = float(messages.max(1));
        Ok(Cost {
            cpu_us: (with - without).max(0.0) / messages,
            bytes: float(bytes) / messages,
            encodings: encoded * float(self.viewers) / messages,
        })
    }

    /// Sends what a turn has, until it is durable.
    async fn paced(&mut self) -> Result<()> {
        let durable = self.server.frames().await? + float(self.frames);
        self.load.tell(&self.pace).await?;
        self.load.says("sent").await?;
        until("the frames of a turn", async || {
            Ok(self.server.frames().await? >= durable)
        })
        .await
    }
}

/// KiB of the server and of the bare stream for each viewer to whom nothing is sent.
async fn idle() -> Result<(f64, f64)> {
    let server = Server::start(None).await?;
    let mut stream = Part::own(&["stream".to_owned()])?;
    let at = stream.says("serves").await?;
    let mut grown = Vec::new();
    for (part, at) in [(&server.part, &server.http), (&stream, &at)] {
        // What a first viewer brings with it is not a viewer's.
        let first = boards(at, 10).await?;
        let before = part.used()?.memory;
        let more = boards(at, IDLE).await?;
        grown.push((part.used()?.memory - before) / float(IDLE) / 1_024.0);
        drop((first, more));
    }
    let [ours, bare] = grown.as_slice() else {
        bail!("two of them were measured");
    };
    Ok((*ours, *bare))
}
