//! Resume tokens: where a viewer stood, opaque to it.
//!
//! A token is the journal's incarnation, the position through which samples
//! were delivered, the engine time of the last delivery, and for each named
//! transfer the ordinal of its last alert transition delivered. A board names
//! none: for it, transitions at or after that engine time are given again, and
//! their ordinals tell which are new.

use bytes::Bytes;
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;
use enroute_wire::limits::TOKEN_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// First byte of a token of this format.
const FORMAT: u8 = 1;

/// Where a viewer stood; opaque bytes for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(Bytes);

impl Token {
    /// Bytes that claim to be a token; what they are worth shows when resuming.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes to hand to the viewer.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The same one made anew, if it is one: for those who send hostile ones.
    #[doc(hidden)]
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        Cursor::of(self).map(|cursor| cursor.to_token())
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) incarnation: u64,
    /// Samples through here were delivered.
    pub(crate) position: Position,
    pub(crate) at: EngineTime,
    /// Last alert transition delivered, of named transfers.
    pub(crate) ordinals: BTreeMap<TransferId, u64>,
}

impl Cursor {
    pub(crate) fn to_token(&self) -> Token {
        let token = postcard::to_extend(self, vec![FORMAT]).unwrap_or_default();
        Token(token.into())
    }

    pub(crate) fn of(token: &Token) -> Option<Self> {
        let (format, body) = token.0.split_first()?;
        if *format != FORMAT || body.len() > TOKEN_BYTES_MAX {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_put_in_and_rubbish_says_nothing() {
        let cursor = Cursor {
            incarnation: 7,
            position: Position(9),
            at: EngineTime(-3),
            ordinals: BTreeMap::from([(TransferId::new("tx-1").unwrap(), 4)]),
        };
        let token = cursor.to_token();
        assert_eq!(Cursor::of(&token), Some(cursor));
        let bytes = token.into_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(Cursor::of(&Token::new(bytes.slice(..cut))), None, "{cut}");
        }
        assert_eq!(Cursor::of(&Token::new(Bytes::from_static(&[9; 40]))), None);
    }
}
