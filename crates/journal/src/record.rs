//! What goes into the journal and what comes out. The payload is opaque here:
//! other rooms encode and decode it.

use bytes::Bytes;
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::{EngineTime, ServerTime};

/// Which of the two keyspaces of a slice holds a record, so that numbers can be
/// read without reading the bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Events, numerics, registry: small, read by everyone.
    Vitals,
    /// Waveforms: bulk.
    Waveforms,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vitals, Self::Waveforms];
}

/// Which classes a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// One of them.
    Only(Class),
    /// Both, merged by position.
    All,
}

impl Classes {
    /// Whether `class` is wanted.
    #[must_use]
    pub fn holds(self, class: Class) -> bool {
        match self {
            Self::Only(only) => only == class,
            Self::All => true,
        }
    }
}

/// A record to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub class: Class,
    /// Whose.
    pub transfer: TransferId,
    /// Engine time; the journal raises it to that of the record before it.
    pub at: EngineTime,
    /// Server's wall clock at reception.
    pub received_at: ServerTime,
    /// An encoded `enroute.v1.Record`; opaque here.
    pub payload: Bytes,
}

/// A record that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place: dense, from 1, over all transfers.
    pub position: Position,
    /// Where it is.
    pub class: Class,
    /// Whose.
    pub transfer: TransferId,
    /// Engine time, never less than that of a lower position.
    pub at: EngineTime,
    /// Server's wall clock at reception.
    pub received_at: ServerTime,
    /// As it was appended.
    pub payload: Bytes,
}

/// An engine's state after all records of its transfer through `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose.
    pub transfer: TransferId,
    /// The last record that it contains.
    pub position: Position,
    /// As it was put.
    pub bytes: Bytes,
}

/// What is remembered of a recording that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Whose.
    pub transfer: TransferId,
    /// Its records through here are gone; there may be some behind it.
    pub through: Position,
    /// As it was put.
    pub bytes: Bytes,
}

/// A record that no engine may handle again (I9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Which.
    pub position: Position,
    /// Whose.
    pub transfer: TransferId,
    /// What happened when it was handled.
    pub reason: String,
}
