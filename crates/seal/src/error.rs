//! Why the data keys of a store cannot be had, and what to do.

use crate::cipher::SealError;
use crate::keys::KeyId;
use std::io;
use std::path::{Path, PathBuf};

/// Why the data keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// There are sealed values, and nobody gave a key.
    #[error(
        "what is stored is sealed, and no key is given; {} needs key {}: name the keys under \
         [encryption], or in ENROUTE_KEYS for a command", file.display(), list(needed)
    )]
    NoKeys {
        /// The file of data keys.
        file: PathBuf,
        /// Key-encryption keys that it needs.
        needed: Vec<KeyId>,
    },
    /// A key-encryption key is not among those that are given.
    #[error(
        "{} needs key {}, and only {} given: add the missing line to the keys; nothing was changed",
        file.display(), list(needed), given(have)
    )]
    Missing {
        /// The file of data keys.
        file: PathBuf,
        /// What is missing.
        needed: Vec<KeyId>,
        /// What is there.
        have: Vec<KeyId>,
    },
    /// A key has the right number and other bits.
    #[error(
        "key {id} is not the key {id} with which {} was written: give that one; nothing was changed",
        file.display()
    )]
    Wrong {
        /// The file of data keys.
        file: PathBuf,
        /// Which.
        id: KeyId,
    },
    /// There are sealed values, and the file with their keys is gone.
    #[error(
        "{} is not there, and without it nothing that was sealed can be read: put it back, \
         restore a backup, or move the whole directory away to begin a new one", file.display()
    )]
    Lost {
        /// The file of data keys.
        file: PathBuf,
    },
    /// It is something else.
    #[error("{} holds no data keys: put the right file back", file.display())]
    NoRing {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the data keys in {}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// No key can be made.
    #[error("no data key can be made: {0}")]
    Seal(#[from] SealError),
    /// A name is too long, or no number is left.
    #[error("no data key can be made: {0}")]
    Bound(&'static str),
}

fn list(ids: &[KeyId]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

fn given(ids: &[KeyId]) -> String {
    let are = if ids.len() == 1 { "is" } else { "are" };
    format!("{} {are}", list(ids))
}

pub(crate) fn io_error(path: &Path, error: io::Error) -> RingError {
    let file = path.to_owned();
    RingError::Io { file, error }
}
