//! Calls and streams over gRPC, with tokens that count and tokens that do not.

use crate::attackers::Target;
use crate::honest::with;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::{ListRequest, WatchRequest};
use std::net::IpAddr;
use tokio::task::JoinSet;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// Streams that one connection opens and never reads.
const UNREAD: usize = 50;

pub(crate) fn attack(target: &Target, attackers: &mut JoinSet<()>) {
    for last in [14, 15] {
        attackers.spawn(call(
            target.clone(),
            last,
            "lists",
            vec![target.token.clone()],
        ));
        attackers.spawn(subscribe(target.clone(), last));
        attackers.spawn(never_read(target.clone(), last));
        let kinds = forged().map(|token| vec![token]);
        for tokens in kinds.into_iter().chain([target.forged.clone()]) {
            let what = "calls with forged tokens";
            attackers.spawn(call(target.clone(), last, what, tokens));
        }
    }
}

/// One of ours that nobody made, unsigned and expired ones of no issuer, and none.
fn forged() -> [String; 4] {
    // {"alg":"none"} and {"alg":"RS256","kid":"x"}; {"sub":"x","exp":1}.
    let (unsigned, signed) = ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ");
    let expired = "eyJzdWIiOiJ4IiwiZXhwIjoxfQ";
    [
        format!("enr_00000000_{}", "A".repeat(43)),
        format!("{unsigned}.{expired}."),
        format!("{signed}.{expired}.{}", "A".repeat(342)),
        "x".repeat(8_000),
    ]
}

fn channel(target: &Target, last: u8) -> Channel {
    let authority = Certificate::from_pem(target.authority());
    let tls = ClientTlsConfig::new().ca_certificate(authority);
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", target.port));
    let endpoint = endpoint.unwrap().tls_config(tls).unwrap();
    let from = IpAddr::from([127, 0, 0, last]);
    endpoint.local_address(Some(from)).connect_lazy()
}

/// Unary calls, one after the other, with each token in turn.
async fn call(target: Target, last: u8, what: &'static str, tokens: Vec<String>) {
    let mut client = LiveClient::new(channel(&target, last));
    for token in tokens.iter().cycle() {
        drop(client.list(with(ListRequest { closed: true }, token)).await);
        target.did(what);
        tokio::task::yield_now().await;
    }
}

/// Streams that are opened and dropped.
async fn subscribe(target: Target, last: u8) {
    let mut client = LiveClient::new(channel(&target, last));
    loop {
        drop(
            client
                .watch(with(WatchRequest::default(), &target.token))
                .await,
        );
        target.did("subscriptions");
        tokio::task::yield_now().await;
    }
}

/// Streams with everything in them, and nobody who reads.
async fn never_read(target: Target, last: u8) {
    loop {
        let mut client = LiveClient::new(channel(&target, last));
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            let everything = WatchRequest {
                samples: true,
                waveforms: true,
                ..WatchRequest::default()
            };
            unread.push(client.watch(with(everything, &target.token)).await);
        }
        target.did("connections with viewers that never read");
        // Until one of them has been cut off.
        for stream in unread.into_iter().rev().take(1).flatten() {
            let mut stream = stream.into_inner();
            while let Ok(Some(_)) = stream.message().await {}
        }
        tokio::task::yield_now().await;
    }
}
