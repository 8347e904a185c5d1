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
//! Live has no queue: each batch is published as it is recorded, or left to
//! history; of numerics that cannot go now, the newest of each kind goes as soon
//! as it can (`latest`). How much goes live is the ladder's (`ladder`), how much
//! history may be on its way the pace's (`pace`).
//!
//! Bounded: live publishes without a PUBACK 32, history by its
//! window and the bytes of the configuration, one question to the spool at a time.

mod history;
mod live;
mod status;

pub(super) use status::offline;

use super::clocks::{Exchange, ServerClock};
use super::io::{Input, LinkView, Now, Output};
use super::ladder::Ladder;
use super::latest::Latest;
use super::pace::{Answered, Pace};
use super::receipts;
use super::sent::{Numbers, Sent};
use crate::config::{Config, UplinkConfig};
use crate::spool::{StreamLife, Word};
use bytes::Bytes;
use enroute_model::frame::ClockOffsets;
use enroute_model::ids::{GatewayId, Lane, TransferId};
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_mqtt::Publish;
use enroute_wire::topics::Topic;
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the broker was told of us on this connection.
#[derive(Debug, PartialEq, Eq)]
enum Announced {
    Nothing,
    Transfer {
        id: Option<TransferId>,
        token: u64,
        at: Span,
    },
}

/// The uplink's state.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own: any mixture of them can be"
)]
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
    /// In the newest life of the spool: what live has had its chance with; none: all.
    through: Option<BTreeMap<StreamLife, u64>>,
    tokens: u64,
    /// The spool was asked and has not answered.
    picking: bool,
    /// Nothing is left for history until something changes.
    exhausted: bool,
    /// Something has changed since the spool was asked: "nothing" is not its
    /// last word then.
    outdated: bool,
    /// The history connection took no more.
    full: bool,
    pace: Pace,
    ladder: Ladder,
    latest: Latest,
    /// The newest numerics that wait go live from then on.
    summary_at: Span,
    /// The last moment that was told of.
    seen: Span,
    /// How long the last publish that was answered took, not yet counted outside.
    answered: Option<(Lane, Span)>,
    /// The first live publish of this connection: no history before it arrived.
    first_live: Option<u64>,
    /// Bytes of frames that compress to a thousand.
    packing: usize,
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
        through: BTreeMap<StreamLife, u64>,
    ) -> Self {
        Self {
            gateway: config.id.clone(),
            sent: Sent::new(Span::from_millis(config.uplink.resend_ms.into())),
            pace: Pace::new(Span::ZERO, config.uplink.unacknowledged_bytes_max),
            ladder: Ladder::new(),
            latest: Latest::default(),
            summary_at: Span::ZERO,
            seen: Span::ZERO,
            answered: None,
            first_live: None,
            packing: 1_500,
            full: false,
            config: config.uplink.clone(),
            exercise,
            within: Span::from_secs(config.page.receiving_within_s.into()),
            started_at,
            link: LinkView::default(),
            history_up: false,
            through: Some(through),
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

    /// The numbers that were handed to the network at least once, if any is new.
    #[must_use]
    pub fn take_handed(&mut self) -> Option<Numbers> {
        self.sent.take_handed()
    }

    /// The round trip of the publish that was answered last, once.
    pub fn take_answered(&mut self) -> Option<(Lane, Span)> {
        self.answered.take()
    }

    /// When [`Self::handle_timeout`] is due, monotonic.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Span> {
        let waits = self.link.connected && self.latest.any_due();
        let summary = waits.then_some(self.summary_at);
        // What could not go when its time had come waits for an answer.
        let summary = summary.filter(|at| *at > self.seen);
        self.sent.next_expiry().into_iter().chain(summary).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.sent.expire(now.monotonic) {
            self.changed();
        }
        self.go_on(now, out);
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Recorded(frames) => self.on_recorded(now, &frames, out),
            Input::Connected(lane) => self.on_connected(now, lane, out),
            Input::Disconnected(lane) => self.on_disconnected(lane),
            // One that was refused is sent again after the usual wait.
            Input::Answered(token) => self.on_answered(now, token),
            Input::Lost(tokens) => {
                for token in tokens {
                    self.sent.lost(token);
                    self.first_live = self.first_live.filter(|first| *first != token);
                }
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
                self.announce(now.monotonic, out);
            }
            // A batch whose hand-over was cut short is on disk all the same.
            Input::Drain => {
                self.through = None;
                // No summary comes any more.
                self.latest = Latest::default();
                self.changed();
            }
            Input::Stop => {
                let offline = offline(self.exercise, self.started_at);
                self.publish_status(&offline, out);
                return;
            }
        }
        self.go_on(now, out);
    }

    /// Live first, then history.
    fn go_on(&mut self, now: Now, out: &mut Vec<Output>) {
        self.seen = now.monotonic;
        self.summarize(now, out);
        self.fill(now, out);
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

    fn publish(
        &mut self,
        now: Now,
        lane: Lane,
        transfer: TransferId,
        batch: &v1::Batch,
        numbers: Vec<(StreamLife, u64)>,
        out: &mut Vec<Output>,
    ) {
        let frames = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        let payload = batch.encode_to_vec();
        let token = self.token();
        self.sent
            .add(token, lane, numbers, payload.len(), now.monotonic);
        let expiry = Duration::from_secs(self.config.live_expiry_s.into());
        let publish = Publish {
            message_expiry: (lane == Lane::Live).then_some(expiry),
            ..Publish::new(self.topic(transfer, lane), payload, token)
        };
        out.push(Output::Publish {
            lane,
            publish,
            frames,
        });
    }

    fn on_answered(&mut self, now: Now, token: u64) {
        self.first_live = self.first_live.filter(|first| *first != token);
        let Some(flight) = self.sent.puback(token, now.monotonic) else {
            return self.on_status_answered(now, token);
        };
        let round_trip = Span(now.monotonic.0.saturating_sub(flight.at.0));
        self.answered = Some((flight.lane, round_trip));
        let answered = Answered {
            round_trip,
            bytes: flight.bytes,
            alone: flight.alone,
        };
        match flight.lane {
            Lane::Live => {
                self.pace.live_answered(now.monotonic, answered);
                let queueing = self.pace.queueing(round_trip);
                let behind = !flight.alone;
                if self
                    .ladder
                    .observe(now.monotonic, flight.at, queueing, behind)
                {
                    self.on_level(now);
                }
            }
            Lane::History => {
                self.full = false;
                let (_, others) = self.sent.unacknowledged(Lane::History);
                let under_way = others.saturating_add(flight.bytes);
                self.pace
                    .history_answered(now.monotonic, answered, under_way);
            }
        }
    }

    /// The birth message is the first publish of a connection, and a small one:
    /// its round trip is near the base delay.
    fn on_status_answered(&mut self, now: Now, token: u64) {
        if let Announced::Transfer {
            token: ours, at, ..
        } = self.announced
            && ours == token
        {
            let answered = Answered {
                round_trip: Span(now.monotonic.0.saturating_sub(at.0)),
                bytes: 0,
                alone: false,
            };
            self.pace.live_answered(now.monotonic, answered);
        }
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
        self.sent.unsent(token);
        self.first_live = self.first_live.filter(|first| *first != token);
        // Until the connection says that it has room or is there again.
        self.full |= history;
    }

    /// History may have something to send.
    fn changed(&mut self) {
        self.exhausted = false;
        self.outdated = true;
    }

    fn on_connected(&mut self, now: Now, lane: Lane, out: &mut Vec<Output>) {
        self.changed();
        self.full = false;
        self.pace.restart(now.monotonic);
        match lane {
            Lane::Live => {
                self.link.connected = true;
                self.ladder.restart(now.monotonic);
                self.announced = Announced::Nothing;
                self.announce(now.monotonic, out);
                self.greet(now, out);
            }
            Lane::History => self.history_up = true,
        }
    }

    fn on_disconnected(&mut self, lane: Lane) {
        match lane {
            Lane::Live => {
                self.first_live = None;
                self.link.connected = false;
                (self.link.receipt_at, self.link.receiving_since) = (None, None);
            }
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
        if receipt.full && !self.link.full {
            tracing::warn!(
                "the server has no room for this transfer; what is on board stays there"
            );
        }
        self.link.full = receipt.full;
        if receipt.stream.is_empty() && receipt.full {
            return;
        }
        if receipt.stream.is_empty() {
            // No server sends that, but rubbish reads so, an empty message too; its
            // journal would have everything sent again.
            return tracing::warn!("a receipt says nothing");
        }
        let word = Word::of(&receipt);
        let durable: BTreeMap<_, _> = word.durable().collect();
        for (life, set) in &durable {
            self.sent.durable(*life, set);
        }
        self.latest.retain(|frame| {
            let set = durable.get(&frame.life);
            !set.is_some_and(|set| set.contains(frame.sequence))
        });
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
}
