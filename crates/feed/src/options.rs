//! Limits of the gRPC port.

use std::sync::Arc;
use std::time::Duration;

/// Bounds of one server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest request.
    pub request_bytes_max: usize,
    /// Streams of one HTTP/2 connection at a time; more wait at the client.
    pub streams_max: u32,
    /// Connections at a time. Default 4,096.
    pub connections_max: usize,
    /// Of these, from one address. Default half of them.
    pub per_address_max: usize,
    /// A connection that takes nothing for so long ends. A stream takes a heartbeat
    /// each second, HTTP/2 a ping. Default 2 minutes.
    pub idle_max: Duration,
    /// What became of the connections.
    pub connections: Arc<enroute_tls::Counts>,
    /// A connection that does not answer for this long after a ping is closed.
    pub keepalive: Duration,
    /// Frames in one message of a history.
    pub history_frames_max: usize,
    /// Bytes of frames in one message of a history; one frame more may be in it.
    pub history_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_bytes_max: 256 << 10,
            streams_max: 256,
            connections_max: 4_096,
            per_address_max: 2_048,
            idle_max: Duration::from_mins(2),
            connections: Arc::default(),
            keepalive: Duration::from_secs(20),
            history_frames_max: 256,
            history_bytes_max: 1 << 20,
        }
    }
}
