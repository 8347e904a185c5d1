//! What a log writes, sealed where there are keys.

use crate::error::Failure;
use crate::log::{Log, LogAppend, State, USER_PREFIX, stored_bytes};
use crate::log_slices::{self, Change};
use crate::store;
use crate::vault::{OWN, Place};
use fjall::{OwnedWriteBatch, PersistMode};

impl Log {
    pub(crate) fn put(
        &self,
        state: &mut State,
        frames: &[LogAppend],
        batch: &mut OwnedWriteBatch,
        change: &mut Change,
    ) -> Result<(), Failure> {
        for frame in frames {
            let placed = state.notes.place(&self.inner.store.db, frame, change);
            let (id, space) = placed.map_err(|error| state.fail(&store::describe(&error)))?;
            let key = frame.sequence.to_be_bytes();
            let name = log_slices::name(id);
            let place = log_slices::place(&key);
            let value = self
                .inner
                .vault
                .sealing()
                .seal_plain(&name, place, &frame.payload);
            let value = value.map_err(|failure| state.fail(&failure.reason()))?;
            change.added(stored_bytes(value.len()));
            batch.insert(&space, key, value);
        }
        Ok(())
    }

    pub(crate) fn put_user(
        &self,
        state: &mut State,
        batch: &mut OwnedWriteBatch,
        key: &str,
        value: &[u8],
    ) -> Result<(), Failure> {
        let key = format!("{USER_PREFIX}{key}");
        let sealing = self.inner.vault.sealing();
        let value = sealing.seal_plain(OWN, place_of_note(&key), value);
        let value = value.map_err(|failure| state.fail(&failure.reason()))?;
        batch.insert(&self.inner.store.meta, key, value);
        Ok(())
    }

    pub(crate) fn commit(&self, state: &mut State, batch: OwnedWriteBatch) -> Result<(), Failure> {
        let sealing = self.inner.vault.sealing();
        let disk = &state.disk;
        let committed = sealing.commit(batch, &self.inner.store.meta, |batch| disk.commit(batch));
        committed.map_err(|failure| state.fail(&failure.reason()))
    }

    pub(crate) fn commit_unsynced(
        &self,
        state: &mut State,
        batch: OwnedWriteBatch,
    ) -> Result<(), Failure> {
        let sealing = self.inner.vault.sealing();
        let committed = sealing.commit(batch, &self.inner.store.meta, |batch| {
            store::commit(batch, PersistMode::Buffer)
        });
        committed.map_err(|failure| state.fail(&failure.reason()))
    }
}

/// Where a `user/` value lies.
pub(crate) fn place_of_note(key: &str) -> Place<'_> {
    Place {
        space: "meta",
        key: key.as_bytes(),
    }
}
