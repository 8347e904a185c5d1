//! The store under the gateway's spool: frames by stream, epoch and sequence.

use crate::error::{Failure, OpenError, ReadError};
use bytes::Bytes;
use enroute_model::ids::{Epoch, Stream};
use std::ops::RangeInclusive;
use std::path::Path;

/// Bounds of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A slice that has so many bytes is full; the next append to its stream
    /// begins another. What is dropped at once to shed is a slice. Default 4 MiB.
    pub slice_bytes_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            slice_bytes_max: 4 << 20,
        }
    }
}

/// How the log was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There was none.
    New,
    /// [`Log::close`] was the last that happened to it.
    Clean,
    /// The process ended without closing it. All that was acknowledged is
    /// there, and perhaps an append that was not.
    Unclean,
}

/// A frame to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogAppend {
    /// Which stream.
    pub stream: Stream,
    /// Which life of the spool.
    pub epoch: Epoch,
    /// Its number; above all that were appended to this stream and epoch.
    pub sequence: u64,
    /// The encoded frame; opaque here.
    pub payload: Bytes,
}

/// A part of a stream that is dropped at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSlice {
    /// Which stream.
    pub stream: Stream,
    /// Which life of the spool.
    pub epoch: Epoch,
    /// The first sequence appended to it.
    pub first: u64,
    /// The last sequence appended to it.
    pub last: u64,
    /// Frames in it now.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// A durable map from (stream, epoch, sequence) to a frame, for one process.
/// Clone it freely. All methods block on the disk: keep them off async threads.
#[derive(Clone, Debug)]
pub struct Log {}

impl Log {
    /// Opens the log in `dir`, creating it if there is none.
    ///
    /// # Errors
    /// As [`crate::Journal::open`].
    pub fn open(_dir: &Path, _options: &LogOptions) -> Result<Self, OpenError> {
        Err(OpenError::System(std::io::ErrorKind::Unsupported.into()))
    }

    /// How the log was left before it was opened.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::New
    }

    /// Stores `frames` and the `meta` pairs together, in one batch with one
    /// sync: durable when this returns.
    ///
    /// # Errors
    /// When the log has failed, now or before; nothing of the batch counts as
    /// stored then.
    pub fn append(&self, _frames: &[LogAppend], _meta: &[(&str, &[u8])]) -> Result<(), Failure> {
        Ok(())
    }

    /// The frames of one stream and epoch whose sequences are in `range`,
    /// ascending. A damaged one is reported as [`ReadError::Record`] with its
    /// sequence as position, and reading goes on.
    pub fn scan(&self, _stream: Stream, _epoch: Epoch, _range: RangeInclusive<u64>) -> LogScan {
        LogScan {}
    }

    /// Removes the frames in `range` and gives the payload bytes freed. Slices
    /// that become empty are dropped whole, which costs little. Not synced:
    /// after a crash some may be there again.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn remove(
        &self,
        _stream: Stream,
        _epoch: Epoch,
        _range: RangeInclusive<u64>,
    ) -> Result<u64, Failure> {
        Ok(0)
    }

    /// The slices of `stream`, oldest first (in the order in which they were
    /// begun, over all epochs).
    #[must_use]
    pub fn slices(&self, _stream: Stream) -> Vec<LogSlice> {
        Vec::new()
    }

    /// Drops one slice whole with all that is in it; cheap. The newest one of a
    /// stream too, if asked. Unknown slices are ignored.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn drop_slice(&self, _slice: &LogSlice) -> Result<(), Failure> {
        Ok(())
    }

    /// Payload bytes of all frames now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        0
    }

    /// Stores a small value; synced: durable when this returns.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn put_meta(&self, _key: &str, _value: &[u8]) -> Result<(), Failure> {
        Ok(())
    }

    /// Reads a small value.
    ///
    /// # Errors
    /// When the store cannot be read or the value is damaged.
    pub fn meta(&self, _key: &str) -> Result<Option<Bytes>, ReadError> {
        Ok(None)
    }

    /// Marks the log as cleanly closed; synced. Later appends make it unclean
    /// again. The directory is free when all clones are gone.
    ///
    /// # Errors
    /// When the log has failed.
    pub fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Iterator of [`Log::scan`]: sequence and frame.
#[derive(Debug)]
pub struct LogScan {}

impl Iterator for LogScan {
    type Item = Result<(u64, Bytes), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
