//! Small tables beside the records: snapshots, derived records, poison.

use crate::error::Failure;
use enroute_model::ids::{Position, TransferId};

/// Writes the side tables; clone it freely. Puts do not pass through the
/// appender's queue, so that the tail's reader may put without waiting for
/// itself; each may wait for the sync of one running commit. A failed put stops
/// the journal.
#[derive(Clone, Debug)]
pub struct Side {}

impl Side {
    /// Replaces the snapshot of `transfer`. **Not synced:** it becomes durable
    /// with the next commit, never before what was put or committed before it.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_snapshot(
        &self,
        _transfer: &TransferId,
        _position: Position,
        _bytes: &[u8],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Stores a derived record; the same ordinal again replaces it, so a re-run
    /// may put again. **Not synced,** as with a snapshot: a re-run from the
    /// snapshot before it derives it again.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_derived(
        &self,
        _transfer: &TransferId,
        _ordinal: u64,
        _bytes: &[u8],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// Marks a record as poisoned. **Synced:** durable when this returns.
    ///
    /// # Errors
    /// When the journal has failed.
    pub fn put_poison(
        &self,
        _position: Position,
        _transfer: &TransferId,
        _reason: &str,
    ) -> Result<(), Failure> {
        Ok(())
    }
}
