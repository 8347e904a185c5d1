//! `enroute reevaluate`: a journal through the engine again, alert by alert.

use crate::args::ReevaluateArgs;
use crate::log::{self, Screen};
use crate::watch::{json, words};
use crate::{out, utc};
use anyhow::{Context, Result, bail};
use enroute_journal::{Journal, Options};
use enroute_live::{Difference, Rerun};
use enroute_wire::{Message, v1};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A check found a difference.
pub(crate) const DIFFERS: u8 = 3;

/// The journal's place in a data directory.
pub(crate) fn journal_dir(data: &Path) -> PathBuf {
    data.join("journal")
}

/// Runs the command.
pub(crate) async fn run(args: ReevaluateArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let dir = journal_dir(&args.data);
    // Opening would make one.
    if !dir.is_dir() {
        bail!(
            "{} is no data directory of a server: it has no journal",
            args.data.display()
        );
    }
    let rerun = tokio::task::spawn_blocking(move || rerun(&dir)).await??;
    for difference in &rerun.differences {
        for line in difference_lines(difference) {
            out::line(line)?;
        }
    }
    let same = rerun.differences.is_empty();
    out::line(format!(
        "{} records of {} transfers handled again; {} stored alert transitions, {}",
        rerun.records,
        rerun.transfers,
        rerun.stored,
        if same {
            "all the same, byte for byte".to_owned()
        } else {
            format!("{} differ", rerun.differences.len())
        }
    ))?;
    Ok(ExitCode::from(if same { 0 } else { DIFFERS }))
}

fn rerun(dir: &Path) -> Result<Rerun> {
    let (journal, _tail) = Journal::open(dir, Options::default())
        .with_context(|| format!("failed to open {}", dir.display()))?;
    let rerun = enroute_live::rerun(&journal)?;
    journal.close().context("failed to close the journal")?;
    Ok(rerun)
}

fn difference_lines(difference: &Difference) -> [String; 3] {
    [
        format!(
            "transfer {} transition {}:",
            difference.transfer, difference.ordinal
        ),
        format!("  stored {}", transition(difference.stored.as_deref())),
        format!("  now    {}", transition(difference.derived.as_deref())),
    ]
}

fn transition(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "nothing".to_owned();
    };
    let Ok(step) = v1::AlertTransition::decode(bytes) else {
        return format!("{} bytes that are no alert transition", bytes.len());
    };
    let Some(alert) = step.alert else {
        return format!("no alert at {}", utc::rfc3339(step.at_us));
    };
    format!(
        "{} alert {} {} {}: {}",
        utc::rfc3339(step.at_us),
        alert.alert_id,
        json::word(alert.priority().as_str_name()),
        json::word(alert.phase().as_str_name()),
        words::alert(&alert)
    )
}
