//! `enroute replay`: a recording in the terminal, as lines of JSON, or published
//! again.

mod again;
mod app;
mod terminal;

use crate::args::{From, Order, ReplayArgs, Speed};
use crate::client::Wire;
use crate::client::{self, RESPONSE_BYTES_MAX};
use crate::log::{self, Screen};
use crate::stop::{self, Stop};
use crate::watch::json;
use crate::{out, utc};
use anyhow::{Context, Result, anyhow, bail};
use enroute_wire::v1;
use enroute_wire::v1::replay_client::ReplayClient;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::process::ExitCode;
use tonic::Streaming;

/// A client of the replay service.
pub(crate) type Client = ReplayClient<Wire>;

/// Runs the command.
pub(crate) async fn run(args: ReplayArgs, log: Option<&str>) -> Result<ExitCode> {
    let (_stopper, stop) = stop::on_signals()?;
    let drawn = !args.json && args.to.is_none();
    if drawn && !std::io::stdout().is_terminal() {
        bail!("standard output is no terminal; use --json for scripts");
    }
    let screen = if drawn { Screen::Drawn } else { Screen::Free };
    // Published, there is no crew's page that says why nothing arrives.
    let usual = if args.to.is_some() {
        "warn,enroute_gateway=info"
    } else {
        "warn"
    };
    log::start(log, None, Some(usual), screen)?;
    let to = args.to.as_ref();
    let to = to.map(|url| again::To::of(url, &args)).transpose()?;
    let mut client = connect(&args.server).await?;
    let recording = recording(&mut client, &args.transfer).await?;
    let request = request(&args, &recording);
    if let Some(to) = to {
        return again::publish(client, request, &recording, to, stop).await;
    }
    if args.json {
        let request = v1::PlayRequest {
            samples: false,
            waveforms: false,
            ..request
        };
        return lines(play(&mut client, request).await?, stop).await;
    }
    let responses = play(&mut client, request).await?;
    terminal::view(client, responses, &recording, stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Connects to a server.
///
/// # Errors
/// With what to do when it is not there.
pub(crate) async fn connect(server: &str) -> Result<Client> {
    let channel = client::endpoint(server)?.connect().await.map_err(|_| {
        anyhow!(
            "{server} is not reached: is a server running there? (enroute serve, or enroute demo)"
        )
    })?;
    Ok(ReplayClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX))
}

async fn recording(client: &mut Client, transfer: &str) -> Result<v1::Recording> {
    let asked = v1::ListRecordingsRequest {
        transfer: transfer.to_owned(),
        ..Default::default()
    };
    let listed = client.list_recordings(asked).await;
    let listed = listed.map_err(|status| anyhow!("{}", client::reason(&status)))?;
    let first = listed.into_inner().recording.into_iter().next();
    first.with_context(|| format!("no recording of {transfer:?}"))
}

async fn play(
    client: &mut Client,
    request: v1::PlayRequest,
) -> Result<Streaming<v1::PlayResponse>> {
    let playing = client.play(request).await;
    let playing = playing.map_err(|status| anyhow!("{}", client::reason(&status)))?;
    Ok(playing.into_inner())
}

fn request(args: &ReplayArgs, recording: &v1::Recording) -> v1::PlayRequest {
    let order = match args.order {
        Order::Arrival => v1::ReplayOrder::Arrival,
        Order::Device => v1::ReplayOrder::Device,
    };
    let (speed, fastest) = match args.speed {
        Speed::Times(times) => (times, false),
        Speed::Max => (0.0, true),
    };
    v1::PlayRequest {
        transfer: recording.transfer.clone(),
        order: order.into(),
        from_us: args.from.map(|from| match from {
            From::At(at) => at,
            From::After(after) => recording.starts_at_us.saturating_add(after),
        }),
        speed,
        fastest,
        paused: false,
        samples: true,
        waveforms: true,
    }
}

/// Whether a playback has nothing more to show.
fn is_over(replayed: &v1::Replayed) -> bool {
    match replayed.state() {
        v1::ReplayState::Ended | v1::ReplayState::CaughtUp => true,
        v1::ReplayState::Unspecified | v1::ReplayState::Playing | v1::ReplayState::Paused => false,
    }
}

async fn lines(mut responses: Streaming<v1::PlayResponse>, mut stop: Stop) -> Result<ExitCode> {
    loop {
        let response = tokio::select! {
            () = stop.asked() => return Ok(ExitCode::SUCCESS),
            response = responses.message() => response,
        };
        let response = response.map_err(|status| anyhow!("{}", client::reason(&status)))?;
        let Some(response) = response else {
            bail!("the server ended the stream");
        };
        let replayed = response.replayed.unwrap_or_default();
        let update = response.recorded.as_ref().and_then(json::response);
        let over = is_over(&replayed) && response.recorded.is_none();
        if let Some(line) = update {
            out::line(marked(line, &replayed).to_string())?;
        } else if over {
            let line = json!({ "type": json::word(replayed.state().as_str_name()) });
            out::line(marked(line, &replayed).to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// A line of the live view, marked as replayed.
fn marked(mut line: Value, replayed: &v1::Replayed) -> Value {
    let mark = json!({
        "recorded_at": utc::rfc3339(replayed.recorded_at_us),
        "speed": (!replayed.fastest).then_some(replayed.speed),
        "order": json::word(replayed.order().as_str_name()),
        "state": json::word(replayed.state().as_str_name()),
        "playback": replayed.playback,
    });
    if let Value::Object(line) = &mut line {
        // It is the recording's clock, not the server's.
        line.remove("server_time");
        line.insert("replayed".into(), mark);
    }
    line
}
