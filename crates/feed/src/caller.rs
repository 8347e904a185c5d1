//! Who calls, what that one may, and when a stream of theirs has to end.

use crate::call::Call;
use crate::gate::Door;
use crate::rates::Place;
use enroute_access::{Action, Glass, Role, Scope, Token};
use enroute_model::ids::TransferId;
use enroute_model::registry::{TransferInfo, ViewerRole};
use enroute_model::state::TransferState;
use enroute_model::time::EngineTime;
use enroute_wire::v1;
use std::collections::BTreeSet;
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
    /// A transfer to be made with this id, of which this is known.
    New(&'a TransferInfo, &'a TransferId),
}

/// A transfer of which something goes on for a while, and by which broken glass, if it
/// would not be the caller's otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) glass: Option<Arc<Glass>>,
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

/// By which broken glass something is let through; `None`: by role and scope.
pub(crate) type UnderGlass = Option<Arc<Glass>>;

/// Who calls.
#[derive(Clone)]
pub(crate) struct Caller {
    door: Door,
    /// `None`: nobody is asked who they are.
    token: Option<Arc<Token>>,
    /// What is made here and now.
    call: Arc<Call>,
    /// Among the streams of its token; free when the last of these is gone.
    _place: Option<Arc<Place>>,
}

impl Caller {
    pub(crate) fn new(door: Door, token: Option<Arc<Token>>, call: Call) -> Self {
        let call = Arc::new(call.by(token.as_deref()));
        Self {
            door,
            token,
            call,
            _place: None,
        }
    }

    pub(crate) fn with_place(self, place: Option<Place>) -> Self {
        Self {
            _place: place.map(Arc::new),
            ..self
        }
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

    /// Whether this may be done somewhere, a broken glass included.
    pub(crate) fn may_somewhere(&self, action: Action) -> bool {
        self.may(action) || self.glass(action, Concern::Own).is_some()
    }

    fn role(&self) -> Option<Role> {
        self.token.as_ref().map(|token| token.role)
    }

    /// What else was looked at before a call is let through: a refusal is on record.
    pub(crate) fn on_record(
        &self,
        transfer: &str,
        looked: Result<(), Status>,
    ) -> Result<(), Status> {
        looked.inspect_err(|status| self.call.refuse(Some(transfer), status.message()))
    }

    /// Lets a call through or refuses it; either is on record.
    pub(crate) fn admit(&self, action: Action, concern: Concern<'_>) -> Result<UnderGlass, Status> {
        let glass = self.check(action, concern)?;
        self.call.allow(action, concern.id(), glass.as_deref());
        Ok(glass)
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
    pub(crate) fn check(&self, action: Action, concern: Concern<'_>) -> Result<UnderGlass, Status> {
        let (is_within, is_inside) = (self.is_within(concern), self.is_inside(concern));
        if is_within && is_inside && self.may(action) {
            return Ok(None);
        }
        if let Some(glass) = self.glass(action, concern) {
            return Ok(Some(glass));
        }
        if !self.may(action) {
            return Err(self.refused_of(action, concern.id()));
        }
        let why = if is_inside {
            "may not do this here: it concerns transfers that are not yours".to_owned()
        } else {
            self.outside(concern)
        };
        self.tell_refused(action, concern.id(), &why);
        Err(Status::permission_denied(why))
    }

    fn is_within(&self, concern: Concern<'_>) -> bool {
        let Some(scope) = self.scope() else {
            return true;
        };
        match concern {
            Concern::Own => true,
            Concern::Everything => scope.is_everything(),
            Concern::Transfer(state) => covers(scope, state),
            Concern::New(info, _) => scope.covers(&info.hospital, []),
        }
    }

    /// In which regions something may be seen; none where nobody is asked for one.
    fn regions_of<'a>(&'a self, concern: Concern<'a>) -> BTreeSet<&'a str> {
        let regions = self.door.gate.regions();
        match concern {
            Concern::Own => BTreeSet::new(),
            // All that is here lies in the server's own.
            Concern::Everything => regions.own.as_deref().into_iter().collect(),
            Concern::Transfer(state) => {
                let gateways = state.sources.iter().map(|source| source.gateway.as_str());
                let info = &state.info;
                regions.of_transfer(&info.regions, &info.hospital, gateways)
            }
            Concern::New(info, _) => regions.of_transfer(&info.regions, &info.hospital, []),
        }
    }

    /// Whether the caller is where this may be seen. No broken glass opens a region.
    pub(crate) fn is_inside(&self, concern: Concern<'_>) -> bool {
        self.is_in(&self.regions_of(concern))
    }

    fn is_in(&self, regions: &BTreeSet<&str>) -> bool {
        regions.is_empty() || self.region().is_some_and(|own| regions.contains(own))
    }

    /// Where the caller is; `None`: nobody is asked for that here.
    pub(crate) fn region(&self) -> Option<&str> {
        let said = self
            .token
            .as_ref()
            .and_then(|token| token.region.as_deref());
        let regions = self.door.gate.regions();
        regions
            .are_asked()
            .then(|| regions.of_caller(said))
            .flatten()
    }

    /// That it may not be seen here, in words.
    fn outside(&self, concern: Concern<'_>) -> String {
        let regions: Vec<&str> = self.regions_of(concern).into_iter().collect();
        let (regions, own) = (regions.join(", "), self.region().unwrap_or("none"));
        format!("may be seen in the regions {regions} alone, and you are in {own}")
    }

    /// Refuses, on record, who is not where a transfer may be seen.
    pub(crate) fn check_region(&self, state: &TransferState) -> Result<(), Status> {
        let concern = Concern::Transfer(state);
        if self.is_inside(concern) {
            return Ok(());
        }
        let why = self.outside(concern);
        self.call.refuse(concern.id(), &why);
        Err(Status::permission_denied(why))
    }

    /// Whether what a transfer may be seen in is kept when it becomes a part of another:
    /// of a list of its own no region may be missing.
    pub(crate) fn may_join(&self, leg: &TransferState, into: &TransferState) -> Result<(), Status> {
        let (said, target) = (&leg.info.regions, &into.info);
        let sources = into.sources.iter().chain(&leg.sources);
        let gateways = sources.map(|source| source.gateway.as_str());
        let regions = self.door.gate.regions();
        let joined = regions.of_transfer(&target.regions, &target.hospital, gateways);
        let is_kept = said.is_empty() || joined.iter().all(|to| said.iter().any(|own| own == to));
        if is_kept {
            return Ok(());
        }
        let (own, joined) = (said.join(", "), Vec::from_iter(joined).join(", "));
        Err(Status::failed_precondition(format!(
            "{} may be seen in {own} alone, and joined it would be in {joined}: give one of the \
             two other regions first",
            leg.transfer
        )))
    }

    /// Refuses a list of regions that nobody would be asked for, or that shuts out who
    /// makes it: nobody here could take it back.
    pub(crate) fn may_pin<'a>(
        &'a self,
        info: &'a TransferInfo,
        gateways: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Status> {
        let Some(own) = self.region() else {
            let is_asked = "this server has no region: configure region = \"…\" first";
            let is_none = info.regions.is_empty();
            return is_none
                .then_some(())
                .ok_or_else(|| Status::failed_precondition(is_asked));
        };
        let regions = self.door.gate.regions();
        let seen = regions.of_transfer(&info.regions, &info.hospital, gateways);
        if seen.contains(own) {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "you are in {own}, which is not among the regions {}: you could not change them again",
            Vec::from_iter(seen).join(", ")
        )))
    }

    /// The broken glass by which this may be done, if one does.
    fn glass(&self, action: Action, concern: Concern<'_>) -> UnderGlass {
        let token = self.token.as_ref().filter(|token| token.break_glass)?;
        if !action.is_under_glass() || !self.is_inside(concern) {
            return None;
        }
        let (glasses, now) = (self.door.gate.broken().borrow(), self.now());
        let found = match concern {
            Concern::Own => glasses.of(&token.id, now).next(),
            Concern::Transfer(state) => glasses.find(&token.id, ids(state), now),
            Concern::Everything | Concern::New(..) => None,
        };
        found.map(Arc::clone)
    }

    /// The broken glass by which a transfer is open to the caller, needed or not.
    pub(crate) fn own_glass(&self, state: &TransferState) -> UnderGlass {
        self.glass(Action::SeePatient, Concern::Transfer(state))
    }

    /// Whether all that a broken glass gives is the caller's without one.
    pub(crate) fn has_all_under_glass(&self, state: &TransferState) -> bool {
        let mut given = { Action::ALL.iter() }.filter(|action| action.is_under_glass());
        self.sees(state) && given.all(|action| self.may(*action))
    }

    /// Whether a transfer that is under way may go on.
    fn still_may(&self, action: Action, state: &TransferState) -> bool {
        (self.may(action) && self.sees(state))
            || self.glass(action, Concern::Transfer(state)).is_some()
    }

    pub(crate) fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    pub(crate) fn door(&self) -> &Door {
        &self.door
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
        let is_own = self.scope().is_none_or(|scope| covers(scope, state));
        is_own && self.is_inside(Concern::Transfer(state))
    }

    /// Whether a transfer stands in a list for this caller; one that is theirs by a broken
    /// glass alone is on record as seen.
    pub(crate) fn lists(&self, state: &TransferState) -> bool {
        if self.sees(state) {
            return true;
        }
        let glass = self.own_glass(state);
        if let Some(glass) = &glass {
            let id = Some(state.transfer.as_str());
            self.call.allow(Action::SeePatient, id, Some(glass));
        }
        glass.is_some()
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

    /// Whether the caller is where a transfer may be seen of which this is known.
    pub(crate) fn is_inside_named<'a>(
        &'a self,
        info: Option<&'a v1::TransferInfo>,
        gateways: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let regions = self.door.gate.regions();
        info.is_none_or(|info| {
            self.is_in(&regions.of_transfer(&info.region, &info.hospital, gateways))
        })
    }

    /// Whether nothing that is told has to be left out for this caller.
    pub(crate) fn is_told_all(&self) -> bool {
        self.sees_everything() && !self.door.gate.regions().are_asked()
    }

    /// Whether all there is concerns this caller.
    pub(crate) fn sees_everything(&self) -> bool {
        self.scope().is_none_or(Scope::is_everything)
    }

    /// Whether [`Caller::show`] leaves everything as it is.
    pub(crate) fn is_shown_all(&self) -> bool {
        self.role() != Some(Role::Wall)
    }

    /// What is shown of a transfer: a screen on a wall tells nothing that somebody
    /// wrote.
    pub(crate) fn show(&self, state: &mut v1::TransferState) {
        if !self.is_shown_all() {
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

    /// Why one of these transfers may not be shown any more.
    async fn lost(&self, action: Action, named: &[Named]) -> Option<&'static str> {
        for Named { id, glass } in named {
            // One that is not found has nothing to tell.
            let state = self.door.live.state(id).await;
            if state.is_ok_and(|state| !self.still_may(action, &state)) {
                return Some(match glass {
                    Some(_) => "the broken glass is over, and this transfer is not yours",
                    None => "this transfer is not yours any more",
                });
            }
        }
        None
    }

    /// Resolves when what was opened may not go on: the token was revoked, changed or
    /// is over, or one of the transfers named goes elsewhere now.
    pub(crate) async fn ends(self, action: Action, named: Vec<Named>) -> Status {
        let (Some(token), Some(known)) = (self.token.as_ref(), self.door.gate.known()) else {
            return std::future::pending().await;
        };
        let mut known = known.clone();
        let mut glasses = self.door.gate.broken().subscribe();
        let mut minutes = tokio::time::interval(ASKED_EVERY);
        loop {
            glasses.mark_unchanged();
            let lost = self.lost(action, &named).await;
            // Asked behind it: what a token loses with its end is lost because it ended.
            let now = self.door.live.clock().wall();
            if !known.still_has(token, now) {
                return Status::unauthenticated("this token was revoked, changed, or is over");
            }
            if let Some(why) = lost {
                return Status::permission_denied(why);
            }
            let is_under_glass = named.iter().any(|named| named.glass.is_some());
            tokio::select! {
                () = known.changed(token) => {}
                Ok(()) = glasses.changed(), if is_under_glass => {}
                _ = minutes.tick() => {}
            }
        }
    }
}

fn covers(scope: &Scope, state: &TransferState) -> bool {
    scope.covers(&state.info.hospital, ids(state))
}

fn ids(state: &TransferState) -> impl Iterator<Item = &str> {
    let ids = state.aliases.iter().chain([&state.transfer]);
    ids.map(TransferId::as_str)
}
