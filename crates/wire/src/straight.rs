//! Frames of numerics and waveforms as nearly all of them are, read straight into the
//! model. Whatever is not so, or is wrong, is left to the general way, which reads all
//! that is legal and says what is wrong with the rest.

use crate::columns;
use crate::frame::header_from;
use crate::limits::{SAMPLES_MAX, WAVEFORMS_MAX};
use crate::run::{Field, Run, low32, zigzag, zigzag32};
use crate::v1;
use crate::waveform::{fill_missing, waveform_from_samples};
use enroute_model::frame::{Body, Frame, Waveform};
use prost::Message;
use std::ops::Range;

/// Field numbers of `Frame`.
const HEADER: u64 = 1;
const NUMERICS: u64 = 2;
const WAVEFORMS: u64 = 3;

/// The frame, if it is such a one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Frame> {
    let (mut run, mut found, mut body) = (Run(bytes), None, None);
    while !run.is_empty() {
        let (number, content) = run.part()?;
        let again = match number {
            HEADER => found.replace(content).is_some(),
            NUMERICS | WAVEFORMS => body.replace((number, content)).is_some(),
            _ => return None,
        };
        if again {
            return None;
        }
    }
    let header = header_from(header(found?)?).ok()?;
    let body = match body? {
        (NUMERICS, content) => Body::Numerics(columns::decode(content)?),
        (_, content) => Body::Waveforms(waveforms(content)?),
    };
    Some(Frame { header, body })
}

/// The header of a frame that has one and whole fields besides.
pub(crate) fn header_of(bytes: &[u8]) -> Option<v1::Header> {
    let (mut run, mut found) = (Run(bytes), None);
    while !run.is_empty() {
        let (number, content) = run.part()?;
        if number == HEADER && found.replace(content).is_some() {
            return None;
        }
    }
    header(found?)
}

/// Whether a frame has a body of waveforms.
pub(crate) fn is_of_waveforms(bytes: &[u8]) -> bool {
    let mut run = Run(bytes);
    while let Some((number, content)) = run.field() {
        if number == WAVEFORMS && matches!(content, Field::Bytes(_)) {
            return true;
        }
    }
    false
}

/// Gateway, lane and frame of a record that holds a frame.
pub(crate) fn received(bytes: &[u8]) -> Option<(&str, v1::Lane, &[u8])> {
    let mut record = Run(bytes);
    let (1, content) = record.part()? else {
        return None;
    };
    let (mut run, mut gateway, mut lane, mut frame) = (Run(content), None, 0, None);
    while !run.is_empty() {
        match run.field()? {
            (1, Field::Bytes(content)) => gateway = Some(content),
            (2, Field::Number(number)) => lane = low32(number).cast_signed(),
            (3, Field::Bytes(content)) => frame = Some(content),
            _ => return None,
        }
    }
    let gateway = std::str::from_utf8(gateway?).ok()?;
    let lane = v1::Lane::try_from(lane).ok()?;
    record.is_empty().then_some((gateway, lane, frame?))
}

/// Where the steps between samples are in a record: from the record down to
/// `Waveform.delta`.
pub(crate) fn steps(record: &[u8]) -> Vec<Range<usize>> {
    let whole = std::iter::once(0..record.len()).collect();
    [1, 3, WAVEFORMS, 1, 9]
        .into_iter()
        .fold(whole, |messages: Vec<Range<usize>>, number| {
            let inner = |message| inside(record, message, number);
            messages.into_iter().flat_map(inner).collect()
        })
}

/// Where the contents of the fields of that number are, of the message that lies there.
fn inside(bytes: &[u8], message: Range<usize>, wanted: u64) -> Vec<Range<usize>> {
    let mut run = Run(bytes.get(message.clone()).unwrap_or_default());
    let mut found = Vec::new();
    while let Some((number, content)) = run.field() {
        if let Field::Bytes(content) = content
            && number == wanted
        {
            let end = message.end - run.0.len();
            found.push(end - content.len()..end);
        }
    }
    found
}

fn header(bytes: &[u8]) -> Option<v1::Header> {
    let (mut run, mut header) = (Run(bytes), v1::Header::default());
    while !run.is_empty() {
        match run.field()? {
            (1, Field::Fixed64(number)) => header.epoch = number,
            (2, Field::Number(number)) => header.stream = low32(number).cast_signed(),
            (3, Field::Number(number)) => header.sequence = number,
            (4, Field::Number(number)) => header.leg_first = number,
            (5, Field::Number(number)) => header.captured_at_us = number.cast_signed(),
            (6, Field::Number(number)) => header.observed_offset_us = Some(zigzag(number)),
            (7, Field::Number(number)) => header.boot = low32(number),
            (8, Field::Number(number)) => header.monotonic_us = number,
            (9, Field::Bytes(content)) if header.clocks.is_none() => {
                header.clocks = Some(v1::ClockOffsets::decode(content).ok()?);
            }
            (10, Field::Number(number)) => header.exercise = number != 0,
            _ => return None,
        }
    }
    Some(header)
}

fn waveforms(bytes: &[u8]) -> Option<Vec<Waveform>> {
    let mut run = Run(bytes);
    let mut waveforms = Vec::with_capacity(4);
    while !run.is_empty() {
        let (1, content) = run.part()? else {
            return None;
        };
        waveforms.push(waveform(content)?);
    }
    (waveforms.len() <= WAVEFORMS_MAX).then_some(waveforms)
}

fn waveform(bytes: &[u8]) -> Option<Waveform> {
    let (mut run, mut steps) = (Run(bytes), None);
    let mut waveform = v1::Waveform::default();
    while !run.is_empty() {
        match run.field()? {
            (1, Field::Number(number)) => waveform.code = low32(number),
            (2, Field::Bytes(content)) => waveform.label = text(content)?,
            (3, Field::Bytes(content)) => waveform.unit = text(content)?,
            (4, Field::Fixed64(bits)) => waveform.rate_hz = f64::from_bits(bits),
            (5, Field::Fixed64(bits)) => waveform.gain = f64::from_bits(bits),
            (6, Field::Number(number)) => waveform.baseline = zigzag32(low32(number)),
            (7, Field::Number(number)) => waveform.first_sample = number,
            (8, Field::Number(number)) => waveform.start_offset_us = zigzag32(low32(number)),
            (9, Field::Bytes(content)) if steps.is_none() => steps = Some(Run(content)),
            (10, Field::Bytes(content)) if waveform.missing.is_empty() => {
                waveform.missing = numbers(Run(content))?;
            }
            (11, Field::Number(number)) => waveform.whole_rate_hz = low32(number),
            (12, Field::Number(number)) => waveform.whole_gain = zigzag32(low32(number)),
            _ => return None,
        }
    }
    let mut samples = samples(steps.unwrap_or_default())?;
    fill_missing(&mut samples, &waveform.missing).ok()?;
    waveform_from_samples(waveform, samples).ok()
}

/// Each the sum of the steps up to it, in a list that is made once, of its size. Byte
/// by byte, because a step has one or two and they are most of all that is decoded.
fn samples(steps: Run) -> Option<Vec<Option<i32>>> {
    let count = steps.count();
    if count > SAMPLES_MAX {
        return None;
    }
    let (mut samples, mut last) = (Vec::with_capacity(count), 0_i32);
    let (mut number, mut shift) = (0_u64, 0_u32);
    for byte in steps.0 {
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            last = last.wrapping_add(zigzag32(low32(number)));
            samples.push(Some(last));
            (number, shift) = (0, 0);
        } else if shift < 56 {
            shift += 7;
        } else {
            // Numbers of ten bytes are the general way's.
            return None;
        }
    }
    (shift == 0).then_some(samples)
}

fn numbers(mut run: Run) -> Option<Vec<u32>> {
    let mut numbers = Vec::with_capacity(run.count().min(SAMPLES_MAX));
    while !run.is_empty() {
        numbers.push(low32(run.varint()?));
    }
    Some(numbers)
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
