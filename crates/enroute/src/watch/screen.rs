//! The terminal under the view: raw mode, keys, redrawing, the bell; the streams
//! that feed it. Leaves the terminal as it was, whatever happens.

use super::HEARD_MAX;
use super::app::{Act, App, Stream};
use crate::client::Address;
use crate::client::{self, Heard};
use crate::identity;
use crate::stop::Stop;
use crate::transfer::action_id;
use anyhow::{Context, Result, bail};
use enroute_model::time::Clock;
use enroute_wire::v1;
use enroute_wire::v1::identities_client::IdentitiesClient;
use enroute_wire::v1::transfers_client::TransfersClient;
use enroute_wire::v1::{alert_action, registry_action};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tonic::Code;

/// Twelve pictures a second are enough for a sweep in characters.
pub(crate) const PICTURE_EVERY: Duration = Duration::from_millis(80);
/// How often the key thread looks whether it is to end.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// Keys typed ahead; more are dropped.
const KEYS_MAX: usize = 32;

/// Shows the view until somebody leaves it or `stop` is asked for; opens on
/// `transfer` if one is named.
pub(crate) async fn view(
    endpoint: Address,
    transfer: Option<String>,
    (actor, clock): (String, Arc<dyn Clock>),
    stop: Stop,
) -> Result<()> {
    let mut terminal = ratatui::try_init().context("failed to set up the terminal")?;
    let (keys, ended) = keys();
    // Also when the caller stops waiting and this future is dropped.
    let _leave = Leave(ended);
    let shown = Shown::new(endpoint, actor, clock);
    shown.run(&mut terminal, keys, transfer, stop).await
}

/// Ends the key thread and gives the terminal back when dropped.
pub(crate) struct Leave(pub(crate) Arc<AtomicBool>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        ratatui::restore();
    }
}

/// Reads keys on a thread of its own, because reading blocks.
pub(crate) fn keys() -> (mpsc::Receiver<KeyEvent>, Arc<AtomicBool>) {
    let (to, from) = mpsc::channel(KEYS_MAX);
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    std::thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            match event::poll(KEY_WAIT) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => return,
            }
            let closed = match event::read() {
                Ok(Event::Key(key)) => {
                    matches!(to.try_send(key), Err(mpsc::error::TrySendError::Closed(_)))
                }
                Ok(_) => false,
                Err(_) => true,
            };
            if closed {
                return;
            }
        }
    });
    (from, ended)
}

/// The view with its streams.
struct Shown {
    app: App,
    endpoint: Address,
    clock: Arc<dyn Clock>,
    to: mpsc::Sender<(Stream, Heard)>,
    from: mpsc::Receiver<(Stream, Heard)>,
    followed: Option<JoinHandle<()>>,
    doing: mpsc::Sender<Doing>,
    done: mpsc::Receiver<String>,
    /// Who patients are, as far as this one may know; `None`: not at all.
    who: Option<mpsc::Sender<Who>>,
    known: mpsc::Receiver<Who>,
}

/// Who is on the stream of that number; `None`: nobody here may know.
type Who = (u32, Option<String>);

/// Something to do about an alert of a transfer.
type Doing = (String, v1::AlertAction);

/// Does one thing after the other and says what became of it. That an alert was
/// shown is told the server and nobody else: if it does not arrive, it is lost.
async fn act(
    endpoint: Address,
    actor: String,
    mut doing: mpsc::Receiver<Doing>,
    done: mpsc::Sender<String>,
) {
    let mut client = TransfersClient::new(endpoint.connect_lazy());
    while let Some((transfer, action)) = doing.recv().await {
        let report = matches!(action.action, Some(alert_action::Action::Shown(_)));
        let Ok(action_id) = action_id() else { continue };
        let request = v1::ActRequest {
            transfer,
            action_id,
            action: Some(v1::RegistryAction {
                action: Some(registry_action::Action::Alert(action)),
            }),
            actor: actor.clone(),
        };
        let said = match client.act(request).await {
            Ok(_) => "done".to_owned(),
            Err(status) => format!("not done: {}", client::reason(&status)),
        };
        if !report && done.send(said).await.is_err() {
            return;
        }
    }
}

/// Whether to ask again is in vain.
fn is_barred(code: Code) -> bool {
    use Code::{FailedPrecondition, PermissionDenied, Unimplemented};
    matches!(code, PermissionDenied | FailedPrecondition | Unimplemented)
}

/// Asks who is on a transfer. What cannot be had is not shown, and asked again when the
/// patient is opened again.
async fn ask(endpoint: Address, transfer: String, stream: u32, to: mpsc::Sender<Who>) {
    let mut client = IdentitiesClient::new(endpoint.connect_lazy());
    let got = client.get(v1::GetIdentityRequest { transfer }).await;
    let who = match got {
        Ok(got) => match got.into_inner().identity {
            Some(identity) => Some(identity::short(&identity)),
            None => return,
        },
        Err(status) if is_barred(status.code()) => None,
        Err(_) => return,
    };
    // The view may have been left meanwhile.
    to.send((stream, who)).await.ok();
}

impl Shown {
    fn new(endpoint: Address, actor: String, clock: Arc<dyn Clock>) -> Self {
        let (to, from) = mpsc::channel(HEARD_MAX);
        let (doing, to_do) = mpsc::channel(KEYS_MAX);
        let (say, done) = mpsc::channel(KEYS_MAX);
        let (who, known) = mpsc::channel(KEYS_MAX);
        // A server that asks nobody who they are tells nobody who patients are.
        let who = endpoint.has_token().then_some(who);
        drop(tokio::spawn(act(endpoint.clone(), actor, to_do, say)));
        Self {
            app: App::new(),
            endpoint,
            clock,
            to,
            from,
            followed: None,
            doing,
            done,
            who,
            known,
        }
    }

    async fn run(
        mut self,
        terminal: &mut DefaultTerminal,
        mut keys: mpsc::Receiver<KeyEvent>,
        transfer: Option<String>,
        mut stop: Stop,
    ) -> Result<()> {
        let board = self.follow(Stream::Board, v1::WatchRequest::default());
        if let Some(named) = transfer {
            let act = self.app.open(named);
            self.act(act);
        }
        let mut pictures = tokio::time::interval(PICTURE_EVERY);
        pictures.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let ended = loop {
            tokio::select! {
                () = stop.asked() => break Ok(()),
                key = keys.recv() => match key {
                    Some(key) => {
                        let act = self.app.key(key);
                        if !self.act(act) {
                            break Ok(());
                        }
                    }
                    None => break Ok(()),
                },
                Some((stream, heard)) = self.from.recv() => {
                    if let Err(error) = self.heard(stream, heard) {
                        break Err(error);
                    }
                }
                Some(said) = self.done.recv() => self.app.told(said),
                Some((stream, who)) = self.known.recv() => match who {
                    Some(who) => self.app.identified(stream, who),
                    None => self.who = None,
                },
                _ = pictures.tick() => self.draw(terminal)?,
            }
        };
        board.abort();
        if let Some(followed) = self.followed.take() {
            followed.abort();
        }
        ended
    }

    fn follow(&self, stream: Stream, request: v1::WatchRequest) -> JoinHandle<()> {
        let (to, mut from) = mpsc::channel(HEARD_MAX);
        let all = self.to.clone();
        let endpoint = self.endpoint.clone();
        tokio::spawn(async move {
            let forward = async {
                while let Some(heard) = from.recv().await {
                    if all.send((stream, heard)).await.is_err() {
                        return;
                    }
                }
            };
            tokio::join!(client::follow(endpoint, request, to), forward);
        })
    }

    /// Does what the app asks; false to leave.
    fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Stay => true,
            Act::Attend(transfer, action) => {
                if self.doing.try_send((transfer, action)).is_err() {
                    self.app.told("not done: too much is under way".into());
                }
                true
            }
            Act::Leave => false,
            Act::Unfollow => {
                if let Some(followed) = self.followed.take() {
                    followed.abort();
                }
                true
            }
            Act::Follow(named, number) => {
                if let Some(who) = &self.who {
                    let asked = ask(self.endpoint.clone(), named.clone(), number, who.clone());
                    drop(tokio::spawn(asked));
                }
                let request = v1::WatchRequest {
                    transfer: vec![named],
                    samples: true,
                    waveforms: true,
                    ..v1::WatchRequest::default()
                };
                let next = self.follow(Stream::Patient(number), request);
                if let Some(before) = self.followed.replace(next) {
                    before.abort();
                }
                true
            }
        }
    }

    fn heard(&mut self, stream: Stream, heard: Heard) -> Result<()> {
        match heard {
            Heard::Response(response) => {
                self.app.heard(stream, *response, self.clock.monotonic());
            }
            Heard::Lost(reason) => self.app.lost(stream, reason),
            Heard::Refused(reason) => bail!("{reason}"),
        }
        Ok(())
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> Result<()> {
        let now = self.clock.monotonic();
        if self.app.ring(now) {
            let mut out = std::io::stdout().lock();
            out.write_all(b"\x07")?;
            out.flush()?;
        }
        terminal
            .draw(|frame| self.app.draw(frame, now))
            .context("failed to draw")?;
        for report in self.app.drawn() {
            // With no room the others on the way say enough.
            drop(self.doing.try_send(report));
        }
        Ok(())
    }
}
