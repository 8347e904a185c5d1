//! The arguments of `enroute export`.

use super::DEFAULT_SERVER;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Write a recorded transfer in a format that other tools open.
///
/// Makes a directory TRANSFER-FORMAT in the output directory, under a temporary name
/// that becomes its own only when everything in it is whole and on disk. Times are
/// those of the clocks on board; samples are the integers that came. Beside the data
/// stand gaps.json and gaps.txt: what is missing, from when to when, and why.
///
/// File names carry the transfer's id and nothing else; the files hold patient data in
/// clear.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Formats:
  wfdb     records TRANSFER_w1 … (waveforms) and TRANSFER_n1 … (vital signs), listed in
           RECORDS; alerts and events as notes in annotation files .evt; a record a
           source and stretch: a gap of ten minutes, or another scale, begins a new one
  edf      EDF+ files, one for each such stretch; -32768 is a missing sample
  mcap     every frame and every step of an alert as it is, with the contract's protobuf
           descriptors inside
  csv      tables of vital signs, alerts and events with every time
  parquet  the same tables in columns

Examples:
  enroute export 4K7-Q2M --format wfdb --out /exports
  enroute export tx-9f… --format csv --data /var/lib/enroute     # no server runs

Exit codes: 0 the export is whole and on disk; 1 nothing was made, the last line says
why; 2 wrong arguments.")]
pub(crate) struct ExportArgs {
    /// Id or short code of the transfer
    #[arg(value_name = "TRANSFER")]
    pub(crate) transfer: String,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: FormatArg,
    /// Where to make the export's directory
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The server's gRPC address
    #[arg(long, default_value = DEFAULT_SERVER, value_name = "URL", conflicts_with = "data")]
    pub(crate) server: String,
    /// Read this data directory of a server that does not run
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// A format by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Records of PhysioNet's format
    Wfdb,
    /// EDF+ files
    Edf,
    /// Every message as it is, in one file that explains itself
    Mcap,
    /// Tables as text
    Csv,
    /// Tables in columns
    Parquet,
}
