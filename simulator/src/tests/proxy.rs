//! The proxy over real sockets; its timing is tested in `radio::pipe`.

use crate::radio::{Cut, LinkState, Plan, Proxy, Window};
use enroute_model::time::Span;
use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A guard against hanging, never a measure.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .unwrap()
}

/// A proxy before a listener, and a connection through it with both its ends.
async fn connected(state: LinkState) -> (Proxy, TcpListener, TcpStream, TcpStream) {
    let target = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = target.local_addr().unwrap().to_string();
    let proxy = Proxy::start(&address, Plan::always(state)).await.unwrap();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (server, _) = soon(target.accept()).await.unwrap();
    (proxy, target, client, server)
}

#[tokio::test]
async fn carries_both_ways_and_passes_the_end_on() {
    let (proxy, _target, mut client, mut server) = connected(LinkState::CLEAR).await;
    let up = vec![1; 1_000_000];
    let (sent, got) = soon(async {
        tokio::join!(
            async {
                client.write_all(&up).await.unwrap();
                client.shutdown().await.unwrap();
                let mut back = Vec::new();
                client.read_to_end(&mut back).await.unwrap();
                back
            },
            async {
                let mut got = Vec::new();
                server.read_to_end(&mut got).await.unwrap();
                server.write_all(b"all").await.unwrap();
                server.shutdown().await.unwrap();
                got
            }
        )
    })
    .await;
    assert_eq!((sent.as_slice(), got.len()), (b"all".as_slice(), 1_000_000));
    let counts = proxy.counts();
    assert_eq!(
        (
            counts.accepted,
            counts.bytes_up,
            counts.bytes_down,
            counts.reset
        ),
        (1, 1_000_000, 3, 0)
    );
}

#[tokio::test]
async fn a_reset_is_felt_at_both_ends_and_new_connections_are_refused() {
    let (proxy, target, mut client, mut server) = connected(LinkState::CLEAR).await;
    // The target has accepted; a byte shows that the proxy knows it too.
    let mut byte = [0];
    client.write_all(b"x").await.unwrap();
    assert_eq!(soon(server.read(&mut byte)).await.unwrap(), 1);
    proxy.set(LinkState::Down(Cut::Reset));
    for (name, end) in [("client", &mut client), ("server", &mut server)] {
        let felt = soon(end.read(&mut byte)).await;
        assert!(felt.is_err(), "{name}");
        assert_eq!(felt.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    // Linux may report the reset at connect or at the first read.
    if let Ok(mut again) = TcpStream::connect(proxy.addr()).await {
        let felt = soon(again.read(&mut byte)).await;
        assert_eq!(felt.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    proxy.set(LinkState::CLEAR);
    let mut back = TcpStream::connect(proxy.addr()).await.unwrap();
    let (mut server, _) = soon(target.accept()).await.unwrap();
    back.write_all(b"x").await.unwrap();
    assert_eq!(soon(server.read(&mut byte)).await.unwrap(), 1);
    assert_eq!(proxy.counts().reset, 2);
}

#[tokio::test]
async fn a_black_hole_swallows_until_the_link_is_back() {
    let (proxy, target, mut client, mut server) = connected(LinkState::CLEAR).await;
    proxy.set(LinkState::Down(Cut::BlackHole));
    client.write_all(b"in the dark").await.unwrap();
    let mut unheard = TcpStream::connect(proxy.addr()).await.unwrap();
    unheard.write_all(b"hello").await.unwrap();
    assert_eq!(proxy.counts().bytes_up, 0);
    proxy.set(LinkState::CLEAR);
    let mut got = [0; 11];
    soon(server.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"in the dark");
    let (mut second, _) = soon(target.accept()).await.unwrap();
    soon(second.read_exact(&mut got[..5])).await.unwrap();
    assert_eq!(&got[..5], b"hello");
}

#[tokio::test]
async fn a_target_that_is_not_there_resets_the_client() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let proxy = Proxy::start(&address, Plan::always(LinkState::CLEAR))
        .await
        .unwrap();
    if let Ok(mut client) = TcpStream::connect(proxy.addr()).await {
        assert!(soon(client.read(&mut [0])).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn follows_the_plan_unless_set_by_hand() {
    let down = LinkState::Down(Cut::Reset);
    let window = Window {
        from: Span::from_secs(10),
        to: Span::from_secs(20),
        state: down,
    };
    let plan = Plan::new(LinkState::CLEAR, vec![window]);
    let proxy = Proxy::start("127.0.0.1:9", plan).await.unwrap();
    let second = |s| tokio::time::sleep(Duration::from_secs(s));
    assert_eq!(proxy.state(), LinkState::CLEAR);
    second(11).await;
    assert_eq!(proxy.state(), down);
    proxy.set(LinkState::CLEAR);
    assert_eq!(proxy.state(), LinkState::CLEAR);
    proxy.follow_plan();
    assert_eq!(proxy.state(), down);
    proxy.set(LinkState::Down(Cut::BlackHole));
    second(10).await;
    assert_eq!(proxy.state(), LinkState::Down(Cut::BlackHole));
    proxy.follow_plan();
    assert_eq!(proxy.state(), LinkState::CLEAR);
}
