//! What goes into the engine: one record of the journal, decoded.

use crate::frame::Frame;
use crate::ids::{BookHash, GatewayId, Lane, Position, TransferId};
use crate::registry::RegistryAction;
use crate::state::Unrecorded;
use crate::time::{EngineTime, ServerTime};

/// One record of a transfer, in the journal's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Place in the journal.
    pub position: Position,
    /// Engine time of its commit.
    pub at: EngineTime,
    /// Server's wall clock at reception.
    pub received_at: ServerTime,
    /// The transfer it was stored under (for a joined one: its own id).
    pub transfer: TransferId,
    /// What it says.
    pub entry: Entry,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A frame from a gateway.
    Frame {
        /// Who sent it.
        gateway: GatewayId,
        /// Which way it took.
        lane: Lane,
        /// CRC-32 of its bytes: the same identity with another digest is a conflict.
        digest: u32,
        /// The frame.
        frame: Box<Frame>,
    },
    /// The broker's word about a gateway (birth, Last Will).
    Presence {
        /// Whose.
        gateway: GatewayId,
        /// False: its connection ended.
        online: bool,
    },
    /// What a person did.
    Registry {
        /// Given by the caller: the same id again changes nothing.
        action_id: String,
        /// Who, as the server knows them.
        actor: String,
        /// What.
        action: RegistryAction,
        /// When it was done, if the journal could not be written then (I8).
        happened_unrecorded: Option<ServerTime>,
    },
    /// What viewers saw in this time was not recorded (I8).
    Unrecorded(Unrecorded),
    /// Publishes of a gateway that ingest refused since the server started.
    Rejected {
        /// Whose.
        gateway: GatewayId,
        /// How many.
        publishes: u64,
    },
    /// From here on this rule book applies to the transfer.
    RuleBook {
        /// Which.
        hash: BookHash,
    },
    /// A record that could not be handled; skipped identically ever after (I9).
    Poisoned {
        /// Why.
        reason: String,
    },
}
