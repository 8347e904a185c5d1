//! Connections of one listener, each with its handshake behind it.

use crate::accept::Acceptor;
use crate::connection::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

/// A handshake that takes longer is given up.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Connections that wait to be served.
const WAITING_MAX: usize = 64;
/// Before the next try when the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How much a listener takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, those in their handshake too; further ones wait in the
    /// system's queue.
    pub connections_max: usize,
}

/// Accepts until the receiver is dropped. Without an acceptor the connections are
/// plain.
///
/// # Panics
/// Outside a Tokio runtime.
#[must_use]
pub fn listen(
    listener: TcpListener,
    acceptor: Option<Arc<Acceptor>>,
    limits: Limits,
) -> mpsc::Receiver<Connection> {
    let (to, connections) = mpsc::channel(WAITING_MAX);
    let places = Arc::new(Semaphore::new(limits.connections_max.max(1)));
    tokio::spawn(async move {
        let accepted = accept_all(&listener, acceptor, &places, &to);
        tokio::select! {
            () = accepted => {}
            () = to.closed() => {}
        }
    });
    connections
}

async fn accept_all(
    listener: &TcpListener,
    acceptor: Option<Arc<Acceptor>>,
    places: &Arc<Semaphore>,
    to: &mpsc::Sender<Connection>,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let greeted = greet(stream, from, acceptor.clone(), place, to.clone());
                drop(tokio::spawn(greeted));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn greet(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: Option<Arc<Acceptor>>,
    place: OwnedSemaphorePermit,
    to: mpsc::Sender<Connection>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%from, %error, "the connection was gone at once");
        return;
    }
    let connection = match acceptor {
        None => Connection::plain(stream, from),
        Some(acceptor) => match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream, from)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                tracing::info!(%from, %error, "refused a connection");
                return;
            }
            Err(_) => {
                tracing::info!(%from, "gave up a TLS handshake that took too long");
                return;
            }
        },
    };
    // The server stops when nobody takes it.
    drop(to.send(connection.in_place(place)).await);
}
