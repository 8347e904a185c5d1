//! The shard's answers to requests.

use crate::core::CoreError;
use crate::guard::guard;
use crate::live::{ActError, LookupError, WatchError};
use crate::outage::NO_ALERT;
use crate::queue::{Queue, Seat};
use crate::requests::{Allowed, Doing, Opened, Reach, Request, Wanted};
use crate::shard::Shard;
use crate::token::Cursor;
use crate::update::{AlertStep, Snapshot};
use crate::viewers::Viewer;
use enroute_engine::JOINED;
use enroute_model::ids::{ID_BYTES_MAX, ShortCode, TransferId};
use enroute_model::registry::{AlertAction, RegistryAction, ViewerRole};
use enroute_model::state::{Phase, TransferState};
use enroute_model::time::EngineTime;
use enroute_wire::{Message, v1};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// Transitions read at a time, going back.
const BACK_STEP: u64 = 32;
const ANOTHER_JOURNAL: &str =
    "the token is of another journal: what happened since it was given is not known";
const NOT_NOW: &str = "what was missed cannot be read while nothing is recorded: it comes when \
     it can be";
const UNREAD: &str = "what was missed could not be read";
const NO_ROOM: &str = "as many transfers are in memory as are allowed: close those that have ended, \
     or raise limits.transfers_max";
const OF_THE_SERVER: &str = "this alert is the server's, not the patient's: it stands until the \
     journal works again, and asks for whoever repairs the disk";
const TOO_MANY: &str = "more alert transitions were missed than are made up for: see the history";

impl Shard {
    pub(crate) fn request(&mut self, request: Request) {
        match request {
            Request::List { closed, reply } => {
                let asleep = self.core.engines.asleep.keys().filter(|_| closed);
                let asleep = asleep.cloned().collect();
                let books = self.core.engines.directory.books.clone();
                drop(reply.send((self.list(closed), asleep, books)));
            }
            Request::Recordings { wanted, reply } => drop(reply.send(self.page(&wanted))),
            Request::Delete { name, why, reply } => drop(reply.send(self.delete(&name, why))),
            Request::Kept { reply } => drop(reply.send(self.kept())),
            Request::State { name, reply } => drop(reply.send(self.state(&name))),
            Request::Watch { wanted, reply } => drop(reply.send(self.watch(wanted))),
            Request::Reach {
                viewer,
                attach,
                reply,
            } => {
                let reach = self.reach(viewer, attach);
                drop(reply.send(reach));
            }
            Request::Members { name, reply } => {
                let found = self.lookup(&name);
                drop(reply.send(found.map(|transfer| self.reach_of([&transfer]))));
            }
            Request::Act {
                name,
                action,
                action_id,
                reply,
            } => {
                drop(reply.send(self.allow(&name, *action, action_id)));
            }
            Request::Reached { position, reply } => {
                self.reached.push((position, reply));
                self.answer_reached();
            }
            Request::UseBook { book, reply } => drop(reply.send(self.use_book(book))),
            Request::Totals { reply } => drop(reply.send(Box::new(self.totals()))),
            // Handled before, as the loop ends with it.
            Request::Shutdown { reply } => drop(reply),
        }
    }

    pub(crate) fn answer_reached(&mut self) {
        let through = self.handled;
        for (_, reply) in self
            .reached
            .extract_if(.., |(position, _)| *position <= through)
        {
            if reply.send(()).is_err() {
                tracing::debug!("nobody waits for a position");
            }
        }
        self.reached.retain(|(_, reply)| !reply.is_closed());
    }

    fn list(&self, closed: bool) -> Vec<Arc<TransferState>> {
        let slots = self.core.engines.slots.values();
        let mut states: Vec<_> = slots.map(|slot| Arc::new(self.state_of(slot))).collect();
        states.retain(|state| closed || state.phase == Phase::Open);
        states.sort_by_key(|state| state.phase != Phase::Open);
        states
    }

    fn state(&self, name: &str) -> Result<Arc<TransferState>, LookupError> {
        let transfer = self.lookup(name)?;
        let state = self.state_by_id(&transfer).map(Arc::new);
        state.ok_or_else(|| LookupError::Asleep {
            name: transfer.to_string(),
        })
    }

    /// An id, an alias or a short code, to the id in use now.
    pub(crate) fn lookup(&self, name: &str) -> Result<TransferId, LookupError> {
        self.core.engines.lookup(name)
    }

    fn watch(&mut self, wanted: Wanted) -> Result<Opened, WatchError> {
        self.viewers.prune(&self.stats);
        let max = self.options.viewers_max;
        if self.viewers.len() >= max {
            return Err(WatchError::Full { max });
        }
        let mut known = BTreeSet::new();
        for name in &wanted.names {
            known.insert(self.lookup(name)?);
        }
        let all = wanted.board || known.is_empty();
        let (states, mut here) = self.picture(&known, all);
        let sampled = if wanted.samples {
            known.clone()
        } else {
            BTreeSet::new()
        };
        let named = (!all).then_some(known);
        let late = self.to_come_again(wanted.resume.as_ref());
        let resumed = match &late {
            // Until then the token stays as it is.
            Some(cursor) => {
                here = cursor.clone();
                Err(NOT_NOW)
            }
            None => self.resume(&here, named.is_some(), wanted.resume.clone()),
        };
        let unread = matches!(resumed, Err(UNREAD));
        let held = wanted.resume.and_then(Result::ok).filter(|_| unread);
        let is_held = held.is_some();
        here = held.unwrap_or(here);
        let (from, missed, unknown) = match resumed {
            Ok(Some((from, missed))) => (from, missed, None),
            Ok(None) => (here.clone(), Vec::new(), None),
            Err(why) => (here.clone(), Vec::new(), Some(why)),
        };
        let catch_up = wanted.samples && from.position < here.position;
        let queue = Queue::new(&self.options);
        if let Some(told) = self.not_recorded() {
            queue.not_recorded(&told);
        }
        let viewer = self.viewers.add(Viewer {
            queue: Arc::clone(&queue),
            named,
            attached: !catch_up,
            sampled,
            waveforms: wanted.waveforms,
        });
        self.viewers.prune(&self.stats);
        let snapshot = Snapshot {
            states,
            missed: unknown.map(ToOwned::to_owned),
        };
        Ok(Opened {
            viewer,
            queue: Seat(queue),
            snapshot,
            missed,
            cursor: here,
            from,
            catch_up,
            held: is_held,
        })
    }

    /// Where a viewer stood whose token is good, while it cannot be made up for.
    fn to_come_again(&self, token: Option<&Read>) -> Option<Cursor> {
        let cursor = token?.as_ref().ok().filter(|_| !self.is_recording())?;
        self.is_mine(cursor).then(|| cursor.clone())
    }

    fn is_mine(&self, cursor: &Cursor) -> bool {
        cursor.incarnation == self.incarnation && cursor.position <= self.handled
    }

    /// Where a token's viewer stood and the transitions since; `None` without a
    /// token; an error says why the token is worth nothing.
    fn resume(
        &self,
        here: &Cursor,
        named: bool,
        token: Option<Read>,
    ) -> Result<Option<Stood>, &'static str> {
        let Some(cursor) = token.transpose()? else {
            return Ok(None);
        };
        if !self.is_mine(&cursor) {
            return Err(ANOTHER_JOURNAL);
        }
        match self.missed(here, named, &cursor) {
            Ok(Some(missed)) => Ok(Some((standing(here, &cursor, &missed), missed))),
            Ok(None) => Err(TOO_MANY),
            Err(error) => {
                tracing::error!(%error, "missed alerts not read");
                Err(UNREAD)
            }
        }
    }

    /// The present picture and where it stands.
    pub(crate) fn picture(
        &self,
        named: &BTreeSet<TransferId>,
        all: bool,
    ) -> (Vec<Arc<TransferState>>, Cursor) {
        let mut states = if all { self.list(false) } else { Vec::new() };
        // A closed one is shown to whoever names it.
        let named_states = named
            .iter()
            .filter_map(|transfer| self.state_by_id(transfer));
        let named_states = named_states.map(Arc::new);
        states.extend(named_states.filter(|state| !all || state.phase != Phase::Open));
        let told = named.iter().filter(|_| !all);
        let ordinals = told.map(|transfer| {
            let told = self.told.get(transfer).copied().unwrap_or_default();
            (transfer.clone(), told.ordinal)
        });
        let cursor = Cursor {
            incarnation: self.incarnation,
            position: self.handled,
            at: if self.is_recording() {
                self.core.kept
            } else {
                EngineTime(self.common.now.load(Ordering::Acquire))
            },
            ordinals: ordinals.collect(),
        };
        (states, cursor)
    }

    /// Transitions since `cursor`, oldest first; `None`: too many.
    fn missed(
        &self,
        here: &Cursor,
        named: bool,
        cursor: &Cursor,
    ) -> Result<Option<Vec<Arc<AlertStep>>>, CoreError> {
        let engines = &self.core.engines;
        // A transfer of the token may have been joined to one that is watched.
        let watched = |id: &TransferId| !named || here.ordinals.contains_key(engines.canonical(id));
        let mut missed = Vec::new();
        let ids: BTreeSet<_> = self.told.keys().chain(cursor.ordinals.keys()).collect();
        for transfer in ids {
            let (told, seen) = (self.told.get(transfer), cursor.ordinals.get(transfer));
            let quiet = told.is_none_or(|told| told.at < cursor.at);
            // Who watches the other by its name is told from the join on, by it.
            let joined = named && engines.aliases.contains_key(transfer);
            if !watched(transfer) || seen.is_none() && (quiet || joined) {
                continue;
            }
            let last = told.map_or(u64::MAX, |told| told.ordinal);
            let seen = match seen {
                Some(seen) => *seen,
                None => self.before(transfer, last, cursor.at)?,
            };
            for step in self
                .core
                .store
                .reader
                .derived(transfer, seen.saturating_add(1))
            {
                let (ordinal, bytes) = step?;
                if ordinal > last {
                    break;
                }
                if missed.len() >= self.options.alerts_missed_max {
                    return Ok(None);
                }
                missed.extend(step_of(transfer, ordinal, bytes));
            }
        }
        missed.sort_by_key(|step| step.at);
        Ok(Some(missed))
    }

    /// The ordinal of the last transition before `at`.
    fn before(&self, transfer: &TransferId, last: u64, at: EngineTime) -> Result<u64, CoreError> {
        let mut end = last;
        while end > 0 {
            let from = end.saturating_sub(BACK_STEP).saturating_add(1);
            let steps = self.core.store.reader.derived(transfer, from);
            let mut older = None;
            for step in steps {
                let (ordinal, bytes) = step?;
                if ordinal > end {
                    break;
                }
                let step = step_of(transfer, ordinal, bytes);
                if step.is_some_and(|step| step.at < at) {
                    older = Some(ordinal);
                }
            }
            if let Some(ordinal) = older {
                return Ok(ordinal);
            }
            end = from.saturating_sub(1);
        }
        Ok(0)
    }

    fn reach(&mut self, viewer: u64, attach: bool) -> Reach {
        let Some(viewer) = self.viewers.get_mut(viewer) else {
            return self.reach_of([]);
        };
        viewer.attached |= attach;
        let sampled = viewer.sampled.clone();
        self.reach_of(&sampled)
    }

    fn reach_of<'a>(&self, transfers: impl IntoIterator<Item = &'a TransferId>) -> Reach {
        let members = transfers.into_iter().flat_map(|transfer| {
            let members = self.core.engines.members(transfer).into_iter();
            members.map(|member| (member, transfer.clone()))
        });
        Reach {
            through: self.handled,
            members: members.collect(),
        }
    }

    /// Whether an action may be journalled, as things stand.
    fn allow(
        &mut self,
        name: &str,
        action: RegistryAction,
        action_id: String,
    ) -> Result<Allowed, ActError> {
        let found = match (self.lookup(name), &action) {
            (Err(LookupError::Unknown { .. }), RegistryAction::Put(_)) => {
                let id = TransferId::new(name).map_err(|_| unknown(name))?;
                if !self.admission().admits_action(&id, self.core.now) {
                    return Err(ActError::Refused(NO_ROOM.into()));
                }
                id
            }
            (found, _) => found?,
        };
        if matches!(action, RegistryAction::Alert { .. }) && !is_name_of(&found, name) {
            return Err(ActError::Refused(JOINED.into()));
        }
        let wakes = self.core.engines.asleep.contains_key(&found);
        if wakes && !self.admission().admits_action(&found, self.core.now) {
            return Err(ActError::Refused(NO_ROOM.into()));
        }
        let action = match action {
            RegistryAction::JoinInto(target) => {
                let into = self.lookup(target.as_str())?;
                if into == found
                    && name != target.as_str()
                    && TransferId::new(name).is_ok_and(|id| id != into)
                {
                    return Ok(Allowed::Already(found));
                }
                if into == found {
                    return Err(ActError::Refused(
                        "a transfer cannot be joined to itself".into(),
                    ));
                }
                RegistryAction::JoinInto(into)
            }
            RegistryAction::Put(_)
            | RegistryAction::HandOverTo(_)
            | RegistryAction::Close
            | RegistryAction::Reopen
            | RegistryAction::SetBaseline { .. }
            | RegistryAction::NoteToCrew(_)
            | RegistryAction::ReadNotes { .. }
            | RegistryAction::Alert { .. }
            | RegistryAction::SetLimits { .. }
            | RegistryAction::AutoLimits { .. } => action,
        };
        if let RegistryAction::Alert {
            alert_id: NO_ALERT,
            action,
            ..
        } = &action
        {
            return match action {
                AlertAction::Shown(_) => Ok(Allowed::Already(found)),
                AlertAction::Acknowledge | AlertAction::Pause { .. } | AlertAction::Note(_) => {
                    Err(ActError::Refused(OF_THE_SERVER.into()))
                }
            };
        }
        if let RegistryAction::Alert {
            alert_id,
            seen,
            action: AlertAction::Shown(role),
        } = &action
            && !self.is_news(&found, *alert_id, *seen, *role)
        {
            return Ok(Allowed::Already(found));
        }
        let handled = self.wait_for(found.clone(), action_id)?;
        let transfer = found;
        Ok(Allowed::Append(Doing {
            transfer,
            action,
            handled,
        }))
    }

    /// The first report of each role becomes a record, the others do not.
    fn is_news(&self, transfer: &TransferId, alert_id: u64, seen: u64, role: ViewerRole) -> bool {
        let slot = self.core.engines.slots.get(transfer);
        slot.is_some_and(|slot| {
            guard(|| slot.engine.is_news(alert_id, seen, role)).unwrap_or_default()
        })
    }

    fn wait_for(
        &mut self,
        transfer: TransferId,
        action_id: String,
    ) -> Result<oneshot::Receiver<(TransferId, enroute_model::state::Verdict)>, ActError> {
        let max = self.options.acts_max;
        if self.waiters.len() >= max {
            // Those whose append failed wait no more.
            self.waiters.retain(|_, waiting| {
                waiting.retain(|waiter| !waiter.is_closed());
                !waiting.is_empty()
            });
        }
        if self.waiters.len() >= max {
            return Err(ActError::Busy { max });
        }
        let (waiter, handled) = oneshot::channel();
        let waiting = self.waiters.entry((transfer, action_id)).or_default();
        waiting.retain(|waiter| !waiter.is_closed());
        if waiting.len() >= max {
            return Err(ActError::Busy { max });
        }
        waiting.push_back(waiter);
        Ok(handled)
    }
}

/// A token as read.
type Read = Result<Cursor, &'static str>;
/// Where a viewer stood, and the alert transitions since.
type Stood = (Cursor, Vec<Arc<AlertStep>>);

/// Where a viewer with this token stands before what it missed.
fn standing(here: &Cursor, cursor: &Cursor, missed: &[Arc<AlertStep>]) -> Cursor {
    let mut from = cursor.clone();
    from.ordinals = here.ordinals.clone();
    for step in missed.iter().rev() {
        from.ordinals
            .insert(step.transfer.clone(), step.ordinal.saturating_sub(1));
    }
    if here.ordinals.is_empty() {
        from.ordinals.clear();
    }
    from
}

fn step_of(transfer: &TransferId, ordinal: u64, bytes: bytes::Bytes) -> Option<Arc<AlertStep>> {
    let transition = v1::AlertTransition::decode(bytes).ok()?;
    let (transfer, at) = (transfer.clone(), EngineTime(transition.at_us));
    Some(Arc::new(AlertStep {
        transfer,
        ordinal,
        at,
        transition,
    }))
}

/// Whether a transfer is meant itself, not one that was joined to it.
fn is_name_of(transfer: &TransferId, name: &str) -> bool {
    let code = ShortCode::parse(name);
    name == transfer.as_str() || code.is_some_and(|code| code == ShortCode::of(transfer))
}

fn unknown(name: &str) -> LookupError {
    LookupError::Unknown {
        name: shortened(name),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(ID_BYTES_MAX).collect()
}
