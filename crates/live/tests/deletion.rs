//! What is deleted stays deleted, over restarts and whatever gateways still send of
//! it; what is under way never is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, START, action, in_time, quiet, tx};
use enroute_journal::Append;
use enroute_live::{DeleteError, LookupError, Options, Page, Retention};
use enroute_model::ids::{Lane, Position, ShortCode};
use enroute_model::registry::{RegistryAction, TransferInfo};
use enroute_model::state::Phase;
use enroute_model::time::{EngineTime, ServerTime, Span};
use enroute_wire::v1;

const HOUR: i64 = 3_600;

/// As `append`, received at another second.
fn at(second: i64, append: Append) -> Append {
    Append {
        at: EngineTime(START + second * 1_000_000),
        ..append
    }
}

/// B is joined to A, alerts are raised, A is closed and nobody is on it any more.
async fn told(options: Options) -> Bench {
    let bench = Bench::new(options).await;
    let code = ShortCode::of(&tx("tx-a"));
    let mut records: Vec<_> = (1..20u32).map(|n| A.hr(n.into(), n.into(), 190)).collect();
    records.push(B.hr(1, 20, 80));
    records.push(B.join(1, 21, code.as_str()));
    records.push(action("tx-a", 30, "end", &RegistryAction::Close));
    bench.put(records).await;
    // Somebody else's transfer, so that time comes on.
    let put = RegistryAction::Put(TransferInfo::default());
    bench
        .put(vec![action("tx-other", HOUR, "other", &put)])
        .await;
    assert!(bench.derived()[&tx("tx-a")].len() > 1, "alerts came");
    bench
}

async fn listed(bench: &Bench) -> Vec<String> {
    let listed = in_time(bench.live.recordings(None)).await.unwrap();
    listed.into_iter().map(|one| one.transfer).collect()
}

async fn assert_deleted(bench: &Bench) {
    assert_eq!(listed(bench).await, ["tx-other"]);
    let code = ShortCode::of(&tx("tx-a"));
    for name in ["tx-a", "tx-b", code.as_str()] {
        let found = in_time(bench.live.state(name)).await;
        assert!(
            matches!(found, Err(LookupError::Unknown { .. })),
            "{found:?}"
        );
    }
    assert_eq!((bench.stored("tx-a"), bench.stored("tx-b")), (0, 0));
    assert!(bench.derived()[&tx("tx-a")].is_empty());
    let deleted = in_time(bench.live.deleted_recordings()).await.unwrap();
    let [deleted] = deleted.as_slice() else {
        panic!("{deleted:?}");
    };
    assert_eq!(
        (deleted.transfer.as_str(), deleted.alias.as_slice()),
        ("tx-a", &["tx-b".to_owned()][..])
    );
    assert_eq!(
        (deleted.actor.as_str(), deleted.reason()),
        ("Dr. Weber", v1::DeletionReason::Person)
    );
    assert_eq!(
        (deleted.starts_at_us, deleted.ends_at_us),
        (START + 1_000_000, START + 30_000_000)
    );
    assert!(
        deleted.records >= 22 && deleted.bytes > 22 * 50,
        "{deleted:?}"
    );
}

#[tokio::test]
async fn what_is_under_way_is_not_deleted() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 1, 80)]).await;
    let refused = in_time(bench.live.delete_recording("tx-a", "x")).await;
    assert!(
        matches!(refused, Err(DeleteError::Active(_))),
        "{refused:?}"
    );
    // Closed, but its gateway goes on.
    bench
        .put(vec![
            action("tx-a", 2, "end", &RegistryAction::Close),
            A.hr(2, 3, 80),
        ])
        .await;
    let refused = in_time(bench.live.delete_recording("tx-a", "x")).await;
    assert!(
        matches!(refused, Err(DeleteError::Active(_))),
        "{refused:?}"
    );
    let retention = Retention {
        age: Some(Span::ZERO),
        bytes_max: Some(0),
    };
    assert_eq!(in_time(bench.live.retain(retention)).await.unwrap(), []);
    // For a minute.
    let put = RegistryAction::Put(TransferInfo::default());
    bench.put(vec![action("tx-other", 64, "other", &put)]).await;
    in_time(bench.live.delete_recording("tx-a", "x"))
        .await
        .unwrap();
    assert_eq!(listed(&bench).await, ["tx-other"]);
}

#[tokio::test]
async fn what_is_deleted_does_not_come_back() {
    for sleep_after in [Span(i64::MAX), Span::ZERO] {
        let options = Options {
            sleep_after,
            ..quiet()
        };
        let bench = told(options.clone()).await;
        bench.tick(HOUR + 60).await;
        in_time(bench.live.delete_recording("tx-b", "Dr. Weber"))
            .await
            .unwrap();
        assert_deleted(&bench).await;
        for clean in [false, true] {
            // The server goes down before, or after, the space has come back.
            let bench = told(options.clone()).await;
            in_time(bench.live.delete_recording("tx-a", "Dr. Weber"))
                .await
                .unwrap();
            let mut bench = bench.restart(clean, options.clone()).await;
            assert_deleted(&bench).await;
            // Its gateway still has history: it is told to let go of all of it.
            let late = A.hr_on(Lane::History, 40, 40, 80);
            bench.put(vec![at(2 * HOUR, late)]).await;
            let (gateway, streams) = in_time(bench.receipts.next()).await.unwrap();
            assert_eq!(gateway.as_str(), A.gateway);
            let receipt = &streams[0];
            assert_eq!((receipt.first, receipt.through), (1, 40));
            assert_eq!(bench.live.stats().for_deleted(), 1);
            let bench = bench.restart(clean, options.clone()).await;
            assert_eq!(listed(&bench).await, ["tx-other"]);
            assert_eq!(bench.stored("tx-a"), 1, "until the next look");
            bench
                .put(vec![at(2 * HOUR + 1, A.hr_on(Lane::History, 41, 41, 80))])
                .await;
            in_time(bench.live.retain(Retention::default()))
                .await
                .unwrap();
            assert_deleted(&bench).await;
            let (_dir, journal) = bench.stopped().await;
            assert_eq!(enroute_live::rerun(&journal).unwrap().differences, []);
            assert_eq!(enroute_live::recordings(&journal).unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn who_is_on_it_live_again_is_seen() {
    let bench = told(quiet()).await;
    in_time(bench.live.delete_recording("tx-a", "Dr. Weber"))
        .await
        .unwrap();
    let late = |n: u32, second| at(second, A.hr_on(Lane::History, n.into(), n.into(), 80));
    bench.put(vec![late(40, 2 * HOUR)]).await;
    let live: Vec<_> = (1..30u32)
        .map(|n| A.hr(50 + u64::from(n), 2 * HOUR + i64::from(n), 190))
        .collect();
    bench.put(live).await;
    bench.put(vec![late(41, 3 * HOUR)]).await;
    let state = bench.state("tx-a").await;
    assert_eq!(state.phase, Phase::Open);
    assert!(state.aliases.is_empty());
    assert!(!bench.derived()[&tx("tx-a")].is_empty(), "it raises alerts");
    assert_eq!(
        bench.live.stats().for_deleted(),
        1,
        "the second one is its history"
    );
    let derived = bench.derived();
    for clean in [false, true] {
        let options = quiet();
        let bench = bench_again(&derived, clean, options).await;
        let (_dir, journal) = bench.stopped().await;
        assert_eq!(enroute_live::rerun(&journal).unwrap().differences, []);
        let mut trials = Vec::new();
        enroute_live::trials(&journal, Some("tx-a"), None, |trial| trials.push(trial)).unwrap();
        assert_eq!(trials[0].stored, trials[0].derived);
        assert!(!trials[0].stored.is_empty());
    }
}

/// The same story again, with a restart at its end.
async fn bench_again(
    expected: &std::collections::BTreeMap<enroute_model::ids::TransferId, Vec<(u64, bytes::Bytes)>>,
    clean: bool,
    options: Options,
) -> Bench {
    let bench = told(quiet()).await;
    in_time(bench.live.delete_recording("tx-a", "Dr. Weber"))
        .await
        .unwrap();
    let late = |n: u32, second| at(second, A.hr_on(Lane::History, n.into(), n.into(), 80));
    bench.put(vec![late(40, 2 * HOUR)]).await;
    let live: Vec<_> = (1..30u32)
        .map(|n| A.hr(50 + u64::from(n), 2 * HOUR + i64::from(n), 190))
        .collect();
    bench.put(live).await;
    let bench = bench.restart(clean, options).await;
    bench.put(vec![late(41, 3 * HOUR)]).await;
    assert_eq!(bench.state("tx-a").await.phase, Phase::Open);
    assert!(bench.derived() == *expected, "a restart changed its alerts");
    bench
}

#[tokio::test]
async fn a_directory_without_a_server() {
    let (_dir, journal) = told(quiet()).await.stopped().await;
    let at = ServerTime(START + 7);
    let refused = enroute_live::delete(&journal, "tx-other", "Dr. Weber", at);
    assert!(
        matches!(refused, Err(DeleteError::Active(_))),
        "{refused:?}"
    );
    let unknown = enroute_live::delete(&journal, "tx-c", "Dr. Weber", at);
    assert!(
        matches!(unknown, Err(DeleteError::Lookup(_))),
        "{unknown:?}"
    );
    let deleted = enroute_live::delete(&journal, "tx-a", "Dr. Weber", at).unwrap();
    assert_eq!(deleted.deleted_at_us, at.0);
    assert_eq!(enroute_live::recordings(&journal).unwrap().len(), 1);
    assert_eq!(
        enroute_live::deleted_recordings(&journal).unwrap(),
        [deleted]
    );
}

#[tokio::test]
async fn recordings_come_in_pages() {
    let bench = Bench::new(quiet()).await;
    let put = RegistryAction::Put(TransferInfo::default());
    for n in 0..7 {
        bench
            .put(vec![action(
                &format!("tx-{n}"),
                n,
                &format!("id-{n}"),
                &put,
            )])
            .await;
    }
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = Page {
            one: None,
            before,
            max: 3,
        };
        let (some, next) = in_time(bench.live.recordings_page(page)).await.unwrap();
        pages.push(some.into_iter().map(|one| one.transfer).collect::<Vec<_>>());
        before = next;
        if next.is_none() {
            break;
        }
        assert!(next > Some(Position(0)));
    }
    assert_eq!(
        pages,
        [
            vec!["tx-6", "tx-5", "tx-4"],
            vec!["tx-3", "tx-2", "tx-1"],
            vec!["tx-0"]
        ]
    );
}
