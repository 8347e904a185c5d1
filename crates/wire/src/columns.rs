//! Frames of numerics as nearly all of them are, read straight into the model:
//! columns each in one packed run, none described. Whatever is not so is left to the
//! general way, which reads all that is legal and says what is wrong with the rest.

use crate::frame::{Refusal, header_from};
use crate::limits::NUMERICS_MAX;
use crate::numerics::{interval_from, reading_from};
use crate::v1;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Code, Frame, Metric, Numeric};
use prost::Message;

/// Field numbers of `Frame` and `Numerics`.
const HEADER: u64 = 1;
const NUMERICS: u64 = 2;
/// Columns of `Numerics`: code, value, decimals, state, interval.
const COLUMNS: usize = 5;

/// Some bytes from the front of which values are taken.
#[derive(Clone, Copy, Default)]
struct Run<'a>(&'a [u8]);

impl<'a> Run<'a> {
    /// The next number; `None` at the end, and where there is none in 64 bits.
    fn varint(&mut self) -> Option<u64> {
        let (first, mut rest) = self.0.split_first()?;
        let mut value = u64::from(first & 0x7f);
        let (mut byte, mut shift) = (*first, 7);
        while byte & 0x80 != 0 {
            let (next, behind) = rest.split_first()?;
            // The tenth byte, where numbers may overflow, is the general way's.
            if shift > 56 {
                return None;
            }
            value |= u64::from(next & 0x7f) << shift;
            (byte, rest, shift) = (*next, behind, shift + 7);
        }
        self.0 = rest;
        Some(value)
    }

    /// The next field with a length: its number and content.
    fn field(&mut self) -> Option<(u64, &'a [u8])> {
        let key = self.varint()?;
        let length = usize::try_from(self.varint()?).ok()?;
        let (content, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        (key & 7 == 2).then_some((key >> 3, content))
    }

    /// The next number of a column; one that has ended goes on with zeros.
    fn cell(&mut self) -> Option<u64> {
        if self.0.is_empty() {
            return Some(0);
        }
        self.varint()
    }

    /// How many numbers there are: each ends with a byte below 128.
    fn count(self) -> usize {
        self.0.iter().filter(|byte| **byte < 0x80).count()
    }
}

/// The frame, if it is such a one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Result<Frame, Refusal>> {
    let (mut run, mut header, mut body) = (Run(bytes), None, None);
    while !run.0.is_empty() {
        let (number, content) = run.field()?;
        let place = match number {
            HEADER => &mut header,
            NUMERICS => &mut body,
            _ => return None,
        };
        if place.replace(content).is_some() {
            return None;
        }
    }
    let header = v1::Header::decode(header?).ok()?;
    let body = Body::Numerics(numerics(body?)?);
    Some(header_from(header).map(|header| Frame { header, body }))
}

fn numerics(bytes: &[u8]) -> Option<Vec<Numeric>> {
    let mut columns = [const { None }; COLUMNS];
    let mut run = Run(bytes);
    while !run.0.is_empty() {
        let (number, content) = run.field()?;
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        if columns.get_mut(place)?.replace(Run(content)).is_some() {
            return None;
        }
    }
    let [codes, values, decimals, states, intervals] = columns.map(Option::unwrap_or_default);
    let count = codes.count();
    let fits = |column: Run| column.count() <= count;
    if values.count() != count || count > NUMERICS_MAX {
        return None;
    }
    if ![decimals, states, intervals].into_iter().all(fits) {
        return None;
    }
    rows(count, [codes, values, decimals, states, intervals])
}

fn rows(count: usize, columns: [Run; COLUMNS]) -> Option<Vec<Numeric>> {
    let [
        mut codes,
        mut values,
        mut decimals,
        mut states,
        mut intervals,
    ] = columns;
    let shared = match intervals.count() {
        1 => Some(intervals.varint()?),
        _ => None,
    };
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        let code = Code(low32(codes.varint()?));
        let (value, decimals) = (values.varint()?, low32(decimals.cell()?));
        let state = low32(states.cell()?).cast_signed();
        let interval = match shared {
            Some(interval) => interval,
            None => intervals.cell()?,
        };
        // A code of no catalogue has a name, or something is wrong.
        let vital = catalogue().vital(code).filter(|_| code.0 != 0)?;
        rows.push(Numeric {
            metric: Metric {
                code,
                label: String::new(),
            },
            unit: String::new(),
            reading: reading_from(zigzag(value), decimals, state).ok()?,
            interval: interval_from(Some(low32(interval)), Some(vital.interval)).ok()?,
        });
    }
    let rest = [codes, values, decimals, states, intervals];
    rest.iter().all(|run| run.0.is_empty()).then_some(rows)
}

/// A 32-bit field is the low half of what stands there.
fn low32(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::decode_any;
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

    fn frame(numerics: v1::Numerics, sequence: u64, offset: Option<i64>) -> Vec<u8> {
        let header = v1::Header {
            epoch: u64::MAX / 3,
            stream: v1::Stream::Numerics.into(),
            sequence,
            leg_first: 1,
            captured_at_us: 1_795_305_600_000_000,
            observed_offset_us: offset,
            ..v1::Header::default()
        };
        let body = v1::frame::Body::Numerics(numerics);
        let (header, body) = (Some(header), Some(body));
        v1::Frame { header, body }.encode_to_vec()
    }

    fn same_as_the_general_way(bytes: &[u8]) -> bool {
        decode(bytes).is_none_or(|read| read == decode_any(bytes))
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
        let bytes = frame(numerics, 7, Some(-3));
        assert_eq!(decode(&bytes), Some(decode_any(&bytes)));
        assert!(decode(&bytes).unwrap().is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_is_what_the_general_way_reads(
            numerics in columns(),
            sequence in 0..3_u64,
            offset in any::<Option<i64>>(),
        ) {
            prop_assert!(same_as_the_general_way(&frame(numerics, sequence, offset)));
        }

        #[test]
        fn also_of_bytes_that_were_changed_cut_or_doubled(
            numerics in columns(),
            places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            doubled in any::<bool>(),
        ) {
            let mut bytes = frame(numerics, 1, None);
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
    }
}
