//! `enroute alerts report`: the burden of alerts over whole recordings.

mod wfdb;

use crate::alerts::{Difference, Episode, differences, episodes};
use crate::args::{AlertsAction, AlertsArgs, ReportArgs};
use crate::log::{self, Screen};
use crate::recordings::with_journal;
use crate::reevaluate::journal_dir;
use crate::watch::{json, words};
use crate::{out, rules};
use anyhow::{Context, Result, bail};
use enroute_alert::book::RuleBook;
use enroute_model::time::Span;
use enroute_wire::v1;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

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
    let book = |path: &Option<PathBuf>| -> Result<Option<Arc<RuleBook>>> {
        let book = path.as_deref().map(rules::load).transpose()?;
        Ok(book.map(Arc::new))
    };
    let (now, tried) = (book(&args.profile)?, book(&args.compare)?);
    let run = move || {
        let first = courses(&args, now.as_ref())?;
        let second = tried
            .map(|tried| courses(&args, Some(&tried)))
            .transpose()?;
        let change = second.as_ref().map(|second| Change::of(&first, second));
        let short_us = i64::from(args.short) * 1_000_000;
        let second = second.map(|second| Burden::of(&second, short_us));
        Ok::<_, anyhow::Error>((Burden::of(&first, short_us), second.zip(change)))
    };
    let (burden, compared) = tokio::task::spawn_blocking(run).await??;
    if as_json {
        let mut told = burden.object();
        if let (Some((second, change)), Value::Object(told)) = (&compared, &mut told) {
            told.insert("compared".into(), second.object());
            told.insert("change".into(), change.object());
        }
        out::line(told.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    burden.table()?;
    if let Some((second, change)) = compared {
        out::line("")?;
        second.table()?;
        out::line(change.line())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the engine makes of all recordings, by a book or as they name it.
fn courses(args: &ReportArgs, book: Option<&Arc<RuleBook>>) -> Result<Vec<Course>> {
    let mut courses = Vec::new();
    for recording in &args.from {
        read(recording, args, book, &mut |course| courses.push(course))
            .with_context(|| recording.display().to_string())?;
    }
    Ok(courses)
}

/// What the second book does to the alerts of the patient.
#[derive(Default)]
struct Change {
    added: u64,
    removed: u64,
    earlier: u64,
    later: u64,
    other: u64,
}

impl Change {
    fn of(first: &[Course], second: &[Course]) -> Self {
        let mut change = Self::default();
        for (was, is) in first.iter().zip(second) {
            let of_patient = |course: &Course| {
                let mut found = episodes(&course.steps);
                found.retain(|one| one.first.physiological && !one.first.retrospective);
                found
            };
            let (was, is) = (of_patient(was), of_patient(is));
            for difference in differences(&was, &is) {
                let counter = match difference {
                    Difference::Added(_) => &mut change.added,
                    Difference::Removed(_) => &mut change.removed,
                    Difference::Changed(old, new) => {
                        match old.raised_at_us.cmp(&new.raised_at_us) {
                            Ordering::Less => &mut change.later,
                            Ordering::Greater => &mut change.earlier,
                            Ordering::Equal => &mut change.other,
                        }
                    }
                };
                *counter = counter.saturating_add(1);
            }
        }
        change
    }

    fn line(&self) -> String {
        format!(
            "of the physiological alerts it adds {}, removes {}, raises {} earlier and {} later, \
             and ends or ranks {} otherwise",
            self.added, self.removed, self.earlier, self.later, self.other
        )
    }

    fn object(&self) -> Value {
        json!({
            "added": self.added,
            "removed": self.removed,
            "earlier": self.earlier,
            "later": self.later,
            "otherwise": self.other,
        })
    }
}

/// A data directory, a transfer in one, or a WFDB record.
fn read(
    path: &Path,
    args: &ReportArgs,
    book: Option<&Arc<RuleBook>>,
    each: &mut dyn FnMut(Course),
) -> Result<()> {
    let of_journal = |data: &Path, one: Option<&str>, each: &mut dyn FnMut(Course)| {
        with_journal(data, |journal| {
            Ok(enroute_live::trials(journal, one, book, |trial| {
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
    each(wfdb::course(path, args.zero_is_missing, book)?);
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
    fn of(courses: &[Course], short_us: i64) -> Self {
        let mut burden = Self {
            short_us,
            ..Self::default()
        };
        for course in courses {
            burden.add(course);
        }
        burden
    }

    fn add(&mut self, course: &Course) {
        self.recordings = self.recordings.saturating_add(1);
        let long = course.to_us.saturating_sub(course.from_us);
        self.patient_us = self.patient_us.saturating_add(long);
        // What is found in late data never rings.
        let rings = |episode: &Episode| !episode.first.retrospective;
        for episode in episodes(&course.steps).into_iter().filter(rings) {
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
