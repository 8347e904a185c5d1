//! The log under the spool, in terms of its public interface.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use bytes::Bytes;
use enroute_journal::{Journal, Log, LogAppend, LogOptions, OpenError, Options, Origin};
use enroute_model::ids::{Epoch, Stream};
use enroute_seal::Keys;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

const EPOCH: Epoch = Epoch(7);

fn open(dir: &Path, slice_bytes_max: u64) -> Log {
    open_sealed(dir, slice_bytes_max, None)
}

fn open_sealed(dir: &Path, slice_bytes_max: u64, keys: Option<Arc<Keys>>) -> Log {
    Log::open(
        dir,
        &LogOptions {
            slice_bytes_max,
            keys,
            ..LogOptions::default()
        },
    )
    .unwrap()
}

fn frame(stream: Stream, sequence: u64, bytes: usize) -> LogAppend {
    LogAppend {
        stream,
        epoch: EPOCH,
        sequence,
        payload: Bytes::from(vec![u8::try_from(sequence % 251).unwrap(); bytes]),
    }
}

fn sequences(log: &Log, stream: Stream, range: RangeInclusive<u64>) -> Vec<u64> {
    let rows = log.scan(stream, EPOCH, range).map(Result::unwrap);
    rows.map(|(sequence, _)| sequence).collect()
}

#[test]
fn frames_come_back_by_sequence_and_streams_and_epochs_keep_apart() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 100);
    assert_eq!(log.origin(), Origin::New);
    for sequence in 1..=20 {
        let frames = [
            frame(Stream::Numerics, sequence, 30),
            frame(Stream::Waveforms, sequence, 60),
        ];
        log.append(&frames, &[]).unwrap();
    }
    let other = LogAppend {
        epoch: Epoch(8),
        ..frame(Stream::Numerics, 1, 5)
    };
    log.append(&[other], &[]).unwrap();
    assert_eq!(sequences(&log, Stream::Numerics, 4..=9), [4, 5, 6, 7, 8, 9]);
    assert_eq!(
        sequences(&log, Stream::Numerics, 0..=u64::MAX),
        (1..=20).collect::<Vec<_>>()
    );
    assert_eq!(
        sequences(&log, Stream::Events, 0..=u64::MAX),
        Vec::<u64>::new()
    );
    assert_eq!(
        log.scan(Stream::Numerics, Epoch(8), 0..=u64::MAX).count(),
        1
    );
    assert_eq!(log.bytes(), 20 * 90 + 5);
    assert!(log.slices(Stream::Waveforms).len() > 5);
    let (_, payload) = log
        .scan(Stream::Waveforms, EPOCH, 3..=3)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(payload, frame(Stream::Waveforms, 3, 60).payload);
}

#[test]
fn it_knows_how_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let closed = |log: Log| log.close().unwrap();
    let log = open(dir.path(), 100);
    log.append(&[frame(Stream::Events, 1, 1)], &[("boot", b"1")])
        .unwrap();
    drop(log);
    let log = open(dir.path(), 100);
    assert_eq!(log.origin(), Origin::Unclean);
    assert_eq!(log.meta("boot").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(log.meta("boots").unwrap(), None);
    log.put_meta("boot", b"2").unwrap();
    closed(log);
    let log = open(dir.path(), 100);
    assert_eq!(log.origin(), Origin::Clean);
    assert_eq!(log.meta("boot").unwrap().as_deref(), Some(&b"2"[..]));
    log.close().unwrap();
    log.append(&[frame(Stream::Events, 2, 1)], &[]).unwrap();
    drop(log);
    assert_eq!(open(dir.path(), 100).origin(), Origin::Unclean);
}

#[test]
fn what_is_removed_is_gone_and_counted_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 100);
    let frames: Vec<_> = (1..=50).map(|n| frame(Stream::Numerics, n, 10)).collect();
    log.append(&frames, &[]).unwrap();
    assert_eq!(log.remove(Stream::Numerics, EPOCH, 1..=25).unwrap(), 250);
    assert_eq!(log.remove(Stream::Numerics, EPOCH, 1..=25).unwrap(), 0);
    assert_eq!(log.remove(Stream::Numerics, EPOCH, 30..=31).unwrap(), 20);
    assert_eq!(log.bytes(), 230);
    let slices = log.slices(Stream::Numerics).len();
    log.close().unwrap();
    drop(log);
    let log = open(dir.path(), 100);
    assert_eq!(
        (log.bytes(), log.slices(Stream::Numerics).len()),
        (230, slices)
    );
    let left: Vec<u64> = (26..=29).chain(32..=50).collect();
    assert_eq!(sequences(&log, Stream::Numerics, 0..=u64::MAX), left);
    log.remove(Stream::Numerics, EPOCH, 0..=u64::MAX).unwrap();
    assert_eq!(log.bytes(), 0);
    assert!(
        log.slices(Stream::Numerics).len() <= 1,
        "empty slices cost memory"
    );
}

#[test]
fn the_oldest_slice_gives_way_to_a_record_of_its_absence() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 100);
    for sequence in 1..=30 {
        log.append(&[frame(Stream::Waveforms, sequence, 50)], &[])
            .unwrap();
    }
    let oldest = log.slices(Stream::Waveforms)[0];
    assert_eq!((oldest.first, oldest.last, oldest.bytes), (1, 2, 100));
    let shed = frame(Stream::Waveforms, oldest.last, 3);
    log.replace_slice(&oldest, std::slice::from_ref(&shed))
        .unwrap();
    assert_eq!(log.bytes(), 28 * 50 + 3);
    log.replace_slice(&oldest, &[]).unwrap();
    drop(log);

    let log = open(dir.path(), 100);
    let mut rows = log
        .scan(Stream::Waveforms, EPOCH, 0..=u64::MAX)
        .map(Result::unwrap);
    assert_eq!(rows.next(), Some((2, shed.payload)));
    assert_eq!(
        rows.map(|(sequence, _)| sequence).collect::<Vec<_>>(),
        (3..=30).collect::<Vec<_>>()
    );
    let all = log.slices(Stream::Waveforms);
    for slice in &all {
        log.drop_slice(slice).unwrap();
    }
    assert_eq!((log.bytes(), log.slices(Stream::Waveforms).len()), (0, 0));
    log.append(&[frame(Stream::Waveforms, 31, 50)], &[])
        .unwrap();
    assert_eq!(sequences(&log, Stream::Waveforms, 0..=u64::MAX), [31]);
}

#[test]
fn it_has_one_owner_and_is_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 100);
    let second = Log::open(dir.path(), &LogOptions::default());
    assert!(
        matches!(second, Err(OpenError::Locked { .. })),
        "{second:?}"
    );
    drop(log);
    let journal = Journal::open(dir.path(), Options::default());
    assert!(
        matches!(journal, Err(OpenError::Kind { .. })),
        "{journal:?}"
    );
}

#[test]
fn an_emptied_slice_of_an_older_epoch_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 100);
    log.append(&[frame(Stream::Events, 1, 10)], &[]).unwrap();
    let newer = LogAppend {
        epoch: Epoch(8),
        ..frame(Stream::Events, 1, 10)
    };
    log.append(&[newer], &[]).unwrap();
    log.remove(Stream::Events, EPOCH, 1..=1).unwrap();
    log.remove(Stream::Events, Epoch(8), 1..=1).unwrap();
    let epochs: Vec<Epoch> = log
        .slices(Stream::Events)
        .iter()
        .map(|slice| slice.epoch)
        .collect();
    assert_eq!(epochs, [Epoch(8)]);
}

mod against_a_map {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Action {
        Append { count: u64, bytes: usize },
        Put { sequence: u64, bytes: usize },
        Remove { first: u64, count: u64 },
        Shed,
        Reopen { clean: bool },
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            4 => (1..6_u64, 0..60_usize).prop_map(|(count, bytes)| Action::Append { count, bytes }),
            1 => (1..40_u64, 0..60_usize).prop_map(|(sequence, bytes)| Action::Put { sequence, bytes }),
            2 => (0..40_u64, 0..30_u64).prop_map(|(first, count)| Action::Remove { first, count }),
            1 => Just(Action::Shed),
            1 => any::<bool>().prop_map(|clean| Action::Reopen { clean }),
        ]
    }

    /// By how much a short frame grows when it is sealed.
    const SEALED_BYTES: usize = 41;

    fn run(actions: Vec<Action>, keys: Option<&Arc<Keys>>) {
        let dir = tempfile::tempdir().unwrap();
        let open = |dir| open_sealed(dir, 100, keys.cloned());
        let mut log = open(dir.path());
        let extra = if keys.is_some() { SEALED_BYTES } else { 0 };
        let stored = |model: &BTreeMap<u64, Bytes>| -> usize {
            model.values().map(|f| f.len() + extra).sum()
        };
        let mut model: BTreeMap<u64, Bytes> = BTreeMap::new();
        let mut next = 1;
        let stream = Stream::Events;
        for action in actions {
            match action {
                Action::Append { count, bytes } => {
                    let frames: Vec<_> = (next..next + count)
                        .map(|n| frame(stream, n, bytes))
                        .collect();
                    log.append(&frames, &[]).unwrap();
                    model.extend(frames.into_iter().map(|f| (f.sequence, f.payload)));
                    next += count;
                }
                Action::Put { sequence, bytes } if sequence < next => {
                    let frame = frame(stream, sequence, bytes);
                    log.append(std::slice::from_ref(&frame), &[]).unwrap();
                    model.insert(frame.sequence, frame.payload);
                }
                Action::Put { .. } => {}
                Action::Remove { first, count } => {
                    let before = stored(&model);
                    model.retain(|sequence, _| !(first..=first + count).contains(sequence));
                    let after = stored(&model);
                    let freed = log.remove(stream, EPOCH, first..=first + count).unwrap();
                    assert_eq!(freed, u64::try_from(before - after).unwrap());
                }
                Action::Shed => {
                    if let Some(slice) = log.slices(stream).first() {
                        let shed = frame(stream, slice.last, 1);
                        log.replace_slice(slice, std::slice::from_ref(&shed))
                            .unwrap();
                        model.retain(|sequence, _| !(slice.first..=slice.last).contains(sequence));
                        model.insert(shed.sequence, shed.payload);
                    }
                }
                Action::Reopen { clean } => {
                    if clean {
                        log.close().unwrap();
                    }
                    drop(log);
                    log = open(dir.path());
                }
            }
            let rows: BTreeMap<u64, Bytes> = log
                .scan(stream, EPOCH, 0..=u64::MAX)
                .map(Result::unwrap)
                .collect();
            assert_eq!(rows, model);
            assert_eq!(log.bytes(), u64::try_from(stored(&model)).unwrap());
            let slices = log.slices(stream);
            assert!(slices.is_sorted_by(|a, b| a.last < b.first), "{slices:?}");
            let frames: u64 = slices.iter().map(|slice| slice.frames).sum();
            assert_eq!(frames, u64::try_from(model.len()).unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn any_course_of_actions_leaves_what_a_map_would_hold(
            actions in prop::collection::vec(action(), 1..24), sealed in any::<bool>()
        ) {
            run(actions, common::keys().filter(|_| sealed).as_ref());
        }
    }
}
