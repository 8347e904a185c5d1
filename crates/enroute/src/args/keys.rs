//! What people type of keys.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Make keys by which journal and spool are sealed on the disk, and see which are needed.
///
/// A file of keys has a line for each, "NUMBER KEY"; the highest number is the current
/// one. To take a new one into use, add it and restart: the server wraps what it has under
/// it, without touching recordings, and the older line can go once `needed` says so.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute keys new --file /etc/enroute/keys      # makes it, or adds a newer key
  enroute keys new                               # prints one, for a key service
  enroute keys needed /var/lib/enroute

A command that reads a sealed data directory finds its keys by ENROUTE_KEYS, the name of
the file, or ENROUTE_KEYS_COMMAND, a program with arguments that prints them.

Without its keys nobody can open what was sealed, ever: keep a copy elsewhere. A backup
needs the keys that were current when it was made.

Exit codes: 0 done; 1 something failed, the line says what; 2 wrong arguments.")]
pub(crate) struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: KeysAction,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysAction {
    /// Make a key, and print it or add it to a file
    New {
        /// The file, made for its owner alone; without it the key is printed
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Say which keys a data directory of a server, or a spool, needs
    Needed {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}
