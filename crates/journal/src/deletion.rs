//! Deleting what is recorded of a transfer, and giving its space back.
//!
//! ```text
//!  delete: one synced batch:  row in `deleted` │ snapshot, checkpoints, captured, derived, poison go
//!             │ from here on no reader sees its records through that position
//!             ▼
//!  purge:  its records, some at a time ─► empty keyspaces of past slices ─► the row: purged
//! ```
//!
//! A crash between the two leaves work for the next purge, which finds it by the
//! rows. The list of transfers keeps the id and its first position: what other
//! records say of it (a short code, a join) means what it meant. A record that comes
//! for it later lies behind the row's position and is there like any other.
//!
//! So many are remembered ([`crate::Options::deleted_max`]); of more, those that were
//! deleted first are forgotten when the journal is opened.

use crate::error::{Failure, OpenError, ReadError};
use crate::keys;
use crate::record::{Class, Deleted};
use crate::side::Side;
use crate::spaces::Spaces;
use crate::store::{self, describe};
use crate::tables::{self, DELETED, Tables};
use crate::vault::{OWN, Sealing, Vault};
use enroute_model::ids::{Position, TransferId};
use fjall::{Keyspace, OwnedWriteBatch, PersistMode};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

/// Records removed in one batch.
const REMOVED_AT_ONCE: usize = 1_024;
/// A keyspace of which at least this part was removed is compacted at once; of
/// less the store gives the space back in its own time.
const COMPACT_FROM: u64 = 8;
/// The store looks for what nobody can see any more each time so many views of it
/// were closed, and a compaction drops nothing newer than that.
const VIEWS_PER_LOOK: usize = 10_000;
/// A key that no record has: no id is empty.
const NO_KEY: &str = "\0";

/// How far each transfer is deleted, and how far that is done.
#[derive(Debug)]
pub(crate) struct Gone {
    rows: RwLock<BTreeMap<TransferId, Row>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    through: Position,
    purged: Position,
}

impl Gone {
    pub(crate) fn open(tables: &Tables, vault: &Vault, dir: &Path) -> Result<Self, OpenError> {
        let damaged = |error: ReadError| OpenError::Damaged {
            dir: dir.to_path_buf(),
            what: format!("its list of what was deleted: {error}"),
        };
        let rows = tables.deleted.iter().map(|guard| {
            let (key, value) = guard.into_inner()?;
            let (
                Deleted {
                    transfer, through, ..
                },
                purged,
            ) = row(vault, &key, value)?;
            Ok((transfer, Row { through, purged }))
        });
        let rows = rows.collect::<Result<_, _>>().map_err(damaged)?;
        Ok(Self {
            rows: RwLock::new(rows),
        })
    }

    /// The records of `transfer` through here are deleted; 0: none is.
    pub(crate) fn through(&self, transfer: &TransferId) -> Position {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.get(transfer).map_or(Position(0), |row| row.through)
    }

    fn purged(&self, transfer: &TransferId) -> Position {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.get(transfer).map_or(Position(0), |row| row.purged)
    }

    fn change(&self, transfer: &TransferId, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        change(rows.entry(transfer.clone()).or_default());
    }

    /// The transfers of which something was deleted.
    pub(crate) fn has(&self, transfer: &TransferId) -> bool {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.contains_key(transfer)
    }

    fn unpurged(&self) -> Vec<(TransferId, Row)> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let left = rows.iter().filter(|(_, row)| row.purged < row.through);
        left.map(|(transfer, row)| (transfer.clone(), *row))
            .collect()
    }
}

/// A row of `deleted`, and how far it is purged.
pub(crate) fn row(
    vault: &Vault,
    key: &[u8],
    value: fjall::Slice,
) -> Result<(Deleted, Position), ReadError> {
    let value = vault.opened(DELETED.at(key), Position(0), value)?;
    let numbers = tables::split_u64(&value.payload);
    let numbers = numbers.and_then(|(through, rest)| Some((through, tables::split_u64(&rest)?)));
    let (through, (purged, bytes)) = numbers.ok_or_else(|| tables::unfit("a deletion"))?;
    let deleted = Deleted {
        transfer: tables::id(key)?,
        through: Position(through),
        bytes,
    };
    Ok((deleted, Position(purged)))
}

/// A row of [`DELETED`]; sealed for itself, because it outlives the transfer's key.
fn row_value(
    sealing: &Sealing<'_>,
    transfer: &TransferId,
    row: Row,
    bytes: &[u8],
) -> Result<Vec<u8>, Failure> {
    let (through, purged) = (row.through.0.to_be_bytes(), row.purged.0.to_be_bytes());
    let payload = [&through, &purged, bytes].concat();
    sealing.seal_plain(OWN, DELETED.at(transfer.as_str().as_bytes()), &payload)
}

impl Spaces {
    /// Forgets that transfers were deleted of which nothing is left on the disk, those
    /// deleted first, until `max` are remembered; and that they ever were. Only before
    /// anything is committed: nobody may know them then.
    pub(crate) fn forget(&self, max: usize) -> Result<(), Failure> {
        let mut rows = self
            .gone
            .rows
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let excess = rows.len().saturating_sub(max);
        if excess == 0 {
            return Ok(());
        }
        let mut oldest: Vec<_> = rows
            .iter()
            .map(|(id, row)| (row.through, id.clone()))
            .collect();
        oldest.sort_unstable();
        let mut batch = self.tables.batch();
        for (_, transfer) in oldest.into_iter().take(excess) {
            if self.holds(&transfer) {
                continue;
            }
            batch.remove(&self.tables.deleted, transfer.as_str());
            batch.remove(&self.tables.transfers, transfer.as_str());
            rows.remove(&transfer);
        }
        store::commit(batch, PersistMode::Buffer)
    }

    /// Whether the disk has a record of `transfer`, deleted or not.
    fn holds(&self, transfer: &TransferId) -> bool {
        let all = keys::numbered(transfer, 0)..=keys::numbered(transfer, u64::MAX);
        let slices = self.slices.list();
        let mut spaces = slices
            .iter()
            .flat_map(|slice| [&slice.vitals, &slice.waveforms]);
        spaces.any(|space| {
            let mut rows = space.iter().flat_map(|space| space.range(all.clone()));
            rows.next().is_some()
        })
    }
}

impl Side {
    /// Deletes the records of `transfers` through `through`, with their snapshots,
    /// checkpoints, derived records and poison, all of them or none; `bytes` are
    /// remembered of each. **Synced:** when this returns no reader sees them again.
    /// The space is given back by [`Side::purge`].
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn delete(
        &self,
        transfers: &[TransferId],
        through: Position,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        self.change(|spaces| {
            let tables = &spaces.tables;
            let sealing = spaces.vault.alone();
            let mut batch = tables.batch();
            let shredded = spaces.keep_behind(&sealing, &mut batch, transfers, through)?;
            for transfer in transfers {
                let purged = spaces.gone.purged(transfer);
                let row = Row { through, purged };
                let value = row_value(&sealing, transfer, row, bytes)?;
                batch.insert(&tables.deleted, transfer.as_str(), value);
                batch.remove(&tables.snapshots, transfer.as_str());
                batch.remove(&tables.sleepers, transfer.as_str());
                let (first, last) = (
                    keys::numbered(transfer, 0),
                    keys::numbered(transfer, u64::MAX),
                );
                for table in [&tables.derived, &tables.checkpoints, &tables.captured] {
                    let rows = table.range(first.clone()..=last.clone());
                    remove_all(&mut batch, table, rows);
                }
            }
            for guard in tables.poison.iter() {
                let Ok((key, value)) = guard.into_inner() else {
                    continue;
                };
                // One that does not read marks nothing either.
                let ours = tables::poison(&spaces.vault, &key, value).is_ok_and(|poison| {
                    poison.position <= through && transfers.contains(&poison.transfer)
                });
                if ours {
                    batch.remove(&tables.poison, key);
                }
            }
            let written = [
                &tables.deleted,
                &tables.derived,
                &tables.checkpoints,
                &tables.captured,
            ];
            store::room(&tables.db, written)?;
            sealing.commit(batch, &tables.meta, |batch| {
                store::commit(batch, PersistMode::SyncData)
            })?;
            for transfer in transfers {
                spaces.gone.change(transfer, |row| row.through = through);
            }
            sealing.destroy(&shredded)
        })
    }

    /// Takes what was deleted off the disk and gives how many records that were.
    /// Takes long and blocks; commits go on meanwhile. What the disk cannot give
    /// back stays, unseen.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn purge(&self) -> Result<u64, Failure> {
        let left = self.change(|spaces| Ok(spaces.gone.unpurged()))?;
        if left.is_empty() {
            return Ok(0);
        }
        let numbers = self.change(|spaces| Ok(spaces.slices.numbers()))?;
        let mut removed: BTreeMap<(i64, Class), u64> = BTreeMap::new();
        for (transfer, row) in &left {
            for place in numbers
                .iter()
                .flat_map(|n| Class::ALL.map(|class| (*n, class)))
            {
                let mut next = Some(Position(0));
                while let Some(from) = next {
                    let what = (transfer, from, row.through);
                    let (some, more) = self.change(|spaces| remove_some(spaces, place, what))?;
                    *removed.entry(place).or_default() += some;
                    next = more;
                }
            }
        }
        self.change(drop_empty)?;
        for (place, removed) in &removed {
            self.change(|spaces| compact(spaces, *place, *removed))?;
        }
        self.change(|spaces| note_purged(spaces, &left))?;
        Ok(removed.values().sum())
    }
}

fn remove_all(batch: &mut OwnedWriteBatch, table: &Keyspace, rows: fjall::Iter) {
    for guard in rows {
        match guard.key() {
            Ok(key) => batch.remove(table, key),
            Err(error) => {
                tracing::warn!(%error, "damaged rows of a deleted transfer stay on the disk");
                return;
            }
        }
    }
}

/// Removes some records; how many, and where to go on.
fn remove_some(
    spaces: &Spaces,
    place: (i64, Class),
    (transfer, from, through): (&TransferId, Position, Position),
) -> Result<(u64, Option<Position>), Failure> {
    let Some(space) = spaces.slices.get(place) else {
        return Ok((0, None));
    };
    let db = &spaces.tables.db;
    let range = keys::numbered(transfer, from.0)..=keys::numbered(transfer, through.0);
    let (mut removed, mut last) = (0, None);
    let mut batch = db.batch();
    for guard in space.range(range).take(REMOVED_AT_ONCE) {
        match guard.key() {
            Ok(key) => {
                last = Some(keys::position(&key));
                removed += 1;
                batch.remove(&space, key);
            }
            Err(error) => {
                tracing::warn!(%error, "damaged records of a deleted transfer stay on the disk");
                last = None;
                break;
            }
        }
    }
    store::room(db, [&space])?;
    store::commit(batch, PersistMode::Buffer)?;
    let next = last.map(|last| Position(last.0.saturating_add(1)));
    Ok((removed, next.filter(|next| *next <= through)))
}

fn drop_empty(spaces: &Spaces) -> Result<(), Failure> {
    let view = spaces.tables.db.snapshot();
    let last = spaces.tables.last_in(&view).unwrap_or_else(|error| {
        tracing::warn!(%error, "no slice is dropped");
        None
    });
    let Some((_, at)) = last else { return Ok(()) };
    spaces.slices.drop_empty(at).map_err(|error| failed(&error))
}

fn compact(spaces: &Spaces, place: (i64, Class), removed: u64) -> Result<(), Failure> {
    let Some(space) = spaces.slices.get(place).filter(|_| removed > 0) else {
        return Ok(());
    };
    let db = &spaces.tables.db;
    let held = u64::try_from(space.approximate_len()).unwrap_or(u64::MAX);
    if removed.saturating_mul(COMPACT_FROM) < held {
        return Ok(());
    }
    let view = || drop(db.snapshot());
    store::flush(db, &space)?;
    (0..VIEWS_PER_LOOK).for_each(|_| view());
    space.major_compact().map_err(|error| failed(&error))?;
    // The files from before go with the next flush, which there would be none of.
    (0..VIEWS_PER_LOOK).for_each(|_| view());
    let mut nothing = db.batch();
    nothing.remove(&space, NO_KEY);
    store::commit(nothing, PersistMode::Buffer)?;
    store::flush(db, &space)
}

fn note_purged(spaces: &Spaces, done: &[(TransferId, Row)]) -> Result<(), Failure> {
    let tables = &spaces.tables;
    let sealing = spaces.vault.sealing();
    let mut batch = tables.batch();
    for (transfer, done) in done {
        let Ok(Some(value)) = tables.deleted.get(transfer.as_str()) else {
            continue;
        };
        let Ok((deleted, _)) = row(&spaces.vault, transfer.as_str().as_bytes(), value) else {
            continue;
        };
        let (through, purged) = (deleted.through, done.through);
        let row = Row { through, purged };
        let value = row_value(&sealing, transfer, row, &deleted.bytes)?;
        batch.insert(&tables.deleted, transfer.as_str(), value);
        spaces
            .gone
            .change(transfer, |row| row.purged = done.through);
    }
    sealing.commit(batch, &tables.meta, |batch| {
        store::commit(batch, PersistMode::Buffer)
    })
}

fn failed(error: &fjall::Error) -> Failure {
    Failure::new(&describe(error))
}
