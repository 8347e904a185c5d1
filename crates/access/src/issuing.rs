//! Tokens that somebody else issues: JSON Web Tokens (RFC 7519) of an `OpenID` Connect
//! issuer, and what their claims let their bearer do.
//!
//! What is missing or of another form is refused: nobody gets a role, a scope
//! or a name that the token does not spell out.

use crate::keys::{Algorithm, Keys, decoded};
use crate::role::Role;
use crate::scope::{NAMES_MAX, Scope};
use crate::tokens::{Token, TokensError};
use enroute_model::registry::is_region;
use enroute_model::time::ServerTime;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes of a token.
pub const ISSUED_BYTES_MAX: usize = 8 << 10;
/// How far the issuer's clock and ours may be apart, seconds.
const LEEWAY_S: i64 = 30;
/// Longest life of a token, seconds: it cannot be revoked, other than with its key.
const LIFE_S_MAX: i64 = 24 * 60 * 60;

/// Whose tokens are taken, and which of their claims say what. A claim within others is
/// named by its path, as `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuing {
    /// The issuer, letter by letter as its tokens have it.
    pub issuer: String,
    /// For whom its tokens have to be.
    pub audience: String,
    /// Under which name the bearer acts.
    pub name_claim: String,
    /// Which words say the role.
    pub role_claim: String,
    /// What those words mean here; others mean nothing.
    pub roles: BTreeMap<String, Role>,
    /// The word beside them that says that its bearer may break the glass.
    pub break_glass: Option<String>,
    /// Receiving hospitals that the bearer is concerned with.
    pub hospital_claim: Option<String>,
    /// Transfers that the bearer is concerned with.
    pub transfer_claim: Option<String>,
    /// Where the bearer is; a token without it is where the server is.
    pub region_claim: Option<String>,
    /// The word in the claim of hospitals that means all transfers.
    pub all: Option<String>,
}

/// Why an issued token is not taken. Nothing of its content is in the words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is too long, or none.
    #[error("is neither a token of this server nor one that its issuer could have made")]
    Malformed,
    /// By another algorithm than those that are taken.
    #[error("is signed in a way that is not taken here")]
    Algorithm,
    /// The issuer was not reached, or not for too long.
    #[error("cannot be checked: its issuer was not reached; a static token works meanwhile")]
    NoKeys,
    /// By a key that the issuer does not have.
    #[error("is signed by a key that its issuer does not publish")]
    UnknownKey,
    /// Its signature is not by that key.
    #[error("is not signed by its issuer")]
    Signature,
    /// Its time is over.
    #[error("is over: log in again, or ask for a new one")]
    Expired,
    /// Its time has not come.
    #[error("is of the future: compare the clocks of issuer and server")]
    NotYet,
    /// A claim is missing or has another form.
    #[error("does not say {0} as this server wants it")]
    Claim(&'static str),
    /// None of its roles means anything here, or several different ones.
    #[error("has no role here, or more than one")]
    Role,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// What one has to understand who takes the token; we understand nothing of the kind.
    crit: Option<Value>,
}

impl Issuing {
    /// Who is known by a token, at `now`.
    ///
    /// # Errors
    /// Why nobody.
    pub fn token(&self, keys: &Keys, shown: &str, now: ServerTime) -> Result<Arc<Token>, NotTaken> {
        if shown.len() > ISSUED_BYTES_MAX {
            return Err(NotTaken::Malformed);
        }
        let (signed, signature) = shown.rsplit_once('.').ok_or(NotTaken::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(NotTaken::Malformed)?;
        let header: Header = json(header)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(NotTaken::Algorithm)?;
        if header.crit.is_some() {
            return Err(NotTaken::Algorithm);
        }
        if !keys.are_believed(now) {
            return Err(NotTaken::NoKeys);
        }
        let key = header.kid.and_then(|id| keys.get(&id, now));
        let key = key.ok_or(NotTaken::UnknownKey)?;
        let signature = decoded(signature).ok_or(NotTaken::Malformed)?;
        if !key.signed(algorithm, signed.as_bytes(), &signature) {
            return Err(NotTaken::Signature);
        }
        // From here on it is the issuer who speaks.
        let claims: Map<String, Value> = json(payload)?;
        self.is_for_us(&claims)?;
        let expires = times(&claims, now)?;
        let subject = text(&claims, "sub").ok_or(NotTaken::Claim("whose it is (sub)"))?;
        let name = text(&claims, &self.name_claim).ok_or(NotTaken::Claim("the name"))?;
        let (role, scope) = (self.role(&claims)?, self.scope(&claims)?);
        let rights = (role, self.breaks_glass(&claims));
        let subject = format!("{}\n{subject}", self.issuer);
        let token = Token::issued(
            &subject,
            name,
            rights,
            (scope, self.region(&claims)?),
            expires,
            (shown, key),
        );
        token.map(Arc::new).map_err(|error| match error {
            TokensError::Content(_) | TokensError::Full | TokensError::Unknown(_) => {
                NotTaken::Claim("name, hospitals or transfers")
            }
        })
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> Result<(), NotTaken> {
        if text(claims, "iss") != Some(&self.issuer) {
            return Err(NotTaken::Claim("who issued it (iss)"));
        }
        let audiences = words(claims, "aud").unwrap_or_default();
        if !audiences.contains(&self.audience.as_str()) {
            return Err(NotTaken::Claim("whom it is for (aud)"));
        }
        Ok(())
    }

    /// The one role that its words mean.
    fn role(&self, claims: &Map<String, Value>) -> Result<Role, NotTaken> {
        let words = words(claims, &self.role_claim).ok_or(NotTaken::Role)?;
        let known = words.iter().filter_map(|word| self.roles.get(*word));
        let mut known: BTreeSet<Role> = known.copied().collect();
        match (known.pop_first(), known.is_empty()) {
            (Some(role), true) => Ok(role),
            (Some(_) | None, _) => Err(NotTaken::Role),
        }
    }

    fn region(&self, claims: &Map<String, Value>) -> Result<Option<String>, NotTaken> {
        let Some(claim) = &self.region_claim else {
            return Ok(None);
        };
        match within(claims, claim) {
            None => Ok(None),
            Some(Value::String(region)) if is_region(region) => Ok(Some(region.clone())),
            Some(_) => Err(NotTaken::Claim("one region")),
        }
    }

    fn breaks_glass(&self, claims: &Map<String, Value>) -> bool {
        let words = words(claims, &self.role_claim).unwrap_or_default();
        { self.break_glass.as_deref() }.is_some_and(|word| words.contains(&word))
    }

    /// What it names; one that names nothing has nothing, and not everything as a scope
    /// without names would.
    fn scope(&self, claims: &Map<String, Value>) -> Result<Scope, NotTaken> {
        let missing = NotTaken::Claim("which hospitals or transfers");
        let named = |claim: &Option<String>| -> Result<Vec<String>, NotTaken> {
            let Some(claim) = claim else {
                return Ok(Vec::new());
            };
            match (within(claims, claim), words(claims, claim)) {
                (None, _) => Ok(Vec::new()),
                (Some(_), Some(words)) => Ok(words.into_iter().map(str::to_owned).collect()),
                (Some(_), None) => Err(NotTaken::Claim("which hospitals or transfers")),
            }
        };
        let hospitals = named(&self.hospital_claim)?;
        let transfers = named(&self.transfer_claim)?;
        if let Some(all) = &self.all
            && hospitals.contains(all)
        {
            return Ok(Scope::default());
        }
        let is_much = hospitals.len() > NAMES_MAX || transfers.len() > NAMES_MAX;
        if is_much || (hospitals.is_empty() && transfers.is_empty()) {
            return Err(missing);
        }
        Ok(Scope {
            hospitals,
            transfers,
        })
    }
}

/// Until when it holds, microseconds UTC.
fn times(claims: &Map<String, Value>, now: ServerTime) -> Result<i64, NotTaken> {
    let seconds = |name| claims.get(name).map(Value::as_i64);
    let (Some(Some(expires)), Some(Some(issued))) = (seconds("exp"), seconds("iat")) else {
        return Err(NotTaken::Claim("when it was issued and ends (iat, exp)"));
    };
    let from = match seconds("nbf") {
        None => issued,
        Some(Some(from)) => from.max(issued),
        Some(None) => return Err(NotTaken::Claim("from when on it holds (nbf)")),
    };
    let now_s = now.0.div_euclid(1_000_000);
    if from > now_s.saturating_add(LEEWAY_S) {
        return Err(NotTaken::NotYet);
    }
    let end = expires.saturating_add(LEEWAY_S);
    if end <= now_s {
        return Err(NotTaken::Expired);
    }
    let life = expires.saturating_sub(issued);
    if !(1..=LIFE_S_MAX).contains(&life) {
        return Err(NotTaken::Claim("an end within a day (exp)"));
    }
    Ok(end.saturating_mul(1_000_000))
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, NotTaken> {
    let bytes = decoded(part).ok_or(NotTaken::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| NotTaken::Malformed)
}

/// The claim of this name, or by this path through others.
fn within<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (outer, inner) = path.split_once('.')?;
    within(claims.get(outer)?.as_object()?, inner)
}

fn text<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    let text = within(claims, path)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// One word, or a list of words and nothing else.
fn words<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<Vec<&'a str>> {
    match within(claims, path)? {
        Value::String(word) => Some(vec![word]),
        Value::Array(words) => words.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    const NOW: ServerTime = ServerTime(1_800_000_000_000_000);

    fn issuing(region_claim: Option<&str>) -> Issuing {
        Issuing {
            issuer: "https://id.example.org".to_owned(),
            audience: "enroute".to_owned(),
            name_claim: "name".to_owned(),
            role_claim: "roles".to_owned(),
            roles: [("doctors".to_owned(), Role::Clinician)].into(),
            break_glass: None,
            hospital_claim: Some("hospitals".to_owned()),
            transfer_claim: None,
            region_claim: region_claim.map(str::to_owned),
            all: None,
        }
    }

    /// Where the bearer of a token with this claim is.
    fn region(issuing: &Issuing, at: &Value) -> Result<Option<String>, NotTaken> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let x = encode(pair.public_key().as_ref());
        let set = json!({"keys": [{"kid": "k", "kty": "OKP", "crv": "Ed25519", "x": x}]});
        let keys = Keys::parse(set.to_string().as_bytes(), NOW).unwrap();
        let mut claims = json!({
            "iss": "https://id.example.org", "aud": "enroute", "sub": "7", "name": "Dr A",
            "roles": "doctors", "hospitals": ["HUG"], "iat": 1_800_000_000, "exp": 1_800_000_300,
            "at": { "region": at },
        });
        if at.is_null() {
            claims["at"] = json!({});
        }
        let header = json!({"alg": "EdDSA", "kid": "k"});
        let parts = [header, claims].map(|part| encode(part.to_string().as_bytes()));
        let signed = parts.join(".");
        let signature = encode(pair.sign(signed.as_bytes()).as_ref());
        let token = issuing.token(&keys, &format!("{signed}.{signature}"), NOW);
        token.map(|token| token.region.clone())
    }

    #[test]
    fn where_the_bearer_is_stands_in_one_claim_and_nowhere_else() {
        let asked = issuing(Some("at.region"));
        assert_eq!(region(&asked, &json!("DE")), Ok(Some("DE".to_owned())));
        // Who says nothing is where the server is.
        assert_eq!(region(&asked, &Value::Null), Ok(None));
        assert_eq!(region(&issuing(None), &json!("DE")), Ok(None));
        // What is said and is no region lets nobody in, least of all as if it were here.
        let long = "D".repeat(33);
        for wrong in [
            json!(""),
            json!("D E"),
            json!(["DE"]),
            json!(49),
            json!(long),
        ] {
            let refused = region(&asked, &wrong);
            assert_eq!(refused, Err(NotTaken::Claim("one region")), "{wrong}");
        }
    }
}
