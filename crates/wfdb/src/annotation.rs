//! Writing annotations in the MIT format of annot(5): notes at frames.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A note, anchored to a moment.
const NOTE: u16 = 22;
/// The next four bytes are an interval.
const SKIP: u16 = 59;
/// So many bytes of text follow.
const AUX: u16 = 63;
/// Largest interval that fits beside a code.
const INTERVAL_MAX: u64 = 1_023;
/// Longest text of one annotation.
pub const TEXT_BYTES_MAX: usize = 255;

/// An annotation file being written.
#[derive(Debug)]
pub struct Annotations {
    file: BufWriter<File>,
    at: u64,
    count: u64,
}

impl Annotations {
    /// Creates the file; there must be none.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(File::create_new(path)?),
            at: 0,
            count: 0,
        })
    }

    /// How many were written.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes a note at `frame`; one that lies before the last note stands beside
    /// it. The text is cut to [`TEXT_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn note(&mut self, frame: u64, text: &str) -> io::Result<()> {
        let mut interval = frame.saturating_sub(self.at);
        self.at = self.at.max(frame);
        self.count += 1;
        while interval > INTERVAL_MAX {
            let step = u32::try_from(interval)
                .unwrap_or(u32::MAX)
                .min(u32::MAX >> 1);
            let [a, b, c, d] = step.to_le_bytes();
            self.word(SKIP, 0)?;
            // The high half comes first, each half with its low byte first.
            self.file.write_all(&[c, d, a, b])?;
            interval -= u64::from(step);
        }
        self.word(NOTE, u16::try_from(interval).unwrap_or(0))?;
        let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev();
        let end = end.into_iter().find(|end| text.is_char_boundary(*end));
        let text = text.get(..end.unwrap_or(0)).unwrap_or_default();
        self.word(AUX, u16::try_from(text.len()).unwrap_or(0))?;
        self.file.write_all(text.as_bytes())?;
        if !text.len().is_multiple_of(2) {
            self.file.write_all(&[0])?;
        }
        Ok(())
    }

    /// Ends the file and syncs it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn finish(mut self) -> io::Result<()> {
        self.word(0, 0)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    fn word(&mut self, code: u16, low: u16) -> io::Result<()> {
        self.file.write_all(&((code << 10) | low).to_le_bytes())
    }
}
