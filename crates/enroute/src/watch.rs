//! `enroute watch`: the terminal view, or a line of JSON for each update.

pub(crate) mod account;
mod app;
mod attend;
mod board;
mod chrome;
mod data;
pub(crate) mod json;
pub(crate) mod notes;
pub(crate) mod patient;
pub(crate) mod picture;
pub(crate) mod rules;
pub(crate) mod screen;
mod tiles;
mod wave;
pub(crate) mod words;

use crate::args::WatchArgs;
use crate::client::{self, Heard};
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::{out, stop};
use anyhow::{Result, bail};
use enroute_wire::v1;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) use screen::view;

/// Responses under way between a stream and its reader.
const HEARD_MAX: usize = 256;

/// Runs the command.
pub(crate) async fn run(args: WatchArgs, log: Option<&str>) -> Result<ExitCode> {
    let endpoint = client::endpoint(&args.server)?;
    let (_stopper, stop) = stop::on_signals()?;
    if args.json {
        log::start(log, None, Some("warn"), Screen::Free)?;
        return lines(endpoint, args.transfer, stop).await;
    }
    if !std::io::stdout().is_terminal() {
        bail!("standard output is no terminal; use --json for scripts");
    }
    log::start(log, None, Some("warn"), Screen::Drawn)?;
    let actor = args.actor.or_else(|| std::env::var("USER").ok());
    let actor = actor.unwrap_or_else(|| "terminal".into());
    let clock = Arc::new(SystemClock::new());
    view(endpoint, args.transfer, (actor, clock), stop).await?;
    Ok(ExitCode::SUCCESS)
}

async fn lines(
    endpoint: client::Address,
    transfer: Option<String>,
    mut stop: stop::Stop,
) -> Result<ExitCode> {
    let request = v1::WatchRequest {
        transfer: transfer.into_iter().collect(),
        ..v1::WatchRequest::default()
    };
    let (to, mut from) = mpsc::channel(HEARD_MAX);
    let following = tokio::spawn(client::follow(endpoint, request, to));
    let mut said = String::new();
    loop {
        let heard = tokio::select! {
            () = stop.asked() => break,
            heard = from.recv() => heard,
        };
        match heard {
            Some(Heard::Response(response)) => {
                said.clear();
                if let Some(line) = json::response(&response) {
                    out::line(line.to_string())?;
                }
            }
            Some(Heard::Lost(reason)) => {
                if said != reason {
                    out::line(json::lost(&reason).to_string())?;
                }
                said = reason;
            }
            Some(Heard::Refused(reason)) => bail!("{reason}"),
            None => break,
        }
    }
    following.abort();
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
