//! How a gateway is, for metrics: what its page shows, and what only a machine
//! wants to know. Nothing here names the transfer or the patient (I10).

use crate::desk::Desk;
use crate::stats::Stats;
use enroute_model::frame::ClockOffsets;
use enroute_model::time::Span;
use std::sync::Arc;

/// Reads a running gateway; clone it freely. It keeps the spool open.
#[derive(Clone, Debug)]
pub struct Monitor {
    pub(crate) desk: Arc<Desk>,
    /// A receipt so old still counts as receiving.
    pub(crate) within: Span,
}

/// How a gateway is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own, in any combination"
)]
pub struct Readings {
    /// A transfer goes on.
    pub under_way: bool,
    /// The spool failed: nothing is recorded until it works again.
    pub failed: bool,
    /// The live connection stands.
    pub connected: bool,
    /// The hospital has confirmed something lately.
    pub receiving: bool,
    /// Since the last receipt that covered something new; `None` without a
    /// connection, or before the first.
    pub receipt_age: Option<Span>,
    /// The server has no room for the transfer.
    pub full: bool,
    /// Step of the degradation ladder; 0: everything goes live.
    pub level: u32,
    /// How far the clocks are apart, as it was last stated.
    pub clocks: ClockOffsets,
    /// Frames that no receipt covers.
    pub unconfirmed: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// The most there may be.
    pub spool_bytes_max: u64,
}

impl Monitor {
    /// How it is now.
    #[must_use]
    pub fn readings(&self) -> Readings {
        let status = self.desk.status().borrow().clone();
        let now = self.desk.monotonic();
        let age = |last: Span| Span(now.0.saturating_sub(last.0).max(0));
        Readings {
            under_way: status.transfer.is_some(),
            failed: status.failure.is_some(),
            connected: status.link.connected,
            receiving: status.link.is_receiving(now, self.within),
            receipt_age: status.link.receipt_at.map(age),
            full: status.link.full,
            level: status.link.level,
            clocks: self.desk.clocks(),
            unconfirmed: status.unconfirmed,
            spool_bytes: status.bytes.0,
            spool_bytes_max: status.bytes.1,
        }
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.desk.stats
    }
}
