//! The store under the gateway's spool: frames by stream, epoch and sequence.
//!
//! Each stream's frames lie in *slices*, a keyspace each, begun one after the
//! other as they fill; within one stream and epoch their ranges of sequences
//! ascend and do not overlap. What a slice holds is counted in its *note* in
//! `meta`, written in the batch that changes it: opening needs no scan, and a
//! keyspace without a note is one that was being dropped.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | u32, kind |
//! | `meta` | `clean` | empty; there while nothing was appended since a close |
//! | `meta` | `note/` id (u64) | head; stream u8, then epoch, first, last, frames, bytes, written (u64 each) |
//! | `meta` | `user/` key | head; value |
//! | `meta` | `sealed` | head; highest number of a data key in use |
//! | `slice/` id | sequence (u64) | head; frame |
//!
//! With keys, frames are sealed with the data key of their slice, which is destroyed
//! with it, and `user/` values with one of the log's own (`vault.rs`).

use crate::error::{Failure, OpenError, ReadError};
use crate::log_scan::LogScan;
use crate::log_slices::{Change, LogSlice, Notes, note_key};
use crate::options::Probe;
use crate::store::{self, Disk, Store, Synced, refused};
use crate::vault::Vault;
use crate::{creation, head, log_sealed, log_slices};
use bytes::Bytes;
use enroute_model::ids::{Epoch, Position, Stream};
use enroute_seal::Keys;
use fjall::{OwnedWriteBatch, PersistMode, Readable};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What `format` says of a log.
const KIND: &str = "log";
const CLEAN_KEY: &str = "clean";
pub(crate) const USER_PREFIX: &str = "user/";
/// Frames removed in one batch.
const REMOVE_FRAMES_MAX: usize = 1_024;

/// Bounds of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A slice into which so many bytes were written is full; the next append
    /// to its stream begins another. What is dropped at once to shed is a
    /// slice. Default 4 MiB.
    pub slice_bytes_max: u64,
    /// By which frames and notes are sealed; without, they lie in clear, and a log with
    /// sealed frames is not opened. Default none.
    pub keys: Option<Arc<Keys>>,
    /// Runs before each synced write; its error is as one of the disk's. For tests
    /// of failures.
    pub before_commit: Option<Probe>,
    /// Runs behind each synced write; its error is as one of a sync that failed: what
    /// was written may be there. For tests of failures.
    pub after_commit: Option<Probe>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            slice_bytes_max: 4 << 20,
            keys: None,
            before_commit: None,
            after_commit: None,
        }
    }
}

/// How the log was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There was none.
    New,
    /// Nothing was appended since the last [`Log::close`].
    Clean,
    /// The process ended without closing it. All that was acknowledged is
    /// there, and perhaps an append that was not.
    Unclean,
}

/// A frame to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogAppend {
    /// Which stream.
    pub stream: Stream,
    /// Which life of the spool.
    pub epoch: Epoch,
    /// Its number. Cheapest above all others of its stream and epoch; one
    /// below them is put in its place, an equal one replaced (but give none
    /// twice in one append).
    pub sequence: u64,
    /// The encoded frame; opaque here.
    pub payload: Bytes,
}

/// A durable map from (stream, epoch, sequence) to a frame, for one process.
/// Clone it freely. All methods block on the disk: keep them off async threads.
///
/// On disk it takes, besides the frames, some 200 MiB of write-ahead files at
/// most.
#[derive(Clone)]
pub struct Log {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    origin: Origin,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) notes: Notes,
    pub(crate) disk: Box<dyn Disk>,
    clean: bool,
    failure: Option<Failure>,
}

impl Log {
    /// Opens the log in `dir`, creating it if there is none.
    ///
    /// # Errors
    /// As [`crate::Journal::open`].
    pub fn open(dir: &Path, options: &LogOptions) -> Result<Self, OpenError> {
        let disk = Synced {
            before: options.before_commit.clone(),
            after: options.after_commit.clone(),
        };
        Self::open_on(dir, options, Box::new(disk))
    }

    pub(crate) fn open_on(
        dir: &Path,
        options: &LogOptions,
        disk: Box<dyn Disk>,
    ) -> Result<Self, OpenError> {
        let (store, notes, vault) = creation::finished(dir, || {
            let store = Store::open(dir, KIND)?;
            if store.new {
                create(&store).map_err(|error| refused(dir, &error))?;
            }
            let vault = Vault::open(dir, options.keys.as_ref(), &store.meta)?;
            let notes = Notes::open(&store, dir, options.slice_bytes_max)?;
            Ok((store, notes, vault))
        })?;
        notes.finish_shredding(&vault)?;
        let clean = store.meta.contains_key(CLEAN_KEY);
        let clean = clean.map_err(|error| refused(dir, &error))?;
        let origin = match (store.new, clean) {
            (true, _) => Origin::New,
            (false, true) => Origin::Clean,
            (false, false) => Origin::Unclean,
        };
        let state = State {
            notes,
            disk,
            clean,
            failure: None,
        };
        let state = Mutex::new(state);
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                vault: Arc::new(vault),
                origin,
                state,
            }),
        })
    }

    /// How the log was left before it was opened.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.inner.origin
    }

    /// Stores `frames` and the `meta` pairs together, in one batch with one
    /// sync: durable when this returns.
    ///
    /// # Errors
    /// When the log has failed, now or before; nothing of the batch counts as
    /// stored then.
    pub fn append(&self, frames: &[LogAppend], meta: &[(&str, &[u8])]) -> Result<(), Failure> {
        let mut state = self.working()?;
        let mut batch = self.inner.store.db.batch();
        let mut change = Change::default();
        self.put(&mut state, frames, &mut batch, &mut change)?;
        for (key, value) in meta {
            self.put_user(&mut state, &mut batch, key, value)?;
        }
        self.apply(&mut state, batch, change)
    }

    /// The frames of one stream and epoch whose sequences are in `range`,
    /// ascending, as they are now. A damaged one is reported as
    /// [`ReadError::Record`] with its sequence as position, and reading goes on.
    #[must_use]
    pub fn scan(&self, stream: Stream, epoch: Epoch, range: RangeInclusive<u64>) -> LogScan {
        let state = self.lock();
        let spaces = state.notes.spaces(stream, epoch, &range);
        let vault = Arc::clone(&self.inner.vault);
        LogScan::new(self.inner.store.db.snapshot(), vault, spaces, &range)
    }

    /// One frame, if it is there.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn get(
        &self,
        stream: Stream,
        epoch: Epoch,
        sequence: u64,
    ) -> Result<Option<Bytes>, ReadError> {
        let spaces = self
            .lock()
            .notes
            .spaces(stream, epoch, &(sequence..=sequence));
        for space in spaces {
            let key = sequence.to_be_bytes();
            if let Some(value) = space.get(key)? {
                let vault = &self.inner.vault;
                let value = vault.opened(log_slices::place(&key), Position(sequence), value)?;
                return Ok(Some(value.payload));
            }
        }
        Ok(None)
    }

    /// Removes the frames in `range` and gives the payload bytes freed. Slices
    /// wholly in it are dropped, which costs little, except the one that is
    /// still being filled. Not synced: after a crash some may be there again. What
    /// the disk cannot give back stays, until its slice is dropped.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn remove(
        &self,
        stream: Stream,
        epoch: Epoch,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Failure> {
        let mut state = self.working()?;
        let before = state.notes.bytes();
        for slice in state.notes.overlapping(stream, epoch, &range) {
            let covered = *range.start() <= slice.first && slice.last <= *range.end();
            if covered && state.notes.is_done(&slice) {
                self.drop_locked(&mut state, slice.id, &[])?;
            } else {
                self.remove_from(&mut state, &slice, &range)?;
            }
        }
        Ok(before.saturating_sub(state.notes.bytes()))
    }

    /// The slices of `stream`, in the order in which they were begun, over all
    /// epochs: the oldest first.
    #[must_use]
    pub fn slices(&self, stream: Stream) -> Vec<LogSlice> {
        self.lock().notes.of_stream(stream)
    }

    /// Drops one slice whole with all that is in it; cheap. An unknown one is
    /// ignored.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn drop_slice(&self, slice: &LogSlice) -> Result<(), Failure> {
        self.replace_slice(slice, &[])
    }

    /// Drops one slice and stores `instead` in its place (a shed record), both
    /// or neither; synced. The frames in `instead` must be of no other slice's
    /// range.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn replace_slice(&self, slice: &LogSlice, instead: &[LogAppend]) -> Result<(), Failure> {
        let mut state = self.working()?;
        self.drop_locked(&mut state, slice.id, instead)
    }

    /// Why it has failed, if it has: what it reads since then may not be on disk.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// Payload bytes of all frames now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().notes.bytes()
    }

    /// Stores a small value; synced: durable when this returns.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let mut state = self.working()?;
        let mut batch = self.inner.store.db.batch();
        self.put_user(&mut state, &mut batch, key, value)?;
        self.commit(&mut state, batch)
    }

    /// Stores a small value without a sync: durable with whatever is synced next,
    /// never later than that.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn put_meta_unsynced(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let mut state = self.working()?;
        let mut batch = self.inner.store.db.batch();
        self.put_user(&mut state, &mut batch, key, value)?;
        self.commit_unsynced(&mut state, batch)
    }

    /// Reads a small value.
    ///
    /// # Errors
    /// When the store cannot be read or the value is damaged.
    pub fn meta(&self, key: &str) -> Result<Option<Bytes>, ReadError> {
        let key = format!("{USER_PREFIX}{key}");
        let value = self.inner.store.meta.get(&key)?;
        let vault = &self.inner.vault;
        let value =
            value.map(|value| vault.opened(log_sealed::place_of_note(&key), Position(0), value));
        Ok(value.transpose()?.map(|value| value.payload))
    }

    /// Marks the log as cleanly closed; synced. Later appends make it unclean
    /// again. The directory is free when all clones and scans are gone.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn close(&self) -> Result<(), Failure> {
        let mut state = self.working()?;
        let mut batch = self.inner.store.db.batch();
        batch.insert(&self.inner.store.meta, CLEAN_KEY, "");
        self.commit(&mut state, batch)?;
        state.clean = true;
        Ok(())
    }

    /// Commits `batch` with what `change` says of the slices.
    fn apply(
        &self,
        state: &mut State,
        mut batch: OwnedWriteBatch,
        change: Change,
    ) -> Result<(), Failure> {
        change.notes_into(&mut batch, &self.inner.store.meta);
        if batch.is_empty() {
            return Ok(());
        }
        if state.clean {
            batch.remove(&self.inner.store.meta, CLEAN_KEY);
        }
        self.commit(state, batch)?;
        state.clean = false;
        state.notes.apply(change);
        Ok(())
    }

    /// The slice's note goes first, in one batch with what replaces it; then
    /// its keyspace, which opening would finish after a crash.
    fn drop_locked(
        &self,
        state: &mut State,
        id: u64,
        instead: &[LogAppend],
    ) -> Result<(), Failure> {
        let Some(space) = state.notes.space(id) else {
            return Ok(());
        };
        let mut batch = self.inner.store.db.batch();
        let mut change = Change::dropping(id);
        self.put(state, instead, &mut batch, &mut change)?;
        batch.remove(&self.inner.store.meta, note_key(id));
        self.apply(state, batch, change)?;
        let shredded = self.inner.vault.sealing().shred(&log_slices::name(id));
        shredded.map_err(|failure| state.fail(&failure.reason()))?;
        let db = &self.inner.store.db;
        let kept = state.notes.keep_newest(db);
        let deleted = kept.and_then(|()| db.delete_keyspace(space));
        deleted.map_err(|error| state.fail(&store::describe(&error)))
    }

    /// Removes frame by frame.
    fn remove_from(
        &self,
        state: &mut State,
        slice: &LogSlice,
        range: &RangeInclusive<u64>,
    ) -> Result<(), Failure> {
        let Some(space) = state.notes.space(slice.id) else {
            return Ok(());
        };
        let first = slice.first.max(*range.start());
        let last = slice.last.min(*range.end());
        let view = self.inner.store.db.snapshot();
        let mut rows = view.range(&space, first.to_be_bytes()..=last.to_be_bytes());
        loop {
            let mut batch = self.inner.store.db.batch();
            let mut freed = (0, 0);
            for row in rows.by_ref().take(REMOVE_FRAMES_MAX) {
                let (key, value) = match row.into_inner() {
                    Ok(row) => row,
                    Err(error) => {
                        tracing::warn!(%error, "damaged frames stay until their slice is dropped");
                        break;
                    }
                };
                freed.0 += 1;
                freed.1 += stored_bytes(value.len());
                batch.remove(&space, key);
            }
            if freed.0 == 0 {
                break;
            }
            let change = state.notes.removing(slice.id, freed, None);
            self.apply_unsynced(state, batch, change)?;
        }
        if *range.start() <= slice.first {
            let change = state.notes.removing(slice.id, (0, 0), last.checked_add(1));
            self.apply_unsynced(state, self.inner.store.db.batch(), change)?;
        }
        Ok(())
    }

    fn apply_unsynced(
        &self,
        state: &mut State,
        mut batch: OwnedWriteBatch,
        change: Change,
    ) -> Result<(), Failure> {
        change.notes_into(&mut batch, &self.inner.store.meta);
        self.commit_unsynced(state, batch)?;
        state.notes.apply(change);
        Ok(())
    }

    fn working(&self) -> Result<MutexGuard<'_, State>, Failure> {
        let state = self.lock();
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The log has failed for good (I8).
    pub(crate) fn fail(&mut self, reason: &dyn std::fmt::Display) -> Failure {
        let failure = Failure::new(reason);
        self.failure.get_or_insert(failure).clone()
    }
}

fn create(store: &Store) -> fjall::Result<()> {
    let mut batch = store.db.batch();
    store.format_into(&mut batch, KIND);
    batch.insert(&store.meta, CLEAN_KEY, "");
    batch.durability(Some(PersistMode::SyncAll)).commit()
}

/// Payload bytes of a stored value, as they lie there.
pub(crate) fn stored_bytes(value: usize) -> u64 {
    let payload = value.saturating_sub(head::HEAD_BYTES);
    u64::try_from(payload).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("origin", &self.inner.origin)
            .finish_non_exhaustive()
    }
}
