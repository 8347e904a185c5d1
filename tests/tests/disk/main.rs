//! The real store in a process of its own, on a disk that fails: `EIO`, `ENOSPC`
//! and `EROFS` at the k-th write and at the k-th sync, once or from then on, for
//! every k of a short run: of one that goes on with a store, and of one that makes
//! it. The fault layer is `strace`, which makes system calls fail; it comes from a
//! package (`.ci/install-tools`).
//!
//! The writer (`tests/src/bin/store_writer.rs`) says what it was told. What must
//! be true is decided here from its words and from the trace alone:
//!
//! - Whatever was called durable is there, in order, whole, at dense positions,
//!   also after a power cut that leaves of the write-ahead file only what a
//!   successful sync covered.
//! - What was refused is there as a whole or not at all; nothing else is.
//! - After a refusal nothing is called durable; nothing panics; nothing hangs.
//! - The store then opens without complaint and takes more, without anyone's hand
//!   also when the fault struck while it was made.
//! - A journal that goes on running opens its store again by itself when the disk
//!   works again, whatever of the repair failed before; what it then calls durable
//!   outlives a power cut, too.
//!
//! Not covered: a power cut that leaves the store's other files behind what was
//! synced; writes that are cut short (`crates/journal/tests/kill.rs` has them).
//! Every combination, instead of one for each k:
//!
//! ```text
//! ENROUTE_DISK=all cargo test -p enroute-tests --test disk -- --nocapture
//! ```

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod strace;

use enroute_journal::{Journal, Log, Stored};
use enroute_model::ids::Position;
use enroute_tests::numbered::{self, EPOCH, STREAM, TRANSFERS};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use strace::{Calls, Fault, Kept, Ran};
use tempfile::TempDir;

/// Batches of a run.
const BATCHES: u64 = 7;
/// Numbers stored before a run begins.
const STORED: u64 = 15;
/// Calls after the first for which a disk fails that then works again.
const LASTS: usize = 12;
/// Writes by which a repair asks whether there is room (`crates/journal/src/rewrite.rs`).
const PROBE_WRITES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Journal,
    /// One that waits until it works again, and goes on.
    Healing,
    Log,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Healing => "healing",
            Self::Log => "log",
        }
    }

    /// A store with some numbers in it, left as by a crash in the middle of a write.
    fn prepare(self, dir: &Path) {
        let _open = strace::stores();
        match self {
            Self::Journal | Self::Healing => {
                let (journal, tail) = Journal::open(dir, numbered::options()).unwrap();
                drop(tail);
                append(&journal, 1..=STORED);
                journal.close().unwrap();
                // Opening again cuts the write-ahead file to what it holds.
                drop(Journal::open(dir, numbered::options()).unwrap());
            }
            Self::Log => {
                let log = Log::open(dir, &numbered::log_options()).unwrap();
                let frames: Vec<_> = (1..=STORED).map(numbered::frame).collect();
                log.append(&frames, &[]).unwrap();
                drop(log);
                drop(Log::open(dir, &numbered::log_options()).unwrap());
            }
        }
        let newest = write_ahead(dir).pop().unwrap();
        let mut bytes = std::fs::read(&newest).unwrap();
        // The beginning of a batch.
        bytes.extend_from_slice(&[1, 3, 0]);
        std::fs::write(newest, bytes).unwrap();
    }

    /// Every number that the store in `dir` holds, in its order; then it must
    /// take more.
    fn numbers(self, dir: &Path) -> Vec<u64> {
        let _open = strace::stores();
        match self {
            Self::Journal | Self::Healing => {
                let (journal, tail) = Journal::open(dir, numbered::options()).unwrap();
                drop(tail);
                let found = journalled(&journal);
                let next = found.last().map_or(0, |last| last + 1);
                append(&journal, next..=next + 2);
                assert_eq!(journalled(&journal).len(), found.len() + 3);
                journal.close().unwrap();
                found
            }
            Self::Log => {
                let log = Log::open(dir, &numbered::log_options()).unwrap();
                let found = logged(&log);
                let next = found.last().map_or(0, |last| last + 1);
                log.append(&[numbered::frame(next)], &[]).unwrap();
                assert_eq!(logged(&log).len(), found.len() + 1);
                log.close().unwrap();
                found
            }
        }
    }
}

fn append(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let records = numbers.map(numbered::record).collect();
    runtime
        .block_on(journal.appender().append(records))
        .unwrap();
}

/// The numbers in the journal; positions must be dense.
fn journalled(journal: &Journal) -> Vec<u64> {
    let starts: Vec<_> = (0..TRANSFERS)
        .map(|n| (numbered::transfer(n), Position(0)))
        .collect();
    let rows: Vec<Stored> = journal
        .reader()
        .merge(&starts)
        .map(Result::unwrap)
        .collect();
    let positions = rows.iter().map(|row| row.position.0);
    assert!(
        positions.eq(1..=journal.last_position().0),
        "positions are not dense"
    );
    let number = |row: Stored| {
        let number = numbered::number(&row.payload).expect("a whole payload");
        let expected = numbered::record(number);
        assert_eq!(
            (row.transfer, row.class),
            (expected.transfer, expected.class)
        );
        number
    };
    rows.into_iter().map(number).collect()
}

fn logged(log: &Log) -> Vec<u64> {
    let rows = log.scan(STREAM, EPOCH, 0..=u64::MAX).map(Result::unwrap);
    let number = |(sequence, payload)| {
        assert_eq!(numbered::number(&payload), Some(sequence));
        sequence
    };
    rows.map(number).collect()
}

/// In memory where there is such a place: what a sync does is decided by the
/// fault layer alone.
fn place() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

/// The write-ahead files, the newest last.
fn write_ahead(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "jnl"))
        .collect();
    files.sort_by_key(|path| {
        path.file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    });
    files
}

/// Copies a store, of some write-ahead files only what is `kept`.
fn copy(from: &Path, to: &Path, kept: &BTreeMap<PathBuf, Kept>) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to.join(name), &BTreeMap::new());
        } else if let Some(kept) = kept.get(&name) {
            let mut bytes = Vec::new();
            let source = std::fs::File::open(&path).unwrap();
            source.take(kept.bytes).read_to_end(&mut bytes).unwrap();
            for hole in &kept.holes {
                let end = hole.end.min(kept.bytes);
                let hole =
                    usize::try_from(hole.start.min(end)).unwrap()..usize::try_from(end).unwrap();
                bytes[hole].fill(0);
            }
            std::fs::write(to.join(name), bytes).unwrap();
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// What the writer's words say about which numbers there must and may be.
#[derive(Debug, Default)]
struct Words {
    opened: bool,
    durable: BTreeSet<u64>,
    /// All or nothing, each.
    refused: Vec<Vec<u64>>,
    /// The last of them was, and it has not healed since.
    failing: bool,
    closed: bool,
}

impl Words {
    fn of(ran: &Ran) -> Self {
        let mut words = Self::default();
        for line in &ran.said {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let range = || {
                let mut numbers = rest.split(' ').map(|n| n.parse::<u64>().unwrap());
                numbers.next().unwrap()..=numbers.next().unwrap()
            };
            match word {
                "opened" => words.opened = true,
                "durable" => {
                    assert!(!words.failing, "durable after a refusal: {ran:#?}");
                    words.durable.extend(range());
                }
                "failed" => {
                    words.failing = true;
                    words.refused.push(range().collect());
                }
                "healed" => words.failing = false,
                "closed" => words.closed = true,
                _ => {}
            }
        }
        words
    }

    fn check(&self, found: &[u64], stored: u64) {
        let ascending = found.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(ascending, "out of order: {found:?}");
        let mut found: BTreeSet<u64> = found.iter().copied().collect();
        for number in (1..=stored).chain(self.durable.iter().copied()) {
            assert!(found.remove(&number), "{number} was durable and is lost");
        }
        for batch in &self.refused {
            let there = batch.iter().filter(|number| found.remove(number)).count();
            assert!(there == 0 || there == batch.len(), "{batch:?} is torn");
        }
        assert!(found.is_empty(), "nobody wrote {found:?}");
    }
}

/// One run under faults, and what it leaves.
fn strike(kind: Kind, stored: u64, before: &Path, faults: &[Fault]) -> Ran {
    let temporary = place();
    let dir = temporary.path().join("store");
    copy(before, &dir, &BTreeMap::new());
    let ran = strace::run(kind.name(), before, &dir, BATCHES, faults);
    let told: Vec<_> = faults.iter().map(Fault::to_string).collect();
    let about = || format!("{kind:?} {told:?}: {ran:#?}");
    assert!(!ran.errors.contains("panicked"), "{}", about());
    let words = Words::of(&ran);
    // A disk that did what it was asked to gives no reason to refuse.
    let well = words.opened && words.closed && words.refused.is_empty();
    assert!(well || !ran.struck.is_empty(), "{}", about());
    let waited = ran
        .kept
        .values()
        .any(|kept| kept.holes.iter().any(|hole| !hole.is_empty()));
    let told = !words.opened || !words.refused.is_empty() || !words.closed;
    assert!(
        told || !waited,
        "a sync failed and nobody was told: {}",
        about()
    );

    let cut = temporary.path().join("cut");
    copy(&dir, &cut, &ran.kept);
    words.check(&kind.numbers(&dir), stored);
    words.check(&kind.numbers(&cut), stored);
    ran
}

/// Every fault at the `k`-th of `calls`, or the one whose turn it is.
fn faults(kind: Kind, calls: Calls, k: usize) -> Vec<Fault> {
    let all = std::env::var("ENROUTE_DISK").is_ok_and(|v| v == "all");
    let combinations = if kind == Kind::Healing {
        [
            ("EROFS", Some(LASTS)),
            ("EIO", Some(0)),
            ("ENOSPC", Some(LASTS)),
            ("EROFS", Some(0)),
            ("EIO", Some(LASTS)),
            ("ENOSPC", Some(0)),
        ]
    } else {
        [
            ("EIO", Some(0)),
            ("ENOSPC", None),
            ("EROFS", None),
            ("ENOSPC", Some(0)),
            ("EIO", None),
            ("EROFS", Some(0)),
        ]
    };
    let turn = k % combinations.len();
    let chosen = if all {
        0..combinations.len()
    } else {
        turn..turn + 1
    };
    let fault = |(error, lasts): (_, Option<usize>)| Fault {
        calls,
        error,
        k,
        last: lasts.map(|lasts| k + lasts),
    };
    combinations[chosen].iter().copied().map(fault).collect()
}

/// A commit that fails, and then each write by which the repair opens the store again:
/// behind the probe, which alone takes more writes than all else in a run.
fn repairs(kind: Kind, stored: u64, before: &Path) -> Vec<Vec<Fault>> {
    if kind != Kind::Healing {
        return Vec::new();
    }
    let commit = Fault {
        calls: Calls::Commits,
        error: "EIO",
        k: 3,
        last: Some(3),
    };
    let ran = strike(kind, stored, before, &[commit]);
    assert!(ran.writes > PROBE_WRITES, "nothing was repaired: {ran:#?}");
    let behind = (PROBE_WRITES + 1..=ran.writes).flat_map(|k| faults(kind, Calls::Writes, k));
    behind.map(|fault| vec![commit, fault]).collect()
}

/// A run that goes well tells how many calls there are; then every k. With nothing
/// stored, the run makes the store.
fn every_k(kind: Kind, stored: u64) {
    if !strace::usable() {
        return;
    }
    let before = place();
    if stored > 0 {
        kind.prepare(before.path());
    }
    let temporary = place();
    let dir = temporary.path().join("store");
    copy(before.path(), &dir, &BTreeMap::new());
    let well = strace::run(kind.name(), before.path(), &dir, BATCHES, &[]);
    let words = Words::of(&well);
    assert!(words.closed && words.refused.is_empty(), "{well:#?}");
    words.check(&kind.numbers(&dir), stored);

    let (mut runs, mut struck, mut refused) = (0, 0, 0);
    let writes = (1..=well.writes).flat_map(|k| faults(kind, Calls::Writes, k));
    let syncs = (1..=well.syncs).flat_map(|k| faults(kind, Calls::Syncs, k));
    let repairs = repairs(kind, stored, before.path());
    let one = writes.chain(syncs).map(|fault| vec![fault]);
    for faults in one.chain(repairs) {
        let ran = strike(kind, stored, before.path(), &faults);
        runs += 1;
        struck += usize::from(!ran.struck.is_empty());
        refused += usize::from(ran.said.iter().any(|line| line.starts_with("failed")));
    }
    eprintln!(
        "{kind:?} after {stored} numbers: {} writes and {} syncs of a thread, {runs} runs, \
         {struck} struck, {refused} with refused appends, nothing lost",
        well.writes, well.syncs
    );
}

#[test]
fn the_journal_loses_nothing_durable_whichever_write_or_sync_fails() {
    every_k(Kind::Journal, STORED);
}

#[test]
fn a_journal_that_goes_on_heals_whichever_write_or_sync_fails() {
    every_k(Kind::Healing, STORED);
}

#[test]
fn the_log_loses_nothing_durable_whichever_write_or_sync_fails() {
    every_k(Kind::Log, STORED);
}

#[test]
fn a_journal_that_could_not_be_made_is_made_when_the_disk_works() {
    every_k(Kind::Journal, 0);
}

#[test]
fn a_log_that_could_not_be_made_is_made_when_the_disk_works() {
    every_k(Kind::Log, 0);
}
