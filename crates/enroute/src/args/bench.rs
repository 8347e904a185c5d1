//! The arguments of `enroute bench`.

use super::FormatArg;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Measure this build on this machine. For whoever works on enroute.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute bench all --short
  enroute bench all --json > run.json && enroute bench table run.json
  enroute bench check --run run.json
  enroute bench throughput --rounds 7
  enroute bench engine
  enroute bench restart --transfers 1000
  enroute bench restart --transfers 200 --waveforms --json
  enroute bench recordings --hours 24
  enroute bench bytes --record ../recordings/mimicdb-037/03700181

Exit codes: 0 measured; 1 a measure failed, or a count or size grew; 2 wrong arguments.")]
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
    /// Commits, system calls and encodings, which do not depend on how fast a machine is
    Counts(MeasureArgs),
    /// Frames a second from publishers to a viewer, and what one costs, beside a bare subscriber
    Throughput(MeasureArgs),
    /// From publish to viewer at 1,000 and 10,000 frames a second, beside the broker alone
    Latency(MeasureArgs),
    /// Commits of the journal, beside the store alone
    Journal(MeasureArgs),
    /// Many viewers of one transfer and few of many, beside a bare stream
    Fanout(MeasureArgs),
    /// Many transfers at a time, beside a hundred
    Capacity(MeasureArgs),
    /// Six hours out of a spool over one megabit a second, beside what the link could carry
    Backfill(MeasureArgs),
    /// Every measure, one after the other
    All(MeasureArgs),
    /// Every measure beside the figures that are stored in the source
    Check(CheckArgs),
    /// What `bench all --json` wrote, as the table of the README
    Table(TableArgs),
    #[command(hide = true, subcommand)]
    Part(PartArgs),
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

/// How long a measure takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Rounds, in each of which subject and yardstick take their turn
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=999))]
    pub(crate) rounds: u16,
    /// A look in seconds: one round of a tenth of the load; no figure to quote
    #[arg(long)]
    pub(crate) short: bool,
    /// One JSON object, at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is printed.
#[derive(Clone, Debug, Args)]
pub(crate) struct TableArgs {
    /// What `bench all --json` wrote
    #[arg(value_name = "FILE")]
    pub(crate) run: PathBuf,
    /// As the figures that `bench check` compares with
    #[arg(long)]
    pub(crate) stored: bool,
}

/// What is compared.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Counts and sizes, engine, journal and latency: what a busy machine measures in a minute
    #[arg(long)]
    pub(crate) short: bool,
    /// What `bench all --json` wrote, instead of measuring now
    #[arg(long, value_name = "FILE", conflicts_with = "short")]
    pub(crate) run: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The processes that a measure starts; they are told what to do on standard input.
#[derive(Debug, Subcommand)]
pub(crate) enum PartArgs {
    /// Publishes frames
    Load(LoadArgs),
    /// A bare subscriber
    Count(CountArgs),
    /// A bare stream
    Stream,
    /// Boards
    Viewers(ViewersArgs),
    /// A live view without network
    Capacity(CapacityArgs),
}

/// What is published.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    #[arg(long)]
    pub(crate) broker: String,
    #[arg(long)]
    pub(crate) transfers: u16,
}

/// What is counted.
#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    /// Absent: the embedded broker in the same process
    #[arg(long)]
    pub(crate) broker: Option<String>,
}

/// Who looks.
#[derive(Debug, Args)]
pub(crate) struct ViewersArgs {
    #[arg(long)]
    pub(crate) server: String,
    #[arg(long)]
    pub(crate) viewers: u16,
}

/// What the live view holds.
#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    #[arg(long)]
    pub(crate) transfers: u16,
    #[arg(long)]
    pub(crate) waveforms: bool,
    /// Seconds of the patients' time before it is measured
    #[arg(long)]
    pub(crate) before: u16,
}
