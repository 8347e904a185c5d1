//! A hospital and vehicles with certificates, as processes: who is let in, who is
//! not, and what a revocation does. At the embedded broker and at a Mosquitto with the
//! listener and the rules that we ship.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unnecessary_debug_formatting,
    clippy::unwrap_used,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use enroute_mqtt::{Client, Connector, Event, Events, Options, Publish};
use enroute_tests::mosquitto::Mosquitto;
use enroute_tests::process::Process;
use enroute_tests::stack::free_port;
use enroute_tls::ClientFiles;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");

/// A directory with certificates, and what runs there.
struct Site {
    dir: tempfile::TempDir,
    /// `kind`, address and files of the broker in the server's configuration.
    broker: String,
    broker_port: u16,
    _mosquitto: Option<Mosquitto>,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certs = dir.path().join("certs");
        let made = Command::new(BINARY)
            .arg("certs")
            .arg(&certs)
            .args(["--server", "server", "--server", "127.0.0.1"])
            .args([
                "--gateway",
                "amb-12",
                "--gateway",
                "amb-13",
                "--viewer",
                "wall-1",
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let broker_port = free_port();
        Self {
            broker: format!("kind = \"embedded\"\nlisten = \"127.0.0.1:{broker_port}\""),
            dir,
            broker_port,
            _mosquitto: None,
        }
    }

    fn with_mosquitto() -> Option<Self> {
        let site = Self::new();
        let mosquitto = Mosquitto::start_tls(&site.cert(""))?;
        let port = mosquitto.port();
        let files = site.client_files("enroute-server");
        Some(Self {
            broker: format!(
                "kind = \"external\"\nhost = \"127.0.0.1\"\nport = {port}\n[broker.tls]\n{files}"
            ),
            broker_port: port,
            _mosquitto: Some(mosquitto),
            ..site
        })
    }

    fn cert(&self, name: &str) -> PathBuf {
        self.dir.path().join("certs").join(name)
    }

    fn client_files(&self, name: &str) -> String {
        format!(
            "authority = {:?}\ncertificate = {:?}\nkey = {:?}\n",
            self.cert("hospital/ca.pem"),
            self.cert(&format!("vehicles/{name}.pem")),
            self.cert(&format!("vehicles/{name}.key")),
        )
    }

    /// Starts the server; its address for viewers.
    fn serve(&self) -> (Process, String) {
        let config = format!(
            "listen = \"127.0.0.1:0\"\ndata = {:?}\n[tls]\ncertificate = {:?}\nkey = {:?}\n\
             viewers = {:?}\nviewers_revoked = {:?}\ngateways = {:?}\ngateways_revoked = {:?}\n\
             [broker]\n{}\n",
            self.dir.path().join("data"),
            self.cert("hospital/server.pem"),
            self.cert("hospital/server.key"),
            self.cert("viewers/ca.pem"),
            self.cert("viewers/revoked.pem"),
            self.cert("vehicles/ca.pem"),
            self.cert("vehicles/revoked.pem"),
            self.broker,
        );
        let file = self.dir.path().join("server.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(BINARY);
        let mut server = Process::start("server", command.arg("serve").arg("--config").arg(file));
        let address = server.wait_for("its address", |line| {
            let (_, rest) = line.split_once("https://")?;
            Some(format!("https://{}", rest.split_once('/')?.0))
        });
        server.wait_for("ready", |line| (line == "ready").then_some(()));
        (server, address)
    }

    /// Starts a gateway `id` that shows the certificate of `bearer`.
    fn gateway(&self, id: &str, bearer: &str) -> Process {
        let config = format!(
            "[gateway]\nid = \"{id}\"\n[gateway.broker]\nhost = \"127.0.0.1\"\nport = {}\n\
             [gateway.broker.tls]\n{}[gateway.spool]\ndir = {:?}\n[gateway.page]\n\
             listen = \"127.0.0.1:0\"\n[source.simulator]\nseed = 1\nwaveforms = false\n",
            self.broker_port,
            self.client_files(bearer),
            self.dir.path().join(format!("spool-{id}-{bearer}")),
        );
        let file = self.dir.path().join(format!("{id}-{bearer}.toml"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(BINARY);
        Process::start("gateway", command.arg("gateway").arg("--config").arg(file))
    }

    /// A viewer that prints JSON; `bearer`: whose certificate it shows, if any.
    fn watch(&self, address: &str, bearer: Option<&str>) -> Process {
        let mut command = self.viewer(bearer);
        command.args(["watch", "--json", "--server", address]);
        Process::start("watch", &mut command)
    }

    fn viewer(&self, bearer: Option<&str>) -> Command {
        let mut command = Command::new(BINARY);
        command.env("ENROUTE_TLS_AUTHORITY", self.cert("hospital/ca.pem"));
        if let Some(bearer) = bearer {
            command
                .env(
                    "ENROUTE_TLS_CERTIFICATE",
                    self.cert(&format!("{bearer}.pem")),
                )
                .env("ENROUTE_TLS_KEY", self.cert(&format!("{bearer}.key")));
        }
        command
    }

    /// An MQTT client that shows a gateway's certificate under a client id.
    fn client(&self, bearer: &str, client_id: &str) -> (Client, Events) {
        let files = ClientFiles {
            authority: self.cert("hospital/ca.pem"),
            certificate: Some(self.cert(&format!("vehicles/{bearer}.pem"))),
            key: Some(self.cert(&format!("vehicles/{bearer}.key"))),
        };
        let connector = Connector::new(files, &[]).unwrap();
        Client::connect(Options {
            tls: Some(Arc::new(connector)),
            ..Options::new("127.0.0.1", self.broker_port, client_id)
        })
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// Waits until a viewer sees a value of a gateway.
fn sees(watch: &mut Process, gateway: &str) {
    let named = format!("\"gateway\":\"{gateway}\"");
    watch.wait_for("a value", |line| {
        (line.contains("\"values\"") && line.contains(&named)).then_some(())
    });
}

#[test]
fn with_certificates_the_whole_way_works_and_a_revocation_ends_it() {
    let site = Site::new();
    let (mut server, address) = site.serve();
    let gateway = site.gateway("amb-12", "amb-12");
    let mut watch = site.watch(&address, Some("viewers/wall-1"));
    sees(&mut watch, "amb-12");
    // Another vehicle's certificate does not make it this vehicle.
    let _posing = site.gateway("amb-12", "amb-13");
    server.wait_for("a refusal", |line| {
        (line.contains("refused a client of the broker") && line.contains("amb-13")).then_some(())
    });
    for revoked in ["vehicles/amb-12", "viewers/wall-1"] {
        let mut command = Command::new(BINARY);
        let done = command
            .arg("certs")
            .arg(site.cert(""))
            .args(["--revoke", revoked]);
        assert!(done.output().unwrap().status.success());
        server.wait_for("the end of what lived", |line| {
            line.contains("ended connections").then_some(())
        });
    }
    watch.wait_for("the end of the stream", |line| {
        line.contains("\"type\":\"lost\"").then_some(())
    });
    drop(gateway);
    server.stop();
}

#[test]
fn a_viewer_without_a_certificate_of_the_authority_sees_nothing() {
    let site = Site::new();
    let (_server, address) = site.serve();
    for stranger in [None, Some("vehicles/amb-12")] {
        let mut watch = site.watch(&address, stranger);
        watch.wait_for("that it is not let in", |line| {
            assert!(!line.contains("\"type\":\"snapshot\""), "{line}");
            line.contains("\"type\":\"lost\"").then_some(())
        });
    }
    let plain = address.replace("https", "http");
    let mut command = site.viewer(Some("viewers/wall-1"));
    let refused = command
        .args(["transfer", "list", "--server", &plain])
        .output()
        .unwrap();
    assert!(!refused.status.success(), "{}", said(&refused));
    let mut unsaid = Command::new(BINARY);
    let refused = unsaid
        .args(["transfer", "list", "--server", &address])
        .output()
        .unwrap();
    assert!(
        said(&refused).contains("set ENROUTE_TLS_AUTHORITY"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn the_embedded_broker_keeps_gateways_apart() {
    let site = Site::new();
    let (_server, _) = site.serve();
    keeps_apart(&site).await;
}

#[tokio::test]
async fn mosquitto_with_the_shipped_rules_keeps_gateways_apart() {
    let Some(site) = Site::with_mosquitto() else {
        return;
    };
    keeps_apart(&site).await;
    let (_server, address) = site.serve();
    let _gateway = site.gateway("amb-12", "amb-12");
    sees(&mut site.watch(&address, Some("viewers/wall-1")), "amb-12");
}

/// What a gateway publishes below its own name is taken, the rest refused.
async fn keeps_apart(site: &Site) {
    let (client, mut events) = site.client("amb-12", "enroute-gw-amb-12-live");
    let topics = [
        ("enroute/v1/gw/amb-12/tx/t1/live", true),
        ("enroute/v1/gw/amb-12/status", true),
        ("enroute/v1/gw/amb-13/tx/t1/live", false),
        ("enroute/v1/gw/amb-13/status", false),
        ("enroute/v1/gw/amb-12/receipt", false),
        ("enroute/v1/gw/amb-13/command", false),
    ];
    for (token, (topic, taken)) in (1..).zip(topics) {
        assert_eq!(
            publish(&client, &mut events, topic, token).await,
            taken,
            "{topic}"
        );
    }
    client.close().await;
}

/// Whether the broker took it.
async fn publish(client: &Client, events: &mut Events, topic: &str, token: u64) -> bool {
    loop {
        if client.is_connected() {
            let publish = Publish::new(topic, &b"x"[..], token);
            if client.publish(publish).await.is_ok() {
                break;
            }
        }
        events.next().await.expect("a connection");
    }
    loop {
        match events.next().await.expect("an answer") {
            Event::Puback { .. } => return true,
            Event::Refused { .. } | Event::Lost { .. } => return false,
            Event::Connected { .. }
            | Event::Subscribed
            | Event::Publish(_)
            | Event::Disconnected { .. } => {}
        }
    }
}

#[test]
fn wrong_files_are_named_before_anything_opens() {
    let site = Site::new();
    let write = |listen: &str, tls: &str| {
        let data = site.dir.path().join("data");
        let text = format!("listen = \"{listen}\"\ndata = {data:?}\n{tls}\n");
        let file = site.dir.path().join("server.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(BINARY);
        let output = command
            .arg("serve")
            .arg("--config")
            .arg(file)
            .output()
            .unwrap();
        (output.status.code(), said(&output))
    };
    let tls = |certificate: &Path| {
        format!(
            "[tls]\ncertificate = {certificate:?}\nkey = {:?}\ngateways = {:?}",
            site.cert("hospital/server.key"),
            site.cert("vehicles/ca.pem"),
        )
    };
    let (code, said) = write("127.0.0.1:0", &tls(&site.cert("hospital/absent.pem")));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("hospital/absent.pem: cannot be read"),
        "{said}"
    );
    // Off loopback a viewer must be known, too.
    let (code, said) = write("0.0.0.0:0", &tls(&site.cert("hospital/server.pem")));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no [tls] with viewers"), "{said}");
}
