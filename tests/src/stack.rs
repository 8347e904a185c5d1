//! A broker, a server and a gateway, each a process of its own, in a directory
//! that goes away.

use crate::mosquitto::Mosquitto;
use crate::process::Process;
use crate::small_disk::SmallDisk;
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

/// Where everything is kept; goes away when dropped.
#[derive(Debug)]
pub struct Place {
    /// Unmounted before the directory goes.
    small_disk: Option<SmallDisk>,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            small_disk: None,
            dir: TempDir::new().unwrap(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path().join("server")
    }
}

/// A server and what it needs.
#[derive(Debug)]
pub struct Stack {
    binary: PathBuf,
    dir: Place,
    broker_port: u16,
    mosquitto: Option<Mosquitto>,
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
        Some(match broker {
            Broker::Embedded => Self::of(binary, None, free_port(), Place::new()),
            Broker::Mosquitto => {
                let mosquitto = Mosquitto::start()?;
                let port = mosquitto.port();
                Self::with_mosquitto(binary, mosquitto, port)
            }
        })
    }

    /// Starts a server that finds `mosquitto` at `port` of 127.0.0.1, which may be
    /// that of a proxy.
    #[must_use]
    pub fn with_mosquitto(binary: &str, mosquitto: Mosquitto, port: u16) -> Self {
        Self::of(binary, Some(mosquitto), port, Place::new())
    }

    /// As [`Stack::with_mosquitto`], with the server's data on a disk of so many
    /// MiB, where one can be had.
    #[must_use]
    pub fn with_small_disk(binary: &str, mosquitto: Mosquitto, port: u16, mib: u32) -> Self {
        let mut place = Place::new();
        place.small_disk = SmallDisk::mount(&place.data(), mib);
        Self::of(binary, Some(mosquitto), port, place)
    }

    /// Starts a server with its own broker on a data directory that `prepare` makes.
    #[must_use]
    pub fn on_data(binary: &str, prepare: impl FnOnce(&Path)) -> Self {
        let place = Place::new();
        prepare(&place.data());
        Self::of(binary, None, free_port(), place)
    }

    fn of(binary: &str, mosquitto: Option<Mosquitto>, port: u16, dir: Place) -> Self {
        let broker = match &mosquitto {
            None => format!("kind = \"embedded\"\nlisten = \"127.0.0.1:{port}\""),
            Some(_) => format!("kind = \"external\"\nhost = \"127.0.0.1\"\nport = {port}"),
        };
        let config = format!(
            "listen = \"127.0.0.1:0\"\ndata = \"{}\"\n[broker]\n{broker}\n",
            dir.data().display()
        );
        std::fs::write(dir.path().join("server.toml"), config).unwrap();
        let binary = PathBuf::from(binary);
        let (server, address) = serve(&binary, dir.path());
        Self {
            binary,
            dir,
            broker_port: mosquitto.as_ref().map_or(port, Mosquitto::port),
            mosquitto,
            server,
            address,
        }
    }

    /// Kills the server without warning and starts it again on the same data.
    pub fn kill_and_restart_server(&mut self) {
        self.server.kill();
        (self.server, self.address) = serve(&self.binary, self.dir.path());
    }

    /// Kills the server without warning, does something to its data, and starts it
    /// again.
    pub fn replace_server(&mut self, meanwhile: impl FnOnce()) {
        self.server.kill();
        meanwhile();
        (self.server, self.address) = serve(&self.binary, self.dir.path());
    }

    /// The server's disk, if it is a small one.
    #[must_use]
    pub fn small_disk(&self) -> Option<&SmallDisk> {
        self.dir.small_disk.as_ref()
    }

    /// Whether the server has ended by itself.
    #[must_use]
    pub fn server_has_ended(&mut self) -> bool {
        self.server.has_ended()
    }

    /// Kills the broker without warning and starts it again, with what it had
    /// saved or as if it had never been.
    ///
    /// # Panics
    /// When the broker is not a Mosquitto, or does not start.
    pub fn kill_and_restart_broker(&mut self, forget: bool) {
        let mosquitto = self.mosquitto.as_mut().expect("a Mosquitto");
        mosquitto.kill();
        if forget {
            mosquitto.forget();
        }
        mosquitto.start_again().unwrap();
    }

    /// Asks the server to stop, holds it to stop well, and gives its directory,
    /// in which the data are.
    #[must_use]
    pub fn stop_server(self) -> Place {
        self.server.stop();
        self.dir
    }

    /// Where the broker listens.
    #[must_use]
    pub fn broker_port(&self) -> u16 {
        self.broker_port
    }

    /// Where a gateway keeps its spool.
    #[must_use]
    pub fn spool(&self, gateway: &str) -> PathBuf {
        self.dir.path().join(format!("spool-{gateway}"))
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.data()
    }

    /// Starts a gateway that plays a record at `speed` (TOML), with more lines
    /// for `[source.wfdb]`.
    #[must_use]
    pub fn play(&self, name: &str, record: &Path, speed: &str, source: &str) -> Process {
        let gateway = format!("speed = {speed}");
        self.play_at(name, record, &gateway, source, self.broker_port)
    }

    /// As [`Stack::play`], with lines for `[gateway]` and a port of 127.0.0.1 at
    /// which it finds the broker.
    #[must_use]
    pub fn play_at(
        &self,
        name: &str,
        record: &Path,
        gateway: &str,
        source: &str,
        port: u16,
    ) -> Process {
        let record = record.display();
        let source = format!("[source.wfdb]\nrecord = \"{record}\"\n{source}");
        self.gateway(name, gateway, &source, port)
    }

    /// Starts a gateway with lines for `[gateway]` and the table of its source.
    #[must_use]
    pub fn gateway(&self, name: &str, gateway: &str, source: &str, port: u16) -> Process {
        let spool = self.spool(name);
        let config = format!(
            "shutdown_s = 100\n[gateway]\nid = \"{name}\"\n{gateway}\n\
             [gateway.broker]\nhost = \"127.0.0.1\"\nport = {port}\n\
             [gateway.spool]\ndir = \"{}\"\n[gateway.uplink]\nresend_ms = 1000\n\
             [gateway.page]\nlisten = \"127.0.0.1:0\"\n{source}\n",
            spool.display(),
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
