//! What the wrapper and a broker do together, the same for the embedded broker
//! and for a real Mosquitto with the configuration that we ship.

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

use enroute_mqtt::{Client, Event, Publish, PublishError, Will};
use std::time::Duration;
use support::{Link, Mode, Target, connected, hang_guard, message, next, puback, until_connected};

/// Each behaviour becomes a test against each broker.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        mod embedded { $(
            #[tokio::test]
            async fn $name() {
                let target = super::Target::embedded().await.unwrap();
                super::hang_guard(super::$name(&target)).await;
                super::hang_guard(target.stop()).await;
            }
        )* }
        mod mosquitto { $(
            #[tokio::test]
            async fn $name() {
                let Some(target) = super::Target::mosquitto().await else { return };
                super::hang_guard(super::$name(&target)).await;
                super::hang_guard(target.stop()).await;
            }
        )* }
    };
}

behaviours![
    every_publish_is_answered_and_arrives_in_order,
    a_session_keeps_messages_for_an_absent_subscriber,
    a_clean_start_forgets_the_session,
    a_retained_message_waits_for_subscribers_until_cleared,
    the_will_speaks_for_a_dead_client_only,
    an_expired_message_is_not_delivered,
    nothing_more_comes_until_a_delayed_puback,
    an_old_acknowledgement_does_not_touch_a_new_connection,
    what_was_under_way_is_reported_lost,
    a_packet_above_the_brokers_limit_is_never_sent,
    a_large_publish_passes,
    many_acknowledgements_at_once,
];

fn numbered(topic: &str, number: u64) -> Publish {
    Publish::new(topic, number.to_be_bytes().to_vec(), number)
}

fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload.try_into().unwrap())
}

async fn every_publish_is_answered_and_arrives_in_order(target: &Target) {
    const COUNT: u64 = 1000;
    let mut options = target.options("reader");
    options.subscriptions = vec!["a/+".to_owned()];
    let (reader, mut incoming, _) = connected(options).await;
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    let publisher = writer.clone();
    let publishing = tokio::spawn(async move {
        for n in 0..COUNT {
            publisher.publish(numbered("a/b", n)).await.unwrap();
        }
    });
    let reading = tokio::spawn(async move {
        for n in 0..COUNT {
            let message = message(&mut incoming).await;
            assert_eq!(number(&message.payload), n);
            assert_eq!(message.topic, "a/b");
            reader.ack(message.ack);
        }
    });
    for n in 0..COUNT {
        match next(&mut answers).await {
            Event::Puback { token } => assert_eq!(token, n),
            other => panic!("{other:?}"),
        }
    }
    publishing.await.unwrap();
    reading.await.unwrap();
}

async fn a_session_keeps_messages_for_an_absent_subscriber(target: &Target) {
    let mut options = target.options("history");
    options.clean_start = false;
    options.session_expiry = Duration::from_mins(10);
    options.subscriptions = vec!["h/#".to_owned()];
    let (reader, events, present) = connected(options.clone()).await;
    assert!(!present);
    reader.close().await;
    drop(events);
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    for n in 0..300 {
        writer.publish(numbered("h/x", n)).await.unwrap();
        puback(&mut answers, n).await;
    }
    let (reader, mut events) = Client::connect(options);
    match next(&mut events).await {
        Event::Connected { session_present } => assert!(session_present),
        other => panic!("{other:?}"),
    }
    for n in 0..300 {
        let message = message(&mut events).await;
        assert_eq!(number(&message.payload), n);
        reader.ack(message.ack);
    }
}

async fn a_clean_start_forgets_the_session(target: &Target) {
    let mut options = target.options("reader");
    options.clean_start = false;
    options.session_expiry = Duration::from_mins(10);
    options.subscriptions = vec!["c".to_owned()];
    let (reader, events, _) = connected(options.clone()).await;
    reader.close().await;
    drop(events);
    options.clean_start = true;
    let (_reader, _events, present) = connected(options).await;
    assert!(!present);
}

async fn a_retained_message_waits_for_subscribers_until_cleared(target: &Target) {
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    let mut retained = Publish::new("r/status", "birth", 1);
    retained.retain = true;
    writer.publish(retained).await.unwrap();
    puback(&mut answers, 1).await;

    let mut options = target.options("late");
    options.subscriptions = vec!["r/+".to_owned()];
    let (_late, mut events, _) = connected(options).await;
    let status = message(&mut events).await;
    assert_eq!(
        (&status.payload[..], status.retained),
        (&b"birth"[..], true)
    );

    let mut cleared = Publish::new("r/status", "", 2);
    cleared.retain = true;
    writer.publish(cleared).await.unwrap();
    puback(&mut answers, 2).await;
    let mut options = target.options("later");
    options.subscriptions = vec!["r/+".to_owned()];
    let (_later, mut events, _) = connected(options).await;
    writer
        .publish(Publish::new("r/other", "marker", 3))
        .await
        .unwrap();
    assert_eq!(&message(&mut events).await.payload[..], b"marker");
}

async fn the_will_speaks_for_a_dead_client_only(target: &Target) {
    let mut options = target.options("watcher");
    options.subscriptions = vec!["w/+".to_owned()];
    let (_watcher, mut seen, _) = connected(options).await;
    let gateway = |name: &str| {
        let mut options = target.options(name);
        options.will = Some(Will {
            topic: format!("w/{name}"),
            payload: "gone".into(),
            retain: true,
        });
        options
    };
    let (polite, polite_events, _) = connected(gateway("polite")).await;
    let (_dead, dead_events, _) = connected(gateway("dead")).await;
    polite.close().await;
    drop(polite_events);
    drop(dead_events);
    let will = message(&mut seen).await;
    assert_eq!(
        (will.topic.as_str(), &will.payload[..]),
        ("w/dead", &b"gone"[..])
    );
    let (marker, _answers, _) = connected(target.options("marker")).await;
    marker
        .publish(Publish::new("w/marker", "", 1))
        .await
        .unwrap();
    assert_eq!(message(&mut seen).await.topic, "w/marker");
}

async fn an_expired_message_is_not_delivered(target: &Target) {
    let mut options = target.options("reader");
    options.clean_start = false;
    options.session_expiry = Duration::from_mins(10);
    options.subscriptions = vec!["e".to_owned()];
    let (reader, events, _) = connected(options.clone()).await;
    reader.close().await;
    drop(events);
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    let mut short = Publish::new("e", "short", 1);
    short.message_expiry = Some(Duration::from_secs(1));
    writer.publish(short).await.unwrap();
    writer.publish(Publish::new("e", "long", 2)).await.unwrap();
    puback(&mut answers, 2).await;
    // The broker's own clock has to pass the second: nothing may happen meanwhile.
    let quiet = tokio::time::timeout(Duration::from_millis(2500), answers.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let (_reader, mut events) = Client::connect(options);
    assert_eq!(&message(&mut events).await.payload[..], b"long");
}

async fn nothing_more_comes_until_a_delayed_puback(target: &Target) {
    let mut options = target.options("slow");
    options.subscriptions = vec!["d".to_owned(), "d/marker".to_owned()];
    options.receive_maximum = 3;
    let (slow, mut events, _) = connected(options).await;
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    for n in 0..6 {
        writer.publish(numbered("d", n)).await.unwrap();
        puback(&mut answers, n).await;
    }
    let mut held = Vec::new();
    for n in 0..3 {
        let message = message(&mut events).await;
        assert_eq!(number(&message.payload), n);
        held.push(message.ack);
    }
    // QoS 0 needs no room in the window: it arrives, and nothing before it.
    let mut marker = Publish::new("d/marker", "", 9);
    marker.qos = enroute_mqtt::Qos::AtMostOnce;
    writer.publish(marker).await.unwrap();
    assert_eq!(message(&mut events).await.topic, "d/marker");
    slow.ack_all(held);
    for n in 3..6 {
        assert_eq!(number(&message(&mut events).await.payload), n);
    }
}

async fn an_old_acknowledgement_does_not_touch_a_new_connection(target: &Target) {
    let link = Link::to(target.port()).await;
    let mut options = target.options("reader");
    options.port = link.port;
    options.clean_start = false;
    options.session_expiry = Duration::from_mins(10);
    options.subscriptions = vec!["o".to_owned()];
    let (reader, mut events, _) = connected(options).await;
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    writer.publish(numbered("o", 1)).await.unwrap();
    puback(&mut answers, 1).await;
    let first = message(&mut events).await;

    link.set(Mode::Cut);
    while !matches!(next(&mut events).await, Event::Disconnected { .. }) {}
    link.set(Mode::Open);
    let again = message(&mut events).await;
    assert_eq!(number(&again.payload), 1);
    reader.ack(first.ack);
    // Whatever the old acknowledgement did, it did before this one is through.
    writer.publish(numbered("o", 2)).await.unwrap();
    let second = message(&mut events).await;
    reader.ack(second.ack);
    drop(again);

    link.set(Mode::Cut);
    while !matches!(next(&mut events).await, Event::Disconnected { .. }) {}
    link.set(Mode::Open);
    let still = message(&mut events).await;
    assert_eq!(number(&still.payload), 1, "an old acknowledgement counted");
    reader.ack(still.ack);
}

async fn what_was_under_way_is_reported_lost(target: &Target) {
    let link = Link::to(target.port()).await;
    let mut options = target.options("writer");
    options.port = link.port;
    let (writer, mut events, _) = connected(options).await;
    link.set(Mode::Mute);
    for n in 0..10 {
        writer.publish(numbered("l", n)).await.unwrap();
    }
    link.set(Mode::Cut);
    // Those that the connection never took are reported while there is none.
    let mut lost = Vec::new();
    while lost.len() < 10 {
        match next(&mut events).await {
            Event::Lost { tokens } => lost.extend(tokens),
            Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    lost.sort_unstable();
    assert_eq!(lost, (0..10).collect::<Vec<_>>());
    link.set(Mode::Open);
    until_connected(&mut events, false).await;
    writer.publish(numbered("l", 10)).await.unwrap();
    puback(&mut events, 10).await;
}

async fn a_packet_above_the_brokers_limit_is_never_sent(target: &Target) {
    let mut options = target.options("writer");
    options.packet_bytes_max = 8 << 20;
    let (writer, mut answers, _) = connected(options).await;
    let refused = writer
        .publish(Publish::new("big", vec![0; 2 << 20], 1))
        .await;
    assert_eq!(
        refused,
        Err(PublishError::TooLarge {
            bytes: (2 << 20) + 24,
            limit: (1 << 20) + 4096
        })
    );
    writer.publish(Publish::new("small", "", 2)).await.unwrap();
    puback(&mut answers, 2).await;
}

async fn a_large_publish_passes(target: &Target) {
    let mut options = target.options("reader");
    options.subscriptions = vec!["big".to_owned()];
    let (reader, mut events, _) = connected(options).await;
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    for n in 0..4 {
        writer
            .publish(Publish::new("big", vec![7; 1 << 20], n))
            .await
            .unwrap();
        puback(&mut answers, n).await;
        let large = message(&mut events).await;
        assert_eq!(large.payload.len(), 1 << 20);
        reader.ack(large.ack);
    }
}

async fn many_acknowledgements_at_once(target: &Target) {
    let mut options = target.options("reader");
    options.subscriptions = vec!["m".to_owned()];
    options.receive_maximum = 200;
    let (reader, mut events, _) = connected(options).await;
    let (writer, mut answers, _) = connected(target.options("writer")).await;
    for round in 0..5_u64 {
        for n in 0..200 {
            writer
                .publish(numbered("m", round * 200 + n))
                .await
                .unwrap();
            puback(&mut answers, round * 200 + n).await;
        }
        let mut commit = Vec::new();
        for n in 0..200 {
            let message = message(&mut events).await;
            assert_eq!(number(&message.payload), round * 200 + n);
            commit.push(message.ack);
        }
        reader.ack_all(commit);
    }
}
