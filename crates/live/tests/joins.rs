//! Joins: by the registry and by the crew, names that resolve, and joins that
//! cannot be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, Sender, action, gw, in_time, next, quiet, tx, until};
use enroute_live::{ActError, LookupError, Update, Watch};
use enroute_model::frame::CrewEvent;
use enroute_model::ids::{ShortCode, TransferId};
use enroute_model::registry::{AlertAction, RegistryAction, TransferInfo};
use enroute_model::state::Verdict;

fn code(id: &str) -> String {
    ShortCode::of(&tx(id)).to_string()
}

#[tokio::test]
async fn a_crew_joins_by_short_code_and_both_names_resolve() {
    let mut bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 81)]).await;
    bench
        .put(vec![B.join(1, 1, &code("tx-a").to_lowercase())])
        .await;
    let state = bench.state("tx-b").await;
    assert_eq!(state.transfer, tx("tx-a"));
    assert_eq!(state.aliases, [tx("tx-b")]);
    assert_eq!(state.sources.len(), 2);
    assert_eq!(bench.state(&code("tx-b")).await.transfer, tx("tx-a"));
    assert_eq!(bench.states().await.len(), 1);
    let (gateway, command) = in_time(bench.commands.next()).await.unwrap();
    assert_eq!((gateway, command.instead_of), (gw("gw-b"), tx("tx-b")));
    assert_eq!(
        (command.transfer, command.short_code),
        (tx("tx-a"), ShortCode::of(&tx("tx-a")))
    );
    // Still under the old id: it belongs to the new one, and is told again.
    bench.put(vec![B.hr(2, 20, 82)]).await;
    assert_eq!(bench.state("tx-a").await.sources.len(), 2);
    let (_, again) = in_time(bench.commands.next()).await.unwrap();
    assert_eq!(again.transfer, tx("tx-a"));
}

#[tokio::test]
async fn an_alert_is_not_seen_to_under_a_former_name() {
    let mut bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 81)]).await;
    bench.put(vec![B.join(1, 1, &code("tx-a"))]).await;
    in_time(bench.commands.next()).await.unwrap();
    let first = RegistryAction::Alert {
        alert_id: 1,
        seen: 1,
        action: AlertAction::Acknowledge,
    };
    for former in ["tx-b".to_owned(), code("tx-b")] {
        let acted = bench.live.act(&former, first.clone(), &former, "me");
        let refused = in_time(acted).await.unwrap_err().to_string();
        assert!(refused.contains("alerts have other numbers"), "{refused}");
    }
    // Under the present one it is this transfer's first alert, which there is not.
    let acted = in_time(bench.live.act("tx-a", first, "own", "me")).await;
    let refused = acted.unwrap_err().to_string();
    assert!(!refused.contains("other numbers"), "{refused}");
}

/// It was allowed, and before its record came that of a join.
#[tokio::test]
async fn a_join_overtakes_who_sees_to_an_alert_and_the_other_one_stays_unseen() {
    let bench = Bench::new(quiet()).await;
    let frames = |of: &Sender, hr: i64| -> Vec<_> {
        (1_u64..)
            .zip(0..20)
            .map(|(n, at)| of.hr(n, at, hr))
            .collect()
    };
    // Slow here, fast there: each the first alert of its own transfer.
    let (of_a, of_b) = (frames(&A, 30), frames(&B, 190));
    let both = of_a.into_iter().zip(of_b).flat_map(<[_; 2]>::from);
    bench.put(both.collect()).await;
    let first = RegistryAction::Alert {
        alert_id: 1,
        seen: 1,
        action: AlertAction::Acknowledge,
    };
    bench
        .put(vec![
            B.join(1, 20, &code("tx-a")),
            action("tx-b", 20, "seen", &first),
        ])
        .await;
    let alerts = bench.state("tx-a").await.alerts;
    assert_eq!(
        alerts.iter().map(|it| it.alert_id).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        alerts.iter().all(|it| it.acknowledged.is_none()),
        "{alerts:?}"
    );
    bench
        .put(vec![action("tx-a", 20, "seen there", &first)])
        .await;
    let alerts = bench.state("tx-a").await.alerts;
    assert!(alerts[0].acknowledged.is_some(), "{alerts:?}");
}

#[tokio::test]
async fn joins_that_cannot_be_change_nothing_and_say_why() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let own = code("tx-a");
    for (sequence, typed) in (1u64..).zip(["ZZZZZZ", "rubbish", own.as_str()]) {
        bench.put(vec![A.join(sequence, 1, typed)]).await;
    }
    let state = bench.state("tx-a").await;
    assert!(state.aliases.is_empty() && state.poisoned.is_empty());
    let notes: Vec<_> = state
        .crew_log
        .iter()
        .filter_map(|entry| match &entry.event {
            CrewEvent::Note(note) => Some(note.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        notes,
        [
            "not joined to ZZZZZZ: no transfer has this short code",
            "not joined to rubbish: not a short code",
            &format!("not joined to {own}: it is that transfer already"),
        ]
    );
    // A record of a join that was never checked: as bad.
    let into = RegistryAction::JoinInto(tx("tx-none"));
    bench.put(vec![action("tx-a", 2, "x", &into)]).await;
    assert!(bench.state("tx-a").await.aliases.is_empty());
}

/// Two ids with the same short code, found by trying.
fn same_code() -> (TransferId, TransferId) {
    let (one, two) = (tx("tx-374991"), tx("tx-902880"));
    assert_eq!(ShortCode::of(&one), ShortCode::of(&two));
    (one, two)
}

#[tokio::test]
async fn an_ambiguous_code_names_nobody() {
    let (one, two) = same_code();
    let code = ShortCode::of(&one).to_string();
    let bench = Bench::new(quiet()).await;
    let put = RegistryAction::Put(TransferInfo::default());
    bench
        .put(vec![
            action(one.as_str(), 0, "1", &put),
            action(two.as_str(), 0, "2", &put),
        ])
        .await;
    bench.put(vec![A.hr(1, 0, 80), A.join(1, 1, &code)]).await;
    assert_eq!(bench.states().await.len(), 3);
    let found = bench.live.state(&code).await;
    assert!(matches!(found, Err(LookupError::Ambiguous { .. })));
    // Once they are one there is no doubt for people; the crew's old record stays refused.
    bench
        .live
        .act(
            one.as_str(),
            RegistryAction::JoinInto(two.clone()),
            "j",
            "me",
        )
        .await
        .unwrap();
    assert_eq!(bench.state(&code).await.transfer, two);
    let before = bench.states().await;
    let bench = bench.restart(true, quiet()).await;
    assert_eq!(bench.states().await, before);
}

#[tokio::test]
async fn viewers_of_the_joined_transfer_go_on_with_the_other() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 81)]).await;
    let watch = Watch {
        transfers: vec!["tx-b".to_owned()],
        samples: true,
        ..Watch::default()
    };
    let mut viewer = bench.watch(watch).await;
    let first = next(&mut viewer).await.unwrap();
    assert!(matches!(first.update, Update::Snapshot(snapshot) if snapshot.states.len() == 1));
    bench.put(vec![B.join(1, 1, &code("tx-a"))]).await;
    until(&mut viewer, |update| match update {
        Update::State(state) if state.transfer == tx("tx-a") => Some(()),
        _ => None,
    })
    .await;
    bench.put(vec![A.hr(2, 2, 85)]).await;
    until(&mut viewer, |update| match update {
        Update::Sample(sample) if sample.gateway == gw("gw-a") => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn actions_are_checked_done_once_and_answered_when_handled() {
    const C: Sender = Sender {
        transfer: "tx-c",
        gateway: "gw-c",
        epoch: 3,
    };
    let bench = Bench::new(quiet()).await;
    let live = &bench.live;
    let info = TransferInfo {
        hospital: "General".to_owned(),
        ..TransferInfo::default()
    };
    let act =
        |name: &'static str, action, id: &'static str| in_time(live.act(name, action, id, "me"));
    let made = act("tx-new", RegistryAction::Put(info.clone()), "1")
        .await
        .unwrap();
    assert_eq!(
        (made.transfer, made.verdict),
        (tx("tx-new"), Verdict::Applied)
    );
    assert_eq!(bench.state("tx-new").await.info, info);
    let again = act("tx-new", RegistryAction::Put(info), "1").await.unwrap();
    assert_eq!(again.verdict, Verdict::Duplicate);
    let unknown = act("tx-none", RegistryAction::Close, "2").await;
    assert!(matches!(
        unknown,
        Err(ActError::Lookup(LookupError::Unknown { .. }))
    ));
    bench.put(vec![A.hr(1, 0, 80), C.hr(1, 0, 80)]).await;
    let itself = act("tx-a", RegistryAction::JoinInto(tx("tx-a")), "3").await;
    assert!(matches!(itself, Err(ActError::Refused(_))));
    let nowhere = act("tx-a", RegistryAction::JoinInto(tx("tx-none")), "4").await;
    assert!(matches!(nowhere, Err(ActError::Lookup(_))));
    for _ in 0..2 {
        let joined = act("tx-a", RegistryAction::JoinInto(tx("tx-new")), "5")
            .await
            .unwrap();
        assert_eq!(joined.transfer, tx("tx-new"));
    }
    assert_eq!(bench.stored("tx-a"), 2, "the second join is not stored");
    let closed = act("tx-a", RegistryAction::Close, "6").await.unwrap();
    assert_eq!(closed.transfer, tx("tx-new"));
    let open = in_time(live.list(false)).await.unwrap();
    assert_eq!(open.len(), 1, "only the other one is open");
}

#[tokio::test]
async fn a_board_with_a_named_transfer_has_the_samples_of_that_one_only() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 81)]).await;
    let watch = Watch {
        transfers: vec!["tx-b".to_owned()],
        samples: true,
        board: true,
        ..Watch::default()
    };
    let mut viewer = bench.watch(watch.clone()).await;
    let first = next(&mut viewer).await.unwrap();
    assert!(matches!(first.update, Update::Snapshot(snapshot) if snapshot.states.len() == 2));
    bench.put(vec![A.hr(2, 1, 82), B.hr(2, 1, 83)]).await;
    let (mut sampled, mut boarded, mut token) = (Vec::new(), false, None);
    while !boarded || sampled.is_empty() {
        let delivery = next(&mut viewer).await.unwrap();
        token = Some(delivery.token);
        match delivery.update {
            Update::Sample(sample) => sampled.push(sample.transfer.clone()),
            Update::Values(change) => boarded |= change.transfer == tx("tx-a"),
            Update::Snapshot(_)
            | Update::State(_)
            | Update::Alert(_)
            | Update::Heartbeat { .. } => {}
        }
    }
    assert_eq!(sampled, [tx("tx-b")]);

    // Resumed, and after a join, it goes on with what the transfer became.
    drop(viewer);
    bench
        .put(vec![
            A.hr(4, 3, 85),
            B.hr(3, 3, 86),
            B.join(1, 4, &code("tx-a")),
        ])
        .await;
    let resumed = Watch {
        resume: token,
        ..watch
    };
    let mut viewer = bench.watch(resumed).await;
    until(&mut viewer, |update| match update {
        Update::Sample(sample) if sample.gateway == gw("gw-b") => Some(()),
        _ => None,
    })
    .await;
    bench.put(vec![A.hr(5, 5, 87)]).await;
    until(&mut viewer, |update| match update {
        Update::Sample(sample) if sample.gateway == gw("gw-a") => Some(()),
        _ => None,
    })
    .await;
}
