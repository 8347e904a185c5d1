//! A log read from its first record to its last.

use crate::chain::{self, Head, Key};
use crate::log::{HEAD, files, head};
use crate::record::{LINE_BYTES_MAX, Record};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

/// Faults that are listed; all are counted.
pub const FAULTS_MAX: usize = 100;

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which file, at which line; empty and 0 when it is in none.
    pub at: (String, u64),
    /// What, and which record.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = &self.at;
        if file.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{file}, line {line}: {}", self.what)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Files.
    pub files: usize,
    /// Of the last record.
    pub last: Option<Head>,
    /// Bytes behind the last record that a write, or a power cut in one, left there.
    pub unfinished_bytes: u64,
    /// What should not be, the first [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// How many there are.
    pub fault_count: u64,
}

impl Verified {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.fault_count == 0
    }
}

/// One line of a file: the file's name, its number there, and its bytes with their end.
struct Line {
    file: String,
    number: u64,
    bytes: Vec<u8>,
}

/// All lines of a log in order.
fn lines(dir: &Path, mut each: impl FnMut(u64, Line)) -> io::Result<usize> {
    let files = files(dir)?;
    for (first, path) in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut reader = BufReader::new(File::open(path)?);
        let mut number = 0u64;
        loop {
            let mut bytes = Vec::new();
            let bound = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            (&mut reader).take(bound).read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            number = number.saturating_add(1);
            let file = name.clone().into_owned();
            each(
                *first,
                Line {
                    file,
                    number,
                    bytes,
                },
            );
        }
    }
    Ok(files.len())
}

/// All records that can be read, in order; whether they are genuine is [`verify()`]'s.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn records(dir: &Path, mut each: impl FnMut(Record)) -> io::Result<()> {
    lines(dir, |_, line| {
        let bytes = line.bytes.strip_suffix(b"\n").unwrap_or(&line.bytes);
        if let Some(read) = chain::read(bytes, &Key::none()) {
            each(read.record);
        }
    })?;
    Ok(())
}

/// Reads all of a log, which may be growing meanwhile, and compares it with `expected`,
/// a head that somebody noted.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn verify(dir: &Path, key: &Key, expected: Option<&Head>) -> io::Result<Verified> {
    // First: what is written behind it meanwhile may be there or not.
    let known = head(dir, key);
    let has_head = dir.join(HEAD).try_exists()?;
    let heads = [known.clone(), expected.cloned()];
    let mut check = Check {
        key,
        next: Head::none(),
        file: String::new(),
        heads: heads.map(|head| head.map(|head| (head, false))),
        head_seq: known.as_ref().map(|head| head.seq),
        said: Verified {
            records: 0,
            files: 0,
            last: None,
            unfinished_bytes: 0,
            faults: Vec::new(),
            fault_count: 0,
        },
    };
    check.said.files = lines(dir, |first, line| check.line(first, &line))?;
    if known.is_none() && (has_head || check.said.files > 0) {
        let what = if has_head { "damaged" } else { "missing" };
        check.fault(None, format!("the file head is {what}, or of another key"));
    }
    let [known, expected] = check.heads.clone();
    for (head, who) in [(known, "the head"), (expected, "the noted head")] {
        // One that stands before the first record is found by its numbers.
        let lacking = head.filter(|(head, found)| !found && head.seq > 0);
        if let Some((head, _)) = lacking {
            let what = format!(
                "{who} names record {} with hash {}, and it is not there",
                head.seq, head.hash
            );
            check.fault(None, what);
        }
    }
    Ok(check.said)
}

struct Check<'a> {
    key: &'a Key,
    /// The record that the next one follows.
    next: Head,
    file: String,
    /// That of the file and the noted one, each with whether its record was met.
    heads: [Option<(Head, bool)>; 2],
    head_seq: Option<u64>,
    said: Verified,
}

impl Check<'_> {
    fn fault(&mut self, at: Option<&Line>, what: String) {
        self.said.fault_count = self.said.fault_count.saturating_add(1);
        if self.said.faults.len() < FAULTS_MAX {
            let at = at.map(|line| (line.file.clone(), line.number));
            let at = at.unwrap_or_default();
            self.said.faults.push(Fault { at, what });
        }
    }

    fn line(&mut self, first: u64, line: &Line) {
        let expected = self.next.seq.saturating_add(1);
        if self.file != line.file {
            self.file.clone_from(&line.file);
            if first != expected {
                let what = format!("a file begins with record {first}, not with {expected}");
                self.fault(Some(line), what);
            }
        }
        let read = line.bytes.strip_suffix(b"\n");
        let read = read.and_then(|bytes| chain::read(bytes, self.key));
        let Some(read) = read else {
            // What a write leaves that is under way or was broken off.
            if self.head_seq.is_some_and(|head| self.next.seq >= head) {
                let bytes = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
                let sum = &mut self.said.unfinished_bytes;
                *sum = sum.saturating_add(bytes);
                return;
            }
            let what = format!("no record; {expected} should stand here");
            return self.fault(Some(line), what);
        };
        let seq = read.record.seq;
        if seq != expected {
            let what = if seq > expected {
                format!(
                    "record {seq} follows {}: what is between them is missing",
                    self.next.seq
                )
            } else {
                format!(
                    "record {seq} stands behind {}: out of its order",
                    self.next.seq
                )
            };
            self.fault(Some(line), what);
        } else if read.record.prev != self.next.hash {
            let what = format!("record {seq} does not follow the one that stands before it");
            self.fault(Some(line), what);
        }
        if !read.is_whole {
            let what = format!("record {seq} was changed: its hash is that of other content");
            self.fault(Some(line), what);
        }
        if read.record.entry.action == "audit damaged" {
            let what = format!("record {seq} tells of damage: {}", read.record.entry.detail);
            self.fault(Some(line), what);
        }
        self.said.records = self.said.records.saturating_add(1);
        let here = Head {
            seq,
            hash: read.hash,
        };
        for (head, found) in self.heads.iter_mut().flatten() {
            *found |= *head == here;
        }
        self.said.last = Some(here.clone());
        self.next = here;
    }
}
