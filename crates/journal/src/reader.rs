//! Reading what is durable.

use crate::deletion;
use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::merge::{Holders, Merge};
use crate::record::{Class, Classes, Deleted, Poison, Snapshot, Stored};
use crate::scan::Scan;
use crate::slices::Slice;
use crate::spaces::Spaces;
use crate::tables::{self, CAPTURED, DERIVED, SLEEPERS, SNAPSHOTS, Tables};
use crate::vault::Vault;
use bytes::Bytes;
use enroute_model::ids::{BookHash, Position, TransferId};
use enroute_model::time::EngineTime;
use fjall::Readable;
use std::sync::Arc;

/// Transfers that are looked for slice by slice; of more it is found out first which
/// slices hold them.
const FEW: usize = 8;

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
        let slices = spaces.slices.list();
        let what = (transfer, classes);
        Scan::new(&self.shared, &spaces, &view, slices, what, bounds)
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
        let slices = spaces.slices.list();
        let many = starts.len() > FEW && slices.len() > 1;
        let mut holders = many
            .then(|| Holders::of(&view, slices.clone()))
            .transpose()
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "every slice is searched for every transfer");
                None
            });
        Merge::new(starts.iter().map(|(transfer, after)| {
            let slices = match &mut holders {
                Some(holders) => holders.slices(transfer),
                None => slices.clone(),
            };
            let (what, bounds) = ((transfer, Classes::All), (*after, durable));
            Scan::new(&self.shared, &spaces, &view, slices, what, bounds)
        }))
    }

    /// The first and the last record of `transfer` that can be read; `None`: there
    /// is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn ends(&self, transfer: &TransferId) -> Result<Option<(Stored, Stored)>, ReadError> {
        match self.ends_at_once(transfer) {
            // A part of a file is damaged: what can be read says where they are.
            Err(ReadError::Store(_)) => {
                let rows = self.scan(transfer, Classes::All, Position(0));
                let mut whole = rows.filter_map(Result::ok);
                let first = whole.next();
                Ok(first.map(|first| (first.clone(), whole.last().unwrap_or(first))))
            }
            found => found,
        }
    }

    fn ends_at_once(&self, transfer: &TransferId) -> Result<Option<(Stored, Stored)>, ReadError> {
        let spaces = self.spaces()?;
        let durable = self.shared.durable();
        let view = spaces.tables.db.snapshot();
        let first = spaces.gone.through(transfer).0.saturating_add(1);
        if first > durable.0 {
            return Ok(None);
        }
        let range = keys::numbered(transfer, first)..=keys::numbered(transfer, durable.0);
        let slices = spaces.slices.list();
        let edge = |slice: &Slice, last: bool| -> Result<Option<Stored>, ReadError> {
            let classes = [
                (Class::Vitals, &slice.vitals),
                (Class::Waveforms, &slice.waveforms),
            ];
            let mut found = None;
            for (class, space) in classes {
                let Some(space) = space else { continue };
                let rows = view.range(space, range.clone());
                let one = outermost(rows, last, (transfer, class), &spaces.vault)?;
                found = outer(found, one, last);
            }
            Ok(found)
        };
        let mut first = None;
        for slice in &slices {
            first = edge(slice, false)?;
            if first.is_some() {
                break;
            }
        }
        let mut last = None;
        for slice in slices.iter().rev() {
            last = edge(slice, true)?;
            if last.is_some() {
                break;
            }
        }
        Ok(first.zip(last))
    }

    /// Every transfer with the position of its first record, by id; also those that
    /// were deleted.
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
        let spaces = self.spaces()?;
        let value = spaces.tables.snapshots.get(key)?;
        let found = value.map(|value| tables::snapshot(&spaces.vault, SNAPSHOTS, (key, value)));
        found.transpose()
    }

    /// All snapshots, one per transfer that has one, by id. A damaged one is an
    /// error of its own; its transfer runs from its first record then.
    pub fn snapshots(&self) -> impl Iterator<Item = Result<Snapshot, ReadError>> + use<> {
        let rows = self.rows(|tables| tables.snapshots.iter());
        each(rows, |vault, key, value| {
            tables::snapshot(vault, SNAPSHOTS, (&key, value))
        })
    }

    /// All transfers noted as sleepers, by id. A damaged note is an error of its own;
    /// its transfer is loaded then.
    pub fn sleepers(&self) -> impl Iterator<Item = Result<Snapshot, ReadError>> + use<> {
        let rows = self.rows(|tables| tables.sleepers.iter());
        each(rows, |vault, key, value| {
            tables::snapshot(vault, SLEEPERS, (&key, value))
        })
    }

    /// The newest checkpoint of `transfer` that was put for engine time `by` or
    /// before.
    ///
    /// # Errors
    /// When the store cannot be read or the checkpoint is damaged.
    pub fn checkpoint(
        &self,
        transfer: &TransferId,
        by: EngineTime,
    ) -> Result<Option<Snapshot>, ReadError> {
        let range = keys::numbered(transfer, 0)..=keys::numbered(transfer, keys::ordered(by));
        let spaces = self.spaces()?;
        let row = spaces.tables.checkpoints.range(range).next_back();
        let row = row.map(fjall::Guard::into_inner).transpose()?;
        let found =
            row.map(|(key, value)| tables::checkpoint(&spaces.vault, transfer, (&key, value)));
        found.transpose()
    }

    /// A part of the order of capture of `transfer`.
    ///
    /// # Errors
    /// When the store cannot be read or the part is damaged.
    pub fn captured(&self, transfer: &TransferId, part: u64) -> Result<Option<Bytes>, ReadError> {
        let spaces = self.spaces()?;
        let key = keys::numbered(transfer, part);
        let row = spaces.tables.captured.get(&key)?;
        let value = row.map(|row| spaces.vault.opened(CAPTURED.at(&key), Position(0), row));
        Ok(value.transpose()?.map(|value| value.payload))
    }

    /// What was deleted, by id.
    ///
    /// # Errors
    /// When the store cannot be read or a row is damaged.
    pub fn deleted(&self) -> Result<Vec<Deleted>, ReadError> {
        let rows = self.rows(|tables| tables.deleted.iter());
        let rows = each(rows, |vault, key, value| deletion::row(vault, &key, value));
        rows.map(|row| row.map(|(deleted, _)| deleted)).collect()
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
        let rows = self.rows(|tables| tables.derived.range(first..=last));
        each(rows, |vault, key, value| {
            let ordinal = keys::position(&key);
            let value = vault.opened(DERIVED.at(&key), ordinal, value)?;
            Ok((ordinal.0, value.payload))
        })
    }

    /// All poisoned records, by position.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn poisons(&self) -> Result<Vec<Poison>, ReadError> {
        let rows = self.rows(|tables| tables.poison.iter());
        each(rows, |vault, key, value| tables::poison(vault, &key, value)).collect()
    }

    /// All rule books that records may name, with their files. A damaged one is an
    /// error of its own.
    pub fn books(&self) -> impl Iterator<Item = Result<(BookHash, Bytes), ReadError>> + use<> {
        let rows = self.rows(|tables| tables.books.iter());
        each(rows, |_, key, value| tables::book(&key, value))
    }

    /// The last durable position now; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.shared.durable()
    }

    fn rows(&self, of: impl FnOnce(&Tables) -> fjall::Iter) -> Result<Rows, ReadError> {
        let spaces = self.spaces()?;
        Ok((of(&spaces.tables), Arc::clone(&spaces.vault)))
    }

    fn spaces(&self) -> Result<Arc<Spaces>, ReadError> {
        Ok(self.shared.spaces()?)
    }
}

/// The first or the last row that reads; damaged ones before it are passed over.
fn outermost(
    mut rows: fjall::Iter,
    last: bool,
    (transfer, class): (&TransferId, Class),
    vault: &Vault,
) -> Result<Option<Stored>, ReadError> {
    loop {
        let row = if last { rows.next_back() } else { rows.next() };
        let Some(row) = row else { return Ok(None) };
        let (key, value) = row.into_inner()?;
        let position = keys::position(&key);
        let place = keys::place(class, &key);
        if let Ok(value) = vault.opened(place, position, value) {
            return Ok(Some(Stored {
                position,
                class,
                transfer: transfer.clone(),
                at: value.at,
                received_at: value.received_at,
                payload: value.payload,
            }));
        }
    }
}

/// The one that lies further out.
fn outer(one: Option<Stored>, other: Option<Stored>, last: bool) -> Option<Stored> {
    match (one, other) {
        (Some(one), Some(other)) if (other.position > one.position) == last => Some(other),
        (one, other) => one.or(other),
    }
}

/// Rows, and what opens them.
type Rows = (fjall::Iter, Arc<Vault>);

/// Every row, read by `read`; or the one error that there are none.
fn each<T>(
    rows: Result<Rows, ReadError>,
    read: impl Fn(&Vault, fjall::Slice, fjall::Slice) -> Result<T, ReadError>,
) -> impl Iterator<Item = Result<T, ReadError>> {
    let (rows, error) = match rows {
        Ok(rows) => (Some(rows), None),
        Err(error) => (None, Some(Err(error))),
    };
    let rows = rows
        .into_iter()
        .flat_map(|(rows, vault)| rows.map(move |row| (row, Arc::clone(&vault))));
    let rows = rows.map(move |(row, vault)| {
        let (key, value) = row.into_inner()?;
        read(&vault, key, value)
    });
    error.into_iter().chain(rows)
}
