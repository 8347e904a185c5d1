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
/// Tokens that do not count, with spaces between them.
const FORGED: &str = "ENROUTE_ATTACK_FORGED";
/// Which attackers there are, with commas between them; absent: all.
const DOORS: &str = "ENROUTE_ATTACK_DOORS";

type Door = fn(&Target, &mut JoinSet<()>);

const ALL: [(&str, Door); 4] = [
    ("sockets", sockets::attack),
    ("http2", http2::attack),
    ("calls", calls::attack),
    ("broker", broker::attack),
];

/// An attack that is under way.
pub(crate) struct Attack(Child);

impl Attack {
    pub(crate) fn start(site: &Site, address: &str, token: &str, forged: &[String]) -> Self {
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
            .env(FORGED, forged.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Whether somebody still attacks.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Ends it; what was done how often.
    pub(crate) fn stop(mut self) -> Vec<(String, u64)> {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let mut out = self.0.stdout.take().unwrap();
        out.read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
        let lines = said.lines().filter_map(|line| line.strip_prefix("did "));
        let done = lines.filter_map(|line| line.rsplit_once(": "));
        done.map(|(what, times)| (what.to_owned(), times.parse().unwrap()))
            .collect()
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
    /// Of its issuer, in form, and none of them counts.
    pub(crate) forged: Vec<String>,
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
            forged: of(FORGED)?.split_whitespace().map(str::to_owned).collect(),
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

/// Whether only some of them are let in.
pub(crate) fn are_chosen() -> bool {
    std::env::var(DOORS).is_ok()
}

/// Attacks until nobody is there who wants it.
pub(crate) async fn run() {
    let Some(target) = Target::of_environment() else {
        return;
    };
    let mut attackers = JoinSet::new();
    let chosen = std::env::var(DOORS).ok();
    let is_in = |name| {
        chosen
            .as_ref()
            .is_none_or(|names| names.split(',').any(|one| one == name))
    };
    for (_, attack) in ALL.iter().filter(|(name, _)| is_in(*name)) {
        attack(&target, &mut attackers);
    }
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await.unwrap();
    attackers.shutdown().await;
    println!();
    for (what, times) in target.done.lock().unwrap().iter() {
        println!("did {what}: {times}");
    }
}
