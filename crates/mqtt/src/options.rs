//! What a connection is made with.

use bytes::Bytes;
use enroute_tls::Connector;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Shortest keep-alive: a radio link is often silent for some seconds.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);

/// User name and password of the CONNECT packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password; never shown by `Debug`.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What the broker publishes (QoS 1) when the connection ends without a DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// Kept by the broker for later subscribers.
    pub retain: bool,
}

/// How to connect. [`Options::new`] gives the defaults named at the fields.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Connect here in place of it: a proxy that carries on to the broker, whose
    /// certificate bears the host's name all the same. Default none.
    pub via: Option<SocketAddr>,
    /// Client id; two connections with the same one throw each other out.
    pub client_id: String,
    /// Forget the session of an earlier connection at each connect. Default true.
    pub clean_start: bool,
    /// How long the broker keeps the session after a connection, whole seconds. Default 0.
    pub session_expiry: Duration,
    /// Time between pings, whole seconds; no less than 5 s. Default 5 s.
    pub keep_alive: Duration,
    /// Default none.
    pub credentials: Option<Credentials>,
    /// Files for TLS, read again for each connection. Default none: a plain
    /// connection.
    pub tls: Option<Arc<Connector>>,
    /// Last Will. Default none.
    pub will: Option<Will>,
    /// Most QoS 1 publishes that the broker may have under way to us. Default 64.
    pub receive_maximum: u16,
    /// Most QoS 1 publishes that we have under way to the broker; the broker's
    /// own receive maximum lowers it. Default 64.
    pub inflight: u16,
    /// Bytes of messages that are not acknowledged, beyond which the connection is not
    /// read; it stands meanwhile. So a large window does not mean much memory: beside
    /// this, what one read brings and one packet are all that can be here. Default 16 MiB.
    pub unacked_bytes_max: usize,
    /// Largest packet in either direction, in bytes; the broker's own limit
    /// lowers it for what we send. Default 1 MiB and 4 KiB for the envelope.
    pub packet_bytes_max: u32,
    /// Filters, subscribed with QoS 1 at every connect. Default none.
    pub subscriptions: Vec<String>,
    /// Publishes that may wait for the window. Default 64.
    pub queue: usize,
    /// Seed of the jitter in the back-off. Default 0: give each client its own.
    pub jitter_seed: u64,
}

impl Options {
    /// Defaults for a client of this broker.
    #[must_use]
    pub fn new(host: &str, port: u16, client_id: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            via: None,
            client_id: client_id.to_owned(),
            clean_start: true,
            session_expiry: Duration::ZERO,
            keep_alive: KEEP_ALIVE_MIN,
            credentials: None,
            tls: None,
            will: None,
            receive_maximum: 64,
            inflight: 64,
            unacked_bytes_max: 16 << 20,
            packet_bytes_max: (1 << 20) + 4096,
            subscriptions: Vec::new(),
            queue: 64,
            jitter_seed: 0,
        }
    }

    /// The keep-alive that is really used.
    pub(crate) fn keep_alive(&self) -> Duration {
        // The protocol has 16 bits for it.
        self.keep_alive
            .clamp(KEEP_ALIVE_MIN, Duration::from_secs(u64::from(u16::MAX)))
    }

    /// At least one, whatever was configured: 0 is a protocol error.
    pub(crate) fn receive_maximum(&self) -> u16 {
        self.receive_maximum.max(1)
    }

    /// Messages that a broker may have under way to us before the connection is ended
    /// for it: as many as there are packet ids. More than the receive maximum is a
    /// protocol error; but Mosquitto 2.0.11 was seen to send a session that it resumed
    /// well over a thousand at once. To end the connection for that makes it worse:
    /// what was read is no longer acknowledged, is handled all the same, and comes
    /// again. Their bytes are what is bounded ([`Options::unacked_bytes_max`]).
    pub(crate) fn unacked_max() -> usize {
        usize::from(u16::MAX)
    }

    /// At least one, and fewer than there are packet ids.
    pub(crate) fn inflight(&self) -> u16 {
        self.inflight.clamp(1, u16::MAX - 1)
    }
}
