//! Writes numbered records into a real store and tells over TCP what it was
//! told, line by line: the process under the fault layer of `tests/disk`.
//!
//! It talks over a socket because a socket needs no `write`, which the fault
//! layer breaks. Arguments: `journal`, `healing` or `log`, the directory, the port
//! of 127.0.0.1, how many batches.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_journal::{Journal, Log, Options, Tail, TailItem};
use enroute_model::ids::Position;
use enroute_tests::numbered::{self, EPOCH, STREAM, frame, record, transfer};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// Bytes of a snapshot: three fill the table that the store then flushes.
const SNAPSHOT_BYTES: usize = 400 << 10;

struct Teller(TcpStream);

impl Teller {
    fn tell(&mut self, what: &str) {
        let line = format!("{what}\n");
        self.0.write_all(line.as_bytes()).expect("a listener");
    }

    /// Numbers `range` and what came of them.
    fn batch(
        &mut self,
        range: RangeInclusive<u64>,
        append: impl FnOnce(RangeInclusive<u64>) -> Result<(), String>,
    ) -> bool {
        let (first, last) = range.clone().into_inner();
        self.tell(&format!("writing {first} {last}"));
        let appended = append(range);
        match &appended {
            Ok(()) => self.tell(&format!("durable {first} {last}")),
            Err(reason) => self.tell(&format!("failed {first} {last} {reason}")),
        }
        appended.is_ok()
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().expect("kind, directory, port, batches");
    let (kind, dir) = (word(), word());
    let port: u16 = word().parse().expect("a port");
    let batches: u64 = word().parse().expect("a number of batches");
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a listener");
    let teller = Teller(stream);
    match kind.as_str() {
        "log" => write_log(Path::new(&dir), batches, teller),
        "healing" => {
            let options = Options {
                repair_after: Duration::from_millis(1),
                ..numbered::options()
            };
            write_journal(Path::new(&dir), options, batches, teller);
        }
        _ => write_journal(Path::new(&dir), numbered::options(), batches, teller),
    }
}

/// Batches of one to five numbers after `last`.
fn ranges(last: u64, batches: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    (0..batches).scan(last + 1, |next, batch| {
        let first = *next;
        *next += batch % 5 + 1;
        Some(first..=*next - 1)
    })
}

fn write_journal(dir: &Path, options: Options, batches: u64, mut teller: Teller) {
    let heals = options.repair_after < Duration::from_mins(1);
    let (journal, tail) = match Journal::open(dir, options) {
        Ok(opened) => opened,
        Err(error) => return teller.tell(&format!("refused {error}")),
    };
    let mut tail = Some(tail).filter(|_| heals);
    let last = journal.last_position().0;
    teller.tell(&format!("opened {last}"));
    let appender = journal.appender();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    for range in ranges(last, batches) {
        let done = teller.batch(range, |range| {
            let records = range.map(record).collect();
            let position = runtime.block_on(appender.append(records));
            position.map(drop).map_err(|error| error.to_string())
        });
        if let Some(tail) = tail.as_mut().filter(|_| !done) {
            teller.tell(if heals_in(tail) { "healed" } else { "given up" });
        }
        // Flushed by a thread of the store while the records go on.
        let state = vec![7; SNAPSHOT_BYTES];
        let put = journal
            .side()
            .put_snapshot(&transfer(0), Position(last), &state);
        if let Err(error) = put {
            teller.tell(&format!("snapshot not put {error}"));
        }
    }
    match journal.close() {
        Ok(()) => teller.tell("closed"),
        Err(error) => teller.tell(&format!("unclosed {error}")),
    }
}

/// Waits until the journal has said of a failure that it is over.
fn heals_in(tail: &mut Tail) -> bool {
    while let Some(item) = tail.blocking_next() {
        if matches!(item, TailItem::Recovered(_)) {
            return true;
        }
    }
    false
}

fn write_log(dir: &Path, batches: u64, mut teller: Teller) {
    let log = match Log::open(dir, &numbered::log_options()) {
        Ok(log) => log,
        Err(error) => return teller.tell(&format!("refused {error}")),
    };
    let last = log.scan(STREAM, EPOCH, 0..=u64::MAX).last();
    let last = last.map_or(0, |row| row.unwrap().0);
    teller.tell(&format!("opened {last}"));
    for range in ranges(last, batches) {
        teller.batch(range, |range| {
            let frames: Vec<_> = range.map(frame).collect();
            let appended = log.append(&frames, &[("state", &[7; 100])]);
            appended.map_err(|error| error.to_string())
        });
    }
    match log.close() {
        Ok(()) => teller.tell("closed"),
        Err(error) => teller.tell(&format!("unclosed {error}")),
    }
}
