//! The disk under the server's data is full for a while (I8): a real server on a
//! small tmpfs that a file fills. Mounting needs root; without it the test says so
//! loudly and does nothing, with `ENROUTE_REQUIRE_TOOLS=1` it fails.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_tests::http;
use enroute_tests::stack::Stack;
use enroute_tests::viewer::Watching;
use enroute_tests::wfdb_set;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::transfers_client::TransfersClient;
use enroute_wire::v1::watch_response::Update;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Rows of the recording, ten a second as it is played.
const ROWS: usize = 200;

/// A small disk; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None`, said loudly, where nothing may be mounted.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m", "enroute-test"]);
        if mount.arg(at).status().is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        let required = std::env::var("ENROUTE_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
        assert!(
            !required,
            "ENROUTE_REQUIRE_TOOLS=1 and no tmpfs can be mounted"
        );
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        None
    }

    /// Takes what room is left; gives the file that does.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).unwrap();
        let (mut part, zeros) = (1 << 16, vec![1; 1 << 16]);
        while part > 0 {
            if file.write_all(&zeros[..part]).is_err() {
                part /= 2;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Reads on until a response is as wanted.
async fn until(
    board: &mut Watching,
    what: &str,
    mut wanted: impl FnMut(&v1::WatchResponse) -> bool,
) -> v1::WatchResponse {
    loop {
        let response = board.next().await;
        let response = response.unwrap_or_else(|| panic!("the stream ended before {what}"));
        if wanted(&response) {
            return response;
        }
    }
}

fn is_values(response: &v1::WatchResponse) -> bool {
    matches!(
        response.update,
        Some(Update::Values(_) | Update::Transfer(_))
    )
}

async fn assign(server: &str, transfer: &str) {
    let mut client = TransfersClient::connect(server.to_owned()).await.unwrap();
    let put = v1::TransferInfo {
        hospital: "North".to_owned(),
        ..v1::TransferInfo::default()
    };
    let request = v1::ActRequest {
        transfer: transfer.to_owned(),
        action_id: "assign-1".to_owned(),
        actor: "test".to_owned(),
        action: Some(v1::RegistryAction {
            action: Some(Action::Put(put)),
        }),
    };
    client.act(request).await.unwrap();
}

async fn state(server: &str) -> v1::TransferState {
    let mut client = LiveClient::connect(server.to_owned()).await.unwrap();
    let list = client.list(v1::ListRequest { closed: true }).await.unwrap();
    list.into_inner().transfer.pop().unwrap()
}

/// All frames known to exist are durable, none is missing or given up.
fn is_whole(state: &v1::TransferState) -> bool {
    let mut streams = state.source.iter().flat_map(|source| &source.completeness);
    let whole = |s: &v1::StreamCompleteness| s.durable == s.highest && s.missing + s.shed == 0;
    streams.any(|s| s.durable >= u64::try_from(ROWS).unwrap())
        && state.source.iter().flat_map(|s| &s.completeness).all(whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_recording_and_neither_the_view_nor_what_people_do() {
    let records = tempfile::tempdir().unwrap();
    let (record, _) = wfdb_set::write_numerics(records.path(), ROWS);
    let mut disk = None;
    let stack = Stack::on_data(BINARY, |data| disk = Disk::mount(data));
    let Some(disk) = disk else {
        return;
    };
    let request = v1::WatchRequest::default();
    let mut board = Watching::start(&stack.address, request).await;
    let gateway = stack.play("gw-1", &record, "20.0", "");
    until(&mut board, "the first values", is_values).await;
    let transfer = state(&stack.address).await.transfer;

    let ballast = disk.fill();
    let told = until(&mut board, "the failure", |r| r.not_recorded.is_some()).await;
    let told = told.not_recorded.unwrap();
    assert!(told.reason.contains("No space left"), "{}", told.reason);
    until(&mut board, "unrecorded values", |response| {
        assert!(response.not_recorded.is_some());
        is_values(response)
    })
    .await;
    assign(&stack.address, &transfer).await;
    let health = http::get(&stack.address, "/healthz").body;
    assert!(health.starts_with("not recorded since "), "{health}");

    std::fs::remove_file(ballast).unwrap();
    let healed = until(&mut board, "the repair", |r| r.not_recorded.is_none()).await;
    let Some(Update::Snapshot(snapshot)) = healed.update else {
        panic!("the first word after the repair is the whole picture");
    };
    assert!(
        snapshot.missed.contains("No space left"),
        "{}",
        snapshot.missed
    );
    // The audit log is on the same disk, and tries it again by itself.
    while http::get(&stack.address, "/healthz").body != "ok\n" {
        tokio::task::yield_now().await;
    }

    // It ends when all that it has is durable.
    let (status, lines) = gateway.finish();
    assert!(status.success(), "{lines:#?}");
    let whole = state(&stack.address).await;
    assert!(is_whole(&whole), "{whole:#?}");
    assert_eq!(whole.info.unwrap().hospital, "North");
    assert_eq!(whole.unrecorded.len(), 1);
    let data = stack.data();
    let _dir = stack.stop_server();
    let mut reevaluate = Command::new(BINARY);
    let again = reevaluate.arg("reevaluate").arg("--data").arg(data);
    let again = again.output().unwrap();
    assert!(again.status.success(), "{again:?}");
    drop(disk);
}
