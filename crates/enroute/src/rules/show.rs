//! The limits that apply to a patient, as a table for people.

use enroute_alert::book::RuleBook;
use enroute_alert::profile::{LimitRule, Manner, Profile};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Priority};
use enroute_model::registry::AgeBand;
use enroute_model::time::Span;
use std::fmt::Write;

/// Name, version, author and approval of a book.
pub(super) fn title(book: &RuleBook) -> String {
    let head = book.head();
    let approved = if head.is_approved() {
        format!("approved by {} on {}", head.approved_by, head.approved_on)
    } else {
        "not approved".to_owned()
    };
    format!(
        "rule book {} {}, by {}, {approved}",
        head.name, head.version, head.author
    )
}

/// What applies to a patient of this age with these conditions.
pub(super) fn table(book: &RuleBook, band: Option<AgeBand>, conditions: &[String]) -> String {
    let mut text = format!("{}\nsha256 {}\n", title(book), book.hash());
    let age = match band {
        Some(band) => format!("{band:?}").to_lowercase(),
        None => "age unknown: adult is assumed".to_owned(),
    };
    let overlays: Vec<_> = book.overlays_for(band, conditions).collect();
    let names: Vec<_> = overlays
        .iter()
        .map(|overlay| overlay.name.as_str())
        .collect();
    let laid_on = if names.is_empty() {
        String::new()
    } else {
        format!(", with {} (the later counts)", names.join(", then "))
    };
    line(&mut text, format_args!("for: {age}{laid_on}"));
    for condition in conditions {
        if !names.contains(&condition.as_str()) {
            line(
                &mut text,
                format_args!("no overlay for {condition} at this age: it changes nothing"),
            );
        }
    }
    let times = book.escalation();
    let seconds = |span: Span| span.0 / 1_000_000;
    line(
        &mut text,
        format_args!(
            "nobody acknowledges: to those on call after {} s, told as unattended after {} s",
            seconds(times.on_call_after),
            seconds(times.unattended_after)
        ),
    );
    line(&mut text, format_args!(""));
    line(&mut text, format_args!("{HEADING}"));
    for rule in book.profile(band, conditions).rules() {
        let by = changed_by(book, band, conditions, rule.code);
        line(&mut text, format_args!("{}", row(rule, &by)));
    }
    text
}

const HEADING: &str = "vital sign   unit       crit<   warn<   warn>   crit>  warn: priority, after, off after  crit: priority, after, off after  inside by  changed by";

fn line(text: &mut String, what: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    if writeln!(text, "{what}").is_err() {
        text.push('\n');
    }
}

fn row(rule: &LimitRule, by: &str) -> String {
    let vital = catalogue().vital(rule.code);
    let (id, unit) = vital.map_or(("?", ""), |vital| (vital.id.as_str(), vital.unit.as_str()));
    let limits = rule.in_force();
    let number = |limit: Option<f64>| limit.map_or("-".to_owned(), |limit| limit.to_string());
    let manner = |level: bool, manner: Manner| {
        if level { told(manner) } else { String::new() }
    };
    let terms = rule.terms();
    let warn = limits.warn_low.is_some() || limits.warn_high.is_some();
    let crit = limits.crit_low.is_some() || limits.crit_high.is_some();
    let row = format!(
        "{id:<12} {unit:<8} {:>7} {:>7} {:>7} {:>7}  {:<33} {:<33} {:>9}  {by}",
        number(limits.crit_low),
        number(limits.warn_low),
        number(limits.warn_high),
        number(limits.crit_high),
        manner(warn, terms.warn),
        manner(crit, terms.crit),
        terms.hysteresis,
    );
    row.trim_end().to_owned()
}

fn told(manner: Manner) -> String {
    let priority = match manner.priority {
        Priority::High => "high",
        Priority::Medium => "medium",
        Priority::Low => "low",
    };
    let seconds = |span: Span| span.0 / 1_000_000;
    let latching = if manner.latching { ", latches" } else { "" };
    format!(
        "{priority}, {} s, {} s{latching}",
        seconds(manner.on_delay),
        seconds(manner.off_delay)
    )
}

/// The overlays that changed a vital sign, in the order in which they did.
fn changed_by(book: &RuleBook, band: Option<AgeBand>, conditions: &[String], code: Code) -> String {
    let mut profile = Profile::clone(&book.population(band));
    let mut names = Vec::new();
    for overlay in book.overlays_for(band, conditions) {
        let before = profile.rule(code).cloned();
        overlay.lay_on(&mut profile);
        if profile.rule(code) != before.as_ref() {
            names.push(overlay.name.as_str());
        }
    }
    names.join(", ")
}
