//! What goes into the uplink's state machine and what comes out of it.

use crate::spool::{Heard, Picked, Spooled, Wanted, Word};
use bytes::Bytes;
use enroute_model::frame::ClockOffsets;
use enroute_model::ids::{Lane, TransferId};
use enroute_model::time::{GatewayTime, Span};
use enroute_mqtt::Publish;

/// The two clocks of the gateway at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since the gateway started; never steps.
    pub monotonic: Span,
    /// May step.
    pub wall: GatewayTime,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// These frames are on disk; in the order of their numbers.
    Recorded(Vec<Spooled>),
    /// A connection stands.
    Connected(Lane),
    /// It ended.
    Disconnected(Lane),
    /// The broker answered the publish with this token: took it or refused it.
    Answered(u64),
    /// Nobody knows whether these arrived.
    Lost(Vec<u64>),
    /// A publish that was asked for was not taken by the connection.
    Unsent {
        /// Its token.
        token: u64,
        /// It is above the broker's limit and always will be.
        too_large: bool,
    },
    /// A message for this gateway came over the live connection.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Bytes,
    },
    /// The answer to [`Output::Pick`]; nothing is left, or the spool failed.
    Picked(Option<Picked>),
    /// The answer to [`Output::Hear`].
    Freed {
        /// What became of the frames; after the server lost its past, what is on
        /// its way is sent again.
        heard: Heard,
        /// Frames that no receipt covers.
        unconfirmed: u64,
    },
    /// The transfer that goes on.
    Transfer(Option<TransferId>),
    /// Nothing more is recorded: whatever is spooled may go by history.
    Drain,
    /// Say goodbye.
    Stop,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Publish without waiting; [`Input::Unsent`] if that cannot be.
    Publish {
        /// Over which connection.
        lane: Lane,
        /// What, with a token of its own.
        publish: Publish,
        /// How many frames it holds.
        frames: u64,
    },
    /// Ask the spool; the answer is [`Input::Picked`]. Nothing is asked before
    /// that. What was to be freed earlier is freed first.
    Pick(Wanted),
    /// Free what this says is durable; the answer is [`Input::Freed`].
    Hear(Word),
    /// Publish the leg that goes on under another transfer; if it was known under
    /// this one, [`Input::Transfer`] follows.
    UseTransfer {
        /// Known as.
        instead_of: TransferId,
        /// From now on.
        transfer: TransferId,
    },
    /// State these with the next frame.
    StateClocks(ClockOffsets),
}

/// What the page and the link reports say of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkView {
    /// The live connection stands.
    pub connected: bool,
    /// Since the gateway started: when a receipt last covered something new, or
    /// there was nothing to cover.
    pub receipt_at: Option<Span>,
    /// The wall clock when that began, without a break.
    pub receiving_since: Option<GatewayTime>,
    /// The server has no room for the transfer: what is sent is refused.
    pub full: bool,
    /// Step of the degradation ladder. When it changes, a link report is to be
    /// recorded at once.
    pub level: u32,
    /// How often the newest numerics go live; zero: each goes.
    pub numerics_interval: Span,
}

impl LinkView {
    /// Whether the hospital is receiving: a receipt covered something lately.
    pub(crate) fn is_receiving(&self, now: Span, within: Span) -> bool {
        let last = self.receipt_at.filter(|_| self.connected);
        last.is_some_and(|last| now.0.saturating_sub(last.0) <= within.0)
    }
}
