//! Reader and writer of WFDB records (PhysioNet's format), by its public description:
//! header(5), signal(5) and annot(5) of the WFDB Applications Guide.
//!
//! Reads signal formats 16, 32, 80 and 212; several signals per file and several
//! files per record; several samples per frame; skew; byte offset; records of
//! several segments in the fixed layout; the checksums of the header. Frames
//! come one by one in bounded memory, samples as the integers of the file, a
//! missing one as `None`.
//!
//! Writes records of one segment and one signal file in formats 16 and 32, and
//! annotation files that hold notes.
//!
//! Not here: reading annotations, other formats, the variable layout (refused with
//! a clear error). A physical value is `(sample - baseline) / gain`; this
//! crate leaves the division to the caller, so that nothing is rounded.
//!
//! Nothing in a file makes this crate panic or allocate without bound: the
//! limits are the constants of [`header`]. Comments of a header may describe the
//! patient; the caller decides what to do with them.
//!
//! Start with [`Reader::open`] and [`Writer::create`].

mod annotation;
pub mod error;
pub mod format;
pub mod header;
mod line;
pub mod reader;
mod segment;
mod writer;

pub use annotation::{Annotations, TEXT_BYTES_MAX};
pub use error::Error;
pub use format::Format;
pub use header::{Date, Header, Layout, SegmentLine, SignalLine};
pub use reader::{Frame, Mismatch, Reader};
pub use writer::{NewRecord, NewSignal, Width, Writer};
