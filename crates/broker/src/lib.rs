//! The embedded MQTT 5 broker for one-machine use, behind a small interface.
//!
//! What it is: sessions, retained messages, wills and queues **in memory**; it
//! forgets everything when it stops. That is enough because nothing is called
//! delivered before a receipt (I3).
//!
//! What it is not: authenticated, encrypted, or made for a network. Anyone who
//! reaches the address may publish, so it belongs on the loopback interface; the
//! binary sees to that. In production an external broker takes its place.
//!
//! Limits: [`Limits`]. Start reading at [`Broker::start`].

use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What clients may ask of the broker. The library's own defaults are far wider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet, in bytes; a larger one ends the connection. At least 1,024.
    /// Default 1 MiB and 4 KiB for the envelope.
    pub packet_bytes_max: usize,
    /// Connections at a time. Default 4,096.
    pub connections_max: usize,
    /// QoS 1 publishes under way to one client. Default 256.
    pub inflight_max: u16,
    /// QoS 1 publishes that one client may have under way to us. Default 256.
    pub receive_maximum: u16,
    /// Messages kept for one client that is away or slow. When full, further
    /// ones are dropped for it; receipts heal that. Default 10,000.
    pub queued_messages_max: usize,
    /// The same in bytes. Default 64 MiB.
    pub queued_bytes_max: usize,
    /// Retained messages in all: one status and one command for each gateway.
    /// Default 20,000.
    pub retained_messages_max: usize,
    /// Filters of one client. Default 64.
    pub subscriptions_max: usize,
    /// Longest time for which a session outlives its connection. Default 1 h.
    pub session_expiry_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: (1 << 20) + 4096,
            connections_max: 4096,
            inflight_max: 256,
            receive_maximum: 256,
            queued_messages_max: 10_000,
            queued_bytes_max: 64 << 20,
            retained_messages_max: 20_000,
            subscriptions_max: 64,
            session_expiry_max: Duration::from_hours(1),
        }
    }
}

/// How to start a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What clients may ask.
    pub limits: Limits,
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had, or a limit is not possible.
    #[error("start the broker on {listen}: {reason}")]
    Start {
        /// As configured.
        listen: SocketAddr,
        /// The library's words.
        reason: String,
    },
    /// It ended before it was ready.
    #[error("the broker on {listen} ended before it was ready")]
    NotReady {
        /// As configured.
        listen: SocketAddr,
    },
}

/// A running broker. Dropped without [`Broker::shutdown`], it stops as soon as
/// its task is next run.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    stop: Stop,
    task: JoinHandle<()>,
}

/// Stops the broker when dropped.
struct Stop(BrokerShutdownHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

impl Broker {
    /// Binds, starts in tasks of the current Tokio runtime, and returns when
    /// clients can connect.
    ///
    /// # Errors
    /// When the address cannot be bound or a limit is out of the library's range.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listen = config.listen;
        let failed = |reason: String| StartError::Start { listen, reason };
        let library = library_config(&config);
        let mut broker = MqttBroker::with_config(library)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let addr = broker
            .local_addr()
            .ok_or_else(|| failed("no address".to_owned()))?;
        let stop = Stop(broker.shutdown_handle());
        let mut ready = broker.ready_receiver();
        let task = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                tracing::error!(%error, "the embedded broker failed");
            }
        });
        let is_ready = ready.wait_for(|ready| *ready).await.is_ok();
        if !is_ready {
            return Err(StartError::NotReady { listen });
        }
        Ok(Self { addr, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether it ended by itself: the one-machine server is of no use then.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends every connection and stops listening; takes at most about 5 s.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the embedded broker's task failed");
        }
    }
}

fn library_config(config: &Config) -> BrokerConfig {
    let limits = &config.limits;
    let mut library = BrokerConfig::new()
        .with_bind_address(config.listen)
        .with_max_clients(limits.connections_max)
        .with_max_packet_size(limits.packet_bytes_max)
        .with_session_expiry(limits.session_expiry_max)
        .with_max_outbound_inflight(limits.inflight_max)
        .with_max_retained_messages(limits.retained_messages_max)
        .with_max_retained_message_size(limits.packet_bytes_max)
        .with_max_subscriptions_per_client(limits.subscriptions_max)
        .with_client_channel_capacity(limits.queued_messages_max)
        // QoS 1 is all that the contract uses.
        .with_maximum_qos(1)
        // Its file storage stalls after a consumer's crash; memory is enough here.
        .with_storage(
            StorageConfig::new()
                .with_backend(StorageBackend::Memory)
                .with_max_queued_messages_per_client(limits.queued_messages_max)
                .with_max_queued_bytes_per_client(limits.queued_bytes_max),
        );
    library.server_receive_maximum = Some(limits.receive_maximum.max(1));
    // Topic aliases would keep a table for each connection; nobody here uses them.
    library.topic_alias_maximum = 0;
    library.shared_subscription_available = false;
    library.sys_topics_enabled = false;
    library
}
