//! Who saw, did, exported and was refused: an append-only record in which each entry
//! carries the hash of the one before, so that what is changed, cut off, taken out or
//! put elsewhere is found ([`verify()`]).
//!
//! **On disk**: JSON lines in files of about [`FILE_BYTES`] in one directory, each named
//! by the number of its first record (`audit-00000000000000000001.jsonl`). A record is
//! one line, its fields in the order of [`Record`], and `hash` last: SHA-256 of all that
//! stands before `,"hash"`, or HMAC-SHA-256 where a key is given. `prev` is the hash of
//! the record before, zeros in the first. Numbers have no holes. The file `head` has
//! number and hash of the last record, with a check of its own; it is replaced, synced,
//! behind each group of records, so that records cut off the end are missed. `lock` is
//! held by the one process that writes.
//!
//! **What it can prove**: without a key everybody who may write here can make another
//! chain, whole in itself; then only a head that was noted elsewhere tells (the log of
//! the server names it now and then). With a key, whoever has not got it can at most
//! put back an older state of the whole directory, which a noted head tells too.
//!
//! **What is left of a write that a power cut broke off** lies behind the head. It is
//! taken away when the log is opened next, and that is a record. All other damage
//! stays as it is: the log goes on in a new file, under the number that should have come
//! next, with a record of it, and [`verify()`] says so for ever.
//!
//! **Bounds**: a text in a record has [`TEXT_CHARS_MAX`] characters, a line
//! [`LINE_BYTES_MAX`] bytes; [`QUEUE_MAX`] records wait for the writing thread,
//! [`PENDING_MAX`] for a disk that does not work; what has no room is counted and told.
//! Who does the same again and again is written some times a minute, and then as a
//! sum ([`Audit::tell_often`]).
//!
//! Nothing here names a patient (I10): transfers go by their ids. Nothing is ever
//! deleted here. Start with [`Audit`].

mod chain;
mod flood;
mod log;
mod record;
mod verify;
mod writer;

pub use chain::{Head, Key, KeyError};
pub use log::{FILE_BYTES, Log, OpenError, files};
pub use record::{Entry, LINE_BYTES_MAX, Outcome, Record, TEXT_CHARS_MAX, Who};
pub use verify::{FAULTS_MAX, Fault, Verified, records, verify};
pub use writer::{Audit, Counts, NotWritten, PENDING_MAX, QUEUE_MAX};

#[cfg(test)]
mod tests;
