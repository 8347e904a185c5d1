//! Names and units as common recordings write them.

use enroute_model::catalogue::catalogue;

/// The catalogue's id for a signal of this description, where its meaning is
/// sure. An unknown lead (MCL1) or pressure stays under its own name.
pub(super) fn id(description: &str, waveform: bool) -> Option<&'static str> {
    let table = if waveform { WAVEFORMS } else { NUMERICS };
    let known = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case(description.trim());
    let usual = table.iter().find(known).map(|(_, id)| *id);
    // Our own exports call what has no usual name by its id.
    usual.or_else(|| {
        let vital = || Some(catalogue().vital_by_id(description)?.id.as_str());
        let channel = || Some(catalogue().waveform_by_id(description)?.id.as_str());
        if waveform { channel() } else { vital() }
    })
}

const WAVEFORMS: &[(&str, &str)] = &[
    ("I", "ecg_i"),
    ("II", "ecg_ii"),
    ("MLII", "ecg_ii"),
    ("III", "ecg_iii"),
    ("V", "ecg_v"),
    ("ABP", "abp"),
    ("ART", "abp"),
    ("PAP", "pap"),
    ("CVP", "cvp"),
    ("ICP", "icp"),
    ("PLETH", "pleth"),
    ("RESP", "resp"),
    ("CO2", "co2"),
];

const NUMERICS: &[(&str, &str)] = &[
    ("HR", "hr"),
    ("PULSE", "pr"),
    ("SpO2", "spo2"),
    ("%SpO2", "spo2"),
    ("RESP", "rr_imp"),
    ("ABPSys", "abp_sys"),
    ("ABP Sys", "abp_sys"),
    ("ABPDias", "abp_dia"),
    ("ABP Dias", "abp_dia"),
    ("ABPMean", "abp_mean"),
    ("ABP Mean", "abp_mean"),
    ("NBPSys", "nibp_sys"),
    ("NBP Sys", "nibp_sys"),
    ("NBPDias", "nibp_dia"),
    ("NBP Dias", "nibp_dia"),
    ("NBPMean", "nibp_mean"),
    ("NBP Mean", "nibp_mean"),
    ("PAPSys", "pap_sys"),
    ("PAP Sys", "pap_sys"),
    ("PAPDias", "pap_dia"),
    ("PAP Dias", "pap_dia"),
    ("PAPMean", "pap_mean"),
    ("PAP Mean", "pap_mean"),
    ("CVP", "cvp_mean"),
    ("ICP", "icp_mean"),
    ("CPP", "cpp"),
];

/// A unit of a WFDB header as UCUM.
pub(super) fn ucum(unit: &str) -> &str {
    match unit {
        "mmHg" | "mmhg" => "mm[Hg]",
        "cmH2O" => "cm[H2O]",
        "bpm" | "pm" | "BPM" => "/min",
        "degC" | "C" => "Cel",
        "NU" | "nu" | "nd" | "adu" => "1",
        other => other,
    }
}
