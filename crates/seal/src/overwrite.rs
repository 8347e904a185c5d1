//! Writing the file of data keys, and putting another one in its place.
//!
//! ```text
//!  block 0           block 1           block 2            block 3
//!  head, slots 0-14 │ the same again │ slots 15 to 30    │ the same again │ …
//! ```
//!
//! Each slot lies twice, in two blocks of 4 KiB, the unit in which disks lose what they
//! hold: without its key a recording is lost whole, and a block has the keys of sixteen.
//! Both copies are written with one sync, and both are overwritten.
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
const MAGIC: &[u8; 20] = b"enroute data keys 2\n";
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Head and slots in a block.
const IN_BLOCK: usize = BLOCK_BYTES / SLOT_BYTES;

pub(crate) fn header() -> [u8; SLOT_BYTES] {
    let mut header = [0; SLOT_BYTES];
    for (to, from) in header.iter_mut().zip(MAGIC) {
        *to = *from;
    }
    header
}

/// Writes the head.
pub(crate) fn begin(file: &File) -> io::Result<()> {
    for at in both(0)? {
        file.write_all_at(&header(), at)?;
    }
    file.sync_all()
}

/// Opens the file for its owner alone, and makes it if it is not there.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

/// Where the copies of the head (0) or of a slot (from 1) begin.
fn both(index: usize) -> io::Result<[u64; 2]> {
    let (pair, within) = (index / IN_BLOCK, index % IN_BLOCK);
    let first = pair
        .checked_mul(2 * BLOCK_BYTES)
        .and_then(|bytes| bytes.checked_add(within * SLOT_BYTES));
    let first = first.and_then(|bytes| u64::try_from(bytes).ok());
    let too_many = || io::Error::other("there are too many keys");
    let first = first.ok_or_else(too_many)?;
    let second = { first }
        .checked_add(BLOCK_BYTES as u64)
        .ok_or_else(too_many)?;
    Ok([first, second])
}

/// Writes slots where they belong, and syncs them all.
pub(crate) fn put(file: &File, slots: &[(usize, [u8; SLOT_BYTES])]) -> io::Result<()> {
    write(file, slots.iter().map(|(number, bytes)| (*number, bytes)))?;
    file.sync_all()
}

fn write<'a>(
    file: &File,
    slots: impl Iterator<Item = (usize, &'a [u8; SLOT_BYTES])>,
) -> io::Result<()> {
    for (number, bytes) in slots {
        for at in both(number.saturating_add(1))? {
            file.write_all_at(bytes, at)?;
        }
    }
    Ok(())
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
    let file = open(&new)?;
    file.set_len(0)?;
    write(&file, slots.enumerate())?;
    begin(&file)?;
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
