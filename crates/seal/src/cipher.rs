//! One key and what it does to a value.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use std::fmt;
use zeroize::Zeroizing;

pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// By how many bytes a value grows.
pub const SEALED_EXTRA: usize = NONCE_BYTES + TAG_BYTES;

/// The bytes of a key.
pub(crate) type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// Why nothing was sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Another key sealed it, or it or its place is not what it was.
    #[error("it was sealed with another key, or for another place, or it was changed since")]
    Refused,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// More than the cipher takes: 256 GiB.
    #[error("it is too long to be sealed")]
    TooLong,
}

/// A key for values.
pub struct DataKey(XChaCha20Poly1305);

impl DataKey {
    pub(crate) fn new(secret: &Secret) -> Self {
        // A reference: the cipher makes the one copy, which it zeroises itself.
        let key: &Key = (&**secret).into();
        Self(XChaCha20Poly1305::new(key))
    }

    /// Appends `plain`, sealed for `place`, to `out`.
    ///
    /// # Errors
    /// When the system gives no random numbers; `out` is then as it was.
    pub fn seal(&self, place: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let nonce = XNonce::from(nonce);
        let start = out.len();
        out.reserve(plain.len().saturating_add(SEALED_EXTRA));
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let body = out.get_mut(start.saturating_add(NONCE_BYTES)..);
        let body = body.unwrap_or_default();
        let sealed = self.0.encrypt_inout_detached(&nonce, place, body.into());
        let Ok(tag) = sealed else {
            out.truncate(start);
            return Err(SealError::TooLong);
        };
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// What `sealed` was, if this key sealed it for `place`.
    ///
    /// # Errors
    /// When it did not.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, rest) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Refused)?;
        let (body, tag) = rest
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(SealError::Refused)?;
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let mut plain = body.to_vec();
        let opened =
            self.0
                .decrypt_inout_detached(&nonce, place, plain.as_mut_slice().into(), &tag);
        opened.map(|()| plain).map_err(|_| SealError::Refused)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// A key out of nothing.
pub(crate) fn random() -> Result<Secret, SealError> {
    let mut secret = Secret::default();
    getrandom::fill(&mut *secret).map_err(|_| SealError::Random)?;
    Ok(secret)
}
