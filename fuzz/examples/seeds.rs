//! Writes one or more valid inputs of each target, for a run to begin with:
//! `cargo run -p enroute-fuzz --example seeds -- DIRECTORY`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool for developers")]

use bytes::Bytes;
use enroute_access::{Role, SECRET_BYTES, Scope, Tokens, Wanted};
use enroute_alert::book::{BookFile, RuleBook};
use enroute_export::McapFrames;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{
    Body, Code, CrewEvent, DeviceAlarm, Frame, GapCause, GeoPoint, Header, LinkReport, Metric,
    Numeric, Priority, Shed, StreamReport, Waveform,
};
use enroute_model::ids::{Epoch, GatewayId, Lane, Stream};
use enroute_model::reading::{Decimal, NoValue, Reading};
use enroute_model::registry::{RegistryAction, TransferInfo};
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use enroute_wire::{Message, batch, frame, record, v1};
use std::fs;
use std::path::PathBuf;

struct Seeds(PathBuf);

impl Seeds {
    fn put(&self, target: &str, name: &str, bytes: &[u8]) {
        let dir = self.0.join(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    }
}

fn numeric(id: &str, reading: Reading) -> Numeric {
    Numeric {
        metric: Metric {
            code: catalogue().vital_by_id(id).unwrap().code,
            label: String::new(),
        },
        unit: String::new(),
        reading,
        interval: Span::from_secs(1),
    }
}

fn measured(id: &str, mantissa: i64) -> Numeric {
    numeric(id, Reading::measured(Decimal::new(mantissa, 0).unwrap()))
}

fn bodies() -> Vec<(&'static str, Body)> {
    let metric = |label: &str| Metric {
        code: Code(0),
        label: label.to_owned(),
    };
    let wave = Waveform {
        metric: metric("w"),
        unit: "mV".to_owned(),
        rate_hz: 250.0,
        gain: 200.0,
        baseline: 5,
        first_sample: 9,
        start_offset: Span(3),
        samples: vec![Some(1), None, Some(-40), Some(2_000)],
    };
    let spo2 = numeric("spo2", Reading::None(NoValue::SensorOff));
    let report = StreamReport {
        epoch: Epoch(1),
        stream: Stream::Numerics,
        produced: 9,
        sent: Some(8),
        leg_first: Some(1),
    };
    vec![
        ("well", Body::Numerics(vec![measured("hr", 80), spo2])),
        (
            "ill",
            Body::Numerics(vec![measured("hr", 190), measured("spo2", 70)]),
        ),
        ("wave", Body::Waveforms(vec![wave])),
        (
            "alarm",
            Body::DeviceAlarms(vec![DeviceAlarm {
                code: Code(3),
                label: "x".to_owned(),
                priority: Some(Priority::High),
                active: true,
                subject: Code(0),
            }]),
        ),
        (
            "position",
            Body::Position(GeoPoint {
                latitude_e7: 480_000_000,
                longitude_e7: 110_000_000,
                altitude_m: Some(500),
                speed_cm_s: Some(3_000),
                course_cdeg: None,
            }),
        ),
        ("note", Body::Crew(CrewEvent::Note("pale".to_owned()))),
        ("end", Body::Crew(CrewEvent::End)),
        ("handover", Body::Crew(CrewEvent::HandOver)),
        (
            "report",
            Body::Link(LinkReport {
                degradation_level: 2,
                numerics_interval: Span::from_secs(5),
                spool_bytes_max: 100,
                battery_percent: Some(20),
                streams: vec![report],
                ..LinkReport::default()
            }),
        ),
        (
            "shed",
            Body::Shed(Shed {
                first: 1,
                last: 3,
                first_captured_at: GatewayTime(5),
                cause: Some(GapCause::SpoolFull),
            }),
        ),
    ]
}

fn encoded(sequence: u64, body: Body) -> Bytes {
    let stream = frame::stream_of(&body).unwrap_or(Stream::Waveforms);
    let header = Header {
        epoch: Epoch(1),
        stream,
        sequence,
        leg_first: 1,
        captured_at: GatewayTime(1_000_000),
        observed_at: Some(DeviceTime(2_000_000)),
        boot: 1,
        monotonic: Span(1_000_000),
        clocks: None,
        exercise: true,
    };
    frame::encode(&Frame { header, body }).into()
}

fn piece(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

fn main() {
    let place = std::env::args()
        .nth(1)
        .unwrap_or_else(|| panic!("no directory"));
    let seeds = Seeds(PathBuf::from(place));
    contract(&seeds);
    files(&seeds);
    settings(&seeds);
    people(&seeds);
    seeds.put("audit", "none", &[]);
    seeds.put("audit", "turned", &[0, 128, 0, 0, 1, 0, 9]);
    seeds.put("audit", "cut", &[1, 130, 0, 0, 0, 9, 0]);
    for (name, bytes) in [("none", &[][..]), ("turned", &[3, 128, 0, 0, 1, 0, 9])] {
        seeds.put("journal", name, bytes);
        seeds.put("spool", name, bytes);
    }
    sealed(&seeds);
    let life = br#"{"epoch":7,"boot":1,"next":[4,1,1],"shed_frames":0}"#;
    seeds.put("spool_notes", "life", &[&[1], &*piece(life)].concat());
    let row = |space: u8, how: u8, key: &[u8], value: &[u8]| {
        [&[space, how], &*piece(key), &*piece(value)].concat()
    };
    let mut copy = vec![3];
    copy.extend(row(0, 3, &[1], b"one"));
    copy.extend(row(3, 2, b"tx-1", &1_u64.to_be_bytes()));
    copy.extend(row(10, 2, &3_u64.to_be_bytes(), b"tx-1 why"));
    seeds.put("backup", "rows", &copy);
}

fn sealed(seeds: &Seeds) {
    seeds.put("data_keys", "none", &[]);
    seeds.put("data_keys", "damaged", &[0, 0, 2, 0, 0, 1, 20, 9]);
    seeds.put("data_keys", "in_order", &[7, 1, 2, 3, 4, 5]);
    seeds.put("data_keys", "copies_differ", &[1, 129, 0, 130, 3, 4]);
    seeds.put("data_keys", "destroyed", &[3, 0, 15, 0, 0, 0, 9]);
    seeds.put("identity", "damaged", &[0, 1, 0, 0, 0, 0, 40, 9]);
    let entry = r#"{"person":{"family_name":"A","birth_date":"1950-02-28"},"set_by":"Dr A",
        "set_at":5,"statements":[{"says":{"basis":"health_care"},"by":"Dr A","at":5}]}"#;
    seeds.put("identity", "entry", &[&[1], entry.as_bytes()].concat());
    let person = v1::Person {
        family_name: " A ".to_owned(),
        birth_date: "1950-02-28".to_owned(),
        record_number: "r-1".to_owned(),
        ..v1::Person::default()
    };
    let asked = v1::SetIdentityRequest {
        transfer: "tx-1".to_owned(),
        person: Some(person),
        statement: vec![v1::Statement {
            says: Some(v1::statement::Says::Consent(1)),
            remark: "by phone".to_owned(),
            ..v1::Statement::default()
        }],
    };
    let asked = [&[2], &*asked.encode_to_vec()].concat();
    seeds.put("identity", "asked", &asked);
}

fn contract(seeds: &Seeds) {
    let mut course = Vec::new();
    let mut all = Vec::new();
    let gateway = GatewayId::new("gw-1").unwrap();
    for (number, (name, body)) in (1..).zip(bodies()) {
        let bytes = encoded(if name == "shed" { 3 } else { number }, body);
        seeds.put("frame", name, &bytes);
        seeds.put(
            "record",
            name,
            &record::of_frame(&gateway, Lane::Live, bytes.clone()),
        );
        course.extend([&[8, 1], &*piece(&bytes)].concat());
        all.push(bytes);
    }
    let info = RegistryAction::Put(TransferInfo {
        hospital: "icu".to_owned(),
        ..TransferInfo::default()
    });
    let entry = record::of_action("a", "b", &info);
    seeds.put("record", "put", &entry);
    course.extend([&[24, 1], &*piece(&entry)].concat());
    let offline = record::of_presence(&gateway, false);
    course.extend([&[24, 200], &*piece(&offline)].concat());
    seeds.put("engine", "course", &course);
    let compressed = batch::compress(all.clone()).unwrap();
    for (lane, batch) in [
        (
            0,
            v1::Batch {
                frame: all,
                ..v1::Batch::default()
            },
        ),
        (
            1,
            v1::Batch {
                compressed,
                ..v1::Batch::default()
            },
        ),
    ] {
        seeds.put(
            "batch",
            &lane.to_string(),
            &[&[lane], &*batch.encode_to_vec()].concat(),
        );
    }
    for topic in [
        "tx/t/live",
        "tx/t/history",
        "tx/t/notes",
        "status",
        "receipt",
        "command",
    ] {
        let name = topic.replace('/', "-");
        seeds.put(
            "topic",
            &name,
            format!("enroute/v1/gw/gw-1/{topic}").as_bytes(),
        );
    }
    let receipt = v1::Receipt {
        journal: 3,
        stream: vec![v1::StreamReceipt {
            epoch: 1,
            stream: v1::Stream::Events.into(),
            first: 1,
            through: 5,
            above: vec![v1::Range { first: 7, last: 9 }],
        }],
        ..v1::Receipt::default()
    };
    let receipt = [&[0], &*piece(&receipt.encode_to_vec())].concat();
    seeds.put("receipt", "receipt", &receipt);
    let command = v1::Command {
        command: Some(v1::command::Command::UseTransfer(v1::UseTransfer {
            instead_of: "tx-1".to_owned(),
            transfer: "tx-2".to_owned(),
            ..v1::UseTransfer::default()
        })),
    };
    let command = [&[1], &*piece(&command.encode_to_vec())].concat();
    seeds.put("receipt", "command", &command);
}

fn files(seeds: &Seeds) {
    let headers = [
        (
            "16",
            "r 2 250 8 10:00:00 01/02/2020\nd 16 200(5)/mV 12 0 0 0 0 ECG\nd 16 1 8 0\n# x\n",
        ),
        (
            "212",
            "r 2 360 8\nd 212 200 11 1024 995 0 0 MLII\nd 212x2:1+4 200\n",
        ),
        ("80", "r 1 125\nd 80 100 8\n"),
        ("32", "r 1 1 4\nd 32 1e3/% 24 0 1 2 0 x\n"),
        ("segments", "r/2 1 250 16\ns 8\ns 8\n"),
    ];
    for (name, header) in headers {
        seeds.put("wfdb_header", name, header.as_bytes());
        let samples: Vec<u8> = (0..96).collect();
        let whole = [piece(header.as_bytes()), samples].concat();
        seeds.put("wfdb_record", name, &whole);
    }
    let mut tokens = Tokens::default();
    let wanted = Wanted {
        name: "a".to_owned(),
        role: Role::Viewer,
        certificate: Some("c".to_owned()),
        break_glass: true,
        region: Some("CH".to_owned()),
        expires_us: Some(5),
        scope: Scope::default(),
    };
    tokens.add(wanted, &[7; SECRET_BYTES]).unwrap();
    seeds.put("tokens", "one", tokens.to_text().unwrap().as_bytes());
    for (number, file) in (0_u8..).zip(RuleBook::built_in().files()) {
        seeds.put(
            "rule_book",
            &file.name,
            &[&[number], file.text.as_bytes()].concat(),
        );
    }
    let small = BookFile {
        name: "a.toml".to_owned(),
        text: "x = 1\n".to_owned(),
    };
    let packed = BookFile::pack(&[small]);
    seeds.put("rule_book", "packed", &[&[255], &*packed].concat());
    for compression in ["", "zstd"] {
        let bytes = mcap(compression);
        let file = std::env::temp_dir().join(format!("enroute-seed-{}.mcap", std::process::id()));
        fs::write(&file, &bytes).unwrap();
        let mut frames = McapFrames::open(&file).unwrap();
        assert!(frames.advance().unwrap().is_some(), "the seed is read");
        fs::remove_file(file).unwrap();
        seeds.put("mcap", &format!("chunk{compression}"), &bytes);
    }
}

fn settings(seeds: &Seeds) {
    for (kind, name) in [(0_u8, "server"), (1, "gateway")] {
        let file = format!("{}/../deploy/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(file).unwrap();
        // What is said about a setting is no setting; those that are left out are.
        let lines = text.lines().map(|line| line.trim_start_matches('#'));
        let settings = lines.filter(|line| line.starts_with('[') || line.contains(" = "));
        let all: Vec<_> = settings.filter(|line| !line.starts_with(' ')).collect();
        let put = |what: &str, text: &str| {
            let bytes = [&[kind], text.as_bytes()].concat();
            seeds.put("config", &format!("{name}_{what}"), &bytes);
        };
        put("all", &all.join("\n"));
        let in_force = text.lines().filter(|line| !line.starts_with('#'));
        put("used", &in_force.collect::<Vec<_>>().join("\n"));
    }
    let issuer = "data = \"d\"\nregion = \"CH\"\nlisten = \"0.0.0.0:1\"\n[access.oidc]\n\
                  issuer = \"https://a\"\naudience = \"b\"\nhospital_claim = \"c\"\nall = \"d\"\n\
                  [access.oidc.roles]\nr = \"viewer\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n\
                  gateways = \"g\"\n[identity]\ndir = \"i\"\nkeys = \"k\"\n[regions.hospitals]\n\
                  x = \"IT\"\n";
    seeds.put("config", "issuer", &[&[0], issuer.as_bytes()].concat());
    let key = "0f".repeat(32);
    let keys = format!("# keys\n1 {key}\n\n2 {key} # newer\n");
    seeds.put("keys", "two", keys.as_bytes());
}

fn people(seeds: &Seeds) {
    let claims = r#"{"iss":"https://id.example.org","aud":["enroute"],"sub":"7","name":"Dr A",
        "realm":{"roles":["doctors","emergency"]},"hospitals":["icu"],"transfers":["tx-1"],
        "region":"CH","iat":1800000000,"nbf":1800000000,"exp":1800003600}"#;
    let everything = claims.replace("[\"icu\"]", "\"*\"");
    let set = r#"{"keys":[{"kid":"a","kty":"EC","crv":"P-256","use":"sig","alg":"ES256",
        "x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"kid":"b","kty":"RSA","n":"AAEB","e":"AQAB","key_ops":["verify"]},
        {"kid":"c","kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#;
    let described = r#"{"issuer":"https://id.example.org","jwks_uri":"https://id.example.org/k",
        "authorization_endpoint":"https://id.example.org/a","token_endpoint":"http://[::1]:8/t"}"#;
    for (kind, name, text) in [
        (0_u8, "keys", set),
        (1, "description", described),
        (2, "shown", "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.AAAA"),
        (3, "claims", claims),
        (3, "everything", &everything),
    ] {
        seeds.put("issued", name, &[&[kind], text.as_bytes()].concat());
    }
    let note = r#"{"text":"pale","kind":"drug","value":"oxygen","weight_kg":70.5}"#;
    for action in ["note", "intervention", "oxygen", "population", "end"] {
        let form = [&piece(action.as_bytes()), note.as_bytes()].concat();
        seeds.put("crew", action, &form);
    }
    requests(seeds);
}

fn requests(seeds: &Seeds) {
    let info = TransferInfo {
        hospital: "icu".to_owned(),
        ..TransferInfo::default()
    };
    let info = enroute_wire::registry::info_to(&info);
    let act = v1::ActRequest {
        transfer: "tx-1".to_owned(),
        action_id: "a".to_owned(),
        actor: "Dr A".to_owned(),
        action: Some(v1::RegistryAction {
            action: Some(v1::registry_action::Action::Put(info.clone())),
        }),
    };
    let watch = v1::WatchRequest {
        transfer: vec!["tx-1".to_owned()],
        samples: true,
        waveforms: true,
        ..v1::WatchRequest::default()
    };
    let play = v1::PlayRequest {
        transfer: "tx-1".to_owned(),
        speed: 10.0,
        from_us: Some(5),
        ..v1::PlayRequest::default()
    };
    let control = v1::ControlRequest {
        command: Some(v1::control_request::Command::Speed(2.0)),
        ..v1::ControlRequest::default()
    };
    let person = v1::Person {
        family_name: "A".to_owned(),
        birth_date: "1950-02-28".to_owned(),
        ..v1::Person::default()
    };
    let identity = v1::SetIdentityRequest {
        transfer: "tx-1".to_owned(),
        person: Some(person),
        statement: vec![v1::Statement {
            says: Some(v1::statement::Says::Consent(1)),
            ..v1::Statement::default()
        }],
    };
    // A resume token: format, incarnation, position, time, one ordinal.
    let resume = [&[1, 7, 9, 5, 1, 4][..], b"tx-1", &[4]].concat();
    for (kind, name, bytes) in [
        (0_u8, "act", act.encode_to_vec()),
        (1, "info", info.encode_to_vec()),
        (2, "watch", watch.encode_to_vec()),
        (3, "play", play.encode_to_vec()),
        (4, "control", control.encode_to_vec()),
        (5, "identity", identity.encode_to_vec()),
        (6, "resume", resume),
    ] {
        seeds.put("request", name, &[&[kind], &*bytes].concat());
    }
}

/// A recording without the contract's descriptors, which are most of a small one.
fn mcap(compression: &str) -> Vec<u8> {
    let text = |text: &str| sized(text.as_bytes());
    let schema = [&1_u16.to_le_bytes()[..], &text("enroute.v1.RecordedFrame")].concat();
    let schema = [schema, text("protobuf"), sized(b"")].concat();
    let ids = [1_u16.to_le_bytes(), 1_u16.to_le_bytes()].concat();
    let channel = [ids, text("/numerics"), text("protobuf"), sized(b"")].concat();
    let mut inside = [mcap_record(3, &schema), mcap_record(4, &channel)].concat();
    for (position, (_, body)) in (1..).zip(bodies()) {
        let samples = v1::Samples {
            transfer: "tx-1".to_owned(),
            gateway: "gw-1".to_owned(),
            lane: v1::Lane::Live.into(),
            position,
            frame: encoded(position, body),
            ..v1::Samples::default()
        };
        let head = [&1_u16.to_le_bytes()[..], &[0; 4 + 8 + 8]].concat();
        inside.extend(mcap_record(5, &[head, samples.encode_to_vec()].concat()));
    }
    let size = u64::try_from(inside.len()).unwrap().to_le_bytes();
    if compression == "zstd" {
        inside = zstd::bulk::compress(&inside, 3).unwrap();
    }
    let packed = u64::try_from(inside.len()).unwrap().to_le_bytes();
    let chunk = [
        &[0; 16][..],
        &size,
        &[0; 4],
        &text(compression),
        &packed,
        &inside,
    ]
    .concat();
    let magic = b"\x89MCAP0\r\n".to_vec();
    let head = mcap_record(1, &[text(""), text("enroute")].concat());
    let (end, foot) = (mcap_record(15, &[0; 4]), mcap_record(2, &[0; 20]));
    [
        magic.clone(),
        head,
        mcap_record(6, &chunk),
        end,
        foot,
        magic,
    ]
    .concat()
}

fn mcap_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u64::try_from(body.len()).unwrap().to_le_bytes();
    [&[kind][..], &length, body].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length, bytes].concat()
}
