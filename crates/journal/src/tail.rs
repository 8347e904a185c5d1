//! The committed records, in order, for the one reader that must see each of
//! them as it becomes durable.

use crate::error::Failure;
use crate::journal::Shared;
use crate::record::{Append, Stored};
use enroute_model::ids::Position;
use enroute_model::time::EngineTime;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What the tail yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailItem {
    /// Durable records, dense in position, of one commit.
    Records(Vec<Stored>),
    /// Engine time has come this far with nothing to store; never behind the
    /// records before it, never ahead of those after it.
    Tick(EngineTime),
    /// The journal has failed, for this reason; or has failed already, and this
    /// is why it is not repaired. What follows is [`TailItem::Unrecorded`].
    Failed(Failure),
    /// **Not durable, and without a position:** what was appended since the
    /// journal failed, times clamped as if it were. Some of the first of these
    /// may be found in the journal once it is repaired.
    Unrecorded(Vec<Append>),
    /// The journal works again and can be read. Everything through this position
    /// is in it, and nothing else; [`TailItem::Records`] go on behind it.
    Recovered(Position),
}

/// Exactly what is committed from the opening of the journal on, and the ticks
/// between. Bounded: **a tail that nobody reads stops the commits** once it is
/// full, and with them the appenders; that is the intended backpressure. Drop
/// it to let the journal run without.
///
/// It ends (`None`) when the journal is closed, behind all that was queued, or
/// when its committer died; [`Tail::failure`] tells whether it had failed.
#[derive(Debug)]
pub struct Tail {
    pub(crate) items: mpsc::Receiver<TailItem>,
    pub(crate) shared: Arc<Shared>,
}

impl Tail {
    /// The next item; waits without blocking the thread. Cancel-safe.
    pub async fn next(&mut self) -> Option<TailItem> {
        self.items.recv().await
    }

    /// The next item; blocks the thread, so never call it on an async one.
    pub fn blocking_next(&mut self) -> Option<TailItem> {
        self.items.blocking_recv()
    }

    /// The next item if one is there already.
    pub fn try_next(&mut self) -> Option<TailItem> {
        self.items.try_recv().ok()
    }

    /// Why nothing becomes durable; `None` while the journal works and after it
    /// was closed in good order.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.shared.failure()
    }
}
