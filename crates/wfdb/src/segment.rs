//! One segment while it is read: its files, and the sums for the checksums.

use crate::error::Error;
use crate::format::Samples;
use crate::header::SignalLine;
use crate::line::low_16_bits;
use crate::reader::{Frame, Mismatch};
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What a segment has, known before it is read.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Name of its header, for messages; `None` for a gap.
    pub(crate) record: Option<String>,
    /// Its signals; for a gap, those of the first segment that has some.
    pub(crate) signals: Vec<SignalLine>,
    /// Its length.
    pub(crate) frames: u64,
}

/// A segment being read.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    /// Empty for a gap.
    groups: Vec<Group>,
    /// Samples per frame of each signal.
    shape: Vec<usize>,
    /// Frames not handed out yet.
    left: u64,
}

/// The signals of one file.
#[derive(Debug)]
struct Group {
    file: PathBuf,
    samples: Samples<BufReader<File>>,
    signals: Vec<Channel>,
}

/// One signal of a file.
#[derive(Debug)]
struct Channel {
    samples_per_frame: usize,
    missing: i32,
    /// Of all stored samples, modulo 2^32.
    sum: i32,
}

/// Consecutive signals with the same file.
pub(crate) fn by_file(signals: &[SignalLine]) -> impl Iterator<Item = &[SignalLine]> {
    signals.chunk_by(|a, b| a.file == b.file)
}

/// Whole frames in a signal file.
pub(crate) fn frames_in(dir: &Path, signals: &[SignalLine]) -> Result<u64, Error> {
    let Some(first) = signals.first() else {
        return Ok(0);
    };
    let file = dir.join(&first.file);
    let meta = std::fs::metadata(&file).map_err(|e| Error::io(&file, e))?;
    let bytes = meta.len().saturating_sub(first.byte_offset);
    let samples: usize = signals.iter().map(|s| s.samples_per_frame).sum();
    let samples = u64::try_from(samples).unwrap_or(u64::MAX);
    Ok(first
        .format
        .samples_in(bytes)
        .checked_div(samples)
        .unwrap_or(0))
}

impl OpenSegment {
    pub(crate) fn open(dir: &Path, plan: &Plan) -> Result<Self, Error> {
        let gap = plan.record.is_none();
        let files = by_file(&plan.signals).filter(|_| !gap);
        let groups = files.map(|signals| Group::open(dir, signals));
        Ok(Self {
            groups: groups.collect::<Result<_, _>>()?,
            shape: plan.signals.iter().map(|s| s.samples_per_frame).collect(),
            left: plan.frames,
        })
    }

    /// The next frame, or false at the end.
    pub(crate) fn read(&mut self, frame: &mut Frame) -> Result<bool, Error> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        frame.clear();
        if self.groups.is_empty() {
            for samples in &self.shape {
                (0..*samples).for_each(|_| frame.push(None));
                frame.end_signal();
            }
        }
        for group in &mut self.groups {
            group.read(frame)?;
        }
        Ok(true)
    }

    /// After the last frame: the signals whose checksum is wrong.
    pub(crate) fn mismatches(&self, segment: usize, signals: &[SignalLine]) -> Vec<Mismatch> {
        let sums = self.groups.iter().flat_map(|g| &g.signals);
        let wrong = |(signal, (line, channel)): (usize, (&SignalLine, &Channel))| {
            let (expected, found) = (line.checksum?, low_16_bits(channel.sum));
            (expected != found).then_some(Mismatch {
                segment,
                signal,
                expected,
                found,
            })
        };
        signals
            .iter()
            .zip(sums)
            .enumerate()
            .filter_map(wrong)
            .collect()
    }
}

impl Group {
    fn open(dir: &Path, signals: &[SignalLine]) -> Result<Self, Error> {
        let Some(first) = signals.first() else {
            // `by_file` gives no empty group; an empty name fails to open.
            return Err(Error::io(dir, std::io::ErrorKind::NotFound.into()));
        };
        let file = dir.join(&first.file);
        let mut bytes = File::open(&file).map_err(|e| Error::io(&file, e))?;
        bytes
            .seek(SeekFrom::Start(first.byte_offset))
            .map_err(|e| Error::io(&file, e))?;
        Ok(Self {
            file,
            samples: Samples::new(BufReader::new(bytes), first.format),
            signals: signals.iter().map(Channel::new).collect(),
        })
    }

    fn read(&mut self, frame: &mut Frame) -> Result<(), Error> {
        for signal in &mut self.signals {
            for _ in 0..signal.samples_per_frame {
                let stored = self.samples.next().map_err(|e| Error::io(&self.file, e))?;
                signal.sum = signal.sum.wrapping_add(stored);
                frame.push(Some(stored).filter(|s| *s != signal.missing));
            }
            frame.end_signal();
        }
        Ok(())
    }
}

impl Channel {
    fn new(line: &SignalLine) -> Self {
        Self {
            samples_per_frame: line.samples_per_frame,
            missing: line.format.missing(),
            sum: 0,
        }
    }
}
