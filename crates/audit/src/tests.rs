//! What was written, damaged on purpose or by a power cut, and what is found of it.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use crate::log::{HEAD, files};
use crate::writer::NotWritten;
use crate::{Audit, Entry, Head, Key, Log, OpenError, Outcome, Verified, Who, records, verify};
use enroute_model::time::{Clock, Span};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use tempfile::TempDir;

/// Small, so that a few records fill several files.
const FILE: u64 = 800;
const NOW: i64 = 1_700_000_000_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn entry(n: usize) -> Entry {
    Entry {
        who: Who {
            name: format!("Dr. \"W\u{e9}ber\"\n{n}"),
            role: "clinician".to_owned(),
            ..Who::default()
        },
        action: "Live/Watch".to_owned(),
        transfer: Some(format!("tx-{n}")),
        outcome: Outcome::Allowed,
        detail: String::new(),
    }
}

fn open(dir: &Path, key: &Key) -> Log {
    Log::open_with(dir, key.clone(), NOW, FILE).unwrap()
}

/// A log of some records over some files; gives its head.
fn written(dir: &Path, key: &Key, count: usize) -> Head {
    let mut log = open(dir, key);
    let all: Vec<_> = (0..count).map(|n| (NOW, entry(n))).collect();
    for group in all.chunks(3) {
        log.append(group).unwrap();
    }
    log.head().clone()
}

fn found(dir: &Path, key: &Key) -> Verified {
    verify(dir, key, None).unwrap()
}

fn paths(dir: &Path) -> Vec<PathBuf> {
    let files = files(dir).unwrap();
    files.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn what_was_written_is_whole_and_goes_on_after_a_new_start() {
    for key in [Key::none(), Key::of(SECRET).unwrap()] {
        let dir = TempDir::new().unwrap();
        let first = written(dir.path(), &key, 20);
        let second = written(dir.path(), &key, 20);
        assert!(paths(dir.path()).len() > 5);
        let said = found(dir.path(), &key);
        assert!(said.is_whole(), "{:#?}", said.faults);
        assert_eq!((said.records, said.last.as_ref()), (40, Some(&second)));
        // What somebody noted holds as long as it is in there.
        for noted in [first, second] {
            let said = verify(dir.path(), &key, Some(&noted)).unwrap();
            assert!(said.is_whole(), "{:#?}", said.faults);
        }
        let mut all = Vec::new();
        records(dir.path(), |record| all.push(record)).unwrap();
        let seqs: Vec<u64> = all.iter().map(|record| record.seq).collect();
        assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
        assert_eq!(all[3].entry, entry(3));
    }
}

/// What somebody may do to the files of a log.
#[derive(Clone, Debug)]
enum Harm {
    FlipBit {
        at: usize,
        bit: u8,
    },
    CutEnd {
        bytes: usize,
    },
    CutOut {
        at: usize,
        bytes: usize,
    },
    SwapLines {
        one: usize,
        other: usize,
    },
    RemoveLine {
        line: usize,
    },
    RepeatLine {
        line: usize,
    },
    RemoveFile,
    SwapWith {
        other: usize,
    },
    FlipHead {
        at: usize,
        bit: u8,
    },
    RemoveHead,
    /// All of the last file, and the head of before, by who has no key.
    RollBack,
}

fn harm() -> impl Strategy<Value = Harm> {
    let any = 0..100_000usize;
    prop_oneof![
        (any.clone(), 0..8u8).prop_map(|(at, bit)| Harm::FlipBit { at, bit }),
        (1..100_000usize).prop_map(|bytes| Harm::CutEnd { bytes }),
        (any.clone(), 1..600usize).prop_map(|(at, bytes)| Harm::CutOut { at, bytes }),
        (any.clone(), any.clone()).prop_map(|(one, other)| Harm::SwapLines { one, other }),
        any.clone().prop_map(|line| Harm::RemoveLine { line }),
        any.clone().prop_map(|line| Harm::RepeatLine { line }),
        Just(Harm::RemoveFile),
        any.clone().prop_map(|other| Harm::SwapWith { other }),
        (any, 0..8u8).prop_map(|(at, bit)| Harm::FlipHead { at, bit }),
        Just(Harm::RemoveHead),
        Just(Harm::RollBack),
    ]
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn change_lines(path: &Path, change_them: impl FnOnce(&mut Vec<Vec<u8>>)) {
    change(path, |bytes| {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        change_them(&mut lines);
        *bytes = lines.concat();
    });
}

fn flip(path: &Path, at: usize, bit: u8) {
    change(path, |bytes| {
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
    });
}

fn do_harm(dir: &Path, file: usize, harm: &Harm) {
    let all = paths(dir);
    let path = &all[file % all.len()];
    match *harm {
        Harm::FlipBit { at, bit } => flip(path, at, bit),
        Harm::CutEnd { bytes } => change(path, |text| {
            text.truncate(text.len() - 1 - (bytes - 1) % text.len());
        }),
        Harm::CutOut { at, bytes } => change(path, |text| {
            let at = at % text.len();
            let end = (at + bytes).min(text.len());
            text.drain(at..end);
        }),
        Harm::SwapLines { one, other } => change_lines(path, |lines| {
            let count = lines.len();
            lines.swap(one % count, other % count);
        }),
        Harm::RemoveLine { line } => change_lines(path, |lines| {
            lines.remove(line % lines.len());
        }),
        Harm::RepeatLine { line } => change_lines(path, |lines| {
            let line = line % lines.len();
            let twice = lines[line].clone();
            lines.insert(line, twice);
        }),
        Harm::RemoveFile => fs::remove_file(path).unwrap(),
        Harm::SwapWith { other } => {
            let (one, other) = (fs::read(path).unwrap(), &all[other % all.len()]);
            fs::write(path, fs::read(other).unwrap()).unwrap();
            fs::write(other, one).unwrap();
        }
        Harm::FlipHead { at, bit } => flip(&dir.join(HEAD), at, bit),
        Harm::RemoveHead => fs::remove_file(dir.join(HEAD)).unwrap(),
        Harm::RollBack => {
            let mut kept = None;
            let last = all.last().unwrap();
            fs::remove_file(last).unwrap();
            records(dir, |record| kept = Some(record.seq)).unwrap();
            let hash = fs::read_to_string(&all[all.len() - 2]).unwrap();
            let hash = &hash[hash.len() - 67..hash.len() - 3];
            let head = Head {
                seq: kept.unwrap(),
                hash: hash.to_owned(),
            };
            fs::write(dir.join(HEAD), head.to_file(&Key::none())).unwrap();
        }
    }
}

fn bytes_of(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = paths(dir).into_iter().chain([dir.join(HEAD)]);
    all.map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever is changed, cut, swapped or taken away is found, before the log is
    /// opened again and ever after.
    #[test]
    fn any_harm_is_found(harm in harm(), file in 0..16usize, has_key: bool, count in 8..24usize) {
        let key = if has_key { Key::of(SECRET).unwrap() } else { Key::none() };
        let dir = TempDir::new().unwrap();
        let noted = written(dir.path(), &key, count);
        let before = bytes_of(dir.path());
        do_harm(dir.path(), file, &harm);
        // Two equal lines or files may have changed places.
        prop_assume!(bytes_of(dir.path()) != before);
        // Without a key whoever may write here makes a whole chain of what is left;
        // a head that was noted tells.
        let noted = Some(&noted).filter(|_| !has_key);
        let said = verify(dir.path(), &key, noted).unwrap();
        prop_assert!(!said.is_whole(), "{harm:?}");
        match Log::open_with(dir.path(), key.clone(), NOW, FILE) {
            Ok(mut log) => log.append(&[(NOW, entry(99))]).unwrap(),
            Err(OpenError::Key(_)) => {}
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
        let later = verify(dir.path(), &key, noted).unwrap();
        prop_assert!(!later.is_whole(), "{harm:?}: forgotten after a new start");
    }

    /// What a write that was broken off leaves behind the head is taken away and told.
    #[test]
    fn an_unfinished_record_is_repaired(rest in 1..400usize, count in 1..24usize) {
        let dir = TempDir::new().unwrap();
        let key = Key::none();
        written(dir.path(), &key, count);
        let head = fs::read(dir.path().join(HEAD)).unwrap();
        let before = paths(dir.path());
        written(dir.path(), &key, 1);
        fs::write(dir.path().join(HEAD), head).unwrap();
        // Some of the newest record only; it may be the first of its file.
        let path = paths(dir.path()).pop().unwrap();
        let old = if before.contains(&path) { old_bytes(&path) } else { 0 };
        change(&path, |text| text.truncate((old + rest).min(text.len() - 1)));
        let said = found(dir.path(), &key);
        prop_assert!(said.is_whole() && said.unfinished_bytes > 0, "{:#?}", said);
        let log = open(dir.path(), &key);
        prop_assert_eq!(log.head().seq, u64::try_from(count + 1).unwrap());
        let said = found(dir.path(), &key);
        prop_assert!(said.is_whole() && said.unfinished_bytes == 0, "{:#?}", said);
        let mut last = None;
        records(dir.path(), |record| last = Some(record)).unwrap();
        prop_assert_eq!(last.unwrap().entry.action, "audit repaired");
    }
}

/// Where the last line of a file begins.
fn old_bytes(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    text.trim_end().rfind('\n').map_or(0, |at| at + 1)
}

#[test]
fn a_group_behind_an_older_head_counts() {
    let dir = TempDir::new().unwrap();
    let key = Key::none();
    written(dir.path(), &key, 3);
    let head = fs::read(dir.path().join(HEAD)).unwrap();
    let newest = written(dir.path(), &key, 3);
    // The power went between the records and the head.
    fs::write(dir.path().join(HEAD), head).unwrap();
    assert_eq!(*open(dir.path(), &key).head(), newest);
    let said = found(dir.path(), &key);
    assert!(said.is_whole() && said.records == 6, "{said:#?}");
}

#[test]
fn which_record_is_wrong_is_said() {
    let dir = TempDir::new().unwrap();
    let key = Key::none();
    written(dir.path(), &key, 12);
    let path = &paths(dir.path())[1];
    let text = fs::read_to_string(path).unwrap();
    let first: u64 = path.to_str().unwrap()[path.to_str().unwrap().len() - 26..]
        .trim_end_matches(".jsonl")
        .parse()
        .unwrap();
    fs::write(path, text.replacen("clinician", "operator!", 1)).unwrap();
    let said = found(dir.path(), &key);
    let [fault] = said.faults.as_slice() else {
        panic!("{:#?}", said.faults)
    };
    assert_eq!(fault.at.1, 1);
    let what = format!("record {first} was changed: its hash is that of other content");
    assert_eq!(fault.what, what);
}

/// Without a key anybody can give a record the hash that fits it, and not those behind.
#[test]
fn a_forged_record_does_not_fit_the_next() {
    let dir = TempDir::new().unwrap();
    let key = Key::none();
    written(dir.path(), &key, 9);
    let path = &paths(dir.path())[0];
    change_lines(path, |lines| {
        let whole = crate::chain::read(lines[1].strip_suffix(b"\n").unwrap(), &key);
        let mut record = whole.unwrap().record;
        record.entry.outcome = Outcome::Noted;
        (lines[1], _) = crate::chain::line(&record, &key).unwrap();
    });
    let said = found(dir.path(), &key);
    let [fault] = said.faults.as_slice() else {
        panic!("{:#?}", said.faults)
    };
    assert_eq!(
        fault.what,
        "record 3 does not follow the one that stands before it"
    );
}

#[test]
fn a_long_rest_of_a_broken_write_is_gone_whole() {
    let dir = TempDir::new().unwrap();
    let key = Key::none();
    written(dir.path(), &key, 1);
    let path = &paths(dir.path())[0];
    change(path, |text| text.extend([0; 4_096]));
    drop(open(dir.path(), &key));
    let said = found(dir.path(), &key);
    assert!(said.is_whole() && said.unfinished_bytes == 0, "{said:#?}");
    assert_eq!(said.records, 2);
}

#[test]
fn one_process_writes_and_with_one_key() {
    let dir = TempDir::new().unwrap();
    let key = Key::of(SECRET).unwrap();
    assert!(Key::of(b"short").is_err());
    let log = Log::open(dir.path(), key.clone(), NOW);
    let again = Log::open(dir.path(), key, NOW);
    assert!(matches!(again, Err(OpenError::Locked(_))));
    log.unwrap().append(&[(NOW, entry(1))]).unwrap();
    let other = Log::open(dir.path(), Key::none(), NOW);
    assert!(matches!(other, Err(OpenError::Key(_))), "{other:?}");
    let other = Key::of(b"fedcba9876543210fedcba9876543210").unwrap();
    assert!(matches!(
        Log::open(dir.path(), other, NOW),
        Err(OpenError::Key(_))
    ));
}

struct StandingClock;

impl Clock for StandingClock {
    fn wall(&self) -> i64 {
        NOW
    }
    fn monotonic(&self) -> Span {
        Span::ZERO
    }
}

fn durably(audit: &Audit, entry: Entry) -> Result<(), NotWritten> {
    let (to, from) = sync_channel(1);
    audit.tell_durably(entry, move |told| to.send(told).unwrap());
    from.recv().unwrap()
}

#[test]
fn a_disk_that_fails_refuses_what_must_be_durable_and_keeps_the_rest() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), &Key::none());
    let audit = Audit::start(log, Arc::new(StandingClock)).unwrap();
    assert_eq!(durably(&audit, entry(1)), Ok(()));
    // The head cannot be replaced.
    let block = dir.path().join("head.new");
    fs::create_dir(&block).unwrap();
    assert!(durably(&audit, entry(2)).is_err());
    let failing = audit.counts().failing();
    assert!(failing.is_some_and(|(since, _)| since == NOW));
    audit.tell(entry(3));
    fs::remove_dir(&block).unwrap();
    while durably(&audit, entry(4)).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(audit.counts().failing(), None);
    audit.close();
    let said = found(dir.path(), &Key::none());
    assert!(said.is_whole(), "{:#?}", said.faults);
    let mut told = Vec::new();
    records(dir.path(), |record| {
        let entry = record.entry;
        told.push((
            entry.action,
            entry.transfer.unwrap_or_default(),
            entry.outcome,
        ));
    })
    .unwrap();
    let of = |id: &str, outcome| {
        { told.iter() }.any(|(_, transfer, told)| transfer == id && *told == outcome)
    };
    assert!(
        of("tx-1", Outcome::Allowed) && of("tx-3", Outcome::Allowed),
        "{told:#?}"
    );
    assert!(
        of("tx-2", Outcome::Refused) && !of("tx-2", Outcome::Allowed),
        "{told:#?}"
    );
    assert!(of("tx-4", Outcome::Allowed), "{told:#?}");
    assert!(
        told.iter().any(|(action, ..)| action == "audit gap"),
        "{told:#?}"
    );
}

#[test]
fn what_somebody_repeats_is_written_as_a_sum_at_the_end() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), &Key::none());
    let audit = Audit::start(log, Arc::new(StandingClock)).unwrap();
    for _ in 0..1_000 {
        audit.tell_often(entry(7));
    }
    audit.close();
    let mut told = Vec::new();
    records(dir.path(), |record| told.push(record.entry.detail)).unwrap();
    assert_eq!(told.len(), 11);
    assert!(told[10].starts_with("and 990 times more"), "{}", told[10]);
}
