//! The k-th commit fails, for every k of a short run, and the disk is repaired
//! later. What only this mock covers is a commit that landed all the same.

use crate::store::{Disk, Synced};
use crate::{
    Append, AppendError, Class, Classes, Failure, Journal, Log, LogAppend, LogOptions, Options,
    ReadError, Reader, Tail, TailItem,
};
use bytes::Bytes;
use enroute_model::ids::{Epoch, Position, Stream, TransferId};
use enroute_model::time::{EngineTime, ServerTime};
use enroute_seal::Keys;
use fjall::OwnedWriteBatch;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const RUN: u64 = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing reaches the disk.
    Lost,
    /// All of it does, but the sync reports an error.
    Landed,
    /// The store panics.
    Panic,
}

/// Good for some commits; then none succeeds until the disk is repaired.
#[derive(Debug)]
struct Faulty {
    left: AtomicU64,
    fault: Fault,
    repaired: AtomicBool,
}

impl Faulty {
    /// Whose `k`-th commit fails.
    fn at(k: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU64::new(k),
            fault,
            repaired: AtomicBool::new(false),
        })
    }

    fn repair(&self) {
        self.repaired.store(true, Ordering::Release);
    }
}

impl Disk for Arc<Faulty> {
    fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Failure> {
        if self.repaired.load(Ordering::Acquire) || self.left.load(Ordering::Acquire) > 1 {
            self.left.fetch_sub(1, Ordering::AcqRel);
            return Synced::default().commit(batch);
        }
        match self.fault {
            Fault::Lost => {}
            Fault::Landed => Synced::default().commit(batch)?,
            Fault::Panic => panic!("a test asked for it"),
        }
        Err(Failure::new(&"no space left on device"))
    }

    fn probe(&self, dir: &Path) -> std::io::Result<()> {
        if !self.repaired.load(Ordering::Acquire) {
            return Err(std::io::Error::other("no space left on device"));
        }
        Synced::default().probe(dir)
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
        repair_after: Duration::from_millis(1),
        keys: Some(Arc::new(Keys::parse(&format!("1 {:064x}", 7)).unwrap())),
        ..Options::default()
    }
}

fn payloads(reader: &Reader) -> Vec<Bytes> {
    let rows = reader.scan(&tx(), Classes::All, Position(0));
    rows.map(|row| row.unwrap().payload).collect()
}

fn numbers(of: impl IntoIterator<Item = u64>) -> Vec<Bytes> {
    of.into_iter().map(|n| record(n).payload).collect()
}

fn unrecorded(number: u64) -> TailItem {
    TailItem::Unrecorded(vec![record(number)])
}

#[test]
fn after_a_failed_commit_nothing_is_called_durable_until_the_disk_is_repaired() {
    for (k, fault) in (1..=RUN).flat_map(|k| {
        let faults = [Fault::Lost, Fault::Landed, Fault::Panic];
        faults.map(|fault| (k, fault))
    }) {
        println!("commit {k}, {fault:?}");
        let dir = tempfile::tempdir().unwrap();
        let disk = Faulty::at(k, fault);
        let faulty = Arc::new(Arc::clone(&disk));
        let (journal, mut tail) = Journal::open_on(dir.path(), options(), faulty).unwrap();
        let (appender, reader, side) = (journal.appender(), journal.reader(), journal.side());
        for number in 1..k {
            assert_eq!(
                wait(appender.append(vec![record(number)])),
                Ok(Position(number))
            );
            let durable = Some(number);
            assert_eq!(position(wait(tail.next())), durable, "{k} {fault:?}");
        }
        let mut begun = reader.scan(&tx(), Classes::All, Position(0));

        let failed = wait(appender.append(vec![record(k)]));
        assert!(
            matches!(failed, Err(AppendError::Unrecorded(_))),
            "{failed:?}"
        );
        assert!(journal.failure().is_some());
        // What the journal says by now may be why it is not repaired yet.
        let told = wait(tail.next());
        assert!(matches!(told, Some(TailItem::Failed(_))), "{told:?}");
        assert_eq!(wait(tail.next()), Some(unrecorded(k)));
        wait(appender.tick(EngineTime(77))).unwrap();
        let more = wait(appender.append(vec![Append {
            at: EngineTime(5),
            ..record(100)
        }]));
        assert!(matches!(more, Err(AppendError::Unrecorded(_))), "{more:?}");
        let told = items_but_failures(&mut tail, 2);
        let clamped = TailItem::Unrecorded(vec![Append {
            at: EngineTime(77),
            ..record(100)
        }]);
        assert_eq!(told, [TailItem::Tick(EngineTime(77)), clamped]);

        assert_eq!(reader.last_position(), Position(k - 1));
        let cut = matches!(begun.next(), Some(Err(ReadError::Failed(_))));
        assert!(cut || k == 1, "a reader that was under way must let go");
        assert!(matches!(reader.transfers(), Err(ReadError::Failed(_))));
        let rows = reader.merge(&[(tx(), Position(0))]).collect::<Vec<_>>();
        assert!(
            matches!(rows.as_slice(), [Err(ReadError::Failed(_))]),
            "{rows:?}"
        );
        assert!(side.put_poison(Position(1), &tx(), "no").is_err());
        assert!(matches!(
            reader.snapshots().next(),
            Some(Err(ReadError::Failed(_)))
        ));

        disk.repair();
        let last = k - 1 + u64::from(fault == Fault::Landed);
        let recovered = items_but_failures(&mut tail, 1);
        assert_eq!(
            recovered,
            [TailItem::Recovered(Position(last))],
            "{fault:?}"
        );
        assert_eq!(journal.failure(), None);
        let durable: Vec<u64> = (1..=last).collect();
        assert_eq!(payloads(&reader), numbers(durable.clone()));
        side.put_poison(Position(1), &tx(), "yes").unwrap();
        let next = wait(appender.append(vec![record(200)]));
        assert_eq!(next, Ok(Position(last + 1)), "dense");
        let next = wait(tail.next()).unwrap();
        assert!(matches!(&next, TailItem::Records(records) if records[0].at == EngineTime(77)));
        journal.close().unwrap();

        let (journal, _tail) = Journal::open(dir.path(), options()).unwrap();
        let whole = numbers(durable.into_iter().chain([200]));
        assert_eq!(payloads(&journal.reader()), whole, "{k} {fault:?}");
    }
}

fn position(item: Option<TailItem>) -> Option<u64> {
    match item? {
        TailItem::Records(records) => records.last().map(|record| record.position.0),
        TailItem::Tick(_)
        | TailItem::Failed(_)
        | TailItem::Unrecorded(_)
        | TailItem::Recovered(_) => None,
    }
}

/// The next items, without the reasons why a repair did not succeed yet.
fn items_but_failures(tail: &mut Tail, count: usize) -> Vec<TailItem> {
    let mut items = Vec::new();
    while items.len() < count {
        let item = wait(tail.next()).unwrap();
        if !matches!(item, TailItem::Failed(_)) {
            items.push(item);
        }
    }
    items
}

#[test]
fn a_failed_put_is_a_failure_of_the_journal_and_is_repaired_too() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::at(u64::MAX, Fault::Lost);
    let faulty = Arc::new(Arc::clone(&disk));
    let (journal, mut tail) = Journal::open_on(dir.path(), options(), faulty).unwrap();
    let side = journal.side();
    journal
        .shared_for_tests()
        .fail(Failure::new(&"a put failed"));
    assert!(side.put_derived(&tx(), 1, b"x").is_err());
    let failed = wait(journal.appender().append(vec![record(1)]));
    assert!(matches!(failed, Err(AppendError::Unrecorded(_))));
    assert!(matches!(wait(tail.next()), Some(TailItem::Failed(_))));
    disk.repair();
    let told = items_but_failures(&mut tail, 2);
    assert_eq!(told, [unrecorded(1), TailItem::Recovered(Position(0))]);
    side.put_derived(&tx(), 1, b"x").unwrap();
}

#[test]
fn without_a_tail_nothing_is_passed_on_and_everyone_is_told() {
    for fault in [Fault::Lost, Fault::Panic] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Faulty::at(2, fault));
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
                let pending = appender.submit(vec![record(number)]).await.unwrap();
                answers.push(pending.await);
            }
            answers
        });
        assert!(answers[0].is_ok());
        let failed = |answer: &Result<_, _>| matches!(answer, Err(AppendError::Failed(_)));
        // The first one finds out that nobody reads the tail.
        assert!(answers[2..].iter().all(failed), "{answers:?}");
        assert!(journal.close().is_err(), "not repaired");
    }
}

#[test]
fn another_journal_in_the_place_of_the_failed_one_is_not_taken_for_it() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = dir.path().join("journal");
    let disk = Faulty::at(2, Fault::Lost);
    let faulty = Arc::new(Arc::clone(&disk));
    let (journal, mut tail) = Journal::open_on(&there, options(), faulty).unwrap();
    let appender = journal.appender();
    assert!(wait(appender.append(vec![record(1)])).is_ok());
    assert!(wait(appender.append(vec![record(2)])).is_err());
    let moved = dir.path().join("moved");
    std::fs::rename(&there, &moved).unwrap();
    drop(Journal::open(other.path(), options()).unwrap().0.close());
    std::fs::rename(other.path(), &there).unwrap();
    disk.repair();
    reason(&mut tail, "another one is in its place");
    std::fs::rename(&there, other.path()).unwrap();
    std::fs::create_dir(&there).unwrap();
    reason(&mut tail, "it is no longer there");
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&moved, &there).unwrap();
    let recovered = items_but_failures(&mut tail, 1);
    assert_eq!(recovered, [TailItem::Recovered(Position(1))]);
}

/// Reads on until the journal says that it is not repaired because of `what`.
fn reason(tail: &mut Tail, what: &str) {
    loop {
        if let TailItem::Failed(failure) = wait(tail.next()).unwrap()
            && failure.reason().contains(what)
        {
            return;
        }
    }
}

#[test]
fn a_failed_append_stops_the_log_and_loses_nothing_acknowledged() {
    for k in 1..=RUN {
        for fault in [Fault::Lost, Fault::Landed] {
            let dir = tempfile::tempdir().unwrap();
            let disk = Box::new(Faulty::at(k, fault));
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
