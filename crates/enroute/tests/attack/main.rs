//! Honest transfers while the running server is flooded, stalled, lied to and sent the
//! same again, at each of its doors at once. No honest frame is lost or doubled, every
//! step of an alert is told, memory stays bounded, what is refused is counted.
//!
//! Seconds of it run always. `ENROUTE_ATTACK_MINUTES=3` runs it for so many minutes of
//! attack and as long of calm before, up to two minutes, and holds the honest latency
//! too: its 99th percentile under attack is to be less than twice that of the calm.
//! `ENROUTE_ATTACK_BINARY` names a release build to run, as cargo's own is for tests.
//! Attackers come from addresses of their own (127.0.0.2 and further), and are a
//! process of their own at the lowest priority, so that they take from the honest ones
//! what the server lets them take, and not the processor.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod attackers;
mod broker;
mod calls;
mod honest;
mod http2;
mod sockets;

use attackers::Attack;
use enroute_tests::openmetrics::Metrics;
use enroute_tests::process::Process;
use enroute_tests::site::Site;
use enroute_tests::stack::Broker;
use honest::{HONEST, Honest};

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Minutes of attack; absent: [`SHORT`] heartbeats.
const MINUTES: &str = "ENROUTE_ATTACK_MINUTES";
/// A release build to run in the place of cargo's.
const RELEASE: &str = "ENROUTE_ATTACK_BINARY";
/// Heartbeats of calm and of attack in a short run; the server sends one a second.
const SHORT: (usize, usize) = (3, 6);
/// Places of an address: more than the honest ones need, fewer than attackers want.
const PLACES: usize = 16;
/// The server's memory at most. Its journal's caches and 300 transfers are in it.
const MEMORY_MAX: u64 = 1 << 30;

/// Heartbeats of calm and of attack.
fn heartbeats() -> (usize, usize) {
    let Ok(minutes) = std::env::var(MINUTES) else {
        return SHORT;
    };
    let minutes: usize = minutes.parse().expect("a number of minutes");
    (minutes.clamp(1, 2) * 60, minutes.max(1) * 60)
}

/// Microseconds, sorted, below which 99 of 100 are.
fn p99(latencies: &[i64]) -> i64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0)
}

/// Counted refusals, by what they are called.
fn refusals(metrics: &Metrics, broker: Broker) -> Vec<(&'static str, f64)> {
    let refused = |reason: &str| {
        let labels = [("port", "viewers"), ("reason", reason)];
        metrics.value("enroute_connections_refused_total", &labels)
    };
    let mut counted = vec![
        ("connections that gave way", refused("gave_way")),
        ("handshakes", refused("handshake")),
    ];
    if broker == Broker::Embedded {
        let refused = metrics.value("enroute_broker_refused_total", &[]);
        counted.push(("topics and client ids that are another's", refused));
    }
    counted
}

async fn honest_transfers_go_on(broker: Broker) {
    let binary = std::env::var(RELEASE).unwrap_or_else(|_| BINARY.to_owned());
    let Some(site) = Site::new(&binary, broker, &[]) else {
        return;
    };
    let operator = site.token("operator", "operator");
    let viewer = site.token("viewer", "viewer");
    let limits = format!("[limits]\nper_address_max = {PLACES}\n");
    let (server, address) = site.serve(false, &(site.access() + &limits));
    let (calm, attacked) = heartbeats();
    let mut honest = Honest::start(&site, &address, &viewer).await;
    honest.watch(calm).await;
    let before = honest.latencies();
    let mut attack = Attack::start(&site, &address, &viewer);
    honest.watch(attacked).await;
    // However slow the attackers are, what is refused is counted.
    let counted = loop {
        let counted = refusals(&honest::scrape(&site, &address, &operator).await, broker);
        if counted.iter().all(|(_, count)| *count > 0.5) {
            break counted;
        }
        assert!(attack.goes_on(), "the attackers have ended");
        honest.watch(1).await;
    };
    let under = honest.latencies();
    let tallies = attack.stop();
    honest.settle().await;
    honest.check_alerts().await;
    report(&before, &under, &tallies, &server);
    for (what, count) in counted {
        println!("{what}: {count}");
    }
    assert!(
        server.memory_most() < MEMORY_MAX,
        "{}",
        server.memory_most()
    );
    if std::env::var(MINUTES).is_ok() {
        assert!(
            p99(&under) < 2 * p99(&before),
            "the honest wait for the attackers"
        );
    }
}

fn report(before: &[i64], under: &[i64], tallies: &[String], server: &Process) {
    println!(
        "{} honest transfers; frames {} in the calm, {} under attack; p99 {} and {} µs",
        HONEST.len(),
        before.len(),
        under.len(),
        p99(before),
        p99(under)
    );
    println!(
        "the server's memory at most: {} MiB",
        server.memory_most() >> 20
    );
    for tally in tallies {
        println!("attackers: {tally}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_embedded_broker() {
    honest_transfers_go_on(Broker::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mosquitto() {
    honest_transfers_go_on(Broker::Mosquitto).await;
}

/// The attackers' process; by itself it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn attackers() {
    attackers::run().await;
}
