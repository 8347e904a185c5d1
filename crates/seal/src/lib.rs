//! Seals what is stored, so that a disk without its keys tells nothing.
//!
//! ```text
//!  key-encryption keys ([`Keys`]: of a file or a command, never on the sealed disk)
//!     └─ wrap ─► data keys ([`Ring`]: one file beside the data, a key for each thing
//!                   │            that may have to be destroyed on its own)
//!                   └─ seal ─► values ([`DataKey::seal`]: each bound to its place)
//! ```
//!
//! Not here: what is sealed and under which name (that is its owner's), compression,
//! signatures. A key is zeroised in memory when it is dropped; what a library or the
//! system's page file keeps of it is not in our hands.
//!
//! # The cipher
//!
//! XChaCha20-Poly1305 of the library `chacha20poly1305`, with a nonce of 192 random
//! bits for every value. A nonce must never come twice under one key; with 96 bits, as
//! of AES-GCM, that would have to be counted over crashes, restored backups and copies
//! of virtual machines, while of 192 random ones the system may draw 2⁶⁴ before two
//! are the same with a chance of 2⁻⁶⁵. It is as fast without instructions for AES,
//! which boxes on board may lack, and takes the same time for every content.
//!
//! Sealing adds [`SEALED_EXTRA`] bytes: nonce, ciphertext, tag. What a value is bound
//! to (its place) is authenticated and not stored.
//!
//! # Limits
//!
//! | what | bound | when reached |
//! | --- | --- | --- |
//! | key-encryption keys | 64, in 64 KiB of text | refused with words |
//! | a command that gives keys | 30 s | it is ended, and that is an error |
//! | name of a data key | [`NAME_BYTES_MAX`] bytes | refused |
//! | data keys | 2³² − 1 numbers, twice 256 bytes on disk and some 300 in memory each; destroyed ones make room | refused |
//! | data keys unwrapped in memory | 1,024 | forgotten, and unwrapped again |
//!
//! Start reading with [`Keys`], then [`Ring`].

mod cipher;
mod error;
mod found;
mod keys;
mod overwrite;
mod ring;
mod slot;
mod source;

pub use cipher::{DataKey, SEALED_EXTRA, SealError};
pub use error::RingError;
pub use keys::{KeyId, Keys, KeysError};
pub use ring::Ring;
pub use slot::NAME_BYTES_MAX;
pub use source::Source;

#[cfg(test)]
mod tests;
