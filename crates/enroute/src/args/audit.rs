//! What people type of the audit log.

use clap::{Args, Subcommand};
use enroute_audit::Head;
use std::path::PathBuf;

/// Read the audit log: who saw, did, exported and was refused.
///
/// A server writes it below its data directory, in files of JSON lines in which each
/// record has the hash of the one before. Commands that take data out of the directory
/// of a server that does not run, or change it, write it too. Nothing is ever deleted
/// from it. Both commands read while the server runs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute audit verify --data /var/lib/enroute
  enroute audit verify --data /var/lib/enroute --expect 1204:9f86d0…
  enroute audit show --data /var/lib/enroute --transfer tr-1f… --since 24h
  enroute audit show --data /var/lib/enroute --refused --json
  enroute audit show --data /var/lib/enroute --break-glass

verify finds what was changed, taken out, put elsewhere or cut off, says which record,
and prints the head: the number and the hash of the last record. Note it where whoever
can write to this machine cannot (the server's log has it too, now and then), and give
it to --expect later: without a key (`[audit] key` in server.toml) somebody who may write
here could make another log, whole in itself. With a key, whose file is named by --key
or ENROUTE_AUDIT_KEY_FILE, that takes the key as well.

Exit codes: 0 done, and with verify the log is whole; 1 something failed; 2 wrong
arguments; 3 the log is not whole.")]
pub(crate) struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: AuditAction,
    /// The server's data directory
    #[arg(
        global = true,
        long,
        default_value = "/var/lib/enroute",
        value_name = "DIR"
    )]
    pub(crate) data: PathBuf,
    /// The file with the log's key, if it has one
    #[arg(global = true, long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// What can be done with it.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Check every record, and print the head
    Verify {
        /// A head that was noted earlier: it has to be in the log still
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<Head>,
    },
    /// Print records, oldest first
    Show(WantedRecords),
}

/// Which.
#[derive(Debug, Args)]
pub(crate) struct WantedRecords {
    /// About this transfer, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) transfer: Option<String>,
    /// By whom: a part of a name, a role, a token's id or a certificate's name
    #[arg(long, value_name = "TEXT")]
    pub(crate) who: Option<String>,
    /// What: a part of a method's name, or of the words with it
    #[arg(long, value_name = "TEXT")]
    pub(crate) action: Option<String>,
    /// From then on: 2026-03-01T14:30Z, or how long ago (30m, 24h)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only broken glass: when it was broken and ended, and what was done under it
    #[arg(long)]
    pub(crate) break_glass: bool,
    /// Only what was refused
    #[arg(long)]
    pub(crate) refused: bool,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}
