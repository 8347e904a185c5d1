//! What the journal tells about itself while it works.

use crate::error::Failure;
use crate::journal::Shared;
use crate::queue::Queue;
use crate::tail::TailItem;
use enroute_model::ids::Position;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Is told of each commit, on the committer's thread: must not wait. The journal
/// reads no clock; whoever wants to know how long a commit took has one.
pub trait Meter: Send + Sync + std::fmt::Debug {
    /// A write and its sync begin.
    fn begins(&self);

    /// They are done: the records in `items` are durable and go to the tail next;
    /// the store took so many bytes of payload.
    fn durable(&self, items: &[TailItem], bytes: u64);
}

/// What waits in a bounded queue, and how much may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting now.
    pub waiting: u64,
    /// At most.
    pub max: u64,
}

/// The queues in front of the committer and behind it, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// Records queued and not yet durable; a tick counts as one.
    pub records: Depth,
    /// Their bytes.
    pub bytes: Depth,
    /// Items of the tail that nobody has taken; `None`: there is no tail any more.
    pub tail: Option<Depth>,
}

/// Tells how the journal is; clone it freely. It does not keep the tail open.
#[derive(Clone, Debug)]
pub struct Gauges {
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tail: mpsc::WeakSender<TailItem>,
}

impl Gauges {
    /// What waits for the committer, and behind it.
    #[must_use]
    pub fn depths(&self) -> Depths {
        let (records, bytes) = self.queue.depths();
        let tail = self.tail.upgrade();
        Depths {
            records,
            bytes,
            tail: tail.map(|tail| Depth::of(tail.max_capacity(), tail.capacity())),
        }
    }

    /// The last durable position; 0 in an empty journal.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.shared.durable()
    }

    /// Why nothing becomes durable, while that is so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.shared.failure()
    }

    /// Bytes on disk, write-ahead files included; `None` when the journal is
    /// closed or has failed, or the store cannot tell.
    #[must_use]
    pub fn disk_bytes(&self) -> Option<u64> {
        self.shared.spaces().ok()?.tables.db.disk_space().ok()
    }
}

impl Depth {
    /// Of a queue that has so much room left.
    pub(crate) fn of(max: usize, free: usize) -> Self {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Self {
            waiting: count(max.saturating_sub(free)),
            max: count(max),
        }
    }
}
