//! What callers see of what is under way, under which name they act, and when it ends.

use crate::bench::{Bench, Made, hospital, in_time};
use enroute_access::{Role, Scope, Tokens};
use enroute_audit::Outcome;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::replay_client::ReplayClient;
use enroute_wire::v1::transfers_client::TransfersClient;
use enroute_wire::v1::watch_response::Update;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status, Streaming};

pub(crate) async fn next(stream: &mut Streaming<v1::WatchResponse>) -> Result<Update, Status> {
    let response = in_time(stream.message()).await?.unwrap();
    Ok(response.update.unwrap())
}

async fn board(bench: &Bench, actor: &str) -> Streaming<v1::WatchResponse> {
    let request = bench.by(actor, v1::WatchRequest::default());
    let mut live = LiveClient::new(bench.channel().await);
    in_time(live.watch(request)).await.unwrap().into_inner()
}

pub(crate) fn snapshot(update: Update) -> Vec<v1::TransferState> {
    match update {
        Update::Snapshot(snapshot) => snapshot.transfer,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ids(states: &[v1::TransferState]) -> Vec<&str> {
    states.iter().map(|state| state.transfer.as_str()).collect()
}

async fn act(bench: &Bench, actor: &str, transfer: &str, id: &str, action: Action) {
    let request = v1::ActRequest {
        transfer: transfer.to_owned(),
        action_id: id.to_owned(),
        action: Some(v1::RegistryAction {
            action: Some(action),
        }),
        actor: "Somebody Else".to_owned(),
    };
    let mut transfers = TransfersClient::new(bench.channel().await);
    let acted = transfers.act(bench.by(actor, request));
    in_time(acted).await.unwrap();
}

#[tokio::test]
async fn a_hospital_sees_what_is_addressed_to_it_while_it_is() {
    let mut made = Made::default();
    made.add("hug", Role::Viewer, hospital("HUG"));
    let bench = Bench::new(made).await;
    let mut live = LiveClient::new(bench.channel().await);
    let list = live.list(bench.by("hug", v1::ListRequest { closed: true }));
    let list = in_time(list).await.unwrap().into_inner().transfer;
    assert_eq!(ids(&list), ["tx-a"]);
    let mut stream = board(&bench, "hug").await;
    assert_eq!(ids(&snapshot(next(&mut stream).await.unwrap())), ["tx-a"]);
    // Another's changes are not told; what comes to this hospital is.
    bench.assign("tx-b", "Bern").await;
    bench.assign("tx-n", "HUG").await;
    match next(&mut stream).await.unwrap() {
        Update::Transfer(state) => assert_eq!(state.transfer, "tx-n"),
        other => panic!("{other:?}"),
    }
    bench.assign("tx-a", "CHUV").await;
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::PermissionDenied, "{ended}");
    let mut again = board(&bench, "hug").await;
    assert_eq!(ids(&snapshot(next(&mut again).await.unwrap())), ["tx-n"]);
}

#[tokio::test]
async fn a_revoked_token_ends_what_it_has_open_and_no_other() {
    let mut made = Made::default();
    made.add("gone", Role::Clinician, Scope::default());
    made.add("stays", Role::Clinician, Scope::default());
    let gone = made.shown["gone"][8..16].to_owned();
    let bench = Bench::new(made).await;
    let mut watched = board(&bench, "gone").await;
    let mut other = board(&bench, "stays").await;
    assert_eq!(snapshot(next(&mut watched).await.unwrap()).len(), 3);
    assert_eq!(snapshot(next(&mut other).await.unwrap()).len(), 3);
    let play = v1::PlayRequest {
        transfer: "tx-a".to_owned(),
        paused: true,
        ..Default::default()
    };
    let mut replay = ReplayClient::new(bench.channel().await);
    let played = in_time(replay.play(bench.by("gone", play))).await;
    let mut played = played.unwrap().into_inner();
    in_time(played.message()).await.unwrap().unwrap();
    let mut tokens = Tokens::clone(&bench.tokens.borrow());
    tokens.revoke(&gone).unwrap();
    bench.tokens.send_replace(Arc::new(tokens));
    let ended = next(&mut watched).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    let ended = loop {
        match in_time(played.message()).await {
            Ok(message) => assert!(message.is_some(), "it ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    bench.assign("tx-a", "Bern").await;
    assert!(matches!(next(&mut other).await, Ok(Update::Transfer(_))));
}

#[tokio::test]
async fn a_token_whose_time_is_over_ends_its_streams() {
    let mut made = Made::default();
    let soon = crate::bench::START + 1_000_000;
    made.add_until("short", Role::Viewer, Scope::default(), Some(soon));
    let bench = Bench::new(made).await;
    let mut stream = board(&bench, "short").await;
    next(&mut stream).await.unwrap();
    bench.clock.set(1_000_000);
    // As each minute does.
    bench.tokens.send_modify(|_| {});
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
}

#[tokio::test]
async fn what_is_done_bears_the_name_of_the_token_and_a_wall_reads_no_notes() {
    let mut made = Made::default();
    made.add("Dr. Weber", Role::Clinician, Scope::default());
    made.add("hall", Role::Wall, Scope::default());
    let bench = Bench::new(made).await;
    let note = Action::NoteToCrew("warm blankets are ready".to_owned());
    act(&bench, "Dr. Weber", "tx-a", "note", note).await;
    let read = async |actor| {
        let states = snapshot(next(&mut board(&bench, actor).await).await.unwrap());
        let found = states.into_iter().find(|state| state.transfer == "tx-a");
        found.unwrap().note_to_crew
    };
    let notes = read("Dr. Weber").await;
    assert_eq!(notes[0].text, "warm blankets are ready");
    assert_eq!(notes[0].from.as_ref().unwrap().by, "Dr. Weber");
    assert!(read("hall").await.is_empty());
}

#[tokio::test]
async fn a_playback_is_steered_by_its_own_caller_alone() {
    let mut made = Made::default();
    made.add("one", Role::Operator, Scope::default());
    made.add("other", Role::Operator, Scope::default());
    let bench = Bench::new(made).await;
    let play = v1::PlayRequest {
        transfer: "tx-a".to_owned(),
        paused: true,
        ..Default::default()
    };
    let mut replay = ReplayClient::new(bench.channel().await);
    let mut played = in_time(replay.play(bench.by("one", play))).await;
    let played = played.as_mut().unwrap().get_mut();
    let first = in_time(played.message()).await.unwrap().unwrap();
    let playback = first.replayed.unwrap().playback;
    let mut steer = async |actor| {
        let command = v1::control_request::Command::Pause(v1::ReplayPause {});
        let request = v1::ControlRequest {
            playback: playback.clone(),
            command: Some(command),
        };
        in_time(replay.control(bench.by(actor, request))).await
    };
    assert_eq!(steer("other").await.unwrap_err().code(), Code::NotFound);
    assert!(steer("one").await.is_ok());
}

#[tokio::test]
async fn pages_about_the_service_are_for_those_who_run_it() {
    let mut made = Made::default();
    made.add("operator", Role::Operator, Scope::default());
    made.add("clinician", Role::Clinician, Scope::default());
    let bench = Bench::new(made).await;
    let get = async |page: &str, actor: &str| {
        let shown = bench.shown.get(actor).map_or("x", String::as_str);
        let mut stream = TcpStream::connect(&bench.address).await.unwrap();
        let asked = format!(
            "GET {page} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             authorization: Bearer {shown}\r\n\r\n"
        );
        in_time(stream.write_all(asked.as_bytes())).await.unwrap();
        let mut answer = Vec::new();
        in_time(stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer[9..12]).into_owned()
    };
    assert_eq!(get("/counts", "operator").await, "200");
    assert_eq!(get("/counts", "clinician").await, "403");
    assert_eq!(get("/counts", "nobody").await, "401");
    assert_eq!(get("/open", "nobody").await, "200");
    assert_eq!(get("/who.json", "clinician").await, "200");
    assert_eq!(get("/who.json", "nobody").await, "401");
    let told = bench.told().await;
    let told: Vec<_> = { told.iter() }
        .map(|entry| (&*entry.action, &*entry.who.role, entry.outcome))
        .collect();
    let on_record = [
        ("counts", "clinician", Outcome::Refused),
        ("counts", "nobody", Outcome::Refused),
        ("who.json", "clinician", Outcome::Allowed),
        ("who.json", "nobody", Outcome::Refused),
    ];
    assert_eq!(told, on_record);
}
