//! An issuer of tokens (`OpenID` Connect) with keys made on the spot, that describes
//! itself and publishes its keys on a free port of this machine.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

/// An RSA key of 2048 bits for these tests alone, PKCS #8: `ring` makes none.
const RSA: &[u8] = include_bytes!("issuer/rsa.der");

/// A private key, and what it is called.
pub struct Key {
    /// Its id.
    pub id: String,
    pair: Pair,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    /// A new one for ES256.
    #[must_use]
    pub fn p256(id: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap();
        Self::new(id, Pair::P256(pair))
    }

    /// A new one for `EdDSA`.
    #[must_use]
    pub fn ed25519(id: &str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
        Self::new(id, Pair::Ed25519(pair))
    }

    /// The one for RS256 and PS256.
    #[must_use]
    pub fn rsa(id: &str) -> Self {
        Self::new(id, Pair::Rsa(RsaKeyPair::from_pkcs8(RSA).unwrap()))
    }

    fn new(id: &str, pair: Pair) -> Self {
        Self {
            id: id.to_owned(),
            pair,
        }
    }

    /// As it is published (JWK).
    #[must_use]
    pub fn public(&self) -> Value {
        match &self.pair {
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                json!({"kid": self.id, "kty": "EC", "crv": "P-256", "use": "sig", "x": x, "y": y})
            }
            Pair::Ed25519(pair) => {
                let x = encoded(pair.public_key().as_ref());
                json!({"kid": self.id, "kty": "OKP", "crv": "Ed25519", "x": x})
            }
            Pair::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let (n, e) = (encoded(&public.n), encoded(&public.e));
                json!({"kid": self.id, "kty": "RSA", "use": "sig", "n": n, "e": e})
            }
        }
    }

    /// A token with these claims, by the key's algorithm.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let algorithm = match &self.pair {
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        };
        self.signed(&json!({"alg": algorithm, "kid": self.id}), claims)
    }

    /// A token with this header, whatever it says of the signature.
    #[must_use]
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", part(header), part(claims));
        let (random, bytes) = (SystemRandom::new(), text.as_bytes());
        let signature = match &self.pair {
            Pair::P256(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(bytes).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let padding: &dyn ring::signature::RsaEncoding = match header["alg"].as_str() {
                    Some("PS256") => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
        };
        format!("{text}.{}", encoded(&signature))
    }
}

/// A token by a shared secret (HS256).
#[must_use]
pub fn hmac_signed(secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let tag = ring::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", encoded(tag.as_ref()))
}

/// JSON as a part of a token.
#[must_use]
pub fn part(value: &Value) -> String {
    encoded(value.to_string().as_bytes())
}

/// Base 64 as tokens have it.
#[must_use]
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A set of keys as an issuer publishes it.
#[must_use]
pub fn published(keys: &[&Key]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys })
}

#[derive(Default)]
struct Published {
    keys: Value,
    /// Answers nothing but an error.
    is_down: bool,
    /// How often its keys were asked for.
    asked: usize,
}

/// An issuer that runs.
pub struct Issuer {
    /// Its name, and where it is.
    pub address: String,
    published: Arc<Mutex<Published>>,
    // Ends it when dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Issuer {
    /// Starts one with these keys.
    ///
    /// # Panics
    /// When this machine gives it no port.
    #[must_use]
    pub fn start(keys: &[&Key]) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let published = Arc::new(Mutex::new(Published {
            keys: published(keys),
            ..Published::default()
        }));
        let description = json!({
            "issuer": address,
            "jwks_uri": format!("{address}/keys"),
            "authorization_endpoint": format!("{address}/authorize"),
            "token_endpoint": format!("{address}/token"),
        });
        let answers = axum::Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || Json(description)),
            )
            .route("/keys", get(keys_of))
            .with_state(Arc::clone(&published));
        runtime.spawn(async move { axum::serve(listener, answers).await });
        Self {
            address,
            published,
            _runtime: runtime,
        }
    }

    /// Has these keys from now on.
    pub fn publish(&self, keys: &[&Key]) {
        self.published.lock().unwrap().keys = published(keys);
    }

    /// Answers with an error from now on, or no more.
    pub fn down(&self, is_down: bool) {
        self.published.lock().unwrap().is_down = is_down;
    }

    /// How often its keys were asked for.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.published.lock().unwrap().asked
    }
}

async fn keys_of(State(published): State<Arc<Mutex<Published>>>) -> (StatusCode, Json<Value>) {
    let mut published = published.lock().unwrap();
    published.asked += 1;
    if published.is_down {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null));
    }
    (StatusCode::OK, Json(published.keys.clone()))
}

/// The machine's time, by the clock of the file system that `dir` is on.
///
/// # Panics
/// When it takes no file.
#[must_use]
pub fn now_s(dir: &Path) -> u64 {
    let file = dir.join("now");
    std::fs::write(&file, "").unwrap();
    let written = std::fs::metadata(file).unwrap().modified().unwrap();
    written.duration_since(UNIX_EPOCH).unwrap().as_secs()
}
