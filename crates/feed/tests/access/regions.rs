//! Where a transfer may be seen: who is elsewhere is refused, whatever role and scope say.

use crate::bench::{Bench, Made, in_time};
use crate::matrix::{letter, message, native, web};
use crate::streams::{ids, next, snapshot};
use enroute_access::{Regions, Role, Scope};
use enroute_audit::Outcome;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::replay_client::ReplayClient;
use enroute_wire::v1::transfers_client::TransfersClient;
use tonic::{Code, Status, Streaming};

/// A clinician where the server is, in CH; then those in DE, the last of whom is a viewer
/// that may break the glass.
const ACTORS: [&str; 5] = ["here", "clinician", "operator", "administrator", "breaker"];

/// tx-a is seen in CH alone, as nobody said anything else; tx-b in CH and DE.
const TABLE: &str = "\
Live/Watch tx-a                    y----
Live/Watch tx-b                    yyy-y
Live/Watch tx-a and board          y----
Live/Watch tx-a and tx-b           y----
Live/History tx-a                  y----
Live/History tx-b                  yyy-y
Live/History with waveforms tx-a   y----
Live/History with waveforms tx-b   yyy-y
Live/AlertHistory tx-a             y----
Live/AlertHistory tx-b             yyy-y
Replay/Play tx-a                   y----
Replay/Play tx-b                   yyy--
Replay/DeleteRecording tx-a        -----
Transfers/Add to HUG               y----
Transfers/Act put tx-a             y----
Transfers/Act join_into tx-a       y----
Transfers/Act close tx-a           y----
Transfers/Act reopen tx-a          y----
Transfers/Act alert shown tx-a     y----
Transfers/Act alert shown tx-b     yy--y
Transfers/Act note_to_crew tx-a    y----
Transfers/Act note_to_crew tx-b    yy---
Identities/Get tx-a                y----
Identities/Get tx-b                yy---
Identities/Set tx-a                y----
Access/BreakGlass tx-a             -----
Access/BreakGlass tx-b             ----y
Live/Watch tx-a                    y----
Admin/Backup                       -----
";

async fn pinned() -> Bench {
    let mut made = Made::default();
    made.add(ACTORS[0], Role::Clinician, Scope::default());
    made.add_in("DE", ACTORS[1], Role::Clinician, false);
    made.add_in("DE", ACTORS[2], Role::Operator, false);
    made.add_in("DE", ACTORS[3], Role::Administrator, false);
    made.add_in("DE", ACTORS[4], Role::Viewer, true);
    let regions = Regions {
        own: Some("CH".to_owned()),
        ..Regions::default()
    };
    let bench = Bench::pinned(made, regions).await;
    bench.pin("tx-b", "CHUV", &["CH", "DE"]).await;
    bench
}

async fn act(bench: &Bench, actor: &str, transfer: &str, action: Action) -> Result<(), Status> {
    let request = v1::ActRequest {
        transfer: transfer.to_owned(),
        action_id: format!("{actor} {transfer} {action:?}")
            .chars()
            .take(60)
            .collect(),
        action: Some(v1::RegistryAction {
            action: Some(action),
        }),
        actor: String::new(),
    };
    let mut transfers = TransfersClient::new(bench.channel().await);
    let acted = transfers.act(bench.by(actor, request));
    in_time(acted).await.map(drop)
}

fn put(hospital: &str, regions: &[&str]) -> Action {
    Action::Put(v1::TransferInfo {
        hospital: hospital.to_owned(),
        region: regions.iter().map(|&region| region.to_owned()).collect(),
        ..Default::default()
    })
}

async fn watch(bench: &Bench, actor: &str, named: &[&str]) -> Streaming<v1::WatchResponse> {
    let request = v1::WatchRequest {
        transfer: named.iter().map(|&id| id.to_owned()).collect(),
        ..Default::default()
    };
    let mut live = LiveClient::new(bench.channel().await);
    let watched = in_time(live.watch(bench.by(actor, request))).await;
    watched.unwrap().into_inner()
}

#[tokio::test]
async fn who_is_elsewhere_is_refused_and_it_is_on_record() {
    let bench = pinned().await;
    let mut once = 5_000;
    for line in TABLE.lines() {
        let (row, expected) = line.split_at(line.len() - 5);
        let row = row.trim();
        let method = row.split(' ').next().unwrap();
        let mut letters = String::new();
        bench.told().await;
        for actor in ACTORS {
            once += 2;
            let shown = &bench.shown[actor];
            let over_grpc = native(&bench, method, shown, message(row, once)).await;
            let over_web = web(&bench, method, shown, message(row, once + 1)).await;
            assert_eq!(letter(over_grpc), letter(over_web), "{row} by {actor}");
            letters.push(letter(over_grpc));
        }
        assert_eq!(letters, expected, "{row}");
        let told = bench.told().await;
        let is_refusal = |entry: &&enroute_audit::Entry| entry.outcome == Outcome::Refused;
        let refused = told.iter().filter(is_refusal).count();
        assert_eq!(
            refused,
            2 * expected.matches('-').count(),
            "{row}: {told:#?}"
        );
    }
}

#[tokio::test]
async fn boards_and_lists_leave_out_what_is_not_for_where_one_is() {
    let bench = pinned().await;
    let mut stream = watch(&bench, "clinician", &[]).await;
    assert_eq!(ids(&snapshot(next(&mut stream).await.unwrap())), ["tx-b"]);
    let mut stream = watch(&bench, "here", &[]).await;
    assert_eq!(snapshot(next(&mut stream).await.unwrap()).len(), 3);
    let mut live = LiveClient::new(bench.channel().await);
    let list = live.list(bench.by("administrator", v1::ListRequest { closed: true }));
    let list = in_time(list).await.unwrap().into_inner().transfer;
    assert_eq!(ids(&list), ["tx-b"]);
    let mut replay = ReplayClient::new(bench.channel().await);
    let asked = replay.list_recordings(bench.by("operator", v1::ListRecordingsRequest::default()));
    let listed = in_time(asked).await.unwrap().into_inner().recording;
    let listed: Vec<_> = listed.iter().map(|one| one.transfer.as_str()).collect();
    assert_eq!(listed, ["tx-b"]);
}

#[tokio::test]
async fn what_is_pinned_elsewhere_ends_where_it_was_seen() {
    let bench = pinned().await;
    let mut named = watch(&bench, "clinician", &["tx-b"]).await;
    let mut board = watch(&bench, "clinician", &[]).await;
    next(&mut named).await.unwrap();
    next(&mut board).await.unwrap();
    bench.told().await;
    act(&bench, "here", "tx-b", put("CHUV", &["CH"]))
        .await
        .unwrap();
    for stream in [&mut named, &mut board] {
        let status = next(stream).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    let told = bench.told().await;
    let changed = told.iter().find(|entry| entry.action == "Transfers/Act");
    assert_eq!(changed.unwrap().detail, "put, other regions");
}

#[tokio::test]
async fn nobody_shuts_themselves_out_and_a_join_widens_no_list() {
    let bench = pinned().await;
    let refused = async |actor, transfer, action| {
        let status = act(&bench, actor, transfer, action).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    };
    refused("here", "tx-b", put("CHUV", &["DE"])).await;
    // Back to what it comes from and goes to, which is CH.
    refused("clinician", "tx-b", put("CHUV", &[])).await;
    let told = bench.told().await;
    let acts = told.iter().filter(|entry| entry.action == "Transfers/Act");
    let outcomes: Vec<_> = acts.map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused; 2], "on record as what it was");
    act(&bench, "here", "tx-a", put("HUG", &["CH"]))
        .await
        .unwrap();
    refused("here", "tx-a", Action::JoinInto("tx-b".to_owned())).await;
    let join = Action::JoinInto("tx-a".to_owned());
    act(&bench, "here", "tx-b", join).await.unwrap();
    let state = bench.live.state("tx-b").await.unwrap();
    assert_eq!(state.transfer.as_str(), "tx-a");
    assert_eq!(state.info.regions, ["CH"]);
}

#[tokio::test]
async fn without_a_region_of_the_server_none_is_asked_for_and_none_is_said() {
    let mut made = Made::default();
    made.add_in("DE", "there", Role::Clinician, false);
    let bench = Bench::new(made).await;
    let mut stream = watch(&bench, "there", &["tx-a"]).await;
    next(&mut stream).await.unwrap();
    let status = act(&bench, "there", "tx-a", put("HUG", &["DE"])).await;
    assert_eq!(status.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_broken_glass_opens_nothing_of_what_is_pinned_elsewhere_since() {
    let bench = pinned().await;
    let method = "Transfers/Act";
    let note = "Transfers/Act note_to_crew tx-b";
    let noted = async |once| {
        let shown = &bench.shown["breaker"];
        letter(native(&bench, method, shown, message(note, once)).await)
    };
    assert_eq!(noted(1).await, '-');
    let breaks = message("Access/BreakGlass tx-b", 0);
    let shown = &bench.shown["breaker"];
    let broken = native(&bench, "Access/BreakGlass", shown, breaks).await;
    assert_eq!((broken, noted(2).await), (Code::Ok, 'y'));
    let pin = put("CHUV", &["CH"]);
    act(&bench, "here", "tx-b", pin).await.unwrap();
    assert_eq!(noted(3).await, '-');
}
