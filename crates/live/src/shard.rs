//! The shard: one thread that owns every engine. The journal's tail and the
//! requests become one kind of [`Input`]; [`Shard::handle`] is synchronous and
//! says whether to go on.
//!
//! ```text
//!  journal tail (records, ticks) ─┐
//!                                 ├─► Input ─► Shard::handle ─► viewers' queues, receipts,
//!  requests (bounded, callers wait)┘                            commands, derived records, snapshots
//! ```

use crate::books::InUse;
use crate::core::{Core, CoreError, Sleepers, Store};
use crate::deletion::DeletedDue;
use crate::engine_clock::EngineClock;
use crate::engines::Step;
use crate::live::{Health, Live, StartError, Started};
use crate::options::{Options, Stats};
use crate::outage::{AllTold, Recording, is_outage};
use crate::outbox::{Commands, Noted, Notes, Outbox, Receipted, Receipts, UseTransfer};
use crate::requests::Request;
use crate::snapshots::Pace;
use crate::subscription::Common;
use crate::update::Ended;
use crate::viewers::Viewers;
use enroute_journal::{Append, Appender, Journal, Stored, Tail, TailItem};
use enroute_model::ids::{GatewayId, Position, TransferId};
use enroute_model::notes::NotesOnBoard;
use enroute_model::state::Verdict;
use enroute_model::time::{Clock, EngineTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

/// Records behind which viewers are woken: so many changes go out together, and none
/// waits for the whole of a large commit.
const WAKE_EVERY: usize = 64;

/// Everything that reaches the shard.
pub(crate) enum Input {
    Tail(TailItem),
    Request(Request),
    TailEnded(String),
}

#[must_use]
pub(crate) enum Flow {
    Continue,
    Stop,
}

/// Actions waiting for their record, by the id it is stored under and action id.
pub(crate) type Waiters =
    BTreeMap<(TransferId, String), VecDeque<oneshot::Sender<(TransferId, Verdict)>>>;

/// What viewers were told of a transfer's alerts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) ordinal: u64,
    pub(crate) at: EngineTime,
}

pub(crate) struct Shard {
    pub(crate) core: Core,
    pub(crate) options: Options,
    pub(crate) incarnation: u64,
    pub(crate) handled: Position,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) common: Arc<Common>,
    pub(crate) viewers: Viewers,
    pub(crate) waiters: Waiters,
    /// Who waits for a position; at most as many as there are requests.
    pub(crate) reached: Vec<(Position, oneshot::Sender<()>)>,
    pub(crate) receipts: Arc<Outbox<Receipted>>,
    pub(crate) commands: Arc<Outbox<UseTransfer>>,
    pub(crate) notes: Arc<Outbox<Noted>>,
    pub(crate) told: BTreeMap<TransferId, Told>,
    /// Gateways that a receipt is due to, by transfer.
    pub(crate) receipt_due: BTreeSet<(TransferId, GatewayId)>,
    /// When those were last given.
    pub(crate) receipts_at: EngineTime,
    /// When a gateway was last told to use another id.
    pub(crate) commanded: BTreeMap<GatewayId, EngineTime>,
    /// Transfers of which a crew may have something new to know.
    pub(crate) notes_due: BTreeSet<TransferId>,
    /// What crews were told last, where it was anything.
    pub(crate) noted: BTreeMap<(TransferId, GatewayId), NotesOnBoard>,
    /// States to send with this input.
    pub(crate) dirty: BTreeSet<TransferId>,
    /// States of which only counters changed: sent at a slower pace.
    pub(crate) counted: BTreeSet<TransferId>,
    pub(crate) counted_at: EngineTime,
    /// When it was last looked for engines that may sleep.
    pub(crate) swept_at: EngineTime,
    /// Deleted transfers of which records came since, and the receipts for them.
    pub(crate) late: BTreeSet<TransferId>,
    pub(crate) deleted_due: DeletedDue,
    pub(crate) recording: Recording,
    pub(crate) in_use: InUse,
    pub(crate) appender: Appender,
    pub(crate) health: watch::Sender<Health>,
}

type Inputs = (Tail, mpsc::Receiver<Request>);

/// See [`Live::start`].
pub(crate) async fn start(
    journal: &Journal,
    tail: Tail,
    clock: Arc<dyn Clock>,
    options: Options,
) -> Result<Started, StartError> {
    let (requests, inbox) = mpsc::channel(options.requests_max);
    let (ready, loaded) = oneshot::channel();
    let store = Store::of(journal);
    let shard = ShardParts::new(journal, &clock, &options);
    let (receipts, commands) = (Arc::clone(&shard.receipts), Arc::clone(&shard.commands));
    let notes = Arc::clone(&shard.notes);
    let (stats, common) = (Arc::clone(&shard.stats), Arc::clone(&shard.common));
    let health = shard.health.subscribe();
    let through = journal.last_position();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let thread = std::thread::Builder::new()
        .name("live".to_owned())
        .spawn(move || {
            let shard = match shard.load(&store, through) {
                Ok(shard) => shard,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(shard.core.now)).is_ok() {
                runtime.block_on(run(shard, (tail, inbox)));
            }
        })?;
    let loaded = loaded.await.map_err(|_| StartError::Ended)?;
    let floor = floor(loaded.map_err(load_error)?, journal);
    let live = Live {
        requests,
        appender: journal.appender(),
        side: journal.side(),
        clock: EngineClock::anchored(clock, Some(floor)),
        stats,
        health,
        common,
        thread: Arc::new(Mutex::new(Some(thread))),
    };
    // From here on the journal lets nothing be older than what has fired.
    if live.appender.tick(live.clock.now()).await.is_err() {
        return Err(StartError::Ended);
    }
    spawn_ticks(&live, options.tick);
    Ok(Started {
        live,
        receipts: Receipts(receipts),
        commands: Commands(commands),
        notes: Notes(notes),
    })
}

pub(crate) fn load_error(error: CoreError) -> StartError {
    match error {
        CoreError::Read(error) => error.into(),
        CoreError::Journal(error) => error.into(),
    }
}

/// Engine time must not start before what is stored or has fired.
fn floor(now: EngineTime, journal: &Journal) -> EngineTime {
    journal.opened_at().map_or(now, |opened| opened.max(now))
}

/// Ticks until the shard or the journal ends.
fn spawn_ticks(live: &Live, every: std::time::Duration) {
    let (appender, clock, mut health) = (live.appender.clone(), live.clock.clone(), live.health());
    let ended = |health: &Health| matches!(health, Health::Ended { .. });
    drop(tokio::spawn(async move {
        let mut interval = tokio::time::interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval.reset();
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                // An error: the shard's thread has ended.
                _ = health.wait_for(ended) => return,
            }
            if appender.tick(clock.now()).await.is_err() {
                return;
            }
        }
    }));
}

async fn run(mut shard: Shard, (mut tail, mut inbox): Inputs) {
    let mut asked = true;
    loop {
        let input = tokio::select! {
            item = tail.next() => match item {
                Some(item) => Input::Tail(item),
                None => Input::TailEnded(tail.failure().map_or_else(
                    || "the journal was closed".to_owned(),
                    |failure| failure.to_string(),
                )),
            },
            request = inbox.recv(), if asked => match request {
                Some(Request::Shutdown { reply }) => {
                    while let Some(item) = tail.try_next() {
                        if matches!(shard.handle(Input::Tail(item)), Flow::Stop) {
                            break;
                        }
                    }
                    Input::Request(Request::Shutdown { reply })
                }
                Some(request) => Input::Request(request),
                None => {
                    asked = false;
                    continue;
                }
            },
        };
        if let Input::TailEnded(reason) = &input {
            let reason = reason.clone();
            shard.health.send_replace(Health::Ended { reason });
        }
        if matches!(shard.handle(input), Flow::Stop) {
            return refuse(inbox).await;
        }
    }
}

/// Tells who still asks that there will be no answer. What is sent while an inbox is
/// dropped stays in it for as long as somebody could send, and its sender waits for ever.
async fn refuse(mut inbox: mpsc::Receiver<Request>) {
    inbox.close();
    while let Some(request) = inbox.recv().await {
        drop(request);
    }
}

/// What the shard is made of before the engines are loaded.
pub(crate) struct ShardParts {
    options: Options,
    incarnation: u64,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    common: Arc<Common>,
    receipts: Arc<Outbox<Receipted>>,
    commands: Arc<Outbox<UseTransfer>>,
    notes: Arc<Outbox<Noted>>,
    appender: Appender,
    health: watch::Sender<Health>,
}

impl ShardParts {
    pub(crate) fn new(journal: &Journal, clock: &Arc<dyn Clock>, options: &Options) -> Self {
        Self {
            options: options.clone(),
            incarnation: journal.incarnation(),
            clock: Arc::clone(clock),
            stats: Arc::default(),
            common: Arc::new(Common::new(
                journal.reader(),
                Arc::clone(clock),
                options.clone(),
            )),
            receipts: Outbox::new(),
            commands: Outbox::new(),
            notes: Outbox::new(),
            appender: journal.appender(),
            health: watch::channel(Health::Running).0,
        }
    }

    /// Rebuilds every transfer; the only output is derived records that a crash
    /// kept from being stored.
    pub(crate) fn load(self, store: &Store, through: Position) -> Result<Shard, CoreError> {
        let (core, told) = load_all(store, &self.options, through)?;
        let mut shard = Shard {
            core,
            options: self.options,
            incarnation: self.incarnation,
            handled: through,
            clock: self.clock,
            stats: self.stats,
            common: self.common,
            viewers: Viewers::default(),
            waiters: Waiters::default(),
            reached: Vec::new(),
            receipts: self.receipts,
            commands: self.commands,
            notes: self.notes,
            told,
            receipt_due: BTreeSet::new(),
            receipts_at: EngineTime(i64::MIN),
            commanded: BTreeMap::new(),
            notes_due: BTreeSet::new(),
            noted: BTreeMap::new(),
            dirty: BTreeSet::new(),
            counted: BTreeSet::new(),
            counted_at: EngineTime(i64::MIN),
            swept_at: EngineTime(i64::MIN),
            late: BTreeSet::new(),
            deleted_due: DeletedDue::new(),
            recording: Recording::On,
            in_use: InUse::default(),
            appender: self.appender,
            health: self.health,
        };
        shard.every_receipt_is_due();
        shard
            .admission()
            .know(shard.core.engines.directory.transfers());
        shard.say_who_is_here();
        shard.flush();
        Ok(shard)
    }
}

/// All transfers as the journal has them through `through`, with what viewers
/// were told of their alerts. Stores derived records that a crash or a failure
/// kept from being stored.
pub(crate) fn load_all(
    store: &Store,
    options: &Options,
    through: Position,
) -> Result<(Core, AllTold), CoreError> {
    let mut core = Core::open(store.clone(), options.before_record.clone())?;
    let mut told = AllTold::new();
    let members = store.reader.transfers()?.into_iter();
    let members: Vec<_> = members.map(|(transfer, _)| transfer).collect();
    core.load_all(&members, through, Sleepers::Stay, &mut |core, steps| {
        steps.iter().try_for_each(|step| match step {
            Step::Effects { transfer, effects } => {
                super::fan_out::store_missing(&core.store, &mut told, transfer, &effects.alerts)
            }
            Step::Handled { .. } | Step::Joined { .. } | Step::Rebuilt { .. } => Ok(()),
        })
    })?;
    for (transfer, asleep) in &core.engines.asleep {
        told.insert(transfer.clone(), asleep.told);
    }
    // Of a transfer that was joined to another, until the join.
    for transfer in core.engines.aliases.keys() {
        let told = told.entry(transfer.clone()).or_default();
        if let Some((ordinal, at)) = super::fan_out::last_stored(store, transfer, told.ordinal)? {
            *told = Told { ordinal, at };
        }
    }
    for (transfer, slot) in &core.engines.slots {
        let last = slot.engine.last_ordinal();
        let told = told.entry(transfer.clone()).or_default();
        if told.ordinal < last {
            // Restored, with no transition since: when was its last one?
            let at = super::fan_out::stored_at(store, transfer, last)?;
            *told = Told {
                ordinal: last,
                at: at.unwrap_or(core.now),
            };
        }
        core.now = core.now.max(told.at);
    }
    Ok((core, told))
}

/// However the thread ends, nobody waits for it for ever.
impl Drop for Shard {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shard {
    pub(crate) fn every_receipt_is_due(&mut self) {
        for (transfer, slot) in &self.core.engines.slots {
            let gateways = slot.engine.gateways().cloned();
            self.receipt_due
                .extend(gateways.map(|gateway| (transfer.clone(), gateway)));
            self.notes_due.insert(transfer.clone());
        }
    }

    /// Engine time must not start before this.
    pub(crate) fn floor(&self, journal: &Journal) -> EngineTime {
        floor(self.core.now, journal)
    }

    /// One input, wholly handled.
    pub(crate) fn handle(&mut self, input: Input) -> Flow {
        let flow = self.take(input);
        self.viewers.wake();
        flow
    }

    fn take(&mut self, input: Input) -> Flow {
        let done = match input {
            Input::Tail(TailItem::Records(records)) => self.records(records),
            Input::Tail(TailItem::Tick(at)) => self.tick(at),
            Input::Tail(TailItem::Failed(failure)) => {
                self.failed(&failure);
                Ok(())
            }
            Input::Tail(TailItem::Unrecorded(records)) => {
                self.unrecorded(records);
                Ok(())
            }
            Input::Tail(TailItem::Recovered(last)) => {
                self.recovered(last);
                Ok(())
            }
            Input::Request(Request::Shutdown { reply }) => return self.shut_down(reply),
            Input::Request(request) => {
                self.request(request);
                Ok(())
            }
            Input::TailEnded(reason) => {
                tracing::error!(reason, "live view ends with the journal");
                self.stop();
                return Flow::Stop;
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "live view cannot go on");
            self.stop();
            return Flow::Stop;
        }
        Flow::Continue
    }

    fn stop(&self) {
        self.viewers.end(Ended::Stopped);
        self.viewers.wake();
        self.receipts.close();
        self.commands.close();
        self.notes.close();
    }

    fn shut_down(&mut self, reply: oneshot::Sender<()>) -> Flow {
        self.lose();
        if !self.is_forked()
            && let Err(error) = self.core.snapshot_all()
        {
            tracing::error!(%error, "no snapshots at shutdown; the next start reads more");
        }
        self.stop();
        if reply.send(()).is_err() {
            tracing::debug!("nobody waits for the end");
        }
        Flow::Stop
    }

    fn records(&mut self, records: Vec<Stored>) -> Result<(), CoreError> {
        if self.is_forked() {
            // The journal works, but could not be read: its records are as others.
            self.unrecorded(records.into_iter().map(without_position).collect());
            return Ok(());
        }
        // What was committed while the engines loaded may have been read already.
        let before = self.handled;
        let news = records.iter().filter(|stored| stored.position > before);
        for (number, stored) in news.enumerate() {
            if number % WAKE_EVERY == WAKE_EVERY - 1 {
                self.viewers.wake();
            }
            let mut steps = Vec::new();
            let known = self.core.engines.directory.transfers().len();
            excuse(self.core.take(stored, &mut steps))?;
            if self.core.engines.directory.transfers().len() > known {
                self.admission().know(std::iter::once(&stored.transfer));
            }
            self.fan_out(steps, Some(stored));
            self.handled = stored.position;
            self.written(stored);
            let pace = Pace {
                records: self.options.snapshot_records,
                every: self.options.snapshot_every,
            };
            let transfer = self.core.engines.canonical(&stored.transfer).clone();
            self.note_book(&transfer);
            excuse(self.core.snapshot_if_due(&transfer, pace))?;
        }
        self.tell_books();
        self.flush();
        Ok(())
    }

    fn tick(&mut self, at: EngineTime) -> Result<(), CoreError> {
        let mut steps = Vec::new();
        excuse(self.core.tick(at, &mut steps))?;
        self.fan_out(steps, None);
        excuse(self.sweep())?;
        self.write();
        self.tell_books();
        self.flush();
        self.viewers.prune(&self.stats);
        Ok(())
    }

    /// Sends what was collected over an input, and says how far it got.
    pub(crate) fn flush(&mut self) {
        self.answer_reached();
        self.flush_states();
        self.flush_receipts();
        self.flush_notes();
        self.flush_deleted();
        // Tokens stay as they are while viewers see what is in no record.
        if self.is_recording() {
            let order = Ordering::Release;
            self.common.now.store(self.core.kept.0, order);
            self.common.handled.store(self.handled.0, order);
            let news =
                |through: &mut Position| std::mem::replace(through, self.handled) != self.handled;
            self.common.through.send_if_modified(news);
        }
        self.stats.handled.store(self.handled.0, Ordering::Relaxed);
        self.stats
            .poisoned
            .store(self.core.poisoned, Ordering::Relaxed);
        let engines = &self.core.engines;
        let transfers = engines.slots.len().saturating_add(engines.asleep.len());
        let transfers = u64::try_from(transfers).unwrap_or(u64::MAX);
        self.stats.transfers.store(transfers, Ordering::Relaxed);
    }
}

/// A failure of the journal is no error here: the tail tells what to do.
fn excuse(done: Result<(), CoreError>) -> Result<(), CoreError> {
    done.or_else(|error| {
        if is_outage(&error) {
            tracing::debug!(%error, "not done, as the journal has failed");
            return Ok(());
        }
        Err(error)
    })
}

fn without_position(stored: Stored) -> Append {
    Append {
        class: stored.class,
        transfer: stored.transfer,
        at: stored.at,
        received_at: stored.received_at,
        payload: stored.payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::time::Span;
    use tokio::sync::oneshot::error::TryRecvError;

    struct Standing;

    impl Clock for Standing {
        fn wall(&self) -> i64 {
            0
        }
        fn monotonic(&self) -> Span {
            Span(0)
        }
    }

    #[tokio::test]
    async fn who_asks_while_it_ends_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, tail) =
            Journal::open(dir.path(), enroute_journal::Options::default()).unwrap();
        let started = Live::start(&journal, tail, Arc::new(Standing), Options::default());
        let live = started.await.unwrap().live;
        let requests = live.requests.clone();
        let place = requests.clone().reserve_owned().await.unwrap();
        let ending = tokio::spawn(async move { live.shutdown().await });
        requests.closed().await;
        let (reply, mut answer) = oneshot::channel();
        drop(place.send(Request::Kept { reply }));
        ending.await.unwrap();
        assert!(matches!(answer.try_recv(), Err(TryRecvError::Closed)));
        journal.close().unwrap();
    }
}
