//! What goes wrong, when, and how often it did.

use crate::world::{Event, FAULTS_END, World};
use std::collections::BTreeMap;

/// A fault, or the end of one. Numbers: of a gateway; links: of a gateway, or
/// the server's, which is the last.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    PowerOn(usize),
    PowerCut(usize),
    ServerCrash,
    ServerStart,
    BrokerStop { keeps_state: bool },
    BrokerStart,
    Cut(usize),
    LinkDown(usize),
    LinkUp(usize),
    Hole(usize),
    Slow(usize),
    Fast(usize),
    ClockStep(usize),
    MonitorStep(usize),
    ServerClockStep,
    SlowDisk,
    FastDisk,
    Racing(usize),
    ViewerLeaves(usize),
    JournalBreaks,
    JournalMends,
    BackUp,
    Restore,
    SpoolLost(usize),
    NextLeg(usize),
    SpoolBreaks(usize),
    SpoolMends(usize),
}

/// How often each fault happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(pub(crate) BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }
}

impl World {
    /// Draws the faults of this run.
    pub(crate) fn plan_faults(&mut self) {
        for _ in 0..self.rng.between(2, 14) {
            let at = self.rng.between(1_000_000, FAULTS_END - 1_000_000);
            let vehicle = self.rng.below(self.gateways.len());
            let link = self.rng.below(self.links.len());
            let viewer = self.rng.below(self.viewers.len());
            let (fault, lasts, end) = match self.rng.below(20) {
                0 | 1 => (Fault::Cut(link), 0, None),
                2 => (Fault::LinkDown(link), 20_000_000, Some(Fault::LinkUp(link))),
                3 => (Fault::Hole(link), 0, None),
                4 => (Fault::Slow(vehicle), 15_000_000, Some(Fault::Fast(vehicle))),
                5 => {
                    let keeps_state = self.rng.chance(50);
                    let stop = Fault::BrokerStop { keeps_state };
                    (stop, 8_000_000, Some(Fault::BrokerStart))
                }
                6 | 7 => (Fault::ServerCrash, 10_000_000, Some(Fault::ServerStart)),
                8 => (
                    Fault::PowerCut(vehicle),
                    10_000_000,
                    Some(Fault::PowerOn(vehicle)),
                ),
                9 => (Fault::ClockStep(vehicle), 0, None),
                10 => (Fault::MonitorStep(vehicle), 0, None),
                11 => (Fault::SlowDisk, 10_000_000, Some(Fault::FastDisk)),
                12 => (Fault::Racing(vehicle), 0, None),
                13 => {
                    // With something to see to meanwhile.
                    let before = self.rng.between(0, at.min(8_000_000));
                    self.at(at - before, Event::Fault(Fault::Racing(vehicle)));
                    let during = self.rng.between(0, 10_000_000);
                    self.plan_act(at + during);
                    (Fault::JournalBreaks, 12_000_000, Some(Fault::JournalMends))
                }
                14 => {
                    let copied = self.rng.between(0, at);
                    self.at(copied, Event::Fault(Fault::BackUp));
                    (Fault::Restore, 5_000_000, Some(Fault::ServerStart))
                }
                15 => {
                    let on = Fault::PowerOn(vehicle);
                    (Fault::SpoolLost(vehicle), 5_000_000, Some(on))
                }
                16 => (Fault::NextLeg(vehicle), 0, None),
                17 | 18 => {
                    let mends = Fault::SpoolMends(vehicle);
                    (Fault::SpoolBreaks(vehicle), 10_000_000, Some(mends))
                }
                _ if self.rng.chance(50) => (Fault::ViewerLeaves(viewer), 0, None),
                _ => (Fault::ServerClockStep, 0, None),
            };
            self.at(at, Event::Fault(fault));
            if let Some(end) = end {
                let lasts = self.rng.between(100_000, lasts);
                self.at(at + lasts, Event::Fault(end));
            }
        }
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.healing {
            return;
        }
        match fault {
            Fault::PowerOn(gateway) => self.power_on(gateway),
            Fault::PowerCut(gateway) => {
                self.tally.add("gateway power cuts", 1);
                self.power_off(gateway);
            }
            Fault::ServerCrash => {
                self.tally.add("server crashes", 1);
                self.crash_server();
            }
            Fault::ServerStart => self.start_server(),
            Fault::BrokerStop { keeps_state } => self.stop_broker(keeps_state),
            Fault::BrokerStart => self.broker_up = true,
            Fault::Cut(link) => {
                self.tally.add("connections cut", 1);
                self.cut_link(link);
            }
            Fault::LinkDown(link) => {
                self.tally.add("links down", 1);
                self.links[link].up = false;
                self.cut_link(link);
            }
            Fault::LinkUp(link) => self.links[link].up = true,
            Fault::Hole(link) => {
                self.tally.add("black holes", 1);
                let lasts = self.rng.between(500_000, 20_000_000);
                if let Some(gateway) = self.gateways.get_mut(link) {
                    gateway.was_thin = true;
                }
                self.hole(link, lasts);
            }
            Fault::Slow(vehicle) => {
                self.tally.add("links throttled", 1);
                self.gateways[vehicle].was_thin = true;
                self.links[vehicle].rate = Some(self.rng.between(60, 2_000));
            }
            Fault::Fast(vehicle) => self.links[vehicle].rate = None,
            Fault::ClockStep(_) | Fault::MonitorStep(_) | Fault::ServerClockStep => {
                self.step_clock(&fault);
            }
            Fault::SlowDisk => {
                self.tally.add("slow disks", 1);
                self.server.disk = (200_000, 3_000_000);
            }
            Fault::FastDisk => self.server.disk = (1_000, 8_000),
            Fault::Racing(gateway) => {
                self.tally.add("breaches of a limit", 1);
                self.gateways[gateway].racing_until =
                    self.now + self.rng.between(2_000_000, 30_000_000);
            }
            Fault::JournalBreaks => self.break_journal(),
            Fault::JournalMends => self.mend_journal(),
            Fault::BackUp => self.back_up(),
            Fault::Restore => self.restore(),
            Fault::SpoolLost(gateway) => self.lose_spool(gateway),
            Fault::NextLeg(gateway) => self.next_leg(gateway),
            Fault::SpoolBreaks(gateway) => self.break_spool(gateway),
            Fault::SpoolMends(gateway) => self.gateways[gateway].disk.mends(),
            Fault::ViewerLeaves(viewer) => {
                self.tally.add("viewers gone", 1);
                self.viewers[viewer].on = None;
            }
        }
    }

    fn stop_broker(&mut self, keeps_state: bool) {
        if !self.broker_up {
            return;
        }
        let word = if keeps_state {
            "broker restarts"
        } else {
            "broker restarts without state"
        };
        self.tally.add(word, 1);
        self.broker_up = false;
        self.broker.restart(keeps_state);
        for client in 0..self.clients.len() {
            self.cut(client, 0);
        }
    }

    fn cut_link(&mut self, link: usize) {
        for client in 0..self.clients.len() {
            if self.clients[client].link == link {
                let later = self.rng.between(1_000, 7_500_000);
                self.cut(client, later);
            }
        }
    }

    fn step_clock(&mut self, fault: &Fault) {
        self.tally.add("clock steps", 1);
        let step = match self.rng.below(3) {
            0 => self.rng.around(2_000_000),
            1 => self.rng.around(3_600_000_000),
            _ => self.rng.around(4_000_000_000_000_000),
        };
        let drift_ppm = self.rng.around(500);
        match fault {
            Fault::ClockStep(gateway) => {
                let wall = &mut self.gateways[*gateway].wall;
                (wall.offset_us, wall.drift_ppm) = (wall.offset_us + step, drift_ppm);
            }
            Fault::MonitorStep(gateway) => self.gateways[*gateway].monitor.offset_us += step,
            _ => self.server.wall_offset_us += step % 600_000_000,
        }
    }

    /// Everything works from here on.
    pub(crate) fn end_faults(&mut self) {
        self.broker_up = true;
        self.broker.twice = 0;
        for link in &mut self.links {
            (link.up, link.rate) = (true, None);
            link.hole_until = link.hole_until.min(self.now);
        }
        self.server.disk = (1_000, 8_000);
        self.mend_journal();
        self.make_room();
        self.start_server();
        for gateway in 0..self.gateways.len() {
            self.gateways[gateway].disk.mends();
            self.power_on(gateway);
        }
    }
}
