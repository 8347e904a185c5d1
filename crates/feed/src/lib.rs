//! The gRPC port: live state, history, replay and the registry of transfers over
//! `enroute-live`, with the standard health and reflection services. Native
//! gRPC (HTTP/2 without TLS), gRPC-Web (HTTP/1.1 or 2) and pages share one port.
//!
//! Who calls, what that one may and which transfers are theirs is decided here
//! ([`Gate`]) by the rules of `enroute-access`; where tokens come from is the binary's.
//!
//! What each asked for, and was let through to or refused, is told to the audit log.
//!
//! Not here: TLS, which is `enroute-tls`, and any state: all of it is asked from
//! `live`.
//!
//! Start with [`Feed`]. Bounds are in [`Options`]; how many may watch at a time
//! is `enroute_live::Options::viewers_max`.

mod access_service;
mod admin_service;
mod call;
mod caller;
mod convert;
mod gate;
mod glass;
mod guarded;
mod identities;
mod identities_service;
mod identity_words;
mod issuer;
mod live_service;
mod options;
mod rates;
mod replay_service;
mod server;
mod transfers_service;
mod view;
mod watching;

pub use gate::Gate;
pub use glass::GlassCounts;
pub use identities::Identities;
pub use issuer::Issuer;
pub use options::Options;
pub use rates::RateCounts;
pub use server::{Feed, ServeError};

/// How requests are read, without a server: for those who send hostile ones.
#[doc(hidden)]
pub mod simulation {
    pub use crate::identity_words::change_from as identity;
    pub use crate::live_service::checked as watch;
    pub use crate::replay_service::{checked as play, command_from as command};
    pub use crate::transfers_service::actor;
}
