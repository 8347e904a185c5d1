//! What coverage-guided fuzzing found worth keeping, replayed as ordinary tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of all corpora: what is committed stays small.
const BYTES_MAX: u64 = 600 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn inputs(name: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(corpus().join(name)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(name: &str) {
    let files = inputs(name);
    assert!(!files.is_empty(), "{name} has no corpus");
    for file in files {
        // A panic's message does not say which it was.
        eprintln!("{}", file.display());
        enroute_fuzz::run(name, &fs::read(&file).unwrap());
    }
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_has_a_corpus_that_is_replayed_and_a_program() {
            let names: Vec<&str> = enroute_fuzz::TARGETS.iter().map(|target| target.0).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
            let mut kept: Vec<String> = fs::read_dir(corpus())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            kept.sort();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            assert_eq!(kept, sorted);
            let programs = corpus().join("../run/Cargo.toml");
            let programs = fs::read_to_string(programs).unwrap();
            for name in names {
                assert!(programs.contains(&format!("name = \"{name}\"")), "{name}");
            }
        }
    };
}

replayed! {
    frame batch record engine topic receipt wfdb_header wfdb_record mcap config keys
    tokens rule_book issued request crew journal spool spool_notes backup audit
    data_keys identity
}

#[test]
fn corpora_stay_small() {
    let size = |file: PathBuf| fs::metadata(file).unwrap().len();
    let of = |target: &enroute_fuzz::Target| inputs(target.0).into_iter().map(size).sum::<u64>();
    let bytes: u64 = enroute_fuzz::TARGETS.iter().map(of).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
}
