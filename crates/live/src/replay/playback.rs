//! The task behind one playback: reads and runs on a blocking thread, waits, sends
//! through a bounded queue, takes commands. It ends when its viewer has gone.

use crate::live::{Health, Live, LookupError};
use crate::replay::device::DeviceOrder;
use crate::replay::player::{Player, Told};
use crate::replay::source::{Arrival, Recorded, Source};
use crate::replay::{Command, Order, Play, PlayError, Replayed, Response, State};
use crate::requests::{Reach, Request};
use enroute_journal::ReadError;
use enroute_model::state::Phase;
use enroute_model::time::Span;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Responses under way to the viewer; the playback waits when full.
const AHEAD: usize = 64;
/// Commands under way; who sends another one waits.
const COMMANDS_MAX: usize = 1;
const GONE: &str = "the playback has ended";

/// One viewer's playback; dropping it ends it.
pub struct Playback {
    responses: mpsc::Receiver<Result<Response, ReadError>>,
}

/// Steers a playback; clone it freely.
#[derive(Clone)]
pub struct Controls {
    commands: mpsc::Sender<Asked>,
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Its viewer has gone, or the journal could not be read.
    #[error("{GONE}")]
    Gone,
}

type Asked = (Command, oneshot::Sender<Replayed>);

impl Playback {
    /// The next response; `None`: the server stops. Cancel-safe.
    ///
    /// # Errors
    /// When the journal cannot be read; nothing more comes then.
    pub async fn next(&mut self) -> Option<Result<Response, ReadError>> {
        self.responses.recv().await
    }
}

impl Controls {
    /// Does it, and says where the playhead is then.
    ///
    /// # Errors
    /// When the playback is over.
    pub async fn control(&self, command: Command) -> Result<Replayed, ControlError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send((command, reply)).await;
        sent.map_err(|_| ControlError::Gone)?;
        answer.await.map_err(|_| ControlError::Gone)
    }

    /// Whether the playback is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }
}

/// See [`Live::play`].
pub(crate) async fn open(live: &Live, play: Play) -> Result<(Playback, Controls), PlayError> {
    if let Health::NotRecorded(told) = &*live.health.borrow() {
        let reason = told.reason.clone();
        return Err(PlayError::Unreadable { reason });
    }
    let max = live.common.options.playbacks_max;
    let permit = Arc::clone(&live.common.playbacks).try_acquire_owned();
    let permit = permit.map_err(|_| PlayError::Full { max })?;
    let state = live.state(&play.transfer).await?;
    let name = state.transfer.to_string();
    let reach = live.ask(|reply| Request::Members { name, reply }).await??;
    let members = reach.members.into_iter().map(|(member, _)| member);
    let (transfer, members) = (state.transfer.clone(), members.collect());
    let started = Instant::now();
    let (reader, order) = (live.reader(), play.order);
    let present = (state.phase == Phase::Open).then(|| live.clock.now());
    let heartbeat = live.common.options.heartbeat;
    let opened = tokio::task::spawn_blocking(move || {
        let recorded = Recorded::open(&reader, transfer.clone(), members)?;
        let source = source(&recorded, order)?;
        let (player, updates) = Player::new(source, transfer, &play, Span::ZERO, present)?;
        Ok::<_, PlayError>((recorded, player, updates))
    });
    let (recorded, player, updates) = opened.await.map_err(|_| LookupError::Stopped)??;
    let (out, responses) = mpsc::channel(AHEAD);
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let mut driver = Driver {
        recorded,
        live: live.clone(),
        started,
        waiting: VecDeque::new(),
        told: None,
        heartbeat: beats(heartbeat),
        _permit: permit,
    };
    driver.queue(&player, updates);
    drop(tokio::spawn(driver.run(player, inbox, out)));
    Ok((Playback { responses }, Controls { commands }))
}

fn beats(every: Duration) -> Interval {
    let mut heartbeat = tokio::time::interval(every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    heartbeat
}

fn source(recorded: &Recorded, order: Order) -> Result<Box<dyn Source>, PlayError> {
    Ok(match order {
        Order::Arrival => Box::new(Arrival::new(recorded.clone())?),
        Order::Device => Box::new(DeviceOrder::new(recorded.clone())?),
    })
}

struct Driver {
    recorded: Recorded,
    live: Live,
    started: Instant,
    waiting: VecDeque<Response>,
    told: Option<State>,
    heartbeat: Interval,
    _permit: OwnedSemaphorePermit,
}

/// What the driver woke up for.
enum Woken {
    Asked(Asked),
    Sent,
    Due,
    Beat,
    Gone,
}

/// What a step on the blocking thread gives back.
struct Stepped {
    player: Player,
    updates: Told,
    jumped: bool,
    done: Result<(), ReadError>,
}

impl Driver {
    async fn run(
        mut self,
        mut player: Player,
        mut inbox: mpsc::Receiver<Asked>,
        out: mpsc::Sender<Result<Response, ReadError>>,
    ) {
        loop {
            let due = player.next_due(self.now());
            let stepped = match self.wake(due, &mut inbox, &out).await {
                Woken::Gone => return,
                Woken::Sent => continue,
                Woken::Beat => {
                    player.tell_present(self.live.clock.now());
                    let replayed = player.replayed();
                    if replayed.open && self.has_been_joined().await {
                        let again = Command::Order(replayed.order);
                        let stepped = self.step(player, Some(again)).await;
                        stepped.map(|stepped| (stepped, None))
                    } else {
                        let update = None;
                        self.waiting.push_back(Response { replayed, update });
                        continue;
                    }
                }
                Woken::Due => self.step(player, None).await.map(|stepped| (stepped, None)),
                Woken::Asked((command, reply)) => {
                    let stepped = self.step(player, Some(command)).await;
                    stepped.map(|stepped| (stepped, Some(reply)))
                }
            };
            let Some((stepped, reply)) = stepped else {
                return;
            };
            player = stepped.player;
            if stepped.jumped {
                // From before the jump: it would only delay what was asked for.
                self.waiting.clear();
            }
            self.queue(&player, stepped.updates);
            if let Err(error) = stepped.done {
                drop(out.send(Err(error)).await);
                return;
            }
            if let Some(reply) = reply {
                self.tell(&player, reply);
            }
        }
    }

    /// Answers a command, and lets the stream say the same if nothing else does.
    fn tell(&mut self, player: &Player, reply: oneshot::Sender<Replayed>) {
        let replayed = player.replayed();
        if reply.send(replayed.clone()).is_err() {
            tracing::debug!("nobody waits for the answer to a command");
        }
        if self.waiting.is_empty() {
            let update = None;
            self.waiting.push_back(Response { replayed, update });
        }
    }

    async fn wake(
        &mut self,
        due: Option<Span>,
        inbox: &mut mpsc::Receiver<Asked>,
        out: &mpsc::Sender<Result<Response, ReadError>>,
    ) -> Woken {
        if let Some(response) = self.waiting.pop_front() {
            let woken = tokio::select! {
                biased;
                asked = inbox.recv() => asked.map(Woken::Asked),
                room = out.reserve() => match room {
                    Ok(room) => {
                        room.send(Ok(response));
                        return Woken::Sent;
                    }
                    Err(_) => return Woken::Gone,
                },
            };
            self.waiting.push_front(response);
            return woken.unwrap_or(Woken::Gone);
        }
        let at = self.started + duration(due.unwrap_or_default());
        tokio::select! {
            biased;
            () = out.closed() => Woken::Gone,
            asked = inbox.recv() => asked.map_or(Woken::Gone, Woken::Asked),
            _ = self.heartbeat.tick() => Woken::Beat,
            () = tokio::time::sleep_until(at), if due.is_some() => Woken::Due,
        }
    }

    /// Looks whether the transfer took in another one, or was taken in by one, since
    /// it is played; then it is the recording of all of them from here on.
    async fn has_been_joined(&mut self) -> bool {
        let name = self.recorded.transfer.to_string();
        let reach = self
            .live
            .ask(|reply| Request::Members { name, reply })
            .await;
        let Ok(Ok(Reach { members, .. })) = reach else {
            return false;
        };
        let Some((_, transfer)) = members.first().cloned() else {
            return false;
        };
        let members: Vec<_> = members.into_iter().map(|(member, _)| member).collect();
        if members == self.recorded.members {
            return false;
        }
        let reader = self.recorded.reader.clone();
        let opened =
            tokio::task::spawn_blocking(move || Recorded::open(&reader, transfer, members));
        match opened.await {
            Ok(Ok(recorded)) => {
                self.recorded = recorded;
                true
            }
            // It is tried again with the next beat.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn now(&self) -> Span {
        let passed = self.started.elapsed().as_micros();
        Span(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// What was seen, and a word of its own when the playback does something else
    /// now: it stands, goes on, has ended or caught up.
    fn queue(&mut self, player: &Player, updates: Told) {
        let updates = updates.into_iter().map(|(at, update)| Response {
            replayed: player.replayed_at(at),
            update: Some(update),
        });
        self.waiting.extend(updates);
        let replayed = player.replayed();
        if self.told.replace(replayed.state) != Some(replayed.state) {
            let update = None;
            self.waiting.push_back(Response { replayed, update });
        }
    }

    /// Plays what is due, or does what was asked for; `None`: it panicked.
    async fn step(&self, mut player: Player, command: Option<Command>) -> Option<Stepped> {
        let (now, present) = (self.now(), self.live.clock.now());
        let recorded = self.recorded.clone();
        let step = move || {
            let mut updates = Told::new();
            let done = match command {
                None => player.play(now, present, &mut updates).map(|()| false),
                Some(Command::Order(order)) => {
                    reorder(&mut player, &recorded, (now, order), &mut updates)
                }
                Some(command) => {
                    player.tell_present(present);
                    player.command(now, command, &mut updates)
                }
            };
            let (jumped, done) = match done {
                Ok(jumped) => (jumped, Ok(())),
                Err(error) => (false, Err(error)),
            };
            Stepped {
                player,
                updates,
                jumped,
                done,
            }
        };
        tokio::task::spawn_blocking(step).await.ok()
    }
}

fn reorder(
    player: &mut Player,
    recorded: &Recorded,
    (now, order): (Span, Order),
    updates: &mut Told,
) -> Result<bool, ReadError> {
    match source(recorded, order) {
        Ok(source) => {
            player.reorder(now, &recorded.transfer, (order, source), updates)?;
            Ok(true)
        }
        Err(PlayError::Read(error)) => Err(error),
        Err(
            PlayError::Lookup(_)
            | PlayError::Unreadable { .. }
            | PlayError::Full { .. }
            | PlayError::TooLong { .. },
        ) => {
            player.say("the recording is too long for this order");
            Ok(false)
        }
    }
}

fn duration(span: Span) -> Duration {
    Duration::from_micros(u64::try_from(span.0).unwrap_or(0))
}
