//! One publish: taken whole or refused whole. Pure.

use bytes::Bytes;
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_wire::limits::{FRAME_BYTES_MAX, FRAMES_MAX, PUBLISH_BYTES_MAX};
use enroute_wire::topics::Topic;
use enroute_wire::{Message, frame, record, v1};

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
    decode(topic, payload).map(drop)
}

/// Reads a publish and checks every limit.
pub(crate) fn decode(topic: &str, payload: &Bytes) -> Result<Input, Refused> {
    let topic = Topic::parse(topic).map_err(|error| Refused::new("topic", error.to_string()))?;
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
        Topic::Receipt(_) | Topic::Command(_) => {
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
    if batch.frame.is_empty() {
        return Err(Refused::new("missing_part", "no frame"));
    }
    if batch.frame.len() > FRAMES_MAX {
        let detail = format!("{} frames, at most {FRAMES_MAX}", batch.frame.len());
        return Err(Refused::new("over_limit", detail));
    }
    let mut frames = Vec::with_capacity(batch.frame.len());
    for (index, bytes) in batch.frame.into_iter().enumerate() {
        if bytes.len() > FRAME_BYTES_MAX {
            let detail = format!(
                "frame {index} of {} bytes, at most {FRAME_BYTES_MAX}",
                bytes.len()
            );
            return Err(Refused::new("over_limit", detail));
        }
        let frame = frame::decode(&bytes)
            .map_err(|refusal| Refused::new(refusal.word(), format!("frame {index}: {refusal}")))?;
        frames.push(Accepted {
            stream: frame.header.stream,
            payload: record::of_frame(&gateway, lane, bytes),
        });
    }
    Ok(Input::Frames {
        gateway,
        transfer,
        lane,
        sent_at_us: batch.sent_at_us,
        frames,
    })
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
