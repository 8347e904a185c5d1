//! The journal cannot be written for a while: the live view goes on and says so,
//! nothing of it is in the record, and what clinicians did is written later (I8).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, Disk, START, action, gw, in_time, next, quiet, tx, until};
use enroute_journal::{Append, Class, Classes};
use enroute_live::{
    ActError, Delivery, Health, HistoryError, Options, Subscription, Token, Update, Watch,
};
use enroute_model::ids::{Lane, Position};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::{AlertAction, RegistryAction, TransferInfo};
use enroute_model::state::{AlertKind, AlertState, Phase, TransferState, Verdict};
use enroute_model::time::{EngineTime, ServerTime};
use enroute_wire::v1;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

fn to(hospital: &str) -> RegistryAction {
    RegistryAction::Put(TransferInfo {
        hospital: hospital.to_owned(),
        ..TransferInfo::default()
    })
}

fn of(transfer: &str) -> Watch {
    Watch {
        transfers: vec![transfer.to_owned()],
        ..Watch::default()
    }
}

/// Reads on until a delivery is as wanted.
async fn delivery(
    viewer: &mut Subscription,
    mut wanted: impl FnMut(&Delivery) -> bool,
) -> Delivery {
    loop {
        let delivery = next(viewer).await.expect("ends early");
        if wanted(&delivery) {
            return delivery;
        }
    }
}

/// The picture after the repair.
async fn healed(viewer: &mut Subscription) -> (Delivery, String) {
    let healed = delivery(viewer, |delivery| {
        matches!(delivery.update, Update::Snapshot(_)) && delivery.not_recorded.is_none()
    });
    let healed = healed.await;
    let Update::Snapshot(snapshot) = &healed.update else {
        panic!("no snapshot");
    };
    let missed = snapshot.missed.clone().unwrap();
    (healed, missed)
}

fn has_alert(state: &TransferState) -> bool {
    let mut alerts = state.alerts.iter();
    alerts.any(|alert| alert.kind == AlertKind::NotRecorded)
}

/// A value of the heart rate in an update.
fn is_hr(update: &Update, value: &str) -> bool {
    matches!(update, Update::Values(_) | Update::State(_)) && format!("{update:?}").contains(value)
}

async fn no_receipt(bench: &mut Bench) {
    tokio::select! {
        biased;
        receipt = bench.receipts.next() => panic!("{receipt:?}"),
        () = std::future::ready(()) => {}
    }
}

async fn receipt(bench: &mut Bench) -> (u64, Vec<(u64, u64)>) {
    let (gateway, streams) = in_time(bench.receipts.next()).await.unwrap();
    assert_eq!(gateway, gw("gw-a"));
    (streams[0].through, streams[0].above.clone())
}

async fn rerun_is_the_same(bench: Bench) {
    in_time(bench.live.shutdown()).await;
    let rerun = enroute_live::rerun(bench.journal()).unwrap();
    assert_eq!(rerun.differences, []);
    assert!(rerun.records > 0);
}

#[tokio::test]
async fn the_live_view_goes_on_unrecorded_and_heals() {
    let disk = Disk::sound();
    let mut bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 1, 80), A.hr(2, 2, 80)]).await;
    assert_eq!(receipt(&mut bench).await, (2, vec![]));
    let mut viewer = bench.watch(of("tx-a")).await;
    let mut board = bench.watch(Watch::default()).await;
    let first = next(&mut viewer).await.unwrap();
    assert_eq!(first.not_recorded, None);
    next(&mut board).await.unwrap();

    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(3, 3, 91)]).await;
    for viewer in [&mut viewer, &mut board] {
        let raised = delivery(viewer, |delivery| {
            assert!(delivery.not_recorded.is_some(), "{delivery:?}");
            matches!(delivery.update, Update::Alert(_))
        });
        let Update::Alert(raised) = raised.await.update else {
            panic!("no alert");
        };
        assert_eq!(raised.ordinal, 0);
        let alert = raised.transition.alert.clone().unwrap();
        assert_eq!(alert.kind(), v1::AlertKind::NotRecorded);
        assert!(!alert.physiological);
    }
    let shown = delivery(&mut viewer, |delivery| is_hr(&delivery.update, "91")).await;
    assert_eq!(shown.token, first.token, "nothing to resume from");
    let told = shown.not_recorded.unwrap();
    assert_eq!(told.since, ServerTime(START));
    assert!(told.reason.contains("no space left"), "{}", told.reason);
    assert!(matches!(
        &*bench.live.health().borrow(),
        Health::NotRecorded(_)
    ));

    let acted = in_time(bench.live.act("tx-a", to("North"), "put-1", "me"));
    assert_eq!(acted.await.unwrap().verdict, Verdict::Applied);
    let again = in_time(bench.live.act("tx-a", to("North"), "put-1", "me"));
    assert_eq!(again.await.unwrap().verdict, Verdict::Duplicate);
    let made = in_time(bench.live.act("tx-new", to("South"), "put-2", "me"));
    assert_eq!(made.await.unwrap().verdict, Verdict::Applied);
    let state = bench.state("tx-a").await;
    assert_eq!(state.info.hospital, "North");
    assert!(has_alert(&state) && has_alert(&bench.state("tx-new").await));
    let history = in_time(bench.live.history("tx-a", Position(0), false)).await;
    assert!(matches!(history, Err(HistoryError::Unreadable { .. })));
    no_receipt(&mut bench).await;

    disk.takes(i64::MAX);
    for viewer in [&mut viewer, &mut board] {
        let ended = delivery(viewer, |delivery| match &delivery.update {
            Update::Alert(step) => {
                let alert = step.transition.alert.clone().unwrap();
                alert.phase() == v1::AlertPhase::Ended
            }
            _ => false,
        });
        ended.await;
        let (_, missed) = healed(viewer).await;
        assert!(missed.contains("no space left"), "{missed}");
    }
    assert_eq!(*bench.live.health().borrow(), Health::Running);
    assert_eq!(
        receipt(&mut bench).await,
        (2, vec![]),
        "3 was never recorded"
    );
    let state = bench.state("tx-a").await;
    assert_eq!(state.info.hospital, "North");
    assert_eq!(state.unrecorded.len(), 1);
    assert!(!has_alert(&state), "{:?}", state.alerts);
    assert_eq!(bench.state("tx-new").await.info.hospital, "South");
    assert_eq!(happened(&bench, "tx-a"), [(String::from("put-1"), START)]);

    bench.put(vec![A.hr(4, 4, 85)]).await;
    assert_eq!(receipt(&mut bench).await, (2, vec![(4, 4)]));
    let late = A.hr_on(Lane::History, 3, 3, 91);
    bench.put(vec![late]).await;
    assert_eq!(receipt(&mut bench).await, (4, vec![]));
    let after = delivery(&mut viewer, |delivery| is_hr(&delivery.update, "85")).await;
    assert_eq!(after.not_recorded, None);
    assert_ne!(after.token, first.token);
    rerun_is_the_same(bench).await;
}

/// Actions of a transfer that were done unrecorded, as the journal has them.
fn happened(bench: &Bench, transfer: &str) -> Vec<(String, i64)> {
    let rows = bench
        .journal()
        .reader()
        .scan(&tx(transfer), Classes::All, Position(0));
    let entries = rows.map(|row| enroute_wire::record::decode(&row.unwrap().payload).unwrap());
    let entries = entries.filter_map(|entry| match entry {
        Entry::Registry {
            action_id,
            happened_unrecorded,
            ..
        } => Some((action_id, happened_unrecorded?.0)),
        _ => None,
    });
    entries.collect()
}

#[tokio::test]
async fn a_disk_that_fails_again_during_the_repair_loses_nothing_that_was_done() {
    let disk = Disk::sound();
    let bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 1, 80), B.hr(1, 1, 80)]).await;
    let mut viewer = bench.watch(of("tx-a")).await;
    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(2, 2, 91)]).await;
    let close = bench.live.act("tx-a", RegistryAction::Close, "close", "me");
    in_time(close).await.unwrap();
    for _ in 0..3 {
        // Enough to open the store, not to write what happened.
        disk.takes(2);
        let failed_again = delivery(&mut viewer, |delivery| match &delivery.update {
            Update::Snapshot(snapshot) => snapshot.missed.is_some(),
            _ => false,
        });
        assert!(failed_again.await.not_recorded.is_some());
        let state = bench.state("tx-a").await;
        assert!(matches!(state.phase, Phase::Closed { .. }), "still seen");
    }
    disk.takes(i64::MAX);
    let (_, missed) = healed(&mut viewer).await;
    assert!(missed.contains("could not be written"), "{missed}");
    let state = bench.state("tx-a").await;
    assert!(matches!(state.phase, Phase::Closed { .. }));
    assert_eq!(happened(&bench, "tx-a").len(), 1, "written once");
    assert_eq!(bench.state("tx-b").await.unrecorded.len(), 1);
    rerun_is_the_same(bench).await;
}

#[tokio::test]
async fn who_comes_with_a_token_meanwhile_is_given_what_it_missed_after_the_repair() {
    let disk = Disk::sound();
    let bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    let mut viewer = bench.watch(of("tx-a")).await;
    let token = next(&mut viewer).await.unwrap().token;
    drop(viewer);
    // What it misses, in the record.
    let high = (2..40).map(|n| A.hr(n, i64::try_from(n).unwrap(), 200));
    bench.put(high.collect()).await;
    let raised = bench.derived()[&tx("tx-a")].len();
    assert!(raised > 0);
    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(40, 40, 200)]).await;
    let resume = Watch {
        resume: Some(token.clone()),
        ..of("tx-a")
    };
    let mut viewer = bench.watch(resume).await;
    let opened = next(&mut viewer).await.unwrap();
    let Update::Snapshot(snapshot) = &opened.update else {
        panic!("no snapshot");
    };
    assert!(snapshot.missed.is_some() && opened.not_recorded.is_some());
    assert_eq!(opened.token, token);
    disk.takes(i64::MAX);
    let (_, missed) = healed(&mut viewer).await;
    assert!(missed.contains("could not be written"), "{missed}");
    for ordinal in 1..=u64::try_from(raised).unwrap() {
        let step = until(&mut viewer, |update| match update {
            Update::Alert(step) => Some(step.ordinal),
            _ => None,
        });
        assert_eq!(step.await, ordinal);
    }
}

/// What a viewer was given of the record.
#[derive(Debug, Default, PartialEq)]
struct Given {
    /// Numbers of frames, in the order in which they came.
    frames: Vec<u64>,
    ordinals: Vec<u64>,
    token: Option<Token>,
}

impl Given {
    /// Reads on through this frame.
    async fn through(&mut self, viewer: &mut Subscription, last: u64) {
        while self.frames.last() != Some(&last) {
            let delivery = next(viewer).await.expect("ends early");
            match &delivery.update {
                Update::Sample(sample) if sample.position.0 > 0 => {
                    let header = enroute_wire::frame::decode_header(&sample.frame).unwrap();
                    self.frames.push(header.sequence);
                }
                Update::Sample(_) => assert!(delivery.not_recorded.is_some()),
                Update::Alert(step) if step.ordinal > 0 => self.ordinals.push(step.ordinal),
                _ => {}
            }
            self.token = Some(delivery.token);
        }
    }
}

/// Options under which the shard stands still before the first word of an outage
/// that is written: it says so, and goes on when it is told.
fn standing_still() -> (Options, Receiver<()>, SyncSender<()>) {
    let (standing, stands) = sync_channel(1);
    let (go, gone) = sync_channel(1);
    let once = Mutex::new(Some((standing, gone)));
    let before_record = move |record: &Record| {
        if matches!(record.entry, Entry::Unrecorded(_))
            && let Some((standing, gone)) = once.lock().unwrap().take()
        {
            standing.send(()).unwrap();
            gone.recv().unwrap();
        }
    };
    let options = Options {
        before_record: Some(Arc::new(before_record)),
        ..quiet()
    };
    (options, stands, go)
}

#[tokio::test]
async fn what_is_recorded_before_an_outage_is_over_reaches_every_viewer_once() {
    let disk = Disk::sound();
    let (options, stands, go) = standing_still();
    let bench = Bench::on(&disk, options).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    let samples = Watch {
        samples: true,
        ..of("tx-a")
    };
    let (mut stays, mut goes) = (Given::default(), Given::default());
    let mut staying = bench.watch(samples.clone()).await;
    let mut going = bench.watch(samples.clone()).await;
    bench.put(vec![A.hr(2, 2, 80)]).await;
    stays.through(&mut staying, 2).await;
    goes.through(&mut going, 2).await;
    drop(going);
    bench.put(vec![A.hr(3, 3, 80)]).await;

    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(4, 4, 80)]).await;
    // More than is written at once: it takes two commits to be over.
    let actions = (0..100).map(|n| action("tx-a", 4, &format!("a{n}"), &to("North")));
    bench.put_unrecorded(actions.collect()).await;
    disk.takes(i64::MAX);
    let stands = tokio::task::spawn_blocking(move || stands.recv().unwrap());
    in_time(stands).await.unwrap();
    // Sent again between those two, with an alert.
    let again = (4..40).map(|n| A.hr(n, i64::try_from(n).unwrap(), 200));
    let appender = bench.journal().appender();
    in_time(appender.append(again.collect())).await.unwrap();
    go.send(()).unwrap();
    bench.put(vec![A.hr(40, 40, 200)]).await;

    let resume = Watch {
        resume: goes.token.clone(),
        ..samples
    };
    let mut going = bench.watch(resume).await;
    stays.through(&mut staying, 40).await;
    goes.through(&mut going, 40).await;
    let alerts = u64::try_from(bench.derived()[&tx("tx-a")].len()).unwrap();
    assert!(alerts > 0);
    for given in [&stays, &goes] {
        assert_eq!(given.ordinals, (1..=alerts).collect::<Vec<_>>());
        assert_eq!(given.frames, (2..=40).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_can_be_held_is_bounded_and_the_rest_refused() {
    let disk = Disk::sound();
    let bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    disk.takes(0);
    let actions = (0..4_096).map(|n| action("tx-a", 2, &format!("a{n}"), &to("North")));
    bench.put_unrecorded(actions.collect()).await;
    let more = in_time(bench.live.act("tx-a", to("South"), "more", "me")).await;
    assert!(matches!(more, Err(ActError::Refused(_))), "{more:?}");
    assert_eq!(bench.state("tx-a").await.info.hospital, "North");
    let mut viewer = bench.watch(of("tx-a")).await;
    disk.takes(i64::MAX);
    healed(&mut viewer).await;
    assert_eq!(happened(&bench, "tx-a").len(), 4_096);
}

#[tokio::test]
async fn a_fork_that_breaks_stands_still_alone_and_is_built_again() {
    let breaking = Options {
        before_record: Some(Arc::new(|record: &Record| {
            assert!(record.at != EngineTime(START + 13_000_000), "boom");
        })),
        ..quiet()
    };
    let disk = Disk::sound();
    let bench = Bench::on(&disk, breaking).await;
    bench.put(vec![A.hr(1, 1, 80), B.hr(1, 1, 80)]).await;
    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(2, 13, 80)]).await;
    let rubbish = Append {
        class: Class::Vitals,
        transfer: tx("tx-b"),
        at: EngineTime(START + 14_000_000),
        received_at: ServerTime(START),
        payload: b"rubbish".as_slice().into(),
    };
    bench.put_unrecorded(vec![rubbish, B.hr(2, 14, 91)]).await;
    let broken = bench.state("tx-a").await;
    assert!(broken.poisoned[0].reason.contains("boom"), "{broken:?}");
    assert_eq!(bench.live.stats().poisoned(), 0, "no mark is made");
    let mut viewer = bench.watch(of("tx-b")).await;
    disk.takes(i64::MAX);
    healed(&mut viewer).await;
    assert_eq!(bench.state("tx-a").await.poisoned, []);
    assert_eq!(bench.state("tx-b").await.poisoned, []);
    let recorded = enroute_live::Health::Running;
    assert_eq!(*bench.live.health().borrow(), recorded);
    assert_eq!(bench.journal().reader().poisons().unwrap(), []);
}

#[tokio::test]
async fn a_restart_finds_what_happened_unrecorded() {
    let disk = Disk::sound();
    let bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(2, 2, 91)]).await;
    in_time(bench.live.act("tx-a", to("North"), "put", "me"))
        .await
        .unwrap();
    let mut viewer = bench.watch(of("tx-a")).await;
    disk.takes(i64::MAX);
    healed(&mut viewer).await;
    drop(viewer);
    let before = bench.state("tx-a").await;
    let bench = bench.restart(false, quiet()).await;
    assert_eq!(bench.state("tx-a").await, before);
}

#[tokio::test]
async fn an_alert_of_a_fork_is_acknowledged_there_and_no_other_in_the_record() {
    let disk = Disk::sound();
    let bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    disk.takes(0);
    let high = (2..40).map(|n| A.hr(n, i64::try_from(n).unwrap(), 200));
    bench.put_unrecorded(high.collect()).await;
    let alerts = bench.state("tx-a").await.alerts;
    let limit = |alert: &&AlertState| alert.kind.is_physiological();
    let raised = alerts.iter().find(limit).unwrap();
    // That nothing is recorded is nobody's to acknowledge.
    let server = alerts
        .iter()
        .find(|it| it.kind == AlertKind::NotRecorded)
        .unwrap();
    let of_the_server = RegistryAction::Alert {
        alert_id: server.alert_id,
        seen: server.raised,
        action: AlertAction::Acknowledge,
    };
    let refused = in_time(bench.live.act("tx-a", of_the_server, "server", "me")).await;
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("until the journal works again"), "{words}");
    let acknowledge = RegistryAction::Alert {
        alert_id: raised.alert_id,
        seen: raised.raised,
        action: AlertAction::Acknowledge,
    };
    let acted = in_time(bench.live.act("tx-a", acknowledge, "ack", "me"));
    acted.await.unwrap();
    let alerts = bench.state("tx-a").await.alerts;
    assert!(alerts.iter().find(limit).unwrap().acknowledged.is_some());
    let mut viewer = bench.watch(of("tx-a")).await;
    disk.takes(i64::MAX);
    healed(&mut viewer).await;
    // In the record the link was lost then, under the same id.
    let alerts = bench.state("tx-a").await.alerts;
    assert!(alerts.iter().any(|alert| alert.kind == AlertKind::LinkLost));
    assert!(alerts.iter().all(|alert| alert.acknowledged.is_none()));
    // Other alerts get the ids, which nobody has seen.
    let high = (2..40).map(|n| A.hr(100 + n, 40 + i64::try_from(n).unwrap(), 200));
    bench.put(high.collect()).await;
    let alerts = bench.state("tx-a").await.alerts;
    assert!(alerts.iter().any(|alert| limit(&alert)));
    assert!(alerts.iter().all(|alert| alert.acknowledged.is_none()));
    assert_eq!(
        happened(&bench, "tx-a").len(),
        1,
        "that it was done is known"
    );
}

#[tokio::test]
async fn a_token_outlives_a_failure_that_the_engines_have_not_heard_of() {
    let disk = Disk::sound();
    let (standing, stands) = sync_channel(1);
    let (go, gone) = sync_channel::<()>(1);
    let once = Mutex::new(Some((standing, gone)));
    let before_record = move |record: &Record| {
        if record.at == EngineTime(START + 3_000_000)
            && let Some((standing, gone)) = once.lock().unwrap().take()
        {
            standing.send(()).unwrap();
            gone.recv().unwrap();
        }
    };
    let options = Options {
        before_record: Some(Arc::new(before_record)),
        ..quiet()
    };
    let bench = Bench::on(&disk, options).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    let samples = Watch {
        samples: true,
        ..of("tx-a")
    };
    let mut given = Given::default();
    let mut viewer = bench.watch(samples.clone()).await;
    bench.put(vec![A.hr(2, 2, 80)]).await;
    given.through(&mut viewer, 2).await;
    drop(viewer);
    // The engines stand still over a record while the journal fails behind it.
    let appender = bench.journal().appender();
    in_time(appender.append(vec![A.hr(3, 3, 80)]))
        .await
        .unwrap();
    let stands = tokio::task::spawn_blocking(move || stands.recv().unwrap());
    in_time(stands).await.unwrap();
    disk.takes(0);
    let failed = in_time(appender.append(vec![A.hr(4, 4, 80)])).await;
    assert!(failed.is_err());
    let resume = Watch {
        resume: given.token.clone(),
        ..samples
    };
    let live = bench.live.clone();
    let watching = tokio::spawn(async move { live.watch(resume).await.unwrap() });
    while bench.live.requests_waiting().0 == 0 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    let mut viewer = in_time(watching).await.unwrap();
    let mut health = bench.live.health();
    let heard = health.wait_for(|health| matches!(health, Health::NotRecorded(_)));
    drop(in_time(heard).await.unwrap());
    disk.takes(i64::MAX);
    let repaired = health.wait_for(|health| *health == Health::Running);
    drop(in_time(repaired).await.unwrap());
    bench.put(vec![A.hr(4, 5, 80)]).await;
    given.through(&mut viewer, 4).await;
    assert_eq!(given.frames, [2, 3, 4]);
}
