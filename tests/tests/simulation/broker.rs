//! The broker: sessions, QoS 1, expiry, retained messages, Last Will, a bound on
//! each session's queue. It may lose its state, deliver twice and redeliver in
//! another order. Pure: what it wants to send is returned.

use crate::rng::Rng;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Which client, and which of its connections.
pub(crate) type Conn = (usize, u32);

/// Messages of one session that wait; above it the newest are dropped, as
/// Mosquitto does.
const QUEUE_MAX: usize = 200;

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    /// Virtual time after which it is not delivered any more.
    pub(crate) expires_at: Option<u64>,
}

/// How a client connects.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) clean: bool,
    pub(crate) filters: Vec<String>,
    pub(crate) will: Option<Message>,
    pub(crate) window: usize,
}

/// What the broker sends.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    Connack,
    Puback {
        token: u64,
    },
    Publish {
        packet: u64,
        retained: bool,
        message: Message,
    },
}

#[derive(Default)]
struct Session {
    connect: Option<Connect>,
    conn: Option<u32>,
    queue: VecDeque<Message>,
    inflight: VecDeque<(u64, Message)>,
}

#[derive(Default)]
pub(crate) struct Broker {
    sessions: BTreeMap<usize, Session>,
    retained: BTreeMap<String, Message>,
    packets: u64,
    /// Percent of deliveries that come twice.
    pub(crate) twice: u64,
    /// Whether what is redelivered to a session comes in any order.
    pub(crate) disorder: bool,
    pub(crate) counts: Counts,
}

/// What it did that hurts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) expired: u64,
    pub(crate) overflowed: u64,
}

type Out = Vec<(Conn, Down)>;

impl Broker {
    pub(crate) fn connect(&mut self, now: u64, rng: &mut Rng, conn: Conn, connect: Connect) -> Out {
        let mut out = self.gone(now, rng, conn.0, true);
        let session = self.sessions.entry(conn.0).or_default();
        let present = !connect.clean && session.connect.is_some();
        if !present {
            *session = Session::default();
        }
        let filters = connect.filters.clone();
        session.connect = Some(connect);
        session.conn = Some(conn.1);
        out.push((conn, Down::Connack));
        let mut again: Vec<_> = std::mem::take(&mut session.inflight).into();
        if self.disorder && again.len() > 1 {
            rng.shuffle(&mut again);
            self.counts.reordered += 1;
        }
        for (_, message) in again.into_iter().rev() {
            session.queue.push_front(message);
        }
        for message in self.retained.values() {
            if filters.iter().any(|filter| matches(filter, &message.topic)) {
                self.packets += 1;
                let (packet, message) = (self.packets, message.clone());
                let session = self.sessions.get_mut(&conn.0).unwrap();
                session.inflight.push_back((packet, message.clone()));
                out.push((
                    conn,
                    Down::Publish {
                        packet,
                        retained: true,
                        message,
                    },
                ));
            }
        }
        self.pump(now, rng, conn.0, &mut out);
        out
    }

    /// The connection of a client is over; without a goodbye its will is published.
    pub(crate) fn gone(&mut self, now: u64, rng: &mut Rng, client: usize, will: bool) -> Out {
        let mut out = Out::new();
        let Some(session) = self.sessions.get_mut(&client) else {
            return out;
        };
        if session.conn.take().is_none() {
            return out;
        }
        let connect = session.connect.clone().unwrap();
        if connect.clean {
            self.sessions.remove(&client);
        }
        if let Some(message) = connect.will.filter(|_| will) {
            self.route(now, rng, &message, &mut out);
        }
        out
    }

    pub(crate) fn is_conn(&self, conn: Conn) -> bool {
        self.sessions
            .get(&conn.0)
            .is_some_and(|session| session.conn == Some(conn.1))
    }

    pub(crate) fn publish(
        &mut self,
        now: u64,
        rng: &mut Rng,
        conn: Conn,
        token: u64,
        message: &Message,
    ) -> Out {
        let mut out = Out::new();
        self.route(now, rng, message, &mut out);
        out.push((conn, Down::Puback { token }));
        out
    }

    fn route(&mut self, now: u64, rng: &mut Rng, message: &Message, out: &mut Out) {
        if message.retain {
            self.retained.remove(&message.topic);
            if !message.payload.is_empty() {
                self.retained.insert(message.topic.clone(), message.clone());
            }
        }
        let clients: Vec<usize> = self.sessions.keys().copied().collect();
        for client in clients {
            let session = self.sessions.get_mut(&client).unwrap();
            let connect = session.connect.as_ref().unwrap();
            if !connect
                .filters
                .iter()
                .any(|filter| matches(filter, &message.topic))
            {
                continue;
            }
            let copies = if rng.chance(self.twice) { 2 } else { 1 };
            self.counts.duplicated += copies - 1;
            for _ in 0..copies {
                if session.queue.len() < QUEUE_MAX {
                    session.queue.push_back(message.clone());
                } else {
                    self.counts.overflowed += 1;
                }
            }
            self.pump(now, rng, client, out);
        }
    }

    pub(crate) fn puback(&mut self, now: u64, rng: &mut Rng, conn: Conn, packet: u64) -> Out {
        let mut out = Out::new();
        if let Some(session) = self.sessions.get_mut(&conn.0) {
            session.inflight.retain(|(waiting, _)| *waiting != packet);
        }
        self.pump(now, rng, conn.0, &mut out);
        out
    }

    /// Sends what the client's window has room for.
    fn pump(&mut self, now: u64, _rng: &mut Rng, client: usize, out: &mut Out) {
        let session = self.sessions.get_mut(&client).unwrap();
        let window = session.connect.as_ref().map_or(0, |connect| connect.window);
        let Some(number) = session.conn else { return };
        while session.inflight.len() < window
            && let Some(message) = session.queue.pop_front()
        {
            if message.expires_at.is_some_and(|at| at <= now) {
                self.counts.expired += 1;
                continue;
            }
            self.packets += 1;
            let packet = self.packets;
            session.inflight.push_back((packet, message.clone()));
            let publish = Down::Publish {
                packet,
                retained: false,
                message,
            };
            out.push(((client, number), publish));
        }
    }

    /// It starts again. Every connection is gone; its wills are not published.
    pub(crate) fn restart(&mut self, keeps_state: bool) {
        if keeps_state {
            for session in self.sessions.values_mut() {
                session.conn = None;
            }
            let kept = |_: &usize, session: &mut Session| {
                session
                    .connect
                    .as_ref()
                    .is_some_and(|connect| !connect.clean)
            };
            self.sessions.retain(kept);
        } else {
            self.sessions.clear();
            self.retained.clear();
        }
    }
}

/// MQTT 5.0, clause 4.7, as far as it is used: `+` is one level.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}
