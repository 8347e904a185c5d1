//! The uplink's state machine and a real spool over a link that exists only in
//! numbers: a bottleneck with a rate, a delay and a queue without end, which both
//! connections share. Time is virtual; nothing here depends on the machine.

#![allow(
    missing_docs,
    clippy::assigning_clones,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test, and tests are sentences"
)]

mod virtual_link;

use enroute_model::ids::{Lane, Stream};
use enroute_model::time::Span;
use std::time::Duration;
use virtual_link::{Rate, World};

/// A radio link: bits per second, milliseconds one way.
fn rate(bits_per_s: i64, delay_ms: i64) -> Rate {
    Rate {
        bytes_per_s: bits_per_s / 8,
        delay: Span::from_millis(delay_ms),
    }
}

const MINUTE: Span = Span::from_secs(60);

/// A world with a backlog behind it, whose link has just come back.
fn after_an_outage(minutes: i64, rate: Rate) -> World {
    let mut world = World::new();
    world.run(Span(minutes * MINUTE.0));
    world.connect(rate);
    world
}

#[test]
fn history_fills_a_megabit_and_live_never_waits_a_frame() {
    let mut world = after_an_outage(60, rate(1_000_000, 40));
    let began = world.now();
    while world.backlog() > 100 && world.now().0 < began.0 + 5 * MINUTE.0 {
        world.run(Span(world.now().0 + 100_000));
    }
    let (used, worst) = (world.link_used(began), world.worst_wait(began));
    println!("1 Mbit/s: {used:.3} of the link, live waited {worst:?} at most");
    assert!(
        world.backlog() <= 100,
        "{} frames are left",
        world.backlog()
    );
    assert!(used >= 0.9, "{used}");
    assert!(worst <= Duration::from_millis(250), "{worst:?}");
    assert_eq!(world.levels(), []);
}

#[test]
fn history_takes_what_live_leaves_of_a_thin_link() {
    let mut world = after_an_outage(30, rate(64_000, 60));
    let began = world.now();
    world.run(Span(began.0 + 3 * MINUTE.0));
    assert!(
        world.backlog() > 1_000,
        "there was always something to send"
    );
    let (used, worst) = (world.link_used(began), world.worst_wait(began));
    println!("64 kbit/s: {used:.3} of the link, live waited {worst:?} at most");
    assert!(used >= 0.9, "{used}");
    // Waveforms come each half second.
    assert!(worst <= Duration::from_millis(500), "{worst:?}");
    assert_eq!(world.levels(), []);
}

#[test]
fn the_thinnest_link_gets_numerics_and_the_ladder_settles() {
    let mut world = after_an_outage(60, rate(9_600, 100));
    let began = world.now();
    world.run(Span(began.0 + 60 * MINUTE.0));
    let settled = Span(began.0 + MINUTE.0);
    let levels = world.levels();
    println!(
        "9.6 kbit/s: levels {levels:?}, {:.3} of the link, live waited {:?} at most",
        world.link_used(settled),
        world.worst_wait(settled)
    );
    assert_eq!(world.level(), 1);
    // Tries to do better become rare.
    let late = Span(began.0 + 20 * MINUTE.0).0 / 1_000_000;
    let tries = levels.iter().filter(|(at, _)| *at > late).count() / 2;
    assert!(
        tries <= 4 && levels.iter().all(|(_, level)| *level <= 1),
        "{levels:?}"
    );
    // A waveform frame is larger than the least window: one goes after the other.
    assert!(world.link_used(settled) >= 0.88);
    assert!(world.worst_wait(began) <= Duration::from_secs(1));
    // The link recovers.
    world.set_rate(rate(1_000_000, 40));
    world.run(Span(world.now().0 + 12 * MINUTE.0));
    assert_eq!(world.level(), 0, "{:?}", world.levels());
    world.run(Span(world.now().0 + 5 * MINUTE.0));
    assert!(world.backlog() <= 100);
}

#[test]
fn on_next_to_nothing_numerics_go_every_few_seconds() {
    let mut world = World::new();
    world.connect(rate(2_400, 400));
    world.run(Span(10 * MINUTE.0));
    let late = world.worst_age(Span(MINUTE.0), Stream::Numerics);
    println!(
        "2.4 kbit/s: levels {:?}, numerics {late:?} apart at most",
        world.levels()
    );
    // History, which fills the link, is no reason for a step to a summary each half
    // minute.
    assert_eq!(world.level(), 2);
    assert!(world.levels().iter().all(|(_, level)| *level <= 2));
    // Five seconds, the way, and what a try of the next level up takes.
    assert!(late <= Duration::from_secs(12), "{late:?}");
}

#[test]
fn after_an_outage_the_newest_arrives_before_any_history() {
    let mut world = after_an_outage(120, rate(64_000, 60));
    let began = world.now();
    world.run(Span(began.0 + 2_000_000));
    let first = world.arrivals(began).next().unwrap().arrived;
    let with_it: Vec<_> = world
        .arrivals(began)
        .filter(|a| a.arrived == first)
        .collect();
    assert!(with_it.iter().all(|a| a.lane == Lane::Live));
    let newest = with_it.iter().map(|a| a.recorded).max().unwrap();
    assert!(began.0 - newest.0 <= 1_000_000);
    let took = first.0 - began.0;
    assert!(took <= 250_000, "{took} µs after the connection");
    assert!(world.arrivals(began).any(|a| a.lane == Lane::History));
}

#[test]
fn a_tunnel_is_no_reason_for_a_step_down() {
    let mut world = World::new();
    world.connect(rate(256_000, 60));
    world.run(MINUTE);
    world.black_hole(Span::from_secs(9));
    world.run(Span(2 * MINUTE.0));
    assert_eq!(world.levels(), []);
    world.run(Span(4 * MINUTE.0));
    assert_eq!(world.level(), 0);
    assert!(world.backlog() <= 100);
}

/// Two hours of backlog, or as many minutes as `ENROUTE_BACKLOG_MINUTES` says;
/// prints the figures.
#[test]
fn a_backlog_over_a_megabit() {
    let minutes = std::env::var("ENROUTE_BACKLOG_MINUTES").ok();
    let minutes = minutes.map_or(120, |minutes| minutes.parse().unwrap());
    let mut world = after_an_outage(minutes, rate(1_000_000, 40));
    let began = world.now();
    let (frames, bytes) = (world.backlog(), world.backlog_bytes());
    while world.backlog() > 100 {
        world.run(Span(world.now().0 + 1_000_000));
    }
    let took = Span(world.now().0 - began.0).as_secs_f64();
    let (used, worst) = (world.link_used(began), world.worst_wait(began));
    let history = world.history_bytes();
    println!(
        "backlog: {frames} frames, {:.1} MB; sent as {:.1} MB of history in {took:.0} s",
        bytes as f64 / 1e6,
        history as f64 / 1e6
    );
    println!(
        "link: {:.1} % used; live waited {worst:?} at most behind history",
        used * 100.0
    );
    assert!(used >= 0.9);
    assert!(worst <= Duration::from_millis(500));
}
