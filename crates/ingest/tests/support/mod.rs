//! A link to a broker that can be cut.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub(crate) mod bench;

use std::net::Ipv4Addr;
use tokio::sync::watch;

/// A TCP link to the broker that can be cut.
pub(crate) async fn link(broker: u16) -> (u16, watch::Sender<u32>) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, watching) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut cut = watching.clone();
            cut.mark_unchanged();
            tokio::spawn(async move {
                let server = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await;
                let mut server = server.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = cut.changed() => {}
                }
            });
        }
    });
    (port, cut)
}
