//! The words of the domain: ids, the times, vital signs and their catalogue,
//! frames as the engine sees them, the registry of transfers, and the state and
//! alert transitions that come out.
//!
//! Not here: protobuf (`enroute-wire` converts), files, clocks, rules. Types
//! make bad values unrepresentable: a measured value is a finite number *or* a
//! reason why there is none, and different times are different types.
//!
//! Start with [`frame::Frame`] and [`record::Record`] (what goes into the
//! engine) and [`state::TransferState`] (what comes out).

pub mod catalogue;
pub mod frame;
pub mod ids;
pub mod notes;
pub mod ranges;
pub mod reading;
pub mod record;
pub mod registry;
pub mod state;
pub mod time;
