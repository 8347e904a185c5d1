//! What a viewer gets: all of it, once, in order, or the word that it does not
//! (I5); wherever its stream is cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, action, in_time, next, quiet, tx, until};
use enroute_journal::Append;
use enroute_live::{
    Delivery, Ended, HistoryError, Options, Subscription, Token, Update, Watch, WatchError,
};
use enroute_model::ids::{Lane, Position, ShortCode};
use enroute_model::registry::{AlertAction, RegistryAction, TransferInfo, ViewerRole};
use proptest::prelude::*;
use std::time::Duration;

fn samples_of(transfer: &str) -> Watch {
    Watch {
        transfers: vec![transfer.to_owned()],
        samples: true,
        waveforms: true,
        board: false,
        resume: None,
        role: ViewerRole::default(),
    }
}

/// Heart rates that are too high now and then: twenty seconds each.
fn restless(seconds: u32) -> Vec<Append> {
    let heart = |second: u32| if second % 40 < 20 { 80 } else { 200 };
    (1..=seconds)
        .map(|second| A.hr(u64::from(second), i64::from(second), heart(second)))
        .collect()
}

/// The heart rate is far too low for four minutes.
fn low() -> Vec<Append> {
    (1..=240)
        .map(|second| A.hr(second, second.try_into().unwrap(), 20))
        .collect()
}

#[tokio::test]
async fn those_on_call_are_given_what_was_passed_on_to_them() {
    let bench = Bench::new(Options::default()).await;
    let on_call = Watch {
        role: ViewerRole::OnCall,
        ..Watch::default()
    };
    let mut called = bench.watch(on_call).await;
    let mut wall = bench.watch(Watch::default()).await;
    bench.put(low()).await;
    let mut seen = [Vec::new(), Vec::new()];
    for (viewer, seen) in [&mut called, &mut wall].into_iter().zip(&mut seen) {
        while seen.last() != Some(&(2, 0)) {
            if let Update::Alert(step) = next(viewer).await.unwrap().update {
                let alert = step.transition.alert.as_ref().unwrap();
                seen.push((alert.alert_id, alert.escalation));
            }
        }
    }
    let passed_on = [(1, 1), (1, 2), (2, 0)];
    assert_eq!(
        seen[0], passed_on,
        "escalated, unattended, and that nobody attends"
    );
    assert_eq!((seen[1][0], &seen[1][1..]), ((1, 0), &passed_on[..]));
    // The first report of a role is a record, the next ones are not.
    let shown = || RegistryAction::Alert {
        alert_id: 1,
        seen: 1,
        action: AlertAction::Shown(ViewerRole::OnCall),
    };
    let before = bench.stored("tx-a");
    for id in ["shown-1", "shown-2", "shown-3"] {
        bench
            .live
            .act("tx-a", shown(), id, "registrar")
            .await
            .unwrap();
    }
    assert_eq!(bench.stored("tx-a") - before, 1);
}

/// What one viewer has seen over all its subscriptions.
#[derive(Default)]
struct Seen {
    samples: Vec<u64>,
    alerts: Vec<u64>,
    token: Option<Token>,
}

impl Seen {
    fn take(&mut self, delivery: Delivery) -> Update {
        self.token = Some(delivery.token);
        match &delivery.update {
            Update::Sample(sample) => self.samples.push(sample.position.0),
            Update::Alert(step) => self.alerts.push(step.ordinal),
            Update::Snapshot(snapshot) => assert_eq!(snapshot.missed, None),
            Update::State(_) | Update::Values(_) | Update::Heartbeat { .. } => {}
        }
        delivery.update
    }

    async fn resume(&self, bench: &Bench, watch: &Watch) -> Subscription {
        let resume = self.token.clone();
        bench
            .watch(Watch {
                resume,
                ..watch.clone()
            })
            .await
    }

    async fn read_until(&mut self, viewer: &mut Subscription, samples: usize, alerts: usize) {
        while self.samples.len() < samples || self.alerts.len() < alerts {
            self.take(next(viewer).await.unwrap());
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A new frame: numerics, waveform, or numerics by the history lane.
    Frame(u8),
    /// The frame of this many steps ago again.
    Again(usize),
    /// The viewer reads so many of the samples that it has not seen.
    Read(usize),
    /// The viewer is cut off and comes back.
    Cut,
    /// The server dies and comes back.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..3).prop_map(Step::Frame),
        3 => (0usize..20).prop_map(Step::Again),
        3 => (0usize..10).prop_map(Step::Read),
        2 => Just(Step::Cut),
        1 => Just(Step::Crash),
    ]
}

/// Plays the steps; what the viewer saw, and the positions of the frames.
async fn play(steps: Vec<Step>) -> (Seen, Vec<u64>) {
    let mut bench = Bench::new(quiet()).await;
    let put = RegistryAction::Put(TransferInfo::default());
    bench.put(vec![action("tx-a", 0, "put", &put)]).await;
    let watch = samples_of("tx-a");
    let (mut sent, mut frames, mut seen) = (Vec::new(), Vec::new(), Seen::default());
    let mut viewer = Some(bench.watch(watch.clone()).await);
    seen.take(next(viewer.as_mut().unwrap()).await.unwrap());
    for (step, second) in steps.into_iter().zip(1i64..) {
        let sequence = frames.len() as u64 + 1;
        match step {
            Step::Frame(kind) => {
                let heart = if second % 60 < 30 { 80 } else { 200 };
                let record = match kind {
                    0 => A.hr(sequence, second, heart),
                    1 => A.wave(sequence, second),
                    _ => A.hr_on(Lane::History, sequence, second, heart),
                };
                sent.push(record.clone());
                frames.push(bench.put(vec![record]).await.0);
            }
            Step::Again(back) => {
                if let Some(record) = sent.iter().rev().nth(back).cloned() {
                    bench.put(vec![record]).await;
                }
            }
            Step::Read(count) => {
                let count = (seen.samples.len() + count).min(frames.len());
                seen.read_until(viewer.as_mut().unwrap(), count, 0).await;
            }
            Step::Cut => viewer = Some(seen.resume(&bench, &watch).await),
            Step::Crash => {
                drop(viewer.take());
                bench = bench.restart(false, quiet()).await;
                viewer = Some(seen.resume(&bench, &watch).await);
            }
        }
    }
    let alerts = bench.derived()[&tx("tx-a")].len();
    seen.read_until(viewer.as_mut().unwrap(), frames.len(), alerts)
        .await;
    (seen, frames)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn wherever_the_stream_is_cut_every_frame_and_alert_comes_once(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (seen, frames) = runtime.block_on(play(steps));
        prop_assert_eq!(seen.samples, frames);
        let last = seen.alerts.len() as u64;
        prop_assert_eq!(seen.alerts, (1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn alerts_missed_between_tokens_come_once_and_first() {
    let bench = Bench::new(quiet()).await;
    let records = restless(200);
    bench.put(records[..1].to_vec()).await;
    let watch = Watch {
        samples: false,
        waveforms: false,
        ..samples_of("tx-a")
    };
    let (mut seen, mut viewer) = (Seen::default(), bench.watch(watch.clone()).await);
    seen.take(next(&mut viewer).await.unwrap());
    drop(viewer);
    bench.put(records[1..].to_vec()).await;
    let last = bench.derived()[&tx("tx-a")].len();
    assert!(last >= 6, "{last}");
    // One after each resumption: the token of each stands behind it.
    for _ in 0..last {
        let mut viewer = seen.resume(&bench, &watch).await;
        let before = seen.alerts.len();
        seen.read_until(&mut viewer, 0, before + 1).await;
    }
    assert_eq!(seen.alerts, (1..=last as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_board_that_resumes_misses_no_alert_of_any_transfer() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 80)]).await;
    let (mut seen, mut board) = (Seen::default(), bench.watch(Watch::default()).await);
    seen.take(next(&mut board).await.unwrap());
    drop(board);
    for second in 2u32..60 {
        let (sequence, at) = (u64::from(second), i64::from(second));
        bench
            .put(vec![A.hr(sequence, at, 200), B.hr(sequence, at, 200)])
            .await;
    }
    let bench = bench.restart(true, quiet()).await;
    let mut board = seen.resume(&bench, &Watch::default()).await;
    let mut raised = Vec::new();
    while raised.len() < 2 {
        if let Update::Alert(step) = seen.take(next(&mut board).await.unwrap()) {
            raised.push(step.transfer.clone());
        }
    }
    raised.sort();
    assert_eq!(raised, [tx("tx-a"), tx("tx-b")]);
}

#[tokio::test]
async fn a_slow_viewer_gets_newest_values_newest_samples_and_the_count() {
    let options = Options {
        samples_queued_max: 5,
        ..quiet()
    };
    let bench = Bench::new(Options {
        heartbeat: Duration::from_millis(1),
        ..options
    })
    .await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    let mut viewer = bench.watch(samples_of("tx-a")).await;
    for sequence in 2u32..=20 {
        let (at, heart) = (i64::from(sequence), 80 + i64::from(sequence));
        bench.put(vec![A.hr(u64::from(sequence), at, heart)]).await;
    }
    let (mut samples, mut values, mut conflated) = (Vec::new(), Vec::new(), 0);
    while samples.len() < 5 || conflated == 0 {
        match next(&mut viewer).await.unwrap().update {
            Update::Sample(sample) => samples.push(sample.position.0),
            Update::Values(change) => values.push(change.values[0].reading),
            Update::Heartbeat { conflated: count } => conflated = count,
            Update::Snapshot(_) | Update::State(_) | Update::Alert(_) => {}
        }
    }
    assert_eq!(samples, [16, 17, 18, 19, 20]);
    assert_eq!(values.len(), 1);
    assert_eq!(
        values[0],
        bench.state("tx-a").await.sources[0].values[0].reading
    );
    assert!(conflated >= 14, "{conflated}");
    assert!(bench.live.stats().conflated() >= 14);
}

#[tokio::test]
async fn samples_that_wait_are_bounded_in_bytes() {
    let one = A.hr(1, 1, 80).payload.len();
    let sample_bytes_queued_max = 3 * one;
    let bench = Bench::new(Options {
        sample_bytes_queued_max,
        ..quiet()
    })
    .await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    let mut viewer = bench.watch(samples_of("tx-a")).await;
    for sequence in 2u32..=20 {
        bench
            .put(vec![A.hr(u64::from(sequence), i64::from(sequence), 80)])
            .await;
    }
    let mut first = 0;
    let mut seen = Seen::default();
    while seen.samples.last() != Some(&20) {
        seen.take(next(&mut viewer).await.unwrap());
        first = seen.samples.first().copied().unwrap_or(first);
    }
    assert!((15..=18).contains(&first), "{:?}", seen.samples);
    assert_eq!(seen.samples, (first..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn histories_are_bounded_and_the_bound_is_given_back() {
    let bench = Bench::new(Options {
        histories_max: 1,
        ..quiet()
    })
    .await;
    bench.put((1..500).map(|n| A.hr(n, 1, 80)).collect()).await;
    let open = async || in_time(bench.live.history("tx-a", Position(0), false)).await;
    let mut one = open().await.unwrap();
    assert_eq!(open().await.err(), Some(HistoryError::Full { max: 1 }));
    while in_time(one.next()).await.is_some() {}
    drop(one);
    in_time(async {
        while open().await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_viewer_that_cannot_take_the_alerts_is_cut_off_and_resumes_without_loss() {
    let bench = Bench::new(Options {
        alerts_queued_max: 2,
        ..quiet()
    })
    .await;
    let records = restless(300);
    bench.put(records[..1].to_vec()).await;
    let watch = Watch {
        samples: false,
        waveforms: false,
        ..samples_of("tx-a")
    };
    let (mut seen, mut viewer) = (Seen::default(), bench.watch(watch.clone()).await);
    for record in records.into_iter().skip(1) {
        bench.put(vec![record]).await;
    }
    let ended = loop {
        match next(&mut viewer).await {
            Ok(delivery) => drop(seen.take(delivery)),
            Err(ended) => break ended,
        }
    };
    assert_eq!(
        (ended, seen.alerts.as_slice()),
        (Ended::Overflow, [1, 2].as_slice())
    );
    assert_eq!(bench.live.stats().overflowed(), 1);
    let last = bench.derived()[&tx("tx-a")].len();
    let mut viewer = seen.resume(&bench, &watch).await;
    seen.read_until(&mut viewer, 0, last).await;
    assert_eq!(seen.alerts, (1..=last as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_late_is_late_in_a_resumption_as_well() {
    let bench = Bench::new(quiet()).await;
    let again = common::Sender { epoch: 9, ..A };
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let (mut seen, mut first) = (Seen::default(), bench.watch(samples_of("tx-a")).await);
    seen.take(next(&mut first).await.unwrap());
    bench
        .put(vec![
            A.hr(4, 1, 80),
            A.hr(2, 2, 80),
            A.hr_on(Lane::History, 3, 3, 80),
        ])
        .await;
    bench
        .put(vec![again.hr(1, 4, 80), A.hr(5, 5, 80), again.hr(2, 6, 80)])
        .await;
    let late = async |viewer: &mut Subscription| {
        let mut late = Vec::new();
        while late.len() < 6 {
            if let Update::Sample(sample) = next(viewer).await.unwrap().update {
                late.push(sample.late);
            }
        }
        late
    };
    let live = late(&mut first).await;
    assert_eq!(live, [false, true, true, false, true, false]);
    let mut resumed = seen.resume(&bench, &samples_of("tx-a")).await;
    assert_eq!(late(&mut resumed).await, live);
}

#[tokio::test]
async fn a_resumption_across_a_join_gives_the_joined_frames_once() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 80)]).await;
    let watch = samples_of("tx-b");
    let (mut seen, mut viewer) = (Seen::default(), bench.watch(watch.clone()).await);
    seen.take(next(&mut viewer).await.unwrap());
    drop(viewer);
    let code = ShortCode::of(&tx("tx-a"));
    // The gateway sends one frame again under its new transfer.
    let again = Append {
        transfer: tx("tx-a"),
        ..B.hr(2, 1, 80)
    };
    bench
        .put(vec![
            B.hr(2, 1, 80),
            B.join(1, 2, code.as_str()),
            again,
            B.hr(3, 3, 80),
        ])
        .await;
    bench.put(vec![A.hr(2, 4, 80)]).await;
    let mut viewer = seen.resume(&bench, &watch).await;
    seen.read_until(&mut viewer, 4, 0).await;
    assert_eq!(seen.samples, [3, 4, 6, 7]);
}

#[tokio::test]
async fn tokens_that_say_nothing_give_a_snapshot_that_says_so() {
    let (one, two) = (Bench::new(quiet()).await, Bench::new(quiet()).await);
    for bench in [&one, &two] {
        bench.put(vec![A.hr(1, 0, 80)]).await;
    }
    let token = next(&mut one.watch(Watch::default()).await)
        .await
        .unwrap()
        .token;
    for token in [token, Token::new(b"rubbish".as_slice().into())] {
        let resume = Some(token);
        let mut viewer = two
            .watch(Watch {
                resume,
                ..samples_of("tx-a")
            })
            .await;
        let missed = until(&mut viewer, |update| match update {
            Update::Snapshot(snapshot) => Some(snapshot.missed.clone()),
            _ => None,
        });
        assert!(missed.await.is_some_and(|why| why.contains("not known")));
    }
}

#[tokio::test]
async fn viewers_and_names_are_bounded() {
    let bench = Bench::new(Options {
        viewers_max: 1,
        named_max: 2,
        ..quiet()
    })
    .await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let none = Watch {
        samples: true,
        ..Watch::default()
    };
    assert_eq!(
        in_time(bench.live.watch(none)).await.err(),
        Some(WatchError::SamplesOfAll)
    );
    let transfers = vec!["tx-a".to_owned(); 3];
    let many = Watch {
        transfers,
        ..Watch::default()
    };
    assert_eq!(
        in_time(bench.live.watch(many)).await.err(),
        Some(WatchError::TooMany { max: 2 })
    );
    let unknown = in_time(bench.live.watch(samples_of("tx-none"))).await.err();
    assert!(matches!(unknown, Some(WatchError::Lookup(_))));
    let only = bench.watch(Watch::default()).await;
    let second = in_time(bench.live.watch(Watch::default())).await.err();
    assert_eq!(second, Some(WatchError::Full { max: 1 }));
    drop(only);
    bench.watch(Watch::default()).await;
}

#[tokio::test]
async fn a_heartbeat_comes_each_second() {
    let bench = Bench::new(Options {
        heartbeat: Duration::from_secs(1),
        ..quiet()
    })
    .await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let mut viewer = bench.watch(Watch::default()).await;
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert!(matches!(
        viewer.next().await.unwrap().update,
        Update::Snapshot(_)
    ));
    for second in 1..=3 {
        let delivery = viewer.next().await.unwrap();
        assert_eq!(delivery.update, Update::Heartbeat { conflated: 0 });
        assert_eq!(started.elapsed().as_secs(), second);
    }
}

#[tokio::test]
async fn the_end_of_the_journal_ends_the_subscriptions() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let mut viewer = bench.watch(Watch::default()).await;
    next(&mut viewer).await.unwrap();
    in_time(bench.live.shutdown()).await;
    assert_eq!(next(&mut viewer).await, Err(Ended::Stopped));
    assert!(in_time(bench.live.list(true)).await.is_err());
}

#[tokio::test]
async fn a_history_gives_each_frame_once_with_those_of_joined_transfers() {
    let bench = Bench::new(quiet()).await;
    let code = ShortCode::of(&tx("tx-a"));
    bench
        .put(vec![
            A.hr(1, 0, 80),
            B.hr(1, 0, 80),
            A.wave(1, 0),
            A.hr(1, 1, 80),
        ])
        .await;
    bench
        .put(vec![B.join(1, 1, code.as_str()), B.hr(2, 2, 80)])
        .await;
    let read = async |after, waveforms| {
        let mut history = in_time(bench.live.history("tx-b", Position(after), waveforms))
            .await
            .unwrap();
        let mut positions = Vec::new();
        while let Some(sample) = in_time(history.next()).await {
            positions.push(sample.unwrap().position.0);
        }
        positions
    };
    assert_eq!(read(0, true).await, [1, 2, 3, 5, 6]);
    assert_eq!(read(0, false).await, [1, 2, 5, 6]);
    assert_eq!(read(2, false).await, [5, 6]);
}
