//! The load: connections that publish frames as fast as QoS 1 lets them, or at a
//! pace. No spool and no client library, so that the machine is left to what is
//! measured: packets are made beforehand and written many at a time.

use super::{START, Vehicle, numerics, us_since, vehicles};
use crate::args::LoadArgs;
use crate::clock::SystemClock;
use crate::out;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use enroute_model::frame::{Frame, Header};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::time::{Clock, GatewayTime, Span};
use enroute_wire::{Message, v1};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Connections that share the transfers.
const LINKS: usize = 4;
/// Publishes under way on each: below what both brokers take.
const WINDOW: usize = 200;
/// Packet ids go round below this.
const IDS: u64 = 60_000;
/// As a gateway sets it.
const EXPIRY_S: u32 = 10;
/// How often a paced load sends what is due.
const TICK: Duration = Duration::from_millis(1);

/// Does what it is told on standard input: `make N`, `go`, `pace RATE SECONDS`.
pub(super) async fn run(args: &LoadArgs) -> Result<()> {
    let mut load = Load::connect(args).await?;
    out::line("ready")?;
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = words.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["make", frames] => out::line(format!("made {}", load.make(frames.parse()?)?))?,
            ["go"] => {
                load.go().await?;
                out::line("sent")?;
            }
            ["pace", rate, seconds] => {
                load.pace(rate.parse()?, seconds.parse()?).await?;
                out::line("sent")?;
            }
            other => bail!("the load was told {other:?}"),
        }
    }
    Ok(())
}

struct Load {
    clock: SystemClock,
    vehicles: Vec<Vehicle>,
    links: Vec<Link>,
    /// Frames made so far, over all vehicles in turn.
    frames: u64,
}

/// One connection and what was made for it.
struct Link {
    stream: TcpStream,
    inbox: Vec<u8>,
    made: Vec<Vec<u8>>,
    unacked: usize,
    ids: u64,
}

impl Load {
    async fn connect(args: &LoadArgs) -> Result<Self> {
        let mut links = Vec::new();
        for number in 0..LINKS {
            links.push(Link::connect(&args.broker, number).await?);
        }
        Ok(Self {
            clock: SystemClock::new(),
            vehicles: vehicles(args.transfers)?,
            links,
            frames: 0,
        })
    }

    /// Makes so many frames, the vehicles in turn. Gives a time on board such that the
    /// last frame of each vehicle was captured then or later, and no other was.
    fn make(&mut self, frames: u64) -> Result<i64> {
        let vehicles = u64::try_from(self.vehicles.len())?;
        let now = self.clock.wall();
        let mut last = now;
        for number in 0..frames {
            let captured_at = now.saturating_add(i64::try_from(number)?);
            if number + vehicles == frames {
                last = captured_at;
            }
            self.add(captured_at)?;
        }
        Ok(last)
    }

    /// Makes the next vehicle's frame; gives the link that it waits at.
    fn add(&mut self, captured_at: i64) -> Result<usize> {
        let vehicles = u64::try_from(self.vehicles.len())?;
        let (round, place) = (self.frames / vehicles, self.frames % vehicles);
        self.frames += 1;
        let place = usize::try_from(place)?;
        let vehicle = self.vehicles.get(place).context("no vehicle")?;
        let made = vehicle.publish(round, captured_at);
        let at = place % self.links.len();
        let link = self.links.get_mut(at).context("no connection")?;
        link.ids = link.ids % IDS + 1;
        let packet = packet(&made, u16::try_from(link.ids)?)?;
        link.made.push(packet);
        Ok(at)
    }

    /// Publishes what was made, until the broker has acknowledged all of it.
    async fn go(&mut self) -> Result<()> {
        let mut under_way = tokio::task::JoinSet::new();
        for link in self.links.drain(..) {
            under_way.spawn(link.burst());
        }
        while let Some(link) = under_way.join_next().await {
            self.links.push(link??);
        }
        Ok(())
    }

    /// Frames made at the moment in which they are sent.
    async fn pace(&mut self, rate: u64, seconds: u64) -> Result<()> {
        let began = self.clock.monotonic();
        let mut ticks = tokio::time::interval(TICK);
        let (mut sent, all) = (0, rate * seconds);
        while sent < all {
            ticks.tick().await;
            let since = us_since(&self.clock, began).unsigned_abs();
            let due = rate.saturating_mul(since) / 1_000_000;
            while sent < due.min(all) {
                self.add(self.clock.wall())?;
                sent += 1;
            }
            for link in &mut self.links {
                link.flush().await?;
            }
        }
        for link in &mut self.links {
            link.acked(0).await?;
        }
        Ok(())
    }
}

/// Topic and payload.
type Made = (String, Vec<u8>);

impl Vehicle {
    /// A publish with one frame of twelve numerics.
    fn publish(&self, round: u64, captured_at: i64) -> Made {
        let header = Header {
            epoch: Epoch(1),
            stream: Stream::Numerics,
            sequence: round.saturating_add(1),
            leg_first: 1,
            captured_at: GatewayTime(captured_at),
            observed_at: None,
            boot: 1,
            monotonic: Span(captured_at.saturating_sub(START)),
            clocks: None,
            exercise: true,
        };
        let body = numerics(i64::try_from(round).unwrap_or(i64::MAX));
        let batch = v1::Batch {
            sent_at_us: captured_at,
            frame: vec![Bytes::from(enroute_wire::frame::encode(&Frame {
                header,
                body,
            }))],
            ..v1::Batch::default()
        };
        let topic = format!("enroute/v1/gw/{}/tx/{}/live", self.gateway, self.transfer);
        (topic, batch.encode_to_vec())
    }
}

/// A PUBLISH of MQTT 5, QoS 1, with an expiry.
fn packet((topic, payload): &Made, id: u16) -> Result<Vec<u8>> {
    let mut rest = Vec::new();
    rest.extend(u16::try_from(topic.len())?.to_be_bytes());
    rest.extend(topic.as_bytes());
    rest.extend(id.to_be_bytes());
    rest.extend([5, 2]);
    rest.extend(EXPIRY_S.to_be_bytes());
    rest.extend(payload);
    Ok(with_head(0x32, &rest))
}

fn with_head(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = rest.len();
    loop {
        let low = u8::try_from(length % 128).unwrap_or(0);
        length /= 128;
        packet.push(if length > 0 { low | 128 } else { low });
        if length == 0 {
            break;
        }
    }
    packet.extend(rest);
    packet
}

/// Length of the whole packet at the head of `bytes`, if it is all there.
fn length(bytes: &[u8]) -> Option<usize> {
    let (mut length, mut shift) = (0_usize, 0);
    for (index, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            let whole = length + index + 2;
            return (bytes.len() >= whole).then_some(whole);
        }
    }
    None
}

impl Link {
    async fn connect(broker: &str, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut link = Self {
            stream,
            inbox: Vec::new(),
            made: Vec::new(),
            unacked: 0,
            ids: 0,
        };
        let mut connect = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0];
        let name = format!("enroute-bench-load-{number}");
        connect.extend(u16::try_from(name.len())?.to_be_bytes());
        connect.extend(name.as_bytes());
        link.stream.write_all(&with_head(0x10, &connect)).await?;
        link.unacked = 1;
        link.acked(0).await?;
        Ok(link)
    }

    async fn burst(mut self) -> Result<Self> {
        self.flush().await?;
        self.acked(0).await?;
        Ok(self)
    }

    /// Writes what was made, as many at a time as may be under way.
    async fn flush(&mut self) -> Result<()> {
        let made = std::mem::take(&mut self.made);
        let mut rest = made.as_slice();
        while !rest.is_empty() {
            self.acked(WINDOW - 1).await?;
            let (now, later) = rest.split_at(rest.len().min(WINDOW - self.unacked));
            self.stream.write_all(&now.concat()).await?;
            self.unacked += now.len();
            rest = later;
        }
        Ok(())
    }

    /// Reads until at most so many publishes are under way.
    async fn acked(&mut self, most: usize) -> Result<()> {
        let mut buffer = [0; 4_096];
        while self.unacked > most {
            let read = self.stream.read(&mut buffer).await?;
            if read == 0 {
                bail!("the broker ended the connection of the load");
            }
            self.inbox.extend(buffer.iter().take(read));
            while let Some(whole) = length(&self.inbox) {
                let kind = self.inbox.first().map(|head| head >> 4);
                // CONNACK and PUBACK.
                if matches!(kind, Some(2 | 4)) {
                    self.unacked = self.unacked.saturating_sub(1);
                }
                self.inbox.drain(..whole);
            }
        }
        Ok(())
    }
}
