//! What people type of who the patients are: never a name, as others may read that.

use super::DEFAULT_SERVER;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// See, say, export and delete who a patient is.
///
/// Name, birth date, record number, legal basis and consent are kept by the server
/// apart from everything else, in an encrypted store (in server.toml under identity). What
/// identifies somebody is never given as an argument, because other users of a machine
/// can list those: it is read from a file, or from standard input, as TOML or JSON.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute identity set 4K7-Q2M < person.toml
  enroute identity show 4K7-Q2M
  enroute identity export --from number.toml > person.json
  enroute identity delete 4K7-Q2M
  enroute identity delete --person --from number.toml

person.toml, each line of which may be left out (what is left out stays):
  family_name = \"…\"
  given_name = \"…\"
  birth_date = \"1958-02-28\"
  record_number = \"…\"
  legal_basis = \"vital_interests\"   # or consent, health_care, public_health,
                                    # legal_obligation
  legal_basis_remark = \"…\"
  consent = \"unable\"                # or given, refused, withdrawn
  consent_remark = \"…\"

number.toml:
  record_number = \"…\"

A clinician sees, says, exports, and deletes what is stored of one transfer; an
administrator deletes a person by record number without being shown what it was. Each
does so within the scope of the token. What is deleted has its keys destroyed.

Exit codes: 0 done; 1 refused or the server is not reached, the line printed says which;
2 wrong arguments.")]
pub(crate) struct IdentityArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: IdentityAction,
    /// The server's gRPC address
    #[arg(long, global = true, default_value = DEFAULT_SERVER, value_name = "URL")]
    pub(crate) server: String,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityAction {
    /// Say who is on a transfer, on which legal basis, with which consent
    Set {
        /// Id or short code of the transfer
        transfer: String,
        /// TOML or JSON; - is standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        from: PathBuf,
    },
    /// Show who is on a transfer
    Show {
        /// Id or short code of the transfer
        transfer: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print all that is stored of a person, as JSON
    Export {
        /// TOML or JSON with the record number; - is standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        from: PathBuf,
    },
    /// Delete what is stored of one transfer's patient, or of a person
    Delete {
        /// Id or short code of the transfer
        #[arg(required_unless_present = "person", conflicts_with = "person")]
        transfer: Option<String>,
        /// Of the person whose record number is read, on all transfers
        #[arg(long)]
        person: bool,
        /// TOML or JSON with the record number; - is standard input
        #[arg(long, value_name = "FILE", default_value = "-", requires = "person")]
        from: PathBuf,
    },
}
