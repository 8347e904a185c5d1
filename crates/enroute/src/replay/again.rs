//! A recording published again: the frames in the order of their capture are the
//! source of a gateway of its own, under a new id, marked as an exercise.
//!
//! It has a spool, in a temporary directory: a broker's PUBACK proves nothing (I3),
//! and what a spool does is exactly what is to be tried. The spool holds what the
//! server has not confirmed and goes away at the end.

use super::{Client, is_over, play};
use crate::args::{BrokerUrl, ReplayArgs, Speed};
use crate::broker;
use crate::clock::SystemClock;
use crate::metrics::gateway::pages;
use crate::simulate::Data;
use crate::stop::Stop;
use crate::{client, out, utc};
use anyhow::{Context, Result, anyhow};
use enroute_gateway::config::{BrokerConfig, Speed as Pace};
use enroute_gateway::{Config, Gateway, Source, Stats};
use enroute_model::frame::{Body, CrewEvent, Emission, Frame};
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::time::{Clock, Span};
use enroute_wire::v1;
use enroute_wire::v1::watch_response::Update;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Streaming;

/// Frames read ahead of the gateway.
const AHEAD: usize = 256;
/// Emissions held until none that is due earlier can come; more, and the earliest go.
const HELD_MAX: usize = 4_096;
/// How long the last frames may take to be confirmed.
const DRAIN: Duration = Duration::from_mins(10);
/// How often is said how far it is.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Where it goes, as what, and how fast.
pub(super) struct To {
    url: BrokerUrl,
    broker: BrokerConfig,
    /// Absent: a name of its own.
    gateway: Option<GatewayId>,
    speed: Speed,
}

impl To {
    /// As typed; connects to nobody.
    ///
    /// # Errors
    /// When the broker would refuse it, or others could read it.
    pub(super) fn of(url: &BrokerUrl, args: &ReplayArgs) -> Result<Self> {
        let (broker, gateway) = broker::of_one(url, &args.broker)?;
        Ok(Self {
            url: url.clone(),
            broker,
            gateway,
            speed: args.speed,
        })
    }
}

/// Publishes what `request` plays, until its end or `stop`.
pub(crate) async fn publish(
    mut client: Client,
    request: v1::PlayRequest,
    recording: &v1::Recording,
    to: To,
    mut stop: Stop,
) -> Result<ExitCode> {
    let request = v1::PlayRequest {
        order: v1::ReplayOrder::Device.into(),
        fastest: true,
        ..request
    };
    let responses = play(&mut client, request).await?;
    let (ahead, frames) = mpsc::channel(AHEAD);
    let reading = tokio::spawn(read(responses, ahead));
    let data = Data::at(None, "enroute-replay")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let url = to.url.clone();
    let config = config(to, &data)?;
    let names = (config.id.clone(), config.transfer.clone());
    let source = Box::new(Again::new(frames));
    let gateway = Gateway::start_with(config, source, clock, pages).await?;
    out::line(format!(
        "EXERCISE: {} goes to {url} as {} from gateway {}; Ctrl-C stops",
        recording.transfer,
        names.1.as_ref().map_or("", TransferId::as_str),
        names.0
    ))?;
    let counted = Arc::clone(gateway.stats());
    let mut status = tokio::time::interval(STATUS_EVERY);
    let stopped = loop {
        tokio::select! {
            () = stop.asked() => break true,
            () = gateway.source_ended() => break false,
            _ = status.tick() => out::line(progress(&counted, recording))?,
        }
    };
    let left = gateway.shutdown(DRAIN).await;
    let left = left.unconfirmed_frames;
    out::line(progress(&counted, recording))?;
    out::line(format!("{left} frames not confirmed by the server there"))?;
    if stopped {
        reading.abort();
    } else {
        reading
            .await
            .context("the reading of the recording failed")??;
    }
    Ok(ExitCode::from(u8::from(left > 0)))
}

fn progress(stats: &Stats, recording: &v1::Recording) -> String {
    let produced: u64 = enroute_model::ids::Stream::ALL
        .map(|stream| stats.produced(stream))
        .iter()
        .sum();
    let long = recording.ends_at_us.saturating_sub(recording.starts_at_us);
    format!(
        "{produced} of {} frames ({}) published, {} confirmed; links, joins and hand-overs of \
         then are left out",
        recording.durable,
        utc::span(long),
        stats.freed.get()
    )
}

/// A transfer with an id of its own, and a gateway with one unless it is named.
fn config(to: To, data: &Data) -> Result<Config> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("failed to get random bytes: {error}"))?;
    let number = u64::from_le_bytes(bytes);
    let gateway = match to.gateway {
        Some(named) => named,
        None => GatewayId::new(&format!("replay-{number:016x}"))?,
    };
    let mut config = Config::new(gateway);
    config.transfer = Some(TransferId::new(&format!("tx-replay-{number:016x}"))?);
    config.exercise = true;
    config.speed = match to.speed {
        Speed::Times(times) => Pace::Factor(times),
        Speed::Max => Pace::Max,
    };
    config.broker = to.broker;
    config.spool.dir = data.path().join("spool");
    config.page.listen = None;
    Ok(config)
}

/// Hands the frames of a playback over until its end.
async fn read(mut responses: Streaming<v1::PlayResponse>, to: mpsc::Sender<Frame>) -> Result<()> {
    loop {
        let response = responses.message().await;
        let response = response.map_err(|status| anyhow!("{}", client::reason(&status)))?;
        let response = response.context("the server ended the stream")?;
        let replayed = response.replayed.unwrap_or_default();
        match response.recorded.and_then(|recorded| recorded.update) {
            Some(Update::Samples(samples)) => {
                let frame = enroute_wire::frame::decode(&samples.frame)?;
                if to.send(frame).await.is_err() {
                    return Ok(());
                }
            }
            None if is_over(&replayed) => return Ok(()),
            Some(_) | None => {}
        }
    }
}

/// The frames of a recording as a source.
struct Again {
    frames: mpsc::Receiver<Frame>,
    clocks: Clocks,
    /// By when they are due, then as they came.
    held: BTreeMap<(Span, u64), Emission>,
    count: u64,
    newest: Span,
}

/// When a frame was captured, since the first.
#[derive(Default)]
struct Clocks {
    first: Option<i64>,
    starts: BTreeMap<(u64, u32), i64>,
}

impl Clocks {
    /// The monotonic clock of a start of the gateway, put on the wall clock of that
    /// start's first frame.
    fn since_the_first(&mut self, frame: &Frame) -> Span {
        let header = &frame.header;
        let shift = self.starts.entry((header.epoch.0, header.boot));
        let shift =
            *shift.or_insert_with(|| header.captured_at.0.saturating_sub(header.monotonic.0));
        let at = header.monotonic.0.saturating_add(shift);
        let first = *self.first.get_or_insert(at);
        Span(at.saturating_sub(first).max(0))
    }
}

impl Again {
    fn new(frames: mpsc::Receiver<Frame>) -> Self {
        Self {
            frames,
            clocks: Clocks::default(),
            held: BTreeMap::new(),
            count: 0,
            newest: Span::ZERO,
        }
    }

    fn hold(&mut self, frame: Frame) {
        let at = self.clocks.since_the_first(&frame);
        let Some(body) = content(frame.body) else {
            return;
        };
        self.newest = Span(self.newest.0.max(at.0));
        let due = Span(at.0.saturating_add(length(&body).0));
        self.count = self.count.saturating_add(1);
        let emission = Emission {
            due,
            observed_at: frame.header.observed_at,
            body,
        };
        self.held.insert((due, self.count), emission);
    }
}

/// What a gateway's source may say: the rest is about the link and the spool of the
/// gateway that was, would join another transfer, or answers notes of then.
fn content(body: Body) -> Option<Body> {
    match body {
        Body::Link(_)
        | Body::Shed(_)
        | Body::Unknown
        | Body::Crew(
            CrewEvent::Join { .. }
            | CrewEvent::HandOver
            | CrewEvent::End
            | CrewEvent::NotesTaken { .. },
        ) => None,
        Body::Numerics(_)
        | Body::Waveforms(_)
        | Body::DeviceAlarms(_)
        | Body::Position(_)
        | Body::Crew(_) => Some(body),
    }
}

/// A waveform can be told when its last sample has been taken.
fn length(body: &Body) -> Span {
    let Body::Waveforms(waveforms) = body else {
        return Span::ZERO;
    };
    let seconds = waveforms.iter().map(|waveform| {
        let count = u32::try_from(waveform.samples.len()).unwrap_or(u32::MAX);
        waveform.start_offset.as_secs_f64() + f64::from(count) / waveform.rate_hz
    });
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame is at most minutes long"
    )]
    let us = (seconds.fold(0.0, f64::max).min(3_600.0) * 1e6) as i64;
    Span(us)
}

impl Source for Again {
    fn next(&mut self) -> Option<Emission> {
        loop {
            let full = self.held.len() >= HELD_MAX;
            let due = self.held.first_key_value().map(|((due, _), _)| *due);
            if due.is_some_and(|due| full || due < self.newest) {
                return self.held.pop_first().map(|(_, emission)| emission);
            }
            match self.frames.blocking_recv() {
                Some(frame) => self.hold(frame),
                None => return self.held.pop_first().map(|(_, emission)| emission),
            }
        }
    }

    fn is_exercise(&self) -> bool {
        true
    }
}
