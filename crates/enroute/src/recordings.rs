//! `enroute recordings`: what is recorded, and whether it is whole.

mod verify;

use crate::args::{Recorded, RecordingsAction, RecordingsArgs};
use crate::log::{self, Screen};
use crate::reevaluate::{DIFFERS, journal_dir};
use crate::watch::words;
use crate::{client, out, replay, utc};
use anyhow::{Context, Result, anyhow, bail};
use enroute_journal::{Journal, Options};
use enroute_wire::v1;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Runs the command.
pub(crate) async fn run(args: RecordingsArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    match args.action {
        RecordingsAction::List(recorded) => {
            let json = recorded.json;
            let recordings = read(recorded, String::new()).await?;
            if json {
                print_json(&recordings)?;
            } else {
                table(&recordings)?;
            }
        }
        RecordingsAction::Show { transfer, recorded } => {
            let json = recorded.json;
            let recordings = read(recorded, transfer).await?;
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

/// The recordings of a server or of a directory; all if `transfer` is empty.
async fn read(recorded: Recorded, transfer: String) -> Result<Vec<v1::Recording>> {
    let Some(data) = recorded.data else {
        let mut client = replay::connect(&recorded.server).await?;
        let listed = client.list_recordings(v1::ListRecordingsRequest { transfer });
        let listed = listed
            .await
            .map_err(|status| anyhow!("{}", client::reason(&status)))?;
        return Ok(listed.into_inner().recording);
    };
    let read = tokio::task::spawn_blocking(move || {
        with_journal(&data, |journal| Ok(enroute_live::recordings(journal)?))
    });
    let mut recordings = read.await??;
    if !transfer.is_empty() {
        recordings.retain(|recording| is_named(recording, &transfer));
        if recordings.is_empty() {
            bail!("no recording of {transfer:?} in this directory");
        }
    }
    Ok(recordings)
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
    let (journal, tail) = Journal::open(&dir, Options::default())
        .with_context(|| format!("failed to open {}", dir.display()))?;
    drop(tail);
    let read = read(&journal);
    journal.close().context("failed to close the journal")?;
    read
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
        "unrecorded": recording.unrecorded,
        "poisoned": recording.poisoned,
        "damage": text(&recording.damage),
    })
}

fn table(recordings: &[v1::Recording]) -> Result<()> {
    out::line(format!(
        "{:7}  {:24}  {:>7}  {:>9}  {:>14}  {:>8}  {}",
        "code", "began", "long", "alerts", "frames", "not here", "transfer"
    ))?;
    for recording in recordings {
        let not_here = recording.shed.saturating_add(recording.missing);
        let mut line = format!(
            "{:7}  {:24}  {:>7}  {:>4} ({:>2})  {:>14}  {:>8}  {}",
            words::short_code(&recording.short_code),
            utc::rfc3339(recording.starts_at_us),
            utc::span(length_us(recording)),
            recording.alerts,
            recording.high_alerts,
            recording.durable,
            not_here,
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
    out::line(format!(
        "{} recordings; alerts: all (high)",
        recordings.len()
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
        ("times not recorded", recording.unrecorded.to_string()),
        ("records not handled", recording.poisoned.to_string()),
        ("damage", or_none(&recording.damage)),
    ];
    for (name, value) in lines {
        out::line(format!("{name:>20}  {value}"))?;
    }
    Ok(())
}
