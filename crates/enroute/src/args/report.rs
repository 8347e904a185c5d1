//! The commands that run recordings through the engine again.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Run a journal through the engine again and compare the alerts.
///
/// The alerts that a server raised are stored beside what it received. This command
/// gives the same records to a fresh engine and holds its alerts against the stored
/// ones: of a whole journal byte for byte, of one transfer alert by alert. Nothing is
/// written; the server of that directory must not be running.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute demo --headless --for 30s --data /tmp/demo
  enroute reevaluate --data /tmp/demo
  enroute reevaluate --data /tmp/demo 4K7-Q2M --json
  enroute reevaluate --data /tmp/demo 4K7-Q2M --profile rules-to-try/

Of a whole journal it prints one line for each difference: the transfer, the ordinal of
the transition, what was stored and what came out now. Of one transfer it lists which
alerts are new, which no longer come, and which come earlier or later, end otherwise, or
with another priority. The last line says how much faster than the recording that was.

Exit codes: 0 the alerts are the same; 1 the directory cannot be read; 2 wrong
arguments; 3 they differ.")]
pub(crate) struct ReevaluateArgs {
    /// The server's data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Only this one, by id or short code, alert by alert
    pub(crate) transfer: Option<String>,
    /// By this rule book (a .toml file, or a directory of them) instead of those that the
    /// records name
    #[arg(long, value_name = "PATH", requires = "transfer")]
    pub(crate) profile: Option<PathBuf>,
    /// One JSON object for each difference, and one in the end
    #[arg(long, requires = "transfer")]
    pub(crate) json: bool,
}

/// About alerts over whole recordings.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  enroute alerts report --from /var/lib/enroute --compare rules-to-try/

Exit codes: 0 done; 1 a recording cannot be read; 2 wrong arguments.")]
pub(crate) struct AlertsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: AlertsAction,
}

/// What can be told about alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsAction {
    /// Say how many alerts a patient had an hour, and of which kinds
    Report(ReportArgs),
}

/// Say how many alerts a patient had an hour, by kind and priority.
///
/// Runs recordings through the engine: what it would raise today, whatever was raised
/// then. A WFDB record goes the way of a gateway that plays it, each value received at
/// the time at which it was measured, as an adult's.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute alerts report --from /var/lib/enroute/tx-4f2a
  enroute alerts report --from /var/lib/enroute --json
  enroute alerts report --from mimic/s00001-2896-10-10-00-31n --zero-is-missing
  enroute alerts report --from /var/lib/enroute --compare rules-to-try/

A RECORDING is a data directory of a server that does not run, with all its transfers;
one transfer of it, as DIR/TRANSFER; or a WFDB record, with or without .hea. An alert is
short when it lasted less than --short seconds.

Exit codes: 0 done; 1 a recording cannot be read; 2 wrong arguments.")]
pub(crate) struct ReportArgs {
    /// Recordings
    #[arg(long, value_name = "RECORDING", required = true, num_args = 1..)]
    pub(crate) from: Vec<PathBuf>,
    /// By this rule book (a .toml file, or a directory of them); without it by those that
    /// the records name, WFDB records by the built-in one
    #[arg(long, value_name = "PATH")]
    pub(crate) profile: Option<PathBuf>,
    /// And by this one: what it adds and removes
    #[arg(long, value_name = "PATH")]
    pub(crate) compare: Option<PathBuf>,
    /// In WFDB records, 0 is no value (as in MIMIC's numerics)
    #[arg(long)]
    pub(crate) zero_is_missing: bool,
    /// An alert that lasted less is short
    #[arg(long, value_name = "SECONDS", default_value_t = 14)]
    pub(crate) short: u16,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
