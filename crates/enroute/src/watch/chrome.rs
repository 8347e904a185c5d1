//! What frames every page of the terminal view: the EXERCISE banner, the line
//! about the server, the notice about the primary alarm, the help.

use super::picture::{Picture, Server};
use crate::utc;
use enroute_model::time::Span;
use enroute_wire::v1;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span as Text};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

/// Ground of secondary text.
pub(crate) const DIM: Color = Color::DarkGray;

/// Rectangles of a page.
pub(crate) struct Page {
    /// Banner (if any) and title.
    pub(crate) head: Rect,
    /// What the page shows.
    pub(crate) body: Rect,
    /// The server's line and the notice.
    pub(crate) foot: Rect,
}

/// Divides the screen; `exercise` takes a line for its banner.
pub(crate) fn page(area: Rect, exercise: bool, title_lines: u16) -> Page {
    let head = title_lines + u16::from(exercise);
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(head),
        Constraint::Fill(1),
        Constraint::Length(2),
    ])
    .areas(area);
    Page { head, body, foot }
}

/// The banner that marks what is simulated or published again.
pub(crate) fn exercise_line(width: u16) -> Line<'static> {
    let word = "EXERCISE — simulated or replayed, not a patient";
    let width = usize::from(width);
    Line::styled(
        format!("{word:^width$}"),
        Style::new()
            .fg(Color::White)
            .bg(Color::Magenta)
            .add_modifier(Modifier::BOLD),
    )
}

/// The two lines at the bottom.
pub(crate) fn foot(frame: &mut Frame, area: Rect, picture: &Picture, now: Span, keys: &str) {
    let [server, notice] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(
        Paragraph::new(cut(
            server_line(picture, now, server.width),
            usize::from(server.width),
        )),
        server,
    );
    let text = " The monitor at the patient is the primary alarm; this is a second view.";
    let style = Style::new().fg(Color::Gray);
    frame.render_widget(Paragraph::new(Line::styled(text, style)), notice);
    let both = text.chars().count() + keys.chars().count() + 2;
    let keys = if both > usize::from(notice.width) {
        "? help"
    } else {
        keys
    };
    if text.chars().count() + keys.len() < usize::from(notice.width) {
        let keys = Line::styled(keys.to_owned(), Style::new().fg(DIM));
        frame.render_widget(Paragraph::new(keys).alignment(Alignment::Right), notice);
    }
}

fn server_line(picture: &Picture, now: Span, width: u16) -> Line<'static> {
    let since = picture
        .silence(now)
        .map(|silence| format!("last word from the server {} ago", utc::span(silence.0)));
    if !picture.silent(now) {
        let clock = utc::time_of_day(picture.server_now_us(now));
        let mut line = Line::from(vec![
            Text::styled(" ● live ", Style::new().fg(Color::Black).bg(Color::Green)),
            Text::raw(format!(" {clock} UTC  ")),
            Text::styled(since.unwrap_or_default(), Style::new().fg(DIM)),
        ]);
        if let Some(failed) = &picture.not_recorded {
            line.push_span(not_recorded(failed));
        }
        if picture.conflated > 0 {
            line.push_span(Text::styled(
                format!(
                    "  {} values replaced by newer ones on the way here",
                    picture.conflated
                ),
                Style::new().fg(Color::Yellow),
            ));
        }
        if !picture.missed.is_empty() {
            line.push_span(Text::styled(
                format!("  {}", super::words::printable(&picture.missed)),
                Style::new().fg(Color::Yellow),
            ));
        }
        return line;
    }
    let why = match &picture.server {
        Server::Open => "!!! THE SERVER IS SILENT".to_owned(),
        Server::Lost { reason } => format!("!!! SERVER LOST: {reason}"),
        Server::Connecting { reason: None } => "connecting to the server …".to_owned(),
        Server::Connecting {
            reason: Some(reason),
        } => format!("!!! SERVER NOT REACHED: {reason}"),
    };
    let text = match since {
        Some(since) => format!(" {why} — {since}; what you see is old; trying again"),
        None => format!(" {why}"),
    };
    let width = usize::from(width);
    Line::styled(
        format!("{text:<width$}"),
        Style::new()
            .fg(Color::White)
            .bg(Color::Red)
            .add_modifier(Modifier::BOLD),
    )
}

/// The frame of a panel.
pub(crate) fn panel(title: &'static str) -> Block<'static> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(DIM))
        .title(format!(" {title} "))
}

/// A line of no more than `width` characters; what is cut off leaves a mark.
pub(crate) fn cut(line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let mut room = width.saturating_sub(1);
    let style = line.style;
    let mut kept = Vec::new();
    for span in line.spans {
        let long = span.content.chars().count();
        if long <= room {
            room -= long;
            kept.push(span);
            continue;
        }
        let text: String = span.content.chars().take(room).collect();
        kept.push(Text::styled(format!("{text}…"), span.style));
        break;
    }
    Line::from(kept).style(style)
}

/// Greys what is drawn in `area`, once it must not be taken for the present.
pub(crate) fn grey(frame: &mut Frame, area: Rect) {
    let style = Style::new()
        .fg(DIM)
        .bg(Color::Reset)
        .remove_modifier(Modifier::BOLD);
    frame.buffer_mut().set_style(area, style);
}

/// The help over the page.
pub(crate) fn help(frame: &mut Frame) {
    let lines: Vec<Line> = [
        ("↑ ↓  k j", "choose a transfer"),
        ("Enter", "open the patient"),
        ("← →  h l", "the patient before, the next patient"),
        ("Esc", "back to the board"),
        (
            "a  z  m",
            "acknowledge, let rest, remark on the chosen alert",
        ),
        ("?", "this help"),
        ("q  Ctrl-C", "leave"),
        ("", ""),
        ("!!! !! !", "priority: high, medium, low"),
        ("↑ → ↓", "direction over the last minutes"),
        ("stale", "older than it may be: not the present"),
        ("?", "an alert whose data stopped: unknown, not normal"),
    ]
    .into_iter()
    .map(|(key, text)| {
        Line::from(vec![
            Text::styled(format!(" {key:>10}  "), Style::new().bold()),
            Text::raw(text),
        ])
    })
    .collect();
    let screen = frame.area();
    let height = u16::try_from(lines.len() + 2)
        .unwrap_or(15)
        .min(screen.height);
    let width = 66.min(screen.width);
    let area = Rect::new(
        (screen.width - width) / 2,
        (screen.height - height) / 2,
        width,
        height,
    );
    frame.render_widget(Clear, area);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .title(" Keys and signs ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Said before anything else: nobody may take what is shown for recorded.
fn not_recorded(failed: &v1::NotRecorded) -> Text<'static> {
    let since = utc::time_of_day(failed.since_us);
    let reason = super::words::printable(&failed.reason);
    Text::styled(
        format!(" NOT RECORDED since {since} UTC: {reason} "),
        Style::new().fg(Color::White).bg(Color::Red),
    )
}
