//! What a new connection is given first, by the uplink's state machine.

#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use enroute_gateway::Config;
use enroute_gateway::simulation::{Core, Draft, Input, Now, Output, Spool};
use enroute_model::frame::{Body, GeoPoint};
use enroute_model::ids::{GatewayId, Lane};
use enroute_model::time::{GatewayTime, Span};

/// The tokens of live publishes with frames, and whether history was asked for.
fn seen(core: &mut Core, second: i64, input: Input) -> (Vec<u64>, bool) {
    let now = Now {
        monotonic: Span::from_secs(second),
        wall: GatewayTime(second),
    };
    let mut out = Vec::new();
    core.handle(now, input, &mut out);
    let live = out.iter().filter_map(|output| match output {
        Output::Publish {
            lane: Lane::Live,
            publish,
            frames: 1..,
        } => Some(publish.token),
        _ => None,
    });
    let live = live.collect();
    (live, out.iter().any(|o| matches!(o, Output::Pick(_))))
}

#[test]
fn the_newest_goes_again_and_history_waits_for_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(GatewayId::new("gw-1").unwrap());
    config.spool.dir = dir.path().to_owned();
    let mut spool = Spool::open(&config.spool, None).unwrap();
    let mut core = Core::new(&config, true, GatewayTime(0), spool.through());
    let draft = Draft {
        body: Body::Position(GeoPoint {
            latitude_e7: 1,
            longitude_e7: 2,
            altitude_m: None,
            speed_cm_s: None,
            course_cdeg: None,
        }),
        observed_at: None,
        captured_at: GatewayTime(0),
        monotonic: Span::ZERO,
        clocks: None,
        exercise: true,
    };
    seen(&mut core, 0, Input::Connected(Lane::Live));
    seen(&mut core, 0, Input::Connected(Lane::History));
    seen(&mut core, 0, Input::Picked(None));
    let frames = spool.append(&[draft]).unwrap().frames;
    let (first, _) = seen(&mut core, 1, Input::Recorded(frames));
    assert_eq!(first.len(), 1);
    // The link goes, and nobody knows whether it arrived.
    seen(&mut core, 2, Input::Disconnected(Lane::Live));
    seen(&mut core, 2, Input::Disconnected(Lane::History));
    seen(&mut core, 2, Input::Lost(first));
    let (none, asked) = seen(&mut core, 3, Input::Connected(Lane::History));
    assert_eq!((none.len(), asked), (0, false));
    let (again, asked) = seen(&mut core, 4, Input::Connected(Lane::Live));
    assert_eq!(
        (again.len(), asked),
        (1, false),
        "now, and nothing before it"
    );
    let (_, asked) = seen(&mut core, 5, Input::Answered(again[0]));
    assert!(asked, "then history");
    // Longer ago than a live publish may live, it is history.
    seen(&mut core, 6, Input::Picked(None));
    seen(&mut core, 6, Input::Disconnected(Lane::Live));
    seen(&mut core, 6, Input::Lost(again));
    let (old, asked) = seen(&mut core, 60, Input::Connected(Lane::Live));
    assert_eq!((old.len(), asked), (0, true));
}
