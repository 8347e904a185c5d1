//! Topic names (MQTT 5): built here, parsed here, nowhere else.

use enroute_model::ids::{GatewayId, InvalidId, Lane, TransferId};

/// First levels of every topic; the version of the contract is the second.
const PREFIX: &str = "enroute/v1/gw/";

/// Subscription to every gateway's live frames.
pub const ALL_LIVE: &str = "enroute/v1/gw/+/tx/+/live";
/// Subscription to every gateway's history frames.
pub const ALL_HISTORY: &str = "enroute/v1/gw/+/tx/+/history";
/// Subscription to every gateway's status.
pub const ALL_STATUS: &str = "enroute/v1/gw/+/status";

/// Subscription of a gateway to what its crew is to know, whatever the transfer.
#[must_use]
pub fn notes_of(gateway: &GatewayId) -> String {
    format!("{PREFIX}{gateway}/tx/+/notes")
}

/// The gateway that a topic names, unchecked: for tables that only look it up.
#[must_use]
pub fn gateway_in(topic: &str) -> Option<&str> {
    let (gateway, _) = topic.strip_prefix(PREFIX)?.split_once('/')?;
    Some(gateway)
}

/// What a topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Frames of a gateway for a transfer.
    Frames {
        /// Who publishes.
        gateway: GatewayId,
        /// For which transfer.
        transfer: TransferId,
        /// Which way.
        lane: Lane,
    },
    /// A gateway's birth and Last Will.
    Status(GatewayId),
    /// The server's receipts to a gateway.
    Receipt(GatewayId),
    /// The server's commands to a gateway.
    Command(GatewayId),
    /// What the hospital lets the crew of a transfer know.
    Notes {
        /// On whose page.
        gateway: GatewayId,
        /// About which transfer.
        transfer: TransferId,
    },
}

/// Why a topic is not ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Another shape.
    #[error(
        "topic is not enroute/v1/gw/{{gateway}}/(tx/{{transfer}}/(live|history|notes)|status|receipt|command)"
    )]
    Shape,
    /// A level that names something is malformed.
    #[error(transparent)]
    Id(#[from] InvalidId),
}

impl Topic {
    /// Reads a topic.
    ///
    /// # Errors
    /// When it has another shape or a malformed id.
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let rest = topic.strip_prefix(PREFIX).ok_or(TopicError::Shape)?;
        let (gateway, rest) = rest.split_once('/').ok_or(TopicError::Shape)?;
        let gateway = GatewayId::new(gateway)?;
        match rest {
            "status" => return Ok(Self::Status(gateway)),
            "receipt" => return Ok(Self::Receipt(gateway)),
            "command" => return Ok(Self::Command(gateway)),
            _ => {}
        }
        let rest = rest.strip_prefix("tx/").ok_or(TopicError::Shape)?;
        let (transfer, lane) = rest.split_once('/').ok_or(TopicError::Shape)?;
        let transfer = TransferId::new(transfer)?;
        let lane = match lane {
            "live" => Lane::Live,
            "history" => Lane::History,
            "notes" => return Ok(Self::Notes { gateway, transfer }),
            _ => return Err(TopicError::Shape),
        };
        Ok(Self::Frames {
            gateway,
            transfer,
            lane,
        })
    }
}

impl Topic {
    /// Whether this gateway, and nobody else, publishes here.
    #[must_use]
    pub fn is_published_by(&self, by: &GatewayId) -> bool {
        match self {
            Self::Frames { gateway, .. } | Self::Status(gateway) => gateway == by,
            Self::Notes { .. } | Self::Receipt(_) | Self::Command(_) => false,
        }
    }

    /// Whether this gateway, and no other, is spoken to here.
    #[must_use]
    pub fn is_meant_for(&self, reader: &GatewayId) -> bool {
        match self {
            Self::Receipt(gateway) | Self::Command(gateway) | Self::Notes { gateway, .. } => {
                gateway == reader
            }
            Self::Frames { .. } | Self::Status(_) => false,
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frames {
                gateway,
                transfer,
                lane,
            } => {
                let lane = match lane {
                    Lane::Live => "live",
                    Lane::History => "history",
                };
                write!(f, "{PREFIX}{gateway}/tx/{transfer}/{lane}")
            }
            Self::Status(gateway) => write!(f, "{PREFIX}{gateway}/status"),
            Self::Receipt(gateway) => write!(f, "{PREFIX}{gateway}/receipt"),
            Self::Command(gateway) => write!(f, "{PREFIX}{gateway}/command"),
            Self::Notes { gateway, transfer } => {
                write!(f, "{PREFIX}{gateway}/tx/{transfer}/notes")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_topic_reads_as_it_was_written() {
        let gateway = GatewayId::new("gw-1").unwrap();
        let transfer = TransferId::new("tx-1").unwrap();
        for topic in [
            Topic::Frames {
                gateway: gateway.clone(),
                transfer: transfer.clone(),
                lane: Lane::Live,
            },
            Topic::Frames {
                gateway: gateway.clone(),
                transfer: transfer.clone(),
                lane: Lane::History,
            },
            Topic::Notes {
                gateway: gateway.clone(),
                transfer,
            },
            Topic::Status(gateway.clone()),
            Topic::Receipt(gateway.clone()),
            Topic::Command(gateway),
        ] {
            assert_eq!(Topic::parse(&topic.to_string()), Ok(topic));
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for bad in [
            "",
            "enroute",
            "enroute/v1/gw/",
            "enroute/v1/gw/a",
            "enroute/v2/gw/a/status",
            "enroute/v1/gw/A/status",
            "enroute/v1/gw/a/tx/b",
            "enroute/v1/gw/a/tx/b/dead",
            "enroute/v1/gw/a/tx//live",
            "enroute/v1/gw/a/tx/b/live/x",
            "enroute/v1/gw//status",
        ] {
            assert!(Topic::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(topic in ".{0,80}") {
            let _unused = Topic::parse(&topic);
        }
    }
}
