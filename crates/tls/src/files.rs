//! PEM files, read whole and refused with their names.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::path::{Path, PathBuf};

/// Largest file; an authority's bundle of a whole country is smaller.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why TLS cannot be had with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The files do not go together: a key of another certificate, a certificate
    /// that is no authority.
    #[error("{}: {what}", file.display())]
    Together {
        /// The file to look at first.
        file: PathBuf,
        /// The library's words.
        what: String,
    },
}

fn content(file: &Path, what: impl Into<String>) -> TlsError {
    TlsError::Content {
        file: file.to_owned(),
        what: what.into(),
    }
}

/// Says which file an error of the library is about.
pub(crate) fn together(file: &Path, error: &impl std::fmt::Display) -> TlsError {
    TlsError::Together {
        file: file.to_owned(),
        what: error.to_string(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable {
        file: file.to_owned(),
        error,
    };
    let bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        let what = format!("is {bytes} bytes long, a PEM file here has at most {FILE_BYTES_MAX}");
        return Err(content(file, what));
    }
    std::fs::read(file).map_err(unreadable)
}

/// The certificates of a file, at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| content(file, format!("is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(content(file, "holds no certificate (BEGIN CERTIFICATE)"));
    }
    Ok(found)
}

/// The first private key of a file.
pub(crate) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        content(
            file,
            format!("holds no private key that can be used: {error}"),
        )
    })
}

/// The authorities of a file, at least one.
pub(crate) fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| together(file, &error))?;
    }
    Ok(roots)
}

/// The revocation lists of a file; none is in order: an authority that has revoked
/// nothing yet.
pub(crate) fn revocations(
    file: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    found.map_err(|error| content(file, format!("is not PEM: {error}")))
}
