//! A hospital and vehicles with certificates: the server, its broker, gateways and
//! viewers as processes, and connections by hand that show any certificate or none.

use crate::mosquitto::Mosquitto;
use crate::process::Process;
use crate::stack::{Broker, free_port};
use enroute_tls::{ClientFiles, Connector, TlsStream};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// Gateways that have a certificate.
pub const GATEWAYS: [&str; 4] = ["amb-12", "amb-13", "amb-14", "amb-15"];
/// Viewers that have one.
pub const VIEWERS: [&str; 2] = ["wall-1", "wall-2"];

/// A directory with certificates, and what runs there.
#[derive(Debug)]
pub struct Site {
    binary: PathBuf,
    dir: tempfile::TempDir,
    /// `kind`, address and files of the broker in the server's configuration.
    broker: String,
    broker_port: u16,
    mosquitto: Option<Mosquitto>,
}

/// What is printed by a command, both ways.
#[must_use]
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

impl Site {
    /// Certificates, and the broker if it is one of its own; `revoked` (such as
    /// `vehicles/amb-14`) are taken back before anything starts. `None`, said loudly,
    /// where Mosquitto is wanted and not installed.
    #[must_use]
    pub fn new(binary: &str, broker: Broker, revoked: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.arg("certs").arg(dir.path().join("certs"));
        for (kind, names) in [
            ("--server", &["server", "127.0.0.1"][..]),
            ("--gateway", &GATEWAYS),
            ("--viewer", &VIEWERS),
            ("--revoke", revoked),
        ] {
            command.args(names.iter().flat_map(|name| [kind, name]));
        }
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let port = free_port();
        let mut site = Self {
            binary: binary.into(),
            broker: format!("kind = \"embedded\"\nlisten = \"127.0.0.1:{port}\""),
            dir,
            broker_port: port,
            mosquitto: None,
        };
        if broker == Broker::Mosquitto {
            let mosquitto = Mosquitto::start_tls(&site.cert(""))?;
            site.broker_port = mosquitto.port();
            site.broker = format!(
                "kind = \"external\"\nhost = \"127.0.0.1\"\nport = {}\n[broker.tls]\n{}",
                site.broker_port,
                site.client_files("enroute-server")
            );
            site.mosquitto = Some(mosquitto);
        }
        Some(site)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the broker listens, with TLS.
    #[must_use]
    pub fn broker_port(&self) -> u16 {
        self.broker_port
    }

    /// Which broker it is.
    #[must_use]
    pub fn kind(&self) -> Broker {
        match self.mosquitto {
            Some(_) => Broker::Mosquitto,
            None => Broker::Embedded,
        }
    }

    /// A file below the directory of certificates.
    #[must_use]
    pub fn cert(&self, name: &str) -> PathBuf {
        self.path().join("certs").join(name)
    }

    /// Files of a vehicle as TOML.
    #[must_use]
    pub fn client_files(&self, name: &str) -> String {
        format!(
            "authority = {}\ncertificate = {}\nkey = {}\n",
            quoted(&self.cert("hospital/ca.pem")),
            quoted(&self.cert(&format!("vehicles/{name}.pem"))),
            quoted(&self.cert(&format!("vehicles/{name}.key"))),
        )
    }

    /// What a client of ours needs to show the certificate of `bearer` (such as
    /// `vehicles/amb-12`), or none. ALPN as named.
    #[must_use]
    pub fn connector(&self, bearer: Option<&str>, protocols: &[&str]) -> Connector {
        let file = |end: &str| bearer.map(|name| self.cert(&format!("{name}.{end}")));
        let files = ClientFiles {
            authority: self.cert("hospital/ca.pem"),
            certificate: file("pem"),
            key: file("key"),
        };
        Connector::new(files, protocols).unwrap()
    }

    /// A token of a role for everything, from the site's own file of them.
    #[must_use]
    pub fn token(&self, name: &str, role: &str) -> String {
        let mut command = Command::new(&self.binary);
        command.args(["token", "create", "--name", name, "--role", role, "--file"]);
        let made = command.arg(self.path().join("tokens.toml")).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", said(&made));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// The part of a configuration that asks for the site's tokens.
    #[must_use]
    pub fn access(&self) -> String {
        let file = quoted(&self.path().join("tokens.toml"));
        format!("[access]\ntokens = {file}\n")
    }

    /// Starts the server with further tables; its address for viewers. With
    /// `viewers` it asks them for certificates.
    #[must_use]
    pub fn serve(&self, viewers: bool, more: &str) -> (Process, String) {
        let of = |key: &str, file: &str| format!("{key} = {}\n", quoted(&self.cert(file)));
        let viewers = if viewers {
            of("viewers", "viewers/ca.pem") + &of("viewers_revoked", "viewers/revoked.pem")
        } else {
            String::new()
        };
        let config = format!(
            "listen = \"127.0.0.1:0\"\ndata = {}\n[tls]\n{}{}{viewers}{}{}[broker]\n{}\n{more}",
            quoted(&self.path().join("data")),
            of("certificate", "hospital/server.pem"),
            of("key", "hospital/server.key"),
            of("gateways", "vehicles/ca.pem"),
            of("gateways_revoked", "vehicles/revoked.pem"),
            self.broker,
        );
        let file = self.path().join("server.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(&self.binary);
        let mut server = Process::start("server", command.arg("serve").arg("--config").arg(file));
        let address = server.wait_for("its address", |line| {
            let (_, rest) = line.split_once("https://")?;
            Some(format!("https://{}", rest.split_once('/')?.0))
        });
        server.wait_for("ready", |line| (line == "ready").then_some(()));
        (server, address)
    }

    /// Starts a gateway `id` that shows the certificate of `bearer`, with the table of
    /// its source.
    #[must_use]
    pub fn gateway(&self, id: &str, bearer: &str, source: &str) -> Process {
        self.gateway_with(id, bearer, "", source)
    }

    /// The same with lines for `[gateway]`.
    #[must_use]
    pub fn gateway_with(&self, id: &str, bearer: &str, lines: &str, source: &str) -> Process {
        let config = format!(
            "[gateway]\nid = \"{id}\"\n{lines}\n[gateway.broker]\nhost = \"127.0.0.1\"\nport = {}\n\
             [gateway.broker.tls]\n{}[gateway.spool]\ndir = {}\n[gateway.page]\n\
             listen = \"127.0.0.1:0\"\n{source}\n",
            self.broker_port,
            self.client_files(bearer),
            quoted(&self.path().join(format!("spool-{id}-{bearer}"))),
        );
        let file = self.path().join(format!("{id}-{bearer}.toml"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(&self.binary);
        Process::start("gateway", command.arg("gateway").arg("--config").arg(file))
    }

    /// A command of a viewer; `bearer`: whose certificate it shows, if any.
    #[must_use]
    pub fn viewer(&self, bearer: Option<&str>) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("ENROUTE_TLS_AUTHORITY", self.cert("hospital/ca.pem"));
        if let Some(bearer) = bearer {
            let file = |end: &str| self.cert(&format!("{bearer}.{end}"));
            command.env("ENROUTE_TLS_CERTIFICATE", file("pem"));
            command.env("ENROUTE_TLS_KEY", file("key"));
        }
        command
    }

    /// A viewer that prints JSON.
    #[must_use]
    pub fn watch(&self, address: &str, bearer: Option<&str>) -> Process {
        let mut command = self.viewer(bearer);
        command.args(["watch", "--json", "--server", address]);
        Process::start("watch", &mut command)
    }

    /// Revokes a certificate, as somebody types it.
    pub fn revoke(&self, name: &str) {
        let mut command = Command::new(&self.binary);
        let done = command.arg("certs").arg(self.cert(""));
        let done = done.args(["--revoke", name]).output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
    }
}

/// A channel over TLS to the server at `address`, from 127.0.0.`last`.
///
/// # Errors
/// When it is not made.
pub async fn channel(
    site: &Site,
    address: &str,
    last: u8,
) -> Result<Channel, tonic::transport::Error> {
    let authority = std::fs::read(site.cert("hospital/ca.pem")).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    let endpoint = Endpoint::from_shared(address.to_owned())?.tls_config(tls)?;
    let from = IpAddr::from([127, 0, 0, last]);
    endpoint.local_address(Some(from)).connect().await
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_str().unwrap())
}

/// A TCP connection to a port of this machine, from 127.0.0.`last`.
///
/// # Errors
/// When it is not made.
pub async fn tcp(port: u16, last: u8) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    let to = SocketAddr::from((IpAddr::from(Ipv4Addr::LOCALHOST), port));
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same with TLS in it. With TLS 1.3 a client learns only by reading that its
/// certificate was refused.
///
/// # Errors
/// When it is not made.
pub async fn tls(connector: &Connector, port: u16, last: u8) -> io::Result<TlsStream<TcpStream>> {
    connector.over("127.0.0.1", tcp(port, last).await?).await
}
