//! Frames made by hand, for who publishes without a gateway.

use enroute_wire::v1::crew_event::Event;
use enroute_wire::v1::frame::Body;
use enroute_wire::v1::{Batch, CrewEvent, Frame, GatewayStatus, Header, Numerics, Stream};
use enroute_wire::{Message, v1};

/// Heart rate, of IEEE 11073-10101.
const HEART_RATE: u32 = 147_842;

/// A batch with these frames, as a gateway publishes it.
#[must_use]
pub fn batch(frames: &[Frame]) -> Vec<u8> {
    let encoded = frames.iter().map(|frame| frame.encode_to_vec().into());
    let batch = Batch {
        frame: encoded.collect(),
        ..Batch::default()
    };
    batch.encode_to_vec()
}

/// One numerics frame: a heart rate.
#[must_use]
pub fn heart_rate(epoch: u64, sequence: u64, rate: i64) -> Frame {
    let numerics = Numerics {
        code: vec![HEART_RATE],
        value: vec![rate],
        decimals: vec![0],
        interval_ms: vec![1_000],
        ..Numerics::default()
    };
    frame(epoch, Stream::Numerics, sequence, Body::Numerics(numerics))
}

/// A note of the crew.
#[must_use]
pub fn note(epoch: u64, sequence: u64, text: &str) -> Frame {
    let event = Some(Event::Note(text.to_owned()));
    let body = Body::CrewEvent(CrewEvent { event });
    frame(epoch, Stream::Events, sequence, body)
}

/// A frame of an exercise, the first of its gateway's start.
#[must_use]
pub fn frame(epoch: u64, stream: Stream, sequence: u64, body: Body) -> Frame {
    let header = Header {
        epoch,
        stream: stream.into(),
        sequence,
        leg_first: 1,
        captured_at_us: 1_800_000_000_000_000,
        boot: 1,
        exercise: true,
        ..Header::default()
    };
    Frame {
        header: Some(header),
        body: Some(body),
    }
}

/// What a gateway says when it comes or goes.
#[must_use]
pub fn status(online: bool) -> Vec<u8> {
    let status = GatewayStatus {
        online,
        // Nothing at all would be the word that the broker forgets a retained one.
        started_at_us: 1,
        ..v1::GatewayStatus::default()
    };
    status.encode_to_vec()
}
