//! What a subscription yields, in the model's words. A replay can feed the same.

use crate::token::Token;
use crate::worded::Worded;
use bytes::Bytes;
use enroute_model::ids::{GatewayId, Lane, Position, TransferId};
use enroute_model::registry::ViewerRole;
use enroute_model::state::{TransferState, ValueState};
use enroute_model::time::{EngineTime, ServerTime};
use enroute_wire::v1;
use std::sync::Arc;

/// What a viewer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Ids, aliases or short codes; empty: all open transfers.
    pub transfers: Vec<String>,
    /// Also each frame with numerics (and other content but waveforms).
    pub samples: bool,
    /// Also frames with waveforms; only with `samples`.
    pub waveforms: bool,
    /// All open transfers besides the named ones, without their samples.
    pub board: bool,
    /// As whom: somebody on call is given the alerts that were passed on to them
    /// and no others, and none of an exercise.
    pub role: ViewerRole,
    /// From the last delivery of an earlier subscription.
    pub resume: Option<Token>,
}

/// One step of what a viewer sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// The whole picture; always first.
    Snapshot(Snapshot),
    /// The state of a transfer, whole.
    State(Arc<Worded<TransferState>>),
    /// Newest values of one source that changed.
    Values(Arc<Worded<ValuesChange>>),
    /// A frame seen for the first time.
    Sample(Arc<Worded<Sample>>),
    /// A step of an alert.
    Alert(Arc<AlertStep>),
    /// The subscription lives.
    Heartbeat {
        /// Samples and values replaced by newer ones for this viewer.
        conflated: u64,
    },
}

/// The whole picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// By id.
    pub states: Vec<Arc<TransferState>>,
    /// Why what happened before is not known: a resume token could not be
    /// honoured, or nothing was recorded (what was recorded comes all the same).
    /// `None`: nothing was missed.
    pub missed: Option<String>,
}

/// Newest values of one source, each metric once.
#[derive(Clone, Debug, PartialEq)]
pub struct ValuesChange {
    /// Whose.
    pub transfer: TransferId,
    /// Which source.
    pub gateway: GatewayId,
    /// By metric.
    pub values: Vec<ValueState>,
}

/// A frame as the gateway wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The transfer it belongs to by now.
    pub transfer: TransferId,
    /// Who sent it.
    pub gateway: GatewayId,
    /// Which way it took.
    pub lane: Lane,
    /// Fills in the past: came by the history lane, or behind a newer live one of
    /// its stream.
    pub late: bool,
    /// When the server received it.
    pub received_at: ServerTime,
    /// Where it lies in the journal; 0: it is in no record (I8).
    pub position: Position,
    /// An encoded frame.
    pub frame: Bytes,
}

/// A step of an alert of one transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertStep {
    /// Whose.
    pub transfer: TransferId,
    /// Counts the transfer's steps from 1; 0: it is in no record (I8).
    pub ordinal: u64,
    /// Engine time of the step.
    pub at: EngineTime,
    /// The step in the contract's words: what the journal keeps of it.
    pub transition: v1::AlertTransition,
}

/// The journal cannot be written: what is shown is in no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRecorded {
    /// When it failed, by the server's wall clock.
    pub since: ServerTime,
    /// What failed, or why it is not repaired.
    pub reason: String,
}

/// An update with what goes beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Server's wall clock at hand-over.
    pub server_time: ServerTime,
    /// Resumes behind this update.
    pub token: Token,
    /// Set while what is shown is not recorded.
    pub not_recorded: Option<Arc<NotRecorded>>,
    /// The update.
    pub update: Update,
}

/// Why a subscription is over. The last token resumes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Alert transitions came faster than the viewer took them (I5).
    #[error("the viewer did not keep up with the alerts; resume from the last token")]
    Overflow,
    /// The journal failed or the server stops.
    #[error("the server stops or its journal failed; resume from the last token")]
    Stopped,
    /// The journal could not be read for what was missed.
    #[error("failed to read the journal for what was missed; resume from the last token")]
    Unreadable,
}
