//! What the shard is asked, and the checks before an action is journalled.

use crate::deletion::{DeleteError, Kept, Why};
use crate::live::{ActError, LookupError, WatchError};
use crate::queue::Seat;
use crate::recordings::{Page, Paged};
use crate::token::Cursor;
use crate::totals::Totals;
use crate::update::{AlertStep, Snapshot};
use enroute_alert::book::Books;
use enroute_alert::book::RuleBook;
use enroute_journal::Failure;
use enroute_model::ids::{Position, TransferId};
use enroute_model::registry::RegistryAction;
use enroute_model::state::{TransferState, Verdict};
use enroute_wire::v1;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A question; the answer goes to `reply`. A reply nobody waits for is lost.
pub(crate) enum Request {
    List {
        closed: bool,
        reply: oneshot::Sender<Listed>,
    },
    State {
        name: String,
        reply: oneshot::Sender<Result<Arc<TransferState>, LookupError>>,
    },
    Watch {
        wanted: Wanted,
        reply: oneshot::Sender<Result<Opened, WatchError>>,
    },
    /// How far samples go, and of which transfers; with `attach`, samples
    /// behind that go to the viewer's queue from here on.
    Reach {
        viewer: u64,
        attach: bool,
        reply: oneshot::Sender<Reach>,
    },
    /// Ids under which the records of a transfer lie.
    Members {
        name: String,
        reply: oneshot::Sender<Result<Reach, LookupError>>,
    },
    Act {
        name: String,
        action: Box<RegistryAction>,
        action_id: String,
        reply: oneshot::Sender<Result<Allowed, ActError>>,
    },
    /// Answered once everything through `position` is in the queues.
    Reached {
        position: Position,
        reply: oneshot::Sender<()>,
    },
    /// Open transfers go by this rule book from here on.
    UseBook {
        book: Arc<RuleBook>,
        reply: oneshot::Sender<Result<(), Failure>>,
    },
    /// What is recorded of one transfer, or a page of all.
    Recordings {
        wanted: Page,
        reply: oneshot::Sender<Result<Paged, LookupError>>,
    },
    /// Deletes what is recorded of a transfer.
    Delete {
        name: String,
        why: Why,
        reply: oneshot::Sender<Result<v1::DeletedRecording, DeleteError>>,
    },
    /// What retention goes by; what came since for deleted ones is deleted too.
    Kept {
        reply: oneshot::Sender<Vec<Kept>>,
    },
    /// Sums for metrics.
    Totals {
        reply: oneshot::Sender<Box<Totals>>,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// States of the transfers in memory, the ids of those asleep, and the rule books
/// that their snapshots go by.
pub(crate) type Listed = (Vec<Arc<TransferState>>, Vec<TransferId>, Books);

/// What a viewer wants, its token read.
pub(crate) struct Wanted {
    pub(crate) names: Vec<String>,
    pub(crate) samples: bool,
    pub(crate) waveforms: bool,
    pub(crate) board: bool,
    /// `None`: no token; an error: one that says nothing.
    pub(crate) resume: Option<Result<Cursor, &'static str>>,
}

/// A viewer has been let in.
pub(crate) struct Opened {
    pub(crate) viewer: u64,
    pub(crate) queue: Seat,
    pub(crate) snapshot: Snapshot,
    /// Alert transitions since the token.
    pub(crate) missed: Vec<Arc<AlertStep>>,
    /// Where the viewer stands once it has had all of that but the samples.
    pub(crate) cursor: Cursor,
    /// Where it stands before `missed`; samples are read from here.
    pub(crate) from: Cursor,
    /// Samples between the token and the queue are to be read.
    pub(crate) catch_up: bool,
    /// What the token asked for could not be read, because the journal has just
    /// failed: the token stays, so that it is made up for after the repair.
    pub(crate) held: bool,
}

/// Samples through here have been handled, of these transfers.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) through: Position,
    /// The transfer that has the others' records by now comes first of each group.
    pub(crate) members: Vec<(TransferId, TransferId)>,
}

/// What may be done.
pub(crate) enum Allowed {
    /// It is so already.
    Already(TransferId),
    /// Journal this.
    Append(Doing),
}

/// An action about to be journalled.
pub(crate) struct Doing {
    pub(crate) transfer: TransferId,
    pub(crate) action: RegistryAction,
    /// Answers when the engine has handled it.
    pub(crate) handled: oneshot::Receiver<(TransferId, Verdict)>,
}
