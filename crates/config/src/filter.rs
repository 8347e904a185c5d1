//! `log`: what is logged.

use crate::Wrong;
use toml::Spanned;
use tracing_subscriber::EnvFilter;

/// Whether the filter can be read.
pub(crate) fn check(filter: &Spanned<String>) -> Result<(), Wrong> {
    match EnvFilter::try_new(filter.get_ref()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Wrong::at(
            filter.span(),
            format!("log filter {:?} cannot be read: {error}", filter.get_ref()),
            "use error, warn, info, debug, trace, or such as \"info,enroute_ingest=debug\"",
        )),
    }
}
