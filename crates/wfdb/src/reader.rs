//! Opens a record and gives its frames one by one.

use crate::error::{Error, Problem};
use crate::header::{HEADER_BYTES_MAX, Header, Layout, SegmentLine, SignalLine};
use crate::segment::{self, OpenSegment, Plan};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One frame: of each signal as many samples as its line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Number of the frame since the record began, from 0.
    pub index: u64,
    /// Number of the segment, from 0.
    pub segment: usize,
    samples: Vec<Option<i32>>,
    /// Where each signal ends in `samples`.
    ends: Vec<usize>,
}

impl Frame {
    /// The samples of a signal as the file has them; `None` where it marks one as
    /// missing, or the record has a gap. Empty for a signal that is not there. A
    /// skewed signal was sampled [`SignalLine::skew_frames`] frames before this one.
    #[must_use]
    pub fn signal(&self, index: usize) -> &[Option<i32>] {
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(usize::MAX),
            None => 0,
        };
        let end = self.ends.get(index).copied().unwrap_or(0);
        self.samples.get(start..end).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.samples.clear();
        self.ends.clear();
    }

    pub(crate) fn push(&mut self, sample: Option<i32>) {
        self.samples.push(sample);
    }

    pub(crate) fn end_signal(&mut self) {
        self.ends.push(self.samples.len());
    }
}

/// A checksum of the header that the samples do not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Number of the segment, from 0.
    pub segment: usize,
    /// Number of the signal, from 0.
    pub signal: usize,
    /// As the header says.
    pub expected: i16,
    /// Of the stored samples.
    pub found: i16,
}

/// Reads a record from its beginning to its end.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    header: Header,
    segments: Vec<Plan>,
    /// The segment being read or read next.
    segment: usize,
    open: Option<OpenSegment>,
    next_frame: u64,
    mismatches: Vec<Mismatch>,
}

impl Reader {
    /// Opens the record at `path` (with or without `.hea`), reads all its
    /// headers, and checks that its files are there and long enough.
    ///
    /// # Errors
    /// When a file is missing or too short, a header does not follow the
    /// format, or the record uses something that this crate does not read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = path.as_os_str().to_owned();
        if path.extension().is_none_or(|e| e != "hea") {
            file.push(".hea");
        }
        let file = PathBuf::from(file);
        let dir = file.parent().unwrap_or(Path::new("")).to_owned();
        let header = read_header(&file)?;
        if header.is_variable() {
            let problem = Problem::new(
                "segments in the variable layout are not supported",
                "convert the record to the fixed layout, or use its segments one by one",
            );
            return Err(Error::header(&file, 1, problem));
        }
        let segments = plans(&dir, &file, &header)?;
        Ok(Self {
            dir,
            header,
            segments,
            segment: 0,
            open: None,
            next_frame: 0,
            mismatches: Vec::new(),
        })
    }

    /// The header of the record.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many segments there are; 1 for a record without any.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The signals of a segment: their number and samples per frame are the
    /// same in all, the rest may differ. Empty beyond the last segment.
    #[must_use]
    pub fn signals(&self, segment: usize) -> &[SignalLine] {
        self.segments.get(segment).map_or(&[], |s| &s.signals)
    }

    /// Frames in the record.
    #[must_use]
    pub fn frame_count(&self) -> u64 {
        let frames = self.segments.iter().map(|s| s.frames);
        frames.fold(0, u64::saturating_add)
    }

    /// Reads the next frame into `frame`; false after the last one.
    ///
    /// # Errors
    /// When a file cannot be read. The reader gives no frame after that.
    pub fn read(&mut self, frame: &mut Frame) -> Result<bool, Error> {
        while let Some(plan) = self.segments.get(self.segment) {
            let open = match &mut self.open {
                Some(open) => open,
                closed => closed.insert(OpenSegment::open(&self.dir, plan)?),
            };
            if open
                .read(frame)
                .inspect_err(|_| self.segment = usize::MAX)?
            {
                (frame.index, frame.segment) = (self.next_frame, self.segment);
                self.next_frame += 1;
                return Ok(true);
            }
            self.mismatches
                .extend(open.mismatches(self.segment, &plan.signals));
            self.open = None;
            self.segment += 1;
        }
        Ok(false)
    }

    /// The wrong checksums of the segments read to their end. A wrong one says
    /// that header and signal file do not belong together or one is damaged.
    #[must_use]
    pub fn mismatches(&self) -> &[Mismatch] {
        &self.mismatches
    }
}

fn read_header(file: &Path) -> Result<Header, Error> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|f| f.take(HEADER_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::io(file, e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > HEADER_BYTES_MAX {
        let what = format!("the header has more than {HEADER_BYTES_MAX} bytes");
        return Err(Error::header(
            file,
            1,
            Problem::new(what, "check that it is a header"),
        ));
    }
    // Comments may be in any 8-bit code; the fields that count are ASCII.
    Header::parse(&String::from_utf8_lossy(&bytes), file)
}

fn plans(dir: &Path, file: &Path, header: &Header) -> Result<Vec<Plan>, Error> {
    let (signals, lines) = match &header.layout {
        Layout::Single(lines) => {
            let record = Some(header.name.clone());
            return Ok(vec![plan(dir, file, record, lines, header.frames)?]);
        }
        Layout::Segments { signals, segments } => (*signals, segments),
    };
    let mut plans: Vec<Plan> = Vec::with_capacity(lines.len());
    for line in lines {
        plans.push(segment_plan(dir, file, header, line)?);
    }
    let Some(shape) = plans.iter().find(|p| p.record.is_some()) else {
        let problem = Problem::new("the record has only gaps", "name at least one segment");
        return Err(Error::header(file, 1, problem));
    };
    let shape = shape.signals.clone();
    for plan in &mut plans {
        match &plan.record {
            None => plan.signals.clone_from(&shape),
            Some(name) => check_shape(dir, name, signals, &shape, &plan.signals)?,
        }
    }
    Ok(plans)
}

fn segment_plan(
    dir: &Path,
    master: &Path,
    header: &Header,
    line: &SegmentLine,
) -> Result<Plan, Error> {
    let Some(name) = &line.name else {
        return Ok(Plan {
            record: None,
            signals: Vec::new(),
            frames: line.frames,
        });
    };
    let file = dir.join(format!("{name}.hea"));
    let segment = read_header(&file)?;
    let wrong = |what: String, advice| Err(Error::header(&file, 1, Problem::new(what, advice)));
    let Layout::Single(signals) = &segment.layout else {
        return wrong(
            format!("a segment of {} has segments itself", master.display()),
            "name its segments in the first header",
        );
    };
    if (segment.frequency_hz - header.frequency_hz).abs() > header.frequency_hz * 1e-9 {
        return wrong(
            format!(
                "{} Hz, but the record has {} Hz",
                segment.frequency_hz, header.frequency_hz
            ),
            "give all segments the same sampling frequency",
        );
    }
    if segment.frames.is_some_and(|frames| frames != line.frames) {
        return wrong(
            format!(
                "the length is not the {} samples of {}",
                line.frames,
                master.display()
            ),
            "correct one of the two",
        );
    }
    plan(dir, &file, Some(name.clone()), signals, Some(line.frames))
}

/// Checks the files of one segment against its length.
fn plan(
    dir: &Path,
    file: &Path,
    record: Option<String>,
    signals: &[SignalLine],
    promised: Option<u64>,
) -> Result<Plan, Error> {
    if signals.is_empty() {
        let problem = Problem::new("the record has no signals", "choose a record with signals");
        return Err(Error::header(file, 1, problem));
    }
    let mut frames = promised.unwrap_or(u64::MAX);
    for signals in segment::by_file(signals) {
        let found = segment::frames_in(dir, signals)?;
        match (promised, signals.first()) {
            (Some(promised), Some(first)) if found < promised => {
                let file = dir.join(&first.file);
                return Err(Error::Truncated {
                    file,
                    found,
                    promised,
                });
            }
            _ => frames = frames.min(found),
        }
    }
    Ok(Plan {
        record,
        signals: signals.to_vec(),
        frames,
    })
}

fn check_shape(
    dir: &Path,
    name: &str,
    signals: usize,
    shape: &[SignalLine],
    segment: &[SignalLine],
) -> Result<(), Error> {
    let spf = |lines: &[SignalLine]| {
        lines
            .iter()
            .map(|s| s.samples_per_frame)
            .collect::<Vec<_>>()
    };
    if segment.len() == signals && spf(segment) == spf(shape) {
        return Ok(());
    }
    let file = dir.join(format!("{name}.hea"));
    let what = "number of signals or samples per frame differ from the other segments";
    Err(Error::header(
        &file,
        1,
        Problem::new(what, "give all segments the same"),
    ))
}
