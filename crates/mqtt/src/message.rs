//! What goes to and comes from a connection.

use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;

/// Quality of service; QoS 2 is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// At most once: no answer is reported.
    AtMostOnce,
    /// At least once: answered by PUBACK.
    AtLeastOnce,
}

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where; no wildcards.
    pub topic: String,
    /// What; an empty one clears a retained message.
    pub payload: Bytes,
    /// Default [`Qos::AtLeastOnce`].
    pub qos: Qos,
    /// Kept by the broker for later subscribers. Default false.
    pub retain: bool,
    /// The broker drops it when it could not be delivered for so long; whole
    /// seconds, rounded up. Default none.
    pub message_expiry: Option<Duration>,
    /// MQTT 5 content type. Default none.
    pub content_type: Option<String>,
    /// The caller's name for this publish, given back in its answer. Need not be
    /// unique for the wrapper's sake.
    pub token: u64,
}

impl Publish {
    /// A QoS 1 publish that is not retained and does not expire.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>, token: u64) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            message_expiry: None,
            content_type: None,
            token,
        }
    }

    /// Upper bound of the packet's size (MQTT 5.0, clause 3.3).
    pub(crate) fn packet_bytes(&self) -> usize {
        // Fixed header 5, topic length 2, packet id 2, property length 4,
        // message expiry 5, content type 3 and its text.
        const ENVELOPE: usize = 5 + 2 + 2 + 4 + 5 + 3;
        let content_type = self.content_type.as_ref().map_or(0, String::len);
        ENVELOPE + self.topic.len() + content_type + self.payload.len()
    }
}

/// The right to acknowledge one incoming publish, once. Dropped instead, the
/// publish stays unacknowledged and takes a place in the receive maximum until
/// the connection ends; a persistent session then delivers it again.
#[derive(Debug)]
#[must_use = "a publish that is not acknowledged keeps its place in the receive maximum"]
pub struct AckToken {
    /// Connection that it came over.
    pub(crate) epoch: u64,
    /// 0 for QoS 0: nothing to acknowledge.
    pub(crate) packet_id: u16,
    /// What it keeps in memory until then.
    pub(crate) bytes: usize,
}

/// A message that came in.
#[derive(Debug)]
pub struct Incoming {
    /// Its topic; bytes that are no UTF-8 are replaced.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Kept by the broker from before the subscription.
    pub retained: bool,
    /// The broker says it may have sent it before. It need not say so after it
    /// lost its memory; tell duplicates by content.
    pub duplicate: bool,
    /// For [`Client::ack`](crate::Client::ack).
    pub ack: AckToken,
}

/// What happened, in order.
#[derive(Debug)]
pub enum Event {
    /// A connection stands. Not present: the broker knows nothing of an earlier session.
    Connected {
        /// The broker still had the session.
        session_present: bool,
    },
    /// Every filter of the options is subscribed on this connection.
    Subscribed,
    /// A message came in.
    Publish(Incoming),
    /// The broker took the publish with this token.
    Puback {
        /// As given in [`Publish::token`].
        token: u64,
    },
    /// The broker refused the publish with this token.
    Refused {
        /// As given in [`Publish::token`].
        token: u64,
        /// The broker's reason code, by its name in MQTT 5.0, clause 3.4.2.1.
        reason: &'static str,
    },
    /// Nobody knows whether these publishes arrived: send again what matters.
    Lost {
        /// As given in [`Publish::token`], in the order of publishing.
        tokens: Vec<u64>,
    },
    /// The connection ended, or could not be made; another one is being made.
    Disconnected {
        /// For a log.
        reason: String,
    },
}

/// The events of one client. Dropping it ends the connection without a
/// DISCONNECT, so the broker publishes the Last Will.
#[derive(Debug)]
pub struct Events {
    pub(crate) receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` after [`Client::close`](crate::Client::close), when
    /// every publish without an answer is lost. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// An event that is already there, if any.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }
}
