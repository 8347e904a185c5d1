//! `enroute.v1.Identities`: who the patients are, for those who may know.

use crate::caller::{Caller, Concern};
use crate::convert;
use crate::identities::Identities;
use crate::identity_words::{change_from, identity_to};
use crate::live_service::name;
use enroute_access::Action;
use enroute_live::{Live, LookupError};
use enroute_model::ids::TransferId;
use enroute_model::state::{Phase, TransferState};
use enroute_wire::v1::delete_identity_request::Whose;
use enroute_wire::v1::identities_server::Identities as Service;
use enroute_wire::{registry, v1};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Whose name is under what is said where nobody is asked who they are.
const ACTOR: &str = "unauthenticated";

pub(crate) struct IdentitiesService {
    pub(crate) live: Live,
    pub(crate) identities: Identities,
}

#[tonic::async_trait]
impl Service for IdentitiesService {
    async fn get(
        &self,
        request: Request<v1::GetIdentityRequest>,
    ) -> Result<Response<v1::GetIdentityResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner().transfer;
        let state = self.admitted(&caller, Action::SeeIdentity, &asked).await?;
        let found = { &self.identities }
            .ask(move |store| store.get(&names(&state)))
            .await?;
        let identity = found.map(|(transfer, entry)| identity_to(&transfer, entry));
        Ok(Response::new(v1::GetIdentityResponse { identity }))
    }

    async fn set(
        &self,
        request: Request<v1::SetIdentityRequest>,
    ) -> Result<Response<v1::SetIdentityResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let state = { self.admitted(&caller, Action::Identify, &request.transfer) }.await?;
        let change = change_from(request)?;
        let by = caller.actor(|| Ok(ACTOR.to_owned()))?;
        let now = self.live.clock().wall();
        let own = state.transfer.clone();
        let entry = { &self.identities }
            .ask(move |store| store.put(&state.transfer, &state.aliases, change, &by, now))
            .await?;
        let identity = Some(identity_to(&own, entry));
        Ok(Response::new(v1::SetIdentityResponse { identity }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteIdentityRequest>,
    ) -> Result<Response<v1::DeleteIdentityResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (gone, unreadable) = match request.into_inner().whose {
            Some(Whose::Transfer(asked)) => {
                let state = self.state(&asked).await?;
                let concern = Concern::Transfer(&state);
                caller.admit_durably(Action::Identify, concern).await?;
                let store = self.identities.store()?;
                let mut there = names(&state);
                there.retain(|name| store.has(name));
                (there, 0)
            }
            Some(Whose::RecordNumber(number)) => {
                let found = self.of_person(&caller, Action::Forget, &number).await?;
                let gone = found.transfers.into_iter().map(|(name, _)| name);
                (gone.collect(), found.unreadable)
            }
            None => {
                let what = "whose: give a transfer or a record number";
                return Err(Status::invalid_argument(what));
            }
        };
        let transfer = gone.iter().map(ToString::to_string).collect();
        let transfers = { &self.identities }
            .ask(move |store| store.forget(&gone))
            .await?;
        tracing::info!(
            transfers,
            "forgot who was on them, because somebody asked for it"
        );
        let deleted = v1::DeleteIdentityResponse {
            transfer,
            unreadable,
        };
        Ok(Response::new(deleted))
    }

    async fn export(
        &self,
        request: Request<v1::ExportIdentityRequest>,
    ) -> Result<Response<v1::ExportIdentityResponse>, Status> {
        let caller = Caller::of(&request)?;
        let number = request.into_inner().record_number;
        let found = self.of_person(&caller, Action::Identify, &number).await?;
        let mut transfer = Vec::new();
        for (name, state) in found.transfers {
            let only = [name];
            let entry = self.identities.ask(move |store| store.get(&only)).await?;
            // Forgotten meanwhile.
            let Some((name, entry)) = entry else { continue };
            transfer.push(stored(&name, entry, state.as_deref()));
        }
        Ok(Response::new(v1::ExportIdentityResponse {
            transfer,
            unreadable: found.unreadable,
        }))
    }
}

/// What there is of a person within somebody's scope.
struct OfPerson {
    transfers: Vec<(TransferId, Option<Arc<TransferState>>)>,
    unreadable: u32,
}

impl IdentitiesService {
    /// The transfer of that name, if the caller may know who is on it.
    async fn admitted(
        &self,
        caller: &Caller,
        action: Action,
        asked: &str,
    ) -> Result<Arc<TransferState>, Status> {
        let state = self.state(asked).await?;
        caller.admit(action, Concern::Transfer(&state))?;
        self.identities.store()?;
        Ok(state)
    }

    async fn state(&self, asked: &str) -> Result<Arc<TransferState>, Status> {
        name("transfer", asked)?;
        let state = self.live.state(asked).await;
        state.map_err(|error| convert::lookup(&error))
    }

    /// By record number it is exported or deleted, so it waits until it is on record.
    async fn of_person(
        &self,
        caller: &Caller,
        action: Action,
        number: &str,
    ) -> Result<OfPerson, Status> {
        caller.admit_durably(action, Concern::Own).await?;
        if number.trim().is_empty() {
            return Err(Status::invalid_argument("record_number: give one"));
        }
        let store = self.identities.store()?;
        let transfers = self.within(caller, store.of_person(number)).await?;
        let damaged = self.within(caller, store.damaged()).await?.len();
        let unreadable = u32::try_from(damaged).unwrap_or(u32::MAX);
        Ok(OfPerson {
            transfers,
            unreadable,
        })
    }

    /// Those in the caller's scope. What the registry does not know is in nobody's but
    /// theirs who have all.
    async fn within(
        &self,
        caller: &Caller,
        transfers: Vec<TransferId>,
    ) -> Result<Vec<(TransferId, Option<Arc<TransferState>>)>, Status> {
        let mut within = Vec::new();
        for transfer in transfers {
            let (state, is_own) = match self.live.state(transfer.as_str()).await {
                Ok(state) => (Some(Arc::clone(&state)), caller.sees(&state)),
                Err(LookupError::Unknown { .. } | LookupError::Ambiguous { .. }) => {
                    (None, caller.sees_everything())
                }
                // Half an answer would be taken for a whole one.
                Err(error) => return Err(convert::lookup(&error)),
            };
            if is_own {
                within.push((transfer, state));
            }
        }
        Ok(within)
    }
}

/// All names of a transfer, its own first.
fn names(state: &TransferState) -> Vec<TransferId> {
    let own = std::iter::once(&state.transfer);
    own.chain(&state.aliases).cloned().collect()
}

fn stored(
    name: &TransferId,
    entry: enroute_identity::Entry,
    state: Option<&TransferState>,
) -> v1::StoredOfPerson {
    v1::StoredOfPerson {
        identity: Some(identity_to(name, entry)),
        transfer: state.map_or(name, |state| &state.transfer).to_string(),
        info: state.map(|state| registry::info_to(&state.info)),
        started_at_us: state.map_or(0, |state| state.started_at.0),
        closed: state.is_some_and(|state| matches!(state.phase, Phase::Closed { .. })),
    }
}
