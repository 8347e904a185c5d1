//! A playback of a transfer that is under way learns what becomes of it meanwhile: a
//! join, whichever side it was of, and another rule book.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{A, B, Bench, action, in_time, quiet, tx};
use enroute_alert::book::{BookFile, RuleBook};
use enroute_live::replay::{Controls, Order, Play, Playback, Speed};
use enroute_live::{Options, Update};
use enroute_model::registry::RegistryAction;
use enroute_model::state::TransferState;
use std::sync::Arc;
use std::time::Duration;

/// Two transfers, and a playback of one of them up to now.
async fn playing(transfer: &str, order: Order) -> (Bench, Playback, Controls) {
    let options = Options {
        heartbeat: Duration::from_millis(20),
        ..quiet()
    };
    let bench = Bench::new(options).await;
    bench.put(vec![A.hr(1, 0, 80), B.hr(1, 0, 80)]).await;
    let play = Play {
        transfer: transfer.to_owned(),
        order,
        from: None,
        speed: Speed::FASTEST,
        paused: false,
        samples: false,
        waveforms: false,
    };
    let (playback, controls) = in_time(bench.live.play(play)).await.unwrap();
    (bench, playback, controls)
}

/// The first state that is as wanted.
async fn until(
    playback: &mut Playback,
    wanted: impl Fn(&TransferState) -> bool,
) -> Arc<TransferState> {
    in_time(async {
        loop {
            let response = playback.next().await.unwrap().unwrap();
            let states = match response.update {
                Some(Update::Snapshot(snapshot)) => snapshot.states,
                Some(Update::State(state)) => vec![Arc::new((**state).clone())],
                Some(_) | None => continue,
            };
            if let Some(found) = states.into_iter().find(|state| wanted(state)) {
                return found;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_join_is_learned_on_both_sides_and_in_both_orders() {
    for order in [Order::Arrival, Order::Device] {
        for transfer in ["tx-a", "tx-b"] {
            let (bench, mut playback, _controls) = playing(transfer, order).await;
            until(&mut playback, |state| state.aliases.is_empty()).await;
            let join = RegistryAction::JoinInto(tx("tx-a"));
            let joined = vec![action("tx-b", 1, "join", &join), B.hr(2, 2, 80)];
            bench.put(joined).await;
            let both = |state: &TransferState| state.sources.len() == 2;
            let state = until(&mut playback, both).await;
            assert_eq!(state.transfer, tx("tx-a"), "played as {transfer}");
        }
    }
}

#[tokio::test]
async fn a_rule_book_that_is_newer_than_the_playback_is_known_to_it() {
    let (bench, mut playback, _controls) = playing("tx-a", Order::Arrival).await;
    until(&mut playback, |_| true).await;
    let built_in = RuleBook::built_in();
    let files = built_in.files().iter().map(|file| BookFile {
        name: file.name.clone(),
        text: file.text.replace("name = \"enroute\"", "name = \"strict\""),
    });
    let strict = Arc::new(RuleBook::parse(files.collect()).unwrap());
    in_time(bench.live.use_book(Arc::clone(&strict)))
        .await
        .unwrap();
    let hash = strict.hash();
    let by_it = |state: &TransferState| {
        state.rules.book_hash == hash || state.rules.missing_book == Some(hash)
    };
    let state = until(&mut playback, by_it).await;
    assert_eq!(state.rules.missing_book, None);
    assert_eq!(state.rules.book_name, "strict");
}
