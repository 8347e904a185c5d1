//! After an outage the present comes first, however much waits on either side of
//! the broker: real processes, a real Mosquitto.
//!
//! ```text
//!  gw-far ── cut ──┐  hours in its spool
//!  gw-near ────────┼──► Mosquitto ── cut ──► server ──► subscriber
//!  others ─────────┘    a long queue for the server's history session
//! ```
//!
//! First the server's link comes back, with Mosquitto's queue behind it; in the
//! midst of that the link of the vehicle with the full spool. What is asserted is
//! the order; the times are printed. A long run, and one over a thinner link:
//!
//! ```text
//! ENROUTE_BACKLOG_MINUTES=360 ENROUTE_QUEUE_MIB=60 cargo test -p enroute --test lanes -- --nocapture
//! ENROUTE_BACKLOG_MINUTES=360 ENROUTE_LINK_KBIT=1000 cargo test -p enroute --test lanes -- --nocapture
//! ```

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_gateway::config::SpoolConfig;
use enroute_gateway::simulation::{Draft, Spool, Spooled};
use enroute_model::frame::Emission;
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_mqtt::{Client, Event, Options, Publish};
use enroute_simulator::fleet::{self, fleet};
use enroute_simulator::radio::{Cut, LinkState, Plan, Proxy};
use enroute_simulator::source::Detail;
use enroute_tests::mosquitto::Mosquitto;
use enroute_tests::process::Process;
use enroute_tests::stack::Stack;
use enroute_tests::viewer::{Watching, state};
use enroute_wire::topics::Topic;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::v1::{Samples, WatchRequest};
use enroute_wire::{Message, batch, frame, v1};
use std::path::Path;
use tokio::sync::watch;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Vehicles whose history waits in Mosquitto.
const OTHERS: u64 = 8;
/// Bytes of frames in one of their publishes.
const PUBLISH_BYTES: usize = 48 << 10;
/// A history is no longer than that.
const LONGEST_MINUTES: u64 = 24 * 60;
/// Emissions written to a spool with one sync.
const TOGETHER: usize = 4_096;
const DOWN: LinkState = LinkState::Down(Cut::Reset);

/// Microseconds UTC, by the clock of all processes here.
fn now_us() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "when a link is back, to be held against the server's clock"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// What a vehicle on its way for so long has recorded until now, in its spool.
fn record(dir: &Path, number: u64, minutes: u64) -> u64 {
    let mut frames = 0;
    record_until(dir, number, minutes, &mut |written| {
        frames += written.len() as u64;
        true
    });
    frames
}

/// The same as long as `each`, who sees the frames, wants more.
fn record_until(dir: &Path, number: u64, minutes: u64, each: &mut dyn FnMut(&[Spooled]) -> bool) {
    let length = Span::from_secs(i64::try_from(minutes * 60).unwrap());
    let options = fleet::Options {
        seed: number,
        transfers: 2,
        length: Span(length.0 * 2),
        starts_at: ServerTime(0),
    };
    let scenario = fleet(&options).pop().unwrap();
    let began = now_us() - length.0;
    let config = SpoolConfig {
        dir: dir.to_owned(),
        ..SpoolConfig::default()
    };
    let mut spool = Spool::open(&config, None).unwrap();
    let emissions = scenario.legs[0].emissions(Detail::Waveforms);
    let mut emissions = emissions.take_while(|emission| emission.due <= length);
    let draft = |emission: Emission| Draft {
        body: emission.body,
        observed_at: emission.observed_at,
        captured_at: GatewayTime(began + emission.due.0),
        monotonic: emission.due,
        clocks: None,
        exercise: true,
    };
    loop {
        let drafts: Vec<Draft> = emissions.by_ref().take(TOGETHER).map(draft).collect();
        if drafts.is_empty() || !each(&spool.append(&drafts).unwrap().frames) {
            break;
        }
    }
    spool.close().unwrap();
}

/// Compressed publishes of the history lane, at least so many bytes, and one.
fn history(bytes: u64) -> Vec<bytes::Bytes> {
    let dir = tempfile::tempdir().unwrap();
    let (mut waiting, mut size) = (Vec::new(), 0);
    let (mut publishes, mut enough) = (Vec::<bytes::Bytes>::new(), 0);
    record_until(dir.path(), 7, LONGEST_MINUTES, &mut |frames| {
        for frame in frames {
            size += frame.payload.len();
            waiting.push(frame.payload.clone());
            if size >= PUBLISH_BYTES {
                size = 0;
                let batch = v1::Batch {
                    sent_at_us: now_us(),
                    compressed: batch::compress(std::mem::take(&mut waiting)).unwrap(),
                    ..v1::Batch::default()
                };
                let publish = batch.encode_to_vec();
                enough += publish.len() as u64;
                publishes.push(publish.into());
            }
        }
        enough <= bytes
    });
    publishes
}

/// The same history as that of another vehicle.
fn of_other(number: u64, history: &[bytes::Bytes]) -> Vec<Publish> {
    let topic = Topic::Frames {
        gateway: GatewayId::new(&format!("gw-other-{number}")).unwrap(),
        transfer: TransferId::new(&format!("t-other-{number}")).unwrap(),
        lane: Lane::History,
    };
    let topic = topic.to_string();
    let publish = |(token, payload): (u64, &bytes::Bytes)| {
        Publish::new(topic.clone(), payload.clone(), token)
    };
    (1..).zip(history).map(publish).collect()
}

/// Until the broker has all of them.
async fn publish(broker: u16, name: &str, publishes: Vec<Publish>) {
    let (client, mut events) = Client::connect(Options::new("127.0.0.1", broker, name));
    while !matches!(events.next().await, Some(Event::Connected { .. })) {}
    let mut waiting = publishes.len();
    let sending = client.clone();
    let sender = tokio::spawn(async move {
        for publish in publishes {
            sending.publish(publish).await.expect("a connection");
        }
    });
    while waiting > 0 {
        match events.next().await.expect("a broker") {
            Event::Puback { .. } => waiting -= 1,
            Event::Lost { tokens } => panic!("{} publishes lost", tokens.len()),
            _ => {}
        }
    }
    sender.await.unwrap();
    client.close().await;
}

/// A link to the broker that can be cut.
struct Link {
    proxy: Proxy,
    clear: LinkState,
}

impl Link {
    async fn to(broker: u16, clear: LinkState) -> Self {
        let target = format!("127.0.0.1:{broker}");
        let proxy = Proxy::start(&target, Plan::always(clear)).await.unwrap();
        Self { proxy, clear }
    }

    fn port(&self) -> u16 {
        self.proxy.addr().port()
    }

    /// Back again; gives the moment of the first connection that it carries.
    async fn back(&self) -> i64 {
        let mut carried: watch::Receiver<u64> = self.proxy.carried();
        carried.mark_unchanged();
        self.proxy.set(self.clear);
        carried.changed().await.unwrap();
        now_us()
    }
}

fn simulated(stack: &Stack, name: &str, transfer: &str, port: u16) -> Process {
    let lines = format!("transfer = \"{transfer}\"");
    let source = "[source.simulator]\nseed = 3\ncourse = \"sepsis\"\nminutes = 600";
    stack.gateway(name, &lines, source, port)
}

/// A frame as a subscriber was given it.
struct Given {
    samples: Samples,
    captured_us: i64,
    stream: Stream,
    at_us: i64,
}

/// The next frame of a gateway.
async fn next_of(stream: &mut Watching, gateway: &str) -> Given {
    loop {
        let response = stream.next().await.expect("a stream that goes on");
        let at_us = response.server_time_us;
        if let Some(Update::Samples(samples)) = response.update
            && samples.gateway == gateway
        {
            let header = frame::decode_header(&samples.frame).unwrap();
            return Given {
                samples,
                captured_us: header.captured_at.0,
                stream: header.stream,
                at_us,
            };
        }
    }
}

async fn subscribe(stack: &Stack, transfer: &str) -> Watching {
    let request = WatchRequest {
        transfer: vec![transfer.to_owned()],
        samples: true,
        waveforms: false,
        ..WatchRequest::default()
    };
    let mut stream = Watching::start(&stack.address, request).await;
    stream.next().await.expect("a snapshot");
    stream
}

/// Until the server has a frame of this transfer.
async fn known(stack: &Stack, transfer: &str) {
    let mut board = Watching::start(&stack.address, WatchRequest::default()).await;
    while let Some(response) = board.next().await {
        let there = match response.update {
            Some(Update::Snapshot(s)) => s.transfer.iter().any(|t| t.transfer == transfer),
            Some(Update::Transfer(t)) => t.transfer == transfer,
            _ => false,
        };
        if there {
            return;
        }
    }
    panic!("the board ended");
}

/// When the first numerics came that were captured since then, and as the present.
async fn first_now(stream: &mut Watching, gateway: &str, since_us: i64) -> (Given, usize) {
    let mut late = 0;
    loop {
        let given = next_of(stream, gateway).await;
        let numerics = given.stream == Stream::Numerics;
        if numerics && !given.samples.late && given.captured_us >= since_us {
            return (given, late);
        }
        late += usize::from(given.samples.late);
    }
}

fn seconds(us: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "to be read")]
    let seconds = us as f64 / 1e6;
    seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn the_present_comes_before_any_backlog() {
    let minutes = setting("ENROUTE_BACKLOG_MINUTES", 5);
    let queue = setting("ENROUTE_QUEUE_MIB", 1) << 20;
    let rate = setting("ENROUTE_LINK_KBIT", 100_000) * 1_000 / 8;
    let Some(mosquitto) = Mosquitto::start() else {
        return;
    };
    let broker = mosquitto.port();
    // The way there and back keeps history, which waits for an answer, from being
    // as early as the live publish before it.
    let radio = LinkState::Up {
        delay: Span::from_millis(50),
        bytes_per_s: rate,
    };
    let links = [
        Link::to(broker, radio).await,
        Link::to(broker, LinkState::CLEAR).await,
    ];
    let [far, servers] = &links;
    let mut stack = Stack::with_mosquitto(BINARY, mosquitto, servers.port());

    // Everybody is there once, so that Mosquitto keeps the server's history session.
    let waiting = history(queue / OTHERS);
    let mut queues: Vec<_> = (0..OTHERS).map(|n| of_other(n, &waiting)).collect();
    for (number, queue) in queues.iter_mut().enumerate() {
        publish(broker, &format!("other-{number}"), vec![queue.remove(0)]).await;
        known(&stack, &format!("t-other-{number}")).await;
    }
    let vehicle = simulated(&stack, "gw-far", "t-far", far.port());
    let _near = simulated(&stack, "gw-near", "t-near", broker);
    known(&stack, "t-far").await;
    known(&stack, "t-near").await;
    far.proxy.set(DOWN);
    drop(vehicle);
    let spooled = record(&stack.spool("gw-far"), 99, minutes);
    servers.proxy.set(DOWN);
    stack.kill_and_restart_server();
    let _vehicle = simulated(&stack, "gw-far", "t-far", far.port());
    let (mut bytes, mut publishes) = (0, 0);
    for (number, queue) in queues.into_iter().enumerate() {
        bytes += queue.iter().map(|p| p.payload.len()).sum::<usize>();
        publishes += queue.len();
        publish(broker, &format!("other-{number}"), queue).await;
    }

    let mut near_stream = subscribe(&stack, "t-near").await;
    let mut far_stream = subscribe(&stack, "t-far").await;
    let cleared = now_us();
    let server_back = servers.back().await;
    let (given, late) = first_now(&mut near_stream, "gw-near", server_back).await;
    println!(
        "broker to server: {publishes} publishes, {:.1} MB waited in Mosquitto; connected {:.2} s \
         after the link was there; the first present numerics {:.2} s later, {late} late frames before",
        seconds(i64::try_from(bytes).unwrap()),
        seconds(server_back - cleared),
        seconds(given.at_us - server_back)
    );

    let cleared = now_us();
    let back = far.back().await;
    let first = next_of(&mut far_stream, "gw-far").await;
    assert!(!first.samples.late, "history came before the present");
    assert_eq!(first.samples.lane, i32::from(v1::Lane::Live));
    assert!(
        first.captured_us >= server_back,
        "the first frame is {:.1} s older than the connection",
        seconds(back - first.captured_us)
    );
    println!(
        "gateway to broker: {spooled} frames of {minutes} minutes in the spool; connected {:.2} s after the \
         link was there; the first frame {:.2} s later, and it was the present",
        seconds(back - cleared),
        seconds(first.at_us - back)
    );
    drain(&stack, &mut far_stream, back, spooled).await;
}

/// Until everything from before is there; how fast that was.
async fn drain(stack: &Stack, stream: &mut Watching, since: i64, spooled: u64) {
    let mut worst = 0;
    loop {
        let response = stream.next().await.expect("a stream that goes on");
        match response.update {
            Some(Update::Samples(samples)) if !samples.late => {
                let header = frame::decode_header(&samples.frame).unwrap();
                worst = worst.max(response.server_time_us - header.captured_at.0);
            }
            Some(Update::Heartbeat(_)) => {
                let state = state(&stack.address, "t-far").await;
                let streams = state.source.iter().flat_map(|s| &s.completeness);
                let (durable, missing) = streams.fold((0, 0), |(durable, missing), stream| {
                    (durable + stream.durable, missing + stream.missing)
                });
                if durable >= spooled && missing == 0 {
                    let took = seconds(response.server_time_us - since);
                    #[expect(clippy::cast_precision_loss, reason = "to be read")]
                    let rate = spooled as f64 / took;
                    println!(
                        "history followed in {took:.1} s, {rate:.0} frames/s; no present frame came \
                         later than {:.2} s after it was captured",
                        seconds(worst)
                    );
                    return;
                }
            }
            _ => {}
        }
    }
}
