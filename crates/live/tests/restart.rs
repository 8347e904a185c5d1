//! A restart gives the same states and the same derived records, however it
//! comes: from snapshots, after a crash, or with every record run again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, Sender, action, quiet, tx, until};
use enroute_journal::Append;
use enroute_live::{ActError, Options, Update, Watch};
use enroute_model::ids::ShortCode;
use enroute_model::registry::{AlertAction, RegistryAction, TransferInfo};
use enroute_wire::v1;

const C: Sender = Sender {
    transfer: "tx-c",
    gateway: "gw-c",
    epoch: 3,
};

/// Three patients, alerts that come and go, joins both ways, a bad join.
fn story() -> Vec<Append> {
    let mut story = vec![
        A.hr(1, 0, 80),
        B.hr(1, 0, 80),
        C.hr(1, 1, 80),
        A.join(1, 1, "000000"),
        action(
            "tx-a",
            2,
            "put",
            &RegistryAction::Put(TransferInfo {
                hospital: "General".to_owned(),
                ..TransferInfo::default()
            }),
        ),
    ];
    let code = ShortCode::of(&tx("tx-a"));
    for second in 3u32..60 {
        let (sequence, at) = (u64::from(second), i64::from(second));
        let fast = if (10..30).contains(&second) { 190 } else { 85 };
        story.push(A.hr(sequence, at, fast));
        story.push(B.hr(sequence, at, if second > 40 { 20 } else { 85 }));
        if second < 30 {
            story.push(C.hr(sequence, at, 85));
        }
        if second % 7 == 0 {
            story.push(A.hr(sequence, at, 90));
        }
        if second == 20 {
            story.push(B.join(1, at, code.as_str()));
        }
        if second == 35 {
            story.push(action(
                "tx-c",
                at,
                "join",
                &RegistryAction::JoinInto(tx("tx-b")),
            ));
        }
    }
    story
}

fn every(records: u64) -> Options {
    Options {
        snapshot_records: records,
        ..quiet()
    }
}

async fn told(options: Options, restarts: &[(usize, bool)]) -> Bench {
    let mut bench = Bench::new(options.clone()).await;
    for (index, record) in story().into_iter().enumerate() {
        for (_, clean) in restarts.iter().filter(|(at, _)| *at == index) {
            bench = bench.restart(*clean, options.clone()).await;
        }
        bench.put(vec![record]).await;
    }
    bench.tick(200).await;
    bench
        .put(vec![action("tx-a", 201, "last", &RegistryAction::Close)])
        .await;
    bench
}

#[tokio::test]
async fn restarts_anywhere_change_nothing() {
    let whole = told(quiet(), &[]).await;
    let (states, derived) = (whole.states().await, whole.derived());
    assert_eq!(states.len(), 1, "all joined");
    assert!(derived[&tx("tx-a")].len() > 3, "alerts came");
    let total = story().len();
    for records in [1, 3, 10, 1_000] {
        for clean in [true, false] {
            let cuts: Vec<_> = (1..6).map(|n| (n * total / 6, clean)).collect();
            let cut = told(every(records), &cuts).await;
            assert_eq!(cut.states().await, states, "every {records}, clean {clean}");
            assert_eq!(cut.derived(), derived, "every {records}, clean {clean}");
        }
    }
}

#[tokio::test]
async fn derived_records_lost_in_a_crash_are_made_again_and_others_stay() {
    let bench = told(quiet(), &[]).await;
    let derived = bench.derived();
    // What another engine said stays the truth.
    let said = bench.journal().side();
    said.put_derived(&tx("tx-a"), 1, b"as it was").unwrap();
    drop(said);
    let bench = bench.restart(false, quiet()).await;
    let again = bench.derived();
    assert_eq!(again[&tx("tx-a")][0].1.as_ref(), b"as it was");
    assert_eq!(again[&tx("tx-a")][1..], derived[&tx("tx-a")][1..]);
}

#[tokio::test]
async fn a_snapshot_of_another_version_means_that_all_runs_again() {
    let bench = told(every(5), &[]).await;
    let (states, derived) = (bench.states().await, bench.derived());
    let side = bench.journal().side();
    let snapshots: Vec<_> = bench
        .journal()
        .reader()
        .snapshots()
        .map(Result::unwrap)
        .collect();
    assert!(!snapshots.is_empty());
    for snapshot in snapshots {
        side.put_snapshot(&snapshot.transfer, snapshot.position, b"rubbish")
            .unwrap();
    }
    drop(side);
    let bench = bench.restart(false, quiet()).await;
    assert_eq!(bench.states().await, states);
    assert_eq!(bench.derived(), derived);
}

#[tokio::test]
async fn ticks_between_records_change_no_effect() {
    let plain = told(quiet(), &[]).await;
    for step in [1, 7] {
        let bench = Bench::new(quiet()).await;
        for record in story() {
            let second = (record.at.0 - common::START) / 1_000_000;
            for tick in (0..second).filter(|tick| tick % step == 0) {
                bench.tick(tick).await;
            }
            bench.put(vec![record]).await;
        }
        for tick in 60..200 {
            bench.tick(tick).await;
        }
        bench
            .put(vec![action("tx-a", 201, "last", &RegistryAction::Close)])
            .await;
        assert_eq!(bench.derived(), plain.derived());
        assert_eq!(bench.states().await, plain.states().await);
    }
}

#[tokio::test]
async fn what_was_refused_is_refused_again_after_a_restart() {
    for clean in [true, false] {
        let bench = Bench::new(quiet()).await;
        bench.put(vec![A.hr(1, 0, 80)]).await;
        let seen_to = |bench: Bench| async move {
            let over = RegistryAction::Alert {
                alert_id: 7,
                seen: 1,
                action: AlertAction::Acknowledge,
            };
            let answer = bench.live.act("tx-a", over, "ack-1", "me").await;
            (answer.unwrap_err(), bench)
        };
        let (first, bench) = seen_to(bench).await;
        assert_eq!(first, ActError::Refused("the alert is over".into()));
        let (again, bench) = seen_to(bench).await;
        assert_eq!(again, first);
        let bench = bench.restart(clean, quiet()).await;
        let (after, _bench) = seen_to(bench).await;
        assert_eq!(after, first, "after a restart, clean: {clean}");
    }
}

#[tokio::test]
async fn a_code_typed_before_its_transfer_existed_stays_refused() {
    let bench = Bench::new(quiet()).await;
    let code = ShortCode::of(&tx("tx-b"));
    bench
        .put(vec![
            A.hr(1, 0, 80),
            A.join(1, 1, code.as_str()),
            B.hr(1, 2, 80),
        ])
        .await;
    let states = bench.states().await;
    assert_eq!(states.len(), 2);
    let bench = bench.restart(false, quiet()).await;
    assert_eq!(bench.states().await, states);
}

#[tokio::test]
async fn a_record_of_one_transfer_moves_the_time_of_all() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 3_600, 80)]).await;
    let silent = bench.state("tx-a").await;
    assert!(silent.sources[0].values[0].stale, "{silent:?}");
    assert!(!silent.alerts.is_empty());
    assert!(!bench.derived()[&tx("tx-a")].is_empty());
}

#[tokio::test]
async fn a_rerun_finds_the_same_alerts_and_says_where_they_differ() {
    let bench = told(every(3), &[(20, true)]).await;
    let same = enroute_live::rerun(bench.journal()).unwrap();
    let stored: usize = bench.derived().values().map(Vec::len).sum();
    assert!(stored > 3, "alerts came");
    assert_eq!(same.stored, u64::try_from(stored).unwrap());
    assert!(same.records > 100 && same.transfers == 3, "{same:?}");
    assert_eq!(same.differences, Vec::new());

    let side = bench.journal().side();
    side.put_derived(&tx("tx-a"), 999, b"never raised").unwrap();
    drop(side);
    let other = enroute_live::rerun(bench.journal()).unwrap();
    let [difference] = other.differences.as_slice() else {
        panic!("{:?}", other.differences);
    };
    assert_eq!(
        (&difference.transfer, difference.ordinal),
        (&tx("tx-a"), 999)
    );
    assert_eq!(difference.stored.as_deref(), Some(b"never raised".as_ref()));
    assert_eq!(difference.derived, None);
}

#[tokio::test]
async fn a_rerun_reaches_the_deadlines_behind_the_last_record() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let mut viewer = bench.watch(Watch::default()).await;
    bench.tick(100).await;
    // Ticks are not waited for; a step is stored before it is shown.
    until(&mut viewer, |update| match update {
        Update::Alert(step) => {
            let alert = step.transition.alert.as_ref()?;
            (alert.kind() == v1::AlertKind::LinkLost).then_some(())
        }
        _ => None,
    })
    .await;
    let again = enroute_live::rerun(bench.journal()).unwrap();
    assert!(again.stored > 0, "silence raises alerts");
    assert_eq!(again.differences, Vec::new());
}

/// Seconds that each of the many is under way.
const SECONDS: u32 = 24;

/// One of many patients: each begins at another moment, some get worse, and every
/// tenth joins the one before.
fn of_many(number: u32) -> Vec<Append> {
    let sender = Sender {
        transfer: format!("tx-{number}").leak(),
        gateway: format!("gw-{number}").leak(),
        epoch: u64::from(number) + 1,
    };
    let mut records = Vec::new();
    for second in 0..SECONDS {
        let (sequence, at) = (u64::from(second) + 1, i64::from(second + number % 7));
        let bad = number.is_multiple_of(3) && second > 8;
        records.push(sender.hr(sequence, at, if bad { 190 } else { 80 }));
        records.push(sender.wave(sequence, at));
    }
    if number % 10 == 1 {
        let before = tx(&format!("tx-{}", number - 1));
        let (id, at) = (sender.transfer, i64::from(SECONDS + 8));
        records.push(action(id, at, "join", &RegistryAction::JoinInto(before)));
    }
    records
}

#[tokio::test]
async fn many_transfers_and_their_viewers_come_back_where_they_were() {
    let mut records: Vec<Append> = (0..150).flat_map(of_many).collect();
    records.sort_by_key(|record| record.at);
    let mut bench = Bench::new(every(13)).await;
    for some in records.chunks(100) {
        bench.put(some.to_vec()).await;
    }
    let (states, derived) = (bench.states().await, bench.derived());
    assert_eq!(states.len(), 135, "every tenth has joined");
    assert!(derived.values().filter(|steps| !steps.is_empty()).count() > 40);
    let watch = Watch {
        transfers: vec!["tx-3".to_owned()],
        samples: true,
        waveforms: true,
        ..Watch::default()
    };
    let mut viewer = bench.watch(watch.clone()).await;
    let token = common::next(&mut viewer).await.unwrap().token;
    drop(viewer);
    for clean in [false, true, false] {
        bench = bench.restart(clean, every(13)).await;
        assert_eq!(bench.states().await, states, "clean {clean}");
        assert_eq!(bench.derived(), derived, "clean {clean}");
        let resume = Some(token.clone());
        let mut viewer = bench
            .watch(Watch {
                resume,
                ..watch.clone()
            })
            .await;
        let missed = until(&mut viewer, |update| match update {
            Update::Snapshot(snapshot) => Some(snapshot.missed.clone()),
            _ => None,
        });
        assert_eq!(missed.await, None, "clean {clean}");
    }
}
