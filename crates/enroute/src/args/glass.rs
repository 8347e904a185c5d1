//! What people type to break the glass.

use super::DEFAULT_SERVER;
use clap::{Args, Subcommand};

/// Open a transfer that is not yours, in an emergency.
///
/// A patient is diverted to you, or nobody of theirs is there: you see one transfer that
/// your role or scope does not cover, and act on it, as a clinician does, at once and
/// without asking anybody. It ends by itself (after an hour, unless the server is told
/// otherwise), when you end it, and when your token is revoked.
///
/// It is in plain sight: opening it and everything that you do there is on record as
/// done by breaking the glass, the log and the alarms of whoever runs the service tell it,
/// and what you write or acknowledge bears it beside your name.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute glass break 4K7-Q2M --reason 'diverted to us, cannula out, nobody at CHUV answers'
  enroute watch 4K7-Q2M
  enroute glass end 4K7-Q2M
  enroute glass list

Your token has to say that you may (`enroute token create --break-glass`, or a word of the
issuer's). What it gives: the live view with waveforms, the course, replay, alerts and
limits, notes to the crew, and who the patient is. Not: exporting, deleting, changing who is
said to be on it, where it goes or what it is joined to, and nothing of another region.

list shows your own; to operators and administrators those of everybody. What was is read
by `enroute audit show --break-glass`.

Exit codes: 0 done; 1 refused or the server is not reached, the line printed says which;
2 wrong arguments.")]
pub(crate) struct GlassArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: GlassAction,
    /// The server's gRPC address
    #[arg(long, global = true, default_value = DEFAULT_SERVER, value_name = "URL")]
    pub(crate) server: String,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum GlassAction {
    /// Open one transfer
    Break {
        /// Id or short code, as the crew tells it
        transfer: String,
        /// Why, in words (10 to 200 characters); must not identify the patient
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End it before its time
    End {
        /// Id or short code
        transfer: String,
    },
    /// List what is open in this way
    List,
}
