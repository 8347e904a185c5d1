//! Wrong configurations and damaged recordings: a message that says where and
//! what to do, an exit code, and no port opened.

use crate::BINARY;
use crate::random::Random;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Runs a command that must fail; returns its exit code and its last words.
fn run(command: &str, file: &Path) -> (Option<i32>, String) {
    let output = Command::new(BINARY)
        .args([command, "--config"])
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.stdout.is_empty(),
        "it said that it had begun: {output:?}"
    );
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_wrong_configuration_names_file_line_and_remedy_and_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever opened this port, even for a moment, would fail with other words.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let server = format!(
        "listen = \"127.0.0.1:{port}\"\ndata = \"{}/data\"\n",
        dir.path().display()
    );
    let gateway = format!(
        "[gateway]\nid = \"gw-1\"\n[gateway.broker]\nhost = \"127.0.0.1\"\n[gateway.spool]\n\
         dir = \"{}/data\"\n[gateway.page]\nlisten = \"127.0.0.1:{port}\"\n",
        dir.path().display()
    );
    let cases = [
        ("serve", &server, "no_such = 1\n", ":3:"),
        ("serve", &server, "[broker]\nkind = \"pigeon\"\n", ":4:"),
        (
            "serve",
            &server,
            "[broker]\nkind = \"external\"\nhost = \"mqtt://x\"\n",
            ":5:",
        ),
        ("serve", &server, "[limits]\nviewers_max = -1\n", ":4:"),
        ("serve", &server, "[limits]\nviewers_max = 0\n", ":4:"),
        ("serve", &server, "log = \"no=such=filter\"\n", ":3:"),
        ("serve", &server, "listen = \"127.0.0.1:1\"\n", ":3:"),
        ("serve", &server, "\"\u{7}[[[\n", ":3:"),
        ("gateway", &gateway, "[source.pigeon]\n", ":9:"),
        (
            "gateway",
            &gateway,
            "[source.simulator]\ncourse = \"flu\"\n",
            ":10:",
        ),
        (
            "gateway",
            &gateway,
            "[source.simulator]\nminutes = 0\n",
            ":10:",
        ),
        ("gateway", &gateway, "[source.wfdb]\nrecord = \"\"\n", ":9:"),
        (
            "gateway",
            &gateway,
            "[source.simulator]\n[source.wfdb]\nrecord = \"x\"\n",
            ":10:",
        ),
    ];
    let file = dir.path().join("it.toml");
    for (command, good, bad, place) in cases {
        std::fs::write(&file, format!("{good}{bad}")).unwrap();
        let (code, words) = run(command, &file);
        assert_eq!(code, Some(2), "{bad}: {words}");
        let at = format!("{}{place}", file.display());
        assert!(words.contains(&at), "{bad}: {words}");
        assert!(words.contains("what to do: "), "{bad}: {words}");
    }
    assert!(!dir.path().join("data").exists(), "something was opened");
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::from_environment();
    let file = dir.path().join("it.toml");
    let mut texts: Vec<Vec<u8>> = (0..6).map(|_| random.some_bytes(300)).collect();
    texts.extend([
        Vec::new(),
        vec![0; 100],
        vec![b'['; 5_000],
        vec![b'#'; 2 << 20],
    ]);
    for text in texts {
        std::fs::write(&file, &text).unwrap();
        for command in ["serve", "gateway"] {
            let (code, words) = run(command, &file);
            assert_eq!(code, Some(2), "{words}");
            assert!(
                words.contains("it.toml") && words.contains("what to do: "),
                "{words}"
            );
        }
    }
    let (code, words) = run("serve", &dir.path().join("none.toml"));
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("none.toml"), "{words}");
}

#[test]
fn a_damaged_recording_names_file_and_line_and_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let spool = dir.path().join("spool");
    let record = dir.path().join("r");
    let config = format!(
        "[gateway]\nid = \"gw-1\"\n[gateway.broker]\nhost = \"127.0.0.1\"\n[gateway.spool]\n\
         dir = \"{}\"\n[gateway.page]\nlisten = \"127.0.0.1:{port}\"\n[source.wfdb]\nrecord = \"{}\"\n",
        spool.display(),
        record.display()
    );
    let file = dir.path().join("it.toml");
    std::fs::write(&file, config).unwrap();
    let good = "r.dat 16 200 16 0 0 0 0 ABP\n";
    let cases = [
        (String::new(), "r.hea"),
        ("\u{7}\n".to_owned(), "r.hea, line 1"),
        (format!("r 1 1e999 10\n{good}"), "r.hea, line 1"),
        (format!("r 99999999999 100 10\n{good}"), "r.hea, line 1"),
        (
            "r 1 100 10\nr.dat 999 200 16 0 0 0 0 ABP\n".to_owned(),
            "r.hea, line 2",
        ),
        (
            "r 1 100 10\n../../etc/passwd 16 200\n".to_owned(),
            "r.hea, line 2",
        ),
        (format!("r 2 100 10\n{good}"), "r.hea"),
        (format!("r 1 100 10\n{good}"), "r.dat"),
    ];
    for (header, place) in cases {
        std::fs::write(dir.path().join("r.hea"), &header).unwrap();
        let (code, words) = run("gateway", &file);
        // The configuration is right; what it names is not.
        assert_eq!(code, Some(1), "{header}: {words}");
        assert!(words.contains(place), "{header}: {words}");
    }
    assert!(!spool.exists(), "something was opened");
}
