//! What a patient costs on a link does not grow unseen: `enroute bench bytes` counts
//! the same on every machine.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_tests::python;
use enroute_tests::recordings::folder;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The archive is of `numpy`; gateways read WFDB.
const AS_WFDB: &str = r"
import numpy, sys
ecg = numpy.load(sys.argv[1])['ecg'].astype('<i2')
ecg.tofile(sys.argv[2] + '.dat')
head = f'208 1 360 {len(ecg)}\n208.dat 16 200(1024)/mV 16 0 {ecg[0]} 0 0 MLII\n'
open(sys.argv[2] + '.hea', 'w').write(head)
";

fn measured(arguments: &[&Path]) -> Value {
    let ran = Command::new(env!("CARGO_BIN_EXE_enroute"))
        .args(["bench", "bytes", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{error}");
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Thousandths of a byte for each of what is counted under `of`.
fn each(costs: &Value, form: &str, of: &str) -> u64 {
    costs[form].as_u64().unwrap() * 1_000 / costs[of].as_u64().unwrap()
}

#[test]
fn twelve_numerics_are_less_than_with_sparkplug_and_a_fiftieth_of_fhir() {
    let sizes = measured(&[]);
    let numerics = &sizes["numerics"];
    assert_eq!(numerics["numbers"], 12 * 600);
    assert_eq!(sizes["waveforms"]["frames"], 600);
    let of = |form| each(numerics, form, "frames");
    assert!(of("live") <= 130_000, "{}", of("live"));
    assert!(of("live") < of("sparkplug"));
    assert!(of("frame") * 50 <= of("fhir"));
    assert!(of("history") <= 12_000, "{}", of("history"));
    assert!(of("at_rest") <= 54_000, "{}", of("at_rest"));
}

#[test]
fn samples_of_real_waveforms_are_small() {
    let test = "bytes of samples";
    let (Some(recordings), Some(python)) = (folder(test), python::python(test)) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ecg = dir.path().join("208");
    let archive = recordings.join("mitdb-208/ecg.npz");
    assert!(python::run(&python, AS_WFDB, &[&archive, &ecg]).is_empty());
    let monitor = recordings.join("mimicdb-037/03700181");
    for (record, samples, most) in [
        (ecg, 108_000, [1_200, 720, 750]),
        (monitor, 450_000, [1_220, 500, 750]),
    ] {
        let sizes = measured(&[Path::new("--record"), &record]);
        let waveforms = &sizes["waveforms"];
        assert_eq!(waveforms["numbers"], samples);
        let of = |form| each(waveforms, form, "numbers");
        let found = ["live", "history", "at_rest"].map(of);
        let small = found.iter().zip(most).all(|(found, most)| *found <= most);
        assert!(small, "{found:?}, at most {most:?}");
        assert!(of("live") < of("raw"));
    }
}

#[test]
fn a_record_that_is_not_there_is_told() {
    let ran = Command::new(env!("CARGO_BIN_EXE_enroute"))
        .args(["bench", "bytes", "--record", "nowhere/1"])
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(error.contains("nowhere/1"), "{error}");
}
