//! One connection's loop: publishes in, records to the journal, PUBACKs out in
//! order after their commits. What it means is in `intake.rs`; here are the
//! waiting, the connection and the journal.

use crate::decode::Refused;
use crate::intake::{Done, Intake, Received, Shared};
use crate::outgoing::Word;
use crate::stats::count;
use enroute_journal::{Append, AppendError, Appender, Pending, TrySubmitError};
use enroute_model::ids::Position;
use enroute_model::time::Clock;
use enroute_mqtt::{AckToken, Client, Event, Events, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, watch};

/// Frames of history between reading and the engines; one publish always fits.
/// The engines handle so many in some ten milliseconds.
const HISTORY_FRAMES_MAX: u64 = 1_024;

/// What a lane works with.
pub(crate) struct Lanes {
    pub(crate) shared: Arc<Shared>,
    pub(crate) appender: Appender,
    pub(crate) clock: Arc<dyn Clock>,
    /// True: the journal takes nothing more.
    pub(crate) failed: watch::Sender<bool>,
}

/// The commit that a publish waits for.
enum Commit {
    /// Waiting for the journal's queue.
    Room(Pin<Box<dyn Future<Output = Result<Pending, AppendError>> + Send>>),
    /// Queued.
    Queued(Pending),
    /// Durable; the engines have not come to it.
    Engines(Position),
    /// Nothing to wait for any more.
    Over(Done),
    /// Will never be: told when those before it are done.
    Failed(AppendError),
}

/// One connection.
pub(crate) struct LaneLoop {
    lanes: Arc<Lanes>,
    client: Client,
    events: Events,
    /// The publisher of receipts, on the connection that it uses.
    words: Option<mpsc::Sender<Word>>,
    intake: Intake<AckToken, Commit>,
    /// Only so much may lie between here and the engines.
    engines: Option<Engines>,
    subscribed: bool,
}

/// What a lane is told of the engines behind the journal.
struct Engines {
    handled: watch::Receiver<Position>,
    /// Frames under way, beyond which nothing is read.
    frames_max: u64,
}

impl LaneLoop {
    pub(crate) fn live(
        lanes: Arc<Lanes>,
        connection: (Client, Events),
        words: mpsc::Sender<Word>,
    ) -> Self {
        Self::new(lanes, connection, Some(words), None)
    }

    /// History waits for the engines: a live frame stands behind all that was put
    /// into the journal's queue before it, until they have handled it.
    pub(crate) fn history(
        lanes: Arc<Lanes>,
        connection: (Client, Events),
        handled: watch::Receiver<Position>,
    ) -> Self {
        let frames_max = HISTORY_FRAMES_MAX;
        let engines = Engines {
            handled,
            frames_max,
        };
        Self::new(lanes, connection, None, Some(engines))
    }

    fn new(
        lanes: Arc<Lanes>,
        (client, events): (Client, Events),
        words: Option<mpsc::Sender<Word>>,
        engines: Option<Engines>,
    ) -> Self {
        Self {
            intake: Intake::new(Arc::clone(&lanes.shared)),
            lanes,
            client,
            events,
            words,
            engines,
            subscribed: false,
        }
    }

    /// Until told to stop: then takes nothing more and waits for the commits of
    /// what it took.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        let mut failed = false;
        while !(stopping && (self.intake.is_empty() || failed)) {
            let takes = !stopping && !failed && self.has_room();
            let waits = !failed && !self.intake.is_empty();
            tokio::select! {
                committed = committed(&mut self.intake, &mut self.engines), if waits => match committed {
                    Ok(acks) => self.client.ack_all(acks),
                    Err(error) => {
                        failed = true;
                        self.fail(&error);
                    }
                },
                event = self.events.next(), if takes => match event {
                    Some(event) => self.handle_all(event),
                    None => stopping = true,
                },
                // The sender gone means the same as its word.
                _ = stop.wait_for(|stop| *stop), if !stopping => stopping = true,
            }
        }
        self.client.close().await;
        self.unsubscribed();
    }

    /// Room for one more publish, and none waits for the journal: the order of
    /// the lane is the order of the journal's queue.
    fn has_room(&mut self) -> bool {
        let waits = matches!(self.intake.last_commit(), Some(Commit::Room(_)));
        let full = |engines: &Engines| self.intake.frames() >= engines.frames_max;
        !waits && self.intake.has_room() && !self.engines.as_ref().is_some_and(full)
    }

    fn fail(&self, error: &AppendError) {
        tracing::error!(%error, "the journal takes nothing more; ingest stops acknowledging");
        let stats = &self.lanes.shared.stats;
        stats.journal_failed.store(true, Ordering::Release);
        self.lanes.failed.send_replace(true);
    }

    /// This one and what came with it, as far as there is room: one turn of the loop for
    /// all that a read brought.
    fn handle_all(&mut self, first: Event) {
        self.handle(first);
        while self.has_room()
            && let Some(event) = self.events.try_next()
        {
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Publish(incoming) => self.take(incoming),
            Event::Connected { .. } => self.tell(Word::Connected),
            Event::Puback { token } => self.tell(Word::Puback(token)),
            Event::Disconnected { reason } => {
                count(&self.lanes.shared.stats.disconnects);
                self.unsubscribed();
                tracing::info!(reason, "ingest's connection to the broker ended");
            }
            Event::Refused { reason, .. } => {
                tracing::warn!(reason, "the broker refused a receipt or command");
            }
            // Receipts are cumulative, commands are repeated: see `outgoing.rs`.
            Event::Lost { .. } => {}
            Event::Subscribed => {
                self.subscribed = true;
                count(&self.lanes.shared.stats.subscribed);
            }
        }
    }

    fn unsubscribed(&mut self) {
        if std::mem::take(&mut self.subscribed) {
            self.lanes
                .shared
                .stats
                .subscribed
                .fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What does not fit is missed: the publisher repeats what it does not hear of.
    fn tell(&self, word: Word) {
        if let Some(words) = &self.words
            && words.try_send(word).is_err()
        {
            tracing::debug!("publisher of receipts is behind");
        }
    }

    fn take(&mut self, incoming: Incoming) {
        let lanes = &self.lanes;
        let (monotonic, wall_us) = (lanes.clock.monotonic(), lanes.clock.wall());
        let now = self.intake.moment(monotonic, wall_us);
        let received = Received {
            topic: incoming.topic,
            payload: incoming.payload,
            retained: incoming.retained,
            ack: incoming.ack,
        };
        let full = self
            .intake
            .take(now, received, |records| submit(&lanes.appender, records));
        if let Some(gateway) = full {
            self.tell(Word::Full(gateway));
        }
    }
}

/// Refused: records that the journal's queue will never have room for.
fn submit(appender: &Appender, records: Vec<Append>) -> Result<Commit, Refused> {
    match appender.try_submit(records) {
        Ok(pending) => Ok(Commit::Queued(pending)),
        Err(TrySubmitError::Full(records)) => {
            let appender = appender.clone();
            let room = Box::pin(async move { appender.submit(records).await });
            Ok(Commit::Room(room))
        }
        Err(TrySubmitError::Append(error @ AppendError::TooLarge { .. })) => {
            Err(Refused::new("over_limit", error.to_string()))
        }
        Err(TrySubmitError::Append(error)) => Ok(Commit::Failed(error)),
    }
}

impl Commit {
    /// Waiting for room becomes waiting for the commit.
    fn queue(&mut self, cx: &mut Context<'_>) {
        if let Self::Room(room) = self
            && let Poll::Ready(queued) = room.as_mut().poll(cx)
        {
            *self = queued.map_or_else(Self::Failed, Self::Queued);
        }
    }

    /// What became of it. Its end is kept: a future must not be asked twice.
    fn is_done(&mut self, cx: &mut Context<'_>, handled: Position) -> Result<Done, AppendError> {
        if let Self::Queued(pending) = self
            && let Poll::Ready(done) = Pin::new(pending).poll(cx)
        {
            *self = match done {
                Ok(last) => Self::Engines(last),
                // Handed to the live view, and no receipt will cover it (I2).
                Err(AppendError::Unrecorded(_)) => Self::Over(Done::Unrecorded),
                Err(error) => Self::Failed(error),
            };
        }
        match self {
            Self::Over(done) => Ok(*done),
            Self::Engines(last) if *last <= handled => Ok(Done::Durable),
            Self::Queued(_) | Self::Room(_) | Self::Engines(_) => Ok(Done::NotYet),
            Self::Failed(error) => Err(error.clone()),
        }
    }
}

/// The PUBACKs of the publishes at the head whose commits are done, at least one.
/// Dropping the future loses nothing: what is done stays at the head.
async fn committed(
    intake: &mut Intake<AckToken, Commit>,
    engines: &mut Option<Engines>,
) -> Result<Vec<AckToken>, AppendError> {
    loop {
        let handled = engines
            .as_mut()
            .map(|engines| *engines.handled.borrow_and_update());
        let handled = handled.unwrap_or(Position(u64::MAX));
        let acks = std::future::poll_fn(|cx| {
            // The last one may wait for room behind others that are committed only later.
            if let Some(last) = intake.last_commit() {
                last.queue(cx);
            }
            match intake.acknowledge(|commit| commit.is_done(cx, handled)) {
                Ok(acks) if acks.is_empty() => Poll::Pending,
                done => Poll::Ready(done),
            }
        });
        tokio::select! {
            done = acks => return done,
            alive = moved(engines.as_mut()) => if !alive {
                *engines = None;
            },
        }
    }
}

/// Until the engines have come further; false: they have ended.
async fn moved(engines: Option<&mut Engines>) -> bool {
    match engines {
        Some(engines) => engines.handled.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}
