//! TLS of every listener and client, from files that may change while it runs, and
//! whose name the other side's certificate bears.
//!
//! - [`Acceptor`] for listeners: TLS 1.3, and where an authority for clients is
//!   given, no connection without a certificate of that authority (mutual TLS).
//!   [`Acceptor::reload`], which [`keep()`] calls every few seconds, takes new files for new connections, and ends living ones
//!   whose certificate is revoked, has expired or is no longer signed by anybody
//!   trusted.
//! - [`listen`]: connections are bounded in all and for each address, handshakes and
//!   silence in time ([`Limits`]); when there is no room, the oldest that has not been
//!   answered gives way. Handshakes have their pace for each address ([`Pace`]).
//! - [`Connector`] for clients: TLS 1.3, and 1.2 for old brokers; [`dial`] for who
//!   connects once.
//!
//! Files are PEM: certificates with the leaf first, one private key (PKCS #8, PKCS #1
//! or SEC 1), revocation lists by X.509 (RFC 5280). A file that is not in order
//! changes nothing: what was in force stays in force. A *peer's name* is the common
//! name of its certificate's subject, as Mosquitto's `use_identity_as_username` has it.
//!
//! [`authority`] makes such files, for development and for small sites.
//!
//! Everything here is over `rustls` with `ring`; no process-wide default is set.

mod accept;
pub mod authority;
mod client;
mod connection;
mod dial;
mod files;
mod keep;
mod listener;
mod patience;
mod peer;
mod places;
mod turns;

pub use accept::{Acceptor, ServerFiles};
pub use client::{ClientFiles, Connector};
pub use connection::{Came, Connection};
pub use dial::dial;
pub use files::TlsError;
pub use keep::keep;
pub use listener::listen;
pub use peer::Peer;
pub use places::{Counts, Limits};
pub use turns::Pace;

pub use rustls::ClientConfig;
pub use tokio_rustls::client::TlsStream;

#[cfg(test)]
mod tests;
