//! Reads records that lie nearly in order: what was read past is kept for a while.

use crate::replay::source::Recorded;
use enroute_journal::{Merge, ReadError, Stored};
use enroute_model::ids::Position;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Records read past on the way to the one that was wanted; more, and it is read from
/// anew.
const PAST_MAX: usize = 256;
/// Of those, so many are kept.
const KEPT_MAX: usize = 1_024;

#[derive(Default)]
pub(crate) struct Shelf {
    rows: Option<Merge>,
    /// The last position that the rows gave.
    at: Position,
    kept: BTreeMap<Position, Stored>,
}

impl Shelf {
    /// The record at `position`; `None`: it does not read.
    pub(crate) fn read(
        &mut self,
        recorded: &Recorded,
        position: Position,
    ) -> Result<Option<Stored>, ReadError> {
        if let Some(stored) = self.kept.remove(&position) {
            return Ok(Some(stored));
        }
        if self.rows.is_some() && self.at < position {
            for _ in 0..PAST_MAX {
                if let ControlFlow::Break(found) = self.step(position)? {
                    return Ok(found);
                }
            }
        }
        self.at = Position(position.0.saturating_sub(1));
        self.rows = Some(recorded.merge(self.at));
        loop {
            if let ControlFlow::Break(found) = self.step(position)? {
                return Ok(found);
            }
        }
    }

    /// Takes the next row: it is the wanted one, or behind it, or goes on the shelf.
    fn step(&mut self, wanted: Position) -> Result<ControlFlow<Option<Stored>>, ReadError> {
        match self.rows.as_mut().and_then(Iterator::next) {
            None => {
                self.rows = None;
                return Ok(ControlFlow::Break(None));
            }
            Some(Ok(stored)) => {
                self.at = stored.position;
                if stored.position == wanted {
                    return Ok(ControlFlow::Break(Some(stored)));
                }
                self.kept.insert(stored.position, stored);
                if self.kept.len() > KEPT_MAX {
                    self.kept.pop_first();
                }
            }
            Some(Err(ReadError::Record { position, .. })) => self.at = self.at.max(position),
            Some(Err(error)) => return Err(error),
        }
        Ok(if self.at > wanted {
            ControlFlow::Break(None)
        } else {
            ControlFlow::Continue(())
        })
    }
}
