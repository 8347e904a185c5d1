//! Snapshots of engines: the last one of each transfer, from which a restart and the
//! waking of a sleeper go on, and *checkpoints*, which stay, so that a replay can begin
//! at each of them.

use crate::core::{Core, CoreError};
use crate::deletion::Extent;
use crate::engines::Slot;
use crate::guard::guard;
use enroute_alert::book::Books;
use enroute_engine::Engine;
use enroute_journal::{ReadError, Reader, Snapshot};
use enroute_model::ids::{Position, TransferId};
use enroute_model::notes::CrewEntry;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// Format of the envelope around an engine's snapshot.
const SNAPSHOT_FORMAT: u32 = 2;
/// Engine time between two snapshots of a transfer that stay, so that a replay can
/// begin at each of them.
const CHECKPOINT_EVERY: Span = Span::from_secs(15 * 60);

/// When a snapshot is due.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) records: u64,
    pub(crate) every: Span,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    format: u32,
    pub(crate) at: EngineTime,
    pub(crate) aliases: Vec<TransferId>,
    pub(crate) notes: Vec<CrewEntry>,
    pub(crate) extent: Extent,
    pub(crate) engine: Vec<u8>,
}

impl Envelope {
    /// `None`, and a line in the log: it does not read.
    fn read(snapshot: &Snapshot) -> Option<(Position, Self)> {
        let envelope = postcard::from_bytes::<Self>(&snapshot.bytes).ok();
        let envelope = envelope.filter(|envelope| envelope.format == SNAPSHOT_FORMAT);
        if envelope.is_none() {
            let transfer = &snapshot.transfer;
            tracing::warn!(%transfer, "snapshot of another format, all records run again");
        }
        Some((snapshot.position, envelope?))
    }

    /// `None`, and a line in the log: it cannot be used.
    fn engine(&self, books: &Books, transfer: &TransferId) -> Option<Engine> {
        Engine::restore_with(&self.engine, books)
            .inspect_err(|error| {
                tracing::warn!(%transfer, %error, "snapshot unusable, all records run again");
            })
            .ok()
    }

    /// With its engine, which was restored of it.
    pub(crate) fn slot(&self, engine: Engine, position: Position) -> Slot {
        let mut slot = Slot::new(engine, position, self.at);
        slot.notes.clone_from(&self.notes);
        slot.extent = self.extent;
        slot
    }
}

/// What the last snapshot of a transfer holds, if it is not beyond `through`.
fn envelope_of(
    reader: &Reader,
    transfer: &TransferId,
    through: Position,
) -> Result<Option<(Position, Envelope)>, ReadError> {
    let snapshot = match reader.snapshot(transfer) {
        Ok(Some(snapshot)) if snapshot.position <= through => snapshot,
        Ok(_) => return Ok(None),
        Err(ReadError::Record { what, .. }) => {
            tracing::warn!(%transfer, %what, "snapshot unusable, all records run again");
            return Ok(None);
        }
        Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => return Err(error),
    };
    Ok(Envelope::read(&snapshot))
}

/// The same with its engine, if that can be restored.
pub(crate) fn snapshot_of(
    reader: &Reader,
    books: &Books,
    transfer: &TransferId,
    through: Position,
) -> Result<Option<(Position, Envelope, Engine)>, ReadError> {
    let found = envelope_of(reader, transfer, through)?;
    Ok(found.and_then(|(position, envelope)| {
        let engine = envelope.engine(books, transfer)?;
        Some((position, envelope, engine))
    }))
}

/// The newest checkpoint from `by` or before, if it can be restored.
pub(crate) fn checkpoint_of(
    reader: &Reader,
    books: &Books,
    transfer: &TransferId,
    by: EngineTime,
) -> Result<Option<(Position, Envelope, Engine)>, ReadError> {
    let checkpoint = match reader.checkpoint(transfer, by) {
        Err(ReadError::Record { .. }) => return Ok(None),
        found => found?,
    };
    let found = checkpoint.as_ref().and_then(Envelope::read);
    Ok(found.and_then(|(position, envelope)| {
        let engine = envelope.engine(books, transfer)?;
        Some((position, envelope, engine))
    }))
}

impl Core {
    /// Writes a snapshot of a transfer if one is due.
    pub(crate) fn snapshot_if_due(
        &mut self,
        transfer: &TransferId,
        pace: Pace,
    ) -> Result<(), CoreError> {
        let now = self.now;
        let Some(slot) = self.engines.slots.get(transfer) else {
            return Ok(());
        };
        let due = slot.since_snapshot >= pace.records || now.since(slot.snapshot_at) >= pace.every;
        if due && slot.since_snapshot > 0 {
            self.snapshot(transfer)?;
        }
        Ok(())
    }

    /// Writes a snapshot of every transfer that has news.
    pub(crate) fn snapshot_all(&mut self) -> Result<(), CoreError> {
        let news = self
            .engines
            .slots
            .iter()
            .filter(|(_, slot)| slot.since_snapshot > 0);
        let transfers: Vec<_> = news.map(|(transfer, _)| transfer.clone()).collect();
        transfers
            .iter()
            .try_for_each(|transfer| self.snapshot(transfer))
    }

    pub(crate) fn snapshot(&mut self, transfer: &TransferId) -> Result<(), CoreError> {
        let mut aliases = self.engines.members(transfer);
        aliases.retain(|member| member != transfer);
        let at = self.now;
        let Some(slot) = self
            .engines
            .slots
            .get_mut(transfer)
            .filter(|slot| !slot.is_broken())
        else {
            return Ok(());
        };
        let Ok(engine) = guard(|| slot.engine.snapshot()) else {
            return Ok(());
        };
        let envelope = Envelope {
            format: SNAPSHOT_FORMAT,
            at,
            aliases,
            notes: slot.notes.clone(),
            extent: slot.extent,
            engine,
        };
        (slot.since_snapshot, slot.snapshot_at) = (0, at);
        let position = slot.last;
        // Only a value that does not know its own length fails to encode.
        let bytes = postcard::to_stdvec(&envelope).unwrap_or_default();
        self.store.side.put_snapshot(transfer, position, &bytes)?;
        if at.since(slot.checkpoint_at) >= CHECKPOINT_EVERY {
            slot.checkpoint_at = at;
            let side = &self.store.side;
            side.put_checkpoint((transfer, position), at, &bytes)?;
        }
        Ok(())
    }
}
