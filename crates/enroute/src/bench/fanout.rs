//! `enroute bench fanout`: boards of one transfer and of many, beside a bare `tonic`
//! stream that sends the same values at the same pace.
//!
//! A delivery is one message to one viewer. The server's processor time without
//! viewers is taken off, as it is not the viewers'.

use super::figures::{Figure, Report, progress};
use super::flow::load;
use super::parts::{Part, Server, float};
use crate::args::MeasureArgs;
use anyhow::Result;

/// Transfers and viewers.
const SHAPES: [(u64, u64); 5] = [(1, 1), (1, 10), (1, 100), (1, 1_000), (1_000, 10)];
/// Deliveries a second that a shape is paced to, and at most so many frames.
const DELIVERIES: u64 = 5_000;
const FRAMES: u64 = 1_000;
/// Of idle viewers.
const IDLE: u64 = 100;

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, seconds) = if args.short { (1, 1) } else { (args.rounds, 3) };
    let mut report = Report {
        measure: "fanout",
        command: "enroute bench fanout".into(),
        notes: vec![format!(
            "{rounds} rounds of {seconds} s, each viewer on a connection of its own"
        )],
        figures: Vec::new(),
    };
    for (transfers, viewers) in SHAPES {
        let rate = (DELIVERIES / viewers).clamp(1, FRAMES);
        let (mut pairs, mut encodings) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            progress(format!(
                "{transfers} to {viewers} viewers, round {round} of {rounds}"
            ));
            let bare = bare(viewers, rate, seconds).await?;
            let ours = ours(transfers, viewers, rate, seconds).await?;
            pairs.push((ours.cpu_us, bare));
            encodings.push(ours.encodings);
        }
        let name = format!("fanout/{transfers}-to-{viewers}");
        let figure = Figure::beside(name.clone(), "µs/delivery", &pairs);
        report.figures.push(figure.at_most(1.3));
        let name = format!("{name}/encodings");
        report
            .figures
            .push(Figure::new(name, "for each delivery", encodings));
    }
    let mut pairs = Vec::new();
    for round in 1..=rounds {
        progress(format!("idle viewers, round {round} of {rounds}"));
        pairs.push(idle().await?);
    }
    let figure = Figure::beside("fanout/idle-viewer", "KiB", &pairs);
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

async fn counted(boards: &mut Part) -> Result<f64> {
    boards.tell("count").await?;
    Ok(float(boards.says("count").await?.parse()?))
}

/// Processor time of a delivery.
async fn bare(viewers: u64, rate: u64, seconds: u64) -> Result<f64> {
    let mut stream = Part::own(&["stream".to_owned()])?;
    let at = stream.says("serves").await?;
    let mut boards = boards(&at, viewers).await?;
    let pace = format!("pace {rate} {seconds}");
    stream.tell(&pace).await?;
    stream.says("sent").await?;
    counted(&mut boards).await?;
    let before = stream.used()?.cpu_us;
    stream.tell(&pace).await?;
    stream.says("sent").await?;
    let used = stream.used()?.cpu_us - before;
    Ok(used / counted(&mut boards).await?.max(1.0))
}

/// What a delivery cost.
struct Cost {
    cpu_us: f64,
    encodings: f64,
}

async fn ours(transfers: u64, viewers: u64, rate: u64, seconds: u64) -> Result<Cost> {
    let server = Server::start(None).await?;
    let mut load = load(&server.broker, transfers).await?;
    let pace = format!("pace {rate} {seconds}");
    let mut paced = async || -> Result<f64> {
        let before = server.part.used()?.cpu_us;
        load.tell(&pace).await?;
        load.says("sent").await?;
        Ok(server.part.used()?.cpu_us - before)
    };
    paced().await?;
    let without = paced().await?;
    let mut boards = boards(&server.http, viewers).await?;
    paced().await?;
    counted(&mut boards).await?;
    let encodings = "enroute_viewer_encodings_total";
    let before = server.metric(encodings).await?;
    let with = paced().await?;
    let encodings = server.metric(encodings).await? - before;
    let deliveries = counted(&mut boards).await?.max(1.0);
    Ok(Cost {
        cpu_us: (with - without).max(0.0) / deliveries,
        encodings: encodings / deliveries,
    })
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
        anyhow::bail!("two of them were measured");
    };
    Ok((*ours, *bare))
}
