//! The contract in Rust: generated protobuf and gRPC code ([`v1`]), topics, the
//! limits that everything from the network is checked against, and the only
//! conversion between the contract and the model.
//!
//! Not here: sockets, files, clocks. Start with [`frame::decode`].

pub mod batch;
mod columns;
mod event_codes;
mod events;
pub mod frame;
pub mod limits;
mod numerics;
pub mod record;
pub mod registry;
mod run;
pub mod state;
mod straight;
pub mod topics;
mod waveform;

/// Generated from `proto/enroute/v1`; the prose is there.
#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
#[allow(
    clippy::large_enum_variant,
    reason = "generated code; whether it has one changes with the contract"
)]
pub mod v1 {
    tonic::include_proto!("enroute.v1");
}

/// The compiled descriptors of all protos, for gRPC reflection and for
/// self-describing recordings.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use events::{cause_to, priority_from};
pub use prost::Message;
