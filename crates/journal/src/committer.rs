//! The one thread that writes records.
//!
//! ```text
//!  queue ── take ──► number, clamp ──► one batch, one sync ──► resolve waiters ──► tail (blocks when full)
//!                                           │ fails
//!                                           ▼
//!            the store is let go, a repair begins; until it is done:
//!            clamp ──► tail, without positions ──► waiters hear that nothing is durable
//! ```

use crate::AppendError;
use crate::error::Failure;
use crate::head::{Form, HEAD_BYTES};
use crate::journal::Shared;
use crate::keys;
use crate::meter::Meter;
use crate::options::StepsIn;
use crate::queue::{Control, Op, Queue, Taken};
use crate::record::{Append, Class, Stored};
use crate::repair::{Repair, Repaired};
use crate::spaces::Spaces;
use crate::steps;
use crate::store::{self, Disk, describe, guarded};
use crate::tail::TailItem;
use crate::vault::Sealing;
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
    pub(crate) disk: Arc<dyn Disk>,
    /// `None` once the tail is dropped.
    pub(crate) tail: Option<mpsc::Sender<TailItem>>,
    pub(crate) meter: Option<Arc<dyn Meter>>,
    pub(crate) steps_in: StepsIn,
    pub(crate) last: Position,
    pub(crate) last_at: EngineTime,
    /// Transfers that have a first record.
    pub(crate) known: HashSet<TransferId>,
    /// The failure that the tail was told of; `Some`: a repair is under way.
    pub(crate) told: Option<Failure>,
    pub(crate) repair: Repair,
}

/// Whoever waits for a batch, with the position of its last record.
type Waiter = (Position, oneshot::Sender<Result<Position, AppendError>>);

/// Ops with their numbers and times, before it is known whether they are durable.
#[derive(Debug, Default)]
struct Numbered {
    items: Vec<TailItem>,
    bytes: u64,
    waiters: Vec<Waiter>,
}

impl Numbered {
    fn record(&mut self, record: Stored) {
        let bytes = u64::try_from(record.payload.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(TailItem::Records(records)) = self.items.last_mut() {
            records.push(record);
        } else {
            self.items.push(TailItem::Records(vec![record]));
        }
    }

    fn records(&self) -> impl Iterator<Item = &Stored> {
        self.items.iter().flat_map(|item| match item {
            TailItem::Records(records) => records.as_slice(),
            TailItem::Tick(_)
            | TailItem::Failed(_)
            | TailItem::Unrecorded(_)
            | TailItem::Recovered(_) => &[],
        })
    }
}

impl Committer {
    /// Commits until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(taken) = self.queue.take() {
            match taken {
                Taken::Control(Control::Look) => {}
                Taken::Control(Control::Repaired(repaired)) => self.recover(*repaired),
                Taken::Ops(taken) => {
                    // The room is given back only when the tail has the records.
                    let (ops, room): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
                    self.commit(ops);
                    drop(room);
                }
            }
            self.look();
        }
    }

    fn commit(&mut self, ops: Vec<Op>) {
        // Somebody else may have seen the store fail.
        self.look();
        let before = self.last;
        let numbered = self.number(ops);
        let stored = self.shared.spaces().and_then(|spaces| {
            // Given back before anybody hears of a failure.
            guarded(|| self.store(&spaces, &numbered))
        });
        match stored {
            Ok(new) => self.durable(numbered, new),
            Err(failure) => {
                self.last = before;
                self.shared.fail(failure);
                self.look();
                self.unrecorded(numbered);
            }
        }
    }

    fn durable(&mut self, numbered: Numbered, new: HashSet<TransferId>) {
        self.known.extend(new);
        self.shared.set_durable(self.last);
        // From the last to the first: whoever waits for several in order is woken by the
        // first of them, once, and finds the others done.
        for (position, done) in numbered.waiters.into_iter().rev() {
            // Whoever no longer waits does not want to know.
            done.send(Ok(position)).ok();
        }
        for item in numbered.items {
            self.hand_over(item);
        }
    }

    /// Nothing of it is durable, as far as is known: the tail gets it so.
    fn unrecorded(&mut self, numbered: Numbered) {
        for item in numbered.items {
            self.hand_over(match item {
                TailItem::Records(records) => {
                    TailItem::Unrecorded(records.into_iter().map(without_position).collect())
                }
                other @ (TailItem::Tick(_)
                | TailItem::Failed(_)
                | TailItem::Unrecorded(_)
                | TailItem::Recovered(_)) => other,
            });
        }
        let failure = self.told.clone();
        for (_, done) in numbered.waiters {
            done.send(Err(match (&failure, &self.tail) {
                (Some(failure), Some(_)) => AppendError::Unrecorded(failure.clone()),
                (Some(failure), None) => AppendError::Failed(failure.clone()),
                (None, _) => AppendError::Closed,
            }))
            .ok();
        }
    }

    /// Tells the tail of a failure that it does not know yet; the first one
    /// begins a repair.
    fn look(&mut self) {
        let failure = self.shared.failure();
        if failure.is_none() || failure == self.told {
            return;
        }
        let begins = self.told.is_none();
        self.told.clone_from(&failure);
        if let Some(failure) = failure {
            if begins {
                tracing::error!(reason = failure.reason(), "the journal has failed");
            }
            self.hand_over(TailItem::Failed(failure));
        }
        if begins && let Err(error) = self.repair.start() {
            tracing::error!(%error, "no thread to repair the journal: restart the server");
        }
    }

    fn recover(&mut self, repaired: Repaired) {
        self.last = repaired.last;
        // Ticks have fired deadlines up to here, recorded or not.
        self.last_at = self.last_at.max(repaired.last_at);
        self.known = repaired.known;
        self.told = None;
        self.shared.reopen(repaired.spaces, self.last);
        tracing::info!(position = self.last.0, "the journal works again");
        self.hand_over(TailItem::Recovered(self.last));
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

    /// Gives positions and times, which never decrease.
    fn number(&mut self, ops: Vec<Op>) -> Numbered {
        let mut numbered = Numbered::default();
        for op in ops {
            match op {
                Op::Tick(at) => {
                    self.last_at = self.last_at.max(at);
                    numbered.items.push(TailItem::Tick(self.last_at));
                }
                Op::Append(records, done) => {
                    for record in records {
                        // 2^64 records are not reached.
                        self.last = Position(self.last.0.saturating_add(1));
                        self.last_at = self.last_at.max(record.at);
                        numbered.record(stored(record, self.last, self.last_at));
                    }
                    numbered.waiters.push((self.last, done));
                }
            }
        }
        numbered
    }

    /// Makes all of it durable in one batch; gives the transfers whose first records
    /// are in it.
    fn store(&self, spaces: &Spaces, numbered: &Numbered) -> Result<HashSet<TransferId>, Failure> {
        let tables = &spaces.tables;
        let sealing = spaces.vault.sealing();
        sealing.ensure_all(numbered.records().map(|record| record.transfer.as_str()))?;
        let mut batch = tables.batch_of(numbered.records().count());
        let mut current = Current::default();
        let mut new = HashSet::new();
        for record in numbered.records() {
            let space = current.space(spaces, record)?;
            self.insert(&mut batch, space, &sealing, record)?;
            let transfer = &record.transfer;
            if !self.known.contains(transfer) && !new.contains(transfer) {
                tables.first_into(&mut batch, transfer, record.position);
                new.insert(transfer.clone());
            }
        }
        if batch.is_empty() {
            return Ok(new);
        }
        store::room(&tables.db, tables.in_each_commit())?;
        tables.last_into(&mut batch, self.last, self.last_at);
        if let Some(meter) = &self.meter {
            meter.begins();
        }
        sealing.commit(batch, &tables.meta, |batch| self.disk.commit(batch))?;
        if let Some(meter) = &self.meter {
            meter.durable(&numbered.items, numbered.bytes);
        }
        Ok(new)
    }

    fn insert(
        &self,
        batch: &mut OwnedWriteBatch,
        space: &Keyspace,
        sealing: &Sealing<'_>,
        record: &Stored,
    ) -> Result<(), Failure> {
        let key = keys::numbered(&record.transfer, record.position.0);
        let place = keys::place(record.class, &key);
        let (name, times) = (record.transfer.as_str(), (record.at, record.received_at));
        let payload = &record.payload[..];
        let packed = match record.class {
            Class::Vitals => None,
            Class::Waveforms => steps::pack(payload, &(self.steps_in)(payload)),
        };
        let payload = packed
            .as_deref()
            .map_or((Form::Plain, payload), |packed| (Form::Steps, packed));
        let value = sealing.seal_as(name, place, times, payload)?;
        batch.insert(space, key, value);
        Ok(())
    }
}

/// Where the records of a commit go: looked up, and asked for room, where that changes
/// and not for each record.
#[derive(Default)]
struct Current {
    vitals: Option<(i64, Keyspace)>,
    waveforms: Option<(i64, Keyspace)>,
}

impl Current {
    fn space(&mut self, spaces: &Spaces, record: &Stored) -> Result<&Keyspace, Failure> {
        let slices = &spaces.slices;
        let number = slices.number(record.at);
        let known = match record.class {
            Class::Vitals => &mut self.vitals,
            Class::Waveforms => &mut self.waveforms,
        };
        let found = known.take().filter(|known| known.0 == number);
        let found = if let Some(found) = found {
            found
        } else {
            let space = slices.space(record.class, record.at);
            let space = space.map_err(|error| Failure::new(&describe(&error)))?;
            store::room(&spaces.tables.db, [&space])?;
            (number, space)
        };
        Ok(&known.insert(found).1)
    }
}

fn stored(record: Append, position: Position, at: EngineTime) -> Stored {
    Stored {
        position,
        class: record.class,
        transfer: record.transfer,
        at,
        received_at: record.received_at,
        payload: record.payload,
    }
}

fn without_position(record: Stored) -> Append {
    Append {
        class: record.class,
        transfer: record.transfer,
        at: record.at,
        received_at: record.received_at,
        payload: record.payload,
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
