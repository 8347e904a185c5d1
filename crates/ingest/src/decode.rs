//! One publish: taken whole or refused whole. Pure.

use bytes::Bytes;
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_wire::limits::{FRAME_BYTES_MAX, FRAMES_MAX, PUBLISH_BYTES_MAX};
use enroute_wire::topics::{Topic, TopicError};
use enroute_wire::{Message, batch, frame, record, v1};

/// Why a publish was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word}: {detail}")]
pub struct Refused {
    /// Stable word under which it is counted.
    pub word: &'static str,
    /// For a person.
    pub detail: String,
}

impl Refused {
    pub(crate) fn new(word: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { word, detail }
    }
}

/// One frame, ready for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Its stream.
    pub(crate) stream: Stream,
    /// Encoded `v1::Record` around its bytes.
    pub(crate) payload: Bytes,
}

/// A good publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Frames of a gateway.
    Frames {
        gateway: GatewayId,
        transfer: TransferId,
        lane: Lane,
        sent_at_us: i64,
        frames: Vec<Accepted>,
    },
    /// Its word about itself, or the broker's about it.
    Status {
        gateway: GatewayId,
        online: bool,
        transfer: Option<TransferId>,
    },
    /// A retained status was cleared: says nothing.
    Nothing,
}

/// Checks a publish as ingest does, for tools and fuzzing.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(topic: &str, payload: &Bytes) -> Result<(), Refused> {
    decode(Topic::parse(topic), payload).map(drop)
}

/// Reads a publish and checks every limit.
pub(crate) fn decode(topic: Result<Topic, TopicError>, payload: &Bytes) -> Result<Input, Refused> {
    let topic = topic.map_err(|error| Refused::new("topic", error.to_string()))?;
    if payload.len() > PUBLISH_BYTES_MAX {
        let detail = format!(
            "publish of {} bytes, at most {PUBLISH_BYTES_MAX}",
            payload.len()
        );
        return Err(Refused::new("over_limit", detail));
    }
    match topic {
        Topic::Frames {
            gateway,
            transfer,
            lane,
        } => frames(gateway, transfer, lane, payload),
        Topic::Status(gateway) => status(gateway, payload),
        Topic::Receipt(_) | Topic::Command(_) | Topic::Notes { .. } => {
            Err(Refused::new("topic", "only the server writes there"))
        }
    }
}

fn frames(
    gateway: GatewayId,
    transfer: TransferId,
    lane: Lane,
    payload: &Bytes,
) -> Result<Input, Refused> {
    let batch = v1::Batch::decode(payload.clone())
        .map_err(|error| Refused::new("malformed", error.to_string()))?;
    let sent_at_us = batch.sent_at_us;
    let encoded = unpacked(lane, batch)?;
    if encoded.is_empty() {
        return Err(Refused::new("missing_part", "no frame"));
    }
    if encoded.len() > FRAMES_MAX {
        let detail = format!("{} frames, at most {FRAMES_MAX}", encoded.len());
        return Err(Refused::new("over_limit", detail));
    }
    let mut frames = Vec::with_capacity(encoded.len());
    for (index, bytes) in encoded.into_iter().enumerate() {
        if bytes.len() > FRAME_BYTES_MAX {
            let detail = format!(
                "frame {index} of {} bytes, at most {FRAME_BYTES_MAX}",
                bytes.len()
            );
            return Err(Refused::new("over_limit", detail));
        }
        let frame = frame::decode(&bytes)
            .map_err(|refusal| Refused::new(refusal.word(), format!("frame {index}: {refusal}")))?;
        if !frame::has_one_body(&bytes) {
            let detail = format!("frame {index} has more than one body");
            return Err(Refused::new("invalid_value", detail));
        }
        frames.push(Accepted {
            stream: frame.header.stream,
            payload: record::of_frame(&gateway, lane, bytes),
        });
    }
    Ok(Input::Frames {
        gateway,
        transfer,
        lane,
        sent_at_us,
        frames,
    })
}

/// The frames of a batch, compressed or not.
fn unpacked(lane: Lane, batch: v1::Batch) -> Result<Vec<Bytes>, Refused> {
    if batch.compressed.is_empty() {
        return Ok(batch.frame);
    }
    if lane == Lane::Live {
        let detail = "a compressed batch on the live lane";
        return Err(Refused::new("invalid_value", detail));
    }
    if !batch.frame.is_empty() {
        let detail = "a batch with frames both compressed and not";
        return Err(Refused::new("invalid_value", detail));
    }
    batch::open(&batch.compressed)
        .map_err(|refusal| Refused::new(refusal.word(), refusal.to_string()))
}

fn status(gateway: GatewayId, payload: &Bytes) -> Result<Input, Refused> {
    if payload.is_empty() {
        return Ok(Input::Nothing);
    }
    let status = v1::GatewayStatus::decode(payload.clone())
        .map_err(|error| Refused::new("malformed", error.to_string()))?;
    let transfer = if status.transfer.is_empty() {
        None
    } else {
        let transfer = TransferId::new(&status.transfer);
        Some(transfer.map_err(|error| Refused::new("invalid_value", error.to_string()))?)
    };
    Ok(Input::Status {
        gateway,
        online: status.online,
        transfer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::frame::{Body, CrewEvent, Frame, Header};
    use enroute_model::ids::Epoch;
    use enroute_model::time::{GatewayTime, Span};

    const LIVE: &str = "enroute/v1/gw/gw-1/tx/tx-1/live";
    const HISTORY: &str = "enroute/v1/gw/gw-1/tx/tx-1/history";

    fn note(sequence: u64) -> Bytes {
        let header = Header {
            epoch: Epoch(1),
            stream: Stream::Events,
            sequence,
            leg_first: 1,
            captured_at: GatewayTime(0),
            observed_at: None,
            boot: 1,
            monotonic: Span::ZERO,
            clocks: None,
            exercise: true,
        };
        let body = Body::Crew(CrewEvent::Note("well".to_owned()));
        frame::encode(&Frame { header, body }).into()
    }

    fn compressed(frames: Vec<Bytes>) -> v1::Batch {
        v1::Batch {
            compressed: batch::compress(frames).unwrap(),
            sent_at_us: 5,
            ..v1::Batch::default()
        }
    }

    fn decoded(topic: &str, batch: &v1::Batch) -> Result<Input, &'static str> {
        decode(Topic::parse(topic), &batch.encode_to_vec().into()).map_err(|refused| refused.word)
    }

    #[test]
    fn compressed_or_not_is_the_same_publish() {
        let plain = v1::Batch {
            frame: (1..=9).map(note).collect(),
            sent_at_us: 5,
            ..v1::Batch::default()
        };
        let taken = decoded(HISTORY, &plain).unwrap();
        let same = compressed((1..=9).map(note).collect());
        assert_eq!(decoded(HISTORY, &same), Ok(taken));
        assert_eq!(decoded(LIVE, &same), Err("invalid_value"));
        let both = v1::Batch {
            frame: vec![note(1)],
            ..same
        };
        assert_eq!(decoded(HISTORY, &both), Err("invalid_value"));
    }

    #[test]
    fn a_frame_with_two_bodies_is_refused() {
        let batch = |frame: Vec<u8>| v1::Batch {
            frame: vec![frame.into()],
            ..v1::Batch::default()
        };
        // Empty waveforms in front of the note, which protobuf would take.
        let mut two = note(1).to_vec();
        two.splice(0..0, [0x1a, 0]);
        assert_eq!(decoded(LIVE, &batch(two)), Err("invalid_value"));
        // A field that a later version may add is no body.
        let mut later = note(1).to_vec();
        later.extend([0xa2, 6, 0]);
        assert!(decoded(LIVE, &batch(later)).is_ok());
    }

    #[test]
    fn what_is_inside_is_checked_as_if_it_were_outside() {
        let refused = |frames| decoded(HISTORY, &compressed(frames)).unwrap_err();
        assert_eq!(refused(vec![Bytes::new()]), "missing_part");
        assert_eq!(
            refused(vec![note(1), Bytes::from_static(b"\xff")]),
            "malformed"
        );
        assert_eq!(
            refused(vec![Bytes::from(vec![0; FRAME_BYTES_MAX + 1])]),
            "over_limit"
        );
        assert_eq!(refused(vec![note(1); FRAMES_MAX + 1]), "over_limit");
        assert_eq!(refused(Vec::new()), "missing_part");
    }
}
