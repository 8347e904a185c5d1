//! One export from its beginning to its name.

use crate::csv::CsvTables;
use crate::error::Error;
use crate::gaps::Gaps;
use crate::grid::Open;
use crate::grids::Grids;
use crate::item::{Item, Taken};
use crate::mcap::McapFile;
use crate::parquet::ParquetTables;
use crate::place::Place;
use crate::sort::{RUN_BYTES, Sorter};
use crate::survey::{Survey, decoded};
use crate::words::Words;
use crate::{edf, tables, wfdb};
use enroute_model::ids::TransferId;
use enroute_wire::v1;
use std::path::Path;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Records of PhysioNet's format.
    Wfdb,
    /// EDF+ files.
    Edf,
    /// Every message as it is, in one file.
    Mcap,
    /// Tables as text.
    Csv,
    /// Tables in columns.
    Parquet,
}

impl Format {
    /// Its word, also the ending of the directory's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wfdb => "wfdb",
            Self::Edf => "edf",
            Self::Mcap => "mcap",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// An export that takes what a recording holds, in any order.
#[derive(Debug)]
pub struct Export {
    format: Format,
    transfer: String,
    place: Place,
    survey: Survey,
    sorter: Sorter,
    alerts: u64,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Where it is, until it gets its name.
    pub place: Place,
    /// What is missing.
    pub gaps: Gaps,
    /// Frames in it.
    pub frames: u64,
    /// Steps of alerts in it.
    pub alerts: u64,
    /// Names of its records or files, where there are several of a kind.
    pub files: Vec<String>,
    /// What could not be written as it was.
    pub notes: Vec<String>,
}

impl Export {
    /// Begins `TRANSFER-FORMAT` in the directory `out`.
    ///
    /// # Errors
    /// When it is there already, or nothing can be written.
    pub fn begin(out: &Path, transfer: &TransferId, format: Format) -> Result<Self, Error> {
        let name = format!("{transfer}-{}", format.word());
        let place = Place::create(out, &name)?;
        let sorter = Sorter::new(place.dir(), RUN_BYTES);
        Ok(Self {
            format,
            transfer: transfer.to_string(),
            place,
            survey: Survey::default(),
            sorter,
            alerts: 0,
        })
    }

    /// Takes a frame, each once.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn frame(&mut self, samples: v1::Samples) -> Result<(), Error> {
        if let Some(key) = self.survey.frame(&samples)? {
            self.sorter.push(key, &Item::Frame(samples))?;
        }
        Ok(())
    }

    /// Takes a step of an alert; behind all frames, which say how the clocks stood.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn alert(&mut self, step: v1::AlertTransition) -> Result<(), Error> {
        self.alerts += 1;
        let key = self.survey.alert(&step);
        self.sorter.push(key, &Item::Alert(step))
    }

    /// Writes everything in the order of the devices. `told` hears after how many
    /// frames and steps it is.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(
        self,
        state: &v1::TransferState,
        words: Words,
        mut told: impl FnMut(u64),
    ) -> Result<Written, Error> {
        let mut writer = self.writer(words)?;
        let mut gaps = Gaps::default();
        let mut done = 0;
        for entry in self.sorter.finish()? {
            let (key, item) = entry?;
            if let Some((raw, frame)) = decoded(&item) {
                let taken = Taken {
                    source: key.source,
                    raw,
                    frame: &frame,
                };
                gaps.frame(&taken);
                writer.frame(&taken)?;
            } else if let Item::Alert(step) = &item {
                let gateway = step.alert.as_ref().map_or("", |a| a.gateway.as_str());
                let source = self.survey.newest_of(gateway);
                writer.alert(step, source, key.time)?;
            }
            done += 1;
            told(done);
        }
        gaps.finish(state);
        let (files, mut notes) = writer.finish(state)?;
        if self.survey.unreadable > 0 {
            let count = self.survey.unreadable;
            notes.push(format!("{count} frames cannot be decoded and are left out"));
        }
        Ok(Written {
            place: self.place,
            gaps,
            frames: self.survey.frames,
            alerts: self.alerts,
            files,
            notes,
        })
    }

    fn writer(&self, words: Words) -> Result<Writer, Error> {
        let (dir, transfer) = (self.place.dir(), self.transfer.as_str());
        let grids = |open: Open| {
            let grids = Grids::new(dir, transfer, &self.survey, open);
            Writer::Grids { grids, words }
        };
        Ok(match self.format {
            Format::Wfdb => grids(wfdb::open),
            Format::Edf => grids(edf::open),
            Format::Mcap => Writer::Mcap(Box::new(McapFile::create(dir, transfer)?)),
            Format::Csv => Writer::Csv {
                tables: CsvTables::create(dir, transfer)?,
                words,
            },
            Format::Parquet => Writer::Parquet {
                tables: ParquetTables::create(dir, transfer)?,
                words,
            },
        })
    }
}

/// What takes a recording in order.
enum Writer {
    Grids { grids: Grids, words: Words },
    Mcap(Box<McapFile>),
    Csv { tables: CsvTables, words: Words },
    Parquet { tables: ParquetTables, words: Words },
}

impl Writer {
    fn frame(&mut self, taken: &Taken<'_>) -> Result<(), Error> {
        match self {
            Self::Grids { grids, words } => {
                grids.frame(taken)?;
                for text in words.events(taken) {
                    grids.event(Some(taken.source), taken.at(), &text)?;
                }
                Ok(())
            }
            Self::Mcap(file) => file.frame(taken),
            Self::Csv { tables, words } => tables::frame(taken, *words, tables),
            Self::Parquet { tables, words } => tables::frame(taken, *words, tables),
        }
    }

    fn alert(
        &mut self,
        step: &v1::AlertTransition,
        source: Option<u32>,
        on_board: i64,
    ) -> Result<(), Error> {
        match self {
            Self::Grids { grids, words } => grids.event(source, on_board, &words.alert_note(step)),
            Self::Mcap(file) => file.alert(step, on_board),
            Self::Csv { tables, words } => tables::alert(step, on_board, *words, tables),
            Self::Parquet { tables, words } => tables::alert(step, on_board, *words, tables),
        }
    }

    fn finish(self, state: &v1::TransferState) -> Result<(Vec<String>, Vec<String>), Error> {
        match self {
            Self::Grids { grids, .. } => return grids.finish(),
            Self::Mcap(file) => file.finish(state)?,
            Self::Csv { tables, .. } => tables.finish()?,
            Self::Parquet { tables, .. } => tables.finish()?,
        }
        Ok((Vec::new(), Vec::new()))
    }
}
