//! Configuration of `enroute serve`.

use crate::access::AccessConfig;
use crate::address::is_this_machine;
use crate::identity::IdentityConfig;
use crate::{Checked, Wrong};
use enroute_access::Regions;
use enroute_live::Retention;
use enroute_model::registry::{REGION_CHARS_MAX, is_region};
use enroute_model::time::Span;
use enroute_seal::Source;
use enroute_tls::{ClientFiles, ServerFiles};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use toml::Spanned;

/// The port of MQTT without TLS, as registered with IANA.
pub const MQTT_PORT: u16 = 1883;

/// `server.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC, gRPC-Web and HTTP listen.
    #[serde(default = "default_listen")]
    pub listen: Spanned<SocketAddr>,
    /// Journal, quarantine, and what else the server keeps.
    pub data: Spanned<PathBuf>,
    /// Off loopback without TLS and certificates all the same (I12).
    #[serde(default)]
    pub allow_unprotected_network: bool,
    /// Certificates of this server, and whom it lets in.
    #[serde(default)]
    pub tls: Option<Spanned<TlsConfig>>,
    /// A filter as for `--log`, which wins.
    #[serde(default)]
    pub log: Option<Spanned<String>>,
    /// Where this server is; without it nobody is asked for a region.
    #[serde(default)]
    pub region: Option<Spanned<String>>,
    /// Who is elsewhere.
    #[serde(default)]
    pub regions: Option<Spanned<RegionsConfig>>,
    /// By which tokens people and programs are known.
    #[serde(default)]
    pub access: Option<AccessConfig>,
    /// Who the patients are.
    #[serde(default)]
    pub identity: Option<IdentityConfig>,
    /// The record of who saw and did what.
    #[serde(default)]
    pub audit: AuditConfig,
    /// By which keys the journal is sealed.
    #[serde(default)]
    pub encryption: Option<Source>,
    /// Where the gateways publish.
    #[serde(default)]
    pub broker: BrokerConfig,
    /// By which alerts are raised.
    #[serde(default)]
    pub rules: RulesConfig,
    /// How long recordings are kept.
    #[serde(default)]
    pub recordings: RecordingsConfig,
    /// Bounds.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, PEM, with those between it and its authority.
    pub certificate: PathBuf,
    /// That one's private key.
    pub key: PathBuf,
    /// Who signs viewers' certificates; without it a viewer needs none.
    #[serde(default)]
    pub viewers: Option<PathBuf>,
    /// Which of those are revoked.
    #[serde(default)]
    pub viewers_revoked: Option<PathBuf>,
    /// Who signs the certificates of gateways at the embedded broker.
    #[serde(default)]
    pub gateways: Option<PathBuf>,
    /// Which of those are revoked.
    #[serde(default)]
    pub gateways_revoked: Option<PathBuf>,
}

impl TlsConfig {
    fn files(&self, clients: Option<&PathBuf>, revoked: Option<&PathBuf>) -> ServerFiles {
        ServerFiles {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            clients: clients.cloned(),
            revoked: revoked.cloned(),
            protocols: Vec::new(),
        }
    }

    /// Of the port for viewers: gRPC is HTTP/2, and browsers may come with either.
    #[must_use]
    pub fn for_viewers(&self) -> ServerFiles {
        ServerFiles {
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            ..self.files(self.viewers.as_ref(), self.viewers_revoked.as_ref())
        }
    }

    /// Of the embedded broker.
    #[must_use]
    pub fn for_gateways(&self) -> ServerFiles {
        self.files(self.gateways.as_ref(), self.gateways_revoked.as_ref())
    }
}

/// `[audit]`. Absent: hashes without a key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// The file that holds the key of its hashes.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// `[regions]`: by name, which hospitals and gateways are in another one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionsConfig {
    #[serde(default)]
    hospitals: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    gateways: BTreeMap<String, Spanned<String>>,
}

impl ServerConfig {
    /// What is known of regions.
    #[must_use]
    pub fn regions(&self) -> Regions {
        let plain = |of: &BTreeMap<String, Spanned<String>>| {
            let each = of.iter();
            each.map(|(name, region)| (name.clone(), region.get_ref().clone()))
                .collect()
        };
        let more = self.regions.as_ref().map(Spanned::get_ref);
        let more = more.cloned().unwrap_or_default();
        Regions {
            own: self.region.as_ref().map(|region| region.get_ref().clone()),
            hospitals: plain(&more.hospitals),
            gateways: plain(&more.gateways),
        }
    }

    fn check_regions(&self) -> Result<(), Wrong> {
        if let Some(regions) = &self.regions
            && self.region.is_none()
        {
            return Err(Wrong::at(
                regions.span(),
                "it is said who is elsewhere, and not where this server is",
                "add region = \"…\" at the top, before the first [table]",
            ));
        }
        let more = self.regions.iter().flat_map(|regions| {
            let regions = regions.get_ref();
            regions.hospitals.values().chain(regions.gateways.values())
        });
        let mut all = self.region.iter().chain(more);
        match all.find(|region| !is_region(region.get_ref())) {
            Some(region) => Err(Wrong::at(
                region.span(),
                format!("{:?} is no name of a region", region.get_ref()),
                format!("give 1 to {REGION_CHARS_MAX} letters, digits and hyphens"),
            )),
            None => Ok(()),
        }
    }
}

/// `[recordings]`. Absent: all are kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingsConfig {
    /// Days since the last record of a closed transfer.
    #[serde(default)]
    pub keep_days: Option<Spanned<u64>>,
    /// GiB of all records as they came.
    #[serde(default)]
    pub keep_gib: Option<Spanned<u64>>,
}

impl RecordingsConfig {
    /// What is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let days = self.keep_days.as_ref().map(|days| *days.get_ref());
        let days = days.and_then(|days| i64::try_from(days).ok());
        Retention {
            age: days.map(|days| Span::from_secs(24 * 60 * 60).scaled(days, 1)),
            bytes_max: self.keep_gib.as_ref().map(|gib| *gib.get_ref() << 30),
        }
    }
}

/// `[rules]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// The rule book: a directory of TOML files. Absent: the built-in one.
    #[serde(default)]
    pub dir: Option<Spanned<PathBuf>>,
}

/// Which broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// In this process.
    #[default]
    Embedded,
    /// A Mosquitto or another MQTT 5 broker.
    External,
}

/// `[broker]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Embedded or external.
    #[serde(default)]
    pub kind: BrokerKind,
    /// Embedded: where it listens.
    #[serde(default)]
    pub listen: Option<Spanned<SocketAddr>>,
    /// External: host name or address.
    #[serde(default)]
    pub host: Option<Spanned<String>>,
    /// External: TCP port.
    #[serde(default)]
    pub port: Option<Spanned<u16>>,
    /// External: MQTT client id of this server; two servers on one broker need two.
    #[serde(default)]
    pub client_id: Option<Spanned<String>>,
    /// External: whom to trust, and what to show.
    #[serde(default)]
    pub tls: Option<Spanned<ClientFiles>>,
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Viewers at a time; further ones are refused with words.
    pub viewers_max: Spanned<usize>,
    /// Transfers in memory at a time; frames of further ones are refused.
    pub transfers_max: Spanned<usize>,
    /// Connections that the embedded broker takes at a time.
    pub connections_max: Spanned<usize>,
    /// Connections from one address at a time, at the embedded broker and at the
    /// server's port; absent: half of all at each.
    pub per_address_max: Option<Spanned<usize>>,
    /// Milliseconds between two commits, in which records gather to share a sync.
    pub commit_interval_ms: Spanned<u64>,
    /// Seconds that a shutdown may take before it is cut short.
    pub shutdown_s: Spanned<u64>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            viewers_max: Spanned::new(0..0, 1_000),
            transfers_max: Spanned::new(0..0, 10_000),
            connections_max: Spanned::new(0..0, 4_096),
            per_address_max: None,
            commit_interval_ms: Spanned::new(0..0, 3),
            shutdown_s: Spanned::new(0..0, 10),
        }
    }
}

/// Where a broker is found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerAt {
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
    #[must_use]
    pub fn at(&self) -> BrokerAt {
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

    fn check(&self, server: &ServerConfig) -> Result<(), Wrong> {
        match self.kind {
            BrokerKind::Embedded => {
                for (key, span) in [
                    ("tls", self.tls.as_ref().map(Spanned::span)),
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
                server.check_embedded_tls()?;
                self.listen.as_ref().map_or(Ok(()), |listen| {
                    let whom = |tls: &TlsConfig| tls.gateways.is_some();
                    server.protected("broker.listen", listen, "gateways = …", whom)
                })
            }
            BrokerKind::External => self.check_external(server.allow_unprotected_network),
        }
    }

    fn check_external(&self, allow_unprotected_network: bool) -> Result<(), Wrong> {
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
        if self.tls.is_none() && !allow_unprotected_network && !is_this_machine(name) {
            return Err(Wrong::at(
                host.span(),
                format!("{name} is reached over the network, and there is no [broker.tls]"),
                "add [broker.tls] with authority, certificate and key, or set \
                 allow_unprotected_network = true on a network that only trusted people reach",
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

impl ServerConfig {
    /// I12: nothing listens off loopback without TLS and certificates of clients
    /// unless told to.
    fn protected(
        &self,
        key: &str,
        listen: &Spanned<SocketAddr>,
        clients: &str,
        knows_clients: impl Fn(&TlsConfig) -> bool,
    ) -> Result<(), Wrong> {
        let tls = self.tls.as_ref().map(Spanned::get_ref);
        let is_protected = tls.is_some_and(knows_clients);
        if listen.get_ref().ip().is_loopback() || is_protected || self.allow_unprotected_network {
            return Ok(());
        }
        Err(Wrong::at(
            listen.span(),
            format!(
                "{key} = {} can be reached from the network, and there is no [tls] with \
                 {clients}: whoever reaches it sees and changes everything",
                listen.get_ref()
            ),
            "add [tls] (`enroute certs` makes files to start with), listen on 127.0.0.1, or set \
             allow_unprotected_network = true on a network that only trusted people reach",
        ))
    }

    /// Whether gateways reach the broker with TLS.
    #[must_use]
    pub fn is_broker_tls(&self) -> bool {
        match self.broker.kind {
            BrokerKind::Embedded => self.tls.is_some(),
            BrokerKind::External => self.broker.tls.is_some(),
        }
    }

    /// With TLS the embedded broker lets in whom it knows, so it must know somebody.
    fn check_embedded_tls(&self) -> Result<(), Wrong> {
        match &self.tls {
            Some(tls) if tls.get_ref().gateways.is_none() => Err(Wrong::at(
                tls.span(),
                "the embedded broker does not know who signs the certificates of gateways",
                "add gateways = \"…/ca.pem\" under [tls]",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

pub(crate) fn within(
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
        let whom = |tls: &TlsConfig| tls.viewers.is_some() || self.access.is_some();
        let clients = "viewers = … or [access]";
        self.protected("listen", &self.listen, clients, whom)?;
        if self.data.get_ref().as_os_str().is_empty() {
            return Err(Wrong::at(
                self.data.span(),
                "data is empty",
                "name the directory that holds the journal",
            ));
        }
        if let Some(access) = &self.access {
            access.check()?;
        }
        if let Some(log) = &self.log {
            crate::filter::check(log)?;
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
        if let Some(identity) = &self.identity {
            identity.check(self.access.is_some())?;
        }
        self.check_regions()?;
        self.broker.check(self)?;
        if let Some(days) = &self.recordings.keep_days {
            within("keep_days", days, 1..=36_500)?;
        }
        if let Some(gib) = &self.recordings.keep_gib {
            within("keep_gib", gib, 1..=1_000_000)?;
        }
        let limits = &self.limits;
        within("viewers_max", &limits.viewers_max, 1..=100_000)?;
        within("transfers_max", &limits.transfers_max, 1..=1_000_000)?;
        within("connections_max", &limits.connections_max, 1..=100_000)?;
        if let Some(max) = &limits.per_address_max {
            within("per_address_max", max, 1..=100_000)?;
        }
        within("commit_interval_ms", &limits.commit_interval_ms, 0..=1_000)?;
        within("shutdown_s", &limits.shutdown_s, 1..=600)
    }
}
