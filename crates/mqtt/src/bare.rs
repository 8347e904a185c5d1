//! The yardstick of `enroute bench`: the library's own subscriber, which does nothing
//! with what it gets but count it. It acknowledges as the library does by itself: what
//! came with one read, up to ten at once. None of this crate's care is in it.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::time::Duration;

/// Requests that may wait; it makes one.
const REQUESTS: usize = 8;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A subscriber whose subscription stands.
pub struct Bare {
    /// Kept: the loop ends with its last handle.
    _client: AsyncClient,
    events: EventLoop,
}

impl std::fmt::Debug for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bare").finish_non_exhaustive()
    }
}

/// The library's words.
#[derive(Debug, thiserror::Error)]
#[error("the bare subscriber: {0}")]
pub struct BareError(String);

impl Bare {
    /// Connects, and waits until the broker has the subscription (QoS 1).
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn subscribe(
        (host, port): (&str, u16),
        filter: &str,
        receive_maximum: u16,
    ) -> Result<Self, BareError> {
        let mut options = MqttOptions::new("enroute-bench-bare", host, port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_start(true);
        options.set_receive_maximum(Some(receive_maximum));
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, events) = AsyncClient::new(options, REQUESTS);
        let mut bare = Self {
            _client: client.clone(),
            events,
        };
        let asked = client.try_subscribe(filter, QoS::AtLeastOnce);
        asked.map_err(|error| BareError(error.to_string()))?;
        while !matches!(bare.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
        Ok(bare)
    }

    async fn poll(&mut self) -> Result<Event, BareError> {
        let event = self.events.poll().await;
        event.map_err(|error| BareError(error.to_string()))
    }

    /// The next message's payload; it is acknowledged already.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn next(&mut self) -> Result<bytes::Bytes, BareError> {
        loop {
            if let Event::Incoming(Packet::Publish(publish)) = self.poll().await? {
                return Ok(publish.payload);
            }
        }
    }
}
