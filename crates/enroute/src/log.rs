//! Structured logs to standard error. They never hold patient data (I10): ids,
//! positions, counts and reasons only.

use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// What is logged unless told otherwise: our own words, and the libraries' warnings.
const DEFAULT: &str = "warn,enroute=info,enroute_broker=info,enroute_feed=info,\
                       enroute_gateway=info,enroute_ingest=info,enroute_journal=info,\
                       enroute_live=info,enroute_mqtt=info";

/// Whether the terminal belongs to a view that log lines would spoil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// Nothing is drawn: log.
    Free,
    /// A view is drawn: log only when standard error goes elsewhere.
    Drawn,
}

/// Starts logging; `asked` is `--log`, `configured` the file's setting.
pub(crate) fn start(
    asked: Option<&str>,
    configured: Option<&str>,
    default: Option<&str>,
    screen: Screen,
) -> anyhow::Result<()> {
    if screen == Screen::Drawn && io::stderr().is_terminal() {
        return Ok(());
    }
    let filter = asked.or(configured).or(default).unwrap_or(DEFAULT);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("log filter {filter:?} cannot be read: {error}"))?;
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}
