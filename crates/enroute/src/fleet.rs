//! Simulated vehicles that send for real: each leg of each scenario is a gateway
//! with its own spool, behind a proxy that treats its connection as the leg's radio
//! link would.

use crate::args::BrokerUrl;
use crate::broker::{self, Certs};
use crate::metrics::gateway::pages;
use crate::stop::Stop;
use anyhow::{Context, Result};
use enroute_gateway::{Config, Gateway, Gauge, Left, Source, Stats};
use enroute_model::frame::Emission;
use enroute_model::ids::{GatewayId, Stream};
use enroute_model::time::{Clock, Span};
use enroute_simulator::battery::Battery;
use enroute_simulator::fleet::{LegPlan, Scenario};
use enroute_simulator::radio::{LinkState, Proxy};
use enroute_simulator::source::{Detail, Emissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// The first crew page's port, if it is free; the next ones count on.
const PAGES_FROM: u16 = 7410;
/// Most bytes of one simulated gateway's spool.
const SPOOL_BYTES_MAX: u64 = 512 << 20;
/// A longer time than any leg: never overflows when added to now.
const NEVER: Duration = Duration::from_hours(30 * 24);

/// The simulator as a gateway's source.
pub(crate) struct Simulated {
    emissions: Emissions,
    battery: Battery,
    gauge: Gauge,
}

impl Simulated {
    /// The box that reads them runs on this battery.
    pub(crate) fn new(emissions: Emissions, battery: Battery) -> Self {
        let gauge = Gauge::default();
        gauge.set(Some(battery.percent_after(Span::ZERO)));
        Self {
            emissions,
            battery,
            gauge,
        }
    }
}

impl Source for Simulated {
    fn next(&mut self) -> Option<Emission> {
        let emission = self.emissions.next()?;
        let percent = self.battery.percent_after(emission.due);
        self.gauge.set(Some(percent));
        Some(emission)
    }

    fn battery(&self) -> Option<Gauge> {
        Some(self.gauge.clone())
    }

    fn is_exercise(&self) -> bool {
        true
    }
}

/// What every vehicle needs.
#[derive(Clone)]
pub(crate) struct Ground {
    /// The broker.
    pub(crate) broker: BrokerUrl,
    /// With TLS: what each gateway trusts and shows.
    pub(crate) certs: Option<Certs>,
    /// Directory under which each gateway has its spool.
    pub(crate) spools: PathBuf,
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
}

/// A vehicle that has started.
#[derive(Clone, Debug)]
pub(crate) struct Vehicle {
    /// Its gateway's counters.
    pub(crate) stats: Arc<Stats>,
}

/// Vehicles under way.
pub(crate) struct Fleet {
    pages: Vec<(GatewayId, SocketAddr)>,
    vehicles: Arc<Mutex<Vec<Vehicle>>>,
    legs: JoinSet<Result<Left>>,
}

/// What was left when a fleet was taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TakenIn {
    /// Frames that no receipt covers.
    pub(crate) unconfirmed_frames: u64,
}

impl Fleet {
    /// Sends the vehicles off, each at its time; when `stop` is asked for, sources
    /// end and gateways have `drain` to have everything confirmed.
    pub(crate) fn start(
        scenarios: &[Scenario],
        ground: &Ground,
        stop: &Stop,
        drain: Duration,
    ) -> Self {
        let vehicles = Arc::new(Mutex::new(Vec::new()));
        let mut legs = JoinSet::new();
        let mut pages = Vec::new();
        let all = scenarios.iter().flat_map(|scenario| &scenario.legs);
        for (index, leg) in all.enumerate() {
            let index = u16::try_from(index).unwrap_or(0);
            let usual = PAGES_FROM.saturating_add(index);
            let page = free_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, usual)));
            pages.push((leg.gateway.clone(), page));
            let running = Running {
                leg: leg.clone(),
                ground: ground.clone(),
                page,
                vehicles: Arc::clone(&vehicles),
                stop: stop.clone(),
                drain,
            };
            legs.spawn(running.run());
        }
        Self {
            pages,
            vehicles,
            legs,
        }
    }

    /// Where each vehicle's crew page is once the vehicle has started.
    pub(crate) fn pages(&self) -> &[(GatewayId, SocketAddr)] {
        &self.pages
    }

    /// The vehicles that have started so far, in order of their start.
    pub(crate) fn vehicles(&self) -> Vec<Vehicle> {
        self.vehicles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until all vehicles have ended; they do once the stop was asked for.
    pub(crate) async fn taken_in(&mut self) -> Result<TakenIn> {
        let mut taken_in = TakenIn::default();
        while let Some(leg) = self.legs.join_next().await {
            let left = leg.context("a simulated vehicle failed")??;
            taken_in.unconfirmed_frames += left.unconfirmed_frames;
        }
        Ok(taken_in)
    }

    /// Returns when a vehicle ended that nobody asked to end: it failed.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.legs.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow::Error::new(error).context("a simulated vehicle failed"),
            Some(Ok(Ok(_))) | None => std::future::pending().await,
        }
    }
}

/// Frames that gateways produced, per stream in the order of [`Stream::ALL`].
pub(crate) fn produced(vehicles: &[Vehicle]) -> [u64; 3] {
    Stream::ALL.map(|stream| {
        vehicles
            .iter()
            .map(|vehicle| vehicle.stats.produced(stream))
            .sum()
    })
}

/// One leg on its way.
struct Running {
    leg: LegPlan,
    ground: Ground,
    page: SocketAddr,
    vehicles: Arc<Mutex<Vec<Vehicle>>>,
    stop: Stop,
    drain: Duration,
}

impl Running {
    async fn run(mut self) -> Result<Left> {
        let starts = u64::try_from(self.leg.starts.0).unwrap_or(0);
        let starts = Duration::from_micros(starts).min(NEVER);
        tokio::select! {
            () = self.stop.asked() => return Ok(Left { unconfirmed_frames: 0 }),
            () = tokio::time::sleep(starts) => {}
        }
        let proxy = Proxy::start(&self.ground.broker.address(), self.leg.radio.clone())
            .await
            .context("failed to open a simulated radio link")?;
        let gateway = self.board(&proxy).await?;
        self.stop.asked().await;
        // What is still on board must come in whatever the radio plan says.
        proxy.set(LinkState::CLEAR);
        Ok(gateway.shutdown(self.drain).await)
    }

    async fn board(&self, proxy: &Proxy) -> Result<Gateway> {
        let id = &self.leg.gateway;
        let mut config = Config::new(id.clone());
        config.transfer = Some(self.leg.transfer.clone());
        config.exercise = true;
        let certs = self.ground.certs.as_ref();
        config.broker = broker::config(&self.ground.broker, certs.map(|certs| certs.files(id)));
        config.broker.via = Some(proxy.addr());
        config.spool.dir = spool(&self.ground.spools, id);
        config.spool.bytes_max = SPOOL_BYTES_MAX;
        config.page.listen = Some(free_addr(self.page));
        let source = Simulated::new(self.leg.emissions(Detail::Waveforms), self.leg.battery());
        let clock = Arc::clone(&self.ground.clock);
        let gateway = Gateway::start_with(config, Box::new(source), clock, pages)
            .await
            .with_context(|| format!("gateway {id}"))?;
        let vehicle = Vehicle {
            stats: Arc::clone(gateway.stats()),
        };
        self.vehicles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(vehicle);
        Ok(gateway)
    }
}

fn spool(spools: &Path, gateway: &GatewayId) -> PathBuf {
    spools.join(gateway.as_str())
}

/// `usual` if nobody listens there, else a free port of the same address. Somebody
/// may take it before it is used; starting fails then, with words.
pub(crate) fn free_addr(usual: SocketAddr) -> SocketAddr {
    let any = SocketAddr::new(usual.ip(), 0);
    let free = TcpListener::bind(usual).or_else(|_| TcpListener::bind(any));
    free.and_then(|listener| listener.local_addr())
        .unwrap_or(usual)
}
