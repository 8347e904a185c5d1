//! The gRPC port: live state, history, replay and the registry of transfers over
//! `enroute-live`, with the standard health and reflection services. Native
//! gRPC (HTTP/2 without TLS), gRPC-Web (HTTP/1.1 or 2) and pages share one port.
//!
//! Not here: TLS and authentication (not built yet; the binary refuses to
//! listen beyond loopback, I12), and any state: all of it is asked from `live`.
//!
//! Start with [`Feed`]. Bounds are in [`Options`]; how many may watch at a time
//! is `enroute_live::Options::viewers_max`.

mod admin_service;
mod convert;
mod live_service;
mod options;
mod replay_service;
mod server;
mod transfers_service;

pub use options::Options;
pub use server::{Feed, ServeError};
