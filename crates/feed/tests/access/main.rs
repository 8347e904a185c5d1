//! Who may do what at the port, and see what, over gRPC and gRPC-Web.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]

mod audit;
mod bench;
mod glass;
mod identities;
mod issued;
mod matrix;
mod rates;
mod regions;
mod streams;
