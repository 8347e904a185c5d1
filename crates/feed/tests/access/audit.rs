//! What is on record of who looked, and what goes on while nothing can be put there.

use crate::bench::{Bench, Made, in_time};
use enroute_access::{Role, Scope};
use enroute_audit::{Entry, Outcome};
use enroute_wire::v1;
use enroute_wire::v1::admin_client::AdminClient;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::replay_client::ReplayClient;
use enroute_wire::v1::transfers_client::TransfersClient;
use tonic::{Code, Status};

async fn bench() -> Bench {
    let mut made = Made::default();
    made.add("Dr. Weber", Role::Clinician, Scope::default());
    made.add("admin", Role::Administrator, Scope::default());
    Bench::new(made).await
}

fn short(entry: &Entry) -> (Outcome, &str, &str) {
    let transfer = entry.transfer.as_deref().unwrap_or("");
    (entry.outcome, &entry.action, transfer)
}

#[tokio::test]
async fn who_opened_the_board_and_a_patient_is_on_record_and_when_it_was_over() {
    let bench = bench().await;
    let request = v1::WatchRequest {
        transfer: vec!["tx-a".to_owned()],
        board: true,
        ..Default::default()
    };
    let mut live = LiveClient::new(bench.channel().await);
    let stream = in_time(live.watch(bench.by("Dr. Weber", request)))
        .await
        .unwrap();
    let told = bench.told().await;
    let opened = [
        (Outcome::Allowed, "Live/Watch", "tx-a"),
        (Outcome::Allowed, "Live/Watch", ""),
    ];
    assert_eq!(told.iter().map(short).collect::<Vec<_>>(), opened);
    assert!(told.iter().all(|entry| entry.who.name == "Dr. Weber"));
    drop(stream);
    let mut ended = Vec::new();
    let both = async {
        while ended.len() < 2 {
            ended.extend(bench.told().await);
        }
    };
    in_time(both).await;
    let closed = [
        (Outcome::Ended, "Live/Watch", "tx-a"),
        (Outcome::Ended, "Live/Watch", ""),
    ];
    assert_eq!(ended.iter().map(short).collect::<Vec<_>>(), closed);
}

async fn acknowledged(bench: &Bench, id: &str) -> Result<(), Status> {
    let mut transfers = TransfersClient::new(bench.channel().await);
    let request = v1::ActRequest {
        transfer: "tx-a".to_owned(),
        action_id: id.to_owned(),
        action: Some(v1::RegistryAction {
            action: Some(Action::NoteToCrew(id.to_owned())),
        }),
        actor: String::new(),
    };
    let acted = transfers.act(bench.by("Dr. Weber", request));
    in_time(acted).await.map(drop)
}

async fn exported(bench: &Bench) -> Result<(), Status> {
    let mut live = LiveClient::new(bench.channel().await);
    let request = v1::HistoryRequest {
        transfer: "tx-a".to_owned(),
        after_position: 0,
        waveforms: true,
    };
    in_time(live.history(bench.by("Dr. Weber", request)))
        .await
        .map(drop)
}

async fn copied(bench: &Bench) -> Result<(), Status> {
    let mut admin = AdminClient::new(bench.channel().await);
    let asked = admin.backup(bench.by("admin", v1::BackupRequest {}));
    in_time(asked).await.map(drop)
}

async fn deleted(bench: &Bench) -> Result<(), Status> {
    let mut replay = ReplayClient::new(bench.channel().await);
    let request = v1::DeleteRecordingRequest {
        transfer: "tx-a".to_owned(),
        actor: String::new(),
    };
    let asked = replay.delete_recording(bench.by("admin", request));
    in_time(asked).await.map(drop)
}

async fn watched(bench: &Bench) -> Result<(), Status> {
    let mut live = LiveClient::new(bench.channel().await);
    let request = v1::WatchRequest::default();
    in_time(live.watch(bench.by("Dr. Weber", request)))
        .await
        .map(drop)
}

#[tokio::test]
async fn without_a_record_nothing_leaves_the_house_and_the_care_goes_on() {
    let bench = bench().await;
    // The head of the log cannot be replaced.
    let block = bench.audit_dir().join("head.new");
    std::fs::create_dir(&block).unwrap();
    acknowledged(&bench, "before it is known").await.unwrap();
    for _ in 0..2 {
        for refused in [
            exported(&bench).await,
            copied(&bench).await,
            deleted(&bench).await,
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            assert!(refused.message().contains("audit log"), "{refused}");
        }
    }
    watched(&bench).await.unwrap();
    acknowledged(&bench, "meanwhile").await.unwrap();
    std::fs::remove_dir(&block).unwrap();
    let again = async {
        while copied(&bench).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time(again).await;
    let told = bench.told().await;
    let notes = |entry: &&Entry| entry.detail == "note to crew";
    assert_eq!(told.iter().filter(notes).count(), 2, "{told:#?}");
    assert!(
        told.iter().any(|entry| entry.action == "audit gap"),
        "{told:#?}"
    );
    let copies = |entry: &&Entry| short(entry) == (Outcome::Allowed, "Admin/Backup", "");
    assert_eq!(told.iter().filter(copies).count(), 1, "{told:#?}");
}
