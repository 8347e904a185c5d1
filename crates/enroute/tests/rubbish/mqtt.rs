//! Rubbish for the broker: topics, payloads, retained messages, and messages to
//! gateways in the server's name. There is no authentication, so everybody may.

use crate::HANG;
use crate::random::Random;
use enroute_ingest::check;
use enroute_mqtt::{Client, Event, Events, Options, Publish, PublishError};
use enroute_tests::frames;
use enroute_wire::limits::PUBLISH_BYTES_MAX;
use enroute_wire::topics::ALL_LIVE;
use enroute_wire::v1::crew_event::Event as Entered;
use enroute_wire::v1::frame::Body;
use enroute_wire::v1::{
    Batch, ClockOffsets, CrewEvent, Frame, GatewayStatus, Header, LinkReport, Numerics, Position,
    Range, Receipt, Shed, Stream, StreamReceipt, UseTransfer, Waveform, Waveforms, command,
};
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;

/// New transfers, each with one good frame.
const FLOOD: usize = 300;
const EVIL: &str = "enroute/v1/gw/gw-evil/tx/tx-evil/live";
const EVIL_HISTORY: &str = "enroute/v1/gw/gw-evil/tx/tx-evil/history";

/// Refused publishes by reason.
pub(crate) type Refused = BTreeMap<String, u64>;

/// As the page `/ingest` lists them.
pub(crate) fn refused(page: &str) -> Refused {
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("refused "));
    let rows = lines.skip(1).take_while(|line| !line.is_empty());
    rows.filter_map(|line| {
        let (word, count) = line.trim().split_once(' ')?;
        Some((word.to_owned(), count.parse().ok()?))
    })
    .collect()
}

struct Attacker {
    client: Client,
    events: Events,
    tokens: u64,
    /// A batch of the honest gateway, as it was sent.
    stolen: Option<Vec<u8>>,
    expected: Refused,
}

/// Does it all; returns what ingest must have refused.
pub(crate) async fn attack(broker: u16, transfer: &str, mut random: Random) -> Refused {
    let mut attacker = Attacker::start(broker).await;
    let honest = format!("enroute/v1/gw/gw-1/tx/{transfer}");
    attacker.topics(&mut random).await;
    attacker.payloads(&honest, &mut random).await;
    attacker.damaged(&mut random).await;
    for frame in strange_frames() {
        attacker.send(EVIL, batch(&[frame])).await;
    }
    attacker.statuses(&mut random).await;
    attacker.as_the_server(transfer, &mut random).await;
    for index in 0..FLOOD {
        let topic = format!(
            "enroute/v1/gw/gw-{}/tx/tx-flood-{index}/live",
            index % 9 + 10
        );
        attacker.send(&topic, batch(&[note(1)])).await;
    }
    attacker.client.close().await;
    attacker.expected
}

impl Attacker {
    async fn start(broker: u16) -> Self {
        let mut options = Options::new("127.0.0.1", broker, "attacker");
        options.packet_bytes_max = 4 << 20;
        options.subscriptions = vec![ALL_LIVE.to_owned()];
        let (client, events) = Client::connect(options);
        let mut attacker = Self {
            client,
            events,
            tokens: 0,
            stolen: None,
            expected: Refused::new(),
        };
        while attacker.stolen.is_none() {
            attacker.event().await;
        }
        attacker
    }

    async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(HANG, self.events.next()).await;
        match event.expect("hangs").expect("the client ended") {
            Event::Publish(incoming) => {
                if incoming.topic.contains("/gw-1/tx/") && self.stolen.is_none() {
                    self.stolen = Some(incoming.payload.to_vec());
                }
                self.client.ack(incoming.ack);
                Event::Subscribed
            }
            event => event,
        }
    }

    async fn send(&mut self, topic: &str, payload: Vec<u8>) {
        self.send_with(topic, payload, false).await;
    }

    /// Publishes, waits for the broker's answer, and notes what ingest must make of it.
    async fn send_with(&mut self, topic: &str, payload: Vec<u8>, retain: bool) {
        self.tokens += 1;
        let mine = self.tokens;
        let publish = Publish {
            retain,
            ..Publish::new(topic, payload.clone(), mine)
        };
        match self.client.publish(publish).await {
            Ok(()) => {}
            // The broker said so when we connected.
            Err(PublishError::TooLarge { .. }) => return,
            Err(error) => panic!("{topic:.80}: {error}"),
        }
        loop {
            match self.event().await {
                Event::Puback { token } if token == mine => break,
                Event::Refused { token, .. } if token == mine => return,
                Event::Lost { tokens } if tokens.contains(&mine) => {
                    // Mosquitto hangs up on whoever sends more.
                    assert!(
                        payload.len() > PUBLISH_BYTES_MAX,
                        "the broker hung up on {topic:.80}"
                    );
                    while !matches!(self.event().await, Event::Connected { .. }) {}
                    return;
                }
                _ => {}
            }
        }
        if is_subscribed(topic)
            && let Err(reason) = check(topic, &payload.into())
        {
            *self.expected.entry(reason.word.to_owned()).or_default() += 1;
        }
    }

    async fn topics(&mut self, random: &mut Random) {
        let long = "x".repeat(60_000);
        for topic in [
            "x".to_owned(),
            "enroute/v1/gw/gw-1".to_owned(),
            "enroute/v2/gw/gw-1/tx/tx-1/live".to_owned(),
            "enroute/v1/gw/gw-1/tx/tx-1/live/more".to_owned(),
            "enroute/v1/gw//tx//live".to_owned(),
            "enroute/v1/gw/UPPER/tx/tx-1/live".to_owned(),
            "enroute/v1/gw/a b/tx/\u{fc}\u{1f691}/history".to_owned(),
            "enroute/v1/gw/../tx/../live".to_owned(),
            format!("enroute/v1/gw/{long}/tx/tx-1/live"),
            format!("enroute/v1/gw/gw-1/tx/{long}/history"),
            format!("enroute/v1/gw/{long}/status"),
            format!("enroute/v1/gw/{}/status", "a".repeat(65)),
            long,
        ] {
            self.send(&topic, batch(&[note(1)])).await;
        }
        for _ in 0..30 {
            let id: String = random
                .bytes(8)
                .into_iter()
                .map(|b| char::from(b' ' + b % 95))
                .collect();
            let id = id.replace(['/', '+', '#'], "?");
            let topic = format!("enroute/v1/gw/{id}/tx/{id}/live");
            self.send(&topic, random.some_bytes(100)).await;
        }
    }

    /// What is refused whole, in the honest gateway's name too.
    async fn payloads(&mut self, honest: &str, random: &mut Random) {
        for lane in ["live", "history"] {
            let topic = format!("{honest}/{lane}");
            let refused = [
                Vec::new(),
                vec![0xff; 1_000],
                batch(&[]),
                batch(&vec![note(1); 5_000]),
                // Half a million empty frames in 1 MiB.
                [0x0a, 0].repeat((1 << 19) - 1),
                vec![0; (1 << 20) + 100],
                batch(&[note(0)]),
            ];
            for payload in refused {
                assert!(check(&topic, &payload.clone().into()).is_err());
                self.send(&topic, payload).await;
            }
        }
        // The honest name in a transfer of its own.
        self.send("enroute/v1/gw/gw-1/tx/tx-evil/live", batch(&[note(1)]))
            .await;
        for _ in 0..100 {
            self.send(EVIL, random.some_bytes(3_000)).await;
        }
    }

    /// A real batch, cut short and with single bits turned.
    async fn damaged(&mut self, random: &mut Random) {
        let stolen = self.stolen.clone().expect("a batch");
        for _ in 0..40 {
            let cut = stolen.get(..random.below(stolen.len())).unwrap().to_vec();
            self.send(EVIL_HISTORY, cut).await;
        }
        for _ in 0..100 {
            let mut turned = stolen.clone();
            let at = random.below(turned.len());
            turned[at] ^= 1 << random.below(8);
            self.send(EVIL, turned).await;
        }
    }

    async fn statuses(&mut self, random: &mut Random) {
        let status = |online, transfer: &str| {
            let transfer = transfer.to_owned();
            let status = GatewayStatus {
                online,
                transfer,
                started_at_us: i64::MIN,
                ..GatewayStatus::default()
            };
            status.encode_to_vec()
        };
        for gateway in ["gw-1", "gw-evil", "gw-nobody"] {
            let topic = format!("enroute/v1/gw/{gateway}/status");
            for payload in [
                random.bytes(50),
                vec![0xff; 20],
                status(true, "Not An Id"),
                status(true, &"x".repeat(1_000)),
                status(false, "tx-nobody"),
                status(false, ""),
            ] {
                self.send_with(&topic, payload, true).await;
            }
        }
    }

    /// As if from the server.
    async fn as_the_server(&mut self, transfer: &str, random: &mut Random) {
        for gateway in ["gw-1", "gw-2"] {
            let receipt = format!("enroute/v1/gw/{gateway}/receipt");
            let command = format!("enroute/v1/gw/{gateway}/command");
            for _ in 0..30 {
                self.send(&receipt, random.some_bytes(200)).await;
                self.send_with(&command, random.some_bytes(200), true).await;
            }
            self.send(&receipt, Vec::new()).await;
            self.send(&receipt, strange_receipt(random).encode_to_vec())
                .await;
            for (instead_of, wanted) in [("tx-evil", "tx-1"), ("", transfer), (transfer, "No Id")] {
                let use_transfer = UseTransfer {
                    instead_of: instead_of.to_owned(),
                    transfer: wanted.to_owned(),
                    short_code: "\u{7}".repeat(100),
                };
                let of = v1::Command {
                    command: Some(command::Command::UseTransfer(use_transfer)),
                };
                self.send_with(&command, of.encode_to_vec(), true).await;
            }
            self.send_with(&command, Vec::new(), true).await;
        }
    }
}

/// Whether one of ingest's filters has it.
fn is_subscribed(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    match levels.as_slice() {
        ["enroute", "v1", "gw", _, "status"] => true,
        ["enroute", "v1", "gw", _, "tx", _, lane] => ["live", "history"].contains(lane),
        _ => false,
    }
}

fn batch(frames: &[Frame]) -> Vec<u8> {
    let frame = frames
        .iter()
        .map(|frame| frame.encode_to_vec().into())
        .collect();
    let sent_at_us = i64::MAX;
    Batch {
        frame,
        sent_at_us,
        ..Batch::default()
    }
    .encode_to_vec()
}

fn frame(stream: Stream, sequence: u64, body: Body) -> Frame {
    frames::frame(9, stream, sequence, body)
}

fn note(sequence: u64) -> Frame {
    let event = Some(Entered::Note("rubbish".to_owned()));
    frame(
        Stream::Events,
        sequence,
        Body::CrewEvent(CrewEvent { event }),
    )
}

/// Makes a header strange.
type Change = Box<dyn Fn(&mut Header)>;

/// Well formed, and wrong or extreme in one thing; some are legal.
fn strange_frames() -> Vec<Frame> {
    let mut strange = Vec::new();
    let mut headers: Vec<Change> = vec![
        Box::new(|h| h.sequence = u64::MAX),
        Box::new(|h| h.leg_first = u64::MAX),
        Box::new(|h| h.epoch = u64::MAX),
        Box::new(|h| h.captured_at_us = i64::MAX),
        Box::new(|h| h.captured_at_us = i64::MIN),
        Box::new(|h| h.observed_offset_us = Some(i64::MIN)),
        Box::new(|h| h.observed_offset_us = Some(i64::MAX)),
        Box::new(|h| h.monotonic_us = u64::MAX),
        Box::new(|h| h.stream = Stream::Waveforms.into()),
        Box::new(|h| h.stream = 99),
    ];
    headers.push(Box::new(|h| {
        h.clocks = Some(ClockOffsets {
            monitor_us: Some(i64::MIN),
            monitor_uncertainty_us: u64::MAX,
            gateway_us: Some(i64::MAX),
            gateway_uncertainty_us: u64::MAX,
        });
    }));
    for (index, change) in headers.iter().enumerate() {
        let mut frame = note(100 + index as u64);
        change(frame.header.as_mut().unwrap());
        strange.push(frame);
    }
    for waveform in strange_waveforms() {
        let waveform = vec![waveform];
        strange.push(frame(
            Stream::Waveforms,
            1,
            Body::Waveforms(Waveforms { waveform }),
        ));
    }
    let numerics = |code: Vec<u32>, value, decimals, interval| Numerics {
        code,
        value: vec![value],
        decimals: vec![decimals],
        interval_ms: vec![interval],
        ..Numerics::default()
    };
    for (index, numerics) in [
        numerics(vec![147_842], i64::MAX, 0, 1),
        numerics(vec![147_842], i64::MIN, u32::MAX, u32::MAX),
        numerics(vec![147_842; 2], 1, 0, 0),
        numerics(vec![147_842; 50_000], 1, 0, 0),
        numerics(vec![u32::MAX], 1, 18, 86_400_000),
    ]
    .into_iter()
    .enumerate()
    {
        strange.push(frame(
            Stream::Numerics,
            1 + index as u64,
            Body::Numerics(numerics),
        ));
    }
    let position = Position {
        latitude_e7: i32::MIN,
        longitude_e7: i32::MAX,
        altitude_m: Some(i32::MIN),
        speed_cm_s: Some(u32::MAX),
        course_cdeg: Some(u32::MAX),
    };
    let link = LinkReport {
        spool_bytes: u64::MAX,
        unconfirmed_frames: u64::MAX,
        shed_frames: u64::MAX,
        battery_percent: Some(u32::MAX),
        ..LinkReport::default()
    };
    let shed = Shed {
        first: 1,
        last: u64::MAX,
        first_captured_at_us: i64::MIN,
        cause: i32::MAX,
    };
    let join = v1::JoinRequest {
        short_code: "\u{7}".repeat(1_000),
    };
    let event = Some(Entered::Join(join));
    for (index, body) in [
        Body::Position(position),
        Body::LinkReport(link),
        Body::Shed(shed),
        Body::CrewEvent(CrewEvent { event }),
        Body::CrewEvent(CrewEvent { event: None }),
    ]
    .into_iter()
    .enumerate()
    {
        strange.push(frame(Stream::Events, 200 + index as u64, body));
    }
    strange
}

fn strange_waveforms() -> Vec<Waveform> {
    let plain = Waveform {
        code: 131_330,
        rate_hz: 100.0,
        gain: 1.0,
        delta: vec![1, 2, 3],
        ..Waveform::default()
    };
    let with = |change: &dyn Fn(&mut Waveform)| {
        let mut waveform = plain.clone();
        change(&mut waveform);
        waveform
    };
    vec![
        with(&|w| w.rate_hz = f64::NAN),
        with(&|w| w.rate_hz = f64::INFINITY),
        with(&|w| w.rate_hz = -1.0),
        with(&|w| w.rate_hz = f64::MIN_POSITIVE),
        with(&|w| w.gain = f64::NAN),
        with(&|w| w.gain = 0.0),
        with(&|w| w.first_sample = u64::MAX),
        with(&|w| w.start_offset_us = i32::MIN),
        with(&|w| w.delta = vec![i32::MAX; 16]),
        with(&|w| w.delta = vec![0; 100_000]),
        with(&|w| w.missing = vec![0, u32::MAX]),
        with(&|w| w.missing = vec![u32::MAX; 3]),
        with(&|w| w.label = "x".repeat(100_000)),
    ]
}

fn strange_receipt(random: &mut Random) -> Receipt {
    let stream = StreamReceipt {
        epoch: random.next(),
        stream: Stream::Waveforms.into(),
        first: u64::MAX,
        through: 1,
        above: vec![
            Range {
                first: 0,
                last: u64::MAX
            };
            10_000
        ],
    };
    Receipt {
        journal: random.next(),
        stream: vec![stream; 20],
        echo_sent_at_us: i64::MIN,
        received_at_us: i64::MAX,
        receipt_sent_at_us: i64::MIN,
        full: random.below(2) == 1,
    }
}
