//! Waveforms whose steps are packed come back as they were, whichever way they are read,
//! beside those that are not; the disk shows that they are packed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use bytes::Bytes;
use common::{tail_records, tx, wait};
use enroute_journal::{Append, Class, Classes, Journal, Options, Stored, Tail, restore};
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, ServerTime};
use enroute_seal::Keys;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

const BEFORE: &[u8] = b"before ";
const BEHIND: &[u8] = b" behind";

/// Text around 300 steps of a sawtooth that is never the same.
fn payload(number: u64) -> Bytes {
    let number = usize::try_from(number).unwrap();
    let steps = (0..300).map(|n| [4, 2, 6, 4, 9, 7][(n + n / 7 * number) % 6]);
    let steps: Vec<u8> = steps.collect();
    Bytes::from([BEFORE, &steps, BEHIND].concat())
}

fn steps_in(payload: &[u8]) -> Vec<Range<usize>> {
    let run = BEFORE.len()..payload.len() - BEHIND.len();
    std::iter::once(run).collect()
}

fn records(numbers: Range<u64>) -> Vec<Append> {
    let record = |number: u64| Append {
        class: Class::ALL[usize::try_from(number % 2).unwrap()],
        transfer: tx(number / 2 % 2),
        at: EngineTime(5),
        received_at: ServerTime(6),
        payload: payload(number),
    };
    numbers.map(record).collect()
}

/// With the steps packed, or as journals were written before they were.
fn open(dir: &Path, keys: Option<&Arc<Keys>>, packs: bool) -> (Journal, Tail) {
    let mut options = Options {
        keys: keys.cloned(),
        ..Options::default()
    };
    if packs {
        options.steps_in = steps_in;
    }
    Journal::open(dir, options).unwrap()
}

/// Everything, in whichever way it can be read.
fn assert_whole(journal: &Journal, count: u64) {
    let reader = journal.reader();
    let right = |stored: &Stored| stored.payload == payload(stored.position.0);
    let starts = [0, 1].map(|transfer| (tx(transfer), Position(0)));
    let merged: Vec<Stored> = reader.merge(&starts).map(Result::unwrap).collect();
    assert_eq!(merged.len(), usize::try_from(count).unwrap());
    assert!(merged.iter().all(right));
    for (transfer, _) in &starts {
        for class in Class::ALL {
            let rows = reader.scan(transfer, Classes::Only(class), Position(0));
            assert!(rows.map(Result::unwrap).all(|stored| right(&stored)));
        }
        let (first, last) = reader.ends(transfer).unwrap().unwrap();
        assert!(right(&first) && right(&last));
    }
}

fn bytes_in(dir: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return bytes_in(&path, wanted);
        }
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(wanted.len()).any(|some| some == wanted)
    })
}

#[test]
fn what_was_packed_comes_back_beside_what_was_not() {
    let key = Arc::new(Keys::parse(&format!("1 {:064x}", 42)).unwrap());
    for keys in [None, Some(&key)] {
        let dir = tempfile::tempdir().unwrap();
        let mut count = 0;
        for packs in [false, true, false, true] {
            let (journal, mut tail) = open(dir.path(), keys, packs);
            wait(journal.appender().append(records(count + 1..count + 9))).unwrap();
            count += 8;
            for stored in tail_records(&mut tail, 8) {
                assert_eq!(stored.payload, payload(stored.position.0));
            }
            assert_whole(&journal, count);
            drop(tail);
            journal.close().unwrap();
        }
        let (journal, tail) = open(dir.path(), keys, false);
        drop(tail);
        assert_whole(&journal, count);

        let mut copy = Vec::new();
        for block in journal.reader().backup(ServerTime(0)).unwrap() {
            copy.extend(block.unwrap());
        }
        let other = tempfile::tempdir().unwrap();
        let place = other.path().join("journal");
        restore(&mut copy.as_slice(), &place, |_| {}).unwrap();
        let (restored, tail) = open(&place, keys, true);
        drop(tail);
        assert_whole(&restored, count);

        journal.side().delete(&[tx(0)], Position(6), b"").unwrap();
        let rows = journal.reader().scan(&tx(0), Classes::All, Position(0));
        let rows: Vec<Stored> = rows.map(Result::unwrap).collect();
        assert!(
            rows.len() >= 8
                && rows
                    .iter()
                    .all(|row| row.payload == payload(row.position.0))
        );
    }
}

#[test]
fn the_disk_holds_the_steps_of_waveforms_packed_and_nothing_else_so() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tail) = open(dir.path(), None, true);
    drop(tail);
    // One of waveforms, then one of the vitals.
    wait(journal.appender().append(records(1..3))).unwrap();
    journal.close().unwrap();
    assert!(!bytes_in(dir.path(), &payload(1)));
    assert!(bytes_in(dir.path(), &payload(2)));
}
