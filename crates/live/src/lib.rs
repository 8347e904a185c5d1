//! The live view of all transfers: one thread owns an engine for each (the
//! *shard*), feeds them what the journal committed and the ticks, and passes on
//! what they say: to viewers, each behind a bounded queue (I5); to the journal
//! as derived records; to gateways as receipts and commands.
//!
//! Not here: gRPC (`enroute-feed` speaks it), MQTT, rules about vital signs
//! (`enroute-engine`), any clock of its own.
//!
//! Start with [`Live`] and [`Subscription`]; then `shard` (the loop), `engines`
//! (all engines, pure), `core` (restart, snapshots, poison, with the reasoning
//! about joins). Bounds are in [`Options`].

mod admission;
mod answers;
mod books;
mod catch_up;
mod core;
mod deletion;
mod directory;
mod engine_clock;
mod engines;
mod fan_out;
mod guard;
mod live;
mod options;
mod outage;
mod outbox;
mod queue;
mod recordings;
pub mod replay;
mod requests;
mod rerun;
mod shard;
#[doc(hidden)]
pub mod simulation;
mod sleep;
mod snapshots;
mod subscription;
mod token;
mod totals;
mod trial;
mod update;
mod viewers;
mod worded;

pub use admission::{Admission, BY_GATEWAY_MAX};
pub use catch_up::History;
pub use deletion::{DeleteError, Retention, delete};
pub use engine_clock::EngineClock;
pub use live::{
    ActError, Acted, BookError, Health, HistoryError, Live, LookupError, StartError, Started,
    WatchError,
};
pub use options::{AlertStage, Latency, Options, Probe, Stage, Stats};
pub use outbox::{Commands, Notes, Receipts, UseTransfer};
pub use recordings::{Page, deleted_recordings, recordings};
pub use rerun::{Difference, Rerun, RerunError, rerun};
pub use subscription::Subscription;
pub use token::Token;
pub use totals::{ShedBy, StreamTotals, Totals, ViewersWaiting};
pub use trial::{Trial, trials};
pub use update::{
    AlertStep, Delivery, Ended, NotRecorded, Sample, Snapshot, Update, ValuesChange, Watch,
};
pub use worded::Worded;
