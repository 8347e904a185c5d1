//! Made-up frames as a server gives them.

#![allow(dead_code, reason = "each test uses a part")]

use enroute_export::{Export, Format, Words, Written};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Code, CrewEvent, Frame, Header, Metric, Numeric, Shed, Waveform};
use enroute_model::ids::{Epoch, Stream, TransferId};
use enroute_model::reading::{Decimal, NoValue, Reading};
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use enroute_wfdb::{Frame as Row, Reader};
use enroute_wire::v1;
use std::path::Path;

/// 2023-11-14 22:13:20 UTC.
pub(crate) const START: i64 = 1_700_000_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000;

pub(crate) fn wave(id: &str, rate_hz: f64, first: u64, samples: Vec<Option<i32>>) -> Waveform {
    let known = catalogue().waveform_by_id(id).map(|c| c.code);
    Waveform {
        metric: Metric {
            code: known.unwrap_or(Code(0)),
            label: if known.is_some() {
                String::new()
            } else {
                id.to_owned()
            },
        },
        unit: String::new(),
        rate_hz,
        gain: 200.0,
        baseline: 0,
        first_sample: first,
        start_offset: Span::ZERO,
        samples,
    }
}

pub(crate) fn value(id: &str, mantissa: i64, decimals: u8) -> Numeric {
    let vital = catalogue().vital_by_id(id).unwrap();
    Numeric {
        metric: Metric {
            code: vital.code,
            label: String::new(),
        },
        unit: String::new(),
        reading: Reading::measured(Decimal::new(mantissa, decimals).unwrap()),
        interval: Span::from_secs(1),
    }
}

pub(crate) fn no_value(id: &str) -> Numeric {
    let reading = Reading::None(NoValue::SensorOff);
    Numeric {
        reading,
        ..value(id, 0, 0)
    }
}

pub(crate) fn stream_of(body: &Body) -> Stream {
    enroute_wire::frame::stream_of(body).unwrap_or(Stream::Waveforms)
}

/// A frame with this number, captured so many microseconds after the start; the
/// monitor's clock shows `offset` more.
pub(crate) fn frame(sequence: u64, at: i64, offset: i64, body: Body) -> Frame {
    Frame {
        header: Header {
            epoch: Epoch(7),
            stream: stream_of(&body),
            sequence,
            leg_first: 1,
            captured_at: GatewayTime(START + at),
            observed_at: Some(DeviceTime(START + at + offset)),
            boot: 1,
            monotonic: Span(at),
            clocks: None,
            exercise: true,
        },
        body,
    }
}

pub(crate) fn note(text: &str) -> Body {
    Body::Crew(CrewEvent::Note(text.to_owned()))
}

pub(crate) fn shed(first: u64, last: u64) -> Body {
    Body::Shed(Shed {
        first,
        last,
        first_captured_at: GatewayTime(START),
        cause: Some(enroute_model::frame::GapCause::SpoolFull),
    })
}

/// As the server gives it, received half a second behind its capture.
pub(crate) fn received(position: u64, frame: &Frame) -> v1::Samples {
    v1::Samples {
        transfer: "tx-1".to_owned(),
        gateway: "gw-1".to_owned(),
        lane: v1::Lane::Live.into(),
        late: false,
        received_at_us: frame.header.captured_at.0 + SECOND / 2,
        position,
        frame: enroute_wire::frame::encode(frame).into(),
    }
}

pub(crate) fn words() -> Words {
    Words {
        alert: |alert| format!("code {}", alert.code),
        crew_event: |event| format!("{:?}", event.event.is_some()),
    }
}

/// Exports frames in the order given.
pub(crate) fn export(out: &Path, format: Format, frames: &[Frame]) -> Written {
    let transfer = TransferId::new("tx-1").unwrap();
    let mut export = Export::begin(out, &transfer, format).unwrap();
    for (position, frame) in (1..).zip(frames) {
        export.frame(received(position, frame)).unwrap();
    }
    let state = v1::TransferState::default();
    export.write(&state, words(), |_| {}).unwrap()
}

/// Names and samples.
pub(crate) type Signals = Vec<(String, Vec<Option<i32>>)>;

/// Signals of an exported record, with its start and the signals' names.
pub(crate) fn read(written: &Written, name: &str) -> (i64, Signals) {
    let mut reader = Reader::open(&written.place.dir().join(name)).unwrap();
    let start = reader.header().start_us().unwrap();
    let lines = reader.signals(0).to_vec();
    let mut signals: Vec<_> = lines
        .into_iter()
        .map(|l| (l.description, Vec::new()))
        .collect();
    let mut row = Row::default();
    while reader.read(&mut row).unwrap() {
        for (index, (_, samples)) in signals.iter_mut().enumerate() {
            samples.extend(row.signal(index));
        }
    }
    assert_eq!(reader.mismatches(), []);
    (start - START, signals)
}
