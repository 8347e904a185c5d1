//! Engines that are not needed leave memory and come back (I9).
//!
//! A closed transfer that nothing can change but a new record, because no deadline
//! of its engine is left, *goes to sleep* after an hour without one: a last
//! snapshot is written, then a note that says so, and the engine goes. What remains
//! in memory is its ids and the number of its last alert transition, some 400 bytes.
//! The first record for it loads it again from that snapshot, or from its records
//! should that be unusable, before it is handled; so it is as if it had never left.
//! Who only looks (its state, a list, the first picture of a subscription) is given
//! what the snapshot holds; its history is the journal's.
//!
//! A restart reads the notes and leaves those asleep who have one. The note is taken
//! back when the engine wakes, before any later snapshot; a record behind the note
//! wakes it in the restart as it did before.

use crate::core::{Core, CoreError};
use crate::deletion::{Asleep, Extent};
use crate::engines::Slot;
use crate::shard::{Shard, Told};
use enroute_alert::book::Books;
use enroute_engine::ENGINE_VERSION;
use enroute_journal::{ReadError, Reader};
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::{GatewayId, Position, TransferId};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::RegistryAction;
use enroute_model::state::{Phase, TransferState};
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often it is looked for engines that may sleep.
const EVERY: Span = Span::from_secs(5);
/// Engines that go to sleep at a time: a snapshot each, while nothing else is done.
const AT_ONCE: usize = 64;
/// Format of a note.
const NOTE_FORMAT: u32 = 2;

/// What a restart knows of a sleeper without its snapshot.
#[derive(Serialize, Deserialize)]
pub(crate) struct Note {
    format: u32,
    /// Another version runs all records again, as without a snapshot.
    engine: u32,
    pub(crate) at: EngineTime,
    pub(crate) aliases: Vec<TransferId>,
    /// What viewers had been told of its alerts.
    told: Told,
    extent: Extent,
}

impl Note {
    pub(crate) fn asleep(&self) -> Asleep {
        Asleep {
            told: self.told,
            extent: self.extent,
        }
    }
}

/// Who sleeps, each since the record at its position; none beyond `through`.
pub(crate) fn notes(
    reader: &Reader,
    through: Position,
) -> Result<BTreeMap<TransferId, (Position, Note)>, ReadError> {
    let mut notes = BTreeMap::new();
    for row in reader.sleepers() {
        let row = match row {
            Ok(row) => row,
            Err(ReadError::Record { what, .. }) => {
                tracing::warn!(%what, "the note of a closed transfer is damaged, it is loaded");
                continue;
            }
            Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => return Err(error),
        };
        let note = postcard::from_bytes::<Note>(&row.bytes).ok();
        let note = note.filter(|note| {
            (note.format, note.engine) == (NOTE_FORMAT, ENGINE_VERSION) && row.position <= through
        });
        notes.extend(note.map(|note| (row.transfer, (row.position, note))));
    }
    Ok(notes)
}

/// What a sleeper holds, without waking it; `None` when only its records say.
pub(crate) fn asleep(reader: &Reader, books: &Books, transfer: &TransferId) -> Option<Slot> {
    let found = crate::snapshots::snapshot_of(reader, books, transfer, Position(u64::MAX));
    let found = found.unwrap_or_else(|error| {
        tracing::error!(%transfer, %error, "a closed transfer's snapshot is not read");
        None
    });
    found.map(|(position, envelope, engine)| envelope.slot(engine, position))
}

impl Slot {
    /// Nothing but a record can change it, and none came for so long.
    fn may_sleep(&self, now: EngineTime, after: Span) -> bool {
        !self.is_broken()
            && self.is_idle()
            && now.since(self.heard_at) >= after
            && matches!(self.engine.phase(), Phase::Closed { .. })
    }
}

impl Core {
    /// Loads what a record is about, if it sleeps.
    pub(crate) fn rouse(&mut self, record: &Record) -> Result<(), CoreError> {
        let transfer = self.engines.canonical(&record.transfer).clone();
        self.wake(&transfer, record.position)?;
        // Who is to be joined must be there to take it.
        let target = match &record.entry {
            Entry::Registry {
                action: RegistryAction::JoinInto(target),
                ..
            } => Some(target.clone()),
            Entry::Frame { frame, .. } => match &frame.body {
                Body::Crew(CrewEvent::Join { short_code }) => {
                    let found = self.engines.directory.by_code(short_code, record.position);
                    found.ok()
                }
                Body::Crew(_)
                | Body::Numerics(_)
                | Body::Waveforms(_)
                | Body::DeviceAlarms(_)
                | Body::Position(_)
                | Body::Link(_)
                | Body::Shed(_)
                | Body::Unknown => None,
            },
            Entry::Registry { .. }
            | Entry::Presence { .. }
            | Entry::Rejected { .. }
            | Entry::Poisoned { .. }
            | Entry::RuleBook { .. }
            | Entry::Unrecorded(_) => None,
        };
        let Some(target) = target else { return Ok(()) };
        let target = self.engines.canonical(&target).clone();
        self.wake(&target, record.position)
    }

    /// As it was before the record at `before`.
    fn wake(&mut self, transfer: &TransferId, before: Position) -> Result<(), CoreError> {
        if self.engines.asleep.remove(transfer).is_none() {
            return Ok(());
        }
        self.store.side.remove_sleeper(transfer)?;
        let members = self.engines.members(transfer);
        let through = Position(before.0.saturating_sub(1));
        self.load_apart(&members, through, &mut |_, _| Ok(()))?;
        if let Some(slot) = self.engines.slots.get_mut(transfer) {
            slot.heard_at = self.now;
        }
        Ok(())
    }
}

impl Core {
    /// From here on a transfer is on disk only, if that is possible.
    fn send_to_sleep(&mut self, transfer: &TransferId, told: Told) -> Result<(), CoreError> {
        self.snapshot(transfer)?;
        let Some(slot) = self.engines.slots.get(transfer) else {
            return Ok(());
        };
        // The engine could not be written.
        if slot.since_snapshot > 0 {
            return Ok(());
        }
        let mut aliases = self.engines.members(transfer);
        aliases.retain(|member| member != transfer);
        let note = Note {
            format: NOTE_FORMAT,
            engine: ENGINE_VERSION,
            at: self.now,
            aliases,
            told,
            extent: slot.extent,
        };
        // Only a value that does not know its own length fails to encode.
        let bytes = postcard::to_stdvec(&note).unwrap_or_default();
        self.store.side.put_sleeper(transfer, slot.last, &bytes)?;
        self.engines.remove(transfer);
        self.engines.asleep.insert(transfer.clone(), note.asleep());
        Ok(())
    }
}

impl Shard {
    /// Sends engines to sleep that may, and says who is here.
    pub(crate) fn sweep(&mut self) -> Result<(), CoreError> {
        let now = self.core.now;
        if now.since(self.swept_at) < EVERY || self.is_forked() {
            return Ok(());
        }
        self.swept_at = now;
        let after = if self.admission().is_full() {
            Span::ZERO
        } else {
            self.options.sleep_after
        };
        let slots = self.core.engines.slots.iter();
        let may = slots.filter(|(_, slot)| slot.may_sleep(now, after));
        let may: Vec<_> = may.map(|(id, _)| id.clone()).take(AT_ONCE).collect();
        for transfer in may {
            let told = self.told.get(&transfer).copied().unwrap_or_default();
            self.core.send_to_sleep(&transfer, told)?;
        }
        self.forget_old_commands();
        self.say_who_is_here();
        Ok(())
    }

    /// Tells those who let transfers in.
    pub(crate) fn say_who_is_here(&self) {
        let engines = &self.core.engines;
        let joined = engines.aliases.iter();
        let joined = joined.filter(|(_, into)| engines.slots.contains_key(*into));
        let here = engines.slots.keys().chain(joined.map(|(alias, _)| alias));
        let mut by_gateway: BTreeMap<GatewayId, usize> = BTreeMap::new();
        let slots = engines.slots.values();
        for slot in slots.filter(|slot| slot.engine.phase() == Phase::Open) {
            for gateway in slot.engine.gateways() {
                *by_gateway.entry(gateway.clone()).or_default() += 1;
            }
        }
        self.admission().sync(here, by_gateway, self.core.now);
    }

    pub(crate) fn admission(&self) -> &crate::admission::Admission {
        &self.common.admission
    }

    /// A transfer as it stands, in memory or asleep.
    pub(crate) fn state_by_id(&self, transfer: &TransferId) -> Option<TransferState> {
        let engines = &self.core.engines;
        if let Some(slot) = engines.slots.get(transfer) {
            return Some(self.state_of(slot));
        }
        if !engines.asleep.contains_key(transfer) {
            return None;
        }
        let books = &engines.directory.books;
        let slot = asleep(&self.core.store.reader, books, transfer)?;
        Some(self.state_of(&slot))
    }
}
