//! What gateways are told of what is durable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, Bench, gw, in_time, quiet};
use enroute_live::Options;
use enroute_model::ids::Position;
use enroute_model::time::Span;

#[tokio::test]
async fn receipts_follow_each_frame_and_come_again_after_a_restart() {
    let mut bench = Bench::new(quiet()).await;
    bench
        .put(vec![A.hr(1, 0, 80), A.hr(2, 0, 80), A.hr(4, 0, 80)])
        .await;
    let (gateway, streams) = in_time(bench.receipts.next()).await.unwrap();
    assert_eq!(gateway, gw("gw-a"));
    assert_eq!(
        (streams[0].through, streams[0].above.as_slice()),
        (2, [(4, 4)].as_slice())
    );
    let mut bench = bench.restart(false, quiet()).await;
    let (_, again) = in_time(bench.receipts.next()).await.unwrap();
    assert_eq!(again, streams);
    // A repetition means that the receipt was lost.
    bench.put(vec![A.hr(2, 1, 80)]).await;
    assert_eq!(in_time(bench.receipts.next()).await.unwrap().1, streams);
    let position = bench.put(vec![A.hr(3, 1, 80)]).await;
    assert_eq!(position, Position(5));
    assert_eq!(
        in_time(bench.receipts.next()).await.unwrap().1[0].through,
        4
    );
}

#[tokio::test]
async fn receipts_wait_for_company_and_say_all_that_came() {
    let options = Options {
        receipts_every: Span::from_secs(1),
        ..quiet()
    };
    let mut bench = Bench::new(options).await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    let (_, first) = in_time(bench.receipts.next()).await.unwrap();
    assert_eq!(first[0].through, 1, "behind a silence at once");
    bench.put(vec![A.hr(2, 0, 80)]).await;
    // When this one is handled, all that the one before it caused is done.
    bench.put(vec![A.hr(3, 0, 80)]).await;
    tokio::select! {
        biased;
        receipt = bench.receipts.next() => panic!("{receipt:?}"),
        () = std::future::ready(()) => {}
    }
    bench.tick(1).await;
    let (_, both) = in_time(bench.receipts.next()).await.unwrap();
    assert_eq!(both[0].through, 3);
}
