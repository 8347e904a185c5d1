//! Faults strike real processes (two gateways, Mosquitto, the server) and the links
//! between them while made-up records play, and nothing is lost, doubled or changed.
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
//! - A killed gateway begins its record again in a new life of its spool, so the
//!   frames of each life, in the order of their numbers and without a hole, are
//!   the beginning of the record, sample for sample. The record is made up here.
//! - What a spool holds when its gateway was killed, read from a copy of its
//!   files, was produced and must have been received in the end: no life may
//!   end too early.
//! - What one subscriber was given, who came back with its last token each time,
//!   is what the recording holds; neither holds a frame twice.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_journal::{Log, LogOptions};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Metric, Waveform};
use enroute_model::ids::Stream;
use enroute_model::reading::Reading;
use enroute_model::time::Span;
use enroute_simulator::radio::{Cut, LinkState, Plan, Proxy};
use enroute_tests::mosquitto::Mosquitto;
use enroute_tests::process::Process;
use enroute_tests::stack::Stack;
use enroute_tests::viewer::{FrameId, Viewer, history, state};
use enroute_tests::wfdb_set::{self, Samples};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
const TRANSFER: &str = "t-faults";
/// One of each gateway, one of the server.
const LINKS: usize = 3;
/// Faults of the short run.
const FAULTS: usize = 12;
/// Longer than any life of a gateway here.
const RECORD_S: usize = 3_600;
/// Heartbeats without the frames that were waited for: a hang guard.
const PATIENCE: usize = 90;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillServer,
    KillGateway(usize),
    KillBroker {
        forget: bool,
    },
    /// 0 and 1: from a gateway to the broker; 2: from the server.
    Link {
        link: usize,
        state: LinkState,
        heartbeats: usize,
    },
}

/// Steele and others, "Fast splittable pseudorandom number generators" (2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn count(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    fn fault(&mut self) -> Fault {
        let (gateway, link) = (self.count(2), self.count(LINKS as u64));
        let heartbeats = self.count(4);
        match self.below(8) {
            0 | 1 => Fault::KillServer,
            2 | 3 => Fault::KillGateway(gateway),
            4 => Fault::KillBroker {
                forget: self.below(3) == 0,
            },
            5 => Fault::Link {
                link,
                state: LinkState::Down(Cut::Reset),
                heartbeats,
            },
            6 => Fault::Link {
                link,
                state: LinkState::Down(Cut::BlackHole),
                // Now and then long enough for both ends to give up.
                heartbeats: if self.below(4) == 0 { 13 } else { heartbeats },
            },
            _ => Fault::Link {
                link,
                state: LinkState::Up {
                    delay: Span::from_millis(i64::try_from(self.below(500)).unwrap()),
                    bytes_per_s: 2_000 + self.below(20_000),
                },
                heartbeats: 1 + heartbeats,
            },
        }
    }
}

/// A way to the broker.
struct Link {
    proxy: Proxy,
    /// It is repaired when the subscriber has so many heartbeats.
    repaired_at: Option<usize>,
}

impl Link {
    async fn to(broker_port: u16) -> Self {
        let broker = format!("127.0.0.1:{broker_port}");
        let proxy = Proxy::start(&broker, Plan::always(LinkState::CLEAR)).await;
        Self {
            proxy: proxy.unwrap(),
            repaired_at: None,
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
    /// `None`: stopped.
    process: Option<Process>,
}

impl Vehicle {
    fn start(stack: &Stack, name: &'static str, record: PathBuf, port: u16) -> Self {
        Self {
            name,
            process: Some(play(stack, name, &record, port)),
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
}

impl Run {
    /// Waits for `count` more frames, or for a link that is to be repaired.
    async fn watch(&mut self, count: usize) {
        let goal = self.viewer.frames().len() + count;
        let began = self.viewer.heartbeats();
        while self.viewer.frames().len() < goal {
            self.repair(|at, now| at <= now);
            let repair = self.links.iter().filter_map(|l| l.repaired_at).min();
            let enough = |viewer: &Viewer| {
                let now = viewer.heartbeats();
                assert!(
                    now - began < PATIENCE,
                    "no frames for {PATIENCE} heartbeats"
                );
                viewer.frames().len() >= goal || repair.is_some_and(|at| at <= now)
            };
            let goes_on = self.viewer.watch(&self.stack.address, TRANSFER, enough);
            assert!(goes_on.await, "the stream ended by itself");
        }
    }

    fn repair(&mut self, due: impl Fn(usize, usize) -> bool) {
        let now = self.viewer.heartbeats();
        for link in &mut self.links {
            if link.repaired_at.is_some_and(|at| due(at, now)) {
                link.proxy.set(LinkState::CLEAR);
                link.repaired_at = None;
            }
        }
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::KillServer => self.stack.kill_and_restart_server(),
            Fault::KillBroker { forget } => self.stack.kill_and_restart_broker(forget),
            Fault::KillGateway(index) => {
                // A process that is dropped is killed.
                drop(self.vehicles[index].process.take());
                self.look_into_spool(index);
                let Vehicle {
                    name, record, port, ..
                } = &self.vehicles[index];
                let process = play(&self.stack, name, record, *port);
                self.vehicles[index].process = Some(process);
            }
            Fault::Link {
                link,
                state,
                heartbeats,
            } => {
                let link = &mut self.links[link];
                link.proxy.set(state);
                link.repaired_at = Some(self.viewer.heartbeats() + heartbeats);
            }
        }
    }

    /// Remembers what the spool of a gateway that does not run holds.
    fn look_into_spool(&mut self, index: usize) {
        let name = self.vehicles[index].name;
        let spool = self.stack.spool(name);
        // Killed before it made one.
        if !spool.is_dir() {
            return;
        }
        let copy = TempDir::new().unwrap();
        copy_all(&spool, copy.path());
        let log = Log::open(copy.path(), &LogOptions::default()).unwrap();
        for stream in Stream::ALL {
            for slice in log.slices(stream) {
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

/// Within each life and run the frames are the beginning of the record.
fn assert_true(frames: &BTreeMap<FrameId, Frame>, channels: &Expected, rates: &[u32]) {
    let mut samples: BTreeMap<(String, u64, u32, Metric), usize> = BTreeMap::new();
    let mut rows: BTreeMap<(String, u64, u32), usize> = BTreeMap::new();
    let mut last: Option<&FrameId> = None;
    for (id, frame) in frames {
        let follows = last.is_some_and(|l| (&l.0, l.1, l.2, l.3 + 1) == (&id.0, id.1, id.2, id.3));
        assert!(follows || id.3 == 1, "a hole before {id:?}, after {last:?}");
        last = Some(id);
        let run = (id.0.clone(), id.1, frame.header.boot);
        match &frame.body {
            Body::Waveforms(waveforms) => {
                for waveform in waveforms {
                    let key = (run.0.clone(), run.1, run.2, waveform.metric.clone());
                    let done = samples.entry(key).or_default();
                    assert_eq!(waveform.first_sample, *done as u64, "{id:?}");
                    let expected = &expected(channels, waveform)[*done..];
                    assert_eq!(
                        waveform.samples,
                        expected[..waveform.samples.len()],
                        "{id:?}"
                    );
                    *done += waveform.samples.len();
                }
            }
            Body::Numerics(numerics) => {
                let row = rows.entry(run).or_default();
                let Reading::Value { value, .. } = numerics[0].reading else {
                    panic!("{id:?}: no value");
                };
                assert!(
                    (value.value() - f64::from(rates[*row])).abs() < 1e-9,
                    "{id:?}"
                );
                *row += 1;
            }
            // What it says is the gateway's own; held against the spool only.
            Body::Link(_) => {}
            other => panic!("{id:?}: {other:?} that nobody gave"),
        }
    }
}

type Expected = Vec<(&'static str, Samples)>;

fn expected<'a>(channels: &'a Expected, waveform: &Waveform) -> &'a Samples {
    let is = |label: &str| {
        let id = match label {
            "II" => "ecg_ii",
            "ABP" => "abp",
            "PLETH" => "pleth",
            other => other,
        };
        let code = catalogue().waveform_by_id(id).map(|c| c.code);
        Some(waveform.metric.code) == code || waveform.metric.label == label
    };
    let found = channels.iter().find(|(label, _)| is(label));
    &found.unwrap_or_else(|| panic!("{:?}", waveform.metric)).1
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
    let stack = Stack::with_mosquitto(BINARY, mosquitto, links[2].port());
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
    };

    let mut dice = Dice(seed);
    for number in 1..=faults {
        let frames = dice.count(60);
        run.watch(frames).await;
        let fault = dice.fault();
        eprintln!(
            "{number}: after {} frames {fault:?}",
            run.viewer.frames().len()
        );
        run.strike(fault);
    }
    run.watch(20).await;
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
    let missed: Vec<_> = recorded
        .keys()
        .filter(|id| !run.viewer.frames().contains_key(id))
        .collect();
    assert!(missed.is_empty(), "the subscriber was not given {missed:?}");
    assert_true(&recorded, &channels, &rates);
    assert!(
        *run.viewer.frames() == recorded,
        "a subscriber was given something else"
    );
    for (id, frame) in &run.held {
        assert_eq!(recorded.get(id), Some(frame), "{id:?} was in the spool");
    }
    for source in state(&run.stack.address, TRANSFER).await.source {
        for stream in &source.completeness {
            let whole = stream.highest - stream.first + 1;
            let counts = (
                stream.durable,
                stream.missing,
                stream.shed,
                stream.conflicts,
            );
            assert_eq!(counts, (whole, 0, 0, 0), "{} {stream:?}", source.gateway);
        }
    }
    eprintln!(
        "{faults} faults, {} frames in {} lives, {} alert transitions, nothing lost",
        recorded.len(),
        recorded.keys().filter(|id| id.3 == 1).count(),
        run.viewer.alert_transitions()
    );
    let dir = run.stack.stop_server();
    assert_alerts_again(&dir.path().join("server"));
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
