//! Closed transfers leave memory and come back as if they had never left; new ids
//! beyond the limit are not let in (I9).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, START, Sender, action, gw, in_time, quiet, tx};
use enroute_journal::{Append, Journal};
use enroute_live::{LookupError, Options, Trial, Watch};
use enroute_model::ids::{Lane, Position, ShortCode};
use enroute_model::registry::{RegistryAction, TransferInfo};
use enroute_model::state::Phase;
use enroute_model::time::{EngineTime, Span};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

fn sleeping_after(seconds: i64) -> Options {
    Options {
        sleep_after: Span::from_secs(seconds),
        ..quiet()
    }
}

/// Hours of two patients: alerts, closings, frames that come late, a second life, a
/// join into one that was closed. Ticks stand between.
fn story() -> Vec<Vec<Append>> {
    let live = |sender: Sender, from: i64, count: i64, hr: i64| -> Vec<Append> {
        (0..count)
            .map(|n| sender.hr(u64::try_from(from + n).unwrap(), from + n, hr))
            .collect()
    };
    let late = |sequence: u64, at: i64| {
        let frame = A.hr_on(
            Lane::History,
            sequence,
            i64::try_from(sequence).unwrap(),
            70,
        );
        Append {
            at: EngineTime(START + at * 1_000_000),
            ..frame
        }
    };
    let code = ShortCode::of(&tx("tx-a"));
    vec![
        live(A, 1, 30, 190),
        live(B, 31, 30, 80),
        vec![action("tx-a", MINUTE, "close-a", &RegistryAction::Close)],
        vec![late(45, 3 * HOUR), late(47, 3 * HOUR)],
        vec![action("tx-a", 6 * HOUR, "again", &RegistryAction::Reopen)],
        live(A, 6 * HOUR + 1, 20, 20),
        vec![action("tx-a", 7 * HOUR, "end", &RegistryAction::Close)],
        vec![B.join(1, 10 * HOUR, code.as_str())],
        vec![action("tx-b", 11 * HOUR, "end-b", &RegistryAction::Close)],
        vec![late(46, 15 * HOUR)],
    ]
}

/// Until all ticks before are handled: a record stands behind them. It is that of a
/// transfer of its own, which stays open.
async fn ticked(bench: &Bench, seconds: i64) {
    bench.tick(seconds).await;
    let named = TransferInfo {
        hospital: "General".to_owned(),
        ..TransferInfo::default()
    };
    let id = format!("marker-{seconds}");
    let put = RegistryAction::Put(named);
    bench
        .put(vec![action("tx-marker", seconds, &id, &put)])
        .await;
}

/// Tells the story with a tick each minute, with a restart before each part, after a
/// crash or a clean end; gives how many were seen to sleep.
async fn tell(options: Options, restart: Option<bool>) -> (Bench, u64) {
    let mut bench = Bench::new(options.clone()).await;
    let (mut now, mut slept) = (0, 0);
    for part in story() {
        let at = (part[0].at.0 - START) / 1_000_000;
        while now + MINUTE < at {
            now += MINUTE;
            bench.tick(now).await;
        }
        if let Some(clean) = restart {
            bench = bench.restart(clean, options.clone()).await;
        }
        ticked(&bench, now).await;
        slept += in_time(bench.live.totals()).await.unwrap().asleep;
        bench.put(part).await;
    }
    ticked(&bench, 20 * HOUR).await;
    (bench, slept)
}

fn all_trials(journal: &Journal) -> Vec<Trial> {
    let mut all = Vec::new();
    enroute_live::trials(journal, None, None, |trial| all.push(trial)).unwrap();
    assert!(!all.is_empty());
    all
}

#[tokio::test]
async fn a_transfer_that_slept_is_as_one_that_stayed() {
    let (stayed, slept) = tell(sleeping_after(i64::MAX / 2_000_000), None).await;
    assert_eq!(slept, 0);
    let (states, derived) = (stayed.states().await, stayed.derived());
    assert!(derived[&tx("tx-a")].len() > 3, "alerts came");
    assert_eq!(states.len(), 2, "joined, and the marker");
    let recordings = in_time(stayed.live.recordings(None)).await.unwrap();
    let (_dir, journal) = stayed.stopped().await;
    let trials = all_trials(&journal);
    for restart in [None, Some(false), Some(true)] {
        let (bench, slept) = tell(sleeping_after(HOUR), restart).await;
        assert!(slept >= 3, "slept {slept} times");
        assert!(bench.states().await == states, "restart {restart:?}");
        assert!(bench.derived() == derived, "restart {restart:?}");
        assert_eq!(in_memory(&bench).await, (1, 0, 1), "one sleeps at the end");
        let listed = in_time(bench.live.recordings(None)).await.unwrap();
        assert_eq!(listed, recordings);
        let one = in_time(bench.live.recordings(Some("tx-b"))).await.unwrap();
        assert_eq!(one.len(), 1);
        // What is read without a server has those that slept too.
        let (_dir, journal) = bench.stopped().await;
        assert_eq!(enroute_live::recordings(&journal).unwrap(), recordings);
        assert_eq!(all_trials(&journal), trials);
        assert_eq!(enroute_live::rerun(&journal).unwrap().differences, []);
    }
}

/// One made-up transfer of many.
fn sender(number: usize) -> Sender {
    Sender {
        transfer: Box::leak(format!("tx-{number}").into_boxed_str()),
        gateway: Box::leak(format!("gw-{number}").into_boxed_str()),
        epoch: 1,
    }
}

async fn in_memory(bench: &Bench) -> (u64, u64, u64) {
    let totals = in_time(bench.live.totals()).await.unwrap();
    (totals.open, totals.closed, totals.asleep)
}

#[tokio::test]
async fn thousands_of_closed_transfers_are_not_in_memory() {
    const MANY: usize = 2_000;
    let options = sleeping_after(HOUR);
    let bench = Bench::new(options.clone()).await;
    for from in (0..MANY).step_by(500) {
        let some = (from..from + 500).map(sender);
        let records = some.flat_map(|s| {
            let close = action(s.transfer, 2, "close", &RegistryAction::Close);
            [s.hr(1, 1, 80), close]
        });
        bench.put(records.collect()).await;
    }
    let mut seconds = 3;
    while in_memory(&bench).await.2 < MANY as u64 {
        seconds += 5 * MINUTE;
        assert!(seconds < 6 * HOUR, "{:?}", in_memory(&bench).await);
        ticked(&bench, seconds).await;
    }
    assert_eq!(in_memory(&bench).await, (1, 0, MANY as u64));
    let before = bench.states().await;
    assert_eq!(before.len(), MANY + 1);
    assert_eq!(
        bench.state("tx-7").await.phase,
        Phase::Closed {
            at: EngineTime(START + 2_000_000)
        }
    );
    let code = ShortCode::of(&tx("tx-8"));
    assert_eq!(bench.state(code.as_str()).await.transfer, tx("tx-8"));

    // A restart leaves them where they are.
    let bench = bench.restart(false, options).await;
    assert_eq!(in_memory(&bench).await, (1, 0, MANY as u64));
    assert!(
        bench.states().await == before,
        "a restart changed something"
    );
    let mut history = in_time(bench.live.history("tx-9", Position(0), true))
        .await
        .unwrap();
    assert!(
        in_time(history.next()).await.is_some(),
        "its records are there"
    );
    let named = Watch {
        transfers: vec!["tx-9".to_owned()],
        ..Watch::default()
    };
    drop(bench.watch(named).await);
    assert_eq!(in_memory(&bench).await.1, 0, "who looks wakes nobody");
    bench.put(vec![sender(9).hr(2, seconds, 80)]).await;
    assert_eq!(in_memory(&bench).await, (1, 1, MANY as u64 - 1));
}

#[tokio::test]
async fn a_flood_of_new_ids_is_bounded_and_room_comes_again() {
    let options = Options {
        transfers_max: 51,
        ..sleeping_after(HOUR)
    };
    let bench = Bench::new(options).await;
    let admission = bench.live.admission();
    let marker = admission.admits(&tx("tx-marker"), &gw("gw-marker"), EngineTime(START));
    assert!(marker);
    ticked(&bench, 0).await;
    let at = |seconds: i64| EngineTime(START + seconds * 1_000_000);
    // As ingest does it.
    let offer = async |number: usize, seconds: i64| {
        let sender = sender(number);
        let admitted = admission.admits(&tx(sender.transfer), &gw(sender.gateway), at(seconds));
        if admitted {
            let sequence = u64::try_from(seconds).unwrap();
            bench.put(vec![sender.hr(sequence, seconds, 80)]).await;
        }
        admitted
    };
    let mut admitted = 0;
    for number in 0..1_000 {
        admitted += usize::from(offer(number, 1).await);
    }
    assert_eq!((admitted, in_memory(&bench).await), (50, (51, 0, 0)));
    // The living go on, closing one makes room for one, without waiting an hour.
    assert!(offer(3, 2).await);
    bench
        .put(vec![action("tx-3", 3, "close", &RegistryAction::Close)])
        .await;
    ticked(&bench, 10 * MINUTE).await;
    ticked(&bench, 20 * MINUTE).await;
    assert_eq!(in_memory(&bench).await, (50, 0, 1));
    assert!(offer(2_000, 20 * MINUTE + 1).await);
    assert!(!offer(2_001, 20 * MINUTE + 1).await);
    assert!(offer(3, 20 * MINUTE + 2).await, "what sleeps may come back");
    // A hospital may still name one, by its own bound.
    let put = |id: &str| {
        let (live, id) = (bench.live.clone(), id.to_owned());
        async move {
            let put = RegistryAction::Put(TransferInfo::default());
            in_time(live.act(&id, put, "put", "test")).await
        }
    };
    assert!(put("tx-named").await.is_ok());
    for number in 0..20 {
        drop(put(&format!("tx-named-{number}")).await);
    }
    assert!(put("tx-named-21").await.is_err());
    // Twelve hours of silence close what nobody assigned.
    for minutes in 0..3 {
        ticked(&bench, 14 * HOUR + minutes * MINUTE).await;
    }
    assert!(
        offer(3, 14 * HOUR + 3 * MINUTE).await,
        "{:?}",
        in_memory(&bench).await
    );
    let unknown = in_time(bench.live.state("tx-999")).await;
    assert!(matches!(unknown, Err(LookupError::Unknown { .. })));
}
