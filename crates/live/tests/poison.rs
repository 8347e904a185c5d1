//! A record that breaks the engine is skipped identically ever after, and only
//! its transfer is touched (I9).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, B, Bench, START, next, quiet, tx, until};
use enroute_journal::{Append, Class};
use enroute_live::{Options, Update, Watch};
use enroute_model::ids::{Position, ShortCode};
use enroute_model::record::{Entry, Record};
use enroute_model::time::{EngineTime, ServerTime};
use std::sync::Arc;

/// Panics on records at these positions, as a broken engine would.
fn breaking(at: &'static [u64]) -> Options {
    Options {
        before_record: Some(Arc::new(move |record: &Record| {
            let poisoned = matches!(record.entry, Entry::Poisoned { .. });
            assert!(
                poisoned || !at.contains(&record.position.0),
                "boom at {}",
                record.position.0
            );
        })),
        snapshot_records: 4,
        ..quiet()
    }
}

fn story() -> Vec<Append> {
    let mut story = Vec::new();
    for second in 1u32..40 {
        let (sequence, at) = (u64::from(second), i64::from(second));
        story.push(A.hr(sequence, at, if second > 10 { 200 } else { 80 }));
        story.push(B.hr(sequence, at, 80));
    }
    story
}

#[tokio::test]
async fn a_record_whose_handling_panics_is_skipped_now_and_after_a_restart() {
    let sound = Bench::new(quiet()).await;
    let broken = Bench::new(breaking(&[31])).await;
    let watch = Watch {
        transfers: vec!["tx-a".to_owned()],
        ..Watch::default()
    };
    broken.put(vec![story()[0].clone()]).await;
    let mut viewer = broken.watch(watch).await;
    next(&mut viewer).await.unwrap();
    for record in story().into_iter().skip(1) {
        broken.put(vec![record]).await;
    }
    for record in story() {
        sound.put(vec![record]).await;
    }
    let poisoned = until(&mut viewer, |update| match update {
        Update::State(state) if !state.poisoned.is_empty() => Some(state.poisoned.clone()),
        _ => None,
    })
    .await;
    assert_eq!(poisoned[0].position, Position(31));
    assert!(
        poisoned[0].reason.contains("boom at 31"),
        "{}",
        poisoned[0].reason
    );
    assert_eq!(broken.live.stats().poisoned(), 1);
    assert_eq!(
        broken.state("tx-b").await,
        sound.state("tx-b").await,
        "untouched"
    );

    let (states, derived) = (broken.states().await, broken.derived());
    let marks = broken.journal().reader().poisons().unwrap();
    assert_eq!(marks.len(), 1);
    drop(viewer);
    // A sound engine skips it all the same: what happened stays what happened.
    let again = broken.restart(false, quiet()).await;
    assert_eq!(again.states().await, states);
    assert_eq!(again.derived(), derived);
    let again = again.restart(true, breaking(&[31])).await;
    assert_eq!(again.states().await, states);
    assert_eq!(again.derived(), derived);
}

#[tokio::test]
async fn every_ordinal_reaches_the_viewer_once_around_a_poisoned_record() {
    let bench = Bench::new(breaking(&[31, 33, 41])).await;
    let records = story();
    bench.put(vec![records[0].clone()]).await;
    let watch = Watch {
        transfers: vec!["tx-a".to_owned()],
        ..Watch::default()
    };
    let mut viewer = bench.watch(watch).await;
    for record in records.into_iter().skip(1) {
        bench.put(vec![record]).await;
    }
    let last = u64::try_from(bench.derived()[&tx("tx-a")].len()).unwrap();
    assert!(last >= 2, "limit and degraded");
    let mut seen = Vec::new();
    until(&mut viewer, |update| {
        if let Update::Alert(step) = update {
            seen.push(step.ordinal);
        }
        (seen.last() == Some(&last)).then_some(())
    })
    .await;
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_that_does_not_decode_is_marked() {
    let bench = Bench::new(quiet()).await;
    let rubbish = Append {
        class: Class::Vitals,
        transfer: tx("tx-a"),
        at: EngineTime(START),
        received_at: ServerTime(START),
        payload: b"rubbish".as_slice().into(),
    };
    bench
        .put(vec![A.hr(1, 0, 80), rubbish, A.hr(2, 1, 81)])
        .await;
    let state = bench.state("tx-a").await;
    assert_eq!(state.poisoned[0].position, Position(2));
    assert_eq!(state.sources[0].completeness[0].durable, 2);
    let bench = bench.restart(false, quiet()).await;
    assert_eq!(bench.state("tx-a").await, state);
}

#[tokio::test]
async fn a_panic_in_a_joined_transfer_rebuilds_it_with_its_parts() {
    let bench = Bench::new(breaking(&[4, 7])).await;
    let code = ShortCode::of(&tx("tx-a"));
    // The join itself panics, then a second one is done, then a frame panics.
    bench
        .put(vec![A.hr(1, 0, 80), B.hr(1, 0, 81), A.hr(2, 1, 80)])
        .await;
    bench.put(vec![B.join(1, 2, code.as_str())]).await;
    assert_eq!(bench.states().await.len(), 2, "not joined");
    bench
        .put(vec![
            B.join(2, 3, code.as_str()),
            A.hr(3, 4, 80),
            B.hr(2, 4, 82),
            B.hr(3, 5, 82),
        ])
        .await;
    let states = bench.states().await;
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].aliases, [tx("tx-b")]);
    let positions: Vec<_> = states[0]
        .poisoned
        .iter()
        .map(|record| record.position.0)
        .collect();
    assert_eq!(positions, [4, 7]);
    let bench = bench.restart(false, quiet()).await;
    assert_eq!(bench.states().await, states);
}

#[tokio::test]
async fn a_transfer_that_cannot_even_take_the_mark_stands_still_alone() {
    let options = Options {
        before_record: Some(Arc::new(|record: &Record| {
            assert!(record.position.0 != 3, "for good");
        })),
        ..quiet()
    };
    let bench = Bench::new(options.clone()).await;
    bench
        .put(vec![
            A.hr(1, 0, 80),
            B.hr(1, 0, 81),
            A.hr(2, 1, 80),
            A.hr(3, 2, 80),
            B.hr(2, 2, 81),
        ])
        .await;
    let state = bench.state("tx-a").await;
    assert!(
        state.poisoned[0].reason.contains("stands still"),
        "{:?}",
        state.poisoned
    );
    assert_eq!(state.sources[0].completeness[0].durable, 1);
    assert_eq!(
        bench.state("tx-b").await.sources[0].completeness[0].durable,
        2
    );
    let bench = bench.restart(true, options).await;
    assert_eq!(bench.state("tx-a").await, state);
}
