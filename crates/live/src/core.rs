//! Engines over a journal: restart, snapshots, poison.
//!
//! **Restart** is snapshots plus the merged tail in the journal's order, through
//! the same code as live records. A snapshot of a transfer lists its aliases.
//! Such an alias is covered: it is not loaded from a snapshot of its own (one
//! from before the join may lie there still), and its records are read from
//! where the covering snapshot ends.
//!
//! Why that is right although the snapshots are of different positions: a join
//! at position q is run again only when the joined transfer is not covered, that
//! is, when no snapshot from q or later contains it. Its target's snapshot is
//! then from before q as well (from q on it would list the joined one), or the
//! target is gone into a third one, of which the same holds. So both sides reach
//! q with exactly the records before q. Whether a short code resolves depends
//! only on the transfers' first positions below q, never on what is joined; and
//! a join refused the first time, because both were one already or for want of
//! room, is refused again, because neither ever changes back. An unusable
//! snapshot is as none: that transfer, and what it would have covered, run from
//! their own snapshots or from the start.
//!
//! **Poison** (I9): a record that does not decode, or whose handling panics, is
//! marked durably first; then every engine that it touched is built again, as in
//! a restart, with the mark in place of the record. If even the mark cannot be
//! handled the transfer stands still from there, shown as such; a snapshot is
//! never taken of it.

use crate::directory::Directory;
use crate::engines::{About, Engines, Panicked, Step};
use crate::options::Probe;
use crate::sleep;
use crate::snapshots::snapshot_of;
use bytes::Bytes;
use enroute_journal::{Class, Failure, Journal, ReadError, Reader, Side, Stored};
use enroute_model::ids::{Position, TransferId};
use enroute_model::record::{Entry, Record};
use enroute_model::state::Verdict;
use enroute_model::time::EngineTime;
use enroute_wire::frame::Refusal;
use enroute_wire::{Message, record, v1};
use std::collections::{BTreeMap, BTreeSet};

const ASLEEP: &str = "the transfer was closed, and is not loaded while nothing can be recorded";

/// What of the journal the core needs.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) reader: Reader,
    pub(crate) side: Side,
}

impl Store {
    pub(crate) fn of(journal: &Journal) -> Self {
        Self {
            reader: journal.reader(),
            side: journal.side(),
        }
    }
}

/// Why the core cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoreError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Journal(#[from] Failure),
}

/// Sees what each record of a run did.
type Each<'a> = &'a mut dyn FnMut(&mut Core, Vec<Step>) -> Result<(), CoreError>;

/// What becomes of those that went to sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleepers {
    Stay,
    Wake,
}

pub(crate) struct Core {
    pub(crate) engines: Engines,
    pub(crate) store: Store,
    /// Positions never to be handled again, and why.
    poisons: BTreeMap<Position, String>,
    /// Engine time through which every deadline has fired.
    pub(crate) now: EngineTime,
    /// Engine time through which a restart comes at the least: that of what is
    /// stored. Ticks are not, so a viewer must not be told of more.
    pub(crate) kept: EngineTime,
    /// Records marked since the start.
    pub(crate) poisoned: u64,
    /// The journal can neither be written nor read: what breaks stands still
    /// until everything is built again.
    pub(crate) forked: bool,
}

/// When a stored transition happened.
pub(crate) fn raised_at(transition: Bytes) -> Option<EngineTime> {
    let step = v1::AlertTransition::decode(transition).ok()?;
    Some(EngineTime(step.at_us))
}

/// A record for an engine.
pub(crate) fn decoded(stored: &Stored) -> Result<Entry, Refusal> {
    match stored.class {
        Class::Vitals => record::decode(&stored.payload),
        Class::Waveforms => record::decode_outline(&stored.payload),
    }
}

fn alerts_only(step: Step) -> Option<Step> {
    match step {
        Step::Effects {
            transfer,
            mut effects,
        } if !effects.alerts.is_empty() => {
            effects.changed.clear();
            Some(Step::Effects { transfer, effects })
        }
        Step::Effects { .. }
        | Step::Handled { .. }
        | Step::Joined { .. }
        | Step::Rebuilt { .. } => None,
    }
}

impl Core {
    /// The core of all transfers, before any record.
    pub(crate) fn open(store: Store, probe: Option<Probe>) -> Result<Self, CoreError> {
        let directory = Directory::of(&store.reader)?;
        let marks = store.reader.poisons()?.into_iter();
        let poisons = marks.map(|mark| (mark.position, mark.reason)).collect();
        Ok(Self {
            engines: Engines::new(directory, probe),
            store,
            poisons,
            now: EngineTime(i64::MIN),
            kept: EngineTime(i64::MIN),
            poisoned: 0,
            forked: false,
        })
    }

    /// Runs `members` through `through`: snapshots, then the records behind
    /// them. `each` sees what happened after every record.
    pub(crate) fn load(
        &mut self,
        members: &[TransferId],
        through: Position,
        each: Each<'_>,
    ) -> Result<(), CoreError> {
        let starts = self.restore(members, through, Sleepers::Wake)?;
        self.run(&starts, through, each)
    }

    /// Runs the records behind what was restored.
    fn run(
        &mut self,
        starts: &[(TransferId, Position)],
        through: Position,
        each: Each<'_>,
    ) -> Result<(), CoreError> {
        let store = self.store.clone();
        for stored in store.reader.merge(starts) {
            let stored = match stored {
                Ok(stored) if stored.position > through => break,
                Ok(stored) => stored,
                // One unreadable record is as good as one that was never there,
                // now and at every later start.
                Err(ReadError::Record {
                    position,
                    through,
                    what,
                }) => {
                    let (first, last) = (position.0, through.0);
                    tracing::error!(first, last, %what, "unreadable records skipped");
                    continue;
                }
                Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => {
                    return Err(error.into());
                }
            };
            let mut steps = Vec::new();
            self.take(&stored, &mut steps)?;
            each(self, steps)?;
        }
        Ok(())
    }

    /// Loads all transfers, and lets time come to where viewers know it to have
    /// come: ticks are not stored, but what they fired behind the last record is,
    /// and it must neither be taken back nor fire at another time.
    pub(crate) fn load_all(
        &mut self,
        members: &[TransferId],
        through: Position,
        sleepers: Sleepers,
        each: Each<'_>,
    ) -> Result<(), CoreError> {
        let starts = self.restore(members, through, sleepers)?;
        self.run(&starts, through, each)?;
        let mut until = self.now;
        for (transfer, slot) in &self.engines.slots {
            let behind = slot.engine.last_ordinal().saturating_add(1);
            for row in self.store.reader.derived(transfer, behind) {
                let (_, bytes) = row?;
                until = until.max(raised_at(bytes).unwrap_or(until));
            }
        }
        let mut steps = Vec::new();
        self.tick(until, &mut steps)?;
        self.kept = self.now;
        each(self, steps)
    }

    /// Restores what snapshots give, and leaves asleep whom it may; where to read on,
    /// for each member.
    fn restore(
        &mut self,
        members: &[TransferId],
        through: Position,
        sleepers: Sleepers,
    ) -> Result<Vec<(TransferId, Position)>, CoreError> {
        let mut starts: BTreeMap<TransferId, Position> = BTreeMap::new();
        let mut covered = Vec::new();
        let books = self.engines.directory.books.clone();
        let mut notes = match sleepers {
            Sleepers::Stay => sleep::notes(&self.store.reader, through)?,
            Sleepers::Wake => BTreeMap::new(),
        };
        for transfer in members {
            starts.insert(transfer.clone(), Position(0));
            let (position, at, aliases) = if let Some((position, note)) = notes.remove(transfer) {
                self.engines.asleep.insert(transfer.clone(), note.asleep());
                (position, note.at, note.aliases)
            } else {
                let found = snapshot_of(&self.store.reader, &books, transfer, through)?;
                let Some((position, envelope, engine)) = found else {
                    continue;
                };
                let slot = envelope.slot(engine, position);
                self.engines.insert(transfer, slot);
                (position, envelope.at, envelope.aliases)
            };
            self.now = self.now.max(at);
            starts.insert(transfer.clone(), position);
            covered.push((transfer.clone(), position, aliases));
        }
        // A covering snapshot may itself be covered by a later one: the widest wins.
        covered.sort_by_key(|(_, position, aliases)| (*position, aliases.len()));
        for (into, position, aliases) in covered {
            for alias in aliases {
                self.engines.remove(&alias);
                self.engines.asleep.remove(&alias);
                starts.insert(alias.clone(), position);
                self.engines.aliases.insert(alias, into.clone());
            }
        }
        Ok(starts.into_iter().collect())
    }

    /// Time has come to `at`: every engine's deadlines up to it fire.
    pub(crate) fn tick(&mut self, at: EngineTime, out: &mut Vec<Step>) -> Result<(), CoreError> {
        self.now = self.now.max(at);
        while let Err(panicked) = self.engines.fire(at, out) {
            // A deadline is no record that could be marked.
            self.stand_still(&panicked, out)?;
        }
        Ok(())
    }

    /// Handles one committed record.
    pub(crate) fn take(&mut self, stored: &Stored, out: &mut Vec<Step>) -> Result<(), CoreError> {
        self.tick(stored.at, out)?;
        self.kept = self.kept.max(stored.at);
        let record = self.decode(stored)?;
        if self.forked
            && self
                .engines
                .asleep
                .contains_key(self.engines.canonical(&record.transfer))
        {
            out.push(Step::Handled {
                transfer: self.engines.canonical(&record.transfer).clone(),
                verdict: Verdict::refused(ASLEEP),
                about: About::of(&record.entry),
            });
            return Ok(());
        }
        if !self.forked {
            self.rouse(&record)?;
        }
        let Err(panicked) = self.engines.apply(&record, out) else {
            self.measure(stored);
            return Ok(());
        };
        if matches!(record.entry, Entry::Poisoned { .. }) {
            return self.stand_still(&panicked, out);
        }
        self.mark(stored, &panicked.reason)?;
        self.rebuild(&panicked, stored.position, out)?;
        let (transfer, about) = (
            self.engines.canonical(&stored.transfer),
            About::of(&record.entry),
        );
        let verdict = Verdict::refused("handling it failed; it is marked as poisoned");
        out.push(Step::Handled {
            transfer: transfer.clone(),
            verdict,
            about,
        });
        Ok(())
    }

    fn decode(&mut self, stored: &Stored) -> Result<Record, CoreError> {
        let entry = if let Some(reason) = self.poisons.get(&stored.position) {
            let reason = reason.clone();
            Entry::Poisoned { reason }
        } else {
            match decoded(stored) {
                Ok(entry) => entry,
                Err(refusal) => {
                    let reason = format!("the record does not decode: {refusal}");
                    self.mark(stored, &reason)?;
                    Entry::Poisoned { reason }
                }
            }
        };
        Ok(Record {
            position: stored.position,
            at: stored.at,
            received_at: stored.received_at,
            transfer: stored.transfer.clone(),
            entry,
        })
    }

    fn mark(&mut self, stored: &Stored, reason: &str) -> Result<(), CoreError> {
        let (position, transfer) = (stored.position, &stored.transfer);
        if self.forked {
            tracing::error!(%transfer, reason, "a fork failed over a record");
            return Ok(());
        }
        tracing::error!(position = position.0, %transfer, reason, "record poisoned");
        self.store.side.put_poison(position, transfer, reason)?;
        self.poisons.insert(position, reason.to_owned());
        self.poisoned = self.poisoned.saturating_add(1);
        Ok(())
    }

    /// Builds what a panic touched again, through `through`.
    fn rebuild(
        &mut self,
        panicked: &Panicked,
        through: Position,
        out: &mut Vec<Step>,
    ) -> Result<(), CoreError> {
        if self.forked {
            for transfer in &panicked.touched {
                self.engines.set_broken(transfer, panicked.reason.clone());
            }
            return Ok(());
        }
        let members: BTreeSet<TransferId> = panicked
            .touched
            .iter()
            .flat_map(|transfer| self.engines.members(transfer))
            .collect();
        let members: Vec<_> = members.into_iter().collect();
        let rebuilt = self.load_apart(&members, through, &mut |_, steps| {
            // What was seen before is not news; alerts are told apart by ordinal.
            out.extend(steps.into_iter().filter_map(alerts_only));
            Ok(())
        })?;
        out.extend(
            rebuilt
                .into_iter()
                .map(|transfer| Step::Rebuilt { transfer }),
        );
        Ok(())
    }

    /// Loads these transfers through `through` in the place of what is here of them;
    /// gives those that have an engine then.
    pub(crate) fn load_apart(
        &mut self,
        members: &[TransferId],
        through: Position,
        each: Each<'_>,
    ) -> Result<Vec<TransferId>, CoreError> {
        for member in members {
            self.engines.remove(member);
            self.engines.asleep.remove(member);
            self.engines.aliases.remove(member);
        }
        // Lent, and taken back whatever comes of it.
        let directory = std::mem::take(&mut self.engines.directory);
        let mut apart = Self {
            engines: Engines::new(directory, self.engines.probe.clone()),
            store: self.store.clone(),
            poisons: std::mem::take(&mut self.poisons),
            now: self.now,
            kept: self.kept,
            poisoned: 0,
            forked: false,
        };
        let loaded = apart.load(members, through, each);
        self.engines.directory = apart.engines.directory;
        self.poisons = apart.poisons;
        self.poisoned = self.poisoned.saturating_add(apart.poisoned);
        loaded?;
        self.engines.aliases.extend(apart.engines.aliases);
        let mut here = Vec::new();
        for (transfer, slot) in apart.engines.slots {
            self.engines.insert(&transfer, slot);
            here.push(transfer);
        }
        Ok(here)
    }

    /// Builds what a panic touched again, without what it cannot handle, and
    /// leaves it there.
    fn stand_still(&mut self, panicked: &Panicked, out: &mut Vec<Step>) -> Result<(), CoreError> {
        let slots = panicked
            .touched
            .iter()
            .filter_map(|transfer| self.engines.slots.get(transfer));
        let last = slots.map(|slot| slot.last).max().unwrap_or_default();
        self.rebuild(panicked, last, out)?;
        for transfer in &panicked.touched {
            tracing::error!(%transfer, reason = panicked.reason, "transfer stands still");
            self.engines.set_broken(transfer, panicked.reason.clone());
        }
        Ok(())
    }
}
