//! What the journal and the log share: opening a store with its lock and its
//! format, and the one durable way to write.

use crate::error::{Failure, OpenError};
use crate::options::Probe;
use crate::rewrite;
use crate::write_ahead;
use bytes::Bytes;
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

/// Format of the directory as a whole: which keyspaces there are and what
/// their keys mean.
pub(crate) const DISK_FORMAT: u32 = 1;
/// Meta: [`DISK_FORMAT`] as u32 big endian, then the kind of store in UTF-8.
const FORMAT_KEY: &str = "format";
/// Bytes in closed write-ahead files above which the store flushes whatever
/// keeps the oldest of them. The file being written comes on top, and the one
/// that a flush in progress still needs.
const WRITE_AHEAD_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a small table in memory before it is flushed. The store closes a
/// write-ahead file only when something is flushed, and a small table that is
/// written in each commit sees to that.
pub(crate) const SMALL_TABLE_BYTES: u64 = 1 << 20;
/// Bytes of a large table in memory before it is flushed.
pub(crate) const LARGE_TABLE_BYTES: u64 = 16 << 20;
/// Bytes of a block of a table.
pub(crate) const BLOCK_BYTES: u32 = 4 << 10;
/// Threads that flush and compact.
const WORKERS: usize = 2;
/// Tables in memory, full and not flushed yet, of one keyspace. With 4 of them
/// the store itself waits in a commit.
const UNFLUSHED_MAX: usize = 3;
/// How often is looked whether they are fewer.
const ROOM_EVERY: Duration = Duration::from_millis(5);

/// An open store.
pub(crate) struct Store {
    pub(crate) db: Database,
    pub(crate) meta: Keyspace,
    /// Nothing was ever written: [`Store::format_into`] is still to be called.
    pub(crate) new: bool,
}

impl Store {
    /// Opens or creates the store of `kind` in `dir`.
    pub(crate) fn open(dir: &Path, kind: &'static str) -> Result<Self, OpenError> {
        write_ahead::mend(dir)?;
        let db = Database::builder(dir)
            .worker_threads(WORKERS)
            .max_journaling_size(WRITE_AHEAD_BYTES_MAX)
            .open()
            .map_err(|error| refused(dir, &error))?;
        let meta =
            keyspace(&db, "meta", SMALL_TABLE_BYTES).map_err(|error| refused(dir, &error))?;
        let format = meta.get(FORMAT_KEY);
        let format = format.map_err(|error| refused(dir, &error))?;
        let new = format.is_none();
        if let Some(format) = format {
            check_format(dir, kind, &format)?;
        }
        Ok(Self { db, meta, new })
    }

    /// Puts what makes this directory a store of `kind` into `batch`.
    pub(crate) fn format_into(&self, batch: &mut OwnedWriteBatch, kind: &str) {
        let mut format = DISK_FORMAT.to_be_bytes().to_vec();
        format.extend_from_slice(kind.as_bytes());
        batch.insert(&self.meta, FORMAT_KEY, format);
    }
}

fn check_format(dir: &Path, wanted: &'static str, bytes: &[u8]) -> Result<(), OpenError> {
    let dir = dir.to_path_buf();
    let Some((format, kind)) = bytes.split_first_chunk::<4>() else {
        let what = "its format has fewer than 4 bytes".to_owned();
        return Err(OpenError::Damaged { dir, what });
    };
    let found = u32::from_be_bytes(*format);
    if found > DISK_FORMAT {
        let known = DISK_FORMAT;
        return Err(OpenError::Newer { dir, found, known });
    }
    if kind != wanted.as_bytes() {
        let found = String::from_utf8_lossy(kind).into_owned();
        return Err(OpenError::Kind { dir, found, wanted });
    }
    Ok(())
}

/// Opens a keyspace, or creates one that keeps `memory_bytes` in memory before
/// it is flushed, in blocks as the store has them.
pub(crate) fn keyspace(db: &Database, name: &str, memory_bytes: u64) -> fjall::Result<Keyspace> {
    keyspace_of_blocks(db, name, memory_bytes, BLOCK_BYTES)
}

/// The same, with blocks (what is read and compressed whole) of that size. Tables are
/// compressed at once: by itself the store leaves a keyspace as it is up to some 300 MiB,
/// which most days never reach.
pub(crate) fn keyspace_of_blocks(
    db: &Database,
    name: &str,
    memory_bytes: u64,
    block_bytes: u32,
) -> fjall::Result<Keyspace> {
    db.keyspace(name, || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(memory_bytes)
            .data_block_size_policy(BlockSizePolicy::all(block_bytes))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
    })
}

/// Words for a refusal to open.
pub(crate) fn refused(dir: &Path, error: &fjall::Error) -> OpenError {
    let dir = dir.to_path_buf();
    if matches!(error, fjall::Error::Locked) {
        return OpenError::Locked { dir };
    }
    let reason = describe(error);
    OpenError::Store { dir, reason }
}

/// The words of what is behind the store's error, where there is something.
pub(crate) fn describe(error: &fjall::Error) -> String {
    if matches!(error, fjall::Error::Poisoned) {
        return "a write, sync or flush failed before".to_owned();
    }
    let io = std::error::Error::source(error);
    io.map_or_else(|| error.to_string(), ToString::to_string)
}

/// The one place where a batch becomes durable; tests put a failing one here.
pub(crate) trait Disk: Send + Sync + std::fmt::Debug {
    /// Writes and syncs `batch`: all of it is durable, or an error.
    fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Failure>;

    /// Whether the disk under `dir` takes synced writes again.
    fn probe(&self, dir: &Path) -> std::io::Result<()>;
}

/// The real one.
#[derive(Debug, Default)]
pub(crate) struct Synced {
    pub(crate) before: Option<Probe>,
    pub(crate) after: Option<Probe>,
}

impl Synced {
    fn ask(&self) -> std::io::Result<()> {
        self.before.as_ref().map_or(Ok(()), |probe| probe.0())
    }
}

impl Disk for Synced {
    fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Failure> {
        self.ask().map_err(|error| Failure::new(&error))?;
        commit(batch, PersistMode::SyncData)?;
        let after = self.after.as_ref().map_or(Ok(()), |probe| probe.0());
        after.map_err(|error| Failure::new(&error))
    }

    fn probe(&self, dir: &Path) -> std::io::Result<()> {
        self.ask()?;
        rewrite::probe(dir)
    }
}

/// Commits `batch`, durable as `mode` says. The store panics where a damaged file had
/// it count to the end of its numbers; that is a failure as any other.
pub(crate) fn commit(batch: OwnedWriteBatch, mode: PersistMode) -> Result<(), Failure> {
    guarded(|| {
        let committed = batch.durability(Some(mode)).commit();
        committed.map_err(|error| Failure::new(&describe(&error)))
    })
}

/// Waits until a commit to `spaces` will not wait inside the store, where
/// nobody would hear that the store's own threads have died of a full disk.
pub(crate) fn room<'a>(
    db: &Database,
    spaces: impl IntoIterator<Item = &'a Keyspace>,
) -> Result<(), Failure> {
    for space in spaces {
        wait_below(db, space, UNFLUSHED_MAX)?;
    }
    Ok(())
}

fn wait_below(db: &Database, space: &Keyspace, unflushed: usize) -> Result<(), Failure> {
    while space.sealed_memtable_count() >= unflushed {
        // Says so when the store has failed; writes nothing else.
        let alive = db.persist(PersistMode::Buffer);
        alive.map_err(|error| Failure::new(&describe(&error)))?;
        std::thread::park_timeout(ROOM_EVERY);
    }
    Ok(())
}

/// Writes what is in memory of a keyspace to a table, and waits for it.
pub(crate) fn flush(db: &Database, space: &Keyspace) -> Result<(), Failure> {
    let rotated = space.rotate_memtable();
    rotated.map_err(|error| Failure::new(&describe(&error)))?;
    wait_below(db, space, 1)
}

/// Runs `step` on the store; a panic in it is a failure.
pub(crate) fn guarded<T>(step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(step));
    done.unwrap_or_else(|_| Err(Failure::new(&"the store panicked; see the log")))
}

/// The bytes of a stored value, shared with the store's cache.
pub(crate) fn shared(value: fjall::Slice) -> Bytes {
    Bytes::from_owner(value)
}
