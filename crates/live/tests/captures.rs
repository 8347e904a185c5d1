//! What the journal keeps of a recording's order of capture changes nothing of what a
//! playback shows, whatever came late, and whenever it was brought up to date.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{A, B, Bench, START, Sender, action, in_time, quiet, tx};
use enroute_journal::Append;
use enroute_live::Update;
use enroute_live::replay::{
    Captures, Command, Controls, Order, Play, Playback, Response, Speed, State,
};
use enroute_model::ids::Lane;
use enroute_model::registry::RegistryAction;
use enroute_model::time::{EngineTime, ServerTime};

const SEED: u64 = 20_261_122;
/// Long enough for several parts.
const SECONDS: u64 = 4_200;

/// A generator of its own (xorshift), the same for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn at(second: u64) -> EngineTime {
    EngineTime(START + i64::try_from(second).unwrap() * 1_000_000)
}

/// As if it had come then.
fn coming(mut record: Append, second: u64) -> Append {
    (record.at, record.received_at) = (at(second), ServerTime(at(second).0));
    record
}

/// One vehicle: outages that are made up for at some later time, frames that come
/// twice or a little late, and a heart rate that is high now and then. Its link is
/// `slow` for a while, so that it is found out late how far its clock is off.
fn vehicle(sender: &Sender, dice: &mut Dice, (first, slow): (u64, u64)) -> Vec<Append> {
    let (mut records, mut back, mut until) = (Vec::new(), 0, 0);
    for (sequence, second) in (1..).zip((first..SECONDS).step_by(3)) {
        if second >= until && dice.below(150) == 0 {
            until = second + dice.below(600);
            back = until + dice.below(1_500);
        }
        // Across the borders of parts.
        let hr = if (second + 60) % 900 < 120 { 190 } else { 80 };
        let captured = i64::try_from(second).unwrap();
        if second < until {
            let history = sender.hr_on(Lane::History, sequence, captured, hr);
            records.push(coming(history, back));
        } else {
            let live = sender.hr(sequence, captured, hr);
            let slow = if second < 2_400 { slow } else { 0 };
            if dice.below(20) == 0 {
                records.push(coming(live.clone(), second + slow + 3));
            }
            records.push(coming(live, second + slow + dice.below(3)));
        }
        if dice.below(30) == 0 {
            let wave = sender.wave(sequence, captured);
            records.push(coming(wave, second + 10));
        }
    }
    records
}

/// All in the order of arrival: one vehicle, another one that joins it, and what a
/// clinician did.
fn story(seed: u64) -> Vec<Append> {
    let mut dice = Dice(seed);
    let mut records = vehicle(&A, &mut dice, (0, 0));
    records.extend(vehicle(&B, &mut dice, (900, 7)));
    let join = RegistryAction::JoinInto(tx("tx-a"));
    records.push(action("tx-b", 1_900, "join", &join));
    records.sort_by_key(|record| record.at);
    records
}

async fn keep(bench: &Bench) {
    // One that knows nothing looks at all.
    let mut captures = Captures::default();
    let kept = in_time(bench.live.keep_captures(&mut captures));
    kept.await.unwrap();
}

fn play(from: Option<u64>) -> Play {
    Play {
        transfer: "tx-a".to_owned(),
        order: Order::Device,
        from: from.map(at),
        speed: Speed::FASTEST,
        paused: true,
        samples: true,
        waveforms: true,
    }
}

async fn open(bench: &Bench, from: Option<u64>) -> (Playback, Controls) {
    in_time(bench.live.play(play(from))).await.unwrap()
}

/// What is seen at once, and then to the end.
async fn seen(bench: &Bench, from: Option<u64>, to_the_end: bool) -> Vec<Update> {
    let (playback, controls) = open(bench, from).await;
    rest((playback, controls), to_the_end).await
}

async fn rest((mut playback, controls): (Playback, Controls), to_the_end: bool) -> Vec<Update> {
    let mut updates = Vec::new();
    if to_the_end {
        in_time(controls.control(Command::Resume)).await.unwrap();
    }
    loop {
        let Response { replayed, update } = in_time(playback.next()).await.unwrap().unwrap();
        let over = matches!(replayed.state, State::Ended | State::CaughtUp);
        let nothing = update.is_none();
        updates.extend(update);
        if (over && nothing) || !to_the_end {
            return updates;
        }
    }
}

/// Alerts and samples: states follow each other as fast as they can be taken.
fn told(updates: Vec<Update>) -> Vec<Update> {
    let kept = updates.into_iter().filter(|update| match update {
        Update::Alert(_) | Update::Sample(_) => true,
        Update::Snapshot(_) | Update::Values(_) | Update::State(_) | Update::Heartbeat { .. } => {
            false
        }
    });
    kept.collect()
}

#[tokio::test]
async fn a_kept_order_shows_what_the_records_show() {
    for seed in [SEED, SEED + 1] {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let (kept, plain) = (Bench::new(quiet()).await, Bench::new(quiet()).await);
        let records = story(seed);
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let some = usize::try_from(1 + dice.below(600)).unwrap();
            let (now, later) = rest.split_at(some.min(rest.len()));
            rest = later;
            kept.put(now.to_vec()).await;
            plain.put(now.to_vec()).await;
            if dice.below(3) > 0 {
                keep(&kept).await;
            }
            for second in [dice.below(SECONDS), 1_830] {
                let shown = seen(&kept, Some(second), false).await;
                let wanted = seen(&plain, Some(second), false).await;
                assert_eq!(shown, wanted, "second {second}");
            }
        }
        keep(&kept).await;
        for from in [None, Some(dice.below(SECONDS)), Some(dice.below(SECONDS))] {
            let shown = told(seen(&kept, from, true).await);
            assert_eq!(shown, told(seen(&plain, from, true).await), "from {from:?}");
            assert!(from.is_some() || shown.len() > 1_000, "{}", shown.len());
        }
    }
}

#[tokio::test]
async fn a_playback_goes_on_in_the_order_that_it_began_with() {
    let (kept, plain) = (Bench::new(quiet()).await, Bench::new(quiet()).await);
    let records = story(SEED);
    let (now, later) = records.split_at(records.len() / 2);
    for bench in [&kept, &plain] {
        bench.put(now.to_vec()).await;
    }
    keep(&kept).await;
    let (began, wanted) = (open(&kept, None).await, open(&plain, None).await);
    kept.put(later.to_vec()).await;
    keep(&kept).await;
    let (shown, wanted) = (rest(began, true).await, rest(wanted, true).await);
    assert_eq!(told(shown), told(wanted));
}
