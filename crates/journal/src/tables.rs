//! The keyspaces beside the records, their keys and their values.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | u32, kind |
//! | `meta` | `incarnation`, `slice_us` | u64 |
//! | `meta` | `last` | head: `at` of the last record; payload: its position |
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

/// The keyspaces beside the records.
pub(crate) struct Tables {
    pub(crate) db: Database,
    meta: Keyspace,
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
        let value = opened(Position(0), value)?;
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
            let value = opened(Position(0), value)?;
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

/// A value, checked; `position` is for the report.
pub(crate) fn opened(position: Position, value: fjall::Slice) -> Result<Value, ReadError> {
    head::open(&shared(value)).map_err(|what| ReadError::Record {
        position,
        through: position,
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

/// Value of a snapshot, or of a sleeper's note.
pub(crate) fn snapshot_value(position: Position, bytes: &[u8]) -> Vec<u8> {
    let mut payload = position.0.to_be_bytes().to_vec();
    payload.extend_from_slice(bytes);
    head::seal_plain(&payload)
}

/// A row of `snapshots` or `sleepers`.
pub(crate) fn snapshot(key: &[u8], value: fjall::Slice) -> Result<Snapshot, ReadError> {
    let value = opened(Position(0), value)?;
    let (position, bytes) = split_u64(&value.payload).ok_or_else(|| unfit("a snapshot"))?;
    Ok(Snapshot {
        transfer: id(key)?,
        position: Position(position),
        bytes,
    })
}

/// A row of `checkpoints`, of this transfer.
pub(crate) fn checkpoint(
    transfer: &TransferId,
    value: fjall::Slice,
) -> Result<Snapshot, ReadError> {
    let value = opened(Position(0), value)?;
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
    Ok((BookHash(hash), opened(Position(0), value)?.payload))
}

/// Value of a poison.
pub(crate) fn poison_value(transfer: &TransferId, reason: &str) -> Vec<u8> {
    head::seal_plain(format!("{transfer} {reason}").as_bytes())
}

/// A row of `poison`.
pub(crate) fn poison(key: &[u8], value: fjall::Slice) -> Result<Poison, ReadError> {
    let position = crate::keys::position(key);
    let value = opened(position, value)?;
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
