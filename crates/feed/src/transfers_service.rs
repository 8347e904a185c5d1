//! `enroute.v1.Transfers`: the registry.

use crate::caller::{Caller, Concern};
use crate::convert;
use crate::live_service::name;
use enroute_access::Action as Allowed;
use enroute_live::Live;
use enroute_model::ids::{ShortCode, TransferId};
use enroute_model::registry::{AlertAction, RegistryAction};
use enroute_model::state::TransferState;
use enroute_wire::limits::LABEL_CHARS_MAX;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::transfers_server::Transfers as Service;
use enroute_wire::{registry, v1};
use tonic::{Request, Response, Status};

/// Who acts, as long as nobody has to say who they are.
const ACTOR: &str = "unauthenticated";
/// Characters of the name that somebody gives themselves.
const NAME_CHARS_MAX: usize = 48;

pub(crate) struct TransfersService {
    pub(crate) live: Live,
}

#[tonic::async_trait]
impl Service for TransfersService {
    async fn add(
        &self,
        request: Request<v1::AddRequest>,
    ) -> Result<Response<v1::AddResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        action_id(&request.action_id)?;
        let info = request.info.unwrap_or_default();
        let info = registry::info_from(info).map_err(|error| convert::refusal("info", &error))?;
        let transfer = transfer_of(&request.action_id)?;
        let actor = caller.actor(|| Ok(ACTOR.to_owned()))?;
        // The same id again may be another's, of another hospital.
        if let Ok(known) = self.live.state(transfer.as_str()).await {
            caller.check(Allowed::Register, Concern::Transfer(&known))?;
        }
        let concern = Concern::New(&info, &transfer);
        caller.check(Allowed::Register, concern)?;
        caller.on_record(transfer.as_str(), caller.may_pin(&info, []))?;
        caller.admit(Allowed::Register, concern)?;
        let (put, id) = (RegistryAction::Put(info), &request.action_id);
        let acted = self.live.act(transfer.as_str(), put, id, &actor).await;
        acted.map_err(|error| convert::act(&error))?;
        Ok(Response::new(v1::AddResponse {
            short_code: ShortCode::of(&transfer).to_string(),
            transfer: transfer.to_string(),
        }))
    }

    async fn act(
        &self,
        request: Request<v1::ActRequest>,
    ) -> Result<Response<v1::ActResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        name("transfer", &request.transfer)?;
        action_id(&request.action_id)?;
        let actor = caller.actor(|| actor(&request.actor))?;
        let action = request.action.unwrap_or_default();
        let action = self.with_ids(action, &caller).await?;
        let mut action =
            registry::action_from(action).map_err(|error| convert::refusal("action", &error))?;
        let known = self.live.state(&request.transfer).await;
        let known = known.map_err(|error| convert::lookup(&error))?;
        let pins =
            matches!(&action, RegistryAction::Put(info) if info.regions != known.info.regions);
        let word = if pins {
            "put, other regions"
        } else {
            word(&action)
        };
        caller.call().is_about(word);
        caller.check(needed(&action), Concern::Transfer(&known))?;
        let kept = self.keeps_regions(&caller, &known, &action).await;
        caller.on_record(known.transfer.as_str(), kept)?;
        let glass = caller.admit(needed(&action), Concern::Transfer(&known))?;
        // Whoever reads the name later reads that as well.
        let actor = match glass {
            Some(_) => format!("{actor} (broke the glass)"),
            None => actor,
        };
        if let RegistryAction::Alert { action, .. } = &mut action
            && let AlertAction::Shown(role) = action
        {
            *role = caller.looks_as(*role);
        }
        let acted = self
            .live
            .act(&request.transfer, action, &request.action_id, &actor)
            .await;
        let acted = acted.map_err(|error| convert::act(&error))?;
        Ok(Response::new(v1::ActResponse {
            transfer: acted.transfer.to_string(),
        }))
    }
}

impl TransfersService {
    /// What is said of regions is kept, and can be changed again.
    async fn keeps_regions(
        &self,
        caller: &Caller,
        known: &TransferState,
        action: &RegistryAction,
    ) -> Result<(), Status> {
        if let RegistryAction::Put(info) = action
            && info.regions != known.info.regions
        {
            let sources = known.sources.iter();
            return caller.may_pin(info, sources.map(|source| source.gateway.as_str()));
        }
        if let RegistryAction::JoinInto(into) = action {
            let into = self.live.state(into.as_str()).await;
            let into = into.map_err(|error| convert::lookup(&error))?;
            return caller.may_join(known, &into);
        }
        Ok(())
    }

    /// A transfer to join may be named by its short code as well.
    async fn with_ids(
        &self,
        action: v1::RegistryAction,
        caller: &Caller,
    ) -> Result<v1::RegistryAction, Status> {
        let Some(Action::JoinInto(target)) = &action.action else {
            return Ok(action);
        };
        name("join_into", target)?;
        let found = self.live.state(target).await;
        let found = found.map_err(|error| convert::lookup(&error))?;
        caller.check(Allowed::Register, Concern::Transfer(&found))?;
        let action = Some(Action::JoinInto(found.transfer.to_string()));
        Ok(v1::RegistryAction { action })
    }
}

/// What somebody has to be allowed to, to do this.
fn needed(action: &RegistryAction) -> Allowed {
    match action {
        RegistryAction::Put(_)
        | RegistryAction::JoinInto(_)
        | RegistryAction::HandOverTo(_)
        | RegistryAction::Close
        | RegistryAction::Reopen => Allowed::Register,
        RegistryAction::Alert {
            action: AlertAction::Shown(_),
            ..
        } => Allowed::Report,
        RegistryAction::Alert {
            action: AlertAction::Acknowledge | AlertAction::Pause { .. } | AlertAction::Note(_),
            ..
        }
        | RegistryAction::SetBaseline { .. }
        | RegistryAction::NoteToCrew(_)
        | RegistryAction::ReadNotes { .. }
        | RegistryAction::SetLimits { .. }
        | RegistryAction::AutoLimits { .. } => Allowed::Treat,
    }
}

/// What it is called on record.
fn word(action: &RegistryAction) -> &'static str {
    match action {
        RegistryAction::Put(_) => "put",
        RegistryAction::JoinInto(_) => "join",
        RegistryAction::HandOverTo(_) => "hand over",
        RegistryAction::Close => "close",
        RegistryAction::Reopen => "reopen",
        RegistryAction::Alert { action, .. } => match action {
            AlertAction::Shown(_) => "alert shown",
            AlertAction::Acknowledge => "acknowledge",
            AlertAction::Pause { .. } => "pause",
            AlertAction::Note(_) => "remark",
        },
        RegistryAction::SetBaseline { .. } => "baseline",
        RegistryAction::NoteToCrew(_) => "note to crew",
        RegistryAction::ReadNotes { .. } => "notes read",
        RegistryAction::SetLimits { .. } => "limits",
        RegistryAction::AutoLimits { .. } => "limits around now",
    }
}

/// The name is recorded as what it is: a claim.
///
/// # Errors
/// When it is too long, or holds what is not shown.
pub fn actor(name: &str) -> Result<String, Status> {
    let name = name.trim();
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Status::invalid_argument(format!(
            "actor: give at most {NAME_CHARS_MAX} characters, without control characters"
        )));
    }
    if name.is_empty() {
        return Ok(ACTOR.to_owned());
    }
    Ok(format!("{name} (unverified)"))
}

fn action_id(id: &str) -> Result<(), Status> {
    if id.is_empty() || id.chars().count() > LABEL_CHARS_MAX {
        return Err(Status::invalid_argument(format!(
            "action_id: give 1 to {LABEL_CHARS_MAX} characters that no other action has, such as a random id"
        )));
    }
    Ok(())
}

/// The id of the transfer that an `Add` creates: from the action's id alone, so
/// that the same request again, even after a restart, names the same transfer.
/// FNV-1a, 64 bit: not secret, only spread.
fn transfer_of(action_id: &str) -> Result<TransferId, Status> {
    let hash = action_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    TransferId::new(&format!("tr-{hash:016x}")).map_err(|error| Status::internal(error.to_string()))
}
