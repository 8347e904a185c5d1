//! A viewer of our own that counts: what came over its streams, and what the
//! history holds. It knows only what any gRPC client can.

use crate::client::Address;
use crate::client::{self, Heard, RESPONSE_BYTES_MAX};
use crate::latency::Times;
use anyhow::{Context, Result, bail};
use enroute_model::time::{Clock, Span};
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Transfers that one stream names.
const NAMED_MAX: usize = 32;
/// The stream of all transfers, without samples.
const BOARD: usize = 0;
/// Responses under way to the counter.
const HEARD_MAX: usize = 1_024;

/// What makes a frame that frame: gateway, epoch, stream, sequence.
type Identity = (String, u64, i32, u64);

/// What came so far.
#[derive(Debug, Default)]
struct Seen {
    /// Frames, by the transfer they were shown under.
    frames: BTreeMap<String, BTreeSet<Identity>>,
    /// The same frame again.
    again: u64,
    /// Alert transitions, by transfer and ordinal.
    alerts: BTreeSet<(String, u64)>,
    /// Alerts, by transfer and id, with their kind and highest priority.
    raised: BTreeMap<(String, u64), v1::Alert>,
    /// Samples that the server left out because we were slow, by stream.
    conflated: BTreeMap<usize, u64>,
    /// Times that a stream ended and was resumed.
    resumed: u64,
    /// Why a stream will never come.
    refused: Option<String>,
}

/// How long frames of the live lane took, seen from here.
#[derive(Debug)]
pub(crate) struct ViewerTimes {
    /// Numerics: from capture on board to reception at the server.
    pub(crate) received: Times,
    /// From reception at the server to here.
    pub(crate) delivered: Times,
}

/// What was counted, for the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Different frames that came over the streams, per stream of the contract
    /// (events, numerics, waveforms).
    pub(crate) frames: [u64; 3],
    /// Frames that came more than once.
    pub(crate) again: u64,
    /// Different alert transitions.
    pub(crate) alerts: u64,
    /// Samples left out.
    pub(crate) conflated: u64,
    /// Streams resumed.
    pub(crate) resumed: u64,
}

/// The counting viewer.
pub(crate) struct Counting {
    seen: Arc<Mutex<Seen>>,
    times: Arc<ViewerTimes>,
    endpoint: Address,
    tasks: Vec<JoinHandle<()>>,
}

impl Counting {
    /// Opens streams with all samples of `transfers`, which the server must know, and
    /// the board: a vehicle that joins later has alerts of its own before that.
    pub(crate) fn start(endpoint: &Address, transfers: &[String], clock: &Arc<dyn Clock>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let times = Arc::new(ViewerTimes {
            received: Times::new(),
            delivered: Times::new(),
        });
        let mut tasks = Vec::new();
        let named = transfers.chunks(NAMED_MAX).map(|named| v1::WatchRequest {
            transfer: named.to_vec(),
            samples: true,
            waveforms: true,
            ..v1::WatchRequest::default()
        });
        let requests = std::iter::once(v1::WatchRequest::default()).chain(named);
        for (stream, request) in requests.enumerate() {
            let (to, from) = mpsc::channel(HEARD_MAX);
            let follow = client::follow(endpoint.clone(), request, to);
            let (seen, times, clock) = (Arc::clone(&seen), Arc::clone(&times), Arc::clone(clock));
            let count = count(stream, from, seen, times, clock);
            tasks.push(tokio::spawn(async move {
                tokio::join!(follow, count);
            }));
        }
        Self {
            seen,
            times,
            endpoint: endpoint.clone(),
            tasks,
        }
    }

    /// How long frames took.
    pub(crate) fn times(&self) -> &ViewerTimes {
        &self.times
    }

    /// What came so far; an error if a stream was refused.
    pub(crate) fn counted(&self) -> Result<Counted> {
        let seen = locked(&self.seen);
        if let Some(reason) = &seen.refused {
            bail!("the demo's own viewer was refused: {reason}");
        }
        let mut counted = Counted {
            again: seen.again,
            alerts: u64::try_from(seen.alerts.len())?,
            conflated: seen.conflated.values().sum(),
            resumed: seen.resumed,
            ..Counted::default()
        };
        let all: BTreeSet<&Identity> = seen.frames.values().flatten().collect();
        for (_, _, stream, _) in all {
            add(&mut counted.frames, *stream);
        }
        Ok(counted)
    }

    /// Alerts raised, by kind and highest priority.
    pub(crate) fn raised(&self) -> BTreeMap<(String, String), u64> {
        let mut raised = BTreeMap::new();
        for alert in locked(&self.seen).raised.values() {
            *raised.entry(super::kind(alert)).or_default() += 1;
        }
        raised
    }

    /// Frames that came over the streams for one transfer.
    pub(crate) fn frames_of(&self, transfer: &str) -> u64 {
        let frames = locked(&self.seen).frames.get(transfer).map(BTreeSet::len);
        frames.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }

    /// Frames in the recorded history of `transfers`, each counted once, per stream.
    pub(crate) async fn history(&self, transfers: &[String]) -> Result<[u64; 3]> {
        let channel = self.endpoint.connect().await?;
        let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let mut counts = [0; 3];
        for transfer in transfers {
            let mut frames = BTreeSet::new();
            let request = v1::HistoryRequest {
                transfer: transfer.clone(),
                after_position: 0,
                waveforms: true,
            };
            let refused = || format!("failed to read the history of {transfer}");
            let mut stream = client
                .history(request)
                .await
                .with_context(refused)?
                .into_inner();
            while let Some(part) = stream.message().await.with_context(refused)? {
                let identities = part.samples.iter().filter_map(identity);
                frames.extend(identities.map(|(identity, _)| identity));
            }
            for (_, _, stream, _) in frames {
                add(&mut counts, stream);
            }
        }
        Ok(counts)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(counts: &mut [u64; 3], stream: i32) {
    let [events, numerics, waveforms] = counts;
    match v1::Stream::try_from(stream) {
        Ok(v1::Stream::Events) => *events += 1,
        Ok(v1::Stream::Numerics) => *numerics += 1,
        Ok(v1::Stream::Waveforms) => *waveforms += 1,
        Ok(v1::Stream::Unspecified) | Err(_) => {}
    }
}

fn identity(samples: &v1::Samples) -> Option<(Identity, v1::Header)> {
    let header = v1::Frame::decode(samples.frame.as_ref()).ok()?.header?;
    let identity = (
        samples.gateway.clone(),
        header.epoch,
        header.stream,
        header.sequence,
    );
    Some((identity, header))
}

async fn count(
    stream: usize,
    mut from: mpsc::Receiver<Heard>,
    seen: Arc<Mutex<Seen>>,
    times: Arc<ViewerTimes>,
    clock: Arc<dyn Clock>,
) {
    while let Some(heard) = from.recv().await {
        match heard {
            Heard::Response(response) => take(stream, *response, &seen, &times, clock.as_ref()),
            Heard::Lost(_) => locked(&seen).resumed += 1,
            Heard::Refused(reason) => locked(&seen).refused = Some(reason),
        }
    }
}

fn take(
    stream: usize,
    response: v1::WatchResponse,
    seen: &Mutex<Seen>,
    times: &ViewerTimes,
    clock: &dyn Clock,
) {
    match response.update {
        Some(Update::Samples(samples)) => {
            let Some((identity, header)) = identity(&samples) else {
                return;
            };
            if samples.lane() == v1::Lane::Live && !samples.late {
                let here = clock.wall().saturating_sub(samples.received_at_us);
                times.delivered.record(Span(here));
                if header.stream() == v1::Stream::Numerics {
                    let there = samples.received_at_us.saturating_sub(header.captured_at_us);
                    times.received.record(Span(there));
                }
            }
            let mut seen = locked(seen);
            let frames = seen.frames.entry(samples.transfer).or_default();
            if !frames.insert(identity) {
                seen.again += 1;
            }
        }
        Some(Update::Alert(step)) => {
            let mut seen = locked(seen);
            seen.alerts.insert((step.transfer.clone(), step.ordinal));
            if let Some(alert) = step.alert {
                let known = seen.raised.entry((step.transfer, alert.alert_id));
                let known = known.or_insert_with(|| alert.clone());
                known.priority = known.priority.max(alert.priority);
            }
        }
        // The board carries no samples: what is replaced there are values.
        Some(Update::Heartbeat(beat)) if stream != BOARD => {
            locked(seen).conflated.insert(stream, beat.conflated);
        }
        Some(
            Update::Snapshot(_) | Update::Transfer(_) | Update::Values(_) | Update::Heartbeat(_),
        )
        | None => {}
    }
}
