//! What of a subscription its caller is told: that of transfers which are theirs.

use crate::caller::{Caller, Named};
use enroute_wire::v1;
use std::collections::BTreeSet;
use tonic::Status;
use v1::watch_response::Update;

/// Transfers that a caller sees at this moment, by all their ids. A snapshot stands at
/// the start of each subscription, and a transfer is told whole before anything of it.
pub(crate) struct View {
    caller: Caller,
    /// Those that a broken glass opens to this stream, which ends with it.
    opened: BTreeSet<String>,
    ids: BTreeSet<String>,
}

impl View {
    pub(crate) fn new(caller: Caller, named: &[Named]) -> Self {
        let opened = named.iter().filter(|named| named.glass.is_some());
        Self {
            caller,
            opened: opened.map(|named| named.id.clone()).collect(),
            ids: BTreeSet::new(),
        }
    }

    /// What is told; `None`: nothing.
    ///
    /// # Errors
    /// When a transfer that was shown is the caller's no longer: what stands on the
    /// screen is to be made anew.
    pub(crate) fn of(
        &mut self,
        mut response: v1::WatchResponse,
    ) -> Result<Option<v1::WatchResponse>, Status> {
        if self.caller.sees_everything() {
            self.show(&mut response);
            return Ok(Some(response));
        }
        let is_told = match &mut response.update {
            Some(Update::Snapshot(snapshot)) => {
                self.ids.clear();
                snapshot.transfer.retain(|state| self.takes(state));
                true
            }
            Some(Update::Transfer(state)) => {
                let was_shown = self.ids.contains(&state.transfer);
                let is_shown = self.takes(state);
                if was_shown && !is_shown {
                    let why = "a transfer is not yours any more: look again";
                    return Err(Status::permission_denied(why));
                }
                is_shown
            }
            Some(Update::Values(values)) => self.ids.contains(&values.transfer),
            Some(Update::Samples(samples)) => self.ids.contains(&samples.transfer),
            Some(Update::Alert(step)) => self.ids.contains(&step.transfer),
            Some(Update::Heartbeat(_)) | None => true,
        };
        self.show(&mut response);
        Ok(is_told.then_some(response))
    }

    fn takes(&mut self, state: &v1::TransferState) -> bool {
        let mut ids = state.alias.iter().chain([&state.transfer]);
        let is_own = ids.any(|id| self.opened.contains(id))
            || self
                .caller
                .sees_named(state.info.as_ref(), &state.transfer, &state.alias);
        if is_own {
            self.ids.insert(state.transfer.clone());
            self.ids.extend(state.alias.iter().cloned());
        }
        is_own
    }

    fn show(&self, response: &mut v1::WatchResponse) {
        match &mut response.update {
            Some(Update::Snapshot(snapshot)) => {
                for state in &mut snapshot.transfer {
                    self.caller.show(state);
                }
            }
            Some(Update::Transfer(state)) => self.caller.show(state),
            Some(
                Update::Values(_) | Update::Samples(_) | Update::Alert(_) | Update::Heartbeat(_),
            )
            | None => {}
        }
    }
}
