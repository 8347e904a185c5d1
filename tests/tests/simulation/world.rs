//! The world: one thread, one queue of events ordered by virtual time and then by
//! the order in which they were planned. Nothing happens that is not an event.

use crate::broker::{Broker, Conn, Down};
use crate::clinician::Act;
use crate::faults::{Fault, Tally};
use crate::gateway::{self, Gateway, REPORT_EVERY};
use crate::model::Model;
use crate::net::{Client, Heard, Link, Up};
use crate::outage::Backup;
use crate::rng::Rng;
use crate::room;
use crate::server::{self, Server};
use crate::shedding::Shedding;
use crate::viewer::{self, Viewer};
use enroute_live::Options as LiveOptions;
use enroute_model::ids::TransferId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{DefaultHasher, Hash};
use std::mem::discriminant;
use tempfile::TempDir;

/// Virtual time zero, microseconds UTC.
pub(crate) const START_US: i64 = 1_700_000_000_000_000;
/// Sources go on, and faults happen, until then.
pub(crate) const FAULTS_END: u64 = 45_000_000;
/// By then all must be well; measured from the end of the faults.
const HEALED_WITHIN: u64 = 240_000_000;

/// Events at one moment; more, and something asks to be called again and again.
const AT_ONCE_MAX: u32 = 100_000;

/// Everything that happens. Numbers: which gateway, viewer or fault; lives: an
/// event planned for a process that is gone is void.
#[derive(Debug)]
pub(crate) enum Event {
    Emit(usize, u32),
    Report(usize, u32),
    Timeout(usize, u32),
    Pick(usize, u32),
    Reopen(usize, u32),
    Attempt(usize),
    GiveUp(Conn),
    BrokerDead(Conn),
    ClientDead(Conn),
    Silence(Conn, bool),
    Up(Conn, Up),
    Down(Conn, Down),
    Commit(u32),
    Acks(u32),
    Shard(u32),
    Tick(u32),
    Outgoing(u32),
    View(usize),
    Act(usize),
    Fault(Fault),
    Heal,
    Healed,
}

pub(crate) struct World {
    pub(crate) now: u64,
    planned: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    pub(crate) rng: Rng,
    pub(crate) broker: Broker,
    pub(crate) broker_up: bool,
    pub(crate) links: Vec<Link>,
    pub(crate) clients: Vec<Client>,
    pub(crate) conns: u32,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) server: Server,
    pub(crate) live_options: LiveOptions,
    pub(crate) sleeps: Rng,
    pub(crate) viewers: Vec<Viewer>,
    pub(crate) model: Model,
    pub(crate) tally: Tally,
    /// Nothing is recorded now; how often that is over.
    pub(crate) outage: bool,
    pub(crate) outages: usize,
    pub(crate) copy: Option<Backup>,
    pub(crate) acts: Vec<Act>,
    /// Transfers that were to be joined or handed over.
    pub(crate) touched: BTreeSet<TransferId>,
    pub(crate) sheddings: Vec<Shedding>,
    /// A fingerprint of everything that happened.
    pub(crate) print: DefaultHasher,
    pub(crate) sources_on: bool,
    /// Something left on a live connection since this was last cleared.
    pub(crate) went_live: bool,
    /// Every event is printed.
    pub(crate) told: bool,
    pub(crate) healing: bool,
    /// How long after the last fault nothing was on its way any more.
    pub(crate) healed_after: Option<u64>,
    /// Goes with the world.
    _dir: TempDir,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let dir = scratch();
        let vehicles = 1 + rng.below(3);
        let mut gateways = Vec::new();
        let (mut clients, mut links) = (Vec::new(), Vec::new());
        for number in 0..vehicles {
            let small = rng.chance(15);
            let bytes_max = if small {
                rng.between(5_000, 8_000)
            } else {
                gateway::SPOOL_BYTES
            };
            let period = [500_000, 1_000_000, 2_000_000][rng.below(3)];
            let it = gateway::new(number, dir.path(), bytes_max, period);
            let clients_of = gateway::connects(&it.id);
            clients.extend(clients_of.map(|connect| Client::new(number, connect)));
            links.push(Link::new(
                rng.between(5_000, 300_000),
                rng.between(0, 200_000),
            ));
            gateways.push(it);
        }
        clients.extend(server::connects().map(|connect| Client::new(vehicles, connect)));
        links.push(Link::new(rng.between(200, 5_000), 1_000));
        let mut viewers = Vec::new();
        let slow = [1, 1, 12][rng.below(3)];
        for it in &gateways {
            viewers.push(viewer::new(Some(it.transfers[0].clone()), false, slow));
        }
        viewers.push(viewer::new(Some(gateways[0].transfers[0].clone()), true, 1));
        viewers.push(viewer::new(None, false, slow));
        let mut broker = Broker::default();
        broker.disorder = rng.chance(50);
        broker.twice = if rng.chance(40) {
            rng.between(1, 20)
        } else {
            0
        };
        let snapshot_records = rng.between(5, 400);
        let alerts_queued_max = [2, 3, 5, 256][rng.below(4)];
        let mut live_options = LiveOptions {
            snapshot_records,
            alerts_queued_max,
            ..LiveOptions::default()
        };
        let sleeps = room::draw(seed, &mut live_options);
        Self {
            now: 0,
            planned: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            rng,
            broker,
            broker_up: true,
            links,
            clients,
            conns: 0,
            gateways,
            server: server::new(dir.path()),
            live_options,
            sleeps,
            viewers,
            model: Model::default(),
            tally: Tally::default(),
            outage: false,
            outages: 0,
            copy: None,
            acts: Vec::new(),
            touched: BTreeSet::new(),
            sheddings: Vec::new(),
            print: DefaultHasher::new(),
            sources_on: true,
            went_live: false,
            told: false,
            healing: false,
            healed_after: None,
            _dir: dir,
        }
    }

    /// Plans an event.
    pub(crate) fn at(&mut self, at: u64, event: Event) {
        assert!(at >= self.now, "the past is over");
        self.planned += 1;
        self.queue.push(Reverse((at, self.planned)));
        self.events.insert(self.planned, event);
    }

    /// From the first moment until everything is healed, or too long after.
    pub(crate) fn run(&mut self) {
        self.start_server();
        for number in 0..self.gateways.len() {
            let at = self.rng.between(0, 3_000_000);
            self.at(at, Event::Fault(Fault::PowerOn(number)));
        }
        for number in 0..self.viewers.len() {
            let at = self.rng.between(500_000, 5_000_000);
            self.at(at, Event::View(number));
        }
        self.plan_faults();
        self.plan_acts(FAULTS_END);
        self.plan_sleep();
        self.at(FAULTS_END, Event::Heal);
        let mut at_once = 0;
        while self.healed_after.is_none() {
            let Reverse((at, number)) = self.queue.pop().unwrap();
            at_once = if at == self.now { at_once + 1 } else { 0 };
            assert!(at_once < AT_ONCE_MAX, "time stands still");
            self.now = at;
            let event = self.events.remove(&number).unwrap();
            (at, number, discriminant(&event)).hash(&mut self.print);
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        if self.told {
            println!("{:>12} {event:?}", self.now);
        }
        match event {
            Event::Emit(gateway, life) => self.emit(gateway, life),
            Event::Report(gateway, life) => self.report(gateway, life),
            Event::Timeout(gateway, life) => self.timeout(gateway, life),
            Event::Pick(gateway, life) => self.pick(gateway, life),
            Event::Reopen(gateway, life) => self.reopen(gateway, life),
            Event::Attempt(client) => self.attempt(client),
            Event::GiveUp(conn) => self.give_up(conn),
            Event::BrokerDead(conn) => self.broker_dead(conn),
            Event::ClientDead(conn) => self.client_dead(conn),
            Event::Silence(conn, at_broker) => self.silence(conn, at_broker),
            Event::Up(conn, packet) => self.arrived_up(conn, packet),
            Event::Down(conn, packet) => self.arrived_down(conn, packet),
            Event::Commit(life) => self.commit(life),
            Event::Acks(life) => self.acks(life),
            Event::Shard(life) => self.shard(life),
            Event::Tick(life) => self.tick(life),
            Event::Outgoing(life) => self.outgoing(life),
            Event::View(viewer) => self.view(viewer),
            Event::Act(number) => self.see_to(number),
            Event::Fault(fault) => self.strike(fault),
            Event::Heal => self.heal(),
            Event::Healed => self.look_whether_healed(),
        }
    }

    pub(crate) fn heard(&mut self, client: usize, heard: Heard) {
        if client < 2 * self.gateways.len() {
            self.gateway_heard(client, heard);
        } else {
            self.server_heard(client, heard);
        }
    }

    /// Faults are over and the sources rest.
    fn heal(&mut self) {
        self.healing = true;
        self.sources_on = false;
        self.end_faults();
        self.at(self.now + 1_000_000, Event::Healed);
    }

    fn look_whether_healed(&mut self) {
        let left = |it: &Gateway| it.on.as_ref().unwrap().left();
        let left: Vec<u64> = self.gateways.iter().map(left).collect();
        let took = self.now - FAULTS_END;
        let open = self.model.open_frames().next();
        let over = !self.outage && self.acts_are_over();
        if left.iter().all(|left| *left == 0) && open.is_none() && over {
            self.healed_after = Some(took);
            return;
        }
        if self.told && took >= HEALED_WITHIN {
            for it in &self.gateways {
                println!("{:?}", it.on.as_ref().unwrap());
            }
        }
        assert!(
            took < HEALED_WITHIN,
            "not healed: frames without a receipt {left:?}, not durable {open:?}, outage {}",
            self.outage
        );
        let failed = self.gateways.iter().any(|it| it.spool_failed);
        if (self.server.journals > 1 || failed) && took % REPORT_EVERY < 1_000_000 {
            // A server that knows nothing of a gateway hears of it by its next report,
            // and so does any of what a disk did not take.
            (0..self.gateways.len()).for_each(|number| self.send_report(number));
        }
        self.at(self.now + 1_000_000, Event::Healed);
    }
}

/// In memory where the system has such a place: a sync costs nothing there.
fn scratch() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).unwrap();
    }
    tempfile::tempdir().unwrap()
}
