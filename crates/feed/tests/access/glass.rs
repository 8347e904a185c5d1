//! Breaking the glass: what it opens, to whom, for how long, and what is on record of it.

use crate::bench::{Bench, Made, hospital, in_time};
use crate::matrix::{letter, message, native, web};
use crate::streams::{ids, next, snapshot};
use enroute_access::{Role, Scope, Tokens};
use enroute_audit::{Entry, Outcome};
use enroute_model::time::Span;
use enroute_wire::v1;
use enroute_wire::v1::access_client::AccessClient;
use enroute_wire::v1::live_client::LiveClient;
use std::sync::Arc;
use tonic::{Code, Status, Streaming};

const WHY: &str = "diverted, nobody else is there";

/// Those of HUG, who may break the glass; tx-b goes to CHUV.
const BREAKERS: [(&str, Role); 4] = [
    ("viewer", Role::Viewer),
    ("clinician", Role::Clinician),
    ("operator", Role::Operator),
    ("administrator", Role::Administrator),
];

/// What each of them may do with a transfer that is another hospital's: never without a
/// broken glass, and with one what this says.
const TABLE: &str = "\
Live/Watch tx-b                    yyyy
Live/Watch tx-b and board          yyyy
Live/Watch tx-a and tx-b           yyy-
Live/History tx-b                  yyyy
Live/History with waveforms tx-b   ----
Live/AlertHistory tx-b             yyyy
Replay/Play tx-b                   yyyy
Replay/DeleteRecording tx-b        ----
Transfers/Act put tx-b             ----
Transfers/Act join_into tx-b       ----
Transfers/Act hand_over_to tx-b    ----
Transfers/Act close tx-b           ----
Transfers/Act reopen tx-b          ----
Transfers/Act alert shown tx-b     yyyy
Transfers/Act alert acknowledge tx-b yyyy
Transfers/Act alert pause_s tx-b   yyyy
Transfers/Act alert note tx-b      yyyy
Transfers/Act set_limits tx-b      yyyy
Transfers/Act auto_limits tx-b     yyyy
Transfers/Act set_baseline tx-b    yyyy
Transfers/Act note_to_crew tx-b    yyyy
Transfers/Act notes_read tx-b      yyyy
Identities/Get tx-b                yyyy
Identities/Set tx-b                ----
Identities/Delete of tx-b          ----
Live/Watch tx-n                    ----
Transfers/Act note_to_crew tx-n    ----
Identities/Get tx-n                ----
Admin/Backup                       ----
";

fn breakers() -> Made {
    let mut made = Made::default();
    for (name, role) in BREAKERS {
        made.add_breaker(name, role, hospital("HUG"));
    }
    made.add("other", Role::Clinician, hospital("HUG"));
    made.add("chief", Role::Administrator, Scope::default());
    made
}

async fn breaks(
    bench: &Bench,
    actor: &str,
    transfer: &str,
    why: &str,
) -> Result<v1::Glass, Status> {
    let request = v1::BreakGlassRequest {
        transfer: transfer.to_owned(),
        reason: why.to_owned(),
    };
    let mut access = AccessClient::new(bench.channel().await);
    let broken = in_time(access.break_glass(bench.by(actor, request))).await?;
    Ok(broken.into_inner().glass.unwrap())
}

async fn ends(bench: &Bench, actor: &str, transfer: &str) -> Result<v1::Glass, Status> {
    let request = v1::EndGlassRequest {
        transfer: transfer.to_owned(),
    };
    let mut access = AccessClient::new(bench.channel().await);
    let ended = in_time(access.end_glass(bench.by(actor, request))).await?;
    Ok(ended.into_inner().glass.unwrap())
}

async fn listed(bench: &Bench, actor: &str) -> Vec<v1::Glass> {
    let mut access = AccessClient::new(bench.channel().await);
    let asked = access.list_glasses(bench.by(actor, v1::ListGlassesRequest {}));
    in_time(asked).await.unwrap().into_inner().glass
}

async fn watch(
    bench: &Bench,
    actor: &str,
    board: bool,
) -> Result<Streaming<v1::WatchResponse>, Status> {
    let request = v1::WatchRequest {
        transfer: vec!["tx-b".to_owned()],
        board,
        ..Default::default()
    };
    let mut live = LiveClient::new(bench.channel().await);
    let watched = in_time(live.watch(bench.by(actor, request))).await?;
    Ok(watched.into_inner())
}

/// Reads on until it ends.
async fn end_of(stream: &mut Streaming<v1::WatchResponse>) -> Status {
    loop {
        match in_time(stream.message()).await {
            Ok(message) => assert!(message.is_some(), "it ended without a word"),
            Err(status) => return status,
        }
    }
}

/// What is on record of glass, with the first words of what is said of it.
fn of_glass(told: &[Entry]) -> Vec<(&str, Outcome)> {
    let own = told.iter().filter(|entry| {
        let is_own = entry.action == "Access/BreakGlass" || entry.action == "Access/EndGlass";
        is_own && entry.who.glass.is_some()
    });
    own.map(|entry| (&*entry.who.name, entry.outcome)).collect()
}

/// The letters of a row, over either protocol.
async fn asked(bench: &Bench, row: &str, once: &mut u32) -> String {
    let method = row.split(' ').next().unwrap();
    let mut letters = String::new();
    for (actor, _) in BREAKERS {
        let shown = &bench.shown[actor];
        *once += 2;
        let over_grpc = native(bench, method, shown, message(row, *once)).await;
        let over_web = web(bench, method, shown, message(row, *once + 1)).await;
        assert_eq!(letter(over_grpc), letter(over_web), "{row} by {actor}");
        letters.push(letter(over_grpc));
    }
    letters
}

#[tokio::test]
async fn it_opens_one_transfer_for_what_the_table_says_and_nothing_else() {
    let bench = Bench::new(breakers()).await;
    let mut once = 1_000;
    let rows = TABLE.lines().map(|line| {
        let (row, cells) = line.split_at(line.len() - 4);
        (row.trim(), cells)
    });
    let rows: Vec<_> = rows.collect();
    for (row, _) in &rows {
        assert_eq!(asked(&bench, row, &mut once).await, "----", "{row} before");
    }
    for (actor, _) in BREAKERS {
        breaks(&bench, actor, "tx-b", WHY).await.unwrap();
    }
    bench.told().await;
    for (row, cells) in &rows {
        assert_eq!(asked(&bench, row, &mut once).await, *cells, "{row}");
        // What is let through by it says so; what is not is refused, and so is recorded.
        for entry in bench.told().await {
            let is_elsewhere = entry.transfer.as_deref() != Some("tx-b");
            let is_marked = entry.who.glass.is_some();
            let is_through = matches!(entry.outcome, Outcome::Allowed | Outcome::Ended);
            assert_eq!(is_marked, is_through && !is_elsewhere, "{row}: {entry:#?}");
        }
    }
    for (actor, _) in BREAKERS {
        ends(&bench, actor, "tx-b").await.unwrap();
    }
    for (row, _) in &rows {
        assert_eq!(asked(&bench, row, &mut once).await, "----", "{row} after");
    }
}

#[tokio::test]
async fn it_is_for_those_whose_token_says_so_with_a_reason_and_of_what_is_not_theirs() {
    let bench = Bench::new(breakers()).await;
    let refused = breaks(&bench, "other", "tx-b", WHY).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let broken = breaks(&bench, "clinician", "tx-b", "help").await;
    assert_eq!(broken.unwrap_err().code(), Code::InvalidArgument);
    let broken = breaks(&bench, "clinician", "tx-b", &"x".repeat(201)).await;
    assert_eq!(broken.unwrap_err().code(), Code::InvalidArgument);
    let broken = breaks(&bench, "clinician", "tx-z", WHY).await;
    assert_eq!(broken.unwrap_err().code(), Code::NotFound);
    let broken = breaks(&bench, "clinician", "tx-a", WHY).await;
    assert_eq!(broken.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(listed(&bench, "chief").await, []);
    // Theirs by scope, and yet not to treat: it opens that.
    assert!(breaks(&bench, "operator", "tx-a", WHY).await.is_ok());
    // Another of the same name and role has no part in it.
    breaks(&bench, "clinician", "tx-b", WHY).await.unwrap();
    let refused = watch(&bench, "other", false).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn everybody_can_tell_who_broke_it_why_and_what_they_did() {
    let bench = Bench::new(breakers()).await;
    let glass = breaks(&bench, "viewer", "tx-b", WHY).await.unwrap();
    assert_eq!(glass.until_us - glass.since_us, 3_600_000_000);
    let told = bench.told().await;
    let [opened] = told.as_slice() else {
        panic!("{told:#?}")
    };
    assert_eq!(opened.detail, format!("60 min: {WHY}"));
    assert_eq!(opened.who.glass.as_ref(), Some(&glass.id));
    assert_eq!(opened.transfer.as_deref(), Some("tx-b"));
    // On the bearer's own page, of who runs the service, and of nobody else.
    let own = listed(&bench, "viewer").await;
    assert!(own.len() == 1 && own[0].own && own[0].reason == WHY);
    let theirs = listed(&bench, "chief").await;
    assert!(theirs.len() == 1 && !theirs[0].own && theirs[0].by == "viewer");
    assert_eq!(listed(&bench, "clinician").await, []);
    // The administrator of HUG has no part in transfers to CHUV.
    assert_eq!(listed(&bench, "administrator").await, []);
    // Who watches the patient reads by whom it was done, and how that one came to it.
    let mut once = 0;
    let note = "Transfers/Act note_to_crew tx-b";
    once += 1;
    native(
        &bench,
        "Transfers/Act",
        &bench.shown["viewer"],
        message(note, once),
    )
    .await;
    let state = bench.live.state("tx-b").await.unwrap();
    let state = enroute_wire::state::transfer_to(&state);
    let by = &state.note_to_crew[0].from.as_ref().unwrap().by;
    assert_eq!(by, "viewer (broke the glass)");
}

#[tokio::test]
async fn its_patient_stands_on_the_bearers_board_while_it_is_watched() {
    let bench = Bench::new(breakers()).await;
    breaks(&bench, "clinician", "tx-b", WHY).await.unwrap();
    let mut stream = watch(&bench, "clinician", true).await.unwrap();
    let shown = snapshot(next(&mut stream).await.unwrap());
    assert_eq!(ids(&shown), ["tx-a", "tx-b"]);
    bench.assign("tx-b", "Bern").await;
    match next(&mut stream).await.unwrap() {
        v1::watch_response::Update::Transfer(state) => assert_eq!(state.transfer, "tx-b"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn its_end_by_the_bearer_ends_what_rests_on_it_and_nothing_else() {
    let bench = Bench::new(breakers()).await;
    for actor in ["viewer", "clinician"] {
        breaks(&bench, actor, "tx-b", WHY).await.unwrap();
    }
    let mut ended = watch(&bench, "clinician", true).await.unwrap();
    let mut other = watch(&bench, "viewer", false).await.unwrap();
    next(&mut ended).await.unwrap();
    next(&mut other).await.unwrap();
    ends(&bench, "clinician", "tx-b").await.unwrap();
    let status = end_of(&mut ended).await;
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    let again = watch(&bench, "clinician", false).await.unwrap_err();
    assert_eq!(again.code(), Code::PermissionDenied);
    let twice = ends(&bench, "clinician", "tx-b").await.unwrap_err();
    assert_eq!(twice.code(), Code::NotFound);
    bench.assign("tx-b", "Bern").await;
    next(&mut other).await.unwrap();
    let told = bench.told().await;
    let wanted = [
        ("viewer", Outcome::Allowed),
        ("clinician", Outcome::Allowed),
        ("clinician", Outcome::Ended),
    ];
    assert_eq!(of_glass(&told), wanted);
}

#[tokio::test]
async fn its_time_ends_it() {
    let bench = Bench::new(breakers()).await;
    breaks(&bench, "clinician", "tx-b", WHY).await.unwrap();
    let mut stream = watch(&bench, "clinician", false).await.unwrap();
    next(&mut stream).await.unwrap();
    bench.clock.pass(Span::from_secs(3_599));
    assert!(watch(&bench, "clinician", false).await.is_ok());
    bench.clock.pass(Span::from_secs(1));
    // At once for a call, and for a stream with the next look, as when its time is over
    // by the clock of this machine.
    let refused = watch(&bench, "clinician", false).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    bench.tokens.send_modify(|_| {});
    let status = end_of(&mut stream).await;
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    assert_eq!(listed(&bench, "chief").await, []);
}

#[tokio::test]
async fn a_revoked_token_takes_its_broken_glass_along() {
    let made = breakers();
    let id = made.shown["clinician"][8..16].to_owned();
    let bench = Bench::new(made).await;
    breaks(&bench, "clinician", "tx-b", WHY).await.unwrap();
    let mut stream = watch(&bench, "clinician", false).await.unwrap();
    next(&mut stream).await.unwrap();
    let before = Tokens::clone(&bench.tokens.borrow());
    let mut tokens = before.clone();
    tokens.revoke(&id).unwrap();
    bench.tokens.send_replace(Arc::new(tokens));
    let status = end_of(&mut stream).await;
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    in_time(async { while !listed(&bench, "chief").await.is_empty() {} }).await;
    // One that comes back has nothing open.
    bench.tokens.send_replace(Arc::new(before));
    let refused = watch(&bench, "clinician", false).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let told = bench.told().await;
    let is_it =
        |entry: &&Entry| entry.action == "Access/BreakGlass" && entry.detail.contains("revoked");
    let ended = told.iter().find(is_it);
    assert_eq!(ended.map(|entry| entry.outcome), Some(Outcome::Ended));
}
