//! What people type of rule books and limits.

use super::Age;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Look at, check and write rule books: the limits by which alerts are raised.
///
/// A rule book is a directory of TOML files (or one file) with the limits of each
/// age, overlays for conditions such as sepsis, and who approved them. One is built
/// in; `export` writes it as files to start from. A server takes the directory that
/// `rules.dir` of its configuration names, and takes changes in it while it runs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute rules export /etc/enroute/rules      # the built-in book, to start from
  enroute rules check /etc/enroute/rules       # before the server sees it
  enroute rules show --population child
  enroute rules show --condition sepsis --condition ventilated --dir /etc/enroute/rules

Exit codes: 0 done, the book is in order; 1 something failed; 2 wrong arguments, or
the book is not in order: each line says file, line and reason.")]
pub(crate) struct RulesArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: RulesAction,
}

/// What can be done with rule books.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesAction {
    /// Check a rule book and say everything that is wrong with it
    Check {
        /// Directory with .toml files, or one file
        dir: PathBuf,
    },
    /// Print the limits that apply to a patient
    Show {
        /// Age band; without it adult, as for a patient of unknown age
        #[arg(long, value_name = "BAND")]
        population: Option<Age>,
        /// A condition that the transfer is marked with; may be repeated
        #[arg(long = "condition", value_name = "WORD")]
        conditions: Vec<String>,
        /// Of this rule book; without it the built-in one
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Write the built-in rule book as files
    Export {
        /// A directory; made if absent, no file in it is overwritten
        dir: PathBuf,
    },
}

/// A patient's own limits.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute transfer limits 4K7-Q2M spo2 --warn-low 88 --crit-low 84 \\
      --reason 'COPD, 88-92 % is the target' --as 'Dr. Weber'
  enroute transfer limits 4K7-Q2M --auto --reason 'stable like this' --as 'Dr. Weber'
  enroute transfer limits 4K7-Q2M spo2 --clear --reason 'back on room air' --as 'Dr. Weber'

Limits that are not given are off: all four replace what was. How they are raised and
end (delays, hysteresis, latching) stays as the rule book has it.")]
pub(crate) struct LimitsArgs {
    /// Id or short code of the transfer
    pub(crate) transfer: String,
    /// A vital sign, such as hr, spo2, etco2; with --auto there may be several, or
    /// none for all that have a rule and a current value
    #[arg(value_name = "VITAL")]
    pub(crate) vitals: Vec<String>,
    /// High-priority lower limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) crit_low: Option<f64>,
    /// Lower limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) warn_low: Option<f64>,
    /// Upper limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) warn_high: Option<f64>,
    /// High-priority upper limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) crit_high: Option<f64>,
    /// Set limits around the current values
    #[arg(long, conflicts_with_all = ["crit_low", "warn_low", "warn_high", "crit_high", "clear"])]
    pub(crate) auto: bool,
    /// Back to the limits of the rule book
    #[arg(long, conflicts_with_all = ["crit_low", "warn_low", "warn_high", "crit_high"])]
    pub(crate) clear: bool,
    /// Why; must not identify the patient
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who you are; recorded as unverified
    #[arg(long = "as", value_name = "NAME", default_value = "")]
    pub(crate) actor: String,
}

/// What is usual for a patient.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  enroute transfer baseline 4K7-Q2M abp_sys 105 --reason 'on beta blockers' --as 'Dr. Weber'
  enroute transfer baseline 4K7-Q2M abp_sys --clear --reason 'not any more' --as 'Dr. Weber'

Conditions of the rule book that speak of a change, such as a fall of 20 %, count it from
this value instead of the patient's own last minutes.")]
pub(crate) struct BaselineArgs {
    /// Id or short code of the transfer
    pub(crate) transfer: String,
    /// A vital sign, such as hr or spo2
    #[arg(value_name = "VITAL")]
    pub(crate) vital: String,
    /// Its usual value, in the unit of the vital sign
    #[arg(
        value_name = "NUMBER",
        allow_negative_numbers = true,
        required_unless_present = "clear"
    )]
    pub(crate) value: Option<f64>,
    /// The patient's own last minutes count again
    #[arg(long, conflicts_with = "value")]
    pub(crate) clear: bool,
    /// Why; must not identify the patient
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who you are; recorded as unverified
    #[arg(long = "as", value_name = "NAME", default_value = "")]
    pub(crate) actor: String,
}
