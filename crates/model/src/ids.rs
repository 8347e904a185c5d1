//! Names of things. None of them says anything about a patient (I10).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest id of a transfer or a gateway, in bytes: it is a topic level.
pub const ID_BYTES_MAX: usize = 64;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: use 1 to {ID_BYTES_MAX} characters a-z, 0-9, '-' or '_'")]
pub struct InvalidId {
    what: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks the characters and the length.
            ///
            /// # Errors
            /// When `text` is empty, too long, or has a character that a topic
            /// level or a file name could trip over.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
                if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(legal) {
                    let text = text.chars().take(ID_BYTES_MAX).collect();
                    return Err(InvalidId { what: $what, text });
                }
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

id! {
    /// One patient's journey, from first contact to handover.
    TransferId, "transfer id"
}
id! {
    /// A box on board; the name in its credential.
    GatewayId, "gateway id"
}

/// Letters of a short code: Crockford's base 32, without I, L, O and U.
const SHORT_CODE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters in a short code: 2^30 values.
pub const SHORT_CODE_CHARS: usize = 6;

/// Six characters that name a transfer over the telephone, derived from its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShortCode(String);

impl ShortCode {
    /// The code of a transfer: the low 30 bits of FNV-1a (64 bit) of its id.
    #[must_use]
    pub fn of(transfer: &TransferId) -> Self {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in transfer.as_str().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let letters = (0..SHORT_CODE_CHARS).filter_map(|i| {
            let index = usize::try_from((hash >> (5 * i)) & 31).ok()?;
            SHORT_CODE_ALPHABET.get(index).map(|b| char::from(*b))
        });
        Self(letters.collect())
    }

    /// Reads what a person typed: any case, spaces and dashes ignored, O for 0,
    /// I and L for 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = String::with_capacity(SHORT_CODE_CHARS);
        for typed in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let letter = match typed.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            if code.len() == SHORT_CODE_CHARS
                || !SHORT_CODE_ALPHABET.contains(&u8::try_from(letter).ok()?)
            {
                return None;
            }
            code.push(letter);
        }
        (code.len() == SHORT_CODE_CHARS).then_some(Self(code))
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Place of a record in the journal's order; the first is 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

/// What is shed together when a link or a disk cannot hold everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Crew events, device alarms, link reports: shed last.
    Events,
    /// Numerics and position.
    Numerics,
    /// Waveforms: shed first.
    Waveforms,
}

impl Stream {
    /// All of them, in the order in which they are kept.
    pub const ALL: [Self; 3] = [Self::Events, Self::Numerics, Self::Waveforms];
}

/// Which of the two ways a frame took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// As it happens.
    Live,
    /// Filled in behind.
    History,
}

/// Life of a spool: new when the spool is new or its tail was unclean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// What a rule book goes by: the SHA-256 of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BookHash(pub [u8; 32]);

impl fmt::Display for BookHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One stream of one life of one gateway's spool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    /// Who sends.
    pub gateway: GatewayId,
    /// Life of its spool.
    pub epoch: Epoch,
    /// Which stream.
    pub stream: Stream,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_topic_levels() {
        for bad in ["", "A", "a/b", "a+b", "#", "a b", "é", &"a".repeat(65)] {
            assert!(TransferId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TransferId::new("tx-7_k").unwrap().as_str(), "tx-7_k");
    }

    #[test]
    fn a_short_code_survives_a_telephone() {
        let code = ShortCode::of(&TransferId::new("tx-1").unwrap());
        let spoken = format!(
            "{}-{} ",
            &code.as_str()[..3].to_lowercase(),
            &code.as_str()[3..]
        );
        assert_eq!(ShortCode::parse(&spoken), Some(code));
        assert_eq!(ShortCode::parse("OIL000"), ShortCode::parse("011000"));
        assert_eq!(ShortCode::parse("UUUUUU"), None);
        assert_eq!(ShortCode::parse("12345"), None);
    }
}
