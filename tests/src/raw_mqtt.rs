//! MQTT 5 by hand, so that it can ask for what no library would, and sees each answer.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A hang guard, not a measure.
const HANG: Duration = Duration::from_mins(2);
/// Reason codes from here on are refusals.
const REFUSED: u8 = 0x80;

/// What carries the packets.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// A client whose CONNECT was taken.
pub struct RawMqtt {
    stream: Box<dyn Bytes>,
    next_id: u16,
    inbox: VecDeque<(String, Vec<u8>)>,
}

impl std::fmt::Debug for RawMqtt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawMqtt").finish_non_exhaustive()
    }
}

/// What a CONNECT says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connect<'a> {
    /// Its client id.
    pub client_id: &'a str,
    /// Topic of a retained Last Will, and what it says.
    pub will: Option<(&'a str, &'a [u8])>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was taken; of a publish that does not mean that anybody gets it.
    Taken,
    /// It was refused with this reason.
    Refused(u8),
    /// The other side hung up.
    HungUp,
}

enum Packet {
    Connack(u8),
    Puback(u16, u8),
    Suback(u8),
    Publish(String, Vec<u8>, Option<u16>),
    Other,
}

impl RawMqtt {
    /// Says CONNECT over a fresh connection.
    ///
    /// # Errors
    /// How it was refused.
    pub async fn connect(
        stream: impl Bytes + 'static,
        connect: Connect<'_>,
    ) -> Result<Self, Answer> {
        let mut client = Self {
            stream: Box::new(stream),
            next_id: 1,
            inbox: VecDeque::new(),
        };
        client.write(&connect_packet(connect)).await;
        match client.packet().await {
            Some(Packet::Connack(reason)) if reason < REFUSED => Ok(client),
            Some(Packet::Connack(reason)) => Err(Answer::Refused(reason)),
            _ => Err(Answer::HungUp),
        }
    }

    /// Subscribes one filter with QoS 1.
    pub async fn subscribe(&mut self, filter: &str) -> Answer {
        let mut body = self.id().to_be_bytes().to_vec();
        body.push(0);
        put_text(&mut body, filter);
        body.push(1);
        self.write(&packet(0x82, &body)).await;
        loop {
            match self.sorted().await {
                Some(Packet::Suback(reason)) => return answer(reason),
                Some(_) => {}
                None => return Answer::HungUp,
            }
        }
    }

    /// Publishes with QoS 1.
    pub async fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) -> Answer {
        let id = self.id();
        let packet = publish_packet(topic, payload, Some(id), retain);
        self.write(&packet).await;
        loop {
            match self.sorted().await {
                Some(Packet::Puback(of, reason)) if of == id => return answer(reason),
                Some(_) => {}
                None => return Answer::HungUp,
            }
        }
    }

    /// The next message; `None` when the other side hung up.
    pub async fn message(&mut self) -> Option<(String, Vec<u8>)> {
        while self.inbox.is_empty() {
            self.sorted().await?;
        }
        self.inbox.pop_front()
    }

    /// Hangs up without a DISCONNECT, and waits until the other side has, too.
    pub async fn hang_up(mut self) {
        drop(self.stream.shutdown().await);
        while self.packet().await.is_some() {}
    }

    /// Writes bytes as they are; nobody may be there any more to read them.
    pub async fn write(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).await.is_ok() {
            drop(self.stream.flush().await);
        }
    }

    fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(1);
        id
    }

    /// The next packet; messages are acknowledged and put aside.
    async fn sorted(&mut self) -> Option<Packet> {
        let packet = self.packet().await?;
        if let Packet::Publish(topic, payload, id) = packet {
            if let Some(id) = id {
                self.write(&[&[0x40, 2][..], &id.to_be_bytes()].concat())
                    .await;
            }
            self.inbox.push_back((topic, payload));
            return Some(Packet::Other);
        }
        Some(packet)
    }

    async fn packet(&mut self) -> Option<Packet> {
        let read = tokio::time::timeout(HANG, self.read()).await;
        read.expect("no answer")
    }

    async fn read(&mut self) -> Option<Packet> {
        let first = self.stream.read_u8().await.ok()?;
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(parse(first, &body))
    }
}

fn answer(reason: u8) -> Answer {
    if reason < REFUSED {
        Answer::Taken
    } else {
        Answer::Refused(reason)
    }
}

/// MQTT 5.0, clause 3.1.
#[must_use]
pub fn connect_packet(connect: Connect<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    let will = if connect.will.is_some() { 0x2c } else { 0 };
    // Version, clean start and will, keep-alive of a minute, no properties.
    body.extend([5, 2 | will, 0, 60, 0]);
    put_text(&mut body, connect.client_id);
    if let Some((topic, payload)) = connect.will {
        body.push(0);
        put_text(&mut body, topic);
        put_bytes(&mut body, payload);
    }
    packet(0x10, &body)
}

/// MQTT 5.0, clause 3.3; with an id QoS 1, without QoS 0.
#[must_use]
pub fn publish_packet(topic: &str, payload: &[u8], id: Option<u16>, retain: bool) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.push(0);
    body.extend(payload);
    let qos = if id.is_some() { 2 } else { 0 };
    packet(0x30 | qos | u8::from(retain), &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap();
        length /= 128;
        if length == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend(body);
    bytes
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    put_bytes(body, text.as_bytes());
}

fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    body.extend(bytes);
}

fn parse(first: u8, body: &[u8]) -> Packet {
    let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match first >> 4 {
        2 => Packet::Connack(body[1]),
        4 => Packet::Puback(id(0), body.get(2).copied().unwrap_or(0)),
        9 => Packet::Suback(*body.last().unwrap()),
        3 => {
            let topic_end = 2 + usize::from(id(0));
            let topic = String::from_utf8_lossy(&body[2..topic_end]).into_owned();
            let has_id = first & 0x06 != 0;
            let mut at = topic_end;
            let pkid = has_id.then(|| id(at));
            at += if has_id { 2 } else { 0 };
            // Properties: none of ours is longer than 127 bytes.
            at += 1 + usize::from(body[at]);
            Packet::Publish(topic, body[at..].to_vec(), pkid)
        }
        _ => Packet::Other,
    }
}
