//! One patient: waveforms beside the numbers, below them alerts, link and
//! completeness, and the journey.

use super::attend::Attend;
use super::chrome::{self, DIM};
use super::picture::{Picture, Transfer};
use super::wave::{Channel, Trace};
use super::{account, board, data, notes, rules, tiles, words};
use crate::utc;
use enroute_model::time::Span;
use enroute_wire::v1;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span as Text};
use ratatui::widgets::Paragraph;

/// Waveforms without a new sample for this long are taken off the screen.
const NO_SAMPLES_AFTER: Span = Span::from_secs(3);
/// Fewest columns at which waveforms stand beside the numbers.
const WIDE: u16 = 100;

/// Draws the patient `id`.
pub(crate) fn draw(
    frame: &mut Frame,
    (picture, attend, who): (&Picture, &Attend, Option<&str>),
    id: &str,
    now: Span,
) {
    let keys = "← → other patient  ↑ ↓ alert  a acknowledge  Esc board  ? help  q leave";
    let page = chrome::page(frame.area(), false, 0);
    let shown = (picture, picture.silent(now), Some((attend, who)));
    draw_shown(frame, page.body, shown, id, now);
    chrome::foot(frame, page.foot, picture, now, keys);
}

/// Draws the patient `id` without what is said about the server below; greyed if
/// it must not be taken for what the picture says it is.
pub(crate) fn draw_in(
    frame: &mut Frame,
    area: Rect,
    (picture, silent): (&Picture, bool),
    id: &str,
    now: Span,
) {
    draw_shown(frame, area, (picture, silent, None), id, now);
}

fn draw_shown(
    frame: &mut Frame,
    area: Rect,
    (picture, silent, present): (&Picture, bool, Option<(&Attend, Option<&str>)>),
    id: &str,
    now: Span,
) {
    let Some(transfer) = picture.transfers.get(id) else {
        let text = if silent {
            " waiting for the first picture …"
        } else {
            " This transfer is not among those that the server shows."
        };
        let [_, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        frame.render_widget(Paragraph::new(text).fg(DIM), body);
        return;
    };
    let now_us = picture.server_now_us(now);
    let mut lines = Vec::new();
    if transfer.state.exercise {
        lines.push(chrome::exercise_line(area.width));
    }
    lines.extend(title(&transfer.state, now_us));
    let (attend, who) = present.unzip();
    lines.extend(
        who.flatten()
            .map(|who| Line::from(format!(" {who}")).bold()),
    );
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let [head, below] =
        Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(lines), head);
    body(frame, below, (transfer, attend), (now, now_us));
    if silent {
        chrome::grey(frame, below);
    }
}

fn title(state: &v1::TransferState, now_us: i64) -> Vec<Line<'static>> {
    let info = state.info.clone().unwrap_or_default();
    let hospital = if info.hospital.is_empty() {
        "UNASSIGNED".to_owned()
    } else {
        format!("→ {}", words::printable(&info.hospital))
    };
    let code = words::short_code(&state.short_code);
    let mut first = Line::from(vec![
        Text::styled(
            format!(" {code} "),
            Style::new().bold().fg(Color::Black).bg(Color::Cyan),
        ),
        Text::styled(
            format!("  {}  ", words::printable(&info.concern)),
            Style::new().bold(),
        ),
        Text::raw(hospital),
    ]);
    if state.closed {
        first.push_span(Text::styled(
            "  CLOSED",
            Style::new().fg(Color::Yellow).bold(),
        ));
    }
    if !state.poisoned.is_empty() {
        let text = format!(
            "  ENGINE DEGRADED: {} records skipped",
            state.poisoned.len()
        );
        first.push_span(Text::styled(text, Style::new().fg(Color::LightRed).bold()));
    }
    let mut second = Line::from(Text::raw(format!(" {}", words::population(state))));
    for condition in &info.condition {
        second.push_span(Text::raw(format!(
            ", {}",
            words::printable(condition).replace('_', " ")
        )));
    }
    second.push_span(Text::styled(
        format!(
            "   in transit for {}",
            words::age(now_us, state.started_at_us)
        ),
        Style::new().fg(DIM),
    ));
    vec![first, second]
}

fn body(
    frame: &mut Frame,
    area: Rect,
    (transfer, attend): (&Transfer, Option<&Attend>),
    (now, now_us): (Span, i64),
) {
    let state = &transfer.state;
    let panels = if area.height >= 30 {
        let parts = if area.width >= WIDE { 3 } else { 2 };
        let wanted = data::height(state, now_us, area.width / parts).saturating_add(2);
        wanted.clamp(11, area.height * 2 / 5)
    } else {
        area.height / 3
    };
    let [upper, lower] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(panels)]).areas(area);
    if area.width >= WIDE {
        let numbers = tiles::TILE_WIDTH * if area.width >= 140 { 2 } else { 1 };
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(numbers)]).areas(upper);
        waves(frame, left, transfer, now, now_us);
        tiles::draw(frame, right, state, now_us);
        let [alerts, data_area, journey] =
            Layout::horizontal([Constraint::Fill(1); 3]).areas(lower);
        alert_panel(frame, alerts, (state, attend), now_us);
        data::draw(frame, data_area, state, now_us);
        journey_panel(frame, journey, state, now_us);
    } else {
        let [above, below] =
            Layout::vertical([Constraint::Percentage(40), Constraint::Fill(1)]).areas(upper);
        waves(frame, above, transfer, now, now_us);
        tiles::draw(frame, below, state, now_us);
        let [alerts, data_area] = Layout::horizontal([Constraint::Fill(1); 2]).areas(lower);
        alert_panel(frame, alerts, (state, attend), now_us);
        data::draw(frame, data_area, state, now_us);
    }
}

fn waves(frame: &mut Frame, area: Rect, transfer: &Transfer, now: Span, now_us: i64) {
    let active = |channel: &Channel| {
        let source = transfer
            .state
            .source
            .iter()
            .find(|source| source.gateway == channel.gateway);
        source.is_none_or(|source| source.active)
    };
    let traces: Vec<_> = transfer
        .waves
        .in_order()
        .into_iter()
        .filter(|(channel, _)| active(channel))
        .collect();
    let thin = account::thinnest(&transfer.state).is_some();
    if traces.is_empty() {
        let text = if thin {
            "  no waveforms live: the link is thin"
        } else {
            "  no waveforms received"
        };
        frame.render_widget(Paragraph::new(text).fg(DIM), area);
        return;
    }
    let height = (usize::from(area.height) / traces.len()).clamp(3, 12);
    for (index, (channel, trace)) in traces.iter().enumerate() {
        let (Ok(top), Ok(height)) = (u16::try_from(index * height), u16::try_from(height)) else {
            continue;
        };
        let row = Rect::new(area.x, area.y + top, area.width.saturating_sub(2), height);
        if row.intersection(area) == row {
            wave(frame, row, (channel, trace), thin, now, now_us);
        }
    }
}

fn wave(frame: &mut Frame, row: Rect, of: (&Channel, &Trace), thin: bool, now: Span, now_us: i64) {
    let (channel, trace) = of;
    let colour = words::colour(words::id(channel.code));
    let (bottom, top) = trace.scale();
    let unit = words::channel_unit(channel.code, &trace.unit);
    let places = usize::from(top - bottom < 10.0);
    let mut lines = vec![Line::from(vec![
        Text::styled(
            format!(" {}", words::name(channel.code, &channel.label)),
            Style::new().fg(colour).bold(),
        ),
        Text::styled(
            format!("  {bottom:.places$} … {top:.places$} {unit}"),
            Style::new().fg(DIM),
        ),
    ])];
    let silence = trace.silence(now);
    if silence > NO_SAMPLES_AFTER {
        let since = utc::time_of_day(now_us.saturating_sub(silence.0));
        lines.push(Line::default());
        let (text, colour) = if thin {
            ("not sent live since", DIM)
        } else {
            ("no samples since", Color::Yellow)
        };
        lines.push(Line::styled(
            format!("   {text} {since}, {}", utc::span(silence.0)),
            Style::new().fg(colour),
        ));
    } else {
        let width = usize::from(row.width);
        let height = usize::from(row.height.saturating_sub(1));
        let sweep = trace.sweep(now, width, height).into_iter();
        lines.extend(sweep.map(|row| Line::styled(row, Style::new().fg(colour))));
    }
    frame.render_widget(Paragraph::new(lines), row);
}

fn alert_panel(
    frame: &mut Frame,
    area: Rect,
    (state, attend): (&v1::TransferState, Option<&Attend>),
    now_us: i64,
) {
    let chosen = attend.and_then(|attend| attend.chosen(state));
    let chosen = chosen.map(|alert| alert.alert_id);
    let mut lines: Vec<Line> = state
        .alert
        .iter()
        .map(|alert| {
            let colour = words::priority_colour(alert.priority());
            let style = match alert.phase() {
                v1::AlertPhase::Active => Style::new().fg(colour).bold(),
                v1::AlertPhase::Unknown => Style::new().fg(colour),
                v1::AlertPhase::Latched | v1::AlertPhase::Ended | v1::AlertPhase::Unspecified => {
                    Style::new().fg(DIM)
                }
            };
            let mark = if alert.phase() == v1::AlertPhase::Unknown {
                "?  "
            } else {
                words::priority_mark(alert.priority())
            };
            let age = words::age(now_us, alert.since_us);
            let mut text = format!("{mark} {}, {age}", words::alert(alert));
            for more in [words::standing(alert), words::passed_on(alert).to_owned()] {
                if !more.is_empty() {
                    text = format!("{text} ({more})");
                }
            }
            let attention = words::attention(alert);
            if !attention.is_empty() {
                text = format!("{text}; {attention}");
            }
            let here = Some(alert.alert_id) == chosen;
            let sign = if here { "▸" } else { "" };
            Line::styled(format!("{sign}{text}"), style)
        })
        .collect();
    let said = attend.and_then(Attend::line);
    lines.extend(said.map(Line::raw));
    for alarm in state.source.iter().flat_map(|source| &source.device_alarm) {
        lines.push(Line::from(vec![
            Text::styled("monitor: ", Style::new().fg(DIM)),
            Text::styled(
                words::printable(&alarm.label),
                Style::new().fg(words::priority_colour(alarm.priority())),
            ),
        ]));
    }
    if lines.is_empty() {
        lines.push(Line::styled("no alert", Style::new().fg(DIM)));
    }
    let past = state.retrospective.iter();
    lines.extend(past.map(|alert| Line::styled(words::past(alert), Style::new().fg(DIM))));
    let unavailable = state.source.iter().filter_map(account::unavailable);
    let by = unavailable.chain(rules::lines(state));
    lines.extend(by.map(|line| Line::styled(line, Style::new().fg(DIM))));
    listed(frame, area, "Alerts", lines);
}

fn journey_panel(frame: &mut Frame, area: Rect, state: &v1::TransferState, now_us: i64) {
    let travel = state.travel.clone().unwrap_or_default();
    let mut lines = Vec::new();
    if let Some(eta) = travel.eta_us {
        let distance = travel
            .distance_m
            .map(|metres| format!(", {} to go", words::distance(metres)))
            .unwrap_or_default();
        let at: String = utc::time_of_day(eta).chars().take(5).collect();
        let text = format!(
            "arrives in {} ({at} UTC){distance}",
            utc::span(eta.saturating_sub(now_us))
        );
        lines.push(Line::styled(text, Style::new().bold()));
    }
    if let Some(position) = travel.position {
        lines.push(position_line(&position, travel.heard_at_us, now_us));
    }
    let legs = state.info.iter().flat_map(|info| &info.leg);
    for (index, leg) in legs.enumerate() {
        let here = travel
            .leg
            .is_some_and(|leg| usize::try_from(leg) == Ok(index));
        lines.push(leg_line(leg, here));
    }
    for entry in notes::entries(state) {
        lines.push(Line::from(vec![
            Text::styled(
                format!("{} ", utc::time_of_day(entry.at_us)),
                Style::new().fg(DIM),
            ),
            Text::raw(entry.text),
        ]));
    }
    if lines.is_empty() {
        lines.push(Line::styled("no position, no plan", Style::new().fg(DIM)));
    }
    listed(frame, area, "Journey and crew", lines);
}

/// A panel of lines, each cut to its width.
fn listed(frame: &mut Frame, area: Rect, title: &'static str, lines: Vec<Line<'static>>) {
    let width = usize::from(area.width.saturating_sub(2));
    let lines = lines.into_iter().map(|line| chrome::cut(line, width));
    let lines: Vec<Line> = lines.collect();
    frame.render_widget(Paragraph::new(lines).block(chrome::panel(title)), area);
}

fn leg_line(leg: &v1::Leg, here: bool) -> Line<'static> {
    let place = |place: &Option<v1::Place>| {
        let name = place.as_ref().map(|place| place.name.clone());
        words::printable(&name.unwrap_or_default())
    };
    let sign = if here { "▶" } else { " " };
    let text = format!(
        "{sign} {:<4} {}: {} → {}",
        board::vehicle_sign(leg.mode()),
        words::printable(&leg.vehicle),
        place(&leg.from),
        place(&leg.to)
    );
    let style = if here {
        Style::new().fg(Color::LightCyan)
    } else {
        Style::new().fg(Color::Gray)
    };
    Line::styled(text, style)
}

fn position_line(position: &v1::Position, heard: Option<i64>, now_us: i64) -> Line<'static> {
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    let mut text = format!(
        "{:.4}, {:.4}",
        degrees(position.latitude_e7),
        degrees(position.longitude_e7)
    );
    if let Some(speed) = position.speed_cm_s {
        text = format!("{text}  {:.0} km/h", f64::from(speed) * 0.036);
    }
    if let Some(altitude) = position.altitude_m {
        text = format!("{text}  {altitude} m");
    }
    if let Some(heard) = heard {
        text = format!("{text}  ({} ago)", words::age(now_us, heard));
    }
    Line::styled(text, Style::new().fg(Color::Gray))
}

/// The patient before or after `id` on the board.
pub(crate) fn neighbour(picture: &Picture, id: &str, forward: bool) -> Option<String> {
    let ids = picture.by_urgency();
    let here = ids.iter().position(|known| *known == id)?;
    let step = if forward { 1 } else { ids.len() - 1 };
    ids.get((here + step) % ids.len())
        .map(|id| (*id).to_owned())
}
