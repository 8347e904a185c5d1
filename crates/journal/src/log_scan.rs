//! Reading one stream and epoch of a log, slice by slice.

use crate::error::ReadError;
use crate::vault::Vault;
use crate::{keys, log_slices};
use bytes::Bytes;
use fjall::{Keyspace, Readable};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Iterator of [`crate::Log::scan`]: sequence and frame.
pub struct LogScan {
    view: fjall::Snapshot,
    vault: Arc<Vault>,
    spaces: std::vec::IntoIter<Keyspace>,
    range: RangeInclusive<[u8; 8]>,
    rows: Option<fjall::Iter>,
    ended: bool,
}

impl LogScan {
    pub(crate) fn new(
        view: fjall::Snapshot,
        vault: Arc<Vault>,
        spaces: Vec<Keyspace>,
        range: &RangeInclusive<u64>,
    ) -> Self {
        Self {
            view,
            vault,
            spaces: spaces.into_iter(),
            range: range.start().to_be_bytes()..=range.end().to_be_bytes(),
            rows: None,
            ended: range.is_empty(),
        }
    }

    fn advance(&mut self) -> Result<Option<(u64, Bytes)>, ReadError> {
        loop {
            if let Some(row) = self.rows.as_mut().and_then(Iterator::next) {
                let (key, value) = row.into_inner()?;
                let sequence = keys::position(&key);
                let place = log_slices::place(&key);
                let value = self.vault.opened(place, sequence, value)?;
                return Ok(Some((sequence.0, value.payload)));
            }
            let Some(space) = self.spaces.next() else {
                return Ok(None);
            };
            self.rows = Some(self.view.range(&space, self.range.clone()));
        }
    }
}

impl Iterator for LogScan {
    type Item = Result<(u64, Bytes), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance();
        self.ended = matches!(next, Ok(None) | Err(ReadError::Store(_)));
        next.transpose()
    }
}

impl std::fmt::Debug for LogScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogScan").finish_non_exhaustive()
    }
}
