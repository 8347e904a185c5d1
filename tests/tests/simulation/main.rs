//! The whole system under a virtual clock: real gateways (spool and uplink), the
//! real decisions of ingest, the real journal and the real shard with its viewers,
//! between them a broker, links, clocks, disks and power that fail by a seed.
//!
//! One run is one thread and one queue of events (the journal has threads of its
//! own, for which it waits); after it an independent model says whether what must
//! be true was true. `ENROUTE_SIM_SEEDS=N` runs N seeds
//! (from `ENROUTE_SIM_FIRST` on), `ENROUTE_SIM_SEED=S` only that one,
//! `ENROUTE_SIM_LOG=1` prints every event.
//! Seeds that once failed stay in `failed_once.txt` and run first.
//!
//! Start reading with `world.rs`; what must be true is in `model.rs` and `check.rs`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::struct_excessive_bools,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod broker;
mod check;
mod clinician;
mod faults;
mod gateway;
mod legs;
mod model;
mod net;
mod outage;
mod rng;
mod room;
mod server;
mod shedding;
mod spool_disk;
mod viewer;
mod world;

use faults::Tally;
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::World;

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 2_000;

/// After so many failed seeds no further ones are run.
const FAILURES_MAX: usize = 4;

/// What a run tells.
struct Told {
    tally: Tally,
    /// The same for the same seed.
    trace: String,
}

fn run(seed: u64) -> Told {
    let mut world = World::new(seed);
    world.told = std::env::var_os("ENROUTE_SIM_LOG").is_some();
    world.run();
    let trace = format!(
        "{:x}, {} records, {} receipts, healed after {} ms, {:?}",
        world.print.finish(),
        world.model.journal.records,
        world.model.receipts,
        world.healed_after.unwrap() / 1_000,
        world.tally.0,
    );
    world.check();
    let mut tally = world.tally;
    tally.add("messages delivered twice", world.broker.counts.duplicated);
    tally.add(
        "redeliveries in another order",
        world.broker.counts.reordered,
    );
    tally.add(
        "messages expired in the broker",
        world.broker.counts.expired,
    );
    tally.add(
        "messages beyond the broker's bound",
        world.broker.counts.overflowed,
    );
    tally.add(
        "frames shed by a full spool",
        world.gateways.iter().map(|it| it.shed).sum(),
    );
    tally.add(
        "viewers resumed",
        world.viewers.iter().map(|it| it.resumed).sum(),
    );
    let healed = u64::try_from(world.outages).unwrap();
    tally.add("failures of the journal that were healed", healed);
    tally.add("records", world.model.journal.records);
    tally.add(
        "frames",
        world.model.produced.values().map(|p| p.len() as u64).sum(),
    );
    tally.add("runs", 1);
    Told { tally, trace }
}

/// Runs the seeds on all processors; the first failure names its seed.
fn run_all(seeds: &[u64]) -> Tally {
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Ok(told) = catch_unwind(AssertUnwindSafe(|| run(*seed))) {
                        let mut total = total.lock().unwrap();
                        let tally = told.tally.0.into_iter();
                        tally.for_each(|(what, n)| total.add(what, n));
                    } else {
                        println!("seed {seed} failed: ENROUTE_SIM_SEED={seed} runs it alone");
                        let mut failed = failed.lock().unwrap();
                        failed.push(*seed);
                        if failed.len() >= FAILURES_MAX {
                            next.store(seeds.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} failed");
    total.into_inner().unwrap()
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number")),
    )
}

#[test]
fn no_fault_breaks_an_invariant() {
    let one = from_environment("ENROUTE_SIM_SEED");
    let first = one.or_else(|| from_environment("ENROUTE_SIM_FIRST"));
    let first = first.unwrap_or(1);
    let count = from_environment("ENROUTE_SIM_SEEDS").unwrap_or(SEEDS);
    let count = if one.is_some() { 1 } else { count };
    let seeds: Vec<u64> = (first..first + count).collect();
    for (what, times) in run_all(&seeds).0 {
        println!("{times:>9} {what}");
    }
}

#[test]
fn seeds_that_once_failed_stay_well() {
    let seeds = include_str!("failed_once.txt").lines();
    let seeds = seeds.filter_map(|line| line.split('#').next()?.trim().parse().ok());
    run_all(&seeds.collect::<Vec<u64>>());
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in [3, 17] {
        assert_eq!(run(seed).trace, run(seed).trace, "seed {seed}");
    }
}
