//! Making a store where none is. A disk that is full at the first start leaves a
//! part of one, which the store takes for damage; nobody has written to it yet, so
//! it is cleared away and made anew.
//!
//! A file marks that a store is being made: there from before anything else is
//! made until all of it is durable, so that what is cleared never held a record.
//! The directory is synced at each opening: the mark's removal must not be undone
//! by a power cut when there are records.

use crate::error::OpenError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// Name of the mark.
const MARK: &str = "creating";
/// What the store makes, besides files that end in [`WRITE_AHEAD`].
const FILES: [&str; 2] = ["version", "lock"];
const SPACES: &str = "keyspaces";
const WRITE_AHEAD: &str = "jnl";

/// Opens the store in `dir` by `open`, which makes one if there is none; what an
/// earlier try left unfinished is made anew.
pub(crate) fn finished<T>(
    dir: &Path,
    open: impl Fn() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let refused = |error: io::Error| OpenError::Store {
        dir: dir.to_path_buf(),
        reason: error.to_string(),
    };
    let mark = mark(dir)?;
    let mut opened = attempt(dir, &open);
    let broken = matches!(
        opened,
        Err(OpenError::Store { .. } | OpenError::Damaged { .. })
    );
    if broken && mark.as_ref().is_some_and(|mark| mark.found) {
        tracing::warn!(dir = %dir.display(), "begins anew: nothing was ever stored here");
        clear(dir).map_err(refused)?;
        opened = open();
    }
    let opened = opened?;
    if mark.is_some() {
        fs::remove_file(dir.join(MARK)).map_err(refused)?;
    }
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(refused)?;
    Ok(opened)
}

/// The mark, held so that nobody else makes a store here.
struct Mark {
    /// An earlier try left it.
    found: bool,
    _file: File,
}

/// `None`: a store is there.
fn mark(dir: &Path) -> Result<Option<Mark>, OpenError> {
    let refused = |error: io::Error| OpenError::Store {
        dir: dir.to_path_buf(),
        reason: error.to_string(),
    };
    let path = dir.join(MARK);
    let found = path.try_exists().map_err(refused)?;
    if !found && made(dir).map_err(refused)?.next().is_some() {
        return Ok(None);
    }
    fs::create_dir_all(dir).map_err(refused)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(path);
    let file = file.map_err(refused)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let dir = dir.to_path_buf();
            return Err(OpenError::Locked { dir });
        }
        Err(TryLockError::Error(error)) => return Err(refused(error)),
    }
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(refused)?;
    Ok(Some(Mark { found, _file: file }))
}

/// A store of which a part is missing may be more than an error to the store.
fn attempt<T>(dir: &Path, open: impl Fn() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let tried = std::panic::catch_unwind(AssertUnwindSafe(open));
    tried.unwrap_or_else(|_| {
        let what = "the store panicked; see the log".to_owned();
        let dir = dir.to_path_buf();
        Err(OpenError::Damaged { dir, what })
    })
}

/// What of a store there is.
fn made(dir: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let paths = entries.into_iter().flatten().flatten();
    Ok(paths
        .map(|entry| entry.path())
        .filter(|path| is_of_a_store(path)))
}

fn is_of_a_store(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let known = name.is_some_and(|name| name == SPACES || FILES.contains(&name));
    known || path.extension().is_some_and(|end| end == WRITE_AHEAD)
}

fn clear(dir: &Path) -> io::Result<()> {
    for path in made(dir)? {
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
