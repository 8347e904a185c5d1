//! Honest gateways and their viewers: real processes that play patients, and a
//! subscriber of each transfer that writes down every frame.

use enroute_model::ids::Stream;
use enroute_tests::openmetrics::Metrics;
use enroute_tests::process::Process;
use enroute_tests::site::{Site, channel, tls};
use enroute_tests::viewer::{FrameId, Viewer, Watching, hole, identify};
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::v1::{AlertHistoryRequest, HistoryRequest, WatchRequest};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Request;
use tonic::transport::Channel;

/// Who is honest: gateway and transfer. `amb-15` is not.
pub(crate) const HONEST: [(&str, &str); 3] = [
    ("amb-12", "t-honest-12"),
    ("amb-13", "t-honest-13"),
    ("amb-14", "t-honest-14"),
];
/// Frames behind the attack that have to come, too.
const BEHIND: usize = 5;
/// Heartbeats within which nothing is missing any more.
const SETTLED_WITHIN: usize = 120;

/// Everybody who is honest.
pub(crate) struct Honest {
    token: String,
    channel: Channel,
    transfers: Vec<Transfer>,
    _gateways: Vec<Process>,
}

struct Transfer {
    name: &'static str,
    viewer: Viewer,
    stream: Watching,
    /// Of what was seen, how much was measured.
    measured: usize,
}

impl Honest {
    pub(crate) async fn start(site: &Site, address: &str, token: &str) -> Self {
        let channel = channel(site, address, 1).await.unwrap();
        let mut board = open(&channel, token, WatchRequest::default()).await;
        let nothing = board.next().await.expect("a snapshot").resume_token;
        let gateways = HONEST
            .iter()
            .enumerate()
            .map(|(seed, (gateway, transfer))| {
                let lines = format!("transfer = \"{transfer}\"");
                let source = format!(
                    "[source.simulator]\nseed = {}\ncourse = \"hypoxia\"",
                    seed + 1
                );
                site.gateway_with(gateway, gateway, &lines, &source)
            });
        let gateways = gateways.collect();
        appear(&mut board).await;
        let mut transfers = Vec::new();
        for (_, name) in HONEST {
            let viewer = Viewer::since(nothing.clone());
            let stream = open(&channel, token, viewer.request(name)).await;
            transfers.push(Transfer {
                name,
                viewer,
                stream,
                measured: 0,
            });
        }
        Self {
            token: token.to_owned(),
            channel,
            transfers,
            _gateways: gateways,
        }
    }

    /// Watches all of them for so many heartbeats.
    pub(crate) async fn watch(&mut self, heartbeats: usize) {
        let way = (&self.channel, self.token.as_str());
        for_each(way, &mut self.transfers, |from| {
            let until = from.heartbeats() + heartbeats;
            move |viewer: &Viewer| viewer.heartbeats() >= until
        })
        .await;
    }

    /// Watches until nothing is missing in the record of what came before now.
    pub(crate) async fn settle(&mut self) {
        let mut wanted = Vec::new();
        for transfer in &self.transfers {
            wanted.push(self.recorded(transfer.name).await.len() + BEHIND);
        }
        for _ in 0..SETTLED_WITHIN {
            self.watch(1).await;
            let mut is_whole = true;
            for (transfer, wanted) in self.transfers.iter().zip(&wanted) {
                let frames = self.recorded(transfer.name).await;
                is_whole &= frames.len() >= *wanted && hole(&frames).is_none();
            }
            if is_whole {
                return;
            }
        }
        panic!("frames of honest gateways are missing");
    }

    /// Every frame that is recorded of a transfer, each of which must come once.
    async fn recorded(&self, transfer: &str) -> BTreeSet<FrameId> {
        let request = HistoryRequest {
            transfer: transfer.to_owned(),
            after_position: 0,
            waveforms: true,
        };
        let mut client = LiveClient::new(self.channel.clone());
        let history = client.history(with(request, &self.token)).await;
        let mut history = history.unwrap().into_inner();
        let mut frames = BTreeSet::new();
        while let Some(response) = history.message().await.unwrap() {
            for samples in &response.samples {
                let (id, _) = identify(samples);
                assert!(frames.insert(id), "a frame is there twice");
            }
        }
        frames
    }

    /// Microseconds from capture to the server's stamp of the numbers that came since
    /// the last question, as now. (A frame of a waveform is captured for a second.)
    pub(crate) fn latencies(&mut self) -> Vec<i64> {
        let mut latencies = Vec::new();
        for transfer in &mut self.transfers {
            let seen = transfer.viewer.seen();
            let new = seen[transfer.measured..].iter();
            let new = new.filter(|seen| !seen.late && seen.stream == Stream::Numerics);
            latencies.extend(new.map(|seen| seen.given_us - seen.captured_us));
            transfer.measured = seen.len();
        }
        latencies
    }

    /// Every step of an alert that is on record has come, each once and in order, which
    /// [`Viewer`] holds.
    pub(crate) async fn check_alerts(&mut self) {
        for transfer in &mut self.transfers {
            let request = AlertHistoryRequest {
                transfer: transfer.name.to_owned(),
            };
            let mut client = LiveClient::new(self.channel.clone());
            let history = client.alert_history(with(request, &self.token)).await;
            let mut history = history.unwrap().into_inner();
            let mut last = 0;
            while let Some(response) = history.message().await.unwrap() {
                last = response
                    .alert
                    .iter()
                    .map(|a| a.ordinal)
                    .fold(last, u64::max);
            }
            let told = |viewer: &Viewer| viewer.alert_transitions() >= last;
            let seen =
                told(&transfer.viewer) || transfer.viewer.follow(&mut transfer.stream, told).await;
            assert!(seen, "{}: an alert was not told", transfer.name);
            println!("{}: {last} steps of alerts", transfer.name);
        }
    }
}

/// Follows all at once, each until what `until` makes of it.
async fn for_each<D: Fn(&Viewer) -> bool>(
    (channel, token): (&Channel, &str),
    transfers: &mut [Transfer],
    until: impl Fn(&Viewer) -> D,
) {
    let following = transfers.iter_mut().map(|transfer| {
        let done = until(&transfer.viewer);
        async move {
            // Who cannot keep up is cut off, and goes on from its token.
            while !transfer.viewer.follow(&mut transfer.stream, &done).await {
                let request = transfer.viewer.request(transfer.name);
                transfer.stream = open(channel, token, request).await;
            }
        }
    });
    let mut following: Vec<_> = following.map(Box::pin).collect();
    poll_fn(|cx| {
        following.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if following.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Reads the board until all of them are on it.
async fn appear(board: &mut Watching) {
    let mut awaited: BTreeSet<&str> = HONEST.iter().map(|(_, name)| *name).collect();
    while !awaited.is_empty() {
        let response = board.next().await.expect("the board");
        if let Some(Update::Transfer(transfer)) = response.update {
            awaited.remove(transfer.transfer.as_str());
        }
    }
}

/// Opens a stream with a token.
pub(crate) async fn open(channel: &Channel, token: &str, request: WatchRequest) -> Watching {
    let mut client = LiveClient::new(channel.clone());
    let stream = client.watch(with(request, token)).await.unwrap();
    Watching::of(stream.into_inner())
}

/// A request that shows a token.
pub(crate) fn with<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

/// What the server counts, over a connection of its own.
pub(crate) async fn scrape(site: &Site, address: &str, token: &str) -> Metrics {
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let connector = site.connector(None, &["http/1.1"]);
    let mut stream = tls(&connector, port, 1).await.unwrap();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    Metrics::read(body)
}
