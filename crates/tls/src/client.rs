//! The client's side.

use crate::files::{TlsError, authorities, certificates, private_key, together};
use crate::peer::Peer;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom a client trusts and what it shows; a table of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFiles {
    /// Who signs the certificates of servers.
    pub authority: PathBuf,
    /// Its own certificate, for servers that ask for one.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// That one's private key.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

impl ClientFiles {
    /// Whose name the certificate bears, as servers read it; `None` without a
    /// certificate, or with one that bears no name that they believe.
    ///
    /// # Errors
    /// When there is a certificate and its file is not in order.
    pub fn name(&self) -> Result<Option<String>, TlsError> {
        let Some(file) = &self.certificate else {
            return Ok(None);
        };
        let chain = certificates(file)?;
        Ok(Peer::of(Some(&chain)).and_then(|peer| peer.name))
    }
}

/// What connections are made with: the newest files that were in order.
#[derive(Debug)]
pub struct Connector {
    files: ClientFiles,
    /// Protocols above TLS, the preferred first (ALPN, RFC 7301).
    protocols: Vec<Vec<u8>>,
    config: Mutex<Arc<ClientConfig>>,
}

impl Connector {
    /// Reads the files. `protocols`: those above TLS, the preferred first (ALPN,
    /// RFC 7301).
    ///
    /// # Errors
    /// When one is not in order, or they do not go together.
    pub fn new(files: ClientFiles, protocols: &[&str]) -> Result<Self, TlsError> {
        let protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let config = Mutex::new(Arc::new(load(&files, &protocols)?));
        Ok(Self {
            files,
            protocols,
            config,
        })
    }

    /// For the next connection: the files are read again, so that a certificate that
    /// was renewed is shown without a restart.
    ///
    /// # Errors
    /// Never: when a file is not in order, what was read before is given, and a
    /// warning is logged.
    #[must_use]
    pub fn current(&self) -> Arc<ClientConfig> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        match load(&self.files, &self.protocols) {
            Ok(loaded) => *config = Arc::new(loaded),
            Err(error) => tracing::warn!(%error, "kept the certificates that were read before"),
        }
        Arc::clone(&config)
    }

    /// Shakes hands with the server of this name over `stream`.
    ///
    /// # Errors
    /// When it is somebody else, or hangs up. With TLS 1.3 a client learns only by
    /// reading that its certificate was refused.
    pub async fn over(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(self.current())
            .connect(name, stream)
            .await
    }
}

fn load(files: &ClientFiles, protocols: &Vec<Vec<u8>>) -> Result<ClientConfig, TlsError> {
    let roots: RootCertStore = authorities(&files.authority)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| together(&files.authority, &error))?
        .with_root_certificates(roots);
    let mut config = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| together(key, &error))?,
        (None, None) => builder.with_no_client_auth(),
        (Some(file), None) => return Err(together(file, &"has no key: name both")),
        (None, Some(file)) => return Err(together(file, &"has no certificate: name both")),
    };
    config.alpn_protocols.clone_from(protocols);
    Ok(config)
}
