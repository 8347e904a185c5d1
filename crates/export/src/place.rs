//! Where an export is made: a directory under a temporary name, which gets its
//! own only when everything in it is whole and on disk.

use crate::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A directory being filled; removed again unless [`Place::commit`] is called.
#[derive(Debug)]
pub struct Place {
    partial: PathBuf,
    to: PathBuf,
    committed: bool,
}

impl Place {
    /// Makes `NAME.partial` in `out`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made, or `NAME` or a left-over of it is there.
    pub fn create(out: &Path, name: &str) -> Result<Self, Error> {
        let (to, partial) = (out.join(name), out.join(format!("{name}.partial")));
        fs::create_dir_all(out).map_err(Error::io(out))?;
        if to.try_exists().map_err(Error::io(&to))? {
            return Err(Error::Exists { path: to });
        }
        match fs::create_dir(&partial) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists { path: partial });
            }
            made => made.map_err(Error::io(&partial))?,
        }
        Ok(Self {
            partial,
            to,
            committed: false,
        })
    }

    /// Where to write meanwhile.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.partial
    }

    /// Writes a small file and syncs it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.partial.join(name);
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(Error::io(&path))
    }

    /// Gives the directory its name; the files in it must be synced already.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn commit(mut self) -> Result<PathBuf, Error> {
        let synced = File::open(&self.partial).and_then(|dir| dir.sync_all());
        synced.map_err(Error::io(&self.partial))?;
        fs::rename(&self.partial, &self.to).map_err(Error::io(&self.to))?;
        self.committed = true;
        let parent = self.to.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let synced = File::open(parent).and_then(|dir| dir.sync_all());
        synced.map_err(Error::io(parent))?;
        Ok(self.to.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.committed {
            // Whatever it says: the reason why nothing was made is told already.
            drop(fs::remove_dir_all(&self.partial));
        }
    }
}
