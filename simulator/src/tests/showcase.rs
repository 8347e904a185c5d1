//! The showcase: three legs across a border, silent in flight.

use super::{NEW_YEAR, made, numerics, until, value};
use crate::fleet::{LENGTH_MIN, Scenario};
use crate::radio::{Cut, LinkState};
use crate::source::Detail;
use enroute_model::frame::{Body, CrewEvent, GeoPoint};
use enroute_model::ids::ShortCode;
use enroute_model::registry::{Mode, Place};
use enroute_model::time::Span;

fn showcase(length_s: i64) -> Scenario {
    made(1, 1, length_s).remove(0)
}

#[test]
fn ambulance_aircraft_ambulance_with_a_handover_between() {
    for length_s in [0, 30, 600, 7_200] {
        let scenario = showcase(length_s);
        let modes: Vec<_> = scenario.legs.iter().map(|leg| leg.mode).collect();
        assert_eq!(modes, [Mode::Road, Mode::Air, Mode::Road]);
        let length = Span::from_secs(length_s).max(LENGTH_MIN);
        for pair in scenario.legs.windows(2) {
            let ends = pair[0].ends.unwrap();
            assert!(
                pair[1].starts < ends,
                "both gateways are heard for a moment"
            );
            assert!(ends < length);
            let last = pair[0].emissions(Detail::Waveforms).last().unwrap();
            assert_eq!(last.body, Body::Crew(CrewEvent::HandOver));
            assert_eq!(last.due.0, ends.0 - pair[0].starts.0);
            let mut joins = until(&pair[1], Detail::Numerics, 2).into_iter();
            let code = ShortCode::of(&scenario.transfer);
            let join = CrewEvent::Join {
                short_code: code.as_str().to_owned(),
            };
            assert!(joins.any(|emission| emission.body == Body::Crew(join.clone())));
        }
        assert_eq!(scenario.legs[0].transfer, scenario.transfer);
        assert_eq!(scenario.legs[2].ends, None);
    }
}

#[test]
fn silent_in_mid_flight_and_on_the_air_at_both_ends() {
    let flight = &showcase(600).legs[1];
    let lasts = Span(flight.ends.unwrap().0 - flight.starts.0);
    let at = |tenths| flight.radio.at(lasts.scaled(tenths, 10));
    assert!(matches!(at(1), LinkState::Up { .. }));
    assert_eq!(at(4), LinkState::Down(Cut::BlackHole));
    assert_eq!(at(7), LinkState::Down(Cut::Reset));
    assert!(matches!(at(8), LinkState::Up { .. }));
    assert!(matches!(at(10), LinkState::Up { .. }));
    let emissions: Vec<_> = flight.emissions(Detail::Numerics).collect();
    let dues: Vec<_> = numerics(&emissions).map(|(due, _)| due).collect();
    let on_board = dues
        .windows(2)
        .all(|pair| pair[1].0 - pair[0].0 == 1_000_000);
    assert!(on_board, "the monitor goes on in the silence");
}

fn metres(a: &GeoPoint, b: &Place) -> f64 {
    let north = f64::from(a.latitude_e7 - b.latitude_e7);
    let east = f64::from(a.longitude_e7 - b.longitude_e7) * 0.92;
    north.hypot(east) * 0.0111
}

#[test]
fn every_leg_travels_from_its_first_place_to_its_last() {
    let scenario = showcase(600);
    for (leg, plan) in scenario.legs.iter().zip(&scenario.info.legs) {
        let track: Vec<_> = until(leg, Detail::Numerics, 300)
            .into_iter()
            .filter_map(|emission| match emission.body {
                Body::Position(point) => Some(point),
                _ => None,
            })
            .collect();
        let (first, last) = (track.first().unwrap(), track.last().unwrap());
        assert!(metres(first, &plan.from) < 50.0 && metres(last, &plan.to) < 50.0);
        assert_eq!((first.speed_cm_s, last.speed_cm_s), (Some(0), Some(0)));
        let fastest = track
            .iter()
            .filter_map(|point| point.speed_cm_s)
            .max()
            .unwrap();
        let highest = track
            .iter()
            .filter_map(|point| point.altitude_m)
            .max()
            .unwrap();
        match plan.mode {
            Mode::Road => assert!((500..6_000).contains(&fastest), "{fastest}"),
            Mode::Air => assert!(
                fastest > 15_000 && fastest < 40_000 && highest > 8_000,
                "{fastest}"
            ),
        }
    }
    assert!(scenario.info.legs[0].departs_at.unwrap() > NEW_YEAR);
    assert_eq!(scenario.info.legs[2].to.name, scenario.info.hospital);
    assert!(scenario.info.legs.iter().all(|leg| leg.gateway.is_some()));
}

#[test]
fn two_monitors_on_one_patient_agree() {
    let scenario = showcase(600);
    let (first, second) = (&scenario.legs[0], &scenario.legs[1]);
    let behind = second.starts.0 - first.starts.0;
    let rates = |leg, shift: i64| -> Vec<(i64, f64)> {
        let emissions = until(leg, Detail::Numerics, 200);
        numerics(&emissions)
            .filter_map(|(due, row)| Some((due.0 + shift, value(row, "hr")?)))
            .collect()
    };
    let (a, b) = (rates(first, 0), rates(second, behind));
    let both: Vec<_> = a
        .iter()
        .filter_map(|(at, rate)| {
            let (_, other) = b.iter().find(|(other_at, _)| other_at == at)?;
            Some((*rate, *other))
        })
        .collect();
    assert!(both.len() >= 5);
    assert!(both.iter().all(|(a, b)| (a - b).abs() <= 3.0), "{both:?}");
}
