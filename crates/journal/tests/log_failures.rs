//! A log whose disk fails now and then: before it writes, or behind it, so that what
//! was written is there and nobody was told. Each time it is opened anew.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use bytes::Bytes;
use enroute_journal::{Log, LogAppend, LogOptions, Probe};
use enroute_model::ids::{Epoch, Stream};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const WORKS: u8 = 0;
const BEFORE: u8 = 1;
const BEHIND: u8 = 2;

#[derive(Clone, Copy, Debug)]
enum Action {
    Append(Stream),
    Note,
    /// Everything of a stream that is in slices which are full.
    Drop(Stream),
    Disk(u8),
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::sample::select(Stream::ALL.to_vec()).prop_map(Action::Append),
        1 => Just(Action::Note),
        2 => prop::sample::select(Stream::ALL.to_vec()).prop_map(Action::Drop),
        3 => (WORKS..=BEHIND).prop_map(Action::Disk),
        3 => Just(Action::Reopen),
    ]
}

fn open(dir: &Path, disk: &Arc<AtomicU8>) -> Log {
    let probe = |state: u8| {
        let disk = Arc::clone(disk);
        let probe = move || {
            let fails = disk.load(Ordering::SeqCst) == state;
            let error = || std::io::Error::other("the disk fails");
            (!fails).then_some(()).ok_or_else(error)
        };
        Some(Probe(Arc::new(probe)))
    };
    let options = LogOptions {
        slice_bytes_max: 60,
        keys: common::keys(),
        before_commit: probe(BEFORE),
        after_commit: probe(BEHIND),
    };
    Log::open(dir, &options).unwrap()
}

fn place() -> tempfile::TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_was_called_durable_is_there_and_nothing_that_nobody_wrote(
        actions in prop::collection::vec(action(), 1..40)
    ) {
        let (dir, disk) = (place(), Arc::new(AtomicU8::new(WORKS)));
        let mut log = Some(open(dir.path(), &disk));
        let (mut durable, mut tried) = (BTreeSet::new(), BTreeSet::new());
        for (number, action) in (1_u64..).zip(actions) {
            let on = log.as_ref().unwrap();
            match action {
                Action::Append(stream) => {
                    tried.insert((stream, number));
                    let frame = LogAppend {
                        stream,
                        epoch: Epoch(1),
                        sequence: number,
                        payload: Bytes::from_static(b"a frame of some length"),
                    };
                    if on.append(&[frame], &[]).is_ok() {
                        durable.insert((stream, number));
                    }
                }
                Action::Drop(stream) => {
                    for slice in on.slices(stream) {
                        let numbers = slice.first..=slice.last;
                        // It may be gone, or not, if this fails.
                        drop(on.drop_slice(&slice));
                        durable.retain(|(of, n)| *of != stream || !numbers.contains(n));
                    }
                }
                Action::Note => drop(on.put_meta("note", b"a note")),
                Action::Disk(state) => disk.store(state, Ordering::SeqCst),
                Action::Reopen => {
                    drop(log.take());
                    log = Some(open(dir.path(), &disk));
                }
            }
            let on = log.as_ref().unwrap();
            let mut held = BTreeSet::new();
            for stream in Stream::ALL {
                for row in on.scan(stream, Epoch(1), 0..=u64::MAX) {
                    held.insert((stream, row.unwrap().0));
                }
            }
            prop_assert!(held.is_superset(&durable), "{durable:?} and there is {held:?}");
            prop_assert!(held.is_subset(&tried), "tried {tried:?} and there is {held:?}");
        }
    }
}
