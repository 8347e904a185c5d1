//! The bytes of signal files: formats 16, 32, 80 and 212 of signal(5).

use std::io::{self, Read};

/// How samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Two bytes, two's complement, least significant first.
    F16,
    /// Four bytes, two's complement, least significant first.
    F32,
    /// One byte, offset binary: the value plus 128.
    F80,
    /// Two samples of 12 bits, two's complement, in three bytes.
    F212,
}

impl Format {
    /// The format with this number, if this crate reads it.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            16 => Some(Self::F16),
            32 => Some(Self::F32),
            80 => Some(Self::F80),
            212 => Some(Self::F212),
            _ => None,
        }
    }

    /// Its number in a header.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::F16 => 16,
            Self::F32 => 32,
            Self::F80 => 80,
            Self::F212 => 212,
        }
    }

    /// The lowest number it can store, which stands for a missing sample.
    #[must_use]
    pub const fn missing(self) -> i32 {
        match self {
            Self::F16 => -32_768,
            Self::F32 => i32::MIN,
            Self::F80 => -128,
            Self::F212 => -2_048,
        }
    }

    /// How many samples `bytes` bytes hold.
    #[must_use]
    pub const fn samples_in(self, bytes: u64) -> u64 {
        match self {
            Self::F16 => bytes / 2,
            Self::F32 => bytes / 4,
            Self::F80 => bytes,
            // A last sample without a partner takes two bytes.
            Self::F212 => (bytes / 3) * 2 + (bytes % 3) / 2,
        }
    }
}

/// The samples of one file in stored order, missing ones still as numbers.
#[derive(Debug)]
pub(crate) struct Samples<R> {
    bytes: R,
    format: Format,
    /// Format 212: the middle byte of a pair whose second sample comes next.
    half: Option<u8>,
}

impl<R: Read> Samples<R> {
    pub(crate) fn new(bytes: R, format: Format) -> Self {
        let half = None;
        Self {
            bytes,
            format,
            half,
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<i32> {
        match self.format {
            Format::F16 => Ok(i32::from(i16::from_le_bytes(self.take()?))),
            Format::F32 => Ok(i32::from_le_bytes(self.take()?)),
            Format::F80 => Ok(i32::from(u8::from_le_bytes(self.take()?)) - 128),
            Format::F212 => self.next_of_pair(),
        }
    }

    fn next_of_pair(&mut self) -> io::Result<i32> {
        if let Some(middle) = self.half.take() {
            let [low] = self.take()?;
            return Ok(twelve_bits(low, middle >> 4));
        }
        let [low, middle] = self.take()?;
        self.half = Some(middle);
        Ok(twelve_bits(low, middle & 15))
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Two's complement of 12 bits out of a low byte and a high nibble.
fn twelve_bits(low: u8, high: u8) -> i32 {
    let unsigned = i32::from(low) | (i32::from(high) << 8);
    if unsigned >= 2_048 {
        unsigned - 4_096
    } else {
        unsigned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, bytes: &[u8]) -> Vec<i32> {
        let mut samples = Samples::new(bytes, format);
        std::iter::from_fn(|| samples.next().ok()).collect()
    }

    #[test]
    fn each_format_by_hand() {
        assert_eq!(
            read(Format::F16, &[1, 0, 0xff, 0xff, 0, 0x80, 0xff, 0x7f]),
            [1, -1, -32_768, 32_767]
        );
        assert_eq!(
            read(Format::F32, &[1, 0, 0, 0, 0, 0, 0, 0x80]),
            [1, i32::MIN]
        );
        assert_eq!(read(Format::F80, &[0, 1, 128, 255]), [-128, -127, 0, 127]);
        // 0x7ff and -2048, then 1 and -1.
        assert_eq!(
            read(Format::F212, &[0xff, 0x87, 0x00, 0x01, 0xf0, 0xff]),
            [2_047, -2_048, 1, -1]
        );
        // A last sample alone takes two bytes.
        assert_eq!(read(Format::F212, &[0x05, 0x00]), [5]);
    }

    #[test]
    fn bytes_count_whole_samples() {
        let counts = |format: Format| (0..7).map(|b| format.samples_in(b)).collect::<Vec<_>>();
        assert_eq!(counts(Format::F16), [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(counts(Format::F80), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(counts(Format::F212), [0, 0, 1, 2, 2, 3, 4]);
    }
}
