//! The directory: opened, repaired, appended to.

use crate::chain::{self, Head, Key};
use crate::record::{Entry, LINE_BYTES_MAX, Record};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// When a file has so many bytes, the next group of records begins another.
pub const FILE_BYTES: u64 = 8 << 20;
/// Bytes of one that is read whole: one group more may be in it.
const FILE_BYTES_MAX: u64 = 64 << 20;
const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
pub(crate) const HEAD: &str = "head";

/// The log of one directory, in the one process that may write it.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    key: Key,
    /// Of the last record that is on disk.
    head: Head,
    /// File that records go to, and how much of it counts. `None`: the next begins one.
    file: Option<(PathBuf, u64)>,
    /// The same, open; `None` after a failure.
    open: Option<File>,
    file_bytes: u64,
    _lock: File,
}

/// Why a log is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error("{0} is in use: a server runs there, or another command")]
    Locked(String),
    /// Nothing fits the key.
    #[error(
        "{0} was written with another key, or with none: give that one, or move the directory \
         aside to begin a new log"
    )]
    Key(String),
    /// The disk.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// The files of a log in order, each with the number of its first record.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let digits = name.and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
            files.push((first, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the file `head`; `None`: there is none, or it is not what it should be.
pub(crate) fn head(dir: &Path, key: &Key) -> Option<Head> {
    let text = std::fs::read_to_string(dir.join(HEAD)).ok()?;
    Head::of_file(&text, key)
}

/// How far a file is as it should be.
struct Scan {
    /// The last record that follows from those before it.
    last: Option<Head>,
    /// Where it ends.
    good: u64,
    bytes: u64,
    /// Whether the record that the head names is among them, or just before them.
    has_head: bool,
    /// Whether a whole record is next that does not follow: no broken write leaves that.
    is_mixed: bool,
}

fn scan(path: &Path, first: u64, key: &Key, head: &Head) -> io::Result<Scan> {
    let mut text = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut text)?;
    let (mut last, mut good): (Option<Head>, usize) = (None, 0);
    let (mut has_head, mut is_mixed) = (false, false);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let read = line
            .strip_suffix(b"\n")
            .and_then(|line| chain::read(line, key));
        let Some(read) = read.filter(|read| read.is_whole) else {
            break;
        };
        let (seq, prev) = (read.record.seq, &read.record.prev);
        let before = last
            .as_ref()
            .map_or(first.checked_sub(1), |last| Some(last.seq));
        let follows = last.as_ref().is_none_or(|last| last.hash == *prev);
        if before.and_then(|before| before.checked_add(1)) != Some(seq) || !follows {
            is_mixed = true;
            break;
        }
        let of_it = |at: u64, hash: &str| head.seq == at && head.hash == hash;
        has_head |= of_it(seq, &read.hash) || before.is_some_and(|before| of_it(before, prev));
        good = good.saturating_add(line.len());
        let hash = read.hash;
        last = Some(Head { seq, hash });
    }
    let bytes = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Ok(Scan {
        last,
        good: bytes(good),
        bytes: bytes(text.len()),
        has_head,
        is_mixed,
    })
}

/// What an opened log goes on from.
struct Start {
    head: Head,
    file: Option<(PathBuf, u64)>,
    /// What has to be said of it.
    told: Option<Entry>,
}

fn start(dir: &Path, key: &Key) -> Result<Start, OpenError> {
    let failed = |error| OpenError::Io(dir.display().to_string(), error);
    let head_file = dir.join(HEAD).try_exists().map_err(failed)?;
    let known = head(dir, key);
    let files = files(dir).map_err(failed)?;
    let Some((first, path)) = files.last() else {
        // That of a log to which nothing was written yet.
        let is_first = known.as_ref().is_some_and(|head| head.seq == 0);
        let told = (head_file && !is_first).then(|| damaged("there is a head, and no record"));
        let head = known.unwrap_or_else(Head::none);
        return Ok(Start {
            head,
            file: None,
            told,
        });
    };
    let head = known.clone().unwrap_or_else(Head::none);
    let scan = scan(path, *first, key, &head).map_err(failed)?;
    if known.is_none() && scan.last.is_none() && scan.bytes > 0 {
        return Err(OpenError::Key(dir.display().to_string()));
    }
    let torn = scan.bytes.saturating_sub(scan.good);
    // Its first record was being written when the power went.
    let is_begun = scan.last.is_none() && head.seq.checked_add(1) == Some(*first);
    if known.is_some() && !scan.is_mixed && (scan.has_head || is_begun) {
        let told = (torn > 0).then(|| {
            let words = format!("took away {torn} bytes of a record that was not finished");
            Entry::own("audit repaired", words)
        });
        return Ok(Start {
            head: scan.last.unwrap_or(head),
            file: Some((path.clone(), scan.good)),
            told,
        });
    }
    let last = scan.last.as_ref().map_or(*first, |last| last.seq);
    let words = match &known {
        None => format!("the head is missing or damaged; the last record found is {last}"),
        Some(head) => format!(
            "the head says {}, and the records are damaged or end with {last}",
            head.seq
        ),
    };
    let seq = head.seq.max(last);
    let hash = { known.or(scan.last) }.map_or_else(|| Head::none().hash, |head| head.hash);
    Ok(Start {
        head: Head { seq, hash },
        file: None,
        told: Some(damaged(&words)),
    })
}

fn damaged(what: &str) -> Entry {
    Entry::own("audit damaged", what.to_owned())
}

impl Log {
    /// Opens the log of a directory, which is made if it is not there. What a power
    /// cut left is repaired, and what is found is written as a record at `now_us`.
    ///
    /// # Errors
    /// When another process has it, it has another key, or the disk refuses.
    pub fn open(dir: &Path, key: Key, now_us: i64) -> Result<Self, OpenError> {
        Self::open_with(dir, key, now_us, FILE_BYTES)
    }

    pub(crate) fn open_with(
        dir: &Path,
        key: Key,
        now_us: i64,
        file_bytes: u64,
    ) -> Result<Self, OpenError> {
        let name = || dir.display().to_string();
        let failed = |error| OpenError::Io(name(), error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let lock = owned(&dir.join("lock"), false).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked(name()),
            TryLockError::Error(error) => failed(error),
        })?;
        let Start { head, file, told } = start(dir, &key)?;
        let mut log = Self {
            dir: dir.to_owned(),
            key,
            head,
            file,
            open: None,
            file_bytes,
            _lock: lock,
        };
        match told {
            Some(told) => log.append(&[(now_us, told)]).map_err(failed)?,
            // It may be behind by a group.
            None => log.write_head().map_err(failed)?,
        }
        Ok(log)
    }

    /// Of the last record on disk.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Writes some records, each with its time, and gives back when they are on disk.
    ///
    /// # Errors
    /// When the disk refuses: none of them counts, and the next call tries anew.
    pub fn append(&mut self, entries: &[(i64, Entry)]) -> io::Result<()> {
        let before = (self.head.clone(), self.file.clone());
        let appended = self.try_append(entries);
        if appended.is_err() {
            (self.head, self.file) = before;
            self.open = None;
        }
        appended
    }

    fn try_append(&mut self, entries: &[(i64, Entry)]) -> io::Result<()> {
        let (mut text, mut head) = (Vec::new(), self.head.clone());
        for (time_us, entry) in entries {
            let record = Record {
                seq: head.seq.saturating_add(1),
                time_us: *time_us,
                entry: entry.clone().clipped(),
                prev: head.hash,
            };
            let (line, hash) = chain::line(&record, &self.key)?;
            debug_assert!(line.len() <= LINE_BYTES_MAX, "I9: a line has a bound");
            text.extend(line);
            head = Head {
                seq: record.seq,
                hash,
            };
        }
        if text.is_empty() {
            return Ok(());
        }
        let mut file = self.place()?;
        file.write_all(&text)?;
        file.sync_data()?;
        self.open = Some(file);
        if let Some((_, bytes)) = &mut self.file {
            *bytes = bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        }
        self.head = head;
        self.write_head()
    }

    /// The file that the next records go to, at its end.
    fn place(&mut self) -> io::Result<File> {
        if self
            .file
            .as_ref()
            .is_some_and(|(_, bytes)| *bytes >= self.file_bytes)
        {
            (self.file, self.open) = (None, None);
        }
        if let Some(file) = self.open.take() {
            return Ok(file);
        }
        let (path, bytes) = self.file.clone().unwrap_or_else(|| {
            let first = self.head.seq.saturating_add(1);
            (self.dir.join(format!("{PREFIX}{first:020}{SUFFIX}")), 0)
        });
        let mut file = owned(&path, false)?;
        // What a failed write or a power cut left behind the last record.
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        if self.file.is_none() {
            sync_dir(&self.dir)?;
        }
        self.file = Some((path, bytes));
        Ok(file)
    }

    fn write_head(&self) -> io::Result<()> {
        let beside = self.dir.join("head.new");
        let mut file = owned(&beside, true)?;
        file.write_all(self.head.to_file(&self.key).as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&beside, self.dir.join(HEAD))?;
        sync_dir(&self.dir)
    }
}

/// For its owner alone.
fn owned(path: &Path, is_new: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(is_new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
