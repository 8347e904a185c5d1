//! `enroute import`: a recording back as a transfer, in a journal of its own.
//!
//! Not through a broker: what arrives is stamped when it arrives, and the alerts
//! would be those of a burst. Not into a journal that has records: engine time
//! never goes back there.

mod frames;

use crate::args::ImportArgs;
use crate::audit;
use crate::backup::sync_parent;
use crate::export::{StandingClock, still};
use crate::log::{self, Screen};
use crate::out;
use crate::reevaluate::journal_dir;
use anyhow::{Context, Result, anyhow, bail};
use enroute_journal::{Append, Class, Journal};
use enroute_live::{Live, Started};
use enroute_model::frame::Frame;
use enroute_model::ids::{GatewayId, Lane, Stream, TransferId};
use enroute_model::registry::{RegistryAction, TransferInfo};
use enroute_model::time::{EngineTime, ServerTime};
use enroute_wire::record;
use frames::Frames;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Where the journal is made before it takes its place.
const MAKING: &str = "journal.importing";
/// Records that become durable together.
const BATCH: usize = 256;
/// Who did what the import does.
const ACTOR: &str = "enroute import";
/// The headline of an imported transfer.
const CONCERN: &str = "imported recording";

/// Runs the command.
pub(crate) async fn run(args: ImportArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("error"), Screen::Free)?;
    let (journal, making) = (journal_dir(&args.data), args.data.join(MAKING));
    if journal.try_exists()? {
        bail!(
            "{} is there already: an import makes a journal of its own, give another directory",
            journal.display()
        );
    }
    let mut frames = Frames::open(&args.from, args.zero_is_missing)?;
    let transfer = match &args.transfer {
        Some(transfer) => transfer.clone(),
        None => frames.transfer()?,
    };
    std::fs::create_dir_all(&args.data)
        .with_context(|| format!("failed to make {}", args.data.display()))?;
    // Left by an import that was broken off; never anybody's journal.
    if making.try_exists()? {
        std::fs::remove_dir_all(&making)?;
    }
    let imported = import(&making, &transfer, &mut frames).await;
    if imported.is_err() {
        // What went wrong is told; what is left is removed by the next import.
        drop(std::fs::remove_dir_all(&making));
    }
    let count = imported?;
    audit::local(&args.data, "import", Some(transfer.as_str()), "")?;
    std::fs::rename(&making, &journal)
        .and_then(|()| sync_parent(&journal))
        .with_context(|| format!("failed to put {} in its place", journal.display()))?;
    out::line(format!(
        "whole and on disk: transfer {transfer}, {count} frames, in {}",
        args.data.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn import(making: &Path, transfer: &TransferId, frames: &mut Frames) -> Result<u64> {
    let (journal, tail) = Journal::open(making, crate::keys::journal_options()?)
        .with_context(|| format!("failed to make {}", making.display()))?;
    let clock = Arc::new(StandingClock(0));
    // The live view raises the alerts and stores them, as it would in a server.
    let started = Live::start(&journal, tail, clock, still()).await?;
    let count = write(&journal, &started, transfer, frames).await;
    started.live.shutdown().await;
    drop(started);
    let closed = tokio::task::spawn_blocking(move || journal.close()).await?;
    let count = count?;
    closed.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
    Ok(count)
}

async fn write(
    journal: &Journal,
    started: &Started,
    transfer: &TransferId,
    frames: &mut Frames,
) -> Result<u64> {
    let (mut now, mut count, mut batch) = (None, 0, Vec::new());
    while let Some((gateway, frame)) = frames.next()? {
        if now.is_none() {
            let put = RegistryAction::Put(TransferInfo {
                concern: CONCERN.to_owned(),
                ..TransferInfo::default()
            });
            let at = received(&frame);
            batch.push(action(transfer, "import-begins", &put, at));
        }
        // A clock that was set back: the journal's time stands until it is caught up.
        let at = received(&frame).max(now.unwrap_or(i64::MIN));
        now = Some(at);
        batch.push(of_frame(transfer, &gateway, &frame, at));
        count += 1;
        if batch.len() >= BATCH {
            let full = std::mem::take(&mut batch);
            journal.appender().append(full).await?;
        }
    }
    let Some(end) = now else {
        bail!("the recording is empty");
    };
    batch.push(action(transfer, "import-ends", &RegistryAction::Close, end));
    let last = journal.appender().append(batch).await?;
    started.live.reached(last).await?;
    Ok(count)
}

/// When a server would have had it: as the last value of it was taken.
fn received(frame: &Frame) -> i64 {
    let header = &frame.header;
    let at = header.observed_at.map_or(header.captured_at.0, |at| at.0);
    at.saturating_add(frames::lasted(&frame.body))
}

fn of_frame(transfer: &TransferId, gateway: &GatewayId, frame: &Frame, at: i64) -> Append {
    let bytes = enroute_wire::frame::encode(frame).into();
    Append {
        class: match frame.header.stream {
            Stream::Waveforms => Class::Waveforms,
            Stream::Events | Stream::Numerics => Class::Vitals,
        },
        transfer: transfer.clone(),
        at: EngineTime(at),
        received_at: ServerTime(at),
        payload: record::of_frame(gateway, Lane::Live, bytes),
    }
}

fn action(transfer: &TransferId, id: &str, action: &RegistryAction, at: i64) -> Append {
    Append {
        class: Class::Vitals,
        transfer: transfer.clone(),
        at: EngineTime(at),
        received_at: ServerTime(at),
        payload: record::of_action(id, ACTOR, action),
    }
}
