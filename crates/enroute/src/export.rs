//! `enroute export`: a recorded transfer in a format that other tools open.

mod progress;
mod report;
mod source;

use crate::args::{ExportArgs, FormatArg};
use crate::log::{self, Screen};
use crate::watch::words;
use crate::{audit, out};
use anyhow::{Context, Result};
use enroute_export::{Export, Format, Words};
use enroute_model::ids::TransferId;
use progress::Progress;
pub(crate) use source::{Source, StandingClock, still};
use std::path::Path;
use std::process::ExitCode;

/// Runs the command.
pub(crate) async fn run(args: ExportArgs, log: Option<&str>) -> Result<ExitCode> {
    // The live view says that its journal has ended: that is meant here.
    log::start(log, None, Some("error,enroute_live=off"), Screen::Free)?;
    let source = match &args.data {
        Some(data) => {
            let source = Source::directory(data).await?;
            let state = source.state(&args.transfer).await?;
            audit::local(
                data,
                "export",
                Some(&state.transfer),
                format(args.format).word(),
            )?;
            source
        }
        None => Source::server(&args.server).await?,
    };
    let told = export(&source, (&args.transfer, args.format, &args.out)).await;
    source.close().await?;
    out::line(told?)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the export; gives what to say of it.
pub(crate) async fn export(
    source: &Source,
    (transfer, format_arg, out): (&str, FormatArg, &Path),
) -> Result<String> {
    let state = source.state(transfer).await?;
    let transfer = TransferId::new(&state.transfer)?;
    let mut export = Export::begin(out, &transfer, format(format_arg))?;
    let mut progress = Progress::new("reading", report::frames(&state));
    let mut read = 0;
    source
        .frames(&state.transfer, |samples| {
            read += 1;
            progress.tell(read);
            Ok(export.frame(samples)?)
        })
        .await?;
    let mut steps = 0;
    source
        .alerts(&state, |step| {
            steps += 1;
            Ok(export.alert(step)?)
        })
        .await?;
    drop(progress);
    let words = Words {
        alert: words::alert,
        crew_event: words::crew_event,
    };
    let mut progress = Progress::new("writing", read + steps);
    let written = export.write(&state, words, |done| progress.tell(done))?;
    drop(progress);
    for (name, bytes) in report::files(&state, &written, format(format_arg).word())? {
        written.place.write(&name, &bytes)?;
    }
    let said = report::said(&written);
    let place = written.place.commit()?;
    let place = place.canonicalize().context("the export is gone")?;
    Ok(format!("whole and on disk: {}: {said}", place.display()))
}

fn format(format: FormatArg) -> Format {
    match format {
        FormatArg::Wfdb => Format::Wfdb,
        FormatArg::Edf => Format::Edf,
        FormatArg::Mcap => Format::Mcap,
        FormatArg::Csv => Format::Csv,
        FormatArg::Parquet => Format::Parquet,
    }
}
