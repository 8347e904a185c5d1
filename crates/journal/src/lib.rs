//! Durable, ordered records: the server's [`Journal`], and the [`Log`] under
//! the gateway's spool. Both are shapes over one embedded store (fjall, a
//! log-structured merge tree with a write-ahead log).
//!
//! Not here: protobuf (payloads are opaque), the clock (times are arguments),
//! engines, retention policy. Where keys are given, values are sealed with data keys
//! of `enroute-seal` (`src/vault.rs`): each transfer, and each slice of a log, has one,
//! and what is deleted takes its key along (`src/shredding.rs`).
//!
//! # Limits
//!
//! | what | bound | when reached |
//! | --- | --- | --- |
//! | queue of appends | 8,192 records, 16 MiB ([`Options`]) | appenders wait; one append larger than that is refused |
//! | one commit | 1,024 records or 4 MiB, exceeded by at most one append | the next one follows at once |
//! | rest between two commits | 3 ms | the commit starts |
//! | [`Tail`] | 16 commits | the committer waits, and with it the appenders |
//! | room on the disk to go on after a failure | 16 MiB | tried again, at first after 1 s, then at most 5 s apart |
//! | write-ahead files | some 200 MiB | the store flushes the oldest tables |
//! | transfers | one id each in memory, deleted ones too | – |
//! | deleted transfers that are remembered | 100,000 when the journal is opened | those deleted first are forgotten, once their records are off the disk |
//! | [`Reader::merge`] | one record and two blocks in memory per transfer | – |
//! | slice of the journal | one day of engine time, two keyspaces of 45 KB memory | – |
//! | slice of the log | 4 MiB written, one keyspace | the next is begun (some 5 ms) |
//!
//! # What is promised
//!
//! - A position, once given, is durable: written and synced (`fdatasync`)
//!   before any waiter, reader or tail hears of it (I2, I8). Positions are dense
//!   from 1 over all transfers; a commit is all or nothing; `at` never decreases.
//! - After a failed write, sync or flush nothing is called durable. The store is
//!   let go, readers included, and opened again in the same place as soon as the
//!   disk takes synced writes and has room; meanwhile what is appended goes to the
//!   tail without positions, and whoever waits hears that it is not durable. What
//!   a failed commit had written all the same counts as durable if it is there
//!   then. Positions and times go on without a hole. A directory that holds
//!   another journal by then, or less than was durable, is not taken.
//! - The store is opened by one process at a time.
//! - A batch that a crash left torn at the end of the write-ahead file, whichever
//!   of its blocks are missing, is cut off when the store is opened. Damage to
//!   what was durable refuses the opening, where the store has a checksum to
//!   see it by (`src/write_ahead.rs`, `src/manifest.rs`).
//! - Snapshots, derived records and parts of the order of capture are synced with the next commit, never
//!   before what they derive from; poison and rule books
//!   are synced at once.
//! - What was deleted is remembered, durably, before the first byte of it goes
//!   ([`Side::delete`]); it is never read again, whatever a crash leaves of it on
//!   the disk, and its space is given back by [`Side::purge`].
//! - A stored record that does not fit its checksum is reported with its
//!   position, and reading goes on. A block that the store itself cannot read
//!   ends that read.
//!
//! # On disk, format 1
//!
//! Big endian throughout. Keyspaces:
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `vitals/N`, `waveforms/N` | length of id u8, id, position u64 | head, payload |
//! | `transfers` | id | head, position u64 of its first record |
//! | `snapshots` | id | head, position u64, bytes |
//! | `sleepers` | id | head, position u64, bytes; absent in older journals |
//! | `derived` | length of id u8, id, ordinal u64 | head, bytes |
//! | `checkpoints` | length of id u8, id, engine time u64 (sign bit turned) | head, position u64, bytes; absent in older journals |
//! | `captured` | length of id u8, id, number u64 | head, bytes; absent in older journals |
//! | `deleted` | id | head, last deleted position u64, last position purged u64, bytes; absent in older journals |
//! | `poison` | position u64 | head, id, a space, reason |
//! | `books` | SHA-256 of a rule book's files | head, the files; absent in older journals |
//! | `meta` | `format` | u32, then `journal` or `log` |
//! | `meta` | `incarnation`, `slice_us` | u64 |
//! | `meta` | `sealed` | head, u32: the highest number of a data key in use; absent where nothing is sealed |
//! | `meta` | `last` | head with the last record's `at`, its position u64; in each commit |
//!
//! `N` is engine time divided by `slice_us`, rounded down: time never decreases,
//! so the slices follow each other in position too, and a keyspace per transfer
//! is never needed. The head:
//!
//! ```text
//!  format u8 │ data key u32, 0 = clear │ at i64 │ received_at i64 │ crc u32 │ …
//! ```
//!
//! with the CRC-32 (ISO 3309) over the head before it and all that follows. Format 1: the
//! payload as it is. Format 2, in `waveforms/N` alone and in no journal of older versions:
//! with the steps between samples packed (`src/steps.rs`), before it is sealed. Both may
//! lie side by side. The store compresses its tables with LZ4 besides, those of keyspaces
//! that an older version made only from some 300 MiB on. What is
//! sealed is bound to its head, its kind of keyspace and its key. The rows of `transfers`,
//! `books` and `meta` are always in clear; keys and heads are, so ids, positions, times,
//! counts and lengths. The file `data-keys` beside the store holds the wrapped keys
//! (`enroute-seal`). Sealed and clear values may lie side by side.
//! The keyspaces of a log are in `src/log.rs`; the format of a backup is in
//! `src/backup.rs`.
//!
//! Start reading with [`Journal`], then `committer.rs`, `queue.rs` and
//! `repair.rs`.

pub mod bare;

mod appender;
mod backup;
mod check;
mod committer;
mod creation;
mod deletion;
mod error;
mod head;
mod journal;
mod keys;
mod log;
mod log_scan;
mod log_sealed;
mod log_slices;
mod manifest;
mod merge;
mod meter;
mod options;
mod pack;
mod queue;
mod reader;
mod record;
mod repair;
mod restore;
mod rewrite;
mod scan;
mod shredding;
mod side;
mod slices;
mod spaces;
mod steps;
mod store;
mod tables;
mod tail;
mod vault;
mod write_ahead;

pub use appender::{Appender, Pending};
pub use backup::{Backup, BackupError, Counts, Head};
pub use check::Check;
pub use error::{AppendError, Failure, OpenError, ReadError, TrySubmitError};
pub use journal::Journal;
pub use log::{Log, LogAppend, LogOptions, Origin};
pub use log_scan::LogScan;
pub use log_slices::LogSlice;
pub use merge::Merge;
pub use meter::{Depth, Depths, Gauges, Meter};
pub use options::{Options, Probe, StepsIn};
pub use reader::Reader;
pub use record::{Append, Class, Classes, Deleted, Poison, Snapshot, Stored};
pub use restore::restore;
pub use scan::Scan;
pub use side::Side;
pub use tail::{Tail, TailItem};

#[cfg(test)]
mod fault_tests;
