//! Writing the file of data keys, and putting another one in its place.
//!
//! What is destroyed is overwritten where it lies and synced. A file system that writes
//! elsewhere (copy on write), and a flash disk by its nature, may keep the old bytes:
//! they are a wrapped key, and open nothing once its key-encryption key is thrown away.

use crate::slot::SLOT_BYTES;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the file begins with; it fills the place of a slot.
pub(crate) const MAGIC: &[u8; 20] = b"enroute data keys 1\n";

pub(crate) fn header() -> [u8; SLOT_BYTES] {
    let mut header = [0; SLOT_BYTES];
    for (to, from) in header.iter_mut().zip(MAGIC) {
        *to = *from;
    }
    header
}

/// Opens the file for its owner alone, and makes it if it is not there.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

/// Where slot `number` lies, from 0.
fn place(number: usize) -> io::Result<u64> {
    let bytes = number
        .checked_add(1)
        .and_then(|n| n.checked_mul(SLOT_BYTES));
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| io::Error::other("there are too many keys"))
}

/// Writes slots where they belong, and syncs them all.
pub(crate) fn put(file: &File, slots: &[(usize, [u8; SLOT_BYTES])]) -> io::Result<()> {
    for (number, bytes) in slots {
        file.write_all_at(bytes, place(*number)?)?;
    }
    file.sync_all()
}

/// Where a new file is written before it has its name.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Puts a file with these slots in the place of the one at `path`: one of the two is
/// there whatever happens. Then the bytes of the old one are overwritten.
pub(crate) fn replace<'a>(
    path: &Path,
    slots: impl Iterator<Item = &'a [u8; SLOT_BYTES]>,
) -> io::Result<File> {
    let old = match OpenOptions::new().write(true).open(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let new = unfinished(path);
    let mut file = open(&new)?;
    file.set_len(0)?;
    file.write_all(&header())?;
    for slot in slots {
        file.write_all(slot)?;
    }
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_directory(path)?;
    if let Some(old) = old {
        blank(&old)?;
    }
    Ok(file)
}

/// Takes away what a crash left of [`replace`]: it holds keys, too.
pub(crate) fn clear_unfinished(path: &Path) -> io::Result<()> {
    let new = unfinished(path);
    match OpenOptions::new().write(true).open(&new) {
        Ok(file) => blank(&file).and_then(|()| std::fs::remove_file(&new)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn blank(mut file: &File) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    let blank = [0x5a; 4096];
    let whole = u64::try_from(blank.len()).unwrap_or(u64::MAX);
    while left > 0 {
        let part = usize::try_from(left.min(whole)).unwrap_or(blank.len());
        file.write_all(blank.get(..part).unwrap_or_default())?;
        left = left.saturating_sub(whole);
    }
    file.sync_all()
}

/// Makes the name of a new file durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
