//! What ingest refuses for want of room, and what it ignores.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test, and tests are sentences"
)]

mod support;

use enroute_journal::Options as JournalOptions;
use enroute_model::record::Entry;
use enroute_mqtt::Publish;
use support::bench::*;

#[tokio::test]
async fn an_old_word_that_a_gateway_is_gone_is_not_stored() {
    let mut bench = Bench::new(None).await;
    let (client, mut events) = bench.client("gw", &[]).await;
    let mut gone = Publish::new(STATUS, status(false, "tx-1"), 1);
    gone.retain = true;
    client.publish(gone).await.unwrap();
    puback(&mut events, 1).await;
    // Retained from before the subscription.
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    until(|| load(&stats.statuses) == 1).await;
    client
        .publish(Publish::new(LIVE, batch(vec![note(1)]), 2))
        .await
        .unwrap();
    // Said now.
    client
        .publish(Publish::new(STATUS, status(false, "tx-1"), 3))
        .await
        .unwrap();
    let first = hang_guard(bench.records.recv()).await.unwrap();
    assert!(matches!(first, Entry::Frame { .. }), "{first:?}");
    let second = hang_guard(bench.records.recv()).await.unwrap();
    assert!(
        matches!(second, Entry::Presence { online: false, .. }),
        "{second:?}"
    );
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn what_the_journal_cannot_hold_is_refused_and_ingest_goes_on() {
    let options = JournalOptions {
        queue_records_max: 8,
        ..JournalOptions::default()
    };
    let mut bench = Bench::with(options).await;
    let mut config = bench.config();
    config.receive_maximum = 1;
    let (ingest, stats, _parts) = bench.start(config).await;
    let (client, _events) = bench.client("gw", &[]).await;
    let many = batch((1..=9).map(note).collect());
    client.publish(Publish::new(LIVE, many, 1)).await.unwrap();
    client
        .publish(Publish::new(LIVE, batch(vec![note(10)]), 2))
        .await
        .unwrap();
    assert_eq!(bench.sequence().await, 10);
    until(|| load(&stats.in_flight) == 0).await;
    assert_eq!(stats.refused(), [("over_limit", 1)].into());
    assert_eq!((load(&stats.commits), stats.frames_all()), (1, 1));
    assert_eq!(ingest.quarantine().recent().len(), 1);
    hang_guard(ingest.stop()).await;
}
