//! The file of data keys and the store of identities, as a crash, a failing disk or a
//! hostile hand leaves them, and what is asked to be stored of a person.

use crate::input::Input;
use crate::room::{Tree, room};
use crate::stores::damage;
use enroute_feed::simulation as asks;
use enroute_identity::{
    Change, Entry, EntryError, NAME_CHARS_MAX, NUMBER_CHARS_MAX, Person, REMARK_CHARS_MAX,
    STATEMENTS_MAX, Store,
};
use enroute_model::ids::TransferId;
use enroute_model::time::ServerTime;
use enroute_seal::{Keys, Ring};
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

const NOW: ServerTime = ServerTime(1_800_000_000_000_000);
const FILE: &str = "data-keys";
/// The file's layout, as `seal` describes it: a slot, what of it the checksum is over,
/// and the block that lies there twice.
const SLOT: usize = 256;
const USED: usize = 178;
const BLOCK: usize = 4_096;
/// The highest number that the owner noted; one more was made and never used.
const NOTED: u32 = 5;
const DESTROYED: u32 = 2;
const UNUSED: u32 = 6;
const PLAIN: &[u8] = b"92 %";

/// So many keys from the first.
fn keys(count: u32) -> Arc<Keys> {
    let line = |id: u32| format!("{id} {:064x}\n", 1_000 + id);
    let text: String = (1..=count).map(line).collect();
    Arc::new(Keys::parse(&text).unwrap())
}

/// A file of keys, and a value that each of them sealed.
struct Left {
    tree: Tree,
    file: Vec<u8>,
    values: BTreeMap<u32, Vec<u8>>,
}

fn left() -> &'static Left {
    static LEFT: OnceLock<Left> = OnceLock::new();
    LEFT.get_or_init(|| {
        let dir = room();
        let path = dir.path().join(FILE);
        let ring = Ring::open(&path, Some(&keys(1)), 0).unwrap().unwrap();
        ring.ensure(["a", "b", "c"].into_iter()).unwrap();
        ring.destroy(&[DESTROYED]).unwrap();
        ring.renew(&["a"]).unwrap();
        ring.ensure(["d", "e"].into_iter()).unwrap();
        assert_eq!(ring.last(), UNUSED);
        let mut values = BTreeMap::new();
        for id in (1..=NOTED).filter(|id| *id != DESTROYED) {
            let mut value = Vec::new();
            let key = ring.key(id).unwrap();
            key.seal(b"here", PLAIN, &mut value).unwrap();
            values.insert(id, value);
        }
        let tree = Tree::of(dir.path());
        Left {
            tree,
            file: fs::read(path).unwrap(),
            values,
        }
    })
}

/// A file whose slots are those of the real one in any order, each as often as may be, or
/// say of any number that it was destroyed, with a checksum that fits. A slot that nobody
/// sealed takes somebody who writes to the disk on purpose.
fn slots(left: &Left, input: &mut Input<'_>) -> TempDir {
    let head = left.file[..SLOT].to_vec();
    let mut copies = [head.clone(), head];
    let real: Vec<_> = left.file[SLOT..BLOCK]
        .chunks(SLOT)
        .map(<[u8]>::to_vec)
        .collect();
    while !input.is_empty() && copies[0].len() < BLOCK {
        let which = input.byte();
        let one = slot(&real, which, input);
        let other = if which & 128 == 0 {
            one.clone()
        } else {
            let which = input.byte();
            slot(&real, which, input)
        };
        copies[0].extend(one);
        copies[1].extend(other);
    }
    for copy in &mut copies {
        copy.resize(BLOCK, 0);
    }
    let dir = room();
    fs::write(dir.path().join(FILE), copies.concat()).unwrap();
    dir
}

fn slot(real: &[Vec<u8>], which: u8, input: &mut Input<'_>) -> Vec<u8> {
    if let Some(real) = real.get(usize::from(which & 15)) {
        return real.clone();
    }
    let mut said = vec![2];
    said.extend(input.u32().to_be_bytes());
    said.resize(USED, 0);
    said.extend(crc32fast::hash(&said).to_be_bytes());
    said.resize(SLOT, 0);
    said
}

/// A file of data keys is refused and left alone, or opens: what a key opens is what it
/// sealed, what was destroyed or never used is gone, and all is as it was when it is
/// opened again, under the next key and out of a copy too.
pub(crate) fn data_keys(bytes: &[u8]) {
    let left = left();
    let mut input = Input(bytes);
    let how = input.byte();
    let dir = match how & 1 {
        0 => damage(&left.tree, &mut input),
        _ => slots(left, &mut input),
    };
    let path = dir.path().join(FILE);
    let noted = if how & 2 == 0 { NOTED } else { u32::MAX };
    let keys = keys(1 + u32::from(how >> 2 & 1));
    let before = fs::read(&path).ok();
    let Ok(Some(ring)) = Ring::open(&path, Some(&keys), noted) else {
        assert_eq!(fs::read(&path).ok(), before, "refused and changed");
        return;
    };
    check(left, &ring, noted);
    let there = all(&ring);
    let copy: Vec<_> = ring.copy().into_iter().map(|(_, row)| row).collect();
    let last = ring.last();
    drop(ring);
    let ring = Ring::open(&path, Some(&keys), noted).unwrap().unwrap();
    assert_eq!((all(&ring), ring.last()), (there.clone(), last));
    let other = dir.path().join("copy");
    assert_eq!(Ring::restore(&other, &copy).unwrap(), last);
    let restored = Ring::open(&other, Some(&keys), last).unwrap().unwrap();
    assert_eq!(all(&restored), there);
    check(left, &restored, noted);
    if ring.ensure(std::iter::once("new")).is_ok() {
        let (id, _) = ring.newest("new").unwrap();
        assert!(
            id > last || there.contains_key("new"),
            "{id} was given before"
        );
    }
    let ids: Vec<u32> = all(&ring).into_values().flatten().collect();
    ring.destroy(&ids).unwrap();
    drop(ring);
    let ring = Ring::open(&path, Some(&keys), noted).unwrap().unwrap();
    assert_eq!(all(&ring), BTreeMap::new(), "destroyed, and there again");
}

fn all(ring: &Ring) -> BTreeMap<String, Vec<u32>> {
    let numbers = |name: String| (ring.all(&name), name);
    let numbered = ring.names().into_iter().map(numbers);
    numbered.map(|(numbers, name)| (name, numbers)).collect()
}

fn check(left: &Left, ring: &Ring, noted: u32) {
    for (id, value) in &left.values {
        if let Some(key) = ring.key(*id) {
            assert_eq!(key.open(b"here", value).as_deref(), Ok(PLAIN), "{id}");
        }
    }
    assert!(ring.key(DESTROYED).is_none());
    assert!(noted == u32::MAX || (ring.key(UNUSED).is_none() && ring.last() >= noted));
}

fn tx(number: u8) -> TransferId {
    TransferId::new(&format!("tx-{number}")).unwrap()
}

fn named(name: &str) -> Change {
    let person = Person {
        family_name: name.to_owned(),
        record_number: format!("r-{name}"),
        ..Person::default()
    };
    Change {
        person: Some(person),
        statements: Vec::new(),
    }
}

/// A store of two entries; a third one was forgotten.
fn known() -> &'static (Tree, BTreeMap<TransferId, Entry>) {
    static KNOWN: OnceLock<(Tree, BTreeMap<TransferId, Entry>)> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let dir = room();
        let store = Store::open(dir.path(), &keys(1)).unwrap();
        let put = |number: u8| {
            let change = named(&format!("N{number}"));
            let entry = store.put(&tx(number), &[], change, "Dr A", NOW);
            (tx(number), entry.unwrap())
        };
        let mut entries: BTreeMap<_, _> = (1..=3).map(put).collect();
        assert_eq!(store.forget(&[tx(3)]).unwrap(), 1);
        entries.remove(&tx(3));
        drop(store);
        (Tree::of(dir.path()), entries)
    })
}

/// A store of identities is refused, or gives out what was put in and says what it cannot
/// open; then it goes on. What is asked to be stored has its bounds and comes back.
pub(crate) fn identity(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.byte() % 3 {
        0 => damaged(&mut input),
        1 => sealed(input.0),
        _ => asked(input.0),
    }
}

fn damaged(input: &mut Input<'_>) {
    let (tree, entries) = known();
    let dir = damage(tree, input);
    let Ok(store) = Store::open(dir.path(), &keys(1)) else {
        return;
    };
    for (transfer, entry) in entries {
        match store.get(std::slice::from_ref(transfer)) {
            Ok(Some(got)) => assert_eq!(got, (transfer.clone(), entry.clone())),
            Ok(None) => assert!(!store.has(transfer)),
            Err(EntryError::Damaged { .. }) => assert!(store.damaged().contains(transfer)),
            Err(other) => panic!("{other}"),
        }
        let of = store.of_person(&entry.person.record_number);
        assert!(of.iter().all(|found| found == transfer), "{of:?}");
    }
    assert!(!store.has(&tx(3)));
    go_on(dir.path(), store);
}

/// What cannot be opened is written anew; what is forgotten stays so.
fn go_on(dir: &Path, store: Store) {
    let entry = store
        .put(&tx(1), &[tx(2)], named("N9"), "Dr B", NOW)
        .unwrap();
    assert_eq!(store.get(&[tx(1)]).unwrap(), Some((tx(1), entry.clone())));
    assert!(!store.has(&tx(2)));
    drop(store);
    let store = Store::open(dir, &keys(1)).unwrap();
    assert_eq!(store.get(&[tx(1)]).unwrap(), Some((tx(1), entry)));
    assert_eq!(store.forget(&[tx(1), tx(2)]).unwrap(), 1);
    drop(store);
    assert_eq!(Store::open(dir, &keys(1)).unwrap().count(), 0);
}

/// An entry that says anything at all, sealed by its own key in its own place.
fn sealed(said: &[u8]) {
    let dir = known().0.again();
    let path = dir.path().join(FILE);
    let ring = Ring::open(&path, Some(&keys(1)), u32::MAX)
        .unwrap()
        .unwrap();
    let (id, key) = ring.newest("tx-1").unwrap();
    drop(ring);
    let magic = b"enroute identity 1\n";
    let mut file = [&magic[..], &id.to_be_bytes()].concat();
    let place = [&magic[..], b"tx-1"].concat();
    key.seal(&place, said, &mut file).unwrap();
    fs::write(dir.path().join("entries/tx-1.sealed"), file).unwrap();
    let store = Store::open(dir.path(), &keys(1)).unwrap();
    if let Ok(Some((_, entry))) = store.get(&[tx(1)]) {
        let change = Change::default();
        let mut kept = store.put(&tx(1), &[], change, "Dr B", NOW).unwrap();
        assert!(kept.statements.len() <= STATEMENTS_MAX);
        let over = entry.statements.len() - kept.statements.len();
        kept.statements
            .splice(0..0, entry.statements[..over].to_vec());
        assert_eq!(kept, entry);
    }
    go_on(dir.path(), store);
}

/// A change as the service reads it, to what is stored.
fn asked(request: &[u8]) {
    let Ok(request) = v1::SetIdentityRequest::decode(request) else {
        return;
    };
    let Ok(change) = asks::identity(request) else {
        return;
    };
    let (tree, entries) = known();
    let dir = tree.again();
    let store = Store::open(dir.path(), &keys(1)).unwrap();
    let is_free = change.person.is_none();
    let taken = store.put(&tx(1), &[], change, "Dr B", NOW);
    let Ok(entry) = taken else {
        let before = (tx(1), entries[&tx(1)].clone());
        assert_eq!(store.get(&[tx(1)]).unwrap(), Some(before));
        return;
    };
    let Person {
        family_name,
        given_name,
        record_number,
        ..
    } = &entry.person;
    assert!(is_free || entry.set_by == "Dr B");
    let is_text = |text: &str, most| {
        text.chars().count() <= most && text.trim() == text && !text.contains(char::is_control)
    };
    assert!(is_text(family_name, NAME_CHARS_MAX) && is_text(given_name, NAME_CHARS_MAX));
    assert!(is_text(record_number, NUMBER_CHARS_MAX));
    let mut remarks = entry.statements.iter().map(|one| &one.remark);
    assert!(remarks.all(|remark| is_text(remark, REMARK_CHARS_MAX)));
    assert!(entry.statements.len() <= STATEMENTS_MAX);
    drop(store);
    let store = Store::open(dir.path(), &keys(1)).unwrap();
    assert_eq!(store.get(&[tx(1)]).unwrap(), Some((tx(1), entry)));
}
