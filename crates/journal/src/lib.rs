//! Durable, ordered records: the server's [`Journal`], and the [`Log`] under
//! the gateway's spool.

mod appender;
mod error;
mod head;
mod journal;
mod log;
mod options;
mod queue;
mod reader;
mod record;
mod side;
mod tail;

pub use appender::{Appender, Pending};
pub use error::{AppendError, Failure, OpenError, ReadError, TrySubmitError};
pub use journal::Journal;
pub use log::{Log, LogAppend, LogOptions, LogScan, LogSlice, Origin};
pub use options::Options;
pub use reader::{Merge, Reader, Scan};
pub use record::{Append, Class, Classes, Poison, Snapshot, Stored};
pub use side::Side;
pub use tail::{Tail, TailItem};
