//! Who the other side is, by its certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest name that is believed; longer ones are none of ours.
const NAME_BYTES_MAX: usize = 64;

/// The other side of a connection under mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Common name of its certificate's subject; `None` if it has none, several, or
    /// one of more than 64 bytes or with control characters.
    pub name: Option<String>,
}

impl Peer {
    /// Of a chain, leaf first; `None` without a certificate.
    pub(crate) fn of(chain: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let leaf = chain?.first()?;
        Some(Self { name: name(leaf) })
    }
}

fn name(leaf: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let (name, another) = (names.next()?.as_str().ok()?, names.next());
    let believed = another.is_none()
        && !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(char::is_control);
    believed.then(|| name.to_owned())
}
