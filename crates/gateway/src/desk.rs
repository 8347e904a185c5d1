//! Where everything that is recorded passes: the source, the crew's page, the
//! link reports. Puts it on disk, then hands it to the uplink, in one order.

use crate::config::SpoolConfig;
use crate::notes::Board;
use crate::spool::{Draft, Moment, Spool, SpoolError, Spooled, StreamLife, Unwritten};
use crate::stats::Stats;
use crate::uplink::io::LinkView;
use crate::uplink::sent::Numbers;
use enroute_model::frame::{Body, ClockOffsets, CrewEvent};
use enroute_model::ids::TransferId;
use enroute_model::time::{Clock, DeviceTime, GatewayTime, Span};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// After the crew ended a transfer, a source that was silent for so long and
/// speaks again has another patient: a new transfer starts by itself.
const NEXT_PATIENT: Span = Span::from_secs(60);

/// What the page and the uplink are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The transfer that goes on.
    pub(crate) transfer: Option<TransferId>,
    /// The crew ended the last one and none has begun.
    pub(crate) ended: bool,
    /// Why nothing can be recorded now.
    pub(crate) failure: Option<String>,
    /// Emissions and entries that could not be recorded.
    pub(crate) lost: u64,
    /// Anything recorded so far was an exercise.
    pub(crate) exercise: bool,
    /// What the uplink knows of the link.
    pub(crate) link: LinkView,
    /// Frames that no receipt covers.
    pub(crate) unconfirmed: u64,
    /// Bytes in the spool, and its bound.
    pub(crate) bytes: (u64, u64),
    /// Of those bytes, the ones of frames that no receipt covers.
    pub(crate) unconfirmed_bytes: u64,
    /// Frames given up.
    pub(crate) shed: u64,
    /// Frames that the disk could not give back.
    pub(crate) damaged: u64,
}

/// Something to record.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) body: Body,
    pub(crate) observed_at: Option<DeviceTime>,
}

/// The desk; shared.
pub(crate) struct Desk {
    /// `None` while it is opened again.
    spool: Arc<Mutex<Option<Spool>>>,
    /// Held from the append to the hand-over, so that the uplink sees frames in
    /// the order of their numbers. Never taken by the uplink.
    order: tokio::sync::Mutex<()>,
    appended: mpsc::Sender<Vec<Spooled>>,
    status: Arc<watch::Sender<Status>>,
    exercise: bool,
    started: Span,
    clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<Stats>,
    /// To be stated with the next frame.
    clocks: Mutex<Option<ClockOffsets>>,
    /// What was last stated of each.
    stated: Mutex<ClockOffsets>,
    /// What the uplink handed to the network at least once.
    handed: Mutex<Numbers>,
    /// What crew and hospital wrote to each other.
    board: watch::Sender<Board>,
    /// What was lost and is not declared yet.
    unwritten: Mutex<Unwritten>,
    /// When the source last spoke after the crew ended a transfer.
    ended_at: Mutex<Option<Span>>,
}

impl Desk {
    pub(crate) fn new(
        spool: Spool,
        appended: mpsc::Sender<Vec<Spooled>>,
        exercise: bool,
        clock: Arc<dyn Clock>,
        stats: Arc<Stats>,
    ) -> Self {
        let first = Status {
            exercise,
            ..Status::default()
        };
        let desk = Self {
            started: clock.monotonic(),
            spool: Arc::new(Mutex::new(Some(spool))),
            order: tokio::sync::Mutex::new(()),
            appended,
            status: Arc::new(watch::Sender::new(first)),
            exercise,
            clock,
            stats,
            clocks: Mutex::new(None),
            stated: Mutex::default(),
            handed: Mutex::default(),
            board: watch::Sender::new(Board::default()),
            unwritten: Mutex::default(),
            ended_at: Mutex::new(None),
        };
        if let Some(spool) = lock(&desk.spool).as_ref() {
            tell(&desk.status, Summary::of(spool));
        }
        desk
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(crate) fn board(&self) -> watch::Receiver<Board> {
        self.board.subscribe()
    }

    /// What the hospital lets the crew know.
    pub(crate) fn hear_notes(&self, transfer: TransferId, payload: &[u8]) {
        let current = self.status.borrow().transfer.clone();
        self.board
            .send_modify(|board| board.hear(transfer, payload, current.as_ref()));
    }

    pub(crate) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    pub(crate) fn wall(&self) -> GatewayTime {
        GatewayTime(self.clock.wall())
    }

    /// Since the gateway started.
    pub(crate) fn monotonic(&self) -> Span {
        Span(self.clock.monotonic().0.saturating_sub(self.started.0))
    }

    /// States an estimate with the next frame; the other one stays as it was.
    pub(crate) fn state_clocks(&self, clocks: ClockOffsets) {
        let newer = |before: ClockOffsets| ClockOffsets {
            monitor: clocks.monitor.or(before.monitor),
            gateway: clocks.gateway.or(before.gateway),
        };
        let mut pending = lock(&self.clocks);
        *pending = Some(newer(pending.unwrap_or_default()));
        let mut stated = lock(&self.stated);
        *stated = newer(*stated);
    }

    /// The estimates as they were last stated.
    pub(crate) fn clocks(&self) -> ClockOffsets {
        *lock(&self.stated)
    }

    pub(crate) fn set_handed(&self, handed: Numbers) {
        *lock(&self.handed) = handed;
    }

    /// How many different frames of these were handed to the network; `None` while
    /// this run has handed over none of their stream.
    pub(crate) fn handed(&self, life: StreamLife, first: u64, last: u64) -> Option<u64> {
        let all = lock(&self.handed);
        let missing = all.get(&life)?.missing(first, last);
        let missing: u64 = missing.map(|(from, to)| to - from + 1).sum();
        Some((last + 1).saturating_sub(first).saturating_sub(missing))
    }

    /// Uses the spool on a thread that may block.
    pub(crate) async fn spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (spool, status) = (Arc::clone(&self.spool), Arc::clone(&self.status));
        let counters = Arc::clone(&self.stats);
        let moment = Moment {
            captured_at: self.wall(),
            monotonic: self.monotonic(),
            exercise: self.exercise,
        };
        let done = tokio::task::spawn_blocking(move || {
            let mut spool = lock(&spool);
            let spool = spool.as_mut().ok_or(SpoolError::Reopening)?;
            spool.set_moment(moment);
            let done = work(spool);
            for (cause, frames) in spool.take_given_up() {
                counters.add_shed(cause, frames);
            }
            // Told before the lock is let go: an older word never follows a newer.
            // What a spool that failed knows may not be on its disk.
            if done.is_ok() {
                tell(&status, Summary::of(spool));
            }
            done
        });
        match done.await {
            Ok(done) => done.inspect_err(|error| self.fail(error)),
            // The work panicked, or the runtime is ending.
            Err(error) => {
                let error = SpoolError::Notes(error.to_string());
                self.fail(&error);
                Err(error)
            }
        }
    }

    fn fail(&self, error: &SpoolError) {
        self.status.send_if_modified(|status| {
            let first = status.failure.is_none();
            if first {
                tracing::error!(%error, "the spool failed: nothing is recorded or sent until it works again");
                status.failure = Some(error.to_string());
            }
            first
        });
    }

    /// Lets go of a spool that failed and opens it anew.
    pub(crate) async fn reopen(&self, config: SpoolConfig) -> Result<(), SpoolError> {
        let (spool, status) = (Arc::clone(&self.spool), Arc::clone(&self.status));
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = lock(&spool);
            // Its files are locked until it is gone.
            drop(slot.take());
            // The leg that goes on is in its notes.
            let spool = slot.insert(Spool::open(&config, None)?);
            tell(&status, Summary::of(spool));
            status.send_modify(|status| status.failure = None);
            Ok(())
        });
        done.await
            .unwrap_or_else(|error| Err(SpoolError::Notes(error.to_string())))
    }

    fn lose(&self, count: u64) {
        self.stats.unrecorded.add(count);
        self.set_status(|status| status.lost = status.lost.saturating_add(count));
    }

    /// Records what the source gives. Between the end of a transfer and the
    /// next one it is dropped: that patient has left.
    pub(crate) async fn record_source(&self, items: Vec<Item>) -> Result<(), SpoolError> {
        let now = self.monotonic();
        let dropped = {
            let mut ended = lock(&self.ended_at);
            let silent = ended.map(|last| now.0.saturating_sub(last.0));
            *ended = ended.and(Some(now));
            let same_patient = silent.is_some_and(|silent| silent < NEXT_PATIENT.0);
            if silent.is_some() && !same_patient {
                *ended = None;
            }
            same_patient
        };
        if dropped {
            self.stats.dropped_after_end.add(1);
            return Ok(());
        }
        self.record(items).await
    }

    /// Puts items on disk and hands them to the uplink.
    pub(crate) async fn record(&self, items: Vec<Item>) -> Result<(), SpoolError> {
        let turn = self.order.lock().await;
        let (captured_at, monotonic) = (self.wall(), self.monotonic());
        let mut clocks = lock(&self.clocks).take();
        let ends = items.iter().any(|i| is_end(&i.body));
        let draft = |item: Item| {
            let lasted = lasted(&item.body);
            Draft {
                body: item.body,
                observed_at: item.observed_at,
                captured_at: captured_at.plus(Span(-lasted.0)),
                monotonic: Span(monotonic.0.saturating_sub(lasted.0).max(0)),
                clocks: clocks.take(),
                exercise: self.exercise,
            }
        };
        let drafts: Vec<Draft> = items.into_iter().map(draft).collect();
        let words: Vec<CrewEvent> = drafts.iter().filter_map(word).collect();
        let count = u64::try_from(drafts.len()).unwrap_or(u64::MAX);
        let declared = self.declare_unwritten().await;
        let mut unwritten = Unwritten::default();
        unwritten.add(&drafts);
        let appended = match declared {
            Ok(declared) => {
                let stats = Arc::clone(&self.stats);
                self.spool(move |spool| {
                    let mut appended = spool.append(&drafts)?;
                    // Here: they are on disk, and whoever waits may have been stopped.
                    stats.add_produced(&appended.frames);
                    appended.frames.splice(0..0, declared);
                    if ends {
                        spool.end_leg()?;
                    }
                    Ok(appended)
                })
                .await
            }
            Err(error) => Err(error),
        };
        // Not on disk, so not sent either.
        let appended = appended.inspect_err(|_| {
            self.lose(count);
            lock(&self.unwritten).extend(unwritten);
        })?;
        for word in words {
            self.board
                .send_modify(|board| board.recorded(captured_at, &word));
        }
        *lock(&self.ended_at) = ends.then_some(monotonic);
        self.set_status(|status| status.ended = ends);
        for why in appended.refused {
            tracing::error!(%why, "an emission breaks a limit of the contract and is dropped");
            self.stats.refused.add(1);
        }
        // No receiver: the gateway is stopping, and the frames are on disk.
        drop(self.appended.send(appended.frames).await);
        drop(turn);
        Ok(())
    }

    /// Declares what was not written. Once that is on disk it is not declared again,
    /// whatever becomes of the frames behind it.
    async fn declare_unwritten(&self) -> Result<Vec<Spooled>, SpoolError> {
        let unwritten = lock(&self.unwritten).clone();
        if unwritten.is_empty() {
            return Ok(Vec::new());
        }
        let stats = Arc::clone(&self.stats);
        let declared = self.spool(move |spool| {
            let declared = spool.declare_unwritten(&unwritten)?;
            stats.add_produced(&declared);
            Ok(declared)
        });
        let declared = declared.await?;
        *lock(&self.unwritten) = Unwritten::default();
        Ok(declared)
    }

    /// The crew starts a new transfer.
    pub(crate) async fn start_transfer(&self) -> Result<(), SpoolError> {
        let turn = self.order.lock().await;
        self.spool(|spool| spool.start_leg(None)).await?;
        *lock(&self.ended_at) = None;
        self.board.send_modify(Board::start);
        self.set_status(|status| status.ended = false);
        drop(turn);
        Ok(())
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// What the spool says about itself.
#[derive(Clone, Debug)]
struct Summary {
    transfer: Option<TransferId>,
    unconfirmed: u64,
    bytes: (u64, u64),
    unconfirmed_bytes: u64,
    shed: u64,
    damaged: u64,
}

impl Summary {
    fn of(spool: &Spool) -> Self {
        Self {
            transfer: spool.transfer().cloned(),
            unconfirmed: spool.unconfirmed(),
            bytes: spool.bytes(),
            unconfirmed_bytes: spool.unconfirmed_bytes(),
            shed: spool.shed_frames(),
            damaged: spool.damaged_frames(),
        }
    }
}

fn tell(status: &watch::Sender<Status>, summary: Summary) {
    status.send_if_modified(move |status| {
        let before = status.clone();
        status.transfer = summary.transfer;
        status.unconfirmed = summary.unconfirmed;
        status.bytes = summary.bytes;
        status.unconfirmed_bytes = summary.unconfirmed_bytes;
        status.shed = summary.shed;
        status.damaged = summary.damaged;
        *status != before
    });
}

/// What the crew's notes are about, if the body is of them.
fn word(draft: &Draft) -> Option<CrewEvent> {
    match &draft.body {
        Body::Crew(event @ (CrewEvent::Note(_) | CrewEvent::NotesTaken { .. })) => {
            Some(event.clone())
        }
        Body::Crew(_)
        | Body::Numerics(_)
        | Body::Waveforms(_)
        | Body::DeviceAlarms(_)
        | Body::Position(_)
        | Body::Link(_)
        | Body::Shed(_)
        | Body::Unknown => None,
    }
}

fn is_end(body: &Body) -> bool {
    matches!(body, Body::Crew(CrewEvent::HandOver | CrewEvent::End))
}

/// A lock whose holder panicked holds whole values all the same: each is
/// replaced in one step, and the spool's own failures are in its log.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From the first sample of a waveform body to its last: it is told at the end,
/// and captured from the beginning. Zero for everything else.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples are bounded far below 2^52"
)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float beyond i64 saturates"
)]
fn lasted(body: &Body) -> Span {
    let Body::Waveforms(waveforms) = body else {
        return Span::ZERO;
    };
    let seconds = waveforms.iter().map(|w| w.samples.len() as f64 / w.rate_hz);
    Span((seconds.fold(0.0, f64::max) * 1e6).round() as i64)
}
