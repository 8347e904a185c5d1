//! The state machine's face.

use crate::bounds::Overflow;
use crate::effects::{Effects, StreamReceipt};
use enroute_model::frame::Metric;
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::record::Record;
use enroute_model::state::{
    AlertState, SourceState, StreamCompleteness, TransferState, Travel, ValueState, Verdict,
};
use enroute_model::time::EngineTime;

/// Changes whenever the same records could give other effects; a snapshot of
/// another version is not restored.
pub const ENGINE_VERSION: u32 = 1;

/// Why a snapshot was not restored; run all records again instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Written by another engine.
    #[error("snapshot is of engine version {found}, this is version {ENGINE_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Not a snapshot, or a part of one.
    #[error("snapshot is damaged")]
    Damaged,
}

/// One transfer.
#[derive(Clone, Debug)]
pub struct Engine {
    transfer: TransferId,
}

impl Engine {
    /// An engine that has seen nothing yet.
    #[must_use]
    pub fn new(transfer: TransferId) -> Self {
        Self { transfer }
    }

    /// Takes in one record. First fires every deadline up to `record.at`, in
    /// deadline order, each at its own time. Records come in the journal's
    /// order; a time that goes back counts as the newest one seen.
    pub fn handle(&mut self, record: &Record, out: &mut Effects) -> Verdict {
        let _ = (record, out);
        Verdict::Applied
    }

    /// Fires every deadline up to `now`, in deadline order, each at its own
    /// time. However finely time is cut, the effects are the same.
    pub fn handle_timeout(&mut self, now: EngineTime, out: &mut Effects) {
        let _ = (now, out);
    }

    /// The time of the next deadline. It may be earlier than needed (then
    /// nothing happens at it), never later.
    #[must_use]
    pub fn next_timeout(&self) -> Option<EngineTime> {
        None
    }

    /// Joins another transfer to this one: its sources, open alerts (with new
    /// ids), crew log and aliases move over. Its id is an alias from here on:
    /// give this engine the records stored under it.
    pub fn absorb(&mut self, other: Self, at: EngineTime, out: &mut Effects) {
        let _ = (other, at, out);
    }

    /// Its id.
    #[must_use]
    pub fn transfer(&self) -> &TransferId {
        &self.transfer
    }

    /// Everything a viewer needs for a first picture.
    #[must_use]
    pub fn state(&self) -> TransferState {
        todo!()
    }

    /// One source as viewers see it.
    #[must_use]
    pub fn source(&self, gateway: &GatewayId) -> Option<SourceState> {
        let _ = gateway;
        None
    }

    /// One value as viewers see it.
    #[must_use]
    pub fn value(&self, gateway: &GatewayId, metric: &Metric) -> Option<ValueState> {
        let _ = (gateway, metric);
        None
    }

    /// Completeness of one source's streams, by epoch and stream.
    #[must_use]
    pub fn completeness(&self, gateway: &GatewayId) -> Vec<StreamCompleteness> {
        let _ = gateway;
        Vec::new()
    }

    /// Open alerts, most urgent first, then oldest first; equal conditions of
    /// several sources once.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertState> {
        Vec::new()
    }

    /// Where the vehicle is.
    #[must_use]
    pub fn travel(&self) -> Travel {
        Travel::default()
    }

    /// Gateways that spoke for this transfer, ascending.
    pub fn gateways(&self) -> impl Iterator<Item = &GatewayId> {
        std::iter::empty()
    }

    /// What the journal holds of a gateway's frames for this transfer, per
    /// epoch and stream, ascending. Only frames that [`Engine::handle`] has
    /// seen (and did not refuse) are in it.
    #[must_use]
    pub fn receipts(&self, gateway: &GatewayId) -> Vec<StreamReceipt> {
        let _ = gateway;
        Vec::new()
    }

    /// What was refused for want of room.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        Overflow::default()
    }

    /// The ordinal of the last alert transition, 0 before the first.
    #[must_use]
    pub fn last_ordinal(&self) -> u64 {
        0
    }

    /// The whole engine as bytes, with its version.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The engine that [`Engine::snapshot`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let _ = bytes;
        Err(RestoreError::Damaged)
    }
}
