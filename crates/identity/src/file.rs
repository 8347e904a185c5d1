//! One entry as a file.
//!
//! ```text
//!  "enroute identity 1\n" │ number of the data key u32 │ sealed: JSON, blanks up to a multiple of 512
//! ```
//!
//! Big endian. The name of the file is the transfer's id, which the sealing is bound to,
//! so that a file under another name does not open. The blanks hide how long a name is.
//! A change is written beside, synced, and takes the old one's place.

use crate::entry::Entry;
use enroute_model::ids::TransferId;
use enroute_seal::{DataKey, SealError};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 19] = b"enroute identity 1\n";
/// What its name ends with, and what one ends with that is being written.
const ENDING: &str = "sealed";
const UNFINISHED: &str = "new";
const ROUNDED_TO: usize = 512;
/// The longest texts in the most statements, four bytes a character and escaped, are
/// less.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the entry of a transfer lies.
pub(crate) fn path(dir: &Path, transfer: &TransferId) -> PathBuf {
    dir.join(transfer.as_str()).with_extension(ENDING)
}

/// Whose entry a file is; `None`: it is none.
pub(crate) fn transfer_of(path: &Path) -> Option<TransferId> {
    let name = path.file_stem()?.to_str()?;
    let is_one = path.extension().is_some_and(|ending| ending == ENDING);
    is_one.then(|| TransferId::new(name).ok()).flatten()
}

/// Whether a crash left it in the midst of being written.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == UNFINISHED)
}

fn place(transfer: &TransferId) -> Vec<u8> {
    [MAGIC.as_slice(), transfer.as_str().as_bytes()].concat()
}

/// The bytes of a file.
pub(crate) fn sealed(
    transfer: &TransferId,
    entry: &Entry,
    id: u32,
    key: &DataKey,
) -> Result<Vec<u8>, SealError> {
    let mut plain = serde_json::to_vec(entry).map_err(|_| SealError::Refused)?;
    plain.resize(plain.len().next_multiple_of(ROUNDED_TO), b' ');
    let mut bytes = [MAGIC.as_slice(), &id.to_be_bytes()].concat();
    key.seal(&place(transfer), &plain, &mut bytes)?;
    Ok(bytes)
}

/// The entry in the bytes of a file; `None`: they, or the key, are not what they were.
pub(crate) fn opened<K: AsRef<DataKey>>(
    transfer: &TransferId,
    bytes: &[u8],
    key: impl FnOnce(u32) -> Option<K>,
) -> Option<Entry> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (id, sealed) = rest.split_first_chunk::<4>()?;
    let key = key(u32::from_be_bytes(*id))?;
    let plain = key.as_ref().open(&place(transfer), sealed).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// `None`: there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Puts the bytes in the place of what is there; one of the two is, whatever happens.
pub(crate) fn replace(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(UNFINISHED);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    sync(dir)
}

/// Takes a file away, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes what is in a directory durable.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
