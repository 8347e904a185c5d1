//! A broker, a server and a gateway, each a process of its own, in a directory
//! that goes away.

use crate::mosquitto::Mosquitto;
use crate::process::Process;
use std::fmt::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Which broker carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// The one inside the server.
    Embedded,
    /// A Mosquitto process with the configuration that we ship.
    Mosquitto,
}

/// A server and what it needs.
#[derive(Debug)]
pub struct Stack {
    binary: PathBuf,
    dir: TempDir,
    broker_port: u16,
    _mosquitto: Option<Mosquitto>,
    server: Process,
    /// `http://host:port` of the server, of its present life.
    pub address: String,
}

/// A port that was free a moment ago; for what cannot be told to take any.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Stack {
    /// Starts a broker and the server `binary`. `None`, said loudly, where
    /// Mosquitto is wanted and not installed.
    #[must_use]
    pub fn start(binary: &str, broker: Broker) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mosquitto = match broker {
            Broker::Embedded => None,
            Broker::Mosquitto => Some(Mosquitto::start()?),
        };
        let broker_port = mosquitto.as_ref().map_or_else(free_port, Mosquitto::port);
        let mut config = format!(
            "listen = \"127.0.0.1:0\"\ndata = \"{}\"\n[broker]\n",
            dir.path().join("server").display()
        );
        match broker {
            Broker::Embedded => writeln!(
                config,
                "kind = \"embedded\"\nlisten = \"127.0.0.1:{broker_port}\""
            ),
            Broker::Mosquitto => writeln!(
                config,
                "kind = \"external\"\nhost = \"127.0.0.1\"\nport = {broker_port}"
            ),
        }
        .unwrap();
        std::fs::write(dir.path().join("server.toml"), config).unwrap();
        let binary = PathBuf::from(binary);
        let (server, address) = serve(&binary, dir.path());
        Some(Self {
            binary,
            dir,
            broker_port,
            _mosquitto: mosquitto,
            server,
            address,
        })
    }

    /// Kills the server without warning and starts it again on the same data.
    pub fn kill_and_restart_server(&mut self) {
        self.server.kill();
        (self.server, self.address) = serve(&self.binary, self.dir.path());
    }

    /// Asks the server to stop, and holds it to stop well.
    pub fn stop_server(self) {
        self.server.stop();
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("server")
    }

    /// Starts a gateway that plays a record at `speed` (TOML), with more lines
    /// for `[source.wfdb]`.
    #[must_use]
    pub fn play(&self, name: &str, record: &Path, speed: &str, source: &str) -> Process {
        let spool = self.dir.path().join(format!("spool-{name}"));
        let config = format!(
            "shutdown_s = 100\n[gateway]\nid = \"{name}\"\nspeed = {speed}\n\
             [gateway.broker]\nhost = \"127.0.0.1\"\nport = {}\n\
             [gateway.spool]\ndir = \"{}\"\n[gateway.uplink]\nresend_ms = 1000\n\
             [gateway.page]\nlisten = \"127.0.0.1:0\"\n\
             [source.wfdb]\nrecord = \"{}\"\n{source}\n",
            self.broker_port,
            spool.display(),
            record.display(),
        );
        let file = self.dir.path().join(format!("{name}.toml"));
        std::fs::write(&file, config).unwrap();
        Process::start(
            name,
            Command::new(&self.binary)
                .arg("gateway")
                .arg("--config")
                .arg(file),
        )
    }
}

fn serve(binary: &Path, dir: &Path) -> (Process, String) {
    let config = dir.join("server.toml");
    let mut server = Process::start(
        "server",
        Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(config),
    );
    let address = server.wait_for("its address", |line| {
        let (_, rest) = line.split_once("http://")?;
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '/' || c == '"')
            .unwrap_or(rest.len());
        Some(format!("http://{}", rest.get(..end)?))
    });
    (server, address)
}
