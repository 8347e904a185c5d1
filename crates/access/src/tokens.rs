//! Static tokens: a file of hashes, and what a caller shows.
//!
//! A token is `enroute_`, eight hexadecimal digits that name it, `_`, and 64 that are
//! the secret: 256 random bits, so its SHA-256 needs neither salt nor a slow hash.

use crate::keys::{Key, Keys};
use crate::role::Role;
use crate::scope::{NAMES_MAX, Scope};
use enroute_model::registry::{REGION_CHARS_MAX, is_region};
use enroute_model::time::ServerTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Tokens in a file.
pub const TOKENS_MAX: usize = 10_000;
/// Random bytes that a new token is made of: four for its id, 32 for its secret.
pub const SECRET_BYTES: usize = 36;
/// Characters of a name, as of those who act without a token.
const NAME_CHARS_MAX: usize = 48;
/// Hexadecimal digits of the id of one who comes with an issued token; a static token's
/// id has fewer.
const ISSUED_ID_CHARS: usize = 16;
const PREFIX: &str = "enroute_";
/// What the file says of itself.
const HEAD: &str = "\
# Tokens of this server, by their hashes alone: `enroute token` writes this file, and a
# server that runs takes a change within seconds.
";

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Eight hexadecimal digits.
    pub id: String,
    /// Whose it is; what it does is recorded under this name.
    pub name: String,
    /// What that one may do.
    pub role: Role,
    /// SHA-256 of the whole token, in hexadecimal digits.
    hash: String,
    /// Works only over a connection with a certificate of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Whether its bearer may break the glass in an emergency; a wall never may.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
    /// Where that one is; `None`: where the server is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Works until then, microseconds UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<i64>,
    /// Which transfers.
    #[serde(flatten)]
    pub scope: Scope,
    /// By which key somebody else issued it; none in a file has one.
    #[serde(skip)]
    key: Option<Arc<Key>>,
}

/// What a new token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose it is.
    pub name: String,
    /// What that one may do.
    pub role: Role,
    /// Name of the certificate that it is bound to.
    pub certificate: Option<String>,
    /// Whether that one may break the glass.
    pub break_glass: bool,
    /// Where that one is; `None`: where the server is.
    pub region: Option<String>,
    /// Microseconds UTC.
    pub expires_us: Option<i64>,
    /// Which transfers.
    pub scope: Scope,
}

/// All tokens of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    by_id: BTreeMap<String, Arc<Token>>,
}

/// Why a file of tokens is not taken, or not changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokensError {
    /// It is not what it should be.
    #[error("{0}")]
    Content(String),
    /// There are enough.
    #[error("holds {TOKENS_MAX} tokens already: revoke some")]
    Full,
    /// None has this id.
    #[error("no token has the id {0:?}: `enroute token list` shows all")]
    Unknown(String),
}

/// Why nobody is let in by what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such token: never made, revoked, or misspelt.
    Unknown,
    /// Its time is over.
    Expired,
    /// It is bound to a certificate that this connection does not have.
    Unbound,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Token>,
}

impl Tokens {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is none, or holds a token that could never have been made.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let file: File = toml::from_str(text)
            .map_err(|error| TokensError::Content(error.message().trim().replace('\n', " ")))?;
        if file.token.len() > TOKENS_MAX {
            return Err(TokensError::Full);
        }
        let mut tokens = Self::default();
        for token in file.token {
            token.check().map_err(TokensError::Content)?;
            let id = token.id.clone();
            if tokens.by_id.insert(id.clone(), Arc::new(token)).is_some() {
                return Err(TokensError::Content(format!("two tokens have the id {id}")));
            }
        }
        Ok(tokens)
    }

    /// The text of a file with these.
    ///
    /// # Errors
    /// When the library refuses, which it has no reason to.
    pub fn to_text(&self) -> Result<String, TokensError> {
        let token = self.by_id.values().map(|token| Token::clone(token));
        let file = File {
            token: token.collect(),
        };
        let text = toml::to_string(&file).map_err(|e| TokensError::Content(e.to_string()))?;
        Ok(format!("{HEAD}\n{text}"))
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.by_id.values().map(|token| &**token)
    }

    /// Adds one of these random bytes; gives what its owner shows from now on, which
    /// is kept nowhere.
    ///
    /// # Errors
    /// When there is no room, a name is not in order, or the id is taken: draw again.
    pub fn add(
        &mut self,
        wanted: Wanted,
        random: &[u8; SECRET_BYTES],
    ) -> Result<String, TokensError> {
        if self.by_id.len() >= TOKENS_MAX {
            return Err(TokensError::Full);
        }
        let digits = hex(random);
        let (id, secret) = digits.split_at(8);
        let shown = format!("{PREFIX}{id}_{secret}");
        let token = Token {
            id: id.to_owned(),
            name: wanted.name,
            role: wanted.role,
            hash: hash(&shown),
            certificate: wanted.certificate,
            break_glass: wanted.break_glass,
            region: wanted.region,
            expires_us: wanted.expires_us,
            scope: wanted.scope,
            key: None,
        };
        token.check().map_err(TokensError::Content)?;
        if self.by_id.contains_key(id) {
            return Err(TokensError::Content(format!("the id {id} is taken")));
        }
        self.by_id.insert(id.to_owned(), Arc::new(token));
        Ok(shown)
    }

    /// Takes one away.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn revoke(&mut self, id: &str) -> Result<Arc<Token>, TokensError> {
        let unknown = || TokensError::Unknown(id.to_owned());
        self.by_id.remove(id).ok_or_else(unknown)
    }

    /// Whose token was shown, at `now`, over a connection with a certificate of this
    /// name.
    ///
    /// # Errors
    /// Why nobody's.
    pub fn find(
        &self,
        shown: &str,
        certificate: Option<&str>,
        now: ServerTime,
    ) -> Result<&Arc<Token>, Refused> {
        let id = shown.strip_prefix(PREFIX).and_then(|rest| rest.get(..8));
        let token = id.and_then(|id| self.by_id.get(id));
        let token = token.ok_or(Refused::Unknown)?;
        if !is_same(hash(shown).as_bytes(), token.hash.as_bytes()) {
            return Err(Refused::Unknown);
        }
        token.holds(certificate, now)?;
        Ok(token)
    }

    /// Whether what is shown looks like one of these.
    #[must_use]
    pub fn is_one(shown: &str) -> bool {
        shown.starts_with(PREFIX)
    }

    /// Whether a token that was let in still is what it was.
    #[must_use]
    pub fn still_has(&self, token: &Token, now: ServerTime) -> bool {
        let same = { self.by_id.get(&token.id) }.is_some_and(|known| **known == *token);
        same && token.holds(token.certificate.as_deref(), now).is_ok()
    }
}

impl Token {
    /// One that somebody else issued to `subject`, who goes by the same id in each. Takes
    /// what was shown, and the key that signed it.
    pub(crate) fn issued(
        subject: &str,
        name: &str,
        (role, break_glass): (Role, bool),
        (scope, region): (Scope, Option<String>),
        expires_us: i64,
        (shown, key): (&str, &Arc<Key>),
    ) -> Result<Self, TokensError> {
        let token = Self {
            id: hash(subject).chars().take(ISSUED_ID_CHARS).collect(),
            name: name.to_owned(),
            role,
            hash: hash(shown),
            certificate: None,
            break_glass,
            region,
            expires_us: Some(expires_us),
            scope,
            key: Some(Arc::clone(key)),
        };
        token.check_names().map_err(TokensError::Content)?;
        Ok(token)
    }

    /// Whether somebody else issued it.
    #[must_use]
    pub fn is_issued(&self) -> bool {
        self.key.is_some()
    }

    /// Whether one that was issued still holds: its time is not over, and its issuer
    /// still has the key.
    #[must_use]
    pub fn holds_by(&self, keys: &Keys, now: ServerTime) -> bool {
        let is_there = { self.key.as_ref() }.is_some_and(|key| keys.still_has(key, now));
        is_there && self.holds(None, now).is_ok()
    }

    fn holds(&self, certificate: Option<&str>, now: ServerTime) -> Result<(), Refused> {
        if self.expires_us.is_some_and(|expires| now.0 >= expires) {
            return Err(Refused::Expired);
        }
        if self.certificate.is_some() && self.certificate.as_deref() != certificate {
            return Err(Refused::Unbound);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let is_digits = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
        };
        if !is_digits(&self.id, 8) || !is_digits(&self.hash, 64) {
            return Err(format!(
                "token {:?}: an id has 8 hexadecimal digits and a hash 64, in small letters",
                self.id
            ));
        }
        self.check_names()
    }

    fn check_names(&self) -> Result<(), String> {
        let id = &self.id;
        if self.break_glass && self.role == Role::Wall {
            return Err(format!(
                "token {id}: a wall breaks no glass: nobody stands behind it"
            ));
        }
        if let Some(region) = &self.region
            && !is_region(region)
        {
            return Err(format!(
                "token {id}: region {region:?}: give 1 to {REGION_CHARS_MAX} letters, digits and \
                 hyphens"
            ));
        }
        let named = [("name", &self.name)]
            .into_iter()
            .chain(self.certificate.iter().map(|name| ("certificate", name)))
            .chain(self.scope.hospitals.iter().map(|name| ("hospital", name)))
            .chain(self.scope.transfers.iter().map(|name| ("transfer", name)));
        for (what, name) in named {
            let chars = name.chars().count();
            let is_wrong = name.trim() != name || name.chars().any(char::is_control);
            if chars == 0 || is_wrong || (what == "name" && chars > NAME_CHARS_MAX) {
                return Err(format!(
                    "token {id}: {what} {name:?}: give 1 to {NAME_CHARS_MAX} characters, without \
                     spaces around them or control characters"
                ));
            }
        }
        let scope = &self.scope;
        if scope.hospitals.len() > NAMES_MAX || scope.transfers.len() > NAMES_MAX {
            return Err(format!(
                "token {id}: names more than {NAMES_MAX} hospitals or transfers"
            ));
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(is: &bool) -> bool {
    !is
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes whatever is written to it.
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok());
        text
    })
}

/// Takes as long whatever differs.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && differ == 0
}
