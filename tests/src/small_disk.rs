//! A disk that is small and fills up: a `tmpfs` of its own. Mounting needs root.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Written at a time: much first, then what is left.
const CHUNKS_BYTES: [usize; 2] = [1 << 20, 4 << 10];

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `mib` MiB at `path`, which is created. `None`, with a line on
    /// stderr, where that is not allowed.
    ///
    /// # Panics
    /// When it is not allowed and `ENROUTE_REQUIRE_TOOLS=1`.
    #[must_use]
    pub fn mount(path: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "enroute-test"]);
        let output = mount.arg(path).output();
        if output.is_ok_and(|output| output.status.success()) {
            let path = path.to_path_buf();
            return Some(Self { path });
        }
        let required = std::env::var("ENROUTE_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
        assert!(
            !required,
            "ENROUTE_REQUIRE_TOOLS=1 and no tmpfs can be mounted"
        );
        eprintln!("SKIPPED: no tmpfs can be mounted (not root?), so no disk fills up");
        None
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Takes all the room that there is.
    ///
    /// # Panics
    /// When it cannot for another reason than that there is none left.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for bytes in CHUNKS_BYTES {
            let chunk = vec![0x5a; bytes];
            let error = fill_with(&mut file, &chunk);
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        }
    }

    /// Gives the room back; for a disk that was not filled nothing happens.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).ok();
    }
}

/// Ends with the error that there is no room.
fn fill_with(file: &mut std::fs::File, chunk: &[u8]) -> std::io::Error {
    loop {
        if let Err(error) = file.write_all(chunk) {
            return error;
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have it.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path.display());
        }
    }
}
