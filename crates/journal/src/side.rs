//! Small tables beside the records: snapshots, derived records, poison, rule
//! books.

use crate::error::Failure;
use crate::head;
use crate::journal::Shared;
use crate::keys;
use crate::queue::{Control, Queue};
use crate::store::{self, guarded};
use crate::tables::{self, Tables};
use enroute_model::ids::{BookHash, Position, TransferId};
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
        let spaces = self.shared.spaces()?;
        let put = guarded(|| {
            let tables = &spaces.tables;
            store::room(&tables.db, [space(tables)])?;
            let mut batch = tables.batch();
            batch.insert(space(tables), key, value);
            store::commit(batch, mode)
        });
        // Nobody may open it again while we have it.
        drop(spaces);
        put.inspect_err(|failure| {
            self.shared.fail(failure.clone());
            self.queue.control(Control::Look);
        })
    }
}
