//! Hashes: of a line over the one before, and of the head.

use crate::record::Record;
use ring::{digest, hmac};
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Fewest bytes of a key.
const KEY_BYTES_MIN: usize = 32;
/// Most bytes of the file that holds one.
const KEY_BYTES_MAX: usize = 4 << 10;
/// Stands between what is hashed and its hash.
const MARK: &[u8] = b",\"hash\":\"";
const HASH_DIGITS: usize = 64;

/// By what lines are hashed.
#[derive(Clone)]
pub struct Key(Option<hmac::Key>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Key(…)"
        } else {
            "Key(none)"
        })
    }
}

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes (make one: openssl rand -hex 32)")]
pub struct KeyError;

impl Key {
    /// No key: SHA-256.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// HMAC-SHA-256 by these bytes, white space around them left out.
    ///
    /// # Errors
    /// When they are too few to be a secret, or too many to be a key.
    pub fn of(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes.trim_ascii();
        if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&bytes.len()) {
            return Err(KeyError);
        }
        Ok(Self(Some(hmac::Key::new(hmac::HMAC_SHA256, bytes))))
    }

    pub(crate) fn hash(&self, bytes: &[u8]) -> String {
        match &self.0 {
            Some(key) => hex(hmac::sign(key, bytes).as_ref()),
            None => hex(digest::digest(&digest::SHA256, bytes).as_ref()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes whatever is written to it.
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok());
        text
    })
}

fn is_hash(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == HASH_DIGITS && text.bytes().all(digit)
}

/// Number and hash of a record. As text, for people to note: `SEQ:HASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the record, 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

impl Head {
    /// Before the first record.
    pub(crate) fn none() -> Self {
        let hash = "0".repeat(HASH_DIGITS);
        Self { seq: 0, hash }
    }

    /// What the file `head` holds.
    pub(crate) fn to_file(&self, key: &Key) -> String {
        format!("{self} {}\n", key.hash(format!("head {self}").as_bytes()))
    }

    pub(crate) fn of_file(text: &str, key: &Key) -> Option<Self> {
        let (head, _) = text.split_once(' ')?;
        let head = Self::from_str(head).ok()?;
        (head.to_file(key) == text).then_some(head)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give SEQ:HASH, as `enroute audit verify` prints it".to_owned();
        let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
        let seq = seq.parse().map_err(|_| wrong())?;
        let hash = hash.to_owned();
        is_hash(&hash)
            .then_some(Self { seq, hash })
            .ok_or_else(wrong)
    }
}

/// The line of a record, with its end, and its hash.
pub(crate) fn line(record: &Record, key: &Key) -> serde_json::Result<(Vec<u8>, String)> {
    let mut line = serde_json::to_vec(record)?;
    // Its closing brace; the hash goes before it.
    line.pop();
    let hash = key.hash(&line);
    line.extend_from_slice(MARK);
    line.extend_from_slice(hash.as_bytes());
    line.extend_from_slice(b"\"}\n");
    Ok((line, hash))
}

/// What stands in a line, without its end.
pub(crate) struct Read {
    pub(crate) record: Record,
    /// As it stands there.
    pub(crate) hash: String,
    /// Whether it is the hash of what stands before it.
    pub(crate) is_whole: bool,
}

/// `None`: this is no record.
pub(crate) fn read(line: &[u8], key: &Key) -> Option<Read> {
    let rest = line.strip_suffix(b"\"}")?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(HASH_DIGITS)?)?;
    let body = rest.strip_suffix(MARK)?;
    let hash = std::str::from_utf8(hash).ok()?;
    let mut json = body.to_vec();
    json.push(b'}');
    let record = serde_json::from_slice(&json).ok()?;
    Some(Read {
        record,
        hash: hash.to_owned(),
        is_whole: key.hash(body) == hash,
    })
}
