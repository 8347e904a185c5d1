//! What can be wrong with a record, in words that say where and what to do.

use std::path::{Path, PathBuf};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the record cannot be opened or read.
    #[error("failed to read {}: {source}; check that the file is there and readable", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A header does not follow the format.
    #[error("{}, line {line}: {what}; {advice}", file.display())]
    Header {
        /// Which header.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// A signal file holds fewer samples than the header promises.
    #[error(
        "{}: {found} frames where the header promises {promised}; fetch the file again, \
         or put {found} as the number of samples into the header", file.display()
    )]
    Truncated {
        /// Which signal file.
        file: PathBuf,
        /// Frames in the file.
        found: u64,
        /// Frames in the header.
        promised: u64,
    },
}

impl Error {
    pub(crate) fn io(file: &Path, source: std::io::Error) -> Self {
        let file = file.to_owned();
        Self::Io { file, source }
    }

    pub(crate) fn header(file: &Path, line: usize, problem: Problem) -> Self {
        Self::Header {
            file: file.to_owned(),
            line,
            what: problem.what,
            advice: problem.advice.to_owned(),
        }
    }
}

/// What is wrong with one line, before file and line number are known.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    advice: &'static str,
}

/// Longest piece of a bad field that is quoted.
const QUOTED_CHARS_MAX: usize = 60;

impl Problem {
    pub(crate) fn new(what: impl Into<String>, advice: &'static str) -> Self {
        let what = what.into();
        Self { what, advice }
    }

    pub(crate) fn field(name: &str, text: &str, advice: &'static str) -> Self {
        let quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        Self::new(format!("{name} {quoted:?} is not valid"), advice)
    }
}
