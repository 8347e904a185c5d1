//! What of a subscription its caller is told: that of transfers which are theirs.

use crate::caller::{Caller, Concern, Named};
use crate::convert;
use crate::watching::Response;
use bytes::Bytes;
use enroute_live::{Delivery, Stats, Update};
use enroute_model::ids::TransferId;
use enroute_model::state::TransferState;
use enroute_wire::v1::watch_response::Update as Out;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Status;

/// Transfers that a caller sees at this moment, by all their ids. A snapshot stands at
/// the start of each subscription, and a transfer is told whole before anything of it.
pub(crate) struct View {
    caller: Caller,
    /// Those that a broken glass opens to this stream, which ends with it.
    opened: BTreeSet<String>,
    ids: BTreeSet<TransferId>,
    stats: Arc<Stats>,
}

impl View {
    pub(crate) fn new(caller: Caller, named: &[Named], stats: Arc<Stats>) -> Self {
        let opened = named.iter().filter(|named| named.glass.is_some());
        Self {
            caller,
            opened: opened.map(|named| named.id.clone()).collect(),
            ids: BTreeSet::new(),
            stats,
        }
    }

    /// What is told; `None`: nothing.
    ///
    /// # Errors
    /// When a transfer that was shown is the caller's no longer: what stands on the
    /// screen is to be made anew.
    pub(crate) fn of(&mut self, mut delivery: Delivery) -> Result<Option<Response>, Status> {
        if !self.caller.is_told_all() && !self.is_told(&mut delivery.update)? {
            return Ok(None);
        }
        let is_state = matches!(delivery.update, Update::State(_));
        let is_for_all = !is_state || self.caller.is_shown_all();
        let shared = is_for_all.then(|| convert::shared(&delivery.update, &self.stats));
        let shared = shared.flatten();
        let update = match &shared {
            Some(_) => None,
            None => Some(self.shown(&delivery.update)),
        };
        let mut own = convert::own(delivery);
        own.update = update;
        let shared = shared.unwrap_or(Bytes::new());
        Ok(Some(Response { own, shared }))
    }

    fn is_told(&mut self, update: &mut Update) -> Result<bool, Status> {
        Ok(match update {
            Update::Snapshot(snapshot) => {
                self.ids.clear();
                snapshot.states.retain(|state| self.takes(state));
                true
            }
            Update::State(state) => {
                let was_shown = self.ids.contains(&state.transfer);
                let is_shown = self.takes(state);
                if was_shown && !is_shown {
                    let why = "a transfer is not yours any more: look again";
                    return Err(Status::permission_denied(why));
                }
                is_shown
            }
            Update::Values(values) => self.ids.contains(&values.transfer),
            Update::Sample(sample) => self.ids.contains(&sample.transfer),
            Update::Alert(step) => self.ids.contains(&step.transfer),
            Update::Heartbeat { .. } => true,
        })
    }

    fn takes(&mut self, state: &TransferState) -> bool {
        let mut ids = state.aliases.iter().chain([&state.transfer]);
        let is_opened = ids.any(|id| self.opened.contains(id.as_str()));
        let is_inside = self.caller.is_inside(Concern::Transfer(state));
        let is_own = is_inside && (is_opened || self.caller.sees(state));
        if is_own {
            self.ids.insert(state.transfer.clone());
            self.ids.extend(state.aliases.iter().cloned());
        }
        is_own
    }

    fn shown(&self, update: &Update) -> Out {
        let mut out = convert::update(update);
        match &mut out {
            Out::Snapshot(snapshot) => {
                for state in &mut snapshot.transfer {
                    self.caller.show(state);
                }
            }
            Out::Transfer(state) => self.caller.show(state),
            Out::Values(_) | Out::Samples(_) | Out::Alert(_) | Out::Heartbeat(_) => {}
        }
        out
    }
}
