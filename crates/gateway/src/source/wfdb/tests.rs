//! Records become emissions sample for sample.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use super::*;
use std::fs;
use std::path::Path;

fn record(dir: &Path, name: &str, header: &str, stored: &[i16]) -> WfdbConfig {
    fs::write(dir.join(format!("{name}.hea")), header).unwrap();
    let bytes: Vec<u8> = stored.iter().flat_map(|s| s.to_le_bytes()).collect();
    fs::write(dir.join(format!("{name}.dat")), bytes).unwrap();
    WfdbConfig::new(dir.join(name))
}

fn all(config: WfdbConfig) -> Vec<Emission> {
    let mut source = WfdbSource::open(config).unwrap();
    std::iter::from_fn(|| source.next()).collect()
}

#[test]
fn waveforms_carry_the_integers_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let header = "r 2 10 25 12:00:00 01/01/2200\nr.dat 16x2 200/mV 12 0 0 0 0 MCL1\nr.dat 16 4(-7)/mmHg 12 0 0 0 0 ABP\n";
    let stored: Vec<i16> = (0..75)
        .map(|n| if n == 31 { i16::MIN } else { n })
        .collect();
    let config = record(dir.path(), "r", header, &stored);
    let emissions = all(config);
    assert_eq!(emissions.len(), 3, "10 + 10 + 5 frames");
    let mut channels: [Vec<Option<i32>>; 2] = Default::default();
    let ends = [1_000, 2_000, 2_500].map(Span::from_millis);
    for ((index, emission), end) in emissions.iter().enumerate().zip(ends) {
        assert_eq!(emission.due, end, "when its last sample was taken");
        let start = DeviceTime(7_258_161_600_000_000);
        let first = Span::from_secs(i64::try_from(index).unwrap());
        assert_eq!(emission.observed_at, Some(start.plus(first)));
        let Body::Waveforms(waveforms) = &emission.body else {
            panic!("not waveforms")
        };
        for (channel, waveform) in channels.iter_mut().zip(waveforms) {
            assert_eq!(waveform.first_sample, channel.len() as u64);
            channel.extend(&waveform.samples);
        }
        let [ecg, abp] = waveforms.as_slice() else {
            panic!("not two")
        };
        assert_eq!(
            (
                ecg.metric.code,
                ecg.metric.label.as_str(),
                ecg.unit.as_str()
            ),
            (Code(0), "MCL1", "mV")
        );
        assert!((ecg.rate_hz - 20.0).abs() < 1e-9 && (ecg.gain - 200.0).abs() < 1e-9);
        assert_eq!(
            (
                abp.metric.code,
                abp.metric.label.as_str(),
                abp.unit.as_str()
            ),
            (Code(150_036), "", "")
        );
        assert_eq!(abp.baseline, -7);
    }
    let expected = |offsets: &[usize]| -> Vec<Option<i32>> {
        let frames = stored.chunks(3);
        let of = |frame: &[i16]| offsets.iter().map(|o| frame[*o]).collect::<Vec<_>>();
        frames
            .flat_map(of)
            .map(|s| Some(i32::from(s)).filter(|s| *s != -32_768))
            .collect()
    };
    assert_eq!(channels[0], expected(&[0, 1]));
    assert_eq!(channels[1], expected(&[2]));
}

#[test]
fn a_skewed_signal_keeps_every_sample_and_its_true_time() {
    let dir = tempfile::tempdir().unwrap();
    let header = "r 1 10 20\nr.dat 16:3 200/mV 12 0 0 0 0 II\n";
    let stored: Vec<i16> = (0..20).collect();
    let mut samples = Vec::new();
    for emission in all(record(dir.path(), "r", header, &stored)) {
        let Body::Waveforms(waveforms) = emission.body else {
            panic!("not waveforms")
        };
        assert_eq!(waveforms[0].start_offset, Span::from_millis(-300));
        samples.extend(waveforms[0].samples.clone());
    }
    assert_eq!(samples, (0..20).map(Some).collect::<Vec<_>>());
}

#[test]
fn slow_records_are_numerics_with_their_interval() {
    let dir = tempfile::tempdir().unwrap();
    let header = "r 3 0.0166666666667/125 3 31:25.894 10/10/2896\nr.dat 16 10/bpm 16 0 0 0 0 HR\nr.dat 16 1/mmHg 16 0 0 0 0 NBPSys\nr.dat 16 10/% 16 0 0 0 0 SpO2\n";
    let config = record(
        dir.path(),
        "r",
        header,
        &[875, i16::MIN, 0, 880, 0, 991, 0, 120, 0],
    );
    let config = WfdbConfig {
        zero_is_missing: true,
        signal: vec![SignalConfig {
            description: "NBPSys".to_owned(),
            id: Some("nibp_sys".to_owned()),
            zero_is_missing: Some(false),
            ignore: false,
        }],
        ..config
    };
    let emissions = all(config);
    let readings: Vec<Vec<Reading>> = emissions
        .iter()
        .map(|e| {
            let Body::Numerics(numerics) = &e.body else {
                panic!("not numerics")
            };
            assert!(
                numerics
                    .iter()
                    .all(|n| n.interval == Span::from_secs(60) && n.unit.is_empty())
            );
            numerics.iter().map(|n| n.reading).collect()
        })
        .collect();
    let value = |mantissa, decimals| Reading::measured(Decimal::new(mantissa, decimals).unwrap());
    let missing = Reading::None(NoValue::Missing);
    assert_eq!(readings[0], [value(875, 1), missing, missing]);
    assert_eq!(readings[1], [value(880, 1), value(0, 0), value(991, 1)]);
    assert_eq!(readings[2], [missing, value(120, 0), missing]);
    assert_eq!(emissions[2].due, Span::from_secs(120));
    assert_eq!(
        emissions[0].observed_at,
        Some(DeviceTime(29_246_229_085_894_000))
    );
}

/// As monitors give vital signs, and as `enroute export` writes them.
#[test]
fn a_record_of_once_a_second_is_numerics() {
    let dir = tempfile::tempdir().unwrap();
    let header = "r 1 1 3\nr.dat 16 10(0)/degC 16 0 0 0 0 temp1\n";
    let emissions = all(record(dir.path(), "r", header, &[366, i16::MIN, 371]));
    let values = emissions.iter().map(|emission| {
        let Body::Numerics(numerics) = &emission.body else {
            panic!("not numerics")
        };
        assert_eq!(numerics[0].metric.code, Code(150_344));
        assert_eq!(numerics[0].interval, Span::from_secs(1));
        numerics[0].reading
    });
    let value = |mantissa| Reading::measured(Decimal::new(mantissa, 1).unwrap());
    let missing = Reading::None(NoValue::Missing);
    assert_eq!(
        values.collect::<Vec<_>>(),
        [value(366), missing, value(371)]
    );
}

#[test]
fn a_repeated_record_goes_on_counting() {
    let dir = tempfile::tempdir().unwrap();
    let config = record(
        dir.path(),
        "r",
        "r 1 2 4\nr.dat 16 0 12 0 0 0 0 X\n",
        &[1, 2, 3, 4],
    );
    let config = WfdbConfig {
        repeat: true,
        ..config
    };
    let mut source = WfdbSource::open(config).unwrap();
    for round in 0..6_u64 {
        let emission = source.next().unwrap();
        assert_eq!(
            emission.due,
            Span::from_secs(i64::try_from(round + 1).unwrap())
        );
        let Body::Waveforms(waveforms) = emission.body else {
            panic!("not waveforms")
        };
        assert_eq!(
            (waveforms[0].first_sample, waveforms[0].unit.as_str()),
            (round * 2, "1")
        );
        let first = if round % 2 == 0 { 1 } else { 3 };
        assert_eq!(waveforms[0].samples, [Some(first), Some(first + 1)]);
    }
}

#[test]
fn an_emission_ends_with_its_segment() {
    let dir = tempfile::tempdir().unwrap();
    record(
        dir.path(),
        "a",
        "a 1 4 6\na.dat 16 10/mV 12 0 0 0 0 II\n",
        &[1, 2, 3, 4, 5, 6],
    );
    record(
        dir.path(),
        "b",
        "b 1 4 2\nb.dat 16 20/mV 12 0 0 0 0 II\n",
        &[7, 8],
    );
    fs::write(dir.path().join("m.hea"), "m/2 1 4 8\na 6\nb 2\n").unwrap();
    let runs: Vec<(u64, f64, usize)> = all(WfdbConfig::new(dir.path().join("m")))
        .into_iter()
        .map(|e| match e.body {
            Body::Waveforms(w) => (w[0].first_sample, w[0].gain, w[0].samples.len()),
            _ => panic!("not waveforms"),
        })
        .collect();
    assert_eq!(runs, [(0, 10.0, 4), (4, 10.0, 2), (6, 20.0, 2)]);
}

#[test]
fn a_wrong_configuration_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = record(
        dir.path(),
        "r",
        "r 1 2 4\nr.dat 16 0 12 0 0 0 0 X\n",
        &[1, 2, 3, 4],
    );
    let signal = |description: &str, id: Option<&str>, ignore| SignalConfig {
        description: description.to_owned(),
        id: id.map(str::to_owned),
        ignore,
        ..SignalConfig::default()
    };
    let cases = [
        (
            signal("Y", None, false),
            "there is no signal \"Y\"; the record has [\"X\"]",
        ),
        (
            signal("X", Some("hr"), false),
            "\"hr\" is no id of crates/model/data/waveforms.csv",
        ),
        (signal("X", None, true), "0 signals are used"),
    ];
    for (signal, message) in cases {
        let config = WfdbConfig {
            signal: vec![signal],
            ..config.clone()
        };
        let error = WfdbSource::open(config).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(decimal(1_234, 12.8).unwrap().to_string(), "96.406");
}
