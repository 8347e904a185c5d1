//! The replay service as a client sees it: what is listed, that everything played
//! is marked, how a playback is steered, what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]

use bytes::Bytes;
use enroute_feed::{Feed, Options};
use enroute_journal::{Append, Class, Journal};
use enroute_live::Live;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric};
use enroute_model::ids::{Epoch, GatewayId, Lane, ShortCode, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::registry::RegistryAction;
use enroute_model::time::{Clock, EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::v1::control_request::Command;
use enroute_wire::v1::replay_client::ReplayClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::{record, v1};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

const START: i64 = 1_700_000_000_000_000;
const SECONDS: i64 = 120;

struct StandingClock;

impl Clock for StandingClock {
    fn wall(&self) -> i64 {
        START
    }
    fn monotonic(&self) -> Span {
        Span::ZERO
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .expect("hangs")
}

fn append(second: i64, payload: Bytes) -> Append {
    Append {
        class: Class::Vitals,
        transfer: TransferId::new("tx-1").unwrap(),
        at: EngineTime(START + second * 1_000_000),
        received_at: ServerTime(START + second * 1_000_000),
        payload,
    }
}

fn hr(second: i64, rate: i64) -> Append {
    let numeric = Numeric {
        metric: Metric {
            code: catalogue().vital_by_id("hr").unwrap().code,
            label: String::new(),
        },
        unit: String::new(),
        reading: Reading::Value {
            value: Decimal::new(rate, 0).unwrap(),
            validity: Validity::Measured,
        },
        interval: Span::from_secs(1),
    };
    let frame = Frame {
        header: Header {
            epoch: Epoch(1),
            stream: Stream::Numerics,
            sequence: second.unsigned_abs() + 1,
            leg_first: 1,
            captured_at: GatewayTime(START + second * 1_000_000),
            observed_at: None,
            boot: 1,
            monotonic: Span::from_secs(second),
            clocks: None,
            exercise: true,
        },
        body: Body::Numerics(vec![numeric]),
    };
    let gateway = GatewayId::new("gw-1").unwrap();
    let frame = enroute_wire::frame::encode(&frame).into();
    append(second, record::of_frame(&gateway, Lane::Live, frame))
}

/// A closed transfer of two minutes: too fast in its second half.
async fn serve(dir: &TempDir) -> ReplayClient<Channel> {
    let options = enroute_live::Options {
        tick: Duration::from_secs(1_000_000),
        playbacks_max: 2,
        ..Default::default()
    };
    let (journal, tail) = Journal::open(dir.path(), enroute_journal::Options::default()).unwrap();
    let started = Live::start(&journal, tail, Arc::new(StandingClock), options);
    let live = in_time(started).await.unwrap().live;
    let mut records: Vec<_> = (0..SECONDS)
        .map(|second| hr(second, if second < 60 { 80 } else { 190 }))
        .collect();
    let close = record::of_action("close", "test", &RegistryAction::Close);
    records.push(append(SECONDS, close));
    let position = in_time(journal.appender().append(records)).await.unwrap();
    in_time(live.reached(position)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let feed = Feed::new(live, Options::default());
    drop(tokio::spawn(async move {
        // The journal lives as long as the server.
        let _journal = journal;
        let never = std::future::pending();
        feed.serve(listener, None, axum::Router::new(), never)
            .await
            .unwrap();
    }));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    ReplayClient::new(in_time(endpoint.connect()).await.unwrap())
}

async fn play(
    client: &mut ReplayClient<Channel>,
    request: v1::PlayRequest,
) -> Streaming<v1::PlayResponse> {
    in_time(client.play(request)).await.unwrap().into_inner()
}

fn all() -> v1::PlayRequest {
    v1::PlayRequest {
        transfer: "tx-1".to_owned(),
        fastest: true,
        samples: true,
        ..v1::PlayRequest::default()
    }
}

async fn next(stream: &mut Streaming<v1::PlayResponse>) -> (v1::Replayed, Option<Update>) {
    let response = in_time(stream.message()).await.unwrap().unwrap();
    let replayed = response.replayed.expect("everything is marked");
    if let Some(recorded) = &response.recorded {
        assert_eq!(recorded.server_time_us, replayed.recorded_at_us);
        assert!(recorded.resume_token.is_empty());
    }
    (
        replayed,
        response.recorded.and_then(|recorded| recorded.update),
    )
}

#[tokio::test]
async fn recordings_say_what_they_hold() {
    let dir = TempDir::new().unwrap();
    let mut client = serve(&dir).await;
    let transfer = TransferId::new("tx-1").unwrap();
    for asked in ["", "tx-1", ShortCode::of(&transfer).as_str()] {
        let asked = v1::ListRecordingsRequest {
            transfer: asked.to_owned(),
            ..Default::default()
        };
        let listed = in_time(client.list_recordings(asked)).await.unwrap();
        let listed = listed.into_inner().recording;
        let recording = listed.first().unwrap();
        assert_eq!((listed.len(), recording.transfer.as_str()), (1, "tx-1"));
        assert_eq!(
            recording.ends_at_us - recording.starts_at_us,
            SECONDS * 1_000_000
        );
        assert!(recording.closed && recording.exercise);
        assert_eq!(
            (recording.produced, recording.durable, recording.missing),
            (120, 120, 0)
        );
        assert!(recording.alerts > 0 && recording.high_alerts <= recording.alerts);
    }
    let unknown = v1::ListRecordingsRequest {
        transfer: "tx-2".to_owned(),
        ..Default::default()
    };
    let refused = in_time(client.list_recordings(unknown)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn a_deleted_recording_is_remembered_and_no_more() {
    let dir = TempDir::new().unwrap();
    let mut client = serve(&dir).await;
    let delete = v1::DeleteRecordingRequest {
        transfer: "tx-1".to_owned(),
        actor: "Dr. Weber".to_owned(),
    };
    let deleted = in_time(client.delete_recording(delete.clone())).await;
    let deleted = deleted.unwrap().into_inner().deleted.unwrap();
    assert_eq!(
        (deleted.transfer.as_str(), deleted.actor.as_str()),
        ("tx-1", "Dr. Weber (unverified)")
    );
    assert!(deleted.bytes > 0 && deleted.records >= 120, "{deleted:?}");
    let again = in_time(client.delete_recording(delete)).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    for of_deleted in [false, true] {
        let asked = v1::ListRecordingsRequest {
            deleted: of_deleted,
            ..Default::default()
        };
        let listed = in_time(client.list_recordings(asked)).await;
        let listed = listed.unwrap().into_inner();
        assert!(listed.recording.is_empty());
        assert_eq!(listed.deleted_count, 1);
        assert_eq!(listed.deleted.len(), usize::from(of_deleted));
    }
    let wrong = v1::ListRecordingsRequest {
        page_token: "x".to_owned(),
        ..Default::default()
    };
    let wrong = in_time(client.list_recordings(wrong)).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn all_that_is_played_is_marked_and_comes_once() {
    let dir = TempDir::new().unwrap();
    let mut client = serve(&dir).await;
    let mut stream = play(&mut client, all()).await;
    let (first, picture) = next(&mut stream).await;
    assert!(matches!(picture, Some(Update::Snapshot(_))), "{picture:?}");
    let (mut samples, mut alerts, mut last) = (0, 0, first.recorded_at_us);
    loop {
        let (replayed, update) = next(&mut stream).await;
        assert_eq!(replayed.playback, first.playback);
        assert!(
            replayed.recorded_at_us >= last,
            "it never goes back by itself"
        );
        last = replayed.recorded_at_us;
        match update {
            Some(Update::Samples(_)) => samples += 1,
            Some(Update::Alert(_)) => alerts += 1,
            None if replayed.state() == v1::ReplayState::Ended => break,
            _ => {}
        }
    }
    assert_eq!((samples, last), (120, START + SECONDS * 1_000_000));
    assert!(alerts > 0);
}

#[tokio::test]
async fn a_playback_is_steered_by_its_id_until_its_viewer_leaves() {
    let dir = TempDir::new().unwrap();
    let mut client = serve(&dir).await;
    let request = v1::PlayRequest {
        paused: true,
        fastest: false,
        ..all()
    };
    let mut stream = play(&mut client, request).await;
    let (first, _) = next(&mut stream).await;
    assert_eq!(first.state(), v1::ReplayState::Paused);
    let mut steer = client.clone();
    let mut control = async |command| {
        let request = v1::ControlRequest {
            playback: first.playback.clone(),
            command: Some(command),
        };
        let done = in_time(steer.control(request)).await;
        done.map(|done| done.into_inner().replayed.unwrap())
    };
    let alert = Command::Alert(v1::ReplayAlert::Next.into());
    let at = control(alert).await.unwrap();
    let second = (at.recorded_at_us - START) / 1_000_000;
    assert!((60..80).contains(&second) && at.jump == 1, "{at:?}");
    let frame = Command::Step(v1::ReplayStep::Frame.into());
    let stepped = control(frame).await.unwrap();
    assert_eq!(stepped.recorded_at_us, START + (second + 1) * 1_000_000);
    let fast = control(Command::Speed(10.0)).await.unwrap();
    assert!((fast.speed - 10.0).abs() < 1e-9 && !fast.fastest);
    let order = Command::Order(v1::ReplayOrder::Device.into());
    assert_eq!(
        control(order).await.unwrap().order(),
        v1::ReplayOrder::Device
    );
    let wrong = control(Command::Speed(0.01)).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    drop(stream);
    let gone = async {
        while control(Command::Pause(v1::ReplayPause {})).await.is_ok() {
            tokio::task::yield_now().await;
        }
        control(Command::Pause(v1::ReplayPause {}))
            .await
            .unwrap_err()
            .code()
    };
    assert_eq!(in_time(gone).await, Code::NotFound);
}

#[tokio::test]
async fn what_cannot_be_played_is_refused_with_the_reason() {
    let dir = TempDir::new().unwrap();
    let mut client = serve(&dir).await;
    let cases = [
        (
            v1::PlayRequest {
                transfer: "tx-2".into(),
                ..all()
            },
            Code::NotFound,
        ),
        (
            v1::PlayRequest {
                transfer: String::new(),
                ..all()
            },
            Code::InvalidArgument,
        ),
        (
            v1::PlayRequest {
                fastest: false,
                speed: f64::NAN,
                ..all()
            },
            Code::InvalidArgument,
        ),
        (
            v1::PlayRequest {
                fastest: false,
                speed: 1e9,
                ..all()
            },
            Code::InvalidArgument,
        ),
        (
            v1::PlayRequest {
                samples: false,
                waveforms: true,
                ..all()
            },
            Code::InvalidArgument,
        ),
    ];
    for (request, code) in cases {
        let refused = in_time(client.play(request.clone())).await.unwrap_err();
        assert_eq!(refused.code(), code, "{request:?}");
    }
    let _both = [
        play(&mut client, all()).await,
        play(&mut client, all()).await,
    ];
    let third = in_time(client.play(all())).await.unwrap_err();
    assert_eq!(third.code(), Code::ResourceExhausted);
}
