//! `enroute.v1.Access`: breaking the glass.

use crate::caller::Caller;
use crate::convert;
use crate::live_service::name;
use enroute_access::{Action, Glass, NotBroken, Token};
use enroute_live::Live;
use enroute_model::ids::{ShortCode, TransferId};
use enroute_model::state::TransferState;
use enroute_wire::v1;
use enroute_wire::v1::access_server::Access as Service;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Characters of a reason: a word is none.
const REASON_CHARS: std::ops::RangeInclusive<usize> = 10..=200;
const NOBODY: &str = "this server asks nobody who they are: no glass stands before anything";

pub(crate) struct AccessService {
    pub(crate) live: Live,
}

#[tonic::async_trait]
impl Service for AccessService {
    async fn break_glass(
        &self,
        request: Request<v1::BreakGlassRequest>,
    ) -> Result<Response<v1::BreakGlassResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let token = breaker(&caller)?;
        let reason = reason(&asked.reason)?;
        let state = self.state(&asked.transfer).await?;
        caller.check_region(&state)?;
        if caller.has_all_under_glass(&state) {
            return Err(Status::failed_precondition(
                "this transfer is yours: nothing has to be broken",
            ));
        }
        let broken = caller.door().gate.broken();
        let glass = broken.open(&caller, &token, state.transfer.as_str(), reason);
        let glass = glass.map_err(|why: NotBroken| Status::resource_exhausted(why.to_string()))?;
        let glass = Some(told(&caller, &glass));
        Ok(Response::new(v1::BreakGlassResponse { glass }))
    }

    async fn end_glass(
        &self,
        request: Request<v1::EndGlassRequest>,
    ) -> Result<Response<v1::EndGlassResponse>, Status> {
        let caller = Caller::of(&request)?;
        breaker(&caller)?;
        let state = self.state(&request.into_inner().transfer).await?;
        let unknown = || Status::not_found("this transfer is not open to you by a broken glass");
        let glass = caller.own_glass(&state).ok_or_else(unknown)?;
        let broken = caller.door().gate.broken();
        if !broken.end(&caller, &glass, "its bearer said so") {
            return Err(unknown());
        }
        let glass = Some(told(&caller, &glass));
        Ok(Response::new(v1::EndGlassResponse { glass }))
    }

    async fn list_glasses(
        &self,
        request: Request<v1::ListGlassesRequest>,
    ) -> Result<Response<v1::ListGlassesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let now = caller.now();
        let all: Vec<Arc<Glass>> = {
            let glasses = caller.door().gate.broken().borrow();
            let open = glasses.iter().filter(|glass| now < glass.until);
            open.map(Arc::clone).collect()
        };
        let mut glass = Vec::new();
        for one in all {
            if is_own(&caller, &one) || self.may_know(&caller, &one).await {
                glass.push(told(&caller, &one));
            }
        }
        glass.sort_by_key(|one| one.since_us);
        Ok(Response::new(v1::ListGlassesResponse { glass }))
    }
}

impl AccessService {
    async fn state(&self, asked: &str) -> Result<Arc<TransferState>, Status> {
        name("transfer", asked)?;
        let state = self.live.state(asked).await;
        state.map_err(|error| convert::lookup(&error))
    }

    /// Whether somebody who runs the service is told of another's.
    async fn may_know(&self, caller: &Caller, glass: &Glass) -> bool {
        if !caller.may(Action::SeeService) {
            return false;
        }
        let state = self.live.state(&glass.transfer).await;
        caller.sees_everything() || state.is_ok_and(|state| caller.sees(&state))
    }
}

/// The token of somebody who may break the glass.
fn breaker(caller: &Caller) -> Result<Arc<Token>, Status> {
    let token = caller.token();
    let token = token.ok_or_else(|| Status::failed_precondition(NOBODY))?;
    if token.break_glass {
        return Ok(Arc::clone(token));
    }
    let why = "this token may not break the glass";
    caller.call().refuse(None, why);
    Err(Status::permission_denied(why))
}

fn reason(text: &str) -> Result<&str, Status> {
    let text = text.trim();
    let is_plain = !text.chars().any(char::is_control);
    if REASON_CHARS.contains(&text.chars().count()) && is_plain {
        return Ok(text);
    }
    let (least, most) = (REASON_CHARS.start(), REASON_CHARS.end());
    Err(Status::invalid_argument(format!(
        "reason: say why in {least} to {most} characters, without control characters and \
         without who the patient is"
    )))
}

fn is_own(caller: &Caller, glass: &Glass) -> bool {
    caller.token().is_some_and(|token| token.id == glass.token)
}

fn told(caller: &Caller, glass: &Glass) -> v1::Glass {
    let code = TransferId::new(&glass.transfer).map(|id| ShortCode::of(&id).to_string());
    v1::Glass {
        id: glass.id.clone(),
        transfer: glass.transfer.clone(),
        short_code: code.unwrap_or_default(),
        by: glass.name.clone(),
        reason: glass.reason.clone(),
        since_us: glass.since.0,
        until_us: glass.until.0,
        own: is_own(caller, glass),
    }
}
