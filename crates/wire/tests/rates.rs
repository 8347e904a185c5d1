//! Rates and gains of waveforms, in the two forms that the contract has.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use enroute_wire::frame::{decode, encode};
use enroute_wire::{Message, v1};

fn one(waveform: &v1::Waveform) -> Vec<u8> {
    let header = v1::Header {
        epoch: 7,
        stream: v1::Stream::Waveforms.into(),
        sequence: 1,
        leg_first: 1,
        ..Default::default()
    };
    let waveform = vec![waveform.clone()];
    let frame = v1::Frame {
        header: Some(header),
        body: Some(v1::frame::Body::Waveforms(v1::Waveforms { waveform })),
    };
    frame.encode_to_vec()
}

/// What gateways wrote before whole numbers had fields of their own is read as ever.
#[test]
fn both_forms_are_read_and_whole_numbers_written_short() {
    for (rate_hz, gain, whole_rate_hz, whole_gain) in [
        (360.0, 200.0, 360, 200),
        (62.5, -200.0, 0, -200),
        (1.0, 0.1, 1, 0),
        (250.0, 4e9, 250, 0),
    ] {
        let long = v1::Waveform {
            code: 131_330,
            rate_hz,
            gain,
            delta: vec![1, 2, 3],
            ..Default::default()
        };
        let short = v1::Waveform {
            rate_hz: if whole_rate_hz == 0 { rate_hz } else { 0.0 },
            gain: if whole_gain == 0 { gain } else { 0.0 },
            whole_rate_hz,
            whole_gain,
            ..long.clone()
        };
        let frame = decode(&one(&long)).unwrap();
        assert_eq!(decode(&one(&short)), Ok(frame.clone()));
        assert_eq!(encode(&frame), one(&short));
    }
}
