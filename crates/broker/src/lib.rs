//! The embedded MQTT 5 broker for one-machine use, behind a small interface.
//!
//! What it is: sessions, retained messages, wills and queues **in memory**; it
//! forgets everything when it stops. That is enough because nothing is called
//! delivered before a receipt (I3).
//!
//! [`Broker::start_guarded`] is for a network: TLS with certificates of clients, and
//! a [`Guard`] that decides by the certificate's name what each may publish and
//! subscribe. [`Broker::start`] lets in anybody, so it belongs on the loopback
//! interface; the binary sees to that.
//!
//! Limits: [`Limits`].

mod gate;
mod names;
mod pace;

use enroute_tls::Acceptor;
use gate::Gate;
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker};
use names::Names;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What clients may ask of the broker. The library's own defaults are far wider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet, in bytes; a larger one ends the connection. At least 1,024.
    /// Default 1 MiB and 4 KiB for the envelope.
    pub packet_bytes_max: usize,
    /// Connections at a time. Default 4,096.
    pub connections_max: usize,
    /// Of these, from one address, where it is guarded. Default half of them.
    pub per_address_max: usize,
    /// Of these, with one name, where it is guarded. A gateway has two, and for a
    /// moment those that it left behind when its link broke. Default 8.
    pub per_name_max: usize,
    /// A connection that takes nothing for so long ends, where it is guarded; so this
    /// is the longest keep-alive that works. Default 5 minutes.
    pub idle_max: Duration,
    /// QoS 1 publishes under way to one client, as many as the server takes. Default 1,024.
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
            per_address_max: 2048,
            per_name_max: 8,
            idle_max: Duration::from_mins(5),
            inflight_max: 1_024,
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

/// What the gate of a guarded broker refused, since it started.
#[derive(Debug, Default)]
pub struct Counts {
    /// Of connections, before anybody's name is known.
    pub connections: Arc<enroute_tls::Counts>,
    /// Connections beyond those that one name may have.
    pub refused_name: AtomicU64,
    /// Connects, publishes and subscriptions that are not the client's.
    pub refused: AtomicU64,
    /// How often a gateway was made to wait because it sent too fast.
    pub slowed: AtomicU64,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// To connect; the Last Will is published by the broker without another question.
    Connect {
        /// A second connection under the same one ends the first.
        client_id: &'a str,
        /// Topic of the Last Will, if there is one.
        will: Option<&'a str>,
    },
    /// To publish under this topic.
    Publish(&'a str),
    /// To subscribe this filter.
    Subscribe(&'a str),
}

/// Decides what the bearer of a certificate may do.
pub trait Guard: Send + Sync {
    /// Whether the client of this name may; asked for every packet, so no waiting.
    fn may(&self, name: &str, access: Access<'_>) -> bool;
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
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// It ended before it was ready.
    #[error("the broker on {listen} ended before it was ready")]
    NotReady {
        /// As configured.
        listen: SocketAddr,
    },
}

/// A running broker; its `Debug` shows the server's own password to nobody. Dropped without [`Broker::shutdown`], it stops as soon as
/// its task is next run.
pub struct Broker {
    /// Where its clients connect.
    addr: SocketAddr,
    /// Where the library listens.
    inside: SocketAddr,
    own: Option<(String, String)>,
    stop: Stop,
    task: JoinHandle<()>,
    carrying: Option<JoinHandle<()>>,
}

/// Stops the broker when dropped.
struct Stop(BrokerShutdownHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Binds, starts in tasks of the current Tokio runtime, and returns when
    /// clients can connect. Lets in anybody.
    ///
    /// # Errors
    /// When the address cannot be bound or a limit is out of the library's range.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_library(&config, config.listen, None).await
    }

    /// The same with TLS: a client needs a certificate that `acceptor` accepts, and
    /// may do what `guard` allows its name. The server's own client connects to
    /// [`Broker::inside`] with [`Broker::own`].
    ///
    /// # Errors
    /// As [`Broker::start`]; or when there are no random numbers for a password.
    pub async fn start_guarded(
        config: Config,
        acceptor: Arc<Acceptor>,
        guard: Arc<dyn Guard>,
        counts: Arc<Counts>,
    ) -> Result<Self, StartError> {
        let listen = config.listen;
        let failed = |error: std::io::Error| StartError::Start {
            listen,
            reason: error.to_string(),
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let names = Names::new(config.limits.per_name_max);
        let gate = Arc::new(Gate::new(guard, password()?, names, counts));
        let inside = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut broker = Self::start_library(&config, inside, Some(Arc::clone(&gate))).await?;
        let limits = enroute_tls::Limits {
            connections_max: config.limits.connections_max,
            per_address_max: config.limits.per_address_max,
            idle_max: config.limits.idle_max,
            handshakes: enroute_tls::Pace::default(),
        };
        broker.addr = addr;
        broker.own = Some(gate.own());
        let carrying = gate::carry_all(listener, acceptor, limits, broker.inside, gate);
        broker.carrying = Some(tokio::spawn(carrying));
        Ok(broker)
    }

    async fn start_library(
        config: &Config,
        inside: SocketAddr,
        gate: Option<Arc<Gate>>,
    ) -> Result<Self, StartError> {
        let listen = config.listen;
        let failed = |reason: String| StartError::Start { listen, reason };
        let library = library_config(inside, &config.limits);
        let mut broker = MqttBroker::with_config(library)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if let Some(gate) = gate {
            broker = broker.with_auth_provider(gate);
        }
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
        Ok(Self {
            addr,
            inside: addr,
            own: None,
            stop,
            task,
            carrying: None,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the server's own client connects, on this machine and without TLS.
    #[must_use]
    pub fn inside(&self) -> SocketAddr {
        self.inside
    }

    /// User name and password of the server's own client; `None` where anybody is
    /// let in.
    #[must_use]
    pub fn own(&self) -> Option<&(String, String)> {
        self.own.as_ref()
    }

    /// Whether it ended by itself: the one-machine server is of no use then.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends every connection and stops listening; takes at most about 5 s.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Some(carrying) = self.carrying {
            carrying.abort();
        }
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the embedded broker's task failed");
        }
    }
}

/// Messages on their way to one client that is there: the library counts them and not
/// their bytes. When as many wait, who publishes waits too, and then they are queued
/// within [`Limits::queued_bytes_max`].
const CHANNEL_MESSAGES_MAX: usize = 2_048;
/// Connections of the server itself, and those about to be replaced.
const OWN_CONNECTIONS: usize = 16;

/// 256 bits that nobody can guess.
fn password() -> Result<String, StartError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(hex.collect::<Vec<_>>().concat())
}

fn library_config(inside: SocketAddr, limits: &Limits) -> BrokerConfig {
    let mut library = BrokerConfig::new()
        .with_bind_address(inside)
        // The server's own must find a place when gateways have all of theirs.
        .with_max_clients(limits.connections_max.saturating_add(OWN_CONNECTIONS))
        .with_max_packet_size(limits.packet_bytes_max)
        .with_session_expiry(limits.session_expiry_max)
        .with_max_outbound_inflight(limits.inflight_max)
        .with_max_retained_messages(limits.retained_messages_max)
        .with_max_retained_message_size(limits.packet_bytes_max)
        .with_max_subscriptions_per_client(limits.subscriptions_max)
        .with_client_channel_capacity(limits.queued_messages_max.min(CHANNEL_MESSAGES_MAX))
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
