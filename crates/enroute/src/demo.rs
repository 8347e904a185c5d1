//! `enroute demo`: everything in one process, with simulated patients, and the
//! proof at the end that nothing was lost.

mod counting;
mod summary;

use crate::args::{BrokerUrl, DEFAULT_SERVER, DemoArgs};
use crate::client::Address;
use crate::clock::SystemClock;
use crate::fleet::{self, Fleet, Ground, TakenIn, Vehicle};
use crate::log::{self, Screen};
use crate::protection::Protection;
use crate::reevaluate::DIFFERS;
use crate::server::{Server, Setup};
use crate::simulate::{DRAIN, Data, LENGTH, STATUS_EVERY, sleep_or_never, span};
use crate::stop::{Stop, Stopper};
use crate::watch::{json, words};
use crate::{client, out, stop, watch};
use anyhow::{Result, bail};
use counting::Counting;
use enroute_config::server::{BrokerAt, MQTT_PORT};
use enroute_model::registry::RegistryAction;
use enroute_model::state::TransferState;
use enroute_model::time::{Clock, ServerTime};
use enroute_simulator::fleet::{Options, Scenario};
use enroute_wire::v1;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use summary::{PerStream, Summary};

/// How long the last frames may take to reach our own viewer.
const SETTLE: Duration = Duration::from_secs(15);
/// How often is looked whether they have.
const SETTLE_EVERY: Duration = Duration::from_millis(50);
/// How long the server may take to stop.
const SHUTDOWN: Duration = Duration::from_secs(15);
/// The scenario ends this long before the demo does.
const LAST_STRETCH: Duration = Duration::from_secs(2);
/// After so many looks without anything new, nothing more is under way.
const QUIET_LOOKS: u32 = 10;
/// Alert transitions are compared at most so often.
const TRANSITION_LOOKS: u32 = 100;
/// The usual port of gRPC and HTTP.
const GRPC_PORT: u16 = 7400;
/// Crew pages named at the start; further ones count on.
const PAGES_NAMED: usize = 3;
/// Who the registry says did it.
const ACTOR: &str = "demo";

/// Runs the command.
pub(crate) async fn run(args: DemoArgs, log: Option<&str>) -> Result<ExitCode> {
    let drawn = !args.headless && std::io::stdout().is_terminal();
    let screen = if drawn { Screen::Drawn } else { Screen::Free };
    log::start(log, None, Some("warn"), screen)?;
    let (stopper, stop) = stop::on_signals()?;
    let data = Data::at(args.data.as_deref(), "enroute-demo")?;
    if std::fs::read_dir(data.path())?.next().is_some() {
        bail!(
            "{} is not empty: a demo counts everything from its start, so give it a new directory",
            data.path().display()
        );
    }
    let demo = Demo::start(&args, &data, stop.clone()).await?;
    for line in demo.where_to_look(&args, &data) {
        out::line(line)?;
    }
    demo.run(&args, drawn, stopper, stop).await
}

/// A running demo.
struct Demo {
    clock: Arc<dyn Clock>,
    server: Server,
    scenarios: Vec<Scenario>,
    counting: Counting,
    endpoint: Address,
    fleet: Fleet,
}

impl Demo {
    async fn start(args: &DemoArgs, data: &Data, stop: Stop) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let usual = |port| fleet::free_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let setup = Setup {
            protection: Protection::default(),
            access: None,
            regions: enroute_access::Regions::default(),
            audit_key: None,
            listen: args.listen.unwrap_or_else(|| usual(GRPC_PORT)),
            data: data.path().to_owned(),
            broker: BrokerAt::Embedded(usual(MQTT_PORT)),
            client_id: None,
            viewers_max: 1_000,
            transfers_max: 1_000,
            connections_max: 4_096,
            per_address_max: None,
            commit_interval: Duration::from_millis(3),
            rules: None,
            keys: None,
            identity: None,
            retention: enroute_live::Retention::default(),
        };
        let server = Server::start(setup, Arc::clone(&clock)).await?;
        let scenarios = scenarios(args, clock.as_ref());
        for scenario in &scenarios {
            let put = RegistryAction::Put(scenario.info.clone());
            let (id, action) = (
                scenario.transfer.as_str(),
                format!("demo-{}", scenario.number),
            );
            server.live.act(id, put, &action, ACTOR).await?;
        }
        let endpoint = client::endpoint(&format!("http://{}", server.listen))?;
        let named: Vec<String> = ids(&scenarios);
        let counting = Counting::start(&endpoint, &named, &clock);
        let (host, port) = server.broker_at.clone();
        let ground = Ground {
            broker: BrokerUrl {
                tls: false,
                host,
                port,
            },
            certs: None,
            spools: data.path().join("spools"),
            clock: Arc::clone(&clock),
        };
        let fleet = Fleet::start(&scenarios, &ground, &stop, DRAIN);
        Ok(Self {
            clock,
            server,
            scenarios,
            counting,
            endpoint,
            fleet,
        })
    }

    fn where_to_look(&self, args: &DemoArgs, data: &Data) -> Vec<String> {
        let server = format!("http://{}", self.server.listen);
        let (host, port) = &self.server.broker_at;
        let option = if server == DEFAULT_SERVER {
            String::new()
        } else {
            format!(" --server {server}")
        };
        let pages = self.fleet.pages();
        let named: Vec<String> = pages
            .iter()
            .take(PAGES_NAMED)
            .map(|(gateway, page)| format!("http://{page}/ ({gateway})"))
            .collect();
        let more = match pages.len().saturating_sub(PAGES_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let kept = if data.is_temporary() {
            "removed at the end"
        } else {
            "kept"
        };
        vec![
            format!(
                "EXERCISE: {} simulated transfers, seed {}",
                args.transfers, args.seed
            ),
            format!("  watch them   enroute watch{option}"),
            format!("  gRPC, HTTP   {server}/"),
            format!("  MQTT         mqtt://{host}:{port}"),
            format!("  crew pages   {}{more}", named.join(", ")),
            format!("  data         {} ({kept})", data.path().display()),
        ]
    }

    async fn run(
        mut self,
        args: &DemoArgs,
        drawn: bool,
        stopper: Stopper,
        mut stop: Stop,
    ) -> Result<ExitCode> {
        let failed = if drawn {
            self.shown(args.run_for, stop.clone()).await
        } else {
            self.told(args.run_for, &mut stop).await
        };
        if let Err(error) = failed {
            stopper.stop();
            // The reason is what counts; a failed server may not stop cleanly.
            drop(self.server.shutdown(SHUTDOWN).await);
            return Err(error);
        }
        out::line("stopping: the gateways send what they still hold")?;
        stopper.stop();
        let taken_in = self.fleet.taken_in().await?;
        self.settle().await?;
        let summary = self.summary(taken_in).await?;
        for line in summary.lines() {
            out::line(line)?;
        }
        self.server.shutdown(SHUTDOWN).await?;
        let problems = summary.problems();
        Ok(ExitCode::from(if problems.is_empty() {
            0
        } else {
            DIFFERS
        }))
    }

    /// The terminal view, until somebody leaves it.
    async fn shown(&mut self, run_for: Option<Duration>, stop: Stop) -> Result<()> {
        let view = watch::view(
            self.endpoint.clone(),
            None,
            ("demo".into(), Arc::clone(&self.clock)),
            stop,
        );
        tokio::select! {
            shown = view => shown,
            () = sleep_or_never(run_for) => Ok(()),
            error = self.server.failed() => Err(error),
            error = self.fleet.failed() => Err(error),
        }
    }

    /// A status line now and then.
    async fn told(&mut self, run_for: Option<Duration>, stop: &mut Stop) -> Result<()> {
        let end = sleep_or_never(run_for);
        tokio::pin!(end);
        let mut status = tokio::time::interval(STATUS_EVERY);
        // The first tick is at once: nothing has happened yet.
        status.tick().await;
        loop {
            tokio::select! {
                () = stop.asked() => return Ok(()),
                () = &mut end => return Ok(()),
                error = self.server.failed() => return Err(error),
                error = self.fleet.failed() => return Err(error),
                _ = status.tick() => out::line(self.status().await?)?,
            }
        }
    }

    async fn status(&self) -> Result<String> {
        let states = self.server.live.list(false).await?;
        let alerts: usize = states.iter().map(|state| state.alerts.len()).sum();
        let produced: u64 = fleet::produced(&self.fleet.vehicles()).iter().sum();
        let counted: u64 = self.counting.counted()?.frames.iter().sum();
        Ok(format!(
            "EXERCISE  {} transfers, {} vehicles, {alerts} alerts; frames: {produced} produced, \
             {} received, {counted} seen by a viewer",
            states.len(),
            self.fleet.vehicles().len(),
            self.server.stats.frames_all()
        ))
    }

    /// Waits until our own viewer has what the engines have, bounded.
    async fn settle(&self) -> Result<()> {
        let settled = async {
            let (mut before, mut quiet) = (self.counting.counted()?, 0);
            loop {
                tokio::time::sleep(SETTLE_EVERY).await;
                let counted = self.counting.counted()?;
                quiet = if counted == before { quiet + 1 } else { 0 };
                before = counted;
                let all = self.short(&self.states().await?).is_empty() || counted.conflated > 0;
                let alerts = counted.alerts >= self.server.live.stats().alerts();
                if all && alerts && quiet >= QUIET_LOOKS {
                    return Ok::<(), anyhow::Error>(());
                }
            }
        };
        // What is still lacking then is in the summary.
        tokio::time::timeout(SETTLE, settled)
            .await
            .unwrap_or(Ok(()))
    }

    async fn states(&self) -> Result<Vec<v1::TransferState>> {
        let states = self.server.live.list(true).await?;
        let contract = |state: &Arc<TransferState>| enroute_wire::state::transfer_to(state);
        Ok(states.iter().map(contract).collect())
    }

    async fn summary(&self, taken_in: TakenIn) -> Result<Summary> {
        let states = self.states().await?;
        let vehicles = self.fleet.vehicles();
        let counted = self.counting.counted()?;
        let (transitions, transitions_watched) = self.transitions().await?;
        let all: Vec<String> = states.iter().map(|state| state.transfer.clone()).collect();
        let (live, ingest) = (self.server.live.stats(), &self.server.stats);
        let times = self.counting.times();
        Ok(Summary {
            produced: fleet::produced(&vehicles),
            sent: vehicles.iter().map(sent).sum(),
            received: ingest.frames_all(),
            refused: ingest.refused().values().sum(),
            durable: ledger(&states, |stream| stream.durable),
            shed: ledger(&states, |stream| stream.shed),
            missing: ledger(&states, |stream| stream.missing),
            duplicates: ledger(&states, |stream| stream.duplicates),
            conflicts: ledger(&states, |stream| stream.conflicts),
            history: self.counting.history(&all).await?,
            watched: counted.frames,
            watched_again: counted.again,
            conflated: counted.conflated,
            short: self.short(&states),
            unconfirmed: taken_in.unconfirmed_frames,
            transitions,
            transitions_watched,
            raised: self.counting.raised(),
            poisoned: live.poisoned(),
            latencies: vec![
                ("captured → received", times.received.summary()),
                ("received → handled", self.server.times.handled.summary()),
                ("received → sent", self.server.times.sent.summary()),
                ("received → viewer", times.delivered.summary()),
            ],
        })
    }

    /// Alert transitions that happened, and those that our viewer has. Time goes on
    /// and silence raises alerts, so both are read when they agree, if they ever do.
    async fn transitions(&self) -> Result<(u64, u64)> {
        let mut looks = 0;
        loop {
            let happened = self.server.live.stats().alerts();
            let watched = self.counting.counted()?.alerts;
            looks += 1;
            if happened == watched || looks > TRANSITION_LOOKS {
                return Ok((happened, watched));
            }
            tokio::time::sleep(SETTLE_EVERY).await;
        }
    }

    /// Transfers of one vehicle whose frames did not all come over our streams. A
    /// later vehicle's first frames are its own transfer's, which nobody watched.
    fn short(&self, states: &[v1::TransferState]) -> Vec<(String, u64, u64)> {
        let alone = states.iter().filter(|state| state.alias.is_empty());
        let watched = alone.filter(|state| {
            let mut known = self.scenarios.iter();
            known.any(|scenario| scenario.transfer.as_str() == state.transfer)
        });
        watched
            .filter_map(|state| {
                let durable = ledger(std::slice::from_ref(state), |stream| stream.durable);
                let durable = durable.iter().sum();
                let came = self.counting.frames_of(&state.transfer);
                (came != durable).then(|| (state.transfer.clone(), came, durable))
            })
            .collect()
    }
}

fn scenarios(args: &DemoArgs, clock: &dyn Clock) -> Vec<Scenario> {
    // Door to door within the demo, so that all vehicles of the showcase are seen.
    let length = args
        .run_for
        .map_or(LENGTH, |run_for| run_for.saturating_sub(LAST_STRETCH));
    enroute_simulator::fleet::fleet(&Options {
        seed: args.seed,
        transfers: u32::from(args.transfers),
        length: span(length),
        starts_at: ServerTime(clock.wall()),
    })
}

fn ids(scenarios: &[Scenario]) -> Vec<String> {
    let ids = scenarios
        .iter()
        .map(|scenario| scenario.transfer.to_string());
    ids.collect()
}

fn sent(vehicle: &Vehicle) -> u64 {
    vehicle.stats.published_live.get() + vehicle.stats.published_history.get()
}

/// The sum of a count over all ledgers, per stream.
fn ledger(
    states: &[v1::TransferState],
    count: impl Fn(&v1::StreamCompleteness) -> u64,
) -> PerStream {
    let mut sums = [0; 3];
    let [events, numerics, waveforms] = &mut sums;
    let sources = states.iter().flat_map(|state| &state.source);
    for stream in sources.flat_map(|source| &source.completeness) {
        match stream.stream() {
            v1::Stream::Events => *events += count(stream),
            v1::Stream::Numerics => *numerics += count(stream),
            v1::Stream::Waveforms => *waveforms += count(stream),
            v1::Stream::Unspecified => {}
        }
    }
    sums
}

/// An alert's kind with its quantity, and its priority, in words.
fn kind(alert: &v1::Alert) -> (String, String) {
    let kind = json::word(alert.kind().as_str_name()).replace('_', " ");
    let what = if alert.code == 0 && alert.label.is_empty() {
        kind
    } else {
        format!("{kind} {}", words::name(alert.code, &alert.label))
    };
    (what, json::word(alert.priority().as_str_name()))
}
