//! The terminal under the replay page: keys, commands, responses, pictures.

use super::Client;
use super::app::{Act, App};
use crate::client;
use crate::clock::SystemClock;
use crate::stop::Stop;
use crate::watch::screen;
use anyhow::{Context, Result};
use enroute_model::time::Clock;
use enroute_wire::v1;
use enroute_wire::v1::control_request::Command;
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tonic::Streaming;

/// Commands typed ahead; more are dropped.
const COMMANDS_MAX: usize = 8;

/// Shows a playback until somebody leaves it.
pub(crate) async fn view(
    client: Client,
    responses: Streaming<v1::PlayResponse>,
    recording: &v1::Recording,
    stop: Stop,
) -> Result<()> {
    let mut terminal = ratatui::try_init().context("failed to set up the terminal")?;
    let (keys, ended) = screen::keys();
    let _leave = screen::Leave(ended);
    let app = App::new(&recording.transfer);
    run(app, &mut terminal, (client, responses), keys, stop).await
}

async fn run(
    mut app: App,
    terminal: &mut DefaultTerminal,
    (client, mut responses): (Client, Streaming<v1::PlayResponse>),
    mut keys: mpsc::Receiver<ratatui::crossterm::event::KeyEvent>,
    mut stop: Stop,
) -> Result<()> {
    let clock = SystemClock::new();
    let (commands, asked) = mpsc::channel(COMMANDS_MAX);
    let (say, mut said) = mpsc::channel(COMMANDS_MAX);
    drop(tokio::spawn(control(client, asked, say)));
    let mut pictures = tokio::time::interval(screen::PICTURE_EVERY);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut open = true;
    loop {
        tokio::select! {
            () = stop.asked() => return Ok(()),
            key = keys.recv() => {
                let Some(key) = key else { return Ok(()) };
                match app.key(key, clock.monotonic()) {
                    Act::Stay => {}
                    Act::Leave => return Ok(()),
                    Act::Control(command) => {
                        let playback = app.playback().to_owned();
                        drop(commands.try_send((playback, command)));
                    }
                }
            }
            response = responses.message(), if open => {
                open = matches!(response, Ok(Some(_)));
                match response {
                    Ok(Some(response)) => app.heard(response, clock.monotonic()),
                    Ok(None) => app.say("the server ended the stream".into()),
                    Err(status) => app.say(client::reason(&status)),
                }
            }
            Some(what) = said.recv() => app.say(what),
            _ = pictures.tick() => {
                let now = clock.monotonic();
                terminal.draw(|frame| app.draw(frame, now)).context("failed to draw")?;
            }
        }
    }
}

/// Sends commands one after the other; what is refused is said.
async fn control(
    mut client: Client,
    mut asked: mpsc::Receiver<(String, Command)>,
    say: mpsc::Sender<String>,
) {
    while let Some((playback, command)) = asked.recv().await {
        let request = v1::ControlRequest {
            playback,
            command: Some(command),
        };
        if let Err(status) = client.control(request).await
            && say.send(client::reason(&status)).await.is_err()
        {
            return;
        }
    }
}
