//! What the server's certificates protect: who is let in at its ports, what each
//! gateway may do at the embedded broker, and files that change while it runs.

use anyhow::{Context, Result};
use enroute_broker::{Access, Guard};
use enroute_config::server::ServerConfig;
use enroute_model::ids::GatewayId;
use enroute_mqtt::Connector;
use enroute_tls::Acceptor;
use enroute_wire::topics::{self, Topic};
use std::sync::Arc;

/// Certificates of one server.
#[derive(Debug, Default)]
pub(crate) struct Protection {
    /// Of the port for viewers.
    pub(crate) viewers: Option<Arc<Acceptor>>,
    /// Of the embedded broker.
    pub(crate) gateways: Option<Arc<Acceptor>>,
    /// Towards an external broker.
    pub(crate) broker: Option<Arc<Connector>>,
}

impl Protection {
    /// As configured.
    ///
    /// # Errors
    /// When a file is not in order.
    pub(crate) fn of(config: &ServerConfig) -> Result<Self> {
        let tls = config.tls.as_ref().map(toml::Spanned::get_ref);
        let acceptor = |files| Acceptor::new(files).map(Arc::new);
        let client = { config.broker.tls.as_ref() }
            .map(|tls| Connector::new(tls.get_ref().clone(), &[]).map(Arc::new));
        let is_embedded = config.broker.tls.is_none();
        let made = || {
            Ok::<_, enroute_tls::TlsError>(Self {
                viewers: tls.map(|tls| acceptor(tls.for_viewers())).transpose()?,
                gateways: { tls.filter(|tls| is_embedded && tls.gateways.is_some()) }
                    .map(|tls| acceptor(tls.for_gateways()))
                    .transpose()?,
                broker: client.transpose()?,
            })
        };
        made().context("failed to prepare TLS")
    }

    /// Those whose files are read again.
    pub(crate) fn acceptors(&self) -> Vec<Arc<Acceptor>> {
        { self.viewers.iter() }
            .chain(&self.gateways)
            .cloned()
            .collect()
    }
}

/// A gateway speaks for itself alone: the common name of its certificate is its id.
pub(crate) struct OwnTopics;

impl Guard for OwnTopics {
    fn may(&self, name: &str, access: Access<'_>) -> bool {
        let Ok(gateway) = GatewayId::new(name) else {
            return false;
        };
        let publishes = |topic| Topic::parse(topic).is_ok_and(|t| t.is_published_by(&gateway));
        match access {
            Access::Connect { client_id, will } => {
                let is_own = enroute_gateway::client_ids(&gateway).contains(&client_id.to_owned());
                is_own && will.is_none_or(publishes)
            }
            Access::Publish(topic) => publishes(topic),
            Access::Subscribe(filter) => {
                filter == topics::notes_of(&gateway)
                    || Topic::parse(filter).is_ok_and(|topic| topic.is_meant_for(&gateway))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_may_what_is_its_own_and_nothing_else() {
        let may = |access| OwnTopics.may("amb-12", access);
        let connect = |client_id, will| Access::Connect { client_id, will };
        for own in [
            connect(
                "enroute-gw-amb-12-live",
                Some("enroute/v1/gw/amb-12/status"),
            ),
            connect("enroute-gw-amb-12-history", None),
            Access::Publish("enroute/v1/gw/amb-12/tx/t1/live"),
            Access::Publish("enroute/v1/gw/amb-12/tx/t1/history"),
            Access::Publish("enroute/v1/gw/amb-12/status"),
            Access::Subscribe("enroute/v1/gw/amb-12/receipt"),
            Access::Subscribe("enroute/v1/gw/amb-12/command"),
            Access::Subscribe("enroute/v1/gw/amb-12/tx/+/notes"),
        ] {
            assert!(may(own), "{own:?}");
            assert!(!OwnTopics.may("amb-13", own), "another's: {own:?}");
            assert!(!OwnTopics.may("#server", own), "no id: {own:?}");
        }
        for foreign in [
            connect(
                "enroute-gw-amb-12-live",
                Some("enroute/v1/gw/amb-13/status"),
            ),
            connect("enroute-gw-amb-12", None),
            connect("enroute-ingest-live", None),
            connect("", None),
            Access::Publish("enroute/v1/gw/amb-12/receipt"),
            Access::Publish("enroute/v1/gw/amb-12/command"),
            Access::Publish("enroute/v1/gw/amb-12/tx/t1/live/x"),
            Access::Publish("enroute/v1/gw/amb-12/tx/t1/notes"),
            Access::Publish("$SYS/x"),
            Access::Subscribe("enroute/v1/gw/amb-12/tx/t1/live"),
            Access::Subscribe("enroute/v1/gw/+/receipt"),
            Access::Subscribe("$share/g/enroute/v1/gw/amb-12/receipt"),
            Access::Subscribe("#"),
        ] {
            assert!(!may(foreign), "{foreign:?}");
        }
    }
}
