//! Who may do what on the embedded broker, and TLS in front of it.
//!
//! TLS ends here, not in the library: its own check of certificates believes the
//! client id. The library listens on a loopback port of its own; each connection that
//! passed the handshake is carried there, and known by the port that it is carried
//! from. What comes to the library's port otherwise is let in only with the password
//! that was drawn when the broker started ([`Gate::own`]).

use crate::names::Names;
use crate::pace::Paced;
use crate::{Access, Counts, Guard};
use enroute_tls::{Acceptor, Connection, Limits, listen};
use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::error::Result as LibraryResult;
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The server's own user; no certificate gives it.
const OWN: &str = "#server";

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Knows who speaks.
pub(crate) struct Gate {
    guard: Arc<dyn Guard>,
    password: String,
    /// Names by the address that a connection is carried from.
    carried: Mutex<BTreeMap<SocketAddr, String>>,
    names: Names,
    counts: Arc<Counts>,
}

impl Gate {
    pub(crate) fn new(
        guard: Arc<dyn Guard>,
        password: String,
        names: Names,
        counts: Arc<Counts>,
    ) -> Self {
        let carried = Mutex::default();
        Self {
            guard,
            password,
            carried,
            names,
            counts,
        }
    }

    /// User name and password of the server's own connections.
    pub(crate) fn own(&self) -> (String, String) {
        (OWN.to_owned(), self.password.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddr, String>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_own(&self, connect: &ConnectPacket) -> bool {
        connect.username.as_deref() == Some(OWN)
            && connect.password.as_deref() == Some(self.password.as_bytes())
    }

    fn who(&self, connect: &ConnectPacket, from: SocketAddr) -> Option<String> {
        let Some(name) = self.lock().get(&from).cloned() else {
            return self.is_own(connect).then(|| OWN.to_owned());
        };
        let will = connect.will.as_ref().map(|will| will.topic.as_str());
        let access = Access::Connect {
            client_id: &connect.client_id,
            will,
        };
        let may = self.guard.may(&name, access);
        if !may && self.refused(&name) {
            tracing::warn!(%name, client_id = connect.client_id, "refused a client of the broker");
        }
        may.then_some(name)
    }

    /// Counts a refusal; says whether it is to be told.
    fn refused(&self, name: &str) -> bool {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        self.names.refused(name)
    }

    fn may(&self, user: Option<&str>, access: Access<'_>) -> bool {
        let may = user.is_some_and(|user| user == OWN || self.guard.may(user, access));
        let name = user.unwrap_or("-");
        if !may && self.refused(name) {
            tracing::warn!(name, ?access, "the broker refused");
        }
        may
    }
}

impl AuthProvider for Gate {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        from: SocketAddr,
    ) -> Answer<'a, LibraryResult<AuthResult>> {
        let result = match self.who(connect, from) {
            Some(name) => AuthResult::success_with_user(name),
            None => AuthResult::fail(ReasonCode::NotAuthorized),
        };
        Box::pin(std::future::ready(Ok(result)))
    }

    fn authorize_publish<'a>(
        &'a self,
        _client_id: &str,
        user: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(self.may(user, Access::Publish(topic))))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(
            self.may(user, Access::Subscribe(filter)),
        ))
    }
}

/// Carries connections from `listener` to the library at `inside` until dropped.
pub(crate) async fn carry_all(
    listener: TcpListener,
    acceptor: Arc<Acceptor>,
    limits: Limits,
    inside: SocketAddr,
    gate: Arc<Gate>,
) {
    let counts = Arc::clone(&gate.counts.connections);
    let mut connections = listen(listener, Some(acceptor), limits, counts);
    let mut carried = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            connection = connections.recv() => match connection {
                Some(connection) => {
                    carried.spawn(carry(connection, inside, Arc::clone(&gate)));
                }
                None => return,
            },
            Some(ended) = carried.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
        }
    }
}

async fn carry(connection: Connection, inside: SocketAddr, gate: Arc<Gate>) {
    let from = connection.from();
    let Some(name) = connection.peer().and_then(|peer| peer.name.clone()) else {
        tracing::info!(%from, "refused a certificate without one common name");
        return;
    };
    let Some(budget) = gate.names.take(&name) else {
        let times = gate.counts.refused_name.fetch_add(1, Ordering::Relaxed) + 1;
        if times.is_power_of_two() {
            tracing::warn!(%name, times, "refused a gateway that has enough connections");
        }
        return;
    };
    let mut paced = Paced::new(connection, budget, Arc::clone(&gate.counts));
    let carried = async {
        let mut stream = TcpStream::connect(inside).await?;
        stream.set_nodelay(true)?;
        let _known = Known::new(&gate, stream.local_addr()?, name.clone());
        copy_bidirectional(&mut paced, &mut stream).await?;
        std::io::Result::Ok(())
    };
    if let Err(error) = carried.await {
        tracing::debug!(%from, %error, "a connection to the broker ended");
    }
    gate.names.give_back(&name);
}

/// A name in the table, for as long as the connection lives.
struct Known<'a>(&'a Gate, SocketAddr);

impl<'a> Known<'a> {
    fn new(gate: &'a Gate, at: SocketAddr, name: String) -> Self {
        gate.lock().insert(at, name);
        Self(gate, at)
    }
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
