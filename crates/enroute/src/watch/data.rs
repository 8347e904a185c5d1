//! The panel about link and data of one patient: who is heard, what every frame
//! became, gaps and why, clocks, times without a recording.

use super::account::{self, Totals};
use super::chrome::{self, DIM};
use super::words;
use crate::utc;
use enroute_wire::v1;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span as Text};
use ratatui::widgets::Paragraph;

/// Gaps of a source that are listed.
const GAPS_MAX: usize = 5;
/// Times without a recording that are listed.
const UNRECORDED_MAX: usize = 3;
/// Fewest columns for all counts and both ends of a gap.
const WIDE: usize = 57;
/// Below this many lines the counts of all streams become one line.
const TABLE_HEIGHT: usize = 8;

const NOTABLE: Style = Style::new().fg(Color::Yellow);
const PLAIN: Style = Style::new().fg(Color::Gray);
const QUIET: Style = Style::new().fg(DIM);

/// Lines that all of it would take in a panel as wide as `width`.
pub(crate) fn height(state: &v1::TransferState, now_us: i64, width: u16) -> u16 {
    let lines = lines(
        state,
        now_us,
        usize::from(width.saturating_sub(2)),
        usize::MAX,
    );
    u16::try_from(lines.len()).unwrap_or(u16::MAX)
}

/// Draws the panel; what has no room is counted.
pub(crate) fn draw(frame: &mut Frame, area: Rect, state: &v1::TransferState, now_us: i64) {
    let width = usize::from(area.width.saturating_sub(2));
    let height = usize::from(area.height.saturating_sub(2));
    let mut lines = lines(state, now_us, width, height);
    if lines.len() > height {
        let kept = height.saturating_sub(1);
        let hidden = lines.len().saturating_sub(kept);
        lines.truncate(kept);
        lines.push(Line::styled(format!("  … {hidden} more lines"), QUIET));
    }
    let panel = chrome::panel("Link and data");
    frame.render_widget(Paragraph::new(lines).block(panel), area);
}

fn lines(
    state: &v1::TransferState,
    now_us: i64,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for source in &state.source {
        lines.push(source_line(source, now_us, width));
        if source.active {
            active(source, width, height, &mut lines);
        } else if !source.completeness.is_empty() {
            lines.push(sum_line(&account::whole(source), width));
        }
    }
    let unrecorded = state.unrecorded.iter().rev();
    lines.extend(unrecorded.clone().take(UNRECORDED_MAX).map(unrecorded_line));
    let more = unrecorded.len().saturating_sub(UNRECORDED_MAX);
    if more > 0 {
        lines.push(Line::styled(
            format!("{more} more times not recorded"),
            NOTABLE,
        ));
    }
    lines
        .into_iter()
        .map(|line| chrome::cut(line, width))
        .collect()
}

fn active(source: &v1::Source, width: usize, height: usize, lines: &mut Vec<Line<'static>>) {
    if let Some(report) = &source.report {
        if let Some(thin) = account::thin(report) {
            lines.push(Line::styled(format!("  link thin: {thin}"), NOTABLE));
        }
        if height >= TABLE_HEIGHT {
            lines.push(report_line(report, width));
        }
    }
    let whole = account::whole(source);
    if height >= TABLE_HEIGHT {
        lines.extend(table(&account::by_stream(source), width));
    } else if !source.completeness.is_empty() {
        lines.push(sum_line(&whole, width));
    }
    if whole.conflicts > 0 {
        let text = format!("  {} frames contradict each other", whole.conflicts);
        lines.push(Line::styled(text, Style::new().fg(Color::LightRed)));
    }
    let (gaps, mut more) = account::gaps(source);
    more = more.saturating_add(u64::try_from(gaps.len().saturating_sub(GAPS_MAX)).unwrap_or(0));
    lines.extend(gaps.iter().take(GAPS_MAX).map(|gap| gap_line(gap, width)));
    if more > 0 {
        lines.push(Line::styled(format!("  and {more} more gaps"), QUIET));
    }
    if source.rejected_publishes > 0 {
        let text = format!("  {} or more publishes refused", source.rejected_publishes);
        lines.push(Line::styled(text, NOTABLE));
    }
    lines.extend(
        account::clocks(source)
            .iter()
            .map(|clock| clock_line(clock, width)),
    );
}

/// When it was last heard gives way where there is no room.
fn source_line(source: &v1::Source, now_us: i64, width: usize) -> Line<'static> {
    let mut line = Line::from(Text::raw(format!(
        "{}  ",
        words::printable(&source.gateway)
    )));
    let heard = source.last_heard_us.map_or_else(
        || "nothing live yet".to_owned(),
        |at| format!("heard {} ago", words::age(now_us, at)),
    );
    line.push_span(match (source.active, source.link_up) {
        (false, _) => Text::styled("handed over", QUIET),
        (true, true) => Text::styled("link up", Style::new().fg(Color::Green)),
        (true, false) => {
            let since = source
                .lost_since_us
                .map(|at| format!(" for {}", words::age(now_us, at)))
                .unwrap_or_default();
            Text::styled(
                format!("LINK LOST{since}"),
                Style::new().fg(Color::LightRed).bold(),
            )
        }
    });
    let heard = format!("  {heard}");
    if line.width() + heard.chars().count() <= width {
        line.push_span(Text::styled(heard, QUIET));
    }
    line
}

/// As much of the gateway's report as there is room for.
fn report_line(report: &v1::LinkReport, width: usize) -> Line<'static> {
    let mut text = format!("  {} unconfirmed on board", report.unconfirmed_frames);
    let battery = report.battery_percent;
    let held = report.spool_bytes.saturating_mul(100);
    let full = held.checked_div(report.spool_bytes_max);
    let more = [
        battery.map(|percent| format!(", battery {percent} %")),
        full.map(|percent| format!(", spool {percent} % full")),
    ];
    for part in more.into_iter().flatten() {
        if text.chars().count() + part.chars().count() <= width {
            text.push_str(&part);
        }
    }
    Line::styled(text, PLAIN)
}

/// A column of counts.
struct Column {
    title: &'static str,
    width: usize,
    count: fn(&Totals) -> Option<u64>,
    style: Style,
}

const fn column(title: &'static str, width: usize, count: fn(&Totals) -> Option<u64>) -> Column {
    Column {
        title,
        width,
        count,
        style: PLAIN,
    }
}

/// Columns for a width; the narrow ones leave out what is in none of the others
/// only while frames are under way.
fn columns(width: usize) -> Vec<Column> {
    let produced = column("produced", 9, |t| Some(t.produced));
    let durable = column("durable", 8, |t| Some(t.durable));
    let missing = Column {
        style: NOTABLE,
        ..column("missing", 8, |t| Some(t.missing).filter(|n| *n > 0))
    };
    let shed = Column {
        style: NOTABLE,
        ..column("shed", 5, |t| Some(t.shed).filter(|n| *n > 0))
    };
    if width < WIDE {
        return vec![produced, durable, missing, shed];
    }
    let sent = column("sent", 9, |t| t.sent);
    let received = column("received", 9, |t| Some(t.received));
    vec![produced, sent, received, durable, missing, shed]
}

fn table(streams: &[(v1::Stream, Totals)], width: usize) -> Vec<Line<'static>> {
    if streams.is_empty() {
        return Vec::new();
    }
    let columns = columns(width);
    let mut head = format!("{:8}", "");
    for Column { title, width, .. } in &columns {
        head = format!("{head}{title:>width$}");
    }
    let mut lines = vec![Line::styled(head, QUIET)];
    for (stream, totals) in streams {
        let name = short_name(*stream);
        let mut line = Line::styled(format!("{name:<8}"), PLAIN);
        for column in &columns {
            let width = column.width;
            line.push_span(match (column.count)(totals) {
                Some(count) => Text::styled(format!("{count:>width$}"), column.style),
                None => Text::styled(format!("{:>width$}", "·"), QUIET),
            });
        }
        lines.push(line);
    }
    lines
}

/// The word "durable" gives way where there is no room.
fn sum_line(totals: &Totals, width: usize) -> Line<'static> {
    let sum = |word: &str| {
        let text = format!("  {} of {}{word}", totals.durable, totals.produced);
        let mut line = Line::styled(text, PLAIN);
        for (count, word) in [(totals.missing, "missing"), (totals.shed, "shed")] {
            if count > 0 {
                line.push_span(Text::styled(format!(", {count} {word}"), NOTABLE));
            }
        }
        line
    };
    Some(sum(" durable"))
        .filter(|line| line.width() <= width)
        .unwrap_or_else(|| sum(""))
}

/// When, what, and why; shorter where there is no room.
fn gap_line((stream, gap): &account::GapOf, width: usize) -> Line<'static> {
    let narrow = width < WIDE;
    let when = match (gap.from_us, gap.to_us) {
        (Some(from), Some(to)) if narrow => {
            let long = utc::span(to.saturating_sub(from));
            format!("{} {long}", utc::time_of_day(from))
        }
        _ => account::interval(gap, utc::time_of_day),
    };
    let (name, why) = if narrow {
        (short_name(*stream), account::short_cause(gap.cause()))
    } else {
        (words::stream(*stream), account::cause(gap.cause()))
    };
    let open = gap.cause() == v1::GapCause::Unspecified;
    let count = format!("{} {name}", account::frames(gap));
    Line::from(vec![
        Text::styled(format!("  {when}  "), QUIET),
        Text::styled(count, if open { NOTABLE } else { PLAIN }),
        Text::styled(format!("  {why}"), QUIET),
    ])
}

fn short_name(stream: v1::Stream) -> &'static str {
    match stream {
        v1::Stream::Waveforms => "waves",
        v1::Stream::Events | v1::Stream::Numerics | v1::Stream::Unspecified => {
            words::stream(stream)
        }
    }
}

/// The uncertainty gives way where there is no room for both.
fn clock_line(clock: &account::Clock, width: usize) -> Line<'static> {
    let flags = if clock.flags.is_empty() {
        String::new()
    } else {
        format!("  {}", clock.flags)
    };
    let name = format!("  {} clock {}", clock.name, clock.offset);
    let all = [&name, &clock.doubt, &flags].map(|part| part.chars().count());
    let doubt = if all.iter().sum::<usize>() <= width {
        clock.doubt.clone()
    } else {
        String::new()
    };
    Line::from(vec![
        Text::styled(format!("{name}{doubt}"), QUIET),
        Text::styled(flags, NOTABLE),
    ])
}

fn unrecorded_line(time: &v1::Unrecorded) -> Line<'static> {
    let (from, to) = (
        utc::time_of_day(time.since_us),
        utc::time_of_day(time.until_us),
    );
    Line::from(vec![
        Text::styled(format!("not recorded {from}–{to}"), NOTABLE),
        Text::styled(format!("  {}", words::printable(&time.reason)), QUIET),
    ])
}
