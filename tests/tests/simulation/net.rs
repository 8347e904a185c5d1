//! Links and connections: latency, throttling, black holes, cuts. A connection
//! keeps the order of what it carries and loses what is under way when it ends;
//! its two ends may learn of that at different times.

use crate::broker::{Conn, Connect, Down, Message};
use crate::world::{Event, World};
use std::collections::VecDeque;

/// Without an answer for so long a client gives its connection up; twice the keep-alive.
const CLIENT_PATIENCE: u64 = 10_000_000;
/// … and the broker, one and a half times (MQTT 5.0, clause 3.1.2.10).
const BROKER_PATIENCE: u64 = 7_500_000;
/// Publishes of a client without a PUBACK, and waiting to be sent.
pub(crate) const SENT_MAX: usize = 128;

/// One way of a vehicle or of the server to the broker.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) latency: u64,
    pub(crate) jitter: u64,
    pub(crate) up: bool,
    /// Nothing passes before this time, and nobody is told.
    pub(crate) hole_until: u64,
    /// Bytes per second.
    pub(crate) rate: Option<u64>,
    /// When what was sent before has passed, up and down.
    free: [u64; 2],
}

impl Link {
    pub(crate) fn new(latency: u64, jitter: u64) -> Self {
        Self {
            latency,
            jitter,
            up: true,
            hole_until: 0,
            rate: None,
            free: [0; 2],
        }
    }
}

/// An MQTT client with its wrapper: connects again and again while its process runs.
pub(crate) struct Client {
    pub(crate) link: usize,
    pub(crate) connect: Connect,
    /// The process runs.
    pub(crate) on: bool,
    /// The connection that stands, as the client sees it.
    pub(crate) conn: Option<u32>,
    /// The attempt under way.
    trying: Option<u32>,
    /// Tokens of publishes without a PUBACK, in order.
    pub(crate) sent: VecDeque<u64>,
    last: [u64; 2],
}

impl Client {
    pub(crate) fn new(link: usize, connect: Connect) -> Self {
        let sent = VecDeque::new();
        Self {
            link,
            connect,
            on: false,
            conn: None,
            trying: None,
            sent,
            last: [0; 2],
        }
    }
}

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    Connect(Connect),
    Publish { token: u64, message: Message },
    Puback { packet: u64 },
}

/// What the owner of a client is told.
#[derive(Debug)]
pub(crate) enum Heard {
    Connected,
    Puback(u64),
    Publish {
        packet: u64,
        retained: bool,
        message: Message,
    },
    Disconnected,
    Lost(Vec<u64>),
}

const ENVELOPE: usize = 60;

impl World {
    /// When something sent now arrives; in order per connection and direction.
    fn arrival(&mut self, client: usize, way: usize, bytes: usize) -> u64 {
        let client = &mut self.clients[client];
        let link = &mut self.links[client.link];
        let jitter = if link.jitter == 0 {
            0
        } else {
            self.rng.any() % link.jitter
        };
        let mut leaves = self.now;
        if let Some(rate) = link.rate {
            let takes = u64::try_from(bytes + ENVELOPE).unwrap() * 1_000_000 / rate.max(1);
            leaves = leaves.max(link.free[way]) + takes;
            link.free[way] = leaves;
        }
        let at = (leaves + link.latency + jitter)
            .max(link.hole_until)
            .max(client.last[way]);
        client.last[way] = at;
        at
    }

    fn send_up(&mut self, client: usize, number: u32, packet: Up) {
        let bytes = match &packet {
            Up::Publish { message, .. } => message.payload.len() + message.topic.len(),
            Up::Connect(_) | Up::Puback { .. } => 4,
        };
        let at = self.arrival(client, 0, bytes);
        self.at(at, Event::Up((client, number), packet));
    }

    pub(crate) fn send_down(&mut self, out: Vec<(Conn, Down)>) {
        for ((client, number), packet) in out {
            let bytes = match &packet {
                Down::Publish { message, .. } => message.payload.len() + message.topic.len(),
                Down::Connack | Down::Puback { .. } => 4,
            };
            let at = self.arrival(client, 1, bytes);
            self.at(at, Event::Down((client, number), packet));
        }
    }

    /// Starts a client: connects after a moment.
    pub(crate) fn start_client(&mut self, client: usize) {
        self.clients[client].on = true;
        self.try_again(client, 1_000);
    }

    fn try_again(&mut self, client: usize, wait: u64) {
        self.at(self.now + wait, Event::Attempt(client));
    }

    pub(crate) fn attempt(&mut self, client: usize) {
        let reachable = self.broker_up && self.links[self.clients[client].link].up;
        let it = &mut self.clients[client];
        if !it.on || it.conn.is_some() || it.trying.is_some() {
            return;
        }
        if !reachable {
            let wait = self.rng.between(100_000, 2_000_000);
            return self.try_again(client, wait);
        }
        self.conns += 1;
        let number = self.conns;
        let it = &mut self.clients[client];
        it.trying = Some(number);
        it.last = [self.now; 2];
        let connect = it.connect.clone();
        self.send_up(client, number, Up::Connect(connect));
        self.at(self.now + CLIENT_PATIENCE, Event::GiveUp((client, number)));
    }

    /// Publishes, or says that it cannot be now.
    pub(crate) fn publish(&mut self, client: usize, token: u64, message: Message) -> bool {
        let it = &mut self.clients[client];
        let Some(number) = it.conn.filter(|_| it.sent.len() < SENT_MAX) else {
            return false;
        };
        it.sent.push_back(token);
        self.send_up(client, number, Up::Publish { token, message });
        true
    }

    pub(crate) fn acknowledge(&mut self, (client, number): Conn, packet: u64) {
        if self.clients[client].conn == Some(number) {
            self.send_up(client, number, Up::Puback { packet });
        }
    }

    /// Something reached the broker.
    pub(crate) fn arrived_up(&mut self, conn: Conn, packet: Up) {
        let it = &self.clients[conn.0];
        if !self.broker_up || it.conn != Some(conn.1) && it.trying != Some(conn.1) {
            return;
        }
        let out = match packet {
            Up::Connect(connect) => self.broker.connect(self.now, &mut self.rng, conn, connect),
            Up::Publish { token, message } if self.broker.is_conn(conn) => {
                let (broker, rng) = (&mut self.broker, &mut self.rng);
                broker.publish(self.now, rng, conn, token, &message)
            }
            Up::Puback { packet } if self.broker.is_conn(conn) => {
                self.broker.puback(self.now, &mut self.rng, conn, packet)
            }
            Up::Publish { .. } | Up::Puback { .. } => return,
        };
        self.send_down(out);
    }

    /// Something reached a client.
    pub(crate) fn arrived_down(&mut self, (client, number): Conn, packet: Down) {
        let it = &mut self.clients[client];
        let known = it.conn == Some(number) || it.trying == Some(number);
        if !it.on || !known {
            return;
        }
        let heard = match packet {
            Down::Connack => {
                (it.conn, it.trying) = (Some(number), None);
                Heard::Connected
            }
            Down::Puback { token } => {
                it.sent.retain(|waiting| *waiting != token);
                Heard::Puback(token)
            }
            Down::Publish {
                packet,
                retained,
                message,
            } => Heard::Publish {
                packet,
                retained,
                message,
            },
        };
        self.heard(client, heard);
    }

    /// Both ends of a client's connection, if it has one, learn that it is over:
    /// the client at once, the broker after `later`.
    pub(crate) fn cut(&mut self, client: usize, later: u64) {
        let it = &self.clients[client];
        let Some(number) = it.conn.or(it.trying) else {
            return;
        };
        self.at(self.now + later, Event::BrokerDead((client, number)));
        self.client_dead((client, number));
    }

    pub(crate) fn client_dead(&mut self, (client, number): Conn) {
        let it = &mut self.clients[client];
        if it.conn != Some(number) && it.trying != Some(number) {
            return;
        }
        let stood = it.conn.take().is_some();
        it.trying = None;
        let lost: Vec<u64> = std::mem::take(&mut it.sent).into();
        if !it.on {
            return;
        }
        if stood {
            self.heard(client, Heard::Disconnected);
            if !lost.is_empty() {
                self.heard(client, Heard::Lost(lost));
            }
        }
        let wait = self.rng.between(50_000, 2_000_000);
        self.try_again(client, wait);
    }

    pub(crate) fn broker_dead(&mut self, conn: Conn) {
        if self.broker_up && self.broker.is_conn(conn) {
            let out = self.broker.gone(self.now, &mut self.rng, conn.0, true);
            self.send_down(out);
        }
        // A client that still believes in it asks in vain before long.
        let link = &self.links[self.clients[conn.0].link];
        let at = self.now.max(link.hole_until) + link.latency;
        let wait = self.rng.between(0, CLIENT_PATIENCE);
        self.at(at + wait, Event::ClientDead(conn));
    }

    /// The process of a client is gone without a word.
    pub(crate) fn kill_client(&mut self, client: usize, later: u64) {
        self.clients[client].on = false;
        self.cut(client, later);
        self.clients[client].sent.clear();
    }

    pub(crate) fn give_up(&mut self, conn: Conn) {
        if self.clients[conn.0].trying == Some(conn.1) {
            self.client_dead(conn);
        }
    }

    /// Patience is over, at the broker or at the client, if nothing passed meanwhile.
    pub(crate) fn silence(&mut self, conn: Conn, at_broker: bool) {
        let link = self.clients[conn.0].link;
        if self.links[link].hole_until <= self.now {
            return;
        }
        if at_broker {
            self.broker_dead(conn);
        } else {
            self.client_dead(conn);
        }
    }

    /// Nothing passes a link for a while and nobody is told: whoever is patient
    /// for a shorter time gives up.
    pub(crate) fn hole(&mut self, link: usize, lasts: u64) {
        self.links[link].hole_until = self.now + lasts;
        for client in 0..self.clients.len() {
            let it = &self.clients[client];
            let Some(number) = it.conn.filter(|_| it.link == link) else {
                continue;
            };
            if lasts > BROKER_PATIENCE {
                self.at(
                    self.now + BROKER_PATIENCE,
                    Event::Silence((client, number), true),
                );
            }
            if lasts > CLIENT_PATIENCE {
                self.at(
                    self.now + CLIENT_PATIENCE,
                    Event::Silence((client, number), false),
                );
            }
        }
    }
}
