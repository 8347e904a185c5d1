//! A gateway against the embedded broker and a server made by the test, which
//! keeps what it gets and sends receipts when it is told to.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::similar_names,
    clippy::assigning_clones,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod fed;

use enroute_broker::{Broker, Limits};
use enroute_gateway::{Config, Gateway};
use enroute_model::frame::{Body, Emission};
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_model::reading::Reading;
use enroute_mqtt::{Client, Event, Events, Options, Publish};
use enroute_simulator::radio::{Cut, LinkState, Plan, Proxy};
use enroute_wire::frame::{decode, stream_to};
use enroute_wire::topics::{ALL_HISTORY, ALL_LIVE, ALL_STATUS, Topic};
use enroute_wire::{Message, v1};
use fed::{Fed, TestClock, emission};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const HANG: Duration = Duration::from_mins(1);

async fn broker(listen: &str) -> Broker {
    let listen = listen.parse().unwrap();
    let limits = Limits::default();
    Broker::start(enroute_broker::Config { listen, limits })
        .await
        .unwrap()
}

fn gateway_id() -> GatewayId {
    GatewayId::new("gw-1").unwrap()
}

fn config(broker: SocketAddr, dir: &Path) -> Config {
    let mut config = Config::new(gateway_id());
    config.broker.host = broker.ip().to_string();
    config.broker.port = broker.port();
    config.spool.dir = dir.to_owned();
    config.page.listen = None;
    // Link reports would only blur the counts.
    config.uplink.link_report_s = 0;
    config.uplink.resend_ms = 100_000;
    config
}

async fn start(config: Config) -> (Gateway, SyncSender<Emission>) {
    let (feed, fed) = sync_channel(1_000);
    let clock = Arc::new(TestClock(Instant::now()));
    let gateway = Gateway::start(config, Box::new(Fed(fed)), clock)
        .await
        .unwrap();
    (gateway, feed)
}

type Identity = (u64, Stream, u64);

/// One arrival of one frame.
#[derive(Clone, Debug, PartialEq)]
struct Arrival {
    id: Identity,
    lane: Lane,
    transfer: TransferId,
    bytes: Vec<u8>,
    sent_at_us: i64,
}

struct Server {
    client: Client,
    events: Events,
    arrivals: Vec<Arrival>,
    statuses: Vec<v1::GatewayStatus>,
    journal: u64,
}

impl Server {
    async fn start(broker: SocketAddr) -> Self {
        let mut options = Options::new(&broker.ip().to_string(), broker.port(), "server");
        options.subscriptions = [ALL_LIVE, ALL_HISTORY, ALL_STATUS]
            .map(str::to_owned)
            .to_vec();
        let (client, events) = Client::connect(options);
        let mut server = Self {
            client,
            events,
            arrivals: Vec::new(),
            statuses: Vec::new(),
            journal: 1,
        };
        server.until_subscribed().await;
        server
    }

    async fn until_subscribed(&mut self) {
        while !matches!(self.step().await, Event::Subscribed) {}
    }

    async fn step(&mut self) -> Event {
        let event = timeout(HANG, self.events.next())
            .await
            .expect("something happens")
            .unwrap();
        let Event::Publish(incoming) = event else {
            return event;
        };
        match Topic::parse(&incoming.topic).unwrap() {
            Topic::Frames { transfer, lane, .. } => {
                let batch = v1::Batch::decode(incoming.payload).unwrap();
                let frames = match lane {
                    Lane::Live => batch.frame,
                    Lane::History => enroute_wire::batch::open(&batch.compressed).unwrap(),
                };
                for bytes in frames {
                    let header = decode(&bytes).unwrap().header;
                    assert!(header.exercise);
                    self.arrivals.push(Arrival {
                        id: (header.epoch.0, header.stream, header.sequence),
                        lane,
                        transfer: transfer.clone(),
                        bytes: bytes.to_vec(),
                        sent_at_us: batch.sent_at_us,
                    });
                }
            }
            Topic::Status(_) => {
                self.statuses
                    .push(v1::GatewayStatus::decode(incoming.payload).unwrap());
            }
            other => panic!("{other}"),
        }
        self.client.ack(incoming.ack);
        Event::Subscribed
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.step().await;
        }
    }

    fn distinct(&self) -> BTreeMap<Identity, Vec<u8>> {
        let mut all = BTreeMap::new();
        for arrival in &self.arrivals {
            let before = all.insert(arrival.id, arrival.bytes.clone());
            assert!(
                before.is_none_or(|b| b == arrival.bytes),
                "one identity, two contents"
            );
        }
        all
    }

    /// The values in all frames, once each, in the order of their numbers.
    fn values(&self) -> Vec<i64> {
        let value = |bytes: &Vec<u8>| match decode(bytes).unwrap().body {
            Body::Numerics(numerics) => match numerics[0].reading {
                Reading::Value { value, .. } => value.mantissa(),
                Reading::None(_) => panic!("no value"),
            },
            _ => -1,
        };
        self.distinct().values().map(value).collect()
    }

    /// A receipt for all that arrived.
    async fn receipt(&self) {
        let mut durable: BTreeMap<(u64, Stream), RangeSet> = BTreeMap::new();
        for (epoch, stream, sequence) in self.distinct().into_keys() {
            durable
                .entry((epoch, stream))
                .or_default()
                .insert(sequence, sequence);
        }
        let part = |((epoch, stream), set): (&(u64, Stream), &RangeSet)| v1::StreamReceipt {
            epoch: *epoch,
            stream: stream_to(*stream).into(),
            first: 1,
            through: set.through(1),
            above: set
                .iter()
                .filter(|(first, _)| *first > 1)
                .map(|(first, last)| v1::Range { first, last })
                .collect(),
        };
        let stated = self.arrivals.iter().rev().map(|a| a.sent_at_us);
        let sent_at = stated
            .into_iter()
            .find(|sent_at| *sent_at != 0)
            .unwrap_or(0);
        let receipt = v1::Receipt {
            journal: self.journal,
            stream: durable.iter().map(part).collect(),
            echo_sent_at_us: sent_at,
            // This server's clock is an hour behind.
            received_at_us: sent_at - 3_600_000_000,
            receipt_sent_at_us: sent_at - 3_600_000_000,
            full: false,
        };
        self.send(Topic::Receipt(gateway_id()), receipt.encode_to_vec(), false)
            .await;
    }

    async fn send(&self, topic: Topic, payload: Vec<u8>, retain: bool) {
        let publish = Publish {
            retain,
            ..Publish::new(topic.to_string(), payload, 0)
        };
        self.client.publish(publish).await.unwrap();
    }
}

#[tokio::test]
async fn a_frame_stays_until_a_receipt_covers_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    for value in 1..=5 {
        feed.send(emission(value)).unwrap();
    }
    server.until(|s| s.values() == [1, 2, 3, 4, 5]).await;
    assert!(server.arrivals.iter().any(|a| a.lane == Lane::Live));
    assert_eq!(gateway.unconfirmed_frames(), 5, "no PUBACK frees anything");
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    assert_eq!(gateway.stats().freed.get(), 5);
    // The next frame states the offset: our clock is an hour ahead.
    feed.send(emission(6)).unwrap();
    server.until(|s| s.values().len() == 6).await;
    let last = decode(server.distinct().values().last().unwrap()).unwrap();
    let offset = last.header.clocks.unwrap().gateway.unwrap();
    assert!(
        (offset.offset.0 - 3_600_000_000).abs() <= offset.uncertainty.0,
        "{offset:?}"
    );
    server.receipt().await;
    drop(feed);
    let left = gateway.shutdown(HANG).await;
    assert_eq!(left.unconfirmed_frames, 0);
    server
        .until(|s| s.statuses.last().is_some_and(|s| !s.online))
        .await;
}

#[tokio::test]
async fn a_new_connection_is_told_what_was_produced() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let mut config = config(broker.addr(), dir.path());
    let (gateway, feed) = start(config.clone()).await;
    feed.send(emission(1)).unwrap();
    server.until(|s| s.values() == [1]).await;
    drop(feed);
    gateway.cut_power().await;
    // The next one would come in a day.
    config.uplink.link_report_s = 86_400;
    let (gateway, feed) = start(config).await;
    let report = |s: &Server| {
        s.arrivals
            .iter()
            .find_map(|a| match decode(&a.bytes).unwrap().body {
                Body::Link(report) => Some((a.id.0, report)),
                _ => None,
            })
    };
    server.until(|s| report(s).is_some()).await;
    let (epoch, report) = report(&server).unwrap();
    let streams: Vec<_> = report
        .streams
        .iter()
        .map(|s| (s.epoch.0 == epoch, s.stream, s.produced, s.leg_first))
        .collect();
    let now = Stream::ALL.map(|stream| (true, stream, 0, Some(1)));
    assert_eq!(streams[..3], now);
    assert_eq!(streams[3..], [(false, Stream::Numerics, 1, Some(1))]);
    drop((feed, gateway));
}

#[tokio::test]
async fn what_no_receipt_covers_is_sent_again_by_history() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let mut config = config(broker.addr(), dir.path());
    config.uplink.resend_ms = 50;
    let (gateway, feed) = start(config).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    feed.send(emission(2)).unwrap();
    // Two receipts are lost.
    let again = |s: &Server| {
        s.arrivals
            .iter()
            .filter(|a| a.lane == Lane::History)
            .count()
            >= 4
    };
    server.until(again).await;
    assert_eq!(server.values(), [1, 2]);
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    drop(feed);
}

#[tokio::test]
async fn now_comes_before_the_backlog_when_the_broker_returns() {
    let dir = tempfile::tempdir().unwrap();
    let first = broker("127.0.0.1:0").await;
    let addr = first.addr();
    let mut server = Server::start(addr).await;
    let mut config = config(addr, dir.path());
    // The backlog takes several receipts.
    config.uplink.unconfirmed_bytes_max = 4_000;
    // What the new broker took before the server had subscribed went to nobody.
    config.uplink.resend_ms = 1_000;
    let (gateway, feed) = start(config).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    let named = |s: &Server| s.statuses.last().is_some_and(|s| !s.transfer.is_empty());
    server.until(|s| s.values() == [1] && named(s)).await;
    // The broker dies with all it knew.
    first.shutdown().await;
    for value in 2..=900 {
        feed.send(emission(value)).unwrap();
    }
    while gateway.unconfirmed_frames() < 900 {
        tokio::task::yield_now().await;
    }
    let second = broker(&addr.to_string()).await;
    server.statuses.clear();
    server.until_subscribed().await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(901)).unwrap();
    let newest = |s: &Server| {
        s.arrivals
            .iter()
            .any(|a| a.lane == Lane::Live && a.id.2 == 901)
    };
    server.until(newest).await;
    assert!(
        server.distinct().len() < 900,
        "the newest did not wait for the backlog"
    );
    while server.distinct().len() < 901 {
        // First the receipt: history may already be waiting for it.
        server.receipt().await;
        // Not for the answer to the receipt, or a flood of them keeps the gateway busy.
        let before = server.arrivals.len();
        server.until(|s| s.arrivals.len() > before).await;
    }
    server.receipt().await;
    assert_eq!(server.values(), (1..=901).collect::<Vec<_>>());
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    drop(feed);
    gateway.shutdown(HANG).await;
    second.shutdown().await;
}

#[tokio::test]
async fn after_an_outage_the_newest_frame_is_the_first_to_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let plan = Plan::always(LinkState::CLEAR);
    let radio = Proxy::start(&broker.addr().to_string(), plan)
        .await
        .unwrap();
    let mut config = config(radio.addr(), dir.path());
    // However slow this machine is, the newest counts as new.
    config.uplink.live_expiry_s = 3_600;
    let (gateway, feed) = start(config).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    server.until(|s| s.values() == [1]).await;
    radio.set(LinkState::Down(Cut::Reset));
    for value in 2..=900 {
        feed.send(emission(value)).unwrap();
    }
    while gateway.unconfirmed_frames() < 900 {
        tokio::task::yield_now().await;
    }
    let seen = server.arrivals.len();
    radio.set(LinkState::CLEAR);
    server.until(|s| s.arrivals.len() > seen).await;
    let first = &server.arrivals[seen];
    assert_eq!((first.lane, first.id.2), (Lane::Live, 900));
    server.until(|s| s.distinct().len() == 900).await;
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    drop((feed, gateway));
}

#[tokio::test]
async fn a_power_cut_loses_nothing_and_begins_a_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    feed.send(emission(2)).unwrap();
    server.until(|s| s.values() == [1, 2]).await;
    let transfer = gateway.transfer();
    drop(feed);
    gateway.cut_power().await;
    server
        .until(|s| s.statuses.last().is_some_and(|s| !s.online))
        .await;
    server.arrivals.clear();
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    feed.send(emission(3)).unwrap();
    server.until(|s| s.distinct().len() == 3).await;
    let mut values = server.values();
    values.sort_unstable();
    assert_eq!(values, [1, 2, 3]);
    let epochs: std::collections::BTreeSet<u64> = server.distinct().keys().map(|id| id.0).collect();
    assert_eq!(epochs.len(), 2);
    assert!(
        server
            .arrivals
            .iter()
            .all(|a| Some(&a.transfer) == transfer.as_ref())
    );
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    drop(feed);
    gateway.shutdown(HANG).await;
    // After a clean end, the same epoch goes on.
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    feed.send(emission(4)).unwrap();
    server.until(|s| s.distinct().len() == 4).await;
    let ids: Vec<Identity> = server.distinct().into_keys().collect();
    assert!(
        ids.iter().any(|id| epochs.contains(&id.0) && id.2 == 2),
        "{ids:?}"
    );
    drop((feed, gateway));
}

#[tokio::test]
async fn another_journal_is_sent_everything_again() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    server.until(|s| s.values() == [1]).await;
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    feed.send(emission(2)).unwrap();
    server.until(|s| s.values() == [1, 2]).await;
    // The server was restored without the second frame: it asks for nothing by
    // name, its receipts only come from another journal.
    server.journal = 2;
    server.arrivals.retain(|a| a.id.2 == 1);
    server.receipt().await;
    server
        .until(|s| {
            s.arrivals
                .iter()
                .any(|a| a.id.2 == 2 && a.lane == Lane::History)
        })
        .await;
    drop((feed, gateway));
}

#[tokio::test]
async fn a_restored_server_is_sent_again_what_it_had_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    for value in 1..=3 {
        feed.send(emission(value)).unwrap();
    }
    server.until(|s| s.values() == [1, 2, 3]).await;
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    let before = server.distinct();
    // It comes back from a copy that is older than its receipt.
    server.journal = 2;
    server.arrivals.retain(|a| a.id.2 == 1);
    server.receipt().await;
    server.until(|s| s.distinct().len() == 3).await;
    assert_eq!(server.distinct(), before, "the same frames, byte for byte");
    let again = server.arrivals.iter().filter(|a| a.id.2 > 1);
    assert!(again.clone().all(|a| a.lane == Lane::History));
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    drop((feed, gateway));
}

#[tokio::test]
async fn a_receipt_that_says_nothing_sends_nothing_again() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    server.until(|s| s.values() == [1]).await;
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    for value in 2..=4 {
        feed.send(emission(value)).unwrap();
    }
    server.until(|s| s.values().len() == 4).await;
    // Rubbish: as an empty message reads, and without any stream of another journal.
    let other = v1::Receipt {
        journal: 7,
        ..v1::Receipt::default()
    };
    for payload in [Vec::new(), other.encode_to_vec(), vec![0xff; 9]] {
        server
            .send(Topic::Receipt(gateway_id()), payload, false)
            .await;
    }
    feed.send(emission(5)).unwrap();
    server.until(|s| s.values().len() == 5).await;
    server.receipt().await;
    timeout(HANG, gateway.all_confirmed()).await.unwrap();
    assert_eq!(gateway.stats().published_history.get(), 0);
    drop(feed);
}

#[tokio::test]
async fn a_command_moves_the_leg_to_another_transfer() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker("127.0.0.1:0").await;
    let mut server = Server::start(broker.addr()).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    server.until(|s| s.statuses.iter().any(|s| s.online)).await;
    feed.send(emission(1)).unwrap();
    server.until(|s| s.values() == [1]).await;
    let own = gateway.transfer().unwrap();
    let command = |instead_of: &str, transfer: &str| {
        let command = v1::command::Command::UseTransfer(v1::UseTransfer {
            instead_of: instead_of.to_owned(),
            transfer: transfer.to_owned(),
            short_code: String::new(),
        });
        let command = Some(command);
        v1::Command { command }.encode_to_vec()
    };
    let topic = || Topic::Command(gateway_id());
    server.send(topic(), vec![0xff, 0xff], false).await;
    server
        .send(topic(), command("someone-else", "wrong"), false)
        .await;
    server
        .send(topic(), command(own.as_str(), "joined"), true)
        .await;
    server
        .until(|s| s.statuses.last().is_some_and(|s| s.transfer == "joined"))
        .await;
    assert_eq!(gateway.transfer().unwrap().as_str(), "joined");
    feed.send(emission(2)).unwrap();
    server.until(|s| s.values() == [1, 2]).await;
    assert_eq!(server.arrivals.last().unwrap().transfer.as_str(), "joined");
    assert_eq!(
        decode(&server.arrivals.last().unwrap().bytes)
            .unwrap()
            .header
            .leg_first,
        1
    );
    // It outlives a restart, though the command is still retained.
    drop(feed);
    gateway.shutdown(Duration::ZERO).await;
    let (gateway, feed) = start(config(broker.addr(), dir.path())).await;
    assert_eq!(gateway.transfer().unwrap().as_str(), "joined");
    drop((feed, gateway));
}
