//! The sealed files, and who is in them.
//!
//! ```text
//!  DIR/lock        who has it open
//!  DIR/data-keys   a data key for each transfer, wrapped ([`Ring`])
//!  DIR/entries/    TRANSFER.sealed
//!
//!  put:    key made, synced ─► file beside, synced ─► in its place, directory synced
//!  forget: keys overwritten, synced ─► files taken away, directory synced
//! ```
//!
//! Memory holds which transfer has which record number, and nothing else; an entry is
//! read when somebody asks for it.

use crate::entry::{Change, Entry};
use crate::error::{EntryError, StoreError};
use crate::file;
use enroute_model::ids::TransferId;
use enroute_model::time::ServerTime;
use enroute_seal::{Keys, Ring, RingError};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Transfers whose patients are known: as many as a server remembers.
pub const ENTRIES_MAX: usize = 200_000;

/// The record number in an entry; `None`: it cannot be opened.
type Index = BTreeMap<TransferId, Option<Box<str>>>;

/// The store of one server. All calls block.
#[derive(Debug)]
pub struct Store {
    entries: PathBuf,
    ring: Ring,
    index: Mutex<Index>,
    /// Held as long as the store is open.
    _lock: File,
}

impl Store {
    /// Opens the store in `dir`, or makes one. An entry that is damaged keeps nobody
    /// from the others; it is told in the log, by its transfer.
    ///
    /// # Errors
    /// When the directory cannot be used, another process has it, or its data keys
    /// cannot be had; then nothing was changed.
    pub fn open(dir: &Path, keys: &Arc<Keys>) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Io {
            dir: dir.to_owned(),
            error,
        };
        let entries = dir.join("entries");
        let mut builder = DirBuilder::new();
        { builder.recursive(true).mode(0o700).create(&entries) }.map_err(failed)?;
        let lock = lock(dir)?;
        let found = listed(&entries).map_err(failed)?;
        let ring = open_ring(&dir.join("data-keys"), keys, !found.is_empty())?;
        let mut store = Self {
            entries,
            ring,
            index: Mutex::default(),
            _lock: lock,
        };
        let mut index = Index::new();
        for transfer in found {
            let number = match store.read(&transfer) {
                Ok(entry) => entry.map(|entry| entry.person.record_number.into()),
                Err(EntryError::Damaged { .. }) => None,
                Err(EntryError::Io(error)) => return Err(failed(error)),
                Err(error) => return Err(failed(io::Error::other(error.to_string()))),
            };
            if number.is_none() {
                tracing::error!(%transfer, "what is stored of who is on it cannot be opened");
            }
            index.insert(transfer, number);
        }
        store.index = Mutex::new(index);
        Ok(store)
    }

    /// What is stored under the first of these names that has something, and under
    /// which: a transfer that was joined has several.
    ///
    /// # Errors
    /// When it is damaged, or the disk refuses.
    pub fn get(&self, names: &[TransferId]) -> Result<Option<(TransferId, Entry)>, EntryError> {
        let index = self.lock();
        self.first(&index, names)
    }

    fn first<'a>(
        &self,
        index: &Index,
        names: impl IntoIterator<Item = &'a TransferId>,
    ) -> Result<Option<(TransferId, Entry)>, EntryError> {
        let mut names = names.into_iter();
        let name = names.find(|name| index.contains_key(*name));
        let Some(name) = name else { return Ok(None) };
        Ok(self.read(name)?.map(|entry| (name.clone(), entry)))
    }

    /// Changes what is stored of a transfer. What stands under the name of one that was
    /// joined to it moves to its own; what cannot be opened any more is written anew.
    /// Durable when it returns.
    ///
    /// # Errors
    /// When a field is wrong, or the disk refuses; then it is as it was.
    pub fn put(
        &self,
        own: &TransferId,
        joined: &[TransferId],
        change: Change,
        by: &str,
        now: ServerTime,
    ) -> Result<Entry, EntryError> {
        let mut index = self.lock();
        let names = std::iter::once(own).chain(joined);
        let before = match self.first(&index, names) {
            Ok(before) => before.map(|(_, entry)| entry),
            Err(EntryError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let entry = Entry::after(before, change, by, now)?;
        if !index.contains_key(own) && index.len() >= ENTRIES_MAX {
            return Err(EntryError::Full { most: ENTRIES_MAX });
        }
        self.ring.ensure(std::iter::once(own.as_str()))?;
        let key = self.ring.newest(own.as_str());
        let (id, key) = key.ok_or_else(|| EntryError::Damaged {
            transfer: own.clone(),
        })?;
        let bytes = file::sealed(own, &entry, id, &key)?;
        file::replace(&self.entries, &file::path(&self.entries, own), &bytes)?;
        let number = entry.person.record_number.as_str().into();
        index.insert(own.clone(), Some(number));
        self.take_away(&mut index, joined)?;
        Ok(entry)
    }

    /// Forgets what is stored of these transfers, for good: their data keys are destroyed
    /// first, so that no copy of their files opens. Says how many had something.
    ///
    /// # Errors
    /// When the disk refuses; to ask again is right.
    pub fn forget(&self, transfers: &[TransferId]) -> Result<usize, EntryError> {
        self.take_away(&mut self.lock(), transfers)
    }

    fn take_away(&self, index: &mut Index, names: &[TransferId]) -> Result<usize, EntryError> {
        let there: Vec<_> = { names.iter() }
            .filter(|name| index.contains_key(*name))
            .collect();
        if there.is_empty() {
            return Ok(0);
        }
        let keys = there.iter().flat_map(|name| self.ring.all(name.as_str()));
        self.ring.destroy(&keys.collect::<Vec<_>>())?;
        for name in &there {
            file::remove(&file::path(&self.entries, name))?;
        }
        file::sync(&self.entries)?;
        for name in &there {
            index.remove(*name);
        }
        Ok(there.len())
    }

    /// The transfers of the person with this record number.
    #[must_use]
    pub fn of_person(&self, record_number: &str) -> Vec<TransferId> {
        let wanted = record_number.trim();
        let index = self.lock();
        let of = index.iter().filter(|(_, number)| {
            let number = number.as_deref().unwrap_or_default();
            !wanted.is_empty() && number == wanted
        });
        of.map(|(transfer, _)| transfer.clone()).collect()
    }

    /// Transfers of which something is stored that cannot be opened: nobody can say of
    /// whom.
    #[must_use]
    pub fn damaged(&self) -> Vec<TransferId> {
        let index = self.lock();
        let damaged = index.iter().filter(|(_, number)| number.is_none());
        damaged.map(|(transfer, _)| transfer.clone()).collect()
    }

    /// Whether something is stored of this transfer.
    #[must_use]
    pub fn has(&self, transfer: &TransferId) -> bool {
        self.lock().contains_key(transfer)
    }

    /// Of how many transfers something is stored.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn read(&self, transfer: &TransferId) -> Result<Option<Entry>, EntryError> {
        let Some(bytes) = file::read(&file::path(&self.entries, transfer))? else {
            return Ok(None);
        };
        let entry = file::opened(transfer, &bytes, |id| self.ring.key(id));
        entry.map(Some).ok_or_else(|| EntryError::Damaged {
            transfer: transfer.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let opened = options.open(dir.join("lock")).map_err(TryLockError::Error);
    let locked = opened.and_then(|file| file.try_lock().map(|()| file));
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::InUse {
            dir: dir.to_owned(),
        },
        TryLockError::Error(error) => StoreError::Io {
            dir: dir.to_owned(),
            error,
        },
    })
}

/// Whose entries there are. What a crash left unfinished is taken away.
fn listed(entries: &Path) -> io::Result<Vec<TransferId>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(entries)? {
        let path = entry?.path();
        if file::is_unfinished(&path) {
            file::remove(&path)?;
        }
        found.extend(file::transfer_of(&path));
    }
    Ok(found)
}

/// Entries without their file of keys are no reason to begin a new one.
fn open_ring(path: &Path, keys: &Arc<Keys>, is_needed: bool) -> Result<Ring, RingError> {
    let lost = || RingError::Lost {
        file: path.to_owned(),
    };
    if is_needed && !path.exists() {
        return Err(lost());
    }
    Ring::open(path, Some(keys), u32::MAX)?.ok_or_else(lost)
}
