//! `enroute simulate`: simulated transfers for a broker that runs elsewhere.

use crate::args::SimulateArgs;
use crate::broker::Certs;
use crate::clock::SystemClock;
use crate::fleet::{self, Fleet, Ground};
use crate::log::{self, Screen};
use crate::{out, stop, transfer};
use anyhow::Result;
use enroute_model::time::{Clock, ServerTime, Span};
use enroute_simulator::fleet::{Options, Scenario};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long gateways may take to have everything confirmed.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);
/// How long a transfer takes from door to door when nobody says.
pub(crate) const LENGTH: Duration = Duration::from_mins(5);
/// How often a status line is printed.
pub(crate) const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) async fn run(args: SimulateArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let scenarios = enroute_simulator::fleet::fleet(&Options {
        seed: args.seed,
        transfers: u32::from(args.transfers),
        length: span(args.run_for.unwrap_or(LENGTH)),
        starts_at: ServerTime(clock.wall()),
    });
    let legs = scenarios.iter().flat_map(|scenario| &scenario.legs);
    let certs = Certs::of(&args, legs.map(|leg| &leg.gateway))?;
    let (stopper, mut stop) = stop::on_signals()?;
    let data = Data::at(args.data.as_deref(), "enroute-simulate")?;
    let ground = Ground {
        broker: args.broker.clone(),
        certs,
        spools: data.path().join("spools"),
        clock,
    };
    out::line(format!(
        "EXERCISE: {} simulated transfers, seed {}, send to {}; Ctrl-C stops",
        args.transfers, args.seed, args.broker
    ))?;
    let mut fleet = Fleet::start(&scenarios, &ground, &stop, DRAIN);
    let mut status = tokio::time::interval(STATUS_EVERY);
    let introduced = introduced(args.server.as_deref(), &scenarios);
    tokio::pin!(introduced);
    let end = sleep_or_never(args.run_for);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = stop.asked() => break,
            () = &mut end => break,
            error = fleet.failed() => return Err(error),
            error = &mut introduced => return Err(error),
            _ = status.tick() => out::line(status_line(&fleet))?,
        }
    }
    stopper.stop();
    out::line("stopping: the gateways send what they still hold")?;
    let taken_in = fleet.taken_in().await?;
    out::line(status_line(&fleet))?;
    let left = taken_in.unconfirmed_frames;
    out::line(format!("{left} frames not confirmed by a server"))?;
    Ok(ExitCode::from(u8::from(left > 0)))
}

/// Tells the server, if there is one, of all transfers; ends only when that failed.
async fn introduced(server: Option<&str>, scenarios: &[Scenario]) -> anyhow::Error {
    if let Some(server) = server
        && let Err(error) = transfer::introduce(server, scenarios).await
    {
        return error;
    }
    std::future::pending().await
}

/// Ends after `time`, or never.
pub(crate) async fn sleep_or_never(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The model's span.
pub(crate) fn span(duration: Duration) -> Span {
    Span(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

fn status_line(fleet: &Fleet) -> String {
    let vehicles = fleet.vehicles();
    let [events, numerics, waveforms] = fleet::produced(&vehicles);
    let sent: u64 = vehicles
        .iter()
        .map(|vehicle| vehicle.stats.published_live.get() + vehicle.stats.published_history.get())
        .sum();
    let freed: u64 = vehicles
        .iter()
        .map(|vehicle| vehicle.stats.freed.get())
        .sum();
    format!(
        "{} vehicles: {} frames produced ({events} events, {numerics} numerics, {waveforms} \
         waveforms), {sent} sent, {freed} confirmed",
        vehicles.len(),
        events + numerics + waveforms
    )
}

/// A data directory: a given one is kept, a temporary one is removed at the end.
pub(crate) struct Data {
    path: PathBuf,
    temporary: bool,
}

impl Data {
    /// The given directory, made if absent, or a new temporary one.
    pub(crate) fn at(given: Option<&Path>, name: &str) -> Result<Self> {
        let Some(given) = given else {
            let mut bytes = [0u8; 8];
            getrandom::fill(&mut bytes)
                .map_err(|error| anyhow::anyhow!("failed to get random bytes: {error}"))?;
            let name = format!("{name}-{:016x}", u64::from_le_bytes(bytes));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path)?;
            return Ok(Self {
                path,
                temporary: true,
            });
        };
        std::fs::create_dir_all(given)?;
        Ok(Self {
            path: given.to_owned(),
            temporary: false,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes at the end.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "temporary directory not removed");
        }
    }
}
