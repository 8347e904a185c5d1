//! The arguments of `enroute import`.

use clap::Args;
use enroute_model::ids::TransferId;
use std::path::PathBuf;

/// Make a data directory of a recording: WFDB records, or an MCAP export.
///
/// The recording becomes one closed transfer in a new journal, as if a server had
/// received each frame at the very moment when its last value was taken: delays and
/// staleness mean what they meant, and the alerts are raised anew. Every frame is
/// marked as an exercise.
///
/// The directory is a new one of its own because engine time never goes back: in a
/// journal that has records already, those of an older recording would all seem to be
/// received at once. Look into it with `enroute serve`, `export` or `reevaluate`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute import tx-9f….mcap --data /tmp/imported
  enroute import p000020-waves p000020n --data /tmp/imported --zero-is-missing

Several WFDB records become one transfer, each at its own time; comments in their
headers go nowhere, for they may describe the patient.

Exit codes: 0 the journal is whole and on disk; 1 nothing was made, the last line says
why; 2 wrong arguments.")]
pub(crate) struct ImportArgs {
    /// One MCAP file, or WFDB records with or without .hea
    #[arg(value_name = "RECORDING", required = true)]
    pub(crate) from: Vec<PathBuf>,
    /// The data directory to make a journal in; it must have none
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The id of the transfer; without it that of the MCAP file, or a new one
    #[arg(long, value_name = "ID")]
    pub(crate) transfer: Option<TransferId>,
    /// Vital signs of 0 in WFDB records mean that there was no valid value
    #[arg(long)]
    pub(crate) zero_is_missing: bool,
}
