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

use enroute_mqtt::{Client, Event, Events, Options, Publish};
use enroute_tests::process::Process;
use enroute_tests::site::{Site, said};
use enroute_tests::stack::Broker;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");

const SOURCE: &str = "[source.simulator]\nseed = 1\nwaveforms = false";

/// An MQTT client that shows a gateway's certificate under a client id.
fn client(site: &Site, bearer: &str, client_id: &str) -> (Client, Events) {
    let connector = site.connector(Some(&format!("vehicles/{bearer}")), &[]);
    Client::connect(Options {
        tls: Some(Arc::new(connector)),
        ..Options::new("127.0.0.1", site.broker_port(), client_id)
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
