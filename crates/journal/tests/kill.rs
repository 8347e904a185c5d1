//! A writer process is killed with SIGKILL, or its disk refuses to grow: what
//! it printed as durable must be there, in order, untorn.
//!
//! The writer is this test binary again, running the test `writer` alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed unwrap in a test is a failed test; the writer talks by printing"
)]

mod common;

use bytes::Bytes;
use common::{open, options, tx, wait};
use enroute_journal::{
    Append, Class, Classes, Journal, Log, LogAppend, LogOptions, Options, Origin, Stored,
};
use enroute_model::ids::{Epoch, Position, Stream};
use enroute_model::time::{EngineTime, ServerTime, Span};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const DIR: &str = "ENROUTE_TEST_WRITER_DIR";
const KIND: &str = "ENROUTE_TEST_WRITER_KIND";
const SEED: u64 = 0x5eed_0003;
const TRANSFERS: u64 = 5;

/// The generator `SplitMix64`: enough to choose where to kill.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The payload says which number it belongs to, at every place.
fn payload(number: u64) -> Bytes {
    let words = usize::try_from(number * 37 % 400).unwrap();
    number.to_be_bytes().repeat(words + 1).into()
}

fn numbered(number: u64) -> Append {
    Append {
        class: if number.is_multiple_of(3) {
            Class::Waveforms
        } else {
            Class::Vitals
        },
        transfer: tx(number % TRANSFERS),
        at: EngineTime(i64::try_from(number).unwrap()),
        received_at: ServerTime(0),
        payload: payload(number),
    }
}

fn writer_options() -> Options {
    Options {
        slice: Span(1_000),
        ..options()
    }
}

/// Does its work only as the child of the others.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    match std::env::var(KIND).unwrap().as_str() {
        "log" => write_log(dir),
        _ => write_journal(dir),
    }
}

fn write_journal(dir: &Path) {
    let (journal, tail) = Journal::open(dir, writer_options()).unwrap();
    drop(tail);
    let mut next = journal.last_position().0 + 1;
    let appender = journal.appender();
    let side = journal.side();
    wait(async {
        let mut flight = std::collections::VecDeque::new();
        loop {
            let count = next % 9 + 1;
            match appender
                .submit((next..next + count).map(numbered).collect())
                .await
            {
                Ok(pending) => flight.push_back(pending),
                Err(error) => return println!("\nstopped {error}"),
            }
            next += count;
            if flight.len() < 8 {
                continue;
            }
            match flight.pop_front().unwrap().await {
                Ok(position) => println!("\ndurable {}", position.0),
                Err(error) => return println!("\nstopped {error}"),
            }
            side.put_snapshot(&tx(0), Position(next), b"state").ok();
        }
    });
}

fn write_log(dir: &Path) {
    let slice_bytes_max = 100_000;
    let log = Log::open(
        dir,
        &LogOptions {
            slice_bytes_max,
            ..common::log_options()
        },
    )
    .unwrap();
    let last = log.scan(Stream::Numerics, Epoch(1), 0..=u64::MAX).last();
    let mut next = last.map_or(0, |row| row.unwrap().0) + 1;
    loop {
        let frames = (next..=next + next % 7).map(|sequence| LogAppend {
            stream: Stream::Numerics,
            epoch: Epoch(1),
            sequence,
            payload: payload(sequence),
        });
        let frames: Vec<_> = frames.collect();
        next += u64::try_from(frames.len()).unwrap();
        match log.append(&frames, &[]) {
            Ok(()) => println!("\ndurable {}", next - 1),
            Err(error) => return println!("\nstopped {error}"),
        }
    }
}

fn spawn(mut command: Command, dir: &Path, kind: &str) -> Child {
    command
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(KIND, kind)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn this_binary() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// Lets the writer make `count` batches durable, kills it, and gives the
/// highest number that it called durable, whenever that was read.
fn kill_after(count: u64, dir: &Path, kind: &str) -> u64 {
    let mut child = spawn(this_binary(), dir, kind);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut seen, mut durable) = (0, 0);
    // A line that the kill cut has no end; its number is a prefix, so lower.
    for line in lines.map_while(Result::ok) {
        assert!(!line.starts_with("stopped"), "{line}");
        let Some(number) = line.strip_prefix("durable ") else {
            continue;
        };
        durable = durable.max(number.parse().unwrap_or(0));
        seen += 1;
        if seen == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        seen >= count,
        "the writer ended by itself after {seen} batches"
    );
    durable
}

/// All records, dense and whole.
fn check_journal(dir: &Path, durable: u64) -> u64 {
    let (journal, tail) = open(dir);
    drop(tail);
    let last = journal.last_position().0;
    assert!(
        last >= durable,
        "{durable} was called durable, {last} is the last"
    );
    let starts: Vec<_> = (0..TRANSFERS).map(|n| (tx(n), Position(0))).collect();
    let reader = journal.reader();
    let rows: Vec<Stored> = reader.merge(&starts).map(Result::unwrap).collect();
    assert_eq!(u64::try_from(rows.len()).unwrap(), last);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row.position, Position(number));
        let expected = numbered(number);
        assert_eq!(
            (&row.transfer, row.class),
            (&expected.transfer, expected.class)
        );
        assert_eq!((row.at, &row.payload), (expected.at, &expected.payload));
    }
    let per_transfer = starts.iter().map(|(transfer, after)| {
        let rows = reader.scan(transfer, Classes::All, *after);
        rows.map(Result::unwrap).count()
    });
    assert_eq!(per_transfer.sum::<usize>(), rows.len());
    drop(reader);
    journal.close().unwrap();
    last
}

#[test]
fn a_killed_journal_has_all_that_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    println!("seed {SEED:#x}");
    let mut state = SEED;
    let mut durable_before = 0;
    for round in 0..6 {
        let count = random(&mut state) % 60 + 1;
        let durable = kill_after(count, dir.path(), "journal");
        println!("round {round}: killed after {count} batches, {durable} durable");
        assert!(durable > durable_before);
        durable_before = check_journal(dir.path(), durable);
    }
}

#[test]
fn a_killed_log_has_all_that_was_durable_and_knows_it_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    println!("seed {SEED:#x}");
    let mut state = SEED;
    for round in 0..4 {
        let count = random(&mut state) % 60 + 1;
        let durable = kill_after(count, dir.path(), "log");
        println!("round {round}: killed after {count} batches, {durable} durable");
        let log = Log::open(dir.path(), &common::log_options()).unwrap();
        assert_eq!(log.origin(), Origin::Unclean);
        let rows = log.scan(Stream::Numerics, Epoch(1), 0..=u64::MAX);
        let rows: Vec<_> = rows.map(Result::unwrap).collect();
        assert!(u64::try_from(rows.len()).unwrap() >= durable);
        let mut bytes = 0;
        for (number, (sequence, frame)) in (1..).zip(&rows) {
            assert_eq!((*sequence, frame), (number, &payload(number)));
            bytes += u64::try_from(frame.len()).unwrap();
        }
        // Sealed frames count as they lie there.
        if common::keys().is_none() {
            assert_eq!(log.bytes(), bytes);
        }
    }
}

/// The real store, on files that may not grow beyond a limit: the write fails
/// inside the store, not in a mock.
#[test]
#[cfg(unix)]
fn a_disk_that_takes_no_more_stops_the_journal_and_loses_nothing_durable() {
    let dir = tempfile::tempdir().unwrap();
    // A new store reserves more than the limit in its first file; an old one grows.
    check_journal(dir.path(), 0);
    let mut shell = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\"";
    shell
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap());
    let mut child = spawn(shell, dir.path(), "journal");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut durable, mut stopped) = (0, None);
    for line in lines.map_while(Result::ok) {
        if let Some(number) = line.strip_prefix("durable ") {
            assert_eq!(stopped, None, "durable after the failure");
            durable = number.parse().unwrap();
        } else if let Some(reason) = line.strip_prefix("stopped ") {
            stopped = Some(reason.to_owned());
        }
    }
    child.wait().unwrap();
    let reason = stopped.unwrap();
    // The write that failed may have been a commit's or a snapshot's; then the
    // commit behind it finds the store stopped.
    let told = ["File too large", "failed before"];
    assert!(told.iter().any(|told| reason.contains(told)), "{reason}");
    assert!(durable > 0);
    check_journal(dir.path(), durable);
}
