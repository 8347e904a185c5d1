//! One transfer: order, duplicates, gaps, latest values and their age, short
//! trends, link state, travel, alerts. A pure state machine, deterministic (I1):
//! the same records give the same effects and the same state, byte for byte.
//!
//! Not here: files, clocks, protobuf, threads, other transfers. `live` owns the
//! engines and feeds them what the journal committed.
//!
//! Three entry points: [`Engine::handle`], [`Engine::handle_timeout`],
//! [`Engine::next_timeout`]. Limits are in [`bounds`].

mod alerts;
pub mod bounds;
mod effects;
mod engine;
mod ledger;
mod source;
mod travel;
mod value;

pub use effects::{Changed, Effects, Request, StreamReceipt};
pub use engine::{ENGINE_VERSION, Engine, JOINED, RestoreError};

#[cfg(test)]
mod tests;
