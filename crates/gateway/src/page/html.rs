//! The page as HTML. Everything that is not a constant is escaped; the words of the
//! languages are constants, and a test says that none needs it.

use super::actions::{ACVPU, AGE_BANDS, INTERVENTIONS, Phrase};
use super::state::{Shown, ShownNote};
use super::words::{Language, Words, fill};
use enroute_model::registry::AgeBand;

/// The page with what is known now, and what was wrong with the last entry.
pub(super) fn render(
    shown: &Shown,
    language: Language,
    lockable: bool,
    error: Option<&str>,
) -> String {
    let words = language.words();
    let lock = if lockable {
        let label = words.lock;
        format!("<form method=post action=/lock><button>{label}</button></form>")
    } else {
        String::new()
    };
    let main = format!(
        "<main>{notes}{transfer}{entries}</main>{lock}<script src=/page.js defer></script>",
        notes = notes(shown, words),
        transfer = transfer(shown, words),
        entries = entry_forms(words),
    );
    framed(shown, language, error, &main)
}

/// The page for who has not typed the PIN: whether the hospital receives, and keys
/// that a glove can press.
pub(super) fn locked(shown: &Shown, language: Language, error: Option<&str>) -> String {
    let words = language.words();
    let form = format!(
        "<main><form method=post action=/pin class=pin><label>{} \
<input name=pin type=password inputmode=numeric autocomplete=off maxlength=12 required autofocus></label>\
<button>{}</button></form></main>",
        words.pin, words.open
    );
    framed(shown, language, error, &form)
}

/// What every page says: whether the hospital receives.
fn framed(shown: &Shown, language: Language, error: Option<&str>, main: &str) -> String {
    let words = language.words();
    let class = if shown.is_good() { "good" } else { "bad" };
    let exercise = if shown.exercise {
        format!("<p class=exercise>{}</p>", words.exercise)
    } else {
        String::new()
    };
    let error = error.map_or_else(String::new, |why| {
        format!("<p class=error role=alert>{}</p>", escape(why))
    });
    format!(
        "<!doctype html><html lang={lang}><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width, initial-scale=1\">\
<title>enroute · {gateway}</title><link rel=stylesheet href=/page.css>\
<noscript><meta http-equiv=refresh content=30></noscript>\
<body data-lost=\"{page_lost}\" data-none=\"{none}\">{exercise}\
<header class={class} id=receiving><h1 id=headline>{headline}</h1>\
<p id=detail>{detail}</p></header>{error}{languages}\
<p class=primary>{primary}</p>{main}</body></html>",
        lang = language.tag(),
        gateway = escape(&shown.gateway),
        page_lost = words.page_lost,
        none = words.none,
        headline = escape(shown.headline),
        detail = escape(&shown.detail),
        languages = languages(language),
        primary = words.primary,
    )
}

/// The other languages, each by its own name.
fn languages(now: Language) -> String {
    let button = |language: Language| {
        let (tag, name) = (language.tag(), language.name());
        format!("<button name=to value={tag} lang={tag}>{name}</button>")
    };
    let others = Language::ALL.into_iter().filter(|one| *one != now);
    let buttons: String = others.map(button).collect();
    format!("<form method=post action=/language class=languages>{buttons}</form>")
}

fn transfer(shown: &Shown, words: &Words) -> String {
    let named = format!(
        "<span id=transfer>{}</span>",
        escape(shown.transfer.as_deref().unwrap_or(words.none))
    );
    let places = [
        ("transfer", named.as_str()),
        ("gateway", &escape(&shown.gateway)),
    ];
    let button = |action: &str, label: &str| {
        format!("<form method=post action=/act/{action}><button>{label}</button></form>")
    };
    format!(
        "<section><h2>{title}</h2><p class=code id=code>{code}</p><p>{is}</p>\
<div class=row>{start}{hand_over}{end}</div><form method=post action=/act/join class=row>\
<label>{short_code} <input name=short_code required maxlength=12 autocomplete=off autocapitalize=characters></label>\
<button>{join}</button></form></section>",
        title = words.transfer,
        code = escape(shown.short_code.as_deref().unwrap_or("–")),
        is = fill(words.transfer_is, &places),
        start = button("start", words.start),
        hand_over = button("hand-over", words.hand_over),
        end = button("end", words.end),
        short_code = words.short_code,
        join = words.join,
    )
}

/// What hospital and crew wrote; the script draws the same lists again.
fn notes(shown: &Shown, words: &Words) -> String {
    let note = |note: &ShownNote| {
        let class = match (note.ours, note.unread) {
            (true, _) => "ours",
            (false, true) => "theirs unread",
            (false, false) => "theirs",
        };
        let (head, text, way) = (escape(&note.head), escape(&note.text), escape(&note.way));
        format!("<li class=\"{class}\"><b>{head}</b><p>{text}</p><small>{way}</small></li>")
    };
    let list: String = shown.notes.iter().map(note).collect();
    let line = |alert: &String| format!("<li>{}</li>", escape(alert));
    let seen: String = shown.acknowledged.iter().map(line).collect();
    let unread = shown.notes.iter().any(|note| note.unread);
    let hidden = if unread { "" } else { " hidden" };
    format!(
        "<section class=notes><h2>{title}</h2>\
<form method=post action=/act/note><label>{to} \
<textarea name=text rows=2 maxlength=2000 required></textarea></label><button>{send}</button></form>\
<form method=post action=/act/read-notes id=read{hidden}><button class=read>{read}</button></form>\
<ol id=notes>{list}</ol><h3>{acknowledged}</h3><ul id=seen>{seen}</ul></section>",
        title = words.notes,
        to = words.note_to,
        send = words.note_send,
        read = words.note_read,
        acknowledged = words.seen,
    )
}

fn entry_forms(words: &Words) -> String {
    let band = |(word, label, _): (&str, Phrase, AgeBand)| {
        format!("<option value={word}>{}</option>", label(words))
    };
    let level = |(letter, label): (&str, Phrase)| {
        let label = label(words);
        format!(
            "<button name=value value={letter} title=\"{label}\">{letter}<small>{label}</small></button>"
        )
    };
    let event = |(kind, label): (&str, Phrase)| {
        format!("<button name=kind value={kind}>{}</button>", label(words))
    };
    format!(
        "<section><h2>{patient}</h2><form method=post action=/act/population class=row>\
<label>{age} <select name=age_band><option value=\"\">{unknown}</option>{bands}</select></label>\
<label>{weight} <input name=weight_kg inputmode=decimal maxlength=6 size=6></label>\
<button>{save}</button></form>\
<h3>{consciousness}</h3><form method=post action=/act/acvpu class=row>{levels}</form>\
<h3>{breathing}</h3><form method=post action=/act/oxygen class=row>\
<button name=value value=air>{air}</button><button name=value value=oxygen>{oxygen}</button></form></section>\
<section><h2>{events}</h2><form method=post action=/act/intervention>\
<label>{remark} <input name=text maxlength=2000></label><div class=row>{kinds}</div></form></section>",
        patient = words.patient,
        age = words.age,
        unknown = words.unknown,
        bands = AGE_BANDS.map(band).concat(),
        weight = words.weight,
        save = words.save,
        consciousness = words.consciousness,
        levels = ACVPU.map(level).concat(),
        breathing = words.breathing,
        air = words.air,
        oxygen = words.oxygen,
        events = words.events,
        remark = words.remark,
        kinds = INTERVENTIONS.map(event).concat(),
    )
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
