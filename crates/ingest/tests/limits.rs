//! What ingest refuses, ignores or spreads out because there is no room for it.

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
use enroute_wire::{Message, v1};
use std::time::Duration;
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

#[tokio::test]
async fn streams_that_do_not_fit_into_a_receipt_are_in_the_next_one() {
    let bench = Bench::new(None).await;
    let mut config = bench.config();
    config.receipt_interval = Duration::from_millis(1);
    let (ingest, _stats, parts) = bench.start(config).await;
    let (client, mut events) = bench.client("gw", &["enroute/v1/gw/gw-1/receipt"]).await;
    let stream = |epoch| v1::StreamReceipt {
        epoch,
        ..receipt(1).remove(0)
    };
    let streams = (1..=200).map(stream).collect();
    parts.receipts.send((gateway(), streams)).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 200 {
        let incoming = message(&mut events).await;
        let receipt = v1::Receipt::decode(incoming.payload.clone()).unwrap();
        client.ack(incoming.ack);
        assert!(receipt.stream.len() <= 96);
        seen.extend(receipt.stream.iter().map(|stream| stream.epoch));
    }
    hang_guard(ingest.stop()).await;
}
