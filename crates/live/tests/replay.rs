//! Recordings played again: the alerts that were raised live come again byte for
//! byte, in whatever way the playhead gets there; the order of capture is the
//! course without the link; an open transfer is played up to now.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod common;

use bytes::Bytes;
use common::{A, B, Bench, START, Sender, action, gw, in_time, quiet, tx};
use enroute_engine::Engine;
use enroute_journal::{Append, Class};
use enroute_live::replay::{
    Command, Controls, Order, Play, PlayError, Playback, Response, Speed, State,
};
use enroute_live::{Options, Update, Watch};
use enroute_model::ids::{Lane, TransferId};
use enroute_model::registry::{AlertAction, RegistryAction};
use enroute_model::time::{EngineTime, ServerTime};
use enroute_wire::{Message, record, v1};
use std::collections::BTreeMap;

const SEED: u64 = 20_261_122;

/// A small generator of its own (splitmix64), so that the seed gives the same
/// transfers for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn all(transfer: &str, order: Order) -> Play {
    Play {
        transfer: transfer.to_owned(),
        order,
        from: None,
        speed: Speed::FASTEST,
        paused: false,
        samples: false,
        waveforms: false,
    }
}

fn at(second: i64) -> EngineTime {
    EngineTime(START + second * 1_000_000)
}

async fn open(bench: &Bench, play: Play) -> (Playback, Controls) {
    in_time(bench.live.play(play)).await.unwrap()
}

async fn response(playback: &mut Playback) -> Response {
    in_time(playback.next()).await.unwrap().unwrap()
}

/// Everything until the end, or until it has caught up.
async fn to_the_end(playback: &mut Playback) -> Vec<Update> {
    let mut updates = Vec::new();
    loop {
        let Response { replayed, update } = response(playback).await;
        let over = matches!(replayed.state, State::Ended | State::CaughtUp);
        let nothing = update.is_none();
        updates.extend(update);
        // The last batch is told with its end; a word alone follows it.
        if over && nothing {
            return updates;
        }
    }
}

/// The alert transitions of a course as the journal would have them.
fn alerts(updates: &[Update]) -> BTreeMap<TransferId, Vec<(u64, Bytes)>> {
    let mut alerts: BTreeMap<TransferId, Vec<(u64, Bytes)>> = BTreeMap::new();
    for update in updates {
        if let Update::Alert(step) = update {
            let bytes = step.transition.encode_to_vec().into();
            let of = alerts.entry(step.transfer.clone()).or_default();
            of.push((step.ordinal, bytes));
        }
    }
    alerts
}

fn presence(sender: &Sender, second: i64, online: bool) -> Append {
    Append {
        class: Class::Vitals,
        transfer: tx(sender.transfer),
        at: at(second),
        received_at: ServerTime(START + second * 1_000_000),
        payload: record::of_presence(&gw(sender.gateway), online),
    }
}

/// The record as if it had come `later`.
fn coming(mut record: Append, later: i64) -> Append {
    record.at = at(later);
    record.received_at = ServerTime(START + later * 1_000_000);
    record
}

/// A patient that gets worse now and then, on a link with outages that delivers
/// late and twice.
fn simulated(number: u64) -> Vec<Append> {
    let mut dice = Dice(SEED.wrapping_add(number));
    let sender = Sender {
        transfer: format!("tx-{number}").leak(),
        gateway: format!("gw-{number}").leak(),
        epoch: number + 1,
    };
    let seconds = 40 + i64::try_from(dice.below(60)).unwrap();
    let start = i64::try_from(dice.below(30)).unwrap();
    let outage = i64::try_from(dice.below(60)).unwrap() + start;
    let back = outage + i64::try_from(dice.below(40)).unwrap();
    let (mut records, mut hr) = (Vec::new(), 80);
    for (sequence, second) in (1..).zip(start..start + seconds) {
        if dice.one_in(12) {
            hr = [35, 80, 80, 125, 190][usize::try_from(dice.below(5)).unwrap()];
        }
        let live = sender.hr(sequence, second, hr);
        let late = back + i64::try_from(dice.below(20)).unwrap();
        let history = coming(sender.hr_on(Lane::History, sequence, second, hr), late);
        if (outage..back).contains(&second) {
            records.push(history);
            if dice.one_in(3) {
                records.push(coming(live, late));
            }
        } else {
            records.push(live.clone());
            if dice.one_in(8) {
                records.push(live);
            }
            if dice.one_in(8) {
                records.push(history);
            }
        }
        if dice.one_in(4) {
            records.push(sender.wave(sequence, second));
        }
        if dice.one_in(40) {
            records.push(sender.hr(sequence, second, hr + 1));
        }
    }
    if dice.one_in(2) {
        records.push(presence(&sender, outage, false));
        records.push(presence(&sender, back, true));
    }
    if dice.one_in(5) {
        let seen = AlertAction::Acknowledge;
        let doing = RegistryAction::Alert {
            alert_id: 1 + dice.below(3),
            seen: u64::MAX,
            action: seen,
        };
        records.push(action(sender.transfer, back + 5, "ack", &doing));
    }
    if number % 10 == 1 {
        let before = tx(&format!("tx-{}", number - 1));
        let id = sender.transfer;
        let join = RegistryAction::JoinInto(before);
        records.push(action(id, start + seconds / 2, "join", &join));
    }
    records
}

/// Through the live view in the order of arrival, ticks in between.
async fn live(records: Vec<Append>, options: Options) -> Bench {
    let mut records = records;
    records.sort_by_key(|record| record.at);
    let bench = Bench::new(options).await;
    for some in records.chunks(97) {
        bench.put(some.to_vec()).await;
        let last = some.last().unwrap().at;
        bench.tick((last.0 - START) / 1_000_000).await;
    }
    bench
}

fn with_snapshots() -> Options {
    Options {
        snapshot_records: 37,
        ..quiet()
    }
}

#[tokio::test]
async fn a_thousand_transfers_raise_again_what_they_raised_live() {
    println!("seed {SEED}");
    let bench = live((0..1_000).flat_map(simulated).collect(), with_snapshots()).await;
    let stored = bench.derived();
    let (mut steps, mut late) = (0, 0);
    for state in bench.states().await {
        let (mut playback, _controls) =
            open(&bench, all(state.transfer.as_str(), Order::Arrival)).await;
        let again = alerts(&to_the_end(&mut playback).await);
        for member in std::iter::once(&state.transfer).chain(&state.aliases) {
            let none = Vec::new();
            let live = stored.get(member).unwrap_or(&none);
            assert_eq!(again.get(member).unwrap_or(&none), live, "{member}");
            steps += live.len();
        }
        let completeness = state.sources.iter().flat_map(|source| &source.completeness);
        late += completeness.filter(|stream| stream.duplicates > 0).count();
    }
    assert_eq!(steps, stored.values().map(Vec::len).sum::<usize>());
    assert!(steps > 5_000 && late > 500, "{steps} steps, {late} doubled");
}

/// A state as the engine has it at one moment, made without any replay.
fn truth(records: &[Append], until: EngineTime) -> v1::TransferState {
    let mut engine = Engine::new(tx("tx-a"));
    let mut out = enroute_engine::Effects::default();
    for (position, append) in (1..).zip(records) {
        if append.at > until {
            break;
        }
        let entry = record::decode(&append.payload).unwrap();
        engine.handle(
            &enroute_model::record::Record {
                position: enroute_model::ids::Position(position),
                at: append.at,
                received_at: append.received_at,
                transfer: append.transfer.clone(),
                entry,
            },
            &mut out,
        );
    }
    engine.handle_timeout(until, &mut out);
    enroute_wire::state::transfer_to(&engine.state())
}

/// Half an hour of a heart rate that is high for a while every few minutes.
fn half_an_hour() -> Vec<Append> {
    (0..1_800)
        .map(|second| {
            let high = (second % 300) > 200 && (second % 300) < 260;
            let sequence = u64::try_from(second).unwrap() + 1;
            A.hr(sequence, second, if high { 190 } else { 80 })
        })
        .collect()
}

fn picture(update: Option<Update>) -> Option<v1::TransferState> {
    match update {
        Some(Update::Snapshot(snapshot)) => {
            Some(enroute_wire::state::transfer_to(snapshot.states.first()?))
        }
        _ => None,
    }
}

async fn next_picture(playback: &mut Playback) -> (EngineTime, v1::TransferState) {
    loop {
        let Response { replayed, update } = response(playback).await;
        if let Some(state) = picture(update) {
            return (replayed.at, state);
        }
    }
}

#[tokio::test]
async fn seeking_shows_what_the_engine_had_at_that_moment() {
    let records = half_an_hour();
    let bench = live(records.clone(), with_snapshots()).await;
    let play = Play {
        paused: true,
        ..all("tx-a", Order::Arrival)
    };
    let (mut playback, controls) = open(&bench, play).await;
    next_picture(&mut playback).await;
    let mut dice = Dice(SEED);
    // The last stored snapshot lies near the end; the rest is run or remembered.
    for second in [1_795, 3, 1_799]
        .into_iter()
        .chain((0..40).map(|_| i64::try_from(dice.below(1_800)).unwrap()))
    {
        let asked = in_time(controls.control(Command::Seek(at(second))))
            .await
            .unwrap();
        let (shown, state) = next_picture(&mut playback).await;
        assert_eq!((asked.at, shown), (at(second), at(second)));
        assert_eq!(state, truth(&records, at(second)), "second {second}");
    }
}

/// The seconds at which alerts asked for attention.
fn raised(updates: &[Update], wanted: impl Fn(v1::AlertKind) -> bool) -> Vec<i64> {
    let alerts = updates.iter().filter_map(|update| match update {
        Update::Alert(step) => {
            let alert = step.transition.alert.as_ref()?;
            let now = alert.raised_ordinal == step.ordinal && !alert.retrospective;
            let asks = wanted(alert.kind()) && now;
            asks.then_some((step.at.0 - START) / 1_000_000)
        }
        _ => None,
    });
    alerts.collect()
}

fn limit_steps(updates: &[Update]) -> Vec<i64> {
    raised(updates, |kind| kind == v1::AlertKind::LimitHigh)
}

#[tokio::test]
async fn jumps_from_alert_to_alert_both_ways() {
    let bench = live(half_an_hour(), with_snapshots()).await;
    let (mut playback, _controls) = open(&bench, all("tx-a", Order::Arrival)).await;
    let mut distinct = raised(&to_the_end(&mut playback).await, |_| true);
    distinct.dedup();
    assert!(
        distinct.len() >= 6,
        "one in each five minutes: {distinct:?}"
    );
    drop(playback);

    let play = Play {
        paused: true,
        from: Some(at(650)),
        ..all("tx-a", Order::Arrival)
    };
    let (_playback, controls) = open(&bench, play).await;
    let jump = async |command| {
        let replayed = in_time(controls.control(command)).await.unwrap();
        ((replayed.at.0 - START) / 1_000_000, replayed.note.is_some())
    };
    let (before, after) = distinct.split_at(distinct.partition_point(|second| *second < 650));
    for second in after {
        assert_eq!(jump(Command::NextAlert).await, (*second, false));
    }
    let last = *distinct.last().unwrap();
    assert_eq!(
        jump(Command::NextAlert).await,
        (last, true),
        "there is no later one"
    );
    for second in before.iter().chain(after).rev().skip(1) {
        assert_eq!(jump(Command::PreviousAlert).await, (*second, false));
    }
    let first = distinct[0];
    assert_eq!(
        jump(Command::PreviousAlert).await,
        (first, true),
        "nor an earlier one"
    );
}

#[tokio::test]
async fn plays_at_the_speed_asked_for_stands_and_steps() {
    let bench = live(half_an_hour(), quiet()).await;
    let play = Play {
        speed: Speed::times(10.0).unwrap(),
        ..all("tx-a", Order::Arrival)
    };
    let (mut playback, controls) = open(&bench, play).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    loop {
        let Response { replayed, .. } = response(&mut playback).await;
        let ahead = replayed.at.0 - START;
        let due = i64::try_from(began.elapsed().as_micros()).unwrap() * 10;
        // It began a moment before time was stopped.
        assert!(ahead <= due + 60_000_000, "{ahead} µs shown, {due} are due");
        if ahead >= 600_000_000 {
            assert!(due - ahead <= 2_000_000, "{due} µs due, {ahead} shown");
            break;
        }
    }
    let stands = controls.control(Command::Pause).await.unwrap();
    assert_eq!(stands.state, State::Paused);
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    let frame = controls.control(Command::StepFrame).await.unwrap();
    assert_eq!(
        frame.at.0,
        (stands.at.0 / 1_000_000 + 1) * 1_000_000,
        "the next frame"
    );
    let second = controls.control(Command::StepSecond).await.unwrap();
    assert_eq!(second.at.0, frame.at.0 + 1_000_000);
    assert_eq!(second.state, State::Paused);
}

/// A breach that is short, whose first half came ten minutes late.
fn late_breach() -> Vec<Append> {
    let mut records = Vec::new();
    for second in 0..900 {
        let (sequence, hr) = (
            u64::try_from(second).unwrap() + 1,
            if (100..160).contains(&second) {
                190
            } else {
                80
            },
        );
        if (90..200).contains(&second) {
            let late = A.hr_on(Lane::History, sequence, second, hr);
            records.push(coming(late, second + 600));
        } else {
            records.push(A.hr(sequence, second, hr));
        }
    }
    records.push(A.hr(901, 900, 80));
    records.push(A.hr(901, 900, 80));
    records
}

#[tokio::test]
async fn the_order_of_capture_is_the_course_without_the_link() {
    let bench = live(late_breach(), quiet()).await;
    let run = async |order| {
        let play = Play {
            samples: true,
            ..all("tx-a", order)
        };
        let (mut playback, _controls) = open(&bench, play).await;
        to_the_end(&mut playback).await
    };
    let (arrival, device) = (run(Order::Arrival).await, run(Order::Device).await);
    assert_eq!(
        limit_steps(&arrival),
        Vec::<i64>::new(),
        "nobody was woken by the past"
    );
    let raised = limit_steps(&device);
    assert!(
        !raised.is_empty() && raised.iter().all(|second| (100..160).contains(second)),
        "{raised:?}"
    );
    let kinds = |updates: &[Update], wanted: v1::AlertKind| {
        let alerts = updates.iter().filter(|update| match update {
            Update::Alert(step) => step
                .transition
                .alert
                .as_ref()
                .is_some_and(|alert| alert.kind() == wanted),
            _ => false,
        });
        alerts.count()
    };
    let found_late = |updates: &[Update]| {
        updates.iter().any(|update| match update {
            Update::Alert(step) => step
                .transition
                .alert
                .as_ref()
                .is_some_and(|alert| alert.retrospective),
            _ => false,
        })
    };
    assert!(found_late(&arrival) && !found_late(&device));
    assert!(kinds(&arrival, v1::AlertKind::LinkLost) > 0);
    assert_eq!(kinds(&device, v1::AlertKind::LinkLost), 0);
    let captured = |updates: &[Update]| -> Vec<(i64, bool)> {
        let samples = updates.iter().filter_map(|update| match update {
            Update::Sample(sample) => {
                let header = enroute_wire::frame::decode_header(&sample.frame).unwrap();
                Some(((header.captured_at.0 - START) / 1_000_000, sample.late))
            }
            _ => None,
        });
        samples.collect()
    };
    let in_order: Vec<_> = (0..=900).map(|second| (second, false)).collect();
    assert_eq!(captured(&device), in_order, "each once, none late");
    assert_eq!(captured(&arrival).len(), 901);
    assert!(captured(&arrival).iter().any(|(_, late)| *late));
}

#[tokio::test]
async fn an_open_transfer_is_played_up_to_now_and_goes_on() {
    let bench = live(half_an_hour(), quiet()).await;
    let (mut playback, controls) = open(&bench, all("tx-a", Order::Arrival)).await;
    to_the_end(&mut playback).await;
    bench.put(vec![A.hr(1_801, 1_800, 71)]).await;
    loop {
        if let Some(Update::Values(change)) = response(&mut playback).await.update {
            let value = change.values.first().unwrap();
            assert_eq!(format!("{:?}", value.reading).matches("71").count(), 1);
            break;
        }
    }
    let end = in_time(controls.control(Command::Seek(EngineTime(i64::MAX))))
        .await
        .unwrap();
    assert!(end.open && end.at >= at(1_800), "{end:?}");
}

#[tokio::test]
async fn a_joined_transfer_is_played_with_what_it_joined() {
    let seconds = || (1..).zip(0..60);
    let mut records: Vec<Append> = seconds().map(|(n, at)| A.hr(n, at, 80)).collect();
    records.extend(seconds().map(|(n, at)| B.hr(n, at, 190)));
    records.push(action(
        "tx-b",
        40,
        "join",
        &RegistryAction::JoinInto(tx("tx-a")),
    ));
    let bench = live(records, quiet()).await;
    let play = Play {
        from: Some(at(20)),
        paused: true,
        ..all("tx-b", Order::Arrival)
    };
    let (mut playback, controls) = open(&bench, play).await;
    let states = |update| match update {
        Some(Update::Snapshot(snapshot)) => snapshot.states.len(),
        _ => 0,
    };
    assert_eq!(
        states(response(&mut playback).await.update),
        2,
        "two, before the join"
    );
    in_time(controls.control(Command::Seek(at(50))))
        .await
        .unwrap();
    let (_, state) = next_picture(&mut playback).await;
    assert_eq!((state.transfer.as_str(), state.alias.len()), ("tx-a", 1));
    in_time(controls.control(Command::Order(Order::Device)))
        .await
        .unwrap();
    in_time(controls.control(Command::Seek(at(20))))
        .await
        .unwrap();
    let (_, _) = next_picture(&mut playback).await;
    let (_, state) = next_picture(&mut playback).await;
    assert_eq!(
        (state.transfer.as_str(), state.source.len()),
        ("tx-a", 2),
        "one all along"
    );
}

#[tokio::test]
async fn playbacks_are_bounded_and_end_with_their_viewers() {
    let bench = live(
        half_an_hour(),
        Options {
            playbacks_max: 2,
            ..quiet()
        },
    )
    .await;
    let paused = Play {
        paused: true,
        ..all("tx-a", Order::Arrival)
    };
    let first = open(&bench, paused.clone()).await;
    let (_second, controls) = open(&bench, paused.clone()).await;
    let refused = in_time(bench.live.play(paused.clone())).await;
    assert!(matches!(refused, Err(PlayError::Full { max: 2 })));
    let (playback, ended) = first;
    drop(playback);
    in_time(async {
        while ended.control(Command::Pause).await.is_ok() {
            tokio::task::yield_now().await;
        }
        while bench.live.play(paused.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(in_time(controls.control(Command::Resume)).await.is_ok());
    let unknown = in_time(bench.live.play(all("tx-none", Order::Arrival))).await;
    assert!(matches!(unknown, Err(PlayError::Lookup(_))));
}

#[tokio::test]
async fn replaying_disturbs_nobody_who_watches_live() {
    let bench = live(half_an_hour(), quiet()).await;
    let before = bench.derived();
    let mut viewer = bench.watch(Watch::default()).await;
    common::next(&mut viewer).await.unwrap();
    let (mut playback, _controls) = open(&bench, all("tx-a", Order::Arrival)).await;
    to_the_end(&mut playback).await;
    assert_eq!(bench.derived(), before);
    assert_eq!(bench.journal().reader().poisons().unwrap(), []);
}
