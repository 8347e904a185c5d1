//! Many transfers' records in the journal's order.
//!
//! A heap of scans, each with its next record at hand: memory is one record and
//! two open blocks per transfer, whatever lies behind them.

use crate::error::ReadError;
use crate::journal::Shared;
use crate::record::Stored;
use crate::scan::Scan;
use enroute_model::ids::Position;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

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
