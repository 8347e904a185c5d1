//! Python with the packages that people read exports with: `.ci/install-tools`
//! puts them into an environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter at `ENROUTE_PYTHON`, else the one of `.ci/install-tools`.
///
/// # Panics
/// Where `ENROUTE_REQUIRE_TOOLS` is set and it is not there. Otherwise its absence
/// is said loudly and the test ends.
#[must_use]
pub fn python(test: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let installed = || Some(cache?.join("enroute/python/bin/python3"));
    let python = std::env::var_os("ENROUTE_PYTHON").map(PathBuf::from);
    let python = python.or_else(installed).filter(|path| path.is_file());
    if python.is_none() {
        let why = "no Python with the readers of exports; run .ci/install-tools";
        assert!(
            std::env::var_os("ENROUTE_REQUIRE_TOOLS").is_none(),
            "{test}: {why}"
        );
        eprintln!("SKIPPED: {test}: {why}");
    }
    python
}

/// Runs a script with arguments and gives what it prints.
///
/// # Panics
/// When the script fails.
#[must_use]
pub fn run(python: &Path, script: &str, arguments: &[&Path]) -> String {
    let ran = Command::new(python)
        .arg("-c")
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{error}");
    String::from_utf8(ran.stdout).unwrap()
}
