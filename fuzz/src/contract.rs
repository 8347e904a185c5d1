//! The contract from the network: what ingest, engines and gateways read.

use crate::input::Input;
use bytes::Bytes;
use enroute_engine::{Effects, Engine};
use enroute_gateway::Config;
use enroute_gateway::simulation::{Core, Input as Told, Now, Output};
use enroute_ingest::check;
use enroute_model::frame::{Body, Frame};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::record::{Entry, Record};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::limits::{FRAME_BYTES_MAX, PUBLISH_BYTES_MAX};
use enroute_wire::topics::Topic;
use enroute_wire::{Message, batch as packing, frame as frames, record as records, state, v1};
use std::collections::BTreeMap;

const LIVE: &str = "enroute/v1/gw/gw-1/tx/tx-1/live";
const HISTORY: &str = "enroute/v1/gw/gw-1/tx/tx-1/history";
const STATUS: &str = "enroute/v1/gw/gw-1/status";
/// Steps of one run of an engine.
const STEPS_MAX: usize = 200;

fn gateway(number: u8) -> GatewayId {
    GatewayId::new(&format!("gw-{number}")).unwrap()
}

fn transfer() -> TransferId {
    TransferId::new("tx-1").unwrap()
}

/// What is taken is the same when written and read again, and in all its readings.
pub(crate) fn frame(bytes: &[u8]) {
    let Ok(taken) = frames::decode(bytes) else {
        return;
    };
    assert_eq!(frames::decode_header(bytes).as_ref(), Ok(&taken.header));
    if frames::has_one_body(bytes) {
        let outline = frames::decode_outline(&Bytes::copy_from_slice(bytes)).unwrap();
        assert_eq!(outline.header, taken.header);
        assert_eq!(
            std::mem::discriminant(&outline.body),
            std::mem::discriminant(&taken.body)
        );
    }
    let again = frames::encode(&taken);
    if again.len() <= FRAME_BYTES_MAX {
        assert_eq!(frames::decode(&again), Ok(taken));
    }
}

/// A publish as ingest reads it: as it is, and compressed by us. What it takes, an
/// engine can read.
pub(crate) fn batch(bytes: &[u8]) {
    let mut input = Input(bytes);
    let topic = [LIVE, HISTORY, STATUS][usize::from(input.byte() % 3)];
    let payload = Bytes::copy_from_slice(input.0);
    let verdict = check(topic, &payload);
    let Ok(plain) = v1::Batch::decode(payload.clone()) else {
        return;
    };
    if topic == STATUS {
        return;
    }
    if verdict.is_ok() {
        let inside = if plain.compressed.is_empty() {
            plain.frame.clone()
        } else {
            packing::open(&plain.compressed).unwrap()
        };
        for frame in inside {
            let record = records::of_frame(&gateway(1), Lane::Live, frame);
            records::decode(&record).unwrap();
            records::decode_outline(&record).unwrap();
        }
    }
    // The same frames, compressed, have the same verdict on the lane for that.
    let frames_alone = plain.compressed.is_empty() && !plain.frame.is_empty();
    if frames_alone && let Some(compressed) = packing::compress(plain.frame.clone()) {
        assert_eq!(packing::open(&compressed).as_ref(), Ok(&plain.frame));
        let packed = v1::Batch {
            compressed,
            sent_at_us: plain.sent_at_us,
            ..v1::Batch::default()
        };
        let packed = Bytes::from(packed.encode_to_vec());
        let plain = check(HISTORY, &payload);
        if packed.len() <= PUBLISH_BYTES_MAX {
            assert_eq!(check(HISTORY, &packed), plain);
        }
    }
}

/// What the journal holds, as an engine and as `verify` read it.
pub(crate) fn record(bytes: &[u8]) {
    let payload = Bytes::copy_from_slice(bytes);
    let outline = records::decode_outline(&payload);
    let Ok(entry) = records::decode(&payload) else {
        return;
    };
    if let Entry::Frame { .. } = &entry
        && outline.is_err()
    {
        // More than one body, which ingest refuses.
        return;
    }
    let outline = outline.unwrap();
    match entry {
        Entry::Frame {
            gateway,
            lane,
            digest,
            frame,
        } => {
            assert!(matches!(outline, Entry::Frame { digest: same, .. } if same == digest));
            let again = frames::encode(&frame);
            let again = records::decode(&records::of_frame(&gateway, lane, again.into()));
            let Ok(Entry::Frame { frame: same, .. }) = again else {
                panic!("{again:?}");
            };
            assert_eq!(same, frame);
        }
        Entry::Registry {
            action_id,
            actor,
            action,
            happened_unrecorded,
        } => {
            let again = match happened_unrecorded {
                Some(at) => records::of_unrecorded_action(&action_id, &actor, &action, at),
                None => records::of_action(&action_id, &actor, &action),
            };
            assert_eq!(records::decode(&again), Ok(outline));
        }
        Entry::Presence { gateway, online } => {
            let again = records::of_presence(&gateway, online);
            assert_eq!(records::decode(&again), Ok(outline));
        }
        Entry::Unrecorded(unrecorded) => {
            let again = records::of_unrecorded(&unrecorded);
            assert_eq!(records::decode(&again), Ok(outline));
        }
        Entry::RuleBook { hash } => {
            let again = records::of_rule_book(hash);
            assert_eq!(records::decode(&again), Ok(outline));
        }
        Entry::Rejected { .. } | Entry::Poisoned { .. } => assert_eq!(entry, outline),
    }
}

/// An engine under whatever the decoders let through: it does not panic (I9), a
/// second run says the same (I1), a snapshot is what it is of, and alerts count up.
pub(crate) fn engine(bytes: &[u8]) {
    let (first, second) = (play(bytes), play(bytes));
    assert_eq!(first, second);
}

fn play(bytes: &[u8]) -> Vec<u8> {
    let mut input = Input(bytes);
    let mut engine = Engine::new(transfer());
    let (mut out, mut at, mut ordinal) = (Effects::default(), 1_000_000_i64, 0);
    let mut sequences = [0_u64; 3];
    for step in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let how = input.byte();
        // Up to some 7 minutes, mostly seconds.
        let wait = i64::from(input.byte());
        at = at.saturating_add(wait * if how & 1 == 0 { 20_000 } else { 1_600_000 });
        let Some(entry) = entry(how, input.piece(), &mut sequences, at) else {
            continue;
        };
        let record = Record {
            position: Position(u64::try_from(step).unwrap() + 1),
            at: EngineTime(at),
            received_at: ServerTime(at),
            transfer: transfer(),
            entry,
        };
        out.clear();
        engine.handle(&record, &mut out);
        for alert in &out.alerts {
            ordinal += 1;
            assert_eq!(alert.ordinal, ordinal);
        }
    }
    let snapshot = engine.snapshot();
    let restored = Engine::restore(&snapshot).unwrap();
    assert_eq!(restored.snapshot(), snapshot);
    let shown = state::transfer_to(&engine.state()).encode_to_vec();
    assert_eq!(state::transfer_to(&restored.state()).encode_to_vec(), shown);
    [snapshot, shown].concat()
}

/// What happens next, from a byte that says how and a piece that says what.
fn entry(how: u8, piece: &[u8], sequences: &mut [u64; 3], at: i64) -> Option<Entry> {
    let gateway = gateway((how >> 1) & 1);
    let lane = if how & 4 == 0 {
        Lane::Live
    } else {
        Lane::History
    };
    let frame = |frame: Frame| Entry::Frame {
        gateway: gateway.clone(),
        lane,
        digest: crc32fast::hash(piece),
        frame: Box::new(frame),
    };
    match (how >> 3) & 3 {
        0 => frames::decode(piece).ok().map(frame),
        // A frame that goes on where the last one of its stream was.
        1 | 2 => {
            let mut next = frames::decode(piece).ok()?;
            let number = match next.header.stream {
                Stream::Events => 0,
                Stream::Numerics => 1,
                Stream::Waveforms => 2,
            };
            sequences[number] += 1 + u64::from(how >> 7);
            let header = &mut next.header;
            (header.epoch, header.sequence, header.leg_first) = (Epoch(1), sequences[number], 1);
            if how & 32 == 0 {
                header.captured_at = GatewayTime(at);
                header.monotonic = Span(at);
            }
            if let Body::Shed(shed) = &mut next.body {
                shed.last = header.sequence;
                shed.first = shed.first.min(shed.last);
            }
            Some(frame(next))
        }
        _ => records::decode(&Bytes::copy_from_slice(piece)).ok(),
    }
}

/// A topic that is read is the topic that was written, and one gateway's at most.
pub(crate) fn topic(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(topic) = Topic::parse(text) else {
        return;
    };
    assert_eq!(topic.to_string(), text);
    let (mine, other) = (gateway(1), gateway(2));
    for gateway in [&mine, &other] {
        assert!(!(topic.is_published_by(gateway) && topic.is_meant_for(gateway)));
    }
    assert!(!(topic.is_published_by(&mine) && topic.is_published_by(&other)));
    assert!(!(topic.is_meant_for(&mine) && topic.is_meant_for(&other)));
}

/// What a gateway hears: receipts and commands, whatever is in them.
pub(crate) fn receipt(bytes: &[u8]) {
    let mut input = Input(bytes);
    let config = Config::new(gateway(1));
    let mut core = Core::new(&config, true, GatewayTime(0), BTreeMap::new());
    let mut out = Vec::new();
    let (mut monotonic, wall) = (0_i64, GatewayTime(1_000_000));
    let mut tell = |input, out: &mut Vec<Output>| {
        monotonic += 1_000;
        let monotonic = Span(monotonic);
        core.handle(Now { monotonic, wall }, input, out);
    };
    tell(Told::Connected(Lane::Live), &mut out);
    tell(Told::Connected(Lane::History), &mut out);
    tell(Told::Transfer(Some(transfer())), &mut out);
    for _ in 0..16 {
        if input.is_empty() {
            return;
        }
        let kind = ["receipt", "command", "status"][usize::from(input.byte() % 3)];
        out.clear();
        let topic = format!("enroute/v1/gw/gw-1/{kind}");
        let payload = Bytes::copy_from_slice(input.piece());
        tell(Told::Message { topic, payload }, &mut out);
        for output in &out {
            match output {
                Output::Hear(word) => {
                    assert_eq!(kind, "receipt");
                    // A number begins at 1: nothing else is ever called durable.
                    assert!(word.durable().all(|(_, set)| !set.contains(0)));
                }
                Output::UseTransfer { .. } => assert_eq!(kind, "command"),
                // Nothing that a server says makes a gateway publish something new.
                Output::Publish { frames, .. } => assert_eq!(*frames, 0),
                Output::Pick(_) | Output::StateClocks(_) => {}
            }
        }
    }
}
