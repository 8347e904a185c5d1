//! The spool against a naive model, through crashes and clean restarts.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod crowd;
mod damage;
mod model;
mod unwritten;

use super::word::Part;
use super::*;
use crate::config::{HistoryOrder, SpoolConfig};
use enroute_model::frame::{Code, CrewEvent, Metric, Waveform};
use enroute_model::ranges::RangeSet;
use std::path::Path;
use std::sync::Arc;

fn config(dir: &Path, bytes_max: u64) -> SpoolConfig {
    SpoolConfig {
        dir: dir.to_owned(),
        bytes_max,
        keys: None,
    }
}

fn draft(body: Body) -> Draft {
    Draft {
        body,
        observed_at: None,
        captured_at: GatewayTime(1_000),
        monotonic: Span(5),
        clocks: None,
        exercise: true,
    }
}

fn note(text: &str) -> Draft {
    draft(Body::Crew(CrewEvent::Note(text.to_owned())))
}

/// About a kilobyte that does not compress.
fn waveform(seed: i32) -> Draft {
    draft(Body::Waveforms(vec![Waveform {
        metric: Metric {
            code: Code(0),
            label: "w".to_owned(),
        },
        unit: String::new(),
        rate_hz: 250.0,
        gain: 1.0,
        baseline: 0,
        first_sample: 0,
        start_offset: Span::ZERO,
        samples: (0..400)
            .map(|n: i32| Some((n * 7_919 + seed * 104_729) % 30_000))
            .collect(),
    }]))
}

fn everything() -> Wanted {
    Wanted {
        order: HistoryOrder::Oldest,
        sent: Arc::default(),
        through: None,
        bytes_max: 2_000,
        frames_max: 7,
    }
}

/// All that is held, as history would send it.
fn sent_by(
    spool: &mut Spool,
    order: HistoryOrder,
) -> BTreeMap<(StreamLife, u64), (TransferId, Bytes)> {
    let mut wanted = Wanted {
        order,
        ..everything()
    };
    let mut all = BTreeMap::new();
    while let Some(picked) = spool.pick(&wanted).unwrap() {
        for (number, payload) in picked.frames {
            Arc::make_mut(&mut wanted.sent)
                .entry(picked.life)
                .or_default()
                .insert(number, number);
            let before = all.insert((picked.life, number), (picked.transfer.clone(), payload));
            assert!(before.is_none(), "picked twice");
        }
    }
    all
}

/// A receipt for the leg that begins with `first`; the `at`-th of journal 1.
fn word(life: StreamLife, first: u64, durable: &[(u64, u64)], at: i64) -> Word {
    Word {
        journal: 1,
        answers: GatewayTime(at),
        sent_at: enroute_model::time::ServerTime(at),
        parts: vec![Part {
            life,
            first,
            durable: ranges(durable),
            told_through: u64::MAX,
        }],
    }
}

/// Frees all of one leg through a number.
fn free_through(spool: &mut Spool, life: StreamLife, last: u64, at: i64) -> u64 {
    let word = word(life, 1, &[(1, last)], at);
    spool.hear(&word, GatewayTime(at)).unwrap().freed
}

fn ranges(list: &[(u64, u64)]) -> RangeSet {
    let mut set = RangeSet::default();
    for (a, b) in list {
        set.insert(*a, *b);
    }
    set
}

#[test]
fn the_oldest_waveforms_go_first_and_leave_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let bound = 100_000;
    let mut spool = Spool::open(&config(dir.path(), bound), None).unwrap();
    spool.append(&[note("first")]).unwrap();
    let mut shed = 0;
    for seed in 0..300 {
        shed += spool.append(&[waveform(seed)]).unwrap().shed;
        assert!(spool.bytes().0 <= bound);
    }
    assert!(shed > 100, "{shed}");
    let check = |spool: &mut Spool| {
        let found = sent_by(spool, HistoryOrder::Oldest);
        let events = found.keys().filter(|k| k.0.1 == Stream::Events).count();
        assert_eq!(events, 1, "events go last");
        let mut numbers = RangeSet::default();
        let mut records = 0;
        for ((_, number), (_, payload)) in found.iter().filter(|(k, _)| k.0.1 == Stream::Waveforms)
        {
            let frame = wire::decode(payload).unwrap();
            assert_eq!(frame.header.sequence, *number);
            if let Body::Shed(record) = frame.body {
                records += 1;
                assert_eq!(record.first_captured_at, GatewayTime(1_000));
                numbers.insert(record.first, record.last);
            } else {
                numbers.insert(*number, *number);
            }
        }
        assert_eq!((records, numbers), (1, ranges(&[(1, 300)])), "no hole");
    };
    check(&mut spool);
    assert_eq!(spool.shed_frames(), shed);
    drop(spool);
    let mut spool = Spool::open(&config(dir.path(), bound), None).unwrap();
    check(&mut spool);
    // Its receipt frees the record, and only that.
    let life = *spool
        .lives
        .keys()
        .find(|l| {
            l.1 == Stream::Waveforms
                && !spool.shed.is_empty()
                && spool.shed.keys().any(|k| k.0 == **l)
        })
        .unwrap();
    let before = spool.unconfirmed();
    assert_eq!(free_through(&mut spool, life, shed, 1), 1);
    assert_eq!(spool.unconfirmed(), before - 1);
}

#[test]
fn a_shed_record_never_crosses_legs() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 60_000), None).unwrap();
    for seed in 0..5 {
        spool.append(&[waveform(seed)]).unwrap();
    }
    let other = TransferId::new("other").unwrap();
    spool.start_leg(Some(other.clone())).unwrap();
    for seed in 5..200 {
        spool.append(&[waveform(seed)]).unwrap();
    }
    let found = sent_by(&mut spool, HistoryOrder::Oldest);
    let records: Vec<(u64, TransferId)> = found
        .values()
        .filter_map(
            |(transfer, payload)| match wire::decode(payload).unwrap().body {
                Body::Shed(record) => Some((record.first, transfer.clone())),
                _ => None,
            },
        )
        .collect();
    assert_eq!(records.len(), 2);
    assert_ne!(records[0].1, other);
    assert_eq!(records[1], (6, other));
}

#[test]
fn what_breaks_a_limit_is_dropped_and_leaves_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    let drafts = [note("a"), note(&"x".repeat(3_000)), note("b")];
    let appended = spool.append(&drafts).unwrap();
    let numbers: Vec<u64> = appended.frames.iter().map(|f| f.sequence).collect();
    assert_eq!((numbers, appended.refused.len()), (vec![1, 2], 1));
}

#[test]
fn a_receipt_for_what_was_never_sent_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    spool.append(&[note("a")]).unwrap();
    let life = (spool.epoch, Stream::Events);
    let never = word(life, 2, &[(2, u64::MAX)], 1);
    assert_eq!(spool.hear(&never, GatewayTime(1)).unwrap().freed, 0);
    let other = (Epoch(1), Stream::Events);
    assert_eq!(free_through(&mut spool, other, 9, 2), 0);
    let next = spool.append(&[note("b")]).unwrap();
    assert_eq!((next.frames[0].sequence, spool.unconfirmed()), (2, 2));
}

#[test]
fn what_was_confirmed_is_sent_again_to_a_restored_server_even_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    let drafts = ["a", "b", "c"].map(note);
    let frames = spool.append(&drafts).unwrap().frames;
    let life = frames[0].life;
    assert_eq!(free_through(&mut spool, life, 3, 1), 3);
    // What is synced next brings the word of it to the disk.
    spool.start_leg(None).unwrap();
    drop(spool);
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    assert_eq!(spool.unconfirmed(), 0);
    let restored = Word {
        journal: 2,
        ..word(life, 1, &[(1, 1)], 2)
    };
    let heard = spool.hear(&restored, GatewayTime(2)).unwrap();
    assert!(heard.restored);
    let found = sent_by(&mut spool, HistoryOrder::Oldest);
    let again: Vec<(u64, Bytes)> = found
        .into_iter()
        .map(|((_, number), (_, payload))| (number, payload))
        .collect();
    let expected = [
        (2, frames[1].payload.clone()),
        (3, frames[2].payload.clone()),
    ];
    assert_eq!(again, expected);
}

#[test]
fn what_was_evicted_before_a_restore_is_declared() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 60_000), None).unwrap();
    for seed in 0..80 {
        let frame = spool.append(&[waveform(seed)]).unwrap().frames.remove(0);
        free_through(&mut spool, frame.life, frame.sequence, seed.into());
    }
    assert_eq!(spool.shed_frames(), 0, "what is confirmed goes first");
    let life = (spool.epoch, Stream::Waveforms);
    let restored = Word {
        journal: 2,
        ..word(life, 1, &[(1, 5)], 100)
    };
    assert!(spool.hear(&restored, GatewayTime(100)).unwrap().restored);
    let found = sent_by(&mut spool, HistoryOrder::Oldest);
    let mut numbers = RangeSet::default();
    let mut records = Vec::new();
    for ((_, number), (_, payload)) in &found {
        match wire::decode(payload).unwrap().body {
            Body::Shed(shed) => {
                records.push((shed.first, shed.cause.unwrap()));
                numbers.insert(shed.first, shed.last);
            }
            _ => assert!(numbers.insert(*number, *number)),
        }
    }
    assert_eq!(records, [(6, enroute_model::frame::GapCause::Restored)]);
    assert_eq!(numbers, ranges(&[(6, 80)]));
}

/// A frame of four waveforms of 500 Hz that need two bytes a sample, which is
/// twice what real ECGs need, and one of twelve numerics, each second.
#[test]
fn weeks_of_outage_at_full_rate_fit_the_default_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&config(dir.path(), 1 << 30), None).unwrap();
    let mut second = vec![model::numerics(80); 1];
    if let Body::Numerics(numerics) = &mut second[0].body {
        let one = numerics[0].clone();
        numerics.resize(12, one);
    }
    let mut waves = waveform(1);
    if let Body::Waveforms(list) = &mut waves.body {
        let mut one = list[0].clone();
        one.samples = (0..500)
            .map(|n| Some(if n % 2 == 0 { 0 } else { 4_000 }))
            .collect();
        *list = vec![one; 4];
    }
    second.push(waves);
    let before = spool.bytes().0;
    for _ in 0..10 {
        assert!(spool.append(&second).unwrap().refused.is_empty());
    }
    let a_second = (spool.bytes().0 - before) / 10;
    let hours = SpoolConfig::default().bytes_max / a_second / 3_600;
    println!("{a_second} bytes a second: {hours} hours");
    assert!((500..600).contains(&hours), "{hours} hours");
}
