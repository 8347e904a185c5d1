//! Keys of sealed directories: where commands find them, and `enroute keys`.

use crate::args::{KeysAction, KeysArgs};
use crate::out;
use crate::reevaluate::journal_dir;
use anyhow::{Context, Result, bail};
use enroute_seal::{Keys, Ring, Source};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The file in which a store has its data keys.
const DATA_KEYS: &str = "data-keys";

/// The keys that a configuration names, read or asked for now.
///
/// # Errors
/// What is wrong with them, and what to do.
pub(crate) fn of(source: Option<&Source>) -> Result<Option<Arc<Keys>>> {
    let keys = source.map(Source::load).transpose();
    Ok(keys.context("[encryption]")?.map(Arc::new))
}

/// How a command opens a journal: with the keys that its environment names.
///
/// # Errors
/// As with [`of`].
pub(crate) fn journal_options() -> Result<enroute_journal::Options> {
    let file = std::env::var_os("ENROUTE_KEYS").map(PathBuf::from);
    let command = std::env::var("ENROUTE_KEYS_COMMAND").ok();
    let words = |command: String| command.split_whitespace().map(ToOwned::to_owned).collect();
    let source = Source {
        keys: file,
        command: command.map(words),
    };
    let named = source != Source::default();
    let keys = named.then(|| source.load()).transpose();
    Ok(enroute_journal::Options {
        keys: keys
            .context("ENROUTE_KEYS or ENROUTE_KEYS_COMMAND")?
            .map(Arc::new),
        steps_in: enroute_wire::record::steps,
        ..enroute_journal::Options::default()
    })
}

/// Runs `enroute keys`.
pub(crate) fn run(args: &KeysArgs) -> Result<ExitCode> {
    match &args.action {
        KeysAction::New { file: None } => out::line(Keys::fresh(None)?.trim_end())?,
        KeysAction::New { file: Some(file) } => add(file)?,
        KeysAction::Needed { dir } => needed(dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn add(file: &Path) -> Result<()> {
    let there = file.try_exists()?;
    let before = there.then(|| Source::file(file).load()).transpose()?;
    let line = Keys::fresh(before.as_ref())?;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| {
            // Whatever the last line ends with.
            file.write_all(if there { b"\n" } else { b"" })?;
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
        .with_context(|| format!("failed to write {}", file.display()))?;
    let id = line.split_whitespace().next().unwrap_or_default();
    out::line(format!("key {id} is in {}", file.display()))?;
    Ok(())
}

fn needed(dir: &Path) -> Result<()> {
    let of_server = journal_dir(dir);
    let store = if of_server.is_dir() {
        of_server
    } else {
        dir.to_owned()
    };
    let Some(needed) = Ring::needed(&store.join(DATA_KEYS))? else {
        if !store.join("lock").exists() {
            bail!("{} is no data directory and no spool", dir.display());
        }
        return Ok(out::line("nothing here is sealed")?);
    };
    for (id, count) in needed {
        out::line(format!("key {id}: {count} data keys are under it"))?;
    }
    Ok(())
}
