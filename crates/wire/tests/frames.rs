//! Frames survive the wire exactly; what breaks a limit is refused by its word;
//! rubbish never panics.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_model::catalogue::catalogue;
use enroute_model::frame::{
    Body, ClockOffsets, Code, CrewEvent, DeviceAlarm, Frame, GeoPoint, Header, LinkReport, Metric,
    Numeric, Offset, Priority, Shed, StreamReport, Waveform,
};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::reading::{Decimal, NoValue, Reading, Validity};
use enroute_model::registry::{AgeBand, Population};
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use enroute_wire::frame::{Refusal, decode, decode_header, encode, stream_of};
use enroute_wire::{Message, limits, v1};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn header(stream: Stream) -> Header {
    Header {
        epoch: Epoch(0xfeed_face_cafe_f00d),
        stream,
        sequence: 86_400,
        leg_first: 1,
        captured_at: GatewayTime(1_795_305_600_000_000),
        observed_at: Some(DeviceTime(1_795_305_598_000_000)),
        boot: 3,
        monotonic: Span::from_secs(86_400),
        clocks: None,
        exercise: true,
    }
}

fn numeric(id: &str, mantissa: i64) -> Numeric {
    let vital = catalogue().vital_by_id(id).unwrap();
    Numeric {
        metric: Metric {
            code: vital.code,
            label: String::new(),
        },
        unit: String::new(),
        reading: Reading::measured(Decimal::new(mantissa, vital.decimals).unwrap()),
        interval: vital.interval,
    }
}

fn refused(frame: &v1::Frame) -> &'static str {
    decode(&frame.encode_to_vec()).unwrap_err().word()
}

fn wire(frame: &Frame) -> v1::Frame {
    v1::Frame::decode(encode(frame).as_slice()).unwrap()
}

#[test]
fn twelve_numerics_fit_in_152_bytes_on_the_wire() {
    let values = [
        ("hr", 128),
        ("pr", 128),
        ("spo2", 94),
        ("pi", 132),
        ("rr_co2", 22),
        ("abp_sys", 118),
        ("abp_dia", 64),
        ("abp_mean", 82),
        ("etco2", 38),
        ("fico2", 1),
        ("temp1", 372),
        ("cvp_mean", 8),
    ];
    let body = Body::Numerics(values.map(|(id, value)| numeric(id, value)).to_vec());
    let frame = encode(&Frame {
        header: header(Stream::Numerics),
        body,
    });
    let batch = v1::Batch {
        frame: vec![frame.into()],
        sent_at_us: 1_795_305_600_000_000,
        ..v1::Batch::default()
    };
    assert!(batch.encoded_len() <= 152, "{} bytes", batch.encoded_len());
}

#[test]
fn a_frame_without_its_parts_is_refused() {
    assert_eq!(refused(&v1::Frame::default()), "missing_part");
    let good = wire(&Frame {
        header: header(Stream::Numerics),
        body: Body::Numerics(vec![]),
    });
    let with = |change: &dyn Fn(&mut v1::Header)| {
        let mut frame = good.clone();
        change(frame.header.as_mut().unwrap());
        refused(&frame)
    };
    assert_eq!(with(&|h| h.sequence = 0), "invalid_value");
    assert_eq!(with(&|h| h.leg_first = 0), "invalid_value");
    assert_eq!(with(&|h| h.leg_first = h.sequence + 1), "invalid_value");
    assert_eq!(with(&|h| h.stream = 0), "missing_part");
    assert_eq!(
        with(&|h| h.stream = v1::Stream::Events.into()),
        "invalid_value"
    );
    assert_eq!(with(&|h| h.monotonic_us = u64::MAX), "invalid_value");
    assert_eq!(decode(&[0xff; 40]).unwrap_err().word(), "malformed");
    assert_eq!(
        decode(&vec![0; limits::FRAME_BYTES_MAX + 1])
            .unwrap_err()
            .word(),
        "over_limit"
    );
}

#[test]
fn numerics_beyond_their_limits_are_refused() {
    let frame = |numerics: v1::Numerics| {
        let mut frame = wire(&Frame {
            header: header(Stream::Numerics),
            body: Body::Numerics(vec![]),
        });
        frame.body = Some(v1::frame::Body::Numerics(numerics));
        refused(&frame)
    };
    let one = v1::Numerics {
        code: vec![147_842],
        value: vec![80],
        ..Default::default()
    };
    let many = limits::NUMERICS_MAX + 1;
    assert_eq!(
        frame(v1::Numerics {
            code: vec![1; many],
            value: vec![1; many],
            ..Default::default()
        }),
        "over_limit"
    );
    assert_eq!(
        frame(v1::Numerics {
            value: vec![],
            ..one.clone()
        }),
        "invalid_value"
    );
    assert_eq!(
        frame(v1::Numerics {
            state: vec![0, 0],
            ..one.clone()
        }),
        "invalid_value"
    );
    assert_eq!(
        frame(v1::Numerics {
            decimals: vec![10],
            ..one.clone()
        }),
        "invalid_value"
    );
    assert_eq!(
        frame(v1::Numerics {
            value: vec![i64::MIN],
            ..one.clone()
        }),
        "invalid_value"
    );
    assert_eq!(
        frame(v1::Numerics {
            interval_ms: vec![u32::MAX],
            ..one.clone()
        }),
        "invalid_value"
    );
    assert_eq!(
        frame(v1::Numerics {
            code: vec![0],
            ..one
        }),
        "missing_part"
    );
}

#[test]
fn waveforms_beyond_their_limits_are_refused() {
    let good = v1::Waveform {
        code: 131_330,
        rate_hz: 250.0,
        gain: 200.0,
        delta: vec![1, 2, 3],
        ..Default::default()
    };
    let refuse = |waveform: v1::Waveform| {
        let mut frame = wire(&Frame {
            header: header(Stream::Waveforms),
            body: Body::Waveforms(vec![]),
        });
        frame.body = Some(v1::frame::Body::Waveforms(v1::Waveforms {
            waveform: vec![waveform],
        }));
        refused(&frame)
    };
    for rate_hz in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        assert_eq!(
            refuse(v1::Waveform {
                rate_hz,
                ..good.clone()
            }),
            "invalid_value"
        );
    }
    for gain in [0.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            refuse(v1::Waveform {
                gain,
                ..good.clone()
            }),
            "invalid_value"
        );
    }
    let whole_rate_hz = 100_001;
    let fast = v1::Waveform {
        whole_rate_hz,
        ..good.clone()
    };
    assert_eq!(refuse(fast), "invalid_value");
    for missing in [
        vec![0],
        vec![0, 4],
        vec![3, 1],
        vec![1, 0],
        vec![1, 1, 0, 1],
        vec![0, 1, 1, 1],
        vec![u32::MAX, u32::MAX],
    ] {
        assert_eq!(
            refuse(v1::Waveform {
                missing,
                ..good.clone()
            }),
            "invalid_value"
        );
    }
    assert_eq!(
        refuse(v1::Waveform {
            delta: vec![0; limits::SAMPLES_MAX + 1],
            ..good
        }),
        "over_limit"
    );
}

#[test]
fn events_beyond_their_limits_are_refused() {
    let refuse = |body: Body| {
        let header = header(stream_of(&body).unwrap_or(Stream::Events));
        decode(&encode(&Frame { header, body })).unwrap_err().word()
    };
    let long = "é".repeat(limits::TEXT_CHARS_MAX + 1);
    assert_eq!(refuse(Body::Crew(CrewEvent::Note(long))), "over_limit");
    assert_eq!(
        refuse(Body::Crew(CrewEvent::Note("bell \u{7}".into()))),
        "invalid_value"
    );
    let nowhere = GeoPoint {
        latitude_e7: 900_000_001,
        longitude_e7: 0,
        altitude_m: None,
        speed_cm_s: None,
        course_cdeg: None,
    };
    assert_eq!(refuse(Body::Position(nowhere)), "invalid_value");
    let shed = |first, last| {
        Body::Shed(Shed {
            first,
            last,
            first_captured_at: GatewayTime(0),
            cause: None,
        })
    };
    assert_eq!(refuse(shed(5, 6)), "invalid_value");
    assert_eq!(refuse(shed(0, 86_400)), "invalid_value");
}

#[test]
fn what_a_newer_sender_adds_is_taken_and_not_understood() {
    let mut frame = wire(&Frame {
        header: header(Stream::Numerics),
        body: Body::Numerics(vec![numeric("hr", 80)]),
    });
    let Some(v1::frame::Body::Numerics(numerics)) = &mut frame.body else {
        unreachable!()
    };
    numerics.state = vec![15];
    let Body::Numerics(read) = decode(&frame.encode_to_vec()).unwrap().body else {
        unreachable!()
    };
    assert!(matches!(
        read[0].reading,
        Reading::Value {
            validity: Validity::Questionable,
            ..
        }
    ));

    let Some(v1::frame::Body::Numerics(numerics)) = &mut frame.body else {
        unreachable!()
    };
    numerics.state = vec![99];
    let Body::Numerics(read) = decode(&frame.encode_to_vec()).unwrap().body else {
        unreachable!()
    };
    assert_eq!(read[0].reading, Reading::None(NoValue::NotAvailable));

    // Field 60, length-delimited: a body of the future.
    frame.body = None;
    let mut bytes = frame.encode_to_vec();
    bytes.extend([0xe2, 0x03, 0x02, 0x08, 0x01]);
    assert_eq!(decode(&bytes).unwrap().body, Body::Unknown);

    frame.header.as_mut().unwrap().stream = v1::Stream::Events.into();
    frame.body = Some(v1::frame::Body::CrewEvent(v1::CrewEvent { event: None }));
    assert_eq!(decode(&frame.encode_to_vec()).unwrap().body, Body::Unknown);
}

#[test]
fn a_batch_of_bytes_is_a_batch_of_frames() {
    let frame = encode(&Frame {
        header: header(Stream::Numerics),
        body: Body::Numerics(vec![numeric("hr", 80)]),
    });
    let batch = v1::Batch {
        frame: vec![frame.clone().into()],
        sent_at_us: 1,
        ..v1::Batch::default()
    }
    .encode_to_vec();
    assert_eq!(v1::Batch::decode(batch.as_slice()).unwrap().frame[0], frame);
}

fn decimals() -> impl Strategy<Value = Decimal> {
    (-(1i64 << 53)..=1 << 53, 0u8..=9).prop_map(|(m, d)| Decimal::new(m, d).unwrap())
}

fn readings() -> impl Strategy<Value = Reading> {
    use {NoValue as N, Validity as V};
    let validity =
        prop::sample::select(vec![V::Measured, V::Questionable, V::Calibrating, V::Test]);
    let none = vec![
        N::NotAvailable,
        N::SensorOff,
        N::Invalid,
        N::Overflow,
        N::Underflow,
        N::Missing,
    ];
    prop_oneof![
        4 => (decimals(), validity).prop_map(|(value, validity)| Reading::Value { value, validity }),
        1 => prop::sample::select(none).prop_map(Reading::None),
    ]
}

fn metrics() -> impl Strategy<Value = (Metric, String)> {
    let known = prop::sample::select(catalogue().vitals().map(|v| v.code).collect::<Vec<_>>());
    prop_oneof![
        known.prop_map(|code| (
            Metric {
                code,
                label: String::new()
            },
            String::new()
        )),
        (
            prop_oneof![Just(0u32), 1u32..1_000],
            "[A-Za-zé]{1,20}",
            "[a-z/]{0,8}"
        )
            .prop_map(|(code, label, unit)| (
                Metric {
                    code: Code(code),
                    label
                },
                unit
            )),
    ]
}

fn numerics() -> impl Strategy<Value = Numeric> {
    (metrics(), readings(), 1i64..=86_400_000).prop_map(|((metric, unit), reading, ms)| Numeric {
        metric,
        unit,
        reading,
        interval: Span::from_millis(ms),
    })
}

fn waveforms() -> impl Strategy<Value = Waveform> {
    let samples = vec(option::weighted(0.8, any::<i32>()), 0..200);
    (
        samples,
        0.1f64..1e5,
        prop_oneof![0.001f64..1e4, -1e4f64..-0.001],
        any::<i32>(),
        any::<u64>(),
        any::<i32>(),
    )
        .prop_map(
            |(samples, rate_hz, gain, baseline, first_sample, offset)| Waveform {
                metric: Metric {
                    code: Code(0),
                    label: "MCL1".into(),
                },
                unit: "mV".into(),
                rate_hz,
                gain,
                baseline,
                first_sample,
                start_offset: Span(i64::from(offset)),
                samples,
            },
        )
}

fn crew_events() -> impl Strategy<Value = CrewEvent> {
    let band = prop::sample::select(vec![
        AgeBand::Neonate,
        AgeBand::Infant,
        AgeBand::Child,
        AgeBand::Adolescent,
        AgeBand::Adult,
    ]);
    prop_oneof![
        (1u32.., decimals()).prop_map(|(code, value)| CrewEvent::Observation {
            code: Code(code),
            value
        }),
        (option::of(band), option::of(1u32..)).prop_map(|(age_band, weight_g)| {
            CrewEvent::Population(Population { age_band, weight_g })
        }),
        ("[a-z_]{1,20}", "[^\\p{C}]{0,40}")
            .prop_map(|(kind, text)| CrewEvent::Intervention { kind, text }),
        "[^\\p{C}]{0,200}".prop_map(CrewEvent::Note),
        "[A-Z0-9]{6}".prop_map(|short_code| CrewEvent::Join { short_code }),
        Just(CrewEvent::HandOver),
        Just(CrewEvent::End),
    ]
}

fn bodies() -> impl Strategy<Value = Body> {
    let alarm = (
        any::<u32>(),
        "[^\\p{C}]{0,30}",
        0u8..4,
        any::<bool>(),
        any::<u32>(),
    )
        .prop_map(|(code, label, p, active, subject)| {
            let priority = [
                None,
                Some(Priority::Low),
                Some(Priority::Medium),
                Some(Priority::High),
            ][usize::from(p)];
            DeviceAlarm {
                code: Code(code),
                label,
                priority,
                active,
                subject: Code(subject),
            }
        });
    let position = (
        -900_000_000..=900_000_000,
        -1_800_000_000..=1_800_000_000,
        any::<Option<i32>>(),
        any::<Option<u32>>(),
        option::of(0u32..=36_000),
    )
        .prop_map(
            |(latitude_e7, longitude_e7, altitude_m, speed_cm_s, course_cdeg)| GeoPoint {
                latitude_e7,
                longitude_e7,
                altitude_m,
                speed_cm_s,
                course_cdeg,
            },
        );
    let stream =
        (any::<[u64; 3]>(), option::of(1u64..)).prop_map(|(numbers, leg_first)| StreamReport {
            epoch: Epoch(numbers[0]),
            stream: Stream::ALL[usize::try_from(numbers[0] % 3).unwrap()],
            produced: numbers[1],
            sent: leg_first.map(|_| numbers[2]),
            leg_first,
        });
    let link = (
        any::<u32>(),
        any::<u64>(),
        vec(stream, 0..4),
        any::<Option<u32>>(),
    )
        .prop_map(
            |(degradation_level, spool_bytes, streams, battery_percent)| LinkReport {
                degradation_level,
                spool_bytes,
                streams,
                battery_percent,
                unconfirmed_bytes: battery_percent.map(u64::from),
                ..LinkReport::default()
            },
        );
    prop_oneof![
        vec(numerics(), 0..30).prop_map(Body::Numerics),
        vec(waveforms(), 0..4).prop_map(Body::Waveforms),
        vec(alarm, 0..5).prop_map(Body::DeviceAlarms),
        position.prop_map(Body::Position),
        crew_events().prop_map(Body::Crew),
        link.prop_map(Body::Link),
    ]
}

proptest! {
    #[test]
    fn a_frame_comes_back_as_it_was(
        body in bodies(), sequence in 1u64.., first in any::<u64>(), at in -(1i64 << 60)..1 << 60,
        observed in option::of(-(1i64 << 60)..1i64 << 60), clock in any::<Option<i32>>(),
    ) {
        let stream = stream_of(&body).unwrap();
        let clocks = clock.map(|us| ClockOffsets {
            monitor: None,
            gateway: Some(Offset { offset: Span(us.into()), uncertainty: Span(us.unsigned_abs().into()) }),
        });
        let header = Header {
            sequence, leg_first: 1 + first % sequence, captured_at: GatewayTime(at),
            observed_at: observed.map(DeviceTime), clocks, ..header(stream)
        };
        let frame = Frame { header, body };
        prop_assert_eq!(decode_header(&encode(&frame)), Ok(frame.header.clone()));
        prop_assert_eq!(decode(&encode(&frame)), Ok(frame));
    }

    #[test]
    fn rubbish_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        let _unused = decode(&bytes);
        let _unused = decode_header(&bytes);
        let _unused = enroute_wire::record::decode(&bytes.into());
    }

    #[test]
    fn a_damaged_frame_never_panics(body in bodies(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&Frame { header: header(stream_of(&body).unwrap()), body });
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let refusal: Result<_, Refusal> = decode(&bytes);
        drop(refusal);
    }
}
