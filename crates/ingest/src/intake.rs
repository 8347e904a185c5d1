//! Publishes of one connection between reading and PUBACK, without I/O: what
//! comes in becomes records for the journal, and what is durable becomes
//! PUBACKs, in the order of arrival.
//!
//! ```text
//!  take(now, publish, submit) ─► under way ─► commit done ─► acknowledge: PUBACKs, counters, echoes
//! ```
//!
//! Everything that is acknowledged passes through one queue, bad publishes too.
//! The journal and the connection are the caller's: `lane.rs` has the real ones,
//! a simulation its own.

use crate::config::Config;
use crate::decode::{Accepted, Input, Refused, decode};
use crate::ingest::Admits;
use crate::outgoing::{Echo, Echoes};
use crate::quarantine::{Quarantine, Quarantined};
use crate::rate::{self, Rates};
use crate::recent::Recent;
use crate::rejections::{Rejection, Rejections};
use crate::stats::{Stats, count};
use bytes::Bytes;
use enroute_journal::{Append, Class};
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::time::{EngineTime, ServerTime, Span};
use enroute_wire::record;
use enroute_wire::topics::{self, Topic};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Gateways whose last transfer is remembered; those heard of longest ago are
/// forgotten, and their status counts only if it names a transfer.
const GATEWAYS_MAX: usize = 16_384;

/// The word of a refusal because of the number of transfers.
const NO_ROOM: &str = "too_many_transfers";
/// The word of a refusal because of a gateway's rate.
const TOO_FAST: &str = "too_fast";
/// Frames for which a publish counts that was refused: it was unpacked and kept.
const REFUSED_FRAMES: usize = 256;
/// Characters of a bad topic in the log; the quarantine has all of it.
const TOPIC_CHARS_LOGGED: usize = 128;

/// What the lanes share.
#[derive(Debug)]
pub struct Shared {
    config: Config,
    quarantine: Quarantine,
    rejections: Rejections,
    pub(crate) stats: Arc<Stats>,
    echoes: Echoes,
    admits: Option<Admits>,
}

impl Shared {
    /// Of these parts.
    #[must_use]
    pub fn new(config: Config, quarantine: Quarantine, stats: Arc<Stats>, echoes: Echoes) -> Self {
        Self {
            config,
            quarantine,
            rejections: Rejections::default(),
            stats,
            echoes,
            admits: None,
        }
    }

    /// Stores records only of the transfers that this admits; without, of all.
    #[must_use]
    pub fn admitting(self, admits: Admits) -> Self {
        Self {
            admits: Some(admits),
            ..self
        }
    }

    fn admits(&self, transfer: &TransferId, gateway: &GatewayId, at: EngineTime) -> bool {
        self.admits
            .as_ref()
            .is_none_or(|admits| admits.0(transfer, gateway, at))
    }

    /// Counts a refused publish. The log has the 1st, 2nd, 4th, 8th … of a reason:
    /// whoever can publish must not be able to fill a disk with lines.
    fn refuse(&self, topic: &str, reason: &Refused) {
        let refused = self.stats.count_refused(reason.word);
        if refused.is_power_of_two() {
            let topic: String = topic.chars().take(TOPIC_CHARS_LOGGED).collect();
            tracing::warn!(topic, %reason, refused, "publish refused");
        }
    }

    /// The record that a refused publish is worth, if it is.
    fn rejection(&self, topic: &str, reason: &str, now: Moment) -> Option<Append> {
        let told: Rejection = self.rejections.refused(topic)?;
        if !self.admits(&told.transfer, &told.gateway, now.at) {
            return None;
        }
        Some(Append {
            class: Class::Vitals,
            payload: record::of_rejected(&told.gateway, told.publishes, reason),
            transfer: told.transfer,
            at: now.at,
            received_at: now.received_at,
        })
    }
}

/// When a publish came.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Engine time.
    pub at: EngineTime,
    /// The server's wall clock.
    pub received_at: ServerTime,
}

/// A publish as it came; `A` is the right to acknowledge it.
#[derive(Debug)]
pub struct Received<A> {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Kept by the broker from before the subscription.
    pub retained: bool,
    /// Given back when it is done.
    pub ack: A,
}

/// A publish between reading and PUBACK.
#[derive(Debug)]
struct UnderWay<A, C> {
    /// What it waits for; none: nothing.
    commit: Option<C>,
    ack: A,
    bytes: usize,
    /// Frames of each stream.
    frames: [u64; Stream::ALL.len()],
    /// Theirs.
    lane: Lane,
    /// Of a publish with frames that says when it was sent.
    echo: Option<(GatewayId, Echo)>,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing yet.
    NotYet,
    /// It is durable.
    Durable,
    /// The journal has failed, and the live view has it all the same (I2).
    Unrecorded,
}

impl From<bool> for Done {
    fn from(durable: bool) -> Self {
        if durable { Self::Durable } else { Self::NotYet }
    }
}

/// What became of reading a publish.
enum Read {
    /// Nothing: its gateway has sent too much.
    TooFast(GatewayId),
    /// It was read.
    Decoded(Result<Input, Refused>),
}

/// The publishes of one connection; `C` is a commit that one waits for.
#[derive(Debug)]
pub struct Intake<A, C> {
    shared: Arc<Shared>,
    under_way: VecDeque<UnderWay<A, C>>,
    bytes: usize,
    frames: u64,
    rates: Rates,
    transfers: Recent<GatewayId, TransferId>,
    presence: Recent<GatewayId, (TransferId, bool)>,
}

impl<A, C> Intake<A, C> {
    /// Nothing under way.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            under_way: VecDeque::new(),
            bytes: 0,
            frames: 0,
            rates: Rates::new(GATEWAYS_MAX),
            transfers: Recent::new(GATEWAYS_MAX),
            presence: Recent::new(GATEWAYS_MAX),
        }
    }

    /// When the engine's clock and the server's show this.
    #[must_use]
    pub fn moment(&self, monotonic: Span, wall_us: i64) -> Moment {
        Moment {
            at: self.shared.config.engine_start.plus(monotonic),
            received_at: ServerTime(wall_us),
        }
    }

    /// Nothing waits for its commit or its PUBACK.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Room for one more publish.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let config = &self.shared.config;
        self.under_way.len() < config.in_flight_max && self.bytes < config.in_flight_bytes_max
    }

    /// Frames of the publishes under way.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The commit that the last publish waits for.
    pub fn last_commit(&mut self) -> Option<&mut C> {
        self.under_way.back_mut()?.commit.as_mut()
    }

    /// Takes a publish whole or refuses it whole. `submit` hands its records to
    /// the journal; an error there means that they never fit it, which is one
    /// publish's fault and must not stop the others. Gives the gateway that is to be
    /// told that there is no room for its transfer, or for so much of it.
    pub fn take(
        &mut self,
        now: Moment,
        incoming: Received<A>,
        mut submit: impl FnMut(Vec<Append>) -> Result<C, Refused>,
    ) -> Option<GatewayId> {
        let shared = Arc::clone(&self.shared);
        let stats = &shared.stats;
        let bytes = incoming.payload.len();
        count(&stats.publishes);
        stats
            .bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        let mut full = None;
        let mut under_way = UnderWay {
            commit: None,
            ack: incoming.ack,
            bytes,
            frames: [0; Stream::ALL.len()],
            lane: Lane::Live,
            echo: None,
        };
        let records = match self.read(&incoming.topic, &incoming.payload, now) {
            Read::TooFast(gateway) => {
                let why = format!("{gateway} sends more than one gateway may");
                shared.refuse(&incoming.topic, &Refused::new(TOO_FAST, why));
                full = Some(gateway);
                Ok(Vec::new())
            }
            Read::Decoded(decoded) => match decoded {
                Ok(Input::Status { online: false, .. }) if incoming.retained => {
                    // Said at an unknown time in the past, perhaps of a gateway that is
                    // sending by now. If it is silent, the engine sees that by itself.
                    count(&stats.statuses);
                    Ok(Vec::new())
                }
                Ok(Input::Frames {
                    gateway, transfer, ..
                }) if !shared.admits(&transfer, &gateway, now.at) => {
                    // Nothing is wrong with it, and it comes again: no quarantine.
                    let there_is_none = "there is no room for another transfer";
                    shared.refuse(&incoming.topic, &Refused::new(NO_ROOM, there_is_none));
                    full = Some(gateway);
                    Ok(Vec::new())
                }
                Ok(input) => Ok(self.records(input, now, &mut under_way)),
                Err(reason) => Err(reason),
            },
        };
        let commit = records.and_then(|records| match records.as_slice() {
            [] => Ok(None),
            [..] => submit(records).map(Some),
        });
        match commit {
            Ok(commit) => under_way.commit = commit,
            Err(reason) => {
                (under_way.frames, under_way.echo) = ([0; Stream::ALL.len()], None);
                let told = shared.rejection(&incoming.topic, reason.word, now);
                // A record that small is not too large.
                under_way.commit = told.and_then(|told| submit(vec![told]).ok());
                shared.refuse(&incoming.topic, &reason);
                shared.quarantine.put(Quarantined {
                    topic: incoming.topic,
                    received_at: now.received_at,
                    reason,
                    payload: incoming.payload,
                });
            }
        }
        self.bytes += bytes;
        self.frames += under_way.frames.iter().sum::<u64>();
        count(&stats.in_flight);
        self.under_way.push_back(under_way);
        full
    }

    /// Reads a publish, unless its gateway is in debt, and counts what it costs.
    fn read(&mut self, topic: &str, payload: &Bytes, now: Moment) -> Read {
        let parsed = Topic::parse(topic);
        let gateway = match &parsed {
            Ok(
                Topic::Frames { gateway, .. }
                | Topic::Notes { gateway, .. }
                | Topic::Status(gateway)
                | Topic::Receipt(gateway)
                | Topic::Command(gateway),
            ) => Some(gateway.clone()),
            // Whoever it names pays for it all the same.
            Err(_) => topics::gateway_in(topic).and_then(|name| GatewayId::new(name).ok()),
        };
        if let Some(gateway) = &gateway
            && !self.rates.allows(gateway, now.at)
        {
            return Read::TooFast(gateway.clone());
        }
        let decoded = decode(parsed, payload);
        let (frames, bytes) = match &decoded {
            Ok(Input::Frames { frames, .. }) => {
                let bytes = frames.iter().map(|frame| frame.payload.len());
                (frames.len(), bytes.sum())
            }
            // What is wrong may have cost as much as a publish can.
            Err(_) => (REFUSED_FRAMES, payload.len()),
            Ok(Input::Status { .. } | Input::Nothing) => (1, payload.len()),
        };
        if let Some(gateway) = gateway {
            let is_live = topic.ends_with("/live");
            let weight = if is_live { rate::LIVE } else { 1 };
            self.rates.spend(&gateway, now.at, (frames, bytes), weight);
        }
        Read::Decoded(decoded)
    }

    /// The records of a good publish.
    fn records(
        &mut self,
        input: Input,
        Moment { at, received_at }: Moment,
        under_way: &mut UnderWay<A, C>,
    ) -> Vec<Append> {
        match input {
            Input::Frames {
                gateway,
                transfer,
                lane,
                sent_at_us,
                frames,
            } => {
                for (stream, counted) in Stream::ALL.iter().zip(&mut under_way.frames) {
                    let of_it = frames.iter().filter(|frame| frame.stream == *stream);
                    *counted = u64::try_from(of_it.count()).unwrap_or(u64::MAX);
                }
                under_way.lane = lane;
                if lane == Lane::Live {
                    self.remember(&gateway, &transfer);
                }
                self.shared.rejections.read(&gateway, &transfer);
                let received_at_us = received_at.0;
                let echo = Echo {
                    lane,
                    sent_at_us,
                    received_at_us,
                };
                // Waveforms alone do not state it.
                under_way.echo = (sent_at_us != 0).then_some((gateway, echo));
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
                count(&self.shared.stats.statuses);
                let records = self.presence(&gateway, online, transfer, at);
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
        match self.transfers.get(gateway) {
            Some(known) if known == transfer => {}
            Some(known) => known.clone_from(transfer),
            None => self.transfers.put(gateway.clone(), transfer.clone()),
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
        at: EngineTime,
    ) -> Option<(TransferId, Bytes)> {
        let transfer = self.transfers.peek(gateway).cloned().or(named)?;
        let mut word = (transfer.clone(), online);
        if self.presence.get(gateway) == Some(&mut word) {
            return None;
        }
        // A word of presence is no reason to begin a transfer beyond the limit.
        if !self.shared.admits(&transfer, gateway, at) {
            return None;
        }
        self.presence.put(gateway.clone(), word);
        Some((transfer, record::of_presence(gateway, online)))
    }

    /// PUBACKs for the publishes at the head that `is_done` says are durable, or
    /// handed over while nothing can be, in order, up to the first that is not. An error of one ends it as well, and
    /// is given if nothing came before it.
    ///
    /// # Errors
    /// What `is_done` said of the first that waits.
    pub fn acknowledge<D: Into<Done>, E>(
        &mut self,
        mut is_done: impl FnMut(&mut C) -> Result<D, E>,
    ) -> Result<Vec<A>, E> {
        let mut acks = Vec::new();
        while let Some(first) = self.under_way.front_mut() {
            let commit = first.commit.as_mut();
            let done = commit.map_or(Ok(Done::Durable), |commit| is_done(commit).map(Into::into));
            let durable = match done {
                Ok(Done::Durable) => true,
                Ok(Done::Unrecorded) => false,
                Err(error) if acks.is_empty() => return Err(error),
                // Behind an error, those before it are done all the same.
                Ok(Done::NotYet) | Err(_) => break,
            };
            let first = self.under_way.pop_front();
            acks.extend(first.map(|publish| self.done(publish, durable)));
        }
        Ok(acks)
    }

    fn done(&mut self, publish: UnderWay<A, C>, durable: bool) -> A {
        let stats = &self.shared.stats;
        self.bytes = self.bytes.saturating_sub(publish.bytes);
        let frames = publish.frames.iter().sum();
        self.frames = self.frames.saturating_sub(frames);
        stats.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !durable {
            count(&stats.unrecorded);
        } else if frames > 0 {
            count(&stats.commits);
        }
        let counted = Stream::ALL.into_iter().zip(publish.frames);
        for (stream, frames) in counted.filter(|(_, frames)| durable && *frames > 0) {
            stats.count_frames(stream, publish.lane, frames);
        }
        if let Some((gateway, echo)) = publish.echo {
            self.shared.echoes.put(gateway, echo);
        }
        publish.ack
    }
}

fn class_of(stream: Stream) -> Class {
    match stream {
        Stream::Events | Stream::Numerics => Class::Vitals,
        Stream::Waveforms => Class::Waveforms,
    }
}
