//! What a record holds.

use serde::{Deserialize, Serialize};

/// Characters of any text in a record; what is longer is cut.
pub const TEXT_CHARS_MAX: usize = 256;
/// Bytes of a line: its texts, each character escaped, and the rest.
pub const LINE_BYTES_MAX: usize = 32 << 10;

/// Who did something, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Who {
    /// A name; a claim, where the role is `unverified`.
    pub name: String,
    /// As what they came.
    pub role: String,
    /// Id of the token that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Name of the certificate of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Where the connection comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Id of the broken glass under which it was done: nothing else would have let it
    /// through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<String>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Was let through; a stream was opened.
    Allowed,
    /// Was not let through.
    Refused,
    /// Might have been let through, and failed before: wrong words, no such transfer.
    Failed,
    /// A stream that was allowed is over.
    Ended,
    /// Happened, and nobody asked.
    Noted,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who.
    pub who: Who,
    /// What: the method, or the command.
    pub action: String,
    /// Id of the transfer that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// More words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// One line of the log, without its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number; the first is 1.
    pub seq: u64,
    /// Microseconds UTC, when it happened by the clock of this machine.
    pub time_us: i64,
    /// What is told.
    #[serde(flatten)]
    pub entry: Entry,
    /// Hash of the record before, in hexadecimal digits.
    pub prev: String,
}

impl Outcome {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Ended => "ended",
            Self::Noted => "noted",
        }
    }
}

impl Entry {
    /// The log's own word about itself.
    pub(crate) fn own(action: &str, detail: String) -> Self {
        let who = Who {
            name: "audit".to_owned(),
            role: "system".to_owned(),
            ..Who::default()
        };
        Self {
            who,
            action: action.to_owned(),
            transfer: None,
            outcome: Outcome::Noted,
            detail,
        }
    }

    /// The same with no text too long.
    pub(crate) fn clipped(mut self) -> Self {
        let who = &mut self.who;
        let more = [&mut who.token, &mut who.peer, &mut who.from, &mut who.glass];
        let more = more.into_iter().chain([&mut self.transfer]).flatten();
        let texts = [
            &mut who.name,
            &mut who.role,
            &mut self.action,
            &mut self.detail,
        ];
        for text in texts.into_iter().chain(more) {
            if let Some((at, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
                text.truncate(at);
            }
        }
        self
    }
}
