//! The handle that the rest of the server holds.

use crate::admission::Admission;
use crate::catch_up::History;
use crate::deletion::{DeleteError, Retention, Why};
use crate::engine_clock::EngineClock;
use crate::options::{Options, Stats};
use crate::outbox::{Commands, Notes, Receipts};
use crate::recordings::{self, Page};
use crate::replay::{self, Controls, Play, PlayError, Playback};
use crate::requests::{Allowed, Request};
use crate::shard;
use crate::subscription::{Common, Subscription};
use crate::totals::Totals;
use crate::update::{NotRecorded, Watch};
use enroute_alert::book::RuleBook;
use enroute_journal::{
    Append, AppendError, Appender, Class, Failure, Journal, ReadError, Reader, Side, Tail,
};
use enroute_model::ids::{Position, TransferId};
use enroute_model::registry::RegistryAction;
use enroute_model::state::{Phase, TransferState, Verdict};
use enroute_model::time::Clock;
use enroute_wire::v1;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// The live view of all transfers. Clone it freely.
#[derive(Clone)]
pub struct Live {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) appender: Appender,
    pub(crate) side: Side,
    pub(crate) clock: EngineClock,
    pub(crate) stats: Arc<Stats>,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) common: Arc<Common>,
    pub(crate) thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Whether the live view is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It follows the journal.
    Running,
    /// The journal cannot be written: it goes on, and says so (I8).
    NotRecorded(Arc<NotRecorded>),
    /// The journal's tail ended: nothing new is seen from here on.
    Ended {
        /// What the journal said.
        reason: String,
    },
}

/// Why the live view did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is stored could not be read.
    #[error("failed to rebuild the transfers: {0}")]
    Read(#[from] ReadError),
    /// The journal has failed.
    #[error("failed to rebuild the transfers: {0}")]
    Journal(#[from] enroute_journal::Failure),
    /// The system gave no thread.
    #[error("failed to start the live view: {0}")]
    System(#[from] std::io::Error),
    /// The shard ended while it started.
    #[error("failed to start the live view: its thread ended")]
    Ended,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No transfer has this id, alias or short code.
    #[error("no transfer is known as {name:?}: give an id or a short code that `List` shows")]
    Unknown {
        /// As given, cut to a sane length.
        name: String,
    },
    /// More than one transfer has this short code.
    #[error("short code {name} names several transfers: give the id")]
    Ambiguous {
        /// As given.
        name: String,
    },
    /// It is closed and on disk only, and the journal cannot be read.
    #[error(
        "{name} is closed and on disk only, which cannot be read now: try again when the \
             journal works"
    )]
    Asleep {
        /// Its id.
        name: String,
    },
    /// The live view has stopped.
    #[error("the live view has stopped")]
    Stopped,
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// A name does not resolve.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// As many viewers as are allowed.
    #[error("{max} viewers are connected and no more are allowed: try again later")]
    Full {
        /// How many.
        max: usize,
    },
    /// More names than allowed.
    #[error("more than {max} transfers named: name fewer, or none for all")]
    TooMany {
        /// How many.
        max: usize,
    },
    /// Samples of everything.
    #[error("samples are given for named transfers only: name at least one")]
    SamplesOfAll,
}

/// Why there is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The name does not resolve.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The journal has failed.
    #[error(
        "the history cannot be read while the journal is not: {reason}; \
         try again when it is repaired"
    )]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// As many are being read as are allowed.
    #[error("{max} histories are being read and no more are allowed: try again later")]
    Full {
        /// How many.
        max: usize,
    },
}

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The transfer, or the one to join, does not resolve.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It cannot be done now; nothing changed.
    #[error("cannot be done: {0}")]
    Refused(Cow<'static, str>),
    /// The journal did not take it; nothing was done.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// Too many actions at once.
    #[error("{max} actions are under way: try again")]
    Busy {
        /// How many.
        max: usize,
    },
    /// The shard stopped before it answered: if the action was stored, it is done
    /// after a restart.
    #[error("the live view stopped before the action was handled: look whether it was done")]
    Unseen,
}

/// Why a rule book is not in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// The journal does not hold it: no record may name it.
    #[error("the journal does not take the rule book: {}", .0.reason())]
    Journal(Failure),
    /// The live view has stopped.
    #[error("the live view has stopped")]
    Stopped,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// The id by which the transfer goes now.
    pub transfer: TransferId,
    /// What the engine said; never a refusal.
    pub verdict: Verdict,
}

/// What [`Live::start`] gives: the handle, and the two outputs for ingest.
pub struct Started {
    /// The handle.
    pub live: Live,
    /// What the journal holds, for the gateways.
    pub receipts: Receipts,
    /// What gateways shall do.
    pub commands: Commands,
    /// What crews are to know.
    pub notes: Notes,
}

impl Live {
    /// Rebuilds all transfers from snapshots and the journal, then follows
    /// `tail` on a thread of its own; resolves once all that is stored is
    /// handled. Sends ticks into the journal's queue from a task of the runtime
    /// it is called on.
    ///
    /// # Errors
    /// When what is stored cannot be read or no thread is to be had.
    pub async fn start(
        journal: &Journal,
        tail: Tail,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Started, StartError> {
        shard::start(journal, tail, clock, options).await
    }

    /// Opens a subscription: a snapshot, then every change, and heartbeats.
    ///
    /// # Errors
    /// When a name does not resolve or there are too many viewers.
    pub async fn watch(&self, watch: Watch) -> Result<Subscription, WatchError> {
        crate::subscription::open(self, watch).await
    }

    /// All transfers, open ones first, then by id; joined ones once.
    ///
    /// # Errors
    /// When the shard has stopped, or closed ones are on a disk that does not work.
    pub async fn list(&self, closed: bool) -> Result<Vec<Arc<TransferState>>, LookupError> {
        let (mut states, asleep, books) = self.ask(|reply| Request::List { closed, reply }).await?;
        if let Some(one) = asleep.first() {
            if let Health::NotRecorded(_) = &*self.health.borrow() {
                let name = one.to_string();
                return Err(LookupError::Asleep { name });
            }
            // Many perhaps, so not on the shard's thread.
            let reader = self.common.reader.clone();
            let read = move || {
                let found = asleep
                    .iter()
                    .filter_map(|id| crate::sleep::asleep(&reader, &books, id));
                found.map(|slot| Arc::new(slot.state())).collect::<Vec<_>>()
            };
            let more = tokio::task::spawn_blocking(read).await;
            states.extend(more.map_err(|_| LookupError::Stopped)?);
            states.sort_by(|a, b| {
                let key =
                    |state: &TransferState| (state.phase != Phase::Open, state.transfer.clone());
                key(a).cmp(&key(b))
            });
        }
        Ok(states)
    }

    /// The transfer with this id, alias or short code.
    ///
    /// # Errors
    /// When there is none, or several.
    pub async fn state(&self, name: &str) -> Result<Arc<TransferState>, LookupError> {
        let name = name.to_owned();
        self.ask(|reply| Request::State { name, reply }).await?
    }

    /// The recorded frames of a transfer and all that were joined to it, above
    /// `after`, each once, in the journal's order.
    ///
    /// # Errors
    /// When the name does not resolve or too many histories are being read.
    pub async fn history(
        &self,
        name: &str,
        after: Position,
        waveforms: bool,
    ) -> Result<History, HistoryError> {
        if let Health::NotRecorded(told) = &*self.health.borrow() {
            let reason = told.reason.clone();
            return Err(HistoryError::Unreadable { reason });
        }
        let name = name.to_owned();
        let reach = self.ask(|reply| Request::Members { name, reply }).await??;
        let max = self.common.options.histories_max;
        let permit = Arc::clone(&self.common.histories).try_acquire_owned();
        let permit = permit.map_err(|_| HistoryError::Full { max })?;
        let reader = &self.common.reader;
        Ok(History::start(reader, reach, after, waveforms, permit))
    }

    /// What is recorded of all transfers, or of the one with this id, alias or short
    /// code; the newest first.
    ///
    /// # Errors
    /// When the name does not resolve, or the journal cannot be read.
    pub async fn recordings(&self, one: Option<&str>) -> Result<Vec<v1::Recording>, HistoryError> {
        let one = one.map(ToOwned::to_owned);
        let (before, max) = (None, usize::MAX);
        let (recordings, _) = self.recordings_page(Page { one, before, max }).await?;
        Ok(recordings)
    }

    /// The same in pages; with where the next one begins.
    ///
    /// # Errors
    /// As [`Live::recordings`].
    pub async fn recordings_page(
        &self,
        wanted: Page,
    ) -> Result<(Vec<v1::Recording>, Option<Position>), HistoryError> {
        let paged = self.ask(|reply| Request::Recordings { wanted, reply });
        let (paged, reader) = (paged.await??, self.reader());
        let next = paged.next;
        let read = tokio::task::spawn_blocking(move || recordings::of_page(&reader, paged));
        let read = read.await.map_err(|_| LookupError::Stopped)?;
        let read = read.map_err(|error| unreadable(&error))?;
        Ok((read, next))
    }

    /// What is remembered of deleted recordings, the last deleted first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn deleted_recordings(&self) -> Result<Vec<v1::DeletedRecording>, HistoryError> {
        let reader = self.reader();
        let read = tokio::task::spawn_blocking(move || recordings::deleted(&reader));
        let read = read.await.map_err(|_| LookupError::Stopped)?;
        read.map_err(|error| unreadable(&error))
    }

    /// Deletes what is recorded of a closed transfer and of what was joined to it;
    /// its space is given back in the background.
    ///
    /// # Errors
    /// When it is open, or nothing can be recorded.
    pub async fn delete_recording(
        &self,
        name: &str,
        actor: &str,
    ) -> Result<v1::DeletedRecording, DeleteError> {
        let deleted = self.delete(name, v1::DeletionReason::Person, actor).await?;
        self.purge();
        Ok(deleted)
    }

    async fn delete(
        &self,
        name: &str,
        reason: v1::DeletionReason,
        actor: &str,
    ) -> Result<v1::DeletedRecording, DeleteError> {
        let name = name.to_owned();
        let why = Why {
            reason,
            actor: actor.to_owned(),
            at: self.clock.wall(),
        };
        self.ask(|reply| Request::Delete { name, why, reply })
            .await?
    }

    /// One look at what is no longer kept: some of it is deleted, the oldest closed
    /// transfers first. Gives what was.
    ///
    /// # Errors
    /// When the shard has stopped.
    pub async fn retain(
        &self,
        retention: Retention,
    ) -> Result<Vec<v1::DeletedRecording>, LookupError> {
        let kept = self.ask(|reply| Request::Kept { reply }).await?;
        let mut deleted = Vec::new();
        for (transfer, reason) in retention.due(self.clock.now(), kept) {
            match self.delete(transfer.as_str(), reason, "").await {
                Ok(one) => deleted.push(one),
                // Opened again meanwhile, or nothing can be recorded now.
                Err(error) => tracing::info!(%transfer, %error, "a recording stays for now"),
            }
        }
        self.purge();
        Ok(deleted)
    }

    /// Gives the space of what was deleted back, in the background.
    fn purge(&self) {
        let side = self.side.clone();
        drop(tokio::task::spawn_blocking(move || match side.purge() {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "deleted recordings are off the disk"),
            Err(failure) => tracing::warn!(%failure, "deleted recordings are still on the disk"),
        }));
    }

    /// Plays a recorded transfer, closed or still open, from its records alone.
    ///
    /// # Errors
    /// When the name does not resolve, the journal cannot be read, or too many
    /// recordings are being played.
    pub async fn play(&self, play: Play) -> Result<(Playback, Controls), PlayError> {
        replay::open(self, play).await
    }

    /// Checks an action against the present state, journals it, and answers
    /// once the engine has handled it. While the journal cannot be written it is
    /// done unrecorded, held, and written after the repair. The same `action_id` again changes
    /// nothing, and is refused again if it was. `Put` under an unknown id creates the transfer.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn act(
        &self,
        transfer: &str,
        action: RegistryAction,
        action_id: &str,
        actor: &str,
    ) -> Result<Acted, ActError> {
        let (name, id, doing) = (
            transfer.to_owned(),
            action_id.to_owned(),
            Box::new(action.clone()),
        );
        let allowed = self
            .ask(|reply| Request::Act {
                name,
                action: doing,
                action_id: id,
                reply,
            })
            .await??;
        let allowed = match allowed {
            Allowed::Already(transfer) => {
                let verdict = Verdict::Duplicate;
                return Ok(Acted { transfer, verdict });
            }
            Allowed::Append(doing) => doing,
        };
        let payload = enroute_wire::record::of_action(action_id, actor, &allowed.action);
        let (at, received_at) = (self.clock.now(), self.clock.wall());
        let (class, transfer) = (Class::Vitals, allowed.transfer);
        let append = Append {
            class,
            transfer,
            at,
            received_at,
            payload,
        };
        match self.appender.append(vec![append]).await {
            // The shard has it all the same, holds it, and writes it down later.
            Ok(_) | Err(AppendError::Unrecorded(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let (transfer, verdict) = allowed.handled.await.map_err(|_| ActError::Unseen)?;
        match verdict {
            Verdict::Refused(reason) => Err(ActError::Refused(reason)),
            Verdict::Accepted { .. }
            | Verdict::Duplicate
            | Verdict::Conflict
            | Verdict::Applied => Ok(Acted { transfer, verdict }),
        }
    }

    /// Open transfers go by this rule book from here on, and those that appear
    /// later; by the built-in one before the first call. Each gets a record that
    /// says so, so that a restart and a re-run find the same.
    ///
    /// # Errors
    /// When the book is not in the journal: what applied still does.
    pub async fn use_book(&self, book: Arc<RuleBook>) -> Result<(), BookError> {
        let done = self.ask(|reply| Request::UseBook { book, reply }).await;
        done.map_err(|_| BookError::Stopped)?
            .map_err(BookError::Journal)
    }

    /// Resolves once the engines have handled every record through `position`
    /// and what came of it is in the viewers' queues.
    ///
    /// # Errors
    /// When the shard has stopped before.
    pub async fn reached(&self, position: Position) -> Result<(), LookupError> {
        self.ask(|reply| Request::Reached { position, reply }).await
    }

    /// Sums over all transfers and viewers, for metrics. Takes the shard some
    /// microseconds per transfer.
    ///
    /// # Errors
    /// When the shard has stopped.
    pub async fn totals(&self) -> Result<Totals, LookupError> {
        self.ask(|reply| Request::Totals { reply })
            .await
            .map(|totals| *totals)
    }

    /// Requests that wait for the shard, and at most how many.
    #[must_use]
    pub fn requests_waiting(&self) -> (usize, usize) {
        let max = self.requests.max_capacity();
        (max.saturating_sub(self.requests.capacity()), max)
    }

    /// The last position that the engines have handled, whenever it changes;
    /// stands still while nothing is recorded.
    #[must_use]
    pub fn handled(&self) -> watch::Receiver<Position> {
        self.common.through.subscribe()
    }

    /// Which transfers may have records, for whoever takes them in.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.common.admission.clone()
    }

    /// Reads the journal under it.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.common.reader.clone()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Whether it is live, now and whenever that changes; closed when the
    /// shard's thread has ended.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Engine time and the wall clock, as this server gives them.
    #[must_use]
    pub fn clock(&self) -> &EngineClock {
        &self.clock
    }

    /// Handles what is committed so far, writes snapshots, ends every
    /// subscription and the thread. Ticks stop. Call it before the journal is
    /// closed: an ended journal ends the shard without snapshots.
    pub async fn shutdown(&self) {
        if self.ask(|reply| Request::Shutdown { reply }).await.is_err() {
            tracing::debug!("live view had stopped already");
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the live view's thread panicked");
        }
    }

    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, LookupError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(request(reply)).await;
        sent.map_err(|_| LookupError::Stopped)?;
        answer.await.map_err(|_| LookupError::Stopped)
    }
}

fn unreadable(error: &ReadError) -> HistoryError {
    HistoryError::Unreadable {
        reason: error.to_string(),
    }
}
