//! Key-encryption keys: who has them can open everything that was sealed under them.
//!
//! As text, a key a line, its number and 256 bits in hexadecimal; the highest number is
//! the *current* one, under which what is new is wrapped. Older ones still open.

use crate::cipher::{DataKey, KEY_BYTES, SealError, Secret, random};
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Most keys there may be.
const KEYS_MAX: usize = 64;
/// Longest text of keys, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;

/// Number of a key-encryption key; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("the keys in {} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: std::path::PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// Others than its owner may read or change the file.
    #[error("{} is open to others than its owner: chmod 600 {}", file.display(), file.display())]
    Open {
        /// Which.
        file: std::path::PathBuf,
    },
    /// The command did not run, or not to a good end.
    #[error("the command {command:?} gave no keys: {what}")]
    Command {
        /// Its name.
        command: String,
        /// What happened.
        what: String,
    },
    /// What came is not a list of keys. Never says what a line holds.
    #[error("{from} holds no usable keys: {what}; `enroute keys new` makes one")]
    Content {
        /// The file, or the command.
        from: String,
        /// What is wrong.
        what: String,
    },
    /// The settings name none, or both.
    #[error("give either keys = \"FILE\" or command = [\"PROGRAM\", …]")]
    Source,
}

/// The keys that are here.
#[derive(PartialEq, Eq)]
pub struct Keys {
    keys: BTreeMap<KeyId, Secret>,
    current: KeyId,
}

impl Keys {
    /// Reads the text of keys. Empty lines, and what follows a `#`, are passed over.
    ///
    /// # Errors
    /// Says which line is wrong, and never what it holds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(id) = words.next() else { continue };
            let wrong = |what: &str| format!("line {number} {what}");
            let id = id.parse().ok().filter(|id| *id > 0);
            let id = KeyId(id.ok_or_else(|| wrong("does not begin with a number from 1 on"))?);
            let key = words.next().and_then(unhex);
            let key =
                key.ok_or_else(|| wrong("has no key of 64 hexadecimal digits behind its number"))?;
            if words.next().is_some() {
                return Err(wrong("has more than a number and a key"));
            }
            if keys.insert(id, key).is_some() {
                return Err(wrong(&format!("gives key {id} a second time")));
            }
            if keys.len() > KEYS_MAX {
                return Err(format!("it has more than {KEYS_MAX} keys"));
            }
        }
        let current = keys.last_key_value().map(|(id, _)| *id);
        let current = current.ok_or("it is empty")?;
        Ok(Self { keys, current })
    }

    /// A line with a fresh key behind all that are in `before`.
    ///
    /// # Errors
    /// When the system gives no random numbers, or no number is left.
    pub fn fresh(before: Option<&Self>) -> Result<Zeroizing<String>, SealError> {
        let id = before.map_or(Some(1), |keys| keys.current.0.checked_add(1));
        let id = id.ok_or(SealError::TooLong)?;
        let secret = random()?;
        let mut line = Zeroizing::new(String::with_capacity(16 + 2 * KEY_BYTES));
        // Writing to a string does not fail.
        write!(line, "{id} ").ok();
        for byte in secret.iter() {
            write!(line, "{byte:02x}").ok();
        }
        line.push('\n');
        Ok(line)
    }

    /// The one under which what is new is wrapped.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.current
    }

    /// The numbers of all, ascending.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.keys().copied()
    }

    /// Whether this one is here.
    #[must_use]
    pub fn has(&self, id: KeyId) -> bool {
        self.keys.contains_key(&id)
    }

    /// Wraps a key under the current one, for `purpose`.
    pub(crate) fn wrap(&self, purpose: &[u8], secret: &Secret) -> Result<Vec<u8>, SealError> {
        let mut wrapped = Vec::new();
        let key = self.keys.get(&self.current).ok_or(SealError::Refused)?;
        DataKey::new(key).seal(purpose, &**secret, &mut wrapped)?;
        Ok(wrapped)
    }

    /// Unwraps what [`Keys::wrap`] made for `purpose` under `id`.
    pub(crate) fn unwrap(
        &self,
        id: KeyId,
        purpose: &[u8],
        wrapped: &[u8],
    ) -> Result<Secret, SealError> {
        let key = self.keys.get(&id).ok_or(SealError::Refused)?;
        let plain = Zeroizing::new(DataKey::new(key).open(purpose, wrapped)?);
        let mut secret = Secret::default();
        if plain.len() != secret.len() {
            return Err(SealError::Refused);
        }
        secret.copy_from_slice(&plain);
        Ok(secret)
    }
}

fn unhex(text: &str) -> Option<Secret> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != KEY_BYTES || !rest.is_empty() {
        return None;
    }
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut secret = Secret::default();
    for (byte, [high, low]) in secret.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(secret)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}
