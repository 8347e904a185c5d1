//! What people type of certificates.

use clap::Args;
use std::path::PathBuf;

/// Make certificates for a server, gateways and viewers.
///
/// Three authorities are made below DIR if they are not there: hospital signs servers,
/// vehicles signs gateways and their crew's pages, viewers signs people's programs and
/// browsers. Each keeps its key beside it in clear: for development, and for a small
/// site on a machine that nobody else uses. A hospital's own authority takes their
/// place with the same kinds of files.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute certs /etc/enroute/certs --server icu.example.org --server 10.0.0.5 \\
      --gateway amb-12 --gateway heli-3 --viewer wall-1
  enroute certs /etc/enroute/certs --page amb-12.local --page 192.168.1.4
  enroute certs /etc/enroute/certs --revoke vehicles/amb-12

The server's certificate is for all the names given with --server, and its file bears
the first; with the first server's comes vehicles/enroute-server, which servers show
to an external broker. A gateway's name is the id in its configuration: under another
id it is refused. The names given with --page are one certificate's too. A server that
runs takes a revocation within seconds and ends what is connected with it.

Exit codes: 0 done; 1 something failed, the line says what.")]
pub(crate) struct CertsArgs {
    /// Where the authorities are, or are made
    pub(crate) dir: PathBuf,
    /// Host name or address of the server; may be repeated
    #[arg(long = "server", value_name = "HOST")]
    pub(crate) servers: Vec<String>,
    /// Id of a gateway; may be repeated
    #[arg(long = "gateway", value_name = "ID")]
    pub(crate) gateways: Vec<String>,
    /// Host name or address of a crew's page; may be repeated
    #[arg(long = "page", value_name = "HOST")]
    pub(crate) pages: Vec<String>,
    /// Name of a viewer; may be repeated
    #[arg(long = "viewer", value_name = "NAME")]
    pub(crate) viewers: Vec<String>,
    /// Put a certificate on its authority's list of revoked ones; may be repeated
    #[arg(long = "revoke", value_name = "AUTHORITY/NAME")]
    pub(crate) revoked: Vec<String>,
}
