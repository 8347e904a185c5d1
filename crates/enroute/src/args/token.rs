//! What people type of tokens.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Make, list and revoke tokens by which a server knows people and programs.
///
/// The file holds hashes alone; a token is printed once, when it is made. A server that
/// has the file under `[access]` takes a change within seconds: a revoked token ends what
/// it has open.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute token create --name 'Dr. Weber' --role clinician --hospital 'HUG Geneva'
  enroute token create --name hall --role wall --certificate wall-1
  enroute token create --name 'Dr. Roth' --role clinician --hospital CHUV --break-glass
  enroute token create --name 'Referring clinic' --role viewer \\
      --transfer tr-1f… --days 2
  enroute token list --file /etc/enroute/tokens.toml
  enroute token revoke 3f9a01c2

It is shown to a server in the environment: ENROUTE_TOKEN, or ENROUTE_TOKEN_FILE with
the name of a file; the browser console asks for it.

A wall sees the board; a viewer also patients; a clinician also acts, replays, and sees
who a patient is; an operator replays, exports and keeps the registry; an administrator
keeps the registry, deletes recordings and who a person is, makes backups, and sees no
patient on any screen (a backup has all of them). Without --hospital and --transfer a token is for all transfers.

Exit codes: 0 done; 1 something failed, the line says what; 2 wrong arguments.")]
pub(crate) struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: TokenAction,
    /// The file of tokens
    #[arg(
        global = true,
        default_value = "tokens.toml",
        value_name = "FILE",
        long
    )]
    pub(crate) file: PathBuf,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make one, and print it
    Create(WantedToken),
    /// Take one away
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
    /// List them: id, role, name, what it is for
    List,
}

/// One to be made.
#[derive(Debug, Args)]
pub(crate) struct WantedToken {
    /// Whose it is: what it does is recorded under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// What it may do
    #[arg(long, value_enum)]
    pub(crate) role: TokenRole,
    /// Only transfers to this hospital; may be repeated
    #[arg(long = "hospital", value_name = "NAME")]
    pub(crate) hospitals: Vec<String>,
    /// Only this transfer, by its id; may be repeated
    #[arg(long = "transfer", value_name = "ID")]
    pub(crate) transfers: Vec<String>,
    /// Works only over a connection with the certificate of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) certificate: Option<String>,
    /// Whose it is may break the glass: open a transfer that is not theirs, in an emergency, for
    /// an hour (`enroute glass`); never a wall
    #[arg(long)]
    pub(crate) break_glass: bool,
    /// Where that one is, as in CH or eu-west: what may not be seen there is refused; without it
    /// where the server is
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Works for so many days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: Option<u32>,
}

/// The roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// The board, and nothing else
    Wall,
    /// Looks at patients
    Viewer,
    /// Looks, acts, replays
    Clinician,
    /// Replays, exports, keeps the registry
    Operator,
    /// Keeps the registry, deletes, makes backups
    Administrator,
}
