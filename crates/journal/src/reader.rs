//! Reading what is durable.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::merge::Merge;
use crate::record::{Classes, Poison, Snapshot};
use crate::scan::Scan;
use crate::spaces::Spaces;
use crate::tables;
use bytes::Bytes;
use enroute_model::ids::{Position, TransferId};
use std::sync::Arc;

/// Reads what is durable; clone it freely. Each call sees the journal as it was
/// then. All iterators block on the disk: keep them off async threads.
///
/// While the journal has failed nothing can be read: [`ReadError::Failed`], from
/// iterators that were begun before as well.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

impl Reader {
    /// The records of `transfer` with positions above `after`, in position
    /// order. A damaged record is yielded as [`ReadError::Record`] and
    /// reading goes on; after [`ReadError::Store`] it ends.
    #[must_use]
    pub fn scan(&self, transfer: &TransferId, classes: Classes, after: Position) -> Scan {
        let Ok(spaces) = self.shared.spaces() else {
            return Scan::failed(&self.shared);
        };
        // In this order, so that the view holds all that is called durable.
        let durable = self.shared.durable();
        let view = spaces.tables.db.snapshot();
        let bounds = (after, durable);
        Scan::new(&self.shared, &spaces, &view, (transfer, classes), bounds)
    }

    /// The records of many transfers, of all classes, each above its own
    /// position, in the journal's order: what a restart reads behind its
    /// snapshots. A transfer must not be named twice.
    #[must_use]
    pub fn merge(&self, starts: &[(TransferId, Position)]) -> Merge {
        let Ok(spaces) = self.shared.spaces() else {
            return Merge::failed(&self.shared);
        };
        let durable = self.shared.durable();
        let view = spaces.tables.db.snapshot();
        Merge::new(starts.iter().map(|(transfer, after)| {
            let (what, bounds) = ((transfer, Classes::All), (*after, durable));
            Scan::new(&self.shared, &spaces, &view, what, bounds)
        }))
    }

    /// Every transfer with the position of its first record, by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn transfers(&self) -> Result<Vec<(TransferId, Position)>, ReadError> {
        let durable = self.shared.durable();
        let mut transfers = self.spaces()?.tables.transfers()?;
        transfers.retain(|(_, first)| *first <= durable);
        Ok(transfers)
    }

    /// The snapshot of one transfer.
    ///
    /// # Errors
    /// When the store cannot be read or the snapshot is damaged.
    pub fn snapshot(&self, transfer: &TransferId) -> Result<Option<Snapshot>, ReadError> {
        let key = transfer.as_str().as_bytes();
        let value = self.spaces()?.tables.snapshots.get(key)?;
        value.map(|value| tables::snapshot(key, value)).transpose()
    }

    /// All snapshots, one per transfer that has one, by id. A damaged one is an
    /// error of its own; its transfer runs from its first record then.
    pub fn snapshots(&self) -> impl Iterator<Item = Result<Snapshot, ReadError>> + use<> {
        let rows = self.spaces().map(|spaces| spaces.tables.snapshots.iter());
        each(rows, |key, value| tables::snapshot(&key, value))
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
        let rows = self.spaces();
        let rows = rows.map(|spaces| spaces.tables.derived.range(first..=last));
        each(rows, |key, value| {
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
        let rows = self.spaces().map(|spaces| spaces.tables.poison.iter());
        each(rows, |key, value| tables::poison(&key, value)).collect()
    }

    /// The last durable position now; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.shared.durable()
    }

    fn spaces(&self) -> Result<Arc<Spaces>, ReadError> {
        Ok(self.shared.spaces()?)
    }
}

/// Every row, read by `read`; or the one error that there are none.
fn each<T>(
    rows: Result<fjall::Iter, ReadError>,
    read: impl Fn(fjall::Slice, fjall::Slice) -> Result<T, ReadError>,
) -> impl Iterator<Item = Result<T, ReadError>> {
    let (rows, error) = match rows {
        Ok(rows) => (Some(rows), None),
        Err(error) => (None, Some(Err(error))),
    };
    let rows = rows.into_iter().flatten().map(move |row| {
        let (key, value) = row.into_inner()?;
        read(key, value)
    });
    error.into_iter().chain(rows)
}
