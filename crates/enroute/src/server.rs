//! The whole server, put together: broker, journal, live view, ingest, gRPC port.
//! `serve` and `demo` start the same one.
//!
//! It stops when it is asked to, or when a part of it fails that it cannot go on
//! without; the disk under the journal is none (I8). Intake first, then
//! the engines, the streams of viewers, and the journal last.

use crate::keys;
use crate::latency::ServerTimes;
use crate::metrics::connections::Connections;
use crate::metrics::server::ServerMetrics;
use crate::protection::{OwnTopics, Protection};
use crate::reevaluate::journal_dir;
use crate::rules::keeper::{self, Keeper};
use crate::{access, audit, healthz, identities, intake, login, oidc, recordings};
use anyhow::{Context, Result, anyhow};
use axum::routing::get;
use enroute_access::{Regions, Tokens};
use enroute_audit::Audit;
use enroute_broker::Broker;
use enroute_config::access::AccessConfig;
use enroute_config::identity::IdentityConfig;
use enroute_config::server::{BrokerAt, ServerConfig};
use enroute_engine::StreamReceipt;
use enroute_feed::{Feed, Gate, ServeError};
use enroute_ingest::{Admits, Ingest, Parts, Quarantine};
use enroute_journal::{Journal, Meter};
use enroute_live::{Commands, Health, Latency, Live, Notes, Receipts, Retention};
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::time::{Clock, EngineTime, Span};
use enroute_mqtt::{Connector, Credentials};
use enroute_seal::Keys;
use enroute_wire::v1;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Receipts and commands between live view and ingest. When full, the live view
/// keeps the newest per gateway.
const WORDS_MAX: usize = 256;

/// How long viewers get to hang up after their streams ended.
const HANG_UP: Duration = Duration::from_secs(2);

/// How to start a server.
pub(crate) struct Setup {
    /// Where gRPC and HTTP listen.
    pub(crate) listen: SocketAddr,
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// Its broker.
    pub(crate) broker: BrokerAt,
    /// MQTT client id; `None`: ingest's own.
    pub(crate) client_id: Option<String>,
    /// Viewers at a time.
    pub(crate) viewers_max: usize,
    pub(crate) transfers_max: usize,
    /// Connections to the embedded broker at a time.
    pub(crate) connections_max: usize,
    /// Connections from one address at a time, at each port; `None`: half of all.
    pub(crate) per_address_max: Option<usize>,
    /// Rest between two commits.
    pub(crate) commit_interval: Duration,
    /// Where its rule book is; `None`: the built-in one.
    pub(crate) rules: Option<PathBuf>,
    /// Certificates.
    pub(crate) protection: Protection,
    /// By what people and programs are known; `None`: nobody is asked.
    pub(crate) access: Option<AccessConfig>,
    /// Where it is, and who is elsewhere.
    pub(crate) regions: Regions,
    /// Who the patients are; `None`: it does not know.
    pub(crate) identity: Option<IdentityConfig>,
    /// The key of its audit log.
    pub(crate) audit_key: Option<PathBuf>,
    /// By which its journal is sealed; `None`: it is in clear.
    pub(crate) keys: Option<Arc<Keys>>,
    /// How long its recordings are kept.
    pub(crate) retention: Retention,
}

impl Setup {
    /// As configured.
    ///
    /// # Errors
    /// When certificates or keys are not in order.
    pub(crate) fn of(config: &ServerConfig) -> Result<Self> {
        Ok(Self {
            protection: Protection::of(config)?,
            listen: *config.listen.get_ref(),
            data: config.data.get_ref().clone(),
            broker: config.broker.at(),
            client_id: config
                .broker
                .client_id
                .as_ref()
                .map(|id| id.get_ref().clone()),
            viewers_max: *config.limits.viewers_max.get_ref(),
            transfers_max: *config.limits.transfers_max.get_ref(),
            connections_max: *config.limits.connections_max.get_ref(),
            per_address_max: { config.limits.per_address_max.as_ref() }.map(|max| *max.get_ref()),
            commit_interval: Duration::from_millis(*config.limits.commit_interval_ms.get_ref()),
            rules: config.rules.dir.as_ref().map(|dir| dir.get_ref().clone()),
            access: config.access.clone(),
            regions: config.regions(),
            identity: config.identity.clone(),
            audit_key: config.audit.key.clone(),
            keys: keys::of(config.encryption.as_ref())?,
            retention: config.recordings.retention(),
        })
    }
}

/// A running server.
pub(crate) struct Server {
    /// Where gRPC and HTTP listen.
    pub(crate) listen: SocketAddr,
    /// Where gateways connect.
    pub(crate) broker_at: (String, u16),
    /// The live view.
    pub(crate) live: Live,
    /// What ingest counts.
    pub(crate) stats: Arc<enroute_ingest::Stats>,
    /// How long things take.
    pub(crate) times: Arc<ServerTimes>,
    broker: Option<Broker>,
    ingest: Ingest,
    journal: Journal,
    feed: JoinHandle<Result<(), ServeError>>,
    close_feed: oneshot::Sender<()>,
    audit: Audit,
    words: [JoinHandle<()>; 10],
}

impl Server {
    /// Starts everything; nothing is left running when it fails.
    pub(crate) async fn start(setup: Setup, clock: Arc<dyn Clock>) -> Result<Self> {
        // A wrong rule book and a damaged journal are said before any port opens.
        let book = keeper::first(setup.rules.as_deref())?;
        let entrance = Entrance::of(setup.access.as_ref(), &clock)?;
        let identities = identities::open(setup.identity.as_ref())?;
        let times = Arc::new(ServerTimes::new(Arc::clone(&clock)));
        let (journal, tail) = open_journal(&setup, &times)?;
        let audit = audit::start(&setup.data, setup.audit_key.as_deref(), &clock)?;
        let (listener, listen) = bind(setup.listen).await?;
        let connections = Connections::default();
        let broker = start_broker(&setup, &connections).await?;
        let acceptors = setup.protection.acceptors();
        let options = live_options(&setup, &times);
        let broker_at = address(broker.as_ref(), setup.broker);
        let started = Live::start(&journal, tail, Arc::clone(&clock), options).await?;
        let live = started.live;
        let book_counts = Arc::new(keeper::Counts::default());
        let keeper = Keeper::new(setup.rules, live.clone(), Arc::clone(&book_counts));
        // Before the first frame can come.
        keeper.put(book).await?;
        let (receipts, commands) = (mpsc::channel(WORDS_MAX), mpsc::channel(WORDS_MAX));
        let notes = mpsc::channel(WORDS_MAX);
        let receipt_words = tokio::spawn(pass_receipts(started.receipts, receipts.0));
        let command_words = tokio::spawn(pass_commands(started.commands, commands.0));
        let note_words = tokio::spawn(pass_notes(started.notes, notes.0));
        let engine_start = engine_start(&live, clock.as_ref());
        let quarantine_dir = setup.data.join("quarantine");
        let own = (setup.data, setup.client_id, setup.protection.broker);
        let config = ingest_config(broker.as_ref(), &broker_at, own, engine_start, &journal);
        // Both lanes.
        let publishes_max = config.in_flight_max.saturating_mul(2);
        let parts = parts(&live, receipts.1, commands.1, notes.1);
        let stats = Arc::new(enroute_ingest::Stats::default());
        let ingest = Ingest::start(config, journal.appender(), clock, parts, Arc::clone(&stats))?;
        let (close_feed, closing) = oneshot::channel::<()>();
        let words = [
            receipt_words,
            command_words,
            note_words,
            tokio::spawn(intake::log_refusals(Arc::clone(&stats))),
            tokio::spawn(keeper.run()),
            tokio::spawn(enroute_tls::keep(acceptors)),
            tokio::spawn(keep_tokens(entrance.tokens, audit.clone())),
            tokio::spawn(entrance.issuer),
            tokio::spawn(recordings::keep(
                live.clone(),
                setup.retention,
                audit.clone(),
            )),
            tokio::spawn(identities::keep(identities.clone(), live.clone())),
        ];
        let quarantine = ingest.quarantine().clone();
        let metrics = ServerMetrics {
            live: live.clone(),
            ingest: Arc::clone(&stats),
            quarantine: quarantine.clone(),
            journal: journal.gauges(),
            times: Arc::clone(&times),
            book: book_counts,
            audit: Arc::clone(audit.counts()),
            connections: connections.clone(),
            glass: entrance.gate.glass_counts(),
            rates: entrance.gate.rate_counts(),
            viewers_max: setup.viewers_max,
            publishes_max,
        };
        let gate = entrance.gate.audited(audit.clone()).pinned(setup.regions);
        let options = feed_options(setup.viewers_max, setup.per_address_max, connections);
        let feed = Feed::new(live.clone(), options).guarded(gate);
        let feed = feed.knowing(identities);
        let pages = service_pages(Arc::clone(&stats), quarantine, quarantine_dir).route(
            "/metrics",
            get(move || async move { metrics.scrape().await }),
        );
        let found = entrance.found;
        let more = more(&live, setup.access, found, Arc::clone(audit.counts()))
            .merge(feed.service_pages(pages));
        let feed = tokio::spawn(feed.serve(listener, setup.protection.viewers, more, async {
            // An error is as good as the word: nobody is left to say it.
            drop(closing.await);
        }));
        Ok(Self {
            listen,
            broker_at,
            live,
            stats,
            times,
            broker,
            ingest,
            journal,
            feed,
            close_feed,
            audit,
            words,
        })
    }

    /// Returns when a part of the server has failed; never otherwise.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let mut health = self.live.health();
        tokio::select! {
            () = self.ingest.failed() => self.journal.failure().map_or_else(
                || anyhow!("a part of ingest ended by itself"),
                |failure| anyhow!("the journal failed: {}", failure.reason()),
            ),
            ended = health.wait_for(|health| matches!(health, Health::Ended { .. })) => match ended {
                Ok(health) => anyhow!("the live view ended: {health:?}"),
                Err(_) => anyhow!("the live view's thread ended"),
            },
            served = &mut self.feed => match served {
                Ok(Ok(())) => anyhow!("the gRPC port closed by itself"),
                Ok(Err(error)) => anyhow::Error::new(error),
                Err(error) => anyhow::Error::new(error).context("the gRPC port failed"),
            },
        }
    }

    /// Stops intake, lets the engines handle what is stored, ends the viewers'
    /// streams, syncs the journal; gives up on a part that takes longer than
    /// `deadline` in all.
    pub(crate) async fn shutdown(self, deadline: Duration) -> Result<()> {
        let stopping = self.stop_all();
        match tokio::time::timeout(deadline, stopping).await {
            Ok(stopped) => stopped,
            Err(_) => Err(anyhow!(
                "the server did not stop within {} s; what was durable is kept",
                deadline.as_secs()
            )),
        }
    }

    async fn stop_all(self) -> Result<()> {
        self.ingest.stop().await;
        self.live.shutdown().await;
        if self.close_feed.send(()).is_err() {
            tracing::debug!("the gRPC port had closed already");
        }
        close_port(self.feed).await?;
        for words in self.words {
            words.abort();
        }
        drop(self.live);
        let audit = self.audit;
        tokio::task::spawn_blocking(move || audit::stop(&audit)).await?;
        let closed = tokio::task::spawn_blocking(|| self.journal.close()).await?;
        closed.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
        if let Some(broker) = self.broker {
            broker.shutdown().await;
        }
        Ok(())
    }
}

/// What ingest hears from the live view.
fn parts(
    live: &Live,
    receipts: mpsc::Receiver<(GatewayId, Vec<v1::StreamReceipt>)>,
    commands: mpsc::Receiver<(GatewayId, v1::UseTransfer)>,
    notes: mpsc::Receiver<(GatewayId, TransferId, v1::Notes)>,
) -> Parts {
    let admission = live.admission();
    let admits = move |transfer: &_, gateway: &_, at| admission.admits(transfer, gateway, at);
    Parts {
        receipts,
        commands,
        admits: Admits(Arc::new(admits)),
        notes,
        handled: live.handled(),
    }
}

/// Ingest's engine time must be the live view's: same start, same clock.
fn engine_start(live: &Live, clock: &dyn Clock) -> EngineTime {
    EngineTime(live.clock().now().0.saturating_sub(clock.monotonic().0))
}

async fn bind(at: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(at).await;
    let listener = listener.with_context(|| format!("failed to listen on {at}"))?;
    let listen = listener.local_addr()?;
    Ok((listener, listen))
}

/// Waits for the viewers to hang up, and does it for those that do not: one that
/// sleeps must not keep the journal from being closed.
async fn close_port(mut feed: JoinHandle<Result<(), ServeError>>) -> Result<()> {
    if feed.is_finished() {
        return Ok(());
    }
    if let Ok(ended) = tokio::time::timeout(HANG_UP, &mut feed).await {
        return Ok(ended.context("the gRPC port failed")??);
    }
    tracing::info!("closed the connections of viewers that did not");
    feed.abort();
    Ok(())
}

fn live_options(setup: &Setup, times: &Arc<ServerTimes>) -> enroute_live::Options {
    enroute_live::Options {
        viewers_max: setup.viewers_max,
        transfers_max: setup.transfers_max,
        latency: Some(Arc::clone(times) as Arc<dyn Latency>),
        ..enroute_live::Options::default()
    }
}

fn open_journal(
    setup: &Setup,
    times: &Arc<ServerTimes>,
) -> Result<(Journal, enroute_journal::Tail)> {
    let dir = journal_dir(&setup.data);
    std::fs::create_dir_all(&setup.data)
        .with_context(|| format!("failed to make {}", setup.data.display()))?;
    let options = enroute_journal::Options {
        commit_interval: setup.commit_interval,
        keys: setup.keys.clone(),
        steps_in: enroute_wire::record::steps,
        meter: Some(Arc::clone(times) as Arc<dyn Meter>),
        ..enroute_journal::Options::default()
    };
    Journal::open(&dir, options).with_context(|| format!("failed to open {}", dir.display()))
}

async fn start_broker(setup: &Setup, connections: &Connections) -> Result<Option<Broker>> {
    let BrokerAt::Embedded(listen) = setup.broker else {
        return Ok(None);
    };
    let limits = enroute_broker::Limits {
        connections_max: setup.connections_max,
        per_address_max: of_one_address(setup.per_address_max, setup.connections_max),
        ..enroute_broker::Limits::default()
    };
    let config = enroute_broker::Config { listen, limits };
    let broker = match &setup.protection.gateways {
        Some(acceptor) => {
            let (acceptor, counts) = (Arc::clone(acceptor), Arc::clone(&connections.gateways));
            Broker::start_guarded(config, acceptor, Arc::new(OwnTopics), counts).await
        }
        None => Broker::start(config).await,
    };
    Ok(Some(broker.context("failed to start the broker")?))
}

/// Where gateways find the broker.
fn address(broker: Option<&Broker>, configured: BrokerAt) -> (String, u16) {
    match (broker.map(Broker::addr), configured) {
        (Some(at), _) | (None, BrokerAt::Embedded(at)) => (at.ip().to_string(), at.port()),
        (None, BrokerAt::External { host, port }) => (host, port),
    }
}

/// Ingest is a client of the broker as any other; of a guarded one in this process by
/// a door of its own.
fn ingest_config(
    broker: Option<&Broker>,
    broker_at: &(String, u16),
    (data, client_id, tls): (PathBuf, Option<String>, Option<Arc<Connector>>),
    engine_start: EngineTime,
    journal: &Journal,
) -> enroute_ingest::Config {
    let (host, port) = broker.map(Broker::inside).map_or_else(
        || broker_at.clone(),
        |inside| (inside.ip().to_string(), inside.port()),
    );
    let own = broker.and_then(Broker::own).cloned();
    let incarnation = journal.incarnation();
    let usual = enroute_ingest::Config::new(&host, port, data, engine_start, incarnation);
    enroute_ingest::Config {
        tls,
        client_id: client_id.unwrap_or_else(|| usual.client_id.clone()),
        credentials: own.map(|(username, password)| Credentials { username, password }),
        jitter_seed: incarnation,
        ..usual
    }
}

/// Half of all, unless it is said.
fn of_one_address(configured: Option<usize>, connections_max: usize) -> usize {
    configured.unwrap_or(connections_max.div_ceil(2))
}

fn feed_options(
    viewers_max: usize,
    per_address_max: Option<usize>,
    connections: Connections,
) -> enroute_feed::Options {
    // A browser opens a few for one viewer.
    let connections_max = viewers_max.saturating_mul(2).saturating_add(1_024);
    enroute_feed::Options {
        connections_max,
        per_address_max: of_one_address(per_address_max, connections_max),
        connections: connections.viewers,
        ..enroute_feed::Options::default()
    }
}

/// What stands at the port for viewers.
struct Entrance {
    gate: Gate,
    /// What is known of the issuer of tokens.
    found: watch::Receiver<oidc::Found>,
    /// The gate's static tokens, and the file that they are read from again.
    tokens: Option<(PathBuf, watch::Sender<Arc<Tokens>>)>,
    /// What keeps the issuer's keys.
    issuer: Kept,
}

/// Something that is kept for as long as the server runs.
type Kept = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Entrance {
    /// As configured; a wrong file of tokens is said here.
    fn of(access: Option<&AccessConfig>, clock: &Arc<dyn Clock>) -> Result<Self> {
        let nothing = || -> Kept { Box::pin(std::future::ready(())) };
        let mut entrance = Self {
            gate: Gate::default(),
            found: watch::channel(oidc::Found::default()).1,
            tokens: None,
            issuer: nothing(),
        };
        let Some(access) = access else {
            return Ok(entrance);
        };
        let (sender, known) = watch::channel(Arc::default());
        if let Some(file) = access.tokens.clone() {
            sender.send_replace(Arc::new(access::read(&file)?));
            entrance.tokens = Some((file, sender));
        }
        let issuer = access.oidc.as_ref().map(|oidc| {
            let (keeper, issuer, found) =
                oidc::Keeper::new(oidc.get_ref().clone(), Arc::clone(clock));
            entrance.issuer = Box::pin(keeper.run());
            entrance.found = found;
            issuer
        });
        let minutes = i64::try_from(*access.break_glass_minutes.get_ref()).unwrap_or(i64::MAX);
        let lasts = Span::from_secs(60).scaled(minutes, 1);
        entrance.gate = Gate::new(known, issuer).glass_lasts(lasts);
        Ok(entrance)
    }
}

async fn keep_tokens(tokens: Option<(PathBuf, watch::Sender<Arc<Tokens>>)>, audit: Audit) {
    if let Some((file, tokens)) = tokens {
        access::keep(file, tokens, audit).await;
    }
}

/// What the port serves besides gRPC, to everybody.
fn more(
    live: &Live,
    access: Option<AccessConfig>,
    found: watch::Receiver<oidc::Found>,
    audit: Arc<enroute_audit::Counts>,
) -> axum::Router {
    let health = live.health();
    let lost = found.clone();
    front(access.as_ref())
        .route(
            "/healthz",
            get(move || async move {
                let lost = lost.borrow().lost_since;
                healthz::answer(&health.borrow(), lost, audit.failing())
            }),
        )
        .route(
            "/login.json",
            get(move || async move { login::answer(access.as_ref(), &found.borrow()) }),
        )
}

/// What it serves to those who may see how the service does.
fn service_pages(
    stats: Arc<enroute_ingest::Stats>,
    quarantine: Quarantine,
    quarantine_dir: PathBuf,
) -> axum::Router {
    axum::Router::new().route(
        "/ingest",
        get(move || async move { intake::page(&stats, &quarantine, &quarantine_dir) }),
    )
}

/// What is at `/`: the console, where it was built in.
#[cfg(feature = "console")]
fn front(access: Option<&AccessConfig>) -> axum::Router {
    let oidc = access.and_then(|access| access.oidc.as_ref());
    let issuer = oidc.filter(|oidc| oidc.get_ref().client_id.is_some());
    let issuer =
        issuer.and_then(|oidc| enroute_config::address::origin(oidc.get_ref().issuer.get_ref()));
    enroute_console::router(issuer.as_deref())
}

#[cfg(not(feature = "console"))]
fn front(_access: Option<&AccessConfig>) -> axum::Router {
    axum::Router::new().route(
        "/",
        get(|| async { axum::response::Redirect::temporary("/text") }),
    )
}

async fn pass_receipts(mut from: Receipts, to: mpsc::Sender<(GatewayId, Vec<v1::StreamReceipt>)>) {
    while let Some((gateway, streams)) = from.next().await {
        let streams = streams.into_iter().map(receipt).collect();
        if to.send((gateway, streams)).await.is_err() {
            return;
        }
    }
}

fn receipt(stream: StreamReceipt) -> v1::StreamReceipt {
    let above = stream.above.into_iter();
    v1::StreamReceipt {
        epoch: stream.key.epoch.0,
        stream: enroute_wire::frame::stream_to(stream.key.stream).into(),
        first: stream.first,
        through: stream.through,
        above: above
            .map(|(first, last)| v1::Range { first, last })
            .collect(),
    }
}

async fn pass_commands(mut from: Commands, to: mpsc::Sender<(GatewayId, v1::UseTransfer)>) {
    while let Some((gateway, command)) = from.next().await {
        let command = v1::UseTransfer {
            instead_of: command.instead_of.to_string(),
            transfer: command.transfer.to_string(),
            short_code: command.short_code.to_string(),
        };
        if to.send((gateway, command)).await.is_err() {
            return;
        }
    }
}

async fn pass_notes(mut from: Notes, to: mpsc::Sender<(GatewayId, TransferId, v1::Notes)>) {
    while let Some((gateway, notes)) = from.next().await {
        for (transfer, notes) in notes {
            let notes = enroute_wire::state::notes_to(&notes);
            if to.send((gateway.clone(), transfer, notes)).await.is_err() {
                return;
            }
        }
    }
}
