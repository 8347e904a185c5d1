//! A running gateway: its parts, how they start and how they stop.

use crate::battery::Battery;
use crate::config::Config;
use crate::desk::{Desk, Item, Status};
use crate::heal;
use crate::notes;
use crate::page;
use crate::pump;
use crate::readings::Monitor;
use crate::source::Source;
use crate::spool::{Spool, SpoolError};
use crate::stats::Stats;
use crate::uplink::{Phase, Uplink};
use enroute_model::frame::{Body, LinkReport, StreamReport};
use enroute_model::ids::TransferId;
use enroute_model::time::{Clock, Span};
use enroute_mqtt::Connector;
use enroute_seal::KeysError;
use enroute_tls::{Acceptor, TlsError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Batches between desk and uplink; when full, the desk waits.
const APPENDED_MAX: usize = 64;

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool.
    #[error("failed to open the spool: {0}")]
    Spool(#[from] SpoolError),
    /// The keys under `[gateway.encryption]`.
    #[error("failed to read the keys of the spool: {0}")]
    Keys(#[from] KeysError),
    /// The certificates under `[broker.tls]` or `[page.tls]`.
    #[error("failed to prepare TLS: {0}")]
    Tls(#[from] TlsError),
    /// The crew's page.
    #[error(
        "failed to listen on {addr} for the crew's page: {source}; choose another address in [page]"
    )]
    Page {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What was left when a gateway stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Frames in the spool that no receipt covers; sent after the next start.
    pub unconfirmed_frames: u64,
}

/// A running gateway. Dropped, it stops as if its power were cut.
#[derive(Debug)]
pub struct Gateway {
    desk: Arc<Desk>,
    page: Option<SocketAddr>,
    phase: watch::Sender<Phase>,
    ended: watch::Receiver<bool>,
    source: Task,
    uplink: Task,
    others: Vec<Task>,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    async fn stop(mut self) {
        self.0.abort();
        self.join().await;
    }

    async fn join(&mut self) {
        if let Err(error) = (&mut self.0).await
            && error.is_panic()
        {
            tracing::error!(%error, "a part of the gateway panicked");
        }
    }
}

impl Gateway {
    /// Opens the spool, then starts the source, the uplink and the crew's page.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the spool cannot be opened or the page cannot listen. An
    /// unreachable broker is no error: the gateway tries for ever.
    pub async fn start(
        config: Config,
        source: Box<dyn Source>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        Self::start_with(config, source, clock, |_| axum::Router::new()).await
    }

    /// As [`Gateway::start`], with more pages beside the crew's, under its guard.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn start_with(
        mut config: Config,
        source: Box<dyn Source>,
        clock: Arc<dyn Clock>,
        more: impl FnOnce(Monitor) -> axum::Router,
    ) -> Result<Self, StartError> {
        let listener = match config.page.listen {
            Some(addr) => {
                let listener = TcpListener::bind(addr).await;
                Some(listener.map_err(|source| StartError::Page { addr, source })?)
            }
            None => None,
        };
        let page_tls = { config.page.tls.as_ref() }
            .map(|tls| Acceptor::new(tls.files()).map(Arc::new))
            .transpose()?;
        let tls = { config.broker.tls.clone() }
            .map(|files| Connector::new(files, &[]).map(Arc::new))
            .transpose()?;
        if let Some(source) = config.encryption.clone() {
            let read = tokio::task::spawn_blocking(move || source.load()).await;
            let keys = read.map_err(|error| SpoolError::Notes(error.to_string()))??;
            config.spool.keys = Some(Arc::new(keys));
        }
        let spool = {
            let (spool, transfer) = (config.spool.clone(), config.transfer.clone());
            let opened =
                tokio::task::spawn_blocking(move || Spool::open(&spool, transfer.as_ref()));
            opened
                .await
                .map_err(|e| SpoolError::Notes(e.to_string()))??
        };
        let exercise = config.exercise || source.is_exercise();
        let through = spool.through();
        let (appended, batches) = mpsc::channel(APPENDED_MAX);
        let stats = Arc::new(Stats::default());
        let desk = Arc::new(Desk::new(spool, appended, exercise, clock, stats));
        let (phase, phases) = watch::channel(Phase::Run);
        let uplink = Uplink::new(
            &config,
            Arc::clone(&desk),
            batches,
            phases,
            through,
            exercise,
            tls,
        );
        let (ending, ended) = watch::channel(false);
        let own = || Battery::Own(config.power_supply.clone());
        let battery = source.battery().map_or_else(own, Battery::Played);
        let mut others = vec![Task::spawn(report(
            Arc::clone(&desk),
            config.uplink.link_report_s,
            battery,
        ))];
        others.push(Task::spawn(heal::run(
            Arc::clone(&desk),
            config.spool.clone(),
        )));
        others.push(Task::spawn(notes::answer(Arc::clone(&desk))));
        let page = listener.as_ref().and_then(|l| l.local_addr().ok());
        if let Some(listener) = listener {
            let more = more(Monitor {
                desk: Arc::clone(&desk),
                within: Span::from_secs(config.page.receiving_within_s.into()),
            });
            let app = page::router(Arc::clone(&desk), &config, more);
            others.push(Task::spawn(page::serve(listener, page_tls, app)));
        }
        let pump = pump::run(source, config.speed, Arc::clone(&desk));
        let source = Task::spawn(async move {
            pump.await;
            ending.send_replace(true);
        });
        Ok(Self {
            uplink: Task::spawn(uplink.run()),
            desk,
            page,
            phase,
            ended,
            source,
            others,
        })
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.desk.stats
    }

    /// Where the crew's page listens.
    #[must_use]
    pub fn page_addr(&self) -> Option<SocketAddr> {
        self.page
    }

    /// The transfer it publishes for; `None` before the first emission and after
    /// the crew ended one.
    #[must_use]
    pub fn transfer(&self) -> Option<TransferId> {
        self.desk.status().borrow().transfer.clone()
    }

    /// Frames in the spool that no receipt covers.
    #[must_use]
    pub fn unconfirmed_frames(&self) -> u64 {
        self.desk.status().borrow().unconfirmed
    }

    /// Why nothing can be recorded now, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.desk.status().borrow().failure.clone()
    }

    /// Waits until the spool takes frames, at once if it does.
    pub async fn healed(&self) {
        let mut status = self.desk.status();
        drop(status.wait_for(|status| status.failure.is_none()).await);
    }

    /// Waits until the source has ended and all it gave is on disk.
    pub async fn source_ended(&self) {
        let mut ended = self.ended.clone();
        // An error says that the task is gone, which is an end too.
        drop(ended.wait_for(|ended| *ended).await);
    }

    /// Waits until receipts cover every frame. Ends early if the spool fails.
    pub async fn all_confirmed(&self) {
        let mut status = self.desk.status();
        let done = |status: &Status| status.unconfirmed == 0 || status.failure.is_some();
        drop(status.wait_for(done).await);
    }

    /// Stops the source and the page, waits until receipts cover all frames or
    /// `deadline` has passed, says goodbye to the broker and closes the spool.
    pub async fn shutdown(mut self, deadline: Duration) -> Left {
        for task in self.others.drain(..) {
            task.stop().await;
        }
        self.source.0.abort();
        self.source.join().await;
        self.phase.send_replace(Phase::Drain);
        // Too late is no failure: what is left is sent after the next start.
        drop(tokio::time::timeout(deadline, self.all_confirmed()).await);
        self.phase.send_replace(Phase::Stop);
        self.uplink.join().await;
        let left = Left {
            unconfirmed_frames: self.unconfirmed_frames(),
        };
        if let Err(error) = self.desk.spool(Spool::close).await {
            tracing::error!(%error, "the spool was not closed cleanly");
        }
        left
    }

    /// Stops as if its power were cut: nothing is drained, the spool is not
    /// closed, the broker publishes the Last Will. For tests and exercises.
    pub async fn cut_power(mut self) {
        for task in self.others.drain(..) {
            task.stop().await;
        }
        self.source.0.abort();
        self.source.join().await;
        self.uplink.0.abort();
        self.uplink.join().await;
        // Behind whatever a thread still does with the spool.
        drop(self.desk.spool(|_| Ok(())).await);
    }
}

/// Records a link report in each interval while a transfer goes on, and whenever
/// the live connection has come: the server then learns at once which lives of
/// the spool are left.
async fn report(desk: Arc<Desk>, interval_s: u32, battery: Battery) {
    if interval_s == 0 {
        return;
    }
    let interval = Duration::from_secs(interval_s.into());
    let mut status = desk.status();
    loop {
        // Too late is no failure: a report is due then.
        drop(tokio::time::timeout(interval, connection(&mut status)).await);
        if status.borrow().transfer.is_none() {
            continue;
        }
        let mut level = status.borrow().link.level;
        if let Ok(streams) = desk.spool(|spool| Ok(spool.streams())).await {
            let mut report = link_report(&desk, streams);
            report.battery_percent = percent(&battery).await;
            level = report.degradation_level;
            let body = Body::Link(report);
            let observed_at = None;
            // A spool that fails says so itself.
            drop(desk.record(vec![Item { body, observed_at }]).await);
        }
        if desk.status().borrow().link.connected {
            drop(tokio::time::timeout(interval, change(&mut status, level)).await);
        }
    }
}

/// Reading it is reading files.
async fn percent(battery: &Battery) -> Option<u32> {
    let battery = battery.clone();
    let read = tokio::task::spawn_blocking(move || battery.percent());
    read.await.ok().flatten()
}

/// The live connection stands and there is a transfer to report for.
async fn connection(status: &mut watch::Receiver<Status>) {
    let here = |status: &Status| status.link.connected && status.transfer.is_some();
    // An error says that the desk is gone; this task ends with it.
    drop(status.wait_for(here).await);
}

/// The connection ends, or another step of the ladder than this is to be declared.
async fn change(status: &mut watch::Receiver<Status>, level: u32) {
    let other = |status: &Status| !status.link.connected || status.link.level != level;
    drop(status.wait_for(other).await);
}

fn link_report(desk: &Desk, mut streams: Vec<StreamReport>) -> LinkReport {
    for report in &mut streams {
        let (life, first) = ((report.epoch, report.stream), report.leg_first.unwrap_or(1));
        report.sent = desk.handed(life, first, report.produced);
    }
    let status = desk.status().borrow().clone();
    LinkReport {
        degradation_level: status.link.level,
        numerics_interval: status.link.numerics_interval,
        streams,
        spool_bytes: status.bytes.0,
        spool_bytes_max: status.bytes.1,
        unconfirmed_bytes: Some(status.unconfirmed_bytes),
        unconfirmed_frames: status.unconfirmed,
        shed_frames: status.shed,
        connections: u32::try_from(desk.stats.connections.get()).unwrap_or(u32::MAX),
        battery_percent: None,
    }
}
