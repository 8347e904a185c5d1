//! The handle: publish, acknowledge, close. Does no I/O of its own.

use crate::driver;
use crate::message::{AckToken, Event, Events, Publish, Qos};
use crate::options::Options;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc, watch};

/// Why a publish was not accepted; nothing is reported for its token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Wait for [`Event::Connected`].
    #[error("not connected to the broker")]
    NotConnected,
    /// The queue is full; only from [`Client::try_publish`].
    #[error("too many publishes wait")]
    Full,
    /// It would be refused for ever: do not try again.
    #[error("packet of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Size of the packet.
        bytes: usize,
        /// Ours or the broker's limit, whichever is less.
        limit: u32,
    },
    /// Empty, too long, or with a wildcard or a zero character.
    #[error("not a topic to publish under")]
    Topic,
    /// The client was closed.
    #[error("the connection is closed")]
    Closed,
}

/// A publish on its way to the driver.
#[derive(Debug)]
pub(crate) struct Command {
    /// Connection for which it was accepted.
    pub(crate) epoch: u64,
    /// What.
    pub(crate) publish: Publish,
}

/// What handle and driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Number of the standing connection, 0 while there is none.
    pub(crate) epoch: AtomicU64,
    /// Largest packet to send.
    pub(crate) packet_bytes_max: AtomicU32,
    /// Packet ids to acknowledge, in order. Bounded: a
    /// token exists once, and those of older connections are dropped.
    pub(crate) acks: Mutex<Vec<AckToken>>,
    /// Something was added to `acks`.
    pub(crate) acks_ready: Notify,
    /// QoS 0 messages dropped because the reader of events was behind.
    pub(crate) dropped: AtomicU64,
}

/// A connection to a broker that is made again for ever. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    closing: Arc<watch::Sender<bool>>,
    done: watch::Receiver<()>,
}

impl Client {
    /// Starts connecting, in a task of the current Tokio runtime. Never fails:
    /// a broker that cannot be reached is tried again after 50 ms, then after
    /// twice as long each time, up to 2 s, with jitter.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn connect(options: Options) -> (Self, Events) {
        let shared = Arc::new(Shared {
            epoch: AtomicU64::new(0),
            packet_bytes_max: AtomicU32::new(options.packet_bytes_max),
            acks: Mutex::new(Vec::new()),
            acks_ready: Notify::new(),
            dropped: AtomicU64::new(0),
        });
        let (commands, command_queue) = mpsc::channel(options.queue.max(1));
        let (closing, close) = watch::channel(false);
        let (finished, done) = watch::channel(());
        let (events, receiver) = mpsc::channel::<Event>(driver::event_capacity(&options));
        let driver =
            driver::Driver::new(options, Arc::clone(&shared), command_queue, events, close);
        tokio::spawn(async move {
            driver.run().await;
            drop(finished);
        });
        let client = Self {
            shared,
            commands,
            closing: Arc::new(closing),
            done,
        };
        (client, Events { receiver })
    }

    /// Hands over a message, waiting for room. An accepted QoS 1 publish is
    /// answered by exactly one of [`Event::Puback`], [`Event::Refused`] and
    /// [`Event::Lost`], or by the end of the events.
    ///
    /// # Errors
    /// All of [`PublishError`] but `Full`; nothing was sent then.
    pub async fn publish(&self, publish: Publish) -> Result<(), PublishError> {
        let command = self.check(publish)?;
        self.commands
            .send(command)
            .await
            .map_err(|_closed| PublishError::Closed)
    }

    /// As [`Client::publish`], but refuses instead of waiting.
    ///
    /// # Errors
    /// All of [`PublishError`]; nothing was sent then.
    pub fn try_publish(&self, publish: Publish) -> Result<(), PublishError> {
        let command = self.check(publish)?;
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => PublishError::Full,
                mpsc::error::TrySendError::Closed(_) => PublishError::Closed,
            })
    }

    fn check(&self, publish: Publish) -> Result<Command, PublishError> {
        let topic = &publish.topic;
        if topic.is_empty()
            || topic.len() > usize::from(u16::MAX)
            || topic.contains(['+', '#', '\0'])
        {
            return Err(PublishError::Topic);
        }
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        if epoch == 0 {
            return Err(if self.commands.is_closed() {
                PublishError::Closed
            } else {
                PublishError::NotConnected
            });
        }
        let bytes = publish.packet_bytes();
        let limit = self.shared.packet_bytes_max.load(Ordering::Acquire);
        if u32::try_from(bytes).map_or(true, |bytes| bytes > limit) {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        Ok(Command { epoch, publish })
    }

    /// Acknowledges one incoming publish; see [`Client::ack_all`].
    pub fn ack(&self, token: AckToken) {
        self.ack_all([token]);
    }

    /// Acknowledges incoming publishes, in the order given, which must be the
    /// order of arrival (MQTT 5.0, clause 4.6). Tokens of an older connection are
    /// dropped: the broker sends those messages again. Never waits.
    pub fn ack_all(&self, tokens: impl IntoIterator<Item = AckToken>) {
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        let current = tokens
            .into_iter()
            .filter(|token| token.packet_id != 0 && token.epoch == epoch);
        self.shared
            .acks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(current);
        self.shared.acks_ready.notify_one();
    }

    /// Whether a connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.epoch.load(Ordering::Acquire) != 0
    }

    /// QoS 0 messages dropped because nobody took the events.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Sends what was accepted, as far as the window has room, and a DISCONNECT, so
    /// that the broker discards the Last Will, and ends. Takes at most 2 s; does not
    /// wait for PUBACKs: wait for those that matter first.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut done = self.done.clone();
        // The channel carries no value: it only ends, with the driver.
        while done.changed().await.is_ok() {}
    }
}

/// True for a publish that gets an answer.
pub(crate) fn is_answered(publish: &Publish) -> bool {
    publish.qos == Qos::AtLeastOnce
}
