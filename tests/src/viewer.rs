//! A gRPC subscriber as a hospital would run one: it keeps its last token,
//! comes back with it after the server died, and writes down every frame.

use enroute_model::frame::{Body, Frame, Metric, Numeric};
use enroute_model::ids::Stream;
use enroute_wire::frame::decode;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::v1::{
    HistoryRequest, ListRequest, Samples, TransferState, WatchRequest, WatchResponse,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// A hang guard, not a measure.
const HANG: Duration = Duration::from_mins(2);

/// Who, life of the spool, stream, number: a frame for ever.
pub type FrameId = (String, u64, Stream, u64);

/// Everything that a subscriber of one transfer was given.
#[derive(Debug, Default)]
pub struct Viewer {
    token: Vec<u8>,
    frames: BTreeMap<FrameId, Frame>,
    /// Highest number that came as *now*, by stream.
    newest_live: BTreeMap<(String, u64, Stream), u64>,
    /// Number of the last alert transition.
    ordinal: u64,
    heartbeats: usize,
    seen: Vec<Seen>,
    /// It was told that what it is given is in no record.
    unrecorded: bool,
    /// What it was given as being in no record.
    not_recorded: BTreeMap<FrameId, Frame>,
    /// Snapshots that said that what was shown is in no record.
    told_missed: usize,
}

/// When a frame was given.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whose.
    pub gateway: String,
    /// In which stream of it.
    pub stream: Stream,
    /// When it was captured, by the gateway's clock; microseconds UTC.
    pub captured_us: i64,
    /// When the server gave it away, by the server's clock; microseconds UTC.
    pub given_us: i64,
    /// It came as the past.
    pub late: bool,
}

/// One stream of updates.
#[derive(Debug)]
pub struct Watching(Streaming<WatchResponse>);

impl Watching {
    /// Subscribes at `server` (`http://host:port`).
    pub async fn start(server: &str, request: WatchRequest) -> Self {
        Self::try_start(server, request).await.expect("a server")
    }

    /// As [`Watching::start`]; `None` when the server is not there.
    pub async fn try_start(server: &str, request: WatchRequest) -> Option<Self> {
        let mut client = LiveClient::connect(server.to_owned()).await.ok()?;
        Some(Self(client.watch(request).await.ok()?.into_inner()))
    }

    /// The id of the first transfer that appears.
    pub async fn first_transfer(mut self) -> String {
        while let Some(response) = self.next().await {
            if let Some(Update::Transfer(transfer)) = response.update {
                return transfer.transfer;
            }
        }
        panic!("the board ended before a transfer appeared");
    }

    /// A stream that somebody opened in another way.
    #[must_use]
    pub fn of(stream: Streaming<WatchResponse>) -> Self {
        Self(stream)
    }

    /// The next update; `None` when the stream ended, in whatever way.
    pub async fn next(&mut self) -> Option<WatchResponse> {
        let next = tokio::time::timeout(HANG, self.0.message()).await;
        next.expect("no word from the server, not even a heartbeat")
            .ok()
            .flatten()
    }
}

impl Viewer {
    /// A viewer with a token from before anything happened, so that it misses
    /// nothing: to be had before a gateway starts. And the board that it watches.
    pub async fn before_anything(server: &str) -> (Self, Watching) {
        let mut board = Watching::start(server, WatchRequest::default()).await;
        let first = board.next().await.expect("a snapshot");
        let empty = matches!(&first.update, Some(Update::Snapshot(s)) if s.transfer.is_empty());
        assert!(empty, "something happened before the viewer came");
        let token = first.resume_token;
        (
            Self {
                token,
                ..Self::default()
            },
            board,
        )
    }

    /// Asks for everything of `transfer` since the last token.
    #[must_use]
    pub fn request(&self, transfer: &str) -> WatchRequest {
        WatchRequest {
            transfer: vec![transfer.to_owned()],
            samples: true,
            waveforms: true,
            resume_token: self.token.clone(),
            ..WatchRequest::default()
        }
    }

    /// Watches `transfer` from the last token until the stream breaks or `done`
    /// has seen enough; says whether it has. Without a server it has not.
    ///
    /// What is in no record (I8) is kept apart: it comes again.
    pub async fn watch(
        &mut self,
        server: &str,
        transfer: &str,
        done: impl Fn(&Self) -> bool,
    ) -> bool {
        let request = self.request(transfer);
        let Some(mut stream) = Watching::try_start(server, request).await else {
            return false;
        };
        self.follow(&mut stream, done).await
    }

    /// One that has seen nothing, with a token from before anything happened.
    #[must_use]
    pub fn since(token: Vec<u8>) -> Self {
        Self {
            token,
            ..Self::default()
        }
    }

    /// Reads what `stream`, opened by [`Viewer::request`], says until `done` has seen
    /// enough; says whether it has.
    pub async fn follow(&mut self, stream: &mut Watching, done: impl Fn(&Self) -> bool) -> bool {
        while let Some(response) = stream.next().await {
            let recorded = response.not_recorded.is_none();
            self.unrecorded |= !recorded;
            match response.update {
                Some(Update::Snapshot(snapshot)) => {
                    if !snapshot.missed.is_empty() && !self.unrecorded {
                        // To be asked again from the same token.
                        eprintln!("a snapshot that says: {}", snapshot.missed);
                        return false;
                    }
                    self.told_missed += usize::from(!snapshot.missed.is_empty());
                    self.unrecorded = !recorded;
                }
                // What it says was replaced may be values, which are the newest
                // only; a sample that is not given shows as a hole.
                Some(Update::Heartbeat(_)) => self.heartbeats += 1,
                Some(Update::Alert(step)) if step.ordinal == 0 => assert!(!recorded, "{step:?}"),
                Some(Update::Alert(step)) => {
                    assert_eq!(step.ordinal, self.ordinal + 1, "alert transitions");
                    self.ordinal = step.ordinal;
                }
                Some(Update::Samples(samples)) => self.take(&samples, response.server_time_us),
                _ => {}
            }
            self.token = response.resume_token;
            if done(self) {
                return true;
            }
        }
        false
    }

    /// Writes a frame down; it must be new, and what comes as *now* must not go back.
    fn take(&mut self, samples: &Samples, given_us: i64) {
        let (id, frame) = identify(samples);
        let header = &frame.header;
        self.seen.push(Seen {
            gateway: samples.gateway.clone(),
            stream: header.stream,
            captured_us: header.captured_at.0,
            given_us,
            late: samples.late,
        });
        if samples.position == 0 {
            assert!(
                self.unrecorded,
                "{id:?} is in no record, and nobody said so"
            );
            self.not_recorded.insert(id, frame);
            return;
        }
        let stream = (samples.gateway.clone(), header.epoch.0, header.stream);
        if !samples.late {
            let newest = self.newest_live.entry(stream).or_default();
            assert!(
                *newest < header.sequence,
                "{id:?} came as now after {newest}"
            );
            *newest = header.sequence;
        }
        assert!(
            self.frames.insert(id.clone(), frame).is_none(),
            "{id:?} came twice"
        );
    }

    /// Every frame it was given.
    #[must_use]
    pub fn frames(&self) -> &BTreeMap<FrameId, Frame> {
        &self.frames
    }

    /// How many snapshots said that what was shown is in no record, while or behind
    /// a time without a recording. What was recorded comes all the same.
    #[must_use]
    pub fn told_missed(&self) -> usize {
        self.told_missed
    }

    /// What it was given as being in no record.
    #[must_use]
    pub fn not_recorded(&self) -> &BTreeMap<FrameId, Frame> {
        &self.not_recorded
    }

    /// When each frame was given, those in no record too.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// The server's heartbeats so far: its clock, one a second.
    #[must_use]
    pub fn heartbeats(&self) -> usize {
        self.heartbeats
    }

    /// The number of the last alert transition; all before it came, in order.
    #[must_use]
    pub fn alert_transitions(&self) -> u64 {
        self.ordinal
    }

    /// How many frames it has of a stream.
    #[must_use]
    pub fn count(&self, stream: Stream) -> usize {
        self.frames.keys().filter(|id| id.2 == stream).count()
    }

    /// Every sample of every channel in the order of the source; panics on a
    /// hole in the numbering of frames or of samples.
    #[must_use]
    pub fn waveforms(&self) -> BTreeMap<Metric, Vec<Option<i32>>> {
        self.assert_no_holes();
        let mut channels: BTreeMap<Metric, Vec<Option<i32>>> = BTreeMap::new();
        for frame in self.frames.values() {
            let Body::Waveforms(waveforms) = &frame.body else {
                continue;
            };
            for waveform in waveforms {
                let samples = channels.entry(waveform.metric.clone()).or_default();
                assert_eq!(
                    waveform.first_sample,
                    samples.len() as u64,
                    "{:?}",
                    waveform.metric
                );
                samples.extend_from_slice(&waveform.samples);
            }
        }
        channels
    }

    /// Every numerics row in the order of the source; panics on a hole.
    #[must_use]
    pub fn numerics(&self) -> Vec<(&Frame, &[Numeric])> {
        self.assert_no_holes();
        let rows = self.frames.values().filter_map(|frame| match &frame.body {
            Body::Numerics(numerics) => Some((frame, numerics.as_slice())),
            _ => None,
        });
        rows.collect()
    }

    fn assert_no_holes(&self) {
        assert_eq!(hole(self.frames.keys()), None, "there is a hole before it");
    }
}

/// All recorded samples of a transfer, each of which must come once.
pub async fn history(server: &str, transfer: &str) -> BTreeMap<FrameId, Frame> {
    let endpoint = Endpoint::from_shared(server.to_owned()).unwrap();
    history_over(endpoint.connect().await.unwrap(), transfer).await
}

/// The same over a connection that somebody made.
pub async fn history_over(server: Channel, transfer: &str) -> BTreeMap<FrameId, Frame> {
    let mut client = LiveClient::new(server);
    let request = HistoryRequest {
        transfer: transfer.to_owned(),
        after_position: 0,
        waveforms: true,
    };
    let mut stream = client.history(request).await.unwrap().into_inner();
    let mut frames = BTreeMap::new();
    let mut position = 0;
    while let Some(response) = stream.message().await.expect("history") {
        for samples in &response.samples {
            assert!(position <= samples.position, "history goes back");
            position = samples.position;
            let (id, frame) = identify(samples);
            assert!(
                frames.insert(id.clone(), frame).is_none(),
                "{id:?} twice in history"
            );
        }
    }
    frames
}

/// The state of a transfer, from its list.
pub async fn state(server: &str, transfer: &str) -> TransferState {
    let mut client = LiveClient::connect(server.to_owned()).await.unwrap();
    let list = client.list(ListRequest { closed: true }).await.unwrap();
    let mut list = list.into_inner().transfer.into_iter();
    list.find(|state| state.transfer == transfer)
        .expect("the transfer")
}

/// The first of these frames, in order, that has a hole before it, if there is one.
pub fn hole<'a>(frames: impl IntoIterator<Item = &'a FrameId>) -> Option<&'a FrameId> {
    let mut last: Option<&FrameId> = None;
    frames.into_iter().find(|id| {
        let expected = match last {
            Some(last) if (&last.0, last.1, last.2) == (&id.0, id.1, id.2) => last.3 + 1,
            _ => 1,
        };
        last = Some(id);
        id.3 != expected
    })
}

/// A frame as it was given, and which it is.
#[must_use]
pub fn identify(samples: &Samples) -> (FrameId, Frame) {
    let frame = decode(&samples.frame).expect("a frame");
    let header = &frame.header;
    let gateway = samples.gateway.clone();
    let id = (gateway, header.epoch.0, header.stream, header.sequence);
    (id, frame)
}
