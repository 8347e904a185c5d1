//! The command line. The help texts are pages for people: what the command
//! does, an example, what its exit code means.

mod audit;
mod bench;
mod broker;
mod certs;
mod export;
mod glass;
mod identity;
mod import;
mod keys;
mod replay;
mod report;
mod rules;
mod token;
mod typed;

pub(crate) use audit::{AuditAction, AuditArgs, WantedRecords};
pub(crate) use bench::{
    BenchArgs, BenchKind, BytesArgs, CapacityArgs, CheckArgs, CountArgs, EngineArgs, LoadArgs,
    MeasureArgs, PartArgs, RecordingsBenchArgs, RestartArgs, TableArgs, ViewersArgs,
};
pub(crate) use broker::{BrokerArgs, BrokerUrl};
pub(crate) use certs::CertsArgs;
use clap::{Args, Parser, Subcommand};
pub(crate) use export::{ExportArgs, FormatArg};
pub(crate) use glass::{GlassAction, GlassArgs};
pub(crate) use identity::{IdentityAction, IdentityArgs};
pub(crate) use import::ImportArgs;
pub(crate) use keys::{KeysAction, KeysArgs};
pub(crate) use replay::{
    From, Order, Recorded, RecordingsAction, RecordingsArgs, ReplayArgs, Speed,
};
pub(crate) use report::{AlertsAction, AlertsArgs, ReevaluateArgs, ReportArgs};
pub(crate) use rules::{BaselineArgs, LimitsArgs, RulesAction, RulesArgs};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
pub(crate) use token::{TokenAction, TokenArgs, TokenRole, WantedToken};
pub(crate) use typed::{Age, Grams, LegArg, PlaceArg};
use typed::{leg, weight};

/// Vital signs of patients in transfer, from the vehicle to the receiving ICU.
///
/// Gateways on board record, spool to disk and send over MQTT; the server writes
/// everything to its journal first, watches the values, and serves viewers over
/// gRPC. The monitor at the patient stays the primary alarm.
#[derive(Debug, Parser)]
#[command(
    name = "enroute",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Start with: enroute demo\n\n\
        A server with TLS (--server https://HOST:PORT) needs ENROUTE_TLS_AUTHORITY in the\n\
        environment, the PEM file of whom to trust; where it asks for a certificate also\n\
        ENROUTE_TLS_CERTIFICATE and ENROUTE_TLS_KEY. One that asks for a token takes it from\n\
        ENROUTE_TOKEN, or from the file that ENROUTE_TOKEN_FILE names.\n\n\
        Exit codes: 0 done; 1 failed, the last line says why; 2 wrong arguments or\n\
        configuration; 3 the command's check found a difference (demo, reevaluate,\n\
        recordings verify, audit verify)."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What to log to standard error: error, warn, info, debug, trace, or a
    /// filter such as `info,enroute_ingest=debug`. Logs never hold patient data.
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process with simulated patients
    Demo(DemoArgs),
    /// Run the server: broker or MQTT client, journal, engines, gRPC
    Serve(ServeArgs),
    /// Run a gateway, the box on board
    Gateway(GatewayArgs),
    /// Send simulated transfers to a broker
    Simulate(SimulateArgs),
    /// Create, look at and change transfers on a server
    Transfer(TransferArgs),
    /// Look at, check and write rule books: the limits by which alerts are raised
    Rules(RulesArgs),
    /// Watch transfers in the terminal, or as JSON
    Watch(WatchArgs),
    /// Play a recorded transfer, in the terminal, as JSON, or published again
    Replay(ReplayArgs),
    /// List, show and check what is recorded
    Recordings(RecordingsArgs),
    /// Copy everything that a server has stored into one file, while it runs
    Backup(BackupArgs),
    /// Make a data directory of such a file
    Restore(RestoreArgs),
    /// Write a recorded transfer in a format that other tools open
    Export(ExportArgs),
    /// Make a data directory of a recording
    Import(ImportArgs),
    /// Make certificates for a server, gateways and viewers
    Certs(CertsArgs),
    /// Make, list and revoke tokens for people and programs
    Token(TokenArgs),
    Keys(KeysArgs),
    /// See, say, export and delete who a patient is
    Identity(IdentityArgs),
    /// Open a transfer that is not yours, in an emergency
    Glass(GlassArgs),
    /// Read and check the record of who saw and did what
    Audit(AuditArgs),
    /// Measure this build on this machine
    #[command(hide = true)]
    Bench(BenchArgs),
    /// Run a journal through the engine again and compare the alerts
    Reevaluate(ReevaluateArgs),
    /// Say how many alerts recordings had
    Alerts(AlertsArgs),
}

/// Run everything in one process: broker, server, and simulated patients.
///
/// Each simulated transfer has a real gateway with its own spool, sending over a
/// simulated radio link that fades. One transfer crosses a border by ambulance,
/// aircraft and ambulance, and is silent for a stretch of the flight. Usual ports
/// that are taken are replaced by free ones; the first lines printed say where to
/// look. Everything is marked EXERCISE.
///
/// In a terminal the view of `enroute watch` opens in place; q ends the demo.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute demo
  enroute demo --transfers 20 --seed 7
  enroute demo --headless --for 30s        # stops by itself, prints a summary

With --for (and on Ctrl-C) the patients stop first, the gateways send what they
still hold, and a summary is printed: frames produced, sent, received, durable,
missing and duplicate per stream, alerts, what a viewer of our own counted, and
latencies per stage.

Exit codes: 0 every frame is durable and all counts agree; 1 something failed;
2 wrong arguments; 3 a frame is missing or the counts do not agree.")]
pub(crate) struct DemoArgs {
    /// Simulated transfers
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) transfers: u16,
    /// The same seed gives the same patients, routes and radio links
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Where gRPC and HTTP listen; without it port 7400, or a free one if taken
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Keep journal and spools here, in a new directory; without it a temporary one is used and
    /// removed
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print status lines instead of opening the terminal view
    #[arg(long)]
    pub(crate) headless: bool,
    /// Stop after this long (30s, 5m, 1h) and print a summary
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) run_for: Option<Duration>,
}

/// Run the server.
///
/// Subscribes to the gateways' topics on the embedded or an external broker,
/// writes every frame to the journal before anything else sees it, runs one
/// engine per transfer, and serves viewers over gRPC and gRPC-Web on one port.
/// The configuration is checked in full before any port opens.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  enroute serve --config /etc/enroute/server.toml

deploy/server.toml is a commented configuration. Ctrl-C or SIGTERM stops intake,
syncs the journal, closes the viewers' streams and exits; a second one exits at once.

Exit codes: 0 stopped as asked; 1 failed (a journal that cannot write ends the
server: nothing is called durable from memory); 2 wrong configuration.")]
pub(crate) struct ServeArgs {
    /// TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Run a gateway, the box on board.
///
/// Reads a monitor (simulated, or a WFDB recording played in real time), writes
/// every frame to its spool on disk, then sends it. A frame leaves the spool only
/// when the server says that it is durable. Without a link it records on, for as
/// long as the disk allows; afterwards the present goes first and the past fills in
/// behind. The crew's page shows whether the hospital receives.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  enroute gateway --config /etc/enroute/gateway.toml

deploy/gateway.toml is a commented configuration. The gateway connects for ever; a
broker that is not there yet is no error.

Exit codes: 0 stopped as asked, or the recording was played and everything is
durable at the server; 1 failed; 2 wrong configuration.")]
pub(crate) struct GatewayArgs {
    /// TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Send simulated transfers to a broker, each through a gateway of its own.
///
/// For trying a server that runs elsewhere. Everything sent is marked EXERCISE.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute simulate --broker mqtt://127.0.0.1:1883 --transfers 20 --seed 7
  enroute simulate --broker mqtts://icu.example.org:8883 --certs certs

With mqtts:// each vehicle shows a certificate of its own, which bears its gateway's id:
--certs names a directory as `enroute certs` makes it, with hospital/ca.pem, who signed
the broker's certificate, and vehicles/ID.pem and vehicles/ID.key for each gateway. The
seed gives the ids. When some are missing nothing is sent, and the command that makes
them is printed.

Runs until Ctrl-C (or --for); then the patients stop, and the gateways send what
they still hold.

Exit codes: 0 everything sent was confirmed as durable; 1 something failed, or
frames were still unconfirmed at the end; 2 wrong arguments.")]
pub(crate) struct SimulateArgs {
    /// The MQTT broker, as mqtts://HOST:PORT with TLS, or mqtt://HOST:PORT without
    #[arg(long, value_name = "URL")]
    pub(crate) broker: BrokerUrl,
    /// With TLS: whom to trust, and a certificate and key for each gateway
    #[arg(long, value_name = "DIR")]
    pub(crate) certs: Option<PathBuf>,
    /// To a broker over the network without TLS all the same
    #[arg(long)]
    pub(crate) allow_unprotected_network: bool,
    /// Simulated transfers
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) transfers: u16,
    /// The same seed gives the same patients, routes and radio links
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Keep the spools here; without it a temporary directory is used and removed
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Stop after this long (30s, 5m, 1h)
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) run_for: Option<Duration>,
    /// Tell this server, over gRPC, what people know of each transfer: hospital, concern,
    /// vehicles, route; without it a board has only what the vehicles send
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
}

/// Create, look at and change transfers on a server.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute transfer add --hospital 'HUG Geneva' --age adult --concern 'septic shock' \\
      --leg 'vehicle=AMB-12,mode=road,from=Aosta@45.737/7.320,to=HUG@46.193/6.149'
  enroute transfer list
  enroute transfer assign 4K7-Q2M --hospital 'HUG Geneva'
  enroute transfer join tx-9f… --into 4K7-Q2M

A TRANSFER is an id, an id joined to it, or the six-character short code.

Exit codes: 0 done, durable and handled; 1 refused or the server is not reached, the
line printed says which; 2 wrong arguments.")]
pub(crate) struct TransferArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: TransferAction,
    /// The server's gRPC address
    #[arg(long, global = true, default_value = DEFAULT_SERVER, value_name = "URL")]
    pub(crate) server: String,
}

/// Where a server listens unless told otherwise.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7400";

/// What can be done with a transfer.
#[derive(Debug, Subcommand)]
pub(crate) enum TransferAction {
    /// Create a transfer; prints its id and short code
    Add(InfoArgs),
    /// List transfers, open ones first
    List {
        /// Also the closed ones
        #[arg(long)]
        closed: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one transfer in full
    Show {
        /// Id or short code
        transfer: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Close a transfer; late history is still accepted
    Close {
        /// Id or short code
        transfer: String,
    },
    /// Open a closed transfer again
    Reopen {
        /// Id or short code
        transfer: String,
    },
    /// Give a transfer a hospital, and whatever else is known; the rest stays as it was
    Assign {
        /// Id or short code
        transfer: String,
        /// What to change.
        #[command(flatten)]
        info: InfoArgs,
    },
    /// Make a transfer a leg of another one: one journey, one trend
    Join {
        /// Id or short code of the leg
        transfer: String,
        /// Id or short code of the transfer that it belongs to
        #[arg(long, value_name = "TRANSFER")]
        into: String,
    },
    /// Make one gateway's source the active one
    HandOver {
        /// Id or short code
        transfer: String,
        /// The gateway that goes on
        #[arg(long, value_name = "GATEWAY")]
        to: String,
    },
    /// See to an alert: acknowledge it, let its signals rest, or leave a remark
    Alert(AlertArgs),
    /// Set a patient's own limits, or limits around the current values
    Limits(LimitsArgs),
    /// Say what is usual for a patient: changes are counted from it
    Baseline(BaselineArgs),
    /// Read what crew and hospital wrote to each other, or write to the crew
    Note(NoteArgs),
}

/// A note to the crew, or all notes.
#[derive(Debug, Args)]
pub(crate) struct NoteArgs {
    /// Id or short code of the transfer
    pub(crate) transfer: String,
    /// What the crew is to read; must not identify the patient. Without it the notes of
    /// both sides are printed, oldest first, each with how far it has come
    pub(crate) text: Option<String>,
    /// Print them, and tell the crew that theirs have been read
    #[arg(long, conflicts_with = "text")]
    pub(crate) read: bool,
    /// Who you are; recorded as unverified
    #[arg(long = "as", value_name = "NAME", default_value = "")]
    pub(crate) actor: String,
}

/// What to do about which alert.
#[derive(Debug, Args)]
pub(crate) struct AlertArgs {
    /// Id or short code of the transfer
    pub(crate) transfer: String,
    /// The alert's number, as `transfer show` prints it
    pub(crate) alert: u64,
    /// Seen, and taken care of: its signals end, and what was only latched is over
    #[arg(long, group = "doing", required_unless_present_any = ["pause", "note"])]
    pub(crate) acknowledge: bool,
    /// Let its signals rest for so many seconds; what becomes more urgent breaks through
    #[arg(long, group = "doing", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=1800))]
    pub(crate) pause: Option<u32>,
    /// A remark for whoever looks next; must not identify the patient
    #[arg(long, group = "doing", value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Who you are; recorded as unverified
    #[arg(long = "as", value_name = "NAME", default_value = "")]
    pub(crate) actor: String,
}

/// What people know of a transfer. Nothing here may identify the patient.
#[derive(Debug, Default, Args)]
pub(crate) struct InfoArgs {
    /// The receiving hospital
    #[arg(long, value_name = "NAME")]
    pub(crate) hospital: Option<String>,
    /// Age band; unknown uses adult limits, marked as assumed
    #[arg(long, value_name = "BAND")]
    pub(crate) age: Option<Age>,
    /// Body weight in kilograms
    #[arg(long, value_name = "KG", value_parser = weight)]
    pub(crate) weight: Option<Grams>,
    /// A condition such as sepsis, stroke or trauma; may be repeated
    #[arg(long = "condition", value_name = "WORD")]
    pub(crate) conditions: Vec<String>,
    /// The headline, in a few words; must not identify the patient
    #[arg(long, value_name = "TEXT")]
    pub(crate) concern: Option<String>,
    /// A region where it may be seen, as in CH; may be repeated, and takes the place of what was
    /// said before. `default`: those that it comes from and goes to
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<String>,
    /// A planned leg, in order of travel; may be repeated:
    /// `vehicle=…,mode=road|air,from=NAME@LAT/LON,to=NAME@LAT/LON[,gateway=…][,departs=TIME][,arrives=TIME]`,
    /// times such as 2026-03-01T14:30Z
    #[arg(long = "leg", value_name = "LEG", value_parser = leg)]
    pub(crate) legs: Vec<LegArg>,
}

/// Watch transfers in the terminal, or as JSON.
///
/// Shows the board of all open transfers, most urgent first; Enter opens one patient
/// with waveforms. When the server falls silent the view says so and sounds the
/// terminal's bell, keeps the last picture marked as such, and goes on by itself
/// when the server is back.
///
/// The monitor at the patient is the primary alarm; this view is a second one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Keys: up and down choose, Enter opens, Esc goes back, left and right go to the next
patient, ? shows help, q leaves. With a patient open: up and down choose an alert, a
acknowledges it, z lets its signals rest for five minutes, m is a remark. The view tells
the server which alerts it has drawn. It speaks English only.

With --json one object a line is printed, for scripts:
  {\"type\":\"snapshot\",\"server_time\":…,\"missed\":null,\"transfers\":[…]}
  {\"type\":\"transfer\",\"server_time\":…,\"transfer\":{…}}
  {\"type\":\"values\",\"server_time\":…,\"transfer\":\"tx-…\",\"gateway\":\"gw-…\",\"values\":[…]}
  {\"type\":\"alert\",\"server_time\":…,\"transfer\":\"tx-…\",\"ordinal\":3,\"at\":…,\"alert\":{…}}
  {\"type\":\"heartbeat\",\"server_time\":…,\"conflated\":0}
  {\"type\":\"lost\",\"reason\":\"…\"}          (the server is not reached; it is tried again)
Times are RFC 3339 in UTC. A value is {\"id\":\"hr\",\"code\":147842,\"unit\":\"/min\",
\"value\":81,\"state\":\"measured\",\"stale\":false,…}; without a number \"value\" is null and
\"state\" says why. Fields may be added; none will change its meaning.

Examples:
  enroute watch
  enroute watch 4K7-Q2M --server http://10.0.0.5:7400
  enroute watch --json | jq 'select(.type==\"alert\")'

Exit codes: 0 left as asked; 1 no such transfer, or the address is not usable;
2 wrong arguments.")]
pub(crate) struct WatchArgs {
    /// Id or short code of one transfer; without it all open ones
    #[arg(value_name = "TRANSFER")]
    pub(crate) transfer: Option<String>,
    /// The server's gRPC address
    #[arg(long, default_value = DEFAULT_SERVER, value_name = "URL")]
    pub(crate) server: String,
    /// Print one JSON object a line instead of opening the view
    #[arg(long)]
    pub(crate) json: bool,
    /// Who you are, for what you do about alerts; recorded as unverified [default: $USER]
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) actor: Option<String>,
}

/// Copy everything that a server has stored into one file.
///
/// Asks the running server: commits, alerts and viewers go on meanwhile, and the
/// copy is of one moment. It holds all records, alerts, poison marks, snapshots and
/// the registry of transfers; not the quarantine of refused publishes. The file is
/// checked block by block while it is written, under a temporary name that becomes
/// its own only when the copy is whole and on disk.
///
/// The file holds patient data in clear: keep it as safe as the server's disk.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute backup /backup/enroute-monday
  enroute backup /backup/enroute-monday --server http://10.0.0.5:7400
  enroute backup /backup/enroute-monday --data /var/lib/enroute   # no server runs

Exit codes: 0 the file is whole and on disk; 1 it is not, the last line says why;
2 wrong arguments.")]
pub(crate) struct BackupArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// The server's gRPC address
    #[arg(long, default_value = DEFAULT_SERVER, value_name = "URL", conflicts_with = "data")]
    pub(crate) server: String,
    /// Copy this data directory of a server that does not run
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Make a server's data directory of a backup.
///
/// Needs no server and no network. The whole file is checked; the journal takes its
/// place only when all of it was. It gets an incarnation of its own: gateways that
/// see it send again what they still hold, and what nobody holds any more is shown
/// as a gap; viewers get a new picture.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute restore /backup/enroute-monday --data /var/lib/enroute
  enroute restore /backup/enroute-monday --check            # reads the file only

A journal that is there already is not touched unless --replace is given; then it is
set aside in the data directory as journal.replaced-TIME, and nothing of it is deleted.

Exit codes: 0 the journal is in its place (or the file is whole); 1 nothing has
changed, the last line says why; 2 wrong arguments.")]
pub(crate) struct RestoreArgs {
    /// A file that `enroute backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// The server's data directory, made if absent
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    pub(crate) data: Option<PathBuf>,
    /// Set aside a journal that is there
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only read the file and say whether it is whole
    #[arg(long, conflicts_with_all = ["data", "replace"])]
    pub(crate) check: bool,
}

/// Reads `500ms`, `30s`, `5m`, `1h`, `12h30m`; up to a week.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (mut millis, mut rest) = part(text)?;
    while !rest.is_empty() {
        let (more, behind) = part(rest)?;
        millis = millis.saturating_add(more);
        rest = behind;
    }
    let duration = Duration::from_millis(millis);
    if duration.is_zero() || duration > Duration::from_hours(7 * 24) {
        return Err("must be more than 0 and at most a week".into());
    }
    Ok(duration)
}

/// Milliseconds of the first number with its unit, and what is behind it.
fn part(text: &str) -> Result<(u64, &str), String> {
    let end = |text: &str, of: fn(char) -> bool| text.find(of).unwrap_or(text.len());
    let (number, behind) = text.split_at(end(text, |c| !c.is_ascii_digit()));
    let (unit, behind) = behind.split_at(end(behind, |c| c.is_ascii_digit()));
    let number: u64 = number
        .parse()
        .map_err(|_| "use whole numbers with units: 500ms, 30s, 5m, 12h30m".to_owned())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("unit {unit:?} is not known: use ms, s, m or h")),
    };
    Ok((number.saturating_mul(millis), behind))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
