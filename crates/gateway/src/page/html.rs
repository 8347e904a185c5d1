//! The page as HTML. Everything that is not a constant is escaped.

use super::actions::{ACVPU, AGE_BANDS, INTERVENTIONS};
use super::state::Shown;
use std::fmt::Write as _;

/// The page with what is known now, and what was wrong with the last entry.
pub(super) fn render(shown: &Shown, lockable: bool, error: Option<&str>) -> String {
    let transfer = shown.transfer.as_deref().unwrap_or("none");
    let code = shown.short_code.as_deref().unwrap_or("–");
    let lock = if lockable {
        "<form method=post action=/lock><button>Lock this page</button></form>"
    } else {
        ""
    };
    let main = format!(
        "<main>{notes}<section><h2>Transfer</h2><p class=code id=code>{code}</p>\
<p>Transfer <span id=transfer>{transfer}</span>, gateway {gateway}</p>{transfer_forms}</section>{entry_forms}</main>{lock}\
<script src=/page.js defer></script>",
        gateway = escape(&shown.gateway),
        transfer = escape(transfer),
        code = escape(code),
        notes = notes(shown),
        transfer_forms = transfer_forms(),
        entry_forms = entry_forms(),
    );
    framed(shown, error, &main)
}

/// The page for who has not typed the PIN: whether the hospital receives, and keys
/// that a glove can press.
pub(super) fn locked(shown: &Shown, error: Option<&str>) -> String {
    let form = "<main><form method=post action=/pin class=pin><label>PIN \
<input name=pin type=password inputmode=numeric autocomplete=off maxlength=12 required autofocus></label>\
<button>Open</button></form></main>";
    framed(shown, error, form)
}

/// What every page says: whether the hospital receives.
fn framed(shown: &Shown, error: Option<&str>, main: &str) -> String {
    let headline = headline(shown);
    let good = shown.receiving && shown.failure.is_none();
    let class = if good { "good" } else { "bad" };
    let exercise = if shown.exercise {
        "<p class=exercise>EXERCISE · not a real patient</p>"
    } else {
        ""
    };
    let error = error.map_or_else(String::new, |why| {
        format!("<p class=error role=alert>{}</p>", escape(why))
    });
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width, initial-scale=1\">\
<title>enroute · {gateway}</title><link rel=stylesheet href=/page.css>\
<noscript><meta http-equiv=refresh content=30></noscript>\
<body>{exercise}<header class={class} id=receiving><h1 id=headline>{headline}</h1>\
<p id=detail>{detail}</p></header>{error}\
<p class=primary>The monitor at the patient is the primary alarm. This page only shows what the hospital receives.</p>\
{main}</body></html>",
        gateway = escape(&shown.gateway),
        headline = escape(headline),
        detail = escape(&detail(shown)),
    )
}

/// What hospital and crew wrote; the script draws the same lists again.
fn notes(shown: &Shown) -> String {
    let mut list = String::new();
    for note in &shown.notes {
        let class = match (note.ours, note.unread) {
            (true, _) => "ours",
            (false, true) => "theirs unread",
            (false, false) => "theirs",
        };
        // Writing to a string cannot fail.
        let _written: std::fmt::Result = write!(
            list,
            "<li class=\"{class}\"><b>{}</b><p>{}</p><small>{}</small></li>",
            escape(&note.head),
            escape(&note.text),
            escape(&note.way)
        );
    }
    let mut seen = String::new();
    for alert in &shown.acknowledged {
        let _written: std::fmt::Result = write!(seen, "<li>{}</li>", escape(alert));
    }
    let unread = shown.notes.iter().any(|note| note.unread);
    let hidden = if unread { "" } else { " hidden" };
    format!(
        "<section class=notes><h2>Notes</h2>\
<form method=post action=/act/note><label>To the hospital (no names, no birth dates) \
<textarea name=text rows=2 maxlength=2000 required></textarea></label><button>Send note</button></form>\
<form method=post action=/act/read-notes id=read{hidden}><button class=read>I have read the notes</button></form>\
<ol id=notes>{list}</ol><h3>Acknowledged in the hospital</h3><ul id=seen>{seen}</ul></section>"
    )
}

/// The one line that a glance takes in; the script has the same words.
fn headline(shown: &Shown) -> &'static str {
    if shown.failure.is_some() {
        "NOT RECORDING, NOT SENDING: the disk of this box failed"
    } else if shown.receiving {
        "The hospital is receiving"
    } else if shown.ended {
        "Transfer ended · nothing is recorded"
    } else if shown.connected {
        "Connected, the hospital does not confirm"
    } else {
        "NO CONNECTION · recording on board"
    }
}

fn detail(shown: &Shown) -> String {
    let mut text = match &shown.receiving_since {
        Some(since) => format!("since {since} · "),
        None => String::new(),
    };
    let megabytes = |bytes: u64| bytes / 1_000_000;
    // Writing to a string cannot fail.
    let _written: std::fmt::Result = write!(
        text,
        "{} frames wait on board ({} of {} MB)",
        shown.unconfirmed_frames,
        megabytes(shown.spool_bytes),
        megabytes(shown.spool_bytes_max)
    );
    if shown.level > 0 {
        text.push_str(" · thin link: waveforms reach the hospital later");
    }
    if shown.shed_frames > 0 {
        let _written: std::fmt::Result =
            write!(text, " · {} given up: the disk was full", shown.shed_frames);
    }
    if shown.damaged_frames > 0 {
        let damaged = shown.damaged_frames;
        let _written: std::fmt::Result = write!(text, " · {damaged} lost: the disk is damaged");
    }
    if shown.lost > 0 {
        let lost = shown.lost;
        let _written: std::fmt::Result = write!(text, " · {lost} not recorded: the disk failed");
    }
    if let Some(failure) = &shown.failure {
        let _written: std::fmt::Result = write!(text, " · {failure}");
    }
    text
}

fn transfer_forms() -> String {
    let button = |action: &str, label: &str| {
        format!("<form method=post action=/act/{action}><button>{label}</button></form>")
    };
    format!(
        "<div class=row>{}{}{}</div><form method=post action=/act/join class=row>\
<label>Short code <input name=short_code required maxlength=12 autocomplete=off autocapitalize=characters></label>\
<button>Join</button></form>",
        button("start", "Start new transfer"),
        button("hand-over", "Hand over"),
        button("end", "End transfer"),
    )
}

#[expect(
    clippy::format_push_string,
    reason = "a page once a second at most; a failed write would need an answer"
)]
fn entry_forms() -> String {
    let mut html = String::from(
        "<section><h2>Patient</h2><form method=post action=/act/population class=row><label>Age <select name=age_band><option value=\"\">unknown</option>",
    );
    for (word, label, _) in AGE_BANDS {
        html += &format!("<option value={word}>{label}</option>");
    }
    html += "</select></label><label>Weight, kg <input name=weight_kg inputmode=decimal maxlength=6 size=6></label><button>Save</button></form>";
    html += "<h3>Consciousness</h3><form method=post action=/act/acvpu class=row>";
    for (letter, label) in ACVPU {
        html += &format!(
            "<button name=value value={letter} title=\"{label}\">{letter}<small>{label}</small></button>"
        );
    }
    html += "</form><h3>Breathing</h3><form method=post action=/act/oxygen class=row><button name=value value=air>Air</button><button name=value value=oxygen>Oxygen</button></form></section>";
    html += "<section><h2>Events</h2><form method=post action=/act/intervention><label>Remark (nothing that names the patient) <input name=text maxlength=2000></label><div class=row>";
    for (kind, label) in INTERVENTIONS {
        html += &format!("<button name=kind value={kind}>{label}</button>");
    }
    html += "</div></form></section>";
    html
}

/// Text as HTML text or attribute value.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
