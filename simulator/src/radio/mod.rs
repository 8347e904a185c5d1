//! Bad radio links: a plan as pure data, and a proxy that applies it to TCP.

mod pipe;
mod plan;
mod proxy;

pub use plan::{Cut, LinkState, Plan, Window};
pub use proxy::{Counts, Proxy};
