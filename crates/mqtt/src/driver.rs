//! The loop: makes connections one after the other, moves packets, and reports.
//! What packets mean is in `connection.rs`.

use crate::backoff::{Backoff, GOOD};
use crate::client::{Command, Shared, is_answered};
use crate::connection::{Connection, Next, SUBSCRIBE_ID, Up};
use crate::link::LinkError;
use crate::message::{Event, Qos};
use crate::open::{AnyLink, OpenError, open, whole_seconds};
use crate::options::Options;
use crate::pings::Pings;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PingReq, PubAck, Publish as PublishPacket,
    PublishProperties, Subscribe,
};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// For what was accepted and the DISCONNECT.
const CLOSE: Duration = Duration::from_secs(2);
/// Events beside messages and answers.
const EVENTS_EXTRA: usize = 64;

/// Events that may wait for the reader.
pub(crate) fn event_capacity(options: &Options) -> usize {
    Options::unacked_max() + usize::from(options.inflight()) + EVENTS_EXTRA
}

/// How a connection, or the attempt to make one, ended.
enum End {
    /// Make another one.
    Again(String),
    /// Closed, or nobody is left to tell.
    Finished,
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<OpenError> for End {
    fn from(error: OpenError) -> Self {
        Self::Again(error.to_string())
    }
}

/// What the loop waits for.
enum Input<T> {
    /// What was waited for has come.
    Ready(T),
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
            let nothing = std::future::pending::<()>();
            match self.input(nothing, deadline, true).await {
                Input::Deadline => deadline = None,
                // Accepted for a connection that is gone.
                Input::Command(command) => self.lose(&command),
                Input::Room(permit) => self.outbox.fill(permit),
                // Nothing to acknowledge over; those are of an old connection.
                Input::Acks | Input::Ready(()) => {}
                Input::Close | Input::Gone => return false,
            }
        }
        true
    }

    /// The next thing to do. Losing the race loses nothing: what is waited for is the
    /// caller's or can be dropped, as every other future here.
    async fn input<T>(
        &mut self,
        ready: impl Future<Output = T>,
        deadline: Option<Instant>,
        takes: bool,
    ) -> Input<T> {
        let behind = !self.outbox.is_empty();
        let sender = self.outbox.sender.clone();
        let close = &mut self.close;
        tokio::select! {
            ready = ready => Input::Ready(ready),
            () = self.shared.acks_ready.notified() => Input::Acks,
            command = self.commands.recv(), if takes && !behind =>
                command.map_or(Input::Gone, Input::Command),
            permit = sender.clone().reserve_owned(), if behind =>
                permit.map_or(Input::Gone, Input::Room),
            () = sender.closed() => Input::Gone,
            // An error says that no handle is left to close it: then it never is.
            true = async { close.wait_for(|close| *close).await.is_ok() } => Input::Close,
            () = at(deadline) => Input::Deadline,
        }
    }

    /// Reports a publish that was never sent.
    fn lose(&mut self, command: &Command) {
        if is_answered(&command.publish) {
            let tokens = vec![command.publish.token];
            self.outbox.push(Event::Lost { tokens });
        }
    }

    /// One connection, from the attempt to its end.
    async fn connection(&mut self) -> End {
        self.epochs += 1;
        let mut connection = Connection::new(self.epochs, &self.options);
        let Err(end) = self.drive(&mut connection).await;
        self.shared.epoch.store(0, Ordering::Release);
        let tokens = connection.lost();
        if !tokens.is_empty() {
            self.outbox.push(Event::Lost { tokens });
        }
        end
    }

    async fn drive(&mut self, connection: &mut Connection) -> Result<Infallible, End> {
        let (mut link, up) = self.open(connection).await?;
        let ours = self.options.keep_alive();
        // 0 of the broker means none; then ours is kept.
        let theirs = up.keep_alive.filter(|theirs| !theirs.is_zero());
        let mut pings = Pings::new(Instant::now(), theirs.unwrap_or(ours));
        self.up(&mut link, connection.epoch(), &up)?;
        loop {
            self.receive(&mut link, connection, &mut pings)?;
            let takes = connection.has_room() && link.has_room();
            let reads = connection.may_read();
            if !reads {
                // Who does not listen cannot miss an answer.
                pings.answered();
            }
            let turn = link.turn(reads);
            match self.input(turn, Some(pings.next()), takes).await {
                Input::Ready(turned) => turned?,
                Input::Acks => self.acknowledge(&mut link, connection)?,
                Input::Command(command) => self.publish(&mut link, connection, &command)?,
                Input::Room(permit) => self.outbox.fill(permit),
                Input::Gone => return Err(End::Finished),
                Input::Close => {
                    self.send_rest(&mut link, connection)?;
                    // Late or broken: it ends all the same.
                    drop(tokio::time::timeout(CLOSE, link.flush()).await);
                    return Err(End::Finished);
                }
                Input::Deadline if pings.due(Instant::now()) => {
                    link.put(&Packet::PingReq(PingReq))?;
                }
                Input::Deadline => {
                    let reason = "a ping was not answered within the keep-alive";
                    return Err(End::Again(reason.to_owned()));
                }
            }
        }
    }

    /// Makes the connection, doing everything else meanwhile.
    async fn open(&mut self, connection: &mut Connection) -> Result<(AnyLink, Up), End> {
        let options = self.options.clone();
        let mut opening = pin!(open(&options));
        loop {
            match self.input(opening.as_mut(), None, false).await {
                Input::Ready(opened) => {
                    let (link, connack) = opened?;
                    return Ok((link, connection.stands(&connack)));
                }
                Input::Room(permit) => self.outbox.fill(permit),
                Input::Close | Input::Gone => return Err(End::Finished),
                Input::Command(command) => self.lose(&command),
                // Those are of an old connection; no time is set.
                Input::Acks | Input::Deadline => {}
            }
        }
    }

    /// All packets that have come in whole.
    fn receive(
        &mut self,
        link: &mut AnyLink,
        connection: &mut Connection,
        pings: &mut Pings,
    ) -> Result<(), End> {
        while let Some(packet) = link.next()? {
            match connection.handle(packet) {
                Next::Quiet => {}
                Next::Tell(event) => self.tell(event),
                Next::Pong => pings.answered(),
                Next::Broken(reason) => return Err(End::Again(reason)),
            }
        }
        Ok(())
    }

    /// The connection stands: subscribe, and let publishes in.
    fn up(&mut self, link: &mut AnyLink, epoch: u64, up: &Up) -> Result<(), End> {
        let ours = self.options.packet_bytes_max;
        let limit = up.packet_bytes_max.map_or(ours, |theirs| theirs.min(ours));
        self.shared.packet_bytes_max.store(limit, Ordering::Release);
        if !self.options.subscriptions.is_empty() {
            let filters = self.options.subscriptions.iter();
            let filters = filters.map(|filter| Filter::new(filter, QoS::AtLeastOnce));
            link.put(&Packet::Subscribe(Subscribe {
                pkid: SUBSCRIBE_ID,
                ..Subscribe::new_many(filters, None)
            }))?;
        }
        self.shared.epoch.store(epoch, Ordering::Release);
        let session_present = up.session_present;
        self.tell(Event::Connected { session_present });
        Ok(())
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

    /// All that are there, so that those of one commit go out together.
    fn acknowledge(&self, link: &mut AnyLink, connection: &mut Connection) -> Result<(), End> {
        let acks = &self.shared.acks;
        let tokens = std::mem::take(&mut *acks.lock().unwrap_or_else(PoisonError::into_inner));
        for token in tokens {
            if connection.acknowledges(&token) {
                link.put(&Packet::PubAck(PubAck::new(token.packet_id, None)))?;
            }
        }
        Ok(())
    }

    /// This one, and what waits behind it as far as there is room.
    fn publish(
        &mut self,
        link: &mut AnyLink,
        connection: &mut Connection,
        first: &Command,
    ) -> Result<(), End> {
        self.send(link, connection, first)?;
        while connection.has_room()
            && link.has_room()
            && let Ok(command) = self.commands.try_recv()
        {
            self.send(link, connection, &command)?;
        }
        Ok(())
    }

    fn send(
        &mut self,
        link: &mut AnyLink,
        connection: &mut Connection,
        command: &Command,
    ) -> Result<(), End> {
        let publish = &command.publish;
        let limit = self.shared.packet_bytes_max.load(Ordering::Acquire);
        let fits = publish.packet_bytes() <= usize::try_from(limit).unwrap_or(usize::MAX);
        if command.epoch != connection.epoch() || !fits {
            self.lose(command);
            return Ok(());
        }
        let packet = PublishPacket {
            dup: false,
            qos: match publish.qos {
                Qos::AtMostOnce => QoS::AtMostOnce,
                Qos::AtLeastOnce => QoS::AtLeastOnce,
            },
            retain: publish.retain,
            topic: publish.topic.clone().into(),
            pkid: connection.sends(publish),
            payload: publish.payload.clone(),
            properties: Some(PublishProperties {
                message_expiry_interval: publish.message_expiry.map(whole_seconds),
                content_type: publish.content_type.clone(),
                ..PublishProperties::default()
            }),
        };
        Ok(link.put(&Packet::Publish(packet))?)
    }

    /// On close: acknowledgements and publishes already accepted, then DISCONNECT.
    fn send_rest(&mut self, link: &mut AnyLink, connection: &mut Connection) -> Result<(), End> {
        self.acknowledge(link, connection)?;
        while connection.has_room()
            && let Ok(command) = self.commands.try_recv()
        {
            self.send(link, connection, &command)?;
        }
        let disconnect = Disconnect::new(DisconnectReasonCode::NormalDisconnection);
        Ok(link.put(&Packet::Disconnect(disconnect))?)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
