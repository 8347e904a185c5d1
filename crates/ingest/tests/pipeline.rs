//! Ingest with an embedded broker and a real journal.

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

use bytes::Bytes;
use enroute_model::ids::{GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::record::Entry;
use enroute_mqtt::Publish;
use enroute_wire::{Message, frame, v1};
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::bench::*;
use support::link;

#[tokio::test]
async fn a_puback_follows_the_commit() {
    let mut bench = Bench::new(Some(3)).await;
    let mut config = bench.config();
    config.receive_maximum = 2;
    let (ingest, stats, _parts) = bench.start(config).await;
    let before = load(&stats.publishes);
    let (client, mut events) = bench.client("gw", &[]).await;
    for sequence in 1..=3 {
        let publish = Publish::new(HISTORY, batch(vec![note(sequence)]), sequence);
        client.publish(publish).await.unwrap();
        puback(&mut events, sequence).await;
    }
    // The broker may send two without a PUBACK, and gets none: no commit yet.
    until(|| load(&stats.in_flight) == 2).await;
    let markers = load(&stats.publishes);
    client.publish(Publish::new(STATUS, "", 9)).await.unwrap();
    until(|| load(&stats.publishes) > markers).await;
    assert_eq!((load(&stats.in_flight), load(&stats.commits)), (2, 0));
    assert_eq!(load(&stats.publishes), before + 3);
    assert_eq!(stats.frames_all(), 0);

    bench.filler().await;
    assert_eq!((bench.sequence().await, bench.sequence().await), (1, 2));
    until(|| load(&stats.publishes) == before + 4).await;
    bench.filler().await;
    bench.filler().await;
    assert_eq!(bench.sequence().await, 3);
    until(|| load(&stats.in_flight) == 0).await;
    assert_eq!(load(&stats.commits), 3);
    assert_eq!(stats.frames(Stream::Events, Lane::History), 3);
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn frames_count_though_nobody_says_when_they_were_sent() {
    let mut bench = Bench::new(None).await;
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    let (client, _events) = bench.client("gw", &[]).await;
    let batch = v1::Batch {
        frame: vec![note(1)],
        ..v1::Batch::default()
    };
    let publish = Publish::new(LIVE, batch.encode_to_vec(), 1);
    client.publish(publish).await.unwrap();
    assert_eq!(bench.sequence().await, 1);
    until(|| load(&stats.in_flight) == 0).await;
    assert_eq!(stats.frames(Stream::Events, Lane::Live), 1);
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn history_waits_for_the_engines_and_live_does_not() {
    let mut bench = Bench::new(None).await;
    bench.handled.send_replace(Position(0));
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    let before = load(&stats.publishes);
    let (client, mut events) = bench.client("gw", &[]).await;
    for part in 0..2 {
        let frames = (1..=1_024).map(|n| note(part * 1_024 + n)).collect();
        let publish = Publish::new(HISTORY, batch(frames), part + 1);
        client.publish(publish).await.unwrap();
        puback(&mut events, part + 1).await;
    }
    for sequence in 1..=1_024 {
        assert_eq!(bench.sequence().await, sequence);
    }
    client
        .publish(Publish::new(LIVE, batch(vec![note(9_999)]), 3))
        .await
        .unwrap();
    assert_eq!(bench.sequence().await, 9_999, "live passes what waits");
    until(|| load(&stats.commits) == 1).await;
    assert_eq!(
        load(&stats.publishes),
        before + 2,
        "no more history is read"
    );

    bench.handled.send_replace(Position(1_025));
    for sequence in 1_025..=2_048 {
        assert_eq!(bench.sequence().await, sequence);
    }
    until(|| load(&stats.commits) == 2).await;
    // Engines that have ended are not waited for.
    bench.handled = tokio::sync::watch::Sender::new(Position(0));
    until(|| load(&stats.commits) == 3).await;
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn a_record_holds_the_frame_byte_for_byte() {
    let mut bench = Bench::new(None).await;
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    let (client, _events) = bench.client("gw", &[]).await;
    let frames = vec![note(1), note(2)];
    client
        .publish(Publish::new(LIVE, batch(frames), 1))
        .await
        .unwrap();
    for sequence in 1..=2 {
        match hang_guard(bench.records.recv()).await.unwrap() {
            Entry::Frame {
                gateway,
                lane,
                digest,
                frame,
            } => {
                assert_eq!((gateway.as_str(), lane), ("gw-1", Lane::Live));
                assert_eq!(frame::encode(&frame), note(sequence));
                assert_eq!(frame.header.sequence, sequence);
                assert_ne!(digest, 0);
            }
            other => panic!("{other:?}"),
        }
    }
    until(|| load(&stats.commits) == 1).await;
    assert_eq!(stats.frames(Stream::Events, Lane::Live), 2);
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn rubbish_is_counted_kept_acknowledged_and_survived() {
    let mut bench = Bench::new(None).await;
    let mut config = bench.config();
    // One message without PUBACK would stop everything behind it.
    config.receive_maximum = 1;
    let (ingest, stats, _parts) = bench.start(config).await;
    let (client, mut events) = bench.client("bad", &[]).await;
    let big_frame = v1::Frame {
        body: Some(v1::frame::Body::CrewEvent(v1::CrewEvent {
            event: Some(v1::crew_event::Event::Note("x".repeat(300 << 10))),
        })),
        ..Default::default()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "enroute/v1/gw/UPPER/tx/tx-1/live",
            batch(vec![note(1)]),
            "topic",
        ),
        (
            "enroute/v1/gw/a b/tx/tx-1/live",
            batch(vec![note(1)]),
            "topic",
        ),
        (
            "enroute/v1/gw/gw-1/tx/Ü/live",
            batch(vec![note(1)]),
            "topic",
        ),
        ("enroute/v1/gw//tx//live", batch(vec![note(1)]), "topic"),
        ("enroute/v1/gw/UPPER/status", status(true, ""), "topic"),
        (LIVE, vec![0xff; 100], "malformed"),
        (LIVE, batch(vec![note(1)])[..20].to_vec(), "malformed"),
        (LIVE, Vec::new(), "missing_part"),
        (LIVE, batch(vec![]), "missing_part"),
        (LIVE, batch(vec![note(1), Bytes::new()]), "missing_part"),
        (
            LIVE,
            batch(vec![note(1), Bytes::from_static(b"\xff\xff")]),
            "malformed",
        ),
        (LIVE, batch(vec![note(0)]), "invalid_value"),
        (
            LIVE,
            batch(vec![big_frame.encode_to_vec().into()]),
            "over_limit",
        ),
        (LIVE, batch(vec![Bytes::new(); 5000]), "over_limit"),
        (LIVE, vec![0; (1 << 20) + 1], "over_limit"),
        (STATUS, vec![0xff; 10], "malformed"),
        (STATUS, status(true, "Not An Id"), "invalid_value"),
    ];
    let mut expected = std::collections::BTreeMap::new();
    let mut token = 0;
    for (topic, payload, word) in &cases {
        token += 1;
        client
            .publish(Publish::new(*topic, payload.clone(), token))
            .await
            .unwrap();
        puback(&mut events, token).await;
        *expected.entry(*word).or_default() += 1;
    }
    let (good, _good_events) = bench.client("gw", &[]).await;
    good.publish(Publish::new(LIVE, batch(vec![note(7)]), 1))
        .await
        .unwrap();
    assert_eq!(
        bench.sequence().await,
        7,
        "nothing of a bad publish is stored"
    );
    until(|| stats.refused() == expected && load(&stats.in_flight) == 0).await;
    let kept = ingest.quarantine().recent();
    let (topic, payload, word) = cases.last().unwrap();
    let last = kept.last().unwrap();
    assert_eq!(
        (last.topic.as_str(), &last.payload[..], last.reason.word),
        (*topic, &payload[..], *word)
    );
    let files = || {
        std::fs::read_dir(bench.directory.path().join("quarantine"))
            .unwrap()
            .count()
    };
    until(|| files() + usize::try_from(load(&stats.quarantine_dropped)).unwrap() == kept.len())
        .await;
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn the_journal_says_how_many_were_refused() {
    let mut bench = Bench::new(None).await;
    let (ingest, _stats, _parts) = bench.start(bench.config()).await;
    let (client, mut events) = bench.client("gw", &[]).await;
    let bad = vec![0xff; 100];
    let stranger = "enroute/v1/gw/gw-1/tx/tx-unheard/live";
    let sent = [
        (LIVE, bad.clone()),
        (LIVE, batch(vec![note(1)])),
        (LIVE, bad.clone()),
        (stranger, bad.clone()),
        (LIVE, bad.clone()),
        (LIVE, bad.clone()),
        (LIVE, bad),
        (LIVE, batch(vec![note(2)])),
    ];
    for ((topic, payload), token) in sent.into_iter().zip(1..) {
        let publish = Publish::new(topic, payload, token);
        client.publish(publish).await.unwrap();
        puback(&mut events, token).await;
    }
    assert_eq!(bench.sequence().await, 1);
    for publishes in [1, 2, 4] {
        let gateway = GatewayId::new("gw-1").unwrap();
        let told = Entry::Rejected { gateway, publishes };
        assert_eq!(bench.records.recv().await, Some(told));
    }
    assert_eq!(bench.sequence().await, 2);
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn what_came_twice_is_acknowledged_once_and_nothing_is_skipped() {
    let mut bench = Bench::new(Some(5)).await;
    let (port, cut) = link(bench.broker.addr().port()).await;
    let mut config = bench.config();
    config.receive_maximum = 2;
    config.port = port;
    let (ingest, stats, _parts) = bench.start(config).await;
    let before = load(&stats.publishes);
    let (client, mut events) = bench.client("gw", &[]).await;
    for sequence in 1..=6 {
        let publish = Publish::new(HISTORY, batch(vec![note(sequence)]), sequence);
        client.publish(publish).await.unwrap();
        puback(&mut events, sequence).await;
    }
    until(|| load(&stats.in_flight) == 2).await;
    cut.send_modify(|cuts| *cuts += 1);
    // Both again, over a new connection, while the old ones still wait.
    until(|| load(&stats.in_flight) == 4).await;
    assert_eq!(load(&stats.publishes), before + 4);
    bench.filler().await;
    // The commit acknowledges all four; only the two new ones may count.
    let mut stored = Vec::new();
    for _ in 0..4 {
        stored.push(bench.sequence().await);
    }
    assert_eq!(stored, [1, 2, 1, 2]);
    for expected in [3, 5] {
        until(|| load(&stats.in_flight) == 2).await;
        for _ in 0..3 {
            bench.filler().await;
        }
        assert_eq!(bench.sequence().await, expected);
        assert_eq!(bench.sequence().await, expected + 1);
    }
    until(|| load(&stats.in_flight) == 0).await;
    assert_eq!(load(&stats.publishes), before + 8);
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn presence_is_stored_under_the_transfer_of_the_gateway() {
    let mut bench = Bench::new(None).await;
    let (ingest, _stats, _parts) = bench.start(bench.config()).await;
    let (client, mut events) = bench.client("gw", &[]).await;
    let publishes = [
        (STATUS, status(true, "tx-named")),
        // Says nothing new.
        (STATUS, status(true, "tx-named")),
        (LIVE, batch(vec![note(1)])),
        (STATUS, status(false, "tx-named")),
        (LIVE, batch(vec![note(2)])),
    ];
    let mut token = 0;
    for (topic, payload) in publishes {
        token += 1;
        client
            .publish(Publish::new(topic, payload, token))
            .await
            .unwrap();
        puback(&mut events, token).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(match hang_guard(bench.records.recv()).await.unwrap() {
            Entry::Presence { online, .. } => format!("online {online}"),
            Entry::Frame { frame, .. } => format!("frame {}", frame.header.sequence),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["online true", "frame 1", "online false", "frame 2"]);
    let of = |transfer: &str| {
        let transfer = TransferId::new(transfer).unwrap();
        let scan = bench.journal.reader().scan(
            &transfer,
            enroute_journal::Classes::All,
            enroute_model::ids::Position(0),
        );
        scan.count()
    };
    assert_eq!((of("tx-named"), of("tx-1")), (1, 3));
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn a_receipt_echoes_the_newest_batch_and_the_newest_wins() {
    let bench = Bench::new(None).await;
    let mut config = bench.config();
    config.receipt_interval = Duration::from_millis(200);
    let (ingest, stats, parts) = bench.start(config).await;
    let (client, mut events) = bench.client("gw", &["enroute/v1/gw/gw-1/receipt"]).await;
    client
        .publish(Publish::new(LIVE, batch(vec![note(1)]), 1))
        .await
        .unwrap();
    until(|| load(&stats.commits) == 1).await;
    // One that does not state when it was sent is no answer to anything.
    let silent = v1::Batch {
        frame: vec![note(2)],
        ..v1::Batch::default()
    };
    let publish = Publish::new(LIVE, silent.encode_to_vec(), 1);
    client.publish(publish).await.unwrap();
    until(|| load(&stats.commits) == 2).await;
    for through in 1..=5 {
        parts
            .receipts
            .send((gateway(), receipt(through)))
            .await
            .unwrap();
    }
    let mut through = 0;
    while through < 5 {
        let incoming = message(&mut events).await;
        let receipt = v1::Receipt::decode(incoming.payload.clone()).unwrap();
        client.ack(incoming.ack);
        assert_eq!(receipt.journal, 99);
        assert_eq!(
            (receipt.echo_sent_at_us, receipt.received_at_us),
            (55, 1_000_000)
        );
        assert_eq!(receipt.receipt_sent_at_us, 1_000_000);
        assert_eq!(receipt.stream.len(), 1);
        assert!(receipt.stream[0].through > through);
        through = receipt.stream[0].through;
    }
    assert!(load(&stats.receipts) < 5, "every one was sent");
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn more_streams_than_a_receipt_holds_are_all_receipted() {
    let bench = Bench::new(None).await;
    let (ingest, _stats, parts) = bench.start(bench.config()).await;
    let (client, mut events) = bench.client("gw", &["enroute/v1/gw/gw-1/receipt"]).await;
    let streams = (1..=200).map(|epoch| v1::StreamReceipt {
        epoch,
        ..receipt(5).remove(0)
    });
    let all = (gateway(), streams.collect());
    parts.receipts.send(all).await.unwrap();
    let mut epochs = Vec::new();
    while epochs.len() < 200 {
        let incoming = message(&mut events).await;
        let receipt = v1::Receipt::decode(incoming.payload.clone()).unwrap();
        client.ack(incoming.ack);
        assert!(receipt.stream.len() <= enroute_wire::limits::RECEIPT_STREAMS_MAX);
        epochs.extend(receipt.stream.iter().map(|stream| stream.epoch));
    }
    assert_eq!(epochs, (1..=200).collect::<Vec<_>>());
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn a_command_waits_for_the_gateway() {
    let bench = Bench::new(None).await;
    let (ingest, stats, parts) = bench.start(bench.config()).await;
    let command = v1::UseTransfer {
        instead_of: "tx-1".to_owned(),
        transfer: "tx-2".to_owned(),
        short_code: "ABC123".to_owned(),
    };
    parts
        .commands
        .send((gateway(), command.clone()))
        .await
        .unwrap();
    until(|| load(&stats.commands) == 1).await;
    let (_client, mut events) = bench.client("late", &["enroute/v1/gw/gw-1/command"]).await;
    let incoming = message(&mut events).await;
    assert!(incoming.retained);
    let received = v1::Command::decode(incoming.payload).unwrap();
    assert_eq!(
        received.command,
        Some(v1::command::Command::UseTransfer(command))
    );
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn notes_wait_for_the_gateway_and_are_taken_back() {
    let bench = Bench::new(None).await;
    let (ingest, stats, parts) = bench.start(bench.config()).await;
    let transfer = TransferId::new("tx-1").unwrap();
    let notes = v1::Notes {
        to_crew: vec![v1::NoteToCrew {
            text: "warm".to_owned(),
            ..v1::NoteToCrew::default()
        }],
        ..v1::Notes::default()
    };
    let say = |notes: v1::Notes| parts.notes.send((gateway(), transfer.clone(), notes));
    say(notes.clone()).await.unwrap();
    until(|| load(&stats.commands) == 1).await;
    let topic = enroute_wire::topics::notes_of(&gateway());
    let (_client, mut events) = bench.client("late", &[&topic]).await;
    let incoming = message(&mut events).await;
    assert!(incoming.retained);
    assert_eq!(incoming.topic, "enroute/v1/gw/gw-1/tx/tx-1/notes");
    assert_eq!(v1::Notes::decode(incoming.payload), Ok(notes));
    say(v1::Notes::default()).await.unwrap();
    assert!(message(&mut events).await.payload.is_empty());
    hang_guard(ingest.stop()).await;
}

#[tokio::test]
async fn without_a_journal_nothing_is_acknowledged() {
    let bench = Bench::new(None).await;
    let (ingest, stats, _parts) = bench.start(bench.config()).await;
    let (client, mut events) = bench.client("gw", &[]).await;
    let Bench {
        journal,
        broker,
        records,
        directory,
        ..
    } = bench;
    drop(records);
    tokio::task::spawn_blocking(move || journal.close())
        .await
        .unwrap()
        .unwrap();
    client
        .publish(Publish::new(LIVE, batch(vec![note(1)]), 1))
        .await
        .unwrap();
    puback(&mut events, 1).await;
    hang_guard(ingest.failed()).await;
    assert!(stats.journal_failed.load(Ordering::Relaxed));
    assert_eq!((load(&stats.in_flight), load(&stats.commits)), (1, 0));
    hang_guard(ingest.stop()).await;
    hang_guard(broker.shutdown()).await;
    drop(directory);
}
