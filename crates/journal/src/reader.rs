//! Reading what is durable.

use crate::error::ReadError;
use crate::record::{Classes, Poison, Snapshot, Stored};
use bytes::Bytes;
use enroute_model::ids::{Position, TransferId};

/// Reads what is durable; clone it freely. Each call sees the journal as it was
/// then. All iterators block on the disk: keep them off async threads.
#[derive(Clone, Debug)]
pub struct Reader {}

impl Reader {
    /// The records of `transfer` with positions above `after`, in position
    /// order. A damaged record is yielded as [`ReadError::Record`] and
    /// reading goes on; after [`ReadError::Store`] it ends.
    pub fn scan(&self, _transfer: &TransferId, _classes: Classes, _after: Position) -> Scan {
        Scan {}
    }

    /// The records of many transfers, of all classes, each above its own
    /// position, in the journal's order: what a restart reads behind its
    /// snapshots.
    pub fn merge(&self, _starts: &[(TransferId, Position)]) -> Merge {
        Merge {}
    }

    /// Every transfer with the position of its first record, by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn transfers(&self) -> Result<Vec<(TransferId, Position)>, ReadError> {
        Ok(Vec::new())
    }

    /// The snapshot of one transfer.
    ///
    /// # Errors
    /// When the store cannot be read or the snapshot is damaged.
    pub fn snapshot(&self, _transfer: &TransferId) -> Result<Option<Snapshot>, ReadError> {
        Ok(None)
    }

    /// All snapshots, one per transfer that has one, by id.
    pub fn snapshots(&self) -> impl Iterator<Item = Result<Snapshot, ReadError>> + use<> {
        std::iter::empty()
    }

    /// Derived records of `transfer` with ordinals from `from` on, ascending.
    pub fn derived(
        &self,
        _transfer: &TransferId,
        _from: u64,
    ) -> impl Iterator<Item = Result<(u64, Bytes), ReadError>> + use<> {
        std::iter::empty()
    }

    /// All poisoned records, by position.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn poisons(&self) -> Result<Vec<Poison>, ReadError> {
        Ok(Vec::new())
    }

    /// The last durable position now; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        Position(0)
    }
}

/// Iterator of [`Reader::scan`].
pub struct Scan {}

impl Iterator for Scan {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

/// Iterator of [`Reader::merge`].
pub struct Merge {}

impl Iterator for Merge {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
