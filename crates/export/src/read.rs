//! Reading an MCAP file that [`crate::Export`] wrote: its frames, in the order of
//! the file, in bounded memory. What else is in it is passed over; alerts are
//! raised anew by whoever imports.

use bytes::{Buf, Bytes};
use enroute_wire::{Message, v1};
use mcap::records::{ChunkHeader, Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The message that frames are in.
const FRAMES: &str = "enroute.v1.RecordedFrame";
/// Bytes of a record, and of what is in a chunk; a chunk of ours has a mebibyte.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// Kinds of records that are read. The library slices beyond the end of others, such as
/// an attachment that is too short.
const READ: [u8; 4] = [op::SCHEMA, op::CHANNEL, op::MESSAGE, op::CHUNK];

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
    /// Of the chunk that is open, what is not read yet. It is opened here and not by the
    /// library, which subtracts with overflow where a record says that it is longer than
    /// its chunk.
    chunk: Bytes,
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
            .with_emit_chunks(true)
            .with_record_length_limit(RECORD_BYTES_MAX);
        Ok(Self {
            path: path.to_owned(),
            file,
            reader: LinearReader::new_with_options(options),
            schemas: BTreeSet::new(),
            channels: BTreeMap::new(),
            chunk: Bytes::new(),
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
            while let Some((opcode, data)) = next_in(&mut self.chunk) {
                let (opcode, data) = (opcode, data.ok_or("a record is longer than its chunk"));
                let data = data.map_err(|what| damaged(&self.path, what.to_owned()))?;
                if !READ.contains(&opcode) {
                    continue;
                }
                let record = mcap::parse_record(opcode, &data);
                let record = record.map_err(|error| damaged(&self.path, error.to_string()))?;
                let frames = (&mut self.schemas, &mut self.channels);
                if let Some(frame) = frame_in(&record, frames) {
                    self.found = true;
                    return frame.map(Some).map_err(|error| damaged(&self.path, error));
                }
            }
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
                LinearReadEvent::Record { opcode, .. } if !READ.contains(&opcode) => {}
                LinearReadEvent::Record { data, opcode } => {
                    let record = mcap::parse_record(opcode, data);
                    let record = record.map_err(|error| damaged(&self.path, error.to_string()))?;
                    if let Record::Chunk { header, data } = &record {
                        let chunk = unpacked(header, data);
                        self.chunk = chunk.map_err(|error| damaged(&self.path, error))?;
                        continue;
                    }
                    let frames = (&mut self.schemas, &mut self.channels);
                    if let Some(frame) = frame_in(&record, frames) {
                        self.found = true;
                        return frame.map(Some).map_err(|error| damaged(&self.path, error));
                    }
                }
            }
        }
    }
}

/// What is in a chunk, of the size and the checksum that it states.
fn unpacked(header: &ChunkHeader, data: &[u8]) -> Result<Bytes, String> {
    let size = usize::try_from(header.uncompressed_size).unwrap_or(usize::MAX);
    if size > RECORD_BYTES_MAX {
        return Err(format!("a chunk of {size} bytes"));
    }
    let bytes = match header.compression.as_str() {
        "" => data.to_vec(),
        "zstd" => zstd::bulk::decompress(data, size).map_err(|error| error.to_string())?,
        other => return Err(format!("compression {other} is not known here")),
    };
    if bytes.len() != size {
        return Err("a chunk is not as long as it says".to_owned());
    }
    let crc = header.uncompressed_crc;
    if crc != 0 && crc32fast::hash(&bytes) != crc {
        return Err("a chunk's checksum does not fit".to_owned());
    }
    Ok(bytes.into())
}

/// The next record of a chunk, its kind and its body; no body: there is less than it says.
fn next_in(chunk: &mut Bytes) -> Option<(u8, Option<Bytes>)> {
    let (opcode, rest) = chunk.split_first()?;
    let opcode = *opcode;
    let body = rest.split_first_chunk().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        rest.get(..length).map(|body| chunk.slice_ref(body))
    });
    let taken = body.as_ref().map_or(chunk.len(), |body| 1 + 8 + body.len());
    chunk.advance(taken);
    Some((opcode, body))
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
