//! One transfer's records in order: slices one after the other, in each the two
//! classes merged by position. Where a part of a file cannot be read, the scan says
//! from where to where and goes on behind it.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::record::{Class, Classes, Stored};
use crate::slices::Slice;
use crate::spaces::{Lease, Spaces};
use crate::store::describe;
use crate::vault::Vault;
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
    vault: Arc<Vault>,
    slices: std::vec::IntoIter<Slice>,
    /// Kept while it is read: the files of a dropped keyspace go with its last handle.
    current: Option<Slice>,
    transfer: TransferId,
    classes: Classes,
    first: Position,
    last: Position,
    vitals: Run,
    waveforms: Run,
}

/// One class in one slice, with the next row at hand.
struct Run {
    class: Class,
    rows: Option<fjall::Iter>,
    next: Option<(Position, Bytes)>,
    /// What was given lies below this.
    from: Position,
}

/// Why there is no next row.
struct Unread(fjall::Error);

impl Run {
    fn new(class: Class) -> Self {
        Self {
            class,
            rows: None,
            next: None,
            from: Position(0),
        }
    }

    /// The position of the next row; reads it if need be.
    fn peek(&mut self) -> Result<Option<Position>, Unread> {
        if self.next.is_none() {
            let Some(row) = self.rows.as_mut().and_then(Iterator::next) else {
                self.rows = None;
                return Ok(None);
            };
            let (key, value) = row.into_inner().map_err(Unread)?;
            self.next = Some((keys::position(&key), value));
        }
        Ok(self.next.as_ref().map(|(position, _)| *position))
    }

    fn take(&mut self, transfer: &TransferId, vault: &Vault) -> Option<Result<Stored, ReadError>> {
        let (position, value) = self.next.take()?;
        self.from = Position(position.0.saturating_add(1));
        let key = keys::numbered(transfer, position.0);
        let place = keys::place(self.class, &key);
        let stored = vault.opened(place, position, value).map(|value| Stored {
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
    /// What `slices` have above the first of two positions, through the second, and
    /// none that is deleted.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        spaces: &Spaces,
        view: &fjall::Snapshot,
        slices: Vec<Slice>,
        (transfer, classes): (&TransferId, Classes),
        (after, through): (Position, Position),
    ) -> Self {
        let after = after.max(spaces.gone.through(transfer));
        let rows = Rows {
            view: view.clone(),
            vault: Arc::clone(&spaces.vault),
            slices: slices.into_iter(),
            current: None,
            transfer: transfer.clone(),
            classes,
            first: Position(after.0.saturating_add(1)),
            last: through,
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
        self.current = Some(slice);
        let first = self.first;
        for class in Class::ALL {
            let rows = self.space(class).map(|space| self.rows(space, first));
            let run = self.run(class);
            (run.rows, run.from) = (rows, run.from.max(first));
        }
        true
    }

    fn run(&mut self, class: Class) -> &mut Run {
        match class {
            Class::Vitals => &mut self.vitals,
            Class::Waveforms => &mut self.waveforms,
        }
    }

    /// The keyspace of a class in the slice that is read now, if it is wanted.
    fn space(&self, class: Class) -> Option<&Keyspace> {
        let slice = self
            .current
            .as_ref()
            .filter(|_| self.classes.holds(class))?;
        match class {
            Class::Vitals => slice.vitals.as_ref(),
            Class::Waveforms => slice.waveforms.as_ref(),
        }
    }

    fn rows(&self, space: &Keyspace, from: Position) -> fjall::Iter {
        let key = |position: Position| keys::numbered(&self.transfer, position.0);
        // What is beyond the end is an empty range, not a wrong one.
        self.view
            .range(space, key(from.min(self.last))..=key(self.last))
    }

    fn advance(&mut self) -> Result<Option<Result<Stored, ReadError>>, ReadError> {
        loop {
            let next = match self.vitals.peek() {
                Ok(vitals) => match self.waveforms.peek() {
                    Ok(waveforms) => (vitals, waveforms),
                    Err(unread) => return self.pass(Class::Waveforms, &unread).map(Some),
                },
                Err(unread) => return self.pass(Class::Vitals, &unread).map(Some),
            };
            let lower = match next {
                (None, None) if self.turn() => continue,
                (None, None) => return Ok(None),
                (Some(vitals), Some(waveforms)) if waveforms < vitals => &mut self.waveforms,
                (Some(_), _) => &mut self.vitals,
                (None, Some(_)) => &mut self.waveforms,
            };
            return Ok(lower.take(&self.transfer, &self.vault));
        }
    }

    /// Goes on behind what cannot be read; what to say of it.
    fn pass(
        &mut self,
        class: Class,
        unread: &Unread,
    ) -> Result<Result<Stored, ReadError>, ReadError> {
        let what = || describe(&unread.0);
        let Some(space) = self.space(class).cloned() else {
            return Err(ReadError::Store(what().into()));
        };
        let first = self.run(class).from;
        let behind = self.readable_behind(&space, first);
        let rows = (behind <= self.last).then(|| self.rows(&space, behind));
        let run = self.run(class);
        (run.rows, run.from) = (rows, behind);
        Ok(Err(ReadError::Record {
            position: first,
            through: Position(behind.0.saturating_sub(1)),
            what: what().into(),
        }))
    }

    /// The first position behind `unread` from which rows read: in steps that grow,
    /// then by halves. Behind the last one there is nothing to read.
    fn readable_behind(&self, space: &Keyspace, unread: Position) -> Position {
        let reads = |position: u64| {
            position > self.last.0
                || self
                    .rows(space, Position(position))
                    .next()
                    .is_none_or(|row| row.into_inner().is_ok())
        };
        let end = self.last.0.saturating_add(1);
        let (mut low, mut step) = (unread.0, 1u64);
        let mut high = low.saturating_add(step).min(end);
        while !reads(high) {
            low = high;
            step = step.saturating_mul(2);
            high = high.saturating_add(step).min(end);
        }
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            if reads(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Position(high)
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
