//! One transfer's records in order: slices one after the other, in each the two
//! classes merged by position.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::record::{Class, Classes, Stored};
use crate::slices::Slice;
use crate::spaces::{Lease, Spaces};
use crate::tables;
use enroute_model::ids::{Position, TransferId};
use fjall::{Keyspace, Readable, Slice as Bytes};
use std::sync::{Arc, PoisonError};

/// Iterator of [`crate::Reader::scan`].
#[derive(Debug)]
pub struct Scan {
    shared: Arc<Shared>,
    /// Empty when the journal has failed since, or had before it began.
    lease: Option<Arc<Lease<Rows>>>,
    ended: bool,
}

/// What a scan holds of the store.
pub(crate) struct Rows {
    view: fjall::Snapshot,
    slices: std::vec::IntoIter<Slice>,
    transfer: TransferId,
    classes: Classes,
    first: Vec<u8>,
    last: Vec<u8>,
    vitals: Run,
    waveforms: Run,
}

/// One class in one slice, with the next row at hand.
struct Run {
    class: Class,
    rows: Option<fjall::Iter>,
    next: Option<(Position, Bytes)>,
}

impl Run {
    fn new(class: Class) -> Self {
        Self {
            class,
            rows: None,
            next: None,
        }
    }

    /// The position of the next row; reads it if need be.
    fn peek(&mut self) -> Result<Option<Position>, ReadError> {
        if self.next.is_none() {
            let Some(row) = self.rows.as_mut().and_then(Iterator::next) else {
                self.rows = None;
                return Ok(None);
            };
            let (key, value) = row.into_inner()?;
            self.next = Some((keys::position(&key), value));
        }
        Ok(self.next.as_ref().map(|(position, _)| *position))
    }

    fn take(&mut self, transfer: &TransferId) -> Option<Result<Stored, ReadError>> {
        let (position, value) = self.next.take()?;
        let stored = tables::opened(position, value).map(|value| Stored {
            position,
            class: self.class,
            transfer: transfer.clone(),
            at: value.at,
            received_at: value.received_at,
            payload: value.payload,
        });
        Some(stored)
    }
}

impl Scan {
    /// What `slices` have above the first of two positions, through the second.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        spaces: &Spaces,
        view: &fjall::Snapshot,
        slices: Vec<Slice>,
        (transfer, classes): (&TransferId, Classes),
        (after, through): (Position, Position),
    ) -> Self {
        let rows = Rows {
            view: view.clone(),
            slices: slices.into_iter(),
            transfer: transfer.clone(),
            classes,
            first: keys::numbered(transfer, after.0.saturating_add(1)),
            last: keys::numbered(transfer, through.0),
            vitals: Run::new(Class::Vitals),
            waveforms: Run::new(Class::Waveforms),
        };
        Self {
            shared: Arc::clone(shared),
            lease: Some(spaces.lend(rows)),
            ended: after >= through,
        }
    }

    /// One that says why there is nothing to read.
    pub(crate) fn failed(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            lease: None,
            ended: false,
        }
    }

    fn advance(&mut self) -> Result<Option<Result<Stored, ReadError>>, ReadError> {
        let taken_back = || ReadError::Failed(self.shared.why_not_open());
        let lease = self.lease.as_ref().ok_or_else(taken_back)?;
        let mut rows = lease.lock().unwrap_or_else(PoisonError::into_inner);
        rows.as_mut().ok_or_else(taken_back)?.advance()
    }
}

impl Rows {
    /// Turns to the next slice; false when there is none.
    fn turn(&mut self) -> bool {
        let Some(slice) = self.slices.next() else {
            return false;
        };
        self.vitals.rows = self.rows(Class::Vitals, slice.vitals.as_ref());
        self.waveforms.rows = self.rows(Class::Waveforms, slice.waveforms.as_ref());
        true
    }

    fn rows(&self, class: Class, space: Option<&Keyspace>) -> Option<fjall::Iter> {
        let space = space.filter(|_| self.classes.holds(class))?;
        Some(
            self.view
                .range(space, self.first.as_slice()..=self.last.as_slice()),
        )
    }

    fn advance(&mut self) -> Result<Option<Result<Stored, ReadError>>, ReadError> {
        loop {
            let lower = match (self.vitals.peek()?, self.waveforms.peek()?) {
                (None, None) if self.turn() => continue,
                (None, None) => return Ok(None),
                (Some(vitals), Some(waveforms)) if waveforms < vitals => &mut self.waveforms,
                (Some(_), _) => &mut self.vitals,
                (None, Some(_)) => &mut self.waveforms,
            };
            return Ok(lower.take(&self.transfer));
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance().unwrap_or_else(|error| {
            self.ended = true;
            Some(Err(error))
        });
        self.ended |= next.is_none();
        if self.ended {
            self.lease = None;
        }
        next
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("transfer", &self.transfer)
            .finish_non_exhaustive()
    }
}
