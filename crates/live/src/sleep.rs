//! Engines that are not needed leave memory and come back (I9).
//!
//! A closed transfer that nothing can change but a new record, because no deadline
//! of its engine is left, *goes to sleep* after an hour without one: a last
//! snapshot is written that says so, and the engine goes. What remains in memory is
//! its ids and the number of its last alert transition. The first record for it
//! loads it again from that snapshot, or from its records should that be unusable,
//! before it is handled; so it is as if it had never left. Who only looks (its
//! state, a list, the first picture of a subscription) is given what the snapshot
//! holds; its history is the journal's. A restart leaves sleepers where they are.

use crate::core::{Core, CoreError};
use crate::engines::Slot;
use crate::shard::Shard;
use enroute_alert::book::Books;
use enroute_journal::Reader;
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::{Position, TransferId};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::RegistryAction;
use enroute_model::state::{Phase, TransferState};
use enroute_model::time::{EngineTime, Span};

/// How often it is looked for engines that may sleep.
const EVERY: Span = Span::from_secs(5);
/// Engines that go to sleep at a time: a snapshot each, while nothing else is done.
const AT_ONCE: usize = 64;

/// What a sleeper holds, without waking it; `None` when only its records say.
pub(crate) fn asleep(reader: &Reader, books: &Books, transfer: &TransferId) -> Option<Slot> {
    crate::core::last_known(reader, books, transfer).unwrap_or_else(|error| {
        tracing::error!(%transfer, %error, "a closed transfer's snapshot is not read");
        None
    })
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
        let members = self.engines.members(transfer);
        let through = Position(before.0.saturating_sub(1));
        self.load_apart(&members, through, &mut |_, _| Ok(()))?;
        if let Some(slot) = self.engines.slots.get_mut(transfer) {
            slot.heard_at = self.now;
        }
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
            self.core.snapshot(&transfer, Some(told))?;
            self.core.engines.remove(&transfer);
            self.core.engines.asleep.insert(transfer, told);
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
        self.admission().sync(here, self.core.now);
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
