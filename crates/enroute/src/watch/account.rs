//! What became of every frame, and what is known of the clocks on board: sums,
//! gaps and their causes, in words. Pure.

use super::words;
use crate::utc;
use enroute_wire::v1;

/// Counts of one kind of stream, over all legs and lives of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Known to exist.
    pub(crate) produced: u64,
    /// By the gateway's reports; `None` before the first.
    pub(crate) sent: Option<u64>,
    /// With all that came again.
    pub(crate) received: u64,
    /// Different frames in the journal.
    pub(crate) durable: u64,
    /// May still come.
    pub(crate) missing: u64,
    /// Will never come.
    pub(crate) shed: u64,
    /// Came again with other content.
    pub(crate) conflicts: u64,
}

/// A gap and the stream that it is in.
pub(crate) type GapOf<'a> = (v1::Stream, &'a v1::Gap);

impl Totals {
    /// With another stream's counts.
    #[must_use]
    pub(crate) fn plus(self, stream: &v1::StreamCompleteness) -> Self {
        let produced = [stream.durable, stream.missing, stream.shed];
        let produced = produced.into_iter().fold(0, u64::saturating_add);
        let sent = stream
            .sent
            .map(|sent| sent.saturating_add(self.sent.unwrap_or(0)));
        Self {
            produced: self.produced.saturating_add(produced),
            sent: sent.or(self.sent),
            received: self.received.saturating_add(stream.received),
            durable: self.durable.saturating_add(stream.durable),
            missing: self.missing.saturating_add(stream.missing),
            shed: self.shed.saturating_add(stream.shed),
            conflicts: self.conflicts.saturating_add(stream.conflicts),
        }
    }
}

/// Counts by kind of stream, for those that there are.
pub(crate) fn by_stream(source: &v1::Source) -> Vec<(v1::Stream, Totals)> {
    let kinds = [
        v1::Stream::Events,
        v1::Stream::Numerics,
        v1::Stream::Waveforms,
        v1::Stream::Unspecified,
    ];
    let of = |kind| {
        let mut all = source
            .completeness
            .iter()
            .filter(|s| s.stream() == kind)
            .peekable();
        all.peek()?;
        Some((kind, all.fold(Totals::default(), Totals::plus)))
    };
    kinds.into_iter().filter_map(of).collect()
}

/// Counts over everything that a source gave.
pub(crate) fn whole(source: &v1::Source) -> Totals {
    source
        .completeness
        .iter()
        .fold(Totals::default(), Totals::plus)
}

/// Listed gaps, newest first, and how many more there are.
pub(crate) fn gaps(source: &v1::Source) -> (Vec<GapOf<'_>>, u64) {
    let all = source.completeness.iter();
    let gaps = all.flat_map(|s| s.gap.iter().map(|gap| (s.stream(), gap)));
    let mut gaps: Vec<GapOf> = gaps.collect();
    gaps.sort_by_key(|(stream, gap)| {
        let at = gap.to_us.or(gap.from_us).unwrap_or(i64::MAX);
        (std::cmp::Reverse(at), *stream)
    });
    let more = source.completeness.iter().map(|stream| stream.more_gaps);
    (gaps, more.fold(0, u64::saturating_add))
}

/// How many frames a gap is.
pub(crate) fn frames(gap: &v1::Gap) -> u64 {
    gap.last.saturating_sub(gap.first).saturating_add(1)
}

/// Why frames are not there, in two words.
pub(crate) fn cause(cause: v1::GapCause) -> &'static str {
    match cause {
        v1::GapCause::Unspecified => "may still come",
        v1::GapCause::SpoolFull => "spool full",
        v1::GapCause::Restored => "server restored",
        v1::GapCause::Damaged => "disk damaged",
        v1::GapCause::SpoolLost => "spool lost",
    }
}

/// The same in a word or two, beside the word "missing" for what may still come.
pub(crate) fn short_cause(why: v1::GapCause) -> &'static str {
    match why {
        v1::GapCause::Unspecified => "missing",
        v1::GapCause::Restored => "restored",
        v1::GapCause::Damaged => "damaged",
        v1::GapCause::SpoolFull | v1::GapCause::SpoolLost => cause(why),
    }
}

/// From when to when, by the gateway's clock; `time` writes one.
pub(crate) fn interval(gap: &v1::Gap, time: impl Fn(i64) -> String) -> String {
    match (gap.from_us.map(&time), gap.to_us.map(&time)) {
        (Some(from), Some(to)) => format!("{from}–{to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until {to}"),
        (None, None) => "at no known time".to_owned(),
    }
}

/// What a gateway leaves out because its link is thin; `None`: nothing.
pub(crate) fn thin(report: &v1::LinkReport) -> Option<String> {
    let every = i64::from(report.numerics_interval_ms).saturating_mul(1_000);
    let every = if every > 0 {
        format!("every {}", utc::span(every))
    } else {
        "less often".to_owned()
    };
    match report.degradation_level {
        0 => None,
        1 => Some("no waveforms live".to_owned()),
        2 => Some(format!("numerics {every}, no waveforms")),
        _ => Some(format!("alarms, summary {every}")),
    }
}

/// The report of the active source with the thinnest link, if any is thin.
pub(crate) fn thinnest(state: &v1::TransferState) -> Option<&v1::LinkReport> {
    let active = state.source.iter().filter(|source| source.active);
    let reports = active.filter_map(|source| source.report.as_ref());
    reports
        .filter(|report| report.degradation_level > 0)
        .max_by_key(|report| report.degradation_level)
}

/// A clock's difference with what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Which, and against which.
    pub(crate) name: &'static str,
    /// `+1m30`, or that it is not known.
    pub(crate) offset: String,
    /// ` ± 20 ms`, empty where it is not known.
    pub(crate) doubt: String,
    /// What is wrong with it, empty if nothing is.
    pub(crate) flags: String,
}

/// The clocks of a source of which something is known.
pub(crate) fn clocks(source: &v1::Source) -> Vec<Clock> {
    let offsets = source.clocks.unwrap_or_default();
    let state = source.clock_state.unwrap_or_default();
    let clock = |name, offset: Option<i64>, uncertainty: u64, wrong, unsteady| {
        let words = [(wrong, "wrong"), (unsteady, "unsteady")];
        let words = words.into_iter().filter(|(flag, _)| *flag);
        let flags: Vec<&str> = words.map(|(_, word)| word).collect();
        let doubt = i64::try_from(uncertainty).unwrap_or(i64::MAX);
        (offset.is_some() || !flags.is_empty()).then(|| Clock {
            name,
            offset: offset.map_or("not known".to_owned(), signed),
            doubt: offset.map_or(String::new(), |_| format!(" ± {}", length(doubt))),
            flags: flags.join(", "),
        })
    };
    let gateway = clock(
        "gateway",
        offsets.gateway_us,
        offsets.gateway_uncertainty_us,
        state.gateway_wrong,
        state.gateway_unsteady,
    );
    let monitor = clock(
        "monitor",
        offsets.monitor_us,
        offsets.monitor_uncertainty_us,
        state.monitor_wrong,
        state.monitor_unsteady,
    );
    [gateway, monitor].into_iter().flatten().collect()
}

fn signed(us: i64) -> String {
    let sign = match us {
        ..=-1_000 => "−",
        1_000.. => "+",
        _ => "",
    };
    let size = i64::try_from(us.unsigned_abs()).unwrap_or(i64::MAX);
    format!("{sign}{}", length(size))
}

fn length(us: i64) -> String {
    if us < 1_000_000 {
        format!("{} ms", us / 1_000)
    } else {
        utc::span(us)
    }
}

/// Conditions of the rule book for which too little data comes.
pub(crate) fn unavailable(source: &v1::Source) -> Option<String> {
    let rules = source.unavailable.iter().map(|id| words::printable(id));
    let rules: Vec<String> = rules.collect();
    (!rules.is_empty()).then(|| format!("too little data for: {}", rules.join(", ")))
}

/// What a person reads of a source's ledger, a line each: for `transfer show`.
pub(crate) fn lines(source: &v1::Source) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(report) = source.report.as_ref().filter(|_| source.active)
        && let Some(thin) = thin(report)
    {
        lines.push(format!("link thin: {thin}"));
    }
    for clock in clocks(source) {
        let against = if clock.name == "monitor" {
            "gateway"
        } else {
            "server"
        };
        let flags = if clock.flags.is_empty() { "" } else { ", " };
        lines.push(format!(
            "{}'s clock against the {against}'s: {}{}{flags}{}",
            clock.name, clock.offset, clock.doubt, clock.flags
        ));
    }
    if source.rejected_publishes > 0 {
        lines.push(format!(
            "at least {} publishes refused",
            source.rejected_publishes
        ));
    }
    lines.extend(unavailable(source));
    let mut epochs: Vec<u64> = source.completeness.iter().map(|s| s.epoch).collect();
    epochs.dedup();
    let several = epochs.len() > 1;
    for stream in &source.completeness {
        lines.extend(stream_lines(stream, several));
    }
    lines
}

fn stream_lines(stream: &v1::StreamCompleteness, several: bool) -> Vec<String> {
    let totals = Totals::default().plus(stream);
    let sent = totals
        .sent
        .map_or(String::new(), |sent| format!(", {sent} sent"));
    let life = if several {
        format!(" (spool {:016x})", stream.epoch)
    } else {
        String::new()
    };
    let mut lines = vec![format!(
        "{:<10} {} produced{sent}, {} received, {} durable, {} missing, {} shed, {} duplicate, {} in conflict{life}",
        words::stream(stream.stream()),
        totals.produced,
        totals.received,
        totals.durable,
        totals.missing,
        totals.shed,
        stream.duplicates,
        stream.conflicts
    )];
    for gap in &stream.gap {
        lines.push(format!(
            "{:<10} {} of them, {} to {}, {}: {}",
            "",
            frames(gap),
            gap.first,
            gap.last,
            interval(gap, utc::rfc3339),
            cause(gap.cause())
        ));
    }
    if stream.more_gaps > 0 {
        lines.push(format!("{:<10} and {} more gaps", "", stream.more_gaps));
    }
    lines
}
