//! What becomes of connections at the server's port and at its own broker.

use super::{Page, number, things};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the numbers are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    /// The port for viewers.
    pub(crate) viewers: Arc<enroute_tls::Counts>,
    /// The embedded broker, where it is guarded.
    pub(crate) gateways: Arc<enroute_broker::Counts>,
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Connections {
    pub(super) fn write(&self, page: &mut Page) -> fmt::Result {
        let ports = [
            ("viewers", &self.viewers),
            ("gateways", &self.gateways.connections),
        ];
        let open = ports.map(|(port, counts)| ([("port", port)], number(of(&counts.open))));
        page.gauges(
            things("connections", "Connections, those in their handshake too"),
            &open,
        )?;
        let accepted = ports.map(|(port, counts)| ([("port", port)], of(&counts.accepted)));
        page.counters(
            things("connections_accepted", "Connections that had a place"),
            &accepted,
        )?;
        page.counters(
            things(
                "connections_refused",
                "Connections that were refused or ended, and why",
            ),
            &self.refused(&ports),
        )?;
        let waited = ports.map(|(port, counts)| ([("port", port)], of(&counts.handshakes_waited)));
        page.counters(
            things(
                "handshakes_waited",
                "Connections that waited for their handshake because their address had many",
            ),
            &waited,
        )?;
        page.counter(
            things(
                "broker_refused",
                "What gateways asked of the embedded broker that is not theirs",
            ),
            of(&self.gateways.refused),
        )?;
        page.counter(
            things(
                "broker_slowed",
                "How often a gateway was made to wait because it sent too fast",
            ),
            of(&self.gateways.slowed),
        )
    }

    fn refused(
        &self,
        ports: &[(&'static str, &Arc<enroute_tls::Counts>); 2],
    ) -> Vec<([(&'static str, &'static str); 2], u64)> {
        let by_reason = |counts: &enroute_tls::Counts| {
            [
                ("full", of(&counts.refused_full)),
                ("address", of(&counts.refused_address)),
                ("gave_way", of(&counts.gave_way)),
                ("pace", of(&counts.refused_pace)),
                ("handshake", of(&counts.handshake_failed)),
                ("idle", of(&counts.idle)),
            ]
        };
        let named = [(
            [("port", "gateways"), ("reason", "name")],
            of(&self.gateways.refused_name),
        )];
        { ports.iter() }
            .flat_map(|(port, counts)| {
                by_reason(counts).map(|(reason, n)| ([("port", *port), ("reason", reason)], n))
            })
            .chain(named)
            .collect()
    }
}
