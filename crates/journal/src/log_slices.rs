//! What a log knows of its slices without reading them.

use crate::error::OpenError;
use crate::log::{LogAppend, stored_bytes};
use crate::store::{self, SMALL_TABLE_BYTES, Store, refused, shared};
use crate::vault::{Place, Vault};
use crate::{head, keys};
use enroute_model::ids::{Epoch, Stream};
use fjall::{Database, Keyspace, OwnedWriteBatch};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

const SLICE_PREFIX: &str = "slice/";
pub(crate) const NOTE_PREFIX: &str = "note/";

/// A part of a stream that can be dropped at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSlice {
    /// Its name; ascending in the order in which slices are begun.
    pub id: u64,
    /// Which stream.
    pub stream: Stream,
    /// Which life of the spool.
    pub epoch: Epoch,
    /// No frame below this is in it.
    pub first: u64,
    /// No frame above this is in it.
    pub last: u64,
    /// Frames in it now.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Payload bytes ever written to it.
    pub written: u64,
}

/// Slices that a batch changes, until it is committed.
#[derive(Default)]
pub(crate) struct Change {
    touched: BTreeMap<u64, (LogSlice, Keyspace)>,
    dropped: Option<u64>,
    /// Where the frame just placed lies, and the bytes that it replaces.
    placed: Option<(u64, Option<u64>)>,
}

impl Change {
    pub(crate) fn dropping(id: u64) -> Self {
        Self {
            dropped: Some(id),
            ..Self::default()
        }
    }

    /// The frame just placed has `bytes`.
    pub(crate) fn added(&mut self, bytes: u64) {
        let Some((id, replaced)) = self.placed.take() else {
            return;
        };
        if let Some((slice, _)) = self.touched.get_mut(&id) {
            slice.frames += u64::from(replaced.is_none());
            slice.bytes = (slice.bytes + bytes).saturating_sub(replaced.unwrap_or(0));
            slice.written += bytes;
        }
    }

    pub(crate) fn notes_into(&self, batch: &mut OwnedWriteBatch, meta: &Keyspace) {
        for (id, (slice, _)) in &self.touched {
            batch.insert(meta, note_key(*id), note_value(slice));
        }
    }
}

/// All slices, by id.
pub(crate) struct Notes {
    slices: BTreeMap<u64, (LogSlice, Keyspace)>,
    slice_bytes_max: u64,
    next: u64,
}

impl Notes {
    /// Reads the notes; finishes what a crash left half dropped.
    pub(crate) fn open(store: &Store, dir: &Path, slice_bytes_max: u64) -> Result<Self, OpenError> {
        let refuse = |error: fjall::Error| refused(dir, &error);
        let mut notes = Self {
            slices: BTreeMap::new(),
            slice_bytes_max,
            next: 1,
        };
        let mut without_note = BTreeMap::new();
        for name in store.db.list_keyspace_names() {
            let Some(id) = name
                .strip_prefix(SLICE_PREFIX)
                .and_then(|id| id.parse().ok())
            else {
                continue;
            };
            let space = store::keyspace(&store.db, &name, SMALL_TABLE_BYTES).map_err(refuse)?;
            let Some(value) = store.meta.get(note_key(id)).map_err(refuse)? else {
                without_note.insert(id, space);
                continue;
            };
            notes.next = notes.next.max(id + 1);
            let slice = head::open(&shared(value)).and_then(|value| parse_note(id, &value.payload));
            let slice = slice.map_err(|what| OpenError::Damaged {
                dir: dir.to_path_buf(),
                what: format!("the note of slice {id}: {what}"),
            })?;
            notes.slices.insert(id, (slice, space));
        }
        for row in store.meta.prefix(NOTE_PREFIX) {
            let key = row.key().map_err(refuse)?;
            let id = keys::number(&key).unwrap_or(0);
            notes.next = notes.next.max(id + 1);
        }
        notes.sweep(&store.db, without_note).map_err(refuse)?;
        Ok(notes)
    }

    /// Deletes keyspaces without a note. The newest of all stays, as the one that the
    /// next slice will lie in: see [`Notes::keep_newest`].
    fn sweep(
        &mut self,
        db: &Database,
        mut without_note: BTreeMap<u64, Keyspace>,
    ) -> fjall::Result<()> {
        let Some((newest, space)) = without_note.last_key_value() else {
            return Ok(());
        };
        if *newest >= self.next && space.is_empty()? {
            self.next = *newest;
            without_note.pop_last();
        } else {
            self.next = self.next.max(newest + 1);
            self.keep_newest(db)?;
        }
        for space in without_note.into_values() {
            db.delete_keyspace(space)?;
        }
        Ok(())
    }

    /// Makes the keyspace of the next slice, before the newest is deleted. The store
    /// would give the number of the newest again after the next start, and what it
    /// remembers of the deletion may then be newer than what it is told of the new
    /// one: with the start after that the new one would be gone, and all in it.
    pub(crate) fn keep_newest(&self, db: &Database) -> fjall::Result<()> {
        store::keyspace(db, &name(self.next), SMALL_TABLE_BYTES).map(drop)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.slices.values().map(|(slice, _)| slice.bytes).sum()
    }

    pub(crate) fn space(&self, id: u64) -> Option<Keyspace> {
        self.slices.get(&id).map(|(_, space)| space.clone())
    }

    /// Nothing more is appended to it, except below its last.
    pub(crate) fn is_done(&self, slice: &LogSlice) -> bool {
        let mut later = self.slices.range(slice.id..).skip(1);
        slice.written >= self.slice_bytes_max
            || later.any(|(_, (later, _))| later.stream == slice.stream)
    }

    pub(crate) fn of_stream(&self, stream: Stream) -> Vec<LogSlice> {
        let slices = self.slices.values().map(|(slice, _)| *slice);
        slices.filter(|slice| slice.stream == stream).collect()
    }

    pub(crate) fn overlapping(
        &self,
        stream: Stream,
        epoch: Epoch,
        range: &RangeInclusive<u64>,
    ) -> Vec<LogSlice> {
        let mut slices = self.of_stream(stream);
        slices.retain(|slice| {
            let apart = slice.last < *range.start() || *range.end() < slice.first;
            slice.epoch == epoch && !apart
        });
        slices
    }

    pub(crate) fn spaces(
        &self,
        stream: Stream,
        epoch: Epoch,
        range: &RangeInclusive<u64>,
    ) -> Vec<Keyspace> {
        let slices = self.overlapping(stream, epoch, range);
        let spaces = slices.iter().filter_map(|slice| self.space(slice.id));
        spaces.collect()
    }

    /// Destroys keys of slices that are gone: a crash came before that.
    pub(crate) fn finish_shredding(&self, vault: &Vault) -> Result<(), OpenError> {
        let Some(ring) = vault.ring() else {
            return Ok(());
        };
        let names = ring.names().into_iter();
        let gone = names.filter(|name| {
            let id = name.strip_prefix(SLICE_PREFIX);
            let id = id.and_then(|id| id.parse().ok());
            id.is_some_and(|id: u64| !self.slices.contains_key(&id))
        });
        let gone: Vec<u32> = gone.flat_map(|name| ring.all(&name)).collect();
        Ok(ring.destroy(&gone)?)
    }

    /// Finds or begins the slice for `frame`, as it will be after `change`.
    pub(crate) fn place(
        &self,
        db: &Database,
        frame: &LogAppend,
        change: &mut Change,
    ) -> fjall::Result<(u64, Keyspace)> {
        let found = self.slice_for(frame, change);
        let (mut slice, space) = match found {
            Some(found) => found,
            None => self.begin(db, frame, change)?,
        };
        let mut replaced = None;
        if (slice.first..=slice.last).contains(&frame.sequence) && slice.frames > 0 {
            let size = space.size_of(frame.sequence.to_be_bytes())?;
            let size = size.and_then(|size| usize::try_from(size).ok());
            replaced = size.map(stored_bytes);
        }
        slice.first = slice.first.min(frame.sequence);
        slice.last = slice.last.max(frame.sequence);
        change.placed = Some((slice.id, replaced));
        change.touched.insert(slice.id, (slice, space.clone()));
        Ok((slice.id, space))
    }

    /// The slice that `frame` belongs to: the newest unless that is full, or an
    /// older one that reaches above it.
    fn slice_for(&self, frame: &LogAppend, change: &Change) -> Option<(LogSlice, Keyspace)> {
        let known = self
            .slices
            .iter()
            .filter(|(id, _)| !change.touched.contains_key(id));
        let known = known.filter(|(id, _)| change.dropped != Some(**id));
        let all = known.chain(&change.touched).map(|(_, found)| found);
        let mut mine: Vec<_> = all
            .filter(|(slice, _)| slice.stream == frame.stream && slice.epoch == frame.epoch)
            .collect();
        mine.sort_by_key(|(slice, _)| slice.id);
        let above = mine.iter().find(|(slice, _)| slice.last >= frame.sequence);
        let newest = mine
            .last()
            .filter(|(slice, _)| slice.written < self.slice_bytes_max);
        above
            .or(newest)
            .map(|(slice, space)| (*slice, space.clone()))
    }

    fn begin(
        &self,
        db: &Database,
        frame: &LogAppend,
        change: &Change,
    ) -> fjall::Result<(LogSlice, Keyspace)> {
        let begun = change.touched.keys().next_back().map_or(0, |id| id + 1);
        let id = self.next.max(begun);
        let space = store::keyspace(db, &name(id), SMALL_TABLE_BYTES)?;
        let slice = LogSlice {
            id,
            stream: frame.stream,
            epoch: frame.epoch,
            first: frame.sequence,
            last: frame.sequence,
            frames: 0,
            bytes: 0,
            written: 0,
        };
        Ok((slice, space))
    }

    /// The change that takes `freed` frames and bytes out of a slice, and
    /// raises its first sequence.
    pub(crate) fn removing(&self, id: u64, freed: (u64, u64), first: Option<u64>) -> Change {
        let mut change = Change::default();
        if let Some((slice, space)) = self.slices.get(&id) {
            let mut slice = *slice;
            slice.frames = slice.frames.saturating_sub(freed.0);
            slice.bytes = slice.bytes.saturating_sub(freed.1);
            // Never above `last`: that is where the next append is compared.
            slice.first = first.unwrap_or(slice.first).min(slice.last);
            change.touched.insert(id, (slice, space.clone()));
        }
        change
    }

    /// What was committed.
    pub(crate) fn apply(&mut self, change: Change) {
        if let Some(id) = change.dropped {
            self.slices.remove(&id);
        }
        for (id, touched) in change.touched {
            self.next = self.next.max(id + 1);
            self.slices.insert(id, touched);
        }
    }
}

/// A slice's keyspace, and its data key.
pub(crate) fn name(id: u64) -> String {
    format!("{SLICE_PREFIX}{id}")
}

/// Where a frame lies: each slice has a data key of its own.
pub(crate) fn place(key: &[u8]) -> Place<'_> {
    let space = "slice";
    Place { space, key }
}

/// Key of a slice's note.
pub(crate) fn note_key(id: u64) -> Vec<u8> {
    let mut key = NOTE_PREFIX.as_bytes().to_vec();
    key.extend_from_slice(&id.to_be_bytes());
    key
}

fn note_value(slice: &LogSlice) -> Vec<u8> {
    let stream = Stream::ALL
        .iter()
        .position(|stream| *stream == slice.stream);
    let mut note = vec![
        stream
            .and_then(|index| u8::try_from(index).ok())
            .unwrap_or(u8::MAX),
    ];
    let (epoch, frames) = (slice.epoch.0, slice.frames);
    let numbers = [
        epoch,
        slice.first,
        slice.last,
        frames,
        slice.bytes,
        slice.written,
    ];
    for number in numbers {
        note.extend_from_slice(&number.to_be_bytes());
    }
    head::seal_plain(&note)
}

fn parse_note(id: u64, note: &[u8]) -> Result<LogSlice, String> {
    let (stream, numbers) = note.split_first().ok_or("it is empty")?;
    let stream = Stream::ALL
        .get(usize::from(*stream))
        .ok_or("unknown stream")?;
    let (numbers, _) = numbers.as_chunks::<8>();
    let numbers: Vec<u64> = numbers
        .iter()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .collect();
    let [epoch, first, last, frames, bytes, written] = numbers[..] else {
        return Err(format!("{} numbers instead of 6", numbers.len()));
    };
    Ok(LogSlice {
        id,
        stream: *stream,
        epoch: Epoch(epoch),
        first,
        last,
        frames,
        bytes,
        written,
    })
}
