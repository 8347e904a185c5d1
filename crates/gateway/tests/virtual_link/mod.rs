//! A gateway's uplink, its spool, a link and a server in one thread, under a clock
//! that jumps from event to event.

use bytes::Bytes;
use enroute_gateway::Config;
use enroute_gateway::simulation::{Core, Draft, Input, Now, Output, Spool, Spooled, StreamLife};
use enroute_journal::LogOptions;
use enroute_model::frame::{Body, Emission, LinkReport};
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_simulator::fleet::{Options, fleet};
use enroute_simulator::source::{Detail, Emissions};
use enroute_wire::topics::Topic;
use enroute_wire::{Message, frame, v1};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::time::Duration;

/// Around each payload: IPv4 and TCP with time stamps, the MQTT header; the topic
/// is counted apart.
const ENVELOPE: i64 = 52 + 20;
/// The server answers with a receipt so often.
const RECEIPT_EVERY: Span = Span::from_millis(500);
/// Emissions recorded with one sync while nothing is connected.
const RECORDED_TOGETHER: usize = 256;
/// What the spool would draw at random.
const EPOCH: u64 = 0x9c1f_3e5a_7d20_b846;

/// What the link can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) bytes_per_s: i64,
    /// One way.
    pub(crate) delay: Span,
}

/// A frame at the server.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) lane: Lane,
    pub(crate) stream: Stream,
    pub(crate) recorded: Span,
    pub(crate) arrived: Span,
    /// It waited so long behind history.
    pub(crate) waited: Span,
}

enum Event {
    Arrives(Box<Sent>),
    Answered(u64),
    ReceiptDue,
    Receipt(Bytes),
}

/// A publish on the link.
struct Sent {
    lane: Lane,
    token: u64,
    payload: Bytes,
    /// It waited so long behind history.
    waited: Span,
}

pub(crate) struct World {
    _dir: tempfile::TempDir,
    now: Span,
    spool: Spool,
    core: Core,
    source: Peekable<Emissions>,
    rate: Option<Rate>,
    /// The link is busy until then.
    free_at: Span,
    events: BTreeMap<(Span, u64), Event>,
    counter: u64,
    recorded: BTreeMap<(StreamLife, u64), Span>,
    durable: BTreeMap<StreamLife, (u64, RangeSet)>,
    newest_batch: i64,
    arrivals: Vec<Arrival>,
    /// Start and end of each use of the link.
    uses: Vec<(Lane, Span, Span)>,
    history_bytes: u64,
    levels: Vec<(i64, u32)>,
    level: u32,
}

/// A vehicle with an arterial line: twelve numerics, and four of its waveforms.
fn source() -> Peekable<Emissions> {
    let options = Options {
        seed: 8,
        transfers: 12,
        length: Span::from_secs(8 * 3_600),
        starts_at: ServerTime(0),
    };
    let channels = |emissions: Emissions| {
        let mut some = emissions.take(20);
        some.find_map(|e| match e.body {
            Body::Waveforms(waveforms) => Some(waveforms.len()),
            _ => None,
        })
    };
    let legs = fleet(&options).into_iter().filter(|s| s.legs.len() == 1);
    let mut legs = legs.map(|scenario| scenario.legs[0].emissions(Detail::Waveforms));
    let leg = legs.find(|leg| channels(leg.clone()) == Some(5));
    leg.expect("one of them has an arterial line").peekable()
}

impl World {
    /// Nothing is connected, and nothing recorded.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(GatewayId::new("gw-1").unwrap());
        config.spool.dir = dir.path().to_owned();
        // What is random elsewhere is fixed: it decides how well frames compress.
        let transfer = TransferId::new("t-virtual").unwrap();
        let spool = Spool::open_as(
            &config.spool,
            Some(&transfer),
            || Ok(EPOCH),
            LogOptions::default(),
        )
        .unwrap();
        let core = Core::new(&config, true, GatewayTime(0), spool.through());
        Self {
            _dir: dir,
            now: Span::ZERO,
            spool,
            core,
            source: source(),
            rate: None,
            free_at: Span::ZERO,
            events: BTreeMap::new(),
            counter: 0,
            recorded: BTreeMap::new(),
            durable: BTreeMap::new(),
            newest_batch: 0,
            arrivals: Vec::new(),
            uses: Vec::new(),
            history_bytes: 0,
            levels: Vec::new(),
            level: 0,
        }
    }

    pub(crate) fn now(&self) -> Span {
        self.now
    }

    /// Frames that no receipt covers.
    pub(crate) fn backlog(&self) -> u64 {
        self.spool.unconfirmed()
    }

    pub(crate) fn backlog_bytes(&self) -> u64 {
        self.spool.bytes().0
    }

    pub(crate) fn history_bytes(&self) -> u64 {
        self.history_bytes
    }

    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    /// Changes of the level: second, level.
    pub(crate) fn levels(&self) -> &[(i64, u32)] {
        &self.levels
    }

    pub(crate) fn arrivals(&self, from: Span) -> impl Iterator<Item = &Arrival> {
        self.arrivals.iter().filter(move |a| a.arrived >= from)
    }

    /// The share of the time since then in which the link was busy.
    pub(crate) fn link_used(&self, from: Span) -> f64 {
        let within =
            |(_, start, end): &(Lane, Span, Span)| end.0.min(self.now.0) - start.0.max(from.0);
        let busy: i64 = self.uses.iter().map(|u| within(u).max(0)).sum();
        busy as f64 / (self.now.0 - from.0) as f64
    }

    /// How long a live publish waited at most behind history.
    pub(crate) fn worst_wait(&self, from: Span) -> Duration {
        let live = self.arrivals(from).filter(|a| a.lane == Lane::Live);
        micros(live.map(|a| a.waited).max().unwrap_or(Span::ZERO))
    }

    /// The longest time in which nothing newer of a stream came live.
    pub(crate) fn worst_age(&self, from: Span, stream: Stream) -> Duration {
        let live = self
            .arrivals(from)
            .filter(|a| a.lane == Lane::Live && a.stream == stream);
        let mut newest = from;
        let mut worst = Span::ZERO;
        for arrival in live {
            worst = worst.max(Span(arrival.arrived.0 - newest.0));
            newest = newest.max(arrival.recorded);
        }
        micros(worst)
    }

    pub(crate) fn connect(&mut self, rate: Rate) {
        self.rate = Some(rate);
        self.free_at = self.now;
        self.at(Span(self.now.0 + RECEIPT_EVERY.0), Event::ReceiptDue);
        // The worse order for the newest.
        self.tell(Input::Connected(Lane::History));
        self.tell(Input::Connected(Lane::Live));
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        self.rate = Some(rate);
    }

    /// Nothing passes for so long, and nobody is told.
    pub(crate) fn black_hole(&mut self, lasts: Span) {
        let events = std::mem::take(&mut self.events);
        for ((at, order), event) in events {
            self.events.insert((Span(at.0 + lasts.0), order), event);
        }
        self.free_at = Span(self.free_at.0.max(self.now.0) + lasts.0);
    }

    pub(crate) fn run(&mut self, until: Span) {
        loop {
            let emission = self.source.peek().unwrap().due;
            let event = self.events.keys().next().map(|(at, _)| *at);
            let timeout = self.core.next_timeout();
            let next = event
                .into_iter()
                .chain(timeout)
                .chain([emission])
                .min()
                .unwrap();
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            if event == Some(next) {
                let (_, event) = self.events.pop_first().unwrap();
                self.happen(event);
            } else if timeout.is_some_and(|t| t <= self.now) {
                let mut out = Vec::new();
                self.core.handle_timeout(self.clocks(), &mut out);
                self.act(out);
            } else {
                self.emit(until);
            }
        }
        self.now = self.now.max(until);
    }

    fn clocks(&self) -> Now {
        Now {
            monotonic: self.now,
            wall: GatewayTime(self.now.0),
        }
    }

    fn at(&mut self, at: Span, event: Event) {
        self.counter += 1;
        self.events.insert((at, self.counter), event);
    }

    /// Records what the source gives at one moment; without a connection much of it
    /// with one sync.
    fn emit(&mut self, until: Span) {
        let offline = self.rate.is_none();
        let together = if offline { RECORDED_TOGETHER } else { 64 };
        let through = if offline { until } else { self.now };
        let mut emissions = Vec::new();
        while emissions.len() < together
            && let Some(emission) = self.source.next_if(|e| e.due <= through)
        {
            emissions.push(emission);
        }
        self.now = self.now.max(emissions.last().map_or(self.now, |e| e.due));
        self.record(emissions);
    }

    fn record(&mut self, emissions: Vec<Emission>) {
        let mut drafts = Vec::new();
        let mut times = Vec::new();
        for emission in emissions {
            let body = match emission.body {
                Body::Waveforms(mut waveforms) => {
                    waveforms.truncate(4);
                    Body::Waveforms(waveforms)
                }
                other => other,
            };
            times.push(emission.due);
            drafts.push(Draft {
                body,
                observed_at: emission.observed_at,
                captured_at: GatewayTime(emission.due.0),
                monotonic: emission.due,
                clocks: None,
                exercise: true,
            });
        }
        if drafts.is_empty() {
            return;
        }
        let appended = self.spool.append(&drafts).unwrap();
        assert!(appended.refused.is_empty(), "{:?}", appended.refused);
        let frames: Vec<Spooled> = appended.frames;
        for (frame, time) in frames.iter().zip(times) {
            self.recorded.insert((frame.life, frame.sequence), time);
        }
        self.tell(Input::Recorded(frames));
    }

    fn tell(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.handle(self.clocks(), input, &mut out);
        self.act(out);
    }

    fn act(&mut self, mut outputs: Vec<Output>) {
        while !outputs.is_empty() {
            let mut more = Vec::new();
            for output in outputs {
                if let Some(answer) = self.perform(output) {
                    self.core.handle(self.clocks(), answer, &mut more);
                }
            }
            outputs = more;
        }
        let view = self.core.link();
        if view.level != self.level {
            self.level = view.level;
            self.levels.push((self.now.0 / 1_000_000, view.level));
            let body = Body::Link(LinkReport {
                degradation_level: view.level,
                numerics_interval: view.numerics_interval,
                ..LinkReport::default()
            });
            let due = self.now;
            let observed_at = None;
            self.record(vec![Emission {
                due,
                observed_at,
                body,
            }]);
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Publish { lane, publish, .. } => {
                self.send(lane, publish);
                None
            }
            Output::Pick(wanted) => Some(Input::Picked(self.spool.pick(&wanted).unwrap())),
            Output::Hear(word) => {
                let heard = self.spool.hear(&word, GatewayTime(self.now.0)).unwrap();
                let unconfirmed = self.spool.unconfirmed();
                Some(Input::Freed { heard, unconfirmed })
            }
            Output::UseTransfer { .. } | Output::StateClocks(_) => None,
        }
    }

    fn send(&mut self, lane: Lane, publish: enroute_mqtt::Publish) {
        let rate = self.rate.unwrap();
        let payload = i64::try_from(publish.payload.len()).unwrap();
        let topic = i64::try_from(publish.topic.len()).unwrap();
        let bytes = payload + topic + ENVELOPE;
        let on_link = bytes * 1_000_000 / rate.bytes_per_s;
        let start = self.free_at.max(self.now);
        self.free_at = Span(start.0 + on_link);
        let ahead = self.uses.iter().rev().take_while(|u| u.2 > self.now);
        let history = ahead.filter(|u| u.0 == Lane::History);
        let waited = history.map(|u| u.2.0 - u.1.0.max(self.now.0)).sum();
        self.uses.push((lane, start, self.free_at));
        if lane == Lane::History {
            self.history_bytes += u64::try_from(payload).unwrap();
        }
        let arrives = Span(self.free_at.0 + rate.delay.0);
        let sent = Sent {
            lane,
            token: publish.token,
            payload: publish.payload,
            waited: Span(waited),
        };
        if publish.topic.ends_with("/status") {
            self.at(Span(arrives.0 + rate.delay.0), Event::Answered(sent.token));
        } else {
            self.at(arrives, Event::Arrives(Box::new(sent)));
        }
    }

    fn happen(&mut self, event: Event) {
        let delay = self.rate.unwrap().delay;
        match event {
            Event::Arrives(sent) => {
                self.arrive(&sent);
                self.at(Span(self.now.0 + delay.0), Event::Answered(sent.token));
            }
            Event::Answered(token) => {
                self.tell(Input::Answered(token));
            }
            Event::ReceiptDue => {
                self.at(Span(self.now.0 + RECEIPT_EVERY.0), Event::ReceiptDue);
                if !self.durable.is_empty() {
                    let receipt = self.receipt();
                    self.at(Span(self.now.0 + delay.0), Event::Receipt(receipt));
                }
            }
            Event::Receipt(payload) => {
                let gateway = GatewayId::new("gw-1").unwrap();
                let topic = Topic::Receipt(gateway).to_string();
                self.tell(Input::Message { topic, payload });
            }
        }
    }

    fn arrive(&mut self, sent: &Sent) {
        let batch = v1::Batch::decode(sent.payload.clone()).unwrap();
        let frames = match sent.lane {
            Lane::Live => batch.frame,
            Lane::History => enroute_wire::batch::open(&batch.compressed).unwrap(),
        };
        let waves = |bytes: &Bytes| {
            let header = frame::decode_header(bytes).unwrap();
            header.stream == Stream::Waveforms
        };
        let states = sent.lane == Lane::History || !frames.iter().all(waves);
        assert_eq!(
            batch.sent_at_us != 0,
            states,
            "waveforms alone state no time"
        );
        if states {
            self.newest_batch = batch.sent_at_us;
        }
        for bytes in frames {
            let header = frame::decode_header(&bytes).unwrap();
            let life = (header.epoch, header.stream);
            let first = header.leg_first;
            let entry = self
                .durable
                .entry(life)
                .or_insert((first, RangeSet::default()));
            entry.1.insert(header.sequence, header.sequence);
            self.arrivals.push(Arrival {
                lane: sent.lane,
                stream: header.stream,
                recorded: self.recorded[&(life, header.sequence)],
                arrived: self.now,
                waited: sent.waited,
            });
        }
    }

    fn receipt(&self) -> Bytes {
        let part = |((epoch, stream), (first, set)): (&StreamLife, &(u64, RangeSet))| {
            let through = set.through(*first);
            let above = set.iter().filter(|(from, _)| *from > through);
            v1::StreamReceipt {
                epoch: epoch.0,
                stream: frame::stream_to(*stream).into(),
                first: *first,
                through,
                above: above
                    .take(64)
                    .map(|(first, last)| v1::Range { first, last })
                    .collect(),
            }
        };
        let receipt = v1::Receipt {
            journal: 1,
            stream: self.durable.iter().map(part).collect(),
            echo_sent_at_us: self.newest_batch,
            received_at_us: self.now.0,
            receipt_sent_at_us: self.now.0,
            full: false,
        };
        receipt.encode_to_vec().into()
    }
}

fn micros(span: Span) -> Duration {
    Duration::from_micros(u64::try_from(span.0).unwrap_or(0))
}
