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

use enroute_ingest::Admits;
use enroute_journal::Options as JournalOptions;
use enroute_model::record::Entry;
use enroute_mqtt::Publish;
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
async fn a_transfer_without_room_is_refused_told_and_taken_when_there_is_some() {
    let mut bench = Bench::new(None).await;
    let room = Arc::new(AtomicBool::new(false));
    let there_is = Arc::clone(&room);
    bench.admits = Admits(Arc::new(move |transfer, _, _| {
        transfer.as_str() != "tx-1" || there_is.load(Ordering::SeqCst)
    }));
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    let topics = ["enroute/v1/gw/gw-1/receipt"];
    let (client, mut events) = bench.client("gw", &topics).await;
    let frames = batch(vec![note(1)]);
    client
        .publish(Publish::new(LIVE, frames.clone(), 1))
        .await
        .unwrap();
    // Acknowledged, so that nothing waits behind it, and covered by no receipt.
    let incoming = message(&mut events).await;
    let receipt = v1::Receipt::decode(incoming.payload.clone()).unwrap();
    client.ack(incoming.ack);
    assert!(receipt.full && receipt.stream.is_empty(), "{receipt:?}");
    let refused = BTreeMap::from([("too_many_transfers", 1)]);
    assert_eq!(stats.refused(), refused);
    // Another transfer's frames are taken meanwhile, its rubbish is no record here.
    client
        .publish(Publish::new(LIVE, vec![0xff; 100], 2))
        .await
        .unwrap();
    let other = LIVE.replace("tx-1", "tx-2");
    client
        .publish(Publish::new(other, batch(vec![note(2)]), 3))
        .await
        .unwrap();
    assert_eq!(bench.sequence().await, 2);
    room.store(true, Ordering::SeqCst);
    client.publish(Publish::new(LIVE, frames, 4)).await.unwrap();
    assert_eq!(bench.sequence().await, 1);
    hang_guard(ingest.stop()).await;
    let quarantine = bench.directory.path().join("quarantine");
    let kept = std::fs::read_dir(quarantine).unwrap().count();
    assert_eq!(
        kept, 1,
        "the rubbish, and nothing of what only found no room"
    );
}

#[tokio::test]
async fn a_gateway_that_sends_too_much_is_refused_unread_and_told_and_the_others_are_not() {
    let mut bench = Bench::new(None).await;
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    let topics = ["enroute/v1/gw/gw-1/receipt"];
    let (client, mut events) = bench.client("gw", &topics).await;
    // Rubbish of the largest size; the clock stands still, so the budget never fills,
    // and on the live lane the 16th is the one that spends the last of it.
    let rubbish = bytes::Bytes::from(vec![0xff; 1 << 20]);
    for token in 1..=16 {
        let publish = Publish::new(LIVE, rubbish.clone(), token);
        client.publish(publish).await.unwrap();
        puback(&mut events, token).await;
    }
    let note_of_it = batch(vec![note(1)]);
    let publish = Publish::new(LIVE, note_of_it, 65);
    client.publish(publish).await.unwrap();
    let incoming = message(&mut events).await;
    let receipt = v1::Receipt::decode(incoming.payload.clone()).unwrap();
    client.ack(incoming.ack);
    assert!(receipt.full && receipt.stream.is_empty(), "{receipt:?}");
    assert_eq!(stats.refused().get("too_fast"), Some(&1));
    let other = LIVE.replace("gw-1", "gw-2");
    let publish = Publish::new(other, batch(vec![note(2)]), 66);
    client.publish(publish).await.unwrap();
    assert_eq!(bench.sequence().await, 2);
    hang_guard(ingest.stop()).await;
}
