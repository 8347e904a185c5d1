//! `enroute bench bytes`: what a patient costs on a link, beside the same content
//! as others would send it.
//!
//! Twelve numerics a second, and waveforms in frames of a second: those of the
//! simulator, or of a WFDB record. Counted is the payload of a publish or message,
//! without the transport's own header, which is the same for all. The history lane
//! packs what [`HISTORY_BYTES`] hold, as a gateway does after an outage. The same
//! build gives the same figures on every machine.

mod peers;

use super::figures::{Figure, Report};
use crate::args::BytesArgs;
use crate::out;
use crate::simulate::Data;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use enroute_gateway::{Source, WfdbConfig, WfdbSource};
use enroute_journal::bare::bytes_at_rest;
use enroute_journal::{Journal, Options};
use enroute_model::frame::{Body, Frame, Header};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_simulator::fleet;
use enroute_simulator::source::Detail;
use enroute_wire::v1;
use prost::Message;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// As long as the content is; an hour is six of them.
const SECONDS: i64 = 600;
/// Channels taken from the simulator.
const CHANNELS: usize = 4;
/// Bytes of frames that a history publish of a good link holds, before it is packed.
const HISTORY_BYTES: usize = 64 << 10;

/// Runs the command.
pub(super) async fn run(args: &BytesArgs) -> Result<()> {
    let numerics: Vec<Body> = (0..SECONDS).map(super::numerics).collect();
    let waveforms = match &args.record {
        Some(record) => recorded(record)?,
        None => simulated()?,
    };
    let sizes = Sizes {
        numerics: Costs::of(Stream::Numerics, &numerics).await?,
        waveforms: Costs::of(Stream::Waveforms, &waveforms).await?,
    };
    let lines = if args.json {
        vec![serde_json::to_string(&sizes)?]
    } else {
        sizes.lines()
    };
    for line in lines {
        out::line(line)?;
    }
    Ok(())
}

/// Where recordings are, for sizes of real waveforms, and which of them is read.
const RECORDINGS: &str = "ENROUTE_RECORDINGS";
const RECORDED: &str = "mimicdb-037/03700181";
/// The store's tables differ by some bytes from run to run.
const AT_REST: f64 = 1.01;

/// The simulator's content, and a recording's if there is one, as figures.
pub(super) async fn report() -> Result<Report> {
    let small = "waveforms of the simulator, 281 samples a frame: such small frames cost more per \
                 sample than recorded ones, which `--record` measures";
    let mut report = Report::new("bytes", small.to_owned());
    let numerics: Vec<Body> = (0..SECONDS).map(super::numerics).collect();
    let numerics = Costs::of(Stream::Numerics, &numerics).await?;
    let name = "bytes/numerics";
    let figures = numerics.figures(name, "bytes/frame", numerics.frames);
    let [live, history, at_rest] = figures;
    let figures = [live.at_most(152.0), history, at_rest];
    report.figures.extend(figures);
    let mut all = vec![("bytes/waveforms", simulated()?)];
    let folder = std::env::var_os(RECORDINGS).map(PathBuf::from);
    match folder.filter(|folder| folder.is_dir()) {
        Some(folder) => all.push(("bytes/recorded", recorded(&folder.join(RECORDED))?)),
        None => report
            .notes
            .push(format!("SKIPPED {RECORDED}: {RECORDINGS} names no folder")),
    }
    for (name, waveforms) in all {
        let costs = Costs::of(Stream::Waveforms, &waveforms).await?;
        let [live, history, at_rest] = costs.figures(name, "bytes/sample", costs.numbers);
        let at_rest = match name {
            "bytes/recorded" => at_rest.at_most(0.75),
            _ => at_rest,
        };
        report.figures.extend([live, history, at_rest]);
    }
    Ok(report)
}

impl Costs {
    fn figures(&self, name: &str, unit: &str, of: usize) -> [Figure; 3] {
        let size =
            |word: &str, bytes| Figure::new(format!("{name}-{word}"), unit, vec![ratio(bytes, of)]);
        [
            size("live", self.live).exact(),
            size("history", self.history).exact(),
            size("at-rest", self.at_rest).within(AT_REST),
        ]
    }
}

/// What came out.
#[derive(Debug, Serialize)]
struct Sizes {
    numerics: Costs,
    waveforms: Costs,
}

/// The same content in each form, in bytes.
#[derive(Debug, Serialize)]
struct Costs {
    frames: usize,
    /// Numbers that a reader is after: values, or samples.
    numbers: usize,
    /// The frames alone.
    frame: usize,
    live: usize,
    history: usize,
    at_rest: usize,
    fhir: usize,
    hl7: usize,
    sparkplug: usize,
    raw: usize,
}

impl Costs {
    async fn of(stream: Stream, bodies: &[Body]) -> Result<Self> {
        let frames: Vec<Bytes> = bodies
            .iter()
            .zip(1..)
            .map(|(body, sequence)| frame(stream, sequence, body.clone()))
            .collect();
        let count = |of: fn(&Body, i64) -> usize| -> usize {
            bodies.iter().zip(0..).map(|(b, s)| of(b, at(s))).sum()
        };
        let numbers = count(|body, _| peers::raw(body) / 2);
        if numbers == 0 {
            bail!("there is nothing to send");
        }
        Ok(Self {
            frames: frames.len(),
            numbers,
            frame: frames.iter().map(Bytes::len).sum(),
            live: frames.iter().map(|f| live(stream, f.clone())).sum(),
            history: history(&frames)?,
            at_rest: at_rest(stream, &frames).await?,
            fhir: count(peers::fhir),
            hl7: count(peers::hl7),
            sparkplug: count(peers::sparkplug),
            raw: count(|body, _| peers::raw(body)),
        })
    }

    fn forms(&self) -> [(&'static str, usize); 8] {
        [
            ("enroute, live lane", self.live),
            ("enroute, history lane", self.history),
            ("enroute, in the journal", self.at_rest),
            ("16-bit integers, nothing else", self.raw),
            ("Sparkplug B with aliases", self.sparkplug),
            ("HL7 v2 ORU^R01", self.hl7),
            ("FHIR R4 Observations, JSON", self.fhir),
            ("enroute, frames alone", self.frame),
        ]
    }
}

impl Sizes {
    fn lines(&self) -> Vec<String> {
        let head = format!(
            "{:<32}{:>22}{:>20}{:>20}",
            "", "bytes per 12 numerics", "bytes per sample", "KiB per hour"
        );
        let both = self
            .numerics
            .forms()
            .into_iter()
            .zip(self.waveforms.forms());
        let line = |((name, numerics), (_, waveforms)): ((&str, usize), (_, usize))| {
            let hour = self.numerics.hour(numerics) + self.waveforms.hour(waveforms);
            format!(
                "{name:<32}{:>22.1}{:>20.3}{hour:>20.0}",
                ratio(numerics, self.numerics.frames),
                ratio(waveforms, self.waveforms.numbers),
            )
        };
        std::iter::once(head).chain(both.map(line)).collect()
    }
}

impl Costs {
    /// KiB in an hour of frames of a second.
    fn hour(&self, bytes: usize) -> f64 {
        ratio(bytes, self.frames) * 3_600.0 / 1_024.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "some megabytes")]
fn ratio(bytes: usize, of: usize) -> f64 {
    bytes as f64 / of.max(1) as f64
}

/// When a second of the content was, microseconds UTC.
fn at(second: i64) -> i64 {
    super::START.saturating_add(second.saturating_mul(1_000_000))
}

fn frame(stream: Stream, sequence: u64, body: Body) -> Bytes {
    let second = i64::try_from(sequence).unwrap_or(i64::MAX);
    let header = Header {
        // Drawn at random when a spool begins: as long as any.
        epoch: Epoch(u64::MAX / 2),
        stream,
        sequence,
        leg_first: 1,
        captured_at: GatewayTime(at(second)),
        observed_at: None,
        boot: 1,
        monotonic: Span::from_secs(second),
        clocks: None,
        exercise: true,
    };
    enroute_wire::frame::encode(&Frame { header, body }).into()
}

/// The payload of the publish that carries this frame. One of waveforms alone does
/// not state when it was sent.
fn live(stream: Stream, frame: Bytes) -> usize {
    let batch = v1::Batch {
        sent_at_us: match stream {
            Stream::Waveforms => 0,
            Stream::Events | Stream::Numerics => super::START,
        },
        frame: vec![frame],
        ..v1::Batch::default()
    };
    batch.encoded_len()
}

/// The payloads of the publishes that carry these frames after an outage.
fn history(frames: &[Bytes]) -> Result<usize> {
    let mut all = 0_usize;
    let mut rest = frames;
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fits = rest.iter().take_while(|frame| {
            bytes = bytes.saturating_add(frame.len());
            bytes <= HISTORY_BYTES
        });
        let (some, left) = rest.split_at(fits.count().max(1));
        let compressed = enroute_wire::batch::compress(some.to_vec());
        let batch = v1::Batch {
            sent_at_us: super::START,
            compressed: compressed.context("a frame beyond what a publish may have")?,
            ..v1::Batch::default()
        };
        all = all.saturating_add(batch.encoded_len());
        rest = left;
    }
    Ok(all)
}

/// What the journal takes on the disk for these frames.
async fn at_rest(stream: Stream, frames: &[Bytes]) -> Result<usize> {
    let data = Data::at(None, "enroute-bench-bytes")?;
    let options = Options {
        steps_in: enroute_wire::record::steps,
        ..Options::default()
    };
    let (journal, tail) = Journal::open(data.path(), options)?;
    drop(tail);
    let vehicle = super::vehicles(1)?.pop().context("no vehicle")?;
    let records = frames.iter().zip(0..);
    let records = records.map(|(frame, second)| vehicle.append(stream, second, frame.clone()));
    journal.appender().append(records.collect()).await?;
    let done = tokio::task::spawn_blocking(move || bytes_at_rest(&journal)).await?;
    let bytes = done.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
    Ok(usize::try_from(bytes)?)
}

/// Waveforms of the second simulated patient.
fn simulated() -> Result<Vec<Body>> {
    let scenarios = fleet::fleet(&fleet::Options {
        seed: 1,
        transfers: 2,
        length: Span::from_secs(SECONDS),
        starts_at: ServerTime(super::START),
    });
    let leg = scenarios.into_iter().next_back();
    let leg = leg.and_then(|scenario| scenario.legs.into_iter().next());
    let emissions = leg.context("no patient")?.emissions(Detail::Waveforms);
    let waveforms = emissions.filter_map(|emission| match emission.body {
        Body::Waveforms(mut all) => {
            all.truncate(CHANNELS);
            Some(Body::Waveforms(all))
        }
        Body::Numerics(_)
        | Body::DeviceAlarms(_)
        | Body::Crew(_)
        | Body::Position(_)
        | Body::Link(_)
        | Body::Shed(_)
        | Body::Unknown => None,
    });
    Ok(waveforms.take(usize::try_from(SECONDS)?).collect())
}

/// Waveforms of a WFDB record, as a gateway cuts them into frames.
fn recorded(record: &Path) -> Result<Vec<Body>> {
    let source = WfdbSource::open(WfdbConfig::new(record));
    let mut source = source.map_err(|error| anyhow!("{error}"))?;
    let mut bodies = Vec::new();
    while let Some(emission) = source.next() {
        if matches!(emission.body, Body::Waveforms(_)) {
            bodies.push(emission.body);
        }
    }
    if bodies.is_empty() {
        bail!("{} has no waveforms", record.display());
    }
    Ok(bodies)
}
