//! The audit log of a data directory: of the server that runs, of the commands that
//! work on one that does not, and as `enroute audit` reads it.

mod show;

use crate::args::{AuditAction, AuditArgs};
use crate::clock::SystemClock;
use crate::out;
use crate::reevaluate::DIFFERS;
use anyhow::{Context, Result, bail};
use enroute_access::Tokens;
use enroute_audit::{Audit, Entry, Key, Log, Outcome, Who};
use enroute_model::time::Clock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// A file that holds the key of the log, for commands.
const KEY_FILE: &str = "ENROUTE_AUDIT_KEY_FILE";
/// Below the data directory.
const DIR: &str = "audit";
const USERS: &str = "/etc/passwd";

pub(crate) fn dir(data: &Path) -> PathBuf {
    data.join(DIR)
}

/// Reads a key.
///
/// # Errors
/// Which file, and what is wrong with it.
fn key(file: Option<&Path>) -> Result<Key> {
    let Some(file) = file else {
        return Ok(Key::none());
    };
    let name = || format!("key of the audit log: {}", file.display());
    let bytes = std::fs::read(file).with_context(name)?;
    Key::of(&bytes).with_context(name)
}

/// That of a command.
fn own_key() -> Result<Key> {
    let file = std::env::var_os(KEY_FILE).map(PathBuf::from);
    key(file.as_deref())
}

/// Opens the log of a server and begins to write it.
///
/// # Errors
/// When the key is not in order or another, or the disk refuses.
pub(crate) fn start(data: &Path, key_file: Option<&Path>, clock: &Arc<dyn Clock>) -> Result<Audit> {
    let log = Log::open(&dir(data), key(key_file)?, clock.wall()).context("audit log")?;
    let audit = Audit::start(log, Arc::clone(clock)).context("audit log")?;
    let version = format!("version {}", env!("CARGO_PKG_VERSION"));
    audit.tell(system("server started", &version));
    Ok(audit)
}

/// Ends it; blocks until all is on disk.
pub(crate) fn stop(audit: &Audit) {
    audit.tell(system("server stopped", ""));
    audit.close();
}

/// What happened by itself.
pub(crate) fn system(action: &str, detail: &str) -> Entry {
    let who = Who {
        name: "enroute serve".to_owned(),
        role: "system".to_owned(),
        ..Who::default()
    };
    Entry {
        who,
        action: action.to_owned(),
        transfer: None,
        outcome: Outcome::Noted,
        detail: detail.to_owned(),
    }
}

/// Tells in what the tokens of a server that runs have changed.
pub(crate) fn tell_tokens(audit: &Audit, old: &Tokens, new: &Tokens) {
    let by_id = |tokens: &Tokens| -> BTreeMap<String, enroute_access::Token> {
        let each = tokens.iter();
        each.map(|token| (token.id.clone(), token.clone()))
            .collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let words = |token: &enroute_access::Token| {
        let (id, role, name) = (&token.id, token.role.as_str(), &token.name);
        format!("{id} of {name}, {role}")
    };
    for (id, token) in &new {
        match old.get(id) {
            None => audit.tell(system("token taken", &words(token))),
            Some(known) if known != token => audit.tell(system("token changed", &words(token))),
            Some(_) => {}
        }
    }
    for token in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
        audit.tell(system("token gone", &words(token.1)));
    }
}

/// Puts on record what a command does with the data directory of a server that does not
/// run. What cannot be put there must not be done.
///
/// # Errors
/// When it cannot.
pub(crate) fn local(data: &Path, action: &str, transfer: Option<&str>, detail: &str) -> Result<()> {
    let now = SystemClock::new().wall();
    let entry = Entry {
        who: user(),
        action: action.to_owned(),
        transfer: transfer.map(str::to_owned),
        outcome: Outcome::Allowed,
        detail: detail.to_owned(),
    };
    let written = || -> Result<()> {
        let mut log = Log::open(&dir(data), own_key()?, now)?;
        Ok(log.append(&[(now, entry)])?)
    };
    written().with_context(|| {
        format!(
            "the audit log cannot be written, so this is not done (a log with a key: name its \
             file in {KEY_FILE})"
        )
    })
}

/// As the operating system knows whoever runs this.
fn user() -> Who {
    let uid = uid();
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (uid.as_deref() == Some(number)).then(|| name.to_owned())
    });
    let uid = uid.unwrap_or_else(|| "unknown".to_owned());
    Who {
        name: named.map_or_else(
            || format!("uid {uid}"),
            |name| format!("{name} (uid {uid})"),
        ),
        role: "local".to_owned(),
        ..Who::default()
    }
}

#[cfg(unix)]
fn uid() -> Option<String> {
    let own = std::fs::metadata("/proc/self").ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&own).to_string())
}

#[cfg(not(unix))]
fn uid() -> Option<String> {
    None
}

/// Runs `enroute audit`.
pub(crate) fn run(args: &AuditArgs) -> Result<ExitCode> {
    let dir = dir(&args.data);
    let files = enroute_audit::files(&dir)
        .with_context(|| format!("{}: there is no audit log", dir.display()))?;
    match &args.action {
        AuditAction::Verify { expect } => {
            let key = match &args.key {
                Some(file) => key(Some(file))?,
                None => own_key()?,
            };
            if files.is_empty() && expect.is_none() {
                bail!("{}: there is no record", dir.display());
            }
            let said = enroute_audit::verify(&dir, &key, expect.as_ref())?;
            print(&said)?;
            Ok(ExitCode::from(if said.is_whole() { 0 } else { DIFFERS }))
        }
        AuditAction::Show(wanted) => {
            show::run(&dir, wanted)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(said: &enroute_audit::Verified) -> Result<()> {
    for fault in &said.faults {
        out::line(format!("WRONG: {fault}"))?;
    }
    let listed = u64::try_from(said.faults.len()).unwrap_or(u64::MAX);
    if said.fault_count > listed {
        out::line(format!("… and {} more", said.fault_count - listed))?;
    }
    if said.unfinished_bytes > 0 {
        let bytes = said.unfinished_bytes;
        out::line(format!(
            "{bytes} bytes at the end are being written, or were when the power went: the next \
             start repairs that"
        ))?;
    }
    let (records, files) = (said.records, said.files);
    let how = if said.is_whole() {
        "whole"
    } else {
        "NOT WHOLE"
    };
    out::line(format!("{how}: {records} records in {files} files"))?;
    if let Some(last) = &said.last {
        out::line(format!("head {last}"))?;
    }
    Ok(())
}
