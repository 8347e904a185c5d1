//! What deleting does to data keys.
//!
//! ```text
//!  what lies behind the deletion gets another key ─► the deletion, synced, with it sealed anew
//!      ─► the old keys are overwritten ─► what they sealed opens nowhere, whatever the disk keeps
//! ```
//!
//! A crash before the last step leaves keys of which nothing is needed any more; they are
//! found and destroyed when the store is opened.

use crate::error::{Failure, OpenError};
use crate::head::{self, CLEAR};
use crate::keys;
use crate::record::Class;
use crate::spaces::Spaces;
use crate::store::{describe, shared};
use crate::vault::Sealing;
use enroute_model::ids::{Position, TransferId};
use fjall::{Keyspace, OwnedWriteBatch};

impl Spaces {
    /// Seals anew into `batch` what `transfers` have behind `through`, which is next to
    /// nothing, and gives the keys that nothing will need once it is committed.
    pub(crate) fn keep_behind(
        &self,
        sealing: &Sealing<'_>,
        batch: &mut OwnedWriteBatch,
        transfers: &[TransferId],
        through: Position,
    ) -> Result<Vec<u32>, Failure> {
        let Some(ring) = self.vault.ring() else {
            return Ok(Vec::new());
        };
        let names = transfers.iter().map(TransferId::as_str);
        let shredded = names.flat_map(|name| ring.all(name)).collect();
        for transfer in transfers {
            let rows: Vec<_> = self.behind(transfer, through).collect();
            if rows.is_empty() {
                continue;
            }
            sealing.renew(&[transfer.as_str()])?;
            for (class, space, guard) in rows {
                let (key, value) =
                    { guard.into_inner() }.map_err(|error| Failure::new(&describe(&error)))?;
                let place = keys::place(class, &key);
                let position = keys::position(&key);
                let Ok(value) = self.vault.opened(place, position, value) else {
                    continue;
                };
                let times = (value.at, value.received_at);
                let value = sealing.seal(transfer.as_str(), place, times, &value.payload)?;
                batch.insert(&space, key, value);
            }
        }
        Ok(shredded)
    }

    /// The records of `transfer` above `through`.
    fn behind(
        &self,
        transfer: &TransferId,
        through: Position,
    ) -> impl Iterator<Item = (Class, Keyspace, fjall::Guard)> {
        let first = keys::numbered(transfer, through.0.saturating_add(1));
        let range = first..=keys::numbered(transfer, u64::MAX);
        let spaces = self.slices.list().into_iter().flat_map(|slice| {
            [
                (Class::Vitals, slice.vitals),
                (Class::Waveforms, slice.waveforms),
            ]
        });
        let spaces = spaces.filter_map(|(class, space)| Some((class, space?)));
        spaces.flat_map(move |(class, space)| {
            let rows = space.range(range.clone());
            rows.map(move |guard| (class, space.clone(), guard))
        })
    }

    /// Destroys the keys of what was deleted when a crash came before that.
    pub(crate) fn finish_shredding(&self) -> Result<(), OpenError> {
        let Some(ring) = self.vault.ring() else {
            return Ok(());
        };
        let mut left = Vec::new();
        for name in ring.names() {
            let transfer = TransferId::new(&name).ok();
            let Some(transfer) = transfer.filter(|transfer| self.gone.has(transfer)) else {
                continue;
            };
            let needed = self.first_key_behind(&transfer);
            let all = ring.all(&name);
            left.extend(
                all.into_iter()
                    .filter(|id| needed.is_none_or(|needed| *id < needed)),
            );
        }
        Ok(ring.destroy(&left)?)
    }

    /// The lowest key that seals what was not deleted: numbers only grow.
    fn first_key_behind(&self, transfer: &TransferId) -> Option<u32> {
        let rows = self.behind(transfer, self.gone.through(transfer));
        let keys = rows.filter_map(|(_, _, guard)| {
            let value = shared(guard.value().ok()?);
            let whole = head::whole(&value).ok()?;
            Some(whole.key).filter(|key| *key != CLEAR)
        });
        keys.min()
    }
}
