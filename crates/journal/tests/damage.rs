//! What is left of a journal whose files are not as they were written: the live
//! tail cut at every byte, older files cut short or changed at sampled places.
//!
//! Nothing wrong is ever given out in silence. A cut or torn tail leaves exactly
//! the commits before it; a damaged older file is noticed when the journal is
//! opened, or what is lost is reported by its positions, and reading goes on behind
//! it. More places in each older file:
//!
//! ```text
//! ENROUTE_DAMAGE=500 cargo test -p enroute-journal --test damage -- --nocapture
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use bytes::Bytes;
use common::{options, tx, wait};
use enroute_journal::{Append, Class, Classes, Journal, OpenError, ReadError};
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, ServerTime};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TRANSFERS: u64 = 2;
/// Commits in the tail that is cut.
const COMMITS: u64 = 4;
/// Places of each older file that are changed.
const PLACES: usize = 4;
/// What reaches a disk together.
const BLOCK: usize = 4_096;
/// Bytes of a record that takes several blocks.
const LARGE: usize = 20_000;

/// In memory where there is such a place; nothing here depends on a sync.
fn place() -> TempDir {
    let shared = TempDir::new_in("/dev/shm");
    shared.or_else(|_| TempDir::new()).unwrap()
}

/// A payload that nothing compresses, of the number's own bytes.
fn payload(number: u64, size: usize) -> Bytes {
    let mut state = number;
    let words = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(number | 1);
        state.to_be_bytes()
    });
    words.take(size.div_ceil(8)).flatten().collect()
}

fn numbered(number: u64, size: usize) -> Append {
    let class = if number.is_multiple_of(2) {
        Class::Vitals
    } else {
        Class::Waveforms
    };
    Append {
        class,
        transfer: tx(number % TRANSFERS),
        at: EngineTime(0),
        received_at: ServerTime(0),
        payload: payload(number, size),
    }
}

fn append(journal: &Journal, numbers: std::ops::RangeInclusive<u64>, size: usize) {
    let records = numbers.map(|number| numbered(number, size)).collect();
    wait(journal.appender().append(records)).unwrap();
}

fn open(dir: &Path) -> Journal {
    let (journal, tail) = common::open(dir);
    drop(tail);
    journal
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_table(path: &Path) -> bool {
    let is_of_one = path.parent().is_some_and(|dir| dir.ends_with("tables"));
    is_of_one && path.metadata().unwrap().len() > 1 << 20
}

/// The file of the live tail.
fn tail_file(dir: &Path) -> PathBuf {
    let is_tail = |path: &PathBuf| path.extension().is_some_and(|e| e == "jnl");
    let number =
        |path: &PathBuf| -> u64 { path.file_stem().unwrap().to_str().unwrap().parse().unwrap() };
    let found = files(dir).into_iter().filter(is_tail);
    found.max_by_key(number).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
    // Empty directories belong to the store.
    for path in fs::read_dir(from.join("keyspaces")).unwrap() {
        let name = path.unwrap().file_name();
        fs::create_dir_all(to.join("keyspaces").join(name).join("tables")).unwrap();
    }
}

/// The numbers from 1 that are there, whole and in order.
fn prefix(journal: &Journal) -> u64 {
    let starts: Vec<_> = (0..TRANSFERS).map(|n| (tx(n), Position(0))).collect();
    let rows = journal.reader().merge(&starts).map(Result::unwrap);
    let mut last = 0;
    for row in rows {
        last += 1;
        assert_eq!(row.position, Position(last));
        let expected = numbered(last, row.payload.len());
        assert_eq!(
            (row.transfer, row.payload),
            (expected.transfer, expected.payload)
        );
    }
    assert_eq!(journal.last_position(), Position(last));
    last
}

/// A journal with some commits of a record each in its write-ahead file, and
/// where in that file each of them ends; the first is where they begin.
fn with_tail(dir: &Path, size: usize) -> Vec<usize> {
    open(dir).close().unwrap();
    // Opened again, the file ends where its content does.
    let journal = open(dir);
    let file = tail_file(dir);
    let length = || usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
    let mut ends = vec![length()];
    for number in 1..=COMMITS {
        append(&journal, number..=number, size);
        ends.push(length());
    }
    // Nothing works on its files any more, so that they can be copied.
    journal.close().unwrap();
    ends
}

/// The journal in `dir`, with this tail.
fn with_bytes(dir: &Path, bytes: &[u8]) -> TempDir {
    let changed = place();
    copy(dir, changed.path());
    fs::write(tail_file(changed.path()), bytes).unwrap();
    changed
}

/// How many commits it holds; it must take more.
fn commits(dir: &Path) -> u64 {
    let journal = open(dir);
    let found = prefix(&journal);
    append(&journal, found + 1..=found + 1, 16);
    assert_eq!(prefix(&journal), found + 1);
    found
}

#[test]
fn a_tail_cut_at_any_byte_leaves_the_commits_before_the_cut() {
    let dir = place();
    let ends = with_tail(dir.path(), 16);
    let whole = fs::read(tail_file(dir.path())).unwrap();
    let from = ends[ends.len() - 3];
    for at in from..=whole.len() {
        let mut bytes = whole[..at].to_vec();
        // A file may have grown, or have been made large, before its data came.
        if at % 2 == 0 {
            bytes.resize(whole.len() + 500, 0);
        }
        let expected = ends[1..].iter().filter(|end| **end <= at).count();
        let cut = with_bytes(dir.path(), &bytes);
        let found = commits(cut.path());
        assert_eq!(found, expected as u64, "cut at {at} of {}", whole.len());
    }
    eprintln!(
        "two commits, cut at each of {} bytes",
        whole.len() - ends[0]
    );
}

#[test]
fn a_last_commit_of_which_any_blocks_are_missing_is_none() {
    let dir = place();
    let ends = with_tail(dir.path(), LARGE);
    let whole = fs::read(tail_file(dir.path())).unwrap();
    let last = ends[ends.len() - 2]..whole.len();
    for block in last.start / BLOCK..=last.end / BLOCK {
        let range = (block * BLOCK).max(last.start)..((block + 1) * BLOCK).min(last.end);
        let mut bytes = whole.clone();
        bytes[range.clone()].fill(0);
        let torn = with_bytes(dir.path(), &bytes);
        assert_eq!(commits(torn.path()), COMMITS - 1, "without {range:?}");
    }
}

#[test]
fn a_commit_that_is_not_whole_below_durable_ones_is_damage() {
    let dir = place();
    let ends = with_tail(dir.path(), LARGE);
    let whole = fs::read(tail_file(dir.path())).unwrap();
    for (at, is_damage) in [
        (ends[1] + 9_000, true),
        (ends[1], true),
        (ends[3] + 9_000, false),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        let changed = with_bytes(dir.path(), &bytes);
        let opened = Journal::open(changed.path(), options());
        match opened {
            Err(OpenError::Damaged { what, .. }) => {
                assert!(is_damage, "{what}");
                assert!(what.contains(&format!("from byte {}", ends[1])), "{what}");
            }
            other => assert!(!is_damage && other.is_ok(), "byte {at}: {other:?}"),
        }
    }
}

/// A journal whose records lie in tables; gives how many they are.
fn with_tables(dir: &Path) -> u64 {
    let journal = open(dir);
    let mut last = 0;
    // More than its tables in memory hold.
    while last < 560 {
        append(&journal, last + 1..=last + 20, 64 << 10);
        last += 20;
    }
    journal.close().unwrap();
    let is_table = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with("tables"));
    let written = || {
        let tables = files(dir).into_iter().filter(is_table);
        tables
            .filter(|path| path.metadata().unwrap().len() > 8 << 20)
            .count()
    };
    // They are written in the background.
    while written() < 2 {
        std::thread::yield_now();
    }
    last
}

/// Every record is right, or reported by its position, or reading ends with an
/// error; says whether anything was reported.
fn assert_told(dir: &Path, last: u64, about: &str) -> bool {
    let journal = match Journal::open(dir, options()) {
        Ok((journal, tail)) => {
            drop(tail);
            journal
        }
        Err(error) => {
            assert!(
                error.to_string().contains(&dir.display().to_string()),
                "{about}: {error}"
            );
            return true;
        }
    };
    assert_eq!(journal.last_position(), Position(last), "{about}");
    let mut told = BTreeSet::new();
    for transfer in 0..TRANSFERS {
        let mut missing: BTreeSet<u64> = (1..=last).filter(|n| n % TRANSFERS == transfer).collect();
        for row in journal
            .reader()
            .scan(&tx(transfer), Classes::All, Position(0))
        {
            match row {
                Ok(row) => {
                    let expected = numbered(row.position.0, row.payload.len());
                    assert_eq!(row.payload, expected.payload, "{about}");
                    assert!(missing.remove(&row.position.0), "{about}");
                }
                Err(ReadError::Record {
                    position, through, ..
                }) => {
                    missing.retain(|n| !(position.0..=through.0).contains(n));
                    told.insert(position.0);
                }
                Err(error) => panic!("{about}: reading ended: {error}"),
            }
        }
        assert!(
            missing.is_empty(),
            "{about}: nobody said that {missing:?} are gone"
        );
    }
    !told.is_empty()
}

#[test]
fn damage_in_an_older_file_is_told() {
    let dir = place();
    let last = with_tables(dir.path());
    let places = std::env::var("ENROUTE_DAMAGE").map_or(PLACES, |text| text.parse().unwrap());
    let (mut count, mut told) = (0, 0);
    let tables = files(dir.path());
    let table = tables.iter().find(|path| is_table(path)).unwrap();
    let space = table.ancestors().nth(2).unwrap();
    // A list of tables that is replaced is not read any more.
    for file in files(space).iter().filter(|file| !file.ends_with("v0")) {
        let bytes = fs::read(file).unwrap();
        let step = (bytes.len() / places).max(1);
        for at in (step / 2..bytes.len()).step_by(step) {
            for cut in [false, true] {
                let mut changed = bytes.clone();
                if cut {
                    changed.truncate(at);
                } else {
                    changed[at] ^= 0x20;
                }
                let damaged = place();
                copy(dir.path(), damaged.path());
                let name = file.strip_prefix(dir.path()).unwrap();
                fs::write(damaged.path().join(name), changed).unwrap();
                let about = format!("{} at {at}, cut: {cut}", name.display());
                let is_told = assert_told(damaged.path(), last, &about);
                eprintln!("{about}: told: {is_told}");
                told += usize::from(is_told);
                count += 1;
            }
        }
    }
    eprintln!("{count} times damaged, {told} times told, never given out in silence");
}

#[test]
fn a_changed_list_of_sections_is_damage() {
    let dir = place();
    with_tables(dir.path());
    let tables = files(dir.path()).into_iter().filter(|path| is_table(path));
    let whole = tables.filter(|path| {
        let bytes = fs::read(path).unwrap();
        bytes[bytes.len() - 38..].starts_with(b"SFA!")
    });
    let table = &whole.collect::<Vec<_>>()[0];
    let bytes = fs::read(table).unwrap();
    let list = bytes.windows(4).rposition(|mark| mark == b"TOC!").unwrap();
    // The highest byte of how many there are: the store would make room for them.
    for at in [list + 7, list + 8, bytes.len() - 39] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let damaged = place();
        copy(dir.path(), damaged.path());
        let name = table.strip_prefix(dir.path()).unwrap();
        fs::write(damaged.path().join(name), changed).unwrap();
        match Journal::open(damaged.path(), options()) {
            Err(OpenError::Damaged { what, .. }) => {
                let expected = format!("{}: its sections", name.display());
                assert!(what.contains(&expected), "{what}");
            }
            other => panic!("{} at {at}: {other:?}", name.display()),
        }
    }
}
