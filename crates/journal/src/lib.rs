//! Durable, ordered records: the server's [`Journal`], and the [`Log`] under
//! the gateway's spool.

mod appender;
mod committer;
mod error;
mod head;
mod journal;
mod keys;
mod log;
mod merge;
mod options;
mod queue;
mod reader;
mod record;
mod scan;
mod side;
mod slices;
mod store;
mod tables;
mod tail;

pub use appender::{Appender, Pending};
pub use error::{AppendError, Failure, OpenError, ReadError, TrySubmitError};
pub use journal::Journal;
pub use log::{Log, LogAppend, LogOptions, LogScan, LogSlice, Origin};
pub use merge::Merge;
pub use options::Options;
pub use reader::Reader;
pub use record::{Append, Class, Classes, Poison, Snapshot, Stored};
pub use scan::Scan;
pub use side::Side;
pub use tail::{Tail, TailItem};
