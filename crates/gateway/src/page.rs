//! The crew's page: plain HTML that works without scripts, and a JSON interface.
//!
//! Shows whether the hospital is receiving and what waits on board; takes what
//! no monitor measures. Without a PIN whoever reaches the address acts for the
//! crew. Posts from other sites are refused, and names that are not ours. Bodies are
//! bounded by [`BODY_BYTES_MAX`], connections by [`CONNECTIONS_MAX`].

mod actions;
mod html;
mod pin;
mod state;
mod words;

use crate::config::{Config, PageConfig};
use crate::desk::Desk;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use enroute_model::frame::CrewEvent;
use enroute_model::ids::GatewayId;
use enroute_tls::{Acceptor, Connection, Limits, listen};
use pin::{Pin, Shut};
use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use words::{Language, fill};

/// Most bytes of a posted form. The longest note, in a script whose characters
/// take four bytes, has 12 for each of them.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// Connections at a time: some tablets, and what watches over the box.
const CONNECTIONS_MAX: usize = 64;
/// Nothing from elsewhere, and no frame around the page.
const CONTENT_POLICY: &str =
    "default-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Who has typed the PIN.
const COOKIE: &str = "enroute-crew";
/// What the tablet's reader chose, for a year.
const LANGUAGE_COOKIE: &str = "enroute-language";
const LANGUAGE_KEPT_S: u32 = 365 * 86_400;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Page {
    desk: Arc<Desk>,
    gateway: GatewayId,
    config: PageConfig,
    pin: Pin,
}

impl Page {
    fn render(&self, language: Language, error: Option<&str>) -> String {
        html::render(&self.now(language), language, self.pin.is_set(), error)
    }
}

/// The page, and `more` beside it, which must not have its routes.
pub(crate) fn router(desk: Arc<Desk>, config: &Config, more: Router) -> Router {
    let page = Arc::new(Page {
        desk,
        gateway: config.id.clone(),
        config: config.page.clone(),
        pin: Pin::new(config.page.pin.clone()),
    });
    Router::new()
        .route("/", get(show))
        .route(
            "/page.css",
            get(|| async { asset("text/css", include_str!("page/page.css")) }),
        )
        .route(
            "/page.js",
            get(|| async { asset("text/javascript", include_str!("page/page.js")) }),
        )
        .route("/pin", post(enter))
        .route("/lock", post(leave))
        .route("/language", post(choose))
        .route("/api/state", get(state))
        .route("/act/{action}", post(act_by_form))
        .route("/api/act/{action}", post(act_by_json))
        .with_state(Arc::clone(&page))
        .merge(more)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(page, guard))
}

/// Serves until it is dropped. Certificates are read again every few seconds.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<Acceptor>>, app: Router) {
    let at = listener.local_addr();
    let acceptors = tls.iter().cloned().collect();
    let connections = listen(listener, tls, Limits::of(CONNECTIONS_MAX), Arc::default());
    let Ok(at) = at else { return };
    let served = axum::serve(Connections { at, connections }, app).into_future();
    tokio::select! {
        ended = served => {
            if let Err(error) = ended {
                tracing::error!(%error, "the crew's page stopped");
            }
        }
        () = enroute_tls::keep(acceptors) => {}
    }
}

/// Connections behind their handshake, as axum takes them.
struct Connections {
    at: SocketAddr,
    connections: mpsc::Receiver<Connection>,
}

impl axum::serve::Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => {
                let from = connection.from();
                (connection, from)
            }
            // Nobody accepts any more: the runtime goes down.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.at)
    }
}

/// Refuses names that are not ours and posts from other sites.
async fn guard(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = text(headers, header::HOST).unwrap_or_default();
    if !is_ours(host, &page.config.names) {
        let why =
            "This name is not known here: use the address, or list the name in [page] names.\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    if request.method() == Method::POST && !is_same_site(headers, host) {
        let why = "Refused: this was sent by a page of another site.\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let language = language(headers);
    let open = page.pin.knows(cookie(headers, COOKIE)) || !needs_pin(request.uri().path());
    let mut response = if open {
        next.run(request).await
    } else if request.uri().path().starts_with("/api/") {
        let body = Json(serde_json::json!({ "error": "the PIN is needed" }));
        (StatusCode::UNAUTHORIZED, body).into_response()
    } else {
        (
            StatusCode::UNAUTHORIZED,
            Html(html::locked(&page.now(language), language, None)),
        )
            .into_response()
    };
    let mut set = |name, value| {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value))
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CACHE_CONTROL, "no-store");
    response
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Browsers name the origin of every post to another site; programs without one
/// are no browsers.
fn is_same_site(headers: &HeaderMap, host: &str) -> bool {
    let same = |origin: &str| origin.split_once("://").is_some_and(|(_, of)| of == host);
    let origin = headers
        .get(header::ORIGIN)
        .map(|o| o.to_str().unwrap_or_default());
    let fetch = headers
        .get("sec-fetch-site")
        .map(|s| s.to_str().unwrap_or_default());
    origin.is_none_or(same) && fetch.is_none_or(|site| site == "same-origin" || site == "none")
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// What shows the patient or acts for the crew; not the page's looks, nor what
/// stands beside it for machines.
fn needs_pin(path: &str) -> bool {
    path == "/" || path.starts_with("/api/") || path.starts_with("/act/")
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let all = text(headers, header::COOKIE)?.split(';');
    all.filter_map(|one| one.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// What was chosen on this tablet, else what its browser prefers.
fn language(headers: &HeaderMap) -> Language {
    let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(Language::of_tag);
    let preferred = || Language::of_list(text(headers, header::ACCEPT_LANGUAGE)?);
    chosen.or_else(preferred).unwrap_or(Language::En)
}

async fn choose(axum::Form(fields): axum::Form<BTreeMap<String, String>>) -> Response {
    let to = fields.get("to").and_then(|tag| Language::of_tag(tag));
    let tag = to.unwrap_or(Language::En).tag();
    let cookie = format!(
        "{LANGUAGE_COOKIE}={tag}; Path=/; Max-Age={LANGUAGE_KEPT_S}; HttpOnly; SameSite=Strict"
    );
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

async fn enter(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    axum::Form(fields): axum::Form<BTreeMap<String, String>>,
) -> Response {
    let typed = fields.get("pin").map_or("", String::as_str);
    match page.pin.enter(typed, page.desk.monotonic()) {
        Ok(token) => {
            // What a browser got over TLS it never sends in clear.
            let secure = page.config.tls.as_ref().map_or("", |_| "; Secure");
            let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}");
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Err(shut) => {
            let language = language(&headers);
            let words = language.words();
            let why = match shut {
                Shut::Wrong => words.pin_wrong.to_owned(),
                Shut::For { seconds } => fill(words.pin_wait, &[("n", &seconds.to_string())]),
                Shut::Failed(why) => fill(words.not_let_in, &[("why", &why)]),
            };
            let page = html::locked(&page.now(language), language, Some(&why));
            (StatusCode::UNAUTHORIZED, Html(page)).into_response()
        }
    }
}

async fn leave(State(page): State<Arc<Page>>, headers: HeaderMap) -> Redirect {
    page.pin.leave(cookie(&headers, COOKIE));
    Redirect::to("/")
}

async fn show(State(page): State<Arc<Page>>, headers: HeaderMap) -> Html<String> {
    Html(page.render(language(&headers), None))
}

async fn state(State(page): State<Arc<Page>>, headers: HeaderMap) -> Json<state::Shown> {
    Json(page.now(language(&headers)))
}

async fn act_by_form(
    State(page): State<Arc<Page>>,
    Path(action): Path<String>,
    headers: HeaderMap,
    axum::Form(fields): axum::Form<BTreeMap<String, String>>,
) -> Response {
    let language = language(&headers);
    match page.act(&action, &fields, language.words()).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(why) => {
            let page = page.render(language, Some(&why));
            (StatusCode::UNPROCESSABLE_ENTITY, Html(page)).into_response()
        }
    }
}

async fn act_by_json(
    State(page): State<Arc<Page>>,
    Path(action): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A page of another site cannot send this type without asking first.
    let json =
        text(&headers, header::CONTENT_TYPE).is_some_and(|t| t.starts_with("application/json"));
    let fields = if json { fields_of(&body) } else { None };
    let language = language(&headers);
    let done = match fields {
        Some(fields) => page.act(&action, &fields, language.words()).await,
        None => Err("send a JSON object of texts and numbers as application/json".to_owned()),
    };
    match done {
        Ok(()) => Json(page.now(language)).into_response(),
        Err(error) => {
            let body = Json(serde_json::json!({ "error": error }));
            (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
        }
    }
}

/// The fields of a JSON object, as a form would send them.
fn fields_of(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let field = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Some((name, text)),
        serde_json::Value::Number(number) => Some((name, number.to_string())),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    };
    object.into_iter().map(field).collect()
}

/// What a form that came as JSON records, if it records something: for those who send
/// hostile ones. `None`: it is none.
#[must_use]
pub fn crew_asks(action: &str, json: &[u8]) -> Option<Result<Option<CrewEvent>, String>> {
    let asked = actions::parse(action, &fields_of(json)?, Language::En.words());
    Some(asked.map(|action| match action {
        actions::Action::Enter(event) => Some(event),
        actions::Action::Start | actions::Action::ReadNotes => None,
    }))
}

#[cfg(test)]
mod tests;
