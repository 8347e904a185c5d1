//! Reader of WFDB records (PhysioNet's format), by its public description:
//! header(5) and signal(5) of the WFDB Applications Guide.
//!
//! Reads signal formats 16, 80 and 212; several signals per file and several
//! files per record; several samples per frame; skew; byte offset; records of
//! several segments in the fixed layout; the checksums of the header. Frames
//! come one by one in bounded memory, samples as the integers of the file, a
//! missing one as `None`.
//!
//! Not here: annotations, other formats, the variable layout (refused with a
//! clear error), writing. A physical value is `(sample - baseline) / gain`; this
//! crate leaves the division to the caller, so that nothing is rounded.
//!
//! Nothing in a file makes this crate panic or allocate without bound: the
//! limits are the constants of [`header`]. Comments of a header may describe the
//! patient; the caller decides what to do with them.
//!
//! Start with [`Reader::open`].

pub mod error;
pub mod format;
pub mod header;
mod line;
pub mod reader;
mod segment;

pub use error::Error;
pub use format::Format;
pub use header::{Date, Header, Layout, SegmentLine, SignalLine};
pub use reader::{Frame, Mismatch, Reader};
