//! What is deleted is never read again, whenever the power goes, and its space
//! comes back; what others have and what comes later stays.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use common::{open, options, record, tx, wait};
use enroute_journal::{Append, Class, Classes, Journal, Options, Reader, restore};
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, ServerTime, Span};
use std::path::{Path, PathBuf};

const SLICE: i64 = 1_000_000;
/// Payload bytes of a record of the larger test: more than tables in memory hold.
const LARGE: usize = 24 << 10;

fn scanned(reader: &Reader, transfer: u64) -> Vec<u64> {
    let rows = reader.scan(&tx(transfer), Classes::All, Position(0));
    rows.map(|row| row.unwrap().position.0).collect()
}

fn merged(reader: &Reader, transfers: &[u64]) -> Vec<u64> {
    let starts: Vec<_> = transfers.iter().map(|t| (tx(*t), Position(0))).collect();
    let rows = reader.merge(&starts);
    rows.map(|row| row.unwrap().position.0).collect()
}

/// Two transfers side by side over three slices, with everything that can be beside
/// the records.
fn filled(dir: &Path) -> Journal {
    let slice = Span(SLICE);
    let (journal, tail) = Journal::open(dir, Options { slice, ..options() }).unwrap();
    drop(tail);
    let records = |n: i64| {
        [
            (1, Class::Vitals),
            (2, Class::Waveforms),
            (1, Class::Waveforms),
        ]
        .map(|(transfer, class)| record(transfer, class, n * SLICE / 2, "x"))
    };
    let records: Vec<Append> = (0..6).flat_map(records).collect();
    wait(journal.appender().append(records)).unwrap();
    let side = journal.side();
    for transfer in [1, 2] {
        side.put_snapshot(&tx(transfer), Position(9), b"snapshot")
            .unwrap();
        side.put_checkpoint((&tx(transfer), Position(3)), EngineTime(-5), b"early")
            .unwrap();
        side.put_checkpoint((&tx(transfer), Position(9)), EngineTime(7), b"late")
            .unwrap();
        side.put_derived(&tx(transfer), 1, b"alert").unwrap();
        side.put_poison(Position(transfer), &tx(transfer), "bad")
            .unwrap();
    }
    journal
}

fn assert_gone(reader: &Reader) {
    assert_eq!(scanned(reader, 1), [] as [u64; 0]);
    assert_eq!(merged(reader, &[1, 2]), [2, 5, 8, 11, 14, 17]);
    assert_eq!(reader.ends(&tx(1)).unwrap(), None);
    assert_eq!(reader.snapshot(&tx(1)).unwrap(), None);
    assert_eq!(reader.checkpoint(&tx(1), EngineTime(9)).unwrap(), None);
    assert_eq!(reader.derived(&tx(1), 0).count(), 0);
    let poisons = reader.poisons().unwrap();
    assert_eq!(
        poisons.iter().map(|p| &p.transfer).collect::<Vec<_>>(),
        [&tx(2)]
    );
    let deleted = reader.deleted().unwrap();
    let deleted: Vec<_> = deleted
        .iter()
        .map(|d| (&d.transfer, d.through, &d.bytes[..]))
        .collect();
    assert_eq!(deleted, [(&tx(1), Position(18), &b"by age"[..])]);
    // The other one has all that it had.
    let checkpoint = |at| reader.checkpoint(&tx(2), EngineTime(at)).unwrap();
    assert_eq!(checkpoint(-6), None);
    assert_eq!(&checkpoint(6).unwrap().bytes[..], b"early");
    assert_eq!(checkpoint(7).unwrap().position, Position(9));
    assert_eq!(reader.derived(&tx(2), 0).count(), 1);
    assert!(reader.snapshot(&tx(2)).unwrap().is_some());
}

#[test]
fn what_is_deleted_is_never_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path());
    let (reader, side) = (journal.reader(), journal.side());
    assert_eq!(scanned(&reader, 1).len(), 12);
    side.delete(&[tx(1)], journal.last_position(), b"by age")
        .unwrap();
    assert_gone(&reader);
    // As if the power had gone before anything was given back.
    journal.close().unwrap();
    let (journal, tail) = open(dir.path());
    drop(tail);
    assert_gone(&journal.reader());
    assert_eq!(journal.side().purge().unwrap(), 12);
    assert_gone(&journal.reader());
    assert_eq!(journal.side().purge().unwrap(), 0, "nothing is left to do");
    journal.close().unwrap();
    let (journal, tail) = open(dir.path());
    drop(tail);
    assert_gone(&journal.reader());
    assert_eq!(journal.side().purge().unwrap(), 0);
    // What comes later for the same id is there, and only that.
    let late = wait(
        journal
            .appender()
            .append(vec![record(1, Class::Vitals, 9 * SLICE, "late")]),
    );
    assert_eq!(scanned(&journal.reader(), 1), [late.unwrap().0]);
    let ends = journal.reader().ends(&tx(1)).unwrap().unwrap();
    assert_eq!(ends.0.position, Position(19));
    let firsts = journal.reader().transfers().unwrap();
    assert_eq!(
        firsts,
        [(tx(1), Position(1)), (tx(2), Position(2))],
        "codes mean what they meant"
    );
    // And goes as well when it is deleted again.
    journal
        .side()
        .delete(&[tx(1)], Position(19), b"again")
        .unwrap();
    assert_eq!(journal.side().purge().unwrap(), 1);
    assert_eq!(scanned(&journal.reader(), 1), [] as [u64; 0]);
    journal.close().unwrap();
}

#[test]
fn a_reader_that_stands_in_a_dropped_slice_reads_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path());
    let mut before = journal.reader().scan(&tx(1), Classes::All, Position(0));
    assert!(before.next().unwrap().is_ok());
    journal
        .side()
        .delete(&[tx(1), tx(2)], Position(18), b"")
        .unwrap();
    journal.side().purge().unwrap();
    // With its key destroyed the rest is there and opens no more.
    let (read, refused): (Vec<_>, Vec<_>) = before.partition(Result::is_ok);
    let sealed = common::keys().is_some();
    assert_eq!(
        (read.len(), refused.len()),
        if sealed { (0, 11) } else { (11, 0) }
    );
    journal.close().unwrap();
}

#[test]
fn of_many_deletions_the_last_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path());
    let third = vec![record(3, Class::Vitals, 9 * SLICE, "x")];
    wait(journal.appender().append(third)).unwrap();
    let side = journal.side();
    // Deleted in this order; one of them is there again.
    for transfer in [2, 1, 3] {
        side.delete(&[tx(transfer)], journal.last_position(), b"")
            .unwrap();
        if transfer == 2 {
            let back = vec![record(2, Class::Vitals, 9 * SLICE, "again")];
            wait(journal.appender().append(back)).unwrap();
        }
    }
    journal.close().unwrap();
    let reopened = |deleted_max| {
        let options = Options {
            deleted_max,
            ..options()
        };
        let (journal, tail) = Journal::open(dir.path(), options).unwrap();
        drop(tail);
        journal
    };
    let remembered = |journal: &Journal| -> Vec<_> {
        let deleted = journal.reader().deleted().unwrap();
        deleted.into_iter().map(|one| one.transfer).collect()
    };
    // Nothing is off the disk yet.
    let journal = reopened(1);
    assert_eq!(remembered(&journal), [tx(1), tx(2), tx(3)]);
    journal.side().purge().unwrap();
    journal.close().unwrap();
    let journal = reopened(1);
    assert_eq!(remembered(&journal), [tx(2), tx(3)], "2 is there again");
    let transfers = journal.reader().transfers().unwrap();
    let transfers: Vec<_> = transfers.into_iter().map(|(id, _)| id).collect();
    assert_eq!(transfers, [tx(2), tx(3)]);
    assert_eq!(scanned(&journal.reader(), 2).len(), 1);
    // Who comes back after that is new.
    let late = vec![record(1, Class::Vitals, 9 * SLICE, "late")];
    let late = wait(journal.appender().append(late)).unwrap();
    let first = (tx(1), late);
    assert!(journal.reader().transfers().unwrap().contains(&first));
    journal.close().unwrap();
    assert!(reopened(3).reader().transfers().unwrap().contains(&first));
}

/// The write-ahead files as they are.
fn write_ahead(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(dir).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "jnl"));
    paths
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

fn newest_keyspace(dir: &Path) -> u64 {
    let names = std::fs::read_dir(dir.join("keyspaces")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.parse().unwrap()).max().unwrap()
}

/// A restored store has its keyspaces in the order of their names, so that one of the
/// oldest slice may be the newest of all.
#[test]
fn what_comes_after_the_newest_keyspace_was_emptied_outlives_restarts() {
    let (first, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slice = Span(SLICE);
    let (journal, tail) = Journal::open(first.path(), Options { slice, ..options() }).unwrap();
    drop(tail);
    let records = vec![
        record(1, Class::Waveforms, 0, "x"),
        record(2, Class::Vitals, SLICE, "x"),
    ];
    wait(journal.appender().append(records)).unwrap();
    let blocks = journal.reader().backup(ServerTime(0)).unwrap();
    let blocks: Vec<Vec<u8>> = blocks.map(Result::unwrap).collect();
    journal.close().unwrap();
    restore(&mut blocks.concat().as_slice(), dir.path(), |_| {}).unwrap();

    let (journal, tail) = open(dir.path());
    drop(tail);
    let side = journal.side();
    side.delete(&[tx(1)], journal.last_position(), b"").unwrap();
    let (synced, newest) = (write_ahead(dir.path()), newest_keyspace(dir.path()));
    assert_eq!(side.purge().unwrap(), 1);
    drop(side);
    journal.close().unwrap();
    assert_eq!(newest_keyspace(dir.path()), newest, "its number is free");
    // The power goes before anything behind the emptied slice reached the disk.
    for (path, bytes) in synced {
        std::fs::write(path, bytes).unwrap();
    }
    for start in 0..4 {
        let (journal, tail) = open(dir.path());
        drop(tail);
        let wanted: Vec<u64> = (2..3 + start).collect();
        assert_eq!(scanned(&journal.reader(), 2), wanted, "start {start}");
        let next = record(2, Class::Waveforms, 2 * SLICE, "later");
        wait(journal.appender().append(vec![next])).unwrap();
        journal.close().unwrap();
    }
}

fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(kind) if kind.is_dir() => disk_bytes(&entry.path()),
        Ok(file) => file.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[test]
fn the_space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let slice = Span(SLICE);
    let (journal, tail) = Journal::open(dir.path(), Options { slice, ..options() }).unwrap();
    drop(tail);
    // Bytes that do not compress, from a small generator.
    let mut state = 1u32;
    let mut noise = || {
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..LARGE).map(|_| byte()).collect::<Vec<u8>>()
    };
    for n in 0..40 {
        // Transfer 1 in the first slice alone, 2 and 3 in the second.
        let ids = if n < 20 { [1, 1] } else { [2, 3] };
        let records = (0..100).map(|r| Append {
            payload: noise().into(),
            ..record(ids[r % 2], Class::Waveforms, n * SLICE / 20, "")
        });
        wait(journal.appender().append(records.collect())).unwrap();
    }
    let spaces = dir.path().join("keyspaces");
    let count = || std::fs::read_dir(&spaces).unwrap().count();
    let held = |transfer| scanned(&journal.reader(), transfer).len();
    let (spaces_before, others) = (count(), held(3));
    let side = journal.side();
    side.delete(&[tx(1)], journal.last_position(), b"").unwrap();
    assert_eq!(side.purge().unwrap(), 2_000);
    assert_eq!(
        count(),
        spaces_before - 1,
        "a slice that nothing is in goes whole"
    );
    side.delete(&[tx(2)], journal.last_position(), b"").unwrap();
    assert_eq!(side.purge().unwrap(), 1_000);
    assert_eq!(held(3), others);
    let left = disk_bytes(&spaces);
    let others = u64::try_from(others * LARGE).unwrap();
    assert!(left < others * 5 / 4, "{left} bytes for {others}");
    journal.close().unwrap();
}
