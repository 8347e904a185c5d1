//! The numbers of one patient as tiles: label, limits, large digits, unit, age. A
//! stale value leaves its place to dashes and stands below, struck and dated.

use super::chrome::{self, DIM};
use super::{picture, words};
use crate::utc;
use enroute_wire::v1;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span as Text};
use ratatui::widgets::Paragraph;

/// Width of a tile, large enough for `118/102`.
pub(crate) const TILE_WIDTH: u16 = 29;
/// Height of a tile with large digits.
pub(crate) const TILE_HEIGHT: u16 = 5;
/// A value older than this shows its age.
const AGE_SHOWN_AFTER_US: i64 = 5_000_000;
/// A time of measurement that is less certain is said to be.
const DOUBT_SHOWN_FROM_US: i64 = 1_000_000;

/// What stands together on one tile: `lead`, behind slashes `more`.
struct Group {
    title: &'static str,
    lead: &'static [&'static str],
    more: &'static [&'static str],
    mean: Option<&'static str>,
}

/// In the order of a bedside monitor.
const GROUPS: [Group; 7] = [
    Group {
        title: "HR",
        lead: &["hr"],
        more: &[],
        mean: None,
    },
    Group {
        title: "ABP",
        lead: &["abp_sys"],
        more: &["abp_dia"],
        mean: Some("abp_mean"),
    },
    Group {
        title: "SpO2",
        lead: &["spo2"],
        more: &[],
        mean: None,
    },
    Group {
        title: "EtCO2",
        lead: &["etco2"],
        more: &[],
        mean: None,
    },
    Group {
        title: "Resp",
        lead: &["rr_co2", "rr_imp"],
        more: &[],
        mean: None,
    },
    Group {
        title: "NIBP",
        lead: &["nibp_sys"],
        more: &["nibp_dia"],
        mean: Some("nibp_mean"),
    },
    Group {
        title: "Temp",
        lead: &["temp1", "temp2"],
        more: &[],
        mean: None,
    },
];

/// One tile, ready to be drawn.
struct Tile<'a> {
    title: String,
    lead: &'a v1::Value,
    digits: String,
    mean: Option<String>,
}

/// Draws as many tiles as fit; what has no tile of its own is listed at the end.
pub(crate) fn draw(frame: &mut Frame, area: Rect, state: &v1::TransferState, now_us: i64) {
    let (tiles, listed) = arrange(state);
    let columns = (area.width / TILE_WIDTH).max(1);
    let large = area.height >= TILE_HEIGHT * 2;
    let height = if large { TILE_HEIGHT } else { 1 };
    let width = if large { TILE_WIDTH } else { area.width };
    let mut next = 0u16;
    for tile in &tiles {
        let (x, y) = if large {
            (
                area.x + next % columns * width,
                area.y + next / columns * height,
            )
        } else {
            (area.x, area.y + next)
        };
        let place = Rect::new(x, y, width, height);
        if place.intersection(area) == place {
            let lines = if large {
                tile.large(now_us)
            } else {
                vec![line(tile.lead, &tile.title, &tile.digits, now_us)]
            };
            frame.render_widget(Paragraph::new(cut(lines, place)), place);
            next += 1;
        }
    }
    let used = if large {
        next.div_ceil(columns) * height
    } else {
        next
    };
    list(frame, area, used, &listed, now_us);
}

fn list(frame: &mut Frame, area: Rect, used: u16, values: &[&v1::Value], now_us: i64) {
    let room = area.height.saturating_sub(used);
    let place = Rect::new(area.x, area.y + used.min(area.height), area.width, room);
    let lines: Vec<Line> = values
        .iter()
        .map(|value| {
            let digits = words::value_digits(value).unwrap_or_default();
            line(
                value,
                &words::name(value.code, &value.label),
                &digits,
                now_us,
            )
        })
        .collect();
    frame.render_widget(Paragraph::new(cut(lines, place)), place);
}

fn cut(lines: Vec<Line<'static>>, place: Rect) -> Vec<Line<'static>> {
    let width = usize::from(place.width);
    let lines = lines.into_iter();
    lines.map(|line| chrome::cut(line, width)).collect()
}

fn arrange(state: &v1::TransferState) -> (Vec<Tile<'_>>, Vec<&v1::Value>) {
    let find = |ids: &[&str]| {
        ids.iter()
            .find_map(|id| picture::value(state, id).map(|(_, value)| value))
    };
    let mut tiles = Vec::new();
    let mut taken: Vec<u32> = Vec::new();
    for group in &GROUPS {
        let Some(lead) = find(group.lead) else {
            continue;
        };
        taken.push(lead.code);
        let mut digits = words::value_digits(lead).unwrap_or_default();
        if let Some(more) = find(group.more) {
            taken.push(more.code);
            if let Some(second) = words::value_digits(more) {
                digits = format!("{digits}/{second}");
            }
        }
        let mean = group.mean.and_then(|id| find(&[id]));
        taken.extend(mean.map(|mean| mean.code));
        tiles.push(Tile {
            title: group.title.to_owned(),
            lead,
            digits,
            mean: mean.and_then(words::value_digits),
        });
    }
    let mut listed: Vec<&v1::Value> = Vec::new();
    let all = state.source.iter().flat_map(|source| &source.value);
    for value in all {
        let known = taken.contains(&value.code) && value.code != 0;
        let again = listed
            .iter()
            .any(|listed| listed.code == value.code && listed.label == value.label);
        if !known && !again {
            let id = words::id(value.code);
            let newest = picture::value(state, id).map(|(_, newest)| newest);
            listed.push(newest.filter(|_| !id.is_empty()).unwrap_or(value));
        }
    }
    (tiles, listed)
}

fn limits(value: &v1::Value) -> String {
    let bound = |limit: Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let low = bound(value.warn_low.or(value.crit_low));
    let high = bound(value.warn_high.or(value.crit_high));
    if low.is_empty() && high.is_empty() {
        String::new()
    } else {
        format!("{low}–{high}")
    }
}

/// What has to be said beside the number: why there is none, doubts, its age,
/// and how uncertain the time of measurement is.
fn remark(value: &v1::Value, now_us: i64) -> String {
    let mut said = Vec::new();
    if value.implausible {
        said.push("implausible".to_owned());
    }
    let state = words::state(value.state());
    if !state.is_empty() {
        said.push(state.to_owned());
    }
    let age = now_us.saturating_sub(value.heard_at_us);
    if value.stale || age > AGE_SHOWN_AFTER_US.max(i64::from(value.interval_ms) * 1_500) {
        said.push(format!("{} ago", utc::span(age)));
    }
    let doubt = i64::try_from(value.measured_uncertainty_us).unwrap_or(i64::MAX);
    if value.measured_at_us.is_some() && doubt >= DOUBT_SHOWN_FROM_US {
        said.push(format!("time ± {}", utc::span(doubt)));
    }
    said.join(", ")
}

fn dated(value: &v1::Value, digits: &str, now_us: i64) -> Vec<Text<'static>> {
    let at = utc::time_of_day(value.heard_at_us);
    let age = words::age(now_us, value.heard_at_us);
    let what = if digits.is_empty() {
        words::state(value.state())
    } else {
        digits
    };
    vec![
        Text::styled(
            what.to_owned(),
            Style::new().fg(DIM).add_modifier(Modifier::CROSSED_OUT),
        ),
        Text::styled(format!(" at {at}, {age} ago"), Style::new().fg(DIM)),
    ]
}

/// A value on one line.
fn line(value: &v1::Value, title: &str, digits: &str, now_us: i64) -> Line<'static> {
    let colour = words::colour(words::id(value.code));
    let mut line = Line::from(Text::styled(
        format!("{title:<12} "),
        Style::new().fg(colour),
    ));
    if value.stale {
        line.push_span(Text::styled("stale: ", Style::new().fg(Color::Yellow)));
        line.extend(dated(value, digits, now_us));
        return line;
    }
    line.push_span(Text::styled(digits.to_owned(), number_style(value)));
    let rest = format!(
        " {} {} ",
        words::unit(&value.unit),
        words::arrow(value).trim()
    );
    line.push_span(Text::styled(rest, Style::new().fg(colour)));
    line.push_span(Text::styled(
        format!("{}  {}", limits(value), remark(value, now_us)),
        Style::new().fg(DIM),
    ));
    line
}

fn number_style(value: &v1::Value) -> Style {
    let colour = words::colour(words::id(value.code));
    if words::outside_limits(value) {
        Style::new().fg(Color::Black).bg(colour).bold()
    } else if value.implausible || value.state() != v1::ReadingState::Measured {
        Style::new().fg(DIM)
    } else {
        Style::new().fg(colour).bold()
    }
}

impl Tile<'_> {
    fn large(&self, now_us: i64) -> Vec<Line<'static>> {
        let colour = words::colour(words::id(self.lead.code));
        let unit = words::unit(&self.lead.unit);
        let left = format!("{} {unit} {}", self.title, words::arrow(self.lead).trim());
        let right = limits(self.lead);
        // Large digits on a coloured ground are hard to read: a bar marks them.
        let outside = words::outside_limits(self.lead) && !self.lead.stale;
        let (bar, limits_style) = if outside {
            ("▌ ", Style::new().fg(Color::White).bg(Color::Red).bold())
        } else {
            ("", Style::new().fg(DIM))
        };
        let room = usize::from(TILE_WIDTH - 1).saturating_sub(left.chars().count());
        let mut lines = vec![Line::from(vec![
            Text::styled(left, Style::new().fg(colour)),
            Text::styled(
                " ".repeat(room.saturating_sub(right.chars().count())),
                Style::new(),
            ),
            Text::styled(right, limits_style),
        ])];
        let shown = if self.lead.stale || self.digits.is_empty() {
            "---"
        } else {
            &self.digits
        };
        let style = if self.lead.stale {
            Style::new().fg(DIM)
        } else if outside {
            Style::new().fg(colour).bold()
        } else {
            number_style(self.lead)
        };
        lines.extend(large(shown).map(|row| {
            let bar = Text::styled(bar, Style::new().fg(Color::Red));
            Line::from(vec![bar, Text::styled(row, style)])
        }));
        if self.lead.stale
            && let Some(middle) = lines.get_mut(2)
        {
            let word = Text::styled(" stale", Style::new().fg(Color::Yellow).bold());
            middle.push_span(word);
        }
        let last = if self.lead.stale {
            Line::from(dated(self.lead, &self.digits, now_us))
        } else {
            let mean = self
                .mean
                .as_ref()
                .map(|mean| format!("mean {mean}  "))
                .unwrap_or_default();
            Line::from(vec![
                Text::styled(mean, Style::new().fg(colour)),
                Text::styled(remark(self.lead, now_us), Style::new().fg(Color::Yellow)),
            ])
        };
        lines.push(last);
        lines
    }
}

/// Digits three lines high; what has no large form stays small.
fn large(text: &str) -> [String; 3] {
    let mut rows = [String::new(), String::new(), String::new()];
    let glyphs: Option<Vec<[&str; 3]>> = text.chars().map(glyph).collect();
    let Some(glyphs) = glyphs else {
        return [String::new(), format!("  {text}"), String::new()];
    };
    for glyph in glyphs {
        for (row, part) in rows.iter_mut().zip(glyph) {
            row.push_str(part);
            row.push(' ');
        }
    }
    let width = rows
        .iter()
        .map(|row| row.chars().count())
        .max()
        .unwrap_or(0);
    if width > usize::from(TILE_WIDTH) {
        return [String::new(), format!("  {text}"), String::new()];
    }
    rows
}

fn glyph(c: char) -> Option<[&'static str; 3]> {
    Some(match c {
        '0' => ["█▀█", "█ █", "▀▀▀"],
        '1' => ["▀█ ", " █ ", "▀▀▀"],
        '2' => ["▀▀█", "█▀▀", "▀▀▀"],
        '3' => ["▀▀█", " ▀█", "▀▀▀"],
        '4' => ["█ █", "▀▀█", "  ▀"],
        '5' => ["█▀▀", "▀▀█", "▀▀▀"],
        '6' => ["█▀▀", "█▀█", "▀▀▀"],
        '7' => ["▀▀█", "  █", "  ▀"],
        '8' => ["█▀█", "█▀█", "▀▀▀"],
        '9' => ["█▀█", "▀▀█", "▀▀▀"],
        '/' => ["  █", " █ ", "▀  "],
        '-' => ["   ", "▀▀▀", "   "],
        '.' => [" ", " ", "▀"],
        _ => return None,
    })
}
