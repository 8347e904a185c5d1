//! `enroute alerts report`: the burden of alerts over whole recordings.

mod wfdb;

use crate::alerts::{Episode, episodes};
use crate::args::{AlertsAction, AlertsArgs, ReportArgs};
use crate::log::{self, Screen};
use crate::out;
use crate::recordings::with_journal;
use crate::reevaluate::journal_dir;
use crate::watch::{json, words};
use anyhow::{Context, Result, bail};
use enroute_model::time::Span;
use enroute_wire::v1;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

const HOUR_S: f64 = 3_600.0;

/// What the engine made of a recording.
struct Course {
    steps: Vec<v1::AlertTransition>,
    from_us: i64,
    to_us: i64,
}

/// Runs the command.
pub(crate) async fn run(args: AlertsArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let AlertsAction::Report(args) = args.action;
    let as_json = args.json;
    let burden = tokio::task::spawn_blocking(move || burden(&args)).await??;
    if as_json {
        out::line(burden.object().to_string())?;
    } else {
        burden.table()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn burden(args: &ReportArgs) -> Result<Burden> {
    let mut burden = Burden {
        short_us: i64::from(args.short) * 1_000_000,
        ..Burden::default()
    };
    for recording in &args.from {
        read(recording, args, &mut |course| burden.add(&course))
            .with_context(|| recording.display().to_string())?;
    }
    Ok(burden)
}

/// A data directory, a transfer in one, or a WFDB record.
fn read(path: &Path, args: &ReportArgs, each: &mut dyn FnMut(Course)) -> Result<()> {
    let of_journal = |data: &Path, one: Option<&str>, each: &mut dyn FnMut(Course)| {
        with_journal(data, |journal| {
            Ok(enroute_live::trials(journal, one, |trial| {
                each(Course {
                    steps: trial.derived,
                    from_us: trial.from.0,
                    to_us: trial.to.0,
                });
            })?)
        })
    };
    if journal_dir(path).is_dir() {
        return of_journal(path, None, each);
    }
    let (parent, name) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    );
    if let (Some(parent), Some(name)) = (parent, name)
        && journal_dir(parent).is_dir()
    {
        let mut found = false;
        of_journal(parent, Some(name), &mut |course| {
            found = true;
            each(course);
        })?;
        if !found {
            bail!("no transfer {name:?} in this directory");
        }
        return Ok(());
    }
    each(wfdb::course(path, args.zero_is_missing)?);
    Ok(())
}

/// Alerts of one kind: what of, and the highest priority that they had.
type Kind = (String, i32);

/// What was counted of a kind.
#[derive(Default)]
struct Count {
    lengths_us: Vec<i64>,
    short: u64,
    physiological: bool,
}

impl Count {
    fn median_us(&self) -> i64 {
        let mut lengths = self.lengths_us.clone();
        lengths.sort_unstable();
        lengths.get(lengths.len() / 2).copied().unwrap_or(0)
    }
}

#[derive(Default)]
struct Burden {
    short_us: i64,
    recordings: u64,
    patient_us: i64,
    kinds: BTreeMap<Kind, Count>,
}

impl Burden {
    fn add(&mut self, course: &Course) {
        self.recordings = self.recordings.saturating_add(1);
        let long = course.to_us.saturating_sub(course.from_us);
        self.patient_us = self.patient_us.saturating_add(long);
        for episode in episodes(&course.steps) {
            let kind = (kind(&episode), episode.priority);
            let length = episode.length_us(course.to_us);
            let count = self.kinds.entry(kind).or_default();
            count.lengths_us.push(length);
            count.physiological = episode.first.physiological;
            if length < self.short_us {
                count.short = count.short.saturating_add(1);
            }
        }
    }

    fn hours(&self) -> f64 {
        Span(self.patient_us).as_secs_f64() / HOUR_S
    }

    fn per_hour(&self, count: usize) -> f64 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        f64::from(count) / self.hours().max(1e-9)
    }

    fn rows(&self) -> Vec<(&Kind, &Count)> {
        let mut rows: Vec<_> = self.kinds.iter().collect();
        rows.sort_by_key(|((name, priority), count)| {
            (
                !count.physiological,
                std::cmp::Reverse(*priority),
                std::cmp::Reverse(count.lengths_us.len()),
                name.clone(),
            )
        });
        rows
    }

    /// All, physiological ones, short physiological ones.
    fn sums(&self) -> (usize, usize, u64) {
        self.kinds.values().fold((0, 0, 0), |sum, count| {
            let n = count.lengths_us.len();
            let (of_patient, short) = if count.physiological {
                (n, count.short)
            } else {
                (0, 0)
            };
            (sum.0 + n, sum.1 + of_patient, sum.2 + short)
        })
    }

    fn table(&self) -> Result<()> {
        let short = Span(self.short_us).as_secs_f64();
        out::line(format!(
            "{:34}  {:8}  {:>6}  {:>9}  {:>9}  {:>9}",
            "alert",
            "priority",
            "count",
            "per hour",
            "median",
            format!("< {short:.0} s")
        ))?;
        for ((name, priority), count) in self.rows() {
            out::line(format!(
                "{name:34}  {:8}  {:>6}  {:>9.2}  {:>7.0} s  {:>9}",
                word(*priority),
                count.lengths_us.len(),
                self.per_hour(count.lengths_us.len()),
                Span(count.median_us()).as_secs_f64(),
                count.short
            ))?;
        }
        let (all, of_patient, short_ones) = self.sums();
        out::line(format!(
            "{} recordings, {:.2} patient-hours: {all} alerts, {:.2} an hour; physiological \
             {of_patient}, {:.2} an hour, {short_ones} of them shorter than {short:.0} s",
            self.recordings,
            self.hours(),
            self.per_hour(all),
            self.per_hour(of_patient)
        ))?;
        Ok(())
    }

    fn object(&self) -> Value {
        let kinds = self.rows().into_iter().map(|((name, priority), count)| {
            json!({
                "alert": name,
                "priority": word(*priority),
                "physiological": count.physiological,
                "count": count.lengths_us.len(),
                "per_hour": self.per_hour(count.lengths_us.len()),
                "median_s": Span(count.median_us()).as_secs_f64(),
                "short": count.short,
            })
        });
        let (all, of_patient, short_ones) = self.sums();
        json!({
            "recordings": self.recordings,
            "patient_hours": self.hours(),
            "short_s": Span(self.short_us).as_secs_f64(),
            "alerts": all,
            "per_hour": self.per_hour(all),
            "physiological": of_patient,
            "physiological_per_hour": self.per_hour(of_patient),
            "physiological_short": short_ones,
            "kinds": kinds.collect::<Vec<_>>(),
        })
    }
}

fn word(priority: i32) -> String {
    json::word(
        v1::Priority::try_from(priority)
            .unwrap_or_default()
            .as_str_name(),
    )
}

/// What an alert is about, without its figures.
fn kind(episode: &Episode) -> String {
    let alert = &episode.first;
    let kind = json::word(alert.kind().as_str_name());
    let id = words::id(alert.code);
    match (alert.code, alert.label.as_str()) {
        (0, "") => kind,
        (0, label) => format!("{} {kind}", words::printable(label)),
        (_, _) => format!("{id} {kind}"),
    }
}
