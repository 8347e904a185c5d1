//! A payload before it is sealed: compressed where that pays, because the store cannot
//! compress what is sealed.
//!
//! ```text
//!  0 │ payload                          as it is
//!  1 │ length u32 │ Zstandard frame     of a payload of that length
//! ```
//!
//! A record of numerics is too short for it, and of one ECG lead (MIT-BIH 208, a frame a
//! second), whose steps are packed before (`steps.rs`), little is left: sealed it takes
//! 0.99 bytes a sample on the disk, in clear, where the store compresses what is around
//! the steps, 0.73.

use std::sync::{Mutex, PoisonError};
use zstd::bulk::{Compressor, Decompressor};

const AS_IS: u8 = 0;
const PACKED: u8 = 1;
const LEVEL: i32 = 1;
/// Shorter payloads do not become shorter.
const PACK_FROM: usize = 128;
/// Longest payload that is unpacked: the largest row is a snapshot of an engine.
const UNPACKED_MAX: usize = 64 << 20;

/// Compresses and the reverse, with what the library keeps between two payloads.
#[derive(Default)]
pub(crate) struct Packer {
    to: Mutex<Option<Compressor<'static>>>,
    from: Mutex<Option<Decompressor<'static>>>,
}

impl Packer {
    pub(crate) fn pack(&self, payload: &[u8]) -> Vec<u8> {
        if payload.len() >= PACK_FROM
            && payload.len() <= UNPACKED_MAX
            && let Some(packed) = self.compressed(payload)
        {
            return packed;
        }
        let mut plain = Vec::with_capacity(payload.len().saturating_add(1));
        plain.push(AS_IS);
        plain.extend_from_slice(payload);
        plain
    }

    fn compressed(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        if to.is_none() {
            *to = Compressor::new(LEVEL).ok();
        }
        let frame = to.as_mut()?.compress(payload).ok()?;
        if frame.len().saturating_add(4) >= payload.len() {
            return None;
        }
        let mut packed = Vec::with_capacity(frame.len().saturating_add(5));
        packed.push(PACKED);
        packed.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_be_bytes());
        packed.extend_from_slice(&frame);
        Some(packed)
    }

    pub(crate) fn unpack(&self, mut plain: Vec<u8>) -> Option<Vec<u8>> {
        match plain.split_first()? {
            (&AS_IS, _) => {
                plain.remove(0);
                Some(plain)
            }
            (&PACKED, rest) => {
                let (length, frame) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
                if from.is_none() {
                    *from = Decompressor::new().ok();
                }
                let payload = from.as_mut()?.decompress(frame, length.min(UNPACKED_MAX));
                payload.ok().filter(|payload| payload.len() == length)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payload_comes_back_and_none_grows_by_more_than_a_byte() {
        let packer = Packer::default();
        let mut noise = vec![0; 5_000];
        getrandom::fill(&mut noise).unwrap();
        let even = vec![7; 5_000];
        for length in [0, 1, PACK_FROM - 1, PACK_FROM, PACK_FROM + 1, 5_000] {
            for payload in [&noise[..length], &even[..length]] {
                let stored = packer.pack(payload);
                assert!(stored.len() <= length + 1);
                assert_eq!(packer.unpack(stored).unwrap(), payload);
            }
        }
        assert!(packer.pack(&even).len() < 100);
        for wrong in [&[][..], &[2, 3], &[1, 0, 0], &[1, 0, 0, 0, 9, 9]] {
            assert_eq!(packer.unpack(wrong.to_vec()), None);
        }
    }
}
