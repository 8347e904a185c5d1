//! What people know of simulated transfers, told to a server as a dispatcher would:
//! each as soon as its first vehicle is heard, because that begins the transfer.

use super::Server;
use crate::client::RESPONSE_BYTES_MAX;
use anyhow::Result;
use enroute_simulator::fleet::Scenario;
use enroute_wire::registry::info_to;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::watch_response::Update;
use std::collections::BTreeMap;

/// Who did it.
const ACTOR: &str = "simulator";

/// Ends when all have been introduced, or the server ends the stream.
pub(crate) async fn introduce(server: &str, scenarios: &[Scenario]) -> Result<()> {
    let server = Server::connect(server).await?;
    let known = scenarios
        .iter()
        .map(|one| (one.transfer.to_string(), info_to(&one.info)));
    let mut left: BTreeMap<String, v1::TransferInfo> = known.collect();
    let mut client =
        LiveClient::new(server.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let mut board = client
        .watch(v1::WatchRequest::default())
        .await
        .map_err(|status| server.refused(&status))?
        .into_inner();
    while !left.is_empty() {
        let response = board
            .message()
            .await
            .map_err(|status| server.refused(&status))?;
        let Some(response) = response else { break };
        for id in ids(response.update) {
            if let Some(info) = left.remove(&id) {
                let put = Action::Put(info);
                server.done(&id, put, ACTOR.to_owned()).await?;
            }
        }
    }
    Ok(())
}

/// The transfers that an update speaks of in full.
fn ids(update: Option<Update>) -> Vec<String> {
    match update {
        Some(Update::Snapshot(snapshot)) => {
            let all = snapshot.transfer.into_iter();
            all.map(|state| state.transfer).collect()
        }
        Some(Update::Transfer(state)) => vec![state.transfer],
        Some(Update::Values(_) | Update::Alert(_) | Update::Samples(_) | Update::Heartbeat(_))
        | None => Vec::new(),
    }
}
