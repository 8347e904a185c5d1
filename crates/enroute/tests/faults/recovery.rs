//! How long recovery took, as the subscriber saw it. Figures to be read, never
//! asserted.
//!
//! - *Now*: from the end of a fault until the first frame that was captured after
//!   it and came as the present, from every gateway that the fault concerned.
//! - *History*: until the last frame that had been captured before the end.
//!
//! A fault is measured when the next one struck later than that.

use enroute_tests::viewer::Seen;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Microseconds UTC, by the clock of all processes here.
pub(crate) fn now_us() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the moment at which a fault ends, to be held against the processes' own clocks"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// A fault that struck.
#[derive(Clone, Debug)]
pub(crate) struct Struck {
    pub(crate) kind: &'static str,
    /// Those that it concerned.
    pub(crate) gateways: Vec<&'static str>,
    pub(crate) began_us: i64,
    /// `None`: it is still there.
    pub(crate) ended_us: Option<i64>,
}

#[derive(Default)]
struct Row {
    struck: usize,
    now_ms: Vec<i64>,
    history_ms: Vec<i64>,
}

/// A line for each kind: how many, and median, 95th percentile and maximum.
pub(crate) fn table(struck: &[Struck], seen: &[Seen]) -> String {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (index, fault) in struck.iter().enumerate() {
        let row = rows.entry(fault.kind).or_default();
        row.struck += 1;
        let Some(ended) = fault.ended_us else {
            continue;
        };
        let next = struck.get(index + 1).map_or(i64::MAX, |next| next.began_us);
        let of_fault = |moments: Option<i64>, times: &mut Vec<i64>| {
            let before_next = moments.filter(|moment| *moment < next);
            times.extend(before_next.map(|moment| (moment - ended).max(0) / 1_000));
        };
        of_fault(newest(fault, ended, seen), &mut row.now_ms);
        of_fault(history(fault, ended, seen), &mut row.history_ms);
    }
    let mut lines = format!(
        "{:<26} {:>6} | {:^32} | {:^32}\n",
        "fault", "struck", "now: measured p50 p95 max, ms", "history: measured p50 p95 max, ms"
    );
    for (kind, row) in rows {
        let now = figures(row.now_ms);
        let history = figures(row.history_ms);
        let line = writeln!(lines, "{kind:<26} {:>6} | {now} | {history}", row.struck);
        line.unwrap();
    }
    lines
}

/// When there was something new from everybody.
fn newest(fault: &Struck, ended: i64, seen: &[Seen]) -> Option<i64> {
    let first = |gateway: &&str| {
        let new =
            |seen: &&Seen| seen.gateway == **gateway && seen.captured_us >= ended && !seen.late;
        seen.iter().filter(new).map(|seen| seen.given_us).min()
    };
    let firsts: Option<Vec<i64>> = fault.gateways.iter().map(first).collect();
    firsts?.into_iter().max()
}

/// When there was everything from before.
fn history(fault: &Struck, ended: i64, seen: &[Seen]) -> Option<i64> {
    let concerned = |seen: &&Seen| fault.gateways.contains(&seen.gateway.as_str());
    let old = seen
        .iter()
        .filter(concerned)
        .filter(|seen| seen.captured_us <= ended);
    old.map(|seen| seen.given_us).max()
}

fn figures(mut times: Vec<i64>) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(index).map_or("-".to_owned(), ToString::to_string)
    };
    format!(
        "{:>8} {:>7} {:>7} {:>7}",
        times.len(),
        at(50),
        at(95),
        at(100)
    )
}
