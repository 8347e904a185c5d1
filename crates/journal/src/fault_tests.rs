//! The k-th commit fails, for every k of a short run. What only this mock
//! covers is a sync that fails; a write that fails is also tried with the real
//! store, in `tests/kill.rs`.

use crate::store::{Disk, Synced};
use crate::{
    Append, AppendError, Class, Classes, Failure, Journal, Log, LogAppend, LogOptions, Options,
    TailItem,
};
use bytes::Bytes;
use enroute_model::ids::{Epoch, Position, Stream, TransferId};
use enroute_model::time::{EngineTime, ServerTime};
use fjall::OwnedWriteBatch;
use std::time::Duration;

const RUN: u64 = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing reaches the disk.
    Lost,
    /// All of it does, but the sync reports an error.
    Landed,
    /// The committer dies.
    Panic,
}

#[derive(Debug)]
struct Faulty {
    left: u64,
    fault: Fault,
}

impl Disk for Faulty {
    fn commit(&mut self, batch: OwnedWriteBatch) -> Result<(), Failure> {
        self.left -= 1;
        if self.left > 0 {
            return Synced.commit(batch);
        }
        match self.fault {
            Fault::Lost => {}
            Fault::Landed => Synced.commit(batch)?,
            Fault::Panic => panic!("a test asked for it"),
        }
        Err(Failure::new(&"no space left on device"))
    }
}

fn tx() -> TransferId {
    TransferId::new("tx").unwrap()
}

fn record(number: u64) -> Append {
    Append {
        class: Class::Vitals,
        transfer: tx(),
        at: EngineTime(0),
        received_at: ServerTime(0),
        payload: Bytes::from(number.to_string()),
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let hang = Duration::from_mins(1);
    runtime.block_on(async { tokio::time::timeout(hang, future).await.unwrap() })
}

fn options() -> Options {
    Options {
        commit_interval: Duration::ZERO,
        ..Options::default()
    }
}

/// Appends one by one; gives how many were acknowledged.
fn append_all(journal: &Journal) -> u64 {
    let appender = journal.appender();
    let mut acknowledged = 0;
    for number in 1..=RUN {
        match wait(appender.append(vec![record(number)])) {
            Ok(position) => {
                acknowledged += 1;
                assert_eq!(
                    position,
                    Position(acknowledged),
                    "acknowledged after a failure"
                );
            }
            Err(error) => assert_ne!(error, AppendError::Closed),
        }
    }
    acknowledged
}

#[test]
fn a_failed_commit_loses_nothing_acknowledged_and_stops_everything() {
    for k in 1..=RUN {
        for fault in [Fault::Lost, Fault::Landed] {
            let dir = tempfile::tempdir().unwrap();
            let disk = Box::new(Faulty { left: k, fault });
            let (journal, mut tail) = Journal::open_on(dir.path(), options(), disk).unwrap();
            let acknowledged = append_all(&journal);
            assert_eq!(acknowledged, k - 1, "{fault:?}");
            let mut tailed = 0;
            while let Some(TailItem::Records(records)) = wait(tail.next()) {
                tailed += u64::try_from(records.len()).unwrap();
            }
            assert_eq!(tailed, acknowledged, "{k} {fault:?}");
            assert_eq!(tail.failure().unwrap().reason(), "no space left on device");
            let reader = journal.reader();
            assert_eq!(reader.last_position(), Position(acknowledged));
            let seen = reader.scan(&tx(), Classes::All, Position(0)).count();
            assert_eq!(u64::try_from(seen).unwrap(), acknowledged, "{k} {fault:?}");
            let merged = reader.merge(&[(tx(), Position(0))]).count();
            assert_eq!(merged, seen, "{k} {fault:?}");
            let known = reader.transfers().unwrap().len();
            assert_eq!(known, usize::from(acknowledged > 0));
            let put = journal.side().put_poison(Position(1), &tx(), "no");
            assert!(put.is_err(), "the side tables stop too");
            drop(reader);
            assert!(journal.close().is_err());

            let (journal, _tail) = Journal::open(dir.path(), options()).unwrap();
            let landed = acknowledged + u64::from(fault == Fault::Landed);
            assert_eq!(journal.last_position(), Position(landed));
            let rows = journal.reader().scan(&tx(), Classes::All, Position(0));
            let payloads: Vec<Bytes> = rows.map(|row| row.unwrap().payload).collect();
            let expected: Vec<Bytes> = (1..=landed).map(|n| record(n).payload).collect();
            assert_eq!(payloads, expected, "{k} {fault:?}");
        }
    }
}

#[test]
fn everyone_in_flight_is_told_and_nobody_hangs() {
    for fault in [Fault::Lost, Fault::Panic] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Box::new(Faulty { left: 2, fault });
        let narrow = Options {
            queue_records_max: 8,
            commit_records_max: 1,
            ..options()
        };
        let (journal, tail) = Journal::open_on(dir.path(), narrow, disk).unwrap();
        drop(tail);
        let appender = journal.appender();
        let answers = wait(async {
            let mut answers = Vec::new();
            for number in 0..40 {
                match appender.submit(vec![record(number)]).await {
                    Ok(pending) => answers.push(pending.await.is_ok()),
                    Err(error) => {
                        assert!(matches!(error, AppendError::Failed(_)), "{error}");
                        answers.push(false);
                    }
                }
            }
            answers
        });
        assert!(answers[0]);
        assert!(answers[1..].iter().all(|durable| !durable), "{answers:?}");
        assert!(journal.failure().is_some());
        assert!(journal.close().is_err());
    }
}

#[test]
fn a_failed_append_stops_the_log_and_loses_nothing_acknowledged() {
    for k in 1..=RUN {
        for fault in [Fault::Lost, Fault::Landed] {
            let dir = tempfile::tempdir().unwrap();
            let disk = Box::new(Faulty { left: k, fault });
            let log = Log::open_on(dir.path(), &LogOptions::default(), disk).unwrap();
            let frame = |sequence: u64| LogAppend {
                stream: Stream::Events,
                epoch: Epoch(1),
                sequence,
                payload: Bytes::from(sequence.to_string()),
            };
            let durable = |n: &u64| log.append(&[frame(*n)], &[]).is_ok();
            let acknowledged = (1..=RUN).filter(durable).count();
            assert_eq!(u64::try_from(acknowledged).unwrap(), k - 1);
            assert!(log.close().is_err(), "a failed log is never clean");
            drop(log);
            let log = Log::open(dir.path(), &LogOptions::default()).unwrap();
            let landed = acknowledged + usize::from(fault == Fault::Landed);
            let rows = log.scan(Stream::Events, Epoch(1), 0..=u64::MAX);
            assert_eq!(rows.map(Result::unwrap).count(), landed, "{k} {fault:?}");
        }
    }
}
