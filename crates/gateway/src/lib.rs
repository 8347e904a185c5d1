//! The box on board: source → spool → uplink, and the crew's page.
//!
//! A frame is on disk before anything is published (disk first), and leaves the
//! disk only when a receipt of the server covers it (I3). Two MQTT connections:
//! live for what happens now, history for all that no receipt covers. The
//! gateway knows nothing of the server but the contract in `proto/`.
//!
//! Not here: arguments, files of configuration, the machine's clock (the binary
//! has them), simulated patients (`enroute-simulator`), MQTT itself
//! (`enroute-mqtt`).
//!
//! Start with [`Gateway::start`]. The decisions of the uplink are in `uplink::core`,
//! a state machine without I/O; [`simulation`] lends it and the spool to tests
//! that drive a whole system under a virtual clock.

mod battery;
pub mod config;
mod desk;
pub mod gateway;
mod heal;
mod monitor_clock;
mod notes;
mod page;
mod pump;
mod readings;
pub mod source;
mod spool;
pub mod stats;
mod uplink;

pub use battery::Gauge;
pub use config::Config;
pub use gateway::{Gateway, Left, StartError};
pub use readings::{Monitor, Readings};
pub use source::Source;
pub use source::wfdb::{WfdbConfig, WfdbSource};
pub use spool::SpoolError;
pub use stats::Stats;
pub use uplink::client_ids;

/// The pure parts, for simulations: the caller does the I/O.
#[doc(hidden)]
pub mod simulation {
    pub use crate::page::crew_asks;
    pub use crate::spool::{
        Appended, Draft, Heard, Moment, Picked, Spool, Spooled, StreamLife, Unwritten, Wanted, Word,
    };
    pub use crate::uplink::core::Core;
    pub use crate::uplink::io::{Input, LinkView, Now, Output};
}
