//! What crew and hospital write to each other, and how far it has come.

use crate::frame::CrewEvent;
use crate::ids::GatewayId;
use crate::state::{AlertState, Attention};
use crate::time::GatewayTime;
use serde::{Deserialize, Serialize};

/// A crew event worth showing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrewEntry {
    /// Gateway's clock.
    pub captured_at: GatewayTime,
    /// Which gateway.
    pub gateway: GatewayId,
    /// What.
    pub event: CrewEvent,
    /// Of a note: who in the hospital read it first.
    pub read: Option<Attention>,
}

/// A note of the hospital to the crew, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteToCrew {
    /// The id of the action that wrote it.
    pub id: String,
    /// Who, and when.
    pub from: Attention,
    /// What.
    pub text: String,
    /// On which page on board it appeared first.
    pub delivered: Option<NoteTaken>,
    /// Which crew said first that it has read it.
    pub read: Option<NoteTaken>,
}

/// A crew took note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteTaken {
    /// Whose crew.
    pub gateway: GatewayId,
    /// Gateway's clock.
    pub at: GatewayTime,
}

/// What one crew is to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotesOnBoard {
    /// What the hospital noted, oldest first.
    pub to_crew: Vec<NoteToCrew>,
    /// What this crew noted, oldest first, at most 16.
    pub from_crew: Vec<CrewEntry>,
    /// Alerts that somebody acknowledged, at most 16.
    pub acknowledged: Vec<AlertState>,
}

impl NotesOnBoard {
    /// Nothing to know.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to_crew.is_empty() && self.from_crew.is_empty() && self.acknowledged.is_empty()
    }
}
