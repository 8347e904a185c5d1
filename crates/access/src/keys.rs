//! Public keys of an issuer of tokens (JWKS, RFC 7517), and whether one of them signed a
//! token (JWS, RFC 7515), by `ring`.
//!
//! Four algorithms, each asymmetric and bound to its kind of key: RS256 and PS256 (RSA of
//! 2048 bits and more), ES256 (P-256), `EdDSA` (Ed25519). A key that is none of these, or
//! is meant for something else, is left out of the set as RFC 7517 asks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use enroute_model::time::ServerTime;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a set.
pub const KEYS_BYTES_MAX: usize = 256 << 10;
/// Keys of a set.
pub const KEYS_MAX: usize = 64;
/// For how long keys are believed that could not be fetched again, microseconds: a day.
pub const KEYS_KEPT_US: i64 = 24 * 60 * 60 * 1_000_000;
/// Bytes of a key's id.
const ID_BYTES_MAX: usize = 256;

/// By what a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// The one with this name in a header; `none` and all that work with a shared secret
    /// are not among them.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// One of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    id: String,
    public: Public,
    /// For this algorithm alone.
    only: Option<Algorithm>,
}

impl Key {
    /// Whether this key signed `text` so.
    pub(crate) fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if self.only.is_some_and(|only| only != algorithm) {
            return false;
        }
        let verified = match (&self.public, algorithm) {
            (Public::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }.verify(
                &signature::RSA_PKCS1_2048_8192_SHA256,
                text,
                signature,
            ),
            (Public::Rsa { n, e }, Algorithm::Ps256) => RsaPublicKeyComponents { n, e }.verify(
                &signature::RSA_PSS_2048_8192_SHA256,
                text,
                signature,
            ),
            (Public::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(text, signature)
            }
            (Public::Ed25519(point), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(text, signature)
            }
            // A key for one algorithm proves nothing by another.
            (Public::Rsa { .. } | Public::P256(_) | Public::Ed25519(_), _) => return false,
        };
        verified.is_ok()
    }
}

/// The keys of an issuer, as last fetched. Without any, nobody is let in by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    by_id: BTreeMap<String, Arc<Key>>,
    /// When they were fetched.
    fetched: ServerTime,
}

/// Why a set of keys is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It is no set of keys.
    #[error("is no set of keys (JWKS): {0}")]
    Content(String),
    /// It has too many.
    #[error("holds more than {KEYS_MAX} keys")]
    Many,
    /// It has none that a token may be signed with.
    #[error("holds no key for RS256, PS256, ES256 or EdDSA that has an id")]
    None,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads what an issuer publishes, fetched at `now`.
    ///
    /// # Errors
    /// When it is no set of keys, or one of no use.
    pub fn parse(json: &[u8], now: ServerTime) -> Result<Self, KeysError> {
        let content = |error: serde_json::Error| KeysError::Content(error.to_string());
        let set: Set = serde_json::from_slice(json).map_err(content)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeysError::Many);
        }
        let mut by_id = BTreeMap::new();
        let jwks = set.keys.into_iter();
        let jwks = jwks.filter_map(|value| serde_json::from_value(value).ok());
        for key in jwks.filter_map(key) {
            // Of two with one id the first counts, whatever comes behind.
            by_id.entry(key.id.clone()).or_insert_with(|| Arc::new(key));
        }
        if by_id.is_empty() {
            return Err(KeysError::None);
        }
        let fetched = now;
        Ok(Self { by_id, fetched })
    }

    /// The one with this id, while the set is believed.
    pub(crate) fn get(&self, id: &str, now: ServerTime) -> Option<&Arc<Key>> {
        self.by_id.get(id).filter(|_| self.are_believed(now))
    }

    /// Whether there are keys, and they were not fetched too long ago.
    #[must_use]
    pub fn are_believed(&self, now: ServerTime) -> bool {
        !self.by_id.is_empty() && now.0.saturating_sub(self.fetched.0) < KEYS_KEPT_US
    }

    /// Whether a key still is what it was.
    pub(crate) fn still_has(&self, key: &Key, now: ServerTime) -> bool {
        self.get(&key.id, now).is_some_and(|known| **known == *key)
    }
}

fn key(jwk: Jwk) -> Option<Key> {
    let is_for_signatures = jwk.usage.is_none_or(|usage| usage == "sig");
    let verifies = { jwk.key_ops }.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !is_for_signatures || !verifies || jwk.kid.is_empty() || jwk.kid.len() > ID_BYTES_MAX {
        return None;
    }
    let only = match jwk.alg {
        Some(name) => Some(Algorithm::named(&name)?),
        None => None,
    };
    let bytes = |text: Option<String>| decoded(&text?);
    let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Public::Rsa {
            n: number(&bytes(jwk.n)?),
            e: number(&bytes(jwk.e)?),
        },
        ("EC", Some("P-256")) => Public::P256(point(&bytes(jwk.x)?, &bytes(jwk.y)?)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(jwk.x)?),
        _ => return None,
    };
    let id = jwk.kid;
    Some(Key { id, public, only })
}

/// Without the zeros before it, which some write and `ring` refuses.
fn number(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.iter().skip_while(|byte| **byte == 0);
    digits.copied().collect()
}

/// A point of P-256, uncompressed (SEC 1, section 2.3.3).
fn point(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == 32 && y.len() == 32).then(|| [&[4], x, y].concat())
}

/// Base 64 as JWS has it.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
