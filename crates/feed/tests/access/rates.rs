//! How much one caller may ask, and what wrong tokens do to right ones.

use crate::bench::{Bench, Made, in_time, with};
use enroute_access::{Role, Scope};
use enroute_audit::Outcome;
use enroute_model::time::Span;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use std::sync::atomic::Ordering;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

fn made() -> Made {
    let mut made = Made::default();
    made.add("mad", Role::Clinician, Scope::default());
    made.add("honest", Role::Clinician, Scope::default());
    made
}

async fn list(bench: &Bench, live: &mut LiveClient<Channel>, actor: &str) -> Result<(), Status> {
    let asked = live.list(bench.by(actor, v1::ListRequest::default()));
    in_time(asked).await.map(drop)
}

#[tokio::test]
async fn one_that_asks_too_much_is_told_when_to_come_again_and_nobody_else_is() {
    let bench = Bench::new(made()).await;
    let mut live = LiveClient::new(bench.channel().await);
    for _ in 0..4_000 {
        list(&bench, &mut live, "mad").await.unwrap();
    }
    bench.told().await;
    let status = list(&bench, &mut live, "mad").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("try again in 1 s"), "{status}");
    let told = bench.told().await;
    let outcomes: Vec<_> = told.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused]);
    list(&bench, &mut live, "honest").await.unwrap();
    bench.clock.pass(Span::from_secs(1));
    list(&bench, &mut live, "mad").await.unwrap();
    assert_eq!(bench.rates.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_asks_again_and_again_whether_the_server_lives_takes_no_look_from_anybody() {
    let bench = Bench::new(made()).await;
    let channel = bench.channel().await;
    let health = HealthClient::new(channel.clone());
    let check = async || {
        let asked = HealthCheckRequest::default();
        in_time(health.clone().check(asked)).await.map(drop)
    };
    for _ in 0..4_000 {
        check().await.unwrap();
    }
    let status = check().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(bench.rates.calls.load(Ordering::Relaxed), 1);
    let mut live = LiveClient::new(channel);
    list(&bench, &mut live, "honest").await.unwrap();
    bench.clock.pass(Span::from_secs(1));
    check().await.unwrap();
}

async fn watch(
    bench: &Bench,
    live: &mut LiveClient<Channel>,
    actor: &str,
) -> Result<Streaming<v1::WatchResponse>, Status> {
    let asked = live.watch(bench.by(actor, v1::WatchRequest::default()));
    in_time(asked).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn one_token_takes_so_many_streams_and_leaves_room_for_others() {
    let bench = Bench::new(made()).await;
    // A connection has as many, so that these are on two.
    let mut first = LiveClient::new(bench.channel().await);
    let mut second = LiveClient::new(bench.channel().await);
    let mut open = Vec::new();
    for n in 0..256 {
        let live = if n % 2 == 0 { &mut first } else { &mut second };
        open.push(watch(&bench, live, "mad").await.unwrap());
    }
    let status = watch(&bench, &mut first, "mad").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("close some"), "{status}");
    watch(&bench, &mut first, "honest").await.unwrap();
    // A place comes free when the server has heard that its stream is gone.
    open.pop();
    in_time(async { while watch(&bench, &mut first, "mad").await.is_err() {} }).await;
}

#[tokio::test]
async fn wrong_tokens_are_answered_late_and_right_ones_from_there_at_once() {
    let bench = Bench::new(made()).await;
    let live = LiveClient::new(bench.channel().await);
    let wrong = async || {
        let asked = with("enroute_00000000_0", v1::ListRequest::default());
        in_time(live.clone().list(asked)).await.unwrap_err().code()
    };
    for _ in 0..600 {
        assert_eq!(wrong().await, Code::Unauthenticated);
    }
    let slowed = || bench.rates.slowed.load(Ordering::Relaxed);
    assert_eq!(slowed(), 0);
    let mut right = live.clone();
    let (late, ()) = tokio::join!(wrong(), async {
        // Whatever comes first: the right one has its answer, and waits for nobody's.
        list(&bench, &mut right, "honest").await.unwrap();
    });
    assert_eq!((late, slowed()), (Code::Unauthenticated, 1));
    assert_eq!(bench.rates.wrong.load(Ordering::Relaxed), 601);
    list(&bench, &mut right, "mad").await.unwrap();
}
