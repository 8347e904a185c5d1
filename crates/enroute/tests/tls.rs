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

use enroute_model::frame::Body;
use enroute_model::ids::Stream;
use enroute_model::time::Span;
use enroute_mqtt::{Client, Event, Events, Options, Publish};
use enroute_simulator::radio::{LinkState, Plan, Proxy};
use enroute_tests::process::Process;
use enroute_tests::site::{Site, channel, said};
use enroute_tests::stack::Broker;
use enroute_tests::viewer::history_over;
use enroute_tests::wfdb_set;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");

const SOURCE: &str = "[source.simulator]\nseed = 1\nwaveforms = false";

/// An MQTT client that shows a gateway's certificate under a client id.
fn client(site: &Site, bearer: &str, client_id: &str) -> (Client, Events) {
    client_at(site, site.broker_port(), bearer, client_id)
}

fn client_at(site: &Site, port: u16, bearer: &str, client_id: &str) -> (Client, Events) {
    let connector = site.connector(Some(&format!("vehicles/{bearer}")), &[]);
    Client::connect(Options {
        tls: Some(Arc::new(connector)),
        ..Options::new("127.0.0.1", port, client_id)
    })
}

fn embedded() -> Site {
    Site::new(BINARY, Broker::Embedded, &[]).unwrap()
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
    let site = embedded();
    let (mut server, address) = site.serve(true, "");
    let gateway = site.gateway("amb-12", "amb-12", SOURCE);
    let mut watch = site.watch(&address, Some("viewers/wall-1"));
    sees(&mut watch, "amb-12");
    // Another vehicle's certificate does not make it this vehicle.
    let _posing = site.gateway("amb-12", "amb-13", SOURCE);
    server.wait_for("a refusal", |line| {
        (line.contains("refused a client of the broker") && line.contains("amb-13")).then_some(())
    });
    for revoked in ["vehicles/amb-12", "viewers/wall-1"] {
        site.revoke(revoked);
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
    let site = embedded();
    let (_server, address) = site.serve(true, "");
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
    let site = embedded();
    let (_server, _) = site.serve(true, "");
    keeps_apart(&site).await;
}

#[tokio::test]
async fn mosquitto_with_the_shipped_rules_keeps_gateways_apart() {
    let Some(site) = Site::new(BINARY, Broker::Mosquitto, &[]) else {
        return;
    };
    keeps_apart(&site).await;
    let (_server, address) = site.serve(true, "");
    let _gateway = site.gateway("amb-12", "amb-12", SOURCE);
    sees(&mut site.watch(&address, Some("viewers/wall-1")), "amb-12");
}

/// What a gateway publishes below its own name is taken, the rest refused.
async fn keeps_apart(site: &Site) {
    let (client, mut events) = client(site, "amb-12", "enroute-gw-amb-12-live");
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

#[tokio::test(flavor = "multi_thread")]
async fn two_connections_come_about_over_a_satellite_of_2400_bits_a_second() {
    let site = embedded();
    let (_server, _) = site.serve(true, "");
    let thin = LinkState::Up {
        delay: Span(400_000),
        bytes_per_s: 300,
    };
    let broker = format!("127.0.0.1:{}", site.broker_port());
    let link = Proxy::start(&broker, Plan::always(thin)).await.unwrap();
    let lanes = ["live", "history"].map(|lane| {
        let client_id = format!("enroute-gw-amb-12-{lane}");
        client_at(&site, link.addr().port(), "amb-12", &client_id)
    });
    for (_client, mut events) in lanes {
        // Nothing was given up on the way, to be begun again.
        let first = events.next().await;
        assert!(matches!(first, Some(Event::Connected { .. })), "{first:?}");
    }
}

#[test]
fn wrong_files_are_named_before_anything_opens() {
    let site = embedded();
    let write = |listen: &str, tls: &str| {
        let data = site.path().join("data");
        let text = format!("listen = \"{listen}\"\ndata = {data:?}\n{tls}\n");
        let file = site.path().join("server.toml");
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

/// What a command says of arguments that are wrong.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    said(&output)
}

/// A command that keeps what it has in the site's directory while it runs: some are
/// killed.
fn command(site: &Site) -> Command {
    let mut command = site.viewer(None);
    command.env("TMPDIR", site.path());
    command
}

/// `enroute replay` from the server at `address` to the site's broker, with the
/// certificate of `bearer`.
fn replay(site: &Site, address: &str, bearer: &str) -> Command {
    let mut command = command(site);
    let to = format!("mqtts://127.0.0.1:{}", site.broker_port());
    command.args(["replay", "t-1", "--speed", "max", "--server", address]);
    command.args(["--to", &to, "--authority"]);
    command.arg(site.cert("hospital/ca.pem"));
    for (option, end) in [("--certificate", "pem"), ("--key", "key")] {
        let file = site.cert(&format!("vehicles/{bearer}.{end}"));
        command.arg(option).arg(file);
    }
    command
}

#[tokio::test]
async fn what_is_published_again_over_tls_arrives_as_it_was() {
    published_again(&embedded()).await;
}

#[tokio::test]
async fn what_is_published_again_through_mosquitto_arrives_as_it_was() {
    if let Some(site) = Site::new(BINARY, Broker::Mosquitto, &[]) {
        published_again(&site).await;
    }
}

/// A server that has all that a vehicle played as `t-1`, and its address.
fn recorded(site: &Site) -> (Process, String) {
    let served = site.serve(false, "");
    let (record, _) = wfdb_set::write(site.path());
    let source = format!("[source.wfdb]\nrecord = {record:?}");
    let lines = "transfer = \"t-1\"\nspeed = \"max\"";
    let gateway = site.gateway_with("amb-12", "amb-12", lines, &source);
    let (status, told) = gateway.finish();
    assert!(status.success(), "{told:#?}");
    served
}

/// What is published again under the name in another certificate is the same, frame by
/// frame.
async fn published_again(site: &Site) {
    let (_server, address) = recorded(site);
    let done = replay(site, &address, "amb-13").output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    let said = said(&done);
    assert!(said.contains("from gateway amb-13"), "{said}");
    assert!(said.contains("0 frames not confirmed"), "{said}");
    let new = said.split_whitespace().find(|word| word.starts_with("tx-"));
    let first = bodies(site, &address, "t-1", "amb-12").await;
    let again = bodies(site, &address, new.unwrap(), "amb-13").await;
    assert_eq!(first.len(), 8, "a frame for each second");
    assert_eq!(again, first);
}

/// What was recorded of a transfer, all of it from this gateway, without what is about
/// the gateway's own link.
async fn bodies(site: &Site, address: &str, transfer: &str, from: &str) -> Vec<(Stream, Body)> {
    let channel = channel(site, address, 1).await.unwrap();
    let frames = history_over(channel, transfer).await.into_iter();
    let mut bodies = Vec::new();
    for ((gateway, _, stream, _), frame) in frames {
        assert_eq!(gateway, from);
        if !matches!(frame.body, Body::Link(_) | Body::Shed(_)) {
            bodies.push((stream, frame.body));
        }
    }
    bodies
}

#[test]
fn a_replay_that_a_broker_would_refuse_is_refused_before_it_connects() {
    let site = embedded();
    // Nobody listens there: who connects says something else.
    let replay = |to: &str, more: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args([
            "replay",
            "t-1",
            "--server",
            "http://127.0.0.1:1",
            "--to",
            to,
        ]);
        command.args(more);
        command
    };
    let file = |name: &str| site.cert(name).to_str().unwrap().to_owned();
    let authority = ["--authority", &file("hospital/ca.pem")];
    let certificate = ["--certificate", &file("vehicles/amb-13.pem")];
    let key = ["--key", &file("vehicles/amb-13.key")];
    let with = [authority, certificate, key].concat();
    let there = "mqtts://192.0.2.1:8883";
    let told = refusal(&mut replay(
        there,
        &[&with[..], &["--gateway", "amb-12"]].concat(),
    ));
    assert!(
        told.contains("vehicles/amb-13.pem: is the certificate of amb-13"),
        "{told}"
    );
    let told = refusal(&mut replay(there, &[]));
    assert!(told.contains("needs --authority"), "{told}");
    let told = refusal(&mut replay("mqtt://127.0.0.1", &with));
    assert!(told.contains("is without TLS: use mqtts://"), "{told}");
    let told = refusal(&mut replay(there, &[authority, certificate].concat()));
    assert!(told.contains("--key <FILE>"), "{told}");
    let told = refusal(&mut replay("mqtt://192.0.2.1", &[]));
    assert!(
        told.contains("is reached over the network, and there is no TLS"),
        "{told}"
    );
    for mut taken in [
        replay("mqtt://192.0.2.1", &["--allow-unprotected-network"]),
        replay(there, &[&with[..], &["--gateway", "amb-13"]].concat()),
    ] {
        let told = said(&taken.output().unwrap());
        assert!(told.contains("127.0.0.1:1 is not reached"), "{told}");
    }
}

#[test]
fn a_replay_with_a_revoked_certificate_is_not_let_in() {
    let site = Site::new(BINARY, Broker::Embedded, &["vehicles/amb-14"]).unwrap();
    let (_server, address) = recorded(&site);
    let mut replay = Process::start("replay", &mut replay(&site, &address, "amb-14"));
    replay.wait_for("why it is not let in", |line| {
        assert!(
            !line.contains("published, ") || line.contains(" 0 confirmed"),
            "{line}"
        );
        line.contains("CertificateRevoked").then_some(())
    });
}

#[test]
fn simulated_vehicles_show_their_certificates_and_say_which_are_missing() {
    simulated(&embedded());
}

#[test]
fn simulated_vehicles_show_their_certificates_to_mosquitto() {
    if let Some(site) = Site::new(BINARY, Broker::Mosquitto, &[]) {
        simulated(&site);
    }
}

fn simulate(site: &Site, broker: &str) -> Command {
    let mut command = command(site);
    command.args([
        "--log",
        "info",
        "simulate",
        "--for",
        "1m",
        "--transfers",
        "1",
        "--broker",
        broker,
    ]);
    command
}

fn simulated(site: &Site) {
    let certs = site.cert("");
    let named = format!("mqtts://127.0.0.1:{}", site.broker_port());
    let said = refusal(&mut simulate(site, &named));
    assert!(said.contains("needs --certs"), "{said}");
    let said = refusal(simulate(site, &named).arg("--certs").arg(site.path()));
    assert!(said.contains("hospital/ca.pem: is not there"), "{said}");
    let said = refusal(simulate(site, &named).arg("--certs").arg(&certs));
    let (what, how) = said.split_once(": is not there").unwrap();
    let first = Path::new(what.rsplit_once(' ').unwrap().1);
    assert!(first.starts_with(&certs) && !first.exists(), "{said}");
    // The command that it says makes them.
    let words = how.rsplit_once("enroute ").unwrap().1.split_whitespace();
    let made = Command::new(BINARY).args(words).output().unwrap();
    assert!(made.status.success() && first.exists(), "{said}");
    let own = std::fs::read(first).unwrap();
    std::fs::copy(site.cert("vehicles/amb-12.pem"), first).unwrap();
    let said = refusal(simulate(site, &named).arg("--certs").arg(&certs));
    assert!(said.contains("is the certificate of amb-12"), "{said}");
    std::fs::write(first, own).unwrap();

    let (_server, address) = site.serve(false, "");
    let start = |broker: &str| {
        let mut command = simulate(site, broker);
        Process::start("simulate", command.arg("--certs").arg(&certs))
    };
    // Its link is a proxy at 127.0.0.1, which the broker's certificate names.
    let elsewhere = format!("mqtts://localhost:{}", site.broker_port());
    start(&elsewhere).wait_for("that it is not the broker", |line| {
        let is_status = line.contains("frames produced");
        assert!(!is_status || line.contains(" 0 sent"), "{line}");
        (line.contains("not valid for name") && line.contains("localhost")).then_some(())
    });
    let vehicles = start(&named);
    let gateway = first.file_stem().unwrap().to_str().unwrap();
    sees(&mut site.watch(&address, None), gateway);
    vehicles.stop();
}
