//! Opening, the handles, closing.

use crate::appender::Appender;
use crate::committer::Committer;
use crate::error::{Failure, OpenError, ReadError};
use crate::meter::Gauges;
use crate::options::Options;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::repair::Repair;
use crate::side::Side;
use crate::spaces::Spaces;
use crate::store::{Disk, Synced, describe, guarded};
use crate::tail::{Tail, TailItem};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;
use fjall::PersistMode;
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Why nothing can be read or put after the end.
const CLOSED: &str = "the journal is closed";

/// How often is looked whether the store is let go.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What every handle needs to know.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    durable: AtomicU64,
}

/// Handles come to the store through this alone, so that it can be let go and
/// another opening of it put in its place.
#[derive(Debug)]
enum State {
    Open(Arc<Spaces>),
    Failed(Failure),
    Closed,
}

impl Shared {
    fn new(spaces: Spaces, durable: Position) -> Self {
        Self {
            state: RwLock::new(State::Open(Arc::new(spaces))),
            durable: AtomicU64::new(durable.0),
        }
    }

    /// The open store. Not to be kept: as long as somebody has it, it cannot be
    /// opened again.
    pub(crate) fn spaces(&self) -> Result<Arc<Spaces>, Failure> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(spaces) => Ok(Arc::clone(spaces)),
            State::Failed(failure) => Err(failure.clone()),
            State::Closed => Err(Failure::new(&CLOSED)),
        }
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Failed(failure) => Some(failure.clone()),
            State::Open(_) | State::Closed => None,
        }
    }

    /// What to tell a reader that has nothing to read.
    pub(crate) fn why_not_open(&self) -> Failure {
        let repaired = || Failure::new(&"it failed meanwhile and works again: read anew");
        self.spaces().err().unwrap_or_else(repaired)
    }

    /// Lets go of the store. The first failure stays until the repair.
    pub(crate) fn fail(&self, failure: Failure) -> Failure {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = match &*state {
            State::Failed(first) => return first.clone(),
            State::Closed => return failure,
            State::Open(_) => std::mem::replace(&mut *state, State::Failed(failure.clone())),
        };
        drop(state);
        Self::let_go(before);
        failure
    }

    /// Why it is still not open; true: that is another reason than before.
    pub(crate) fn fail_still(&self, failure: &Failure) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Failed(reason) if reason != failure => {
                reason.clone_from(failure);
                true
            }
            State::Failed(_) | State::Open(_) | State::Closed => false,
        }
    }

    /// Puts another opening of the store in the failed one's place.
    pub(crate) fn reopen(&self, spaces: Spaces, durable: Position) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        self.set_durable(durable);
        *state = State::Open(Arc::new(spaces));
    }

    /// A failed one stays failed. Waits for who does something to the store just now,
    /// such as giving space back.
    fn close(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let open = match &*state {
            State::Open(spaces) => Arc::clone(spaces),
            State::Failed(_) | State::Closed => return,
        };
        let before = std::mem::replace(&mut *state, State::Closed);
        drop(state);
        Self::let_go(before);
        // The last one closes the store, and that is to be this one.
        while Arc::strong_count(&open) > 1 {
            std::thread::park_timeout(LOOK_EVERY);
        }
        Self::let_go(State::Open(open));
    }

    fn let_go(state: State) {
        let gone = guarded(|| {
            if let State::Open(spaces) = state {
                spaces.revoke();
            }
            Ok(())
        });
        if let Err(failure) = gone {
            tracing::error!(%failure, "the store was not let go in good order");
        }
    }

    pub(crate) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn set_durable(&self, position: Position) {
        self.durable.store(position.0, Ordering::Release);
    }
}

/// The server's ordered record log: one committer thread over one store.
///
/// Dropping it refuses new records and lets the committer finish what is queued
/// in the background; [`Journal::close`] waits for it.
#[derive(Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    incarnation: u64,
    opened_at: Option<EngineTime>,
    /// Weak: the tail ends with the committer.
    tail: mpsc::WeakSender<TailItem>,
    committer: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `dir`, creating it if there is none, and starts the
    /// committer. Recovery drops what was never acknowledged at most; the tail
    /// begins behind what is already stored.
    ///
    /// # Errors
    /// When `dir` is in use, of a newer format, not a journal, damaged, or not
    /// accessible.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Tail), OpenError> {
        let before = options.before_commit.clone();
        Self::open_on(
            dir,
            options,
            Arc::new(Synced {
                before,
                after: None,
            }),
        )
    }

    pub(crate) fn open_on(
        dir: &Path,
        options: Options,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Tail), OpenError> {
        let slice_us = u64::try_from(options.slice.0.max(1)).unwrap_or(1);
        let keys = options.keys.clone();
        let spaces = Spaces::open(dir, slice_us, keys.as_ref())?;
        let (incarnation, slice_us) = (spaces.tables.incarnation, spaces.tables.slice_us);
        let last = spaces.tables.last(dir)?;
        if let Err(failure) = spaces.forget(options.deleted_max) {
            tracing::warn!(%failure, "what was deleted long ago is still remembered");
        }
        let known = known(dir, &spaces)?;
        let durable = last.map_or(Position(0), |(position, _)| position);
        let shared = Arc::new(Shared::new(spaces, durable));
        let (sender, items) = mpsc::channel(options.tail_items_max.max(1));
        let (weak, meter) = (sender.downgrade(), options.meter.clone());
        let (steps_in, repair_after) = (options.steps_in, options.repair_after);
        let queue = Arc::new(Queue::new(options, Arc::clone(&shared)));
        let committer = Committer {
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            disk: Arc::clone(&disk),
            tail: Some(sender),
            meter,
            steps_in,
            last: durable,
            last_at: last.map_or(EngineTime(i64::MIN), |(_, at)| at),
            known,
            told: None,
            repair: Repair {
                dir: dir.to_path_buf(),
                incarnation,
                slice_us,
                keys,
                after: repair_after,
                disk,
                queue: Arc::clone(&queue),
                shared: Arc::clone(&shared),
            },
        };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let journal = Self {
            queue,
            shared: Arc::clone(&shared),
            incarnation,
            opened_at: last.map(|(_, at)| at),
            tail: weak,
            committer: Some(thread.spawn(move || committer.run())?),
        };
        Ok((journal, Tail { items, shared }))
    }

    /// A handle for appending.
    #[must_use]
    pub fn appender(&self) -> Appender {
        let queue = Arc::clone(&self.queue);
        Appender { queue }
    }

    /// A handle for reading; reads never block commits.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// A handle for the side tables.
    #[must_use]
    pub fn side(&self) -> Side {
        Side {
            queue: Arc::clone(&self.queue),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Drawn at random when the journal was created: positions of one
    /// incarnation mean nothing in another.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The last durable position; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.shared.durable()
    }

    /// Engine time of the last record stored when the journal was opened;
    /// `None` in an empty one. Engine time must not start before it.
    #[must_use]
    pub fn opened_at(&self) -> Option<EngineTime> {
        self.opened_at
    }

    /// Why nothing becomes durable, while that is so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.shared.failure()
    }

    /// A handle for metrics; it keeps nothing open.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            queue: Arc::clone(&self.queue),
            shared: Arc::clone(&self.shared),
            tail: self.tail.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn shared_for_tests(&self) -> &Shared {
        &self.shared
    }

    /// Refuses new records, commits what is queued, syncs, and waits for the
    /// committer. Blocks; **the tail must be read to its end or dropped
    /// meanwhile**. The directory is free then: readers and the side's handles
    /// find the journal closed.
    ///
    /// # Errors
    /// When the journal has failed and is not repaired, or fails now.
    pub fn close(mut self) -> Result<(), Failure> {
        self.queue.close();
        if let Some(committer) = self.committer.take() {
            // A panic in it is already noted as the failure.
            committer.join().ok();
        }
        let synced = self.shared.spaces().and_then(|spaces| {
            let synced = spaces.tables.db.persist(PersistMode::SyncData);
            synced.map_err(|error| Failure::new(&describe(&error)))
        });
        self.shared.close();
        synced
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Transfers that have a first record.
pub(crate) fn known(dir: &Path, spaces: &Spaces) -> Result<HashSet<TransferId>, OpenError> {
    let damaged = |error: ReadError| OpenError::Damaged {
        dir: dir.to_path_buf(),
        what: format!("its list of transfers: {error}"),
    };
    let transfers = spaces.tables.transfers().map_err(damaged)?;
    Ok(transfers.into_iter().map(|(id, _)| id).collect())
}
