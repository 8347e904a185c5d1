//! Starts and stops the parts.

use crate::config::Config;
use crate::intake::Shared;
use crate::lane::{LaneLoop, Lanes};
use crate::outgoing::{Echoes, Outgoing};
use crate::publisher::Publisher;
use crate::quarantine::Quarantine;
use crate::stats::Stats;
use enroute_journal::Appender;
use enroute_model::ids::{GatewayId, Position, TransferId};
use enroute_model::time::{Clock, EngineTime};
use enroute_mqtt::{Client, Options};
use enroute_wire::limits::PUBLISH_BYTES_MAX;
use enroute_wire::{topics, v1};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Topic and properties around the largest publish.
const ENVELOPE: usize = 4096;
/// Words of the connection to the publisher; what does not fit is repeated.
const WORDS: usize = 1024;

/// Says whether records of a transfer by this gateway may be stored, at this engine
/// time.
#[derive(Clone)]
pub struct Admits(pub Arc<AdmitsFn>);

/// The question to [`Admits`].
pub type AdmitsFn = dyn Fn(&TransferId, &GatewayId, EngineTime) -> bool + Send + Sync;

impl std::fmt::Debug for Admits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Admits").finish_non_exhaustive()
    }
}

/// What comes from the live view, for gateways. Bounded channels: their senders
/// keep the newest per gateway meanwhile.
#[derive(Debug)]
pub struct Parts {
    /// What is durable of a gateway's streams, when it changed.
    pub receipts: mpsc::Receiver<(GatewayId, Vec<v1::StreamReceipt>)>,
    /// A gateway is to publish under another transfer.
    pub commands: mpsc::Receiver<(GatewayId, v1::UseTransfer)>,
    /// Whether records of a transfer may be stored.
    pub admits: Admits,
    /// What the crew of a transfer is to know.
    pub notes: mpsc::Receiver<(GatewayId, TransferId, v1::Notes)>,
    /// How far the engines have handled what the journal holds.
    pub handled: watch::Receiver<Position>,
}

/// Why ingest did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The quarantine's directory cannot be used.
    #[error("open the quarantine in {}: {error}", directory.display())]
    Quarantine {
        /// Where.
        directory: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Running ingest. Dropped without [`Ingest::stop`], it goes on without a handle.
#[derive(Debug)]
pub struct Ingest {
    stop: watch::Sender<bool>,
    failed: watch::Receiver<bool>,
    quarantine: Quarantine,
    tasks: Vec<JoinHandle<()>>,
}

impl Ingest {
    /// Starts both lanes and the publisher, in tasks of the current Tokio
    /// runtime. A broker that is not there is waited for, for ever.
    ///
    /// # Errors
    /// When the quarantine's directory cannot be used.
    pub fn start(
        config: Config,
        appender: Appender,
        clock: Arc<dyn Clock>,
        parts: Parts,
        stats: Arc<Stats>,
    ) -> Result<Self, StartError> {
        let directory = config.data.join("quarantine");
        let quarantine = Quarantine::open(directory.clone(), Arc::clone(&stats))
            .map_err(|error| StartError::Quarantine { directory, error })?;
        let live = Client::connect(live_options(&config));
        let history = Client::connect(history_options(&config));
        let echoes = Echoes::default();
        let publisher = Publisher {
            outgoing: Outgoing::new(&config, Arc::clone(&stats), echoes.clone()),
            client: live.0.clone(),
            clock: Arc::clone(&clock),
            started: Instant::now(),
        };
        let (failing, failed) = watch::channel(false);
        let (stop, stopping) = watch::channel(false);
        let (words, heard) = mpsc::channel(WORDS);
        let shared =
            Shared::new(config, quarantine.clone(), stats, echoes).admitting(parts.admits.clone());
        let lanes = Arc::new(Lanes {
            shared: Arc::new(shared),
            appender,
            clock,
            failed: failing.clone(),
        });
        let live = LaneLoop::live(Arc::clone(&lanes), live, words);
        let history = LaneLoop::history(lanes, history, parts.handled.clone());
        let tasks = vec![
            watched(live.run(stopping.clone()), failing.clone()),
            watched(history.run(stopping.clone()), failing.clone()),
            watched(publisher.run(parts, heard, stopping), failing),
        ];
        Ok(Self {
            stop,
            failed,
            quarantine,
            tasks,
        })
    }

    /// The bad publishes that came last.
    #[must_use]
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// Resolves when the journal takes nothing more or a part of ingest panicked, and
    /// after [`Ingest::stop`]. The server must stop then.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        // An error: every lane is gone.
        drop(failed.wait_for(|failed| *failed).await);
    }

    /// Takes nothing more, acknowledges what becomes durable of what was taken,
    /// and disconnects. Waits for the journal: bound it with a deadline.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of ingest was not waited for");
            }
        }
    }
}

/// No task ends unseen: a panic counts as a failure.
fn watched(
    part: impl Future<Output = ()> + Send + 'static,
    failing: watch::Sender<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = tokio::spawn(part).await {
            tracing::error!(%error, "a part of ingest panicked");
            failing.send_replace(true);
        }
    })
}

fn options(config: &Config, lane: &str, seed: u64) -> Options {
    let client_id = format!("{}-{lane}", config.client_id);
    let mut options = Options::new(&config.host, config.port, &client_id);
    options.credentials.clone_from(&config.credentials);
    options.tls.clone_from(&config.tls);
    options.receive_maximum = config.receive_maximum;
    options.packet_bytes_max = u32::try_from(PUBLISH_BYTES_MAX + ENVELOPE).unwrap_or(u32::MAX);
    options.jitter_seed = config.jitter_seed.wrapping_add(seed);
    options
}

/// Starts clean: what waited while we were away is old, and receipts heal it.
fn live_options(config: &Config) -> Options {
    let mut options = options(config, "live", 0);
    options.subscriptions = vec![topics::ALL_LIVE.to_owned(), topics::ALL_STATUS.to_owned()];
    // Receipts of a whole fleet may fall due together.
    options.queue = 4096;
    options.inflight = 256;
    options
}

fn history_options(config: &Config) -> Options {
    let mut options = options(config, "history", 1);
    options.subscriptions = vec![topics::ALL_HISTORY.to_owned()];
    options.clean_start = false;
    options.session_expiry = config.session_expiry;
    options
}
