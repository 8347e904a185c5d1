//! The shard's answers to requests.

use crate::core::CoreError;
use crate::live::{ActError, LookupError, WatchError};
use crate::queue::Queue;
use crate::requests::{Allowed, Doing, Opened, Reach, Request, Wanted};
use crate::shard::Shard;
use crate::token::Cursor;
use crate::update::{AlertStep, Snapshot};
use crate::viewers::Viewer;
use enroute_model::ids::{ID_BYTES_MAX, ShortCode, TransferId};
use enroute_model::registry::RegistryAction;
use enroute_model::state::{Phase, TransferState};
use enroute_model::time::EngineTime;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Transitions read at a time, going back.
const BACK_STEP: u64 = 32;
const ANOTHER_JOURNAL: &str =
    "the token is of another journal: what happened since it was given is not known";
const TOO_MANY: &str = "more alert transitions were missed than are made up for: see the history";

impl Shard {
    pub(crate) fn request(&mut self, request: Request) {
        match request {
            Request::List { closed, reply } => drop(reply.send(self.list(closed))),
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
            Request::Shutdown { reply } => drop(reply.send(())),
        }
    }

    fn list(&self, closed: bool) -> Vec<Arc<TransferState>> {
        let slots = self.core.engines.slots.values();
        let mut states: Vec<_> = slots.map(|slot| Arc::new(slot.state())).collect();
        states.retain(|state| closed || state.phase == Phase::Open);
        states.sort_by_key(|state| state.phase != Phase::Open);
        states
    }

    fn state(&self, name: &str) -> Result<Arc<TransferState>, LookupError> {
        let transfer = self.lookup(name)?;
        let slot = self.core.engines.slots.get(&transfer);
        slot.map(|slot| Arc::new(slot.state()))
            .ok_or_else(|| unknown(name))
    }

    /// An id, an alias or a short code, to the id in use now.
    fn lookup(&self, name: &str) -> Result<TransferId, LookupError> {
        let engines = &self.core.engines;
        if let Ok(id) = TransferId::new(name) {
            let id = engines.canonical(&id);
            if engines.slots.contains_key(id) {
                return Ok(id.clone());
            }
        }
        let code = ShortCode::parse(name).ok_or_else(|| unknown(name))?;
        let found = engines.directory.with_code(&code).iter();
        let mut found: Vec<_> = found.map(|id| engines.canonical(id)).collect();
        found.dedup();
        match found.as_slice() {
            [] => Err(unknown(name)),
            [only] => Ok((*only).clone()),
            [..] => Err(LookupError::Ambiguous {
                name: shortened(name),
            }),
        }
    }

    fn watch(&mut self, wanted: Wanted) -> Result<Opened, WatchError> {
        self.viewers.prune(&self.stats);
        let max = self.options.viewers_max;
        if self.viewers.len() >= max {
            return Err(WatchError::Full { max });
        }
        let names = wanted.names.iter();
        let named: BTreeSet<_> = names
            .map(|name| self.lookup(name))
            .collect::<Result<_, _>>()?;
        let named = (!wanted.names.is_empty()).then_some(named);
        let (states, here) = self.picture(named.as_ref());
        let (resumed, missed_why) = match wanted.resume {
            None => (None, None),
            Some(Err(why)) => (None, Some(why)),
            Some(Ok(cursor))
                if cursor.incarnation != self.incarnation || cursor.position > self.handled =>
            {
                (None, Some(ANOTHER_JOURNAL))
            }
            Some(Ok(cursor)) => match self.missed(&here, named.is_some(), &cursor) {
                Ok(Some(missed)) => (Some((cursor, missed)), None),
                Ok(None) => (None, Some(TOO_MANY)),
                Err(error) => {
                    tracing::error!(%error, "missed alerts not read");
                    (None, Some("what was missed could not be read"))
                }
            },
        };
        let (from, missed, resumes) = match resumed {
            Some((cursor, missed)) => (standing(&here, &cursor, &missed), missed, true),
            None => (here.clone(), Vec::new(), false),
        };
        let catch_up = wanted.samples && resumes && from.position < here.position;
        let queue = Queue::new(
            self.options.alerts_queued_max,
            self.options.samples_queued_max,
        );
        let viewer = self.viewers.add(Viewer {
            queue: Arc::clone(&queue),
            named,
            attached: !catch_up,
            samples: wanted.samples,
            waveforms: wanted.waveforms,
        });
        self.viewers.prune(&self.stats);
        Ok(Opened {
            viewer,
            queue,
            snapshot: Snapshot {
                states,
                missed: missed_why,
            },
            missed,
            cursor: here,
            from,
            catch_up,
        })
    }

    /// The present picture and where it stands.
    fn picture(&self, named: Option<&BTreeSet<TransferId>>) -> (Vec<Arc<TransferState>>, Cursor) {
        let slots = &self.core.engines.slots;
        let states = match named {
            None => self.list(false),
            Some(named) => {
                let slots = named.iter().filter_map(|transfer| slots.get(transfer));
                slots.map(|slot| Arc::new(slot.state())).collect()
            }
        };
        let ordinals = named.into_iter().flatten().map(|transfer| {
            let told = self.told.get(transfer).copied().unwrap_or_default();
            (transfer.clone(), told.ordinal)
        });
        let cursor = Cursor {
            incarnation: self.incarnation,
            position: self.handled,
            at: self.core.now,
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
        let mut after: BTreeMap<&TransferId, Option<u64>> = BTreeMap::new();
        for (transfer, told) in &self.told {
            let quiet = told.at < cursor.at && !cursor.ordinals.contains_key(transfer);
            let joined = engines.aliases.contains_key(transfer);
            if watched(transfer) && !quiet && (!joined || cursor.ordinals.contains_key(transfer)) {
                after.insert(transfer, cursor.ordinals.get(transfer).copied());
            }
        }
        let mut missed = Vec::new();
        for (transfer, seen) in after {
            let last = self.told.get(transfer).map_or(0, |told| told.ordinal);
            let seen = match seen {
                Some(seen) => seen.min(last),
                None => self.before(transfer, last, cursor.at)?,
            };
            let room = self.options.alerts_missed_max.saturating_sub(missed.len());
            if last - seen > u64::try_from(room).unwrap_or(u64::MAX) {
                return Ok(None);
            }
            for step in self
                .core
                .store
                .reader
                .derived(transfer, seen.saturating_add(1))
            {
                let (ordinal, bytes) = step?;
                missed.extend(step_of(transfer, ordinal, bytes).filter(|_| ordinal <= last));
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
        let named = viewer.named.clone().unwrap_or_default();
        self.reach_of(&named)
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
                TransferId::new(name).map_err(|_| unknown(name))?
            }
            (found, _) => found?,
        };
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
                    return Err(ActError::Refused("a transfer cannot be joined to itself"));
                }
                RegistryAction::JoinInto(into)
            }
            RegistryAction::Put(_)
            | RegistryAction::HandOverTo(_)
            | RegistryAction::Close
            | RegistryAction::Reopen => action,
        };
        let handled = self.wait_for(found.clone(), action_id)?;
        let transfer = found;
        Ok(Allowed::Append(Doing {
            transfer,
            action,
            handled,
        }))
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

fn unknown(name: &str) -> LookupError {
    LookupError::Unknown {
        name: shortened(name),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(ID_BYTES_MAX).collect()
}
