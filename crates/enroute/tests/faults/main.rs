//! Faults strike real processes (two gateways, Mosquitto, the server), their disks
//! and the links between them while made-up records play, and nothing is lost,
//! doubled or changed. How long it took to get over them is printed.
//!
//! A seed decides which faults strike and after how many received frames; what
//! the processes were doing at that moment it does not decide. The short run is
//! part of every test run. The long one, which prints what struck:
//!
//! ```text
//! ENROUTE_FAULTS=200 ENROUTE_SEED=7 cargo test -p enroute --test faults -- --nocapture
//! ```
//!
//! How the test knows what is right, without asking the code that it tests:
//!
//! - A gateway that is started again plays its record from the start, in a new life
//!   of its spool; one whose full disk heals goes on in the record, in a new life
//!   too. So what each start gave, life after life and number after number, is the
//!   beginning of the record, sample for sample, without a hole but for frames that
//!   the gateway has declared as not written. The record is made up here.
//! - What a spool holds when its gateway was killed, read from a copy of its
//!   files, was produced and must have been received in the end: no life may
//!   end too early.
//! - What one subscriber was given, who came back with its last token each time,
//!   is what the recording holds, whatever became of the server's disk meanwhile;
//!   neither holds a frame twice.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod kinds;
mod recovery;
mod truth;

use enroute_journal::{Log, LogOptions};
use enroute_model::frame::Frame;
use enroute_model::ids::Stream;
use enroute_simulator::radio::{LinkState, Plan, Proxy};
use enroute_tests::mosquitto::Mosquitto;
use enroute_tests::process::Process;
use enroute_tests::small_disk::SmallDisk;
use enroute_tests::stack::Stack;
use enroute_tests::viewer::{FrameId, Viewer, history, state};
use enroute_tests::wfdb_set;
use kinds::{Dice, Fault, LINKS};
use recovery::{Struck, now_us};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
const TRANSFER: &str = "t-faults";
/// Faults of the short run.
const FAULTS: usize = 14;
/// The server's disk and each gateway's, in MiB.
const DISKS: [u32; 2] = [512, 256];
/// Longer than any life of a gateway here.
const RECORD_S: usize = 10_800;
/// Frames after which a fault counts as got over.
const SETTLED: usize = 120;
/// The kind of fault that may end a stream.
const SERVER_DISK: &str = "server's disk full";
/// Heartbeats without the frames that were waited for: a hang guard.
const PATIENCE: usize = 90;

/// A way to the broker.
struct Link {
    proxy: Proxy,
}

impl Link {
    async fn to(broker_port: u16) -> Self {
        let broker = format!("127.0.0.1:{broker_port}");
        let proxy = Proxy::start(&broker, Plan::always(LinkState::CLEAR)).await;
        Self {
            proxy: proxy.unwrap(),
        }
    }

    fn port(&self) -> u16 {
        self.proxy.addr().port()
    }
}

struct Vehicle {
    name: &'static str,
    record: PathBuf,
    port: u16,
    disk: Option<SmallDisk>,
    /// `None`: stopped.
    process: Option<Process>,
    started: usize,
}

impl Vehicle {
    fn start(stack: &Stack, name: &'static str, record: PathBuf, port: u16) -> Self {
        Self {
            name,
            disk: SmallDisk::mount(&stack.spool(name), DISKS[1]),
            process: Some(play(stack, name, &record, port)),
            started: 1,
            record,
            port,
        }
    }
}

fn play(stack: &Stack, name: &str, record: &Path, port: u16) -> Process {
    let lines = format!("speed = 30\ntransfer = \"{TRANSFER}\"");
    stack.play_at(name, record, &lines, "", port)
}

/// All processes, and what is known of what must arrive.
struct Run {
    stack: Stack,
    vehicles: [Vehicle; 2],
    links: [Link; LINKS],
    viewer: Viewer,
    /// What the spools held whenever somebody looked.
    held: BTreeMap<FrameId, Frame>,
    /// Which start of its gateway a life of a spool is of.
    starts: BTreeMap<truth::Life, usize>,
    /// What is to be repaired: when the subscriber has so many heartbeats, and
    /// which fault it was, by its number.
    broken: Vec<(usize, usize, Fault)>,
    struck: Vec<Struck>,
}

impl Run {
    /// Waits for `count` more frames, or for what is to be repaired.
    async fn watch(&mut self, count: usize) {
        let goal = self.viewer.frames().len() + count;
        let began = self.viewer.heartbeats();
        while self.viewer.frames().len() < goal {
            self.repair(|at, now| at <= now);
            let repair = self.broken.iter().map(|(at, ..)| *at).min();
            let enough = |viewer: &Viewer| {
                let now = viewer.heartbeats();
                assert!(
                    now - began < PATIENCE,
                    "no frames for {PATIENCE} heartbeats"
                );
                viewer.frames().len() >= goal || repair.is_some_and(|at| at <= now)
            };
            let viewer = &mut self.viewer;
            if !viewer.watch(&self.stack.address, TRANSFER, enough).await {
                self.after_the_stream();
            }
        }
    }

    /// Waits until all is repaired, and for some frames more.
    async fn settle(&mut self) {
        while !self.broken.is_empty() {
            self.watch(SETTLED).await;
        }
        self.watch(SETTLED).await;
    }

    /// A stream ends only where the server's disk is full or was.
    fn after_the_stream(&mut self) {
        let is_disk = |fault: &Fault| matches!(fault, Fault::ServerDiskFull { .. });
        let disk = self.struck.iter().any(|struck| struck.kind == SERVER_DISK);
        assert!(disk, "the stream ended by itself");
        if self.stack.server_has_ended() {
            // Nobody counts heartbeats now.
            for (at, _, fault) in &mut self.broken {
                *at = if is_disk(fault) { 0 } else { *at };
            }
            self.repair(|at, now| at <= now);
            self.stack.kill_and_restart_server();
        }
    }

    fn repair(&mut self, due: impl Fn(usize, usize) -> bool) {
        let now = self.viewer.heartbeats();
        let broken = std::mem::take(&mut self.broken);
        let (over, still) = broken.into_iter().partition(|(at, ..)| due(*at, now));
        self.broken = still;
        for (_, number, fault) in Vec::from_iter(over) {
            match fault {
                Fault::Link { link, .. } => self.links[link].proxy.set(LinkState::CLEAR),
                Fault::ServerDiskFull { .. } => self.stack.small_disk().unwrap().free(),
                Fault::GatewayDiskFull { gateway, .. } => {
                    self.vehicles[gateway].disk.as_ref().unwrap().free();
                    self.kill_and_restart_gateway(gateway);
                }
                Fault::KillServer | Fault::KillGateway(_) | Fault::KillBroker { .. } => {}
            }
            self.struck[number].ended_us = Some(now_us());
        }
    }

    fn strike(&mut self, fault: Fault) {
        let gateways = match fault.gateway() {
            Some(gateway) => vec![self.vehicles[gateway].name],
            None => self.vehicles.iter().map(|vehicle| vehicle.name).collect(),
        };
        let struck = Struck {
            kind: fault.kind(),
            gateways,
            began_us: now_us(),
            ended_us: None,
        };
        let number = self.struck.len();
        self.struck.push(struck);
        let lasts = match fault {
            Fault::KillServer => {
                self.stack.kill_and_restart_server();
                None
            }
            Fault::KillBroker { forget } => {
                self.stack.kill_and_restart_broker(forget);
                None
            }
            Fault::KillGateway(gateway) => {
                self.kill_and_restart_gateway(gateway);
                None
            }
            Fault::Link {
                link,
                state,
                heartbeats,
            } => {
                self.links[link].proxy.set(state);
                Some(heartbeats)
            }
            Fault::ServerDiskFull { heartbeats } => self
                .stack
                .small_disk()
                .map(SmallDisk::fill)
                .map(|()| heartbeats),
            Fault::GatewayDiskFull {
                gateway,
                heartbeats,
            } => {
                let disk = self.vehicles[gateway].disk.as_ref();
                disk.map(SmallDisk::fill).map(|()| heartbeats)
            }
        };
        match lasts {
            Some(heartbeats) => {
                let at = self.viewer.heartbeats() + heartbeats;
                self.broken.push((at, number, fault));
            }
            None => self.struck[number].ended_us = Some(now_us()),
        }
    }

    fn kill_and_restart_gateway(&mut self, index: usize) {
        // A process that is dropped is killed.
        drop(self.vehicles[index].process.take());
        self.look_into_spool(index);
        let Vehicle {
            name, record, port, ..
        } = &self.vehicles[index];
        let process = play(&self.stack, name, record, *port);
        self.vehicles[index].process = Some(process);
        self.vehicles[index].started += 1;
    }

    /// Remembers what the spool of a gateway that does not run holds.
    fn look_into_spool(&mut self, index: usize) {
        let Vehicle { name, started, .. } = self.vehicles[index];
        let spool = self.stack.spool(name);
        // Killed before it made one.
        if !spool.join("version").is_file() {
            return;
        }
        let copy = TempDir::new().unwrap();
        copy_all(&spool, copy.path());
        let log = Log::open(copy.path(), &LogOptions::default()).unwrap();
        for stream in Stream::ALL {
            for slice in log.slices(stream) {
                let life = (name.to_owned(), slice.epoch.0);
                self.starts.entry(life).or_insert(started);
                for stored in log.scan(stream, slice.epoch, slice.first..=slice.last) {
                    let (sequence, payload) = stored.unwrap();
                    let frame = enroute_wire::frame::decode(&payload).unwrap();
                    let id = (name.to_owned(), slice.epoch.0, stream, sequence);
                    if let Some(before) = self.held.insert(id.clone(), frame.clone()) {
                        assert_eq!(before, frame, "{id:?} changed in the spool");
                    }
                }
            }
        }
        log.close().unwrap();
    }

    /// Repairs everything and stops the gateways, which must send what is left.
    fn drain(&mut self) {
        self.repair(|_, _| true);
        for index in 0..self.vehicles.len() {
            let vehicle = &mut self.vehicles[index];
            let lines = vehicle.process.take().map(Process::stop_and_tell);
            let lines = lines.unwrap_or_default();
            let empty = |line: &String| line.contains("stopped; 0 frames not confirmed");
            assert!(lines.iter().any(empty), "{lines:#?}");
            self.look_into_spool(index);
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_strikes() {
    let seed = setting("ENROUTE_SEED", 1);
    let faults = setting("ENROUTE_FAULTS", FAULTS as u64);
    eprintln!("ENROUTE_SEED={seed} ENROUTE_FAULTS={faults}");
    let records = TempDir::new().unwrap();
    let (record, channels) = wfdb_set::write_long(records.path(), RECORD_S * 100 / 2);
    let (numerics, rates) = wfdb_set::write_numerics(records.path(), RECORD_S);
    let Some(mosquitto) = Mosquitto::start() else {
        return;
    };
    let broker = mosquitto.port();
    let links = [
        Link::to(broker).await,
        Link::to(broker).await,
        Link::to(broker).await,
    ];
    let stack = Stack::with_small_disk(BINARY, mosquitto, links[2].port(), DISKS[0]);
    let (viewer, board) = Viewer::before_anything(&stack.address).await;
    let vehicles = [
        Vehicle::start(&stack, "gw-waves", record, links[0].port()),
        Vehicle::start(&stack, "gw-rows", numerics, links[1].port()),
    ];
    assert_eq!(board.first_transfer().await, TRANSFER);
    let mut run = Run {
        stack,
        vehicles,
        links,
        viewer,
        held: BTreeMap::new(),
        starts: BTreeMap::new(),
        broken: Vec::new(),
        struck: Vec::new(),
    };

    let mut dice = Dice(seed);
    for number in 1..=faults {
        // Every other fault has time to be got over.
        if number % 2 == 0 {
            run.settle().await;
        }
        let frames = dice.count(60);
        run.watch(frames).await;
        let fault = dice.fault();
        eprintln!(
            "{number}: after {} frames {fault:?}",
            run.viewer.frames().len()
        );
        run.strike(fault);
    }
    run.settle().await;
    run.drain();

    let recorded = history(&run.stack.address, TRANSFER).await;
    let began = run.viewer.heartbeats();
    let all = run.viewer.frames().len() >= recorded.len()
        || run
            .viewer
            .watch(&run.stack.address, TRANSFER, |v| {
                v.frames().len() >= recorded.len() || v.heartbeats() - began > 15
            })
            .await;
    assert!(all, "the stream ended before everything had come");
    assert_given(&run.viewer, &recorded);
    let records = truth::Records { channels, rates };
    let declared = records.assert_given(&recorded, &run.starts);
    for (id, frame) in &run.held {
        assert_eq!(recorded.get(id), Some(frame), "{id:?} was in the spool");
    }
    for source in state(&run.stack.address, TRANSFER).await.source {
        for stream in &source.completeness {
            let life = (source.gateway.clone(), stream.epoch);
            let is = |kind: &Stream| enroute_wire::frame::stream_to(*kind) == stream.stream();
            let kind = Stream::ALL.into_iter().find(is).unwrap();
            let given_up = declared.get(&(life, kind)).copied().unwrap_or_default();
            // A stream of which only a report speaks ends before its first frame.
            let whole = stream.highest + 1 - stream.first;
            let counts = (
                stream.durable,
                stream.missing,
                stream.shed,
                stream.conflicts,
            );
            let expected = (whole.checked_sub(given_up), 0, given_up, 0);
            let counted = (Some(counts.0), counts.1, counts.2, counts.3);
            assert_eq!(counted, expected, "{} {stream:?}", source.gateway);
        }
    }
    eprintln!(
        "{faults} faults, {} frames in {} lives of {} starts, {} alert transitions; \
         0 lost, 0 doubled, 0 out of order; {} were not written by a full disk, and declared",
        recorded.len(),
        run.starts.len(),
        run.vehicles.iter().map(|v| v.started).sum::<usize>(),
        run.viewer.alert_transitions(),
        declared.values().sum::<u64>()
    );
    eprintln!("{}", recovery::table(&run.struck, run.viewer.seen()));
    let dir = run.stack.stop_server();
    assert_alerts_again(&dir.data());
}

/// A subscriber was given what is recorded, and nothing else as recorded.
fn assert_given(viewer: &Viewer, recorded: &BTreeMap<FrameId, Frame>) {
    let given = viewer.frames();
    let missed: Vec<_> = recorded
        .keys()
        .filter(|id| !given.contains_key(id))
        .collect();
    assert!(missed.is_empty(), "the subscriber was not given {missed:?}");
    for (id, frame) in given {
        assert_eq!(recorded.get(id), Some(frame), "{id:?} is not recorded so");
    }
    eprintln!(
        "{} frames came as not recorded, {} times the view was said to be recorded again",
        viewer.not_recorded().len(),
        viewer.told_missed()
    );
}

/// The journal through the engine again gives the stored alerts.
fn assert_alerts_again(data: &Path) {
    let mut command = Command::new(BINARY);
    let again = Process::start(
        "reevaluate",
        command.arg("reevaluate").arg("--data").arg(data),
    );
    let (status, lines) = again.finish();
    assert!(status.success(), "{lines:#?}");
    eprintln!("{}", lines.join("\n"));
}
