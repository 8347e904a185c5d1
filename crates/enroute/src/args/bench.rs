//! The arguments of `enroute bench`.

use super::FormatArg;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Measure this build on this machine. For whoever works on enroute.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute bench engine
  enroute bench restart --transfers 1000
  enroute bench restart --transfers 200 --waveforms --json
  enroute bench recordings --hours 24
  enroute bench bytes --record ../recordings/mimicdb-037/03700181

Exit codes: 0 measured; 1 the disk or the journal failed; 2 wrong arguments.")]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) kind: BenchKind,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchKind {
    /// How long a server takes to come back after its power was cut
    Restart(RestartArgs),
    /// What a frame costs behind the wire: decoded, checked, put in order, watched
    Engine(EngineArgs),
    /// Listing, seeking, re-evaluating and exporting one long recording
    Recordings(RecordingsBenchArgs),
    /// Bytes on the wire, beside FHIR, HL7 v2, Sparkplug B and bare integers
    Bytes(BytesArgs),
}

/// What is sent.
#[derive(Debug, Args)]
pub(crate) struct BytesArgs {
    /// Waveforms of this WFDB record, the path without `.hea`, instead of the simulator's
    #[arg(long, value_name = "RECORD")]
    pub(crate) record: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The journal to come back from.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Active transfers
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) transfers: u16,
    /// How long they have been under way, 12 numerics each second
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(crate) minutes: u16,
    /// With three waveforms at 250 Hz as well
    #[arg(long)]
    pub(crate) waveforms: bool,
    /// Keep the journal here, and use the one that is there
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// How often the same frames are measured.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// Rounds of 2,000 frames of each kind, of which the median is told
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u16).range(5..=999))]
    pub(crate) rounds: u16,
    /// One JSON object per kind of frame
    #[arg(long)]
    pub(crate) json: bool,
}

/// The recording to measure with.
#[derive(Debug, Args)]
pub(crate) struct RecordingsBenchArgs {
    /// How long it is: four waveforms at 250 Hz and 12 numerics each second
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=96))]
    pub(crate) hours: u16,
    /// Keep the recording here, and use the one that is there
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Of what is in --data, measure this one export only; what `bench recordings`
    /// starts for each format, as memory is counted per process
    #[arg(long, value_name = "FORMAT", requires = "data")]
    pub(crate) export: Option<FormatArg>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
