//! Opening, the handles, closing.

use crate::appender::Appender;
use crate::committer::Committer;
use crate::error::{Failure, OpenError, ReadError};
use crate::meter::Gauges;
use crate::options::Options;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::side::Side;
use crate::slices::Slices;
use crate::store::{Disk, Synced};
use crate::tables::Tables;
use crate::tail::{Tail, TailItem};
use enroute_model::ids::Position;
use enroute_model::time::EngineTime;
use fjall::PersistMode;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// What every handle needs to know.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    failure: OnceLock<Failure>,
    durable: AtomicU64,
}

impl Shared {
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.get().cloned()
    }

    /// The first failure stays.
    pub(crate) fn fail(&self, failure: Failure) -> Failure {
        self.failure.get_or_init(|| failure).clone()
    }

    pub(crate) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn set_durable(&self, position: Position) {
        self.durable.store(position.0, Ordering::Release);
    }
}

/// The server's ordered record log: one committer thread over one store.
///
/// Dropping it refuses new records and lets the committer finish what is queued
/// in the background; [`Journal::close`] waits for it.
#[derive(Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    slices: Arc<Slices>,
    tables: Arc<Tables>,
    opened_at: Option<EngineTime>,
    /// Weak: the tail ends with the committer.
    tail: mpsc::WeakSender<TailItem>,
    committer: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `dir`, creating it if there is none, and starts the
    /// committer. Recovery drops what was never acknowledged at most; the tail
    /// begins behind what is already stored.
    ///
    /// # Errors
    /// When `dir` is in use, of a newer format, not a journal, damaged, or not
    /// accessible.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Tail), OpenError> {
        Self::open_on(dir, options, Box::new(Synced))
    }

    pub(crate) fn open_on(
        dir: &Path,
        options: Options,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Tail), OpenError> {
        let width_us = u64::try_from(options.slice.0.max(1)).unwrap_or(1);
        let tables = Arc::new(Tables::open(dir, width_us)?);
        let width_us = i64::try_from(tables.slice_us).unwrap_or(i64::MAX);
        let slices = Arc::new(Slices::open(&tables.db, dir, width_us)?);
        let last = tables.last(dir)?;
        let transfers = tables.transfers().map_err(|error| damaged(dir, &error))?;
        let shared = Arc::new(Shared::default());
        shared.set_durable(last.map_or(Position(0), |(position, _)| position));
        let (sender, items) = mpsc::channel(options.tail_items_max.max(1));
        let (weak, meter) = (sender.downgrade(), options.meter.clone());
        let queue = Arc::new(Queue::new(options, Arc::clone(&shared)));
        let committer = Committer {
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            slices: Arc::clone(&slices),
            tables: Arc::clone(&tables),
            disk,
            tail: Some(sender),
            meter,
            last: shared.durable(),
            last_at: last.map_or(EngineTime(i64::MIN), |(_, at)| at),
            known: transfers.into_iter().map(|(id, _)| id).collect(),
        };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let journal = Self {
            queue,
            shared: Arc::clone(&shared),
            slices,
            tables,
            opened_at: last.map(|(_, at)| at),
            tail: weak,
            committer: Some(thread.spawn(move || committer.run())?),
        };
        Ok((journal, Tail { items, shared }))
    }

    /// A handle for appending.
    #[must_use]
    pub fn appender(&self) -> Appender {
        let queue = Arc::clone(&self.queue);
        Appender { queue }
    }

    /// A handle for reading; reads never block commits.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
            slices: Arc::clone(&self.slices),
            tables: Arc::clone(&self.tables),
        }
    }

    /// A handle for the side tables.
    #[must_use]
    pub fn side(&self) -> Side {
        Side {
            queue: Arc::clone(&self.queue),
            shared: Arc::clone(&self.shared),
            tables: Arc::clone(&self.tables),
        }
    }

    /// Drawn at random when the journal was created: positions of one
    /// incarnation mean nothing in another.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.tables.incarnation
    }

    /// The last durable position; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.shared.durable()
    }

    /// Engine time of the last record stored when the journal was opened;
    /// `None` in an empty one. Engine time must not start before it.
    #[must_use]
    pub fn opened_at(&self) -> Option<EngineTime> {
        self.opened_at
    }

    /// Why the journal stopped, once it has failed.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.shared.failure()
    }

    /// A handle for metrics; it keeps nothing open.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            queue: Arc::clone(&self.queue),
            shared: Arc::clone(&self.shared),
            tables: Arc::downgrade(&self.tables),
            tail: self.tail.clone(),
        }
    }

    /// Refuses new records, commits what is queued, syncs, and waits for the
    /// committer. Blocks; **the tail must be read to its end or dropped
    /// meanwhile**. The directory is free when the readers and the side's
    /// handles are gone too.
    ///
    /// # Errors
    /// When the journal had failed or fails now.
    pub fn close(mut self) -> Result<(), Failure> {
        self.queue.close();
        if let Some(committer) = self.committer.take() {
            // A panic in it is already noted as the failure.
            committer.join().ok();
        }
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let synced = self.tables.db.persist(PersistMode::SyncData);
        synced.map_err(|error| Failure::new(&error))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn damaged(dir: &Path, error: &ReadError) -> OpenError {
    OpenError::Damaged {
        dir: dir.to_path_buf(),
        what: format!("its list of transfers: {error}"),
    }
}
