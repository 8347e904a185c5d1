//! The spool's files after a power cut at any byte, and with single bytes changed.
//!
//! The newest write-ahead file of the store is cut at each of its last
//! [`EVERY_BYTE`] written bytes, and in strides before; the files of an older,
//! flushed state have a byte changed at sampled places.

use super::*;
use enroute_model::frame::GapCause;
use std::fs;
use std::path::PathBuf;

/// Of the live tail: more than the last append.
const EVERY_BYTE: usize = 150;
const STRIDE: usize = 503;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The newest write-ahead file, and how many bytes of it are written.
fn live_tail(dir: &Path) -> (PathBuf, usize) {
    let mut logs = files(dir);
    logs.retain(|path| path.extension().is_some_and(|e| e == "jnl"));
    let newest = logs.pop().expect("a write-ahead file");
    let bytes = fs::read(&newest).unwrap();
    let written = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    (newest, written)
}

#[test]
fn a_cut_of_the_live_tail_loses_nothing_that_lies_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    let epoch = spool.epoch;
    // What the file had grown to when each frame was acknowledged.
    let mut acknowledged: Vec<(usize, Spooled)> = Vec::new();
    for number in 0..12 {
        let frames = spool.append(&[note(&number.to_string())]).unwrap().frames;
        let (_, written) = live_tail(dir.path());
        acknowledged.extend(frames.into_iter().map(|frame| (written, frame)));
    }
    // As it is when the power goes: nothing is closed.
    let image = tempfile::tempdir().unwrap();
    copy(dir.path(), image.path());
    drop(spool);
    let (tail, written) = live_tail(image.path());
    let name = tail.strip_prefix(image.path()).unwrap().to_owned();
    let strided = (0..written.saturating_sub(EVERY_BYTE)).step_by(STRIDE);
    let mut opened = 0;
    for cut in strided.chain(written.saturating_sub(EVERY_BYTE)..=written) {
        let after = tempfile::tempdir().unwrap();
        copy(image.path(), after.path());
        let file = fs::File::options()
            .write(true)
            .open(after.path().join(&name))
            .unwrap();
        file.set_len(u64::try_from(cut).unwrap()).unwrap();
        drop(file);
        // Of a store that was cut before it was ever whole, an error is an answer.
        let Ok(mut spool) = Spool::open(&config(after.path(), 1 << 30), None) else {
            assert!(cut < acknowledged[0].0, "cut at {cut}: it does not open");
            continue;
        };
        opened += 1;
        let found = sent_by(&mut spool, HistoryOrder::Oldest);
        for (at, frame) in &acknowledged {
            match found.get(&(frame.life, frame.sequence)) {
                Some((_, payload)) => assert_eq!(*payload, frame.payload, "cut at {cut}"),
                None => assert!(
                    cut < *at,
                    "cut at {cut}: what was acknowledged at {at} is gone"
                ),
            }
        }
        if found.keys().any(|(life, _)| life.0 == epoch) {
            assert_ne!(spool.epoch, epoch, "cut at {cut}: its tail was unclean");
        }
    }
    assert!(opened > EVERY_BYTE, "{opened}");
}

#[test]
fn a_changed_byte_in_an_older_file_is_declared_and_the_rest_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    let mut frames: BTreeMap<(StreamLife, u64), Bytes> = BTreeMap::new();
    // Enough that the store writes tables.
    for seed in 0..40 {
        let drafts: Vec<Draft> = (0..60).map(|n| waveform(seed * 60 + n)).collect();
        for frame in spool.append(&drafts).unwrap().frames {
            frames.insert((frame.life, frame.sequence), frame.payload);
        }
    }
    spool.close().unwrap();
    drop(spool);
    let tables: Vec<PathBuf> = { files(dir.path()).into_iter() }
        .filter(|path| fs::metadata(path).unwrap().len() > 100_000)
        .filter(|path| path.extension().is_none_or(|e| e != "jnl"))
        .collect();
    assert!(!tables.is_empty(), "nothing was flushed");
    let (mut damaged, mut refused) = (0, 0);
    for table in &tables {
        let length = fs::metadata(table).unwrap().len();
        for place in (1..8).map(|n| length * n / 8) {
            let after = tempfile::tempdir().unwrap();
            copy(dir.path(), after.path());
            let path = after.path().join(table.strip_prefix(dir.path()).unwrap());
            let mut bytes = fs::read(&path).unwrap();
            bytes[usize::try_from(place).unwrap()] ^= 0x40;
            fs::write(&path, bytes).unwrap();
            let Ok(mut spool) = Spool::open(&config(after.path(), 1 << 30), None) else {
                refused += 1;
                continue;
            };
            damaged += check(&mut spool, &frames);
        }
    }
    assert!(damaged > 0, "no byte mattered; {refused} refused to open");
}

/// Every frame comes as it was, or a record says that the disk lost it.
fn check(spool: &mut Spool, frames: &BTreeMap<(StreamLife, u64), Bytes>) -> usize {
    let found = sent_by(spool, HistoryOrder::Oldest);
    let mut lost: BTreeMap<StreamLife, RangeSet> = BTreeMap::new();
    for ((life, number), (_, payload)) in &found {
        if let Body::Shed(shed) = wire::decode(payload).unwrap().body {
            assert_eq!(shed.cause, Some(GapCause::Damaged));
            lost.entry(*life).or_default().insert(shed.first, *number);
        } else {
            assert_eq!(frames.get(&(*life, *number)), Some(payload));
        }
    }
    let mut count = 0;
    for (life, number) in frames.keys() {
        let declared = lost.get(life).is_some_and(|lost| lost.contains(*number));
        assert!(
            declared || found.contains_key(&(*life, *number)),
            "{number} is missing"
        );
        count += usize::from(declared);
    }
    assert!(
        count < frames.len() / 2,
        "{count} of {} lost by one byte",
        frames.len()
    );
    count
}
