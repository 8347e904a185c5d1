//! What may stand in a file of a book; any table may stand in any of its files.
//! Fields keep their places, so that what is wrong can be pointed at.

use crate::condition::row::Row;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) book: Option<Spanned<HeadTable>>,
    pub(super) population: BTreeMap<Spanned<String>, PopulationTable>,
    pub(super) limits: BTreeMap<Spanned<String>, BTreeMap<Spanned<String>, LimitTable>>,
    pub(super) overlay: BTreeMap<Spanned<String>, OverlayTable>,
    pub(super) condition: Vec<Row>,
    pub(super) score: BTreeMap<Spanned<String>, ScoreTable>,
    pub(super) escalation: Option<Spanned<EscalationTable>>,
}

/// `[book]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadTable {
    pub(super) name: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) author: Spanned<String>,
    pub(super) approved_by: Spanned<String>,
    pub(super) approved_on: Spanned<String>,
    #[serde(default)]
    pub(super) overlays: Vec<Spanned<String>>,
}

/// `[population.infant]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PopulationTable {
    pub(super) like: Spanned<String>,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) basis: String,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) confidence: String,
}

/// `[limits.adult.hr]`; in an overlay everything may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitTable {
    pub(super) unit: Option<Spanned<String>>,
    pub(super) low: Option<Spanned<SideTable>>,
    pub(super) high: Option<Spanned<SideTable>>,
    pub(super) warn: Option<Spanned<MannerTable>>,
    pub(super) crit: Option<Spanned<MannerTable>>,
    pub(super) hysteresis: Option<Spanned<f64>>,
    pub(super) only_without: Option<Spanned<String>>,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) basis: Option<String>,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) confidence: Option<String>,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) note: Option<String>,
}

/// `low = { crit = 40, warn = 50 }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SideTable {
    pub(super) warn: Option<Spanned<f64>>,
    pub(super) crit: Option<Spanned<f64>>,
}

/// `warn = { priority = "medium", on_delay_s = 10, off_delay_s = 0 }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MannerTable {
    pub(super) priority: Option<PriorityWord>,
    pub(super) on_delay_s: Option<Spanned<u32>>,
    pub(super) off_delay_s: Option<Spanned<u32>>,
    pub(super) latching: Option<bool>,
}

/// Of IEC 60601-1-8.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PriorityWord {
    High,
    Medium,
    Low,
}

/// `[overlay.sepsis]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverlayTable {
    #[serde(rename = "for")]
    pub(super) bands: Vec<Spanned<String>>,
    pub(super) basis: String,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) confidence: String,
    #[serde(default)]
    pub(super) limits: BTreeMap<Spanned<String>, LimitTable>,
}

/// `[score.news2]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScoreTable {
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) basis: String,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) confidence: String,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) items: BTreeMap<Spanned<String>, Vec<Spanned<ScoreRow>>>,
}

/// `{ from = 9, to = 11, points = 1 }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScoreRow {
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
    pub(super) is: Option<String>,
    pub(super) on: Option<String>,
    pub(super) points: u8,
}

/// `[escalation]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EscalationTable {
    pub(super) on_call_after_s: u32,
    pub(super) unattended_after_s: u32,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) basis: String,
    #[expect(dead_code, reason = "for who reads the file")]
    pub(super) confidence: String,
}
