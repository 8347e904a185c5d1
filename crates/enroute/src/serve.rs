//! `enroute serve`: the server as a process.

use crate::args::ServeArgs;
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::server::{Server, Setup};
use crate::{out, stop};
use anyhow::Result;
use enroute_config::server::ServerConfig;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Runs the command.
pub(crate) async fn run(args: ServeArgs, log: Option<&str>) -> Result<ExitCode> {
    let config: ServerConfig = enroute_config::load(&args.config)?;
    let filter = config.log.as_ref().map(|log| log.get_ref().as_str());
    log::start(log, filter, None, Screen::Free)?;
    if config.allow_unprotected_network {
        tracing::warn!(
            "allow_unprotected_network is set: whoever reaches an address without TLS and \
             certificates sees and changes everything"
        );
    }
    let (_stopper, mut stop) = stop::on_signals()?;
    let deadline = Duration::from_secs(*config.limits.shutdown_s.get_ref());
    let clock = Arc::new(SystemClock::new());
    let mut server = Server::start(Setup::of(&config)?, clock).await?;
    let (host, port) = &server.broker_at;
    let secure = |is: bool| if is { "s" } else { "" };
    let (web, mqtt) = (secure(config.tls.is_some()), secure(config.is_broker_tls()));
    let listen = server.listen;
    out::line(format!("gRPC, gRPC-Web and HTTP on http{web}://{listen}/"))?;
    out::line(format!("gateways: mqtt{mqtt}://{host}:{port}"))?;
    out::line("ready")?;
    let failed = tokio::select! {
        () = stop.asked() => None,
        error = server.failed() => Some(error),
    };
    tracing::info!("stopping");
    let stopped = server.shutdown(deadline).await;
    if let Some(error) = failed {
        return Err(error);
    }
    stopped?;
    out::line("stopped")?;
    Ok(ExitCode::SUCCESS)
}
