//! The server's side of MQTT: bytes → frames → journal; PUBACKs, receipts,
//! commands, and quarantine of bad input.
//!
//! ```text
//!  broker ─ live ────► lane: parse, decode, check ──► journal ──► commit ──► PUBACK, in order
//!         ─ history ─► lane:        "                    │
//!                              bad publish ──► quarantine, PUBACK
//!  broker ◄─ receipts, commands ◄── outgoing ◄── live
//! ```
//!
//! - Two connections: the live lane starts clean (what expired is healed by
//!   receipts), the history lane keeps its session. Status comes on the live one.
//! - A PUBACK follows the commit of all frames of its publish (I2), in the order
//!   of arrival. Many publishes are under way at a time.
//! - A bad publish is refused whole, counted by a stable word, kept in a bounded
//!   quarantine, acknowledged and survived (I9). One bad frame makes it bad. Of a
//!   gateway and transfer that sent readable ones, the journal has the count.
//! - When the journal fails (I8), nothing more is taken or acknowledged; the
//!   counters stay readable and [`Ingest::failed`] says so.
//!
//! Not here: the meaning of frames (the engine's), time (a clock is given), the
//! connection (`enroute-mqtt`).
//!
//! Queues. Lane → journal: bounded by publishes and bytes ([`Config`]); when full
//! the lane stops reading, the client holds its receive maximum (of a broker that
//! sends more, some 130 MiB at most), and the broker or the gateway keeps the rest.
//! Receipts: one slot per gateway, newer ones merge into it. Commands: one per gateway, until the broker has it.
//! Quarantine: see [`Quarantine`]. A gateway: so many bytes a second (`rate.rs`); what is
//! above is refused unread and stays in its spool.
//!
//! What ingest decides is without I/O, in `intake.rs` and `outgoing.rs`; around
//! them `lane.rs` and `publisher.rs` have the connections, the journal and the
//! clock. Start reading at [`Ingest::start`], then `intake.rs`.

mod config;
mod decode;
mod ingest;
mod intake;
mod lane;
mod outgoing;
mod publisher;
mod quarantine;
mod rate;
mod recent;
mod rejections;
mod stats;

pub use config::{Config, RECEIVE_MAXIMUM};
pub use decode::{Refused, check};
pub use ingest::{Admits, AdmitsFn, Ingest, Parts, StartError};
pub use quarantine::{Quarantine, Quarantined};
pub use stats::Stats;

/// The parts without I/O, for a simulation that brings its own broker, disk and
/// clock. No interface for others.
#[doc(hidden)]
pub mod simulation {
    pub use crate::intake::{Done, Intake, Moment, Received, Shared};
    pub use crate::outgoing::{Echoes, Out, Outgoing, Word};
}
