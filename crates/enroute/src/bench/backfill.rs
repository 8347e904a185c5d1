//! `enroute bench backfill`: hours that a vehicle recorded without a link, over a link of
//! one megabit a second, while its present goes on.
//!
//! ```text
//!  gateway, hours in its spool ──► link: 1 Mbit/s, 20 ms ──► server ──► viewer
//! ```
//!
//! The yardstick is the link: what it could have carried from the gateway's connection
//! until as many frames as waited are durable. Beside it how late numerics of the present
//! were at most, from their capture to the viewer. All processes have one clock.

use super::figures::{Figure, Report, progress};
use super::flow::Viewer;
use super::parts::{Part, Server, float, until};
use super::{seconds, us_since};
use crate::args::MeasureArgs;
use crate::client::RESPONSE_BYTES_MAX;
use crate::clock::SystemClock;
use crate::simulate::Data;
use anyhow::{Context, Result};
use enroute_gateway::config::SpoolConfig;
use enroute_gateway::simulation::{Draft, Spool};
use enroute_model::frame::Emission;
use enroute_model::ids::Stream;
use enroute_model::time::{Clock, GatewayTime, ServerTime, Span};
use enroute_simulator::fleet;
use enroute_simulator::radio::{LinkState, Plan, Proxy};
use enroute_simulator::source::Detail;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::{frame, v1};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::process::Command;
use tonic::transport::Endpoint;

const TRANSFER: &str = "tx-bench-backfill";
/// One megabit.
const BYTES_PER_S: u64 = 125_000;
const DELAY_MS: u64 = 20;
/// Of the patient's time in the spool: of one round, and of each of the others, as a round
/// lasts as long as the link makes it.
const MINUTES: i64 = 360;
const MINUTES_EACH: i64 = 60;
/// Emissions written to the spool with one sync.
const TOGETHER: usize = 4_096;
/// What the link could have carried meanwhile.
const LINK: &str = "the link";

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, each, once) = if args.short {
        (1, 5, None)
    } else {
        (args.rounds, MINUTES_EACH, Some(MINUTES))
    };
    let mut report = Report::new(
        "backfill",
        format!("numerics and waveforms in the spool, over 1 Mbit/s and {DELAY_MS} ms"),
    );
    let mut seen = Vec::new();
    for round in 1..=rounds {
        progress(format!("{each} minutes, round {round} of {rounds}"));
        seen.push(backfill(each).await?);
    }
    report.figures.extend(figures(each, &seen));
    if let Some(minutes) = once {
        progress(format!("{minutes} minutes, once"));
        let seen = backfill(minutes).await?;
        report.figures.extend(figures(minutes, &[seen]));
    }
    Ok(report)
}

fn figures(minutes: i64, seen: &[Seen]) -> [Figure; 3] {
    let name = |word: &str| format!("backfill/{minutes}-minutes/{word}");
    let used = |seen: &Seen| (seen.bytes, seen.seconds * float(BYTES_PER_S));
    let used: Vec<(f64, f64)> = seen.iter().map(used).collect();
    let all = |of: fn(&Seen) -> f64| seen.iter().map(of).collect();
    [
        Figure::beside(name("link"), "bytes", LINK, &used).at_least(0.9),
        Figure::new(name("took"), "s", all(|seen| seen.seconds)),
        // A frame of numerics is a second.
        Figure::new(name("present-late"), "ms", all(|seen| seen.latest_ms)).at_most(1_000.0),
    ]
}

/// What a round gave.
struct Seen {
    bytes: f64,
    seconds: f64,
    latest_ms: f64,
}

async fn backfill(minutes: i64) -> Result<Seen> {
    let clock = SystemClock::new();
    let data = Data::at(None, "enroute-bench-backfill")?;
    let server = Server::start(None).await?;
    let link = Proxy::start(&server.broker, Plan::always(LinkState::CLEAR)).await?;
    let file = data.path().join("gateway.toml");
    let spool = data.path().join("spool");
    std::fs::write(&file, configuration(&spool, link.addr().port()))?;

    // It is under way, then its link is gone and it records.
    let vehicle = gateway(&file)?;
    let began = clock.wall();
    Viewer::open(&server.http).await?.shows(began, 1).await?;
    vehicle.end().await?;
    let spooled = record(&spool, minutes, clock.wall())?;

    link.set(LinkState::Up {
        delay: Span::from_millis(i64::try_from(DELAY_MS)?),
        bytes_per_s: BYTES_PER_S,
    });
    let durable = server.metric("enroute_frames_durable_total").await? + float(spooled);
    let carried = link.counts().bytes_up;
    let latest = Arc::new(AtomicI64::new(0));
    let reading = watch(&server.http, clock.wall(), Arc::clone(&latest)).await?;
    let mut connected = link.carried();
    connected.mark_unchanged();
    let vehicle = gateway(&file)?;
    connected.changed().await?;
    let began = clock.monotonic();
    until("the past", async || {
        Ok(server.metric("enroute_frames_durable_total").await? >= durable)
    })
    .await?;
    let took = Span(us_since(&clock, began));
    let bytes = link.counts().bytes_up.saturating_sub(carried);
    reading.abort();
    vehicle.end().await?;
    Ok(Seen {
        bytes: float(bytes),
        seconds: seconds(took),
        latest_ms: seconds(Span(latest.load(Ordering::Relaxed))) * 1e3,
    })
}

fn configuration(spool: &Path, port: u16) -> String {
    format!(
        "[gateway]\nid = \"gw-bench-backfill\"\ntransfer = \"{TRANSFER}\"\n\
         [gateway.broker]\nhost = \"127.0.0.1\"\nport = {port}\n\
         [gateway.spool]\ndir = \"{}\"\n[gateway.page]\nlisten = \"127.0.0.1:0\"\n\
         [source.simulator]\nseed = 3\ncourse = \"sepsis\"\nminutes = 600\n",
        spool.display()
    )
}

fn gateway(file: &Path) -> Result<Part> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--log", "error", "gateway", "--config"]);
    command.arg(file);
    Part::start(command)
}

/// What a vehicle recorded in so many minutes until `now`, in its spool.
fn record(dir: &Path, minutes: i64, now: i64) -> Result<u64> {
    let length = Span::from_secs(minutes.saturating_mul(60));
    let scenarios = fleet::fleet(&fleet::Options {
        seed: 99,
        transfers: 2,
        length: length.scaled(2, 1),
        starts_at: ServerTime(0),
    });
    let leg = { scenarios.into_iter().next_back() }
        .and_then(|scenario| scenario.legs.into_iter().next())
        .context("no vehicle")?;
    let draft = |emission: Emission| Draft {
        captured_at: GatewayTime((now.saturating_sub(length.0)).saturating_add(emission.due.0)),
        monotonic: emission.due,
        observed_at: emission.observed_at,
        body: emission.body,
        clocks: None,
        exercise: true,
    };
    let config = SpoolConfig {
        dir: dir.to_owned(),
        ..SpoolConfig::default()
    };
    let mut spool = Spool::open(&config, None)?;
    let emissions = leg.emissions(Detail::Waveforms);
    let mut emissions = emissions.take_while(|emission| emission.due <= length);
    let mut frames = 0;
    loop {
        let drafts: Vec<Draft> = emissions.by_ref().take(TOGETHER).map(draft).collect();
        if drafts.is_empty() {
            break;
        }
        frames += u64::try_from(spool.append(&drafts)?.frames.len())?;
    }
    spool.close()?;
    Ok(frames)
}

/// Notes how late the latest numerics of the present were, microseconds.
async fn watch(
    server: &str,
    since: i64,
    latest: Arc<AtomicI64>,
) -> Result<tokio::task::JoinHandle<()>> {
    let channel = Endpoint::from_shared(format!("http://{server}"))?;
    let channel = channel.tcp_nodelay(true).connect().await?;
    let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let request = v1::WatchRequest {
        transfer: vec![TRANSFER.to_owned()],
        samples: true,
        ..v1::WatchRequest::default()
    };
    let mut stream = client.watch(request).await?.into_inner();
    stream.message().await?.context("no first message")?;
    let clock = SystemClock::new();
    Ok(tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await {
            let Some(Update::Samples(sample)) = message.update else {
                continue;
            };
            if let Ok(header) = frame::decode_header(&sample.frame)
                && header.stream == Stream::Numerics
                && header.captured_at.0 >= since
            {
                let late = clock.wall().saturating_sub(header.captured_at.0);
                latest.fetch_max(late, Ordering::Relaxed);
            }
        }
    }))
}
