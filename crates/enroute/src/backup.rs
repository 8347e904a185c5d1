//! `enroute backup`: a copy of the journal in one file, from the running server or
//! from the directory of one that does not run.

use crate::args::BackupArgs;
use crate::audit;
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::reevaluate::journal_dir;
use crate::{client, out, utc};
use anyhow::{Context, Result, bail};
use enroute_journal::{Check, Counts, Head, Journal};
use enroute_model::time::{Clock, ServerTime};
use enroute_wire::v1;
use enroute_wire::v1::admin_client::AdminClient;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A line of progress after so many bytes.
const TOLD_EVERY_BYTES: u64 = 256 << 20;

/// Runs the command.
pub(crate) async fn run(args: BackupArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let copy = Copy::create(args.to)?;
    let (head, counts) = match args.data {
        Some(data) => tokio::task::spawn_blocking(move || of_directory(&data, copy)).await??,
        None => of_server(&args.server, copy).await?,
    };
    out::line(format!("whole and on disk: {}", described(&head, counts)))?;
    Ok(ExitCode::SUCCESS)
}

/// What a copy holds, in words.
pub(crate) fn described(head: &Head, counts: Counts) -> String {
    format!(
        "{} records ({} bytes) through position {}, {} rows in all, made at {}",
        counts.records,
        counts.bytes,
        head.position.0,
        counts.rows,
        utc::rfc3339(head.created_at.0)
    )
}

/// Says now and then how far it is.
#[derive(Default)]
pub(crate) struct Progress {
    told_bytes: u64,
}

impl Progress {
    pub(crate) fn tell(&mut self, counts: Counts) -> std::io::Result<()> {
        if counts.bytes.saturating_sub(self.told_bytes) < TOLD_EVERY_BYTES {
            return Ok(());
        }
        self.told_bytes = counts.bytes;
        let mebibytes = counts.bytes >> 20;
        out::line(format!("{} records, {mebibytes} MiB …", counts.records))
    }
}

async fn of_server(server: &str, mut copy: Copy) -> Result<(Head, Counts)> {
    let failed = |status: &tonic::Status| anyhow::anyhow!("{server}: {}", client::reason(status));
    let channel = client::endpoint(server)?.connect().await;
    let channel =
        channel.with_context(|| format!("{server} is not reached (is it running there?)"))?;
    let mut admin = AdminClient::new(channel).max_decoding_message_size(client::RESPONSE_BYTES_MAX);
    let asked = admin.backup(v1::BackupRequest {}).await;
    let mut blocks = asked.map_err(|status| failed(&status))?.into_inner();
    while let Some(response) = blocks.message().await.map_err(|status| failed(&status))? {
        copy.write(&response.block)?;
    }
    copy.finish()
}

fn of_directory(data: &Path, mut copy: Copy) -> Result<(Head, Counts)> {
    let dir = journal_dir(data);
    // Opening would make one.
    if !dir.is_dir() {
        bail!(
            "{} is no data directory of a server: it has no journal",
            data.display()
        );
    }
    let (journal, tail) = Journal::open(&dir, crate::keys::journal_options()?)
        .with_context(|| format!("failed to open {}", dir.display()))?;
    drop(tail);
    audit::local(data, "backup", None, "")?;
    let now = ServerTime(SystemClock::new().wall());
    for block in journal.reader().backup(now)? {
        copy.write(&block?)?;
    }
    let finished = copy.finish()?;
    journal.close().context("failed to close the journal")?;
    Ok(finished)
}

/// A file that is there under its name only when it is whole.
struct Copy {
    to: PathBuf,
    partial: PathBuf,
    file: File,
    check: Check,
    progress: Progress,
    finished: bool,
}

impl Copy {
    fn create(to: PathBuf) -> Result<Self> {
        if to.try_exists().with_context(|| to.display().to_string())? {
            bail!("{} exists already: choose another name", to.display());
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        if name.is_empty() {
            bail!("{} is no name of a file", to.display());
        }
        name.push(".partial");
        let partial = to.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial);
        let file = file.with_context(|| {
            format!(
                "failed to make {} (if a backup was broken off there, remove it)",
                partial.display()
            )
        })?;
        Ok(Self {
            to,
            partial,
            file,
            check: Check::default(),
            progress: Progress::default(),
            finished: false,
        })
    }

    /// Checks and writes. Blocks on the disk for a quarter of a mebibyte at a time,
    /// which a command with nothing else to do may.
    fn write(&mut self, block: &[u8]) -> Result<()> {
        self.check.chunk(block)?;
        let written = self.file.write_all(block);
        written.with_context(|| format!("failed to write {}", self.partial.display()))?;
        self.progress.tell(self.check.counts())?;
        Ok(())
    }

    fn finish(mut self) -> Result<(Head, Counts)> {
        let whole = self.check.whole()?;
        let on_disk = self.file.sync_all();
        on_disk.with_context(|| format!("failed to write {}", self.partial.display()))?;
        std::fs::rename(&self.partial, &self.to)
            .and_then(|()| sync_parent(&self.to))
            .with_context(|| format!("failed to name it {}", self.to.display()))?;
        self.finished = true;
        Ok(whole)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = std::fs::remove_file(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "not removed");
        }
    }
}

/// A new name in a directory is on disk when the directory is.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
