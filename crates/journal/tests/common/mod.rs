//! Small helpers for the journal's tests: records whose content says where
//! they belong, and waits that hang no test.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a failed unwrap in a test is a failed test"
)]

use bytes::Bytes;
use enroute_journal::{Append, Class, Journal, LogOptions, Options, Stored, Tail, TailItem};
use enroute_model::ids::TransferId;
use enroute_model::time::{EngineTime, ServerTime};
use enroute_seal::Keys;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A transfer.
pub(crate) fn tx(number: u64) -> TransferId {
    TransferId::new(&format!("tx-{number}")).unwrap()
}

/// A record whose payload names it.
pub(crate) fn record(transfer: u64, class: Class, at: i64, name: &str) -> Append {
    Append {
        class,
        transfer: tx(transfer),
        at: EngineTime(at),
        received_at: ServerTime(at.wrapping_mul(3)),
        payload: Bytes::copy_from_slice(name.as_bytes()),
    }
}

/// The keys of these tests. They run on sealed stores, which do all that clear ones do
/// and more; `ENROUTE_STORE=clear` runs them on clear ones.
pub(crate) fn keys() -> Option<Arc<Keys>> {
    let clear = std::env::var("ENROUTE_STORE").is_ok_and(|store| store == "clear");
    (!clear).then(|| Arc::new(Keys::parse(&format!("1 {:064x}", 42)).unwrap()))
}

/// Options for quick tests.
pub(crate) fn options() -> Options {
    Options {
        keys: keys(),
        steps_in: |payload| std::iter::once(0..payload.len()).collect(),
        commit_interval: Duration::from_micros(100),
        ..Options::default()
    }
}

/// Options of a log.
pub(crate) fn log_options() -> LogOptions {
    LogOptions {
        keys: keys(),
        ..LogOptions::default()
    }
}

/// Opens with [`options`].
pub(crate) fn open(dir: &Path) -> (Journal, Tail) {
    Journal::open(dir, options()).unwrap()
}

/// Waits for a future; a hang fails the test after a minute.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_mins(1), future).await })
        .expect("nothing happened for a minute")
}

/// Reads the tail until `count` records came; ticks are left out.
pub(crate) fn tail_records(tail: &mut Tail, count: usize) -> Vec<Stored> {
    let mut records = Vec::new();
    while records.len() < count {
        match wait(tail.next()).expect("the tail ended early") {
            TailItem::Records(more) => records.extend(more),
            TailItem::Tick(_) => {}
            other => panic!("{other:?}"),
        }
    }
    records
}
