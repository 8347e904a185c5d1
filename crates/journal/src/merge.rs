//! Many transfers' records in the journal's order.
//!
//! A heap of scans, each with its next record at hand: memory is one record and
//! two open blocks per transfer, whatever lies behind them.
//!
//! A transfer lies in few of a journal's slices, so looking for each one in each
//! slice would cost their product. [`Holders`] asks each slice once whom it holds.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::keys;
use crate::record::Stored;
use crate::scan::Scan;
use crate::slices::Slice;
use enroute_model::ids::{Position, TransferId};
use fjall::{Keyspace, Readable};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;

/// Which slices hold records of which transfers.
#[derive(Default)]
pub(crate) struct Holders {
    by_prefix: BTreeMap<Vec<u8>, Vec<Slice>>,
}

impl Holders {
    /// Of all slices; one step for each transfer in each.
    pub(crate) fn of(view: &fjall::Snapshot, slices: Vec<Slice>) -> fjall::Result<Self> {
        let mut holders = Self::default();
        for slice in slices {
            let spaces = [slice.vitals.clone(), slice.waveforms.clone()];
            for space in spaces.into_iter().flatten() {
                holders.add(view, &space, &slice)?;
            }
        }
        Ok(holders)
    }

    fn add(
        &mut self,
        view: &fjall::Snapshot,
        space: &Keyspace,
        slice: &Slice,
    ) -> fjall::Result<()> {
        let mut from = Bound::Unbounded;
        while let Some(row) = view.range(space, (from, Bound::Unbounded)).next() {
            let key = row.key()?;
            let prefix = keys::prefix_of(&key);
            let slices = self.by_prefix.entry(prefix.to_vec()).or_default();
            if !slices.last().is_some_and(|last| last.is(slice)) {
                slices.push(slice.clone());
            }
            from = Bound::Excluded([prefix, &[u8::MAX; 8]].concat());
        }
        Ok(())
    }

    /// Those of one transfer, oldest first.
    pub(crate) fn slices(&mut self, transfer: &TransferId) -> Vec<Slice> {
        let slices = self.by_prefix.remove(&keys::prefix(transfer));
        slices.unwrap_or_default()
    }
}

/// Iterator of [`crate::Reader::merge`].
#[derive(Debug)]
pub struct Merge {
    scans: Vec<(Scan, Option<Result<Stored, ReadError>>)>,
    heap: BinaryHeap<Reverse<(Position, usize)>>,
    ended: bool,
}

impl Merge {
    /// One that says why there is nothing to read.
    pub(crate) fn failed(shared: &Arc<Shared>) -> Self {
        Self::new(std::iter::once(Scan::failed(shared)))
    }

    pub(crate) fn new(scans: impl Iterator<Item = Scan>) -> Self {
        let mut merge = Self {
            scans: scans.map(|scan| (scan, None)).collect(),
            heap: BinaryHeap::new(),
            ended: false,
        };
        for index in 0..merge.scans.len() {
            merge.refill(index);
        }
        merge
    }

    fn refill(&mut self, index: usize) {
        let Some((scan, head)) = self.scans.get_mut(index) else {
            return;
        };
        *head = scan.next();
        let position = match head {
            None => return,
            Some(Ok(stored)) => stored.position,
            Some(Err(ReadError::Record { position, .. })) => *position,
            // Comes first and ends everything.
            Some(Err(ReadError::Store(_) | ReadError::Failed(_))) => Position(0),
        };
        self.heap.push(Reverse((position, index)));
    }
}

impl Iterator for Merge {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let Reverse((_, index)) = self.heap.pop()?;
        let next = self.scans.get_mut(index)?.1.take();
        self.ended = matches!(next, Some(Err(ReadError::Store(_) | ReadError::Failed(_))));
        self.refill(index);
        next
    }
}
