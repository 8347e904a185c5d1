//! An authority of one's own in a directory: `ca.pem` and `ca.key`, what it issued
//! under the names of their bearers, and `revoked.pem`, the list of what it revoked.
//!
//! Keys are ECDSA P-256, files with a key are readable by their owner alone. The
//! authority's own key lies there in clear: enough for development and small sites,
//! on a machine that nobody else uses. A hospital's own authority takes its place
//! with the same kind of files.

use crate::files::{TlsError, certificates, private_key, revocations, together};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

const DAY: Duration = Duration::from_hours(24);
/// An authority lives ten years, a certificate a year and a month.
const AUTHORITY_FOR: Duration = Duration::from_hours(24 * 3_652);
const CERTIFICATE_FOR: Duration = Duration::from_hours(24 * 397);
/// Longest name of a bearer.
const NAME_BYTES_MAX: usize = 64;

/// What a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be found under these host names and addresses.
    Server(Vec<String>),
    /// To be let in.
    Client,
}

/// A certificate and its private key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Why an authority could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of it is not in order.
    #[error(transparent)]
    File(#[from] TlsError),
    /// A file cannot be written.
    #[error("{}: cannot be written: {error}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// A bearer's name would be no file name, or not believed by anybody.
    #[error("{0:?} is no name for a certificate: take 1 to 64 of a-z, A-Z, 0-9, '.', '-' and '_'")]
    Name(String),
    /// It was issued already.
    #[error(
        "{} is there already: revoke it and move it away, or take another name",
        .0.display()
    )]
    Exists(PathBuf),
    /// The library refuses.
    #[error("failed to make a certificate: {0}")]
    Library(#[from] rcgen::Error),
}

/// An authority and the directory that it lives in.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    now: SystemTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority of `dir`; a new one named `name` if there is none.
    ///
    /// # Errors
    /// When its files are not in order or cannot be written.
    pub fn open(dir: &Path, name: &str, now: SystemTime) -> Result<Self, AuthorityError> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        if !certificate.exists() {
            make(dir, name, now)?;
        }
        let der = certificates(&certificate)?.swap_remove(0);
        let key_pair = private_key(&key)?;
        let key_pair = KeyPair::try_from(&key_pair).map_err(|error| together(&key, &error))?;
        let issuer = Issuer::from_ca_cert_der(&der, key_pair)
            .map_err(|error| together(&certificate, &error))?;
        let dir = dir.to_owned();
        let authority = Self { dir, issuer, now };
        if !authority.revoked().exists() {
            authority.write_revoked(Vec::new())?;
        }
        Ok(authority)
    }

    /// Its own certificate: what the other side trusts.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The list of what it revoked.
    #[must_use]
    pub fn revoked(&self) -> PathBuf {
        self.dir.join("revoked.pem")
    }

    /// A new key and a certificate for it, as `NAME.pem` and `NAME.key`.
    ///
    /// # Errors
    /// When the name is none, was issued before, or the files cannot be written.
    pub fn issue(&self, name: &str, purpose: Purpose) -> Result<Issued, AuthorityError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = !name.starts_with('.') && (1..=NAME_BYTES_MAX).contains(&name.len());
        if name == "ca" || name == "revoked" || !is_name || !name.chars().all(fits) {
            return Err(AuthorityError::Name(name.to_owned()));
        }
        let issued = Issued {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        if issued.certificate.exists() {
            return Err(AuthorityError::Exists(issued.certificate));
        }
        let (names, usage) = match purpose {
            Purpose::Server(names) => (names, ExtendedKeyUsagePurpose::ServerAuth),
            Purpose::Client => (Vec::new(), ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = params(names, name, self.now, CERTIFICATE_FOR)?;
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(&issued.key, &key.serialize_pem(), Secrecy::Secret)?;
        write(&issued.certificate, &certificate.pem(), Secrecy::Public)?;
        Ok(issued)
    }

    /// Puts an issued certificate on the list; one that is there stays.
    ///
    /// # Errors
    /// When there is none of that name, or the list cannot be written.
    pub fn revoke(&self, name: &str) -> Result<(), AuthorityError> {
        let file = self.dir.join(format!("{name}.pem"));
        let der = certificates(&file)?.swap_remove(0);
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| together(&file, &error))?;
        let serial = certificate.tbs_certificate.raw_serial().to_vec();
        let mut serials = self.serials()?;
        if !serials.contains(&serial) {
            serials.push(serial);
            self.write_revoked(serials)?;
        }
        Ok(())
    }

    /// What is on the list.
    fn serials(&self) -> Result<Vec<Vec<u8>>, AuthorityError> {
        let file = self.revoked();
        let mut serials = Vec::new();
        for list in revocations(&file)? {
            let (_, list) = CertificateRevocationList::from_der(&list)
                .map_err(|error| together(&file, &error))?;
            let revoked = list.iter_revoked_certificates();
            serials.extend(revoked.map(|one| one.raw_serial().to_vec()));
        }
        Ok(serials)
    }

    fn write_revoked(&self, serials: Vec<Vec<u8>>) -> Result<(), AuthorityError> {
        let number = u64::try_from(serials.len()).unwrap_or(u64::MAX);
        let revoked_certs = { serials.into_iter() }
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: self.now.into(),
                reason_code: Some(RevocationReason::CessationOfOperation),
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: self.now.into(),
            next_update: (self.now + AUTHORITY_FOR).into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer)?;
        write(&self.revoked(), &list.pem()?, Secrecy::Public)
    }
}

fn make(dir: &Path, name: &str, now: SystemTime) -> Result<(), AuthorityError> {
    std::fs::create_dir_all(dir).map_err(|error| AuthorityError::Write {
        file: dir.to_owned(),
        error,
    })?;
    let mut params = params(Vec::new(), name, now, AUTHORITY_FOR)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write(&dir.join("ca.key"), &key.serialize_pem(), Secrecy::Secret)?;
    write(&dir.join("ca.pem"), &certificate.pem(), Secrecy::Public)
}

fn params(
    names: Vec<String>,
    common_name: &str,
    now: SystemTime,
    lives: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    // A clock on board may be behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + lives).into();
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    Secret,
}

/// Written beside and renamed, so that nobody reads half a file.
fn write(file: &Path, text: &str, secrecy: Secrecy) -> Result<(), AuthorityError> {
    let beside = file.with_extension("new");
    let written = write_new(&beside, text, secrecy).and_then(|()| std::fs::rename(&beside, file));
    written.map_err(|error| AuthorityError::Write {
        file: file.to_owned(),
        error,
    })
}

fn write_new(file: &Path, text: &str, secrecy: Secrecy) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if secrecy == Secrecy::Secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut opened = options.open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}
