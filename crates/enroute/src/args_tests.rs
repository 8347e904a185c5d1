//! What may be typed, and what is said about the rest.

use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

/// The error as it is printed, without the usage that follows.
fn refusal(line: &str) -> String {
    let error = parse(line).unwrap_err().to_string();
    error
        .lines()
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_demo_has_defaults() {
    let Command::Demo(demo) = parse("enroute demo").unwrap().command else {
        panic!("another command");
    };
    assert_eq!((demo.transfers, demo.seed, demo.headless), (6, 1, false));
    assert_eq!((demo.listen, demo.run_for), (None, None));
}

#[test]
fn what_was_typed_is_understood() {
    let line = "enroute demo --transfers 20 --seed 7 --listen 127.0.0.1:9000 --headless --for 90s";
    let Command::Demo(demo) = parse(line).unwrap().command else {
        panic!("another command");
    };
    assert_eq!((demo.transfers, demo.seed, demo.headless), (20, 7, true));
    assert_eq!(demo.listen, Some("127.0.0.1:9000".parse().unwrap()));
    assert_eq!(demo.run_for, Some(Duration::from_secs(90)));
    let Command::Watch(watch) = parse("enroute watch 4k7-q2m --json").unwrap().command else {
        panic!("another command");
    };
    assert_eq!(
        (watch.transfer.as_deref(), watch.json),
        (Some("4k7-q2m"), true)
    );
    assert_eq!(watch.server, DEFAULT_SERVER);
}

#[test]
fn a_leg_is_understood() {
    let leg = leg(
        "vehicle=HB-JWA,mode=air,from=Torino airport@45.2/7.65,to=Genève@46.238/6.109,\
                   departs=2026-03-01T14:30Z",
    )
    .unwrap();
    assert!(leg.air && leg.gateway.is_empty());
    assert_eq!(
        (leg.to.latitude_e7, leg.to.longitude_e7),
        (462_380_000, 61_090_000)
    );
    assert_eq!(leg.departs_at_us, Some(1_772_375_400_000_000));
}

#[test]
fn a_broker_is_understood() {
    for (text, tls, host, whole) in [
        (
            "mqtt://localhost",
            false,
            "localhost",
            "mqtt://localhost:1883",
        ),
        (
            "mqtt://10.0.0.5:2883/",
            false,
            "10.0.0.5",
            "mqtt://10.0.0.5:2883",
        ),
        (
            "mqtts://icu.example.org",
            true,
            "icu.example.org",
            "mqtts://icu.example.org:8883",
        ),
        ("mqtts://[::1]:99", true, "::1", "mqtts://[::1]:99"),
        ("mqtt://[::1]", false, "::1", "mqtt://[::1]:1883"),
    ] {
        let url: BrokerUrl = text.parse().unwrap();
        assert_eq!((url.tls, url.host.as_str()), (tls, host), "{text}");
        assert_eq!(url.to_string(), whole);
    }
}

#[test]
fn wrong_arguments_say_what_to_do() {
    let refusals: Vec<String> = [
        "enroute demo --transfers 0",
        "enroute demo --for 30",
        "enroute demo --for 5d",
        "enroute demo --for 0s",
        "enroute demo --listen 7400",
        "enroute simulate --broker localhost",
        "enroute simulate --broker mqtt://broker:port",
        "enroute replay 4K7-Q2M --authority ca.pem",
        "enroute replay 4K7-Q2M --to mqtts://broker --certificate amb-12.pem",
        "enroute replay 4K7-Q2M --to mqtts://broker --gateway AMB",
        "enroute transfer add --age old",
        "enroute transfer add --weight 9000",
        "enroute transfer add --leg vehicle=A",
        "enroute transfer add --leg vehicle=A,mode=sea,from=X@1/2,to=Y@1/2",
        "enroute transfer add --leg vehicle=A,mode=air,from=X@91/2,to=Y@1/2",
        "enroute transfer add --leg vehicle=A,mode=air,colour=red",
        "enroute transfer join tx-1",
        "enroute serve",
        "enroute fly",
    ]
    .iter()
    .map(|line| format!("$ {line}\n{}", refusal(line)))
    .collect();
    insta::assert_snapshot!(refusals.join("\n\n"));
}

#[test]
fn durations_have_one_unit_or_several() {
    for (text, seconds) in [("90s", 90), ("12h30m", 45_000), ("1h0m5s", 3_605)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    assert_eq!(duration("1s500ms"), Ok(Duration::from_millis(1_500)));
    for text in [
        "",
        "12",
        "12h30",
        "h",
        "12h 30m",
        "-5s",
        "0h0m",
        "169h",
        "99999999999999999999s",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn every_help_page_has_an_example_and_exit_codes() {
    for command in Cli::command().get_subcommands_mut() {
        let page = command.render_long_help().to_string();
        let name = command.get_name();
        assert!(page.contains("enroute "), "{name} has no example");
        assert!(
            page.contains("Exit codes"),
            "{name} does not explain its exit codes"
        );
    }
}

#[test]
fn the_units_start_what_is_deployed_beside_them() {
    for (unit, command) in [
        (
            "enroute-server.service",
            "enroute serve --config /etc/enroute/server.toml",
        ),
        (
            "enroute-gateway.service",
            "enroute gateway --config /etc/enroute/gateway.toml",
        ),
    ] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../deploy")
            .join(unit);
        let text = std::fs::read_to_string(file).unwrap();
        let exec = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"));
        assert_eq!(exec, Some(command), "{unit}");
        assert!(parse(command).is_ok());
        for hardened in [
            "DynamicUser=yes",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
        ] {
            assert!(text.contains(hardened), "{unit} lacks {hardened}");
        }
    }
}
