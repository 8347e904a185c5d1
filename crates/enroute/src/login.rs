//! `/login.json`: what the console has to know before anybody is known to it.

use crate::oidc::Found;
use axum::Json;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use enroute_config::access::{AccessConfig, OidcConfig};
use enroute_config::address::origin;
use serde::Serialize;

/// How one logs in here. Nothing of it is a secret.
#[derive(Debug, Serialize)]
pub(crate) struct Login {
    /// Whether anybody is asked who they are.
    asks: bool,
    /// Whether static tokens are taken.
    tokens: bool,
    /// After how many minutes a page that nobody touches logs out.
    idle_minutes: u64,
    /// By whom else one is known.
    oidc: Option<Oidc>,
}

#[derive(Debug, Serialize)]
struct Oidc {
    issuer: String,
    client_id: String,
    scope: String,
    /// Null: the issuer was not reached yet.
    at: Option<Endpoints>,
}

#[derive(Debug, Serialize)]
struct Endpoints {
    authorization: String,
    token: String,
    end_session: Option<String>,
}

/// The answer.
pub(crate) fn answer(
    access: Option<&AccessConfig>,
    found: &Found,
) -> ([(HeaderName, &'static str); 1], Json<Login>) {
    let oidc = access.and_then(|access| access.oidc.as_ref());
    let login = Login {
        asks: access.is_some(),
        tokens: access.is_some_and(|access| access.tokens.is_some()),
        idle_minutes: access.map_or(0, |access| *access.idle_minutes.get_ref()),
        oidc: oidc.and_then(|oidc| by(oidc.get_ref(), found)),
    };
    ([(CACHE_CONTROL, "no-store")], Json(login))
}

fn by(oidc: &OidcConfig, found: &Found) -> Option<Oidc> {
    let issuer = oidc.issuer.get_ref();
    let client_id = oidc.client_id.as_ref()?.get_ref().clone();
    let described = found.description.as_ref();
    let at = described.and_then(|described| {
        let token = described.token_endpoint.clone()?;
        // The page may ask this host and no other.
        (origin(&token)? == origin(issuer)?).then_some(())?;
        Some(Endpoints {
            authorization: described.authorization_endpoint.clone()?,
            token,
            end_session: described.end_session_endpoint.clone(),
        })
    });
    Some(Oidc {
        issuer: issuer.clone(),
        client_id,
        scope: oidc.scope.clone(),
        at,
    })
}
