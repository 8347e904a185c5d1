//! One viewer's stream, from its side: the snapshot, what it missed, then its
//! queue; a heartbeat in between. Runs on the viewer's task; dropping it ends it.

use crate::admission::Admission;
use crate::catch_up::{self, Caught};
use crate::live::{Live, LookupError, WatchError};
use crate::options::{AlertStage, Options, Stage, Stats, add};
use crate::queue::{Item, Over, Seat};
use crate::requests::{Opened, Request, Wanted};
use crate::token::Cursor;
use crate::update::{AlertStep, Delivery, Ended, Snapshot, Update, Watch};
use crate::worded::Worded;
use enroute_journal::{ReadError, Reader};
use enroute_model::ids::Position;
use enroute_model::registry::ViewerRole;
use enroute_model::state::{AlertState, TransferState};
use enroute_model::time::{Clock, EngineTime, ServerTime, Span};
use enroute_wire::v1;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

/// What subscriptions share.
pub(crate) struct Common {
    pub(crate) reader: Reader,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    /// Everything through this engine time, behind which no restart falls back, …
    pub(crate) now: AtomicI64,
    /// … and this position is in the queues.
    pub(crate) handled: AtomicU64,
    /// The same, for those who wait for it.
    pub(crate) through: watch::Sender<Position>,
    /// Which transfers may have records.
    pub(crate) admission: Admission,
    pub(crate) catching_up: Arc<Semaphore>,
    pub(crate) histories: Arc<Semaphore>,
    pub(crate) playbacks: Arc<Semaphore>,
}

impl Common {
    pub(crate) fn new(reader: Reader, clock: Arc<dyn Clock>, options: Options) -> Self {
        let (now, handled) = (AtomicI64::new(i64::MIN), AtomicU64::new(0));
        let catching_up = Arc::new(Semaphore::new(options.catching_up_max));
        let histories = Arc::new(Semaphore::new(options.histories_max));
        let playbacks = Arc::new(Semaphore::new(options.playbacks_max));
        let admission = Admission::new(options.transfers_max, options.known_max);
        Self {
            reader,
            clock,
            options,
            now,
            handled,
            through: watch::Sender::new(Position(0)),
            admission,
            catching_up,
            histories,
            playbacks,
        }
    }
}

/// What stands before the queue.
enum Front {
    Snapshot(Snapshot),
    Missed(Arc<AlertStep>),
    /// All alerts through this engine time have been given.
    Reached(EngineTime),
}

/// One viewer's stream of updates.
pub struct Subscription {
    live: Live,
    watch: Watch,
    viewing: Viewing,
    catching_up: Option<mpsc::Receiver<Result<Caught, ReadError>>>,
    heartbeat: Interval,
    again: Option<Opening>,
}

/// The same subscription, opened from where its viewer stands; kept, so that
/// nothing is lost when nobody waits for it any more.
type Opening = Pin<Box<dyn Future<Output = Result<Subscription, WatchError>> + Send>>;

/// What a viewer has had and what waits for it; nothing here waits.
pub(crate) struct Viewing {
    common: Arc<Common>,
    stats: Arc<Stats>,
    pub(crate) queue: Seat,
    front: VecDeque<Front>,
    cursor: Cursor,
    /// Samples from before the queue are still being given.
    catching_up: bool,
    /// The token does not move, as [`Opened::held`] says.
    held: bool,
    role: ViewerRole,
    /// Alerts raised before were not waited for here.
    began: EngineTime,
    /// What was replaced before this queue.
    conflated: u64,
}

pub(crate) async fn open(live: &Live, watch: Watch) -> Result<Subscription, WatchError> {
    let options = &live.common.options;
    let waveforms = watch.waveforms;
    let wanted = wanted(options, watch.clone())?;
    let mut opened = live.ask(|reply| Request::Watch { wanted, reply }).await??;
    let role = watch.role;
    opened.missed.retain(|step| is_for(role, step));
    let catching_up = opened.catch_up.then(|| {
        let after = opened.from.position;
        let requests = live.requests.clone();
        catch_up::catch_up(&live.common, waveforms, after, opened.viewer, requests)
    });
    let mut heartbeat = tokio::time::interval(options.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    Ok(Subscription {
        live: live.clone(),
        watch,
        viewing: Viewing::new(&live.common, &live.stats, opened, role),
        catching_up,
        heartbeat,
        again: None,
    })
}

/// What is wanted, in the shard's words.
pub(crate) fn wanted(options: &Options, watch: Watch) -> Result<Wanted, WatchError> {
    if watch.transfers.len() > options.named_max {
        let max = options.named_max;
        return Err(WatchError::TooMany { max });
    }
    if watch.transfers.is_empty() && watch.samples {
        return Err(WatchError::SamplesOfAll);
    }
    let resume = watch.resume.as_ref().map(|token| {
        Cursor::of(token)
            .ok_or("the token is not one of this server's: what happened since is not known")
    });
    Ok(Wanted {
        names: watch.transfers,
        samples: watch.samples,
        waveforms: watch.waveforms,
        board: watch.board,
        resume,
    })
}

/// Whether a step is for somebody in this role. An exercise passes nothing on.
fn is_for(role: ViewerRole, step: &AlertStep) -> bool {
    let passed_on =
        |alert: &v1::Alert| alert.escalation > 0 || alert.kind() == v1::AlertKind::NotAttended;
    role != ViewerRole::OnCall || step.transition.alert.as_ref().is_some_and(passed_on)
}

/// What somebody on call is shown of a transfer's alerts, if that is less than all.
fn only_passed_on(state: &TransferState) -> Option<TransferState> {
    let exercise = state.exercise;
    let is_passed_on = |alert: &AlertState| alert.reaches(ViewerRole::OnCall, exercise);
    let is_all = state.alerts.iter().all(is_passed_on) && state.retrospective.is_empty();
    (!is_all).then(|| {
        let mut state = state.clone();
        state.alerts.retain(is_passed_on);
        state.retrospective.clear();
        state
    })
}

fn only_for_those_on_call(update: &mut Update) {
    match update {
        Update::Snapshot(snapshot) => {
            for state in &mut snapshot.states {
                if let Some(less) = only_passed_on(state) {
                    *state = Arc::new(less);
                }
            }
        }
        Update::State(state) => {
            if let Some(less) = only_passed_on(state) {
                *state = Arc::new(Worded::new(less));
            }
        }
        Update::Values(_) | Update::Sample(_) | Update::Alert(_) | Update::Heartbeat { .. } => {}
    }
}

impl Subscription {
    /// The next update. Cancel-safe.
    ///
    /// # Errors
    /// Why the subscription is over; resume from the token of the last delivery.
    pub async fn next(&mut self) -> Result<Delivery, Ended> {
        loop {
            self.open_again().await?;
            match self.update().await {
                Ok(update) => return Ok(self.viewing.deliver(update)),
                Err(Over::Ended(ended)) => return Err(ended),
                Err(Over::Again(why)) => self.again = Some(self.opening(why)),
            }
        }
    }

    /// What is to be given next. Cancel-safe.
    async fn update(&mut self) -> Result<Update, Over> {
        let viewing = &mut self.viewing;
        if let Some(update) = viewing.next_of_front() {
            return Ok(update);
        }
        loop {
            let update = match &mut self.catching_up {
                None => tokio::select! {
                    biased;
                    _ = self.heartbeat.tick() => Some(viewing.beat()),
                    item = viewing.queue.next(true) => viewing.took(item?),
                },
                // Alerts and values do not wait for old samples.
                Some(caught) => tokio::select! {
                    biased;
                    _ = self.heartbeat.tick() => Some(viewing.beat()),
                    item = viewing.queue.next(false) => viewing.took(item?),
                    caught = caught.recv() => viewing.caught(caught).map_err(Over::Ended)?,
                },
            };
            if !viewing.catching_up {
                self.catching_up = None;
            }
            if let Some(update) = update {
                return Ok(update);
            }
        }
    }

    /// Goes on as if its viewer had come again with its token.
    fn opening(&self, why: Arc<str>) -> Opening {
        let live = self.live.clone();
        let watch = Watch {
            resume: Some(self.viewing.cursor.to_token()),
            ..self.watch.clone()
        };
        let conflated = self.viewing.conflated();
        Box::pin(async move {
            let mut opened = open(&live, watch).await?;
            opened.viewing.conflated = conflated;
            opened.viewing.say(&why);
            Ok(opened)
        })
    }

    async fn open_again(&mut self) -> Result<(), Ended> {
        let Some(opening) = &mut self.again else {
            return Ok(());
        };
        let opened = opening.await;
        self.again = None;
        *self = opened.map_err(|error| match error {
            WatchError::Lookup(LookupError::Stopped) => Ended::Stopped,
            WatchError::Lookup(
                LookupError::Unknown { .. }
                | LookupError::Ambiguous { .. }
                | LookupError::Asleep { .. },
            )
            | WatchError::Full { .. }
            | WatchError::TooMany { .. }
            | WatchError::SamplesOfAll => Ended::Unreadable,
        })?;
        Ok(())
    }
}

impl Viewing {
    pub(crate) fn new(
        common: &Arc<Common>,
        stats: &Arc<Stats>,
        opened: Opened,
        role: ViewerRole,
    ) -> Self {
        let began = opened.cursor.at;
        let mut cursor = opened.from;
        if !opened.catch_up {
            cursor.position = opened.cursor.position;
        }
        let missed = opened.missed.into_iter().map(Front::Missed);
        let front = std::iter::once(Front::Snapshot(opened.snapshot))
            .chain(missed)
            .chain([Front::Reached(opened.cursor.at)]);
        Self {
            common: Arc::clone(common),
            stats: Arc::clone(stats),
            queue: opened.queue,
            front: front.collect(),
            cursor,
            catching_up: opened.catch_up,
            held: opened.held,
            role,
            began,
            conflated: 0,
        }
    }

    /// With the picture it is said why there is one again.
    fn say(&mut self, why: &str) {
        if let Some(Front::Snapshot(snapshot)) = self.front.front_mut() {
            snapshot.missed = Some(match snapshot.missed.take() {
                Some(more) => format!("{why}; {more}"),
                None => why.to_owned(),
            });
        }
    }

    /// What was replaced by something newer since the subscription began.
    fn conflated(&self) -> u64 {
        self.conflated.saturating_add(self.queue.conflated())
    }

    /// What stands before the queue, one by one.
    pub(crate) fn next_of_front(&mut self) -> Option<Update> {
        while let Some(front) = self.front.pop_front() {
            match front {
                Front::Snapshot(snapshot) => return Some(Update::Snapshot(snapshot)),
                Front::Missed(step) => return Some(Update::Alert(step)),
                Front::Reached(at) => self.cursor.at = self.cursor.at.max(at),
            }
        }
        None
    }

    pub(crate) fn caught(
        &mut self,
        caught: Option<Result<Caught, ReadError>>,
    ) -> Result<Option<Update>, Ended> {
        match caught {
            Some(Ok(Caught::Sample(sample))) => Ok(Some(Update::Sample(sample))),
            Some(Ok(Caught::Done(through))) => {
                self.cursor.position = self.cursor.position.max(through);
                self.catching_up = false;
                Ok(None)
            }
            Some(Err(error)) => {
                tracing::error!(%error, "missed samples not read");
                Err(Ended::Unreadable)
            }
            None => Err(Ended::Stopped),
        }
    }

    pub(crate) fn took(&mut self, item: Item) -> Option<Update> {
        match item {
            Item::Update(Update::Alert(step)) if !is_for(self.role, &step) => None,
            Item::Update(update) => Some(update),
            Item::Follow(transfer, ordinal) => {
                if !self.held {
                    self.cursor.ordinals.insert(transfer, ordinal);
                }
                None
            }
            Item::Snapshot(snapshot) => Some(Update::Snapshot(snapshot)),
            Item::Word => Some(self.beat()),
        }
    }

    pub(crate) fn beat(&mut self) -> Update {
        // Read before the queue is seen empty: all through here was in it.
        let now = EngineTime(self.common.now.load(Ordering::Acquire));
        let handled = Position(self.common.handled.load(Ordering::Acquire));
        let recorded = self.queue.told().is_none();
        if recorded && self.queue.is_empty() && !self.catching_up && !self.held {
            self.cursor.at = self.cursor.at.max(now);
            self.cursor.position = self.cursor.position.max(handled);
        }
        let conflated = self.conflated();
        Update::Heartbeat { conflated }
    }

    /// Counts what was handed over, and how long that took.
    fn alert_sent(&self, update: &Update, now: ServerTime) {
        let Update::Alert(step) = update else { return };
        add(self.stats.sent_to(self.role), 1);
        let alert = step.transition.alert.as_ref();
        let demand = alert.is_some_and(|a| a.raised_ordinal == step.ordinal && !a.retrospective);
        if demand
            && step.at >= self.began
            && let Some(latency) = &self.common.options.latency
        {
            latency.alert(AlertStage::Sent, Span(now.0.saturating_sub(step.at.0)));
        }
    }

    pub(crate) fn deliver(&mut self, mut update: Update) -> Delivery {
        let server_time = ServerTime(self.common.clock.wall());
        if self.role == ViewerRole::OnCall {
            only_for_those_on_call(&mut update);
        }
        self.alert_sent(&update, server_time);
        match &update {
            _ if self.held => {}
            // In no record: nothing to resume from.
            Update::Alert(step) if step.ordinal == 0 => {}
            Update::Alert(step) => {
                self.cursor.at = self.cursor.at.max(step.at);
                if let Some(ordinal) = self.cursor.ordinals.get_mut(&step.transfer) {
                    *ordinal = step.ordinal.max(*ordinal);
                }
            }
            Update::Sample(sample) => {
                self.cursor.position = self.cursor.position.max(sample.position);
                if let Some(latency) = &self.common.options.latency
                    && !self.catching_up
                    && !sample.late
                {
                    let took = server_time.since(sample.received_at);
                    latency.record(Stage::Sent, sample.position, took);
                }
            }
            Update::Snapshot(_)
            | Update::State(_)
            | Update::Values(_)
            | Update::Heartbeat { .. } => {}
        }
        add(&self.stats.sent, 1);
        let token = self.cursor.to_token();
        Delivery {
            server_time,
            token,
            not_recorded: self.queue.told(),
            update,
        }
    }
}
