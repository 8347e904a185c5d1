//! `enroute restore`: a data directory out of a file that `enroute backup` wrote.

use crate::args::RestoreArgs;
use crate::backup::{Progress, described, sync_parent};
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::reevaluate::journal_dir;
use crate::{audit, out, utc};
use anyhow::{Context, Result, bail};
use enroute_journal::{BackupError, Check, Counts};
use enroute_model::time::Clock;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the journal is made before it takes its place.
const MAKING: &str = "journal.restoring";

/// Runs the command.
pub(crate) async fn run(args: RestoreArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    tokio::task::spawn_blocking(move || restore(&args)).await??;
    Ok(ExitCode::SUCCESS)
}

fn restore(args: &RestoreArgs) -> Result<()> {
    let from = &args.from;
    let file = File::open(from).with_context(|| format!("failed to open {}", from.display()))?;
    let mut file = BufReader::new(file);
    let mut progress = Progress::default();
    let mut closed_pipe = Ok(());
    let told = |counts: Counts| {
        if closed_pipe.is_ok() {
            closed_pipe = progress.tell(counts);
        }
    };
    let named = |error: BackupError| anyhow::Error::new(error).context(from.display().to_string());
    let Some(data) = &args.data else {
        let (head, counts) = Check::default().all(&mut file, told).map_err(named)?;
        out::line(format!("whole: {}", described(&head, counts)))?;
        return Ok(());
    };
    let place = Place::of(data, args.replace)?;
    let (head, counts) = enroute_journal::restore(&mut file, &place.making, told).map_err(named)?;
    audit::local(data, "restore", None, &described(&head, counts))?;
    let set_aside = place.take()?;
    out::line(format!("restored: {}", described(&head, counts)))?;
    if let Some(set_aside) = set_aside {
        out::line(format!(
            "the journal that was there is now {}",
            set_aside.display()
        ))?;
    }
    Ok(())
}

/// Where the journal goes.
struct Place {
    journal: PathBuf,
    making: PathBuf,
    /// Where what is there goes.
    aside: Option<PathBuf>,
}

impl Place {
    fn of(data: &Path, replace: bool) -> Result<Self> {
        let journal = journal_dir(data);
        let taken = journal
            .try_exists()
            .with_context(|| journal.display().to_string())?;
        if taken && !replace {
            bail!(
                "{} is there already: give another directory, or --replace to set it aside",
                journal.display()
            );
        }
        if taken {
            free(&journal)?;
        }
        std::fs::create_dir_all(data)
            .with_context(|| format!("failed to make {}", data.display()))?;
        let making = data.join(MAKING);
        // Left by a restore that was broken off; never anybody's journal.
        if making.try_exists()? {
            std::fs::remove_dir_all(&making)
                .with_context(|| format!("failed to remove {}", making.display()))?;
        }
        let now = utc::rfc3339(SystemClock::new().wall()).replace(':', "");
        let aside = taken.then(|| data.join(format!("journal.replaced-{now}")));
        Ok(Self {
            journal,
            making,
            aside,
        })
    }

    /// Puts the new journal where it belongs.
    fn take(&self) -> Result<Option<PathBuf>> {
        if let Some(aside) = &self.aside {
            std::fs::rename(&self.journal, aside)
                .with_context(|| format!("failed to set {} aside", self.journal.display()))?;
        }
        std::fs::rename(&self.making, &self.journal)
            .and_then(|()| sync_parent(&self.journal))
            .with_context(|| format!("failed to put {} in its place", self.journal.display()))?;
        Ok(self.aside.clone())
    }
}

/// A running server keeps writing to its directory whatever it is called: refused.
fn free(journal: &Path) -> Result<()> {
    let opened = enroute_journal::Journal::open(journal, enroute_journal::Options::default());
    match opened {
        Err(error @ enroute_journal::OpenError::Locked { .. }) => Err(error.into()),
        Ok((journal, tail)) => {
            drop(tail);
            // Whatever it says: it is about to be set aside.
            drop(journal.close());
            Ok(())
        }
        // A damaged one is a reason to restore.
        Err(_) => Ok(()),
    }
}
