//! What can go wrong, one enum per operation, so that a caller sees what it can do.

use enroute_model::ids::Position;
use std::path::PathBuf;
use std::sync::Arc;

/// Why nothing more becomes durable (I8). A log stays so until it is opened
/// again; a journal opens its store again by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing more becomes durable: {reason}")]
pub struct Failure {
    reason: Arc<str>,
}

impl Failure {
    pub(crate) fn new(reason: &dyn std::fmt::Display) -> Self {
        let reason = reason.to_string().into();
        Self { reason }
    }

    /// What failed, in words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle of this one, has it open.
    #[error("{} is in use: another process has it open; stop that one or choose another directory", dir.display())]
    Locked {
        /// Which directory.
        dir: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error("{} has disk format {found}, this program reads up to {known}: use the newer program", dir.display())]
    Newer {
        /// Which directory.
        dir: PathBuf,
        /// The format on disk.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// It holds something else: a spool instead of a journal, or the reverse.
    #[error("{} holds a {found}, not a {wanted}: choose another directory", dir.display())]
    Kind {
        /// Which directory.
        dir: PathBuf,
        /// What it holds.
        found: String,
        /// What was to be opened.
        wanted: &'static str,
    },
    /// A part of it says what cannot be.
    #[error("{} is damaged: {what}", dir.display())]
    Damaged {
        /// Which directory.
        dir: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The store or the file system refused.
    #[error("failed to open {}: {reason}", dir.display())]
    Store {
        /// Which directory.
        dir: PathBuf,
        /// What it said.
        reason: String,
    },
    /// What is sealed in it cannot be opened with the keys that are given.
    #[error(transparent)]
    Keys(#[from] enroute_seal::RingError),
    /// The system gave no thread or no random bytes.
    #[error("failed to start the journal: {0}")]
    System(#[from] std::io::Error),
}

/// Why records were not appended. None of them is durable, nor will be called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// **Not durable**, because a write or a sync has failed; but the reader of
    /// the tail has it as [`crate::TailItem::Unrecorded`].
    #[error("passed on without being recorded: {0}")]
    Unrecorded(Failure),
    /// Not durable, nobody has it, and the journal takes nothing more.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// More than the whole queue holds: split it.
    #[error("{records} records of {bytes} bytes in one append are more than the queue holds")]
    TooLarge {
        /// Records in it.
        records: usize,
        /// Bytes in it.
        bytes: usize,
    },
}

/// Why records were not queued now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrySubmitError {
    /// The queue is full: here they are back.
    #[error("the journal's queue is full")]
    Full(Vec<crate::Append>),
    /// As with waiting.
    #[error(transparent)]
    Append(#[from] AppendError),
}

fn unreadable(first: Position, last: Position) -> String {
    if first == last {
        return format!("record {} is unreadable", first.0);
    }
    format!("records {} to {} are unreadable", first.0, last.0)
}

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This one record is damaged, or nothing between two positions can be read;
    /// reading goes on behind it.
    #[error("{}: {what}", unreadable(*position, *through))]
    Record {
        /// The first; 0 when its key cannot be read either.
        position: Position,
        /// The last. Where a part of a file is damaged nobody knows how many of the
        /// positions up to here were of this transfer.
        through: Position,
        /// What does not fit.
        what: Arc<str>,
    },
    /// The store failed; reading ends.
    #[error("failed to read the store: {0}")]
    Store(Arc<str>),
    /// The journal has failed and is being repaired: nothing can be read until then.
    #[error("the journal cannot be read now: {0}")]
    Failed(#[from] Failure),
}

impl From<fjall::Error> for ReadError {
    fn from(error: fjall::Error) -> Self {
        Self::Store(error.to_string().into())
    }
}
