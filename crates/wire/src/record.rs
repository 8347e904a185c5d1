//! Journal payloads: an encoded `enroute.v1.Record` on disk, an
//! [`Entry`] for the engine.

use crate::frame::{self, Refusal, at_most, text};
use crate::limits::{FRAME_BYTES_MAX, LABEL_CHARS_MAX, PUBLISH_BYTES_MAX, TEXT_CHARS_MAX};
use crate::{registry, straight, v1};
use bytes::Bytes;
use enroute_model::frame::Frame;
use enroute_model::ids::{BookHash, GatewayId, Lane};
use enroute_model::record::Entry;
use enroute_model::registry::RegistryAction;
use enroute_model::state::Unrecorded;
use enroute_model::time::ServerTime;
use prost::Message;
use std::ops::Range;

/// The record of a frame as it came.
#[must_use]
pub fn of_frame(gateway: &GatewayId, lane: Lane, frame: Bytes) -> Bytes {
    let lane = lane_to(lane).into();
    encode(v1::record::Entry::Frame(v1::ReceivedFrame {
        gateway: gateway.to_string(),
        lane,
        frame,
    }))
}

/// The record of the broker's word about a gateway.
#[must_use]
pub fn of_presence(gateway: &GatewayId, online: bool) -> Bytes {
    encode(v1::record::Entry::Presence(v1::Presence {
        gateway: gateway.to_string(),
        online,
    }))
}

/// The record of what a person did.
#[must_use]
pub fn of_action(action_id: &str, actor: &str, action: &RegistryAction) -> Bytes {
    encode(v1::record::Entry::Registry(v1::RegistryEntry {
        action_id: action_id.to_owned(),
        actor: actor.to_owned(),
        action: Some(registry::action_to(action)),
        happened_unrecorded_at_us: None,
    }))
}

/// The record of what a person did at `at`, while nothing could be recorded.
#[must_use]
pub fn of_unrecorded_action(
    action_id: &str,
    actor: &str,
    action: &RegistryAction,
    at: ServerTime,
) -> Bytes {
    encode(v1::record::Entry::Registry(v1::RegistryEntry {
        action_id: action_id.to_owned(),
        actor: actor.to_owned(),
        action: Some(registry::action_to(action)),
        happened_unrecorded_at_us: Some(at.0),
    }))
}

/// The record of a time in which nothing could be recorded.
#[must_use]
pub fn of_unrecorded(unrecorded: &Unrecorded) -> Bytes {
    let reason = unrecorded.reason.chars().take(TEXT_CHARS_MAX).collect();
    encode(v1::record::Entry::Unrecorded(v1::Unrecorded {
        since_us: unrecorded.since.0,
        until_us: unrecorded.until.0,
        reason,
    }))
}

/// The record of publishes that were refused; `reason` is the last one's word.
#[must_use]
pub fn of_rejected(gateway: &GatewayId, publishes: u64, reason: &str) -> Bytes {
    encode(v1::record::Entry::Rejected(v1::Rejected {
        gateway: gateway.to_string(),
        publishes,
        reason: reason.to_owned(),
    }))
}

/// The record of a rule book that applies from here on.
#[must_use]
pub fn of_rule_book(hash: BookHash) -> Bytes {
    let hash = hash.0.to_vec();
    encode(v1::record::Entry::RuleBook(v1::RuleBookUse { hash }))
}

fn encode(entry: v1::record::Entry) -> Bytes {
    v1::Record { entry: Some(entry) }.encode_to_vec().into()
}

/// Where in a payload the steps between samples are: of each waveform what
/// `Waveform.delta` has, in order. Nothing of a payload that is no record.
#[must_use]
pub fn steps(payload: &[u8]) -> Vec<Range<usize>> {
    straight::steps(payload)
}

/// Reads a payload.
///
/// # Errors
/// When it is no record, or one that ingest would have refused.
pub fn decode(payload: &Bytes) -> Result<Entry, Refusal> {
    decode_by(payload, |bytes| frame::decode(bytes))
}

/// Reads a payload for an engine: waveforms without their samples.
///
/// # Errors
/// As [`decode`], but what is wrong inside waveforms is not seen.
pub fn decode_outline(payload: &Bytes) -> Result<Entry, Refusal> {
    decode_by(payload, frame::decode_outline)
}

fn decode_by(
    payload: &Bytes,
    frame: impl FnOnce(&Bytes) -> Result<Frame, Refusal>,
) -> Result<Entry, Refusal> {
    at_most(
        "record bytes",
        payload.len(),
        FRAME_BYTES_MAX + PUBLISH_BYTES_MAX,
    )?;
    if let Some((gateway, lane, content)) = straight::received(payload) {
        let content = payload.slice_ref(content);
        return received(gateway, lane, &content, frame);
    }
    let record =
        v1::Record::decode(payload.clone()).map_err(|e| Refusal::Malformed(e.to_string()))?;
    Ok(
        match record
            .entry
            .ok_or(Refusal::Missing("a known record entry"))?
        {
            v1::record::Entry::Frame(entry) => {
                received(&entry.gateway, entry.lane(), &entry.frame, frame)?
            }
            v1::record::Entry::Presence(presence) => Entry::Presence {
                gateway: gateway(&presence.gateway)?,
                online: presence.online,
            },
            v1::record::Entry::Registry(entry) => Entry::Registry {
                action_id: text("action id", entry.action_id, LABEL_CHARS_MAX)?,
                actor: text("actor", entry.actor, LABEL_CHARS_MAX)?,
                action: registry::action_from(entry.action.ok_or(Refusal::Missing("an action"))?)?,
                happened_unrecorded: entry.happened_unrecorded_at_us.map(ServerTime),
            },
            v1::record::Entry::Unrecorded(entry) => Entry::Unrecorded(Unrecorded {
                since: ServerTime(entry.since_us),
                until: ServerTime(entry.until_us),
                reason: text("reason", entry.reason, TEXT_CHARS_MAX)?,
            }),
            v1::record::Entry::Rejected(entry) => Entry::Rejected {
                gateway: gateway(&entry.gateway)?,
                publishes: entry.publishes,
            },
            v1::record::Entry::RuleBook(entry) => Entry::RuleBook {
                hash: book_hash(&entry.hash)?,
            },
        },
    )
}

fn received(
    name: &str,
    lane: v1::Lane,
    content: &Bytes,
    frame: impl FnOnce(&Bytes) -> Result<Frame, Refusal>,
) -> Result<Entry, Refusal> {
    Ok(Entry::Frame {
        gateway: gateway(name)?,
        lane: lane_from(lane)?,
        digest: crc32fast::hash(content),
        frame: Box::new(frame(content)?),
    })
}

/// The frame in a payload that was decoded before, if it holds one.
#[must_use]
pub fn frame_in(payload: &Bytes) -> Option<Bytes> {
    if let Some((_, _, content)) = straight::received(payload) {
        return Some(payload.slice_ref(content));
    }
    match v1::Record::decode(payload.clone()).ok()?.entry? {
        v1::record::Entry::Frame(received) => Some(received.frame),
        v1::record::Entry::Presence(_)
        | v1::record::Entry::Registry(_)
        | v1::record::Entry::Unrecorded(_)
        | v1::record::Entry::Rejected(_)
        | v1::record::Entry::RuleBook(_) => None,
    }
}

fn book_hash(bytes: &[u8]) -> Result<BookHash, Refusal> {
    let bytes = bytes.try_into();
    let bytes = bytes.map_err(|_| Refusal::Invalid("a rule book's hash has 32 bytes"))?;
    Ok(BookHash(bytes))
}

fn gateway(name: &str) -> Result<GatewayId, Refusal> {
    GatewayId::new(name).map_err(|_| Refusal::Invalid("not a gateway id"))
}

fn lane_from(lane: v1::Lane) -> Result<Lane, Refusal> {
    match lane {
        v1::Lane::Live => Ok(Lane::Live),
        v1::Lane::History => Ok(Lane::History),
        v1::Lane::Unspecified => Err(Refusal::Missing("a known lane")),
    }
}

/// The contract's word for a lane.
#[must_use]
pub fn lane_to(lane: Lane) -> v1::Lane {
    match lane {
        Lane::Live => v1::Lane::Live,
        Lane::History => v1::Lane::History,
    }
}
