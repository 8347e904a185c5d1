//! `enroute gateway`: the box on board as a process.

use crate::args::GatewayArgs;
use crate::clock::SystemClock;
use crate::fleet::Simulated;
use crate::log::{self, Screen};
use crate::metrics::gateway::pages;
use crate::{out, stop};
use anyhow::{Context, Result, anyhow, bail};
use enroute_config::gateway::{GatewayFile, SourceConfig};
use enroute_gateway::{Gateway, Source, WfdbSource};
use enroute_model::time::{Clock, ServerTime, Span};
use enroute_simulator::battery::Battery;
use enroute_simulator::course::Course;
use enroute_simulator::fleet::{self, Options};
use enroute_simulator::source::Detail;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A played recording is waited for until the server has confirmed all of it.
const PLAYED_DRAIN: Duration = Duration::from_hours(24);

/// Runs the command.
pub(crate) async fn run(args: GatewayArgs, log: Option<&str>) -> Result<ExitCode> {
    let file: GatewayFile = enroute_config::load(&args.config)?;
    let filter = file.log.as_ref().map(|log| log.get_ref().as_str());
    log::start(log, filter, None, Screen::Free)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let source = source(file.source.get_ref(), clock.as_ref())
        .with_context(|| args.config.display().to_string())?;
    let (_stopper, mut stop) = stop::on_signals()?;
    let config = file.gateway.into_inner();
    let gateway = Gateway::start_with(config.clone(), source, clock, pages).await?;
    out::line(format!(
        "gateway {} sends to mqtt{}://{}:{}, spool in {}",
        config.id,
        config.broker.tls.as_ref().map_or("", |_| "s"),
        config.broker.host,
        config.broker.port,
        config.spool.dir.display()
    ))?;
    if let Some(page) = gateway.page_addr() {
        let secure = config.page.tls.as_ref().map_or("", |_| "s");
        out::line(format!("the crew's page is at http{secure}://{page}/"))?;
    }
    let asked = tokio::select! {
        () = stop.asked() => true,
        () = gateway.source_ended() => false,
    };
    let left = if asked {
        gateway
            .shutdown(Duration::from_secs(file.shutdown_s.into_inner()))
            .await
    } else {
        out::line("the source has ended; waiting until the server has confirmed everything")?;
        tokio::select! {
            // Dropping the gateway stops it; what is not confirmed stays in the spool.
            () = stop.asked() => {
                out::line("stopped; what is not confirmed stays in the spool")?;
                return Ok(ExitCode::SUCCESS);
            }
            left = gateway.shutdown(PLAYED_DRAIN) => left,
        }
    };
    out::line(format!(
        "stopped; {} frames not confirmed by the server{}",
        left.unconfirmed_frames,
        if left.unconfirmed_frames == 0 {
            ""
        } else {
            " stay in the spool and are sent after the next start"
        }
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn source(config: &SourceConfig, clock: &dyn Clock) -> Result<Box<dyn Source>> {
    if let Some(wfdb) = &config.wfdb {
        // Its words name their cause already.
        let source = WfdbSource::open(wfdb.get_ref().clone());
        return Ok(Box::new(source.map_err(|error| anyhow!("{error}"))?));
    }
    let Some(simulator) = &config.simulator else {
        bail!("there is no source");
    };
    let simulator = simulator.get_ref();
    let scenarios = fleet::fleet(&Options {
        seed: simulator.seed,
        // Two of each course, and the showcase.
        transfers: u32::try_from(2 * Course::ALL.len() + 1).unwrap_or(1),
        length: Span::from_secs(i64::from(*simulator.minutes.get_ref()) * 60),
        starts_at: ServerTime(clock.wall()),
    });
    let course = simulator.course();
    let leg = scenarios
        .into_iter()
        // The showcase changes vehicles; one box stays in its own.
        .filter(|scenario| scenario.number > 1)
        .find(|scenario| course.is_none_or(|course| scenario.course == course))
        .and_then(|scenario| scenario.legs.into_iter().next())
        .context("the simulator has no such patient")?;
    let detail = if simulator.waveforms {
        Detail::Waveforms
    } else {
        Detail::Numerics
    };
    let battery = simulator.battery_percent.as_ref();
    let battery = battery.map_or_else(|| leg.battery(), |percent| Battery::new(*percent.get_ref()));
    Ok(Box::new(Simulated::new(leg.emissions(detail), battery)))
}
