//! Rubbish for the gRPC port: each call is refused with words, the port stays.

use crate::http::{ask, leave, raw};
use crate::random::Random;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::transfers_client::TransfersClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::v1::{
    ActRequest, AddRequest, AlertAction, HistoryRequest, Leg, ListRequest, Place, RegistryAction,
    TransferInfo, WatchRequest, alert_action,
};
use tonic::Code;
use tonic::transport::Channel;

/// Streams opened and dropped.
const DROPPED: usize = 300;

pub(crate) async fn attack(server: &str, mut random: Random) {
    let address = server.trim_start_matches("http://");
    let channel = Channel::from_shared(server.to_owned()).unwrap();
    let channel = channel.connect().await.expect("it listens");
    bytes(address, &mut random).await;
    live(LiveClient::new(channel.clone()), &mut random).await;
    registry(TransfersClient::new(channel.clone()), &mut random).await;
    dropped(LiveClient::new(channel)).await;
}

async fn bytes(address: &str, random: &mut Random) {
    for _ in 0..50 {
        raw(address, &random.some_bytes(2_000)).await;
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for _ in 0..50 {
        let rest = random.some_bytes(500);
        raw(address, &[preface.clone(), rest].concat()).await;
        leave(address, &preface).await;
    }
    // A frame of 16 MiB, announced and not sent.
    raw(
        address,
        &[preface, vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
    )
    .await;
    for head in [
        "GET /no/such HTTP/1.1\r\nHost: x",
        "DELETE / HTTP/1.1\r\nHost: x",
        "POST /ingest HTTP/1.1\r\nHost: x",
        "POST /enroute.v1.Live/Watch HTTP/1.1\r\nHost: x",
        "POST /enroute.v1.Live/Watch HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web",
        "POST /enroute.v1.Live/Watch HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web-text",
    ] {
        let answer = ask(address, head, &random.bytes(100)).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 "),
            "{head}: {answer}"
        );
    }
}

async fn live(mut client: LiveClient<Channel>, random: &mut Random) {
    let list = client.list(ListRequest { closed: true }).await;
    assert!(list.is_ok(), "{list:?}");
    let many = vec!["tx-1".to_owned(); 65];
    let long = "x".repeat(100_000);
    let watches = [
        (vec![String::new()], Vec::new(), true, Code::InvalidArgument),
        (vec![long.clone()], Vec::new(), true, Code::InvalidArgument),
        (vec!["../../x".to_owned()], Vec::new(), true, Code::NotFound),
        (many, Vec::new(), true, Code::InvalidArgument),
        (Vec::new(), Vec::new(), true, Code::InvalidArgument),
        (
            Vec::new(),
            random.bytes(10_000),
            false,
            Code::InvalidArgument,
        ),
        (Vec::new(), vec![0; 1 << 20], false, Code::OutOfRange),
    ];
    for (transfer, resume_token, samples, code) in watches {
        let what = format!(
            "{} transfers, token of {}",
            transfer.len(),
            resume_token.len()
        );
        let request = WatchRequest {
            transfer,
            samples,
            resume_token,
            ..WatchRequest::default()
        };
        let status = match client.watch(request).await {
            Ok(mut stream) => stream.get_mut().message().await.map(drop),
            Err(status) => Err(status),
        };
        let status = status.expect_err(&what);
        assert_eq!(status.code(), code, "{what}: {status}");
        assert!(!status.message().is_empty(), "{what}");
    }
    let request = WatchRequest {
        resume_token: random.bytes(100),
        ..WatchRequest::default()
    };
    let mut stream = client.watch(request).await.expect("a board").into_inner();
    let first = stream.message().await.expect("a snapshot").expect("one");
    let Some(Update::Snapshot(snapshot)) = first.update else {
        panic!("no snapshot first")
    };
    assert!(!snapshot.missed.is_empty(), "it took rubbish for a token");
    for (transfer, code) in [
        (String::new(), Code::InvalidArgument),
        (long, Code::InvalidArgument),
        ("no-such".to_owned(), Code::NotFound),
    ] {
        let request = HistoryRequest {
            transfer,
            after_position: u64::MAX,
            waveforms: true,
        };
        let status = client
            .history(request)
            .await
            .map(drop)
            .expect_err("no such");
        assert_eq!(status.code(), code, "{status}");
    }
}

async fn registry(mut client: TransfersClient<Channel>, random: &mut Random) {
    let place = Some(Place {
        name: "x".repeat(5_000),
        latitude_e7: i32::MAX,
        longitude_e7: i32::MIN,
    });
    let leg = Leg {
        mode: 99,
        from: place.clone(),
        to: place,
        departs_at_us: Some(i64::MAX),
        arrives_at_us: Some(i64::MIN),
        ..Leg::default()
    };
    let info = |leg: Vec<Leg>, condition: usize| TransferInfo {
        leg,
        condition: vec!["\u{7}".to_owned(); condition],
        ..TransferInfo::default()
    };
    for (action_id, info) in [
        (String::new(), None),
        ("x".repeat(1_000), None),
        ("a".to_owned(), Some(info(vec![leg.clone()], 0))),
        ("a".to_owned(), Some(info(vec![Leg::default(); 1_000], 0))),
        ("a".to_owned(), Some(info(Vec::new(), 1_000))),
    ] {
        let request = AddRequest { action_id, info };
        let status = client.add(request).await.expect_err("wrong");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let actions = [
        None,
        Some(Action::JoinInto(String::new())),
        Some(Action::JoinInto("x".repeat(1_000))),
        Some(Action::HandOverTo("No Id".to_owned())),
        Some(Action::Put(info(vec![leg], 0))),
        Some(Action::Alert(AlertAction::default())),
        Some(Action::Alert(AlertAction {
            alert_id: u64::MAX,
            seen_ordinal: u64::MAX,
            action: Some(alert_action::Action::PauseS(u32::MAX)),
        })),
    ];
    for action in actions {
        let request = ActRequest {
            transfer: "gw".to_owned(),
            action_id: format!("{:x}", random.next()),
            action: Some(RegistryAction { action }),
            actor: String::new(),
        };
        let status = client.act(request).await.expect_err("wrong");
        let code = status.code();
        assert!(
            matches!(code, Code::InvalidArgument | Code::NotFound),
            "{status}"
        );
    }
    let status = client.act(ActRequest::default()).await.expect_err("empty");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

async fn dropped(mut client: LiveClient<Channel>) {
    let mut kept = Vec::new();
    for index in 0..DROPPED {
        let stream = client
            .watch(WatchRequest::default())
            .await
            .expect("a stream");
        // Some at once, some together.
        if index % 3 == 0 {
            kept.push(stream);
        }
    }
    drop(kept);
    let mut last = client
        .watch(WatchRequest::default())
        .await
        .expect("a stream");
    assert!(
        last.get_mut()
            .message()
            .await
            .expect("a snapshot")
            .is_some()
    );
}
