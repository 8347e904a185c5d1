//! Routes and serving.

use crate::access_service::AccessService;
use crate::admin_service::AdminService;
use crate::gate::{self, Door, Gate};
use crate::identities::Identities;
use crate::identities_service::IdentitiesService;
use crate::live_service::LiveService;
use crate::options::Options;
use crate::replay_service::ReplayService;
use crate::transfers_service::TransfersService;
use crate::watching;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use enroute_live::{Health, Live};
use enroute_tls::Acceptor;
use enroute_wire::DESCRIPTORS;
use enroute_wire::v1::access_server::AccessServer;
use enroute_wire::v1::admin_server::AdminServer;
use enroute_wire::v1::identities_server::IdentitiesServer;
use enroute_wire::v1::live_server::LiveServer;
use enroute_wire::v1::replay_server::ReplayServer;
use enroute_wire::v1::transfers_server::TransfersServer;
use std::future::Future;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

/// Bytes of a request that are taken before it is read; the largest has 256 KiB. Four
/// of a connection at a time.
const REQUEST_WINDOW: u32 = 64 << 10;
/// Largest head of a request over HTTP/2: a token has 8 KiB at the most.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Streams that a connection opens and takes back before they were looked at, or that
/// break the protocol; above it the connection ends (CVE-2023-44487). Said here because
/// tonic's own default lifts the bound that hyper has.
const RESETS_MAX: usize = 64;

/// What a curious person finds at `/text`.
const PAGE: &str = "\
enroute: vital signs on their way to the ICU.

This port speaks gRPC (enroute.v1.Live, Replay, Transfers, Identities, Access, Admin) and gRPC-Web, with
health checks and reflection. To look at patients: enroute watch --server URL.
To list what there is: grpcurl -plaintext HOST:PORT list

Also here: /healthz, whether the server lives; /ingest, what came in and what was
refused, with counts by reason; /metrics, everything counted, for Prometheus;
/login.json, how one logs in; /who.json, as whom one is known.
";

/// The gRPC port of one server.
pub struct Feed {
    live: Live,
    options: Options,
    gate: Gate,
    identities: Identities,
    closing: watch::Sender<bool>,
}

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors for reflection are not what they should be.
    #[error("failed to offer reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The network refused.
    #[error("failed to serve gRPC: {0}")]
    Transport(#[from] tonic::transport::Error),
}

impl Feed {
    /// A port over `live`.
    #[must_use]
    pub fn new(live: Live, options: Options) -> Self {
        let (closing, _) = watch::channel(false);
        Self {
            live,
            options,
            gate: Gate::default(),
            identities: Identities::default(),
            closing,
        }
    }

    /// Lets in whom `gate` does; without it everybody.
    #[must_use]
    pub fn guarded(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// Tells who the patients are, to those who may know; without it nobody.
    #[must_use]
    pub fn knowing(self, identities: Identities) -> Self {
        Self { identities, ..self }
    }

    fn door(&self) -> Door {
        Door {
            gate: self.gate.clone(),
            live: self.live.clone(),
        }
    }

    /// The pages of `router`, for those alone who may see how the service does.
    pub fn service_pages(&self, router: axum::Router) -> axum::Router {
        gate::service_pages(router, self.door())
    }

    /// Everything on this port: gRPC, gRPC-Web, the pages at `/text` and `/who.json`, and
    /// `more`, which must not have a route there and may have a fallback.
    ///
    /// # Errors
    /// When the descriptors compiled in are damaged.
    pub fn router(&self, more: axum::Router) -> Result<axum::Router, ServeError> {
        let (reporter, health) = tonic_health::server::health_reporter();
        drop(tokio::spawn(report(reporter, self.live.health())));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let bytes_max = self.options.request_bytes_max;
        let live = Arc::new(LiveService {
            live: self.live.clone(),
            options: self.options.clone(),
            closing: self.closing.subscribe(),
        });
        let watched = Arc::clone(&live);
        let live = LiveServer::from_arc(live);
        let transfers = TransfersServer::new(TransfersService {
            live: self.live.clone(),
        });
        let access = AccessServer::new(AccessService {
            live: self.live.clone(),
        });
        let admin = AdminServer::new(AdminService::new(self.live.clone()));
        let replay = ReplayServer::new(ReplayService::new(
            self.live.clone(),
            self.closing.subscribe(),
            self.identities.clone(),
        ));
        let identities = IdentitiesServer::new(IdentitiesService {
            live: self.live.clone(),
            identities: self.identities.clone(),
        });
        let routes = Routes::new(live.max_decoding_message_size(bytes_max))
            .add_service(replay.max_decoding_message_size(bytes_max))
            .add_service(transfers.max_decoding_message_size(bytes_max))
            .add_service(identities.max_decoding_message_size(bytes_max))
            .add_service(access.max_decoding_message_size(bytes_max))
            .add_service(admin.max_decoding_message_size(bytes_max))
            .add_service(health.max_decoding_message_size(bytes_max))
            .add_service(reflection.max_decoding_message_size(bytes_max));
        // The outer layer answers 400 to what is neither gRPC nor gRPC-Web, so it
        // stands before the services only. Behind it both are the same to the gate.
        let grpc = watching::route(routes.into_axum_router(), watched, bytes_max)
            .reset_fallback()
            .layer(from_fn_with_state(self.door(), gate::guard))
            .layer(GrpcWebLayer::new());
        let page = axum::Router::new().route("/text", get(|| async { PAGE }));
        let who = gate::who_page(self.door());
        Ok(grpc.merge(page).merge(who).merge(more))
    }

    /// Serves on `listener` until `shutdown` resolves; then ends every watch
    /// (each viewer has its token) and waits for running requests. With an acceptor
    /// every connection is TLS, and at most `connections_max` are open.
    ///
    /// # Errors
    /// When the network refuses.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<Acceptor>>,
        more: axum::Router,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let limits = enroute_tls::Limits {
            connections_max: self.options.connections_max,
            per_address_max: self.options.per_address_max,
            idle_max: self.options.idle_max,
            handshakes: enroute_tls::Pace::default(),
        };
        let counts = Arc::clone(&self.options.connections);
        let connections = enroute_tls::listen(listener, tls, limits, counts);
        let connections = ReceiverStream::new(connections);
        self.serve_incoming(connections.map(std::io::Result::Ok), more, shutdown)
            .await
    }

    /// As [`Feed::serve`], on any connections: an in-memory duplex in tests.
    ///
    /// # Errors
    /// When the network refuses.
    pub async fn serve_incoming<IO>(
        self,
        incoming: impl Stream<Item = std::io::Result<IO>> + Send,
        more: axum::Router,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let routes = Routes::from(self.router(more)?);
        let (streams, keepalive) = (self.options.streams_max, self.options.keepalive);
        let closing = self.closing;
        let shutdown = async {
            shutdown.await;
            closing.send_replace(true);
        };
        Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(streams)
            .initial_stream_window_size(REQUEST_WINDOW)
            .initial_connection_window_size(REQUEST_WINDOW * 4)
            .http2_max_header_list_size(HEAD_BYTES_MAX)
            .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
            .http2_max_local_error_reset_streams(Some(RESETS_MAX))
            .http2_keepalive_interval(Some(keepalive))
            .http2_keepalive_timeout(Some(keepalive))
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, shutdown)
            .await?;
        Ok(())
    }
}

/// Serving while the live view follows the journal.
async fn report(reporter: HealthReporter, mut health: watch::Receiver<Health>) {
    loop {
        // Not recorded is live all the same: whoever asks must not turn away.
        let running = !matches!(&*health.borrow_and_update(), Health::Ended { .. });
        set(&reporter, running).await;
        // Closed: the shard's thread has ended.
        if health.changed().await.is_err() {
            set(&reporter, false).await;
            return;
        }
    }
}

async fn set(reporter: &HealthReporter, running: bool) {
    let status = if running {
        tonic_health::ServingStatus::Serving
    } else {
        tonic_health::ServingStatus::NotServing
    };
    for service in [
        "",
        "enroute.v1.Live",
        "enroute.v1.Replay",
        "enroute.v1.Transfers",
        "enroute.v1.Identities",
        "enroute.v1.Access",
        "enroute.v1.Admin",
    ] {
        reporter.set_service_status(service, status).await;
    }
}
