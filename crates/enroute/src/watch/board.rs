//! The board: all open transfers, most urgent first, two lines each.

use super::chrome::{self, DIM};
use super::picture::{self, Picture};
use super::{account, words};
use crate::utc;
use enroute_model::time::Span;
use enroute_wire::v1;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span as Text};
use ratatui::widgets::Paragraph;

/// Lines of a transfer.
const ROW_LINES: u16 = 3;
/// Width of the arrival, the link and the data in full.
const ARRIVAL: usize = 40;
/// Width of the arrival and the link alone.
const ARRIVAL_SHORT: usize = 17;

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    /// Width of who comes.
    who: usize,
    /// Width of a vital sign's cell.
    cell: usize,
    /// How many of the vital signs.
    count: usize,
    /// Arrival with its time of day, and what is missing beside the link.
    full: bool,
}

impl Columns {
    fn of(width: u16) -> Self {
        let width = usize::from(width);
        let (who, cell) = if width < 110 { (24, 11) } else { (34, 13) };
        let room = width.saturating_sub(4 + who);
        let full = room >= COLUMNS.len() * cell + ARRIVAL;
        let arrival = if full { ARRIVAL } else { ARRIVAL_SHORT };
        let count = (room.saturating_sub(arrival) / cell).min(COLUMNS.len());
        Self {
            who,
            cell,
            count,
            full,
        }
    }

    /// Those shown.
    fn shown(self) -> impl Iterator<Item = &'static Column> {
        COLUMNS.iter().take(self.count)
    }
}

/// A column of vital signs: the first of its ids that is known is shown.
struct Column {
    title: &'static str,
    ids: &'static [&'static str],
    /// Shown after a slash behind the first.
    second: &'static [&'static str],
}

const COLUMNS: [Column; 6] = [
    Column {
        title: "HR",
        ids: &["hr", "pr"],
        second: &[],
    },
    Column {
        title: "SpO2",
        ids: &["spo2"],
        second: &[],
    },
    Column {
        title: "BP",
        ids: &["abp_sys", "nibp_sys"],
        second: &["abp_dia", "nibp_dia"],
    },
    Column {
        title: "Resp",
        ids: &["rr_co2", "rr_imp", "vent_rr"],
        second: &[],
    },
    Column {
        title: "EtCO2",
        ids: &["etco2"],
        second: &[],
    },
    Column {
        title: "Temp",
        ids: &["temp1", "temp2"],
        second: &[],
    },
];

/// Draws the board with `selected` (a transfer id) marked.
pub(crate) fn draw(frame: &mut Frame, picture: &Picture, selected: Option<&str>, now: Span) {
    let exercise = picture
        .transfers
        .values()
        .any(|transfer| transfer.state.exercise);
    let page = chrome::page(frame.area(), exercise, 2);
    let mut head = Vec::new();
    if exercise {
        head.push(chrome::exercise_line(page.head.width));
    }
    head.push(title(picture));
    head.push(titles(Columns::of(page.head.width)));
    frame.render_widget(Paragraph::new(head), page.head);
    rows(frame, page.body, picture, selected, now);
    if picture.silent(now) {
        chrome::grey(frame, page.body);
    }
    let keys = "↑↓ choose  Enter open  ? help  q leave";
    chrome::foot(frame, page.foot, picture, now, keys);
}

fn title(picture: &Picture) -> Line<'static> {
    let open = picture
        .transfers
        .values()
        .filter(|transfer| !transfer.state.closed);
    let high = open
        .clone()
        .filter(|transfer| {
            picture::top_alert(&transfer.state)
                .is_some_and(|alert| alert.priority() == v1::Priority::High)
        })
        .count();
    let mut line = Line::from(vec![
        Text::styled(
            " enroute ",
            Style::new().bold().fg(Color::Black).bg(Color::Cyan),
        ),
        Text::raw(format!("  {} on the way", open.count())).bold(),
    ]);
    if high > 0 {
        line.push_span(Text::styled(
            format!("   {high} with a high-priority alert"),
            Style::new().fg(Color::LightRed).bold(),
        ));
    }
    line
}

fn titles(columns: Columns) -> Line<'static> {
    let Columns { who, cell, .. } = columns;
    let mut text = format!("    {:<who$}", "who and where to");
    for column in columns.shown() {
        text = format!("{text}{:<cell$}", column.title);
    }
    text.push_str(if columns.full {
        "arrival, link, data"
    } else {
        "arrival, link"
    });
    Line::styled(
        text,
        Style::new().fg(DIM).add_modifier(Modifier::UNDERLINED),
    )
}

fn rows(frame: &mut Frame, area: Rect, picture: &Picture, selected: Option<&str>, now: Span) {
    let ids = picture.by_urgency();
    if ids.is_empty() {
        let text = if picture.silent(now) {
            ""
        } else {
            "Nobody is on the way. A gateway that sends starts a transfer by itself."
        };
        let middle = Rect::new(
            area.x + 4,
            area.y + area.height / 3,
            area.width.saturating_sub(4),
            1,
        );
        frame.render_widget(Paragraph::new(text).fg(DIM), middle.intersection(area));
        return;
    }
    let fit = usize::from((area.height / ROW_LINES).max(1));
    let chosen = ids.iter().position(|id| Some(*id) == selected).unwrap_or(0);
    let skip = chosen.saturating_sub(fit - 1);
    let now_us = picture.server_now_us(now);
    let shown = ids.iter().enumerate().skip(skip).take(fit);
    for (line, (index, id)) in shown.enumerate() {
        let Some(transfer) = picture.transfers.get(*id) else {
            continue;
        };
        let top = u16::try_from(line).unwrap_or(0) * ROW_LINES;
        let row = Rect::new(area.x, area.y + top, area.width, ROW_LINES - 1).intersection(area);
        let width = usize::from(row.width);
        let columns = Columns::of(row.width);
        let lines = row_lines(&transfer.state, columns, now_us).into_iter();
        let lines: Vec<_> = lines.map(|line| chrome::cut(line, width)).collect();
        frame.render_widget(Paragraph::new(lines), row);
        if index == chosen && selected.is_some() {
            let style = Style::new().bg(Color::Rgb(38, 44, 62));
            frame.buffer_mut().set_style(row, style);
        }
    }
    let hidden = ids.len().saturating_sub(skip + fit);
    if hidden > 0 && area.height > 0 {
        let last = Rect::new(area.x, area.bottom() - 1, area.width, 1);
        let more = Line::styled(format!("    … {hidden} more below"), Style::new().fg(DIM));
        frame.render_widget(Paragraph::new(more), last);
    }
}

fn row_lines(state: &v1::TransferState, columns: Columns, now_us: i64) -> Vec<Line<'static>> {
    let top = picture::top_alert(state);
    let colour = top.map_or(DIM, |alert| words::priority_colour(alert.priority()));
    let mark = top.map_or("   ", |alert| words::priority_mark(alert.priority()));
    let bar = Text::styled(format!("{mark} "), Style::new().fg(colour).bold());
    let mut first = Line::from(bar);
    first.push_span(who(state, columns.who));
    for column in columns.shown() {
        first.extend(cell(state, column, columns.cell));
    }
    first.extend(arrival(state, columns, now_us));
    let mut second = Line::from(Text::raw("    "));
    second.push_span(where_to(state, columns.who + columns.cell));
    second.extend(alert_text(state, now_us));
    if !columns.full && !state.closed {
        second.extend(data(state));
    }
    if let Some(thin) = account::thinnest(state).and_then(account::thin) {
        let text = format!("   link thin: {thin}");
        second.push_span(Text::styled(text, Style::new().fg(Color::Yellow)));
    }
    vec![first, second]
}

fn fit(text: &str, width: usize) -> String {
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if cut.chars().count() < text.chars().count() {
        cut.pop();
        cut.push('…');
    }
    format!("{cut:<width$}")
}

fn who(state: &v1::TransferState, width: usize) -> Text<'static> {
    let concern = state
        .info
        .as_ref()
        .map(|info| words::printable(&info.concern))
        .filter(|concern| !concern.is_empty())
        .unwrap_or_else(|| "no headline yet".into());
    let text = format!("{}  {concern}", words::short_code(&state.short_code));
    Text::styled(fit(&text, width), Style::new().bold())
}

fn where_to(state: &v1::TransferState, width: usize) -> Text<'static> {
    let info = state.info.clone().unwrap_or_default();
    let hospital = if info.hospital.is_empty() {
        "UNASSIGNED".to_owned()
    } else {
        format!("→ {}", words::printable(&info.hospital))
    };
    let vehicle = current_leg(state)
        .map(|leg| {
            format!(
                ", {} {}",
                vehicle_sign(leg.mode()),
                words::printable(&leg.vehicle)
            )
        })
        .unwrap_or_default();
    Text::styled(
        fit(&format!("{hospital}{vehicle}"), width),
        Style::new().fg(Color::Gray),
    )
}

/// A word for the kind of vehicle.
pub(crate) fn vehicle_sign(mode: v1::Mode) -> &'static str {
    match mode {
        v1::Mode::Air => "air",
        v1::Mode::Road => "road",
        v1::Mode::Unspecified => "by",
    }
}

/// The planned leg under way.
pub(crate) fn current_leg(state: &v1::TransferState) -> Option<&v1::Leg> {
    let leg = state.travel.as_ref()?.leg?;
    state.info.as_ref()?.leg.get(usize::try_from(leg).ok()?)
}

fn cell(state: &v1::TransferState, column: &Column, width: usize) -> Vec<Text<'static>> {
    let find = |ids: &[&str]| {
        ids.iter()
            .find_map(|id| picture::value(state, id).map(|(_, value)| value.clone()))
    };
    let Some(value) = find(column.ids) else {
        return vec![Text::styled(fit("·", width), Style::new().fg(DIM))];
    };
    let colour = words::colour(words::id(value.code));
    let Some(mut digits) = words::value_digits(&value) else {
        let text = fit(words::state(value.state()), width);
        return vec![Text::styled(text, Style::new().fg(Color::Yellow))];
    };
    let second = find(column.second).and_then(|value| words::value_digits(&value));
    if let Some(second) = second {
        digits = format!("{digits}/{second}");
    }
    if value.stale {
        return vec![
            Text::styled(
                digits.clone(),
                Style::new().fg(DIM).add_modifier(Modifier::CROSSED_OUT),
            ),
            Text::styled(
                fit(" stale", width.saturating_sub(digits.chars().count())),
                Style::new().fg(DIM),
            ),
        ];
    }
    let style = if words::outside_limits(&value) {
        Style::new().fg(Color::Black).bg(colour).bold()
    } else {
        Style::new().fg(colour).bold()
    };
    let rest = fit(
        &format!(" {}", words::arrow(&value)),
        width.saturating_sub(digits.chars().count()),
    );
    vec![
        Text::styled(digits, style),
        Text::styled(rest, Style::new().fg(colour)),
    ]
}

fn arrival(state: &v1::TransferState, columns: Columns, now_us: i64) -> Vec<Text<'static>> {
    let mut parts = Vec::new();
    if state.closed {
        return vec![Text::styled("closed", Style::new().fg(DIM))];
    }
    let travel = state.travel.clone().unwrap_or_default();
    let eta = travel.eta_us.map_or_else(
        || "no ETA".to_owned(),
        |eta| {
            let left = utc::span(eta.saturating_sub(now_us));
            if columns.full {
                format!("in {left} ({})", short_time(eta))
            } else {
                left
            }
        },
    );
    let width = if columns.full { 17 } else { 8 };
    parts.push(Text::raw(format!("{eta:<width$}")));
    let thin = account::thinnest(state).is_some();
    parts.push(match picture::link_up(state) {
        Some(true) if thin => Text::styled("link thin", Style::new().fg(Color::Yellow)),
        Some(true) => Text::styled("link up  ", Style::new().fg(Color::Green)),
        Some(false) => Text::styled("LINK LOST", Style::new().fg(Color::LightRed).bold()),
        None => Text::styled("no link  ", Style::new().fg(DIM)),
    });
    if columns.full {
        parts.extend(data(state));
        if parts.len() == 2 {
            parts.push(Text::styled("  complete", Style::new().fg(DIM)));
        }
    }
    parts
}

/// What is not there, if anything.
fn data(state: &v1::TransferState) -> Option<Text<'static>> {
    let (_, missing, shed, _) = picture::completeness(state);
    let text = if missing > 0 {
        format!("  {missing} missing")
    } else if shed > 0 {
        format!("  {shed} shed")
    } else {
        return None;
    };
    Some(Text::styled(text, Style::new().fg(Color::Yellow)))
}

fn short_time(us: i64) -> String {
    utc::time_of_day(us).chars().take(5).collect()
}

fn alert_text(state: &v1::TransferState, now_us: i64) -> Vec<Text<'static>> {
    let Some(alert) = picture::top_alert(state) else {
        return Vec::new();
    };
    let colour = words::priority_colour(alert.priority());
    let text = format!(
        "{}, {}",
        words::alert(alert),
        words::age(now_us, alert.since_us)
    );
    let mut parts = vec![Text::styled(text, Style::new().fg(colour))];
    let phase = words::alert_phase(alert.phase());
    if !phase.is_empty() {
        parts.push(Text::styled(format!(" ({phase})"), Style::new().fg(DIM)));
    }
    if state.alert.len() > 1 {
        let more = format!("   and {} more", state.alert.len() - 1);
        parts.push(Text::styled(more, Style::new().fg(DIM)));
    }
    parts
}
