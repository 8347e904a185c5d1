//! One connection's loop: publishes in, records to the journal, PUBACKs out in
//! order after their commits.
//!
//! Everything that is acknowledged passes through one queue (`under_way`), bad
//! publishes too, so that PUBACKs keep the order of arrival.

use crate::config::Config;
use crate::decode::{Accepted, Input, Refused, decode};
use crate::outgoing::{Echo, Echoes, Word};
use crate::quarantine::{Quarantine, Quarantined};
use crate::rejections::{Rejection, Rejections};
use crate::stats::{Stats, count};
use enroute_journal::{Append, AppendError, Appender, Class, Pending, TrySubmitError};
use enroute_model::ids::{GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::time::{Clock, EngineTime, ServerTime};
use enroute_mqtt::{AckToken, Client, Event, Events, Incoming};
use enroute_wire::record;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::sync::{mpsc, watch};

/// Gateways whose last transfer is remembered; above it, new ones are not, and
/// their status counts only if it names a transfer.
const GATEWAYS_MAX: usize = 16_384;

/// Characters of a bad topic in the log; the quarantine has all of it.
const TOPIC_CHARS_LOGGED: usize = 128;

/// What a lane works with.
pub(crate) struct Lanes {
    pub(crate) config: Config,
    pub(crate) appender: Appender,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quarantine: Quarantine,
    pub(crate) rejections: Rejections,
    pub(crate) stats: Arc<Stats>,
    pub(crate) echoes: Echoes,
    /// True: the journal failed.
    pub(crate) failed: watch::Sender<bool>,
}

impl Lanes {
    /// Counts and keeps a bad publish. The log has the 1st, 2nd, 4th, 8th … of a
    /// reason: whoever can publish must not be able to fill a disk with lines.
    fn refuse(&self, bad: Quarantined) {
        let refused = self.stats.count_refused(bad.reason.word);
        if refused.is_power_of_two() {
            let topic: String = bad.topic.chars().take(TOPIC_CHARS_LOGGED).collect();
            tracing::warn!(topic, reason = %bad.reason, refused, "publish refused");
        }
        self.quarantine.put(bad);
    }

    /// The record that a refused publish is worth, if it is.
    fn rejection(
        &self,
        topic: &str,
        reason: &str,
        (at, received_at): (EngineTime, ServerTime),
    ) -> Vec<Append> {
        let told = self.rejections.refused(topic);
        let append = |told: Rejection| Append {
            class: Class::Vitals,
            payload: record::of_rejected(&told.gateway, told.publishes, reason),
            transfer: told.transfer,
            at,
            received_at,
        };
        told.into_iter().map(append).collect()
    }
}

/// The commit that a publish waits for.
enum Commit {
    /// Waiting for the journal's queue.
    Room(Pin<Box<dyn Future<Output = Result<Pending, AppendError>> + Send>>),
    /// Queued.
    Queued(Pending),
    /// Nothing to wait for.
    Done,
    /// Will never be: told when those before it are done.
    Failed(AppendError),
}

/// A publish between reading and PUBACK.
struct UnderWay {
    commit: Commit,
    ack: AckToken,
    bytes: usize,
    frames: BTreeMap<(Stream, Lane), u64>,
    echo: Option<(GatewayId, Echo)>,
}

/// One connection.
pub(crate) struct LaneLoop {
    lanes: Arc<Lanes>,
    client: Client,
    events: Events,
    /// The publisher of receipts, on the connection that it uses.
    words: Option<mpsc::Sender<Word>>,
    under_way: VecDeque<UnderWay>,
    bytes: usize,
    subscribed: bool,
    transfers: BTreeMap<GatewayId, TransferId>,
    presence: BTreeMap<GatewayId, (TransferId, bool)>,
}

impl LaneLoop {
    pub(crate) fn new(
        lanes: Arc<Lanes>,
        client: Client,
        events: Events,
        words: Option<mpsc::Sender<Word>>,
    ) -> Self {
        Self {
            lanes,
            client,
            events,
            words,
            under_way: VecDeque::new(),
            bytes: 0,
            subscribed: false,
            transfers: BTreeMap::new(),
            presence: BTreeMap::new(),
        }
    }

    /// Until told to stop: then takes nothing more and waits for the commits of
    /// what it took.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        let mut failed = false;
        while !(stopping && (self.under_way.is_empty() || failed)) {
            let takes = !stopping && !failed && self.has_room();
            let waits = !failed && !self.under_way.is_empty();
            tokio::select! {
                committed = committed(&mut self.under_way), if waits => match committed {
                    Ok(done) => self.acknowledge(done),
                    Err(error) => {
                        failed = true;
                        self.fail(&error);
                    }
                },
                event = self.events.next(), if takes => match event {
                    Some(event) => self.handle(event),
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
    fn has_room(&self) -> bool {
        let config = &self.lanes.config;
        let queued = self
            .under_way
            .back()
            .is_none_or(|last| !matches!(last.commit, Commit::Room(_)));
        queued
            && self.under_way.len() < config.in_flight_max
            && self.bytes < config.in_flight_bytes_max
    }

    fn fail(&self, error: &AppendError) {
        tracing::error!(%error, "the journal takes nothing more; ingest stops acknowledging");
        self.lanes
            .stats
            .journal_failed
            .store(true, Ordering::Release);
        self.lanes.failed.send_replace(true);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Publish(incoming) => self.take(incoming),
            Event::Connected { .. } => self.tell(Word::Connected),
            Event::Puback { token } => self.tell(Word::Puback(token)),
            Event::Disconnected { reason } => {
                count(&self.lanes.stats.disconnects);
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
                count(&self.lanes.stats.subscribed);
            }
        }
    }

    fn unsubscribed(&mut self) {
        if std::mem::take(&mut self.subscribed) {
            self.lanes.stats.subscribed.fetch_sub(1, Ordering::Relaxed);
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
        let lanes = Arc::clone(&self.lanes);
        let stats = &lanes.stats;
        let bytes = incoming.payload.len();
        count(&stats.publishes);
        stats
            .bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        let received_at = ServerTime(lanes.clock.wall());
        let at = lanes.config.engine_start.plus(lanes.clock.monotonic());
        let mut under_way = UnderWay {
            commit: Commit::Done,
            ack: incoming.ack,
            bytes,
            frames: BTreeMap::new(),
            echo: None,
        };
        let records = match decode(&incoming.topic, &incoming.payload) {
            Ok(Input::Status { online: false, .. }) if incoming.retained => {
                // Said at an unknown time in the past, perhaps of a gateway that is
                // sending by now. If it is silent, the engine sees that by itself.
                count(&stats.statuses);
                Ok(Vec::new())
            }
            Ok(input) => Ok(self.records(input, at, received_at, &mut under_way)),
            Err(reason) => Err(reason),
        };
        let commit = records.and_then(|records| submit(&lanes.appender, records));
        match commit {
            Ok(commit) => under_way.commit = commit,
            Err(reason) => {
                (under_way.frames, under_way.echo) = (BTreeMap::new(), None);
                let told = lanes.rejection(&incoming.topic, reason.word, (at, received_at));
                // A record that small is not too large.
                under_way.commit = submit(&lanes.appender, told).unwrap_or(Commit::Done);
                lanes.refuse(Quarantined {
                    topic: incoming.topic,
                    received_at,
                    reason,
                    payload: incoming.payload,
                });
            }
        }
        self.bytes += bytes;
        count(&stats.in_flight);
        self.under_way.push_back(under_way);
    }

    /// The records of a good publish.
    fn records(
        &mut self,
        input: Input,
        at: EngineTime,
        received_at: ServerTime,
        under_way: &mut UnderWay,
    ) -> Vec<Append> {
        match input {
            Input::Frames {
                gateway,
                transfer,
                lane,
                sent_at_us,
                frames,
            } => {
                for frame in &frames {
                    *under_way.frames.entry((frame.stream, lane)).or_default() += 1;
                }
                if lane == Lane::Live {
                    self.remember(&gateway, &transfer);
                }
                self.lanes.rejections.read(&gateway, &transfer);
                let received_at_us = received_at.0;
                under_way.echo = Some((
                    gateway,
                    Echo {
                        lane,
                        sent_at_us,
                        received_at_us,
                    },
                ));
                let append = |frame: Accepted| Append {
                    class: class_of(frame.stream),
                    transfer: transfer.clone(),
                    at,
                    received_at,
                    payload: frame.payload,
                };
                frames.into_iter().map(append).collect()
            }
            Input::Status {
                gateway,
                online,
                transfer,
            } => {
                count(&self.lanes.stats.statuses);
                let records = self.presence(&gateway, online, transfer);
                let append = |(transfer, payload)| Append {
                    class: Class::Vitals,
                    transfer,
                    at,
                    received_at,
                    payload,
                };
                records.into_iter().map(append).collect()
            }
            Input::Nothing => Vec::new(),
        }
    }

    fn remember(&mut self, gateway: &GatewayId, transfer: &TransferId) {
        if let Some(known) = self.transfers.get_mut(gateway) {
            if known != transfer {
                known.clone_from(transfer);
            }
        } else if self.transfers.len() < GATEWAYS_MAX {
            self.transfers.insert(gateway.clone(), transfer.clone());
        }
    }

    /// The record of a status: under the transfer that the gateway last published
    /// for, or else that it names. None when it says nothing new: a retained one
    /// comes again with every connection.
    fn presence(
        &mut self,
        gateway: &GatewayId,
        online: bool,
        named: Option<TransferId>,
    ) -> Option<(TransferId, bytes::Bytes)> {
        let transfer = self.transfers.get(gateway).cloned().or(named)?;
        let word = (transfer.clone(), online);
        if self.presence.get(gateway) == Some(&word) {
            return None;
        }
        if self.presence.len() < GATEWAYS_MAX || self.presence.contains_key(gateway) {
            self.presence.insert(gateway.clone(), word);
        }
        Some((transfer, record::of_presence(gateway, online)))
    }

    /// All of these are durable (or refused): tell the broker, in order.
    fn acknowledge(&mut self, done: Vec<UnderWay>) {
        let stats = &self.lanes.stats;
        let mut acks = Vec::with_capacity(done.len());
        for publish in done {
            self.bytes = self.bytes.saturating_sub(publish.bytes);
            stats.in_flight.fetch_sub(1, Ordering::Relaxed);
            if !publish.frames.is_empty() {
                count(&stats.commits);
            }
            for ((stream, lane), frames) in publish.frames {
                stats.count_frames(stream, lane, frames);
            }
            if let Some((gateway, echo)) = publish.echo {
                self.lanes.echoes.put(gateway, echo);
            }
            acks.push(publish.ack);
        }
        self.client.ack_all(acks);
    }
}

fn class_of(stream: Stream) -> Class {
    match stream {
        Stream::Events | Stream::Numerics => Class::Vitals,
        Stream::Waveforms => Class::Waveforms,
    }
}

/// Refused: records that the journal's queue will never have room for. That is
/// one publish's fault and must not stop the others.
fn submit(appender: &Appender, records: Vec<Append>) -> Result<Commit, Refused> {
    if records.is_empty() {
        return Ok(Commit::Done);
    }
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

/// The publishes at the head whose commits are done, at least one. Dropping the
/// future loses nothing: what is done stays at the head.
async fn committed(under_way: &mut VecDeque<UnderWay>) -> Result<Vec<UnderWay>, AppendError> {
    std::future::poll_fn(|cx| {
        // The last one may wait for room behind others that are committed only later.
        if let Some(last) = under_way.back_mut()
            && let Commit::Room(room) = &mut last.commit
            && let Poll::Ready(queued) = room.as_mut().poll(cx)
        {
            last.commit = queued.map_or_else(Commit::Failed, Commit::Queued);
        }
        let mut done = Vec::new();
        while let Some(first) = under_way.front_mut() {
            let ready: Poll<Result<Position, AppendError>> = match &mut first.commit {
                Commit::Queued(pending) => Pin::new(pending).poll(cx),
                Commit::Done => Poll::Ready(Ok(Position::default())),
                Commit::Room(_) => Poll::Pending,
                Commit::Failed(error) => Poll::Ready(Err(error.clone())),
            };
            match ready {
                Poll::Ready(Ok(_)) => done.extend(under_way.pop_front()),
                Poll::Ready(Err(error)) if done.is_empty() => return Poll::Ready(Err(error)),
                // Those before it are durable all the same.
                Poll::Ready(Err(error)) => {
                    first.commit = Commit::Failed(error);
                    break;
                }
                Poll::Pending => break,
            }
        }
        if done.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Ok(done))
        }
    })
    .await
}
