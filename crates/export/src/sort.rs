//! An external merge sort, so that a recording of any length is put into the
//! order of its devices in bounded memory.
//!
//! What is given is kept until it weighs [`RUN_BYTES`], then sorted and written
//! as a run; at the end the runs are merged. Nearly everything comes in order, so
//! most recordings are one pass out and one back in. Runs live in the directory
//! of the export under its temporary name and are gone before it gets its own.

use crate::error::Error;
use crate::item::{Item, Key};
use enroute_wire::{Message, v1};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Encoded bytes kept in memory before a run is written.
pub(crate) const RUN_BYTES: usize = 16 << 20;
/// Runs of one recording: 64 GiB with [`RUN_BYTES`].
const RUNS_MAX: usize = 4_096;
/// Read ahead of each run.
const READ_BYTES: usize = 32 << 10;
/// What an entry takes besides its bytes.
const ENTRY_BYTES: usize = 64;
/// No frame or transition is larger; a longer one is a damaged file.
const BODY_BYTES_MAX: u32 = 4 << 20;

const FRAME: u8 = 0;
const ALERT: u8 = 1;

type Entry = (Key, u8, Vec<u8>);

/// Takes items in any order.
#[derive(Debug)]
pub(crate) struct Sorter {
    dir: PathBuf,
    entries: Vec<Entry>,
    bytes: usize,
    run_bytes: usize,
    runs: Vec<PathBuf>,
}

impl Sorter {
    /// Puts its runs into `dir`.
    #[must_use]
    pub(crate) fn new(dir: &Path, run_bytes: usize) -> Self {
        Self {
            dir: dir.to_owned(),
            entries: Vec::new(),
            bytes: 0,
            run_bytes,
            runs: Vec::new(),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// When a run cannot be written.
    pub(crate) fn push(&mut self, key: Key, item: &Item) -> Result<(), Error> {
        let (kind, body) = match item {
            Item::Frame(samples) => (FRAME, samples.encode_to_vec()),
            Item::Alert(step) => (ALERT, step.encode_to_vec()),
        };
        self.bytes += body.len() + ENTRY_BYTES;
        self.entries.push((key, kind, body));
        if self.bytes < self.run_bytes {
            return Ok(());
        }
        self.spill()
    }

    fn spill(&mut self) -> Result<(), Error> {
        if self.runs.len() == RUNS_MAX {
            let (what, limit) = ("runs of sorted frames", RUNS_MAX);
            return Err(Error::TooMuch { what, limit });
        }
        self.entries.sort_unstable_by_key(|(key, _, _)| *key);
        let path = self.dir.join(format!("run-{}", self.runs.len()));
        write_run(&path, &self.entries).map_err(Error::io(&path))?;
        self.runs.push(path);
        self.entries.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Everything that was taken, in order.
    ///
    /// # Errors
    /// When a run cannot be read back.
    pub(crate) fn finish(mut self) -> Result<Sorted, Error> {
        self.entries.sort_unstable_by_key(|(key, _, _)| *key);
        let mut sorted = Sorted {
            runs: Vec::new(),
            heap: BinaryHeap::new(),
        };
        for path in self.runs {
            let file = File::open(&path).map_err(Error::io(&path))?;
            let file = BufReader::with_capacity(READ_BYTES, file);
            sorted.add(Run::Disk { path, file })?;
        }
        sorted.add(Run::Memory(self.entries.into_iter()))?;
        Ok(sorted)
    }
}

fn write_run(path: &Path, entries: &[Entry]) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 18, File::create_new(path)?);
    for (key, kind, body) in entries {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        file.write_all(&key.time.to_le_bytes())?;
        file.write_all(&key.source.to_le_bytes())?;
        file.write_all(&[key.stream, *kind])?;
        file.write_all(&key.sequence.to_le_bytes())?;
        file.write_all(&key.position.to_le_bytes())?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(body)?;
    }
    file.flush()
}

enum Run {
    Disk {
        path: PathBuf,
        file: BufReader<File>,
    },
    Memory(std::vec::IntoIter<Entry>),
}

impl Run {
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::Disk { path, file } => read_entry(file).map_err(Error::io(path)),
        }
    }
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_entry(from: &mut impl Read) -> io::Result<Option<Entry>> {
    let time = match take(from) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        time => i64::from_le_bytes(time?),
    };
    let source = u32::from_le_bytes(take(from)?);
    let [stream, kind] = take(from)?;
    let sequence = u64::from_le_bytes(take(from)?);
    let position = u64::from_le_bytes(take(from)?);
    let length = u32::from_le_bytes(take(from)?);
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
    from.read_exact(&mut body)?;
    let key = Key {
        time,
        source,
        stream,
        sequence,
        position,
    };
    Ok(Some((key, kind, body)))
}

/// Everything in order; an iterator.
pub(crate) struct Sorted {
    runs: Vec<(Run, Option<Entry>)>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
}

impl Sorted {
    fn add(&mut self, mut run: Run) -> Result<(), Error> {
        let first = run.next()?;
        if let Some((key, _, _)) = &first {
            self.heap.push(Reverse((*key, self.runs.len())));
        }
        self.runs.push((run, first));
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<(Key, Item)>, Error> {
        let Some(Reverse((_, index))) = self.heap.pop() else {
            self.remove_files();
            return Ok(None);
        };
        let Some((run, head)) = self.runs.get_mut(index) else {
            return Ok(None);
        };
        let next = run.next()?;
        if let Some((key, _, _)) = &next {
            self.heap.push(Reverse((*key, index)));
        }
        let Some((key, kind, body)) = std::mem::replace(head, next) else {
            return Ok(None);
        };
        let broken = |error| Error::Io {
            path: PathBuf::from("a run of sorted frames"),
            source: io::Error::other(error),
        };
        let item = if kind == ALERT {
            Item::Alert(v1::AlertTransition::decode(body.as_slice()).map_err(broken)?)
        } else {
            Item::Frame(v1::Samples::decode(bytes::Bytes::from(body)).map_err(broken)?)
        };
        Ok(Some((key, item)))
    }

    /// The runs must not be in the directory when it gets its name.
    fn remove_files(&mut self) {
        for (run, _) in self.runs.drain(..) {
            if let Run::Disk { path, .. } = run {
                drop(fs::remove_file(path));
            }
        }
    }
}

impl Iterator for Sorted {
    type Item = Result<(Key, Item), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl std::fmt::Debug for Sorted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sorted")
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However many runs it takes.
        #[test]
        fn what_goes_in_comes_out_in_order(times in prop::collection::vec(-9..9i64, 0..60), run_bytes in 1..4_000usize) {
            let dir = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(dir.path(), run_bytes);
            let mut expected = Vec::new();
            for (number, time) in (0..).zip(times) {
                let key = Key { time, position: number, ..Key::default() };
                let item = if number % 5 == 0 {
                    Item::Alert(v1::AlertTransition { ordinal: number, ..v1::AlertTransition::default() })
                } else {
                    Item::Frame(v1::Samples { position: number, frame: vec![7; 40].into(), ..v1::Samples::default() })
                };
                sorter.push(key, &item).unwrap();
                expected.push((key, item));
            }
            expected.sort_by_key(|(key, _)| *key);
            let sorted: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(sorted, expected);
            prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "runs are gone");
        }
    }
}
