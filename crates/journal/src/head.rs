//! The head in front of each stored payload.
//!
//! ```text
//!  format u8 │ key id u32 │ at i64 │ received_at i64 │ crc u32 │ payload
//! ```
//!
//! Big endian. The CRC-32 (ISO 3309, as in zlib) is of everything in front of
//! it and of the payload. Format 1: the payload as it is; 2: with its steps packed
//! (`steps.rs`). Key id 0 is clear; another one names the data key that sealed the payload
//! (`vault.rs`). Side tables and the log use the same head with both times 0.

use bytes::{BufMut, Bytes};
use enroute_model::time::{EngineTime, ServerTime};

/// How a payload stands behind its head: the format in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// With steps packed (`steps.rs`).
    Steps,
}

impl Form {
    fn number(self) -> u8 {
        match self {
            Self::Plain => 1,
            Self::Steps => 2,
        }
    }

    fn of(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Plain),
            2 => Ok(Self::Steps),
            other => Err(format!("format {other} is not known, only 1 and 2")),
        }
    }
}

/// Key id of a payload that is not sealed.
pub(crate) const CLEAR: u32 = 0;
/// Bytes in front of the payload.
pub(crate) const HEAD_BYTES: usize = 1 + 4 + 8 + 8 + CRC_BYTES;
const CRC_BYTES: usize = 4;

/// A value taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) at: EngineTime,
    pub(crate) received_at: ServerTime,
    pub(crate) payload: Bytes,
}

/// What is in front of the checksum.
pub(crate) fn begin(form: Form, key: u32, times: (EngineTime, ServerTime)) -> Vec<u8> {
    with_room(form, key, times, 0)
}

/// [`begin`], with room for the checksum and so many bytes behind it.
fn with_room(
    form: Form,
    key: u32,
    (at, received_at): (EngineTime, ServerTime),
    payload: usize,
) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD_BYTES.saturating_add(payload));
    value.put_u8(form.number());
    value.put_u32(key);
    value.put_i64(at.0);
    value.put_i64(received_at.0);
    value
}

/// The checksum of what [`begin`] made and of the payload behind it.
pub(crate) fn checksum(covered: &[u8], payload: &[u8]) -> [u8; CRC_BYTES] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(covered);
    crc.update(payload);
    crc.finalize().to_be_bytes()
}

/// Puts a head in front of `payload`, in clear.
pub(crate) fn seal(at: EngineTime, received_at: ServerTime, payload: &[u8]) -> Vec<u8> {
    seal_as(Form::Plain, (at, received_at), payload)
}

/// [`seal`] for a payload of that form.
pub(crate) fn seal_as(form: Form, times: (EngineTime, ServerTime), payload: &[u8]) -> Vec<u8> {
    let mut value = with_room(form, CLEAR, times, payload.len());
    let crc = checksum(&value, payload);
    value.extend_from_slice(&crc);
    value.extend_from_slice(payload);
    value
}

/// [`seal`] for values without times.
pub(crate) fn seal_plain(payload: &[u8]) -> Vec<u8> {
    seal(EngineTime(0), ServerTime(0), payload)
}

/// A value that is whole, sealed or not.
pub(crate) struct Whole<'a> {
    /// What is in front of the checksum.
    pub(crate) covered: &'a [u8],
    pub(crate) form: Form,
    pub(crate) key: u32,
    pub(crate) at: EngineTime,
    pub(crate) received_at: ServerTime,
    pub(crate) payload: Bytes,
}

/// Takes a value apart and checks it; the error says what does not fit.
pub(crate) fn whole(value: &Bytes) -> Result<Whole<'_>, String> {
    let too_short = || format!("{} bytes are too few for a head", value.len());
    let (head, _) = value.split_at_checked(HEAD_BYTES).ok_or_else(too_short)?;
    let (covered, crc) = head.split_at(HEAD_BYTES - CRC_BYTES);
    let mut fields = Fields(covered);
    let format = fields.take::<1>().map(u8::from_be_bytes);
    let key = fields.take().map(u32::from_be_bytes);
    let at = fields.take().map(i64::from_be_bytes);
    let received_at = fields.take().map(i64::from_be_bytes);
    let (Some(format), Some(key), Some(at), Some(received_at)) = (format, key, at, received_at)
    else {
        return Err(too_short());
    };
    let form = Form::of(format)?;
    let payload = value.slice(HEAD_BYTES..);
    if checksum(covered, &payload) != crc {
        return Err("its checksum does not fit".to_owned());
    }
    Ok(Whole {
        covered,
        form,
        key,
        at: EngineTime(at),
        received_at: ServerTime(received_at),
        payload,
    })
}

/// Takes apart a value that is never sealed.
pub(crate) fn open(value: &Bytes) -> Result<Value, String> {
    let whole = whole(value)?;
    if whole.key != CLEAR {
        return Err(format!("it is sealed with key {}", whole.key));
    }
    if whole.form != Form::Plain {
        return Err("it is packed where nothing is".to_owned());
    }
    Ok(Value {
        at: whole.at,
        received_at: whole.received_at,
        payload: whole.payload,
    })
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_sealed() {
        let value = seal(EngineTime(-5), ServerTime(i64::MAX), b"payload");
        let opened = open(&value.into()).unwrap();
        assert_eq!(
            (opened.at, opened.received_at, &opened.payload[..]),
            (EngineTime(-5), ServerTime(i64::MAX), &b"payload"[..])
        );
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let value = seal(EngineTime(1), ServerTime(2), b"x");
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged.into()).is_err(), "bit {bit}");
        }
        for cut in 0..value.len() {
            assert!(open(&value[..cut].to_vec().into()).is_err(), "cut {cut}");
        }
    }
}
