//! The one thread that writes records.
//!
//! ```text
//!  queue ── take ──► number, clamp ──► one batch, one sync ──► resolve waiters ──► tail (blocks when full)
//! ```

use crate::error::Failure;
use crate::head;
use crate::journal::Shared;
use crate::keys;
use crate::meter::Meter;
use crate::queue::{Op, Queue};
use crate::record::{Append, Class, Stored};
use crate::slices::Slices;
use crate::store::{Disk, describe};
use crate::tables::Tables;
use crate::tail::TailItem;
use crate::{AppendError, head::HEAD_BYTES};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;
use fjall::{Keyspace, OwnedWriteBatch};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

const _: () = assert!(HEAD_BYTES == 25, "the format in the crate's doc");

/// State of the committer between two commits.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) slices: Arc<Slices>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) disk: Box<dyn Disk>,
    /// `None` once the tail is dropped.
    pub(crate) tail: Option<mpsc::Sender<TailItem>>,
    pub(crate) meter: Option<Arc<dyn Meter>>,
    pub(crate) last: Position,
    pub(crate) last_at: EngineTime,
    /// Transfers that have a first record.
    pub(crate) known: HashSet<TransferId>,
}

/// What is to be done once a commit is durable.
#[derive(Debug, Default)]
struct Outcome {
    items: Vec<TailItem>,
    bytes: u64,
    waiters: Vec<(Position, oneshot::Sender<Result<Position, AppendError>>)>,
}

impl Outcome {
    fn record(&mut self, record: Stored) {
        let bytes = u64::try_from(record.payload.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(TailItem::Records(records)) = self.items.last_mut() {
            records.push(record);
        } else {
            self.items.push(TailItem::Records(vec![record]));
        }
    }
}

impl Committer {
    /// Commits until the queue is closed and empty, or a commit fails.
    pub(crate) fn run(mut self) {
        while let Some(taken) = self.queue.take() {
            // The room is given back only when the tail has the records.
            let (ops, room): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
            if !self.commit(ops) {
                return;
            }
            drop(room);
        }
    }

    /// False: it failed, and so has the journal.
    fn commit(&mut self, ops: Vec<Op>) -> bool {
        let mut outcome = Outcome::default();
        let stored = self.store(ops, &mut outcome);
        if let Err(failure) = stored {
            self.queue.fail(failure);
            for (_, done) in outcome.waiters {
                self.answer(done, None);
            }
            return false;
        }
        self.shared.set_durable(self.last);
        for (position, done) in outcome.waiters {
            self.answer(done, Some(position));
        }
        for item in outcome.items {
            self.hand_over(item);
        }
        true
    }

    fn answer(
        &self,
        done: oneshot::Sender<Result<Position, AppendError>>,
        position: Option<Position>,
    ) {
        let failure = || self.shared.failure();
        let answer = match position {
            Some(position) => Ok(position),
            None => Err(failure().map_or(AppendError::Closed, AppendError::Failed)),
        };
        // Whoever no longer waits does not want to know.
        done.send(answer).ok();
    }

    fn hand_over(&mut self, item: TailItem) {
        let gone = self
            .tail
            .as_ref()
            .is_some_and(|tail| tail.blocking_send(item).is_err());
        if gone {
            tracing::info!("nobody reads the journal's tail; going on without");
            self.tail = None;
        }
    }

    /// Numbers what `ops` hold and makes it durable in one batch. Waiters are
    /// in `outcome` in either case.
    fn store(&mut self, ops: Vec<Op>, outcome: &mut Outcome) -> Result<(), Failure> {
        let mut batch = self.tables.batch();
        let mut prepared = Ok(());
        for op in ops {
            match op {
                Op::Tick(at) => {
                    self.last_at = self.last_at.max(at);
                    outcome.items.push(TailItem::Tick(self.last_at));
                }
                Op::Append(records, done) => {
                    for record in records {
                        let result = self.prepare(record, &mut batch, outcome);
                        prepared = prepared.and(result);
                    }
                    outcome.waiters.push((self.last, done));
                }
            }
        }
        prepared?;
        if batch.is_empty() {
            return Ok(());
        }
        self.tables.last_into(&mut batch, self.last, self.last_at);
        if let Some(meter) = &self.meter {
            meter.begins();
        }
        self.disk.commit(batch)?;
        if let Some(meter) = &self.meter {
            meter.durable(&outcome.items, outcome.bytes);
        }
        Ok(())
    }

    fn prepare(
        &mut self,
        record: Append,
        batch: &mut OwnedWriteBatch,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let next = self.last.0.checked_add(1);
        let next = next.ok_or_else(|| Failure::new(&"all positions are used"))?;
        self.last = Position(next);
        self.last_at = self.last_at.max(record.at);
        let space = self.space(record.class)?;
        let key = keys::numbered(&record.transfer, next);
        let value = head::seal(self.last_at, record.received_at, &record.payload);
        batch.insert(&space, key, value);
        if !self.known.contains(&record.transfer) {
            self.tables.first_into(batch, &record.transfer, self.last);
            self.known.insert(record.transfer.clone());
        }
        outcome.record(Stored {
            position: self.last,
            class: record.class,
            transfer: record.transfer,
            at: self.last_at,
            received_at: record.received_at,
            payload: record.payload,
        });
        Ok(())
    }

    fn space(&self, class: Class) -> Result<Keyspace, Failure> {
        let space = self.slices.space(class, self.last_at);
        space.map_err(|error| Failure::new(&describe(&error)))
    }
}

impl Drop for Committer {
    /// However the thread ends, nobody waits for it for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.fail(Failure::new(&"the committer panicked"));
        } else {
            self.queue.close();
        }
    }
}
