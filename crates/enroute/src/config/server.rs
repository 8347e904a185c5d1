//! Configuration of `enroute serve`.

use super::{Checked, Wrong};
use crate::args::MQTT_PORT;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use toml::Spanned;

/// `server.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    /// Where gRPC, gRPC-Web and HTTP listen.
    #[serde(default = "default_listen")]
    pub(crate) listen: Spanned<SocketAddr>,
    /// Journal, quarantine, and what else the server keeps.
    pub(crate) data: Spanned<PathBuf>,
    /// Off loopback there is neither TLS nor authentication yet (I12).
    #[serde(default)]
    pub(crate) allow_unprotected_network: bool,
    /// A filter as for `--log`, which wins.
    #[serde(default)]
    pub(crate) log: Option<Spanned<String>>,
    /// Where the gateways publish.
    #[serde(default)]
    pub(crate) broker: BrokerConfig,
    /// By which alerts are raised.
    #[serde(default)]
    pub(crate) rules: RulesConfig,
    /// Bounds.
    #[serde(default)]
    pub(crate) limits: LimitsConfig,
}

/// `[rules]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulesConfig {
    /// The rule book: a directory of TOML files. Absent: the built-in one.
    #[serde(default)]
    pub(crate) dir: Option<Spanned<PathBuf>>,
}

/// Which broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrokerKind {
    /// In this process.
    #[default]
    Embedded,
    /// A Mosquitto or another MQTT 5 broker.
    External,
}

/// `[broker]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokerConfig {
    /// Embedded or external.
    #[serde(default)]
    pub(crate) kind: BrokerKind,
    /// Embedded: where it listens.
    #[serde(default)]
    pub(crate) listen: Option<Spanned<SocketAddr>>,
    /// External: host name or address.
    #[serde(default)]
    pub(crate) host: Option<Spanned<String>>,
    /// External: TCP port.
    #[serde(default)]
    pub(crate) port: Option<Spanned<u16>>,
    /// External: MQTT client id of this server; two servers on one broker need two.
    #[serde(default)]
    pub(crate) client_id: Option<Spanned<String>>,
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// Viewers at a time; further ones are refused with words.
    pub(crate) viewers_max: Spanned<usize>,
    /// Transfers in memory at a time; frames of further ones are refused.
    pub(crate) transfers_max: Spanned<usize>,
    /// Connections that the embedded broker takes at a time.
    pub(crate) connections_max: Spanned<usize>,
    /// Milliseconds that a commit waits for more records to share its sync.
    pub(crate) commit_interval_ms: Spanned<u64>,
    /// Seconds that a shutdown may take before it is cut short.
    pub(crate) shutdown_s: Spanned<u64>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            viewers_max: Spanned::new(0..0, 1_000),
            transfers_max: Spanned::new(0..0, 10_000),
            connections_max: Spanned::new(0..0, 4_096),
            commit_interval_ms: Spanned::new(0..0, 3),
            shutdown_s: Spanned::new(0..0, 10),
        }
    }
}

/// Where a broker is found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BrokerAt {
    /// Start the embedded one here.
    Embedded(SocketAddr),
    /// Use this one.
    External {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

fn default_listen() -> Spanned<SocketAddr> {
    Spanned::new(0..0, SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)))
}

impl BrokerConfig {
    /// Where the broker is.
    pub(crate) fn at(&self) -> BrokerAt {
        match self.kind {
            BrokerKind::Embedded => BrokerAt::Embedded(self.listen.as_ref().map_or(
                SocketAddr::from((Ipv4Addr::LOCALHOST, MQTT_PORT)),
                |listen| *listen.get_ref(),
            )),
            BrokerKind::External => BrokerAt::External {
                host: self
                    .host
                    .as_ref()
                    .map_or_else(|| "127.0.0.1".to_owned(), |host| host.get_ref().clone()),
                port: self.port.as_ref().map_or(MQTT_PORT, |port| *port.get_ref()),
            },
        }
    }

    fn check(&self, allow_unprotected_network: bool) -> Result<(), Wrong> {
        match self.kind {
            BrokerKind::Embedded => {
                for (key, span) in [
                    ("host", self.host.as_ref().map(Spanned::span)),
                    ("port", self.port.as_ref().map(Spanned::span)),
                    ("client_id", self.client_id.as_ref().map(Spanned::span)),
                ] {
                    if let Some(span) = span {
                        return Err(Wrong::at(
                            span,
                            format!("{key} belongs to an external broker, this one is embedded"),
                            "set kind = \"external\", or remove the line",
                        ));
                    }
                }
                self.listen.as_ref().map_or(Ok(()), |listen| {
                    protected("broker.listen", listen, allow_unprotected_network)
                })
            }
            BrokerKind::External => self.check_external(),
        }
    }

    fn check_external(&self) -> Result<(), Wrong> {
        if let Some(listen) = &self.listen {
            return Err(Wrong::at(
                listen.span(),
                "listen belongs to the embedded broker, this one is external",
                "set kind = \"embedded\", or give host and port",
            ));
        }
        let Some(host) = &self.host else {
            return Err(Wrong::absent(
                "an external broker has no host",
                "add host = \"…\" under [broker]",
            ));
        };
        let name = host.get_ref();
        if name.is_empty() || name.contains(['/', ' ', '@']) {
            return Err(Wrong::at(
                host.span(),
                format!("{name:?} is no host name"),
                "give the name or address alone; the port has its own line",
            ));
        }
        match &self.client_id {
            Some(id) if id.get_ref().is_empty() || id.get_ref().len() > 64 => Err(Wrong::at(
                id.span(),
                "a client id has 1 to 64 characters",
                "choose a name for this server, or remove the line",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// I12: nothing listens off loopback without protection unless told to.
fn protected(
    key: &str,
    listen: &Spanned<SocketAddr>,
    allow_unprotected_network: bool,
) -> Result<(), Wrong> {
    if listen.get_ref().ip().is_loopback() || allow_unprotected_network {
        return Ok(());
    }
    Err(Wrong::at(
        listen.span(),
        format!(
            "{key} = {} can be reached from the network, and there is no TLS and no \
             authentication yet: whoever reaches it sees and changes everything",
            listen.get_ref()
        ),
        "listen on 127.0.0.1, or set allow_unprotected_network = true on a network that only \
         trusted people reach",
    ))
}

fn within(
    key: &str,
    value: &Spanned<impl Copy + TryInto<u64>>,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), Wrong> {
    let number: u64 = (*value.get_ref()).try_into().unwrap_or(u64::MAX);
    if range.contains(&number) {
        return Ok(());
    }
    Err(Wrong::at(
        value.span(),
        format!("{key} = {number} is out of range"),
        format!("give a number from {} to {}", range.start(), range.end()),
    ))
}

impl Checked for ServerConfig {
    const EXAMPLE: &'static str = "deploy/server.toml";

    fn check(&self) -> Result<(), Wrong> {
        protected("listen", &self.listen, self.allow_unprotected_network)?;
        if self.data.get_ref().as_os_str().is_empty() {
            return Err(Wrong::at(
                self.data.span(),
                "data is empty",
                "name the directory that holds the journal",
            ));
        }
        if let Some(log) = &self.log {
            crate::log::check(log)?;
        }
        if let Some(dir) = &self.rules.dir
            && !dir.get_ref().exists()
        {
            return Err(Wrong::at(
                dir.span(),
                format!("there is no {}", dir.get_ref().display()),
                "write one with `enroute rules export DIR`, or remove the line for the built-in book",
            ));
        }
        self.broker.check(self.allow_unprotected_network)?;
        let limits = &self.limits;
        within("viewers_max", &limits.viewers_max, 1..=100_000)?;
        within("transfers_max", &limits.transfers_max, 1..=1_000_000)?;
        within("connections_max", &limits.connections_max, 1..=100_000)?;
        within("commit_interval_ms", &limits.commit_interval_ms, 0..=1_000)?;
        within("shutdown_s", &limits.shutdown_s, 1..=600)
    }
}
