//! The state of one connection: which publish is under way under which packet
//! id, and what a packet that came in means. No I/O, no clock.

use crate::client::is_answered;
use crate::message::{AckToken, Event, Incoming, Publish};
use crate::options::Options;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Packet, PubAck, PubAckReason, Publish as PublishPacket, SubAck, SubscribeReasonCode,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Packet id of our one SUBSCRIBE; publishes have those below it.
pub(crate) const SUBSCRIBE_ID: u16 = u16::MAX;

/// What the driver does after a packet came in.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing to tell.
    Quiet,
    /// Tell the reader.
    Tell(Event),
    /// Our ping is answered.
    Pong,
    /// The connection is of no use.
    Broken(String),
}

/// What the broker says as it takes a connection.
#[derive(Debug)]
pub(crate) struct Up {
    /// It still had the session.
    pub(crate) session_present: bool,
    /// Its limit on what we send.
    pub(crate) packet_bytes_max: Option<u32>,
    /// Its keep-alive in place of ours.
    pub(crate) keep_alive: Option<Duration>,
}

/// Who waits for the answer to a publish.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    order: u64,
    token: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    epoch: u64,
    unacked_bytes_max: usize,
    inflight_max: u16,
    window: u16,
    subscribes: bool,
    subscribed: bool,
    order: u64,
    /// Given last.
    packet_id: u16,
    /// By packet id.
    under_way: BTreeMap<u16, Waiting>,
    /// QoS 1 messages received and not acknowledged.
    unacked: usize,
    /// Bytes of their topics and payloads.
    unacked_bytes: usize,
}

impl Connection {
    pub(crate) fn new(epoch: u64, options: &Options) -> Self {
        Self {
            epoch,
            unacked_bytes_max: options.unacked_bytes_max,
            inflight_max: options.inflight(),
            window: 0,
            subscribes: !options.subscriptions.is_empty(),
            subscribed: false,
            order: 0,
            packet_id: 0,
            under_way: BTreeMap::new(),
            unacked: 0,
            unacked_bytes: 0,
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the window has room for one more publish.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < usize::from(self.window)
    }

    /// Whether more may be read: the messages that wait for their acknowledgement are few
    /// enough, by their bytes.
    pub(crate) fn may_read(&self) -> bool {
        self.unacked_bytes < self.unacked_bytes_max
    }

    /// Notes a publish that is to be sent, for which the window had room; gives its
    /// packet id, 0 for QoS 0.
    pub(crate) fn sends(&mut self, publish: &Publish) -> u16 {
        if !is_answered(publish) {
            return 0;
        }
        let packet_id = self.free_packet_id();
        self.order += 1;
        let waiting = Waiting {
            order: self.order,
            token: publish.token,
        };
        self.under_way.insert(packet_id, waiting);
        packet_id
    }

    /// They go round, past those under way: a broker need not answer in order. The
    /// window is smaller than their number, so there is one.
    fn free_packet_id(&mut self) -> u16 {
        loop {
            self.packet_id = self.packet_id % (SUBSCRIBE_ID - 1) + 1;
            if !self.under_way.contains_key(&self.packet_id) {
                return self.packet_id;
            }
        }
    }

    /// Whether this acknowledgement is of this connection; counts it.
    pub(crate) fn acknowledges(&mut self, token: &AckToken) -> bool {
        let current = token.epoch == self.epoch;
        if current {
            self.unacked = self.unacked.saturating_sub(1);
            self.unacked_bytes = self.unacked_bytes.saturating_sub(token.bytes);
        }
        current
    }

    /// The tokens without an answer, in the order of publishing.
    pub(crate) fn lost(self) -> Vec<u64> {
        let mut waiting: Vec<Waiting> = self.under_way.into_values().collect();
        waiting.sort_unstable_by_key(|waiting| waiting.order);
        waiting.into_iter().map(|waiting| waiting.token).collect()
    }

    /// The broker took the connection, with limits of its own.
    pub(crate) fn stands(&mut self, connack: &ConnAck) -> Up {
        let limits = connack.properties.as_ref();
        let theirs = limits.and_then(|limits| limits.receive_max);
        let theirs = theirs.unwrap_or(u16::MAX).max(1);
        self.window = theirs.min(self.inflight_max);
        Up {
            session_present: connack.session_present,
            packet_bytes_max: limits.and_then(|limits| limits.max_packet_size),
            keep_alive: limits
                .and_then(|limits| limits.server_keep_alive)
                .map(|seconds| Duration::from_secs(u64::from(seconds))),
        }
    }

    /// What a packet means.
    pub(crate) fn handle(&mut self, packet: Packet) -> Next {
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::PubAck(puback) => self.handle_puback(&puback),
            Packet::SubAck(suback) => self.handle_suback(&suback),
            Packet::PingResp(_) => Next::Pong,
            Packet::Disconnect(said) => {
                Next::Broken(format!("the broker disconnected: {:?}", said.reason_code))
            }
            Packet::Auth(_)
            | Packet::Connect(..)
            | Packet::ConnAck(_)
            | Packet::PingReq(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_) => {
                Next::Broken("the broker sent a packet that it had no cause for".to_owned())
            }
        }
    }

    fn handle_suback(&mut self, suback: &SubAck) -> Next {
        if suback.pkid != SUBSCRIBE_ID || !self.subscribes {
            return Next::Broken("the broker answered what was not asked".to_owned());
        }
        let refused = suback
            .return_codes
            .iter()
            .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        if let Some(code) = refused {
            return Next::Broken(format!("the broker refused a subscription: {code:?}"));
        }
        if std::mem::replace(&mut self.subscribed, true) {
            return Next::Quiet;
        }
        Next::Tell(Event::Subscribed)
    }

    fn handle_publish(&mut self, publish: PublishPacket) -> Next {
        let packet_id = match publish.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => publish.pkid,
            // Not subscribed for, so it cannot be; and not acknowledged by PUBACK.
            QoS::ExactlyOnce => return Next::Broken("the broker sent QoS 2".to_owned()),
        };
        let bytes = publish.topic.len() + publish.payload.len();
        if packet_id != 0 {
            self.unacked += 1;
            self.unacked_bytes = self.unacked_bytes.saturating_add(bytes);
            if self.unacked > Options::unacked_max() {
                return Next::Broken("the broker far exceeded our receive maximum".to_owned());
            }
        }
        let epoch = self.epoch;
        Next::Tell(Event::Publish(Incoming {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retained: publish.retain,
            duplicate: publish.dup,
            ack: AckToken {
                epoch,
                packet_id,
                bytes,
            },
        }))
    }

    fn handle_puback(&mut self, puback: &PubAck) -> Next {
        let Some(Waiting { token, .. }) = self.under_way.remove(&puback.pkid) else {
            return Next::Quiet;
        };
        let reason = match puback.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                return Next::Tell(Event::Puback { token });
            }
            PubAckReason::UnspecifiedError => "unspecified error",
            PubAckReason::ImplementationSpecificError => "implementation specific error",
            PubAckReason::NotAuthorized => "not authorized",
            PubAckReason::TopicNameInvalid => "topic name invalid",
            PubAckReason::PacketIdentifierInUse => "packet identifier in use",
            PubAckReason::QuotaExceeded => "quota exceeded",
            PubAckReason::PayloadFormatInvalid => "payload format invalid",
        };
        Next::Tell(Event::Refused { token, reason })
    }
}
