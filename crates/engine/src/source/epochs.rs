//! The lives of a source's spool and the ledgers of their streams.

use super::{Ctx, Source};
use crate::bounds::{EPOCHS_MAX, LEGS_MAX};
use crate::effects::StreamReceipt;
use crate::ledger::{Ledger, Taken};
use enroute_model::frame::{Body, Frame, Header, LinkReport, Shed, StreamReport};
use enroute_model::ids::{Epoch, GatewayId, Stream};
use enroute_model::state::StreamCompleteness;
use enroute_model::time::EngineTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Streams that a report lists at most (contract): a list that long may have
/// been cut, and what it does not name is not known to be gone.
const STREAMS_NAMED_MAX: usize = 96;

/// A stream of a life of the spool, from this sequence on.
pub(super) type Leg = (Epoch, Stream, u64);

/// One life of the spool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Life {
    /// When it was first heard live.
    pub(super) heard_live: Option<EngineTime>,
    /// When it was last heard at all.
    last: EngineTime,
    ledgers: BTreeMap<(Stream, u64), Ledger>,
    /// Streams that the gateway no longer names among those of which it holds
    /// frames: what is missing of them is lost with its spool.
    lost: Vec<Stream>,
}

impl Life {
    fn new(at: EngineTime) -> Self {
        Self {
            heard_live: None,
            last: at,
            ledgers: BTreeMap::new(),
            lost: Vec::new(),
        }
    }

    /// Through which number frames of a leg have come or been given up, from
    /// this one on.
    pub(super) fn covered(&self, stream: Stream, leg: u64, sequence: u64) -> Option<u64> {
        self.ledgers.get(&(stream, leg))?.through(sequence)
    }

    /// A new frame of it came live: it is not gone. Says when the first one did.
    pub(super) fn heard(&mut self, at: EngineTime) -> EngineTime {
        self.lost.clear();
        *self.heard_live.get_or_insert(at)
    }
}

/// Refused publishes as records told them. Ingest counts from each start of the
/// server on, and tells no count twice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rejected {
    /// Before the present start.
    before: u64,
    /// Since then.
    told: u64,
}

impl Rejected {
    pub(super) fn publishes(self) -> u64 {
        self.before.saturating_add(self.told)
    }
}

fn leg_first(header: &Header) -> u64 {
    header.leg_first.min(header.sequence).max(1)
}

impl Source {
    /// Books a frame by its identity (I4).
    pub(crate) fn take(&mut self, frame: &Frame, digest: u32, ctx: &mut Ctx) -> Taken {
        let header = &frame.header;
        self.make_room(header.epoch, ctx);
        let life = self.epochs.entry(header.epoch);
        let life = life.or_insert_with(|| Life::new(ctx.at));
        life.last = ctx.at;
        let leg = (header.stream, leg_first(header));
        if life.ledgers.len() >= LEGS_MAX && !life.ledgers.contains_key(&leg) {
            return Taken::Full;
        }
        let ledger = life.ledgers.entry(leg).or_default();
        ctx.out.changed.complete(ctx.gateway);
        let (sequence, at) = (header.sequence, header.captured_at);
        if matches!(frame.body, Body::Shed(_)) {
            return ledger.take_shed(sequence, at, digest);
        }
        ledger.take(sequence, at, digest)
    }

    /// Frames of the leg that the spool gave up; the range ends at the shed
    /// record itself.
    pub(crate) fn give_up(&mut self, header: &Header, shed: &Shed) {
        let leg = leg_first(header);
        if let Some(life) = self.epochs.get_mut(&header.epoch)
            && let Some(ledger) = life.ledgers.get_mut(&(header.stream, leg))
        {
            let (first, last) = (shed.first.max(leg), shed.last.min(header.sequence));
            ledger.give_up(shed, first, last);
        }
    }

    /// What the gateway says it made and sent, and of which lives it still
    /// holds frames. Numbers only grow, so late ones count too; what is gone is
    /// believed of the newest word only.
    pub(crate) fn book_report(&mut self, header: &Header, report: &LinkReport, late: bool) {
        for stream in &report.streams {
            self.book_stream(stream);
        }
        let names_itself = report.streams.iter().any(|s| s.epoch == header.epoch);
        if !late && names_itself && report.streams.len() < STREAMS_NAMED_MAX {
            self.conclude(header.epoch, &report.streams);
        }
    }

    /// Room for what no frame was seen of is only used as long as there is some:
    /// a report drops nothing.
    fn book_stream(&mut self, report: &StreamReport) {
        let first = report.leg_first.filter(|first| *first <= report.produced);
        let Some(first) = first else { return };
        let room = self.epochs.len() < EPOCHS_MAX || self.epochs.contains_key(&report.epoch);
        if !room {
            return;
        }
        let life = self.epochs.entry(report.epoch);
        let life = life.or_insert_with(|| Life::new(EngineTime(i64::MIN)));
        let leg = (report.stream, first.max(1));
        if life.ledgers.len() < LEGS_MAX || life.ledgers.contains_key(&leg) {
            let ledger = life.ledgers.entry(leg).or_default();
            ledger.reported(report.produced, report.sent);
        }
    }

    /// `present` is alive and names all that it holds. Lives heard after it
    /// speak for themselves.
    fn conclude(&mut self, present: Epoch, held: &[StreamReport]) {
        let heard = self.epochs.get(&present).and_then(|life| life.heard_live);
        for (epoch, life) in &mut self.epochs {
            if *epoch == present {
                life.lost.clear();
            } else if life.heard_live < heard {
                let gone = |stream: &Stream| {
                    let same = |s: &StreamReport| s.epoch == *epoch && s.stream == *stream;
                    !held.iter().any(same)
                };
                life.lost = Stream::ALL.into_iter().filter(gone).collect();
            }
        }
    }

    /// The oldest frame that is missing of each leg, and how many frames will
    /// never come.
    pub(super) fn standing(&self) -> (Vec<(Leg, u64)>, u64) {
        let (mut holes, mut given_up) = (Vec::new(), 0_u64);
        for (epoch, life) in &self.epochs {
            for ((stream, first), ledger) in &life.ledgers {
                let lost = life.lost.contains(stream);
                let (oldest, gone) = ledger.standing(*first, lost);
                holes.extend(oldest.map(|oldest| ((*epoch, *stream, *first), oldest)));
                given_up = given_up.saturating_add(gone);
            }
        }
        (holes, given_up)
    }

    /// A count that did not grow is that of another start of the server.
    pub(crate) fn note_rejected(&mut self, publishes: u64) {
        if publishes <= self.rejected.told {
            self.rejected.before = self.rejected.publishes();
        }
        self.rejected.told = publishes;
    }

    /// One more epoch than there is room for drops the one unheard for longest.
    /// Frames of it that come again later are new: journalled twice, never lost.
    fn make_room(&mut self, epoch: Epoch, ctx: &mut Ctx) {
        if self.epochs.len() < EPOCHS_MAX || self.epochs.contains_key(&epoch) {
            return;
        }
        self.drop_oldest(ctx);
    }

    fn drop_oldest(&mut self, ctx: &mut Ctx) {
        let oldest = self
            .epochs
            .iter()
            .min_by_key(|(id, life)| (life.last, **id));
        if let Some(oldest) = oldest.map(|(id, _)| *id) {
            self.epochs.remove(&oldest);
            ctx.overflow.epochs = ctx.overflow.epochs.saturating_add(1);
        }
    }

    /// Takes over what another engine knows of the same gateway's lives.
    pub(super) fn merge_epochs(&mut self, other: BTreeMap<Epoch, Life>, ctx: &mut Ctx) {
        for (epoch, theirs) in other {
            let Some(ours) = self.epochs.get_mut(&epoch) else {
                self.epochs.insert(epoch, theirs);
                continue;
            };
            ours.last = ours.last.max(theirs.last);
            ours.heard_live = match (ours.heard_live, theirs.heard_live) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            // What only one of them believes is not known.
            ours.lost.retain(|stream| theirs.lost.contains(stream));
            for (leg, ledger) in theirs.ledgers {
                ours.ledgers.entry(leg).or_default().merge(&ledger);
            }
        }
        while self.epochs.len() > EPOCHS_MAX {
            self.drop_oldest(ctx);
        }
    }

    pub(crate) fn completeness(&self) -> Vec<StreamCompleteness> {
        let streams = self.epochs.iter().flat_map(|(epoch, life)| {
            let ledgers = life.ledgers.iter();
            ledgers.map(|((stream, first), ledger)| {
                ledger.completeness((*epoch, *stream, *first), life.lost.contains(stream))
            })
        });
        streams.collect()
    }

    pub(crate) fn receipts(&self, gateway: &GatewayId) -> Vec<StreamReceipt> {
        let streams = self.epochs.iter().flat_map(|(epoch, life)| {
            let ledgers = life.ledgers.iter();
            let ledgers = ledgers.filter(|((_, first), ledger)| !ledger.is_empty(*first));
            ledgers
                .map(|((stream, first), ledger)| ledger.receipt(gateway, (*epoch, *stream, *first)))
        });
        streams.collect()
    }
}
