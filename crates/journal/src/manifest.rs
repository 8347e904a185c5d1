//! Each keyspace's list of its tables, which the store writes with a checksum
//! and reads without looking at it: a changed list would hide records.
//!
//! ```text
//!  current: number u64 │ XXH3 (128 bits) of the file vNUMBER u128 │ 0    (little endian)
//! ```

use crate::error::OpenError;
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// Whether every keyspace's list is as it was written. What is not there is left to
/// the store to judge. A `current` that is cut short is not: the store would read its
/// number, and a list behind it whose lengths may have it ask for all memory there is.
pub(crate) fn check(dir: &Path) -> Result<(), OpenError> {
    let checked = spaces(dir, &mut |space| {
        let file = space.join("current");
        let Some(bytes) = there(std::fs::read(&file))? else {
            return Ok(None);
        };
        let Some((number, expected)) = current(&bytes) else {
            return Ok(Some(format!("{} is cut off", file.display())));
        };
        let list = space.join(format!("v{number}"));
        let fits = there(std::fs::read(&list))?.is_some_and(|list| xxh3_128(&list) == expected);
        Ok((!fits).then(|| format!("{} does not fit its checksum", list.display())))
    });
    let dir = dir.to_path_buf();
    match checked {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(OpenError::Damaged { dir, what }),
        Err(error) => Err(OpenError::Store {
            dir,
            reason: error.to_string(),
        }),
    }
}

/// The first thing that `check` says of a keyspace.
fn spaces(
    dir: &Path,
    check: &mut dyn FnMut(&Path) -> io::Result<Option<String>>,
) -> io::Result<Option<String>> {
    let Some(spaces) = there(std::fs::read_dir(dir.join("keyspaces")))? else {
        return Ok(None);
    };
    for space in spaces {
        let said = check(&space?.path())?;
        if said.is_some() {
            return Ok(said);
        }
    }
    Ok(None)
}

fn current(bytes: &[u8]) -> Option<(u64, u128)> {
    let (number, rest) = bytes.split_first_chunk()?;
    let sum = rest.first_chunk()?;
    Some((u64::from_le_bytes(*number), u128::from_le_bytes(*sum)))
}

fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
