//! Every method of the contract, and every action within one, by everybody, over gRPC
//! and over gRPC-Web. A method that is added fails here until it has its rows.

use crate::bench::{Bench, Made, Raw, hospital, in_time, transfer, with};
use enroute_access::{Role, Scope};
use enroute_audit::{Entry, Outcome};
use enroute_wire::v1::alert_action::Action as Alert;
use enroute_wire::v1::delete_identity_request::Whose;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::{DESCRIPTORS, Message, v1};
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::client::Grpc;

/// Who asks, in the order of the columns.
const ACTORS: [&str; 11] = [
    "",
    "enroute_00000000_0",
    "expired",
    "wall",
    "viewer",
    "clinician",
    "operator",
    "administrator",
    "clinician of HUG",
    "viewer of tx-b",
    "administrator of HUG",
];

/// `u`: not known; `-`: may not; `y`: was let in, whatever became of it.
///
/// Nobody, an unknown token, one whose time is over; then the roles, with all
/// transfers; then those with some.
const TABLE: &str = "\
Live/List                          uuu yyyyy yyy
Live/Watch                         uuu yyyyy yyy
Live/Watch tx-a                    uuu -yyy- y--
Live/Watch tx-b                    uuu -yyy- -y-
Live/Watch tx-n                    uuu -yyy- ---
Live/Watch tx-a and board          uuu -yyy- y--
Live/Watch tx-a and tx-b           uuu -yyy- ---
Live/History tx-a                  uuu -yyy- y--
Live/History tx-b                  uuu -yyy- -y-
Live/History with waveforms tx-a   uuu -yyy- y--
Live/History with waveforms tx-b   uuu -yyy- -y-
Live/AlertHistory tx-a             uuu -yyy- y--
Live/AlertHistory tx-b             uuu -yyy- -y-
Replay/ListRecordings              uuu --yyy y-y
Replay/DeleteRecording tx-a        uuu ----y --y
Replay/DeleteRecording tx-b        uuu ----y ---
Replay/Play tx-a                   uuu --yy- y--
Replay/Play tx-b                   uuu --yy- ---
Replay/Control                     uuu --yy- y--
Transfers/Add to HUG               uuu --yyy y-y
Transfers/Add to CHUV              uuu --yyy ---
Transfers/Add to nowhere           uuu --yyy ---
Transfers/Act put tx-a             uuu --yyy y-y
Transfers/Act put tx-b             uuu --yyy ---
Transfers/Act put tx-n             uuu --yyy ---
Transfers/Act join_into tx-a       uuu --yyy y-y
Transfers/Act join_into tx-b       uuu --yyy ---
Transfers/Act hand_over_to tx-a    uuu --yyy y-y
Transfers/Act close tx-n           uuu --yyy ---
Transfers/Act reopen tx-a          uuu --yyy y-y
Transfers/Act alert shown tx-a     uuu yyy-- y--
Transfers/Act alert shown tx-b     uuu yyy-- -y-
Transfers/Act alert acknowledge tx-a uuu --y-- y--
Transfers/Act alert acknowledge tx-b uuu --y-- ---
Transfers/Act alert pause_s tx-a   uuu --y-- y--
Transfers/Act alert note tx-a      uuu --y-- y--
Transfers/Act set_limits tx-a      uuu --y-- y--
Transfers/Act auto_limits tx-a     uuu --y-- y--
Transfers/Act set_baseline tx-a    uuu --y-- y--
Transfers/Act note_to_crew tx-a    uuu --y-- y--
Transfers/Act note_to_crew tx-b    uuu --y-- ---
Transfers/Act notes_read tx-a      uuu --y-- y--
Identities/Get tx-a                uuu --y-- y--
Identities/Get tx-b                uuu --y-- ---
Identities/Set tx-a                uuu --y-- y--
Identities/Set tx-b                uuu --y-- ---
Identities/Delete of tx-a          uuu --y-- y--
Identities/Delete of tx-b          uuu --y-- ---
Identities/Delete by number        uuu ----y --y
Identities/Export                  uuu --y-- y--
Access/BreakGlass tx-a             uuu ----- ---
Access/EndGlass tx-a               uuu ----- ---
Access/ListGlasses                 uuu yyyyy yyy
Admin/Backup                       uuu ----y ---
";

fn everybody() -> Made {
    let mut made = Made::default();
    made.add_until(ACTORS[2], Role::Clinician, Scope::default(), Some(1));
    for (name, role) in ACTORS[3..8].iter().zip(Role::ALL) {
        made.add(name, role, Scope::default());
    }
    made.add(ACTORS[8], Role::Clinician, hospital("HUG"));
    made.add(ACTORS[9], Role::Viewer, transfer("tx-b"));
    made.add(ACTORS[10], Role::Administrator, hospital("HUG"));
    made
}

/// The bytes of what a row asks; `once` makes each action another one.
pub(crate) fn message(row: &str, once: u32) -> Vec<u8> {
    let (method, rest) = row.split_once(' ').unwrap_or((row, ""));
    let of = |name: &str| name.to_owned();
    match method {
        "Live/List" => v1::ListRequest { closed: true }.encode_to_vec(),
        "Live/Watch" => v1::WatchRequest {
            transfer: rest
                .split(" and ")
                .filter(|name| name.starts_with("tx-"))
                .map(of)
                .collect(),
            board: rest.ends_with("board"),
            ..Default::default()
        }
        .encode_to_vec(),
        "Live/History" => v1::HistoryRequest {
            transfer: of(rest.trim_start_matches("with waveforms ")),
            waveforms: rest.starts_with("with waveforms "),
            ..Default::default()
        }
        .encode_to_vec(),
        "Live/AlertHistory" => v1::AlertHistoryRequest { transfer: of(rest) }.encode_to_vec(),
        "Replay/ListRecordings" => v1::ListRecordingsRequest::default().encode_to_vec(),
        "Replay/DeleteRecording" => v1::DeleteRecordingRequest {
            transfer: of(rest),
            ..Default::default()
        }
        .encode_to_vec(),
        "Replay/Play" => v1::PlayRequest {
            transfer: of(rest),
            paused: true,
            ..Default::default()
        }
        .encode_to_vec(),
        "Replay/Control" => v1::ControlRequest {
            playback: of("none"),
            command: Some(v1::control_request::Command::Pause(v1::ReplayPause {})),
        }
        .encode_to_vec(),
        "Transfers/Add" => v1::AddRequest {
            action_id: format!("add-{once}"),
            info: Some(info(rest.strip_prefix("to ").unwrap())),
        }
        .encode_to_vec(),
        "Transfers/Act" => act(rest, once).encode_to_vec(),
        "Identities/Get" => v1::GetIdentityRequest { transfer: of(rest) }.encode_to_vec(),
        "Identities/Set" => v1::SetIdentityRequest {
            transfer: of(rest),
            person: Some(v1::Person::default()),
            statement: Vec::new(),
        }
        .encode_to_vec(),
        "Identities/Delete" => v1::DeleteIdentityRequest {
            whose: Some(match rest.strip_prefix("of ") {
                Some(transfer) => Whose::Transfer(of(transfer)),
                None => Whose::RecordNumber(of("4711")),
            }),
        }
        .encode_to_vec(),
        "Identities/Export" => v1::ExportIdentityRequest {
            record_number: of("4711"),
        }
        .encode_to_vec(),
        "Access/BreakGlass" => v1::BreakGlassRequest {
            transfer: of(rest),
            reason: of("diverted, nobody else is there"),
        }
        .encode_to_vec(),
        "Access/EndGlass" => v1::EndGlassRequest { transfer: of(rest) }.encode_to_vec(),
        "Access/ListGlasses" => v1::ListGlassesRequest {}.encode_to_vec(),
        "Admin/Backup" => v1::BackupRequest {}.encode_to_vec(),
        _ => panic!("{row}: say what it asks"),
    }
}

fn info(hospital: &str) -> v1::TransferInfo {
    v1::TransferInfo {
        hospital: hospital.replace("nowhere", ""),
        ..Default::default()
    }
}

/// What changes nothing that another row needs.
fn act(what: &str, once: u32) -> v1::ActRequest {
    let (action, transfer) = what.rsplit_once(' ').unwrap();
    let alert = |action| {
        Action::Alert(v1::AlertAction {
            alert_id: 999,
            seen_ordinal: 1,
            action: Some(action),
        })
    };
    let hospital = match transfer {
        "tx-a" => "HUG",
        "tx-b" => "CHUV",
        _ => "",
    };
    let reason = || "usual".to_owned();
    let action = match action {
        "put" => Action::Put(info(hospital)),
        "join_into" => Action::JoinInto(transfer.to_owned()),
        "hand_over_to" => Action::HandOverTo("gw-none".to_owned()),
        "close" => Action::Close(v1::Close {}),
        "reopen" => Action::Reopen(v1::Reopen {}),
        "alert shown" => alert(Alert::Shown(v1::ViewerRole::Clinician.into())),
        "alert acknowledge" => alert(Alert::Acknowledge(v1::Acknowledge {})),
        "alert pause_s" => alert(Alert::PauseS(60)),
        "alert note" => alert(Alert::Note("seen".to_owned())),
        "set_limits" => Action::SetLimits(v1::SetLimits {
            code: 1,
            limits: None,
            reason: reason(),
        }),
        "auto_limits" => Action::AutoLimits(v1::AutoLimits {
            code: vec![1],
            reason: reason(),
        }),
        "set_baseline" => Action::SetBaseline(v1::SetBaseline {
            code: 1,
            value: None,
            decimals: 0,
            reason: reason(),
        }),
        "note_to_crew" => Action::NoteToCrew("hello".to_owned()),
        "notes_read" => Action::NotesRead(v1::NotesRead {
            gateway: "gw-none".to_owned(),
            through_captured_at_us: 1,
        }),
        other => panic!("{other}: say what it asks"),
    };
    v1::ActRequest {
        transfer: transfer.to_owned(),
        action_id: format!("act-{once}"),
        action: Some(v1::RegistryAction {
            action: Some(action),
        }),
        actor: String::new(),
    }
}

pub(crate) fn letter(code: Code) -> char {
    match code {
        Code::Unauthenticated => 'u',
        Code::PermissionDenied => '-',
        _ => 'y',
    }
}

/// Asks over gRPC; the code of its end, or of its first message.
pub(crate) async fn native(bench: &Bench, method: &str, shown: &str, message: Vec<u8>) -> Code {
    let mut client = Grpc::new(bench.channel().await);
    in_time(client.ready()).await.unwrap();
    let path = format!("/enroute.v1.{method}").parse().unwrap();
    let asked = client.server_streaming(with(shown, message), path, Raw);
    match in_time(asked).await {
        Err(status) => status.code(),
        Ok(response) => match in_time(response.into_inner().message()).await {
            Err(status) => status.code(),
            Ok(_) => Code::Ok,
        },
    }
}

/// Asks over gRPC-Web on HTTP/1.1, byte by byte.
pub(crate) async fn web(bench: &Bench, method: &str, shown: &str, message: Vec<u8>) -> Code {
    let mut stream = TcpStream::connect(&bench.address).await.unwrap();
    let mut head = format!(
        "POST /enroute.v1.{method} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
         content-type: application/grpc-web+proto\r\ncontent-length: {}\r\n",
        message.len() + 5
    );
    if !shown.is_empty() {
        write!(head, "authorization: Bearer {shown}\r\n").unwrap();
    }
    let mut asked = format!("{head}\r\n").into_bytes();
    asked.push(0);
    asked.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    asked.extend(message);
    in_time(stream.write_all(&asked)).await.unwrap();
    let mut answer = Vec::new();
    loop {
        if let Some(code) = told(&answer) {
            return code;
        }
        let mut buffer = [0; 4096];
        let read = in_time(stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&buffer[..read]);
    }
}

/// The status in the head, or in the first frame of the body if that is its end.
fn told(answer: &[u8]) -> Option<Code> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let status = |text: &str| -> Option<Code> {
        let (_, rest) = text.split_once("grpc-status:")?;
        let (number, _) = rest.split_once("\r\n")?;
        Some(Code::from_i32(number.trim().parse().unwrap()))
    };
    if head.contains("grpc-status:") {
        return status(&format!("{head}\r\n"));
    }
    // Behind the length of the first chunk.
    let (_, chunk) = body.split_once("\r\n")?;
    match chunk.chars().next()? {
        '\0' => Some(Code::Ok),
        _ => status(chunk),
    }
}

fn rows() -> impl Iterator<Item = (&'static str, String)> {
    let lines = TABLE.lines();
    lines.map(|line| {
        let (head, cells) = line.split_at(line.len() - 13);
        (head.trim(), cells.replace(' ', ""))
    })
}

#[tokio::test]
async fn everybody_may_what_the_table_says_and_nothing_else() {
    let bench = Bench::new(everybody()).await;
    let mut once = 0;
    for (row, expected) in rows() {
        let method = row.split(' ').next().unwrap();
        let (mut over_grpc, mut over_web) = (String::new(), String::new());
        for actor in ACTORS {
            let shown = bench.shown.get(actor).map_or(actor, String::as_str);
            once += 2;
            let code = native(&bench, method, shown, message(row, once)).await;
            over_grpc.push(letter(code));
            let code = web(&bench, method, shown, message(row, once + 1)).await;
            over_web.push(letter(code));
        }
        let both = (expected.clone(), expected.clone());
        assert_eq!((over_grpc, over_web), both, "{row}");
        on_record(row, &expected, &bench.told().await);
    }
}

/// Rows of which it is not on record that they were let through.
const QUIET: [&str; 3] = [
    "Replay/Control",
    "Transfers/Act alert shown tx-a",
    "Transfers/Act alert shown tx-b",
];

/// Each of the two calls of each actor left a record of what became of it, and no other.
fn on_record(row: &str, expected: &str, told: &[Entry]) {
    let (method, _) = row.split_once(' ').unwrap_or((row, ""));
    let not_known = expected.matches('u').count();
    let is_nobody = |entry: &&Entry| entry.who.role == "nobody";
    let nobody: Vec<_> = told.iter().filter(is_nobody).collect();
    assert_eq!(nobody.len(), 2 * not_known, "{row}: {nobody:#?}");
    assert!(nobody.iter().all(|entry| entry.outcome == Outcome::Refused));
    for (actor, letter) in ACTORS.iter().zip(expected.chars()).skip(not_known) {
        let is_own = |entry: &&Entry| entry.who.name == *actor && entry.outcome != Outcome::Ended;
        let own: Vec<_> = told.iter().filter(is_own).collect();
        let outcome = match letter {
            'y' => Outcome::Allowed,
            _ => Outcome::Refused,
        };
        // One for each patient, and one for the board.
        let parts = row.split(" and ").count();
        let calls = match letter {
            'y' if QUIET.contains(&row) => 0,
            'y' => 2 * parts,
            _ => 2,
        };
        assert_eq!(own.len(), calls, "{row} by {actor}: {own:#?}");
        for entry in own {
            let (told, wanted) = ((entry.outcome, &*entry.action), (outcome, method));
            assert_eq!(told, wanted, "{row} by {actor}: {entry:#?}");
            assert!(entry.who.token.is_some() && entry.who.from.is_some());
        }
    }
}

#[tokio::test]
async fn a_method_that_nobody_thought_of_is_refused() {
    let bench = Bench::new(everybody()).await;
    for method in ["Live/Nothing", "Admin/backup"] {
        for actor in ["clinician", "administrator"] {
            let code = native(&bench, method, &bench.shown[actor], Vec::new()).await;
            assert_eq!(code, Code::PermissionDenied, "{method}");
            let told = bench.told().await;
            let told: Vec<_> = told
                .iter()
                .map(|entry| (&*entry.action, entry.outcome))
                .collect();
            assert_eq!(told, [(method, Outcome::Refused)]);
        }
    }
}

/// What there is in the contract, from its compiled descriptors.
#[test]
fn the_table_has_every_method_and_every_action_of_the_contract() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let has = |wanted: &str| {
        let mut rows = rows();
        let is_it = |row: &str| row == wanted || row.starts_with(&format!("{wanted} "));
        assert!(rows.any(|(row, _)| is_it(row)), "the table has no {wanted}");
    };
    let mut methods = 0;
    for service in set.file.iter().flat_map(|file| &file.service) {
        for method in &service.method {
            has(&format!("{}/{}", service.name(), method.name()));
            methods += 1;
        }
    }
    assert!(methods >= 11, "found only {methods} methods");
    let messages = || set.file.iter().flat_map(|file| &file.message_type);
    for (name, prefix) in [("RegistryAction", ""), ("AlertAction", "alert ")] {
        let message = messages().find(|message| message.name() == name).unwrap();
        let actions = message.field.iter().filter(|f| f.oneof_index.is_some());
        for field in actions {
            has(&format!("Transfers/Act {prefix}{}", field.name()));
        }
    }
}
