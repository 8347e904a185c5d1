//! What the wrapper does with a peer that misbehaves. Paused time: the watchdog
//! takes no time to test.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use enroute_mqtt::{Client, Event, Options, Publish, PublishError};
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// CONNACK: no session, success, no properties.
const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];

async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut connect = vec![0; 1024];
    assert!(peer.read(&mut connect).await.unwrap() > 0);
    peer.write_all(&CONNACK).await.unwrap();
    peer
}

async fn listener() -> (TcpListener, Options) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Options::new("127.0.0.1", port, "client"))
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_left_after_twice_the_keep_alive() {
    let (listener, options) = listener().await;
    let (client, mut events) = Client::connect(options);
    let deaf = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    let started = Instant::now();
    // More than both socket buffers hold, so that a write blocks.
    for token in 0..40 {
        client
            .publish(Publish::new("t", vec![0; 1 << 20], token))
            .await
            .unwrap();
    }
    let Some(Event::Lost { tokens }) = events.next().await else {
        panic!("nothing lost")
    };
    assert!(!tokens.is_empty());
    loop {
        match events.next().await {
            Some(Event::Disconnected { reason }) => {
                assert!(reason.contains("keep-alive"), "{reason}");
                break;
            }
            Some(Event::Lost { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let seconds = started.elapsed().as_secs();
    assert!((10..=11).contains(&seconds), "{seconds} s");
    drop(deaf);
    let _again = accept(&listener).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_pings_is_left() {
    let (listener, options) = listener().await;
    let (_client, mut events) = Client::connect(options);
    let _silent = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    assert!(matches!(
        events.next().await,
        Some(Event::Disconnected { .. })
    ));
    let _again = accept(&listener).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_rubbish_is_left() {
    let (listener, options) = listener().await;
    let (_client, mut events) = Client::connect(options);
    let mut rubbish = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    rubbish.write_all(&[0xff; 64]).await.unwrap();
    assert!(matches!(
        events.next().await,
        Some(Event::Disconnected { .. })
    ));
    let _again = accept(&listener).await;
}

/// Bytes that are not acknowledged end the reading and not the connection: pings go on,
/// and nobody misses answers that are not read.
#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_is_bounded_and_the_connection_stands() {
    const MANY: u8 = 200;
    let (listener, mut options) = listener().await;
    options.unacked_bytes_max = 8_000;
    let (client, mut events) = Client::connect(options);
    let mut peer = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    for id in 1..=MANY {
        // PUBLISH, QoS 1, remaining length 1,006, topic "t", no properties.
        let head = [0x32, 0xee, 0x07, 0, 1, b't', 0, id, 0];
        peer.write_all(&head).await.unwrap();
        peer.write_all(&[7; 1_000]).await.unwrap();
    }
    let mut waiting = Vec::new();
    while waiting.len() < 8 {
        match events.next().await {
            Some(Event::Publish(incoming)) => waiting.push(incoming.ack),
            other => panic!("{other:?}"),
        }
    }
    for _ in 0..4 {
        let mut ping = [0; 2];
        peer.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0xc0, 0]);
    }
    while let Some(event) = events.try_next() {
        match event {
            Event::Publish(incoming) => waiting.push(incoming.ack),
            other => panic!("{other:?}"),
        }
    }
    // What a read had brought before.
    assert!(waiting.len() < 100, "{} were read", waiting.len());
    let mut read = waiting.len();
    client.ack_all(waiting);
    while read < usize::from(MANY) {
        match events.next().await {
            Some(Event::Publish(incoming)) => client.ack(incoming.ack),
            other => panic!("{other:?} after {read}"),
        }
        read += 1;
    }
}

/// As Mosquitto does with a session that it resumes: each is read, and acknowledged
/// over the connection that brought it.
#[tokio::test]
async fn a_peer_that_sends_many_more_than_were_allowed_is_kept() {
    const MANY: u16 = 3_000;
    let (listener, mut options) = listener().await;
    options.receive_maximum = 2;
    let (client, mut events) = Client::connect(options);
    let mut peer = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    for id in 1..=MANY {
        let [high, low] = id.to_be_bytes();
        // PUBLISH, QoS 1, remaining length 6, topic "t", no properties, no payload.
        let publish = [0x32, 6, 0, 1, b't', high, low, 0];
        peer.write_all(&publish).await.unwrap();
    }
    for id in 1..=MANY {
        let Some(Event::Publish(incoming)) = events.next().await else {
            panic!("left after {id}")
        };
        client.ack(incoming.ack);
    }
    // PUBACK, with the least that there may be in it.
    let mut acknowledged = Vec::new();
    while acknowledged.len() < usize::from(MANY) {
        let mut head = [0; 2];
        peer.read_exact(&mut head).await.unwrap();
        let mut rest = vec![0; usize::from(head[1])];
        peer.read_exact(&mut rest).await.unwrap();
        if head[0] == 0x40 {
            acknowledged.push(u16::from_be_bytes([rest[0], rest[1]]));
        }
    }
    assert!(acknowledged.into_iter().eq(1..=MANY));
}

#[tokio::test(start_paused = true)]
async fn the_window_is_kept_and_the_rest_waits() {
    let (listener, mut options) = listener().await;
    options.inflight = 4;
    options.queue = 8;
    let (client, mut events) = Client::connect(options);
    let mut peer = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    for token in 0..5 {
        client.publish(Publish::new("t", "", token)).await.unwrap();
    }
    // PUBLISH with an empty payload: 1 + 1 + topic 3 + id 2 + properties 1.
    let mut packet = [0; 8];
    for id in 1..=4 {
        peer.read_exact(&mut packet).await.unwrap();
        assert_eq!(packet[6], id);
    }
    let waits = tokio::time::timeout(std::time::Duration::from_secs(1), peer.read(&mut packet));
    assert!(waits.await.is_err(), "the fifth was sent too");
    peer.write_all(&[0x40, 2, 0, 1]).await.unwrap();
    assert!(matches!(
        events.next().await,
        Some(Event::Puback { token: 0 })
    ));
    peer.read_exact(&mut packet).await.unwrap();
    // Refused by the broker: quota exceeded (0x97).
    peer.write_all(&[0x40, 4, 0, 2, 0x97, 0]).await.unwrap();
    match events.next().await {
        Some(Event::Refused { token: 1, reason }) => assert_eq!(reason, "quota exceeded"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_at_once() {
    let (listener, options) = listener().await;
    let (client, mut events) = Client::connect(options);
    let publish = |topic: &str| Publish::new(topic, "", 1);
    assert_eq!(
        client.try_publish(publish("t")),
        Err(PublishError::NotConnected)
    );
    let _peer = accept(&listener).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    for bad in ["", "a/+", "#", "a\0b"] {
        assert_eq!(client.try_publish(publish(bad)), Err(PublishError::Topic));
    }
    client.close().await;
    assert_eq!(client.try_publish(publish("t")), Err(PublishError::Closed));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn connecting_goes_on_until_there_is_a_broker() {
    let (listener, options) = listener().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_client, mut events) = Client::connect(options);
    for _ in 0..3 {
        assert!(matches!(
            events.next().await,
            Some(Event::Disconnected { .. })
        ));
    }
    let listener = TcpListener::bind(address).await.unwrap();
    let _peer = accept(&listener).await;
    while !matches!(events.next().await, Some(Event::Connected { .. })) {}
}
