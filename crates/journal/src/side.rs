//! Small tables beside the records: snapshots, sleepers, checkpoints, the order of
//! capture, derived records, poison, rule books. Deleting is in `deletion.rs`.

use crate::error::Failure;
use crate::head;
use crate::journal::Shared;
use crate::keys;
use crate::queue::{Control, Queue};
use crate::spaces::Spaces;
use crate::store::{self, guarded};
use crate::tables::{self, Tables};
use enroute_model::ids::{BookHash, Position, TransferId};
use enroute_model::time::EngineTime;
use fjall::{Keyspace, PersistMode};
use std::sync::Arc;

/// Writes the side tables; clone it freely. Puts do not pass through the
/// appender's queue, so that the tail's reader may put without waiting for
/// itself; each may wait for the sync of one running commit. A failed put is a
/// failure of the journal.
#[derive(Clone, Debug)]
pub struct Side {
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
}

impl Side {
    /// Replaces the snapshot of `transfer`. **Not synced:** it becomes durable
    /// with the next commit, never before what was put or committed before it.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_snapshot(
        &self,
        transfer: &TransferId,
        position: Position,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let key = transfer.as_str().as_bytes().to_vec();
        let value = tables::snapshot_value(position, bytes);
        self.put(|tables| &tables.snapshots, key, value, PersistMode::Buffer)
    }

    /// Notes that `transfer` needs no memory until its next record, in place of what
    /// was noted of it. **Not synced,** as with a snapshot: at worst it is loaded
    /// for nothing after a crash.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_sleeper(
        &self,
        transfer: &TransferId,
        position: Position,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let key = transfer.as_str().as_bytes().to_vec();
        let value = tables::snapshot_value(position, bytes);
        self.put(|tables| &tables.sleepers, key, value, PersistMode::Buffer)
    }

    /// Takes the note back. **Not synced,** but never later than what is put or
    /// committed behind it.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn remove_sleeper(&self, transfer: &TransferId) -> Result<(), Failure> {
        self.change(|spaces| {
            let tables = &spaces.tables;
            let mut batch = tables.batch();
            batch.remove(&tables.sleepers, transfer.as_str());
            store::commit(batch, PersistMode::Buffer)
        })
    }

    /// Stores a snapshot as of engine time `at` that later ones do not replace, so
    /// that reading can begin there. **Not synced,** as above.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_checkpoint(
        &self,
        snapshot: (&TransferId, Position),
        at: EngineTime,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let (transfer, position) = snapshot;
        let key = keys::numbered(transfer, keys::ordered(at));
        let value = tables::snapshot_value(position, bytes);
        self.put(
            |tables| &tables.checkpoints,
            key,
            value,
            PersistMode::Buffer,
        )
    }

    /// Stores parts of the order of capture of `transfer`, from number `first` on, and
    /// part 0, which says what the others are. All of it or nothing. **Not synced,** as
    /// above.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_captured(
        &self,
        transfer: &TransferId,
        head: &[u8],
        (first, parts): (u64, &[Vec<u8>]),
    ) -> Result<(), Failure> {
        self.change(|spaces| {
            let captured = &spaces.tables.captured;
            store::room(&spaces.tables.db, [captured])?;
            let key = |number| keys::numbered(transfer, number);
            let mut batch = spaces.tables.batch();
            for (number, part) in (first..).zip(parts) {
                batch.insert(captured, key(number), head::seal_plain(part));
            }
            batch.insert(captured, key(0), head::seal_plain(head));
            store::commit(batch, PersistMode::Buffer)
        })
    }

    /// Stores a derived record; the same ordinal again replaces it, so a re-run
    /// may put again. **Not synced,** as with a snapshot: a re-run from the
    /// snapshot before it derives it again.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_derived(
        &self,
        transfer: &TransferId,
        ordinal: u64,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let key = keys::numbered(transfer, ordinal);
        let value = head::seal_plain(bytes);
        self.put(|tables| &tables.derived, key, value, PersistMode::Buffer)
    }

    /// Marks a record as poisoned. **Synced:** durable when this returns.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_poison(
        &self,
        position: Position,
        transfer: &TransferId,
        reason: &str,
    ) -> Result<(), Failure> {
        let key = position.0.to_be_bytes().to_vec();
        let value = tables::poison_value(transfer, reason);
        self.put(|tables| &tables.poison, key, value, PersistMode::SyncData)
    }

    /// Stores the files of a rule book under their hash, before a record names
    /// it. **Synced:** durable when this returns.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_book(&self, hash: BookHash, bytes: &[u8]) -> Result<(), Failure> {
        let (key, value) = (hash.0.to_vec(), head::seal_plain(bytes));
        self.put(|tables| &tables.books, key, value, PersistMode::SyncData)
    }

    fn put(
        &self,
        space: fn(&Tables) -> &Keyspace,
        key: Vec<u8>,
        value: Vec<u8>,
        mode: PersistMode,
    ) -> Result<(), Failure> {
        self.change(|spaces| {
            let tables = &spaces.tables;
            store::room(&tables.db, [space(tables)])?;
            let mut batch = tables.batch();
            batch.insert(space(tables), key, value);
            store::commit(batch, mode)
        })
    }

    /// Does something to the store; what fails is a failure of the journal.
    pub(crate) fn change<T>(
        &self,
        what: impl FnOnce(&Spaces) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let spaces = self.shared.spaces()?;
        let done = guarded(|| what(&spaces));
        // Nobody may open it again while we have it.
        drop(spaces);
        done.inspect_err(|failure| {
            self.shared.fail(failure.clone());
            self.queue.control(Control::Look);
        })
    }
}
