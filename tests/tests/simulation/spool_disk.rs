//! A gateway's disk that fails: it takes nothing (it is full, or read-only), or says
//! of what it took that it could not be synced; always, or now and then. The gateway
//! does what its desk does: what could not be written is declared by the next frames
//! that can, and a spool that failed is opened anew until it works.

use crate::gateway::transfer_id;
use crate::model::{Produced, stream_number};
use crate::viewer;
use crate::world::{Event, World};
use enroute_gateway::SpoolError;
use enroute_gateway::simulation::{Draft, Moment, Spool, Spooled, Unwritten};
use enroute_journal::{LogOptions, Probe};
use enroute_model::frame::Body;
use enroute_model::ids::TransferId;
use enroute_wire::{Message, frame as wire, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The disk under a spool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Which of its writes fail, in turn: one bit each.
    fails: AtomicU64,
    /// They are written, and their sync fails.
    written: AtomicBool,
}

impl Disk {
    fn breaks(&self, fails: u64, written: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
        self.0.written.store(written, Ordering::SeqCst);
    }

    pub(crate) fn mends(&self) {
        self.breaks(0, false);
    }

    pub(crate) fn options(&self) -> LogOptions {
        let probe = |behind: bool| {
            let inner = Arc::clone(&self.0);
            let probe = move || inner.next(behind);
            Some(Probe(Arc::new(probe)))
        };
        LogOptions {
            before_commit: probe(false),
            after_commit: probe(true),
            ..LogOptions::default()
        }
    }
}

impl Inner {
    fn next(&self, behind: bool) -> Result<(), Error> {
        if self.written.load(Ordering::SeqCst) != behind {
            return Ok(());
        }
        let turn = |bits: u64| Some(bits.rotate_right(1));
        let turned = self
            .fails
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, turn);
        let fails = turned.unwrap() & 1 == 1;
        let error = || Error::other("the disk on board fails");
        (!fails).then_some(()).ok_or_else(error)
    }
}

/// What a gateway could not write.
#[derive(Default)]
pub(crate) struct Unsaid {
    /// It may be on the disk all the same.
    bodies: Vec<Body>,
    /// By stream; an own record counts as one.
    frames: BTreeMap<i32, u64>,
    /// A power cut came before it was declared.
    forgotten: bool,
}

impl World {
    pub(crate) fn break_spool(&mut self, number: usize) {
        self.tally.add("spools that failed", 1);
        // All, half of them, or a few of its writes.
        let fails = match self.rng.below(3) {
            0 => u64::MAX,
            1 => self.rng.any(),
            _ => self.rng.any() & self.rng.any() & self.rng.any(),
        };
        let written = self.rng.chance(40);
        let it = &mut self.gateways[number];
        it.disk.breaks(fails, written);
        it.spool_failed = true;
    }

    /// Uses the spool as the desk does.
    pub(crate) fn spool<T>(
        &mut self,
        number: usize,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let now = self.gateway_now(number);
        let it = &mut self.gateways[number];
        let (life, known) = (it.life, it.spool_failed);
        let on = it.on.as_mut().unwrap();
        let spool = on.spool.as_mut().ok_or(SpoolError::Reopening)?;
        spool.set_moment(Moment {
            captured_at: now.wall,
            monotonic: now.monotonic,
            exercise: true,
        });
        let done = work(spool);
        on.unconfirmed = spool.unconfirmed();
        if let Err(error) = &done
            && !on.failed
        {
            assert!(known, "the spool fails on a disk that works: {error}");
            on.failed = true;
            let wait = self.rng.between(300_000, 3_000_000);
            self.at(self.now + wait, Event::Reopen(number, life));
        }
        done
    }

    /// Lets go of a spool that failed and opens it anew.
    pub(crate) fn reopen(&mut self, number: usize, life: u32) {
        if !self.is_on(number, life) {
            return;
        }
        let epoch = self.rng.any();
        let again = self.now + self.rng.between(300_000, 3_000_000);
        let it = &mut self.gateways[number];
        let on = it.on.as_mut().unwrap();
        // Its files are locked until it is gone.
        drop(on.spool.take());
        let opened = Spool::open_as(&it.config.spool, None, || Ok(epoch), it.disk.options());
        let Ok(spool) = opened else {
            return self.at(again, Event::Reopen(number, life));
        };
        on.failed = false;
        let goes_on = spool.transfer().cloned();
        on.spool = Some(spool);
        self.tally.add("spools opened anew", 1);
        self.go_on(number, goes_on);
        self.tell_transfer(number);
    }

    /// The disk may or may not have taken that the next transfer begins.
    fn go_on(&mut self, number: usize, goes_on: Option<TransferId>) {
        let it = &mut self.gateways[number];
        let wanted = match (it.next_leg.clone(), goes_on) {
            (Some(next), _) => next,
            (None, Some(_)) => return,
            (None, None) => transfer_id(number, it.transfers.len() + 1),
        };
        it.next_leg = Some(wanted.clone());
        self.begin_leg(number, &wanted);
    }

    /// The crew begins a transfer, which somebody watches; again when it could not.
    pub(crate) fn begin_leg(&mut self, number: usize, next: &TransferId) {
        let begun = next.clone();
        let started = self.spool(number, |spool| {
            if spool.transfer() == Some(&begun) {
                return Ok(());
            }
            spool.end_leg()?;
            spool.start_leg(Some(begun))
        });
        if started.is_ok() {
            self.gateways[number].next_leg = None;
            self.carries(number, next.clone());
        }
    }

    fn carries(&mut self, number: usize, next: TransferId) {
        self.gateways[number].transfers.push(next.clone());
        let viewer = self.viewers.len();
        self.viewers.push(viewer::new(Some(next), false, 1));
        self.at(self.now + 1_000_000, Event::View(viewer));
    }

    /// What was not written is declared first; once that is on disk, not again.
    pub(crate) fn declare_unwritten(&mut self, number: usize) -> Result<Vec<Spooled>, SpoolError> {
        let unwritten = self.gateways[number].on.as_ref().unwrap().unwritten.clone();
        if unwritten.is_empty() {
            return Ok(Vec::new());
        }
        let declared = self.spool(number, |spool| spool.declare_unwritten(&unwritten))?;
        self.gateways[number].on.as_mut().unwrap().unwritten = Unwritten::default();
        for frame in &declared {
            self.produces(number, frame);
        }
        Ok(declared)
    }

    pub(crate) fn not_written(&mut self, number: usize, drafts: &[Draft]) {
        self.tally
            .add("frames not written on board", drafts.len() as u64);
        let it = &mut self.gateways[number];
        it.on.as_mut().unwrap().unwritten.add(drafts);
        for draft in drafts {
            let stream = stream_number(wire::stream_of(&draft.body).unwrap());
            *it.unsaid.frames.entry(stream).or_default() += 1;
            it.unsaid.bodies.push(draft.body.clone());
        }
    }

    pub(crate) fn produces(&mut self, number: usize, frame: &Spooled) {
        self.model.produced(Produced {
            gateway: number,
            epoch: frame.life.0.0,
            stream: frame.life.1,
            sequence: frame.sequence,
            bytes: frame.payload.clone(),
        });
    }

    /// The power goes, and what nobody wrote down with it.
    pub(crate) fn forget_unwritten(&mut self, number: usize) {
        let it = &mut self.gateways[number];
        let unwritten = it.on.as_ref().map(|on| !on.unwritten.is_empty());
        it.unsaid.forgotten |= unwritten.unwrap_or_default();
        if let Some(next) = it.next_leg.take() {
            self.carries(number, next);
        }
    }

    pub(crate) fn forget_all_unwritten(&mut self, number: usize) {
        self.gateways[number].unsaid.forgotten = true;
    }

    /// What a gateway could not write is in the record, with its cause, unless its
    /// power went first. What was recorded without having been called written is
    /// what the gateway tried to write.
    pub(crate) fn what_was_not_written_is_declared(&self) {
        for (number, it) in self.gateways.iter().enumerate() {
            for (line, held) in &self.model.journal.frames {
                let produced = self.model.produced.get(line);
                let known = |number: &u64| produced.is_some_and(|p| p.contains_key(number));
                let ours = line.0 == number;
                for (_, held) in held.iter().filter(|(n, _)| ours && !known(n)) {
                    let frame = wire::decode(&held.bytes).unwrap();
                    let tried = it.unsaid.bodies.contains(&frame.body);
                    // It gave up frames for a full or failed disk, and then failed.
                    let declared = matches!(frame.body, Body::Shed(_)) && it.spool_failed;
                    assert!(tried || declared, "{line:?}: nobody produced {frame:?}");
                }
            }
            let forgot = self.server.journals > 1 && it.is_small();
            if it.unsaid.forgotten || forgot {
                continue;
            }
            for (stream, lost) in &it.unsaid.frames {
                let declared = self.declared(number, *stream);
                assert!(
                    declared >= *lost,
                    "{}: {lost} frames of stream {stream} were not written, {declared} declared",
                    it.id
                );
            }
        }
    }

    /// Numbers that a gateway's records declare as damaged and that did not come.
    fn declared(&self, number: usize, stream: i32) -> u64 {
        let shed = self.model.journal.shed.iter();
        let shed = shed.filter(|(line, _)| line.0 == number && line.2 == stream);
        let mut numbers = BTreeSet::new();
        for (line, records) in shed {
            let damaged = records.iter();
            let damaged = damaged.filter(|it| it.cause == v1::GapCause::Damaged);
            for sequence in damaged.flat_map(|it| it.first..=it.last) {
                let held = self.model.journal.frames.get(line);
                if !held.is_some_and(|held| held.contains_key(&sequence)) {
                    numbers.insert((*line, sequence));
                }
            }
        }
        u64::try_from(numbers.len()).unwrap()
    }
}

/// Whether a frame says that something was damaged.
pub(crate) fn is_damaged(frame: &[u8]) -> bool {
    let body = v1::Frame::decode(frame).unwrap().body;
    matches!(body, Some(v1::frame::Body::Shed(shed)) if shed.cause() == v1::GapCause::Damaged)
}
