//! Reading an MCAP file that [`crate::Export`] wrote: its frames, in the order of
//! the file, in bounded memory. What else is in it is passed over; alerts are
//! raised anew by whoever imports.

use enroute_wire::{Message, v1};
use mcap::records::Record;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The message that frames are in.
const FRAMES: &str = "enroute.v1.RecordedFrame";
/// Bytes of a record; a chunk of ours has a mebibyte.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("failed to read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no MCAP file, or damaged from here on.
    #[error("{} is no whole MCAP file: {what}", path.display())]
    Mcap {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It is one, but not of a transfer.
    #[error("{} has no frames of a transfer: only files that `enroute export` wrote can be read", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
}

/// An MCAP file, read from its beginning to its end.
pub struct McapFrames {
    path: PathBuf,
    file: File,
    reader: LinearReader,
    schemas: BTreeSet<u16>,
    channels: BTreeMap<u16, bool>,
    found: bool,
}

impl std::fmt::Debug for McapFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McapFrames")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl McapFrames {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        let options = LinearReaderOptions::default()
            .with_validate_chunk_crcs(true)
            .with_record_length_limit(RECORD_BYTES_MAX);
        Ok(Self {
            path: path.to_owned(),
            file,
            reader: LinearReader::new_with_options(options),
            schemas: BTreeSet::new(),
            channels: BTreeMap::new(),
            found: false,
        })
    }

    /// The next frame; nothing behind the last.
    ///
    /// # Errors
    /// When the file is damaged, ends too early, or is not of a transfer.
    pub fn advance(&mut self) -> Result<Option<v1::Samples>, ReadError> {
        let damaged = |path: &Path, what: String| ReadError::Mcap {
            path: path.to_owned(),
            what,
        };
        loop {
            let Some(event) = self.reader.next_event() else {
                if self.found {
                    return Ok(None);
                }
                let path = self.path.clone();
                return Err(ReadError::Foreign { path });
            };
            match event.map_err(|error| damaged(&self.path, error.to_string()))? {
                LinearReadEvent::ReadRequest(wanted) => {
                    let read = self.file.read(self.reader.insert(wanted));
                    let read = read.map_err(|source| ReadError::Io {
                        path: self.path.clone(),
                        source,
                    })?;
                    self.reader.notify_read(read);
                }
                LinearReadEvent::Record { data, opcode } => {
                    let record = mcap::parse_record(opcode, data);
                    let record = record.map_err(|error| damaged(&self.path, error.to_string()))?;
                    let frames = (&mut self.schemas, &mut self.channels);
                    let frame = frame_in(&record, frames);
                    if let Some(frame) = frame {
                        self.found = true;
                        let frame = frame.map_err(|error| damaged(&self.path, error))?;
                        return Ok(Some(frame));
                    }
                }
            }
        }
    }
}

type Known<'a> = (&'a mut BTreeSet<u16>, &'a mut BTreeMap<u16, bool>);

/// The frame in a record, if it holds one.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "another library's kinds of records, of which these matter"
)]
fn frame_in(
    record: &Record<'_>,
    (schemas, channels): Known<'_>,
) -> Option<Result<v1::Samples, String>> {
    match record {
        Record::Schema { header, .. } => {
            if header.name == FRAMES {
                schemas.insert(header.id);
            }
            None
        }
        Record::Channel(channel) => {
            channels.insert(channel.id, schemas.contains(&channel.schema_id));
            None
        }
        Record::Message { header, data } => {
            channels.get(&header.channel_id).filter(|is| **is)?;
            Some(v1::Samples::decode(data.as_ref()).map_err(|error| error.to_string()))
        }
        _ => None,
    }
}
