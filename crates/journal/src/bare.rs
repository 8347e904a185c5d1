//! For `enroute bench`. Its yardstick, the store alone, written as the journal writes
//! it: one batch and one sync a commit, with nothing of the journal around it. And what
//! records take on the disk.

use crate::error::{Failure, OpenError};
use crate::journal::Journal;
use crate::record::Class;
use crate::store::{LARGE_TABLE_BYTES, flush, keyspace, refused};
use fjall::{Database, Keyspace, PersistMode};
use std::path::Path;

/// A store with one keyspace.
pub struct Bare {
    db: Database,
    space: Keyspace,
}

impl std::fmt::Debug for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bare").finish_non_exhaustive()
    }
}

impl Bare {
    /// Opens or creates it in `dir`.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let refused = |error| refused(dir, &error);
        let db = Database::builder(dir).open().map_err(refused)?;
        let space = keyspace(&db, "bare", LARGE_TABLE_BYTES).map_err(refused)?;
        Ok(Self { db, space })
    }

    /// Writes all of it in one batch, and syncs.
    ///
    /// # Errors
    /// The disk's words.
    pub fn commit(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), std::io::Error> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in rows {
            batch.insert(&self.space, key, value);
        }
        batch.commit().map_err(std::io::Error::other)
    }
}

/// Bytes of all records on the disk, once those in memory are written to tables as
/// the store does by itself later.
///
/// # Errors
/// When the journal has failed, or the disk does.
pub fn bytes_at_rest(journal: &Journal) -> Result<u64, Failure> {
    let spaces = journal.shared.spaces()?;
    let mut bytes = 0_u64;
    for number in spaces.slices.numbers() {
        for class in [Class::Vitals, Class::Waveforms] {
            let Some(space) = spaces.slices.get((number, class)) else {
                continue;
            };
            flush(&spaces.tables.db, &space)?;
            bytes = bytes.saturating_add(space.disk_space());
        }
    }
    Ok(bytes)
}
