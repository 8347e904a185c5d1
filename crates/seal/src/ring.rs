//! The data keys of a store, wrapped, in one file beside it.
//!
//! ```text
//!  ensure ─► slot written, synced ─► the owner seals with it, and commits with a note
//!                                    of its number ─► from then on the key counts
//!  destroy ─► slot overwritten in place, synced ─► nobody opens what it sealed
//!  open with a newer current key ─► all wrapped anew in a new file ─► the old one overwritten
//! ```
//!
//! A key whose number lies above what the owner noted was never used for anything that
//! is durable: it is forgotten when the file is opened. So it does not matter what a
//! crash, or a sync that failed, left of the last ones.

use crate::cipher::{DataKey, random};
use crate::error::{RingError, io_error};
use crate::found::{Found, read};
use crate::keys::{KeyId, Keys};
use crate::overwrite;
use crate::slot::{NAME_BYTES_MAX, SLOT_BYTES, Slot, Wrapped};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Unwrapped keys in memory before they are forgotten.
const UNWRAPPED_MAX: usize = 1_024;

/// The data keys of one store. The owner of the store holds its lock.
pub struct Ring {
    path: PathBuf,
    keys: Arc<Keys>,
    state: Mutex<State>,
    unwrapped: Mutex<HashMap<u32, Arc<DataKey>>>,
}

struct State {
    file: File,
    /// By number, with the place of its slot.
    live: BTreeMap<u32, (usize, Wrapped)>,
    /// Places with a number that is live in another: nobody writes it twice, but who
    /// copies a slot must not keep a key from being destroyed.
    doubled: Vec<(u32, usize)>,
    /// The newest of each name.
    names: HashMap<Box<str>, u32>,
    /// Places to be written again.
    free: Vec<usize>,
    /// Places in the file.
    places: usize,
    /// The highest number that was ever given.
    last: u32,
}

impl Ring {
    /// Opens the file at `path`. `noted` is the highest number that the owner noted
    /// with what it sealed; 0: nothing was ever sealed; [`u32::MAX`]: the owner notes
    /// nothing, and every key counts. `None`: there are no keys, and
    /// nothing that would need one. Wraps all keys anew when the current key is newer.
    ///
    /// # Errors
    /// When a key is missing or wrong, the file is lost, or cannot be read or written;
    /// then nothing was changed.
    pub fn open(
        path: &Path,
        keys: Option<&Arc<Keys>>,
        noted: u32,
    ) -> Result<Option<Self>, RingError> {
        let failed = |error| io_error(path, error);
        let found = match read(path)? {
            Some(found) => found,
            None if noted > 0 && noted < u32::MAX => {
                let file = path.to_owned();
                return Err(RingError::Lost { file });
            }
            None if keys.is_none() => return Ok(None),
            None => Found::default(),
        };
        let file = path.to_owned();
        let needed = found.needed(noted);
        let Some(keys) = keys else {
            if needed.is_empty() {
                return Ok(None);
            }
            return Err(RingError::NoKeys { file, needed });
        };
        let missing: Vec<_> = { needed.iter() }
            .filter(|id| !keys.has(**id))
            .copied()
            .collect();
        if !missing.is_empty() {
            let (needed, have) = (missing, keys.ids().collect());
            return Err(RingError::Missing { file, needed, have });
        }
        check(&file, keys, &found, (noted, &needed))?;
        if found.damaged > 0 {
            let keys = found.damaged;
            tracing::error!(file = %path.display(), keys, "data keys are damaged: what they sealed cannot be read");
        }
        overwrite::clear_unfinished(path).map_err(failed)?;
        let file_of_keys = overwrite::open(path).map_err(failed)?;
        let mut mended = found.mended.clone();
        if !mended.is_empty() {
            let keys = mended.len();
            tracing::warn!(file = %path.display(), keys, "of data keys one copy was cut short or damaged, and is written again from the other");
        }
        // Their numbers are given again, and must not be there twice.
        mended.extend(found.unused(noted).map(|place| (place, [0; SLOT_BYTES])));
        if !mended.is_empty() {
            overwrite::put(&file_of_keys, &mended).map_err(failed)?;
        }
        if found.heads < 2 {
            overwrite::begin(&file_of_keys).map_err(failed)?;
        }
        let state = State::of(found, noted, file_of_keys);
        overwrite::sync_directory(path).map_err(failed)?;
        let ring = Self {
            path: file,
            keys: Arc::clone(keys),
            state: Mutex::new(state),
            unwrapped: Mutex::default(),
        };
        ring.rotate()?;
        Ok(Some(ring))
    }

    /// Which key-encryption keys the file at `path` needs, and how many data keys are
    /// under each; needs no key itself. `None`: there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn needed(path: &Path) -> Result<Option<BTreeMap<KeyId, u64>>, RingError> {
        let found = read(path)?;
        Ok(found.map(|found| {
            let mut counts = BTreeMap::new();
            for wrapped in found.wrapped() {
                let count: &mut u64 = counts.entry(wrapped.under).or_default();
                *count = count.saturating_add(1);
            }
            counts
        }))
    }

    /// Makes a key for each name that has none, all with one sync.
    ///
    /// # Errors
    /// When it cannot; the names have no key then.
    pub fn ensure<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), RingError> {
        let mut state = self.lock();
        let new: Vec<&str> = names
            .filter(|name| !state.names.contains_key(*name))
            .collect();
        self.make(&mut state, &new)
    }

    /// Makes another key for each name; what the older ones sealed they still open.
    ///
    /// # Errors
    /// As with [`Ring::ensure`].
    pub fn renew(&self, names: &[&str]) -> Result<(), RingError> {
        self.make(&mut self.lock(), names)
    }

    fn make(&self, state: &mut State, names: &[&str]) -> Result<(), RingError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut made = Vec::new();
        let (mut last, mut free) = (state.last, state.free.clone());
        let mut places = state.places;
        for name in names {
            if name.len() > NAME_BYTES_MAX {
                return Err(RingError::Bound("its name is too long"));
            }
            last = last
                .checked_add(1)
                .ok_or(RingError::Bound("no number is left"))?;
            let place = free.pop().unwrap_or_else(|| {
                places = places.saturating_add(1);
                places.saturating_sub(1)
            });
            let sealed = self.keys.wrap(&Wrapped::purpose(last, name), &random()?)?;
            let wrapped = Wrapped {
                id: last,
                under: self.keys.current(),
                name: (*name).into(),
                sealed: sealed.into(),
            };
            made.push((place, wrapped));
        }
        let slots: Vec<_> = { made.iter() }
            .map(|(place, wrapped)| (*place, Slot::Live(wrapped.clone()).bytes()))
            .collect();
        overwrite::put(&state.file, &slots).map_err(|error| io_error(&self.path, error))?;
        (state.last, state.free, state.places) = (last, free, places);
        for (place, wrapped) in made {
            state.names.insert(wrapped.name.clone(), wrapped.id);
            state.live.insert(wrapped.id, (place, wrapped));
        }
        Ok(())
    }

    /// The newest key of a name, and its number.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<(u32, Arc<DataKey>)> {
        let id = self.lock().names.get(name).copied()?;
        Some((id, self.key(id)?))
    }

    /// The key of a number; `None`: it was destroyed, or is damaged.
    #[must_use]
    pub fn key(&self, id: u32) -> Option<Arc<DataKey>> {
        let mut unwrapped = { &self.unwrapped }
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = unwrapped.get(&id) {
            return Some(Arc::clone(key));
        }
        let state = self.lock();
        let (_, wrapped) = state.live.get(&id)?;
        let purpose = Wrapped::purpose(id, &wrapped.name);
        let secret = self.keys.unwrap(wrapped.under, &purpose, &wrapped.sealed);
        let key = Arc::new(DataKey::new(&secret.ok()?));
        if unwrapped.len() >= UNWRAPPED_MAX {
            unwrapped.clear();
        }
        unwrapped.insert(id, Arc::clone(&key));
        Some(key)
    }

    /// The highest number ever given, for the owner's note.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.lock().last
    }

    /// The numbers of all keys of a name, ascending.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<u32> {
        let state = self.lock();
        let live = state.live.values();
        live.filter(|(_, wrapped)| &*wrapped.name == name)
            .map(|(_, wrapped)| wrapped.id)
            .collect()
    }

    /// The names that have a key.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let state = self.lock();
        let mut names: Vec<String> = state.names.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// Destroys keys for good: overwritten on the disk and synced when this returns.
    /// Unknown numbers are passed over.
    ///
    /// # Errors
    /// When it cannot; they may be there or not then.
    pub fn destroy(&self, ids: &[u32]) -> Result<(), RingError> {
        let mut unwrapped = { &self.unwrapped }
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        let gone: Vec<_> = { ids.iter() }
            .filter_map(|id| state.live.get(id).map(|(place, _)| (*id, *place)))
            .collect();
        let doubled = state.doubled.iter().filter(|(id, _)| ids.contains(id));
        let gone: Vec<_> = doubled.copied().chain(gone).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let slots: Vec<_> = { gone.iter() }
            .map(|(id, place)| (*place, Slot::Destroyed(*id).bytes()))
            .collect();
        overwrite::put(&state.file, &slots).map_err(|error| io_error(&self.path, error))?;
        state.doubled.retain(|(id, _)| !ids.contains(id));
        for (id, place) in gone {
            unwrapped.remove(&id);
            if let Some((_, wrapped)) = state.live.remove(&id)
                && state.names.get(&wrapped.name) == Some(&id)
            {
                state.names.remove(&wrapped.name);
            }
            state.free.push(place);
        }
        Ok(())
    }

    /// All keys as they lie on the disk, wrapped, by number, and the highest number that
    /// was ever given: for a backup.
    #[must_use]
    pub fn copy(&self) -> Vec<(u32, Vec<u8>)> {
        let state = self.lock();
        let live = state.live.iter();
        let mut copy: Vec<_> = live
            .map(|(id, (_, wrapped))| (*id, Slot::Live(wrapped.clone()).bytes().to_vec()))
            .collect();
        let known = state.live.contains_key(&state.last) || state.last == 0;
        if !known {
            copy.push((state.last, Slot::Destroyed(state.last).bytes().to_vec()));
        }
        copy
    }

    /// Makes a file at `path` of what [`Ring::copy`] gave, and says the highest number
    /// in it, for the owner's note.
    ///
    /// # Errors
    /// When one is not whole, or the file cannot be written.
    pub fn restore(path: &Path, copy: &[Vec<u8>]) -> Result<u32, RingError> {
        let mut last = 0;
        let mut slots = Vec::with_capacity(copy.len());
        for bytes in copy {
            let (Ok(slot), Some(read)) = (bytes.as_slice().try_into(), Slot::read(bytes)) else {
                let file = path.to_owned();
                return Err(RingError::NoRing { file });
            };
            last = last.max(match read {
                Slot::Live(wrapped) => wrapped.id,
                Slot::Destroyed(id) => id,
            });
            slots.push(slot);
        }
        let written = overwrite::replace(path, slots.iter());
        written.map_err(|error| io_error(path, error))?;
        Ok(last)
    }

    /// The key-encryption key that a row of [`Ring::copy`] needs.
    #[must_use]
    pub fn needed_by(row: &[u8]) -> Option<KeyId> {
        match Slot::read(row)? {
            Slot::Live(wrapped) => Some(wrapped.under),
            Slot::Destroyed(_) => None,
        }
    }

    /// Wraps all keys under the current one, if any is under another.
    fn rotate(&self) -> Result<(), RingError> {
        let mut state = self.lock();
        let current = self.keys.current();
        let old = |(_, wrapped): &(usize, Wrapped)| wrapped.under != current;
        let count = state.live.values().filter(|entry| old(entry)).count();
        if count == 0 {
            return Ok(());
        }
        let mut live = BTreeMap::new();
        let mut slots = Vec::new();
        for (place, wrapped) in state.live.values().map(|(_, wrapped)| wrapped).enumerate() {
            let purpose = Wrapped::purpose(wrapped.id, &wrapped.name);
            let mut wrapped = wrapped.clone();
            let secret = self.keys.unwrap(wrapped.under, &purpose, &wrapped.sealed);
            if let Ok(secret) = secret {
                wrapped.sealed = self.keys.wrap(&purpose, &secret)?.into();
                wrapped.under = current;
            } else {
                let key = wrapped.id;
                tracing::error!(key, "a data key is damaged, and stays as it is");
            }
            slots.push(Slot::Live(wrapped.clone()).bytes());
            live.insert(wrapped.id, (place, wrapped));
        }
        // The highest number stays known.
        slots.push(Slot::Destroyed(state.last).bytes());
        let replaced = overwrite::replace(&self.path, slots.iter());
        state.file = replaced.map_err(|error| io_error(&self.path, error))?;
        state.free = vec![live.len()];
        state.places = slots.len();
        state.live = live;
        state.doubled.clear();
        tracing::info!(
            keys = count,
            under = current.0,
            "data keys are wrapped under the current key"
        );
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each key-encryption key must open something that is under it: one slot that somebody
/// made up says nothing about the key.
fn check(
    file: &Path,
    keys: &Keys,
    found: &Found,
    (noted, needed): (u32, &[KeyId]),
) -> Result<(), RingError> {
    for id in needed.iter().copied() {
        let mut under = found
            .wrapped()
            .filter(|wrapped| wrapped.under == id && wrapped.id <= noted);
        let opens = under.any(|wrapped| {
            let purpose = Wrapped::purpose(wrapped.id, &wrapped.name);
            keys.unwrap(id, &purpose, &wrapped.sealed).is_ok()
        });
        if !opens {
            let file = file.to_owned();
            return Err(RingError::Wrong { file, id });
        }
    }
    Ok(())
}

impl State {
    fn of(found: Found, noted: u32, file: File) -> Self {
        let mut state = Self {
            file,
            live: BTreeMap::new(),
            doubled: Vec::new(),
            names: HashMap::new(),
            free: found.empty,
            places: found.places,
            last: if noted == u32::MAX { 0 } else { noted },
        };
        let mut named: Vec<(u32, Box<str>)> = Vec::new();
        for (place, slot) in found.slots {
            match slot {
                Slot::Live(wrapped) if wrapped.id <= noted => {
                    state.last = state.last.max(wrapped.id);
                    named.push((wrapped.id, wrapped.name.clone()));
                    let id = wrapped.id;
                    if let Some((other, _)) = state.live.insert(id, (place, wrapped)) {
                        state.doubled.push((id, other));
                    }
                }
                Slot::Live(_) => state.free.push(place),
                Slot::Destroyed(id) => {
                    state.last = state.last.max(id);
                    state.free.push(place);
                }
            }
        }
        named.sort_unstable();
        state.names = named.into_iter().map(|(id, name)| (name, id)).collect();
        // The one that is popped first lies first.
        state.free.sort_unstable_by(|a, b| b.cmp(a));
        state
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
