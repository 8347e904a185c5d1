//! Directories in memory, where the system has some, and what lies in them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory of its own.
pub(crate) fn room() -> TempDir {
    let mut named = tempfile::Builder::new();
    let named = named.prefix("enroute-fuzz-");
    let memory = named.tempdir_in("/dev/shm");
    memory.unwrap_or_else(|_| named.tempdir().expect("a directory"))
}

/// What lies in a directory: its directories and its files.
#[derive(Clone)]
pub(crate) struct Tree {
    directories: Vec<PathBuf>,
    pub(crate) files: Vec<Image>,
}

/// A file. Write-ahead files are made large before they are written, so zeros at the
/// end are held as a length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    name: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: usize,
}

impl Tree {
    /// As it is now.
    pub(crate) fn of(root: &Path) -> Self {
        let mut tree = Self {
            directories: Vec::new(),
            files: Vec::new(),
        };
        tree.add(root, root);
        tree.files.sort();
        tree
    }

    fn add(&mut self, root: &Path, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                self.directories.push(name);
                self.add(root, &path);
            } else {
                let mut bytes = fs::read(&path).unwrap();
                let length = bytes.len();
                let written = bytes.iter().rposition(|byte| *byte != 0);
                bytes.truncate(written.map_or(0, |at| at + 1));
                bytes.shrink_to_fit();
                self.files.push(Image {
                    name,
                    bytes,
                    length,
                });
            }
        }
    }

    /// The same, in a directory of its own.
    pub(crate) fn again(&self) -> TempDir {
        let dir = room();
        for name in &self.directories {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for image in &self.files {
            let mut file = fs::File::create(dir.path().join(&image.name)).unwrap();
            file.write_all(&image.bytes).unwrap();
            file.set_len(u64::try_from(image.length).unwrap()).unwrap();
        }
        dir
    }
}
