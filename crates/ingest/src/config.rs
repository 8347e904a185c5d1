//! What ingest is started with.

use enroute_model::time::EngineTime;
use enroute_mqtt::{Connector, Credentials};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// [`Config::receive_maximum`] by default; the shipped settings of brokers allow as many.
pub const RECEIVE_MAXIMUM: u16 = 1_024;

/// Settings; [`Config::new`] gives the defaults named at the fields.
#[derive(Clone, Debug)]
pub struct Config {
    /// The broker's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Default none.
    pub credentials: Option<Credentials>,
    /// Default none: a plain connection.
    pub tls: Option<Arc<Connector>>,
    /// The connections are `{client_id}-live` and `{client_id}-history`; the
    /// broker keeps the history session under that name, so it must not change.
    pub client_id: String,
    /// Bad publishes are kept in `quarantine` below it.
    pub data: PathBuf,
    /// Engine time is this plus the clock's monotonic time. The binary's ticks
    /// must use the same.
    pub engine_start: EngineTime,
    /// Of the journal: receipts carry it.
    pub incarnation: u64,
    /// At most one receipt per gateway in this time. Default 500 ms.
    pub receipt_interval: Duration,
    /// How long the broker keeps the history session while we are away. Default 1 h.
    pub session_expiry: Duration,
    /// Publishes per lane that the broker may have under way to us: with fewer, a broker
    /// on this machine waits for commits. Default 1,024; what waits here unread is
    /// bounded in bytes.
    pub receive_maximum: u16,
    /// Publishes per lane between reading and PUBACK; a broker that keeps to the
    /// receive maximum does not go beyond. Default 1,024.
    pub in_flight_max: usize,
    /// The same in bytes; one publish always fits. Default 8 MiB.
    pub in_flight_bytes_max: usize,
    /// Seed of the jitter when reconnecting. Default 0: give each server its own.
    pub jitter_seed: u64,
}

impl Config {
    /// Defaults for a server of this broker.
    #[must_use]
    pub fn new(
        host: &str,
        port: u16,
        data: PathBuf,
        engine_start: EngineTime,
        incarnation: u64,
    ) -> Self {
        Self {
            host: host.to_owned(),
            port,
            credentials: None,
            tls: None,
            client_id: "enroute-ingest".to_owned(),
            data,
            engine_start,
            incarnation,
            receipt_interval: Duration::from_millis(500),
            session_expiry: Duration::from_hours(1),
            receive_maximum: RECEIVE_MAXIMUM,
            in_flight_max: 1024,
            in_flight_bytes_max: 8 << 20,
            jitter_seed: 0,
        }
    }
}
