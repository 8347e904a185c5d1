//! The one MQTT 5 client, over the packets of a library.
//!
//! What it is: a connection that is made again for ever, with manual PUBACKs,
//! publishes that are each answered exactly once, and every queue bounded. The
//! library reads and writes packets; the connection is ours, because the library's
//! writes each PUBACK by itself, which is most of what a message costs:
//!
//! - each connection starts with nothing of an old one; what was under way is
//!   reported as [`Event::Lost`] and the caller's own store sends it again;
//! - acknowledgements carry the connection's epoch and those of an older one
//!   are dropped;
//! - what is to go out goes out in one write before anything is waited for, and all
//!   that a read brought is handled before the next;
//! - a ping that is not answered before the next one is due ends the connection, so
//!   a peer that does not read is left too;
//! - sizes are checked before a publish is accepted: the other side would end the
//!   connection for one that is too large, each time it came.
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
//! Start reading at [`Client::connect`]; the loop is in `driver.rs`, what packets mean
//! in `connection.rs`, how bytes become packets in `link.rs`.

pub mod bare;

mod backoff;
mod client;
mod connection;
mod driver;
mod link;
mod message;
mod open;
mod options;
mod pings;

pub use client::{Client, PublishError};
pub use enroute_tls::Connector;
pub use message::{AckToken, Event, Events, Incoming, Publish, Qos};
pub use options::{Credentials, Options, Will};
