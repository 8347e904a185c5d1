//! Who calls, what that one may, and when a stream of theirs has to end.

use crate::call::Call;
use crate::gate::Door;
use enroute_access::{Action, Role, Scope, Token};
use enroute_model::ids::TransferId;
use enroute_model::registry::ViewerRole;
use enroute_model::state::TransferState;
use enroute_model::time::EngineTime;
use enroute_wire::v1;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Status};

/// How often a stream asks whether its caller still may see it, apart from the moment
/// in which tokens change.
const ASKED_EVERY: Duration = Duration::from_mins(1);

/// What a call concerns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Concern<'a> {
    /// All transfers that the caller may see; what is told is chosen later.
    Own,
    /// Everything there is.
    Everything,
    /// One transfer.
    Transfer(&'a TransferState),
    /// A transfer to be made with this id, that goes to this hospital.
    New(&'a str, &'a TransferId),
}

impl Concern<'_> {
    /// The id that goes on record.
    fn id(&self) -> Option<&str> {
        match self {
            Self::Own | Self::Everything => None,
            Self::Transfer(state) => Some(state.transfer.as_str()),
            Self::New(_, id) => Some(id.as_str()),
        }
    }
}

/// Who calls.
#[derive(Clone)]
pub(crate) struct Caller {
    door: Door,
    /// `None`: nobody is asked who they are.
    token: Option<Arc<Token>>,
    /// What is made here and now.
    call: Arc<Call>,
}

impl Caller {
    pub(crate) fn new(door: Door, token: Option<Arc<Token>>, call: Call) -> Self {
        let call = Arc::new(call.by(token.as_deref()));
        Self { door, token, call }
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// By the server's clock that never steps.
    pub(crate) fn now(&self) -> EngineTime {
        self.door.live.clock().now()
    }

    /// Who made this request; the gate wrote it there.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let caller = request.extensions().get::<Self>().cloned();
        caller.ok_or_else(|| Status::internal("the request did not come through the gate"))
    }

    /// Whether this may be done at all.
    pub(crate) fn may(&self, action: Action) -> bool {
        self.role().is_none_or(|role| role.may(action))
    }

    fn role(&self) -> Option<Role> {
        self.token.as_ref().map(|token| token.role)
    }

    /// Lets a call through or refuses it; either is on record.
    pub(crate) fn admit(&self, action: Action, concern: Concern<'_>) -> Result<(), Status> {
        self.check(action, concern)?;
        self.call.allow(action, concern.id());
        Ok(())
    }

    /// The same of what takes data away: it waits until it is on record, and is refused
    /// while nothing can be put there.
    pub(crate) async fn admit_durably(
        &self,
        action: Action,
        concern: Concern<'_>,
    ) -> Result<(), Status> {
        self.check(action, concern)?;
        self.call.allow_durably(concern.id()).await
    }

    /// Refuses a call that may not be, on record, and says nothing of one that may: more
    /// has to be known of it.
    pub(crate) fn check(&self, action: Action, concern: Concern<'_>) -> Result<(), Status> {
        if !self.may(action) {
            return Err(self.refused_of(action, concern.id()));
        }
        let Some(scope) = self.scope() else {
            return Ok(());
        };
        let is_within = match concern {
            Concern::Own => true,
            Concern::Everything => scope.is_everything(),
            Concern::Transfer(state) => covers(scope, state),
            Concern::New(hospital, _) => scope.covers(hospital, []),
        };
        if is_within {
            return Ok(());
        }
        let why = "may not do this here: it concerns transfers that are not yours";
        self.tell_refused(action, concern.id(), why);
        Err(Status::permission_denied(why))
    }

    pub(crate) fn refused(&self, action: Action) -> Status {
        self.refused_of(action, None)
    }

    fn refused_of(&self, action: Action, transfer: Option<&str>) -> Status {
        let role = self.role().map_or("nobody", Role::as_str);
        let why = format!("a {role} may not {}", action.as_str());
        self.tell_refused(action, transfer, &why);
        Status::permission_denied(why)
    }

    fn tell_refused(&self, action: Action, transfer: Option<&str>, why: &str) {
        let token = self.token.as_ref().map_or("", |token| &token.id);
        tracing::info!(token, action = action.as_str(), "refused a call");
        self.call.refuse(transfer, why);
    }

    fn scope(&self) -> Option<&Scope> {
        self.token.as_ref().map(|token| &token.scope)
    }

    /// Whether a transfer is among those of this caller.
    pub(crate) fn sees(&self, state: &TransferState) -> bool {
        self.scope().is_none_or(|scope| covers(scope, state))
    }

    /// The same of what is only known in the contract's words; what was deleted has
    /// ids and nothing else.
    pub(crate) fn sees_named(
        &self,
        info: Option<&v1::TransferInfo>,
        id: &str,
        aliases: &[String],
    ) -> bool {
        self.scope().is_none_or(|scope| {
            let hospital = info.map_or("", |info| &info.hospital);
            scope.covers(hospital, aliases.iter().map(String::as_str).chain([id]))
        })
    }

    /// Whether all there is concerns this caller.
    pub(crate) fn sees_everything(&self) -> bool {
        self.scope().is_none_or(Scope::is_everything)
    }

    /// What is shown of a transfer: a screen on a wall tells nothing that somebody
    /// wrote.
    pub(crate) fn show(&self, state: &mut v1::TransferState) {
        if self.role() == Some(Role::Wall) {
            state.note_to_crew.clear();
            state.crew_log.clear();
        }
    }

    /// As whom the caller looks.
    pub(crate) fn looks_as(&self, claimed: ViewerRole) -> ViewerRole {
        self.role().map_or(claimed, |role| role.looks_as(claimed))
    }

    /// Under which name something is done: the token's, or a claim that nobody checks.
    pub(crate) fn actor(
        &self,
        claimed: impl FnOnce() -> Result<String, Status>,
    ) -> Result<String, Status> {
        let name = self
            .token
            .as_ref()
            .map_or_else(claimed, |token| Ok(token.name.clone()))?;
        self.call.claims(&name);
        Ok(name)
    }

    /// Whether another call came with the same token.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let id = |caller: &Self| caller.token.as_ref().map(|token| token.id.clone());
        id(self) == id(other)
    }

    /// Resolves when what was opened may not go on: the token was revoked, changed or
    /// is over, or one of the transfers named goes elsewhere now.
    pub(crate) async fn ends(self, named: Vec<String>) -> Status {
        let (Some(token), Some(known)) = (self.token.as_ref(), self.door.gate.known()) else {
            return std::future::pending().await;
        };
        let mut known = known.clone();
        let mut minutes = tokio::time::interval(ASKED_EVERY);
        loop {
            let now = self.door.live.clock().wall();
            if !known.still_has(token, now) {
                return Status::unauthenticated("this token was revoked, changed, or is over");
            }
            for name in &named {
                // One that is not found has nothing to tell.
                let state = self.door.live.state(name).await;
                if state.is_ok_and(|state| !self.sees(&state)) {
                    return Status::permission_denied("this transfer is not yours any more");
                }
            }
            tokio::select! {
                () = known.changed(token) => {}
                _ = minutes.tick() => {}
            }
        }
    }
}

fn covers(scope: &Scope, state: &TransferState) -> bool {
    let ids = state.aliases.iter().chain([&state.transfer]);
    scope.covers(&state.info.hospital, ids.map(TransferId::as_str))
}
