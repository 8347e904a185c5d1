//! The server: ingest's real decisions, the real journal on a real disk, the real
//! shard. What the simulation plays is time: how long a commit takes, when its
//! waiters hear of it, when the shard reads it, and when all of it dies.

use crate::broker::{Conn, Connect, Message};
use crate::net::{Heard, SENT_MAX};
use crate::world::{Event, START_US, World};
use bytes::Bytes;
use enroute_ingest::simulation::{Done, Echoes, Intake, Out, Outgoing, Received, Shared, Word};
use enroute_ingest::{Admits, Config, Quarantine, Stats};
use enroute_journal::{Append, AppendError, Journal, Options, Pending, Probe, Tail, TailItem};
use enroute_live::simulation::Stepped;
use enroute_model::ids::{Position, Stream};
use enroute_model::time::{Clock, EngineTime, Span};
use enroute_mqtt::{Publish, PublishError};
use enroute_wire::{topics, v1};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const TICK_EVERY: u64 = 500_000;
const LIVE: usize = 0;
const HISTORY: usize = 1;

/// The server's clocks, set before each step.
#[derive(Default)]
pub(crate) struct SimClock {
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl Clock for SimClock {
    fn wall(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }
    fn monotonic(&self) -> Span {
        Span(self.monotonic.load(Ordering::Relaxed))
    }
}

/// What acknowledges one publish, and what was in it.
pub(crate) struct Ack {
    conn: Conn,
    packet: u64,
    topic: String,
    payload: Bytes,
}

/// What waits for the disk, in the journal's order.
pub(crate) enum Op {
    Records(u64, Vec<Append>),
    Tick(EngineTime),
}

pub(crate) struct Server {
    pub(crate) dir: PathBuf,
    pub(crate) on: Option<Running>,
    /// Counts its starts.
    pub(crate) life: u32,
    pub(crate) wall_offset_us: i64,
    /// Counts its journals: each copy that it is restored from is one more. Stands
    /// for the incarnation in receipts, which is drawn at random.
    pub(crate) journals: u64,
    /// A commit takes so long at the least and at the most.
    pub(crate) disk: (u64, u64),
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) journal: Journal,
    pub(crate) tail: Tail,
    pub(crate) live: Stepped,
    lanes: [Intake<Ack, u64>; 2],
    /// Came in and not read, for want of room.
    unread: [VecDeque<Received<Ack>>; 2],
    outgoing: Outgoing,
    clock: Arc<SimClock>,
    started: u64,
    pub(crate) ops: VecDeque<Op>,
    pub(crate) tickets: u64,
    /// Durable through this ticket, and the journal has said so.
    done: u64,
    /// Of these it has said that they are not.
    unrecorded: BTreeSet<u64>,
    /// Whether its disk takes nothing.
    pub(crate) broken: Arc<AtomicBool>,
    committing: bool,
    pub(crate) items: VecDeque<TailItem>,
    /// How far the tail has been read.
    tailed: Position,
    due: Option<Duration>,
}

pub(crate) fn new(dir: &Path) -> Server {
    let disk = (1_000, 8_000);
    Server {
        dir: dir.join("server"),
        on: None,
        life: 0,
        wall_offset_us: 0,
        journals: 1,
        disk,
    }
}

pub(crate) fn connects() -> [Connect; 2] {
    let filters = |of: &[&str]| of.iter().map(|&filter| filter.to_owned()).collect();
    let live = filters(&[topics::ALL_LIVE, topics::ALL_STATUS]);
    let history = filters(&[topics::ALL_HISTORY]);
    let connect = |clean, filters| Connect {
        clean,
        filters,
        will: None,
        window: 32,
    };
    [connect(true, live), connect(false, history)]
}

pub(crate) fn options(broken: &Arc<AtomicBool>) -> Options {
    let broken = Arc::clone(broken);
    let probe = move || {
        let works = !broken.load(Ordering::SeqCst);
        works
            .then_some(())
            .ok_or_else(|| std::io::Error::other("the disk takes nothing"))
    };
    Options {
        commit_interval: Duration::ZERO,
        keys: enroute_tests::sealed::keys(),
        repair_after: Duration::from_millis(1),
        before_commit: Some(Probe(Arc::new(probe))),
        ..Options::default()
    }
}

impl World {
    pub(crate) fn server_client(&self, lane: usize) -> usize {
        2 * self.gateways.len() + lane
    }

    pub(crate) fn set_clock(&mut self) {
        let now = i64::try_from(self.now).unwrap();
        if let Some(on) = &self.server.on {
            let wall = START_US + now + self.server.wall_offset_us;
            on.clock.wall.store(wall, Ordering::Relaxed);
            let since = i64::try_from(self.now - on.started).unwrap();
            on.clock.monotonic.store(since, Ordering::Relaxed);
        }
    }

    pub(crate) fn start_server(&mut self) {
        if self.server.on.is_some() {
            return;
        }
        let dir = self.server.dir.clone();
        let broken = Arc::new(AtomicBool::new(false));
        let opened = Journal::open(&dir.join("journal"), options(&broken));
        let (journal, tail) = opened.expect("opens");
        let clock = Arc::new(SimClock::default());
        let wall = START_US + i64::try_from(self.now).unwrap() + self.server.wall_offset_us;
        clock.wall.store(wall, Ordering::Relaxed);
        let shared_clock: Arc<dyn Clock> = clock.clone();
        let live = Stepped::load(&journal, &shared_clock, &self.live_options).expect("loads");
        let start = live.clock().now();
        let mut config = Config::new("", 0, dir.clone(), start, self.server.journals);
        config.in_flight_max = 64;
        let stats = Arc::new(Stats::default());
        let quarantine = Quarantine::open(dir.join("quarantine"), Arc::clone(&stats)).unwrap();
        let echoes = Echoes::default();
        let outgoing = Outgoing::new(&config, Arc::clone(&stats), echoes.clone());
        let admission = live.admission();
        let admits = Admits(Arc::new(move |transfer: &_, gateway: &_, at| {
            admission.admits(transfer, gateway, at)
        }));
        let shared = Shared::new(config, quarantine, stats, echoes).admitting(admits);
        let shared = Arc::new(shared);
        let tailed = journal.last_position();
        self.server.life += 1;
        self.server.on = Some(Running {
            journal,
            tail,
            live,
            lanes: [Intake::new(Arc::clone(&shared)), Intake::new(shared)],
            unread: Default::default(),
            outgoing,
            clock,
            started: self.now,
            ops: VecDeque::new(),
            tickets: 0,
            done: 0,
            unrecorded: BTreeSet::new(),
            broken,
            committing: false,
            items: VecDeque::new(),
            tailed,
            due: None,
        });
        let life = self.server.life;
        self.tick(life);
        self.shard_said();
        for lane in [LIVE, HISTORY] {
            let client = self.server_client(lane);
            self.start_client(client);
        }
    }

    /// Everything in memory is gone; what was not committed was never durable.
    pub(crate) fn crash_server(&mut self) {
        let later = self.rng.between(10_000, 7_000_000);
        for lane in [LIVE, HISTORY] {
            let client = self.server_client(lane);
            self.kill_client(client, later);
        }
        for viewer in &mut self.viewers {
            viewer.on = None;
        }
        let Some(on) = self.server.on.take() else {
            return;
        };
        let Running {
            journal,
            tail,
            live,
            ..
        } = on;
        drop((tail, live));
        // Its thread must let go of the directory; there is nothing left to commit.
        let closed = journal.close();
        assert!(closed.is_ok() || self.outage, "{closed:?}");
        self.acts_crash();
        // Viewers come back with their tokens from before it.
        self.outage = false;
    }

    pub(crate) fn is_up(&self, life: u32) -> bool {
        self.server.on.is_some() && self.server.life == life
    }

    pub(crate) fn server_heard(&mut self, client: usize, heard: Heard) {
        let lane = client - self.server_client(LIVE);
        match heard {
            Heard::Publish {
                packet,
                retained,
                message,
            } => {
                let conn = (client, self.clients[client].conn.unwrap());
                let (topic, payload) = (message.topic, message.payload);
                let ack = Ack {
                    conn,
                    packet,
                    topic: topic.clone(),
                    payload: payload.clone(),
                };
                let received = Received {
                    topic,
                    payload,
                    retained,
                    ack,
                };
                self.server.on.as_mut().unwrap().unread[lane].push_back(received);
                self.read_lane(lane);
            }
            Heard::Connected if lane == LIVE => self.speak(|o, out| o.heard(Word::Connected, out)),
            Heard::Puback(token) if lane == LIVE => {
                self.speak(|o, out| o.heard(Word::Puback(token), out));
            }
            Heard::Connected | Heard::Puback(_) | Heard::Lost(_) | Heard::Disconnected => {}
        }
    }

    fn read_lane(&mut self, lane: usize) {
        self.set_clock();
        let on = self.server.on.as_mut().unwrap();
        let (intake, ops, tickets) = (&mut on.lanes[lane], &mut on.ops, &mut on.tickets);
        let mut refused = Vec::new();
        while intake.has_room()
            && let Some(received) = on.unread[lane].pop_front()
        {
            let now = intake.moment(on.clock.monotonic(), on.clock.wall());
            let it = (received.topic.clone(), received.payload.clone());
            let full = intake.take(now, received, |records| {
                *tickets += 1;
                ops.push_back(Op::Records(*tickets, records));
                Ok(*tickets)
            });
            refused.extend(full.map(|gateway| (gateway, it)));
        }
        for (gateway, (topic, payload)) in refused {
            self.had_no_room(&topic, &payload);
            self.speak(|outgoing, out| outgoing.heard(Word::Full(gateway), out));
        }
        self.plan_commit();
        self.plan_acks();
    }

    pub(crate) fn plan_commit(&mut self) {
        let (low, high) = self.server.disk;
        let takes = self.rng.between(low, high);
        let (life, now) = (self.server.life, self.now);
        let on = self.server.on.as_mut().unwrap();
        if !on.committing && !on.ops.is_empty() {
            on.committing = true;
            self.at(now + takes, Event::Commit(life));
        }
    }

    fn plan_acks(&mut self) {
        let wait = self.rng.between(0, 2_000);
        self.at(self.now + wait, Event::Acks(self.server.life));
    }

    /// All that waited becomes durable; those who wait for it hear of it later.
    pub(crate) fn commit(&mut self, life: u32) {
        if !self.is_up(life) {
            return;
        }
        let on = self.server.on.as_mut().unwrap();
        on.committing = false;
        let before = on.items.len();
        let (mut group, mut tickets) = (Vec::new(), Vec::new());
        for op in std::mem::take(&mut on.ops) {
            match op {
                Op::Records(ticket, records) => {
                    group.extend(records);
                    tickets.push(ticket);
                }
                Op::Tick(at) => {
                    on.store(&mut group, &mut tickets);
                    on.send_tick(at);
                }
            }
        }
        on.store(&mut group, &mut tickets);
        self.tailed(before);
        let wait = self.rng.between(0, 4_000);
        self.at(self.now + wait, Event::Shard(life));
        self.plan_acks();
    }

    /// PUBACKs for what is durable.
    pub(crate) fn acks(&mut self, life: u32) {
        if !self.is_up(life) {
            return;
        }
        for lane in [LIVE, HISTORY] {
            let on = self.server.on.as_mut().unwrap();
            let (done, unrecorded) = (on.done, &on.unrecorded);
            let acks = on.lanes[lane].acknowledge(|ticket| {
                Ok::<_, ()>(match *ticket {
                    ticket if unrecorded.contains(&ticket) => Done::Unrecorded,
                    ticket if ticket <= done => Done::Durable,
                    _ => Done::NotYet,
                })
            });
            for ack in acks.unwrap() {
                self.model.acknowledged(&ack.topic, &ack.payload);
                self.acknowledge(ack.conn, ack.packet);
            }
            self.read_lane_if_any(lane);
        }
    }

    fn read_lane_if_any(&mut self, lane: usize) {
        let on = self.server.on.as_ref().unwrap();
        if !on.unread[lane].is_empty() && on.lanes[lane].has_room() {
            self.read_lane(lane);
        }
    }

    /// The shard reads what the tail holds.
    pub(crate) fn shard(&mut self, life: u32) {
        if !self.is_up(life) {
            return;
        }
        self.set_clock();
        let on = self.server.on.as_mut().unwrap();
        let asleep = on.live.asleep();
        for item in std::mem::take(&mut on.items) {
            assert!(on.live.take(item), "the shard cannot go on");
        }
        let now = on.live.asleep();
        let (fell, woke) = (now.saturating_sub(asleep), asleep.saturating_sub(now));
        for (what, n) in [("transfers fell asleep", fell), ("transfers woke", woke)] {
            self.tally.add(what, u64::try_from(n).unwrap());
        }
        self.hear_answers();
        self.shard_wrote();
        self.shard_said();
    }

    fn shard_said(&mut self) {
        while let Some((gateway, streams)) = self.server.on.as_mut().unwrap().live.receipt() {
            let streams = streams.iter().map(stream_receipt).collect();
            self.speak(|outgoing, out| outgoing.receipt(gateway, streams, out));
        }
        while let Some((gateway, command)) = self.server.on.as_mut().unwrap().live.command() {
            let command = v1::UseTransfer {
                instead_of: command.instead_of.to_string(),
                transfer: command.transfer.to_string(),
                short_code: command.short_code.to_string(),
            };
            self.speak(|outgoing, out| outgoing.command(&gateway, command, out));
        }
    }

    pub(crate) fn tick(&mut self, life: u32) {
        if !self.is_up(life) {
            return;
        }
        self.set_clock();
        let on = self.server.on.as_mut().unwrap();
        on.ops.push_back(Op::Tick(on.live.clock().now()));
        self.plan_commit();
        self.at(self.now + TICK_EVERY, Event::Tick(life));
    }

    pub(crate) fn outgoing(&mut self, life: u32) {
        if self.is_up(life) {
            self.server.on.as_mut().unwrap().due = None;
            self.speak(Outgoing::tick);
        }
    }

    /// Lets the publisher of receipts and commands do something.
    fn speak(&mut self, work: impl FnOnce(&mut Outgoing, &mut Out<'_>)) {
        self.set_clock();
        let client = self.server_client(LIVE);
        let it = &self.clients[client];
        let mut room = it.conn.map(|_| SENT_MAX - it.sent.len());
        let mut sent = Vec::new();
        let mut publish = |publish: Publish| match &mut room {
            None => Err(PublishError::NotConnected),
            Some(0) => Err(PublishError::Full),
            Some(room) => {
                *room -= 1;
                sent.push(publish);
                Ok(())
            }
        };
        let on = self.server.on.as_mut().unwrap();
        let now = Duration::from_micros(self.now - on.started);
        let wall_us = on.clock.wall();
        work(
            &mut on.outgoing,
            &mut Out {
                now,
                wall_us,
                publish: &mut publish,
            },
        );
        let due = on.outgoing.next_timeout();
        if due != on.due {
            on.due = due;
            if let Some(due) = due {
                let at = on.started + u64::try_from(due.as_micros()).unwrap();
                let (at, life) = (at.max(self.now), self.server.life);
                self.at(at, Event::Outgoing(life));
            }
        }
        for publish in sent {
            self.model.receipted(&publish.topic, &publish.payload);
            let expiry = publish
                .message_expiry
                .map(|e| u64::try_from(e.as_micros()).unwrap());
            let message = Message {
                topic: publish.topic,
                payload: publish.payload,
                retain: publish.retain,
                expires_at: expiry.map(|expiry| self.now + expiry),
            };
            assert!(self.publish(client, publish.token, message));
        }
    }
}

impl Running {
    /// One commit of the real journal; the tail gives it back.
    fn store(&mut self, group: &mut Vec<Append>, tickets: &mut Vec<u64>) {
        let Some(last) = tickets.last().copied() else {
            return;
        };
        self.done = last;
        let pending = self.journal.appender().try_submit(std::mem::take(group));
        if self.wait(pending.expect("room")).is_none() {
            self.unrecorded.extend(tickets.iter());
        }
        tickets.clear();
    }

    /// Waits for a commit and takes what the tail has of it; none: it failed.
    pub(crate) fn wait(&mut self, pending: Pending) -> Option<Position> {
        match pending.blocking_wait() {
            Ok(last) => {
                // Whoever waits hears of it before the tail has it.
                while self.tailed < last {
                    let item = self.tail.blocking_next().expect("the journal goes on");
                    self.tailed = reach(&item).max(self.tailed);
                    self.items.push_back(item);
                }
                Some(last)
            }
            Err(AppendError::Unrecorded(_)) => {
                self.items
                    .extend(std::iter::from_fn(|| self.tail.try_next()));
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn send_tick(&mut self, at: EngineTime) {
        let appender = self.journal.appender();
        let ticked = pin!(appender.tick(at)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ticked, Poll::Ready(Ok(()))), "room for a tick");
        self.items.extend(self.tail.blocking_next());
    }
}

/// Through which position an item goes.
fn reach(item: &TailItem) -> Position {
    match item {
        TailItem::Records(records) => records.last().map_or(Position(0), |last| last.position),
        TailItem::Recovered(last) => *last,
        TailItem::Tick(_) | TailItem::Failed(_) | TailItem::Unrecorded(_) => Position(0),
    }
}

fn stream_receipt(receipt: &enroute_live::simulation::StreamReceipt) -> v1::StreamReceipt {
    let stream = match receipt.key.stream {
        Stream::Events => v1::Stream::Events,
        Stream::Numerics => v1::Stream::Numerics,
        Stream::Waveforms => v1::Stream::Waveforms,
    };
    let range = |&(first, last): &(u64, u64)| v1::Range { first, last };
    v1::StreamReceipt {
        epoch: receipt.key.epoch.0,
        stream: stream.into(),
        first: receipt.first,
        through: receipt.through,
        above: receipt.above.iter().map(range).collect(),
    }
}
