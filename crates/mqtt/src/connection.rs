//! The state of one connection: which publish is under way under which packet
//! id, and what an event of the library means. No I/O, no clock.

use crate::client::is_answered;
use crate::message::{AckToken, Event, Incoming, Publish};
use crate::options::Options;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Packet, PubAck, PubAckReason, Publish as PublishPacket, SubAck, SubscribeReasonCode,
};
use rumqttc::{Outgoing, v5};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What the driver does after an event.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing to tell.
    Quiet,
    /// Tell the reader.
    Tell(Event),
    /// The CONNACK: the connection stands.
    Up {
        /// The broker still had the session.
        session_present: bool,
        /// Its limit on what we send.
        packet_bytes_max: Option<u32>,
        /// Its keep-alive in place of ours.
        keep_alive: Option<Duration>,
    },
    /// Our DISCONNECT is out.
    Closed,
    /// The connection is of no use.
    Broken(String),
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
    /// Handed to the library, not yet given a packet id; `None` for QoS 0.
    handed: VecDeque<Option<Waiting>>,
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
            unacked_bytes_max: options.unacked_bytes_max(),
            inflight_max: options.inflight(),
            window: 0,
            subscribes: !options.subscriptions.is_empty(),
            subscribed: false,
            order: 0,
            handed: VecDeque::new(),
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
        self.handed.len() + self.under_way.len() < usize::from(self.window)
    }

    /// Notes a publish that was handed to the library.
    pub(crate) fn handed(&mut self, publish: &Publish) {
        self.order += 1;
        let waiting = Waiting {
            order: self.order,
            token: publish.token,
        };
        self.handed
            .push_back(is_answered(publish).then_some(waiting));
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
        let handed = self.handed.into_iter().flatten();
        let mut waiting: Vec<Waiting> = self.under_way.into_values().chain(handed).collect();
        waiting.sort_unstable_by_key(|waiting| waiting.order);
        waiting.into_iter().map(|waiting| waiting.token).collect()
    }

    /// What an event of the library means.
    pub(crate) fn handle(&mut self, event: v5::Event) -> Next {
        match event {
            v5::Event::Outgoing(outgoing) => self.handle_outgoing(&outgoing),
            v5::Event::Incoming(packet) => self.handle_incoming(packet),
        }
    }

    fn handle_outgoing(&mut self, outgoing: &Outgoing) -> Next {
        if *outgoing == Outgoing::Disconnect {
            return Next::Closed;
        }
        // Requests are taken in order, so the oldest one without an id got this id.
        if let Outgoing::Publish(packet_id) = outgoing
            && let Some(Some(waiting)) = self.handed.pop_front()
        {
            self.under_way.insert(*packet_id, waiting);
        }
        Next::Quiet
    }

    fn handle_incoming(&mut self, packet: Packet) -> Next {
        if let Packet::Publish(publish) = packet {
            self.handle_publish(publish)
        } else if let Packet::PubAck(puback) = packet {
            self.handle_puback(&puback)
        } else if let Packet::ConnAck(connack) = packet {
            self.handle_connack(&connack)
        } else if let Packet::SubAck(suback) = packet {
            self.handle_suback(&suback)
        } else {
            Next::Quiet
        }
    }

    fn handle_connack(&mut self, connack: &ConnAck) -> Next {
        let limits = connack.properties.as_ref();
        // The library stops reading requests, acknowledgements too, when its
        // window is full; ours stays one below, so that this never happens.
        let theirs = limits
            .and_then(|limits| limits.receive_max)
            .unwrap_or(u16::MAX);
        self.window = theirs.saturating_sub(1).clamp(1, self.inflight_max);
        Next::Up {
            session_present: connack.session_present,
            packet_bytes_max: limits.and_then(|limits| limits.max_packet_size),
            keep_alive: limits
                .and_then(|limits| limits.server_keep_alive)
                .map(|seconds| Duration::from_secs(u64::from(seconds))),
        }
    }

    fn handle_suback(&mut self, suback: &SubAck) -> Next {
        let refused = suback
            .return_codes
            .iter()
            .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        if let Some(code) = refused {
            return Next::Broken(format!("the broker refused a subscription: {code:?}"));
        }
        if !self.subscribes || self.subscribed {
            return Next::Quiet;
        }
        self.subscribed = true;
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
            let many = self.unacked > Options::unacked_max();
            if many || self.unacked_bytes > self.unacked_bytes_max {
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
