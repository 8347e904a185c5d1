//! A copy of a journal as a stream of checked blocks: [`Reader::backup`] makes it
//! while commits go on, [`crate::Check`] reads it, [`crate::restore`] makes a journal of it.
//!
//! ```text
//!  copy = magic (16 bytes), block*
//!  block = kind u8 │ number u64 │ length u32 │ crc u32 │ body
//! ```
//!
//! Big endian. Blocks are numbered from 0; the CRC-32 (ISO 3309) is of everything
//! in front of it and of the body, so that neither a changed byte nor a block that
//! is lost, repeated or moved goes unseen.
//!
//! | kind | body |
//! | --- | --- |
//! | 1 head, first | format u32, disk format u32, incarnation u64, created at i64, slice width u64, last position u64, its engine time i64 |
//! | 2 space | name of the keyspace that the next rows belong to |
//! | 3 rows | (key length u16, value length u32, key, value)* |
//! | 4 end, last | rows u64, records u64, their bytes with heads u64 |
//!
//! Rows are copied as they lie on disk, with their own heads and checksums; a
//! record that was damaged in the journal is damaged in the copy, under the same
//! position, and reported by whoever reads it there. All rows are of one moment: the
//! store gives one view over all keyspaces, and a commit is in it whole or not at
//! all. Memory is one block, however large the journal, and the data keys.
//!
//! What is sealed is copied as it is, and the data keys, wrapped, as rows of a keyspace
//! `data-keys` that comes first: key number u32, value as in that file. A copy opens with
//! the key-encryption keys that were current when it was made, and with no others.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::reader::Reader;
use crate::spaces::Lease;
use crate::store::{self, DISK_FORMAT, LARGE_TABLE_BYTES};
use crate::vault;
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, ServerTime};
use enroute_seal::Ring;
use fjall::{Database, Readable};
use std::sync::{Arc, PoisonError};

/// What a copy begins with.
pub(crate) const MAGIC: &[u8; 16] = b"enroute backup\r\n";
/// Format of the copy.
pub(crate) const FORMAT: u32 = 1;
/// A block of rows is closed when it has so many bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// No block is longer: the largest row is a snapshot of an engine.
pub(crate) const BODY_BYTES_MAX: u32 = 64 << 20;
/// Kind, number, length, checksum.
pub(crate) const BLOCK_HEAD_BYTES: usize = 1 + 8 + 4 + 4;
/// The keyspace of which only what the head names is copied.
pub(crate) const META: &str = "meta";
/// Bytes of a keyspace's name: the store takes no longer one.
pub(crate) const SPACE_BYTES_MAX: usize = 255;

pub(crate) const HEAD: u8 = 1;
pub(crate) const SPACE: u8 = 2;
pub(crate) const ROWS: u8 = 3;
pub(crate) const END: u8 = 4;

/// Why a copy is refused.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It begins otherwise.
    #[error("this is no backup of enroute")]
    NoBackup,
    /// A later version of this program made it.
    #[error(
        "the backup has format {found}, this program reads up to {known}: use the newer program"
    )]
    Newer {
        /// Its format, or that of the journal in it.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// It ends too early.
    #[error(
        "the backup is cut off behind {blocks} whole blocks: make it again, or use another one"
    )]
    Truncated {
        /// Whole blocks.
        blocks: u64,
    },
    /// Something in it is not as it was written.
    #[error("the backup is damaged in block {block}: {what}; use another one")]
    Damaged {
        /// Which, from 0.
        block: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// It cannot be read.
    #[error("failed to read the backup: {0}")]
    Read(#[from] std::io::Error),
    /// The new journal cannot be written.
    #[error("failed to write the journal: {0}")]
    Write(String),
}

/// What a copy says of itself at its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The journal that was copied.
    pub incarnation: u64,
    /// When.
    pub created_at: ServerTime,
    /// The last record in it.
    pub position: Position,
    pub(crate) at: EngineTime,
    pub(crate) slice_us: u64,
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of all keyspaces.
    pub rows: u64,
    /// Records among them.
    pub records: u64,
    /// Bytes of the records.
    pub bytes: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, is_record: bool, value: &[u8]) {
        self.rows = self.rows.saturating_add(1);
        if is_record {
            let bytes = u64::try_from(value.len()).unwrap_or(u64::MAX);
            self.records = self.records.saturating_add(1);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }
}

impl Reader {
    /// A copy of everything that is stored at this moment, as blocks to be written
    /// one after the other. Blocks on the disk: keep it off async threads. Space of
    /// rows that are replaced meanwhile is freed only when it is dropped. When the
    /// journal fails meanwhile the copy ends with that.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn backup(&self, created_at: ServerTime) -> Result<Backup, ReadError> {
        let spaces = self.shared.spaces().map_err(ReadError::Failed)?;
        let tables = &spaces.tables;
        // Of the same moment: what the view shows has its key in the copy.
        let alone = spaces.vault.alone();
        let view = tables.db.snapshot();
        let keys = spaces.vault.ring().map(Ring::copy).unwrap_or_default();
        drop(alone);
        let names = tables.db.list_keyspace_names();
        let mut names: Vec<String> = names
            .iter()
            .map(ToString::to_string)
            .filter(|name| name != META)
            .collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        if !keys.is_empty() {
            names.push(vault::FILE.to_owned());
        }
        let (position, at) = tables.last_in(&view)?.unwrap_or_default();
        let head = Head {
            incarnation: tables.incarnation,
            created_at,
            position,
            at,
            slice_us: tables.slice_us,
        };
        let store = Held {
            db: tables.db.clone(),
            view,
            keys,
            names,
            rows: None,
        };
        Ok(Backup {
            shared: Arc::clone(&self.shared),
            lease: spaces.lend(store),
            blocks: Blocks {
                head,
                counts: Counts::default(),
                number: 0,
                ended: false,
            },
        })
    }
}

/// The blocks of a copy.
#[derive(Debug)]
pub struct Backup {
    shared: Arc<Shared>,
    lease: Arc<Lease<Held>>,
    blocks: Blocks,
}

/// What a copy holds of the store.
struct Held {
    db: Database,
    view: fjall::Snapshot,
    /// The data keys, wrapped.
    keys: Vec<(u32, Vec<u8>)>,
    /// Still to be copied, the next one last.
    names: Vec<String>,
    /// The keyspace that is being copied, and whether it holds records.
    rows: Option<(Rows, bool)>,
}

/// Rows of the store, or the data keys.
enum Rows {
    Stored(fjall::Iter),
    Keys(std::vec::IntoIter<(u32, Vec<u8>)>),
}

impl Rows {
    fn next(&mut self) -> Result<Option<(fjall::Slice, fjall::Slice)>, ReadError> {
        match self {
            Self::Stored(rows) => Ok(rows.next().map(fjall::Guard::into_inner).transpose()?),
            Self::Keys(keys) => {
                let row = keys.next();
                Ok(row.map(|(id, slot)| (id.to_be_bytes().into(), slot.into())))
            }
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Numbers and counts what is copied.
#[derive(Debug)]
struct Blocks {
    head: Head,
    counts: Counts,
    number: u64,
    ended: bool,
}

impl Backup {
    /// What is copied so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.blocks.counts
    }
}

impl Blocks {
    fn step(&mut self, held: &mut Held) -> Result<Vec<u8>, ReadError> {
        if self.number == 0 {
            let mut first = MAGIC.to_vec();
            let body = self.head.body();
            first.extend(self.block(HEAD, &body));
            return Ok(first);
        }
        while let Some((rows, records)) = held.rows.as_mut() {
            let mut body = Vec::new();
            while let Some((key, value)) = rows.next()? {
                self.counts.add(*records, &value);
                put_row(&mut body, &key, &value)?;
                if body.len() >= BLOCK_BYTES {
                    break;
                }
            }
            if body.is_empty() {
                held.rows = None;
            } else {
                return Ok(self.block(ROWS, &body));
            }
        }
        let Some(name) = held.names.pop() else {
            self.ended = true;
            let counts = [self.counts.rows, self.counts.records, self.counts.bytes];
            let body = counts.map(u64::to_be_bytes).concat();
            return Ok(self.block(END, &body));
        };
        if name == vault::FILE {
            let keys = std::mem::take(&mut held.keys);
            held.rows = Some((Rows::Keys(keys.into_iter()), false));
            return Ok(self.block(SPACE, name.as_bytes()));
        }
        let records = keys::parse_slice_name(&name).is_some();
        let space = store::keyspace(&held.db, &name, LARGE_TABLE_BYTES)?;
        held.rows = Some((Rows::Stored(held.view.iter(&space)), records));
        Ok(self.block(SPACE, name.as_bytes()))
    }

    fn block(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK_HEAD_BYTES.saturating_add(body.len()));
        block.push(kind);
        block.extend(self.number.to_be_bytes());
        // Rows are refused before a body could be longer.
        block.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        block.extend(checksum(&block, body).to_be_bytes());
        block.extend(body);
        self.number = self.number.saturating_add(1);
        block
    }
}

impl Iterator for Backup {
    type Item = Result<Vec<u8>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.blocks.ended {
            return None;
        }
        let mut held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let step = match held.as_mut() {
            Some(held) => self.blocks.step(held),
            None => Err(ReadError::Failed(self.shared.why_not_open())),
        };
        self.blocks.ended |= step.is_err();
        Some(step)
    }
}

fn put_row(body: &mut Vec<u8>, key: &[u8], value: &[u8]) -> Result<(), ReadError> {
    let half = usize::try_from(BODY_BYTES_MAX / 2).unwrap_or(usize::MAX);
    let lengths = u16::try_from(key.len())
        .ok()
        .zip(u32::try_from(value.len()).ok());
    let Some((key_length, value_length)) = lengths.filter(|_| value.len() < half) else {
        return Err(ReadError::Store("a row is too large to be copied".into()));
    };
    body.extend(key_length.to_be_bytes());
    body.extend(value_length.to_be_bytes());
    body.extend(key);
    body.extend(value);
    Ok(())
}

pub(crate) fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(body);
    crc.finalize()
}

impl Head {
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(FORMAT.to_be_bytes());
        body.extend(DISK_FORMAT.to_be_bytes());
        body.extend(self.incarnation.to_be_bytes());
        body.extend(self.created_at.0.to_be_bytes());
        body.extend(self.slice_us.to_be_bytes());
        body.extend(self.position.0.to_be_bytes());
        body.extend(self.at.0.to_be_bytes());
        body
    }

    pub(crate) fn of(body: &[u8]) -> Result<Self, BackupError> {
        let mut rest = body;
        let damaged = |()| BackupError::Damaged {
            block: 0,
            what: "its head is too short",
        };
        let mut known = |known| {
            let found = u32::from_be_bytes(take(&mut rest).map_err(damaged)?);
            if found > known {
                return Err(BackupError::Newer { found, known });
            }
            Ok(())
        };
        known(FORMAT)?;
        known(DISK_FORMAT)?;
        let mut next = || take::<8>(&mut rest).map_err(damaged);
        Ok(Self {
            incarnation: u64::from_be_bytes(next()?),
            created_at: ServerTime(i64::from_be_bytes(next()?)),
            slice_us: u64::from_be_bytes(next()?),
            position: Position(u64::from_be_bytes(next()?)),
            at: EngineTime(i64::from_be_bytes(next()?)),
        })
    }
}

/// The first bytes of `rest`, which then begins behind them.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ()> {
    let (first, behind) = rest.split_first_chunk::<N>().ok_or(())?;
    *rest = behind;
    Ok(*first)
}
