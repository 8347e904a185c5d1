//! The gateway's configuration. Every field has a default but `id`.

use enroute_model::ids::{GatewayId, TransferId};
use enroute_seal::{Keys, Source};
use enroute_tls::{ClientFiles, ServerFiles};
use serde::{Deserialize, Deserializer, de};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// What a gateway is told at its start; the source is configured apart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this gateway: the topic level under which it publishes, and the
    /// name in its credential.
    pub id: GatewayId,
    /// Publish for this transfer. Absent: the first emission of a new spool
    /// starts a transfer with a fresh random id; a restart goes on with it.
    #[serde(default)]
    pub transfer: Option<TransferId>,
    /// Marks everything as an exercise, whatever the source says.
    #[serde(default)]
    pub exercise: bool,
    /// How fast emissions are taken from the source.
    #[serde(default)]
    pub speed: Speed,
    /// Where to publish.
    #[serde(default)]
    pub broker: BrokerConfig,
    /// The store on disk.
    #[serde(default)]
    pub spool: SpoolConfig,
    /// By which keys the spool is sealed; absent: it is in clear.
    #[serde(default)]
    pub encryption: Option<Source>,
    /// How to publish.
    #[serde(default)]
    pub uplink: UplinkConfig,
    /// The crew's page.
    #[serde(default)]
    pub page: PageConfig,
    /// Where Linux tells of batteries and mains.
    #[serde(default = "power_supply")]
    pub power_supply: PathBuf,
}

fn power_supply() -> PathBuf {
    PathBuf::from("/sys/class/power_supply")
}

impl Config {
    /// A configuration with every default.
    #[must_use]
    pub fn new(id: GatewayId) -> Self {
        Self {
            id,
            transfer: None,
            exercise: false,
            speed: Speed::default(),
            broker: BrokerConfig::default(),
            spool: SpoolConfig::default(),
            encryption: None,
            uplink: UplinkConfig::default(),
            page: PageConfig::default(),
            power_supply: power_supply(),
        }
    }
}

/// Speed against real time: a factor, or as fast as the spool takes it (`0` or
/// `"max"`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Times real time; finite, above 0.
    Factor(f64),
    /// No pacing.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Factor(1.0)
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(n) if n.is_finite() && n > 0.0 => Ok(Self::Factor(n)),
            Written::Number(n) if n.abs() < f64::MIN_POSITIVE => Ok(Self::Max),
            Written::Word(w) if w == "max" => Ok(Self::Max),
            Written::Number(_) | Written::Word(_) => Err(de::Error::custom(
                "a speed is a number above 0, or \"max\" (or 0) for as fast as possible",
            )),
        }
    }
}

/// Where to publish.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// Host name or address of the MQTT broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Reached through a proxy at this address; the name that is checked stays the
    /// host's. For simulated radio links, so no file has it.
    #[serde(skip)]
    pub via: Option<SocketAddr>,
    /// Seconds between pings, at least 5; after twice as long without an answer
    /// the connection is made anew.
    pub keep_alive_s: u16,
    /// TLS: whom to trust, and the certificate whose common name is the gateway's
    /// id. Absent: a plain connection.
    pub tls: Option<ClientFiles>,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1883,
            via: None,
            keep_alive_s: 5,
            tls: None,
        }
    }
}

/// The store on disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// Its folder; made if absent. One gateway per folder.
    pub dir: PathBuf,
    /// Most bytes of frames and notes kept. When it is full, what the server has
    /// confirmed goes first, then the oldest waveforms, then the oldest numerics,
    /// events last. The default of 8 GiB holds four
    /// waveforms of 500 Hz, at two bytes a sample, and twelve numerics each second
    /// for 550 hours; real ones need about half.
    pub bytes_max: u64,
    /// The keys of [`Config::encryption`], once they are read: a spool that failed on
    /// the road is opened again without asking anybody.
    #[serde(skip)]
    pub keys: Option<Arc<Keys>>,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("spool"),
            bytes_max: 8 * 1024 * 1024 * 1024,
            keys: None,
        }
    }
}

/// Which gap the history lane fills first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryOrder {
    /// The oldest frames.
    #[default]
    Oldest,
    /// The newest frames.
    Newest,
}

/// How to publish.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UplinkConfig {
    /// Seconds after which the broker drops a live publish that it could not deliver.
    pub live_expiry_s: u32,
    /// Milliseconds to wait for a receipt before a frame is sent again, on the
    /// history lane.
    pub resend_ms: u32,
    /// Most bytes of history on their way to the broker. What the link carries
    /// without keeping live frames waiting is found out; this only bounds it.
    pub unacknowledged_bytes_max: usize,
    /// Most bytes of history that were sent and that no receipt covers yet.
    pub unconfirmed_bytes_max: usize,
    /// Which gap is filled first.
    pub history_order: HistoryOrder,
    /// Seconds between link reports; one also comes with each connection. 0: none,
    /// and the server cannot tell a lost spool from a late one.
    pub link_report_s: u32,
}

impl Default for UplinkConfig {
    fn default() -> Self {
        Self {
            live_expiry_s: 10,
            resend_ms: 5_000,
            unacknowledged_bytes_max: 256 * 1024,
            unconfirmed_bytes_max: 2 * 1024 * 1024,
            history_order: HistoryOrder::Oldest,
            link_report_s: 10,
        }
    }
}

/// The crew's page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PageConfig {
    /// Where it listens; absent: no page. Whoever reaches it can act for the
    /// crew: keep it on loopback or on the vehicle's own network.
    pub listen: Option<SocketAddr>,
    /// Over TLS; absent: in clear.
    pub tls: Option<PageTls>,
    /// Names under which the page may be asked for, beside addresses and
    /// `localhost`; other names are refused, so that no web page elsewhere can
    /// reach this one by a name of its own (DNS rebinding).
    pub names: Vec<String>,
    /// What the crew types before it acts or sees more than the link, 4 to 12
    /// digits; absent: nothing is asked.
    pub pin: Option<String>,
    /// The hospital counts as receiving if a receipt came within these seconds.
    pub receiving_within_s: u32,
}

impl Default for PageConfig {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8090))),
            tls: None,
            names: Vec::new(),
            pin: None,
            receiving_within_s: 10,
        }
    }
}

/// What the page shows to a browser, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageTls {
    /// Its certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// That one's private key.
    pub key: PathBuf,
}

impl PageTls {
    /// HTTP/1.1: one tablet needs no more.
    pub(crate) fn files(&self) -> ServerFiles {
        ServerFiles {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            clients: None,
            revoked: None,
            protocols: vec![b"http/1.1".to_vec()],
        }
    }
}
