//! Frames out of the journal, each once, in its order: what a resumed viewer
//! missed, and the history of a transfer.
//!
//! Whether a frame was seen before is found by reading the identities of all
//! frames from the transfer's start, aliases included. Memory: ranges of
//! sequences per stream, as many as there are holes; a bounded channel; one
//! record per transfer. The first frame of an identity counts, as in the engine.
//! Runs on a blocking thread, at the pace of whoever reads.

use crate::requests::{Reach, Request};
use crate::subscription::Common;
use crate::update::Sample;
use crate::worded::Worded;
use bytes::Bytes;
use enroute_journal::{Class, Classes, ReadError, Reader, Scan, Stored};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, StreamKey, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_model::time::EngineTime;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Frames read ahead of the reader.
const AHEAD: usize = 64;
/// Behind by no more than this, a viewer's queue takes over.
const NEAR: u64 = 512;

/// The raw frame of a record, and the record around it.
pub(crate) fn received(payload: &Bytes) -> Option<(v1::ReceivedFrame, Bytes)> {
    let record = v1::Record::decode(payload.clone()).ok()?;
    match record.entry? {
        v1::record::Entry::Frame(received) => {
            let frame = received.frame.clone();
            Some((received, frame))
        }
        v1::record::Entry::Presence(_)
        | v1::record::Entry::Registry(_)
        | v1::record::Entry::Unrecorded(_)
        | v1::record::Entry::Rejected(_)
        | v1::record::Entry::RuleBook(_) => None,
    }
}

/// What comes out of the reading thread.
pub(crate) enum Caught {
    Sample(Arc<Worded<Sample>>),
    /// All through here has been given.
    Done(Position),
}

/// Recorded frames of one transfer; bounded, at the reader's pace.
pub struct History(mpsc::Receiver<Result<Caught, ReadError>>);

impl History {
    pub(crate) fn start(
        reader: &Reader,
        reach: Reach,
        after: Position,
        waveforms: bool,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (out, frames) = mpsc::channel(AHEAD);
        let mut finder = Finder::new(reader.clone(), waveforms, after, out);
        drop(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let ended = finder.run(&reach.members, reach.through);
            finder.finish(ended, reach.through);
        }));
        Self(frames)
    }

    /// The next frame; `None` after the last that was recorded when this began.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn next(&mut self) -> Option<Result<Arc<Worded<Sample>>, ReadError>> {
        match self.0.recv().await? {
            Ok(Caught::Sample(sample)) => Some(Ok(sample)),
            Ok(Caught::Done(_)) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Reads what a resumed viewer missed until its queue can take over.
pub(crate) fn catch_up(
    common: &Common,
    waveforms: bool,
    after: Position,
    viewer: u64,
    requests: mpsc::Sender<Request>,
) -> mpsc::Receiver<Result<Caught, ReadError>> {
    let (out, caught) = mpsc::channel(AHEAD);
    let finder = Finder::new(common.reader.clone(), waveforms, after, out);
    let turn = Arc::clone(&common.catching_up).acquire_owned();
    drop(tokio::spawn(async move {
        // Closed it never is.
        if let Ok(permit) = turn.await {
            let reading = move || {
                let _permit = permit;
                follow(finder, |attach| reach(&requests, viewer, attach));
            };
            drop(tokio::task::spawn_blocking(reading));
        }
    }));
    caught
}

/// Asks the shard how far it is; none: it has stopped.
fn reach(requests: &mpsc::Sender<Request>, viewer: u64, attach: bool) -> Option<Reach> {
    let (reply, answer) = oneshot::channel();
    let request = Request::Reach {
        viewer,
        attach,
        reply,
    };
    requests.blocking_send(request).ok()?;
    answer.blocking_recv().ok()
}

/// Reads in rounds, each to where the shard is, until near enough to attach.
pub(crate) fn follow(mut finder: Finder, mut reach: impl FnMut(bool) -> Option<Reach>) {
    let mut done = finder.after;
    let mut attach = false;
    loop {
        let Some(reach) = reach(attach) else {
            return;
        };
        let ended = finder.run(&reach.members, reach.through);
        if attach || !matches!(ended, Ok(true)) {
            return finder.finish(ended, reach.through);
        }
        attach = reach.through.0.saturating_sub(done.0) <= NEAR;
        done = reach.through;
    }
}

/// Which frames are late, by the engine's rule: those of the history lane, and
/// those behind the newest live one of their stream, where lives of a spool
/// follow each other as they were first heard live.
#[derive(Default)]
struct Lateness {
    heard: BTreeMap<(GatewayId, Epoch), EngineTime>,
    newest: BTreeMap<(GatewayId, Stream), (EngineTime, Epoch, u64)>,
}

impl Lateness {
    fn of(&mut self, key: StreamKey, sequence: u64, lane: Lane, at: EngineTime) -> bool {
        if lane == Lane::History {
            return true;
        }
        let life = (key.gateway.clone(), key.epoch);
        let heard = *self.heard.entry(life).or_insert(at);
        let order = (heard, key.epoch, sequence);
        let newest = self
            .newest
            .entry((key.gateway, key.stream))
            .or_insert(order);
        let behind = order < *newest;
        *newest = order.max(*newest);
        behind
    }
}

pub(crate) struct Finder {
    reader: Reader,
    classes: Classes,
    after: Position,
    out: mpsc::Sender<Result<Caught, ReadError>>,
    /// Read so far.
    done: Position,
    read: BTreeSet<TransferId>,
    seen: BTreeMap<StreamKey, RangeSet>,
    lateness: Lateness,
    poisoned: BTreeSet<Position>,
}

impl Finder {
    pub(crate) fn new(
        reader: Reader,
        waveforms: bool,
        after: Position,
        out: mpsc::Sender<Result<Caught, ReadError>>,
    ) -> Self {
        let classes = if waveforms {
            Classes::All
        } else {
            Classes::Only(Class::Vitals)
        };
        Self {
            reader,
            classes,
            after,
            out,
            done: Position(0),
            read: BTreeSet::new(),
            seen: BTreeMap::new(),
            lateness: Lateness::default(),
            poisoned: BTreeSet::new(),
        }
    }

    /// Reads on through `through`; false: nobody listens any more.
    fn run(
        &mut self,
        members: &[(TransferId, TransferId)],
        through: Position,
    ) -> Result<bool, ReadError> {
        // Records marked since the last round lie behind it.
        let marks = self.reader.poisons()?.into_iter();
        self.poisoned = marks.map(|mark| mark.position).collect();
        let mut scans: Vec<(&TransferId, Peekable<Scan>)> = Vec::new();
        for (member, transfer) in members {
            // One that was joined since the last round is read from its start.
            let after = if self.read.contains(member) {
                self.done
            } else {
                Position(0)
            };
            let scan = self.reader.scan(member, self.classes, after).peekable();
            scans.push((transfer, scan));
        }
        while let Some((transfer, stored)) = next_of(&mut scans) {
            let stored = match stored {
                Ok(stored) if stored.position > through => break,
                Ok(stored) => stored,
                // As in the restart: as good as never there.
                Err(ReadError::Record { .. }) => continue,
                Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => return Err(error),
            };
            if !self.give(transfer, &stored) {
                return Ok(false);
            }
        }
        self.done = through;
        self.read
            .extend(members.iter().map(|(member, _)| member.clone()));
        Ok(true)
    }

    fn give(&mut self, transfer: &TransferId, stored: &Stored) -> bool {
        if self.poisoned.contains(&stored.position) {
            return true;
        }
        let Some(sample) = self.new_sample(transfer, stored) else {
            return true;
        };
        // What was joined meanwhile and lies before is not given behind.
        if stored.position <= self.after.max(self.done) {
            return true;
        }
        let caught = Caught::Sample(Arc::new(Worded::new(sample)));
        self.out.blocking_send(Ok(caught)).is_ok()
    }

    /// The frame in a record if its identity was not seen before.
    fn new_sample(&mut self, transfer: &TransferId, stored: &Stored) -> Option<Sample> {
        let (received, frame) = received(&stored.payload)?;
        let header = enroute_wire::frame::decode_header(&frame).ok()?;
        let gateway = GatewayId::new(&received.gateway).ok()?;
        let key = StreamKey {
            gateway: gateway.clone(),
            epoch: header.epoch,
            stream: header.stream,
        };
        let sequences = self.seen.entry(key.clone()).or_default();
        if !sequences.insert(header.sequence, header.sequence) {
            return None;
        }
        let lane = match received.lane() {
            v1::Lane::Live => Lane::Live,
            v1::Lane::History => Lane::History,
            v1::Lane::Unspecified => return None,
        };
        let past = self.lateness.of(key, header.sequence, lane, stored.at);
        Some(Sample {
            transfer: transfer.clone(),
            gateway,
            lane,
            late: past,
            received_at: stored.received_at,
            position: stored.position,
            frame,
        })
    }

    fn finish(&self, ended: Result<bool, ReadError>, through: Position) {
        let last = ended.map(|_| Caught::Done(through));
        // Nobody listens: nothing to finish.
        drop(self.out.blocking_send(last));
    }
}

type Found<'a> = (&'a TransferId, Result<Stored, ReadError>);

/// The item with the lowest position; an unreadable one first.
fn next_of<'a>(scans: &mut [(&'a TransferId, Peekable<Scan>)]) -> Option<Found<'a>> {
    let lowest = scans
        .iter_mut()
        .filter_map(|(transfer, scan)| {
            let position = match scan.peek()? {
                Ok(stored) => stored.position,
                Err(_) => Position(0),
            };
            Some((position, *transfer, scan))
        })
        .min_by_key(|(position, _, _)| *position);
    let (_, transfer, scan) = lowest?;
    Some((transfer, scan.next()?))
}
