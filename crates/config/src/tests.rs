//! Configuration files: what is said about wrong ones, and those of `deploy/`.

use super::gateway::GatewayFile;
use super::server::{BrokerAt, ServerConfig};
use super::*;

fn server(text: &str) -> Result<ServerConfig, ConfigError> {
    parse(Path::new("server.toml"), text)
}

fn gateway(text: &str) -> Result<GatewayFile, ConfigError> {
    parse(Path::new("gateway.toml"), text)
}

fn refusals<C: std::fmt::Debug>(
    read: impl Fn(&str) -> Result<C, ConfigError>,
    texts: &[&str],
) -> String {
    texts
        .iter()
        .map(|text| format!("{}\n", read(text).unwrap_err()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_server_needs_only_its_data_directory() {
    let config = server("data = \"/var/lib/enroute\"").unwrap();
    assert_eq!(config.listen.get_ref().to_string(), "127.0.0.1:7400");
    let BrokerAt::Embedded(listen) = config.broker.at() else {
        panic!("not embedded");
    };
    assert_eq!(listen.to_string(), "127.0.0.1:1883");
}

#[test]
fn an_external_broker_is_named() {
    let text = "data = \"d\"\n[broker]\nkind = \"external\"\nhost = \"mq\"\nport = 2883\n\
                [broker.tls]\nauthority = \"ca.pem\"";
    let expected = BrokerAt::External {
        host: "mq".into(),
        port: 2883,
    };
    assert_eq!(server(text).unwrap().broker.at(), expected);
}

#[test]
fn off_loopback_only_when_told_so() {
    let text = "data = \"d\"\nlisten = \"0.0.0.0:7400\"\nallow_unprotected_network = true";
    assert!(server(text).is_ok());
    assert!(server("data = \"d\"\nlisten = \"[::1]:7400\"").is_ok());
    let files = "certificate = \"s.pem\"\nkey = \"s.key\"\ngateways = \"g.pem\"";
    let viewers = "viewers = \"v.pem\"";
    let all =
        "data = \"d\"\nlisten = \"0.0.0.0:7400\"\n[broker]\nlisten = \"0.0.0.0:8883\"\n[tls]\n";
    assert!(server(&format!("{all}{files}\n{viewers}")).is_ok());
    let anybody = server(&format!("{all}{files}")).unwrap_err().to_string();
    assert!(anybody.contains("no [tls] with viewers"), "{anybody}");
    let known = format!("{all}{files}\n[access]\ntokens = \"t.toml\"");
    assert!(server(&known).is_ok(), "tokens are authentication too");
    let clear = "data = \"d\"\nlisten = \"0.0.0.0:7400\"\n[access]\ntokens = \"t.toml\"";
    let clear = server(clear).unwrap_err().to_string();
    assert!(clear.contains("no [tls] with viewers"), "{clear}");
    let broker = "data = \"d\"\n[broker]\nlisten = \"0.0.0.0:8883\"";
    let broker = server(broker).unwrap_err().to_string();
    assert!(broker.contains("no [tls] with gateways"), "{broker}");
}

#[test]
fn a_broker_over_the_network_only_with_tls_or_when_told_so() {
    let external = "data = \"d\"\n[broker]\nkind = \"external\"\nhost = ";
    for host in ["localhost", "127.0.0.2", "::1"] {
        assert!(server(&format!("{external}\"{host}\"")).is_ok(), "{host}");
    }
    for host in ["mq.example.org", "10.0.0.5", "localhost.example.org"] {
        let refused = server(&format!("{external}\"{host}\"")).unwrap_err();
        assert!(refused.to_string().contains("there is no [broker.tls]"));
        let told = format!("allow_unprotected_network = true\n{external}\"{host}\"");
        assert!(server(&told).is_ok(), "{host}");
    }
    let gateway = |more: &str| {
        let text = format!(
            "{more}[gateway]\nid = \"g\"\n[gateway.spool]\ndir = \"s\"\n[source.simulator]\n\
             [gateway.broker]\nhost = \"10.0.0.5\"\n"
        );
        parse::<GatewayFile>(Path::new("gateway.toml"), &text)
    };
    let refused = gateway("").unwrap_err().to_string();
    assert!(refused.contains("there is no TLS"), "{refused}");
    assert!(gateway("allow_unprotected_network = true\n").is_ok());
}

#[test]
fn the_crews_page_off_loopback_only_with_tls_and_a_pin_or_when_told_so() {
    let page = |more: &str, listen: &str, page: &str| {
        gateway(&format!(
            "{more}[gateway]\nid = \"g\"\n[source.simulator]\n[gateway.page]\n\
             listen = \"{listen}\"\n{page}"
        ))
    };
    let pin = "pin = \"4711\"\n";
    let tls = "[gateway.page.tls]\ncertificate = \"p.pem\"\nkey = \"p.key\"\n";
    let both = format!("{pin}{tls}");
    for near in ["127.0.0.1:8090", "[::1]:8090"] {
        assert!(page("", near, "").is_ok(), "{near}");
    }
    for far in ["0.0.0.0:8090", "192.168.1.4:8090", "[::]:8090"] {
        assert!(page("", far, &both).is_ok(), "{far}");
        for open in ["", pin, tls] {
            let refused = page("", far, open).unwrap_err().to_string();
            assert!(refused.contains("no TLS or no PIN"), "{refused}");
            assert!(page("allow_unprotected_network = true\n", far, open).is_ok());
        }
    }
}

#[test]
fn a_wrong_server_file_says_where_and_what_to_do() {
    insta::assert_snapshot!(refusals(
        server,
        &[
            "",
            "data = ",
            "data = \"\"",
            "data = \"d\"\nlisen = \"127.0.0.1:7400\"",
            "data = \"d\"\nlisten = \"localhost\"",
            "data = \"d\"\nlisten = \"0.0.0.0:7400\"",
            "data = \"d\"\n[broker]\nlisten = \"192.168.1.4:1883\"",
            "data = \"d\"\n[broker]\nkind = \"external\"",
            "data = \"d\"\n[broker]\nkind = \"external\"\nhost = \"mqtt://mq\"",
            "data = \"d\"\n[broker]\nhost = \"mq\"",
            "data = \"d\"\n[broker]\nkind = \"rented\"",
            "data = \"d\"\n[limits]\nviewers_max = 0",
            "data = \"d\"\n[limits]\nshutdown_s = \"soon\"",
            "data = \"d\"\nlog = \"=,=\"",
            "\u{0}\u{1}\u{2}",
        ]
    ));
}

#[test]
fn a_wrong_gateway_file_says_where_and_what_to_do() {
    let sim = "[source.simulator]\n";
    let with = |gateway: &str, source: &str| format!("[gateway]\n{gateway}\n{source}");
    let texts = [
        String::new(),
        with("id = \"amb-12\"", ""),
        with("id = \"amb-12\"", "[source]"),
        with("id = \"AMB 12\"", sim),
        with("id = \"amb-12\"\ncolour = 1", sim),
        with("id = \"amb-12\"\nspeed = -1", sim),
        with("id = \"amb-12\"\n[gateway.broker]\nport = 99999", sim),
        with("id = \"amb-12\"\n[gateway.broker]\nhost = \"\"", sim),
        with("id = \"amb-12\"\n[gateway.spool]\nbytes_max = 10", sim),
        with("id = \"amb-12\"", "[source.simulator]\ncourse = \"flu\""),
        with("id = \"amb-12\"", "[source.simulator]\nminutes = 0"),
        with("id = \"amb-12\"", "[source.wfdb]"),
        with("id = \"amb-12\"", "[source.wfdb]\nrecord = \"\""),
        with(
            "id = \"amb-12\"",
            "[source.wfdb]\nrecord = \"r\"\nframe_ms = 1",
        ),
        with(
            "id = \"amb-12\"",
            "[source.simulator]\n[source.wfdb]\nrecord = \"r\"",
        ),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(refusals(gateway, &texts));
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load::<ServerConfig>(&dir.path().join("none.toml")).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
    let folder = load::<ServerConfig>(dir.path()).unwrap_err();
    assert!(folder.to_string().contains("cannot be read"), "{folder}");
    let binary = dir.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    let binary = load::<ServerConfig>(&binary).unwrap_err();
    assert!(binary.to_string().contains("not UTF-8"), "{binary}");
    let large = dir.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; 2 << 20]).unwrap();
    let large = load::<ServerConfig>(&large).unwrap_err();
    assert!(large.to_string().contains("bytes long"), "{large}");
}

/// A file of `deploy/`.
fn deployed(name: &str) -> (PathBuf, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name);
    let text = std::fs::read_to_string(&file).unwrap();
    (file, text)
}

/// A setting that is commented out as `#key = …` or `#[table]`, put in force.
fn uncommented(text: &str, keep: impl Fn(&str) -> bool) -> String {
    let in_force = |line: &str| {
        let setting = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
        setting.filter(|rest| keep(rest)).unwrap_or(line).to_owned()
    };
    text.lines().map(in_force).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_deployed_server_file_is_right_and_its_comments_too() {
    let (file, text) = deployed("server.toml");
    load::<ServerConfig>(&file).unwrap();
    let rules = file.with_file_name("rules");
    let text = text.replace("/etc/enroute/rules", rules.to_str().unwrap());
    let (before, of_external) = text.split_once("#[broker.tls]").unwrap();
    let (_, after) = of_external.split_once("\n\n").unwrap();
    let embedded = uncommented(&format!("{before}\n{after}"), |line| {
        !["host", "port", "client_id"]
            .iter()
            .any(|key| line.starts_with(key))
    });
    let embedded: ServerConfig = parse(&file, &embedded).unwrap();
    let plain = server("data = \"d\"").unwrap();
    assert_eq!(embedded.listen.get_ref(), plain.listen.get_ref());
    assert_eq!(embedded.broker.at(), plain.broker.at());
    assert_eq!(
        (
            *embedded.limits.viewers_max.get_ref(),
            *embedded.limits.shutdown_s.get_ref()
        ),
        (
            *plain.limits.viewers_max.get_ref(),
            *plain.limits.shutdown_s.get_ref()
        ),
        "the comments do not show the defaults"
    );
    let external = uncommented(&text, |line| !line.starts_with("listen"))
        .replace("kind = \"embedded\"", "kind = \"external\"");
    let external: ServerConfig = parse(&file, &external).unwrap();
    assert!(matches!(external.broker.at(), BrokerAt::External { .. }));
}

#[test]
fn the_deployed_gateway_file_is_right_and_its_comments_too() {
    let (file, text) = deployed("gateway.toml");
    let sim = load::<GatewayFile>(&file).unwrap();
    assert!(sim.source.get_ref().simulator.is_some());
    let (settings, source) = text.split_once("[source.simulator]").unwrap();
    let wfdb = source.split_once("#[source.wfdb]").unwrap().1;
    let all = uncommented(&format!("{settings}#[source.wfdb]{wfdb}"), |line| {
        !line.starts_with("transfer")
    });
    let wfdb: GatewayFile = parse(&file, &all).unwrap();
    assert!(wfdb.source.get_ref().wfdb.is_some());
    let mut default = enroute_gateway::Config::new(wfdb.gateway.get_ref().id.clone());
    default
        .spool
        .dir
        .clone_from(&wfdb.gateway.get_ref().spool.dir);
    default
        .broker
        .tls
        .clone_from(&wfdb.gateway.get_ref().broker.tls);
    assert!(default.broker.tls.is_some());
    default
        .page
        .pin
        .clone_from(&wfdb.gateway.get_ref().page.pin);
    assert!(default.page.pin.is_some());
    default
        .page
        .tls
        .clone_from(&wfdb.gateway.get_ref().page.tls);
    assert!(default.page.tls.is_some());
    let encryption = &wfdb.gateway.get_ref().encryption;
    default.encryption.clone_from(encryption);
    assert!(default.encryption.is_some());
    assert_eq!(
        *wfdb.gateway.get_ref(),
        default,
        "the comments do not show the defaults"
    );
}

#[test]
fn an_issuer_is_asked_over_tls_and_says_what_everybody_may() {
    let with = |oidc: &str, roles: &str| {
        let text = format!("data = \"d\"\n[access.oidc]\n{oidc}\n[access.oidc.roles]\n{roles}");
        server(&text).map(|_| ()).map_err(|error| error.to_string())
    };
    let issuer = "issuer = \"https://id.example.org\"\n";
    let all = format!("{issuer}audience = \"enroute\"\nhospital_claim = \"h\"");
    let doctors = "doctors = \"clinician\"";
    assert_eq!(with(&all, doctors), Ok(()));
    let here = all.replace("https://id.example.org", "http://127.0.0.1:8080/realms/x");
    assert_eq!(with(&here, doctors), Ok(()));
    let refused = |oidc: &str, roles: &str, why: &str| {
        let error = with(oidc, roles).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    let clear = all.replace("https", "http");
    refused(&clear, doctors, "begins with https://");
    refused(
        &all.replace("example.org", "example.org?x"),
        doctors,
        "begins with https://",
    );
    refused(
        &format!("{all}\nclient_id = \"enroute\""),
        doctors,
        "a name each",
    );
    refused(
        &all.replace("hospital_claim = \"h\"", ""),
        doctors,
        "which transfers",
    );
    refused(&format!("{all}\nclaims = 1"), doctors, "unknown field");
    refused(&all, "hall = \"wall\"", "a wall is a device");
    refused(&all, "chief = \"chief\"", "unknown variant");
    let idle = "data = \"d\"\n[access]\ntokens = \"t\"\nidle_minutes = 0";
    let idle = server(idle).unwrap_err().to_string();
    assert!(idle.contains("idle_minutes = 0 is out of range"), "{idle}");
    let minutes = "data = \"d\"\n[access]\ntokens = \"t\"\nbreak_glass_minutes = 721";
    let minutes = server(minutes).unwrap_err().to_string();
    assert!(minutes.contains("721 is out of range"), "{minutes}");
    let breaks = |word: &str| format!("{all}\nbreak_glass = \"{word}\"");
    assert_eq!(with(&breaks("emergency"), doctors), Ok(()));
    refused(&breaks("doctors"), doctors, "means a role already");
    let bare = server("data = \"d\"\n[access]").unwrap_err().to_string();
    assert!(bare.contains("how anybody is known"), "{bare}");
}

#[test]
fn a_server_says_where_it_is_before_it_says_who_is_elsewhere() {
    let said = |text: &str| server(&format!("data = \"d\"\n{text}"));
    let elsewhere = "[regions.hospitals]\nParini = \"IT\"\n[regions.gateways]\ngw-1 = \"FR\"";
    let known = said(&format!("region = \"CH\"\n{elsewhere}"))
        .unwrap()
        .regions();
    assert_eq!(known.own.as_deref(), Some("CH"));
    assert_eq!(known.hospitals["Parini"], "IT");
    assert_eq!(known.gateways["gw-1"], "FR");
    let alone = said(elsewhere).unwrap_err().to_string();
    assert!(alone.contains("not where this server is"), "{alone}");
    let wrong = said("region = \"C H\"").unwrap_err().to_string();
    assert!(wrong.contains("no name of a region"), "{wrong}");
    assert!(!said("").unwrap().regions().are_asked());
}

#[test]
fn who_patients_are_is_kept_only_where_callers_are_known() {
    let identity = "[identity]\ndir = \"who\"\n";
    let access = "data = \"d\"\n[access]\ntokens = \"t.toml\"\n";
    let text = |keys: &str| format!("{access}{identity}{keys}");
    assert!(server(&text("keys = \"k\"")).is_ok());
    assert!(server(&text("command = [\"print-keys\"]")).is_ok());
    let open = server(&format!("data = \"d\"\n{identity}keys = \"k\""));
    let open = open.unwrap_err().to_string();
    assert!(open.contains("there is no [access]"), "{open}");
    for keys in ["", "keys = \"k\"\ncommand = [\"print-keys\"]"] {
        let wrong = server(&text(keys)).unwrap_err().to_string();
        assert!(wrong.contains("one place for its keys"), "{wrong}");
    }
}
