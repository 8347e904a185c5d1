//! What people type of a broker to which a command publishes.

use clap::Args;
use enroute_config::server::MQTT_PORT;
use enroute_model::ids::GatewayId;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where brokers listen with TLS, unless told otherwise.
const MQTTS_PORT: u16 = 8883;

/// `mqtt://HOST:PORT`, or `mqtts://` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerUrl {
    /// Over TLS.
    pub(crate) tls: bool,
    /// Name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
}

impl FromStr for BrokerUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "use mqtts://HOST:PORT, or mqtt://HOST:PORT without TLS";
        let (tls, rest) = match (text.strip_prefix("mqtts://"), text.strip_prefix("mqtt://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(form.into()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (
                host,
                port.parse()
                    .map_err(|_| format!("{port:?} is no port; {form}"))?,
            ),
            Some(_) | None => (rest, if tls { MQTTS_PORT } else { MQTT_PORT }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(form.into());
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.tls { "s" } else { "" };
        write!(f, "mqtt{secure}://{}", self.address())
    }
}

impl BrokerUrl {
    /// Host and port, an IPv6 address in brackets.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// As what one publishes there.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// With TLS: PEM file of the authority that signed the broker's certificate
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(crate) authority: Option<PathBuf>,
    /// PEM file of the certificate to show to the broker; its name is the gateway's id
    #[arg(long, value_name = "FILE", requires_all = ["authority", "key"])]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of that one's private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Gateway id to publish under; without it the certificate's, or a random one
    #[arg(long, value_name = "ID", requires = "to")]
    pub(crate) gateway: Option<GatewayId>,
    /// To a broker over the network without TLS all the same
    #[arg(long, requires = "to")]
    pub(crate) allow_unprotected_network: bool,
}
