//! What is read straight is what the general decoder reads.

use super::*;
use crate::frame::decode_any;
use enroute_model::catalogue::catalogue;
use proptest::collection::vec;
use proptest::prelude::*;

fn columns() -> impl Strategy<Value = v1::Numerics> {
    let vitals = catalogue().vitals();
    let codes = vitals.map(|vital| vital.code.0).collect::<Vec<_>>();
    let code = prop_oneof![20 => prop::sample::select(codes), 1 => 0..200_000_u32];
    let row = (
        code,
        any::<i32>(),
        0..10_u32,
        prop_oneof![9 => Just(0), 1 => 0..25],
    );
    let intervals = vec(prop_oneof![Just(0), 0..100_000_u32], 0..14);
    (vec(row, 0..14), intervals).prop_map(|(rows, intervals)| v1::Numerics {
        code: rows.iter().map(|row| row.0).collect(),
        value: rows.iter().map(|row| row.1.into()).collect(),
        decimals: rows.iter().map(|row| row.2).collect(),
        state: rows.iter().map(|row| row.3).collect(),
        interval_ms: intervals,
        described: Vec::new(),
    })
}

fn waveforms() -> impl Strategy<Value = v1::Waveforms> {
    let channels = catalogue().waveforms();
    let codes = channels.map(|channel| channel.code.0).collect::<Vec<_>>();
    let code = prop_oneof![4 => prop::sample::select(codes), 1 => 0..3_u32];
    let words = prop_oneof![3 => Just(""), 1 => Just("mV"), 1 => Just("ECG \u{b5}V")];
    let rate = prop_oneof![4 => Just(250.0), 1 => any::<f64>()];
    let step = prop_oneof![8 => -70..70_i32, 1 => any::<i32>()];
    let missing = prop_oneof![3 => Just(vec![]), 1 => Just(vec![1, 2]), 1 => vec(0..9_u32, 0..5)];
    let whole = prop_oneof![2 => Just((0, 0)), 2 => Just((360, 200)), 1 => any::<(u32, i32)>()];
    let numbers = (any::<i32>(), any::<u64>(), any::<i32>(), whole);
    let runs = (vec(step, 0..40), missing);
    let one = (
        code,
        words.clone(),
        words,
        rate.clone(),
        rate,
        numbers,
        runs,
    );
    let one = one.prop_map(
        |(code, label, unit, rate_hz, gain, numbers, (delta, missing))| v1::Waveform {
            code,
            label: label.to_owned(),
            unit: unit.to_owned(),
            rate_hz,
            gain,
            baseline: numbers.0,
            first_sample: numbers.1,
            start_offset_us: numbers.2,
            delta,
            missing,
            whole_rate_hz: numbers.3.0,
            whole_gain: numbers.3.1,
        },
    );
    vec(one, 0..4).prop_map(|waveform| v1::Waveforms { waveform })
}

fn bodies() -> impl Strategy<Value = v1::frame::Body> {
    prop_oneof![
        columns().prop_map(v1::frame::Body::Numerics),
        waveforms().prop_map(v1::frame::Body::Waveforms),
    ]
}

fn frame(body: v1::frame::Body, sequence: u64, offset: Option<i64>) -> Vec<u8> {
    let stream = if matches!(body, v1::frame::Body::Waveforms(_)) {
        v1::Stream::Waveforms
    } else {
        v1::Stream::Numerics
    };
    let header = v1::Header {
        epoch: u64::MAX / 3,
        stream: stream.into(),
        sequence,
        leg_first: 1,
        captured_at_us: 1_795_305_600_000_000,
        observed_offset_us: offset,
        boot: u32::try_from(sequence).unwrap(),
        monotonic_us: sequence << 40,
        clocks: offset.map(|us| v1::ClockOffsets {
            gateway_us: Some(us),
            ..v1::ClockOffsets::default()
        }),
        exercise: sequence == 2,
    };
    let (header, body) = (Some(header), Some(body));
    v1::Frame { header, body }.encode_to_vec()
}

fn same_as_the_general_way(bytes: &[u8]) -> bool {
    decode(bytes).is_none_or(|read| Ok(read) == decode_any(bytes))
}

fn same_record(bytes: &[u8]) -> bool {
    let Some((gateway, lane, frame)) = received(bytes) else {
        return true;
    };
    let entry = v1::Record::decode(bytes).map(|record| record.entry);
    let wanted = v1::ReceivedFrame {
        gateway: gateway.to_owned(),
        lane: lane.into(),
        frame: frame.to_vec().into(),
    };
    entry == Ok(Some(v1::record::Entry::Frame(wanted)))
}

#[test]
fn an_ordinary_frame_is_read_this_way() {
    let codes = ["hr", "spo2", "temp1"].map(|id| catalogue().vital_by_id(id).unwrap());
    let numerics = v1::Numerics {
        code: codes.iter().map(|vital| vital.code.0).collect(),
        value: vec![82, -97, 368],
        decimals: vec![0, 0, 1],
        ..v1::Numerics::default()
    };
    let waveform = v1::Waveform {
        code: catalogue().waveform_by_id("ecg_ii").unwrap().code.0,
        unit: "mV".to_owned(),
        rate_hz: 250.0,
        gain: 200.0,
        baseline: -5,
        delta: vec![1_000, -3, 0, 70],
        missing: vec![1, 2],
        ..v1::Waveform::default()
    };
    let waveforms = v1::Waveforms {
        waveform: vec![waveform],
    };
    for body in [
        v1::frame::Body::Numerics(numerics),
        v1::frame::Body::Waveforms(waveforms),
    ] {
        let bytes = frame(body, 7, Some(-3));
        assert_eq!(decode(&bytes), Some(decode_any(&bytes).unwrap()));
    }
}

#[test]
fn a_record_of_a_frame_is_read_this_way() {
    let record = v1::Record {
        entry: Some(v1::record::Entry::Frame(v1::ReceivedFrame {
            gateway: "amb-1".to_owned(),
            lane: v1::Lane::History.into(),
            frame: vec![1, 2, 3].into(),
        })),
    };
    let bytes = record.encode_to_vec();
    let read = Some(("amb-1", v1::Lane::History, &[1, 2, 3][..]));
    assert_eq!(received(&bytes), read);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_read_is_what_the_general_way_reads(
        body in bodies(),
        sequence in 0..3_u64,
        offset in any::<Option<i64>>(),
    ) {
        prop_assert!(same_as_the_general_way(&frame(body, sequence, offset)));
    }

    #[test]
    fn also_of_bytes_that_were_changed_cut_or_doubled(
        body in bodies(),
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        doubled in any::<bool>(),
    ) {
        let mut bytes = frame(body, 1, None);
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let cut = cut.index(bytes.len() + 1);
        prop_assert!(same_as_the_general_way(&bytes[..cut]));
        if doubled {
            bytes.extend_from_within(cut..);
        }
        prop_assert!(same_as_the_general_way(&bytes));
    }

    #[test]
    fn also_of_records_that_were_changed_or_cut(
        frame in vec(any::<u8>(), 0..200),
        lane in 0..4_i32,
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let gateway = "amb-1".to_owned();
        let entry = v1::ReceivedFrame { gateway, lane, frame: frame.into() };
        let entry = Some(v1::record::Entry::Frame(entry));
        let mut bytes = v1::Record { entry }.encode_to_vec();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        prop_assert!(same_record(&bytes));
        prop_assert!(same_record(&bytes[..cut.index(bytes.len() + 1)]));
    }
}
