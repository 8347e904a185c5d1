//! Any course of actions against a model that is a list in memory, and what a
//! damaged directory reads like.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use common::{options, record, tail_records, tx, wait};
use enroute_journal::{
    Append, Class, Classes, Journal, OpenError, Options, ReadError, Stored, Tail, TailItem,
};
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, Span};
use fjall::{Database, KeyspaceCreateOptions};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug)]
enum Action {
    /// A batch: transfer, class, time, length of the payload.
    Append(Vec<(u64, Class, i64, usize)>),
    Tick(i64),
    Reopen,
    Scan(u64, Classes, u64),
    Merge(Vec<u64>),
    Snapshot(u64, u8),
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Vitals), Just(Class::Waveforms)]
}

fn action() -> impl Strategy<Value = Action> {
    let classes = prop_oneof![Just(Classes::All), class().prop_map(Classes::Only)];
    let row = (0..4_u64, class(), -50..100_i64, 0..200_usize);
    prop_oneof![
        5 => prop::collection::vec(row, 0..8).prop_map(Action::Append),
        2 => (-50..150_i64).prop_map(Action::Tick),
        1 => Just(Action::Reopen),
        3 => (0..5_u64, classes, 0..60_u64).prop_map(|(t, c, p)| Action::Scan(t, c, p)),
        2 => prop::collection::vec(0..60_u64, 0..5).prop_map(Action::Merge),
        1 => (0..4_u64, any::<u8>()).prop_map(|(t, b)| Action::Snapshot(t, b)),
    ]
}

fn sliced() -> Options {
    Options {
        slice: Span(20),
        ..options()
    }
}

/// The journal and the list that says what it must hold.
struct Course<'a> {
    dir: &'a Path,
    open: Option<(Journal, Tail)>,
    records: Vec<Stored>,
    now: i64,
    snapshots: BTreeMap<u64, (u64, u8)>,
}

impl Course<'_> {
    fn step(&mut self, action: Action) {
        let (journal, tail) = self.open.as_mut().unwrap();
        let last = u64::try_from(self.records.len()).unwrap();
        match action {
            Action::Append(rows) => {
                let batch: Vec<Append> = rows
                    .iter()
                    .map(|(t, class, at, length)| record(*t, *class, *at, &"x".repeat(*length)))
                    .collect();
                for append in &batch {
                    self.now = self.now.max(append.at.0);
                    self.records.push(Stored {
                        position: Position(u64::try_from(self.records.len()).unwrap() + 1),
                        class: append.class,
                        transfer: append.transfer.clone(),
                        at: EngineTime(self.now),
                        received_at: append.received_at,
                        payload: append.payload.clone(),
                    });
                }
                let count = batch.len();
                let position = wait(journal.appender().append(batch)).unwrap();
                assert_eq!(usize::try_from(position.0).unwrap(), self.records.len());
                let expected = &self.records[self.records.len() - count..];
                assert_eq!(tail_records(tail, count), expected);
            }
            Action::Tick(at) => {
                self.now = self.now.max(at);
                wait(journal.appender().tick(EngineTime(at))).unwrap();
                let item = wait(tail.next()).unwrap();
                assert_eq!(item, TailItem::Tick(EngineTime(self.now)));
            }
            Action::Reopen => {
                let (journal, tail) = self.open.take().unwrap();
                drop(tail);
                journal.close().unwrap();
                self.open = Some(Journal::open(self.dir, sliced()).unwrap());
                self.now = self.records.last().map_or(i64::MIN, |record| record.at.0);
            }
            Action::Scan(transfer, classes, after) => {
                let rows = journal
                    .reader()
                    .scan(&tx(transfer), classes, Position(after));
                let rows: Vec<Stored> = rows.map(Result::unwrap).collect();
                let mut expected = self.records.clone();
                expected.retain(|r| {
                    r.transfer == tx(transfer) && classes.holds(r.class) && r.position.0 > after
                });
                assert_eq!(rows, expected);
            }
            Action::Merge(after) => {
                let starts: Vec<_> = (0..).map(tx).zip(after.into_iter().map(Position)).collect();
                let rows = journal.reader().merge(&starts).map(Result::unwrap);
                let rows: Vec<Stored> = rows.collect();
                let mut expected = self.records.clone();
                expected.retain(|r| {
                    starts
                        .iter()
                        .any(|(t, after)| r.transfer == *t && r.position > *after)
                });
                assert_eq!(rows, expected);
            }
            Action::Snapshot(transfer, byte) => {
                let side = journal.side();
                side.put_snapshot(&tx(transfer), Position(last), &[byte])
                    .unwrap();
                self.snapshots.insert(transfer, (last, byte));
            }
        }
    }

    fn check(&self) {
        let reader = self.open.as_ref().unwrap().0.reader();
        let snapshots = reader.snapshots().map(Result::unwrap);
        let snapshots: Vec<_> = snapshots
            .map(|s| (s.transfer, (s.position.0, s.bytes[0])))
            .collect();
        let expected: Vec<_> = self.snapshots.iter().map(|(t, s)| (tx(*t), *s)).collect();
        assert_eq!(snapshots, expected);
        let mut first = BTreeMap::new();
        for record in &self.records {
            first
                .entry(record.transfer.clone())
                .or_insert(record.position);
        }
        assert_eq!(
            reader.transfers().unwrap(),
            first.into_iter().collect::<Vec<_>>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_course_of_actions_reads_like_a_list(actions in prop::collection::vec(action(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let mut course = Course {
            dir: dir.path(),
            open: Some(Journal::open(dir.path(), sliced()).unwrap()),
            records: Vec::new(),
            now: i64::MIN,
            snapshots: BTreeMap::new(),
        };
        for action in actions {
            course.step(action);
        }
        course.step(Action::Reopen);
        course.step(Action::Merge(vec![0; 4]));
        course.check();
    }
}

fn with_three_records(dir: &Path) {
    let (journal, tail) = common::open(dir);
    drop(tail);
    let records = (1..=3).map(|n| record(1, Class::Vitals, n, "payload"));
    wait(journal.appender().append(records.collect())).unwrap();
    journal.close().unwrap();
}

/// Changes what the store holds under `key` of `space` behind the journal's back.
fn tamper(dir: &Path, space: &str, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
    let db = Database::builder(dir).open().unwrap();
    let space = db.keyspace(space, KeyspaceCreateOptions::default).unwrap();
    let mut value = space.get(key).unwrap().unwrap().to_vec();
    change(&mut value);
    space.insert(key, value).unwrap();
}

fn key(position: u64) -> Vec<u8> {
    [&b"\x04tx-1"[..], &position.to_be_bytes()].concat()
}

#[test]
fn a_damaged_record_is_reported_with_its_position_and_reading_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    with_three_records(dir.path());
    tamper(dir.path(), "vitals/0", &key(2), |value| {
        *value.last_mut().unwrap() ^= 1;
    });
    let (journal, _tail) = common::open(dir.path());
    let reader = journal.reader();
    let scanned: Vec<_> = reader.scan(&tx(1), Classes::All, Position(0)).collect();
    let merged: Vec<_> = reader.merge(&[(tx(1), Position(0))]).collect();
    assert_eq!(scanned, merged);
    let positions: Vec<_> = scanned
        .iter()
        .map(|row| match row {
            Ok(stored) => (stored.position.0, true),
            Err(ReadError::Record { position, .. }) => (position.0, false),
            Err(error) => panic!("{error}"),
        })
        .collect();
    assert_eq!(positions, [(1, true), (2, false), (3, true)]);
    let told = scanned[1].as_ref().unwrap_err().to_string();
    assert_eq!(told, "record 2 is unreadable: its checksum does not fit");
}

#[test]
fn a_record_of_a_newer_format_or_cut_short_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    with_three_records(dir.path());
    tamper(dir.path(), "vitals/0", &key(1), |value| value[0] = 3);
    tamper(dir.path(), "vitals/0", &key(3), |value| value.truncate(10));
    let (journal, _tail) = common::open(dir.path());
    let rows: Vec<_> = journal
        .reader()
        .scan(&tx(1), Classes::All, Position(0))
        .collect();
    let told: Vec<String> = rows
        .iter()
        .filter_map(|row| row.as_ref().err().map(ToString::to_string))
        .collect();
    let expected = [
        "record 1 is unreadable: format 3 is not known, only 1 and 2",
        "record 3 is unreadable: 10 bytes are too few for a head",
    ];
    assert_eq!(told, expected);
}

#[test]
fn packed_steps_that_are_none_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    with_three_records(dir.path());
    tamper(dir.path(), "vitals/0", &key(2), |value| {
        let head = [&[2][..], &[0; 20]].concat();
        let crc = crc32fast::hash(&[&head, &b"\x05a"[..]].concat());
        *value = [&head, &crc.to_be_bytes()[..], b"\x05a"].concat();
    });
    let (journal, _tail) = common::open(dir.path());
    let rows = journal
        .reader()
        .scan(&tx(1), Classes::All, Position(0))
        .collect::<Vec<_>>();
    let told = rows[1].as_ref().unwrap_err().to_string();
    assert_eq!(told, "record 2 is unreadable: its packed steps are damaged");
    assert!(rows[0].is_ok() && rows[2].is_ok());
}

#[test]
fn a_newer_or_damaged_directory_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    with_three_records(dir.path());
    tamper(dir.path(), "meta", b"last", |value| value[5] ^= 1);
    let damaged = Journal::open(dir.path(), options()).unwrap_err();
    assert!(matches!(damaged, OpenError::Damaged { .. }), "{damaged}");
    tamper(dir.path(), "meta", b"format", |value| value[3] = 9);
    let newer = Journal::open(dir.path(), options()).unwrap_err();
    assert!(
        newer
            .to_string()
            .ends_with("has disk format 9, this program reads up to 1: use the newer program"),
        "{newer}"
    );
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let refused = Journal::open(&file, options()).unwrap_err();
    assert!(
        refused.to_string().starts_with("failed to open"),
        "{refused}"
    );
}
