//! Why the store, or one entry of it, cannot be had. No error says who somebody is.

use crate::person::Invalid;
use enroute_model::ids::TransferId;
use enroute_seal::{RingError, SealError};
use std::io;
use std::path::PathBuf;

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something about its directory.
    #[error("the identity store in {}: {error}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("the identity store in {} is in use by another process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// Its data keys cannot be had.
    #[error("the identity store: {0}")]
    Keys(#[from] RingError),
}

/// Why one entry cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Its bytes are not what was written, or its key was destroyed or damaged.
    #[error(
        "what is stored of who is on {transfer} cannot be opened: its file or its key is \
         damaged; others are not concerned. Restore both from a copy, or set it anew"
    )]
    Damaged {
        /// Whose.
        transfer: TransferId,
    },
    /// What was given is not in order.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no room.
    #[error("the identity store is full: {most} transfers")]
    Full {
        /// So many are taken.
        most: usize,
    },
    /// The disk refuses.
    #[error("the identity store cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// A data key cannot be made or destroyed.
    #[error("the identity store: {0}")]
    Keys(#[from] RingError),
    /// Nothing can be sealed.
    #[error("the identity store: {0}")]
    Seal(#[from] SealError),
}
