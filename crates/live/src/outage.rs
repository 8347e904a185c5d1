//! While the journal cannot be written (I8): the engines go on as *forks*, whose
//! changes are in no record, and viewers are told so with everything they get.
//!
//! ```text
//!           Failed                      Recovered                    all of it is durable
//!  On ────────────────► Off ──────────────────────────► Writing ─────────────────────────► On
//!     viewers told,         forks dropped, engines           viewers go on,
//!     alert, no receipts    rebuilt, what happened appended  receipts again
//!                        ◄──────────────────────────────
//!                                   Failed again
//! ```
//!
//! Of a fork nothing is kept: no snapshot, no alert, no mark, no receipt, no
//! command, and viewers' tokens stay as they were. Behind the repair each viewer
//! goes on as one that comes with its token: a new picture, then every alert
//! transition and sample that was recorded since. What clinicians do is the
//! exception: it cannot come again as gateways' frames do, so it is held here, at
//! most [`ACTIONS_MAX`], and appended after the repair.

use crate::core::{Core, CoreError};
use crate::engines::{About, Slot, Step};
use crate::live::Health;
use crate::options::add;
use crate::shard::{Shard, Told, load_all};
use crate::update::{AlertStep, NotRecorded, Snapshot};
use bytes::Bytes;
use enroute_journal::{Append, Failure, Stored, TrySubmitError};
use enroute_model::frame::Priority;
use enroute_model::ids::{Position, TransferId};
use enroute_model::record::Entry;
use enroute_model::registry::RegistryAction;
use enroute_model::state::{
    AlertKind, AlertPath, AlertPhase, AlertState, AlertTransition, Escalation, Phase,
    TransferState, Unrecorded, Verdict,
};
use enroute_model::time::{EngineTime, ServerTime};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Actions held until they can be written; more are refused.
const ACTIONS_MAX: usize = 4_096;
/// Records appended at a time after a repair.
const WRITTEN_AT_ONCE: usize = 64;
const TOO_MANY: &str = "as much was done while nothing can be recorded as can be held: \
     repair the journal's disk first";
/// The id of no engine's alert: of the one that nothing is recorded, and in the
/// record of those that only forks had.
pub(crate) const NO_ALERT: u64 = 0;

/// Whether what is shown is in the journal.
pub(crate) enum Recording {
    On,
    /// The engines are forks.
    Off(Outage),
    /// The engines are as the journal has them; what happened meanwhile is being
    /// written, and viewers get nothing new until it is.
    Writing(Outage, VecDeque<Append>),
}

/// A time without a recording.
pub(crate) struct Outage {
    told: Arc<NotRecorded>,
    since: EngineTime,
    /// A record of a fork gets a position of its own, known to nobody else.
    forked: Position,
    /// What clinicians did, as it is to be written.
    actions: Vec<Append>,
    /// Transfers whose alert was raised.
    raised: BTreeSet<TransferId>,
    /// Of what is to be written, as much is in the journal's queue.
    queued: usize,
}

impl Shard {
    /// The engines are the journal's, and viewers see them.
    pub(crate) fn is_recording(&self) -> bool {
        matches!(self.recording, Recording::On)
    }

    /// The engines are forks.
    pub(crate) fn is_forked(&self) -> bool {
        matches!(self.recording, Recording::Off(_))
    }

    fn outage(&self) -> Option<&Outage> {
        match &self.recording {
            Recording::On => None,
            Recording::Off(outage) | Recording::Writing(outage, _) => Some(outage),
        }
    }

    pub(crate) fn not_recorded(&self) -> Option<Arc<NotRecorded>> {
        self.outage().map(|outage| Arc::clone(&outage.told))
    }

    /// The journal has failed, or is not repaired for another reason.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        let reason = failure.reason().to_owned();
        match std::mem::replace(&mut self.recording, Recording::On) {
            Recording::On => {
                let since = ServerTime(self.clock.wall());
                tracing::error!(reason, "the live view goes on without being recorded");
                self.recording = Recording::Off(Outage {
                    told: Arc::new(NotRecorded { since, reason }),
                    since: self.core.now,
                    forked: self.handled,
                    actions: Vec::new(),
                    raised: BTreeSet::new(),
                    queued: 0,
                });
                self.core.forked = true;
                self.tell();
                self.raise_all();
            }
            Recording::Off(outage) => {
                self.recording = Recording::Off(outage.because(reason));
                self.tell();
            }
            Recording::Writing(outage, waiting) => {
                self.recording = Recording::Off(outage.because(reason));
                self.core.forked = true;
                self.viewers.mute(false);
                // They are held, and done on the new forks too.
                for action in waiting {
                    self.fork(action, false);
                }
                self.tell();
                self.give_snapshots("the journal failed again before it was whole");
                self.flush();
            }
        }
    }

    /// Says it to viewers and to whoever asks for the health.
    fn tell(&self) {
        let told = self.not_recorded();
        let health = told.clone().map_or(Health::Running, Health::NotRecorded);
        self.health.send_replace(health);
        if let Some(told) = told {
            self.viewers.not_recorded(&told);
        }
    }

    /// Records that are in no journal.
    pub(crate) fn unrecorded(&mut self, records: Vec<Append>) {
        for record in records {
            self.fork(record, true);
        }
        self.flush();
    }

    /// Handles one record on the forks; `hold`: what a clinician did is held.
    fn fork(&mut self, record: Append, hold: bool) {
        let Recording::Off(outage) = &mut self.recording else {
            return;
        };
        outage.forked = Position(outage.forked.0.saturating_add(1));
        let mut stored = Stored {
            position: outage.forked,
            class: record.class,
            transfer: record.transfer,
            at: record.at,
            received_at: record.received_at,
            payload: record.payload,
        };
        let full = outage.actions.len() >= ACTIONS_MAX;
        let action = Held::of(&stored, |alert_id| {
            self.is_only_forked(&stored.transfer, alert_id)
        });
        if let Some(action) = &action {
            stored.payload = action.now.clone();
        }
        let mut steps = Vec::new();
        match &action {
            Some(action) if full => steps.push(action.refused(&stored)),
            Some(_) | None => {
                if let Err(error) = self.core.take(&stored, &mut steps) {
                    // Forks read and write nothing; whatever it was, it is over with them.
                    tracing::error!(%error, "a fork's record was not handled");
                }
            }
        }
        if let (Recording::Off(outage), Some(action)) = (&mut self.recording, action)
            && hold
            && steps.iter().any(is_done)
        {
            outage.actions.push(append_of(&stored, action.later));
        }
        self.fan_out(steps, Some(&stored));
        let transfer = self.core.engines.canonical(&stored.transfer).clone();
        self.raise(&transfer);
        self.note_book(&transfer);
        add(&self.stats.unrecorded, 1);
    }

    /// Whether an alert is of the fork alone.
    fn is_only_forked(&self, transfer: &TransferId, alert_id: u64) -> bool {
        let transfer = self.core.engines.canonical(transfer);
        let told = self.told.get(transfer).copied().unwrap_or_default();
        let slot = self.core.engines.slots.get(transfer);
        let alerts = slot.map_or_else(Vec::new, |slot| slot.engine.alerts());
        let alert = alerts.iter().find(|alert| alert.alert_id == alert_id);
        alert.is_none_or(|alert| alert.raised > told.ordinal)
    }

    /// The journal works again and holds everything through `last`.
    pub(crate) fn recovered(&mut self, last: Position) {
        let Recording::Off(mut outage) = std::mem::replace(&mut self.recording, Recording::On)
        else {
            return;
        };
        let loaded = load_all(&self.core.store, &self.options, last);
        let (core, told) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(%error, "the journal works again but cannot be read");
                let reason = format!("the journal works again but cannot be read: {error}");
                self.recording = Recording::Off(outage.because(reason));
                return self.tell();
            }
        };
        let forks = std::mem::replace(&mut self.core, core);
        self.handled = last;
        (self.told, self.receipt_due) = (told, BTreeSet::new());
        self.every_receipt_is_due();
        self.every_book_is_due();
        self.say_who_is_here();
        outage.queued = 0;
        let waiting = self.what_happened(&forks, &outage);
        self.viewers.mute(true);
        self.recording = Recording::Writing(outage, waiting);
        self.write();
    }

    /// What is to be written: for each open transfer that it was not recorded,
    /// then what clinicians did, in order.
    fn what_happened(&self, forks: &Core, outage: &Outage) -> VecDeque<Append> {
        let (at, until) = (forks.now, ServerTime(self.clock.wall()));
        let payload = enroute_wire::record::of_unrecorded(&Unrecorded {
            since: outage.told.since,
            until,
            reason: outage.told.reason.clone(),
        });
        let of = |core: &Core| {
            let open = core.engines.slots.values().filter(|slot| is_open(slot));
            open.map(|slot| slot.engine.transfer().clone()).collect()
        };
        let (mut open, rebuilt): (BTreeSet<TransferId>, BTreeSet<_>) = (of(forks), of(&self.core));
        open.extend(rebuilt);
        let records = open.into_iter().map(|transfer| Append {
            class: enroute_journal::Class::Vitals,
            transfer,
            at,
            received_at: until,
            payload: payload.clone(),
        });
        records.chain(outage.actions.iter().cloned()).collect()
    }

    /// Appends more of what happened, as far as there is room; or ends the outage.
    pub(crate) fn write(&mut self) {
        let Recording::Writing(outage, waiting) = &mut self.recording else {
            return;
        };
        if waiting.is_empty() {
            return self.over();
        }
        if outage.queued > 0 {
            return;
        }
        let some: Vec<_> = waiting.iter().take(WRITTEN_AT_ONCE).cloned().collect();
        let count = some.len();
        match self.appender.try_submit(some) {
            // The tail says what becomes of it.
            Ok(pending) => {
                outage.queued = count;
                drop(pending);
            }
            // The next tick is soon.
            Err(TrySubmitError::Full(_)) => {}
            Err(TrySubmitError::Append(error)) => {
                tracing::error!(%error, "what happened unrecorded is not written");
            }
        }
    }

    /// A record is durable: perhaps one of what happened.
    pub(crate) fn written(&mut self, stored: &Stored) {
        let Recording::Writing(outage, waiting) = &mut self.recording else {
            return;
        };
        let first = waiting.front();
        if first.is_some_and(|first| {
            first.transfer == stored.transfer && first.payload == stored.payload
        }) {
            waiting.pop_front();
            outage.queued = outage.queued.saturating_sub(1);
            self.write();
        }
    }

    /// All of it is durable and handled: viewers see the journal's engines again.
    fn over(&mut self) {
        let Recording::Writing(outage, _) = std::mem::replace(&mut self.recording, Recording::On)
        else {
            return;
        };
        let now = ServerTime(self.clock.wall());
        let seconds = now.since(outage.told.since).0 / 1_000_000;
        let actions = outage.actions.len();
        tracing::info!(seconds, actions, "the live view is recorded again");
        self.viewers.mute(false);
        for transfer in &outage.raised {
            self.send_alert(transfer, outage.alert(AlertPhase::Ended));
        }
        self.tell();
        // What was recorded while nobody was told anything is in no queue.
        let why = format!(
            "for {seconds} s the journal could not be written ({}): what was shown then is not \
             recorded; what gateways hold of it comes as history",
            outage.told.reason
        );
        self.viewers.again(&why.into());
    }

    fn raise_all(&mut self) {
        let slots = self.core.engines.slots.iter();
        let open = slots.filter(|(_, slot)| is_open(slot));
        let open: Vec<_> = open.map(|(transfer, _)| transfer.clone()).collect();
        // A board must not be cut off by the one alert that all have in common.
        if open.len() > self.options.alerts_queued_max / 2 {
            if let Recording::Off(outage) = &mut self.recording {
                outage.raised.extend(open);
            }
            return self.give_snapshots("");
        }
        for transfer in open {
            self.raise(&transfer);
        }
    }

    fn raise(&mut self, transfer: &TransferId) {
        if let Recording::Off(outage) = &mut self.recording
            && self.core.engines.slots.get(transfer).is_some_and(is_open)
            && outage.raised.insert(transfer.clone())
        {
            let alert = outage.alert(AlertPhase::Active);
            self.send_alert(transfer, alert);
            self.dirty.insert(transfer.clone());
        }
    }

    /// One that no record holds has no ordinal.
    fn send_alert(&self, transfer: &TransferId, alert: AlertState) {
        let at = self.core.now;
        let step = AlertTransition {
            ordinal: 0,
            at,
            alert,
        };
        let step = AlertStep {
            transfer: transfer.clone(),
            ordinal: 0,
            at,
            transition: enroute_wire::state::transition_to(transfer, &step),
        };
        self.viewers.alert(&Arc::new(step), &self.stats);
    }

    /// A transfer as viewers see it now.
    pub(crate) fn state_of(&self, slot: &Slot) -> TransferState {
        let mut state = slot.state();
        if let Some(outage) = self.outage().filter(|_| state.phase == Phase::Open) {
            let alert = outage.alert(AlertPhase::Active);
            // The most urgent first, as the engine has them.
            let less = |other: &AlertState| other.priority < alert.priority;
            let place = state.alerts.iter().position(less);
            let place = place.unwrap_or(state.alerts.len());
            state.alerts.insert(place, alert);
        }
        state
    }

    /// Gives every viewer the whole picture of the forks again.
    fn give_snapshots(&mut self, missed: &str) {
        let missed = (!missed.is_empty()).then(|| missed.to_owned());
        let mut all = None;
        for (queue, named, is_board) in self.viewers.each() {
            let (states, _) = if is_board && named.is_empty() {
                all.get_or_insert_with(|| self.picture(&named, true))
                    .clone()
            } else {
                self.picture(&named, is_board)
            };
            let snapshot = Snapshot {
                states,
                missed: missed.clone(),
            };
            queue.snapshot(snapshot, self.not_recorded());
        }
    }

    /// The server stops before the repair: what was held is lost, and said so.
    pub(crate) fn lose(&self) {
        let held = self.outage().map_or(&[][..], |outage| &outage.actions);
        for action in held {
            let transfer = &action.transfer;
            tracing::error!(%transfer, "what was done unrecorded is lost: do it again");
        }
    }
}

impl Outage {
    fn because(mut self, reason: String) -> Self {
        let since = self.told.since;
        self.told = Arc::new(NotRecorded { since, reason });
        self.queued = 0;
        self
    }

    fn alert(&self, phase: AlertPhase) -> AlertState {
        AlertState {
            alert_id: NO_ALERT,
            gateway: None,
            kind: AlertKind::NotRecorded,
            priority: Priority::Medium,
            phase,
            since: self.since,
            value: None,
            value_at: None,
            limit: None,
            raised: 0,
            acknowledged: None,
            paused_until: None,
            note: None,
            until: None,
            escalation: Escalation::None,
            path: AlertPath {
                raised_at: self.since,
                ..AlertPath::default()
            },
        }
    }
}

fn is_open(slot: &Slot) -> bool {
    slot.engine.phase() == Phase::Open
}

/// What a clinician does while nothing is recorded.
struct Held {
    id: String,
    /// For the fork.
    now: Bytes,
    /// To be written after the repair.
    later: Bytes,
}

impl Held {
    /// Reads an action. Transitions of forks have no ordinals, so of an alert none
    /// can have been seen: the newest counts. An alert that only a fork has is none
    /// of the record, where another one may have its id: there it is written that
    /// somebody saw to one, and no more.
    fn of(stored: &Stored, only_forked: impl Fn(u64) -> bool) -> Option<Self> {
        let Ok(Entry::Registry {
            action_id: id,
            actor,
            action,
            happened_unrecorded,
        }) = enroute_wire::record::decode(&stored.payload)
        else {
            return None;
        };
        let at = happened_unrecorded.unwrap_or(stored.received_at);
        let (mut now, mut later) = (action.clone(), action);
        if let RegistryAction::Alert { seen, .. } = &mut now
            && *seen == 0
        {
            *seen = u64::MAX;
        }
        if let RegistryAction::Alert { alert_id, .. } = &mut later
            && only_forked(*alert_id)
        {
            *alert_id = NO_ALERT;
        }
        Some(Self {
            now: enroute_wire::record::of_action(&id, &actor, &now),
            later: enroute_wire::record::of_unrecorded_action(&id, &actor, &later, at),
            id,
        })
    }

    fn refused(&self, stored: &Stored) -> Step {
        Step::Handled {
            transfer: stored.transfer.clone(),
            verdict: Verdict::refused(TOO_MANY),
            about: About::Action {
                id: self.id.clone(),
            },
        }
    }
}

/// Whether an action changed something.
fn is_done(step: &Step) -> bool {
    match step {
        Step::Handled { verdict, about, .. } => {
            matches!((verdict, about), (Verdict::Applied, About::Action { .. }))
        }
        Step::Effects { .. } | Step::Joined { .. } | Step::Rebuilt { .. } => false,
    }
}

fn append_of(stored: &Stored, payload: Bytes) -> Append {
    Append {
        class: stored.class,
        transfer: stored.transfer.clone(),
        at: stored.at,
        received_at: stored.received_at,
        payload,
    }
}

/// Whether an error means no more than that the journal has failed: the tail
/// tells what to do then.
pub(crate) fn is_outage(error: &CoreError) -> bool {
    match error {
        CoreError::Journal(_) => true,
        CoreError::Read(error) => matches!(error, enroute_journal::ReadError::Failed(_)),
    }
}

/// What viewers were told of all transfers.
pub(crate) type AllTold = BTreeMap<TransferId, Told>;
