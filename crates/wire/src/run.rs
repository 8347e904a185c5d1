//! Protobuf read by hand: bytes from the front of which values are taken. Nothing is
//! copied and nothing grows, which is most of what decoding costs otherwise.
//!
//! It reads what encoders write. What is legal and unusual besides (numbers of ten
//! bytes, groups) is no value here and left to the general decoder.

/// Some bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run<'a>(pub(crate) &'a [u8]);

/// A field: its key (number and wire type) and, if it has a length, its content.
pub(crate) enum Field<'a> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

impl<'a> Run<'a> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next number; `None` at the end, and where there is none in 64 bits.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        // Codes of the catalogue have three bytes, nearly all else has one.
        match self.0 {
            [a, rest @ ..] if *a < 0x80 => {
                self.0 = rest;
                Some(u64::from(*a))
            }
            [a, b, rest @ ..] if *b < 0x80 => {
                self.0 = rest;
                Some(u64::from(a & 0x7f) | u64::from(*b) << 7)
            }
            [a, b, c, rest @ ..] if *c < 0x80 => {
                self.0 = rest;
                Some(u64::from(a & 0x7f) | u64::from(b & 0x7f) << 7 | u64::from(*c) << 14)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        for (at, byte) in self.0.iter().enumerate() {
            // The tenth byte, where numbers may overflow, is the general way's.
            if shift > 56 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                self.0 = self.0.get(at + 1..)?;
                return Some(value);
            }
        }
        None
    }

    /// The next field: its number and content.
    #[inline]
    pub(crate) fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let content = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                let (eight, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                Field::Fixed64(u64::from_le_bytes(*eight))
            }
            2 => Field::Bytes(self.content()?),
            _ => return None,
        };
        Some((key >> 3, content))
    }

    /// The next field that must have a length.
    pub(crate) fn part(&mut self) -> Option<(u64, &'a [u8])> {
        match self.field()? {
            (number, Field::Bytes(content)) => Some((number, content)),
            (_, Field::Number(_) | Field::Fixed64(_)) => None,
        }
    }

    fn content(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (content, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The next number of a column; one that has ended goes on with zeros.
    #[inline]
    pub(crate) fn cell(&mut self) -> Option<u64> {
        if self.0.is_empty() {
            return Some(0);
        }
        self.varint()
    }

    /// How many numbers there are: each ends with a byte below 128.
    pub(crate) fn count(self) -> usize {
        self.0.iter().filter(|byte| **byte < 0x80).count()
    }
}

/// A 32-bit field is the low half of what stands there.
#[inline]
pub(crate) fn low32(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[inline]
pub(crate) fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

#[inline]
pub(crate) fn zigzag32(number: u32) -> i32 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}
