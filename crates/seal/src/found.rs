//! What a file of data keys holds, read without any key.

use crate::error::{RingError, io_error};
use crate::keys::KeyId;
use crate::overwrite::MAGIC;
use crate::slot::{SLOT_BYTES, Slot, Wrapped};
use std::io;
use std::path::Path;

/// What a file holds.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) slots: Vec<(usize, Slot)>,
    pub(crate) empty: Vec<usize>,
    pub(crate) places: usize,
    pub(crate) damaged: usize,
}

impl Found {
    pub(crate) fn wrapped(&self) -> impl Iterator<Item = &Wrapped> {
        self.slots.iter().filter_map(|(_, slot)| match slot {
            Slot::Live(wrapped) => Some(wrapped),
            Slot::Destroyed(_) => None,
        })
    }

    /// The places of keys that were never used.
    pub(crate) fn unused(&self, noted: u32) -> impl Iterator<Item = usize> {
        self.slots
            .iter()
            .filter_map(move |(place, slot)| match slot {
                Slot::Live(wrapped) => (wrapped.id > noted).then_some(*place),
                Slot::Destroyed(_) => None,
            })
    }

    /// The key-encryption keys of all keys that count.
    pub(crate) fn needed(&self, noted: u32) -> Vec<KeyId> {
        let counts = self.wrapped().filter(|wrapped| wrapped.id <= noted);
        let mut needed: Vec<_> = counts.map(|wrapped| wrapped.under).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }
}

/// `None`: there is no file, or one that was only just begun.
pub(crate) fn read(path: &Path) -> Result<Option<Found>, RingError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    let Some((head, slots)) = bytes.split_at_checked(SLOT_BYTES) else {
        return Ok(None);
    };
    if !head.starts_with(MAGIC) {
        if head.iter().all(|byte| *byte == 0) && slots.is_empty() {
            return Ok(None);
        }
        let file = path.to_owned();
        return Err(RingError::NoRing { file });
    }
    let mut found = Found::default();
    let (slots, _torn) = slots.as_chunks::<SLOT_BYTES>();
    found.places = slots.len();
    for (place, bytes) in slots.iter().enumerate() {
        match Slot::read(bytes) {
            Some(slot) => found.slots.push((place, slot)),
            None if bytes.iter().all(|byte| *byte == 0) => found.empty.push(place),
            None => found.damaged += 1,
        }
    }
    Ok(Some(found))
}
