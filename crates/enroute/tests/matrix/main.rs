//! Who may do what: each actor, each action, each resource, by what arrives and not by
//! reason codes alone. [`mqtt`] at both brokers, by one table; [`port`] at the server's
//! port, console, pages and protocols together. That each method of gRPC asks for what
//! it should is `crates/feed/tests/access/matrix.rs`.
//!
//! That something did not arrive is known by a marker sent behind it that did.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod mqtt;
mod port;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
