//! The yardsticks that are processes: a bare `rumqttc` subscriber that counts, with
//! the embedded broker in its process or without, and a bare `tonic` stream.

use super::parts::float;
use crate::args::{CountArgs, ViewersArgs};
use crate::client::RESPONSE_BYTES_MAX;
use crate::clock::SystemClock;
use crate::out;
use anyhow::{Context, Result, bail};
use enroute_broker::{Broker, Config};
use enroute_ingest::RECEIVE_MAXIMUM;
use enroute_model::time::Clock;
use enroute_mqtt::bare::Bare;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::{Message, v1};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};

/// What the load publishes, and what the server's live lane subscribes.
const TOPICS: &str = "enroute/v1/gw/+/tx/+/live";

/// Counts what it is told to: `expect N`, or `time N`, which also measures how long
/// each was under way.
pub(super) async fn count(args: &CountArgs) -> Result<()> {
    let (_broker, at) = if let Some(at) = &args.broker {
        (None, at.clone())
    } else {
        let config = Config {
            listen: "127.0.0.1:0".parse()?,
            limits: enroute_broker::Limits::default(),
        };
        let broker = Broker::start(config).await?;
        let at = broker.addr().to_string();
        out::line(format!("broker {at}"))?;
        (Some(broker), at)
    };
    let (host, port) = at.rsplit_once(':').context("a broker is HOST:PORT")?;
    let mut bare = Bare::subscribe((host, port.parse()?), TOPICS, RECEIVE_MAXIMUM).await?;
    out::line("ready")?;
    let clock = SystemClock::new();
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = words.next_line().await? {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["expect", messages] => {
                for _ in 0..messages.parse::<u64>()? {
                    std::hint::black_box(bare.next().await?);
                }
                out::line("done")?;
            }
            ["time", messages] => {
                let mut times = Times::new()?;
                for _ in 0..messages.parse::<u64>()? {
                    let batch = v1::Batch::decode(bare.next().await?)?;
                    times.add(clock.wall().saturating_sub(batch.sent_at_us));
                }
                out::line(format!("done {}", times.words()))?;
            }
            other => bail!("the counting subscriber was told {other:?}"),
        }
    }
    Ok(())
}

/// Microseconds in a histogram of three digits.
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 60_000_000, 3)?))
    }

    pub(super) fn add(&mut self, us: i64) {
        self.0
            .saturating_record(u64::try_from(us).unwrap_or(0).max(1));
    }

    pub(super) fn of(&self, quantile: f64) -> f64 {
        float(self.0.value_at_quantile(quantile))
    }

    /// Median, 99th and 99.9th percentile.
    pub(super) fn percentiles(&self) -> [f64; 3] {
        [0.5, 0.99, 0.999].map(|quantile| self.of(quantile))
    }

    fn words(&self) -> String {
        let [p50, p99, p999] = self.percentiles();
        format!("{p50} {p99} {p999}")
    }
}

/// Sends the same values to every viewer of its board, at a pace.
struct Bell(tokio::sync::broadcast::Sender<v1::WatchResponse>);

/// Values with limits.
const LIMITED: usize = 4;
/// Messages that a slow viewer may be behind.
const BEHIND: usize = 1_024;

#[tonic::async_trait]
impl v1::live_server::Live for Bell {
    type WatchStream = BoxStream<v1::WatchResponse>;
    type HistoryStream = BoxStream<v1::HistoryResponse>;
    type AlertHistoryStream = BoxStream<v1::AlertHistoryResponse>;

    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut messages = self.0.subscribe();
        let (out, stream) = tokio::sync::mpsc::channel(1);
        drop(tokio::spawn(async move {
            // A first one, as a snapshot is.
            let mut next = Ok(v1::WatchResponse::default());
            while let Ok(message) = next {
                if out.send(Ok(message)).await.is_err() {
                    return;
                }
                next = messages.recv().await;
            }
        }));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn list(
        &self,
        _: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn history(
        &self,
        _: Request<v1::HistoryRequest>,
    ) -> Result<Response<Self::HistoryStream>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn alert_history(
        &self,
        _: Request<v1::AlertHistoryRequest>,
    ) -> Result<Response<Self::AlertHistoryStream>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }
}

/// Serves it; told `pace RATE SECONDS`, it sends so many.
pub(super) async fn stream() -> Result<()> {
    let (bell, _) = tokio::sync::broadcast::channel(BEHIND);
    let port = super::parts::free_port()?;
    let service = v1::live_server::LiveServer::new(Bell(bell.clone()));
    let serving = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(service)
        .serve(([127, 0, 0, 1], port).into());
    let serving = tokio::spawn(serving);
    out::line(format!("serves 127.0.0.1:{port}"))?;
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = words.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["pace", rate, seconds] = words.as_slice() else {
            bail!("the bare stream was told {words:?}");
        };
        let (rate, seconds) = (rate.parse::<u32>()?, seconds.parse::<u32>()?);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        for _ in 0..rate.saturating_mul(seconds) {
            ticks.tick().await;
            // Without viewers nobody hears it.
            drop(bell.send(values()));
        }
        out::line("sent")?;
    }
    serving.abort();
    Ok(())
}

/// What a viewer of the board gets of a frame of twelve numerics, and as many bytes: some
/// of them have limits.
fn values() -> v1::WatchResponse {
    let value = v1::Value {
        code: 149_530,
        unit: "/min".into(),
        value: 82,
        captured_at_us: super::START,
        heard_at_us: super::START,
        measured_at_us: Some(super::START),
        interval_ms: 1_000,
        slope_per_min: Some(0.5),
        ..v1::Value::default()
    };
    let limited = v1::Value {
        crit_low: Some(40.0),
        warn_low: Some(50.0),
        warn_high: Some(120.0),
        crit_high: Some(140.0),
        ..value.clone()
    };
    v1::WatchResponse {
        server_time_us: super::START,
        resume_token: vec![0; 24],
        update: Some(v1::watch_response::Update::Values(v1::Values {
            transfer: "tx-bench-0".into(),
            gateway: "gw-bench-0".into(),
            value: [vec![limited; LIMITED], vec![value; 12 - LIMITED]].concat(),
        })),
        ..v1::WatchResponse::default()
    }
}

/// Opens boards, says `ready` when each has its first message, and answers `count`
/// with how many messages came since, and how many bytes they have.
pub(super) async fn viewers(args: &ViewersArgs) -> Result<()> {
    let seen = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let mut open = tokio::task::JoinSet::new();
    for _ in 0..args.viewers {
        let url = format!("http://{}", args.server);
        let channel = Endpoint::from_shared(url)?.connect().await?;
        let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let request = v1::WatchRequest::default();
        let mut stream = client.watch(request).await?.into_inner();
        stream.message().await?.context("no first message")?;
        let seen = Arc::clone(&seen);
        open.spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                let [messages, bytes] = seen.as_ref();
                let size = u64::try_from(message.encoded_len()).unwrap_or(0);
                bytes.fetch_add(size, Ordering::Relaxed);
                messages.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    out::line("ready")?;
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = words.next_line().await? {
        if line != "count" {
            bail!("the viewers were told {line:?}");
        }
        let [messages, bytes] = seen.as_ref();
        let (messages, bytes) = (
            messages.swap(0, Ordering::Relaxed),
            bytes.swap(0, Ordering::Relaxed),
        );
        out::line(format!("count {messages} {bytes}"))?;
    }
    open.shutdown().await;
    Ok(())
}
