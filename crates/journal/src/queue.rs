//! The bounded queue between appenders and the committer.
//!
//! ```text
//!  appender ── room (records, bytes; waits) ──► push ──► [ops] ──► take (one commit's worth) ──► committer
//!                ▲                                                                                  │
//!                └──────────────── given back when the commit is over ──────────────────────────────┘
//! ```
//!
//! Room is counted by two semaphores, so that waiting is asynchronous and fair;
//! the ops lie under a mutex with a condition variable, so that the committer's
//! rest between two commits needs no clock of ours. Nothing is dropped when full:
//! appenders wait.

use crate::error::{AppendError, Failure};
use crate::journal::Shared;
use crate::meter::Depth;
use crate::options::Options;
use crate::record::Append;
use crate::repair::Repaired;
use enroute_model::ids::Position;
use enroute_model::time::EngineTime;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

/// Counted per record besides its payload, so that empty ones are bounded too.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// Something for the committer.
#[derive(Debug)]
pub(crate) enum Op {
    /// Records, and who waits for them.
    Append(Vec<Append>, oneshot::Sender<Result<Position, AppendError>>),
    /// Engine time.
    Tick(EngineTime),
}

/// A word for the committer that does not wait behind the ops.
#[derive(Debug)]
pub(crate) enum Control {
    /// The journal's state has changed: look at it.
    Look,
    /// The store is open again.
    Repaired(Box<Repaired>),
}

/// What the committer takes at once.
#[derive(Debug)]
pub(crate) enum Taken {
    Control(Control),
    Ops(Vec<(Op, Room)>),
}

/// Room in the queue; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    records: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct State {
    ops: VecDeque<(Op, Room)>,
    /// At most a few: a failure is looked at once, and one repair runs at a time.
    control: VecDeque<Control>,
    records: usize,
    bytes: usize,
    /// The commit interval after the last commit is not over.
    rests: bool,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    options: Options,
    state: Mutex<State>,
    filled: Condvar,
    ended: Condvar,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Queue {
    pub(crate) fn new(mut options: Options, shared: Arc<Shared>) -> Self {
        let permits_max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        options.queue_records_max = options.queue_records_max.clamp(1, permits_max);
        options.queue_bytes_max = options.queue_bytes_max.clamp(1, permits_max);
        let records = Arc::new(Semaphore::new(options.queue_records_max));
        let bytes = Arc::new(Semaphore::new(options.queue_bytes_max));
        // The opening counts as a commit.
        let state = State {
            rests: true,
            ..State::default()
        };
        Self {
            options,
            state: Mutex::new(state),
            filled: Condvar::new(),
            ended: Condvar::new(),
            records,
            bytes,
            shared,
        }
    }

    /// Waits until `records` fit. Cancel-safe.
    pub(crate) async fn room(&self, records: &[Append]) -> Result<Room, AppendError> {
        let (count, size) = self.measure(records)?;
        let records = Arc::clone(&self.records).acquire_many_owned(count).await;
        let records = records.map_err(|_| self.over())?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await;
        let bytes = bytes.map_err(|_| self.over())?;
        Ok(Room { records, bytes })
    }

    /// Room for `records` if there is any now.
    pub(crate) fn try_room(&self, records: &[Append]) -> Result<Option<Room>, AppendError> {
        let (count, size) = self.measure(records)?;
        let take = |from: &Arc<Semaphore>, permits| match Arc::clone(from)
            .try_acquire_many_owned(permits)
        {
            Ok(permit) => Ok(Some(permit)),
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(self.over()),
        };
        let Some(records) = take(&self.records, count)? else {
            return Ok(None);
        };
        let bytes = take(&self.bytes, size)?;
        Ok(bytes.map(|bytes| Room { records, bytes }))
    }

    /// Permits that `records` need; an empty batch or a tick counts as one record.
    fn measure(&self, records: &[Append]) -> Result<(u32, u32), AppendError> {
        let bytes = records.iter().fold(0_usize, |sum, record| {
            let size = record.payload.len().saturating_add(RECORD_OVERHEAD_BYTES);
            sum.saturating_add(size)
        });
        let fits = records.len() <= self.options.queue_records_max
            && bytes <= self.options.queue_bytes_max;
        let permits = u32::try_from(records.len().max(1)).ok();
        match (fits, permits, u32::try_from(bytes).ok()) {
            (true, Some(count), Some(size)) => Ok((count, size)),
            _ => Err(AppendError::TooLarge {
                records: records.len(),
                bytes,
            }),
        }
    }

    pub(crate) fn push(&self, op: Op, room: Room) -> Result<(), AppendError> {
        let mut state = self.lock();
        if state.closed {
            return Err(self.over());
        }
        let was_empty = state.ops.is_empty();
        state.records = state.records.saturating_add(room.records.num_permits());
        state.bytes = state.bytes.saturating_add(room.bytes.num_permits());
        state.ops.push_back((op, room));
        // Who rests is woken by what fills a commit alone.
        if (was_empty && !state.rests) || self.full(&state) {
            self.filled.notify_one();
        }
        Ok(())
    }

    fn full(&self, state: &State) -> bool {
        state.records >= self.options.commit_records_max
            || state.bytes >= self.options.commit_bytes_max
    }

    /// Puts a word before the ops. After the end it is dropped.
    pub(crate) fn control(&self, control: Control) {
        let mut state = self.lock();
        if !state.closed {
            state.control.push_back(control);
            self.filled.notify_one();
        }
    }

    /// A word, or the next commit's worth of ops in order: at once after a pause, else
    /// when the commit interval after the last commit is over or there is enough.
    /// `None` when closed and drained.
    pub(crate) fn take(&self) -> Option<Taken> {
        let rests = |state: &mut State| {
            state.rests && !self.full(state) && !state.closed && state.control.is_empty()
        };
        let rested =
            self.filled
                .wait_timeout_while(self.lock(), self.options.commit_interval, rests);
        let mut state = rested.unwrap_or_else(PoisonError::into_inner).0;
        if let Some(control) = state.control.pop_front() {
            return Some(Taken::Control(control));
        }
        state.rests = false;
        let idle =
            |state: &mut State| state.ops.is_empty() && state.control.is_empty() && !state.closed;
        let waited = self.filled.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(control) = state.control.pop_front() {
            return Some(Taken::Control(control));
        }
        if state.ops.is_empty() {
            return None;
        }
        Some(Taken::Ops(self.split_off(&mut state)))
    }

    /// Waits for `time`; true: the queue was closed by then.
    pub(crate) fn closed_within(&self, time: Duration) -> bool {
        let open = |state: &mut State| !state.closed;
        let waited = self.ended.wait_timeout_while(self.lock(), time, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Takes ops until a commit is full. A batch is never split.
    fn split_off(&self, state: &mut State) -> Vec<(Op, Room)> {
        let mut taken = Vec::new();
        let (mut records, mut bytes) = (0_usize, 0_usize);
        while records < self.options.commit_records_max && bytes < self.options.commit_bytes_max {
            let Some((op, room)) = state.ops.pop_front() else {
                break;
            };
            records = records.saturating_add(room.records.num_permits());
            bytes = bytes.saturating_add(room.bytes.num_permits());
            state.rests |= matches!(op, Op::Append(..));
            taken.push((op, room));
        }
        state.records = state.records.saturating_sub(records);
        state.bytes = state.bytes.saturating_sub(bytes);
        taken
    }

    /// Records and bytes that are queued or being committed.
    pub(crate) fn depths(&self) -> (Depth, Depth) {
        let free = |permits: &Semaphore| permits.available_permits();
        (
            Depth::of(self.options.queue_records_max, free(&self.records)),
            Depth::of(self.options.queue_bytes_max, free(&self.bytes)),
        )
    }

    /// No more in; what is queued is still committed.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.records.close();
        self.bytes.close();
        self.filled.notify_all();
        self.ended.notify_all();
    }

    /// No more in, for good, and everyone who waits is told why.
    pub(crate) fn fail(&self, failure: Failure) {
        tracing::error!(%failure, "the journal stops");
        let failure = self.shared.fail(failure);
        self.close();
        self.lock().control.clear();
        let waiting = std::mem::take(&mut self.lock().ops);
        for (op, _) in waiting {
            if let Op::Append(_, done) = op {
                // Whoever no longer waits does not want to know.
                done.send(Err(failure.clone().into())).ok();
            }
        }
    }

    fn over(&self) -> AppendError {
        self.shared
            .failure()
            .map_or(AppendError::Closed, AppendError::Failed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
