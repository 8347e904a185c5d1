//! The two connections to the broker.
//!
//! Live publishes each batch as it is recorded, or leaves it to history: it has
//! no queue. History publishes everything spooled that is neither covered by a
//! receipt nor on its way, within two bounds of bytes. Receipts and commands
//! come over the live connection, so history waits while that one is down: now
//! comes first.
//!
//! One task; the spool is read on threads that may block. Bounded: batches from
//! the desk 64 (the desk waits), live publishes without a PUBACK
//! [`LIVE_FLIGHTS_MAX`], history by the bytes of the configuration.

mod clocks;
mod sent;

use crate::config::{Config, UplinkConfig};
use crate::desk::Desk;
use crate::spool::{Picked, Spooled, StreamLife, Wanted};
use clocks::{Exchange, ServerClock};
use enroute_model::frame::ClockOffsets;
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_mqtt::{Client, Event, Events, Options, Publish, PublishError, Will};
use enroute_wire::limits::{RECEIPT_RANGES_MAX, RECEIPT_STREAMS_MAX};
use enroute_wire::topics::Topic;
use enroute_wire::{Message, v1};
use sent::Sent;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Live publishes under way; what comes beyond goes by history.
const LIVE_FLIGHTS_MAX: usize = 32;
/// History publishes under way.
const HISTORY_FLIGHTS_MAX: usize = 32;
/// Bytes of frames in one history publish.
const HISTORY_BATCH_BYTES: usize = 16 * 1024;
/// Frames in one history publish.
const HISTORY_BATCH_FRAMES: usize = 256;

/// How the uplink is told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until told otherwise.
    #[default]
    Run,
    /// Nothing more is recorded: whatever is spooled may go by history.
    Drain,
    /// Say goodbye and end.
    Stop,
}

/// What the loop waits for.
enum Input {
    Appended(Option<Vec<Spooled>>),
    Live(Option<Event>),
    History(Option<Event>),
    Expiry,
    Fill,
    Status,
    Phase(Phase),
}

/// What the broker was told of us on this connection.
#[derive(PartialEq, Eq)]
enum Announced {
    Nothing,
    Transfer(Option<TransferId>),
}

pub(crate) struct Uplink {
    gateway: GatewayId,
    config: UplinkConfig,
    exercise: bool,
    /// A longer silence of the server breaks "receiving since".
    within: Span,
    started_at: GatewayTime,
    desk: Arc<Desk>,
    appended: mpsc::Receiver<Vec<Spooled>>,
    phase: watch::Receiver<Phase>,
    live: Client,
    live_events: Events,
    history: Client,
    history_events: Events,
    sent: Sent,
    /// In this life of the spool: what live has had its chance with.
    through: BTreeMap<Stream, u64>,
    tokens: u64,
    history_up: bool,
    /// Nothing is left for history until something changes.
    exhausted: bool,
    clock: ServerClock,
    journal: Option<u64>,
    /// The transfer in the last status message.
    announced: Announced,
}

impl Uplink {
    pub(crate) fn new(
        config: &Config,
        desk: Arc<Desk>,
        appended: mpsc::Receiver<Vec<Spooled>>,
        phase: watch::Receiver<Phase>,
        through: BTreeMap<Stream, u64>,
        exercise: bool,
    ) -> Self {
        let started_at = desk.wall();
        let (live, live_events) = Client::connect(live_options(config, exercise, started_at));
        let (history, history_events) = Client::connect(options(config, "history"));
        Self {
            gateway: config.id.clone(),
            sent: Sent::new(Duration::from_millis(config.uplink.resend_ms.into())),
            config: config.uplink.clone(),
            exercise,
            within: Span::from_secs(config.page.receiving_within_s.into()),
            started_at,
            desk,
            appended,
            phase,
            live,
            live_events,
            history,
            history_events,
            through,
            tokens: 0,
            history_up: false,
            exhausted: false,
            clock: ServerClock::default(),
            journal: None,
            announced: Announced::Nothing,
        }
    }

    /// Until told to stop.
    pub(crate) async fn run(mut self) {
        let mut status = self.desk.status();
        loop {
            match self.input(&mut status).await {
                Input::Appended(Some(frames)) => self.publish_live(&frames),
                Input::Live(Some(event)) => self.on_live(event).await,
                Input::History(Some(event)) => self.on_history(event),
                Input::Expiry => self.exhausted &= !self.sent.expire(Instant::now()),
                Input::Fill => self.fill().await,
                Input::Status => self.announce(),
                // An end of events or frames means that the gateway is being dropped.
                Input::Phase(Phase::Run) => {}
                Input::Phase(Phase::Drain) => self.drain(),
                Input::Phase(Phase::Stop)
                | Input::Appended(None)
                | Input::Live(None)
                | Input::History(None) => break,
            }
        }
        self.say_goodbye().await;
    }

    async fn input(&mut self, status: &mut watch::Receiver<crate::desk::Status>) -> Input {
        let fill = self.may_fill();
        let expiry = self.sent.next_expiry();
        tokio::select! {
            biased;
            Ok(()) = self.phase.changed() => Input::Phase(*self.phase.borrow_and_update()),
            frames = self.appended.recv() => Input::Appended(frames),
            event = self.live_events.next() => Input::Live(event),
            event = self.history_events.next() => Input::History(event),
            () = at(expiry) => Input::Expiry,
            Ok(()) = status.changed() => Input::Status,
            () = std::future::ready(()), if fill => Input::Fill,
        }
    }

    /// A batch whose hand-over was cut short is on disk all the same.
    fn drain(&mut self) {
        self.through = Stream::ALL.map(|stream| (stream, u64::MAX)).into();
        self.exhausted = false;
    }

    fn token(&mut self) -> u64 {
        self.tokens = self.tokens.wrapping_add(1);
        self.tokens
    }

    fn topic(&self, transfer: TransferId, lane: Lane) -> String {
        let gateway = self.gateway.clone();
        let topic = Topic::Frames {
            gateway,
            transfer,
            lane,
        };
        topic.to_string()
    }

    /// One publish of what was recorded together; what cannot go now goes by history.
    fn publish_live(&mut self, frames: &[Spooled]) {
        for frame in frames {
            self.through.insert(frame.life.1, frame.sequence);
        }
        self.exhausted = false;
        let Some(first) = frames.first() else { return };
        let (flights, _) = self.sent.unacknowledged(Lane::Live);
        if flights >= LIVE_FLIGHTS_MAX || !self.desk.status().borrow().connected {
            return;
        }
        let payloads: Vec<_> = frames.iter().map(|f| f.payload.clone()).collect();
        let numbers = frames.iter().map(|f| (f.life, f.sequence)).collect();
        let expiry = Duration::from_secs(self.config.live_expiry_s.into());
        let topic = self.topic(first.transfer.clone(), Lane::Live);
        self.publish(Lane::Live, topic, payloads, numbers, Some(expiry));
    }

    /// Publishes without waiting; true if it is on its way.
    fn publish(
        &mut self,
        lane: Lane,
        topic: String,
        frame: Vec<bytes::Bytes>,
        numbers: Vec<(StreamLife, u64)>,
        message_expiry: Option<Duration>,
    ) -> bool {
        let count = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let sent_at_us = self.desk.wall().0;
        let batch = v1::Batch {
            frame,
            sent_at_us,
            ..v1::Batch::default()
        };
        let payload = batch.encode_to_vec();
        let (bytes, token) = (payload.len(), self.token());
        let publish = Publish {
            message_expiry,
            ..Publish::new(topic, payload, token)
        };
        let client = if lane == Lane::Live {
            &self.live
        } else {
            &self.history
        };
        match client.try_publish(publish) {
            Ok(()) => {}
            Err(PublishError::TooLarge { .. }) if lane == Lane::Live => return false,
            Err(error @ PublishError::TooLarge { .. }) => {
                // The broker's limit is below the contract's: waiting, and saying
                // so, is all that can be done.
                tracing::error!(%error, "the broker refuses the size of a frame");
                self.sent.add(token, lane, numbers, bytes, Instant::now());
                return false;
            }
            Err(error) => {
                tracing::debug!(%error, ?lane, "not published now");
                return false;
            }
        }
        self.sent.add(token, lane, numbers, bytes, Instant::now());
        let stats = &self.desk.stats;
        stats.publishes.add(1);
        stats.published_bytes.add(u64::try_from(bytes).unwrap_or(0));
        match lane {
            Lane::Live => stats.published_live.add(count),
            Lane::History => stats.published_history.add(count),
        }
        true
    }

    fn may_fill(&self) -> bool {
        let (flights, bytes) = self.sent.unacknowledged(Lane::History);
        self.history_up
            && !self.exhausted
            && self.desk.status().borrow().connected
            && flights < HISTORY_FLIGHTS_MAX
            && bytes < self.config.unacknowledged_bytes_max.max(1)
            && self.sent.unconfirmed_bytes(Lane::History) < self.config.unconfirmed_bytes_max.max(1)
    }

    /// One publish of history.
    async fn fill(&mut self) {
        let wanted = Wanted {
            order: self.config.history_order,
            sent: self.sent.numbers(),
            through: self.through.clone(),
            bytes_max: HISTORY_BATCH_BYTES,
            frames_max: HISTORY_BATCH_FRAMES,
        };
        let picked = self.desk.spool(move |spool| spool.pick(&wanted)).await;
        let Ok(Some(picked)) = picked else {
            self.exhausted = true;
            return;
        };
        let Picked {
            life,
            transfer,
            frames,
        } = picked;
        let topic = self.topic(transfer, Lane::History);
        let numbers = frames.iter().map(|(number, _)| (life, *number)).collect();
        let payloads = frames.into_iter().map(|(_, payload)| payload).collect();
        if !self.publish(Lane::History, topic, payloads, numbers, None) {
            // Until the connection says that it has room or is there again.
            self.exhausted = true;
        }
    }

    async fn on_live(&mut self, event: Event) {
        match event {
            Event::Connected { .. } => {
                self.desk.stats.connections.add(1);
                self.set_connected(true);
                self.announced = Announced::Nothing;
                self.announce();
            }
            Event::Publish(incoming) => {
                self.live.ack(incoming.ack);
                match Topic::parse(&incoming.topic) {
                    Ok(Topic::Receipt(gateway)) if gateway == self.gateway => {
                        self.on_receipt(&incoming.payload).await;
                    }
                    Ok(Topic::Command(gateway)) if gateway == self.gateway => {
                        self.on_command(&incoming.payload).await;
                    }
                    _ => tracing::warn!(topic = incoming.topic, "a message that nobody asked for"),
                }
            }
            Event::Disconnected { reason } => {
                tracing::info!(reason, "the live connection ended");
                self.set_connected(false);
            }
            answer @ (Event::Puback { .. } | Event::Refused { .. } | Event::Lost { .. }) => {
                self.on_answer(answer);
            }
            Event::Subscribed => {}
        }
    }

    fn on_history(&mut self, event: Event) {
        match event {
            Event::Connected { .. } => {
                self.desk.stats.connections.add(1);
                self.history_up = true;
                self.exhausted = false;
            }
            Event::Disconnected { .. } => self.history_up = false,
            Event::Publish(incoming) => self.history.ack(incoming.ack),
            answer @ (Event::Puback { .. } | Event::Refused { .. } | Event::Lost { .. }) => {
                self.on_answer(answer);
            }
            Event::Subscribed => {}
        }
    }

    fn on_answer(&mut self, event: Event) {
        self.exhausted = false;
        match event {
            Event::Puback { token } => self.sent.puback(token),
            // Sent again after the usual wait, not at once and for ever.
            Event::Refused { token, reason } => {
                tracing::warn!(reason, "the broker refused a publish");
                self.sent.puback(token);
            }
            Event::Lost { tokens } => tokens.into_iter().for_each(|t| self.sent.lost(t)),
            Event::Connected { .. }
            | Event::Subscribed
            | Event::Publish(_)
            | Event::Disconnected { .. } => {}
        }
    }

    fn set_connected(&self, connected: bool) {
        self.desk.set_status(|status| {
            status.connected = connected;
            if !connected {
                (status.receipt_at, status.receiving_since) = (None, None);
            }
        });
    }

    async fn on_receipt(&mut self, payload: &[u8]) {
        let arrived_at = self.desk.wall();
        let receipt = match v1::Receipt::decode(payload) {
            Ok(receipt) => receipt,
            Err(error) => return tracing::warn!(%error, "a receipt cannot be read"),
        };
        if receipt.stream.is_empty() {
            // No server sends that, but rubbish reads so, an empty message too; its
            // journal would have everything sent again.
            return tracing::warn!("a receipt says nothing");
        }
        self.desk.stats.receipts.add(1);
        if self
            .journal
            .replace(receipt.journal)
            .is_some_and(|j| j != receipt.journal)
        {
            tracing::warn!("the server's journal is another one: all that is held is sent again");
            self.sent.clear();
        }
        let mut durable: BTreeMap<StreamLife, RangeSet> = BTreeMap::new();
        for part in receipt.stream.iter().take(RECEIPT_STREAMS_MAX) {
            if let Some((life, set)) = durable_part(part) {
                let all = durable.entry(life).or_default();
                for (from, to) in set.iter() {
                    all.insert(from, to);
                }
            }
        }
        for (life, set) in &durable {
            self.sent.durable(*life, set);
        }
        // Before anyone can see that all is confirmed.
        self.observe_clock(&receipt, arrived_at);
        let stats = Arc::clone(&self.desk.stats);
        let freed = self.desk.spool(move |spool| {
            let mut freed = 0;
            for (life, set) in &durable {
                freed += spool.free(*life, set)?;
            }
            stats.freed.add(freed);
            Ok(freed)
        });
        let freed = freed.await.unwrap_or(0);
        self.note_receiving(freed > 0);
        self.exhausted = false;
    }

    fn note_receiving(&self, covered: bool) {
        let (now, wall) = (self.desk.monotonic(), self.desk.wall());
        self.desk.set_status(|status| {
            if covered || status.unconfirmed == 0 {
                if !is_receiving(status, now, self.within) {
                    status.receiving_since = Some(wall);
                }
                status.receipt_at = Some(now);
            }
        });
    }

    fn observe_clock(&mut self, receipt: &v1::Receipt, arrived_at: GatewayTime) {
        let estimate = self.clock.observe(Exchange {
            sent_at: GatewayTime(receipt.echo_sent_at_us),
            received_at: ServerTime(receipt.received_at_us),
            receipt_sent_at: ServerTime(receipt.receipt_sent_at_us),
            arrived_at,
        });
        if let Some(offset) = estimate {
            self.desk.state_clocks(ClockOffsets {
                monitor: None,
                gateway: Some(offset),
            });
        }
    }

    async fn on_command(&mut self, payload: &[u8]) {
        // An empty payload clears the retained command.
        if payload.is_empty() {
            return;
        }
        let command = match v1::Command::decode(payload) {
            Ok(command) => command.command,
            Err(error) => return tracing::warn!(%error, "a command cannot be read"),
        };
        let Some(v1::command::Command::UseTransfer(command)) = command else {
            return tracing::warn!("a command that this version does not know");
        };
        let ids = (
            TransferId::new(&command.instead_of),
            TransferId::new(&command.transfer),
        );
        let (Ok(instead_of), Ok(transfer)) = ids else {
            return tracing::warn!("a command names something that is not a transfer id");
        };
        let used = self
            .desk
            .spool(move |s| s.use_transfer(&instead_of, &transfer))
            .await;
        if let Ok(true) = used {
            tracing::info!(
                transfer = command.transfer,
                "this leg now belongs to another transfer"
            );
            self.announce();
        }
    }

    /// The retained birth message, when the transfer in it has changed.
    fn announce(&mut self) {
        let status = self.desk.status().borrow().clone();
        if !status.connected || self.announced == Announced::Transfer(status.transfer.clone()) {
            return;
        }
        let message = v1::GatewayStatus {
            online: true,
            transfer: status
                .transfer
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            software: concat!("enroute ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at_us: self.started_at.0,
            exercise: self.exercise,
        };
        if self.publish_status(&message) {
            self.announced = Announced::Transfer(status.transfer);
        }
    }

    fn publish_status(&mut self, message: &v1::GatewayStatus) -> bool {
        let topic = Topic::Status(self.gateway.clone()).to_string();
        let token = self.token();
        let publish = Publish {
            retain: true,
            ..Publish::new(topic, message.encode_to_vec(), token)
        };
        self.live.try_publish(publish).is_ok()
    }

    async fn say_goodbye(mut self) {
        self.publish_status(&offline(self.exercise, self.started_at));
        tokio::join!(self.live.close(), self.history.close());
        self.set_connected(false);
    }
}

fn options(config: &Config, lane: &str) -> Options {
    let client_id = format!("enroute-gw-{}-{lane}", config.id);
    Options {
        keep_alive: Duration::from_secs(config.broker.keep_alive_s.into()),
        jitter_seed: client_id
            .bytes()
            .fold(0, |h, b| h * 31 % 0xffff_fffb + u64::from(b)),
        ..Options::new(&config.broker.host, config.broker.port, &client_id)
    }
}

fn live_options(config: &Config, exercise: bool, started_at: GatewayTime) -> Options {
    let topic = |topic: Topic| topic.to_string();
    Options {
        will: Some(Will {
            topic: topic(Topic::Status(config.id.clone())),
            payload: offline(exercise, started_at).encode_to_vec().into(),
            retain: true,
        }),
        subscriptions: vec![
            topic(Topic::Receipt(config.id.clone())),
            topic(Topic::Command(config.id.clone())),
        ],
        ..options(config, "live")
    }
}

fn offline(exercise: bool, started_at: GatewayTime) -> v1::GatewayStatus {
    v1::GatewayStatus {
        online: false,
        transfer: String::new(),
        software: String::new(),
        started_at_us: started_at.0,
        exercise,
    }
}

/// What a part of a receipt says is durable.
fn durable_part(part: &v1::StreamReceipt) -> Option<(StreamLife, RangeSet)> {
    let stream = match part.stream() {
        v1::Stream::Events => Stream::Events,
        v1::Stream::Numerics => Stream::Numerics,
        v1::Stream::Waveforms => Stream::Waveforms,
        v1::Stream::Unspecified => return None,
    };
    let mut durable = RangeSet::default();
    durable.insert(part.first.max(1), part.through);
    for range in part.above.iter().take(RECEIPT_RANGES_MAX) {
        durable.insert(range.first.max(1), range.last);
    }
    Some(((enroute_model::ids::Epoch(part.epoch), stream), durable))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Whether the hospital is receiving: a receipt covered something lately.
pub(crate) fn is_receiving(status: &crate::desk::Status, now: Span, within: Span) -> bool {
    let last = status.receipt_at.filter(|_| status.connected);
    last.is_some_and(|last| now.0.saturating_sub(last.0) <= within.0)
}
