//! A real Mosquitto on a free port, with the configuration that we ship: only
//! its listener's port, its directory and its user are replaced. For tests.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// What we ship.
const CONFIGURATION: &str = include_str!("../../deploy/mosquitto.conf");
const TLS: &str = include_str!("../../deploy/mosquitto-tls.conf");
const ACL: &str = include_str!("../../deploy/mosquitto.acl");
/// Where Debian puts it, beside what the search path offers.
const DEBIAN: &str = "/usr/sbin/mosquitto";
/// Only a guard against hanging.
const START: Duration = Duration::from_mins(1);
/// Somebody else may take the free port between our look and its start.
const ATTEMPTS: u32 = 5;

/// A Mosquitto process; killed when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    program: PathBuf,
    port: u16,
    directory: tempfile::TempDir,
}

impl Mosquitto {
    /// Starts one and waits until it listens. `None`, with a line on stderr, when
    /// there is no Mosquitto on this machine.
    ///
    /// # Panics
    /// When it is absent and `ENROUTE_REQUIRE_TOOLS=1`, or when it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// As [`Mosquitto::start`], with the listener for a network that we ship in place
    /// of the one for loopback. `certs`: the directory that `enroute certs` filled for
    /// a server whose first name is `server`.
    #[must_use]
    pub fn start_tls(certs: &Path) -> Option<Self> {
        Self::start_with(Some(certs))
    }

    fn start_with(certs: Option<&Path>) -> Option<Self> {
        let Some(program) = program() else {
            let required = std::env::var("ENROUTE_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
            assert!(!required, "ENROUTE_REQUIRE_TOOLS=1 and no mosquitto");
            eprintln!("SKIPPED: no mosquitto on this machine (apt-get install mosquitto)");
            return None;
        };
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(&program, certs) {
                Ok(started) => return Some(started),
                Err(error) => last = error,
            }
        }
        panic!("mosquitto did not start: {last}");
    }

    fn try_start(program: &Path, certs: Option<&Path>) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let directory = tempfile::tempdir().map_err(text)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(text)?
            .port();
        std::fs::write(
            directory.path().join("mosquitto.conf"),
            configuration(directory.path(), port, certs),
        )
        .map_err(text)?;
        std::fs::write(directory.path().join("mosquitto.acl"), ACL).map_err(text)?;
        let child = spawn(program, directory.path())?;
        let program = program.to_owned();
        Ok(Self {
            child,
            program,
            port,
            directory,
        })
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it with SIGKILL: it saves nothing.
    pub fn kill(&mut self) {
        if self.child.kill().is_ok()
            && let Err(error) = self.child.wait()
        {
            eprintln!("mosquitto not waited for: {error}");
        }
    }

    /// Deletes all that it saved, after [`Mosquitto::kill`]: sessions, queued and
    /// retained messages.
    pub fn forget(&self) {
        std::fs::remove_file(self.directory.path().join("mosquitto.db")).ok();
    }

    /// Starts it again on the same port, after [`Mosquitto::kill`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn(&self.program, self.directory.path())?;
        Ok(())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join("mosquitto"))
        .chain([PathBuf::from(DEBIAN)])
        .find(|candidate| candidate.is_file())
}

/// The shipped configuration with what a test must have of its own.
fn configuration(directory: &Path, port: u16, certs: Option<&Path>) -> String {
    let shipped = match certs {
        None => CONFIGURATION.to_owned(),
        Some(certs) => {
            let (every_listener, _) = CONFIGURATION.split_once("# ---- This machine").unwrap();
            let certs = certs.display().to_string();
            let acl = directory.join("mosquitto.acl").display().to_string();
            let tls = TLS.replace("/etc/enroute/certs", &certs);
            format!(
                "{every_listener}{}",
                tls.replace("/etc/enroute/mosquitto.acl", &acl)
            )
        }
    };
    let mut own = String::new();
    for line in shipped.lines() {
        let line = match line.split_whitespace().next() {
            Some("listener") => format!("listener {port} 127.0.0.1"),
            Some("persistence_location") => {
                format!("persistence_location {}/", directory.display())
            }
            _ => line.to_owned(),
        };
        own.push_str(&line);
        own.push('\n');
    }
    // As root it would drop its privileges and could not write to the directory.
    own.push_str("user root\n");
    // Its word that it runs is of this type.
    own.push_str("log_type information\n");
    own
}

/// Starts the process and waits for its word that it runs.
fn spawn(program: &Path, directory: &Path) -> Result<Child, String> {
    let mut child = Command::new(program)
        .arg("-c")
        .arg(directory.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (sender, receiver) = sync_channel(1);
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || watch(stderr, &sender));
    }
    let outcome = wait(&receiver);
    if outcome.is_err() && child.kill().is_ok() && child.wait().is_err() {
        eprintln!("mosquitto not waited for");
    }
    outcome.map(|()| child)
}

fn wait(receiver: &Receiver<Result<(), String>>) -> Result<(), String> {
    receiver
        .recv_timeout(START)
        .map_err(|error| error.to_string())?
}

/// Reads what it logs for as long as it runs, so that it never blocks on it.
fn watch(stderr: ChildStderr, sender: &SyncSender<Result<(), String>>) {
    let mut said = String::new();
    let mut told = false;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if !told && line.ends_with(" running") {
            told = true;
            // The receiver waits for exactly one word.
            drop(sender.try_send(Ok(())));
        }
        if !told {
            said.push_str(&line);
            said.push('\n');
        }
    }
    if !told {
        drop(sender.try_send(Err(said)));
    }
}
