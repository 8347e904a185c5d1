//! What is taken, what the disk shows of it, and what damage and deletion leave.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed unwrap in a test is a failed test"
)]

use crate::{
    Basis, BirthDate, Change, Consent, Entry, EntryError, Invalid, Person, STATEMENTS_MAX, Says,
    Store, StoreError,
};
use enroute_model::ids::TransferId;
use enroute_model::time::ServerTime;
use enroute_seal::{Keys, RingError};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// In November 2023.
const NOW: ServerTime = ServerTime(1_700_000_000_000_000);

fn keys(ids: &[u32]) -> Arc<Keys> {
    let line = |id: &u32| format!("{id} {:064x}\n", 1000 + id);
    let text: String = ids.iter().map(line).collect();
    Arc::new(Keys::parse(&text).unwrap())
}

fn id(name: &str) -> TransferId {
    TransferId::new(name).unwrap()
}

fn person(number: &str) -> Person {
    Person {
        family_name: "Vogelsang-Oyelaran".to_owned(),
        given_name: "Marguerite 梅".to_owned(),
        birth_date: Some(BirthDate::parse("1958-02-28").unwrap()),
        record_number: number.to_owned(),
    }
}

fn is(person: Person) -> Change {
    Change {
        person: Some(person),
        ..Change::default()
    }
}

fn says(says: Says) -> Change {
    Change {
        statements: vec![(says, "by telephone".to_owned())],
        ..Change::default()
    }
}

fn put(store: &Store, transfer: &str, change: Change) -> Entry {
    let put = store.put(&id(transfer), &[], change, "Dr. Weber", NOW);
    put.unwrap()
}

fn get(store: &Store, transfer: &str) -> Option<Entry> {
    let got = store.get(&[id(transfer)]).unwrap();
    got.map(|(_, entry)| entry)
}

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn at(&self) -> PathBuf {
        self.dir.path().join("identity")
    }

    fn open(&self) -> Store {
        Store::open(&self.at(), &keys(&[1])).unwrap()
    }

    fn file(&self, transfer: &str) -> PathBuf {
        self.at().join(format!("entries/{transfer}.sealed"))
    }

    fn refused(&self, ids: &[u32]) -> StoreError {
        Store::open(&self.at(), &keys(ids)).unwrap_err()
    }
}

fn bytes(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.extend_from_slice(path.file_name().unwrap().as_encoded_bytes());
        all.extend(if path.is_dir() {
            bytes(&path)
        } else {
            fs::read(path).unwrap()
        });
    }
    all
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|at| at == word.as_bytes())
}

#[test]
fn what_is_set_is_there_again_and_the_disk_tells_nothing_of_it() {
    let bench = Bench::new();
    let store = bench.open();
    assert!(get(&store, "tx-a").is_none());
    put(&store, "tx-a", is(person("HUG-4711")));
    put(&store, "tx-a", says(Says::Basis(Basis::VitalInterests)));
    let entry = put(&store, "tx-a", says(Says::Consent(Consent::Unable)));
    assert_eq!(entry.person, person("HUG-4711"));
    assert_eq!(entry.basis().unwrap().by, "Dr. Weber");
    assert_eq!(entry.consent().unwrap().at, NOW);
    drop(store);
    let store = bench.open();
    assert_eq!(get(&store, "tx-a"), Some(entry.clone()));
    assert_eq!(store.of_person(" HUG-4711 "), [id("tx-a")]);
    assert!(store.of_person("").is_empty());
    let disk = bytes(&bench.at());
    assert!(has(&disk, "tx-a"));
    for word in [
        "Vogelsang",
        "Marguerite",
        "1958-02-28",
        "HUG-4711",
        "telephone",
        "Weber",
        "unable",
    ] {
        assert!(!has(&disk, word), "{word} is on the disk");
    }
    let shown = format!("{entry:?}");
    assert!(
        !shown.contains("Vogel") && !shown.contains("1958"),
        "{shown}"
    );
}

#[test]
fn a_length_tells_no_name() {
    let bench = Bench::new();
    let store = bench.open();
    put(&store, "tx-a", is(Person::default()));
    put(&store, "tx-b", is(person("HUG-4711")));
    let length = |transfer| fs::metadata(bench.file(transfer)).unwrap().len();
    assert_eq!(length("tx-a"), length("tx-b"));
}

#[test]
fn what_is_forgotten_opens_nowhere_any_more_and_others_stay() {
    let bench = Bench::new();
    let store = bench.open();
    for transfer in ["tx-a", "tx-b", "tx-c"] {
        let number = if transfer == "tx-c" { "2" } else { "1" };
        put(&store, transfer, is(person(number)));
    }
    let copy = fs::read(bench.file("tx-a")).unwrap();
    assert_eq!(store.forget(&store.of_person("1")).unwrap(), 2);
    assert_eq!(store.forget(&[id("tx-a")]).unwrap(), 0);
    assert!(get(&store, "tx-a").is_none() && store.of_person("1").is_empty());
    assert!(!bench.file("tx-a").exists());
    drop(store);
    // Somebody had a copy of the file.
    fs::write(bench.file("tx-a"), copy).unwrap();
    let store = bench.open();
    let opened = store.get(&[id("tx-a")]);
    assert!(
        matches!(opened, Err(EntryError::Damaged { .. })),
        "{opened:?}"
    );
    assert_eq!(store.damaged(), [id("tx-a")]);
    assert_eq!(get(&store, "tx-c").unwrap().person, person("2"));
    // It can be forgotten for good, or set anew.
    assert_eq!(store.forget(&[id("tx-a")]).unwrap(), 1);
    put(&store, "tx-a", is(person("3")));
    assert_eq!(store.count(), 2);
}

#[test]
fn damage_costs_one_entry_and_says_which() {
    let bench = Bench::new();
    let store = bench.open();
    put(&store, "tx-a", is(person("1")));
    put(&store, "tx-b", is(person("2")));
    let whole = fs::read(bench.file("tx-a")).unwrap();
    let is_damaged = |bytes: &[u8]| {
        fs::write(bench.file("tx-a"), bytes).unwrap();
        match store.get(&[id("tx-a")]) {
            Err(EntryError::Damaged { transfer }) => assert_eq!(transfer, id("tx-a")),
            other => panic!("{other:?}"),
        }
    };
    for at in (0..whole.len()).step_by(5) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        is_damaged(&changed);
        is_damaged(&whole[..at]);
    }
    is_damaged(&fs::read(bench.file("tx-b")).unwrap());
    drop(store);
    let store = bench.open();
    assert_eq!(store.damaged(), [id("tx-a")]);
    assert_eq!(get(&store, "tx-b").unwrap().person, person("2"));
    put(&store, "tx-a", is(person("3")));
    assert_eq!(get(&store, "tx-a").unwrap().person, person("3"));
    assert!(store.damaged().is_empty());
    drop(store);
    let keys = bench.at().join("data-keys");
    let mut slots = fs::read(&keys).unwrap();
    // In both of its copies.
    slots[256 + 150] ^= 1;
    slots[4096 + 256 + 150] ^= 1;
    fs::write(&keys, slots).unwrap();
    let store = bench.open();
    assert_eq!(store.damaged(), [id("tx-a")]);
    put(&store, "tx-a", is(person("4")));
    drop(store);
    assert_eq!(get(&bench.open(), "tx-a").unwrap().person, person("4"));
}

#[test]
fn without_its_keys_the_store_stays_closed_and_as_it_was() {
    let bench = Bench::new();
    let store = bench.open();
    put(&store, "tx-a", is(person("1")));
    let in_use = bench.refused(&[1]);
    assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
    drop(store);
    let before = bytes(&bench.at());
    let refused = bench.refused(&[2]).to_string();
    assert!(refused.contains("needs key 1"), "{refused}");
    let other = Arc::new(Keys::parse(&format!("1 {:064x}", 5)).unwrap());
    let wrong = Store::open(&bench.at(), &other).unwrap_err().to_string();
    assert!(wrong.contains("key 1 is not the key 1"), "{wrong}");
    assert_eq!(bytes(&bench.at()), before, "a refusal changed it");
    let (ring, aside) = (bench.at().join("data-keys"), bench.at().join("aside"));
    fs::rename(&ring, &aside).unwrap();
    let lost = bench.refused(&[1]);
    let is_lost = matches!(lost, StoreError::Keys(RingError::Lost { .. }));
    assert!(is_lost && !ring.exists(), "{lost}");
    fs::rename(&aside, &ring).unwrap();
    assert_eq!(get(&bench.open(), "tx-a").unwrap().person, person("1"));
}

#[test]
fn a_newer_key_takes_over() {
    let bench = Bench::new();
    put(&bench.open(), "tx-a", is(person("1")));
    drop(Store::open(&bench.at(), &keys(&[1, 2])).unwrap());
    let store = Store::open(&bench.at(), &keys(&[2])).unwrap();
    assert_eq!(get(&store, "tx-a").unwrap().person, person("1"));
}

#[test]
fn a_change_that_a_power_cut_stopped_never_was() {
    let bench = Bench::new();
    let store = bench.open();
    put(&store, "tx-a", is(person("1")));
    let old = fs::read(bench.file("tx-a")).unwrap();
    put(&store, "tx-a", is(person("2")));
    drop(store);
    let new = fs::read(bench.file("tx-a")).unwrap();
    let beside = bench.file("tx-a").with_extension("new");
    fs::write(bench.file("tx-a"), old).unwrap();
    fs::write(&beside, &new[..100]).unwrap();
    let store = bench.open();
    assert_eq!(get(&store, "tx-a").unwrap().person, person("1"));
    assert!(!beside.exists());
}

#[test]
fn what_stood_under_a_joined_transfer_moves_to_the_one_that_it_joined() {
    let bench = Bench::new();
    let store = bench.open();
    put(&store, "tx-leg", is(person("1")));
    let names = [id("tx-a"), id("tx-leg")];
    let (under, _) = store.get(&names).unwrap().unwrap();
    assert_eq!(under, id("tx-leg"));
    let change = says(Says::Consent(Consent::Given));
    store
        .put(&names[0], &names[1..], change, "Dr. Weber", NOW)
        .unwrap();
    let (under, entry) = store.get(&names).unwrap().unwrap();
    assert_eq!((under, entry.person), (id("tx-a"), person("1")));
    assert_eq!(store.of_person("1"), [id("tx-a")]);
}

#[test]
fn a_change_takes_what_it_names_and_the_newest_statement_is_in_force() {
    let first = Entry::after(None, says(Says::Consent(Consent::Given)), "a", NOW).unwrap();
    let named = Entry::after(Some(first), is(person("1")), "b", NOW).unwrap();
    assert_eq!(named.consent().unwrap().by, "a");
    let mut entry = named.clone();
    for _ in 0..STATEMENTS_MAX {
        let change = says(Says::Consent(Consent::Withdrawn));
        entry = Entry::after(Some(entry), change, "c", NOW).unwrap();
    }
    assert_eq!(entry.statements.len(), STATEMENTS_MAX);
    assert_eq!(
        entry.consent().unwrap().says,
        Says::Consent(Consent::Withdrawn)
    );
    assert_eq!((entry.basis(), &entry.person), (None, &named.person));
    assert_eq!(entry.set_by, "b");
}

#[test]
fn what_is_no_name_and_no_day_is_refused_by_its_field_alone() {
    let refused = |person: Person| person.checked(NOW).unwrap_err().to_string();
    let long = "Vogelsang".repeat(20);
    for name in [long.as_str(), "Vogel\nsang", "Vogel\u{7}sang"] {
        let family = Person {
            family_name: name.to_owned(),
            ..Person::default()
        };
        let words = refused(family);
        assert!(
            words.starts_with("family_name:") && !words.contains("Vogel"),
            "{words}"
        );
    }
    let spaced = Person {
        given_name: "  Ada ".to_owned(),
        ..Person::default()
    };
    assert_eq!(spaced.checked(NOW).unwrap().given_name, "Ada");
    for day in ["1900-02-28", "2000-02-29", "2023-11-15", "1958-12-31"] {
        let date = BirthDate::parse(day).unwrap();
        assert_eq!(date.to_string(), day);
        let person = Person {
            birth_date: Some(date),
            ..Person::default()
        };
        assert!(person.checked(NOW).is_ok(), "{day}");
    }
    for day in [
        "",
        "1900-02-29",
        "2023-02-30",
        "2023-00-01",
        "2023-13-01",
        "2023-04-31",
        "1958-1-1",
        "58-01-01",
        "+958-01-01",
        "1958-01-011",
        "1958/01/01",
        "2023-01-00",
    ] {
        assert_eq!(BirthDate::parse(day), Err(Invalid::Date), "{day}");
    }
    for day in ["2023-11-17", "2024-01-01", "2058-02-28"] {
        let birth_date = Some(BirthDate::parse(day).unwrap());
        let person = Person {
            birth_date,
            ..Person::default()
        };
        assert_eq!(person.checked(NOW), Err(Invalid::Unborn), "{day}");
    }
}
