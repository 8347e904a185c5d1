//! The commands about recordings.

use super::{BrokerArgs, BrokerUrl, DEFAULT_SERVER, duration};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;

/// Play a recorded transfer, or look back on one that is under way.
///
/// The server runs the same engine over the same records, so in order of arrival the
/// alerts are those that were raised then. Everything shown is marked REPLAY. With
/// --to it is published again instead, through a gateway of its own, as an EXERCISE
/// under a new id.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute replay 4K7-Q2M --speed 10
  enroute replay 4K7-Q2M --from 5m --order device
  enroute replay 4K7-Q2M --speed max --json | jq 'select(.type==\"alert\")'
  enroute replay 4K7-Q2M --to mqtt://127.0.0.1:1883 --speed 2
  enroute replay 4K7-Q2M --to mqtts://icu.example.org:8883 --authority certs/hospital/ca.pem \\
      --certificate certs/vehicles/replay-1.pem --key certs/vehicles/replay-1.key

Keys: space stands and goes on; left and right ten seconds, up and down a minute; n and
p the next and the previous alert; . the next frame, s a second; + and - the speed, f as
fast as possible; o the other order; Home and End; q leaves.

With --json each line is one object as of `enroute watch --json`, with `replayed` beside
it: recorded_at, speed (null: as fast as possible), order, state, playback. It ends at the
end of the recording, or where an open transfer has caught up with now.

Published again it goes through a temporary spool: nothing is given up before the
server there has confirmed it, as with any gateway. A broker with TLS knows gateways by
the names in their certificates, so make one for replays (`enroute certs certs --gateway
replay-1`): two that publish under one name at a time throw each other out. To a broker
over the network it goes with TLS, unless --allow-unprotected-network is given.

Exit codes: 0 played, or left by its viewer; 1 no such transfer, the server is not
reached, or (--to) frames were not confirmed; 2 wrong arguments.")]
pub(crate) struct ReplayArgs {
    /// Id or short code
    pub(crate) transfer: String,
    /// The server's gRPC address
    #[arg(long, default_value = DEFAULT_SERVER, value_name = "URL")]
    pub(crate) server: String,
    /// Times real time, 0.1 to 10000, or max
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) speed: Speed,
    /// Where to begin: a time as 2026-03-01T14:30Z, or so long after the start (90s, 5m)
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<From>,
    /// As it was received, or as it was captured on board
    #[arg(long, value_enum, default_value = "arrival")]
    pub(crate) order: Order,
    /// Print a line for each update
    #[arg(long, conflicts_with = "to")]
    pub(crate) json: bool,
    /// Publish it again to this broker, mqtts://HOST:PORT with TLS, or mqtt://HOST:PORT without
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<BrokerUrl>,
    /// As what.
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

/// In which order a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// As the hospital saw it
    Arrival,
    /// As it happened
    Device,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// Times real time.
    Times(f64),
    /// As fast as possible.
    Max,
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times: Option<f64> = text.parse().ok();
        times
            .filter(|times| (0.1..=10_000.0).contains(times))
            .map(Self::Times)
            .ok_or_else(|| "use a number from 0.1 to 10000, or max".to_owned())
    }
}

/// A moment of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Microseconds UTC.
    At(i64),
    /// Microseconds after the start.
    After(i64),
}

impl FromStr for From {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(at) = crate::utc::parse(text) {
            return Ok(Self::At(at));
        }
        let after = duration(text).map_err(|_| {
            "use a time as 2026-03-01T14:30Z, or so long after the start: 90s, 5m, 1h".to_owned()
        })?;
        Ok(Self::After(
            i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        ))
    }
}

/// What is recorded.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute recordings list
  enroute recordings show 4K7-Q2M --json
  enroute recordings verify --data /var/lib/enroute
  enroute recordings delete 4K7-Q2M --as 'Dr. Weber'

list and show ask a running server, or read the data directory of one that does not run
(--data). verify reads every record of such a directory: whether it fits its checksum,
decodes, and lies in the order of position and time; whether the stored alerts are
numbered without a hole; and what each source sent that is not there.

delete takes what is recorded of a closed transfer, and of all that was joined to it, for
good: records, alerts, notes. It asks first. Only the id, from when to when, how much, by
whom and when it was deleted are remembered (list --deleted). A backup from before still
has it. What gateways still send of it is dropped; if one is on it live again, it appears
anew. A server deletes by itself what server.toml says under [recordings].

Exit codes: 0 done, and with verify nothing is damaged; 1 failed; 2 wrong arguments;
3 verify found damage. Frames that are missing or were given up are told and are no
damage.")]
pub(crate) struct RecordingsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: RecordingsAction,
}

/// What can be done with recordings.
#[derive(Debug, Subcommand)]
pub(crate) enum RecordingsAction {
    /// List all, the newest first
    List {
        /// Those that were deleted
        #[arg(long)]
        deleted: bool,
        /// Where they are.
        #[command(flatten)]
        recorded: Recorded,
    },
    /// Delete what is recorded of a closed transfer
    Delete {
        /// Id or short code
        transfer: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Who you are; recorded as unverified
        #[arg(long = "as", value_name = "NAME", default_value = "")]
        actor: String,
        /// Where it is.
        #[command(flatten)]
        recorded: Recorded,
    },
    /// Show one
    Show {
        /// Id or short code
        transfer: String,
        /// Where it is.
        #[command(flatten)]
        recorded: Recorded,
    },
    /// Check every record of a data directory
    Verify {
        /// Of this one only: its id
        transfer: Option<String>,
        /// The data directory of a server that does not run
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// One JSON object a transfer
        #[arg(long)]
        json: bool,
    },
}

/// Where recordings are read.
#[derive(Debug, Args)]
pub(crate) struct Recorded {
    /// The server's gRPC address
    #[arg(long, default_value = DEFAULT_SERVER, value_name = "URL", conflicts_with = "data")]
    pub(crate) server: String,
    /// The data directory of a server that does not run
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}
