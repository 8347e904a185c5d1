//! The browser console in a real Chromium against this binary. The steps are in
//! `crates/console/web/e2e`; pictures of every state stay in `target/console`.
//! Without Node.js or Chromium it says SKIPPED, and with
//! `ENROUTE_REQUIRE_TOOLS=1` that is a failure.
#![cfg(feature = "console")]
#![allow(clippy::panic, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

const CHROMIUM: &str = "/usr/bin/chromium";

/// Where the tools are; `None`, with a line on stderr, when they are not.
fn tools() -> Option<PathBuf> {
    let chromium = std::env::var("ENROUTE_CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    let there = Path::new(&chromium).exists();
    if there {
        return Some(chromium.into());
    }
    let required = std::env::var("ENROUTE_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(!required, "ENROUTE_REQUIRE_TOOLS=1 and no {chromium}");
    eprintln!("SKIPPED: no {chromium} on this machine (apt-get install chromium)");
    None
}

#[test]
fn the_console_in_a_browser() {
    in_a_browser("console.mjs");
}

#[test]
fn logging_in_to_the_console_and_out_again() {
    in_a_browser("login.mjs");
}

#[test]
fn logging_in_at_an_issuer_and_being_logged_out_where_nobody_is() {
    in_a_browser("account.mjs");
}

#[test]
fn who_a_patient_is_on_the_page_of_those_who_may() {
    in_a_browser("identity.mjs");
}

#[test]
fn breaking_the_glass_and_its_end_on_the_patients_page() {
    in_a_browser("glass.mjs");
}

fn in_a_browser(steps: &str) {
    let Some(chromium) = tools() else { return };
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/web");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../console");
    // Node.js is there: the console inside the binary was built with it.
    let output = Command::new("node")
        .arg(web.join("e2e").join(steps))
        .arg(env!("CARGO_BIN_EXE_enroute"))
        .arg(&pictures)
        .env("ENROUTE_CHROMIUM", chromium)
        .current_dir(&web)
        .output();
    let output = output.unwrap_or_else(|error| panic!("cannot run node: {error}"));
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    eprintln!("{said}");
}
