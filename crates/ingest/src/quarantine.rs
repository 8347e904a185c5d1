//! Bad publishes, kept for a person to look at, in memory and on disk.
//!
//! Bounds: the newest 256 and 4 MiB in memory; the newest 1,000 files and 64 MiB
//! on disk, older ones deleted. Files are written by a thread of their own; it
//! has a queue of 64, and what does not fit is only in memory, and counted.
//!
//! A file is named by the time and a counter and holds lines `topic:`, `time_us:`,
//! `reason:`, an empty line, and the payload as it came.

use crate::decode::Refused;
use crate::stats::{Stats, count};
use bytes::Bytes;
use enroute_model::time::ServerTime;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

const MEMORY_ENTRIES_MAX: usize = 256;
const MEMORY_BYTES_MAX: usize = 4 << 20;
const FILES_MAX: usize = 1_000;
const FILES_BYTES_MAX: u64 = 64 << 20;
const QUEUE: usize = 64;

/// A bad publish.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// Where it was published.
    pub topic: String,
    /// When it came.
    pub received_at: ServerTime,
    /// What was wrong with it.
    pub reason: Refused,
    /// As it came.
    pub payload: Bytes,
}

/// The newest bad publishes; clones share them.
#[derive(Clone, Debug)]
pub struct Quarantine {
    recent: Arc<Mutex<Ring>>,
    disk: SyncSender<Quarantined>,
    stats: Arc<Stats>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Quarantined>,
    bytes: usize,
}

impl Quarantine {
    /// Opens the directory and starts the writer, which ends with the last clone.
    #[doc(hidden)]
    pub fn open(directory: PathBuf, stats: Arc<Stats>) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let mut files = Files::find(directory)?;
        let (disk, queue) = sync_channel(QUEUE);
        let dropped = Arc::clone(&stats);
        std::thread::Builder::new()
            .name("quarantine".to_owned())
            .spawn(move || write_all(&mut files, &queue, &dropped))?;
        Ok(Self {
            recent: Arc::default(),
            disk,
            stats,
        })
    }

    /// What came last, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Quarantined> {
        let ring = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        ring.entries.iter().cloned().collect()
    }

    /// Keeps one; never waits.
    pub(crate) fn put(&self, mut bad: Quarantined) {
        // The payload is a part of a buffer of the connection, which would stay
        // in memory as a whole.
        bad.payload = Bytes::copy_from_slice(&bad.payload);
        if self.disk.try_send(bad.clone()).is_err() {
            count(&self.stats.quarantine_dropped);
        }
        let mut ring = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += bytes(&bad);
        ring.entries.push_back(bad);
        while ring.entries.len() > MEMORY_ENTRIES_MAX || ring.bytes > MEMORY_BYTES_MAX {
            let Some(oldest) = ring.entries.pop_front() else {
                break;
            };
            ring.bytes = ring.bytes.saturating_sub(bytes(&oldest));
        }
    }
}

/// What one keeps in memory; a topic may have 64 KiB.
fn bytes(bad: &Quarantined) -> usize {
    bad.payload.len() + bad.topic.len() + bad.reason.detail.len()
}

fn write_all(files: &mut Files, queue: &Receiver<Quarantined>, stats: &Stats) {
    for bad in queue {
        if let Err(error) = files.write(&bad) {
            count(&stats.quarantine_dropped);
            tracing::warn!(%error, "bad publish not kept on disk");
        }
    }
}

/// The files that are there, oldest first.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    known: VecDeque<(PathBuf, u64)>,
    bytes: u64,
    counter: u32,
}

impl Files {
    fn find(directory: PathBuf) -> std::io::Result<Self> {
        let mut known = Vec::new();
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            let path = entry.path();
            if is_ours(&path) {
                known.push((path, entry.metadata()?.len()));
            }
        }
        // The names begin with the time.
        known.sort_unstable();
        let bytes = known.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self {
            directory,
            known: known.into(),
            bytes,
            counter: 0,
        })
    }

    fn write(&mut self, bad: &Quarantined) -> std::io::Result<()> {
        self.counter = self.counter.wrapping_add(1);
        let name = format!("{:020}-{:010}.bad", bad.received_at.0.max(0), self.counter);
        let path = self.directory.join(name);
        // Escaped: what came from the network must not forge a line.
        let head = format!(
            "topic: {}\ntime_us: {}\nreason: {}\n\n",
            bad.topic.escape_debug(),
            bad.received_at.0,
            bad.reason.to_string().escape_debug(),
        );
        if let Err(error) = write(&path, &[head.as_bytes(), &bad.payload]) {
            // A part of it would be counted nowhere, and a full disk would get more of them.
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        let bytes = u64::try_from(head.len() + bad.payload.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        self.known.push_back((path, bytes));
        while self.known.len() > FILES_MAX || self.bytes > FILES_BYTES_MAX {
            let Some((oldest, bytes)) = self.known.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(bytes);
            match std::fs::remove_file(oldest) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                // Somebody looked at it and removed it.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

fn write(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "bad")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(at: i64, bytes: usize) -> Quarantined {
        Quarantined {
            topic: "a\nreason: forged".to_owned(),
            received_at: ServerTime(at),
            reason: Refused {
                word: "malformed",
                detail: "x".to_owned(),
            },
            payload: vec![7; bytes].into(),
        }
    }

    #[test]
    fn files_are_bounded_in_count_and_bytes_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(directory.path()).unwrap().count();
        let mut files = Files::find(directory.path().to_owned()).unwrap();
        for at in 0..1100 {
            files.write(&bad(at, 10)).unwrap();
        }
        assert_eq!(count(), FILES_MAX);
        let mut again = Files::find(directory.path().to_owned()).unwrap();
        assert_eq!(
            (again.known.len(), again.bytes),
            (files.known.len(), files.bytes)
        );
        for at in 2000..2070 {
            again.write(&bad(at, 1 << 20)).unwrap();
        }
        assert!(again.bytes <= FILES_BYTES_MAX && count() < 64);
        let newest = std::fs::read(&again.known.back().unwrap().0).unwrap();
        let text = String::from_utf8_lossy(&newest);
        assert!(
            text.starts_with("topic: a\\nreason: forged\ntime_us: 2069\nreason: malformed: x\n\n")
        );
    }

    #[test]
    fn memory_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(directory.path().join("q"), Arc::default()).unwrap();
        for at in 0..300 {
            quarantine.put(bad(at, 10));
        }
        assert_eq!(quarantine.recent().len(), MEMORY_ENTRIES_MAX);
        for at in 0..8 {
            quarantine.put(bad(at, 1 << 20));
        }
        assert!(quarantine.recent().len() <= 4);
        // Topics count as well.
        for at in 0..100 {
            let topic = "x".repeat(60 << 10);
            quarantine.put(Quarantined {
                topic,
                ..bad(at, 0)
            });
        }
        assert!(quarantine.recent().len() < 70);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_not_counted_and_one_that_was_taken_away_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::find(directory.path().to_owned()).unwrap();
        for at in 0..1_000 {
            files.write(&bad(at, 1)).unwrap();
        }
        std::fs::remove_file(&files.known[0].0).unwrap();
        files.write(&bad(2_000, 1)).unwrap();
        // A directory stands where the next file would be made.
        let blocked = directory
            .path()
            .join(format!("{:020}-{:010}.bad", 2_001, 1_002));
        std::fs::create_dir(blocked).unwrap();
        assert!(files.write(&bad(2_001, 1)).is_err());
        assert_eq!(files.known.len(), FILES_MAX);
    }
}
