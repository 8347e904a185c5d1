//! The state machine's face: records in, deadlines fired before each.

mod actions;
mod attention;
mod escalation;
mod frames;
mod join;
mod notes;
mod rules;
mod view;

use crate::alerts::{Alerts, Now};
use crate::bounds::{Overflow, POISONED_MAX, UNASSIGNED_SILENCE, UNRECORDED_MAX};
use crate::effects::Effects;
use crate::source::{Ctx, Source};
use crate::travel::Journey;
use actions::Asked;
pub use actions::JOINED;
use enroute_alert::book::Books;
use enroute_model::frame::{Code, Priority};
use enroute_model::ids::{BookHash, GatewayId, Position, TransferId};
use enroute_model::notes::{CrewEntry, NoteToCrew};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::TransferInfo;
use enroute_model::state::{AlertKind, Baseline, Phase, PoisonedRecord, Unrecorded, Verdict};
use enroute_model::time::{EngineTime, ServerTime};
use rules::Rules;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Changes whenever the same records could give other effects; a snapshot of
/// another version is not restored.
pub const ENGINE_VERSION: u32 = 10;

/// Why a snapshot was not restored; run all records again instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Written by another engine.
    #[error("snapshot is of engine version {found}, this is version {ENGINE_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Its rule book is not known here.
    #[error("snapshot goes by the rule book {0}, which is not known here")]
    UnknownBook(BookHash),
    /// Not a snapshot, or a part of one.
    #[error("snapshot is damaged")]
    Damaged,
}

/// One transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Engine {
    transfer: TransferId,
    aliases: Vec<TransferId>,
    info: TransferInfo,
    rules: Rules,
    /// Bounded by the catalogue: no other code is taken.
    baselines: BTreeMap<Code, Baseline>,
    exercise: bool,
    phase: Phase,
    /// Nobody closed it: it opens again by itself when something live comes.
    closed_by_silence: bool,
    started_at: Option<ServerTime>,
    /// When the last new frame came; silence counts from here.
    last_frame_at: EngineTime,
    now: EngineTime,
    // Boxed: a node of the map has room for eleven, and most transfers have one.
    sources: BTreeMap<GatewayId, Box<Source>>,
    /// Sources in order of appearance, for the track.
    appeared: Vec<GatewayId>,
    alerts: Alerts,
    journey: Journey,
    poisoned: Vec<PoisonedRecord>,
    crew_log: Vec<CrewEntry>,
    notes_to_crew: Vec<NoteToCrew>,
    unrecorded: Vec<Unrecorded>,
    actions: VecDeque<Asked>,
    overflow: Overflow,
    /// No deadline is earlier; kept without a look at every source per record.
    #[serde(skip)]
    bound: Bound,
}

/// What is known of the next deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bound {
    /// Look.
    #[default]
    Unknown,
    /// Not before; `None`: there is none.
    NotBefore(Option<EngineTime>),
}

impl Engine {
    /// An engine that has seen nothing yet and knows the built-in rule book only.
    #[must_use]
    pub fn new(transfer: TransferId) -> Self {
        Self::with_books(transfer, Books::default())
    }

    /// An engine that has seen nothing yet. Until a record names one of `books`
    /// the built-in one applies.
    #[must_use]
    pub fn with_books(transfer: TransferId, books: Books) -> Self {
        Self {
            transfer,
            aliases: Vec::new(),
            info: TransferInfo::default(),
            rules: Rules::new(books),
            baselines: BTreeMap::new(),
            exercise: false,
            phase: Phase::Open,
            closed_by_silence: false,
            started_at: None,
            last_frame_at: EngineTime(i64::MIN),
            now: EngineTime(i64::MIN),
            sources: BTreeMap::new(),
            appeared: Vec::new(),
            alerts: Alerts::default(),
            journey: Journey::default(),
            poisoned: Vec::new(),
            crew_log: Vec::new(),
            notes_to_crew: Vec::new(),
            unrecorded: Vec::new(),
            actions: VecDeque::new(),
            overflow: Overflow::default(),
            bound: Bound::Unknown,
        }
    }

    /// Takes in one record. First fires every deadline up to `record.at`, in
    /// deadline order, each at its own time. Records come in the journal's
    /// order; a time that goes back counts as the newest one seen.
    ///
    /// - A duplicate changes nothing but its counter (I4).
    /// - A frame is late by the history lane, or behind the newest live one of
    ///   its stream. Late data fills trends, the track, the crew's log and the
    ///   completeness; it never alters a latest value and raises nothing (I11).
    ///   Exception: what the crew entered by hand replaces an older entry.
    /// - On a closed transfer frames are taken in and shown, and raise nothing.
    ///   One that closed by silence opens again with the first live frame.
    /// - [`Verdict::Refused`] for a frame: beyond a bound, not in any receipt.
    pub fn handle(&mut self, record: &Record, out: &mut Effects) -> Verdict {
        self.handle_timeout(record.at, out);
        if self.started_at.is_none() {
            self.started_at = Some(record.received_at);
            self.last_frame_at = self.now;
            self.bound = Bound::Unknown;
        }
        let told = out.alerts.len();
        let verdict = self.entry(record, out);
        if out.alerts.len() > told {
            self.tell_unattended(out);
            self.trace(told, out);
            self.arm(self.escalation_at());
        }
        verdict
    }

    fn entry(&mut self, record: &Record, out: &mut Effects) -> Verdict {
        match &record.entry {
            Entry::Frame {
                gateway,
                lane,
                digest,
                frame,
            } => self.frame(gateway, (*lane, *digest), frame, out),
            Entry::Presence { gateway, online } => {
                self.presence(gateway, *online, out);
                Verdict::Applied
            }
            Entry::Registry {
                action_id,
                actor,
                action,
                ..
            } => self.action((action_id, actor), &record.transfer, action, out),
            Entry::Poisoned { reason } => {
                self.poison(record.position, reason, out);
                Verdict::Applied
            }
            Entry::Unrecorded(unrecorded) => {
                self.note_unrecorded(unrecorded, out);
                Verdict::Applied
            }
            Entry::RuleBook { hash } => {
                self.use_book(*hash, out);
                Verdict::Applied
            }
            Entry::Rejected { gateway, publishes } => {
                self.note_rejected(gateway, *publishes, out);
                Verdict::Applied
            }
        }
    }

    /// Fires every deadline up to `now`, in deadline order, each at its own
    /// time. However finely time is cut, the effects are the same.
    pub fn handle_timeout(&mut self, now: EngineTime, out: &mut Effects) {
        if let Bound::NotBefore(bound) = self.bound
            && bound.is_none_or(|bound| bound > now)
        {
            self.now = self.now.max(now);
            return;
        }
        while let Some(due) = self.earliest().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.fire(out);
        }
        self.bound = Bound::NotBefore(self.earliest());
        self.now = self.now.max(now);
    }

    /// The time of the next deadline. It may be earlier than needed (then
    /// nothing happens at it), never later.
    #[must_use]
    pub fn next_timeout(&self) -> Option<EngineTime> {
        match self.bound {
            Bound::Unknown => self.earliest(),
            Bound::NotBefore(bound) => bound,
        }
    }

    fn earliest(&self) -> Option<EngineTime> {
        let sources = self
            .sources
            .values()
            .filter_map(|source| source.next_timeout());
        let own = self.silence_at().into_iter().chain(self.escalation_at());
        sources.chain(own).min()
    }

    /// When an unassigned transfer closes.
    fn silence_at(&self) -> Option<EngineTime> {
        let waits = self.is_open() && self.info.hospital.is_empty() && self.started_at.is_some();
        waits.then(|| self.last_frame_at.plus(UNASSIGNED_SILENCE))
    }

    /// Fires what is due at `self.now`, source by source.
    fn fire(&mut self, out: &mut Effects) {
        let told = out.alerts.len();
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, Source::handle_timeout);
        }
        self.escalate(out);
        self.tell_unattended(out);
        self.trace(told, out);
        if self.silence_at().is_some_and(|due| due <= self.now) {
            self.close(out);
            self.closed_by_silence = true;
        }
    }

    /// Calls `step` on a known source with what it needs of the engine.
    fn with_source<T>(
        &mut self,
        gateway: &GatewayId,
        out: &mut Effects,
        step: impl FnOnce(&mut Source, &mut Ctx) -> T,
    ) -> Option<T> {
        let source = self.sources.get_mut(gateway)?;
        let mut ctx = Ctx {
            gateway,
            at: self.now,
            open: self.phase == Phase::Open,
            profile: self.rules.profile(),
            conditions: self.rules.conditions(),
            scores: self.rules.scores(),
            marks: &self.info.conditions,
            baselines: &self.baselines,
            age_band: self.info.population.age_band,
            alerts: &mut self.alerts,
            overflow: &mut self.overflow,
            out,
        };
        Some(step(source, &mut ctx))
    }

    /// The next deadline may be earlier than was known.
    fn arm(&mut self, due: Option<EngineTime>) {
        if let (Bound::NotBefore(bound), Some(due)) = (&mut self.bound, due) {
            *bound = Some(bound.map_or(due, |bound| bound.min(due)));
        }
    }

    fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    fn presence(&mut self, gateway: &GatewayId, online: bool, out: &mut Effects) {
        self.with_source(gateway, out, |source, ctx| source.presence(online, ctx));
        self.bound = Bound::Unknown;
    }

    fn note_unrecorded(&mut self, unrecorded: &Unrecorded, out: &mut Effects) {
        if self.unrecorded.len() >= UNRECORDED_MAX {
            self.unrecorded.remove(0);
        }
        self.unrecorded.push(unrecorded.clone());
        out.changed.info = true;
    }

    fn note_rejected(&mut self, gateway: &GatewayId, publishes: u64, out: &mut Effects) {
        if let Some(source) = self.sources.get_mut(gateway) {
            source.note_rejected(publishes);
            out.changed.source(gateway);
        }
    }

    fn poison(&mut self, position: Position, reason: &str, out: &mut Effects) {
        if self.poisoned.len() < POISONED_MAX {
            let reason = reason.to_owned();
            self.poisoned.push(PoisonedRecord { position, reason });
        }
        out.changed.poisoned = true;
        self.degrade(Priority::Medium, out);
    }

    /// What is shown may be wrong for a reason of its own.
    fn degrade(&mut self, priority: Priority, out: &mut Effects) {
        let now = Now::technical(priority, self.now);
        let key = (None, AlertKind::EngineDegraded);
        if !self
            .alerts
            .open()
            .any(|alert| alert.kind == AlertKind::EngineDegraded)
        {
            self.alerts.set(key, now, self.now, out);
        }
    }
}
