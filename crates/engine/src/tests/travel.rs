//! The way, the distance, the arrival.

use super::*;
use enroute_model::registry::{Leg, Mode, Place};

fn place(name: &str, latitude: f64, longitude: f64) -> Place {
    let at = point(latitude, longitude, None);
    Place {
        name: name.into(),
        latitude_e7: at.latitude_e7,
        longitude_e7: at.longitude_e7,
    }
}

fn leg(who: &str, mode: Mode, (from, to): (Place, Place), (departs, arrives): (i64, i64)) -> Leg {
    Leg {
        vehicle: who.into(),
        mode,
        gateway: Some(gateway(who)),
        from,
        to,
        departs_at: Some(ServerTime(departs * 1_000_000)),
        arrives_at: Some(ServerTime(arrives * 1_000_000)),
    }
}

/// One degree of latitude is 111.195 km.
fn plan() -> RegistryAction {
    let places = [
        place("a", 0.0, 0.0),
        place("b", 1.0, 0.0),
        place("c", 9.0, 0.0),
        place("d", 9.5, 0.0),
    ];
    let [a, b, c, d] = places;
    RegistryAction::Put(TransferInfo {
        hospital: "icu".into(),
        legs: vec![
            leg("amb", Mode::Road, (a, b.clone()), (0, 3_600)),
            leg("air", Mode::Air, (b, c.clone()), (4_000, 9_000)),
            leg("amb2", Mode::Road, (c, d), (9_600, 12_000)),
        ],
        ..Default::default()
    })
}

fn travel(frames: &[(i64, &str, GeoPoint)]) -> enroute_model::state::Travel {
    let (mut sender, mut engine) = (Sender::default(), Engine::new(transfer("tx")));
    let mut effects = Effects::default();
    let put = sender.registry(s(0), plan());
    engine.handle(&put, &mut effects);
    for (at, who, point) in frames {
        let record = sender.frame(s(*at), who, Lane::Live, Body::Position(*point));
        engine.handle(&record, &mut effects);
    }
    engine.travel()
}

#[test]
fn distance_and_arrival_along_the_legs() {
    let travel = travel(&[(100, "amb", point(0.5, 0.0, Some(20)))]);
    assert_eq!(travel.leg, Some(0));
    // Half a degree on the road, eight in the air, half on the road.
    let distance = travel.distance_m.unwrap();
    assert!((distance - 9.0 * 111_195.0).abs() < 50.0, "{distance}");
    // 55.6 km at 20 m/s, then as planned: 12,000 s - 3,600 s after the first arrival.
    let eta = travel.eta.unwrap().0 / 1_000_000;
    assert!((eta - (100 + 2_780 + 8_400)).abs() < 5, "{eta}");
}

#[test]
fn standing_or_without_a_speed_the_plan_counts() {
    for speed in [None, Some(0)] {
        let travel = travel(&[(100, "amb", point(0.5, 0.0, speed))]);
        assert_eq!(travel.eta, Some(s(12_000)));
    }
}

#[test]
fn the_leg_follows_the_gateway_and_never_goes_back() {
    let at = |who: &'static str, latitude| (0, who, point(latitude, 0.0, None));
    assert_eq!(travel(&[at("amb", 0.5), at("air", 2.0)]).leg, Some(1));
    assert_eq!(
        travel(&[at("amb", 0.5), at("air", 2.0), at("amb2", 9.1)]).leg,
        Some(2)
    );
    assert_eq!(travel(&[at("air", 2.0), at("amb", 0.5)]).leg, Some(1));
    assert_eq!(travel(&[at("unplanned", 9.2)]).leg, Some(2));
}

#[test]
fn the_track_is_thinned_and_keeps_both_ends() {
    let point = |i: i32| point(f64::from(i) / 1_000.0, 179.999 - f64::from(i % 2), Some(20));
    let frames: Vec<_> = (0..2_000)
        .map(|i| (i64::from(i), "amb", point(i)))
        .collect();
    let track = travel(&frames).track;
    assert_eq!(track.len(), 256);
    assert_eq!((track[0], track[255]), (point(0), point(1_999)));
}

#[test]
fn a_late_position_fills_the_track_only() {
    let (mut sender, mut engine) = (Sender::default(), Engine::new(transfer("tx")));
    let mut effects = Effects::default();
    let mut all: Vec<Record> = (0..4)
        .map(|i| {
            sender.frame(
                s(i),
                "amb",
                Lane::Live,
                Body::Position(point(f64::from(u8::try_from(i).unwrap()), 0.0, None)),
            )
        })
        .collect();
    let mut late = all.remove(2);
    if let Entry::Frame { lane, .. } = &mut late.entry {
        *lane = Lane::History;
    }
    for record in all.iter().chain([&late]) {
        engine.handle(record, &mut effects);
    }
    let travel = engine.travel();
    assert_eq!(travel.position, Some(point(3.0, 0.0, None)));
    let track: Vec<i32> = travel
        .track
        .iter()
        .map(|p| p.latitude_e7 / 10_000_000)
        .collect();
    assert_eq!(track, [0, 1, 2, 3]);
}
