//! What a file of data keys holds, read without any key.

use crate::error::{RingError, io_error};
use crate::keys::KeyId;
use crate::overwrite::{BLOCK_BYTES, header};
use crate::slot::{SLOT_BYTES, Slot, Wrapped};
use std::io;
use std::path::Path;

/// What a file holds.
#[derive(Default)]
pub(crate) struct Found {
    /// Copies of the head that are whole.
    pub(crate) heads: usize,
    pub(crate) slots: Vec<(usize, Slot)>,
    pub(crate) empty: Vec<usize>,
    pub(crate) places: usize,
    /// Keys of which neither copy is whole.
    pub(crate) damaged: usize,
    /// What both copies are to be where they differ.
    pub(crate) mended: Vec<(usize, [u8; SLOT_BYTES])>,
}

impl Found {
    pub(crate) fn wrapped(&self) -> impl Iterator<Item = &Wrapped> {
        self.slots.iter().filter_map(|(_, slot)| match slot {
            Slot::Live(wrapped) => Some(wrapped),
            Slot::Destroyed(_) => None,
        })
    }

    /// Takes the next place from its two copies.
    fn take(&mut self, one: &[u8; SLOT_BYTES], other: &[u8; SLOT_BYTES]) {
        let at = self.places;
        self.places = at.saturating_add(1);
        let bytes = match place(one, other) {
            Place::Empty => {
                self.empty.push(at);
                [0; SLOT_BYTES]
            }
            Place::Holds(slot) => {
                let bytes = slot.bytes();
                self.slots.push((at, slot));
                bytes
            }
            Place::Damaged => {
                self.damaged = self.damaged.saturating_add(1);
                return;
            }
        };
        if *one != bytes || *other != bytes {
            self.mended.push((at, bytes));
        }
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
    let mut bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    if bytes.len() < SLOT_BYTES || bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    // What a file is too short for was never written.
    bytes.resize(bytes.len().next_multiple_of(2 * BLOCK_BYTES), 0);
    let pairs = bytes.as_chunks::<BLOCK_BYTES>().0.as_chunks::<2>().0;
    let mut twins = pairs.iter().flat_map(|[one, other]| {
        let slots = one.as_chunks::<SLOT_BYTES>().0.iter();
        slots.zip(other.as_chunks::<SLOT_BYTES>().0)
    });
    let mut found = Found::default();
    for copy in twins.next().map_or([&[0; SLOT_BYTES]; 2], <[_; 2]>::from) {
        found.heads += usize::from(*copy == header());
    }
    if found.heads == 0 {
        let file = path.to_owned();
        return Err(RingError::NoRing { file });
    }
    for (one, other) in twins {
        found.take(one, other);
    }
    Ok(Some(found))
}

/// What a place holds: the same in both copies, but for a write that was cut short or a
/// disk that lost one.
enum Place {
    Empty,
    Holds(Slot),
    Damaged,
}

/// The newer of two copies that are whole: numbers only rise, and what was destroyed
/// never comes back.
fn newer(one: Slot, other: Slot) -> Slot {
    let rank = |slot: &Slot| match slot {
        Slot::Live(wrapped) => (wrapped.id, false),
        Slot::Destroyed(id) => (*id, true),
    };
    if rank(&other) > rank(&one) {
        other
    } else {
        one
    }
}

fn place(one: &[u8; SLOT_BYTES], other: &[u8; SLOT_BYTES]) -> Place {
    match (Slot::read(one), Slot::read(other)) {
        (Some(one), Some(other)) => Place::Holds(newer(one, other)),
        (Some(whole), None) | (None, Some(whole)) => Place::Holds(whole),
        // A copy that is empty was never written, so the other one was never synced.
        (None, None) if [one, other].iter().any(|copy| **copy == [0; SLOT_BYTES]) => Place::Empty,
        (None, None) => Place::Damaged,
    }
}
