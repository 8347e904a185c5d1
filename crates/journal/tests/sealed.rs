//! What a sealed journal keeps from whoever has its disk, and what it says to whoever
//! has no key, the wrong one, or half of its files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use common::{record, tx, wait};
use enroute_journal::{
    Check, Class, Classes, Journal, Log, LogAppend, LogOptions, OpenError, Options, Reader, restore,
};
use enroute_model::ids::{Epoch, Position, Stream};
use enroute_model::time::{EngineTime, ServerTime};
use enroute_seal::{Keys, Ring};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECRET: &str = "saturation of 81 and falling";
const DATA_KEYS: &str = "data-keys";

#[expect(clippy::unnecessary_wraps, reason = "options hold it so")]
fn keys(ids: &[u32]) -> Option<Arc<Keys>> {
    let line = |id: &u32| format!("{id} {:064x}\n", 42 + id);
    let text: String = ids.iter().map(line).collect();
    Some(Arc::new(Keys::parse(&text).unwrap()))
}

fn try_open(dir: &Path, keys: Option<Arc<Keys>>) -> Result<Journal, OpenError> {
    let options = Options {
        keys,
        ..common::options()
    };
    Journal::open(dir, options).map(|(journal, _tail)| journal)
}

fn open(dir: &Path, ids: &[u32]) -> Journal {
    try_open(dir, keys(ids)).unwrap()
}

/// Three records of each of two transfers, and everything that can be beside them.
fn fill(journal: &Journal) {
    let records = (0..6).map(|n| {
        let class = if n < 2 {
            Class::Waveforms
        } else {
            Class::Vitals
        };
        record(n % 2 + 1, class, 5, SECRET)
    });
    wait(journal.appender().append(records.collect())).unwrap();
    let side = journal.side();
    let secret = SECRET.as_bytes();
    for transfer in [tx(1), tx(2)] {
        side.put_snapshot(&transfer, Position(6), secret).unwrap();
        side.put_sleeper(&transfer, Position(6), secret).unwrap();
        side.put_checkpoint((&transfer, Position(6)), EngineTime(1), secret)
            .unwrap();
        side.put_captured(&transfer, secret, (1, &[secret.to_vec()]))
            .unwrap();
        side.put_derived(&transfer, 1, secret).unwrap();
        side.put_poison(Position(1), &transfer, SECRET).unwrap();
    }
}

/// How many places read as they were written, of the ten of a transfer.
fn readable(reader: &Reader, transfer: u64) -> usize {
    let secret = SECRET.as_bytes();
    let id = tx(transfer);
    let scanned = reader.scan(&id, Classes::All, Position(0)).flatten();
    let records = scanned.filter(|record| &record.payload[..] == secret);
    let snapshot = reader.snapshot(&id).ok().flatten();
    let sleepers = reader.sleepers().flatten();
    let sleeper = sleepers.filter(|sleeper| sleeper.transfer == id).last();
    let checkpoint = reader.checkpoint(&id, EngineTime(9)).ok().flatten();
    let beside = [snapshot, sleeper, checkpoint];
    let beside = beside.iter().flatten().filter(|it| &it.bytes[..] == secret);
    let captured = [0, 1].map(|part| reader.captured(&id, part).ok().flatten());
    let captured = captured.iter().flatten().filter(|it| &it[..] == secret);
    let derived = reader.derived(&id, 0).flatten();
    let derived = derived.filter(|(_, bytes)| &bytes[..] == secret);
    records.count() + beside.count() + captured.count() + derived.count()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let parts = entries.map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    parts.flatten().collect()
}

/// In which files the bytes are.
fn holding(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let file = fs::read(path).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    };
    files(dir).into_iter().filter(holds).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &there);
        } else {
            fs::copy(path, there).unwrap();
        }
    }
}

#[test]
fn the_disk_tells_nothing_and_the_key_everything() {
    for sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let keys = keys(&[1]).filter(|_| sealed);
        let journal = try_open(dir.path(), keys.clone()).unwrap();
        fill(&journal);
        journal
            .side()
            .delete(&[tx(3)], Position(6), SECRET.as_bytes())
            .unwrap();
        journal.close().unwrap();
        let found = holding(dir.path(), &SECRET.as_bytes()[..9]);
        assert_eq!(found.is_empty(), sealed, "{found:?}");
        let journal = try_open(dir.path(), keys).unwrap();
        for transfer in [1, 2] {
            assert_eq!(readable(&journal.reader(), transfer), 9);
        }
        assert_eq!(journal.reader().poisons().unwrap()[0].reason, SECRET);
        let deleted = journal.reader().deleted().unwrap();
        assert_eq!(&deleted[0].bytes[..], SECRET.as_bytes());
        journal.close().unwrap();
    }
}

#[test]
fn without_the_right_key_it_refuses_in_words_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &[2]);
    fill(&journal);
    journal.close().unwrap();
    let other = Arc::new(Keys::parse(&format!("2 {:064x}", 7)).unwrap());
    for (keys, words) in [
        (None, "needs key 2: name the keys under [encryption]"),
        (keys(&[1]), "needs key 2, and only 1 is given"),
        (Some(other), "key 2 is not the key 2 with which"),
    ] {
        let refused = try_open(dir.path(), keys).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let journal = open(dir.path(), &[1, 2, 3]);
    assert_eq!(readable(&journal.reader(), 1), 9);
    journal.close().unwrap();
    fs::rename(dir.path().join(DATA_KEYS), dir.path().join("elsewhere")).unwrap();
    for keys in [None, keys(&[3])] {
        let refused = try_open(dir.path(), keys).unwrap_err().to_string();
        assert!(
            refused.contains("is not there, and without it nothing"),
            "{refused}"
        );
    }
    fs::rename(dir.path().join("elsewhere"), dir.path().join(DATA_KEYS)).unwrap();
    assert_eq!(readable(&open(dir.path(), &[3]).reader(), 1), 9);
}

#[test]
fn a_journal_in_clear_stays_readable_and_what_is_new_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = try_open(dir.path(), None).unwrap();
    let append = |journal: &Journal, text| {
        wait(
            journal
                .appender()
                .append(vec![record(1, Class::Vitals, 1, text)]),
        )
        .unwrap();
    };
    append(&journal, "an older one");
    journal.close().unwrap();
    let journal = open(dir.path(), &[1]);
    append(&journal, SECRET);
    let rows = journal.reader().scan(&tx(1), Classes::All, Position(0));
    let rows: Vec<_> = rows.map(|row| row.unwrap().payload).collect();
    assert_eq!(rows, ["an older one", SECRET]);
    journal.close().unwrap();
    assert!(holding(dir.path(), SECRET.as_bytes()).is_empty());
}

/// Whatever the disk keeps of what was deleted: with all its old files, and the
/// key-encryption key, nothing of it opens.
#[test]
fn what_is_deleted_opens_with_no_key_whatever_the_disk_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let now = dir.path().join("now");
    let journal = open(&now, &[1]);
    fill(&journal);
    journal.close().unwrap();
    let before = dir.path().join("before");
    copy(&now, &before);
    let wrapped = fs::read(before.join(DATA_KEYS)).unwrap();
    let journal = open(&now, &[1]);
    let mine = Ring::open(&before.join(DATA_KEYS), keys(&[1]).as_ref(), u32::MAX);
    let (id, _) = mine.unwrap().unwrap().newest(tx(1).as_str()).unwrap();
    let slot = &wrapped[256 * id as usize..][..182];
    let key = &slot[110..];
    assert_eq!(holding(&now, key), [now.join(DATA_KEYS)]);
    journal
        .side()
        .delete(&[tx(1)], journal.last_position(), b"")
        .unwrap();
    assert_eq!(
        holding(&now, key),
        [] as [PathBuf; 0],
        "its key is still there"
    );
    assert_eq!(readable(&journal.reader(), 2), 9);
    // Records that come for it later are its own again.
    wait(
        journal
            .appender()
            .append(vec![record(1, Class::Vitals, 9, SECRET)]),
    )
    .unwrap();
    assert_eq!(readable(&journal.reader(), 1), 1);
    journal.close().unwrap();
    fs::copy(now.join(DATA_KEYS), before.join(DATA_KEYS)).unwrap();
    let old = open(&before, &[1]);
    assert_eq!(readable(&old.reader(), 1), 0);
    assert_eq!(readable(&old.reader(), 2), 9);
    let rows = old.reader().scan(&tx(1), Classes::All, Position(0));
    for row in rows {
        let refused = row.unwrap_err().to_string();
        assert!(refused.contains("destroyed"), "{refused}");
    }
}

#[test]
fn a_deletion_that_a_crash_cut_short_destroys_the_key_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &[1]);
    fill(&journal);
    let side = journal.side();
    side.delete(&[tx(3)], journal.last_position(), b"").unwrap();
    let file = dir.path().join(DATA_KEYS);
    let before = fs::read(&file).unwrap();
    journal
        .side()
        .delete(&[tx(1)], journal.last_position(), b"")
        .unwrap();
    journal.close().unwrap();
    // As if the power had gone behind the deletion and before its key was destroyed.
    fs::write(&file, &before).unwrap();
    open(dir.path(), &[1]).close().unwrap();
    let ring = Ring::open(&file, keys(&[1]).as_ref(), u32::MAX)
        .unwrap()
        .unwrap();
    assert_eq!(ring.names(), ["", "tx-2"]);
}

#[test]
fn what_came_behind_a_deletion_keeps_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &[1]);
    fill(&journal);
    // Of transfer 1 the records 1 and 3 go, 5 came while it was being deleted.
    journal.side().delete(&[tx(1)], Position(4), b"").unwrap();
    assert_eq!(readable(&journal.reader(), 1), 1);
    journal.side().purge().unwrap();
    journal.close().unwrap();
    let journal = open(dir.path(), &[1]);
    assert_eq!(readable(&journal.reader(), 1), 1);
    assert_eq!(readable(&journal.reader(), 2), 9);
    journal.close().unwrap();
    let ring = Ring::open(&dir.path().join(DATA_KEYS), keys(&[1]).as_ref(), u32::MAX);
    assert_eq!(ring.unwrap().unwrap().all("tx-1").len(), 1);
}

#[test]
fn a_newer_key_takes_over_and_the_older_one_can_be_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &[1]);
    fill(&journal);
    journal.close().unwrap();
    open(dir.path(), &[1, 2]).close().unwrap();
    let refused = try_open(dir.path(), keys(&[1])).unwrap_err().to_string();
    assert!(refused.contains("needs key 2"), "{refused}");
    let journal = open(dir.path(), &[2]);
    assert_eq!(readable(&journal.reader(), 1), 9);
    journal.close().unwrap();
}

#[test]
fn a_backup_is_sealed_and_opens_elsewhere_with_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(&dir.path().join("one"), &[1]);
    fill(&journal);
    let backup = journal.reader().backup(ServerTime(1)).unwrap();
    let bytes: Vec<u8> = backup.flat_map(Result::unwrap).collect();
    Check::default().all(&mut bytes.as_slice(), |_| {}).unwrap();
    let secret = SECRET.as_bytes();
    assert!(!bytes.windows(9).any(|window| window == &secret[..9]));
    journal.close().unwrap();
    let there = dir.path().join("other");
    restore(&mut bytes.as_slice(), &there, |_| {}).unwrap();
    let refused = try_open(&there, None).unwrap_err().to_string();
    assert!(refused.contains("needs key 1"), "{refused}");
    let restored = open(&there, &[1, 2]);
    assert_eq!(readable(&restored.reader(), 1), 9);
    fill(&restored);
    assert_eq!(readable(&restored.reader(), 1), 12);
    restored.close().unwrap();
}

/// A row of the store under the journal: where it lies, and what is there.
type Row = (String, Vec<u8>, Vec<u8>);

/// The number of the data key that sealed a stored value.
fn data_key(value: &[u8]) -> &[u8] {
    value.get(1..5).unwrap_or_default()
}

/// All that is sealed with the data key of a transfer's snapshot.
fn sealed_with_one_key(store: &fjall::Database) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for name in store.list_keyspace_names() {
        let space = store.keyspace(&name, Default::default).unwrap();
        for row in space.iter() {
            let (key, value) = row.into_inner().unwrap();
            rows.push((name.to_string(), key.to_vec(), value.to_vec()));
        }
    }
    let is_snapshot = |row: &&Row| row.0 == "snapshots" && row.1 == tx(1).as_str().as_bytes();
    let own = data_key(&rows.iter().find(is_snapshot).unwrap().2).to_vec();
    rows.retain(|(_, _, value)| data_key(value) == own);
    rows
}

/// Puts other values in the places of a transfer's, and counts what still reads as it
/// was written.
fn readable_after(swap: impl FnOnce(&[Row]) -> Vec<Vec<u8>>) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &[1]);
    fill(&journal);
    journal.close().unwrap();
    let store = fjall::Database::builder(dir.path()).open().unwrap();
    let rows = sealed_with_one_key(&store);
    assert_eq!(rows.len(), 9);
    for ((name, key, _), value) in rows.iter().zip(swap(&rows)) {
        let space = store.keyspace(name, Default::default).unwrap();
        space.insert(key, value).unwrap();
    }
    store.persist(fjall::PersistMode::SyncAll).unwrap();
    drop(store);
    let journal = open(dir.path(), &[1]);
    assert_eq!(readable(&journal.reader(), 2), 9, "the other transfer");
    let readable = readable(&journal.reader(), 1);
    journal.close().unwrap();
    readable
}

/// Whoever writes on the disk without the key can put a sealed value where another one
/// of the same transfer lies, with its right checksum: it opens nowhere but in its place.
#[test]
fn a_sealed_value_opens_in_its_own_place_alone() {
    assert_eq!(readable_after(|rows| values(rows, 0)), 9, "nothing moved");
    for by in 1..9 {
        assert_eq!(readable_after(|rows| values(rows, by)), 0, "moved by {by}");
    }
    let later = |rows: &[Row]| {
        let mut values = values(rows, 0);
        for value in &mut values {
            // The last byte of when it was recorded, and the checksum made right.
            value[12] ^= 1;
            let crc = crc32fast::hash(&[&value[..21], &value[25..]].concat());
            value[21..25].copy_from_slice(&crc.to_be_bytes());
        }
        values
    };
    assert_eq!(readable_after(later), 0, "another time");
}

/// The values of the rows, each as many places on.
fn values(rows: &[Row], by: usize) -> Vec<Vec<u8>> {
    let mut values: Vec<_> = rows.iter().map(|(_, _, value)| value.clone()).collect();
    values.rotate_right(by);
    values
}

fn log(dir: &Path, keys: Option<Arc<Keys>>) -> Result<Log, OpenError> {
    let options = LogOptions {
        slice_bytes_max: 200,
        keys,
        ..LogOptions::default()
    };
    Log::open(dir, &options)
}

#[test]
fn a_log_tells_nothing_either_and_a_slice_takes_its_key_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = log(dir.path(), keys(&[1])).unwrap();
    let frame = |sequence| LogAppend {
        stream: Stream::Numerics,
        epoch: Epoch(1),
        sequence,
        payload: SECRET.into(),
    };
    for sequence in 1..=9 {
        spool
            .append(&[frame(sequence)], &[("note", SECRET.as_bytes())])
            .unwrap();
    }
    assert!(holding(dir.path(), &SECRET.as_bytes()[..9]).is_empty());
    let file = dir.path().join(DATA_KEYS);
    let before = fs::read(&file).unwrap();
    let slices = spool.slices(Stream::Numerics);
    assert_eq!(slices.len(), 3);
    spool.drop_slice(&slices[0]).unwrap();
    spool.close().unwrap();
    drop(spool);
    let names = |bytes: &[u8]| {
        fs::write(dir.path().join("copy"), bytes).unwrap();
        let ring = Ring::open(&dir.path().join("copy"), keys(&[1]).as_ref(), u32::MAX);
        let names = ring.unwrap().unwrap().names();
        fs::remove_file(dir.path().join("copy")).unwrap();
        names
    };
    assert_eq!(names(&before), ["", "slice/1", "slice/2", "slice/3"]);
    assert_eq!(names(&fs::read(&file).unwrap()), ["", "slice/2", "slice/3"]);
    let refused = log(dir.path(), None).unwrap_err().to_string();
    assert!(refused.contains("needs key 1"), "{refused}");
    fs::write(&file, &before).unwrap();
    let spool = log(dir.path(), keys(&[1])).unwrap();
    assert_eq!(spool.meta("note").unwrap().unwrap(), SECRET);
    let rows = spool.scan(Stream::Numerics, Epoch(1), 0..=u64::MAX);
    let rows: Vec<_> = rows.map(|row| row.unwrap()).collect();
    assert!(rows.iter().all(|(_, payload)| payload == SECRET));
    assert_eq!(rows[0].0, slices[1].first);
    drop(spool);
    assert_eq!(names(&fs::read(&file).unwrap()), ["", "slice/2", "slice/3"]);
}
