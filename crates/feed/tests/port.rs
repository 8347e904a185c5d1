//! The port as a client sees it: native gRPC over an in-memory connection,
//! gRPC-Web over plain HTTP/1.1, rubbish as arguments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]

use axum::routing::get;
use bytes::Bytes;
use enroute_feed::{Feed, Options};
use enroute_journal::{Append, Class, Journal};
use enroute_live::Live;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric};
use enroute_model::ids::{Epoch, GatewayId, Lane, ShortCode, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::time::{Clock, EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::transfers_client::TransfersClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::{Message, record, v1};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

const START: i64 = 1_700_000_000_000_000;

struct StandingClock;

impl Clock for StandingClock {
    fn wall(&self) -> i64 {
        START
    }
    fn monotonic(&self) -> Span {
        Span::ZERO
    }
}

struct Bench {
    journal: Option<Journal>,
    live: Live,
    address: String,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    _dir: TempDir,
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .expect("hangs")
}

fn quiet() -> enroute_live::Options {
    enroute_live::Options {
        tick: Duration::from_secs(1_000_000),
        heartbeat: Duration::from_secs(1_000_000),
        ..Default::default()
    }
}

impl Bench {
    async fn new(options: enroute_live::Options) -> Self {
        let dir = TempDir::new().unwrap();
        let (journal, tail) =
            Journal::open(dir.path(), enroute_journal::Options::default()).unwrap();
        let started = Live::start(&journal, tail, Arc::new(StandingClock), options);
        let live = in_time(started).await.unwrap().live;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let more = axum::Router::new().route("/more", get(|| async { "more" }));
        let feed = Feed::new(
            live.clone(),
            Options {
                history_frames_max: 3,
                ..Options::default()
            },
        );
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            feed.serve(listener, None, more, stopped).await.unwrap();
        });
        Self {
            journal: Some(journal),
            live,
            address,
            stop: Some(stop),
            served,
            _dir: dir,
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        in_time(endpoint.connect()).await.unwrap()
    }

    async fn live(&self) -> LiveClient<Channel> {
        LiveClient::new(self.channel().await)
    }

    async fn transfers(&self) -> TransfersClient<Channel> {
        TransfersClient::new(self.channel().await)
    }

    async fn put(&self, records: Vec<Append>) {
        let appender = self.journal.as_ref().unwrap().appender();
        let position = in_time(appender.append(records)).await.unwrap();
        in_time(self.live.reached(position)).await.unwrap();
    }

    async fn watch(&self, request: v1::WatchRequest) -> Streaming<v1::WatchResponse> {
        in_time(self.live().await.watch(request))
            .await
            .unwrap()
            .into_inner()
    }
}

fn hr(transfer: &str, sequence: u64) -> Append {
    hr_of(transfer, sequence, 80)
}

fn hr_of(transfer: &str, sequence: u64, rate: i64) -> Append {
    let vital = catalogue().vital_by_id("hr").unwrap();
    let second = i64::try_from(sequence).unwrap();
    let frame = Frame {
        header: Header {
            epoch: Epoch(1),
            stream: Stream::Numerics,
            sequence,
            leg_first: 1,
            captured_at: GatewayTime(START + second * 1_000_000),
            observed_at: None,
            boot: 1,
            monotonic: Span::from_secs(second),
            clocks: None,
            exercise: false,
        },
        body: Body::Numerics(vec![Numeric {
            metric: Metric {
                code: vital.code,
                label: String::new(),
            },
            unit: String::new(),
            reading: Reading::Value {
                value: Decimal::new(rate, 0).unwrap(),
                validity: Validity::Measured,
            },
            interval: Span::from_secs(1),
        }]),
    };
    let gateway = GatewayId::new("gw-a").unwrap();
    let bytes = Bytes::from(enroute_wire::frame::encode(&frame));
    Append {
        class: Class::Vitals,
        transfer: TransferId::new(transfer).unwrap(),
        at: EngineTime(START + second * 1_000_000),
        received_at: ServerTime(START + second * 1_000_000),
        payload: record::of_frame(&gateway, Lane::Live, bytes),
    }
}

async fn next(stream: &mut Streaming<v1::WatchResponse>) -> Result<v1::WatchResponse, Status> {
    in_time(stream.message()).await.map(Option::unwrap)
}

fn act(transfer: &str, id: &str, action: Action) -> v1::ActRequest {
    v1::ActRequest {
        transfer: transfer.to_owned(),
        action_id: id.to_owned(),
        action: Some(v1::RegistryAction {
            action: Some(action),
        }),
        actor: String::new(),
    }
}

#[tokio::test]
async fn a_transfer_is_added_found_by_every_name_joined_and_closed() {
    let bench = Bench::new(quiet()).await;
    let (mut transfers, mut live) = (bench.transfers().await, bench.live().await);
    let info = v1::TransferInfo {
        hospital: "General".to_owned(),
        ..Default::default()
    };
    let add = v1::AddRequest {
        action_id: "one".to_owned(),
        info: Some(info),
    };
    let added = in_time(transfers.add(add.clone()))
        .await
        .unwrap()
        .into_inner();
    let again = in_time(transfers.add(add)).await.unwrap().into_inner();
    assert_eq!(added, again);
    bench.put(vec![hr("tx-a", 1)]).await;
    let join = act("tx-a", "two", Action::JoinInto(added.short_code.clone()));
    let joined = in_time(transfers.act(join)).await.unwrap().into_inner();
    assert_eq!(joined.transfer, added.transfer);
    for name in [
        added.transfer.as_str(),
        "tx-a",
        &added.short_code,
        &ShortCode::of(&TransferId::new("tx-a").unwrap())
            .to_string()
            .to_lowercase(),
    ] {
        let request = v1::WatchRequest {
            transfer: vec![name.to_owned()],
            ..Default::default()
        };
        let first = next(&mut bench.watch(request).await).await.unwrap();
        match first.update {
            Some(Update::Snapshot(snapshot)) => {
                assert_eq!(snapshot.transfer[0].transfer, added.transfer);
            }
            other => panic!("{other:?}"),
        }
    }
    let close = act(&added.short_code, "three", Action::Close(v1::Close {}));
    in_time(transfers.act(close)).await.unwrap();
    let mut list = async |closed| {
        in_time(live.list(v1::ListRequest { closed }))
            .await
            .unwrap()
            .into_inner()
            .transfer
    };
    assert!(list(false).await.is_empty());
    let all = list(true).await;
    assert_eq!(
        (all.len(), all[0].closed, all[0].alias.as_slice()),
        (1, true, ["tx-a".to_owned()].as_slice())
    );
}

#[tokio::test]
async fn a_cut_stream_resumes_with_its_token_and_a_history_comes_in_chunks() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![hr("tx-a", 1)]).await;
    let request = v1::WatchRequest {
        transfer: vec!["tx-a".to_owned()],
        samples: true,
        ..Default::default()
    };
    let mut stream = bench.watch(request.clone()).await;
    let mut token = next(&mut stream).await.unwrap().resume_token;
    let mut positions = Vec::new();
    for sequence in 2..=8 {
        bench.put(vec![hr("tx-a", sequence)]).await;
        if sequence == 5 {
            drop(stream);
            let resume_token = token.clone();
            stream = bench
                .watch(v1::WatchRequest {
                    resume_token,
                    ..request.clone()
                })
                .await;
        }
        while positions.last() < Some(&sequence) {
            let response = next(&mut stream).await.unwrap();
            token = response.resume_token;
            if let Some(Update::Samples(samples)) = response.update {
                positions.push(samples.position);
                v1::Frame::decode(samples.frame).unwrap();
            }
        }
    }
    assert_eq!(positions, (2..=8).collect::<Vec<_>>());
    let request = v1::HistoryRequest {
        transfer: "tx-a".to_owned(),
        after_position: 1,
        waveforms: true,
    };
    let mut history = in_time(bench.live().await.history(request))
        .await
        .unwrap()
        .into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = in_time(history.message()).await.unwrap() {
        chunks.push(
            chunk
                .samples
                .iter()
                .map(|sample| sample.position)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(chunks, [vec![2, 3, 4], vec![5, 6, 7], vec![8]]);
}

#[tokio::test]
async fn rubbish_is_refused_with_the_field_and_what_to_do() {
    let bench = Bench::new(enroute_live::Options {
        viewers_max: 0,
        ..quiet()
    })
    .await;
    bench.put(vec![hr("tx-a", 1)]).await;
    let mut live = bench.live().await;
    let named = |names: &[&str]| v1::WatchRequest {
        transfer: names.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let all = v1::WatchRequest {
        samples: true,
        ..Default::default()
    };
    let waves = v1::WatchRequest {
        waveforms: true,
        ..named(&["tx-a"])
    };
    let token = v1::WatchRequest {
        resume_token: vec![1; 10_000],
        ..Default::default()
    };
    let cases = [
        (named(&[""]), Code::InvalidArgument, "transfer:"),
        (
            named(&["x".repeat(65).as_str()]),
            Code::InvalidArgument,
            "transfer:",
        ),
        (
            named(&["tx-a"; 65]),
            Code::InvalidArgument,
            "more than 64 transfers",
        ),
        (all, Code::InvalidArgument, "samples:"),
        (waves, Code::InvalidArgument, "waveforms:"),
        (token, Code::InvalidArgument, "resume_token:"),
        (named(&["tx-none"]), Code::ResourceExhausted, "viewers"),
    ];
    for (request, code, words) in cases {
        let status = in_time(live.watch(request)).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    }
    let history = |transfer: &str| v1::HistoryRequest {
        transfer: transfer.to_owned(),
        ..Default::default()
    };
    let status = in_time(live.history(history(""))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let status = in_time(live.history(history("tx-none"))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn rubbish_about_transfers_is_refused() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![hr("tx-a", 1)]).await;
    let mut transfers = bench.transfers().await;
    let long = "x".repeat(65);
    let mode = v1::TransferInfo {
        leg: vec![v1::Leg::default()],
        ..Default::default()
    };
    for (action_id, info) in [("", None), (long.as_str(), None), ("a", Some(mode))] {
        let add = v1::AddRequest {
            action_id: action_id.to_owned(),
            info,
        };
        let status = in_time(transfers.add(add)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let none = v1::ActRequest {
        transfer: "tx-a".to_owned(),
        action_id: "a".to_owned(),
        action: None,
        actor: String::new(),
    };
    let cases = [
        (none, Code::InvalidArgument),
        (
            act("tx-none", "a", Action::Put(v1::TransferInfo::default())),
            Code::NotFound,
        ),
        (
            act("tx-none", "a", Action::Close(v1::Close {})),
            Code::NotFound,
        ),
        (
            act("tx-a", "", Action::Close(v1::Close {})),
            Code::InvalidArgument,
        ),
        (
            act("tx-a", "a", Action::HandOverTo("NO".to_owned())),
            Code::InvalidArgument,
        ),
        (
            act("tx-a", "a", Action::JoinInto("tx-none".to_owned())),
            Code::NotFound,
        ),
        (
            act("tx-a", "a", Action::JoinInto("tx-a".to_owned())),
            Code::FailedPrecondition,
        ),
    ];
    for (request, code) in cases {
        let status = in_time(transfers.act(request)).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(!status.message().is_empty());
    }
}

/// One HTTP/1.1 request on a connection of its own; the whole answer.
async fn http(address: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

fn holds(answer: &[u8], words: &str) -> bool {
    answer
        .windows(words.len())
        .any(|window| window == words.as_bytes())
}

#[tokio::test]
async fn one_port_gives_grpc_web_over_http_1_a_page_and_what_was_merged() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![hr("tx-a", 1)]).await;
    let request = v1::ListRequest { closed: true }.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(request.len()).unwrap().to_be_bytes());
    body.extend(request);
    let answer = http(&bench.address, "POST /enroute.v1.Live/List", &body).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(holds(&answer, "tx-a") && holds(&answer, "grpc-status:0"));
    let unknown = http(&bench.address, "POST /enroute.v1.Live/Nothing", &body).await;
    assert!(
        holds(&unknown, "grpc-status: 12"),
        "{}",
        String::from_utf8_lossy(&unknown)
    );
    let page = http(&bench.address, "GET /text", b"").await;
    assert!(page.starts_with(b"HTTP/1.1 200") && holds(&page, "enroute watch"));
    assert!(holds(&http(&bench.address, "GET /more", b"").await, "more"));
    assert!(
        http(&bench.address, "GET /none", b"")
            .await
            .starts_with(b"HTTP/1.1 404")
    );
}

#[tokio::test]
async fn health_follows_the_journal_and_reflection_names_the_services() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let mut bench = Bench::new(quiet()).await;
    let channel = bench.channel().await;
    let service = "enroute.v1.Live".to_owned();
    let request = tonic_health::pb::HealthCheckRequest { service };
    let mut health = in_time(HealthClient::new(channel.clone()).watch(request))
        .await
        .unwrap()
        .into_inner();
    let mut status = async || in_time(health.message()).await.unwrap().unwrap().status();
    assert_eq!(status().await, ServingStatus::Serving);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let asked = reflection.server_reflection_info(tokio_stream::once(request));
    let mut answers = in_time(asked).await.unwrap().into_inner();
    let answer = format!("{:?}", in_time(answers.message()).await.unwrap().unwrap());
    assert!(answer.contains("enroute.v1.Live") && answer.contains("enroute.v1.Transfers"));
    drop(bench.journal.take());
    assert_eq!(status().await, ServingStatus::NotServing);
    let add = v1::AddRequest {
        action_id: "late".to_owned(),
        info: None,
    };
    let late = in_time(bench.transfers().await.add(add)).await.unwrap_err();
    assert_eq!(late.code(), Code::Unavailable);
}

#[tokio::test]
async fn shutdown_ends_every_watch_and_serving() {
    let mut bench = Bench::new(quiet()).await;
    let mut stream = bench.watch(v1::WatchRequest::default()).await;
    next(&mut stream).await.unwrap();
    bench.stop.take().unwrap().send(()).unwrap();
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    drop(stream);
    in_time(bench.served).await.unwrap();
}

#[tokio::test]
async fn an_update_is_encoded_once_for_all_who_are_told_it() {
    let mut bench = Bench::new(quiet()).await;
    bench.put(vec![hr("tx-a", 1)]).await;
    let request = v1::WatchRequest {
        transfer: vec!["tx-a".to_owned()],
        samples: true,
        ..v1::WatchRequest::default()
    };
    let (mut viewers, mut told) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        viewers.push(bench.watch(request.clone()).await);
    }
    bench.put((2..10).map(|n| hr("tx-a", n)).collect()).await;
    for viewer in &mut viewers {
        let mut samples = 0;
        while samples < 8 {
            let update = next(viewer).await.unwrap().update.unwrap();
            samples += i32::from(matches!(update, Update::Samples(_)));
            told.push(format!("{update:?}"));
        }
    }
    // What was encoded is sent, whatever ends.
    bench.stop.take().unwrap().send(()).unwrap();
    for viewer in &mut viewers {
        while let Ok(response) = next(viewer).await {
            told.push(format!("{:?}", response.update.unwrap()));
        }
    }
    told.retain(|update| !update.starts_with("Snapshot"));
    let all = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(bench.live.stats().worded(), told.len() as u64);
    assert!(all >= 5 * 8 && told.len() >= 8, "{all}, {}", told.len());
}

async fn alert(stream: &mut Streaming<v1::WatchResponse>) -> v1::AlertTransition {
    loop {
        if let Some(Update::Alert(step)) = next(stream).await.unwrap().update {
            return step;
        }
    }
}

#[tokio::test]
async fn an_alert_is_acknowledged_by_name_and_only_as_it_was_seen() {
    let bench = Bench::new(quiet()).await;
    bench.put(vec![hr_of("tx-a", 1, 30)]).await;
    let mut stream = bench.watch(v1::WatchRequest::default()).await;
    bench.put(vec![hr_of("tx-a", 9, 30)]).await;
    let raised = alert(&mut stream).await;
    let shown = raised.alert.unwrap();
    let acknowledge = |id: &str, seen_ordinal| {
        let doing = v1::alert_action::Action::Acknowledge(v1::Acknowledge {});
        let alert = v1::AlertAction {
            alert_id: shown.alert_id,
            seen_ordinal,
            action: Some(doing),
        };
        v1::ActRequest {
            actor: "Dr Li".to_owned(),
            ..act("tx-a", id, Action::Alert(alert))
        }
    };
    let mut transfers = bench.transfers().await;
    let unseen = in_time(transfers.act(acknowledge("one", raised.ordinal - 1)));
    assert_eq!(unseen.await.unwrap_err().code(), Code::FailedPrecondition);
    let seen = acknowledge("two", raised.ordinal);
    in_time(transfers.act(seen.clone())).await.unwrap();
    let step = alert(&mut stream).await;
    let by = step.alert.unwrap().acknowledged.unwrap().by;
    assert_eq!(by, "Dr Li (unverified)");
    in_time(transfers.act(seen)).await.unwrap();
    let state = in_time(bench.live.state("tx-a")).await.unwrap();
    assert_eq!(state.alerts.len(), 1);
    assert!(state.alerts[0].acknowledged.is_some());
}
