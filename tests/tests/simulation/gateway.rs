//! A gateway: the real spool on a real disk and the real core of the uplink. What
//! the simulation plays is the desk (numbering goes to the spool at once), the
//! source, the two clocks and the power.

use crate::broker::{Connect, Message};
use crate::faults::Fault;
use crate::net::Heard;
use crate::spool_disk::{Disk, Unsaid};
use crate::world::{Event, START_US, World};
use enroute_gateway::Config;
use enroute_gateway::config::SpoolConfig;
use enroute_gateway::simulation::{Core, Draft, Input, Now, Output, Spool, Unwritten, Wanted};
use enroute_model::frame::{
    Body, ClockOffsets, Code, CrewEvent, LinkReport, Metric, Numeric, Waveform,
};
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading};
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use enroute_mqtt::Publish;
use enroute_wire::{Message as _, v1};
use std::path::Path;

/// The heart rate of the catalogue: has limits.
pub(crate) const HEART_RATE: Code = Code(147_842);
/// A quantity of our own that counts the frames of a source: has no limits.
pub(crate) const COUNT: &str = "count";
/// Heart rates well inside and well outside the limits of an adult.
pub(crate) const CALM: i64 = 80;
pub(crate) const RACING: i64 = 175;
pub(crate) const REPORT_EVERY: u64 = 10_000_000;
/// Bytes of a spool that holds more than a run gives.
pub(crate) const SPOOL_BYTES: u64 = 1 << 20;
/// Bytes of a spool's notes beyond its bound.
const NOTES_MAX: u64 = 4_000;
/// So long at least numerics may go live.
const LIVE_FOR: u64 = 9_000_000;
/// Samples in a waveform's frame.
const SAMPLES: i32 = 250;

/// A wall clock that is wrong, drifts and steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    pub(crate) offset_us: i64,
    pub(crate) drift_ppm: i64,
}

impl WallClock {
    pub(crate) fn at(self, now: u64) -> i64 {
        let now = i64::try_from(now).unwrap();
        START_US + now + self.offset_us + now / 1_000_000 * self.drift_ppm
    }
}

pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    /// The transfers that it has carried, the last one now.
    pub(crate) transfers: Vec<TransferId>,
    pub(crate) config: Config,
    pub(crate) period: u64,
    pub(crate) wall: WallClock,
    pub(crate) monitor: WallClock,
    /// Its heart races until then.
    pub(crate) racing_until: u64,
    pub(crate) on: Option<Running>,
    /// Counts its starts.
    pub(crate) life: u32,
    /// Counts its numerics.
    pub(crate) count: i64,
    pub(crate) shed: u64,
    pub(crate) disk: Disk,
    /// Its disk failed at some time.
    pub(crate) spool_failed: bool,
    pub(crate) unsaid: Unsaid,
    /// The transfer that the crew has begun, until its disk has taken that.
    pub(crate) next_leg: Option<TransferId>,
    /// Its link was throttled or silent at some time.
    pub(crate) was_thin: bool,
}

/// A gateway with power.
#[derive(Debug)]
pub(crate) struct Running {
    /// None while it cannot be opened.
    pub(crate) spool: Option<Spool>,
    /// It failed, and will be opened anew.
    pub(crate) failed: bool,
    /// Frames that no receipt covers, as last seen.
    pub(crate) unconfirmed: u64,
    pub(crate) unwritten: Unwritten,
    pub(crate) core: Core,
    started: u64,
    wanted: Option<Wanted>,
    clocks: Option<ClockOffsets>,
    told: Option<TransferId>,
    /// When the newest numerics were recorded that no connection could take.
    unsent: Option<u64>,
    /// The publish that gave them to a new connection, until it is answered.
    greeting: Option<u64>,
    due: Option<Span>,
}

pub(crate) fn new(number: usize, dir: &Path, bytes_max: u64, period: u64) -> Gateway {
    let id = GatewayId::new(&format!("gw-{number}")).unwrap();
    let mut config = Config::new(id.clone());
    config.spool = SpoolConfig {
        dir: dir.join(format!("spool-{number}")),
        bytes_max,
        keys: enroute_tests::sealed::keys(),
    };
    Gateway {
        transfers: vec![transfer_id(number, 1)],
        id,
        config,
        period,
        wall: WallClock::default(),
        monitor: WallClock::default(),
        racing_until: 0,
        on: None,
        life: 0,
        count: 0,
        shed: 0,
        disk: Disk::default(),
        spool_failed: false,
        unsaid: Unsaid::default(),
        next_leg: None,
        was_thin: false,
    }
}

impl Running {
    /// Frames that no receipt covers yet; more while it cannot say.
    pub(crate) fn left(&self) -> u64 {
        let spool = self.spool.as_ref().filter(|_| self.unwritten.is_empty());
        spool.map_or(u64::MAX, Spool::unconfirmed)
    }
}

impl Gateway {
    /// Its spool has less room than a run needs.
    pub(crate) fn is_small(&self) -> bool {
        self.config.spool.bytes_max < SPOOL_BYTES
    }
}

pub(crate) fn transfer_id(gateway: usize, leg: usize) -> TransferId {
    TransferId::new(&format!("t-{gateway}-{leg}")).unwrap()
}

/// How its two clients connect.
pub(crate) fn connects(id: &GatewayId) -> [Connect; 2] {
    let topic = |word: &str| format!("enroute/v1/gw/{id}/{word}");
    let gone = v1::GatewayStatus {
        exercise: true,
        ..v1::GatewayStatus::default()
    };
    let will = Message {
        topic: topic("status"),
        payload: gone.encode_to_vec().into(),
        retain: true,
        expires_at: None,
    };
    let plain = Connect {
        clean: true,
        filters: Vec::new(),
        will: None,
        window: 64,
    };
    let filters = vec![topic("receipt"), topic("command")];
    let live = Connect {
        filters,
        will: Some(will),
        ..plain.clone()
    };
    [live, plain]
}

/// The client of a gateway's lane.
pub(crate) fn client_of(gateway: usize, lane: Lane) -> usize {
    2 * gateway + usize::from(lane == Lane::History)
}

impl World {
    pub(crate) fn power_on(&mut self, number: usize) {
        let now = self.now;
        let epoch = self.rng.any();
        let it = &mut self.gateways[number];
        if it.on.is_some() {
            return;
        }
        it.life += 1;
        let transfer = it.transfers.last().cloned().unwrap();
        let (config, disk) = (&it.config.spool, it.disk.options());
        let spool = match Spool::open_as(config, Some(&transfer), || Ok(epoch), disk) {
            Ok(spool) => spool,
            // It says so, and is started again.
            Err(error) => {
                assert!(it.spool_failed, "the spool does not open: {error}");
                let again = Event::Fault(Fault::PowerOn(number));
                return self.at(now + 2_000_000, again);
            }
        };
        let wall = GatewayTime(it.wall.at(now));
        let core = Core::new(&it.config, true, wall, spool.through());
        let (life, period) = (it.life, it.period);
        it.on = Some(Running {
            spool: Some(spool),
            failed: false,
            unconfirmed: 0,
            unwritten: Unwritten::default(),
            core,
            started: now,
            wanted: None,
            clocks: None,
            told: None,
            unsent: None,
            greeting: None,
            due: None,
        });
        self.tell_transfer(number);
        for lane in [Lane::Live, Lane::History] {
            self.start_client(client_of(number, lane));
        }
        let first = self.rng.between(0, period);
        self.at(now + first, Event::Emit(number, life));
        self.at(now + REPORT_EVERY, Event::Report(number, life));
    }

    /// Nothing is closed, nobody is told.
    pub(crate) fn power_off(&mut self, number: usize) {
        let later = self.rng.between(100_000, 7_000_000);
        for lane in [Lane::Live, Lane::History] {
            self.kill_client(client_of(number, lane), later);
        }
        self.forget_unwritten(number);
        self.gateways[number].on = None;
    }

    pub(crate) fn is_on(&self, number: usize, life: u32) -> bool {
        let it = &self.gateways[number];
        it.on.is_some() && it.life == life
    }

    pub(crate) fn emit(&mut self, number: usize, life: u32) {
        if !self.is_on(number, life) || !self.sources_on {
            return;
        }
        let (now, waves) = (self.now, self.rng.chance(60));
        let note = self.rng.chance(4);
        let it = &mut self.gateways[number];
        it.count += 1;
        let rate = if it.racing_until > now { RACING } else { CALM };
        let mut bodies = vec![numerics(rate, it.count)];
        if waves {
            bodies.push(waveform(it.count));
        }
        if note {
            bodies.push(Body::Crew(CrewEvent::Note(format!("note {}", it.count))));
        }
        let next = now + it.period;
        self.record(number, bodies);
        self.at(next, Event::Emit(number, life));
    }

    pub(crate) fn report(&mut self, number: usize, life: u32) {
        if self.is_on(number, life) && self.sources_on {
            self.send_report(number);
            self.at(self.now + REPORT_EVERY, Event::Report(number, life));
        }
    }

    pub(crate) fn send_report(&mut self, number: usize) {
        let it = &self.gateways[number];
        let Some(spool) = &it.on.as_ref().unwrap().spool else {
            return;
        };
        let (bytes, max) = spool.bytes();
        let report = LinkReport {
            spool_bytes: bytes,
            spool_bytes_max: max,
            unconfirmed_frames: spool.unconfirmed(),
            shed_frames: spool.shed_frames(),
            streams: spool.streams(),
            ..LinkReport::default()
        };
        self.record(number, vec![Body::Link(report)]);
    }

    /// What the desk does: on disk first, then to the uplink.
    pub(crate) fn record(&mut self, number: usize, bodies: Vec<Body>) {
        let now = self.now;
        let small = self.gateways[number].is_small();
        let open = small.then(|| self.open_on_board(number));
        let it = &mut self.gateways[number];
        let on = it.on.as_mut().unwrap();
        let (wall, monitor) = (it.wall.at(now), it.monitor.at(now));
        let monotonic = span(now - on.started);
        let draft = |body| Draft {
            body,
            observed_at: Some(DeviceTime(monitor)),
            captured_at: GatewayTime(wall),
            monotonic,
            clocks: on.clocks.take(),
            exercise: true,
        };
        let drafts: Vec<Draft> = bodies.into_iter().map(draft).collect();
        let declared = self.declare_unwritten(number);
        let appended = declared.and_then(|declared| {
            let appended = self.spool(number, |spool| spool.append(&drafts))?;
            Ok((declared, appended))
        });
        let Ok((declared, mut appended)) = appended else {
            return self.not_written(number, &drafts);
        };
        let it = &mut self.gateways[number];
        let on = it.on.as_mut().unwrap();
        assert!(
            appended.refused.is_empty(),
            "refused: {:?}",
            appended.refused
        );
        let (bytes, max) = on.spool.as_ref().unwrap().bytes();
        // Its notes may grow once the room is made.
        assert!(
            bytes <= max + NOTES_MAX,
            "the spool holds {bytes} of {max} bytes"
        );
        it.shed += appended.shed;
        if appended.shed > 0 {
            self.note_shedding(number, open.expect("a large spool sheds nothing"));
        }
        for frame in &appended.frames {
            self.produces(number, frame);
        }
        // What is declared as lost is of the past.
        let numerics = { appended.frames.iter() }.any(|it| it.life.1 == Stream::Numerics);
        appended.frames.splice(0..0, declared);
        let lane = &self.clients[client_of(number, Lane::Live)];
        let free = lane.conn.is_some() && lane.sent.is_empty();
        if numerics && lane.conn.is_none() {
            self.gateways[number].on.as_mut().unwrap().unsent = Some(now);
        }
        self.went_live = false;
        self.tell(number, Input::Recorded(appended.frames));
        // However long the backlog: now comes first. A thin link may have less to say.
        let thin = self.gateways[number].was_thin;
        assert!(self.went_live || !free || thin, "a frame waits for history");
        self.tell_transfer(number);
    }

    pub(crate) fn tell_transfer(&mut self, number: usize) {
        let on = self.gateways[number].on.as_mut().unwrap();
        // What a spool that failed knows is not told.
        let spool = on.spool.as_ref().filter(|_| !on.failed);
        let Some(spool) = spool else { return };
        let transfer = spool.transfer().cloned();
        if on.told != transfer {
            on.told.clone_from(&transfer);
            self.tell(number, Input::Transfer(transfer));
        }
    }

    pub(crate) fn gateway_now(&self, number: usize) -> Now {
        let it = &self.gateways[number];
        let started = it.on.as_ref().unwrap().started;
        Now {
            monotonic: span(self.now - started),
            wall: GatewayTime(it.wall.at(self.now)),
        }
    }

    pub(crate) fn tell(&mut self, number: usize, input: Input) {
        let (now, mut outputs) = (self.gateway_now(number), Vec::new());
        let on = self.gateways[number].on.as_mut().unwrap();
        on.core.handle(now, input, &mut outputs);
        self.act(number, outputs);
    }

    fn act(&mut self, number: usize, mut outputs: Vec<Output>) {
        while !outputs.is_empty() {
            let mut more = Vec::new();
            for output in outputs {
                if let Some(answer) = self.perform(number, output) {
                    let now = self.gateway_now(number);
                    let on = self.gateways[number].on.as_mut().unwrap();
                    on.core.handle(now, answer, &mut more);
                }
            }
            outputs = more;
        }
        let started = self.gateways[number].on.as_ref().unwrap().started;
        let it = &mut self.gateways[number];
        let (life, on) = (it.life, it.on.as_mut().unwrap());
        let due = on.core.next_timeout();
        if due != on.due {
            on.due = due;
            if let Some(due) = due {
                let at = started + u64::try_from(due.0).unwrap();
                self.at(at.max(self.now), Event::Timeout(number, life));
            }
        }
    }

    pub(crate) fn timeout(&mut self, number: usize, life: u32) {
        if !self.is_on(number, life) {
            return;
        }
        let (now, mut outputs) = (self.gateway_now(number), Vec::new());
        let on = self.gateways[number].on.as_mut().unwrap();
        if on
            .core
            .next_timeout()
            .is_some_and(|due| due <= now.monotonic)
        {
            on.due = None;
            on.core.handle_timeout(now, &mut outputs);
        }
        self.act(number, outputs);
    }

    fn perform(&mut self, number: usize, output: Output) -> Option<Input> {
        match output {
            Output::Publish { lane, publish, .. } => self.send(number, lane, publish),
            Output::Pick(wanted) => {
                let it = &mut self.gateways[number];
                it.on.as_mut().unwrap().wanted = Some(wanted);
                let life = it.life;
                let wait = self.rng.between(0, 3_000);
                self.at(self.now + wait, Event::Pick(number, life));
                None
            }
            Output::Hear(word) => {
                self.model.freed(number, word.durable());
                let now = GatewayTime(self.gateways[number].wall.at(self.now));
                let heard = self.spool(number, |spool| spool.hear(&word, now));
                let on = self.gateways[number].on.as_ref().unwrap();
                Some(Input::Freed {
                    heard: heard.unwrap_or_default(),
                    unconfirmed: on.unconfirmed,
                })
            }
            Output::UseTransfer {
                instead_of,
                transfer,
            } => {
                // Told again by the next live frame, if it fails.
                let used = |spool: &mut Spool| spool.use_transfer(&instead_of, &transfer);
                drop(self.spool(number, used));
                self.tell_transfer(number);
                None
            }
            Output::StateClocks(clocks) => {
                self.gateways[number].on.as_mut().unwrap().clocks = Some(clocks);
                None
            }
        }
    }

    fn send(&mut self, number: usize, lane: Lane, publish: Publish) -> Option<Input> {
        self.went_live |= lane == Lane::Live;
        if publish.topic.contains("/tx/") && self.gateways[number].is_small() {
            self.model.leave(number, &publish.payload);
        }
        let (now, on) = (self.now, self.gateways[number].on.as_mut().unwrap());
        // However long the backlog, the newest goes before it with each connection.
        let fresh = on.unsent.filter(|at| now < at + LIVE_FOR);
        if lane == Lane::History {
            assert!(fresh.is_none(), "history before live");
            assert_eq!(on.greeting, None, "history before live has arrived");
        } else if publish.topic.ends_with("/live") {
            on.unsent = None;
            on.greeting = fresh.map(|_| publish.token).or(on.greeting);
        }
        let token = publish.token;
        let lasts = publish
            .message_expiry
            .map(|expiry| u64::try_from(expiry.as_micros()).unwrap());
        let message = Message {
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            expires_at: lasts.map(|lasts| self.now + lasts),
        };
        let sent = self.publish(client_of(number, lane), token, message);
        (!sent).then_some(Input::Unsent {
            token,
            too_large: false,
        })
    }

    pub(crate) fn pick(&mut self, number: usize, life: u32) {
        if !self.is_on(number, life) {
            return;
        }
        let on = self.gateways[number].on.as_mut().unwrap();
        if let Some(wanted) = on.wanted.take() {
            let picked = self.spool(number, |spool| spool.pick(&wanted));
            self.tell(number, Input::Picked(picked.unwrap_or(None)));
        }
    }

    pub(crate) fn gateway_heard(&mut self, client: usize, heard: Heard) {
        let (number, lane) = (
            client / 2,
            if client.is_multiple_of(2) {
                Lane::Live
            } else {
                Lane::History
            },
        );
        let on = self.gateways[number].on.as_mut().unwrap();
        match &heard {
            Heard::Puback(token) => on.greeting = on.greeting.filter(|it| it != token),
            Heard::Disconnected if lane == Lane::Live => on.greeting = None,
            _ => {}
        }
        let input = match heard {
            Heard::Connected => Input::Connected(lane),
            Heard::Disconnected => Input::Disconnected(lane),
            Heard::Puback(token) => Input::Answered(token),
            Heard::Lost(tokens) => Input::Lost(tokens),
            Heard::Publish {
                packet, message, ..
            } => {
                let number = self.clients[client].conn.unwrap();
                self.acknowledge((client, number), packet);
                Input::Message {
                    topic: message.topic,
                    payload: message.payload,
                }
            }
        };
        self.tell(number, input);
    }
}

pub(crate) fn span(us: u64) -> Span {
    Span(i64::try_from(us).unwrap())
}

fn numerics(rate: i64, count: i64) -> Body {
    let numeric = |metric, value| Numeric {
        metric,
        unit: String::new(),
        reading: Reading::measured(Decimal::new(value, 0).unwrap()),
        interval: Span::from_secs(1),
    };
    let coded = Metric {
        code: HEART_RATE,
        label: String::new(),
    };
    let own = Metric {
        code: Code(0),
        label: COUNT.to_owned(),
    };
    Body::Numerics(vec![numeric(coded, rate), numeric(own, count)])
}

fn waveform(count: i64) -> Body {
    let first = i32::try_from(count).unwrap();
    Body::Waveforms(vec![Waveform {
        metric: Metric {
            code: Code(0),
            label: "wave".to_owned(),
        },
        unit: "mV".to_owned(),
        rate_hz: 250.0,
        gain: 1.0,
        baseline: 0,
        first_sample: u64::try_from(count).unwrap() * 250,
        start_offset: Span::ZERO,
        samples: (0..SAMPLES).map(|n| Some(first * 7 + n * n % 31)).collect(),
    }])
}
