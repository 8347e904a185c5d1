//! A store that was not made to the end is made anew; one that was is left alone.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use enroute_journal::{Journal, Log, LogAppend, LogOptions, Options, Origin};
use enroute_model::ids::{Epoch, Stream};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const MARK: &str = "creating";

fn log(dir: &Path) -> Log {
    Log::open(dir, &LogOptions::default()).unwrap()
}

fn append(log: &Log) {
    let frame = LogAppend {
        stream: Stream::Events,
        epoch: Epoch(1),
        sequence: 1,
        payload: b"frame".as_slice().into(),
    };
    log.append(&[frame], &[]).unwrap();
}

fn count(log: &Log) -> usize {
    log.scan(Stream::Events, Epoch(1), 0..=u64::MAX).count()
}

/// What a full disk may leave of a first start.
fn halves() -> Vec<TempDir> {
    let files: [&[&str]; 4] = [
        &[],
        &["lock", "0.jnl"],
        &["lock", "0.jnl", "version"],
        &["lock", "0.jnl", "version", "keyspaces/0/v0"],
    ];
    let half = |files: &&[&str]| {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("keyspaces/0")).unwrap();
        for file in [MARK].iter().chain(*files) {
            fs::write(dir.path().join(file), "").unwrap();
        }
        dir
    };
    files.iter().map(half).collect()
}

#[test]
fn what_a_first_start_left_unfinished_is_made_anew() {
    for dir in halves() {
        let made = log(dir.path());
        assert_eq!(made.origin(), Origin::New);
        append(&made);
        drop(made);
        assert!(!dir.path().join(MARK).exists());
        assert_eq!(count(&log(dir.path())), 1);
    }
    for dir in halves() {
        let (journal, tail) = Journal::open(dir.path(), Options::default()).unwrap();
        drop(tail);
        journal.close().unwrap();
    }
}

#[test]
fn a_store_that_is_whole_is_not_cleared_because_of_a_mark() {
    let dir = TempDir::new().unwrap();
    append(&log(dir.path()));
    fs::write(dir.path().join(MARK), "").unwrap();
    assert_eq!(count(&log(dir.path())), 1);
    assert!(!dir.path().join(MARK).exists());
}

#[test]
fn a_store_that_is_damaged_is_not_cleared() {
    let dir = TempDir::new().unwrap();
    append(&log(dir.path()));
    fs::remove_file(dir.path().join("version")).unwrap();
    for _ in 0..2 {
        assert!(Log::open(dir.path(), &LogOptions::default()).is_err());
        assert!(!dir.path().join(MARK).exists());
    }
}
