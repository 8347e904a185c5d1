//! A copy made while commits go on is one moment of the journal, comes back as a
//! journal that holds the same under the same positions, and is refused with one
//! byte changed, lost, or added.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod common;

use bytes::Bytes;
use enroute_journal::{
    Append, BackupError, Check, Class, Classes, Journal, Options, Poison, Reader, Stored, restore,
};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::{EngineTime, ServerTime, Span};
use std::path::Path;
use tempfile::TempDir;

fn tx(name: &str) -> TransferId {
    TransferId::new(name).unwrap()
}

fn record(number: u64) -> Append {
    let class = if number.is_multiple_of(3) {
        Class::Waveforms
    } else {
        Class::Vitals
    };
    let seconds = i64::try_from(number).unwrap();
    Append {
        class,
        transfer: tx(["a", "b", "c"][usize::try_from(number % 3).unwrap()]),
        at: EngineTime(seconds * 1_000_000),
        received_at: ServerTime(seconds),
        payload: Bytes::from(vec![number.to_le_bytes()[0]; 50]),
    }
}

/// Slices of a minute, so that there are several.
fn open(dir: &Path) -> Journal {
    let options = Options {
        slice: Span::from_secs(60),
        ..common::options()
    };
    Journal::open(dir, options).unwrap().0
}

fn filled(dir: &Path) -> Journal {
    let journal = open(dir);
    let records = (1..=200).map(record).collect();
    let pending = journal.appender().try_submit(records).unwrap();
    assert_eq!(pending.blocking_wait().unwrap(), Position(200));
    let side = journal.side();
    side.put_snapshot(&tx("a"), Position(90), b"snapshot")
        .unwrap();
    side.put_derived(&tx("b"), 1, b"first").unwrap();
    side.put_derived(&tx("b"), 2, b"second").unwrap();
    side.put_poison(Position(7), &tx("b"), "why").unwrap();
    journal
}

fn copy(reader: &Reader) -> Vec<u8> {
    let blocks = reader.backup(ServerTime(5)).unwrap();
    blocks.map(Result::unwrap).collect::<Vec<_>>().concat()
}

/// Everything that a journal says of itself.
type Whole = (
    Vec<Stored>,
    Vec<(TransferId, Position)>,
    Vec<(TransferId, Position, Bytes)>,
    Vec<(u64, Bytes)>,
    Vec<Poison>,
);

fn whole(reader: &Reader) -> Whole {
    let transfers = reader.transfers().unwrap();
    let mut records = Vec::new();
    for (transfer, _) in &transfers {
        records.extend(
            reader
                .scan(transfer, Classes::All, Position(0))
                .map(Result::unwrap),
        );
    }
    records.sort_by_key(|stored| stored.position);
    let snapshots = reader.snapshots().map(Result::unwrap);
    (
        records,
        transfers.clone(),
        snapshots
            .map(|one| (one.transfer, one.position, one.bytes))
            .collect(),
        reader.derived(&tx("b"), 0).map(Result::unwrap).collect(),
        reader.poisons().unwrap(),
    )
}

fn refused(copy: &[u8]) -> BackupError {
    Check::default()
        .all(&mut &*copy, |_| {})
        .expect_err("a copy that is not as it was written")
}

#[test]
fn a_copy_comes_back_as_it_was_under_another_incarnation() {
    let dir = TempDir::new().unwrap();
    let journal = filled(&dir.path().join("old"));
    let copy = copy(&journal.reader());
    let (head, counts) = restore(&mut copy.as_slice(), &dir.path().join("new"), |_| {}).unwrap();
    assert_eq!((head.position, counts.records), (Position(200), 200));
    assert_eq!(head.incarnation, journal.incarnation());
    let restored = open(&dir.path().join("new"));
    assert_eq!(whole(&restored.reader()), whole(&journal.reader()));
    assert_ne!(restored.incarnation(), journal.incarnation());
    assert_eq!(restored.last_position(), Position(200));
    assert_eq!(restored.opened_at(), Some(EngineTime(200_000_000)));
    // And it goes on where the copy ended.
    let pending = restored.appender().try_submit(vec![record(201)]).unwrap();
    assert_eq!(pending.blocking_wait().unwrap(), Position(201));
}

#[test]
fn an_empty_journal_is_copied_too() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("old"));
    let copy = copy(&journal.reader());
    restore(&mut copy.as_slice(), &dir.path().join("new"), |_| {}).unwrap();
    let restored = open(&dir.path().join("new"));
    assert_eq!(
        (restored.last_position(), restored.opened_at()),
        (Position(0), None)
    );
}

#[test]
fn what_is_committed_while_the_copy_is_made_is_not_in_it() {
    let dir = TempDir::new().unwrap();
    let journal = filled(&dir.path().join("old"));
    let before = whole(&journal.reader());
    let mut blocks = journal.reader().backup(ServerTime(5)).unwrap();
    let mut copy = blocks.next().unwrap().unwrap();
    for number in 201..=400 {
        let pending = journal.appender().try_submit(vec![record(number)]).unwrap();
        pending.blocking_wait().unwrap();
        if number % 20 == 0 {
            copy.extend(blocks.next().map(Result::unwrap).unwrap_or_default());
        }
    }
    copy.extend(blocks.flat_map(Result::unwrap));
    restore(&mut copy.as_slice(), &dir.path().join("new"), |_| {}).unwrap();
    let restored = open(&dir.path().join("new"));
    assert_eq!(whole(&restored.reader()), before);
    assert_eq!(restored.last_position(), Position(200));
}

#[test]
fn a_byte_that_is_changed_lost_or_added_is_found() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    let records = (1..=20).map(record).collect();
    let pending = journal.appender().try_submit(records).unwrap();
    assert_eq!(pending.blocking_wait().unwrap(), Position(20));
    let copy = copy(&journal.reader());
    assert!(Check::default().all(&mut copy.as_slice(), |_| {}).is_ok());
    for at in 0..copy.len() {
        let mut changed = copy.clone();
        changed[at] ^= 0x10;
        let error = refused(&changed);
        assert!(!error.to_string().is_empty(), "at {at}");
    }
    for length in 0..copy.len() {
        let error = refused(&copy[..length]);
        let said = matches!(error, BackupError::Truncated { .. } | BackupError::NoBackup);
        assert!(said, "cut at {length}: {error}");
    }
    let more = [copy.as_slice(), b"x"].concat();
    assert!(matches!(refused(&more), BackupError::Damaged { .. }));
}

#[test]
fn a_block_that_is_left_out_or_moved_is_found() {
    let dir = TempDir::new().unwrap();
    let journal = filled(dir.path());
    let blocks: Vec<_> = journal
        .reader()
        .backup(ServerTime(5))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(blocks.len() > 5);
    for left_out in 1..blocks.len() {
        let mut fewer = blocks.clone();
        fewer.remove(left_out);
        refused(&fewer.concat());
        let mut moved = blocks.clone();
        moved.swap(left_out, left_out.max(2) - 1);
        if moved != blocks {
            refused(&moved.concat());
        }
    }
}

#[test]
fn a_copy_of_a_newer_program_is_named_as_such() {
    let dir = TempDir::new().unwrap();
    let journal = filled(dir.path());
    let copy = copy(&journal.reader());
    // Magic, kind, number, length, checksum, then the format.
    let (head, body) = (16, 16 + 17);
    let mut newer = copy.clone();
    newer[body + 3] = 9;
    let end = body + 48;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&newer[head..head + 13]);
    crc.update(&newer[body..end]);
    newer[head + 13..body].copy_from_slice(&crc.finalize().to_be_bytes());
    let error = refused(&newer);
    assert!(
        matches!(error, BackupError::Newer { found: 9, known: 1 }),
        "{error}"
    );
}
