//! The engines of one recording on their way through its records: pure. What
//! breaks an engine here leaves it standing still, as nothing is written.

use crate::directory::Directory;
use crate::engines::{Engines, Panicked, Slot, Step};
use enroute_engine::Engine;
use enroute_model::ids::{Position, TransferId};
use enroute_model::notes::CrewEntry;
use enroute_model::record::Record;
use enroute_model::time::EngineTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Engines in the middle of a recording.
pub(crate) struct Course {
    pub(crate) engines: Engines,
    /// Every deadline up to here has fired.
    pub(crate) now: EngineTime,
}

/// A course as bytes, to go on from.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) now: EngineTime,
    slots: Vec<SavedSlot>,
    aliases: BTreeMap<TransferId, TransferId>,
}

#[derive(Clone, Serialize, Deserialize)]
struct SavedSlot {
    transfer: TransferId,
    last: Position,
    notes: Vec<CrewEntry>,
    engine: Vec<u8>,
}

impl Course {
    /// Before the first record; `directory` has all transfers of the journal, as
    /// short codes are looked up in it.
    pub(crate) fn new(directory: Directory) -> Self {
        Self {
            engines: Engines::new(directory, None),
            now: EngineTime(i64::MIN),
        }
    }

    /// One record; deadlines before it fire first.
    pub(crate) fn take(&mut self, record: &Record, out: &mut Vec<Step>) {
        self.advance(record.at, out);
        if let Err(panicked) = self.engines.apply(record, out) {
            self.stand_still(&panicked);
        }
    }

    /// Time comes to `at`.
    pub(crate) fn advance(&mut self, at: EngineTime, out: &mut Vec<Step>) {
        self.now = self.now.max(at);
        while let Err(panicked) = self.engines.fire(at, out) {
            self.stand_still(&panicked);
        }
    }

    /// When the next deadline fires.
    pub(crate) fn next_deadline(&self) -> Option<EngineTime> {
        self.engines.next_deadline()
    }

    fn stand_still(&mut self, panicked: &Panicked) {
        for transfer in &panicked.touched {
            tracing::error!(%transfer, reason = panicked.reason, "a replay stands still");
            self.engines.set_broken(transfer, panicked.reason.clone());
        }
    }

    /// The course as it is; `None`: an engine of it is broken.
    pub(crate) fn save(&self) -> Option<Saved> {
        let slots = self.engines.slots.iter();
        let slots: Option<Vec<_>> = slots
            .map(|(transfer, slot)| {
                (!slot.is_broken()).then(|| SavedSlot {
                    transfer: transfer.clone(),
                    last: slot.last,
                    notes: slot.notes.clone(),
                    engine: slot.engine.snapshot(),
                })
            })
            .collect();
        Some(Saved {
            now: self.now,
            slots: slots?,
            aliases: self.engines.aliases.clone(),
        })
    }

    /// The course that was saved; `None`: it does not read.
    pub(crate) fn restore(directory: Directory, saved: &Saved) -> Option<Self> {
        let mut course = Self::new(directory);
        course.now = saved.now;
        course.engines.aliases.clone_from(&saved.aliases);
        for one in &saved.slots {
            let books = &course.engines.directory.books;
            let engine = Engine::restore_with(&one.engine, books).ok()?;
            let mut slot = Slot::new(engine, one.last, saved.now);
            slot.notes.clone_from(&one.notes);
            course.engines.insert(&one.transfer, slot);
        }
        Some(course)
    }
}
