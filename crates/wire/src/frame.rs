//! Frames: from the contract to the model with every limit checked, and back.
//!
//! A frame is taken whole or refused whole. [`Refusal::word`] is the stable
//! reason under which refusals are counted.

use crate::events::{
    cause_from, cause_to, crew_event_from, crew_event_to, device_alarm_from, device_alarm_to,
    link_report_from, link_report_to, position_from, position_to,
};
use crate::limits::{DEVICE_ALARMS_MAX, FRAME_BYTES_MAX, WAVEFORMS_MAX};
use crate::numerics::{numerics_from, numerics_to};
use crate::straight;
use crate::v1;
use crate::waveform::{waveform_from, waveform_to};
use bytes::Bytes;
use enroute_model::frame::{Body, ClockOffsets, Frame, Header, Offset, Shed};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use prost::Message;

/// Why a frame was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not protobuf, or cut.
    #[error("not a frame of enroute.v1: {0}")]
    Malformed(String),
    /// A part that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More of something than a limit allows.
    #[error("{what}: {found} is more than {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much came.
        found: usize,
        /// How much may come.
        limit: usize,
    },
    /// A value that cannot be.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Refusal {
    /// The word under which this refusal is counted.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Missing(_) => "missing_part",
            Self::TooMuch { .. } => "over_limit",
            Self::Invalid(_) => "invalid_value",
        }
    }
}

/// At most `limit` of something.
pub(crate) fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), Refusal> {
    if found > limit {
        Err(Refusal::TooMuch { what, found, limit })
    } else {
        Ok(())
    }
}

/// A text of at most `limit` characters without control characters (line breaks are fine).
pub(crate) fn text(what: &'static str, text: String, limit: usize) -> Result<String, Refusal> {
    if text.is_empty() {
        return Ok(text);
    }
    // Bytes bound characters, so that a huge text is not walked.
    at_most(what, text.len(), limit.saturating_mul(4))?;
    at_most(what, text.chars().count(), limit)?;
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Refusal::Invalid("a text has control characters"));
    }
    Ok(text)
}

/// Decodes one frame and checks it against the limits.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Frame, Refusal> {
    at_most("frame bytes", bytes.len(), FRAME_BYTES_MAX)?;
    let frame = match straight::decode(bytes) {
        Some(frame) => frame,
        None => decode_any(bytes)?,
    };
    check_stream(&frame.header, &frame.body)?;
    Ok(frame)
}

/// The general way, which reads all that is legal.
pub(crate) fn decode_any(bytes: &[u8]) -> Result<Frame, Refusal> {
    let frame = v1::Frame::decode(bytes).map_err(|e| Refusal::Malformed(e.to_string()))?;
    let header = header_from(frame.header.ok_or(Refusal::Missing("frame header"))?)?;
    let body = body_from(frame.body)?;
    Ok(Frame { header, body })
}

/// Only the header of a frame that was taken before: the body is skipped, which
/// costs next to nothing, and not checked again.
///
/// # Errors
/// When the bytes are no frame.
pub fn decode_header(bytes: &[u8]) -> Result<Header, Refusal> {
    /// The first field of `Frame`; the others are unknown to it.
    #[derive(Clone, PartialEq, Message)]
    struct HeaderOnly {
        #[prost(message, optional, tag = "1")]
        header: Option<v1::Header>,
    }
    if let Some(header) = straight::header_of(bytes) {
        return header_from(header);
    }
    let frame = HeaderOnly::decode(bytes).map_err(|e| Refusal::Malformed(e.to_string()))?;
    header_from(frame.header.ok_or(Refusal::Missing("frame header"))?)
}

/// A frame that was taken before, its waveforms without their samples, which are
/// most of its bytes: for an engine, which looks at no sample.
///
/// # Errors
/// As [`decode`], but what is wrong inside waveforms is not seen.
pub fn decode_outline(bytes: &Bytes) -> Result<Frame, Refusal> {
    at_most("frame bytes", bytes.len(), FRAME_BYTES_MAX)?;
    if !straight::is_of_waveforms(bytes) {
        return decode(bytes);
    }
    let header = decode_header(bytes)?;
    let body = Body::Waveforms(Vec::new());
    check_stream(&header, &body)?;
    Ok(Frame { header, body })
}

/// Whether a frame that was decoded has no more than one body. Of several, protobuf
/// takes the last; [`decode_outline`] would take waveforms, so such a frame must not
/// get into a journal.
#[must_use]
pub fn has_one_body(mut bytes: &[u8]) -> bool {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut body = None;
    while !bytes.is_empty() {
        let Ok((tag, kind)) = decode_key(&mut bytes) else {
            return false;
        };
        if BODIES.contains(&tag) && body.replace(tag).is_some_and(|before| before != tag) {
            return false;
        }
        if skip_field(kind, tag, &mut bytes, DecodeContext::default()).is_err() {
            return false;
        }
    }
    true
}

/// Tags of the bodies in `Frame`.
const BODIES: std::ops::RangeInclusive<u32> = 2..=8;

/// Encodes a frame.
#[must_use]
pub fn encode(frame: &Frame) -> Vec<u8> {
    let wire = v1::Frame {
        header: Some(header_to(&frame.header)),
        body: body_to(&frame.body),
    };
    wire.encode_to_vec()
}

/// The stream that a body belongs to; a shed record and a body that this version
/// does not know go wherever they say.
#[must_use]
pub fn stream_of(body: &Body) -> Option<Stream> {
    match body {
        Body::Numerics(_) | Body::Position(_) => Some(Stream::Numerics),
        Body::Waveforms(_) => Some(Stream::Waveforms),
        Body::DeviceAlarms(_) | Body::Crew(_) | Body::Link(_) => Some(Stream::Events),
        Body::Shed(_) | Body::Unknown => None,
    }
}

fn check_stream(header: &Header, body: &Body) -> Result<(), Refusal> {
    if stream_of(body).is_some_and(|stream| stream != header.stream) {
        return Err(Refusal::Invalid(
            "the body does not belong to the stream in the header",
        ));
    }
    if let Body::Shed(shed) = body
        && (shed.first < header.leg_first || shed.first > shed.last || shed.last != header.sequence)
    {
        return Err(Refusal::Invalid(
            "a shed record's own sequence must be the last of its range",
        ));
    }
    Ok(())
}

pub(crate) fn header_from(header: v1::Header) -> Result<Header, Refusal> {
    let stream = stream_from(header.stream())?;
    if header.sequence == 0 || header.leg_first == 0 || header.leg_first > header.sequence {
        return Err(Refusal::Invalid(
            "sequence and leg_first count from 1, leg_first first",
        ));
    }
    let observed_at = header
        .observed_offset_us
        .map(|offset| DeviceTime(header.captured_at_us.saturating_add(offset)));
    let monotonic = i64::try_from(header.monotonic_us)
        .map_err(|_| Refusal::Invalid("monotonic_us is beyond 292,000 years"))?;
    Ok(Header {
        epoch: Epoch(header.epoch),
        stream,
        sequence: header.sequence,
        leg_first: header.leg_first,
        captured_at: GatewayTime(header.captured_at_us),
        observed_at,
        boot: header.boot,
        monotonic: Span(monotonic),
        clocks: header.clocks.map(|c| clocks_from(&c)),
        exercise: header.exercise,
    })
}

fn header_to(header: &Header) -> v1::Header {
    v1::Header {
        epoch: header.epoch.0,
        stream: stream_to(header.stream).into(),
        sequence: header.sequence,
        leg_first: header.leg_first,
        captured_at_us: header.captured_at.0,
        observed_offset_us: header
            .observed_at
            .map(|t| t.0.saturating_sub(header.captured_at.0)),
        boot: header.boot,
        monotonic_us: u64::try_from(header.monotonic.0).unwrap_or(0),
        clocks: header.clocks.map(|c| clocks_to(&c)),
        exercise: header.exercise,
    }
}

pub(crate) fn stream_from(stream: v1::Stream) -> Result<Stream, Refusal> {
    match stream {
        v1::Stream::Events => Ok(Stream::Events),
        v1::Stream::Numerics => Ok(Stream::Numerics),
        v1::Stream::Waveforms => Ok(Stream::Waveforms),
        v1::Stream::Unspecified => Err(Refusal::Missing("a known stream")),
    }
}

/// The contract's word for a stream.
#[must_use]
pub fn stream_to(stream: Stream) -> v1::Stream {
    match stream {
        Stream::Events => v1::Stream::Events,
        Stream::Numerics => v1::Stream::Numerics,
        Stream::Waveforms => v1::Stream::Waveforms,
    }
}

fn clocks_from(clocks: &v1::ClockOffsets) -> ClockOffsets {
    let offset = |us: Option<i64>, uncertainty: u64| {
        let uncertainty = Span(i64::try_from(uncertainty).unwrap_or(i64::MAX));
        us.map(|us| Offset {
            offset: Span(us),
            uncertainty,
        })
    };
    ClockOffsets {
        monitor: offset(clocks.monitor_us, clocks.monitor_uncertainty_us),
        gateway: offset(clocks.gateway_us, clocks.gateway_uncertainty_us),
    }
}

pub(crate) fn clocks_to(clocks: &ClockOffsets) -> v1::ClockOffsets {
    let uncertainty =
        |o: Option<Offset>| o.map_or(0, |o| u64::try_from(o.uncertainty.0).unwrap_or(0));
    v1::ClockOffsets {
        monitor_us: clocks.monitor.map(|o| o.offset.0),
        monitor_uncertainty_us: uncertainty(clocks.monitor),
        gateway_us: clocks.gateway.map(|o| o.offset.0),
        gateway_uncertainty_us: uncertainty(clocks.gateway),
    }
}

fn body_from(body: Option<v1::frame::Body>) -> Result<Body, Refusal> {
    use v1::frame::Body as Wire;
    Ok(match body {
        Some(Wire::Numerics(numerics)) => Body::Numerics(numerics_from(numerics)?),
        Some(Wire::Waveforms(waveforms)) => {
            at_most("waveforms", waveforms.waveform.len(), WAVEFORMS_MAX)?;
            let waveforms = waveforms.waveform.into_iter().map(waveform_from);
            Body::Waveforms(waveforms.collect::<Result<_, _>>()?)
        }
        Some(Wire::DeviceAlarms(alarms)) => {
            at_most("device alarms", alarms.alarm.len(), DEVICE_ALARMS_MAX)?;
            let alarms = alarms.alarm.into_iter().map(device_alarm_from);
            Body::DeviceAlarms(alarms.collect::<Result<_, _>>()?)
        }
        Some(Wire::Position(position)) => Body::Position(position_from(&position)?),
        Some(Wire::CrewEvent(event)) => crew_event_from(event)?.map_or(Body::Unknown, Body::Crew),
        Some(Wire::LinkReport(report)) => Body::Link(link_report_from(&report)?),
        Some(Wire::Shed(shed)) => Body::Shed(Shed {
            first: shed.first,
            last: shed.last,
            first_captured_at: GatewayTime(shed.first_captured_at_us),
            cause: cause_from(shed.cause()),
        }),
        None => Body::Unknown,
    })
}

fn body_to(body: &Body) -> Option<v1::frame::Body> {
    use v1::frame::Body as Wire;
    Some(match body {
        Body::Numerics(numerics) => Wire::Numerics(numerics_to(numerics)),
        Body::Waveforms(waveforms) => Wire::Waveforms(v1::Waveforms {
            waveform: waveforms.iter().map(waveform_to).collect(),
        }),
        Body::DeviceAlarms(alarms) => Wire::DeviceAlarms(v1::DeviceAlarms {
            alarm: alarms.iter().map(device_alarm_to).collect(),
        }),
        Body::Position(position) => Wire::Position(position_to(position)),
        Body::Crew(event) => Wire::CrewEvent(crew_event_to(event)),
        Body::Link(report) => Wire::LinkReport(link_report_to(report)),
        Body::Shed(shed) => Wire::Shed(v1::Shed {
            first: shed.first,
            last: shed.last,
            first_captured_at_us: shed.first_captured_at.0,
            cause: cause_to(shed.cause).into(),
        }),
        Body::Unknown => return None,
    })
}
