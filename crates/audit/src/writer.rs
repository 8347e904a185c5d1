//! The thread that writes, and the handles by which it is told.

use crate::chain::Head;
use crate::flood::Flood;
use crate::log::Log;
use crate::record::{Entry, Outcome};
use enroute_model::time::{Clock, Span};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records between those who tell and the thread; one more is counted as lost, or
/// refused if it has to be durable.
pub const QUEUE_MAX: usize = 8_192;
/// Records that wait while the disk does not take them; further ones are lost, and
/// counted.
pub const PENDING_MAX: usize = 65_536;
/// Records that share a sync.
const GROUP_MAX: usize = 1_024;
/// How often is looked for sums to write, and a disk that failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A head is told in the log after so many records, and with each start and end.
const HEAD_TOLD_EVERY: u64 = 10_000;

/// It was not written: why, in words for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written: {0}")]
pub struct NotWritten(pub String);

type Done = Box<dyn FnOnce(Result<(), NotWritten>) + Send>;

enum Message {
    Tell(i64, Entry),
    Often(i64, Entry),
    Durably(i64, Entry, Done),
    Close,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Records on disk since the start.
    pub records: AtomicU64,
    /// What could not be kept in memory until the disk takes it.
    pub lost: AtomicU64,
    failing: Mutex<Option<Failing>>,
}

#[derive(Clone, Debug)]
struct Failing {
    since_us: i64,
    reason: String,
}

impl Counts {
    /// Since when nothing can be written, microseconds UTC, and why.
    #[must_use]
    pub fn failing(&self) -> Option<(i64, String)> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_ref().map(|f| (f.since_us, f.reason.clone()))
    }

    fn set_failing(&self, failing: Option<Failing>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failing;
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// By which the log is told. All clones tell the same one.
#[derive(Clone)]
pub struct Audit {
    to: SyncSender<Message>,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

impl Audit {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(log: Log, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (to, from) = sync_channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            log,
            clock: Arc::clone(&clock),
            counts: Arc::clone(&counts),
            flood: Flood::default(),
            pending: Vec::new(),
            lost_told: 0,
            head_told: 0,
        };
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || writer.run(&from))?;
        Ok(Self {
            to,
            clock,
            counts,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Tells what happened; never waits.
    pub fn tell(&self, entry: Entry) {
        self.send(Message::Tell(self.clock.wall(), entry));
    }

    /// The same of what somebody may do again and again: beyond some times a minute it
    /// is counted and told as a sum.
    pub fn tell_often(&self, entry: Entry) {
        self.send(Message::Often(self.clock.wall(), entry));
    }

    fn send(&self, message: Message) {
        if self.to.try_send(message).is_err() {
            self.counts.lose();
        }
    }

    /// Tells what must not happen unless it is on record: `done` hears when it is on
    /// disk, or that it will never be. It is called once, perhaps at once.
    pub fn tell_durably(
        &self,
        entry: Entry,
        done: impl FnOnce(Result<(), NotWritten>) + Send + 'static,
    ) {
        if let Some((_, reason)) = self.counts.failing() {
            return done(Err(NotWritten(reason)));
        }
        let message = Message::Durably(self.clock.wall(), entry, Box::new(done));
        match self.to.try_send(message) {
            Err(TrySendError::Full(Message::Durably(_, _, done))) => {
                done(Err(NotWritten("too much waits for the disk".to_owned())));
            }
            Err(TrySendError::Disconnected(Message::Durably(_, _, done))) => {
                done(Err(NotWritten("the server stops".to_owned())));
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Writes what was told before, and ends the thread; what is told later is lost.
    pub fn close(&self) {
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // Closed already: its thread has ended, which the join says.
        drop(self.to.send(Message::Close));
        if thread.join().is_err() {
            tracing::error!("the thread of the audit log panicked");
        }
    }
}

struct Writer {
    log: Log,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    flood: Flood,
    /// Not on disk yet, oldest first.
    pending: Vec<(i64, Entry)>,
    lost_told: u64,
    /// Number of the head that was told last.
    head_told: u64,
}

impl Writer {
    fn run(mut self, from: &Receiver<Message>) {
        self.tell_head();
        let mut tried = self.clock.monotonic();
        let mut open = true;
        while open {
            let mut waiters = Vec::new();
            let first = from.recv_timeout(LOOK_EVERY);
            let is_quiet = matches!(first, Err(RecvTimeoutError::Timeout));
            open = !matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut next = first.ok();
            while let Some(message) = next {
                open &= self.take(message, &mut waiters);
                let is_full = !open || self.pending.len() >= GROUP_MAX;
                next = (!is_full).then(|| from.try_recv().ok()).flatten();
            }
            let now = self.clock.monotonic();
            let sums = self.flood.sums(open.then_some(now));
            let at = self.clock.wall();
            for sum in sums {
                self.keep(at, sum);
            }
            // A disk that has failed is not asked with every record.
            let is_failing = self.counts.failing().is_some();
            let waited = now.0.saturating_sub(tried.0) >= Span::from_secs(1).0;
            if !is_failing || is_quiet || waited || !open {
                tried = now;
                self.write(waiters);
            } else {
                // Told before the failure was known.
                let reason = self.counts.failing().map_or_else(String::new, |f| f.1);
                self.refuse(waiters, &reason);
            }
        }
        if !self.pending.is_empty() {
            tracing::error!(
                records = self.pending.len(),
                "records of the audit log are lost: the disk did not take them before the end"
            );
        }
        self.tell_head();
    }

    /// Gives whether it goes on.
    fn take(&mut self, message: Message, waiters: &mut Vec<(usize, Done)>) -> bool {
        match message {
            Message::Tell(at, entry) => self.keep(at, entry),
            Message::Often(at, entry) => {
                let admitted = self.flood.admit(self.clock.monotonic(), entry);
                if let Some(entry) = admitted {
                    self.keep(at, entry);
                }
            }
            Message::Durably(at, entry, done) => {
                waiters.push((self.pending.len(), done));
                self.pending.push((at, entry));
            }
            Message::Close => return false,
        }
        true
    }

    fn keep(&mut self, at: i64, entry: Entry) {
        if self.pending.len() < PENDING_MAX {
            self.pending.push((at, entry));
        } else {
            self.counts.lose();
        }
    }

    fn write(&mut self, waiters: Vec<(usize, Done)>) {
        let lost = self.counts.lost.load(Ordering::Relaxed);
        let failing = self.counts.failing();
        let mut group = self.pending.clone();
        if lost > self.lost_told || (failing.is_some() && !group.is_empty()) {
            let more = lost.saturating_sub(self.lost_told);
            let since = failing.as_ref().map_or(0, |f| f.0);
            let long = self.clock.wall().saturating_sub(since) / 1_000_000;
            let words = match &failing {
                Some((_, reason)) => {
                    format!("nothing was written for {long} s ({reason}); lost meanwhile: {more}")
                }
                None => format!("lost for want of room: {more}"),
            };
            group.push((self.clock.wall(), Entry::own("audit gap", words)));
        }
        match self.log.append(&group) {
            Ok(()) => {
                let n = u64::try_from(group.len()).unwrap_or(u64::MAX);
                self.counts.records.fetch_add(n, Ordering::Relaxed);
                self.pending.clear();
                self.lost_told = lost;
                if failing.is_some() && n > 0 {
                    tracing::warn!("the audit log is written again");
                    self.counts.set_failing(None);
                }
                for (_, done) in waiters {
                    done(Ok(()));
                }
                if self.log.head().seq.saturating_sub(self.head_told) >= HEAD_TOLD_EVERY {
                    self.tell_head();
                }
            }
            Err(error) => self.fail(&error.to_string(), waiters),
        }
    }

    fn fail(&mut self, reason: &str, waiters: Vec<(usize, Done)>) {
        if self.counts.failing().is_none() {
            tracing::error!(
                reason,
                "the audit log cannot be written: exports, backups and deletions are refused \
                 until it can; all else goes on"
            );
            self.counts.set_failing(Some(Failing {
                since_us: self.clock.wall(),
                reason: reason.to_owned(),
            }));
        }
        self.refuse(waiters, reason);
    }

    /// What waited to be durable does not happen, and is not to stand there as if it had.
    fn refuse(&mut self, waiters: Vec<(usize, Done)>, reason: &str) {
        for (at, done) in waiters {
            if let Some((_, entry)) = self.pending.get_mut(at) {
                entry.outcome = Outcome::Refused;
                "the audit log could not be written".clone_into(&mut entry.detail);
            }
            done(Err(NotWritten(reason.to_owned())));
        }
    }

    fn tell_head(&mut self) {
        let head: &Head = self.log.head();
        tracing::info!(%head, "the audit log stands here: note it elsewhere");
        self.head_told = head.seq;
    }
}
