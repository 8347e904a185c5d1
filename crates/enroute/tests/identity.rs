//! Who a patient is, as processes: said, shown, exported and deleted by those who may,
//! and in nothing else that the server writes or says.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use enroute_tests::process::Process;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Nobody is called so.
const FAMILY: &str = "Zwackelmann-Fitzgibbon";
const NUMBER: &str = "HUG-90817263";
const PERSON: &str = "family_name = \"Zwackelmann-Fitzgibbon\"\ngiven_name = \"Petronella\"\n\
                      birth_date = \"1958-02-28\"\nrecord_number = \"HUG-90817263\"\n\
                      legal_basis = \"vital_interests\"\nconsent = \"unable\"\n\
                      consent_remark = \"asleep since Aosta\"\n";

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// A directory with keys, tokens and a configuration.
struct Site {
    dir: tempfile::TempDir,
    address: String,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "listen = \"127.0.0.1:0\"\ndata = \"data\"\nlog = \"debug\"\n\
                      [access]\ntokens = \"tokens.toml\"\n\
                      [identity]\ndir = \"who\"\nkeys = \"keys\"\n\
                      [broker]\nlisten = \"127.0.0.1:0\"\n";
        std::fs::write(dir.path().join("server.toml"), config).unwrap();
        let address = String::new();
        let site = Self { dir, address };
        site.keys(7);
        site
    }

    fn at(&self) -> &Path {
        self.dir.path()
    }

    fn keys(&self, key: u8) {
        let file = self.at().join("keys");
        std::fs::write(&file, format!("1 {key:064x}\n")).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.at());
        command
    }

    fn token(&self, role: &str) -> String {
        let arguments = ["token", "create", "--name", role, "--role", role];
        let made = self.command(&arguments).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        said(&made).trim().to_owned()
    }

    fn serve(&mut self) -> Process {
        let arguments = ["serve", "--config", "server.toml"];
        let mut server = Process::start("server", &mut self.command(&arguments));
        self.address = server.wait_for("its address", |line| {
            let (_, rest) = line.split_once("http://")?;
            Some(format!("http://{}", rest.split_once('/')?.0))
        });
        server.wait_for("ready", |line| (line == "ready").then_some(()));
        server
    }

    /// What `enroute` says to whom shows this token and writes this.
    fn ask(&self, token: &str, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command
            .args(["--server", &self.address])
            .env("ENROUTE_TOKEN", token);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that refuses at once does not read it.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        child.wait_with_output().unwrap()
    }

    fn done(&self, token: &str, arguments: &[&str], input: &str) -> String {
        let output = self.ask(token, arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    fn refused(&self, token: &str, arguments: &[&str], input: &str) -> String {
        let output = self.ask(token, arguments, input);
        assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    fn page(&self, token: &str, page: &str) -> String {
        let host = self.address.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let asked = format!(
            "GET {page} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

/// Every name and every byte below a directory.
fn bytes(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        all.extend_from_slice(path.file_name().unwrap().as_encoded_bytes());
        all.extend(if path.is_dir() {
            bytes(&path)
        } else {
            std::fs::read(path).unwrap()
        });
    }
    all
}

fn tells_nothing(what: &str, bytes: &[u8]) {
    for word in [
        FAMILY,
        NUMBER,
        "Petronella",
        "1958-02-28",
        "asleep since Aosta",
    ] {
        let found = bytes.windows(word.len()).any(|at| at == word.as_bytes());
        assert!(!found, "{what} tells {word}");
    }
}

#[test]
fn who_a_patient_is_is_told_to_those_who_may_and_found_nowhere_else() {
    let mut site = Site::new();
    let [clinician, viewer, operator, administrator] =
        ["clinician", "viewer", "operator", "administrator"].map(|role| site.token(role));
    let server = site.serve();
    let added = site.done(&clinician, &["transfer", "add", "--hospital", "HUG"], "");
    let transfer = added.split_whitespace().next().unwrap();
    let show = ["identity", "show", transfer];
    assert!(
        site.refused(&clinician, &show, "")
            .contains("nothing is stored")
    );
    site.done(&clinician, &["identity", "set", transfer], PERSON);
    // What is left out stays; JSON is as good.
    let consent = "{\"consent\": \"given\", \"consent_remark\": \"asleep since Aosta\"}";
    site.done(&clinician, &["identity", "set", transfer], consent);
    let shown = site.done(&clinician, &show, "");
    for word in [
        FAMILY,
        "Petronella",
        "1958-02-28",
        NUMBER,
        "vital interests",
        "unable",
        "given",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    for token in [&viewer, &operator, &administrator] {
        let refused = site.refused(token, &show, "");
        assert!(
            refused.contains("may not see who a patient is"),
            "{refused}"
        );
        tells_nothing("a refusal", refused.as_bytes());
    }
    let number = format!("record_number = \"{NUMBER}\"");
    let exported = site.done(&clinician, &["identity", "export"], &number);
    assert!(
        exported.contains(FAMILY) && exported.contains(transfer),
        "{exported}"
    );
    let wrong = site.refused(
        &clinician,
        &["identity", "set", transfer],
        "birth_date = \"28.2.58\"",
    );
    assert!(wrong.contains("YYYY-MM-DD"), "{wrong}");

    for arguments in [
        ["transfer", "list", "--closed", "--json"].as_slice(),
        &["transfer", "show", transfer],
    ] {
        tells_nothing("a list", site.done(&clinician, arguments, "").as_bytes());
    }
    for page in ["/metrics", "/ingest"] {
        tells_nothing(page, site.page(&operator, page).as_bytes());
    }
    let log = server.stop_and_tell().join("\n");
    assert!(log.contains("DEBUG"), "{log}");
    tells_nothing("the log", log.as_bytes());
    tells_nothing("what the server stores", &bytes(&site.at().join("data")));
    tells_nothing("the identity store", &bytes(&site.at().join("who")));

    let server = site.serve();
    let delete = ["identity", "delete", "--person"];
    assert!(
        site.refused(&clinician, &delete, &number)
            .contains("may not delete who a person is")
    );
    let deleted = site.done(&administrator, &delete, &number);
    assert!(deleted.contains(transfer), "{deleted}");
    tells_nothing("a deletion", deleted.as_bytes());
    assert!(
        site.refused(&clinician, &show, "")
            .contains("nothing is stored")
    );
    tells_nothing("the log", server.stop_and_tell().join("\n").as_bytes());
}

#[test]
fn a_server_with_the_wrong_key_does_not_start_and_harms_nothing() {
    let mut site = Site::new();
    let clinician = site.token("clinician");
    let server = site.serve();
    let added = site.done(&clinician, &["transfer", "add"], "");
    let transfer = added.split_whitespace().next().unwrap();
    site.done(&clinician, &["identity", "set", transfer], PERSON);
    server.stop();
    let start = |site: &Site| {
        let started = site
            .command(&["serve", "--config", "server.toml"])
            .output()
            .unwrap();
        assert!(!started.status.success());
        said(&started)
    };
    site.keys(8);
    let wrong = start(&site);
    assert!(
        wrong.contains("key 1 is not the key 1 with which"),
        "{wrong}"
    );
    std::fs::remove_file(site.at().join("keys")).unwrap();
    let absent = start(&site);
    assert!(
        absent.contains("identity store") && absent.contains("keys"),
        "{absent}"
    );
    site.keys(7);
    let server = site.serve();
    let shown = site.done(&clinician, &["identity", "show", transfer], "");
    assert!(shown.contains(FAMILY), "{shown}");
    server.stop();
}
