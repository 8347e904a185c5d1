//! Opening, the handles, closing.

use crate::appender::Appender;
use crate::error::{Failure, OpenError};
use crate::options::Options;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::side::Side;
use crate::tail::Tail;
use enroute_model::ids::Position;
use enroute_model::time::EngineTime;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

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
#[derive(Debug)]
pub struct Journal {
    queue: Arc<Queue>,
}

impl Journal {
    /// Opens the journal in `dir`, creating it if there is none, and starts the
    /// committer. Recovery drops what was never acknowledged at most; the tail
    /// begins behind what is already stored.
    ///
    /// # Errors
    /// When `dir` is in use, of a newer format, not a journal, damaged, or not
    /// accessible.
    pub fn open(_dir: &Path, _options: Options) -> Result<(Self, Tail), OpenError> {
        Err(OpenError::System(std::io::ErrorKind::Unsupported.into()))
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
        Reader {}
    }

    /// A handle for the side tables.
    #[must_use]
    pub fn side(&self) -> Side {
        Side {}
    }

    /// Drawn at random when the journal was created: positions of one
    /// incarnation mean nothing in another.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        0
    }

    /// The last durable position; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        Position(0)
    }

    /// Engine time of the last record stored when the journal was opened;
    /// `None` in an empty one. Engine time must not start before it.
    #[must_use]
    pub fn opened_at(&self) -> Option<EngineTime> {
        None
    }

    /// Why the journal stopped, once it has failed.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        None
    }

    /// Refuses new records, commits what is queued, syncs, and waits for the
    /// committer. Blocks; **the tail must be read to its end or dropped
    /// meanwhile**. The directory is free when the readers are gone too.
    ///
    /// # Errors
    /// When the journal had failed or fails now.
    pub fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
