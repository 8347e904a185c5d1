//! An embedded broker, a real journal, and ingest between them.

use bytes::Bytes;
use enroute_broker::{Broker, Limits};
use enroute_ingest::{Admits, Config, Ingest, Parts, Stats};
use enroute_journal::{Append, Class, Journal, Options as JournalOptions, TailItem};
use enroute_model::frame::{Body, CrewEvent, Frame, Header};
use enroute_model::ids::{Epoch, GatewayId, Position, Stream, TransferId};
use enroute_model::record::Entry;
use enroute_model::time::{Clock, EngineTime, GatewayTime, ServerTime, Span};
use enroute_mqtt::{Client, Event, Events, Incoming, Options};
use enroute_wire::{Message, frame, record, v1};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

pub(crate) const LIVE: &str = "enroute/v1/gw/gw-1/tx/tx-1/live";
pub(crate) const HISTORY: &str = "enroute/v1/gw/gw-1/tx/tx-1/history";
pub(crate) const STATUS: &str = "enroute/v1/gw/gw-1/status";

pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn wall(&self) -> i64 {
        1_000_000
    }
    fn monotonic(&self) -> Span {
        Span::from_secs(5)
    }
}

pub(crate) struct Bench {
    pub(crate) broker: Broker,
    pub(crate) journal: Journal,
    pub(crate) records: mpsc::Receiver<Entry>,
    /// Transfers that may have records.
    pub(crate) admits: Admits,
    /// How far engines have come, of which there are none here.
    pub(crate) handled: watch::Sender<Position>,
    pub(crate) directory: tempfile::TempDir,
}

/// A record of the journal with what is around it.
pub(crate) async fn drain(mut tail: enroute_journal::Tail, records: mpsc::Sender<Entry>) {
    while let Some(item) = tail.next().await {
        if let TailItem::Records(stored) = item {
            for stored in stored {
                assert_eq!(stored.received_at, ServerTime(1_000_000));
                let entry = record::decode(&stored.payload).unwrap();
                if records.send(entry).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Bench {
    /// `gate`: a commit happens when so many records wait, and not before.
    pub(crate) async fn new(gate: Option<usize>) -> Self {
        let mut options = JournalOptions::default();
        if let Some(records) = gate {
            options.commit_interval = Duration::from_hours(1);
            options.commit_records_max = records;
        }
        Self::with(options).await
    }

    pub(crate) async fn with(options: JournalOptions) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let limits = Limits::default();
        let broker = Broker::start(enroute_broker::Config { listen, limits });
        let broker = broker.await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (journal, tail) = Journal::open(&directory.path().join("journal"), options).unwrap();
        let (sender, records) = mpsc::channel(10_000);
        tokio::spawn(drain(tail, sender));
        Self {
            broker,
            journal,
            records,
            admits: Admits(Arc::new(|_, _, _| true)),
            handled: watch::Sender::new(Position(u64::MAX)),
            directory,
        }
    }

    pub(crate) fn config(&self) -> Config {
        let port = self.broker.addr().port();
        let data = self.directory.path().to_owned();
        Config::new("127.0.0.1", port, data, EngineTime(7), 99)
    }

    pub(crate) async fn start(&self, config: Config) -> (Ingest, Arc<Stats>, Senders) {
        let stats = Arc::new(Stats::default());
        let (receipts, receipts_in) = mpsc::channel(16);
        let (commands, commands_in) = mpsc::channel(16);
        let (notes, notes_in) = mpsc::channel(16);
        let parts = Parts {
            receipts: receipts_in,
            commands: commands_in,
            admits: self.admits.clone(),
            notes: notes_in,
            handled: self.handled.subscribe(),
        };
        let clock = Arc::new(StoppedClock);
        let ingest = Ingest::start(
            config,
            self.journal.appender(),
            clock,
            parts,
            Arc::clone(&stats),
        );
        let senders = Senders {
            receipts,
            commands,
            notes,
        };
        let ingest = ingest.unwrap();
        until(|| load(&stats.subscribed) == 2).await;
        (ingest, stats, senders)
    }

    pub(crate) async fn client(&self, id: &str, topics: &[&str]) -> (Client, Events) {
        let mut options = Options::new("127.0.0.1", self.broker.addr().port(), id);
        options.packet_bytes_max = 4 << 20;
        options.subscriptions = topics.iter().map(|&topic| topic.to_owned()).collect();
        let (client, mut events) = Client::connect(options);
        loop {
            match next(&mut events).await {
                Event::Connected { .. } if topics.is_empty() => break,
                Event::Subscribed => break,
                _ => {}
            }
        }
        (client, events)
    }

    /// A record that only moves the gate.
    pub(crate) async fn filler(&self) {
        let append = Append {
            class: Class::Vitals,
            transfer: TransferId::new("filler").unwrap(),
            at: EngineTime(0),
            received_at: ServerTime(1_000_000),
            payload: record::of_presence(&gateway(), true),
        };
        drop(self.journal.appender().submit(vec![append]).await.unwrap());
    }

    pub(crate) async fn sequence(&mut self) -> u64 {
        loop {
            let entry = hang_guard(self.records.recv()).await.unwrap();
            if let Entry::Frame { frame, .. } = entry {
                return frame.header.sequence;
            }
        }
    }
}

pub(crate) struct Senders {
    pub(crate) receipts: mpsc::Sender<(GatewayId, Vec<v1::StreamReceipt>)>,
    pub(crate) commands: mpsc::Sender<(GatewayId, v1::UseTransfer)>,
    pub(crate) notes: mpsc::Sender<(GatewayId, TransferId, v1::Notes)>,
}

pub(crate) async fn hang_guard<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .expect("hangs")
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    hang_guard(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) async fn next(events: &mut Events) -> Event {
    hang_guard(events.next()).await.expect("the client ended")
}

pub(crate) async fn puback(events: &mut Events, token: u64) {
    loop {
        match next(events).await {
            Event::Puback { token: answered } if answered == token => return,
            _ => {}
        }
    }
}

pub(crate) async fn message(events: &mut Events) -> Incoming {
    loop {
        if let Event::Publish(incoming) = next(events).await {
            return incoming;
        }
    }
}

pub(crate) fn gateway() -> GatewayId {
    GatewayId::new("gw-1").unwrap()
}

pub(crate) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(crate) fn note(sequence: u64) -> Bytes {
    let header = Header {
        epoch: Epoch(3),
        stream: Stream::Events,
        sequence,
        leg_first: 1,
        captured_at: GatewayTime(77),
        observed_at: None,
        boot: 1,
        monotonic: Span::ZERO,
        clocks: None,
        exercise: true,
    };
    let body = Body::Crew(CrewEvent::Note("pale".to_owned()));
    frame::encode(&Frame { header, body }).into()
}

pub(crate) fn batch(frames: Vec<Bytes>) -> Vec<u8> {
    let sent_at_us = 55;
    let frame = frames;
    v1::Batch {
        frame,
        sent_at_us,
        ..v1::Batch::default()
    }
    .encode_to_vec()
}

pub(crate) fn status(online: bool, transfer: &str) -> Vec<u8> {
    let transfer = transfer.to_owned();
    let status = v1::GatewayStatus {
        online,
        transfer,
        ..Default::default()
    };
    status.encode_to_vec()
}

pub(crate) fn receipt(through: u64) -> Vec<v1::StreamReceipt> {
    vec![v1::StreamReceipt {
        epoch: 3,
        stream: v1::Stream::Events.into(),
        first: 1,
        through,
        above: Vec::new(),
    }]
}
