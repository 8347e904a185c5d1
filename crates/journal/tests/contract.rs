//! What any implementation of the journal must do, in terms of the public
//! interface alone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed unwrap in a test is a failed test"
)]

mod common;

use common::{open, options, record, tail_records, tx, wait};
use enroute_journal::{
    AppendError, Class, Classes, Journal, OpenError, Options, Stored, TailItem, TrySubmitError,
};
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, Span};
use std::task::Poll;
use std::time::Duration;

const START: Position = Position(0);

fn names(records: impl Iterator<Item = Stored>) -> Vec<String> {
    let name = |record: Stored| String::from_utf8(record.payload.to_vec()).unwrap();
    records.map(name).collect()
}

#[test]
fn what_is_appended_comes_back_in_order_from_tail_and_scan() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut tail) = open(dir.path());
    let appender = journal.appender();
    let first = wait(appender.append(vec![
        record(1, Class::Vitals, 10, "a"),
        record(2, Class::Vitals, 11, "b"),
        record(1, Class::Waveforms, 12, "c"),
    ]));
    assert_eq!(first, Ok(Position(3)));
    let second = wait(appender.append(vec![record(1, Class::Vitals, 13, "d")]));
    assert_eq!(second, Ok(Position(4)));

    let tailed = tail_records(&mut tail, 4);
    let positions: Vec<u64> = tailed.iter().map(|record| record.position.0).collect();
    assert_eq!(positions, [1, 2, 3, 4]);
    let reader = journal.reader();
    let scanned: Result<Vec<Stored>, _> = reader.scan(&tx(1), Classes::All, START).collect();
    let of_one = tailed.into_iter().filter(|record| record.transfer == tx(1));
    assert_eq!(scanned.unwrap(), of_one.collect::<Vec<_>>());
    let vitals = reader.scan(&tx(1), Classes::Only(Class::Vitals), Position(1));
    assert_eq!(names(vitals.map(Result::unwrap)), ["d"]);
    let transfers = reader.transfers().unwrap();
    assert_eq!(transfers, [(tx(1), Position(1)), (tx(2), Position(2))]);
    assert_eq!(reader.scan(&tx(3), Classes::All, START).count(), 0);
    assert_eq!(
        reader
            .scan(&tx(1), Classes::All, Position(u64::MAX))
            .count(),
        0
    );
}

#[test]
fn all_of_it_survives_closing_and_positions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tail) = open(dir.path());
    assert_eq!(journal.opened_at(), None);
    let incarnation = journal.incarnation();
    wait(
        journal
            .appender()
            .append(vec![record(1, Class::Vitals, 50, "a")]),
    )
    .unwrap();
    drop(tail);
    journal.close().unwrap();

    let (journal, mut tail) = open(dir.path());
    assert_eq!(journal.incarnation(), incarnation);
    assert_eq!(journal.last_position(), Position(1));
    assert_eq!(journal.opened_at(), Some(EngineTime(50)));
    let next = wait(
        journal
            .appender()
            .append(vec![record(1, Class::Vitals, 7, "b")]),
    );
    assert_eq!(next, Ok(Position(2)));
    let tailed = tail_records(&mut tail, 1);
    assert_eq!(
        tailed[0].at,
        EngineTime(50),
        "time never decreases, restarts included"
    );
    let all = journal.reader().scan(&tx(1), Classes::All, START);
    assert_eq!(names(all.map(Result::unwrap)), ["a", "b"]);
}

#[test]
fn slices_are_chained_and_keep_the_width_they_were_created_with() {
    let dir = tempfile::tempdir().unwrap();
    let sliced = |slice| Options { slice, ..options() };
    let (journal, tail) = Journal::open(dir.path(), sliced(Span(10))).unwrap();
    drop(tail);
    let append = |journal: &Journal, at: i64| {
        let class = if at % 2 == 0 {
            Class::Vitals
        } else {
            Class::Waveforms
        };
        let appender = journal.appender();
        let batch = vec![record(1, class, at, &at.to_string())];
        wait(appender.append(batch)).unwrap();
    };
    for at in [-25, -10, -1, 0, 9, 10, 31] {
        append(&journal, at);
    }
    journal.close().unwrap();
    let (journal, tail) = Journal::open(dir.path(), sliced(Span(1_000_000))).unwrap();
    drop(tail);
    for at in [32, 33, 45] {
        append(&journal, at);
    }
    let all = journal.reader().scan(&tx(1), Classes::All, START);
    let expected = ["-25", "-10", "-1", "0", "9", "10", "31", "32", "33", "45"];
    assert_eq!(names(all.map(Result::unwrap)), expected);
}

#[test]
fn a_merge_is_in_the_journals_order_and_starts_where_each_transfer_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let sliced = Options {
        slice: Span(10),
        ..options()
    };
    let (journal, tail) = Journal::open(dir.path(), sliced).unwrap();
    drop(tail);
    let records = (0..60_u32).map(|n| {
        let class = if n % 3 == 0 {
            Class::Waveforms
        } else {
            Class::Vitals
        };
        record(u64::from(n % 4), class, i64::from(n), &n.to_string())
    });
    wait(journal.appender().append(records.collect())).unwrap();
    let starts = [
        (tx(0), Position(0)),
        (tx(1), Position(30)),
        (tx(3), Position(60)),
        (tx(9), START),
    ];
    let merged: Vec<Stored> = journal
        .reader()
        .merge(&starts)
        .map(Result::unwrap)
        .collect();
    let expected: Vec<u64> = (1..=60)
        .filter(|p| match (p - 1) % 4 {
            0 => true,
            1 => *p > 30,
            _ => false,
        })
        .collect();
    let positions: Vec<u64> = merged.iter().map(|record| record.position.0).collect();
    assert_eq!(positions, expected);
}

#[test]
fn a_merge_of_many_transfers_finds_each_in_the_slices_that_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let sliced = Options {
        slice: Span(10),
        ..options()
    };
    let (journal, tail) = Journal::open(dir.path(), sliced).unwrap();
    drop(tail);
    // Each is heard in a few slices, some in both classes, with slices between in
    // which it is silent; ids of one length and of two.
    let records = (0..300_u32).filter_map(|n| {
        let transfer = u64::from(n * n % 41 + n / 60);
        let class = Class::ALL[usize::from(n % 3 == 0)];
        (transfer % 5 != 4).then(|| record(transfer, class, i64::from(n), &n.to_string()))
    });
    wait(journal.appender().append(records.collect())).unwrap();
    let reader = journal.reader();
    let starts: Vec<_> = (0..50).map(|n| (tx(n), Position(n * 3 % 90))).collect();
    let merged: Vec<Stored> = reader.merge(&starts).map(Result::unwrap).collect();
    let scans = starts
        .iter()
        .flat_map(|(transfer, after)| reader.scan(transfer, Classes::All, *after));
    let mut scanned: Vec<Stored> = scans.map(Result::unwrap).collect();
    scanned.sort_by_key(|record| record.position);
    assert!(scanned.len() > 100, "{}", scanned.len());
    assert_eq!(merged, scanned);
}

#[test]
fn who_sleeps_is_noted_until_it_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tail) = open(dir.path());
    drop(tail);
    let (side, reader) = (journal.side(), journal.reader());
    side.put_sleeper(&tx(1), Position(3), b"one").unwrap();
    side.put_sleeper(&tx(2), Position(4), b"two").unwrap();
    side.put_sleeper(&tx(1), Position(5), b"again").unwrap();
    side.remove_sleeper(&tx(2)).unwrap();
    side.remove_sleeper(&tx(3)).unwrap();
    let sleepers: Vec<_> = reader.sleepers().map(Result::unwrap).collect();
    assert_eq!(sleepers.len(), 1);
    let one = &sleepers[0];
    assert_eq!((&one.transfer, one.position), (&tx(1), Position(5)));
    assert_eq!(&one.bytes[..], b"again");
}

#[test]
fn ticks_keep_their_place_and_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, mut tail) = open(dir.path());
    let appender = journal.appender();
    wait(async {
        let a = appender
            .submit(vec![record(1, Class::Vitals, 10, "a")])
            .await
            .unwrap();
        appender.tick(EngineTime(20)).await.unwrap();
        appender.tick(EngineTime(15)).await.unwrap();
        let b = appender
            .submit(vec![record(1, Class::Vitals, 12, "b")])
            .await
            .unwrap();
        (a.await.unwrap(), b.await.unwrap())
    });
    let mut seen = Vec::new();
    while seen.len() < 4 {
        match wait(tail.next()).unwrap() {
            TailItem::Records(records) => seen.extend(records.iter().map(|r| (r.at.0, true))),
            TailItem::Tick(at) => seen.push((at.0, false)),
            other @ (TailItem::Failed(_) | TailItem::Unrecorded(_) | TailItem::Recovered(_)) => {
                panic!("{other:?}")
            }
        }
    }
    assert_eq!(seen, [(10, true), (20, false), (20, false), (20, true)]);
}

#[test]
fn a_tail_that_is_not_read_stops_commits_and_then_lets_them_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = Options {
        tail_items_max: 1,
        queue_records_max: 2,
        commit_records_max: 1,
        commit_interval: Duration::ZERO,
        ..options()
    };
    let (journal, mut tail) = Journal::open(dir.path(), narrow).unwrap();
    let appender = journal.appender();
    let one = || vec![record(1, Class::Vitals, 0, "x")];
    // The first is in the tail, the second on its way into it, the third queued.
    wait(async {
        appender.append(one()).await.unwrap();
        appender.append(one()).await.unwrap();
        let mut third = std::pin::pin!(appender.append(one()));
        for _ in 0..20_000 {
            let early = std::future::poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx))).await;
            assert!(
                early.is_pending(),
                "committed, though nobody reads the tail"
            );
            std::thread::yield_now();
        }
        let full = appender.try_submit(one());
        assert!(matches!(full, Err(TrySubmitError::Full(records)) if records.len() == 1));
        assert!(tail.next().await.is_some());
        assert_eq!(third.await, Ok(Position(3)));
    });
    assert_eq!(tail_records(&mut tail, 2)[1].position, Position(3));
}

#[test]
fn many_in_flight_resolve_in_order_and_an_empty_batch_waits_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tail) = open(dir.path());
    drop(tail);
    let appender = journal.appender();
    wait(async {
        let mut pending = Vec::new();
        for n in 0..500 {
            pending.push(
                appender
                    .submit(vec![record(n % 7, Class::Vitals, 0, "x")])
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(appender.append(Vec::new()).await, Ok(Position(500)));
        for (n, waiting) in (1..).zip(pending) {
            assert_eq!(waiting.await, Ok(Position(n)));
        }
    });
}

#[test]
fn too_much_at_once_and_too_late_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options {
        queue_records_max: 2,
        queue_bytes_max: 4_096,
        ..options()
    };
    let (journal, mut tail) = Journal::open(dir.path(), small).unwrap();
    let appender = journal.appender();
    let three = vec![record(1, Class::Vitals, 0, "x"); 3];
    assert!(matches!(
        wait(appender.append(three)),
        Err(AppendError::TooLarge { records: 3, .. })
    ));
    let large = vec![record(1, Class::Vitals, 0, &"x".repeat(4_096))];
    assert!(matches!(
        wait(appender.append(large)),
        Err(AppendError::TooLarge { .. })
    ));
    journal.close().unwrap();
    let late = wait(appender.append(vec![record(1, Class::Vitals, 0, "x")]));
    assert_eq!(late, Err(AppendError::Closed));
    assert_eq!(wait(tail.next()), None);
    assert_eq!(tail.failure(), None);
}

#[test]
fn a_close_commits_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Options {
        commit_interval: Duration::from_hours(1),
        ..options()
    };
    let (journal, tail) = Journal::open(dir.path(), slow).unwrap();
    drop(tail);
    let appender = journal.appender();
    let pending = wait(appender.submit(vec![record(1, Class::Vitals, 0, "x")])).unwrap();
    journal.close().unwrap();
    assert_eq!(wait(pending), Ok(Position(1)));
}

#[test]
fn after_a_pause_a_record_does_not_wait_and_those_behind_it_share_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Options {
        commit_interval: Duration::from_hours(1),
        commit_records_max: 2,
        ..options()
    };
    let (journal, mut tail) = Journal::open(dir.path(), slow).unwrap();
    let appender = journal.appender();
    let one = || vec![record(1, Class::Vitals, 0, "x")];
    // Two ticks end the rest after the opening, and begin none.
    wait(appender.tick(EngineTime(1))).unwrap();
    wait(appender.tick(EngineTime(2))).unwrap();
    assert_eq!(wait(appender.append(one())), Ok(Position(1)));
    let second = wait(appender.submit(one())).unwrap();
    let third = wait(appender.submit(one())).unwrap();
    assert_eq!(wait(second), Ok(Position(2)));
    assert_eq!(wait(third), Ok(Position(3)));
    let mut commits = Vec::new();
    while commits.iter().sum::<usize>() < 3 {
        if let Some(TailItem::Records(records)) = wait(tail.next()) {
            commits.push(records.len());
        }
    }
    assert_eq!(commits, [1, 2]);
    journal.close().unwrap();
}

#[test]
fn a_directory_has_one_owner_and_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tail) = open(dir.path());
    drop(tail);
    let second = Journal::open(dir.path(), options());
    assert!(
        matches!(second, Err(OpenError::Locked { .. })),
        "{second:?}"
    );
    journal.close().unwrap();
    let log = enroute_journal::Log::open(dir.path(), &enroute_journal::LogOptions::default());
    assert!(matches!(log, Err(OpenError::Kind { .. })), "{log:?}");
}

#[test]
fn side_tables_keep_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, tail) = open(dir.path());
    drop(tail);
    let side = journal.side();
    side.put_snapshot(&tx(1), Position(3), b"old").unwrap();
    side.put_snapshot(&tx(1), Position(4), b"new").unwrap();
    side.put_snapshot(&tx(2), Position(5), b"other").unwrap();
    side.put_derived(&tx(1), 1, b"one").unwrap();
    side.put_derived(&tx(1), 2, b"two").unwrap();
    side.put_derived(&tx(1), 2, b"two").unwrap();
    side.put_derived(&tx(10), 1, b"not mine").unwrap();
    side.put_poison(Position(9), &tx(1), "it said: overflow")
        .unwrap();
    drop(side);
    journal.close().unwrap();

    let (journal, _tail) = open(dir.path());
    let reader = journal.reader();
    let snapshots: Vec<_> = reader.snapshots().map(Result::unwrap).collect();
    let brief: Vec<_> = snapshots
        .iter()
        .map(|s| (&s.transfer, s.position.0, &s.bytes[..]))
        .collect();
    assert_eq!(
        brief,
        [(&tx(1), 4, &b"new"[..]), (&tx(2), 5, &b"other"[..])]
    );
    assert_eq!(reader.snapshot(&tx(2)).unwrap(), snapshots.get(1).cloned());
    assert_eq!(reader.snapshot(&tx(3)).unwrap(), None);
    let derived: Vec<_> = reader.derived(&tx(1), 2).map(Result::unwrap).collect();
    assert_eq!(derived, [(2, bytes::Bytes::from_static(b"two"))]);
    let poisons = reader.poisons().unwrap();
    assert_eq!(poisons.len(), 1);
    assert_eq!(
        (poisons[0].position, &*poisons[0].reason),
        (Position(9), "it said: overflow")
    );
}
