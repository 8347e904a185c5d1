//! A server that takes the tokens of an issuer, as processes: the issuer comes late,
//! changes its keys, goes away.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use enroute_tests::http;
use enroute_tests::issuer::{Issuer, Key, now_s};
use enroute_tests::process::Process;
use serde_json::{Value, json};
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");

fn config(issuer: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[access]\ntokens = \"tokens.toml\"\n\
         [access.oidc]\nissuer = \"{issuer}\"\naudience = \"enroute\"\n\
         client_id = \"enroute-console\"\nhospital_claim = \"hospitals\"\n\
         [access.oidc.roles]\ndoctors = \"clinician\"\n\
         [broker]\nlisten = \"127.0.0.1:0\"\n"
    )
}

fn claims(issuer: &Issuer, now_s: u64) -> Value {
    json!({
        "iss": issuer.address, "aud": "enroute", "sub": "weber", "name": "Dr. Weber",
        "iat": now_s, "exp": now_s + 3_600, "roles": ["doctors"], "hospitals": ["HUG"],
    })
}

/// What a command says that shows this token.
fn said(token: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(BINARY);
    let output = command.args(arguments).env("ENROUTE_TOKEN", token);
    let output = output.output().unwrap();
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

#[test]
fn an_issuer_comes_late_changes_its_keys_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (first, second) = (Key::p256("first"), Key::ed25519("second"));
    let issuer = Issuer::start(&[&first]);
    issuer.down(true);
    std::fs::write(dir.join("server.toml"), config(&issuer.address)).unwrap();
    let file = dir.join("tokens.toml");
    let file = file.to_str().unwrap();
    let create = [
        "token",
        "create",
        "--name",
        "Ada",
        "--role",
        "clinician",
        "--file",
        file,
    ];
    let fixed = said("", &create).trim().to_owned();

    let mut command = Command::new(BINARY);
    command.args(["serve", "--config", "server.toml"]);
    let mut server = Process::start("server", command.current_dir(dir));
    // It starts without the issuer, and says so: whichever of the two comes first.
    let (mut address, mut is_ready, mut is_told) = (None, false, false);
    let address = server.wait_for("ready and its word", |line| {
        if let Some((_, rest)) = line.split_once("HTTP on http://") {
            address = Some(format!("http://{}", rest.split_once('/')?.0));
        }
        is_ready |= line == "ready";
        is_told |= line.contains("cannot ask the issuer of tokens");
        address.clone().filter(|_| is_ready && is_told)
    });
    let add = ["transfer", "add", "--hospital", "HUG", "--server", &address];
    let list = ["transfer", "list", "--server", &address];
    let listed = said(&fixed, &list);
    assert!(!listed.contains("token"), "{listed}");
    let token = |key: &Key| key.token(&claims(&issuer, now_s(dir)));
    let refused = said(&token(&first), &list);
    assert!(refused.contains("its issuer was not reached"), "{refused}");
    let health = http::get(&address, "/healthz").body;
    assert!(
        health.starts_with("ok\nissuer of tokens not reached since "),
        "{health}"
    );
    let login: Value = serde_json::from_str(&http::get(&address, "/login.json").body).unwrap();
    assert_eq!(login["oidc"]["at"], Value::Null, "{login}");

    // The first who comes with a token makes it look again.
    issuer.down(false);
    let added = said(&token(&first), &add);
    assert!(!added.contains("error"), "{added}");
    assert!(said(&fixed, &list).contains("HUG"));
    assert_eq!(http::get(&address, "/healthz").body, "ok\n");
    let login: Value = serde_json::from_str(&http::get(&address, "/login.json").body).unwrap();
    let at = &login["oidc"]["at"];
    assert_eq!(at["token"], format!("{}/token", issuer.address), "{login}");

    // Another key: its first token is taken, and what hung on the old one ends.
    let mut command = Command::new(BINARY);
    command.args(["watch", "--json", "--server", &address]);
    let mut watch = Process::start("watch", command.env("ENROUTE_TOKEN", token(&first)));
    watch.wait_for("the board", |line| line.contains("HUG").then_some(()));
    issuer.publish(&[&second]);
    assert!(said(&token(&second), &list).contains("HUG"));
    let (status, lines) = watch.finish();
    let why = |line: &String| line.contains("revoked, changed, or is over");
    assert!(!status.success() && lines.iter().any(why), "{lines:#?}");
    let old = said(&token(&first), &list);
    assert!(
        old.contains("a key that its issuer does not publish"),
        "{old}"
    );

    // Without the issuer its keys go on.
    issuer.down(true);
    let stranger = said(&token(&Key::p256("stranger")), &list);
    assert!(stranger.contains("does not publish"), "{stranger}");
    assert!(said(&token(&second), &list).contains("HUG"));
    assert!(issuer.asked() > 3, "it was not asked");
}
