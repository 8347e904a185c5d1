//! `enroute bench journal`: commits of the journal, each synced, beside the store alone
//! with batches of the same size, in turns. As in the server, the next append is queued
//! while a commit is under way.

use super::figures::{Figure, Report, progress};
use super::parts::float;
use super::{us_since, vehicles};
use crate::args::MeasureArgs;
use crate::clock::SystemClock;
use crate::simulate::Data;
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use enroute_journal::bare::Bare;
use enroute_journal::{Append, Class, Journal, Options};
use enroute_model::time::{Clock, EngineTime, ServerTime};
use std::time::Duration;

/// Records of a commit.
const BATCHES: [u64; 2] = [64, 512];
/// Records of a turn.
const TURN: u64 = 16_384;
/// Bytes of a record, which a frame of twelve numerics has about.
const RECORD: usize = 160;
/// Bytes of the store's key and of the journal's head: the yardstick writes as much.
const KEY: usize = 19;
const HEAD: usize = 25;

/// Runs the measure.
pub(super) async fn run(args: &MeasureArgs) -> Result<Report> {
    let (rounds, turn) = if args.short {
        (1, TURN / 8)
    } else {
        (args.rounds, TURN)
    };
    let mut report = Report::new(
        "journal",
        format!("{rounds} rounds of {turn} records of {RECORD} bytes, each commit synced"),
    );
    for batch in BATCHES {
        let mut pairs = Vec::new();
        for round in 1..=rounds {
            progress(format!(
                "journal, commits of {batch}, round {round} of {rounds}"
            ));
            let bare = bare(batch, turn)?;
            pairs.push((ours(batch, turn).await?, bare));
        }
        let name = format!("journal/commits-of-{batch}");
        let figure = Figure::beside(name, "records/s", "the store alone", &pairs);
        report.figures.push(figure.at_least(0.9));
    }
    Ok(report)
}

/// Incompressible as ciphertext is, and different in each record.
fn noise(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes().first().copied().unwrap_or(0)
    };
    (0..length).map(next).collect()
}

fn bare(batch: u64, turn: u64) -> Result<f64> {
    let data = Data::at(None, "enroute-bench-store")?;
    let store = Bare::open(data.path())?;
    let row = |number: u64| {
        let mut key = vec![0; KEY - 8];
        key.extend(number.to_be_bytes());
        (key, noise(number, HEAD + RECORD))
    };
    // The first commit, which makes files, is not counted.
    store.commit(vec![row(turn)])?;
    let batches: Vec<_> = (0..turn / batch)
        .map(|first| (0..batch).map(|n| row(first * batch + n)).collect())
        .collect();
    let clock = SystemClock::new();
    let began = clock.monotonic();
    for rows in batches {
        store.commit(rows)?;
    }
    Ok(rate(turn, us_since(&clock, began)))
}

async fn ours(batch: u64, turn: u64) -> Result<f64> {
    let data = Data::at(None, "enroute-bench-journal")?;
    let options = Options {
        // Each append is a commit: the group is the batch.
        commit_interval: Duration::ZERO,
        commit_records_max: usize::try_from(batch)?,
        ..Options::default()
    };
    let (journal, tail) = Journal::open(data.path(), options)?;
    drop(tail);
    let vehicle = vehicles(1)?.pop().context("no vehicle")?;
    let record = |number: u64| Append {
        class: Class::Vitals,
        transfer: vehicle.transfer.clone(),
        at: EngineTime(super::START),
        received_at: ServerTime(super::START),
        payload: Bytes::from(noise(number, RECORD)),
    };
    let batches: Vec<Vec<Append>> = (0..turn / batch)
        .map(|first| (0..batch).map(|n| record(first * batch + n)).collect())
        .collect();
    let appender = journal.appender();
    // The first commit, which makes files, is not counted.
    appender.append(vec![record(turn)]).await?;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let mut under_way = None;
    for records in batches {
        let queued = appender.submit(records).await?;
        if let Some(before) = under_way.replace(queued) {
            before.await?;
        }
    }
    if let Some(last) = under_way {
        last.await?;
    }
    let rate = rate(turn, us_since(&clock, began));
    let closed = tokio::task::spawn_blocking(move || journal.close()).await?;
    closed.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
    Ok(rate)
}

fn rate(records: u64, us: i64) -> f64 {
    float(records) * 1e6 / float(us.unsigned_abs().max(1))
}
