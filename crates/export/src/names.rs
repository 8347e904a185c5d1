//! What vital signs and channels are called in exports, and their units.

use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Metric};

/// Channels and vital signs that common recordings know under another name than
/// the catalogue's id.
const USUAL: [(&str, &str); 28] = [
    ("ecg_i", "I"),
    ("ecg_ii", "II"),
    ("ecg_iii", "III"),
    ("ecg_v", "V"),
    ("abp", "ABP"),
    ("pap", "PAP"),
    ("cvp", "CVP"),
    ("icp", "ICP"),
    ("pleth", "PLETH"),
    ("resp", "RESP"),
    ("co2", "CO2"),
    ("hr", "HR"),
    ("pr", "PULSE"),
    ("spo2", "SpO2"),
    ("rr_imp", "RESP"),
    ("abp_sys", "ABPSys"),
    ("abp_dia", "ABPDias"),
    ("abp_mean", "ABPMean"),
    ("nibp_sys", "NBPSys"),
    ("nibp_dia", "NBPDias"),
    ("nibp_mean", "NBPMean"),
    ("pap_sys", "PAPSys"),
    ("pap_dia", "PAPDias"),
    ("pap_mean", "PAPMean"),
    ("cvp_mean", "CVP"),
    ("icp_mean", "ICP"),
    ("cpp", "CPP"),
    ("etco2", "etco2"),
];

/// The catalogue's short id; empty for what is not in it.
#[must_use]
pub(crate) fn id(code: Code) -> &'static str {
    let vital = catalogue().vital(code).map(|vital| vital.id.as_str());
    let channel = || catalogue().waveform(code).map(|c| c.id.as_str());
    vital.or_else(channel).unwrap_or_default()
}

/// The name of a signal: the usual one, the catalogue's id, the source's own.
pub(crate) fn signal(metric: &Metric) -> String {
    let id = id(metric.code);
    if let Some((_, usual)) = USUAL.iter().find(|(known, _)| *known == id) {
        return (*usual).to_owned();
    }
    if !id.is_empty() {
        return id.to_owned();
    }
    if metric.label.is_empty() {
        return format!("code {}", metric.code.0);
    }
    metric.label.clone()
}

/// UCUM of a waveform: its own, else the catalogue's.
pub(crate) fn channel_unit(metric: &Metric, own: &str) -> String {
    let known = catalogue().waveform(metric.code);
    known
        .filter(|_| own.is_empty())
        .map_or_else(|| own.to_owned(), |channel| channel.unit.clone())
}

/// UCUM of a vital sign: its own, else the catalogue's.
pub(crate) fn vital_unit(metric: &Metric, own: &str) -> String {
    let known = catalogue().vital(metric.code);
    known
        .filter(|_| own.is_empty())
        .map_or_else(|| own.to_owned(), |vital| vital.unit.clone())
}

/// A UCUM unit as headers of recordings write it.
pub(crate) fn header_unit(ucum: &str) -> &str {
    match ucum {
        "mm[Hg]" => "mmHg",
        "cm[H2O]" => "cmH2O",
        "Cel" => "degC",
        "/min" => "bpm",
        "1" | "" => "NU",
        other => other,
    }
}
