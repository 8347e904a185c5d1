//! A gateway whose disk is full: it says so, records nothing as if it were safe,
//! and goes on by itself when there is room again. Needs root, for a small disk of
//! its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_gateway::{Config, Gateway, Source};
use enroute_model::frame::{Body, CrewEvent, Emission};
use enroute_model::ids::GatewayId;
use enroute_model::time::{Clock, Span};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const HANG: Duration = Duration::from_mins(2);

struct TestClock(Instant);

impl Clock for TestClock {
    fn wall(&self) -> i64 {
        1_800_000_000_000_000 + self.monotonic().0
    }
    fn monotonic(&self) -> Span {
        Span(i64::try_from(Instant::now().duration_since(self.0).as_micros()).unwrap())
    }
}

struct Fed(Receiver<Emission>);

impl Source for Fed {
    fn next(&mut self) -> Option<Emission> {
        self.0.recv().ok()
    }
    fn is_exercise(&self) -> bool {
        true
    }
}

/// A tmpfs of 64 MiB, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "enroute-test"])
            .arg(at)
            .status();
        mounted
            .is_ok_and(|s| s.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn emission(number: i64) -> Emission {
    Emission {
        due: Span(number),
        observed_at: None,
        body: Body::Crew(CrewEvent::Note(number.to_string())),
    }
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if file.write_all(&vec![7; size]).is_err() {
            size /= 2;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_heals_without_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        println!("SKIPPED: mounting a tmpfs needs root");
        return;
    };
    let mut config = Config::new(GatewayId::new("gw-1").unwrap());
    config.spool.dir = disk.0.join("spool");
    config.page.listen = None;
    config.uplink.link_report_s = 0;
    // Nobody listens there: what is recorded stays.
    config.broker.port = 1;
    let (feed, given) = sync_channel(10);
    let clock = Arc::new(TestClock(Instant::now()));
    let gateway = Gateway::start(config, Box::new(Fed(given)), clock)
        .await
        .unwrap();
    let stats = Arc::clone(gateway.stats());
    feed.send(emission(1)).unwrap();
    while gateway.unconfirmed_frames() < 1 {
        tokio::task::yield_now().await;
    }
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    let mut number = 1;
    let full = async {
        while stats.unrecorded.get() == 0 {
            number += 1;
            feed.send(emission(number)).unwrap();
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, full).await.unwrap();
    assert!(gateway.failure().is_some());
    std::fs::remove_file(&ballast).unwrap();
    timeout(HANG, gateway.healed()).await.unwrap();
    assert!(
        gateway.unconfirmed_frames() >= 1,
        "what was on disk is there again"
    );
    number += 1;
    feed.send(emission(number)).unwrap();
    // Each emission is on disk or counted as lost, and one frame is the word of what
    // was lost. Those that waited while the disk was full may be either; one whose
    // write failed halfway may be both, and more cannot be said.
    let all = u64::try_from(number).unwrap() + 1;
    let accounted = || gateway.unconfirmed_frames() + stats.unrecorded.get();
    let told = async {
        while accounted() < all {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, told).await.unwrap();
    drop(feed);
    gateway.cut_power().await;
}
