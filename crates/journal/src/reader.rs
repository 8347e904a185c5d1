//! Reading what is durable.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::merge::Merge;
use crate::record::{Classes, Poison, Snapshot};
use crate::scan::Scan;
use crate::slices::Slices;
use crate::tables::{self, Tables};
use bytes::Bytes;
use enroute_model::ids::{Position, TransferId};
use std::sync::Arc;

/// Reads what is durable; clone it freely. Each call sees the journal as it was
/// then. All iterators block on the disk: keep them off async threads.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) slices: Arc<Slices>,
    pub(crate) tables: Arc<Tables>,
}

impl Reader {
    /// The records of `transfer` with positions above `after`, in position
    /// order. A damaged record is yielded as [`ReadError::Record`] and
    /// reading goes on; after [`ReadError::Store`] it ends.
    #[must_use]
    pub fn scan(&self, transfer: &TransferId, classes: Classes, after: Position) -> Scan {
        // In this order, so that the view holds all that is called durable.
        let durable = self.shared.durable();
        let slices = self.slices.list();
        let view = self.tables.db.snapshot();
        Scan::new(view, slices, transfer, classes, (after, durable))
    }

    /// The records of many transfers, of all classes, each above its own
    /// position, in the journal's order: what a restart reads behind its
    /// snapshots. A transfer must not be named twice.
    #[must_use]
    pub fn merge(&self, starts: &[(TransferId, Position)]) -> Merge {
        let durable = self.shared.durable();
        let slices = self.slices.list();
        let view = self.tables.db.snapshot();
        Merge::new(starts.iter().map(|(transfer, after)| {
            let bounds = (*after, durable);
            Scan::new(view.clone(), slices.clone(), transfer, Classes::All, bounds)
        }))
    }

    /// Every transfer with the position of its first record, by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn transfers(&self) -> Result<Vec<(TransferId, Position)>, ReadError> {
        let durable = self.shared.durable();
        let mut transfers = self.tables.transfers()?;
        transfers.retain(|(_, first)| *first <= durable);
        Ok(transfers)
    }

    /// The snapshot of one transfer.
    ///
    /// # Errors
    /// When the store cannot be read or the snapshot is damaged.
    pub fn snapshot(&self, transfer: &TransferId) -> Result<Option<Snapshot>, ReadError> {
        let key = transfer.as_str().as_bytes();
        let value = self.tables.snapshots.get(key)?;
        value.map(|value| tables::snapshot(key, value)).transpose()
    }

    /// All snapshots, one per transfer that has one, by id. A damaged one is an
    /// error of its own; its transfer runs from its first record then.
    pub fn snapshots(&self) -> impl Iterator<Item = Result<Snapshot, ReadError>> + use<> {
        self.tables.snapshots.iter().map(|row| {
            let (key, value) = row.into_inner()?;
            tables::snapshot(&key, value)
        })
    }

    /// Derived records of `transfer` with ordinals from `from` on, ascending. A
    /// damaged one is reported with its ordinal as position.
    pub fn derived(
        &self,
        transfer: &TransferId,
        from: u64,
    ) -> impl Iterator<Item = Result<(u64, Bytes), ReadError>> + use<> {
        let first = keys::numbered(transfer, from);
        let last = keys::numbered(transfer, u64::MAX);
        self.tables.derived.range(first..=last).map(|row| {
            let (key, value) = row.into_inner()?;
            let ordinal = keys::position(&key);
            let value = tables::opened(ordinal, value)?;
            Ok((ordinal.0, value.payload))
        })
    }

    /// All poisoned records, by position.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn poisons(&self) -> Result<Vec<Poison>, ReadError> {
        let rows = self.tables.poison.iter().map(|row| {
            let (key, value) = row.into_inner()?;
            tables::poison(&key, value)
        });
        rows.collect()
    }

    /// The last durable position now; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.shared.durable()
    }
}
