//! One data key on disk, in a slot of its own.
//!
//! ```text
//!  state u8 │ number u32 │ key-encryption key u32 │ length u8, name (96) │ wrapped key (72) │ crc u32 │ zeros
//! ```
//!
//! Big endian; the CRC-32 (ISO 3309) is over all in front of it. Two slots fill a
//! sector of 512 bytes, the least that a disk writes, so that a power cut in the midst
//! of one leaves the others alone. Of a destroyed key the number stays and nothing else.

use crate::cipher::{KEY_BYTES, SEALED_EXTRA};
use crate::keys::KeyId;

/// Longest name of a data key, in bytes.
pub const NAME_BYTES_MAX: usize = 96;
pub(crate) const SLOT_BYTES: usize = 256;
const WRAPPED_BYTES: usize = KEY_BYTES + SEALED_EXTRA;
const USED_BYTES: usize = 1 + 4 + 4 + 1 + NAME_BYTES_MAX + WRAPPED_BYTES;
const LIVE: u8 = 1;
const DESTROYED: u8 = 2;

const _: () = assert!(USED_BYTES + 4 <= SLOT_BYTES && 512 % SLOT_BYTES == 0);

/// A wrapped key, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub(crate) id: u32,
    pub(crate) under: KeyId,
    pub(crate) name: Box<str>,
    pub(crate) sealed: Box<[u8]>,
}

impl Wrapped {
    /// What the wrapping is bound to: this number and this name.
    pub(crate) fn purpose(id: u32, name: &str) -> Vec<u8> {
        let mut purpose = b"enroute data key".to_vec();
        purpose.extend_from_slice(&id.to_be_bytes());
        purpose.extend_from_slice(name.as_bytes());
        purpose
    }
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Live(Wrapped),
    Destroyed(u32),
}

impl Slot {
    pub(crate) fn bytes(&self) -> [u8; SLOT_BYTES] {
        let mut used = Vec::with_capacity(SLOT_BYTES);
        match self {
            Self::Live(wrapped) => {
                used.push(LIVE);
                used.extend_from_slice(&wrapped.id.to_be_bytes());
                used.extend_from_slice(&wrapped.under.0.to_be_bytes());
                // A name is never longer than fits.
                used.push(u8::try_from(wrapped.name.len()).unwrap_or(u8::MAX));
                used.extend_from_slice(wrapped.name.as_bytes());
                used.resize(USED_BYTES - WRAPPED_BYTES, 0);
                used.extend_from_slice(&wrapped.sealed);
            }
            Self::Destroyed(id) => {
                used.push(DESTROYED);
                used.extend_from_slice(&id.to_be_bytes());
            }
        }
        used.resize(USED_BYTES, 0);
        let crc = crc32fast::hash(&used);
        used.extend_from_slice(&crc.to_be_bytes());
        let mut slot = [0; SLOT_BYTES];
        for (to, from) in slot.iter_mut().zip(used) {
            *to = from;
        }
        slot
    }

    /// `None`: it is torn or damaged.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (used, rest) = bytes.split_at_checked(USED_BYTES)?;
        let (crc, _) = rest.split_first_chunk::<4>()?;
        if crc32fast::hash(used) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (state, used) = used.split_first()?;
        let (id, used) = used.split_first_chunk::<4>()?;
        let id = u32::from_be_bytes(*id);
        if *state == DESTROYED {
            return Some(Self::Destroyed(id));
        }
        let (under, used) = used.split_first_chunk::<4>()?;
        let (length, used) = used.split_first()?;
        let (names, sealed) = used.split_at_checked(NAME_BYTES_MAX)?;
        let name = names.get(..usize::from(*length))?;
        let name = std::str::from_utf8(name).ok()?.into();
        (*state == LIVE).then(|| {
            Self::Live(Wrapped {
                id,
                under: KeyId(u32::from_be_bytes(*under)),
                name,
                sealed: sealed.into(),
            })
        })
    }
}
