//! The same content as others send it: the shortest that their public rules allow
//! and a receiver can still read by itself.

use crate::utc;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Numeric, Waveform};
use enroute_model::reading::Reading;
use prost::Message;
use serde_json::{Value, json};

/// Two bytes a number, and no word of what it is.
pub(super) fn raw(body: &Body) -> usize {
    2 * match body {
        Body::Numerics(numerics) => numerics.len(),
        Body::Waveforms(waveforms) => waveforms.iter().map(|w| w.samples.len()).sum(),
        Body::DeviceAlarms(_)
        | Body::Crew(_)
        | Body::Position(_)
        | Body::Link(_)
        | Body::Shed(_)
        | Body::Unknown => 0,
    }
}

/// A collection of Observations as HL7's vital signs profile and its sampled data have
/// them, each with its own subject and device, without text.
pub(super) fn fhir(body: &Body, us: i64) -> usize {
    let time = utc::rfc3339(us);
    let entries: Vec<Value> = each(body)
        .map(|content| json!({ "resource": observation(&content, &time) }))
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": entries });
    bundle.to_string().len()
}

fn observation(content: &Content, time: &str) -> Value {
    let mut observation = json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "vital-signs"
        }] }],
        "code": { "coding": [{
            "system": "urn:iso:std:iso:11073:10101",
            "code": content.code().to_string(),
            "display": content.refid()
        }] },
        "subject": { "reference": "Patient/4f6a1e0c92d7" },
        "device": { "reference": "Device/amb-12" },
        "effectiveDateTime": time,
    });
    let (field, value) = match content {
        Content::Value(numeric) => (
            "valueQuantity",
            json!({
                "value": value_of(numeric),
                "system": "http://unitsofmeasure.org",
                "code": content.unit(),
            }),
        ),
        Content::Samples(waveform) => (
            "valueSampledData",
            json!({
                "origin": { "value": 0, "code": content.unit() },
                "period": 1_000.0 / waveform.rate_hz,
                "factor": 1.0 / waveform.gain,
                "dimensions": 1,
                "data": samples(waveform, ' ', "E"),
            }),
        ),
    };
    if let Some(fields) = observation.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    observation
}

/// One message with an OBX for each quantity, codes and units of IEEE 11073-10101.
pub(super) fn hl7(body: &Body, us: i64) -> usize {
    let time: String = utc::rfc3339(us)
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let head = format!(
        "MSH|^~\\&|GW^amb-12^L|||ICU|{time}+0000||ORU^R01^ORU_R01|{us}|P|2.6\r\
         PID|||4f6a1e0c92d7\rOBR|1|||182777000^monitoring of patient^SCT|||{time}+0000\r"
    );
    let observed = |(content, number): (Content, usize)| {
        let (kind, value) = match &content {
            Content::Value(numeric) => ("NM", value_of(numeric).to_string()),
            Content::Samples(waveform) => ("NA", samples(waveform, '^', "")),
        };
        let (code, refid, unit) = (content.code(), content.refid(), content.unit());
        format!(
            "OBX|{number}|{kind}|{code}^{refid}^MDC|1.1.1.{number}|{value}|{unit}^{unit}^UCUM|||||R|||{time}+0000\r"
        )
    };
    let segments = each(body).zip(1..).map(observed);
    head.len() + segments.map(|segment| segment.len()).sum::<usize>()
}

/// A DDATA payload: aliases stand for names and types, which the birth certificate
/// has said; each metric has its time, as the specification asks.
pub(super) fn sparkplug(body: &Body, us: i64) -> usize {
    let timestamp = u64::try_from(us / 1_000).unwrap_or_default();
    let metrics = each(body).zip(1..).map(|(content, alias)| Metric {
        alias,
        timestamp,
        float: match &content {
            Content::Value(numeric) => Some(value_of(numeric)),
            Content::Samples(_) => None,
        },
        bytes: match &content {
            Content::Value(_) => None,
            Content::Samples(waveform) => Some(vec![0; 2 * waveform.samples.len()]),
        },
    });
    let payload = Payload {
        timestamp,
        metrics: metrics.collect(),
        seq: 200,
    };
    payload.encoded_len()
}

/// Of the Sparkplug B payload, what is needed here.
#[derive(Clone, PartialEq, Message)]
struct Payload {
    #[prost(uint64, tag = "1")]
    timestamp: u64,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
    #[prost(uint64, tag = "3")]
    seq: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(uint64, tag = "2")]
    alias: u64,
    #[prost(uint64, tag = "3")]
    timestamp: u64,
    #[prost(float, optional, tag = "12")]
    float: Option<f32>,
    #[prost(bytes = "vec", optional, tag = "16")]
    bytes: Option<Vec<u8>>,
}

/// One quantity of a body.
enum Content<'a> {
    Value(&'a Numeric),
    Samples(&'a Waveform),
}

fn each(body: &Body) -> Box<dyn Iterator<Item = Content<'_>> + '_> {
    match body {
        Body::Numerics(numerics) => Box::new(numerics.iter().map(Content::Value)),
        Body::Waveforms(waveforms) => Box::new(waveforms.iter().map(Content::Samples)),
        Body::DeviceAlarms(_)
        | Body::Crew(_)
        | Body::Position(_)
        | Body::Link(_)
        | Body::Shed(_)
        | Body::Unknown => Box::new(std::iter::empty()),
    }
}

impl Content<'_> {
    fn code(&self) -> u32 {
        match self {
            Self::Value(numeric) => numeric.metric.code.0,
            Self::Samples(waveform) => waveform.metric.code.0,
        }
    }

    fn refid(&self) -> &str {
        let known = match self {
            Self::Value(numeric) => catalogue().vital(numeric.metric.code).map(|v| &v.refid),
            Self::Samples(waveform) => catalogue().waveform(waveform.metric.code).map(|w| &w.refid),
        };
        known.map_or("", String::as_str)
    }

    fn unit(&self) -> &str {
        let (own, known) = match self {
            Self::Value(numeric) => (
                &numeric.unit,
                catalogue().vital(numeric.metric.code).map(|v| &v.unit),
            ),
            Self::Samples(waveform) => (
                &waveform.unit,
                catalogue().waveform(waveform.metric.code).map(|w| &w.unit),
            ),
        };
        if own.is_empty() {
            known.map_or("", String::as_str)
        } else {
            own
        }
    }
}

fn value_of(numeric: &Numeric) -> f32 {
    match numeric.reading {
        Reading::Value { value, .. } => value.to_string().parse().unwrap_or(f32::NAN),
        Reading::None(_) => f32::NAN,
    }
}

/// Decimal numbers with something between them; what is missing has its own word.
fn samples(waveform: &Waveform, between: char, missing: &str) -> String {
    let mut text = String::new();
    for sample in &waveform.samples {
        if !text.is_empty() {
            text.push(between);
        }
        match sample {
            Some(sample) => text.push_str(&sample.to_string()),
            None => text.push_str(missing),
        }
    }
    text
}
