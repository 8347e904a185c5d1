//! Each keyspace's list of its tables, which the store writes with a checksum
//! and reads without looking at it: a changed list would hide records. And each
//! table's list of its sections, whose length the store believes before it has
//! looked at the checksum: a changed one would have it ask for all memory there is.
//!
//! ```text
//!  current: number u64 │ XXH3 (128 bits) of the file vNUMBER u128 │ 0    (little endian)
//!  table:   sections … │ list: "TOC!" … │ trailer: "SFA!" 1 0, XXH3 of the list u128,
//!           place of the list u64, its bytes u64
//! ```

use crate::error::OpenError;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a table's trailer.
const TRAILER_BYTES: usize = 38;
/// Bytes of a list of sections that are read; those the store writes have some hundred.
const SECTIONS_BYTES_MAX: u64 = 64 << 10;

/// Whether the lists are as they were written. What is not there is left to the
/// store to judge.
pub(crate) fn check(dir: &Path) -> Result<(), OpenError> {
    let dir = dir.to_path_buf();
    match damaged(&dir) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(OpenError::Damaged { dir, what }),
        Err(error) => Err(OpenError::Store {
            dir,
            reason: error.to_string(),
        }),
    }
}

/// The first thing that is not as it was written.
fn damaged(dir: &Path) -> io::Result<Option<String>> {
    let Some(spaces) = there(fs::read_dir(dir.join("keyspaces")))? else {
        return Ok(None);
    };
    for space in spaces {
        let space = space?.path();
        if let Some(what) = damaged_list(&space)? {
            return Ok(Some(what));
        }
        let Some(tables) = there(fs::read_dir(space.join("tables")))? else {
            continue;
        };
        for table in tables {
            let table = table?.path();
            if !has_its_sections(&table)? {
                let what = format!(
                    "{}: its sections do not fit their checksum",
                    table.display()
                );
                return Ok(Some(what));
            }
        }
    }
    Ok(None)
}

/// What is wrong with a keyspace's list of tables. A `current` that is cut short is
/// damage: the store would read its number, and the list behind it unchecked.
fn damaged_list(space: &Path) -> io::Result<Option<String>> {
    let file = space.join("current");
    let Some(bytes) = there(fs::read(&file))? else {
        return Ok(None);
    };
    let Some((number, expected)) = current(&bytes) else {
        return Ok(Some(format!("{} is cut off", file.display())));
    };
    let list = space.join(format!("v{number}"));
    let fits = there(fs::read(&list))?.is_some_and(|list| xxh3_128(&list) == expected);
    Ok((!fits).then(|| format!("{} does not fit its checksum", list.display())))
}

/// Whether the store may read a table's list of sections. A file without trailer or
/// list passes: a crash leaves such tables, which nothing needs, and the store asks
/// for no memory before it has seen both marks.
fn has_its_sections(table: &Path) -> io::Result<bool> {
    let mut file = File::open(table)?;
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(true);
    };
    let mut trailer = [0; TRAILER_BYTES];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let Some((expected, place)) = sections(&trailer) else {
        return Ok(true);
    };
    let mut list = Vec::new();
    file.seek(SeekFrom::Start(place))?;
    file.take(end.saturating_sub(place).min(SECTIONS_BYTES_MAX))
        .read_to_end(&mut list)?;
    Ok(!list.starts_with(b"TOC!") || xxh3_128(&list) == expected)
}

/// The checksum and the place of a table's list of sections.
fn sections(trailer: &[u8; TRAILER_BYTES]) -> Option<(u128, u64)> {
    let rest = trailer.strip_prefix(b"SFA!")?.get(2..)?;
    let (sum, rest) = rest.split_first_chunk()?;
    let place = rest.first_chunk()?;
    Some((u128::from_le_bytes(*sum), u64::from_le_bytes(*place)))
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
