//! What is on disk after a crash or damage, before the store reads it.
//!
//! A power cut may leave any part of what was not synced: the blocks of a file
//! reach the disk in any order, so that a batch may have an end and no middle.
//! The store takes such a batch for damage and refuses to open. Here the newest
//! file is cut behind its last whole batch instead. What is behind a broken
//! batch was never durable, unless two whole commits follow it: the second was
//! written after the first was synced. That, and anything broken in an older
//! file, is damage, and stays as it is found.
//!
//! The store's format, little endian; a file may end in zeros:
//!
//! ```text
//!  batch: 1 │ items u32 │ number u64 │ items … │ 3 │ XXH3 of the items u64 │ "FJL" 3
//!  item:  2 │ kind u8, 0 = a value │ compression u8 │ keyspace u64 │
//!         key bytes u16 │ value bytes u32 │ stored bytes u32 │ key │ stored value
//!  or:    4 │ keyspace u64
//! ```

use crate::error::OpenError;
use crate::manifest;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// What an end closes with.
const MAGIC: &[u8] = b"FJL\x03";
/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Whole commits behind a broken batch that show that it was durable.
const COMMITS_AFTER_DAMAGE: usize = 2;

/// Cuts a torn end off, and refuses what is damaged in ways that the store
/// would not notice; does nothing while another process has the store.
pub(crate) fn mend(dir: &Path) -> Result<(), OpenError> {
    let lock = OpenOptions::new().write(true).open(dir.join("lock"));
    let lock = match lock {
        Ok(lock) => lock,
        // No store yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(dir, &error)),
    };
    match lock.try_lock() {
        Ok(()) => {}
        // Opening will say so.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(refused(dir, &error)),
    }
    manifest::check(dir)?;
    let mut files = files(dir).map_err(|error| refused(dir, &error))?;
    let newest = files.pop();
    for (_, file) in files {
        look(dir, &file, false)?;
    }
    newest.map_or(Ok(()), |(_, file)| look(dir, &file, true))
}

/// By number.
fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".jnl")?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn look(dir: &Path, file: &Path, may_be_torn: bool) -> Result<(), OpenError> {
    let bytes = written(file).map_err(|error| refused(dir, &error))?;
    let mut rest = bytes.as_slice();
    while let Some(whole) = Whole::read(rest) {
        rest = whole.rest;
    }
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let good = bytes.len().saturating_sub(rest.len());
    if !may_be_torn || commits_in(rest) >= COMMITS_AFTER_DAMAGE {
        let dir = dir.to_path_buf();
        let what = format!("{} does not fit from byte {good} on", file.display());
        return Err(OpenError::Damaged { dir, what });
    }
    let dropped = rest.len();
    tracing::warn!(file = %file.display(), dropped, "cut off what a crash left unfinished");
    cut(file, good).map_err(|error| refused(dir, &error))
}

/// A file without the zeros that it ends in. The store makes its files 64 MiB
/// long before it writes them, so that most of a young one is zeros.
fn written(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let zeros = vec![0; CHUNK_BYTES];
    let mut chunk = zeros.clone();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    loop {
        let count = file.read(&mut chunk)?;
        let read = chunk.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Ok(bytes);
        }
        if zeros.get(..count) != Some(read) {
            bytes.resize(length, 0);
            bytes.extend_from_slice(read);
        }
        length = length.saturating_add(count);
    }
}

fn cut(file: &Path, length: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(file)?;
    file.set_len(u64::try_from(length).unwrap_or(u64::MAX))?;
    file.sync_all()
}

fn refused(dir: &Path, error: &io::Error) -> OpenError {
    OpenError::Store {
        dir: dir.to_path_buf(),
        reason: error.to_string(),
    }
}

/// Whole commits somewhere in `bytes`, which begin with a broken batch.
fn commits_in(mut bytes: &[u8]) -> usize {
    let mut commits = 0;
    loop {
        if let Some(whole) = Whole::read(bytes) {
            commits += usize::from(whole.is_commit);
            bytes = whole.rest;
            continue;
        }
        // A batch begins where another ended.
        let mut windows = bytes.windows(MAGIC.len());
        let Some(end) = windows.position(|window| window == MAGIC) else {
            return commits;
        };
        bytes = bytes
            .get(end.saturating_add(MAGIC.len())..)
            .unwrap_or_default();
    }
}

/// A batch that has all its items and fits its checksum.
struct Whole<'a> {
    /// It was written with a sync of its own: a journal's commits note the last
    /// record, a log's the slices of their frames.
    is_commit: bool,
    rest: &'a [u8],
}

impl<'a> Whole<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        (bytes.number()? == START).then_some(())?;
        let items = u32::from_le_bytes(bytes.array()?);
        let _number: [u8; 8] = bytes.array()?;
        let mut checksum = Xxh3::new();
        let (mut last, mut note, mut frame) = (false, false, false);
        for _ in 0..items {
            let before = bytes.0;
            let (kind, key) = item(&mut bytes)?;
            let length = before.len().saturating_sub(bytes.0.len());
            checksum.update(before.get(..length)?);
            last |= key == crate::tables::LAST_KEY.as_bytes();
            note |= key.starts_with(crate::log_slices::NOTE_PREFIX.as_bytes());
            frame |= kind == 0 && key.len() == size_of::<u64>();
        }
        (bytes.number()? == END).then_some(())?;
        let whole = u64::from_le_bytes(bytes.array()?) == checksum.digest();
        (whole && bytes.take(MAGIC.len())? == MAGIC).then_some(Self {
            is_commit: last || (note && frame),
            rest: bytes.0,
        })
    }
}

/// Kind and key of an item; both 0 where a keyspace is cleared.
fn item<'a>(bytes: &mut Bytes<'a>) -> Option<(u8, &'a [u8])> {
    let tag = bytes.number()?;
    if tag == CLEAR {
        bytes.take(size_of::<u64>())?;
        return Some((0, &[]));
    }
    (tag == ITEM).then_some(())?;
    let kind = bytes.number()?;
    let _compression = bytes.number()?;
    let _keyspace: [u8; 8] = bytes.array()?;
    let key = u16::from_le_bytes(bytes.array()?);
    let _value = u32::from_le_bytes(bytes.array()?);
    let stored = u32::from_le_bytes(bytes.array()?);
    let key = bytes.take(usize::from(key))?;
    bytes.take(usize::try_from(stored).ok()?)?;
    Some((kind, key))
}

/// What is not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }
}
