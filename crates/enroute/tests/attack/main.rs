//! Honest transfers while the running server is flooded, stalled, lied to and sent the
//! same again, at each of its doors at once. No honest frame is lost or doubled, every
//! step of an alert is told, memory stays bounded, what is refused is counted.
//!
//! Seconds of it run always. `ENROUTE_ATTACK_MINUTES=3` runs it for so many minutes of
//! attack and as long of calm, in turns of twenty seconds so that both meet the same
//! machine, and holds the honest latency too: its 99th percentile under attack is to be
//! less than twice that of the calm. `ENROUTE_ATTACK_BINARY` names a release build to
//! run, as cargo's own is for tests. `ENROUTE_ATTACK_DOORS=http2,broker` lets only some
//! of the attackers in (`sockets`, `http2`, `calls`, `broker`), to find who costs what.
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
use enroute_tests::issuer::{Issuer, Key, now_s};
use enroute_tests::openmetrics::Metrics;
use enroute_tests::process::Process;
use enroute_tests::site::Site;
use enroute_tests::stack::Broker;
use honest::{HONEST, Honest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Minutes of attack; absent: one turn of [`SHORT`] heartbeats.
const MINUTES: &str = "ENROUTE_ATTACK_MINUTES";
/// A release build to run in the place of cargo's.
const RELEASE: &str = "ENROUTE_ATTACK_BINARY";
/// Heartbeats of calm and of attack in a short run; the server sends one a second.
const SHORT: (usize, usize) = (3, 6);
/// The same in each turn of a long one, of which a minute has three.
const TURN: (usize, usize) = (20, 20);
/// Heartbeats between attack and calm, in which what the attackers left is cleared away.
const CLEARED: usize = 3;
/// Places of an address: more than the honest ones need, fewer than attackers want.
const PLACES: usize = 16;
/// Made-up names of keys, for which an issuer might be asked.
const STRANGERS: usize = 50;
/// How often it is asked at most in a short run; five times at once and once a minute.
const ASKED_MAX: usize = 10;
/// The server's memory at most. Its journal's caches and 300 transfers are in it.
const MEMORY_MAX: u64 = 1 << 30;

/// How many turns, and heartbeats of calm and of attack in each.
fn turns() -> (usize, (usize, usize)) {
    let Ok(minutes) = std::env::var(MINUTES) else {
        return (1, SHORT);
    };
    let minutes: usize = minutes.parse().expect("a number of minutes");
    (minutes.max(1) * 60 / TURN.1, TURN)
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

/// An issuer of tokens; what it grants, and what others make of it.
struct Tokens {
    issuer: Issuer,
    own: Key,
}

impl Tokens {
    fn new() -> Self {
        let own = Key::p256("own");
        let issuer = Issuer::start(&[&own]);
        Self { issuer, own }
    }

    fn config(&self) -> String {
        let issuer = &self.issuer.address;
        format!(
            "[access.oidc]\nissuer = \"{issuer}\"\naudience = \"enroute\"\n\
             hospital_claim = \"hospitals\"\nall = \"*\"\n[access.oidc.roles]\nicu = \"viewer\"\n"
        )
    }

    fn claims(&self, now_s: u64) -> Value {
        json!({
            "iss": self.issuer.address, "aud": "enroute", "sub": "weber", "name": "Dr. Weber",
            "iat": now_s, "exp": now_s + 36_000, "roles": ["icu"], "hospitals": ["*"],
        })
    }

    /// Signed by nobody's key under its key's name, under names that it never had, and
    /// what it granted for another time or to another server.
    fn forged(&self, claims: &Value) -> Vec<String> {
        let mut past = claims.clone();
        (past["iat"], past["exp"]) = (json!(1), json!(2));
        let mut elsewhere = claims.clone();
        elsewhere["aud"] = json!("another");
        let mut forged = vec![
            Key::p256("own").token(claims),
            self.own.token(&past),
            self.own.token(&elsewhere),
        ];
        forged.extend((0..STRANGERS).map(|n| Key::p256(&format!("key-{n}")).token(claims)));
        forged
    }
}

async fn honest_transfers_go_on(broker: Broker, tokens: &Tokens) {
    let binary = std::env::var(RELEASE).unwrap_or_else(|_| BINARY.to_owned());
    let Some(site) = Site::new(&binary, broker, &[]) else {
        return;
    };
    let operator = site.token("operator", "operator");
    let viewer = site.token("viewer", "viewer");
    let claims = tokens.claims(now_s(site.path()));
    let (granted, forged) = (tokens.own.token(&claims), tokens.forged(&claims));
    let limits = format!("[limits]\nper_address_max = {PLACES}\n");
    let more = site.access() + &tokens.config() + &limits;
    let (server, address) = site.serve(false, &more);
    let (turns, (calm, attacked)) = turns();
    let mut honest = Honest::start(&site, &address, &granted).await;
    let mut seen = Seen::default();
    let mut counted = Vec::new();
    while seen.turns < turns {
        honest.watch(calm).await;
        seen.calm.extend(honest.latencies());
        let mut attack = Attack::start(&site, &address, &viewer, &forged);
        honest.watch(attacked).await;
        seen.attacked.extend(honest.latencies());
        seen.turns += 1;
        // However slow the attackers are, what is refused is counted.
        loop {
            counted = refusals(&honest::scrape(&site, &address, &operator).await, broker);
            let refused = counted.iter().all(|(_, count)| *count > 0.5);
            if refused || attackers::are_chosen() {
                break;
            }
            assert!(attack.goes_on(), "the attackers have ended");
            honest.watch(1).await;
        }
        for (what, times) in attack.stop() {
            *seen.done.entry(what).or_default() += times;
        }
        honest.watch(CLEARED).await;
        honest.latencies();
    }
    honest.settle().await;
    honest.check_alerts().await;
    seen.report(&server);
    // However many names of keys were made up.
    let asked = tokens.issuer.asked();
    println!("the issuer was asked for its keys: {asked} times");
    assert!(asked <= ASKED_MAX + seen.turns, "{asked}");
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
            p99(&seen.attacked) < 2 * p99(&seen.calm),
            "the honest wait for the attackers"
        );
    }
}

/// What came of all turns.
#[derive(Default)]
struct Seen {
    turns: usize,
    /// Microseconds that honest frames took.
    calm: Vec<i64>,
    attacked: Vec<i64>,
    /// What attackers did how often.
    done: BTreeMap<String, u64>,
}

impl Seen {
    fn report(&self, server: &Process) {
        println!(
            "{} honest transfers, {} turns; frames {} in the calm, {} under attack; p99 {} and {} µs",
            HONEST.len(),
            self.turns,
            self.calm.len(),
            self.attacked.len(),
            p99(&self.calm),
            p99(&self.attacked)
        );
        let most = server.memory_most() >> 20;
        println!("the server's memory at most: {most} MiB");
        for (what, times) in &self.done {
            println!("attackers: {what}: {times}");
        }
    }
}

/// The issuer has a runtime of its own, which must not end within another.
fn run(broker: Broker) {
    let tokens = Tokens::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(honest_transfers_go_on(broker, &tokens));
}

#[test]
fn with_the_embedded_broker() {
    run(Broker::Embedded);
}

#[test]
fn with_mosquitto() {
    run(Broker::Mosquitto);
}

/// The attackers' process; by itself it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn attackers() {
    attackers::run().await;
}
