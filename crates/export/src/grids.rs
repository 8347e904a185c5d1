//! A whole recording into files with rows: which frame goes to which stretch of
//! which source, and where events stand.

use crate::error::Error;
use crate::grid::{self, Kind, Open, Stretch};
use crate::item::Taken;
use crate::survey::{Source, Survey};
use crate::vitals::{self, VitalGrid};
use crate::waves::{self, Part, WaveGrid};
use enroute_model::frame::{Body, Numeric};
use std::path::{Path, PathBuf};

/// Events that wait for a file to stand in; more are only in the tables.
const PENDING_MAX: usize = 4_096;
/// Files of one export: far more than any transfer has, and fewer than a
/// directory can hold.
const FILES_MAX: usize = 65_536;
/// Notes that are kept.
pub(crate) const NOTES_MAX: usize = 256;

/// All files of an export.
pub(crate) struct Grids {
    sources: Vec<SourceGrids>,
    files: Files,
    overlapping: u64,
    unplaced: u64,
}

/// What was begun so far, and how.
pub(crate) struct Files {
    dir: PathBuf,
    open: Open,
    transfer: String,
    counts: [usize; 2],
    /// In the order in which they were begun, without endings.
    pub(crate) names: Vec<String>,
    /// What could not be written as it was.
    pub(crate) notes: Vec<String>,
}

struct SourceGrids {
    number: u32,
    exercise: bool,
    waves: Vec<WaveGrid>,
    vitals: Option<VitalGrid>,
    pending: Vec<(i64, String)>,
}

impl Grids {
    pub(crate) fn new(dir: &Path, transfer: &str, survey: &Survey, open: Open) -> Self {
        let mut notes = Vec::new();
        let of = |(number, source): (u32, &Source)| {
            let groups = grid::groups(&source.waves);
            let vitals = (!source.vitals.is_empty()).then(|| {
                let (grid, rounded) = VitalGrid::new(source);
                notes.extend(rounded);
                grid
            });
            SourceGrids {
                number,
                exercise: source.exercise,
                waves: groups.iter().map(|g| WaveGrid::new(source, g)).collect(),
                vitals,
                pending: Vec::new(),
            }
        };
        let sources = (1..).zip(&survey.sources).map(of).collect();
        Self {
            sources,
            files: Files {
                dir: dir.to_owned(),
                open,
                transfer: transfer.to_owned(),
                counts: [0, 0],
                names: Vec::new(),
                notes,
            },
            overlapping: 0,
            unplaced: 0,
        }
    }

    pub(crate) fn frame(&mut self, taken: &Taken<'_>) -> Result<(), Error> {
        let index = usize::try_from(taken.source).unwrap_or(usize::MAX);
        let Some(source) = self.sources.get_mut(index) else {
            return Ok(());
        };
        let (at, header) = (taken.at(), &taken.frame.header);
        let device_clock = header.observed_at.is_some();
        match &taken.frame.body {
            Body::Waveforms(waveforms) => {
                let part = Part {
                    at,
                    device_clock,
                    boot: header.boot,
                    waveforms,
                };
                self.overlapping += source.waveforms(&mut self.files, part)?;
            }
            Body::Numerics(numerics) => {
                source.numerics(&mut self.files, (at, device_clock), numerics)?;
            }
            Body::DeviceAlarms(_)
            | Body::Position(_)
            | Body::Crew(_)
            | Body::Link(_)
            | Body::Shed(_)
            | Body::Unknown => {}
        }
        source.settle()
    }

    /// Something that happened: into the source's waveforms, else its vital signs,
    /// else whatever there is.
    pub(crate) fn event(&mut self, source: Option<u32>, at: i64, text: &str) -> Result<(), Error> {
        let named = source.and_then(|source| usize::try_from(source).ok());
        let named = named.filter(|at| self.sources.get(*at).is_some_and(SourceGrids::has_files));
        let any = || self.sources.iter().position(SourceGrids::has_files);
        let index = named.or_else(any);
        let Some(grids) = index.and_then(|index| self.sources.get_mut(index)) else {
            self.unplaced += 1;
            return Ok(());
        };
        if grids.pending.len() < PENDING_MAX {
            grids.pending.push((at, text.to_owned()));
        } else {
            self.unplaced += 1;
        }
        grids.settle()
    }

    /// Ends every file; gives their names, and what could not be written as it was.
    pub(crate) fn finish(mut self) -> Result<(Vec<String>, Vec<String>), Error> {
        for mut all in self.sources {
            for grid in &mut all.waves {
                self.files.ended(grid.end()?);
            }
            if let Some(grid) = &mut all.vitals {
                self.files.ended(grid.end()?);
            }
            self.unplaced += u64::try_from(all.pending.len()).unwrap_or(u64::MAX);
        }
        if self.overlapping > 0 {
            let count = self.overlapping;
            self.files.note(format!(
                "{count} runs of samples lay over others of the same time and are left out"
            ));
        }
        if self.unplaced > 0 {
            let count = self.unplaced;
            self.files.note(format!(
                "{count} events have no place in these files; the tables of CSV have them"
            ));
        }
        Ok((self.files.names, self.files.notes))
    }
}

impl Files {
    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn ended(&mut self, notes: Option<Vec<String>>) {
        for note in notes.into_iter().flatten() {
            self.note(note);
        }
    }

    /// The next file; what is not known here is filled in by its grid.
    fn next(&mut self, number: u32, exercise: bool, kind: Kind) -> Result<Stretch, Error> {
        let [waves, vitals] = &mut self.counts;
        let (letter, count) = match kind {
            Kind::Waves => ('w', waves),
            Kind::Vitals => ('n', vitals),
        };
        *count += 1;
        let name = format!("{}_{letter}{count}", self.transfer);
        if self.names.len() == FILES_MAX {
            let (what, limit) = ("stretches with files of their own", FILES_MAX);
            return Err(Error::TooMuch { what, limit });
        }
        self.names.push(name.clone());
        Ok(Stretch {
            name,
            kind,
            rows_hz: 1.0,
            start_us: 0,
            device_clock: false,
            exercise,
            source: number,
            signals: Vec::new(),
        })
    }
}

impl SourceGrids {
    /// Gives how many runs of samples had no place.
    fn waveforms(&mut self, files: &mut Files, part: Part<'_>) -> Result<u64, Error> {
        let mut overlapping = 0;
        for grid in &mut self.waves {
            let mut taken = grid.take(part)?;
            if matches!(taken, waves::Taken::Begin) {
                files.ended(grid.end()?);
                let stretch = files.next(self.number, self.exercise, Kind::Waves)?;
                grid.begin((&files.dir, files.open), stretch, part)?;
                taken = grid.take(part)?;
            }
            if let waves::Taken::Done { overlapping: more } = taken {
                overlapping += more;
            }
        }
        Ok(overlapping)
    }

    fn numerics(
        &mut self,
        files: &mut Files,
        from: (i64, bool),
        numerics: &[Numeric],
    ) -> Result<(), Error> {
        let Some(grid) = &mut self.vitals else {
            return Ok(());
        };
        if matches!(grid.take(from, numerics)?, vitals::Taken::Begin) {
            files.ended(grid.end()?);
            let stretch = files.next(self.number, self.exercise, Kind::Vitals)?;
            grid.begin((&files.dir, files.open), stretch, from)?;
            grid.take(from, numerics)?;
        }
        Ok(())
    }

    fn has_files(&self) -> bool {
        !self.waves.is_empty() || self.vitals.is_some()
    }

    /// Puts waiting events into the file that is open.
    fn settle(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let waves = self.waves.first_mut();
        let rows = match waves {
            Some(grid) => grid.rows(),
            None => self.vitals.as_mut().and_then(VitalGrid::rows),
        };
        let Some(rows) = rows else {
            return Ok(());
        };
        for (at, text) in self.pending.drain(..) {
            rows.event(at, &text)?;
        }
        Ok(())
    }
}
