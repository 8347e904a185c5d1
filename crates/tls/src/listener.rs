//! Connections of one listener, each with its handshake behind it.

use crate::accept::Acceptor;
use crate::connection::Connection;
use crate::places::{Counts, Limits, Place, Places};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// A handshake that takes longer is given up: two of a gateway share 2.4 kbit/s.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(30);
/// So many failed handshakes are told one by one, then each time they have doubled.
const TOLD: u64 = 100;
/// Connections that wait to be served.
const WAITING_MAX: usize = 64;
/// Before the next try when the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the receiver is dropped, and counts what becomes of them. Without an
/// acceptor the connections are plain.
///
/// # Panics
/// Outside a Tokio runtime.
#[must_use]
pub fn listen(
    listener: TcpListener,
    acceptor: Option<Arc<Acceptor>>,
    limits: Limits,
    counts: Arc<Counts>,
) -> mpsc::Receiver<Connection> {
    let (to, connections) = mpsc::channel(WAITING_MAX);
    let places = Places::new(limits, counts);
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
    places: &Arc<Places>,
    to: &mpsc::Sender<Connection>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // Refused, it is closed here.
                let Some(place) = places.take(from.ip()) else {
                    continue;
                };
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
    mut place: Place,
    to: mpsc::Sender<Connection>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%from, %error, "the connection was gone at once");
        return;
    }
    let connection = match acceptor {
        None => Connection::plain(stream, from),
        Some(acceptor) => {
            let Some(connection) = shake_hands(stream, from, &acceptor, &mut place).await else {
                return;
            };
            connection
        }
    };
    // The server stops when nobody takes it.
    drop(to.send(connection.in_place(place)).await);
}

async fn shake_hands(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: &Acceptor,
    place: &mut Place,
) -> Option<Connection> {
    let wait = place.turn(from.ip())?;
    let lost = place.lost.as_mut()?;
    if !wait.is_zero() {
        tokio::select! {
            () = sleep(wait) => {}
            _ = &mut *lost => return None,
        }
    }
    let failed = tokio::select! {
        done = timeout(HANDSHAKE_WITHIN, acceptor.accept(stream, from)) => match done {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        },
        // It is counted where it gave way.
        _ = lost => return None,
    };
    let times = Counts::add(&place.counts().handshake_failed);
    // A flood must not fill the log.
    if times <= TOLD || times.is_power_of_two() {
        tracing::info!(%from, error = failed, times, "refused a connection");
    }
    None
}
