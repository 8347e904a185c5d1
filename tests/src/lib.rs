//! What the end-to-end tests share: processes, recordings. The tests of the
//! binary are in `crates/enroute/tests`, where cargo gives its path; those of the
//! tree and of the brokers are in `tests/`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    reason = "a failure here is a failed test"
)]

pub mod frames;
pub mod http;
pub mod issuer;
pub mod mosquitto;
pub mod numbered;
pub mod openmetrics;
pub mod process;
pub mod python;
pub mod raw_mqtt;
pub mod recordings;
pub mod sealed;
pub mod site;
pub mod small_disk;
pub mod stack;
pub mod viewer;
pub mod wfdb_set;
