//! The server's side of a handshake, with files that may change.

use crate::connection::Connection;
use crate::files::{TlsError, authorities, certificates, private_key, revocations, together};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// What a listener shows and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// Its certificate, with those between it and the authority behind it.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Who signs the certificates of clients; `None` lets in anybody.
    pub clients: Option<PathBuf>,
    /// Which of those are revoked: lists by X.509.
    pub revoked: Option<PathBuf>,
    /// Protocols above TLS, the preferred first (ALPN, RFC 7301).
    pub protocols: Vec<Vec<u8>>,
}

/// Does handshakes, with the newest files that were in order.
#[derive(Debug)]
pub struct Acceptor {
    files: ServerFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Loaded,
    living: Vec<Living>,
}

#[derive(Clone, Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// A connection that came with a certificate.
#[derive(Debug)]
struct Living {
    chain: Vec<CertificateDer<'static>>,
    /// Dropped, it ends the connection.
    end: oneshot::Sender<()>,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// When one is not in order, or they do not go together.
    pub fn new(files: ServerFiles) -> Result<Self, TlsError> {
        let loaded = load(&files)?;
        let living = Vec::new();
        Ok(Self {
            files,
            state: Mutex::new(State { loaded, living }),
        })
    }

    /// Reads the files again: for new connections; living ones whose certificate
    /// would not be let in any more end. Says how many those are. Also without a
    /// change of files this ends connections whose certificate has expired.
    ///
    /// # Errors
    /// When a file is not in order: everything stays as it was.
    pub fn reload(&self) -> Result<usize, TlsError> {
        let loaded = load(&self.files)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.loaded = loaded.clone();
        let before = state.living.len();
        state.living.retain(|living| !living.end.is_closed());
        let alive = state.living.len();
        tracing::debug!(gone = before - alive, alive, "certificates were read again");
        let (trusted, others) = std::mem::take(&mut state.living)
            .into_iter()
            .partition(|living| loaded.trusts(&living.chain));
        state.living = trusted;
        let others: Vec<Living> = others;
        // Dropped, they end.
        Ok(others.len())
    }

    /// Does the handshake of one connection. Has no time limit of its own.
    ///
    /// # Errors
    /// When the other side is not let in, or goes away.
    pub async fn accept(&self, stream: TcpStream, from: SocketAddr) -> io::Result<Connection> {
        let config = Arc::clone(&self.lock().loaded.config);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let chain = stream.get_ref().1.peer_certificates();
        let chain: Vec<_> = { chain.into_iter().flatten() }
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        let (end, ends) = oneshot::channel();
        self.live(Living { chain, end })?;
        Ok(Connection::tls(stream, from, ends))
    }

    /// The files may have changed since the handshake began.
    fn live(&self, living: Living) -> io::Result<()> {
        let mut state = self.lock();
        if !state.loaded.trusts(&living.chain) {
            let revoked = "the certificate was revoked during the handshake";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, revoked));
        }
        // A list that only grows would keep every connection that ever was.
        if state.living.len() == state.living.capacity() {
            state.living.retain(|living| !living.end.is_closed());
        }
        state.living.push(living);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn trusts(&self, chain: &[CertificateDer<'static>]) -> bool {
        let Some(clients) = &self.clients else {
            return true;
        };
        let Some((leaf, between)) = chain.split_first() else {
            return false;
        };
        clients
            .verify_client_cert(leaf, between, UnixTime::now())
            .is_ok()
    }
}

fn load(files: &ServerFiles) -> Result<Loaded, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let clients = match &files.clients {
        Some(file) => Some(verifier(file, files.revoked.as_deref(), &provider)?),
        None => None,
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| together(&files.certificate, &error))?;
    let builder = match &clients {
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        None => builder.with_no_client_auth(),
    };
    let chain = certificates(&files.certificate)?;
    let mut config = builder
        .with_single_cert(chain, private_key(&files.key)?)
        .map_err(|error| together(&files.key, &error))?;
    config.alpn_protocols.clone_from(&files.protocols);
    // A resumed session would bring back a certificate that was revoked since.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded {
        config: Arc::new(config),
        clients,
    })
}

fn verifier(
    file: &Path,
    revoked: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let lists = revoked.map_or_else(|| Ok(Vec::new()), revocations)?;
    let roots = Arc::new(authorities(file)?);
    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(lists)
        .only_check_end_entity_revocation()
        // An authority without a list has revoked nothing.
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| together(revoked.unwrap_or(file), &error))
}
