//! The audit log, as somebody who may write to its directory leaves it.

use crate::input::Input;
use crate::room::{Tree, room};
use crate::stores::damage;
use enroute_audit::{Entry, Head, Key, Log, Outcome, Record, Who, records, verify};
use std::path::Path;
use std::sync::OnceLock;

/// Records of the log that is changed.
const RECORDS: i64 = 4;

fn entry(number: i64) -> Entry {
    Entry {
        who: Who {
            name: format!("Dr {number}"),
            role: "clinician".to_owned(),
            ..Who::default()
        },
        action: "Live/Watch".to_owned(),
        transfer: Some("tx-1".to_owned()),
        outcome: Outcome::Allowed,
        detail: "a \"word\"".to_owned(),
    }
}

/// A log of two openings, what it holds, and its head as somebody noted it.
fn as_left() -> &'static (Tree, Vec<Record>, Head) {
    static LEFT: OnceLock<(Tree, Vec<Record>, Head)> = OnceLock::new();
    LEFT.get_or_init(|| {
        let dir = room();
        let mut head = None;
        for part in [1..=RECORDS / 2, RECORDS / 2 + 1..=RECORDS] {
            let mut log = Log::open(dir.path(), Key::none(), 1).unwrap();
            let entries: Vec<_> = part.map(|number| (number, entry(number))).collect();
            log.append(&entries).unwrap();
            head = Some(log.head().clone());
        }
        (Tree::of(dir.path()), all(dir.path()), head.unwrap())
    })
}

fn all(dir: &Path) -> Vec<Record> {
    let mut all = Vec::new();
    records(dir, |record| all.push(record)).unwrap();
    all
}

/// With a head that was noted, what is found whole is what was written. The log opens and
/// goes on; damage that was found stays found.
pub(crate) fn audit(bytes: &[u8]) {
    let (tree, written, noted) = as_left();
    let mut input = Input(bytes);
    let dir = damage(tree, &mut input);
    let found = |dir: &Path| verify(dir, &Key::none(), Some(noted)).unwrap();
    let before = found(dir.path());
    if before.is_whole() {
        let there = all(dir.path());
        assert_eq!(there.get(..written.len()), Some(&written[..]));
    }
    let log = Log::open(dir.path(), Key::none(), 9);
    let Ok(mut log) = log else {
        // It takes a log without a head for one of another key.
        assert!(!before.is_whole());
        return;
    };
    log.append(&[(10, entry(10))]).unwrap();
    let head = log.head().clone();
    drop(log);
    let after = found(dir.path());
    assert_eq!(after.is_whole(), before.is_whole(), "{before:?} {after:?}");
    assert_eq!(after.last.as_ref(), Some(&head));
    assert_eq!(all(dir.path()).last().unwrap().entry, entry(10));
}
