//! Why an export is not made.

use std::path::{Path, PathBuf};

/// Why an export is not made. Nothing is left of it then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be written or read back.
    #[error("failed to write {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What should be made is there already.
    #[error("{} exists already: give another directory, or remove it", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// The recording has more of something than an export takes.
    #[error("the recording has more than {limit} {what}: it cannot be exported")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many an export takes.
        limit: usize,
    },
    /// A library that writes a format refused.
    #[error("failed to write {}: {what}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What it said.
        what: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}
