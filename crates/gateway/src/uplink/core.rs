//! The uplink without its I/O: what happened goes in, what is to be done comes
//! out. No clock, no socket, no disk; the same inputs and times give the same
//! outputs.
//!
//! ```text
//! recorded frames ──►┌──────┐──► publishes, on the live and the history connection
//! broker's events ──►│ Core │──► spool: pick history, free what is durable
//! spool's answers ──►└──────┘──► what the page and the link reports say of the link
//! ```
//!
//! Bounded: live publishes without a PUBACK [`LIVE_FLIGHTS_MAX`], history by the
//! bytes of the configuration, one question to the spool at a time.

use super::clocks::{Exchange, ServerClock};
use super::receipts;
use super::sent::Sent;
use crate::config::{Config, UplinkConfig};
use crate::spool::{Heard, Picked, Spooled, StreamLife, Wanted, Word};
use bytes::Bytes;
use enroute_model::frame::ClockOffsets;
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_mqtt::Publish;
use enroute_wire::topics::Topic;
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;
use std::time::Duration;

/// Live publishes under way; what comes beyond goes by history.
const LIVE_FLIGHTS_MAX: usize = 32;
/// History publishes under way.
const HISTORY_FLIGHTS_MAX: usize = 32;
/// Bytes of frames in one history publish.
const HISTORY_BATCH_BYTES: usize = 16 * 1024;
/// Frames in one history publish.
const HISTORY_BATCH_FRAMES: usize = 256;

/// The two clocks of the gateway at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since the gateway started; never steps.
    pub monotonic: Span,
    /// May step.
    pub wall: GatewayTime,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// These frames are on disk; in the order of their numbers.
    Recorded(Vec<Spooled>),
    /// A connection stands.
    Connected(Lane),
    /// It ended.
    Disconnected(Lane),
    /// The broker answered the publish with this token: took it or refused it.
    Answered(u64),
    /// Nobody knows whether these arrived.
    Lost(Vec<u64>),
    /// A publish that was asked for was not taken by the connection.
    Unsent {
        /// Its token.
        token: u64,
        /// It is above the broker's limit and always will be.
        too_large: bool,
    },
    /// A message for this gateway came over the live connection.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Bytes,
    },
    /// The answer to [`Output::Pick`]; nothing is left, or the spool failed.
    Picked(Option<Picked>),
    /// The answer to [`Output::Hear`].
    Freed {
        /// What became of the frames; after the server lost its past, what is on
        /// its way is sent again.
        heard: Heard,
        /// Frames that no receipt covers.
        unconfirmed: u64,
    },
    /// The transfer that goes on.
    Transfer(Option<TransferId>),
    /// Nothing more is recorded: whatever is spooled may go by history.
    Drain,
    /// Say goodbye.
    Stop,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Publish without waiting; [`Input::Unsent`] if that cannot be.
    Publish {
        /// Over which connection.
        lane: Lane,
        /// What, with a token of its own.
        publish: Publish,
        /// How many frames it holds.
        frames: u64,
    },
    /// Ask the spool; the answer is [`Input::Picked`]. Nothing is asked before
    /// that. What was to be freed earlier is freed first.
    Pick(Wanted),
    /// Free what this says is durable; the answer is [`Input::Freed`].
    Hear(Word),
    /// Publish the leg that goes on under another transfer; if it was known under
    /// this one, [`Input::Transfer`] follows.
    UseTransfer {
        /// Known as.
        instead_of: TransferId,
        /// From now on.
        transfer: TransferId,
    },
    /// State these with the next frame.
    StateClocks(ClockOffsets),
}

/// What the page and the link reports say of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkView {
    /// The live connection stands.
    pub connected: bool,
    /// Since the gateway started: when a receipt last covered something new, or
    /// there was nothing to cover.
    pub receipt_at: Option<Span>,
    /// The wall clock when that began, without a break.
    pub receiving_since: Option<GatewayTime>,
}

impl LinkView {
    /// Whether the hospital is receiving: a receipt covered something lately.
    pub(crate) fn is_receiving(&self, now: Span, within: Span) -> bool {
        let last = self.receipt_at.filter(|_| self.connected);
        last.is_some_and(|last| now.0.saturating_sub(last.0) <= within.0)
    }
}

/// What the broker was told of us on this connection.
#[derive(Debug, PartialEq, Eq)]
enum Announced {
    Nothing,
    Transfer { id: Option<TransferId>, token: u64 },
}

/// The uplink's state.
#[derive(Debug)]
pub struct Core {
    gateway: GatewayId,
    config: UplinkConfig,
    exercise: bool,
    /// A longer silence of the server breaks "receiving since".
    within: Span,
    started_at: GatewayTime,
    link: LinkView,
    history_up: bool,
    sent: Sent,
    /// In this life of the spool: what live has had its chance with.
    through: BTreeMap<Stream, u64>,
    tokens: u64,
    /// The spool was asked and has not answered.
    picking: bool,
    /// Nothing is left for history until something changes.
    exhausted: bool,
    /// Something has changed since the spool was asked: "nothing" is not its
    /// last word then.
    outdated: bool,
    clock: ServerClock,
    transfer: Option<TransferId>,
    announced: Announced,
}

impl Core {
    /// Before any connection. `through`: what live had its chance with before.
    #[must_use]
    pub fn new(
        config: &Config,
        exercise: bool,
        started_at: GatewayTime,
        through: BTreeMap<Stream, u64>,
    ) -> Self {
        Self {
            gateway: config.id.clone(),
            sent: Sent::new(Span::from_millis(config.uplink.resend_ms.into())),
            config: config.uplink.clone(),
            exercise,
            within: Span::from_secs(config.page.receiving_within_s.into()),
            started_at,
            link: LinkView::default(),
            history_up: false,
            through,
            tokens: 0,
            picking: false,
            exhausted: false,
            outdated: false,
            clock: ServerClock::default(),
            transfer: None,
            announced: Announced::Nothing,
        }
    }

    /// What is known of the link.
    #[must_use]
    pub fn link(&self) -> LinkView {
        self.link
    }

    /// When [`Self::handle_timeout`] is due, monotonic.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Span> {
        self.sent.next_expiry()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.sent.expire(now.monotonic) {
            self.changed();
        }
        self.fill(out);
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Recorded(frames) => self.on_recorded(now, &frames, out),
            Input::Connected(lane) => self.on_connected(lane, out),
            Input::Disconnected(lane) => self.on_disconnected(lane),
            Input::Answered(token) => {
                // One that was refused is sent again after the usual wait.
                self.sent.puback(token);
                self.changed();
            }
            Input::Lost(tokens) => {
                tokens.into_iter().for_each(|token| self.sent.lost(token));
                self.changed();
            }
            Input::Unsent { token, too_large } => self.on_unsent(token, too_large),
            Input::Message { topic, payload } => self.on_message(now, &topic, &payload, out),
            Input::Picked(picked) => self.on_picked(now, picked, out),
            Input::Freed { heard, unconfirmed } => {
                if heard.restored {
                    self.sent.clear();
                }
                self.changed();
                self.on_freed(now, heard.freed > 0 || unconfirmed == 0);
            }
            Input::Transfer(transfer) => {
                self.transfer = transfer;
                self.announce(out);
            }
            // A batch whose hand-over was cut short is on disk all the same.
            Input::Drain => {
                self.through = Stream::ALL.map(|stream| (stream, u64::MAX)).into();
                self.changed();
            }
            Input::Stop => {
                let offline = offline(self.exercise, self.started_at);
                self.publish_status(&offline, out);
                self.exhausted = true;
            }
        }
        self.fill(out);
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
    fn on_recorded(&mut self, now: Now, frames: &[Spooled], out: &mut Vec<Output>) {
        for frame in frames {
            self.through.insert(frame.life.1, frame.sequence);
        }
        self.changed();
        let Some(first) = frames.first() else { return };
        let (flights, _) = self.sent.unacknowledged(Lane::Live);
        if flights >= LIVE_FLIGHTS_MAX || !self.link.connected {
            return;
        }
        let topic = self.topic(first.transfer.clone(), Lane::Live);
        let batch = Batch {
            payloads: frames.iter().map(|f| f.payload.clone()).collect(),
            numbers: frames.iter().map(|f| (f.life, f.sequence)).collect(),
        };
        self.publish(now, Lane::Live, topic, batch, out);
    }

    fn publish(
        &mut self,
        now: Now,
        lane: Lane,
        topic: String,
        batch: Batch,
        out: &mut Vec<Output>,
    ) {
        let frames = u64::try_from(batch.payloads.len()).unwrap_or(u64::MAX);
        let message = v1::Batch {
            frame: batch.payloads,
            sent_at_us: now.wall.0,
            ..v1::Batch::default()
        };
        let payload = message.encode_to_vec();
        let token = self.token();
        self.sent
            .add(token, lane, batch.numbers, payload.len(), now.monotonic);
        let expiry = Duration::from_secs(self.config.live_expiry_s.into());
        let publish = Publish {
            message_expiry: (lane == Lane::Live).then_some(expiry),
            ..Publish::new(topic, payload, token)
        };
        out.push(Output::Publish {
            lane,
            publish,
            frames,
        });
    }

    fn on_unsent(&mut self, token: u64, too_large: bool) {
        if matches!(&self.announced, Announced::Transfer { token: t, .. } if *t == token) {
            self.announced = Announced::Nothing;
            return;
        }
        // The broker's limit is below the contract's: waiting for a receipt that
        // will not come, and saying so, is all that history can do.
        let history = self.sent.lane(token) == Some(Lane::History);
        if history && too_large {
            return;
        }
        self.sent.lost(token);
        // Until the connection says that it has room or is there again.
        self.exhausted |= history;
    }

    /// History may have something to send.
    fn changed(&mut self) {
        self.exhausted = false;
        self.outdated = true;
    }

    fn may_fill(&self) -> bool {
        let (flights, bytes) = self.sent.unacknowledged(Lane::History);
        self.history_up
            && self.link.connected
            && !self.picking
            && !self.exhausted
            && flights < HISTORY_FLIGHTS_MAX
            && bytes < self.config.unacknowledged_bytes_max.max(1)
            && self.sent.unconfirmed_bytes(Lane::History) < self.config.unconfirmed_bytes_max.max(1)
    }

    /// Asks for the next publish of history.
    fn fill(&mut self, out: &mut Vec<Output>) {
        if !self.may_fill() {
            return;
        }
        self.picking = true;
        self.outdated = false;
        out.push(Output::Pick(Wanted {
            order: self.config.history_order,
            sent: self.sent.numbers(),
            through: self.through.clone(),
            bytes_max: HISTORY_BATCH_BYTES,
            frames_max: HISTORY_BATCH_FRAMES,
        }));
    }

    fn on_picked(&mut self, now: Now, picked: Option<Picked>, out: &mut Vec<Output>) {
        self.picking = false;
        let Some(picked) = picked else {
            self.exhausted = !self.outdated;
            return;
        };
        let topic = self.topic(picked.transfer, Lane::History);
        let life = picked.life;
        let (numbers, payloads) = picked
            .frames
            .into_iter()
            .map(|(number, payload)| ((life, number), payload))
            .unzip();
        let batch = Batch { payloads, numbers };
        self.publish(now, Lane::History, topic, batch, out);
    }

    fn on_connected(&mut self, lane: Lane, out: &mut Vec<Output>) {
        self.changed();
        match lane {
            Lane::Live => {
                self.link.connected = true;
                self.announced = Announced::Nothing;
                self.announce(out);
            }
            Lane::History => self.history_up = true,
        }
    }

    fn on_disconnected(&mut self, lane: Lane) {
        match lane {
            Lane::Live => self.link = LinkView::default(),
            Lane::History => self.history_up = false,
        }
    }

    fn on_message(&mut self, now: Now, topic: &str, payload: &Bytes, out: &mut Vec<Output>) {
        match Topic::parse(topic) {
            Ok(Topic::Receipt(gateway)) if gateway == self.gateway => {
                self.on_receipt(now, payload, out);
            }
            Ok(Topic::Command(gateway)) if gateway == self.gateway => {
                let ids = receipts::use_transfer(payload);
                out.extend(ids.map(|(instead_of, transfer)| Output::UseTransfer {
                    instead_of,
                    transfer,
                }));
            }
            _ => tracing::warn!(topic, "a message that nobody asked for"),
        }
    }

    fn on_receipt(&mut self, now: Now, payload: &[u8], out: &mut Vec<Output>) {
        let receipt = match v1::Receipt::decode(payload) {
            Ok(receipt) => receipt,
            Err(error) => return tracing::warn!(%error, "a receipt cannot be read"),
        };
        if receipt.stream.is_empty() {
            // No server sends that, but rubbish reads so, an empty message too; its
            // journal would have everything sent again.
            return tracing::warn!("a receipt says nothing");
        }
        let word = Word::of(&receipt);
        for (life, set) in word.durable() {
            self.sent.durable(life, set);
        }
        // Before anyone can see that all is confirmed.
        self.observe_clock(now, &receipt, out);
        self.changed();
        out.push(Output::Hear(word));
    }

    fn on_freed(&mut self, now: Now, covered: bool) {
        if covered {
            if !self.link.is_receiving(now.monotonic, self.within) {
                self.link.receiving_since = Some(now.wall);
            }
            self.link.receipt_at = Some(now.monotonic);
        }
    }

    fn observe_clock(&mut self, now: Now, receipt: &v1::Receipt, out: &mut Vec<Output>) {
        let estimate = self.clock.observe(Exchange {
            sent_at: GatewayTime(receipt.echo_sent_at_us),
            received_at: ServerTime(receipt.received_at_us),
            receipt_sent_at: ServerTime(receipt.receipt_sent_at_us),
            arrived_at: now.wall,
        });
        out.extend(estimate.map(|offset| {
            Output::StateClocks(ClockOffsets {
                monitor: None,
                gateway: Some(offset),
            })
        }));
    }

    /// The retained birth message, when the transfer in it has changed.
    fn announce(&mut self, out: &mut Vec<Output>) {
        let known =
            matches!(&self.announced, Announced::Transfer { id, .. } if *id == self.transfer);
        if !self.link.connected || known {
            return;
        }
        let id = self.transfer.clone();
        let message = v1::GatewayStatus {
            online: true,
            transfer: id.as_ref().map(ToString::to_string).unwrap_or_default(),
            software: concat!("enroute ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at_us: self.started_at.0,
            exercise: self.exercise,
        };
        let token = self.publish_status(&message, out);
        self.announced = Announced::Transfer { id, token };
    }

    fn publish_status(&mut self, message: &v1::GatewayStatus, out: &mut Vec<Output>) -> u64 {
        let topic = Topic::Status(self.gateway.clone()).to_string();
        let token = self.token();
        let publish = Publish {
            retain: true,
            ..Publish::new(topic, message.encode_to_vec(), token)
        };
        out.push(Output::Publish {
            lane: Lane::Live,
            publish,
            frames: 0,
        });
        token
    }
}

/// Frames of one publish.
struct Batch {
    payloads: Vec<Bytes>,
    numbers: Vec<(StreamLife, u64)>,
}

/// What the broker publishes when we vanish, and we when we leave.
pub(super) fn offline(exercise: bool, started_at: GatewayTime) -> v1::GatewayStatus {
    v1::GatewayStatus {
        online: false,
        transfer: String::new(),
        software: String::new(),
        started_at_us: started_at.0,
        exercise,
    }
}
