//! What is done to the files of a failed store before it is opened again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Name of a file that is written, synced and removed.
const PROBE: &str = "probe";
/// Room that there must be: what a full queue and a few commits need. With less
/// the journal would fail again at once.
const PROBE_BYTES: usize = 16 << 20;
/// Bytes written at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// How the store's write-ahead files end.
const WRITE_AHEAD: &str = "jnl";

/// Whether the disk of `dir` takes a synced write of some size.
pub(crate) fn probe(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(PROBE);
    let written = File::create(&path).and_then(|mut file| {
        // Not zeros: those a file system may keep without writing them.
        let chunk = vec![0x5a_u8; CHUNK_BYTES];
        for _ in 0..PROBE_BYTES / CHUNK_BYTES {
            file.write_all(&chunk)?;
        }
        file.sync_data()
    });
    match std::fs::remove_file(&path) {
        Err(error) if written.is_ok() => Err(error),
        Ok(()) | Err(_) => written,
    }
}

/// Writes the write-ahead files back as they read, and syncs them: what is read
/// then is what the disk has. The same bytes at the same place harm nothing
/// however the writing ends. Gives how many there are.
pub(crate) fn write_back(dir: &Path) -> std::io::Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == WRITE_AHEAD) {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            write_back_file(file)?;
            files += 1;
        }
    }
    Ok(files)
}

fn write_back_file(mut file: File) -> std::io::Result<()> {
    let zeros = vec![0; CHUNK_BYTES];
    let mut chunk = zeros.clone();
    let mut at = 0_u64;
    loop {
        let count = file.read(&mut chunk)?;
        let read = chunk.get(..count).unwrap_or_default();
        if read.is_empty() {
            return file.sync_all();
        }
        let end = at.saturating_add(u64::try_from(count).unwrap_or(0));
        // A part that was never written would take up room.
        if zeros.get(..count) != Some(read) {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(read)?;
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_as_they_are_and_holes_stay_holes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.jnl");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![7; CHUNK_BYTES + 3]).unwrap();
        file.set_len(1 << 20).unwrap();
        std::fs::write(dir.path().join("other"), b"x").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(write_back(dir.path()).unwrap(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        probe(dir.path()).unwrap();
        assert!(!dir.path().join(PROBE).exists());
    }
}
