//! What goes back to gateways: receipts, at most one per gateway and interval,
//! and commands and notes, retained, repeated until the broker has them.
//!
//! Without I/O: the time is an argument, and each call is given the way out.
//! `publisher.rs` has the real one.

use crate::config::Config;
use crate::recent::Recent;
use crate::stats::{Stats, count};
use enroute_model::ids::{GatewayId, Lane, TransferId};
use enroute_mqtt::{Publish, PublishError};
use enroute_wire::limits::RECEIPT_STREAMS_MAX;
use enroute_wire::topics::Topic;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Gateways whose times are remembered for the echo; those heard of longest ago get
/// a receipt without one.
const GATEWAYS_MAX: usize = 16_384;
/// Streams of one gateway that wait for a receipt. The oldest epochs give way:
/// the gateway sends their frames again and is answered then.
const STREAMS_WAITING_MAX: usize = 4_096;
/// The next receipt says more; an old one is of no use.
const RECEIPT_EXPIRY: Duration = Duration::from_secs(30);
/// What is retained and the broker did not take is sent again after this.
const RETAINED_REPEAT: Duration = Duration::from_secs(5);

/// When a batch was sent and received: half of an NTP-style exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) lane: Lane,
    pub(crate) sent_at_us: i64,
    pub(crate) received_at_us: i64,
}

/// The newest echo of each gateway.
#[derive(Clone, Debug)]
pub struct Echoes(Arc<Mutex<Recent<GatewayId, Echo>>>);

impl Default for Echoes {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Recent::new(GATEWAYS_MAX))))
    }
}

impl Echoes {
    /// A live batch says more about the link than a history one, which may have
    /// waited in the broker.
    pub(crate) fn put(&self, gateway: GatewayId, echo: Echo) {
        let mut echoes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = echoes.get(&gateway) {
            if echo.lane == Lane::Live || known.lane == Lane::History {
                *known = echo;
            }
        } else {
            echoes.put(gateway, echo);
        }
    }

    fn get(&self, gateway: &GatewayId) -> Option<Echo> {
        let echoes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        echoes.peek(gateway).copied()
    }
}

/// What the connection says to the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It stands (again).
    Connected,
    /// The broker has the publish with this token.
    Puback(u64),
    /// There is no room for the transfer of this gateway.
    Full(GatewayId),
}

/// Streams by epoch, stream and first sequence: a newer receipt of the same
/// stream takes the place of the older.
type Streams = BTreeMap<(u64, i32, u64), v1::StreamReceipt>;

/// A gateway whose interval has not passed, or whose receipt waits.
#[derive(Debug)]
struct Slot {
    due: Duration,
    waiting: Streams,
    /// It is to be told that there is no room for its transfer.
    full: bool,
}

impl Slot {
    fn new(due: Duration) -> Self {
        Self {
            due,
            waiting: Streams::new(),
            full: false,
        }
    }
}

/// Now, on whatever clock runs for the publisher, and the way out. An answer
/// that the publish did not go leaves it for later.
pub struct Out<'a> {
    /// Since some fixed start; never decreases.
    pub now: Duration,
    /// The server's wall clock, microseconds.
    pub wall_us: i64,
    /// Hands a publish to the connection.
    pub publish: &'a mut dyn FnMut(Publish) -> Result<(), PublishError>,
}

/// What is to go out.
#[derive(Debug)]
pub struct Outgoing {
    stats: Arc<Stats>,
    echoes: Echoes,
    interval: Duration,
    incarnation: u64,
    slots: BTreeMap<GatewayId, Slot>,
    due: BTreeSet<(Duration, GatewayId)>,
    /// What the broker is to retain and does not have yet, with the token of its
    /// last publish; the newest of each topic.
    retained: BTreeMap<String, (Vec<u8>, u64)>,
    repeat_at: Option<Duration>,
    tokens: u64,
}

impl Outgoing {
    /// Nothing to say yet.
    #[must_use]
    pub fn new(config: &Config, stats: Arc<Stats>, echoes: Echoes) -> Self {
        Self {
            stats,
            echoes,
            interval: config.receipt_interval,
            incarnation: config.incarnation,
            slots: BTreeMap::new(),
            due: BTreeSet::new(),
            retained: BTreeMap::new(),
            repeat_at: None,
            tokens: 0,
        }
    }

    /// When [`Outgoing::tick`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let next = self.due.first().map(|(due, _)| *due);
        [next, self.repeat_at].into_iter().flatten().min()
    }

    /// Something of a gateway's streams became durable.
    pub fn receipt(
        &mut self,
        gateway: GatewayId,
        streams: Vec<v1::StreamReceipt>,
        out: &mut Out<'_>,
    ) {
        let now = out.now;
        let fresh = !self.slots.contains_key(&gateway);
        let slot = self.slots.entry(gateway.clone()).or_insert(Slot::new(now));
        for stream in streams {
            slot.waiting
                .insert((stream.epoch, stream.stream, stream.first), stream);
        }
        while slot.waiting.len() > STREAMS_WAITING_MAX {
            slot.waiting.pop_first();
        }
        if fresh {
            self.due.insert((now, gateway));
            self.tick(out);
        }
    }

    /// Says so at the pace of receipts. Of a flood of invented gateways only so many
    /// are told, and those that wait are not kept waiting by it.
    fn full(&mut self, gateway: GatewayId, out: &mut Out<'_>) {
        if let Some(slot) = self.slots.get_mut(&gateway) {
            slot.full = true;
        } else if self.slots.len() < GATEWAYS_MAX {
            let slot = Slot {
                full: true,
                ..Slot::new(out.now)
            };
            self.due.insert((out.now, gateway.clone()));
            self.slots.insert(gateway, slot);
            self.tick(out);
        }
    }

    /// Sends what is due, and forgets gateways whose interval passed in silence.
    pub fn tick(&mut self, out: &mut Out<'_>) {
        let now = out.now;
        while let Some((due, gateway)) = self.due.first().cloned()
            && due <= now
        {
            self.due.pop_first();
            let Some(mut slot) = self.slots.remove(&gateway) else {
                continue;
            };
            if slot.waiting.is_empty() && !slot.full {
                continue;
            }
            if self.send_receipt(&gateway, &slot, out) {
                slot.waiting.clear();
                slot.full = false;
            }
            slot.due = now + self.interval;
            self.due.insert((slot.due, gateway.clone()));
            self.slots.insert(gateway, slot);
        }
        if self.repeat_at.is_some_and(|repeat_at| repeat_at <= now) {
            self.repeat(out);
        }
    }

    /// False: not now; the next attempt carries what is known then. What does not
    /// fit into one receipt goes in more: a stream that were left out each time
    /// would never be freed.
    fn send_receipt(&self, gateway: &GatewayId, slot: &Slot, out: &mut Out<'_>) -> bool {
        if slot.waiting.is_empty() {
            return self.send_part(gateway, &[], slot.full, out);
        }
        let all: Vec<_> = slot.waiting.values().cloned().collect();
        all.chunks(RECEIPT_STREAMS_MAX)
            .all(|part| self.send_part(gateway, part, slot.full, out))
    }

    fn send_part(
        &self,
        gateway: &GatewayId,
        stream: &[v1::StreamReceipt],
        full: bool,
        out: &mut Out<'_>,
    ) -> bool {
        let echo = self.echoes.get(gateway);
        let receipt = v1::Receipt {
            journal: self.incarnation,
            stream: stream.to_vec(),
            echo_sent_at_us: echo.map_or(0, |echo| echo.sent_at_us),
            received_at_us: echo.map_or(0, |echo| echo.received_at_us),
            receipt_sent_at_us: out.wall_us,
            full,
        };
        let topic = Topic::Receipt(gateway.clone()).to_string();
        let mut publish = Publish::new(topic, receipt.encode_to_vec(), 0);
        publish.message_expiry = Some(RECEIPT_EXPIRY);
        match (out.publish)(publish) {
            Ok(()) => {
                count(&self.stats.receipts);
                true
            }
            Err(error) => !is_passing(&error),
        }
    }

    /// A gateway is to publish under another transfer.
    pub fn command(&mut self, gateway: &GatewayId, command: v1::UseTransfer, out: &mut Out<'_>) {
        let command = v1::Command {
            command: Some(v1::command::Command::UseTransfer(command)),
        };
        let topic = Topic::Command(gateway.clone());
        self.retain(&topic, command.encode_to_vec(), out);
    }

    /// What the crew of a transfer is to know; nothing clears what was retained.
    pub fn notes(
        &mut self,
        gateway: GatewayId,
        transfer: TransferId,
        notes: &v1::Notes,
        out: &mut Out<'_>,
    ) {
        let topic = Topic::Notes { gateway, transfer };
        self.retain(&topic, notes.encode_to_vec(), out);
    }

    fn retain(&mut self, topic: &Topic, payload: Vec<u8>, out: &mut Out<'_>) {
        let topic = topic.to_string();
        self.retained.insert(topic.clone(), (payload, 0));
        self.send_retained(&topic, out);
    }

    fn send_retained(&mut self, topic: &str, out: &mut Out<'_>) {
        self.repeat_at.get_or_insert(out.now + RETAINED_REPEAT);
        let Some((payload, token)) = self.retained.get_mut(topic) else {
            return;
        };
        self.tokens += 1;
        *token = self.tokens;
        let mut publish = Publish::new(topic.to_owned(), payload.clone(), self.tokens);
        publish.retain = true;
        if let Err(error) = (out.publish)(publish) {
            tracing::debug!(%error, "what is to be retained waits");
        }
    }

    /// The connection said something.
    pub fn heard(&mut self, word: Word, out: &mut Out<'_>) {
        match word {
            Word::Connected => self.repeat(out),
            Word::Puback(token) => self.puback(token),
            Word::Full(gateway) => self.full(gateway, out),
        }
    }

    fn repeat(&mut self, out: &mut Out<'_>) {
        self.repeat_at = None;
        let topics: Vec<String> = self.retained.keys().cloned().collect();
        for topic in topics {
            self.send_retained(&topic, out);
        }
    }

    fn puback(&mut self, token: u64) {
        let before = self.retained.len();
        self.retained
            .retain(|_, (_, last)| token == 0 || *last != token);
        if self.retained.len() < before {
            count(&self.stats.commands);
        }
    }
}

/// Whether the same publish can succeed later.
fn is_passing(error: &PublishError) -> bool {
    match error {
        PublishError::NotConnected | PublishError::Full => true,
        PublishError::TooLarge { .. } | PublishError::Topic | PublishError::Closed => false,
    }
}
