//! The attackers as a process: started here, told what to attack by its environment,
//! and stopped by the end of its input.

use crate::{broker, calls, http2, sockets};
use enroute_tests::site::Site;
use enroute_tls::{ClientFiles, Connector};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

const CERTS: &str = "ENROUTE_ATTACK_CERTS";
const PORT: &str = "ENROUTE_ATTACK_PORT";
const BROKER: &str = "ENROUTE_ATTACK_BROKER";
const TOKEN: &str = "ENROUTE_ATTACK_TOKEN";

/// An attack that is under way.
pub(crate) struct Attack(Child);

impl Attack {
    pub(crate) fn start(site: &Site, address: &str, token: &str) -> Self {
        let (_, port) = address.rsplit_once(':').unwrap();
        let own = std::env::current_exe().unwrap();
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(own)
            .args(["--exact", "attackers", "--nocapture"])
            .env(CERTS, site.cert(""))
            .env(PORT, port)
            .env(BROKER, site.broker_port().to_string())
            .env(TOKEN, token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Whether somebody still attacks.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Ends it; what was done, in lines.
    pub(crate) fn stop(mut self) -> Vec<String> {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let mut out = self.0.stdout.take().unwrap();
        out.read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
        let lines = said.lines().filter_map(|line| line.strip_prefix("did "));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What is attacked.
#[derive(Clone)]
pub(crate) struct Target {
    certs: PathBuf,
    /// The server's port.
    pub(crate) port: u16,
    /// The broker's.
    pub(crate) broker: u16,
    /// One that counts.
    pub(crate) token: String,
    done: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Target {
    /// `None`: this is no process of attackers.
    fn of_environment() -> Option<Self> {
        let of = |name| std::env::var(name).ok();
        Some(Self {
            certs: of(CERTS)?.into(),
            port: of(PORT)?.parse().unwrap(),
            broker: of(BROKER)?.parse().unwrap(),
            token: of(TOKEN)?,
            done: Arc::default(),
        })
    }

    pub(crate) fn connector(&self, bearer: Option<&str>, protocols: &[&str]) -> Connector {
        let file = |end: &str| bearer.map(|name| self.certs.join(format!("{name}.{end}")));
        let files = ClientFiles {
            authority: self.certs.join("hospital/ca.pem"),
            certificate: file("pem"),
            key: file("key"),
        };
        Connector::new(files, protocols).unwrap()
    }

    pub(crate) fn authority(&self) -> Vec<u8> {
        std::fs::read(self.certs.join("hospital/ca.pem")).unwrap()
    }

    /// Something was done once more.
    pub(crate) fn did(&self, what: &'static str) {
        *self.done.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// Attacks until nobody is there who wants it.
pub(crate) async fn run() {
    let Some(target) = Target::of_environment() else {
        return;
    };
    let mut attackers = JoinSet::new();
    sockets::attack(&target, &mut attackers);
    http2::attack(&target, &mut attackers);
    calls::attack(&target, &mut attackers);
    broker::attack(&target, &mut attackers);
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await.unwrap();
    attackers.shutdown().await;
    println!();
    for (what, times) in target.done.lock().unwrap().iter() {
        println!("did {what}: {times}");
    }
}
