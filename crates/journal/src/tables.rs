//! The keyspaces beside the records, their keys and their values.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | u32, kind |
//! | `meta` | `incarnation`, `slice_us` | u64 |
//! | `meta` | `last` | head: `at` of the last record; payload: its position |
//! | `meta` | `sealed` | head; highest number of a data key in use |
//! | `transfers` | id | head; position of the first record |
//! | `snapshots` | id | head; position, bytes |
//! | `sleepers` | id | head; position, bytes |
//! | `derived` | length, id, ordinal | head; bytes |
//! | `checkpoints` | length, id, engine time | head; position, bytes |
//! | `captured` | length, id, number | head; bytes |
//! | `deleted` | id | head; last deleted position, last purged position, bytes |
//! | `poison` | position | head; id, space, reason |
//! | `books` | hash of a rule book | head; its files |

use crate::error::{OpenError, ReadError};
use crate::head::{self, Value};
use crate::record::{Poison, Snapshot};
use crate::store::{self, SMALL_TABLE_BYTES, Store, refused, shared};
use crate::vault::{Place, Vault};
use bytes::Bytes;
use enroute_model::ids::{BookHash, Position, TransferId};
use enroute_model::time::{EngineTime, ServerTime};
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode, Readable};
use std::path::Path;

const INCARNATION_KEY: &str = "incarnation";
const SLICE_KEY: &str = "slice_us";
pub(crate) const LAST_KEY: &str = "last";
/// What `format` says of a journal.
const KIND: &str = "journal";

/// A keyspace whose values are sealed.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    name: &'static str,
    pub(crate) of: fn(&Tables) -> &Keyspace,
}

impl Table {
    /// Where a value of it lies.
    pub(crate) fn at(self, key: &[u8]) -> Place<'_> {
        let space = self.name;
        Place { space, key }
    }
}

pub(crate) const SNAPSHOTS: Table = Table {
    name: "snapshots",
    of: |tables| &tables.snapshots,
};
pub(crate) const SLEEPERS: Table = Table {
    name: "sleepers",
    of: |tables| &tables.sleepers,
};
pub(crate) const DERIVED: Table = Table {
    name: "derived",
    of: |tables| &tables.derived,
};
pub(crate) const CHECKPOINTS: Table = Table {
    name: "checkpoints",
    of: |tables| &tables.checkpoints,
};
pub(crate) const CAPTURED: Table = Table {
    name: "captured",
    of: |tables| &tables.captured,
};
pub(crate) const DELETED: Table = Table {
    name: "deleted",
    of: |tables| &tables.deleted,
};
pub(crate) const POISON: Table = Table {
    name: "poison",
    of: |tables| &tables.poison,
};

/// The keyspaces beside the records.
pub(crate) struct Tables {
    pub(crate) db: Database,
    pub(crate) meta: Keyspace,
    pub(crate) transfers: Keyspace,
    pub(crate) snapshots: Keyspace,
    pub(crate) sleepers: Keyspace,
    pub(crate) derived: Keyspace,
    pub(crate) checkpoints: Keyspace,
    pub(crate) captured: Keyspace,
    pub(crate) deleted: Keyspace,
    pub(crate) poison: Keyspace,
    pub(crate) books: Keyspace,
    pub(crate) incarnation: u64,
    pub(crate) slice_us: u64,
}

impl Tables {
    /// Opens the store in `dir`; a new one gets its incarnation and its slices'
    /// width.
    pub(crate) fn open(dir: &Path, slice_us: u64) -> Result<Self, OpenError> {
        let store = Store::open(dir, KIND)?;
        if store.new {
            create(&store, dir, slice_us)?;
        }
        let space = |name| {
            let space = store::keyspace(&store.db, name, SMALL_TABLE_BYTES);
            space.map_err(|error| refused(dir, &error))
        };
        Ok(Self {
            transfers: space("transfers")?,
            snapshots: space("snapshots")?,
            sleepers: space("sleepers")?,
            derived: space("derived")?,
            checkpoints: space("checkpoints")?,
            captured: space("captured")?,
            deleted: space("deleted")?,
            poison: space("poison")?,
            books: space("books")?,
            incarnation: number(&store, dir, INCARNATION_KEY)?,
            slice_us: number(&store, dir, SLICE_KEY)?,
            meta: store.meta,
            db: store.db,
        })
    }

    pub(crate) fn batch(&self) -> OwnedWriteBatch {
        self.db.batch()
    }

    /// The same with room for so many records and what a commit notes beside them.
    pub(crate) fn batch_of(&self, records: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.db.clone(), records.saturating_add(8))
    }

    /// The keyspaces beside the records that a commit writes.
    pub(crate) fn in_each_commit(&self) -> [&Keyspace; 2] {
        [&self.meta, &self.transfers]
    }

    /// The last record's position and time; `None` in an empty journal.
    pub(crate) fn last(&self, dir: &Path) -> Result<Option<(Position, EngineTime)>, OpenError> {
        let value = self.meta.get(LAST_KEY);
        let Some(value) = value.map_err(|error| refused(dir, &error))? else {
            return Ok(None);
        };
        let damaged = |what: String| OpenError::Damaged {
            dir: dir.to_path_buf(),
            what: format!("the note of its last record: {what}"),
        };
        let value = head::open(&shared(value)).map_err(damaged)?;
        let (position, _) = split_u64(&value.payload)
            .ok_or_else(|| damaged("it has fewer than 8 bytes".to_owned()))?;
        Ok(Some((Position(position), value.at)))
    }

    /// The same as `view` sees it.
    pub(crate) fn last_in(
        &self,
        view: &fjall::Snapshot,
    ) -> Result<Option<(Position, EngineTime)>, ReadError> {
        let Some(value) = view.get(&self.meta, LAST_KEY)? else {
            return Ok(None);
        };
        let value = clear(value)?;
        let (position, _) = split_u64(&value.payload).ok_or_else(|| unfit("the last position"))?;
        Ok(Some((Position(position), value.at)))
    }

    /// Notes the last record, so that opening needs no scan.
    pub(crate) fn last_into(
        &self,
        batch: &mut OwnedWriteBatch,
        position: Position,
        at: EngineTime,
    ) {
        let value = head::seal(at, ServerTime(0), &position.0.to_be_bytes());
        batch.insert(&self.meta, LAST_KEY, value);
    }

    /// Notes the first record of a transfer.
    pub(crate) fn first_into(
        &self,
        batch: &mut OwnedWriteBatch,
        transfer: &TransferId,
        position: Position,
    ) {
        let value = head::seal_plain(&position.0.to_be_bytes());
        batch.insert(&self.transfers, transfer.as_str(), value);
    }

    /// Every transfer with its first position, by id.
    pub(crate) fn transfers(&self) -> Result<Vec<(TransferId, Position)>, ReadError> {
        let rows = self.transfers.iter().map(|row| {
            let (key, value) = row.into_inner()?;
            let value = clear(value)?;
            let (position, _) =
                split_u64(&value.payload).ok_or_else(|| unfit("a first position"))?;
            Ok((id(&key)?, Position(position)))
        });
        rows.collect()
    }
}

fn create(store: &Store, dir: &Path, slice_us: u64) -> Result<(), OpenError> {
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation).map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut batch = store.db.batch();
    store.format_into(&mut batch, KIND);
    batch.insert(&store.meta, INCARNATION_KEY, incarnation);
    batch.insert(&store.meta, SLICE_KEY, slice_us.to_be_bytes());
    let created = batch.durability(Some(PersistMode::SyncAll)).commit();
    created.map_err(|error| refused(dir, &error))
}

fn number(store: &Store, dir: &Path, key: &str) -> Result<u64, OpenError> {
    let value = store.meta.get(key).map_err(|error| refused(dir, &error))?;
    let value = value.and_then(|value| split_u64(&shared(value)));
    value
        .map(|(number, _)| number)
        .ok_or_else(|| OpenError::Damaged {
            dir: dir.to_path_buf(),
            what: format!("its {key} is missing"),
        })
}

/// A leading u64 and what follows.
pub(crate) fn split_u64(bytes: &Bytes) -> Option<(u64, Bytes)> {
    let (number, _) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), bytes.slice(8..)))
}

/// A value of a keyspace that is never sealed, checked.
fn clear(value: fjall::Slice) -> Result<Value, ReadError> {
    head::open(&shared(value)).map_err(|what| ReadError::Record {
        position: Position(0),
        through: Position(0),
        what: what.into(),
    })
}

pub(crate) fn unfit(what: &str) -> ReadError {
    ReadError::Record {
        position: Position(0),
        through: Position(0),
        what: format!("{what} does not fit").into(),
    }
}

pub(crate) fn id(bytes: &[u8]) -> Result<TransferId, ReadError> {
    let text = std::str::from_utf8(bytes).ok();
    let id = text.and_then(|text| TransferId::new(text).ok());
    id.ok_or_else(|| unfit("a transfer id"))
}

/// Payload of a snapshot, or of a sleeper's note.
pub(crate) fn snapshot_payload(position: Position, bytes: &[u8]) -> Vec<u8> {
    [&position.0.to_be_bytes(), bytes].concat()
}

/// A row of [`SNAPSHOTS`] or [`SLEEPERS`].
pub(crate) fn snapshot(
    vault: &Vault,
    table: Table,
    (key, value): (&[u8], fjall::Slice),
) -> Result<Snapshot, ReadError> {
    let value = vault.opened(table.at(key), Position(0), value)?;
    let (position, bytes) = split_u64(&value.payload).ok_or_else(|| unfit("a snapshot"))?;
    Ok(Snapshot {
        transfer: id(key)?,
        position: Position(position),
        bytes,
    })
}

/// A row of [`CHECKPOINTS`], of this transfer.
pub(crate) fn checkpoint(
    vault: &Vault,
    transfer: &TransferId,
    (key, value): (&[u8], fjall::Slice),
) -> Result<Snapshot, ReadError> {
    let value = vault.opened(CHECKPOINTS.at(key), Position(0), value)?;
    let (position, bytes) = split_u64(&value.payload).ok_or_else(|| unfit("a checkpoint"))?;
    Ok(Snapshot {
        transfer: transfer.clone(),
        position: Position(position),
        bytes,
    })
}

/// A row of `books`.
pub(crate) fn book(key: &[u8], value: fjall::Slice) -> Result<(BookHash, Bytes), ReadError> {
    let hash = key.try_into().map_err(|_| unfit("a rule book's hash"))?;
    Ok((BookHash(hash), clear(value)?.payload))
}

/// Payload of a poison.
pub(crate) fn poison_payload(transfer: &TransferId, reason: &str) -> Vec<u8> {
    format!("{transfer} {reason}").into_bytes()
}

/// A row of [`POISON`].
pub(crate) fn poison(vault: &Vault, key: &[u8], value: fjall::Slice) -> Result<Poison, ReadError> {
    let position = crate::keys::position(key);
    let value = vault.opened(POISON.at(key), position, value)?;
    let text = std::str::from_utf8(&value.payload).ok();
    let (transfer, reason) = text
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| unfit("a poison"))?;
    Ok(Poison {
        position,
        transfer: id(transfer.as_bytes())?,
        reason: reason.to_owned(),
    })
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}
