//! `enroute glass`: a transfer that is not one's own, in an emergency.

use crate::args::{GlassAction, GlassArgs};
use crate::client;
use crate::log::{self, Screen};
use crate::watch::words;
use crate::{out, utc};
use anyhow::{Result, anyhow};
use enroute_wire::v1;
use enroute_wire::v1::access_client::AccessClient;
use std::process::ExitCode;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) async fn run(args: GlassArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let server = &args.server;
    let endpoint = client::endpoint(server)?.timeout(ANSWER_WITHIN);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|_| anyhow!("{server} is not reached: is a server there?"))?;
    let mut access = AccessClient::new(channel);
    let refused = |status: tonic::Status| anyhow!("{server} says: {}", client::reason(&status));
    match args.action {
        GlassAction::Break { transfer, reason } => {
            let asked = v1::BreakGlassRequest { transfer, reason };
            let broken = access.break_glass(asked).await.map_err(refused)?;
            let glass = broken.into_inner().glass.unwrap_or_default();
            out::line(format!(
                "{}  is open to you until {}; everything that you do there is on record as done \
                 by breaking the glass ({})",
                which(&glass),
                utc::rfc3339(glass.until_us),
                glass.id,
            ))?;
        }
        GlassAction::End { transfer } => {
            let asked = v1::EndGlassRequest { transfer };
            let ended = access.end_glass(asked).await.map_err(refused)?;
            let glass = ended.into_inner().glass.unwrap_or_default();
            out::line(format!("{}  is closed to you again", which(&glass)))?;
        }
        GlassAction::List => {
            let listed = access.list_glasses(v1::ListGlassesRequest {}).await;
            for glass in listed.map_err(refused)?.into_inner().glass {
                let whose = if glass.own { "you" } else { &glass.by };
                out::line(words::printable(&format!(
                    "{}  {}  since {} until {}  {whose}: {}",
                    glass.id,
                    which(&glass),
                    utc::rfc3339(glass.since_us),
                    utc::rfc3339(glass.until_us),
                    glass.reason,
                )))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn which(glass: &v1::Glass) -> String {
    let code = words::short_code(&glass.short_code);
    format!("{} ({code})", glass.transfer)
}
