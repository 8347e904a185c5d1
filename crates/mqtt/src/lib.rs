//! The one wrapper around the MQTT 5 client library.
//!
//! What it is: a connection that is made again for ever, with manual PUBACKs,
//! publishes that are each answered exactly once, and every queue bounded. The
//! traps of the library are handled here and nowhere else:
//!
//! - each connection gets a library state of its own, so nothing pending,
//!   collided or buffered of an old one reaches a new one; what was under way is
//!   reported as [`Event::Lost`] and the caller's own store sends it again;
//! - acknowledgements carry the connection's epoch and those of an older one
//!   are dropped;
//! - a watchdog replaces the missing write time-out: no event for twice the
//!   keep-alive ends the connection;
//! - sizes are checked before a publish is accepted, because the library sends
//!   one that is too large again for ever;
//! - the window is kept here, one below the library's, so that the library never
//!   stops reading requests and acknowledgements never wait behind publishes;
//! - the library's `poll` is pinned and selected over, never dropped while a
//!   connection is to live.
//!
//! What it is not: a store. Order and delivery come from sequences and receipts
//! (I3), never from MQTT.
//!
//! Limits: see [`Options`]. Queues: publishes waiting (`Options::queue`; when
//! full, [`Client::publish`] waits and [`Client::try_publish`] refuses); events
//! waiting (four receive maxima, window and about 1,000 more, then a list bounded by the same; when
//! the reader is that far behind, publishes wait, QoS 0 input is dropped and
//! counted, and no new connection is made); acknowledgements waiting (as many
//! as messages).
//!
//! Start reading at [`Client::connect`]; the loop is in `driver.rs`.

pub mod bare;

mod backoff;
mod client;
mod connection;
mod driver;
mod message;
mod options;

pub use client::{Client, PublishError};
pub use enroute_tls::Connector;
pub use message::{AckToken, Event, Events, Incoming, Publish, Qos};
pub use options::{Credentials, Options, Will};
