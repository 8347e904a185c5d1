//! Small tables beside the records: snapshots, sleepers, checkpoints, the order of
//! capture, derived records, poison, rule books. Deleting is in `deletion.rs`.

use crate::error::Failure;
use crate::head;
use crate::journal::Shared;
use crate::keys;
use crate::queue::{Control, Queue};
use crate::spaces::Spaces;
use crate::store::{self, guarded};
use crate::tables::{self, CAPTURED, CHECKPOINTS, DERIVED, POISON, SLEEPERS, SNAPSHOTS, Table};
use enroute_model::ids::{BookHash, Position, TransferId};
use enroute_model::time::EngineTime;
use fjall::PersistMode;
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
        let payload = tables::snapshot_payload(position, bytes);
        let key = transfer.as_str().as_bytes();
        self.put(transfer, SNAPSHOTS, (key, &payload), PersistMode::Buffer)
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
        let payload = tables::snapshot_payload(position, bytes);
        let key = transfer.as_str().as_bytes();
        self.put(transfer, SLEEPERS, (key, &payload), PersistMode::Buffer)
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
        let payload = tables::snapshot_payload(position, bytes);
        self.put(transfer, CHECKPOINTS, (&key, &payload), PersistMode::Buffer)
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
            let sealing = spaces.vault.sealing();
            let mut batch = spaces.tables.batch();
            let parts = parts.iter().map(Vec::as_slice);
            for (number, part) in (first..).zip(parts).chain([(0, head)]) {
                let key = keys::numbered(transfer, number);
                let value = sealing.seal_plain(transfer.as_str(), CAPTURED.at(&key), part)?;
                batch.insert(captured, key, value);
            }
            sealing.commit(batch, &spaces.tables.meta, |batch| {
                store::commit(batch, PersistMode::Buffer)
            })
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
        self.put(transfer, DERIVED, (&key, bytes), PersistMode::Buffer)
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
        let key = position.0.to_be_bytes();
        let payload = tables::poison_payload(transfer, reason);
        self.put(transfer, POISON, (&key, &payload), PersistMode::SyncData)
    }

    /// Stores the files of a rule book under their hash, before a record names
    /// it. **Synced:** durable when this returns.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_book(&self, hash: BookHash, bytes: &[u8]) -> Result<(), Failure> {
        self.change(|spaces| {
            let tables = &spaces.tables;
            store::room(&tables.db, [&tables.books])?;
            let mut batch = tables.batch();
            batch.insert(&tables.books, hash.0, head::seal_plain(bytes));
            store::commit(batch, PersistMode::SyncData)
        })
    }

    fn put(
        &self,
        transfer: &TransferId,
        table: Table,
        (key, payload): (&[u8], &[u8]),
        mode: PersistMode,
    ) -> Result<(), Failure> {
        self.change(|spaces| {
            let tables = &spaces.tables;
            let space = (table.of)(tables);
            store::room(&tables.db, [space])?;
            let sealing = spaces.vault.sealing();
            let value = sealing.seal_plain(transfer.as_str(), table.at(key), payload)?;
            let mut batch = tables.batch();
            batch.insert(space, key, value);
            sealing.commit(batch, &tables.meta, |batch| store::commit(batch, mode))
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
