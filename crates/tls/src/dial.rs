//! A connection to a server somewhere, for those who ask seldom.

use crate::files::{TlsError, authorities, together};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connects by TLS 1.3 or 1.2 to a server whose certificate an authority in this file
/// signed, or one of the system's; files are read each time.
///
/// # Errors
/// When the files are not in order, nobody answers, or somebody else does.
pub async fn dial(
    host: &str,
    port: u16,
    authority: Option<&Path>,
) -> io::Result<TlsStream<TcpStream>> {
    let config = config(authority).map_err(io::Error::other)?;
    let host = host.trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, port)).await?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn config(authority: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let roots = match authority {
        Some(file) => authorities(file)?,
        None => of_the_system(),
    };
    let file = authority.unwrap_or(Path::new("the system's authorities"));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| together(file, &error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Without any nobody is believed, and the handshake says so.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "left out one of the system's authorities");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
