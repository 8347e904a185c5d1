//! `enroute recordings`: what is recorded, whether it is whole, and its end.

mod delete;
mod verify;

use crate::args::{Recorded, RecordingsAction, RecordingsArgs};
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::reevaluate::{DIFFERS, journal_dir};
use crate::watch::words;
use crate::{audit, client, out, replay, utc};
use anyhow::{Context, Result, anyhow, bail};
use enroute_audit::{Audit, Entry};
use enroute_journal::Journal;
use enroute_live::replay::Captures;
use enroute_live::{Live, Retention};
use enroute_model::time::Clock;
use enroute_wire::v1;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often is looked for recordings that are no longer kept.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Runs the command.
pub(crate) async fn run(args: RecordingsArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    match args.action {
        RecordingsAction::List { deleted, recorded } if deleted => {
            delete::list(recorded).await?;
        }
        RecordingsAction::List { recorded, .. } => {
            let json = recorded.json;
            let (recordings, deleted) = read(recorded, String::new()).await?;
            if json {
                print_json(&recordings)?;
            } else {
                table(&recordings, deleted)?;
            }
        }
        RecordingsAction::Delete {
            transfer,
            yes,
            actor,
            recorded,
        } => return delete::run(recorded, transfer, yes, actor).await,
        RecordingsAction::Show { transfer, recorded } => {
            let json = recorded.json;
            let (recordings, _) = read(recorded, transfer).await?;
            if json {
                print_json(&recordings)?;
            } else {
                recordings.iter().try_for_each(page)?;
            }
        }
        RecordingsAction::Verify {
            transfer,
            data,
            json,
        } => {
            let whole = tokio::task::spawn_blocking(move || {
                with_journal(&data, |journal| {
                    verify::run(journal, transfer.as_deref(), json)
                })
            });
            return Ok(ExitCode::from(if whole.await?? { 0 } else { DIFFERS }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The recordings of a server or of a directory, all if `transfer` is empty; and how
/// many were deleted.
async fn read(recorded: Recorded, transfer: String) -> Result<(Vec<v1::Recording>, u64)> {
    let Some(data) = recorded.data else {
        return read_server(&recorded.server, transfer).await;
    };
    let read = tokio::task::spawn_blocking(move || {
        with_journal(&data, |journal| {
            let deleted = enroute_live::deleted_recordings(journal)?.len();
            Ok((enroute_live::recordings(journal)?, u64::try_from(deleted)?))
        })
    });
    let (mut recordings, deleted) = read.await??;
    if !transfer.is_empty() {
        recordings.retain(|recording| is_named(recording, &transfer));
        if recordings.is_empty() {
            bail!("no recording of {transfer:?} in this directory");
        }
    }
    Ok((recordings, deleted))
}

/// Page by page.
async fn read_server(server: &str, transfer: String) -> Result<(Vec<v1::Recording>, u64)> {
    let mut client = replay::connect(server).await?;
    let mut asked = v1::ListRecordingsRequest {
        transfer,
        ..Default::default()
    };
    let mut all = Vec::new();
    loop {
        let page = client.list_recordings(asked.clone()).await;
        let page = page.map_err(|status| anyhow!("{}", client::reason(&status)))?;
        let page = page.into_inner();
        all.extend(page.recording);
        if page.next_page_token.is_empty() {
            return Ok((all, page.deleted_count));
        }
        asked.page_token = page.next_page_token;
    }
}

/// Deletes what is no longer kept, and keeps the order of capture of the rest, for as
/// long as the server runs.
///
/// While the audit log cannot be written nothing is deleted.
pub(crate) async fn keep(live: Live, retention: Retention, audit: Audit) {
    let mut captures = Captures::default();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let looked = async {
            if audit.counts().failing().is_none() {
                for deleted in live.retain(retention).await? {
                    let why = deleted.reason().as_str_name();
                    let entry = audit::system("recording deleted", &crate::watch::json::word(why));
                    let transfer = Some(deleted.transfer);
                    audit.tell(Entry { transfer, ..entry });
                }
            }
            live.keep_captures(&mut captures).await
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "recordings are looked after no more");
            return;
        }
    }
}

fn is_named(recording: &v1::Recording, name: &str) -> bool {
    let code = enroute_model::ids::ShortCode::parse(name);
    recording.transfer == name
        || recording.alias.iter().any(|alias| alias == name)
        || code.is_some_and(|code| code.as_str() == recording.short_code)
}

/// Opens the journal of a server that does not run, and closes it again.
///
/// # Errors
/// When it is none, or a server has it.
pub(crate) fn with_journal<T>(data: &Path, read: impl FnOnce(&Journal) -> Result<T>) -> Result<T> {
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
    let read = read(&journal);
    journal.close().context("failed to close the journal")?;
    read
}

/// Bytes in words.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x40_0000 => format!("{} KiB", bytes >> 10),
        0x40_0000..0x1_0000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

fn length_us(recording: &v1::Recording) -> i64 {
    recording.ends_at_us.saturating_sub(recording.starts_at_us)
}

fn print_json(recordings: &[v1::Recording]) -> Result<()> {
    for recording in recordings {
        out::line(object(recording).to_string())?;
    }
    Ok(())
}

fn object(recording: &v1::Recording) -> Value {
    let info = recording.info.clone().unwrap_or_default();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "transfer": recording.transfer,
        "short_code": recording.short_code,
        "aliases": recording.alias,
        "hospital": text(&info.hospital),
        "concern": text(&info.concern),
        "exercise": recording.exercise,
        "closed": recording.closed,
        "starts_at": utc::rfc3339(recording.starts_at_us),
        "ends_at": utc::rfc3339(recording.ends_at_us),
        "alerts": recording.alerts,
        "high_alerts": recording.high_alerts,
        "frames": {
            "produced": recording.produced,
            "durable": recording.durable,
            "shed": recording.shed,
            "missing": recording.missing,
            "gaps": recording.gaps,
        },
        "records": recording.records,
        "bytes": recording.bytes,
        "unrecorded": recording.unrecorded,
        "poisoned": recording.poisoned,
        "damage": text(&recording.damage),
    })
}

fn table(recordings: &[v1::Recording], deleted: u64) -> Result<()> {
    let now = SystemClock::new().wall();
    out::line(format!(
        "{:7}  {:24}  {:>7}  {:>7}  {:>9}  {:>14}  {:>8}  {:>9}  {}",
        "code", "began", "long", "ago", "alerts", "frames", "not here", "size", "transfer"
    ))?;
    for recording in recordings {
        let not_here = recording.shed.saturating_add(recording.missing);
        let mut line = format!(
            "{:7}  {:24}  {:>7}  {:>7}  {:>4} ({:>2})  {:>14}  {:>8}  {:>9}  {}",
            words::short_code(&recording.short_code),
            utc::rfc3339(recording.starts_at_us),
            utc::span(length_us(recording)),
            utc::span(now.saturating_sub(recording.ends_at_us).max(0)),
            recording.alerts,
            recording.high_alerts,
            recording.durable,
            not_here,
            size(recording.bytes),
            recording.transfer
        );
        if !recording.closed {
            line.push_str("  open");
        }
        if recording.exercise {
            line.push_str("  EXERCISE");
        }
        out::line(line)?;
    }
    let gone = match deleted {
        0 => String::new(),
        1 => "; 1 was deleted (list --deleted)".to_owned(),
        n => format!("; {n} were deleted (list --deleted)"),
    };
    let bytes = recordings
        .iter()
        .fold(0u64, |sum, one| sum.saturating_add(one.bytes));
    out::line(format!(
        "{} recordings, {}{gone}; ago: since the last record; alerts: all (high)",
        recordings.len(),
        size(bytes)
    ))?;
    Ok(())
}

fn page(recording: &v1::Recording) -> Result<()> {
    let info = recording.info.clone().unwrap_or_default();
    let or_none = |text: &str| {
        if text.is_empty() {
            "–".to_owned()
        } else {
            words::printable(text)
        }
    };
    let lines = [
        ("transfer", recording.transfer.clone()),
        ("short code", words::short_code(&recording.short_code)),
        ("joined to it", or_none(&recording.alias.join(", "))),
        ("hospital", or_none(&info.hospital)),
        ("concern", or_none(&info.concern)),
        (
            "state",
            format!(
                "{}{}",
                if recording.closed { "closed" } else { "open" },
                if recording.exercise { ", EXERCISE" } else { "" }
            ),
        ),
        ("began", utc::rfc3339(recording.starts_at_us)),
        ("ends", utc::rfc3339(recording.ends_at_us)),
        ("long", utc::span(length_us(recording))),
        (
            "alerts",
            format!(
                "{}, of high priority {}",
                recording.alerts, recording.high_alerts
            ),
        ),
        (
            "frames",
            format!(
                "{} produced = {} durable + {} given up + {} missing, {} gaps",
                recording.produced,
                recording.durable,
                recording.shed,
                recording.missing,
                recording.gaps
            ),
        ),
        (
            "size",
            format!("{} records, {}", recording.records, size(recording.bytes)),
        ),
        ("times not recorded", recording.unrecorded.to_string()),
        ("records not handled", recording.poisoned.to_string()),
        ("damage", or_none(&recording.damage)),
    ];
    for (name, value) in lines {
        out::line(format!("{name:>20}  {value}"))?;
    }
    Ok(())
}
