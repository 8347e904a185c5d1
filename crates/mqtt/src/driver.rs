//! The loop: makes connections one after the other, moves bytes, and reports.
//! The meaning of events is in `connection.rs`.

use crate::backoff::{Backoff, GOOD};
use crate::client::{Command, Shared, is_answered};
use crate::connection::{Connection, Next};
use crate::message::{Event, Qos};
use crate::options::Options;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, Filter, LastWill, Publish as PublishPacket, PublishProperties,
};
use rumqttc::v5::{AsyncClient, ConnectionError, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, TlsConfiguration, Transport};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Seconds for name resolution, TCP and CONNACK together.
const CONNECT_SECONDS: u64 = 5;
/// For what was accepted and the DISCONNECT.
const CLOSE: Duration = Duration::from_secs(2);
/// Requests beside acknowledgements and publishes: subscribe, disconnect.
const REQUESTS_EXTRA: usize = 64;

/// Events that may wait for the reader; and requests that may wait for the library.
pub(crate) fn event_capacity(options: &Options) -> usize {
    Options::unacked_max() + usize::from(options.inflight()) + REQUESTS_EXTRA
}

/// How a connection, or the attempt to make one, ended.
enum End {
    /// Make another one.
    Again(String),
    /// Closed, or nobody is left to tell.
    Finished,
}

/// What the library's poll gives.
type Polled = Result<rumqttc::v5::Event, ConnectionError>;

/// What the loop waits for.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once and taken apart at once; a box would be an allocation for each event"
)]
enum Input {
    /// The library has an event, or its connection ended.
    Library(Polled),
    /// Acknowledgements are to be sent.
    Acks,
    /// A publish is to be sent.
    Command(Command),
    /// The reader made room.
    Room(mpsc::OwnedPermit<Event>),
    /// [`crate::Client::close`].
    Close,
    /// No reader, or no handle, is left.
    Gone,
    /// The time is up.
    Deadline,
}

/// Owner of the connections of one client.
pub(crate) struct Driver {
    options: Options,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    close: watch::Receiver<bool>,
    outbox: Outbox,
    epochs: u64,
}

/// Events on their way to the reader. Bounded: publishes are taken only while
/// it is empty, messages come up to a limit, and no connection is
/// made until it is empty.
struct Outbox {
    sender: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
}

impl Outbox {
    fn push(&mut self, event: Event) {
        if self.waiting.is_empty() {
            match self.sender.try_send(event) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
                Err(mpsc::error::TrySendError::Full(event)) => self.waiting.push_back(event),
            }
        } else {
            self.waiting.push_back(event);
        }
    }

    /// Uses room that the reader made.
    fn fill(&mut self, permit: mpsc::OwnedPermit<Event>) {
        if let Some(event) = self.waiting.pop_front() {
            permit.send(event);
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        sender: mpsc::Sender<Event>,
        close: watch::Receiver<bool>,
    ) -> Self {
        let outbox = Outbox {
            sender,
            waiting: VecDeque::new(),
        };
        Self {
            options,
            shared,
            commands,
            close,
            outbox,
            epochs: 0,
        }
    }

    /// Until closed or nobody listens.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.options.jitter_seed);
        loop {
            let started = Instant::now();
            let end = self.connection().await;
            self.shared.epoch.store(0, Ordering::Release);
            let End::Again(reason) = end else { return };
            tracing::debug!(client_id = %self.options.client_id, reason, "disconnected");
            self.outbox.push(Event::Disconnected { reason });
            if started.elapsed() >= GOOD {
                backoff.reset();
            }
            if !self.pause(Instant::now() + backoff.wait()).await {
                return;
            }
        }
    }

    /// Waits until `until` and until the reader has caught up. False: finished.
    async fn pause(&mut self, until: Instant) -> bool {
        let mut deadline = Some(until);
        while deadline.is_some() || !self.outbox.is_empty() {
            let poll = std::pin::pin!(std::future::pending());
            match self.input(poll, deadline, true, true).await {
                Input::Deadline => deadline = None,
                // Accepted for a connection that is gone.
                Input::Command(command) => self.lose(&command),
                Input::Room(permit) => self.outbox.fill(permit),
                // Nothing to acknowledge over; those are of an old connection.
                Input::Acks | Input::Library(_) => {}
                Input::Close | Input::Gone => return false,
            }
        }
        true
    }

    /// The next thing to do. Losing the race loses nothing: the poll is the
    /// caller's, and every other future here can be dropped.
    async fn input(
        &mut self,
        poll: Pin<&mut impl Future<Output = Polled>>,
        deadline: Option<Instant>,
        takes: bool,
        may_close: bool,
    ) -> Input {
        let behind = !self.outbox.is_empty();
        let sender = self.outbox.sender.clone();
        let close = &mut self.close;
        tokio::select! {
            polled = poll => Input::Library(polled),
            () = self.shared.acks_ready.notified() => Input::Acks,
            command = self.commands.recv(), if takes && !behind =>
                command.map_or(Input::Gone, Input::Command),
            permit = sender.clone().reserve_owned(), if behind =>
                permit.map_or(Input::Gone, Input::Room),
            () = sender.closed() => Input::Gone,
            // An error says that no handle is left to close it: then it never is.
            true = async { close.wait_for(|close| *close).await.is_ok() }, if may_close => Input::Close,
            () = at(deadline) => Input::Deadline,
        }
    }

    /// Reports a publish that was never handed to the library.
    fn lose(&mut self, command: &Command) {
        if is_answered(&command.publish) {
            let tokens = vec![command.publish.token];
            self.outbox.push(Event::Lost { tokens });
        }
    }

    /// One connection, from the attempt to its end.
    async fn connection(&mut self) -> End {
        self.epochs += 1;
        let capacity = event_capacity(&self.options);
        // A fresh library state for each connection: packets pending, collided
        // or buffered of the last one cannot leak into this one.
        let (library, event_loop) = AsyncClient::new(library_options(&self.options), capacity);
        let mut connection = Connection::new(self.epochs, &self.options);
        let end = self.drive(&library, event_loop, &mut connection).await;
        self.shared.epoch.store(0, Ordering::Release);
        let tokens = connection.lost();
        if !tokens.is_empty() {
            self.outbox.push(Event::Lost { tokens });
        }
        end
    }

    async fn drive(
        &mut self,
        library: &AsyncClient,
        mut event_loop: EventLoop,
        connection: &mut Connection,
    ) -> End {
        let mut keep_alive = self.options.keep_alive();
        let mut closing: Option<Instant> = None;
        loop {
            let watchdog = Instant::now() + keep_alive * 2;
            let polled = self
                .poll(library, &mut event_loop, connection, watchdog, &mut closing)
                .await;
            let event = match polled {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => return End::Again(error.to_string()),
                Err(end) => return end,
            };
            match connection.handle(event) {
                Next::Quiet => {}
                Next::Tell(event) => self.tell(event),
                Next::Up {
                    session_present,
                    packet_bytes_max,
                    keep_alive: theirs,
                } => {
                    // A server keep-alive of 0 means none; the library would ping without pause.
                    match theirs {
                        Some(theirs) if !theirs.is_zero() => keep_alive = theirs,
                        Some(_) => {
                            event_loop.options.set_keep_alive(keep_alive);
                        }
                        None => {}
                    }
                    self.up(
                        library,
                        connection.epoch(),
                        session_present,
                        packet_bytes_max,
                    );
                }
                Next::Closed => return End::Finished,
                Next::Broken(reason) => return End::Again(reason),
            }
        }
    }

    /// One event of the library, doing everything else meanwhile. The poll
    /// future lives until it is ready: dropped while it writes, it would leave half
    /// a packet on the wire.
    async fn poll(
        &mut self,
        library: &AsyncClient,
        event_loop: &mut EventLoop,
        connection: &mut Connection,
        watchdog: Instant,
        closing: &mut Option<Instant>,
    ) -> Result<Polled, End> {
        let poll = event_loop.poll();
        tokio::pin!(poll);
        loop {
            let takes = connection.has_room() && closing.is_none();
            let deadline = closing.unwrap_or(watchdog).min(watchdog);
            let input = self.input(poll.as_mut(), Some(deadline), takes, closing.is_none());
            match input.await {
                Input::Library(polled) => return Ok(polled),
                Input::Acks => self.acknowledge(library, connection),
                Input::Command(command) => self.publish(library, connection, &command),
                Input::Room(permit) => self.outbox.fill(permit),
                Input::Gone => return Err(End::Finished),
                Input::Close if self.shared.epoch.load(Ordering::Acquire) == 0 => {
                    return Err(End::Finished);
                }
                Input::Close => {
                    *closing = Some(Instant::now() + CLOSE);
                    self.send_rest(library, connection);
                }
                Input::Deadline if closing.is_some() => return Err(End::Finished),
                Input::Deadline => {
                    let reason = "nothing happened for twice the keep-alive".to_owned();
                    return Err(End::Again(reason));
                }
            }
        }
    }

    /// The connection stands: subscribe, and let publishes in.
    fn up(
        &mut self,
        library: &AsyncClient,
        epoch: u64,
        session_present: bool,
        theirs: Option<u32>,
    ) {
        let ours = self.options.packet_bytes_max;
        let limit = theirs.map_or(ours, |theirs| theirs.min(ours));
        self.shared.packet_bytes_max.store(limit, Ordering::Release);
        if !self.options.subscriptions.is_empty() {
            let filters = self.options.subscriptions.iter();
            let filters = filters.map(|filter| Filter::new(filter, QoS::AtLeastOnce));
            if let Err(error) = library.try_subscribe_many(filters) {
                tracing::error!(%error, "subscription not sent: a filter is not valid");
            }
        }
        self.shared.epoch.store(epoch, Ordering::Release);
        self.tell(Event::Connected { session_present });
    }

    /// Passes an event on. QoS 0 input has no flow control of its own, so it is
    /// dropped while the reader is behind.
    fn tell(&mut self, event: Event) {
        if !self.outbox.is_empty()
            && let Event::Publish(incoming) = &event
            && incoming.ack.packet_id == 0
        {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.outbox.push(event);
    }

    fn acknowledge(&self, library: &AsyncClient, connection: &mut Connection) {
        let tokens = {
            let mut acks = self
                .shared
                .acks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *acks)
        };
        for token in tokens
            .into_iter()
            .filter(|token| connection.acknowledges(token))
        {
            let packet = PublishPacket {
                qos: QoS::AtLeastOnce,
                pkid: token.packet_id,
                ..PublishPacket::default()
            };
            // Fits: the channel holds all that may be unacknowledged beside all publishes.
            if let Err(error) = library.try_ack(&packet) {
                tracing::error!(%error, "acknowledgement not sent");
            }
        }
    }

    fn publish(&mut self, library: &AsyncClient, connection: &mut Connection, command: &Command) {
        let fits = command.publish.packet_bytes()
            <= usize::try_from(self.shared.packet_bytes_max.load(Ordering::Acquire))
                .unwrap_or(usize::MAX);
        if command.epoch != connection.epoch() || !fits {
            self.lose(command);
            return;
        }
        let publish = &command.publish;
        let properties = PublishProperties {
            message_expiry_interval: publish.message_expiry.map(whole_seconds),
            content_type: publish.content_type.clone(),
            ..PublishProperties::default()
        };
        let qos = match publish.qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        };
        let sent = library.try_publish_with_properties(
            publish.topic.as_str(),
            qos,
            publish.retain,
            publish.payload.clone(),
            properties,
        );
        match sent {
            Ok(()) => connection.handed(publish),
            Err(error) => {
                tracing::error!(%error, "publish not handed over");
                self.lose(command);
            }
        }
    }

    /// On close: acknowledgements and publishes already accepted, then DISCONNECT.
    fn send_rest(&mut self, library: &AsyncClient, connection: &mut Connection) {
        self.acknowledge(library, connection);
        while connection.has_room() {
            let Ok(command) = self.commands.try_recv() else {
                break;
            };
            self.publish(library, connection, &command);
        }
        if let Err(error) = library.try_disconnect() {
            tracing::warn!(%error, "disconnect not sent");
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// MQTT counts whole seconds; a part of one counts as one.
fn whole_seconds(span: Duration) -> u32 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn library_options(options: &Options) -> MqttOptions {
    // The library joins host and port with a colon: an IPv6 address needs brackets.
    let host = if options.host.contains(':') && !options.host.starts_with('[') {
        format!("[{}]", options.host)
    } else {
        options.host.clone()
    };
    let mut library = MqttOptions::new(&options.client_id, host, options.port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    library
        .set_network_options(network)
        .set_keep_alive(options.keep_alive())
        .set_connection_timeout(CONNECT_SECONDS)
        .set_clean_start(options.clean_start)
        .set_manual_acks(true)
        .set_outgoing_inflight_upper_limit(options.inflight() + 1)
        .set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(whole_seconds(options.session_expiry)),
            receive_maximum: Some(options.receive_maximum()),
            max_packet_size: Some(options.packet_bytes_max),
            ..ConnectProperties::default()
        });
    if let Some(tls) = &options.tls {
        let config = TlsConfiguration::Rustls(tls.current());
        library.set_transport(Transport::tls_with_config(config));
    }
    if let Some(credentials) = &options.credentials {
        library.set_credentials(&credentials.username, &credentials.password);
    }
    if let Some(will) = &options.will {
        let message = will.payload.to_vec();
        library.set_last_will(LastWill::new(
            &will.topic,
            message,
            QoS::AtLeastOnce,
            will.retain,
            None,
        ));
    }
    library
}
