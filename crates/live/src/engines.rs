//! All engines, the names they go by, and their deadlines: pure, no I/O.
//! [`Engines::apply`] is one record, [`Engines::fire`] is time; both say what
//! happened as [`Step`]s.

use crate::deletion::{Asleep, DELETED, Extent};
use crate::directory::Directory;
use crate::guard::guard;
use crate::live::LookupError;
use crate::options::Probe;
use enroute_engine::bounds::ALIASES_MAX;
use enroute_engine::{Effects, Engine, Request};
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::{GatewayId, ID_BYTES_MAX, Lane, Position, ShortCode, TransferId};
use enroute_model::notes::CrewEntry;
use enroute_model::record::{Entry, Record};
use enroute_model::registry::{RegistryAction, TransferInfo};
use enroute_model::state::{Phase, PoisonedRecord, RulesInForce, TransferState, Travel, Verdict};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Joins that could not be done, shown in the crew's log; the oldest go.
const NOTES_MAX: usize = 8;
/// Why nothing is done with a transfer that not even a poison mark gets past.
const STANDS_STILL: &str = "the transfer's engine stands still after an error";

/// One transfer.
pub(crate) struct Slot {
    pub(crate) engine: Engine,
    /// The last record that it handled, of whatever alias.
    pub(crate) last: Position,
    pub(crate) since_snapshot: u64,
    pub(crate) snapshot_at: EngineTime,
    /// When the last record came.
    pub(crate) heard_at: EngineTime,
    /// When the last frame came on the live lane, since it is in memory.
    pub(crate) live_at: EngineTime,
    pub(crate) extent: Extent,
    /// When the last snapshot was written that stays.
    pub(crate) checkpoint_at: EngineTime,
    deadline: Option<EngineTime>,
    /// Why joins were not done.
    pub(crate) notes: Vec<CrewEntry>,
    /// Not even the mark of a poisoned record can be handled: it stands still.
    broken: Option<String>,
}

/// What happened, in order.
pub(crate) enum Step {
    /// An engine spoke.
    Effects {
        transfer: TransferId,
        effects: Effects,
    },
    /// A record was handled.
    Handled {
        transfer: TransferId,
        verdict: Verdict,
        about: About,
    },
    /// `other` is part of `into` from here on; these gateways publish for it.
    Joined {
        other: TransferId,
        into: TransferId,
        gateways: Vec<GatewayId>,
        /// Ordinal of `into` before the join.
        ordinal: u64,
    },
    /// The engine was built anew around a poisoned record.
    Rebuilt { transfer: TransferId },
}

/// What a record was about, as far as the shard cares.
pub(crate) enum About {
    Frame {
        gateway: GatewayId,
        lane: Lane,
        captured_at: GatewayTime,
    },
    Presence {
        gateway: GatewayId,
    },
    Action {
        id: String,
    },
    Poisoned,
}

impl About {
    pub(crate) fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Frame {
                gateway,
                lane,
                frame,
                ..
            } => Self::Frame {
                gateway: gateway.clone(),
                lane: *lane,
                captured_at: frame.header.captured_at,
            },
            Entry::Presence { gateway, .. } | Entry::Rejected { gateway, .. } => Self::Presence {
                gateway: gateway.clone(),
            },
            Entry::Registry { action_id, .. } => Self::Action {
                id: action_id.clone(),
            },
            Entry::Poisoned { .. } | Entry::Unrecorded(_) | Entry::RuleBook { .. } => {
                Self::Poisoned
            }
        }
    }
}

/// Handling panicked; these transfers are in an unknown state and out.
pub(crate) struct Panicked {
    pub(crate) touched: BTreeSet<TransferId>,
    pub(crate) reason: String,
}

impl Panicked {
    fn of<const N: usize>(touched: [&TransferId; N], reason: String) -> Self {
        let touched = touched.into_iter().cloned().collect();
        Self { touched, reason }
    }
}

pub(crate) struct Engines {
    pub(crate) slots: BTreeMap<TransferId, Slot>,
    /// Every joined transfer, straight to the one that has it now.
    pub(crate) aliases: BTreeMap<TransferId, TransferId>,
    /// Transfers whose engines are on disk only, with what viewers were told of
    /// their alerts; see `sleep.rs`.
    pub(crate) asleep: BTreeMap<TransferId, Asleep>,
    deadlines: BTreeSet<(EngineTime, TransferId)>,
    pub(crate) directory: Directory,
    pub(crate) probe: Option<Probe>,
}

impl Slot {
    pub(crate) fn new(engine: Engine, last: Position, at: EngineTime) -> Self {
        Self {
            engine,
            last,
            since_snapshot: 0,
            snapshot_at: at,
            heard_at: at,
            live_at: EngineTime(i64::MIN),
            extent: Extent::default(),
            checkpoint_at: EngineTime(i64::MIN),
            deadline: None,
            notes: Vec::new(),
            broken: None,
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Time alone changes nothing of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.deadline.is_none()
    }

    /// The engine's state, and what only the shard knows.
    pub(crate) fn state(&self) -> TransferState {
        let mut state = guard(|| self.engine.state()).unwrap_or_else(|reason| self.without(reason));
        state.crew_log.extend(self.notes.iter().cloned());
        if let Some(reason) = &self.broken {
            let (position, reason) = (self.last, format!("stands still: {reason}"));
            state.poisoned.push(PoisonedRecord { position, reason });
        }
        state
    }
}

impl Slot {
    fn rules(&self) -> RulesInForce {
        RulesInForce {
            book_name: String::new(),
            book_version: String::new(),
            book_hash: self.engine.rule_book(),
            approved_by: String::new(),
            approved_on: String::new(),
            overlays: Vec::new(),
            own: Vec::new(),
            missing_book: None,
        }
    }

    /// What is left to say when an engine cannot even say what it holds.
    fn without(&self, reason: String) -> TransferState {
        let (transfer, position) = (self.engine.transfer().clone(), self.last);
        TransferState {
            short_code: ShortCode::of(&transfer),
            transfer,
            aliases: Vec::new(),
            info: TransferInfo::default(),
            baselines: Vec::new(),
            population_assumed: true,
            exercise: false,
            phase: Phase::Open,
            started_at: ServerTime(0),
            sources: Vec::new(),
            alerts: Vec::new(),
            travel: Travel::default(),
            poisoned: vec![PoisonedRecord { position, reason }],
            crew_log: Vec::new(),
            notes_to_crew: Vec::new(),
            unrecorded: Vec::new(),
            retrospective: Vec::new(),
            unsearched: 0,
            rules: self.rules(),
        }
    }
}

impl Engines {
    pub(crate) fn new(directory: Directory, probe: Option<Probe>) -> Self {
        Self {
            slots: BTreeMap::new(),
            aliases: BTreeMap::new(),
            asleep: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            directory,
            probe,
        }
    }

    /// The transfer that has this one's records by now.
    pub(crate) fn canonical<'a>(&'a self, transfer: &'a TransferId) -> &'a TransferId {
        self.aliases.get(transfer).unwrap_or(transfer)
    }

    /// Whether there is such a transfer, in memory or asleep.
    pub(crate) fn has(&self, canonical: &TransferId) -> bool {
        self.slots.contains_key(canonical) || self.asleep.contains_key(canonical)
    }

    /// An id, an alias or a short code, to the id in use now.
    pub(crate) fn lookup(&self, name: &str) -> Result<TransferId, LookupError> {
        let shortened = || name.chars().take(ID_BYTES_MAX).collect();
        let unknown = || LookupError::Unknown { name: shortened() };
        if let Ok(id) = TransferId::new(name) {
            let id = self.canonical(&id);
            if self.has(id) {
                return Ok(id.clone());
            }
        }
        let code = ShortCode::parse(name).ok_or_else(unknown)?;
        let found = self.directory.with_code(&code).iter();
        let mut found: Vec<_> = found.map(|id| self.canonical(id)).collect();
        found.retain(|id| self.has(id));
        found.dedup();
        match found.as_slice() {
            [] => Err(unknown()),
            [only] => Ok((*only).clone()),
            [..] => Err(LookupError::Ambiguous { name: shortened() }),
        }
    }

    /// A transfer and all that were joined to it.
    pub(crate) fn members(&self, canonical: &TransferId) -> Vec<TransferId> {
        let joined = self.aliases.iter().filter(|(_, into)| *into == canonical);
        std::iter::once(canonical.clone())
            .chain(joined.map(|(alias, _)| alias.clone()))
            .collect()
    }

    pub(crate) fn insert(&mut self, transfer: &TransferId, slot: Slot) {
        self.slots.insert(transfer.clone(), slot);
        self.reschedule(transfer);
    }

    /// Takes a transfer out, with its deadline; its aliases point nowhere then.
    pub(crate) fn remove(&mut self, transfer: &TransferId) -> Option<Slot> {
        let slot = self.slots.remove(transfer)?;
        if let Some(deadline) = slot.deadline {
            self.deadlines.remove(&(deadline, transfer.clone()));
        }
        Some(slot)
    }

    pub(crate) fn set_broken(&mut self, transfer: &TransferId, reason: String) {
        if let Some(slot) = self.slots.get_mut(transfer) {
            slot.broken = Some(reason);
        }
        self.reschedule(transfer);
    }

    fn reschedule(&mut self, transfer: &TransferId) {
        let Some(slot) = self.slots.get_mut(transfer) else {
            return;
        };
        let next = match slot.broken {
            Some(_) => None,
            None => guard(|| slot.engine.next_timeout()).unwrap_or_default(),
        };
        if next == slot.deadline {
            return;
        }
        if let Some(old) = slot.deadline.take() {
            self.deadlines.remove(&(old, transfer.clone()));
        }
        if let Some(new) = next {
            self.deadlines.insert((new, transfer.clone()));
        }
        slot.deadline = next;
    }

    /// The earliest deadline of all engines.
    pub(crate) fn next_deadline(&self) -> Option<EngineTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Fires every deadline up to `now` of all engines, in deadline order.
    pub(crate) fn fire(&mut self, now: EngineTime, out: &mut Vec<Step>) -> Result<(), Panicked> {
        while let Some((at, transfer)) = self.deadlines.first().cloned() {
            if at > now {
                break;
            }
            self.fire_one(&transfer, at, out)?;
            let stuck = self
                .deadlines
                .first()
                .is_some_and(|first| first.0 <= at && first.1 == transfer);
            // An engine that asks for the same time again would hold all others.
            if stuck {
                self.fire_one(&transfer, now.max(at.plus(Span(1))), out)?;
                self.postpone_past(&transfer, now);
            }
        }
        Ok(())
    }

    fn postpone_past(&mut self, transfer: &TransferId, now: EngineTime) {
        if let Some(slot) = self.slots.get_mut(transfer)
            && let Some(deadline) = slot.deadline
            && deadline <= now
        {
            self.deadlines.remove(&(deadline, transfer.clone()));
            slot.deadline = Some(now.plus(Span(1)));
            self.deadlines.insert((now.plus(Span(1)), transfer.clone()));
        }
    }

    fn fire_one(
        &mut self,
        transfer: &TransferId,
        at: EngineTime,
        out: &mut Vec<Step>,
    ) -> Result<(), Panicked> {
        let Some(slot) = self.slots.get_mut(transfer) else {
            return Ok(());
        };
        let mut effects = Effects::default();
        let done = guard(|| slot.engine.handle_timeout(at, &mut effects));
        done.map_err(|reason| Panicked::of([transfer], reason))?;
        self.reschedule(transfer);
        if !effects.is_empty() {
            let transfer = transfer.clone();
            out.push(Step::Effects { transfer, effects });
        }
        Ok(())
    }

    /// Handles one record. On a panic nothing of it is in `out`.
    pub(crate) fn apply(&mut self, record: &Record, out: &mut Vec<Step>) -> Result<(), Panicked> {
        let before = out.len();
        let result = self.try_apply(record, out);
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    fn try_apply(&mut self, record: &Record, out: &mut Vec<Step>) -> Result<(), Panicked> {
        self.directory.add(&record.transfer, record.position);
        let transfer = self.canonical(&record.transfer).clone();
        if self.is_deleted(&transfer, &record.entry) {
            let (verdict, about) = (Verdict::Refused(DELETED.into()), About::of(&record.entry));
            out.push(Step::Handled {
                transfer,
                verdict,
                about,
            });
            return Ok(());
        }
        let books = &self.directory.books;
        let slot = self.slots.entry(transfer.clone()).or_insert_with(|| {
            let engine = Engine::with_books(transfer.clone(), books.clone());
            Slot::new(engine, Position(0), record.at)
        });
        if slot.is_broken() {
            let (verdict, about) = (Verdict::refused(STANDS_STILL), About::of(&record.entry));
            out.push(Step::Handled {
                transfer,
                verdict,
                about,
            });
            return Ok(());
        }
        let (mut effects, probe) = (Effects::default(), self.probe.clone());
        let engine = &mut slot.engine;
        let handled = guard(|| {
            if let Some(probe) = probe {
                probe(record);
            }
            engine.handle(record, &mut effects)
        });
        let verdict = handled.map_err(|reason| Panicked::of([&transfer], reason))?;
        if let Some(slot) = self.slots.get_mut(&transfer) {
            slot.last = record.position;
            slot.heard_at = record.at;
            if matches!(
                &record.entry,
                Entry::Frame {
                    lane: Lane::Live,
                    ..
                }
            ) {
                slot.live_at = record.at;
            }
            slot.since_snapshot = slot.since_snapshot.saturating_add(1);
        }
        self.reschedule(&transfer);
        let wanted = self.wanted_join(record, &verdict, &effects.requests);
        if !effects.is_empty() {
            let transfer = transfer.clone();
            out.push(Step::Effects { transfer, effects });
        }
        match wanted {
            None => {}
            Some(Ok(target)) => self.join(&transfer, &target, record, out)?,
            Some(Err(why)) => self.refuse_join(&transfer, record, why),
        }
        let transfer = self.canonical(&record.transfer).clone();
        let about = About::of(&record.entry);
        out.push(Step::Handled {
            transfer,
            verdict,
            about,
        });
        Ok(())
    }

    /// The transfer to join, as the record names it. Only records at lower
    /// positions count, so that a re-run with more transfers finds the same.
    fn wanted_join(
        &self,
        record: &Record,
        verdict: &Verdict,
        requests: &[Request],
    ) -> Option<Result<TransferId, &'static str>> {
        if let Entry::Registry {
            action: RegistryAction::JoinInto(target),
            ..
        } = &record.entry
            && *verdict == Verdict::Applied
        {
            let known = self.directory.knows(target, record.position);
            return Some(known.then(|| target.clone()).ok_or("no such transfer"));
        }
        let Request::Join { short_code, .. } = requests.first()?;
        Some(self.directory.by_code(short_code, record.position))
    }

    fn join(
        &mut self,
        other: &TransferId,
        target: &TransferId,
        record: &Record,
        out: &mut Vec<Step>,
    ) -> Result<(), Panicked> {
        let into = self.canonical(target).clone();
        if into == *other {
            self.refuse_join(other, record, "it is that transfer already");
            return Ok(());
        }
        let joined = self.members(other);
        let room = self.members(&into).len() + joined.len() <= ALIASES_MAX;
        let fits = room && self.slots.get(&into).is_some_and(|slot| !slot.is_broken());
        let Some(leaving) = fits.then(|| self.remove(other)).flatten() else {
            self.refuse_join(other, record, "that transfer cannot take another one");
            return Ok(());
        };
        let gateways = leaving.engine.gateways().cloned().collect();
        let Some(slot) = self.slots.get_mut(&into) else {
            return Ok(());
        };
        let (mut effects, engine) = (Effects::default(), &mut slot.engine);
        let ordinal = engine.last_ordinal();
        let done = guard(|| {
            engine.handle_timeout(record.at, &mut effects);
            engine.absorb(leaving.engine, record.at, &mut effects);
        });
        done.map_err(|reason| Panicked::of([other, &into], reason))?;
        if let Some(slot) = self.slots.get_mut(&into) {
            slot.last = slot.last.max(record.position);
            slot.since_snapshot = slot.since_snapshot.saturating_add(leaving.since_snapshot);
            slot.extent.add(leaving.extent);
            slot.notes.extend(leaving.notes);
            trim_notes(&mut slot.notes);
        }
        for joined in joined {
            self.aliases.insert(joined, into.clone());
        }
        self.reschedule(&into);
        let (other, transfer) = (other.clone(), into.clone());
        out.push(Step::Joined {
            other,
            into,
            gateways,
            ordinal,
        });
        out.push(Step::Effects { transfer, effects });
        Ok(())
    }

    /// A join that cannot be done changes nothing, and the crew's log says so.
    fn refuse_join(&mut self, transfer: &TransferId, record: &Record, why: &str) {
        tracing::warn!(%transfer, position = record.position.0, why, "join not done");
        let Entry::Frame { gateway, frame, .. } = &record.entry else {
            return;
        };
        let typed = match &frame.body {
            Body::Crew(CrewEvent::Join { short_code }) => short_code.as_str(),
            Body::Crew(_)
            | Body::Numerics(_)
            | Body::Waveforms(_)
            | Body::DeviceAlarms(_)
            | Body::Position(_)
            | Body::Link(_)
            | Body::Shed(_)
            | Body::Unknown => "",
        };
        let note = CrewEntry {
            captured_at: GatewayTime(frame.header.captured_at.0),
            gateway: gateway.clone(),
            event: CrewEvent::Note(format!("not joined to {typed}: {why}")),
            read: None,
        };
        if let Some(slot) = self.slots.get_mut(transfer) {
            slot.notes.push(note);
            trim_notes(&mut slot.notes);
        }
    }
}

fn trim_notes(notes: &mut Vec<CrewEntry>) {
    let excess = notes.len().saturating_sub(NOTES_MAX);
    notes.drain(..excess);
}
