//! Who is let in: the one place where a call meets its caller's token, for gRPC and
//! gRPC-Web alike, and the pages beside them.
//!
//! A method that [`needs`] does not know is refused. What a call concerns is known
//! only when its message is read: services ask [`Caller::admit`] with it.

use crate::call::Call;
use crate::caller::Caller;
use crate::glass::{Broken, GlassCounts};
use crate::issuer::Issuer;
use crate::rates::{Class, Place, RateCounts, Rates, Whose};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use enroute_access::{Action, Refused, Regions, Token, Tokens};
use enroute_audit::Audit;
use enroute_live::Live;
use enroute_model::time::{ServerTime, Span};
use enroute_tls::Came;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status};

/// Who may come in at a port. One that is open lets everybody do everything.
#[derive(Clone, Default)]
pub struct Gate {
    known: Option<Known>,
    audit: Option<Audit>,
    broken: Broken,
    regions: Arc<Regions>,
    rates: Rates,
}

/// By what callers are known.
#[derive(Clone)]
pub(crate) struct Known {
    tokens: watch::Receiver<Arc<Tokens>>,
    issuer: Option<Issuer>,
}

/// What a request shows of its caller.
struct Shown {
    token: Option<String>,
    /// Whence, and with which certificate.
    came: Option<Came>,
}

impl Gate {
    /// Lets in whom `tokens` know, and whom `issuer` does; what changes there counts at
    /// once, for what is under way as well.
    #[must_use]
    pub fn new(tokens: watch::Receiver<Arc<Tokens>>, issuer: Option<Issuer>) -> Self {
        Self {
            known: Some(Known { tokens, issuer }),
            audit: None,
            broken: Broken::default(),
            regions: Arc::default(),
            rates: Rates::default(),
        }
    }

    /// Who comes in and what they do is told there.
    #[must_use]
    pub fn audited(self, audit: Audit) -> Self {
        Self {
            audit: Some(audit),
            ..self
        }
    }

    /// A broken glass opens a transfer for so long; an hour unless told otherwise.
    #[must_use]
    pub fn glass_lasts(self, lasts: Span) -> Self {
        let broken = self.broken.lasts(lasts);
        Self { broken, ..self }
    }

    /// Transfers are seen in their regions alone.
    #[must_use]
    pub fn pinned(self, regions: Regions) -> Self {
        let regions = Arc::new(regions);
        Self { regions, ..self }
    }

    /// What is counted of callers that ask too much, and of wrong tokens.
    #[must_use]
    pub fn rate_counts(&self) -> Arc<RateCounts> {
        self.rates.counts()
    }

    pub(crate) fn regions(&self) -> &Regions {
        &self.regions
    }

    /// What is counted of broken glass.
    #[must_use]
    pub fn glass_counts(&self) -> Arc<GlassCounts> {
        self.broken.counts()
    }

    pub(crate) fn broken(&self) -> &Broken {
        &self.broken
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Whose token is shown; `None`: nobody is asked for one. What is none is looked up all
    /// the same, however often it comes, and only its answer waits: behind one address
    /// may be a whole hospital, whose right tokens must not suffer from a wrong one.
    async fn token(&self, shown: &Shown, door: &Door) -> Result<Option<Arc<Token>>, Status> {
        let found = self.find(shown, door.now()).await;
        if found.is_err() && shown.token.is_some() {
            let now = door.live.clock().now();
            if self.rates.is_slowed(shown.address(), now)
                && let Ok(_waits) = SLOWED.try_acquire()
            {
                tokio::time::sleep(WRONG_WAITS).await;
            }
        }
        found
    }

    async fn find(&self, shown: &Shown, now: ServerTime) -> Result<Option<Arc<Token>>, Status> {
        let Some(known) = &self.known else {
            return Ok(None);
        };
        let Some(token) = &shown.token else {
            return Err(Status::unauthenticated(
                "this server asks for a token: set ENROUTE_TOKEN, or log in",
            ));
        };
        if let Some(issuer) = &known.issuer
            && !Tokens::is_one(token)
        {
            let token = issuer.token(token, now).await;
            return token
                .map(Some)
                .map_err(|why| Status::unauthenticated(format!("this token {why}")));
        }
        let tokens = known.tokens.borrow();
        match tokens.find(token, shown.certificate(), now) {
            Ok(token) => Ok(Some(Arc::clone(token))),
            Err(refused) => Err(Status::unauthenticated(match refused {
                Refused::Unknown => "this token is not known here, or was revoked",
                Refused::Expired => "this token's time is over: ask for a new one",
                Refused::Unbound => "this token works with its own certificate only",
            })),
        }
    }
}

impl Known {
    /// Whether the right to break the glass by `token` still is what it was. That of an
    /// issued one is asked of each token that comes, and outlives none.
    pub(crate) fn still_breaks(&mut self, token: &Token, now: ServerTime) -> bool {
        token.is_issued() || self.still_has(token, now)
    }

    /// Whether a token that was let in still is what it was.
    pub(crate) fn still_has(&mut self, token: &Token, now: ServerTime) -> bool {
        if !token.is_issued() {
            return self.tokens.borrow_and_update().still_has(token, now);
        }
        let issuer = self.issuer.as_mut();
        issuer.is_some_and(|issuer| token.holds_by(&issuer.keys.borrow_and_update(), now))
    }

    /// Resolves when what `token` rests on has changed; never when nobody is left to
    /// change it.
    pub(crate) async fn changed(&mut self, token: &Token) {
        let changed = match &mut self.issuer {
            Some(issuer) if token.is_issued() => issuer.keys.changed().await,
            Some(_) | None => self.tokens.changed().await,
        };
        if changed.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Shown {
    fn by(request: &Request) -> Self {
        Self {
            token: bearer(request.headers()).map(str::to_owned),
            came: request.extensions().get::<Came>().cloned(),
        }
    }

    /// Where the connection comes from, without its port.
    fn address(&self) -> Option<String> {
        Some(self.came.as_ref()?.from.ip().to_string())
    }

    /// Who has the budget of a call that shows no token that is asked for.
    fn whose(&self) -> Whose {
        let peer = self.certificate().map(|name| Whose::Peer(name.to_owned()));
        let address = || self.address().map_or(Whose::Others, Whose::Address);
        peer.unwrap_or_else(address)
    }

    /// The name of the connection's certificate.
    fn certificate(&self) -> Option<&str> {
        self.came.as_ref()?.peer.as_ref()?.name.as_deref()
    }
}

/// What stands before the services.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) gate: Gate,
    pub(crate) live: Live,
}

impl Door {
    fn now(&self) -> ServerTime {
        self.live.clock().wall()
    }
}

/// Wrong tokens that wait for their answers at a time; further ones have it at once.
static SLOWED: Semaphore = Semaphore::const_new(256);
/// How long each waits.
const WRONG_WAITS: Duration = Duration::from_secs(1);

/// What a call costs, and whether it holds a place among the streams.
fn class(path: &str) -> (Class, bool) {
    let (service, method) = path.rsplit_once('/').unwrap_or_default();
    let is_act = match service {
        "/grpc.health.v1.Health" => return (Class::Health, false),
        "/enroute.v1.Transfers" => true,
        "/enroute.v1.Identities" => method != "Get",
        "/enroute.v1.Access" => method != "ListGlasses",
        _ => method == "DeleteRecording",
    };
    let is_stream = matches!(
        method,
        "Watch" | "History" | "AlertHistory" | "Play" | "Backup"
    );
    (if is_act { Class::Act } else { Class::Look }, is_stream)
}

impl Door {
    /// Whether one more call of this caller goes through; with its place if it is a
    /// stream by a token. Where no token is asked for, screens behind one address cannot
    /// be told apart, and streams are bounded together alone.
    fn within_rates(
        &self,
        path: &str,
        shown: &Shown,
        token: Option<&Token>,
    ) -> Result<Option<Place>, String> {
        let (class, is_stream) = class(path);
        let of_token = token.map(|token| Whose::Token(token.id.clone()));
        let whose = of_token.unwrap_or_else(|| shown.whose());
        let rates = &self.gate.rates;
        rates.call(whose, class, self.live.clock().now())?;
        let streams = token.filter(|_| is_stream);
        streams.map(|token| rates.stream(&token.id)).transpose()
    }
}

/// What a method asks for.
enum Needs {
    /// Nothing: whether the server lives is for everybody.
    Nothing,
    /// To be known.
    Token,
    /// That the caller may do one of these at least.
    OneOf(&'static [Action]),
}

/// By the path of a method; `None`: there is no such method, or nobody thought of it.
fn needs(path: &str) -> Option<Needs> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let actions: &[Action] = match (service, method) {
        ("grpc.health.v1.Health", _) => return Some(Needs::Nothing),
        ("grpc.reflection.v1.ServerReflection", _) => return Some(Needs::Token),
        ("enroute.v1.Live", "List" | "Watch") => &[Action::SeeBoard],
        ("enroute.v1.Live", "History" | "AlertHistory") => &[Action::SeePatient],
        ("enroute.v1.Replay", "ListRecordings") => &[Action::SeeRecordings],
        ("enroute.v1.Replay", "Play" | "Control") => &[Action::Replay],
        ("enroute.v1.Replay", "DeleteRecording") => &[Action::Delete],
        ("enroute.v1.Transfers", "Add") => &[Action::Register],
        ("enroute.v1.Transfers", "Act") => &[Action::Report, Action::Treat, Action::Register],
        ("enroute.v1.Identities", "Get") => &[Action::SeeIdentity],
        ("enroute.v1.Identities", "Set" | "Export") => &[Action::Identify],
        ("enroute.v1.Identities", "Delete") => &[Action::Identify, Action::Forget],
        // Whether a glass may be broken is a word of the token, and no role's.
        ("enroute.v1.Access", "BreakGlass" | "EndGlass" | "ListGlasses") => {
            return Some(Needs::Token);
        }
        ("enroute.v1.Admin", "Backup") => &[Action::Backup],
        _ => return None,
    };
    Some(Needs::OneOf(actions))
}

/// Stands before the services: behind it every request has a [`Caller`].
pub(crate) async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let shown = Shown::by(&request);
    match let_in(&door, &path, shown).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let response = next.run(request).await;
            // A stream that goes on says nothing yet.
            let status = Status::from_header_map(response.headers());
            let code = status.map_or(Code::Ok, |status| status.code());
            caller.call().answered(code);
            response
        }
        Err(status) => status.into_http(),
    }
}

async fn let_in(door: &Door, path: &str, shown: Shown) -> Result<Caller, Status> {
    let needed = needs(path);
    let call = Call::new(door.gate.audit.clone(), path, shown.came.as_ref());
    let token = match needed {
        Some(Needs::Nothing) => Ok(None),
        Some(Needs::Token | Needs::OneOf(_)) | None => door.gate.token(&shown, door).await,
    };
    let token = token.inspect_err(|status| {
        tracing::info!(path, reason = status.message(), "refused a call");
        call.refuse(None, status.message());
    })?;
    let is_open = door.gate.known.is_none();
    let place = door.within_rates(path, &shown, token.as_deref());
    let caller = Caller::new(door.clone(), token, call);
    let caller = match place {
        Ok(place) => caller.with_place(place),
        Err(why) => {
            caller.call().refuse(None, &why);
            return Err(Status::resource_exhausted(why));
        }
    };
    match needed {
        Some(Needs::Nothing | Needs::Token) => Ok(caller),
        Some(Needs::OneOf(actions)) if actions.iter().any(|a| caller.may_somewhere(*a)) => {
            Ok(caller)
        }
        Some(Needs::OneOf(actions)) => {
            let refused = actions.first().copied().unwrap_or(Action::SeeService);
            Err(caller.refused(refused))
        }
        None if is_open => Ok(caller),
        None => {
            let why = "nobody may call this method";
            caller.call().refuse(None, why);
            Err(Status::permission_denied(why))
        }
    }
}

/// The pages of `router` are for those who may see how the service does.
pub(crate) fn service_pages<S>(router: axum::Router<S>, door: Door) -> axum::Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(from_fn_with_state(door, guard_page))
}

async fn guard_page(State(door): State<Door>, request: Request, next: Next) -> Response {
    let refused = |status, why: &str| {
        let asks = [(WWW_AUTHENTICATE, "Bearer realm=\"enroute\"")];
        (status, asks, format!("{why}\n")).into_response()
    };
    let shown = Shown::by(&request);
    let path = request.uri().path();
    let call = Call::new(door.gate.audit.clone(), path, shown.came.as_ref());
    match door.gate.token(&shown, &door).await {
        Err(status) => {
            call.refuse(None, status.message());
            refused(StatusCode::UNAUTHORIZED, status.message())
        }
        Ok(token) => {
            let caller = Caller::new(door, token, call);
            if caller.may(Action::SeeService) {
                return next.run(request).await;
            }
            let status = caller.refused(Action::SeeService);
            refused(StatusCode::FORBIDDEN, status.message())
        }
    }
}

/// `/who.json`: as whom a token is known.
pub(crate) fn who_page(door: Door) -> axum::Router {
    axum::Router::new().route("/who.json", get(who).with_state(door))
}

async fn who(State(door): State<Door>, request: Request) -> Response {
    let shown = Shown::by(&request);
    let path = request.uri().path();
    let call = Call::new(door.gate.audit.clone(), path, shown.came.as_ref());
    match door.gate.token(&shown, &door).await {
        Err(status) => {
            call.refuse(None, status.message());
            (StatusCode::UNAUTHORIZED, status.message().to_owned()).into_response()
        }
        Ok(token) => {
            // A page asks when somebody logs in.
            call.by(token.as_deref()).answered(Code::Ok);
            let told = match &token {
                Some(token) => serde_json::json!({
                    "name": token.name,
                    "role": token.role.as_str(),
                    "break_glass": token.break_glass,
                }),
                None => serde_json::json!({ "name": null, "role": null, "break_glass": false }),
            };
            let told = axum::Json(told);
            ([(CACHE_CONTROL, "no-store")], told).into_response()
        }
    }
}

/// RFC 6750, section 2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
