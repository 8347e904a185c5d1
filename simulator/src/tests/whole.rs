//! What holds for every fleet: determinism, order, ranges, seamless waveforms.

use super::{NEW_YEAR, code, made, numerics, until, value, with_course};
use crate::course::Course;
use crate::source::Detail;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Emission};
use enroute_model::reading::Reading;
use enroute_model::time::Span;
use std::collections::BTreeMap;

/// FNV-1a over everything that a gateway would send.
fn hash(emissions: impl Iterator<Item = Emission>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for emission in emissions {
        feed(&emission.due.0.to_le_bytes());
        feed(&emission.observed_at.map_or(0, |at| at.0).to_le_bytes());
        match emission.body {
            Body::Waveforms(waveforms) => {
                for waveform in waveforms {
                    feed(&waveform.first_sample.to_le_bytes());
                    for sample in waveform.samples {
                        feed(&sample.unwrap_or(i32::MIN).to_le_bytes());
                    }
                }
            }
            Body::Numerics(numerics) => {
                for numeric in numerics {
                    feed(&numeric.metric.code.0.to_le_bytes());
                    feed(format!("{:?}", numeric.reading).as_bytes());
                }
            }
            Body::Position(point) => {
                feed(&point.latitude_e7.to_le_bytes());
                feed(&point.longitude_e7.to_le_bytes());
            }
            other => feed(format!("{other:?}").as_bytes()),
        }
    }
    hash
}

fn hash_of_fleet(seed: u64) -> u64 {
    let hashes = made(seed, 8, 60)
        .into_iter()
        .flat_map(|scenario| scenario.legs)
        .map(|leg| hash(until(&leg, Detail::Waveforms, 40).into_iter()));
    hashes.fold(0, |all, one| all.rotate_left(7) ^ one)
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let first = hash_of_fleet(42);
    assert_eq!(first, hash_of_fleet(42));
    assert_ne!(first, hash_of_fleet(43));
}

#[test]
fn a_transfer_is_the_same_whatever_the_size_of_the_fleet() {
    let (small, large) = (made(5, 3, 60), made(5, 9, 60));
    for (a, b) in small.iter().zip(&large) {
        assert_eq!((&a.transfer, &a.info), (&b.transfer, &b.info));
        let take = |leg| hash(until(leg, Detail::Numerics, 20).into_iter());
        assert_eq!(take(&a.legs[0]), take(&b.legs[0]));
    }
}

#[test]
fn transfers_and_gateways_have_names_of_their_own() {
    let scenarios = made(1, 500, 60);
    let mut names: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| &scenario.legs)
        .flat_map(|leg| [leg.transfer.to_string(), leg.gateway.to_string()])
        .collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_value_is_plausible_and_nothing_goes_back_in_time() {
    for scenario in made(11, 22, 600) {
        for leg in &scenario.legs {
            let mut last = Span::ZERO;
            for emission in until(leg, Detail::Numerics, 700) {
                assert!(emission.due >= last, "{:?}", scenario.course);
                last = emission.due;
                let Body::Numerics(numerics) = &emission.body else {
                    continue;
                };
                for numeric in numerics {
                    let known = catalogue().vital(numeric.metric.code).unwrap();
                    assert!(numeric.interval > Span::ZERO);
                    let Reading::Value { value, .. } = numeric.reading else {
                        continue;
                    };
                    assert_eq!(value.decimals(), known.decimals, "{}", known.id);
                    // Strictly inside: the monitor clamps, the patient must not need it.
                    assert!(
                        value.value() < known.plausible_max
                            && (value.value() > known.plausible_min || value.mantissa() == 0)
                            || value.value() >= 100.0 && known.id == "spo2",
                        "{} {value} in {:?}",
                        known.id,
                        scenario.course
                    );
                }
            }
        }
    }
}

#[test]
fn values_come_as_often_as_declared() {
    let scenario = &made(3, 1, 600)[0];
    let mut times = BTreeMap::<_, Vec<(Span, Span)>>::new();
    let emissions = until(&scenario.legs[0], Detail::Numerics, 160);
    for (due, numerics) in numerics(&emissions) {
        for numeric in numerics {
            let seen = times.entry(numeric.metric.code).or_default();
            seen.push((due, numeric.interval));
        }
    }
    assert!(times.len() >= 15, "{}", times.len());
    for seen in times.values() {
        assert!(seen.len() >= 5);
        for pair in seen.windows(2) {
            assert_eq!(pair[1].0.0 - pair[0].0.0, pair[0].1.0);
        }
    }
}

#[test]
fn waveforms_join_without_a_gap_on_every_leg() {
    for scenario in made(4, 3, 60) {
        for leg in &scenario.legs {
            let mut next = BTreeMap::new();
            let phase = leg.aboard.phase;
            for emission in until(leg, Detail::Waveforms, 30) {
                let Body::Waveforms(waveforms) = emission.body else {
                    continue;
                };
                for waveform in waveforms {
                    let known = catalogue().waveform(waveform.metric.code).unwrap();
                    let expected = next.entry(waveform.metric.code).or_insert(0);
                    assert_eq!(waveform.first_sample, *expected, "{}", known.id);
                    *expected += waveform.samples.len() as u64;
                    let taken = waveform.first_sample as f64 / waveform.rate_hz;
                    let said = Span(emission.due.0 - phase.0).as_secs_f64()
                        + waveform.start_offset.as_secs_f64();
                    // Told half a second later, when its last sample was taken.
                    assert!((taken + 0.5 - said).abs() < 2e-6, "{}", known.id);
                    for sample in waveform.samples.into_iter().flatten() {
                        let value = f64::from(sample - waveform.baseline) / waveform.gain;
                        assert!(value >= known.range_min && value <= known.range_max);
                    }
                }
            }
            assert!(next.len() >= 4);
        }
    }
}

/// R peaks: the highest point of each stretch above 0.6 mV.
fn r_peaks(samples: &[f64]) -> usize {
    let mut peaks = 0;
    let mut quiet_for = usize::MAX;
    for mv in samples {
        if *mv > 0.6 {
            peaks += usize::from(quiet_for > 40);
            quiet_for = 0;
        } else {
            quiet_for = quiet_for.saturating_add(1);
        }
    }
    peaks
}

#[test]
fn heart_rate_is_what_the_ecg_shows() {
    for course in [
        Course::Stable,
        Course::Haemorrhage,
        Course::Sepsis,
        Course::Hypoxia,
    ] {
        let leg = &with_course(course, 600).legs[0];
        let emissions = until(leg, Detail::Waveforms, 400);
        let ecg: Vec<f64> = emissions
            .iter()
            .filter_map(|emission| match &emission.body {
                Body::Waveforms(waveforms) => {
                    waveforms.iter().find(|w| w.metric.code == code("ecg_ii"))
                }
                _ => None,
            })
            .flat_map(|w| w.samples.iter().map(|s| f64::from(s.unwrap()) / w.gain))
            .collect();
        let rates: Vec<f64> = numerics(&emissions)
            .filter_map(|(_, row)| value(row, "hr"))
            .collect();
        for (window, counted) in ecg.chunks_exact(250 * 30).enumerate() {
            let shown = rates[window * 30..(window + 1) * 30].iter().sum::<f64>() / 30.0;
            let counted = r_peaks(counted) as f64 * 2.0;
            assert!(
                (counted - shown).abs() <= 3.0,
                "{course:?} {window}: {counted} {shown}"
            );
        }
    }
}

#[test]
fn device_alarms_begin_and_end_in_turn() {
    let mut raised = 0;
    for scenario in made(2, 22, 300) {
        for leg in &scenario.legs {
            let mut active = BTreeMap::new();
            for emission in until(leg, Detail::Numerics, 600) {
                if let Body::DeviceAlarms(alarms) = emission.body {
                    for alarm in alarms {
                        let was = active.insert(alarm.label.clone(), alarm.active);
                        assert_eq!(was.unwrap_or(false), !alarm.active, "{}", alarm.label);
                        raised += u32::from(alarm.active);
                    }
                }
            }
            if leg.ends.is_some() {
                assert!(active.values().all(|active| !active), "ended with the leg");
            }
        }
    }
    assert!(raised > 20, "{raised}");
}

#[test]
fn monitors_have_all_kinds_of_wrong_clocks() {
    let offsets: Vec<_> = made(9, 60, 600)
        .iter()
        .map(|scenario| {
            let leg = &scenario.legs[0];
            let seen: Vec<i64> = until(leg, Detail::Numerics, 430)
                .iter()
                .filter_map(|e| Some(e.observed_at?.0 - NEW_YEAR.0 - e.due.0))
                .collect();
            seen
        })
        .collect();
    assert!(offsets.iter().any(Vec::is_empty), "one without a clock");
    let off = |least: i64| {
        offsets
            .iter()
            .flatten()
            .any(|offset| offset.abs() > least * 1_000_000)
    };
    assert!(off(60) && off(3_500) && off(86_400 * 300));
    let steps = offsets
        .iter()
        .flat_map(|seen| seen.windows(2))
        .filter(|pair| (pair[1] - pair[0]).abs() > 500_000);
    assert!(steps.count() > 0, "one is set on the way");
}
