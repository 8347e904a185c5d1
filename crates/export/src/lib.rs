//! A recorded transfer in formats that other tools open: WFDB, EDF+, MCAP, CSV
//! and Parquet, each with what is missing; and an MCAP file back as frames.
//!
//! Takes the frames and alerts of a transfer in the order of arrival, surveys and
//! sorts them in bounded memory, and writes them in the order of the devices. An
//! export is a directory that gets its name only when everything in it is whole
//! and on disk; file names carry the transfer's id and nothing else.
//!
//! Samples are written as the integers that came, with their gain and baseline. A
//! gap stays a gap: invalid samples up to ten minutes, a new file beyond.
//!
//! Not here: where the recording comes from, arguments, progress on a screen.
//!
//! Limits: 16 MiB of frames in memory while sorting and 4 Mi samples while rows
//! are put together; 4,096 lives of spools, 512 signals each, 65,536 files.
//!
//! Start with [`Export`]; `survey`, `sort` and `grids` are the steps.

mod csv;
mod edf;
mod error;
mod export;
mod gaps;
mod grid;
mod grids;
mod item;
mod mcap;
mod names;
mod num;
mod parquet;
mod place;
mod read;
mod sort;
mod survey;
mod tables;
mod time;
mod vitals;
mod waves;
mod wfdb;
mod words;

pub use error::Error;
pub use export::{Export, Format, Written};
pub use gaps::{Gaps, Missing};
pub use place::Place;
pub use read::{McapFrames, ReadError};
pub use time::rfc3339;
pub use words::Words;
