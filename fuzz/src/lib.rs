//! What is fed with hostile bytes: each decoder, parser and recovery as a plain
//! function of bytes, which panics where something is wrong.
//!
//! `run/` calls the same functions from libFuzzer, outside the workspace because it
//! needs a nightly compiler; `tests/corpora.rs` calls them on stable with what is in
//! `corpus/`. A function asserts what must hold of any input, not only that nothing
//! panics: what is read, written and read again is the same; what ingest takes, the
//! engine can read; what a damaged store gives out is what was put in.
//!
//! Start with [`TARGETS`]. README.md says how to run them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    reason = "a panic here is what is looked for"
)]

mod contract;
mod files;
mod input;
mod logs;
mod people;
mod room;
mod sealed;
mod stores;
mod texts;

/// A name, as in `corpus/`, and what it stands for.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 23] = [
    ("frame", contract::frame),
    ("batch", contract::batch),
    ("record", contract::record),
    ("engine", contract::engine),
    ("topic", contract::topic),
    ("receipt", contract::receipt),
    ("wfdb_header", files::wfdb_header),
    ("wfdb_record", files::wfdb_record),
    ("mcap", files::mcap),
    ("config", texts::config),
    ("keys", texts::keys),
    ("tokens", texts::tokens),
    ("rule_book", texts::rule_book),
    ("issued", people::issued),
    ("request", people::request),
    ("crew", people::crew),
    ("journal", stores::journal),
    ("spool", stores::spool),
    ("spool_notes", stores::spool_notes),
    ("backup", stores::backup),
    ("audit", logs::audit),
    ("data_keys", sealed::data_keys),
    ("identity", sealed::identity),
];

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.0 == name);
    let (_, body) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    body(bytes);
}
