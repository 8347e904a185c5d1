//! What the page shows, as data: the answer of `/api/state`.

use super::Page;
use super::words::{Language, Words, fill};
use crate::notes::{Noted, Way};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::Code;
use enroute_model::ids::ShortCode;
use enroute_model::reading::Decimal;
use enroute_model::time::Span;
use enroute_wire::v1;
use serde::Serialize;

/// The state of the gateway for its crew.
#[expect(clippy::struct_excessive_bools, reason = "an answer, not a state")]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Shown {
    /// The one line that a glance takes in, and what stands below it.
    pub(super) headline: &'static str,
    /// What stands below it.
    pub(super) detail: String,
    /// Name of this gateway.
    pub(super) gateway: String,
    /// What is sent is an exercise.
    pub(super) exercise: bool,
    /// The transfer that goes on.
    pub(super) transfer: Option<String>,
    /// Its short code, for the telephone.
    pub(super) short_code: Option<String>,
    /// The crew ended the last transfer and none has begun.
    pub(super) ended: bool,
    /// Why nothing is recorded now.
    pub(super) failure: Option<String>,
    /// Emissions and entries that could not be recorded since the start.
    pub(super) lost: u64,
    /// Whether a connection to the broker stands.
    pub(super) connected: bool,
    /// Whether the hospital has confirmed something lately.
    pub(super) receiving: bool,
    /// The hospital has no room for this transfer: nothing is taken.
    pub(super) full: bool,
    /// Since when, this box's clock, microseconds UTC; only while receiving.
    pub(super) receiving_since_us: Option<i64>,
    /// The same, time of day in UTC.
    pub(super) receiving_since: Option<String>,
    /// Seconds since the last confirmation.
    pub(super) last_receipt_s: Option<i64>,
    /// Frames on board that are not confirmed.
    pub(super) unconfirmed_frames: u64,
    /// Bytes on board, and the most there may be.
    pub(super) spool_bytes: u64,
    /// The most there may be.
    pub(super) spool_bytes_max: u64,
    /// Frames given up for want of space.
    pub(super) shed_frames: u64,
    /// Step of the degradation ladder that the live lane is on.
    pub(super) level: u32,
    /// Frames that the disk could not give back.
    pub(super) damaged_frames: u64,
    /// Notes between crew and hospital, newest first.
    pub(super) notes: Vec<ShownNote>,
    /// Alerts that somebody in the hospital acknowledged.
    pub(super) acknowledged: Vec<String>,
}

/// A note, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownNote {
    /// Written by the crew.
    pub(super) ours: bool,
    /// The crew has not said that it has read it.
    pub(super) unread: bool,
    /// Who and when.
    pub(super) head: String,
    /// What.
    pub(super) text: String,
    /// How far it has come.
    pub(super) way: String,
}

impl Page {
    /// The state in the reader's language.
    pub(super) fn now(&self, language: Language) -> Shown {
        let words = language.words();
        let status = self.desk.status().borrow().clone();
        let now = self.desk.monotonic();
        let within = Span::from_secs(self.config.receiving_within_s.into());
        let receiving = status.link.is_receiving(now, within);
        let since = status.link.receiving_since.filter(|_| receiving);
        let age = |last: Span| now.0.saturating_sub(last.0) / 1_000_000;
        let board = self.desk.board().borrow().clone();
        let transfer = status.transfer.as_ref();
        let notes = board.notes(transfer).into_iter();
        let acknowledged = board.acknowledged(transfer);
        let mut shown = Shown {
            headline: "",
            detail: String::new(),
            notes: notes.map(|note| shown_note(note, words)).collect(),
            acknowledged: acknowledged.iter().map(|a| seen(a, language)).collect(),
            gateway: self.gateway.to_string(),
            exercise: status.exercise,
            short_code: status
                .transfer
                .as_ref()
                .map(|t| ShortCode::of(t).to_string()),
            transfer: status.transfer.map(String::from),
            ended: status.ended,
            failure: status.failure,
            lost: status.lost,
            damaged_frames: status.damaged,
            connected: status.link.connected,
            receiving,
            full: status.link.full,
            receiving_since_us: since.map(|s| s.0),
            receiving_since: since.map(|s| time_of_day(s.0, words)),
            last_receipt_s: status.link.receipt_at.map(age),
            unconfirmed_frames: status.unconfirmed,
            spool_bytes: status.bytes.0,
            spool_bytes_max: status.bytes.1,
            shed_frames: status.shed,
            level: status.link.level,
        };
        shown.headline = headline(&shown, words);
        shown.detail = detail(&shown, words);
        shown
    }
}

impl Shown {
    /// All is well: what is measured is recorded and arrives.
    pub(super) fn is_good(&self) -> bool {
        self.receiving && self.failure.is_none()
    }
}

fn headline(shown: &Shown, words: &Words) -> &'static str {
    if shown.failure.is_some() {
        words.failed
    } else if shown.full {
        words.full
    } else if shown.receiving {
        words.receiving
    } else if shown.ended {
        words.ended
    } else if shown.connected {
        words.not_confirmed
    } else {
        words.no_connection
    }
}

fn detail(shown: &Shown, words: &Words) -> String {
    let megabytes = |bytes: u64| (bytes / 1_000_000).to_string();
    let since = shown.receiving_since.as_deref();
    let mut parts: Vec<String> = Vec::new();
    parts.extend(since.map(|time| fill(words.since, &[("time", time)])));
    let places = [
        ("n", shown.unconfirmed_frames.to_string()),
        ("used", megabytes(shown.spool_bytes)),
        ("most", megabytes(shown.spool_bytes_max)),
    ];
    parts.push(fill(
        words.waiting,
        &places.each_ref().map(|(k, v)| (*k, v.as_str())),
    ));
    if shown.level > 0 {
        parts.push(words.thin_link.to_owned());
    }
    let counts = [
        (shown.shed_frames, words.shed),
        (shown.damaged_frames, words.damaged),
        (shown.lost, words.lost),
    ];
    let counted = counts.iter().filter(|(n, _)| *n > 0);
    parts.extend(counted.map(|(n, phrase)| fill(phrase, &[("n", &n.to_string())])));
    parts.extend(shown.failure.clone());
    parts.join(" · ")
}

fn shown_note(note: Noted, words: &Words) -> ShownNote {
    let time = |us| time_of_day(us, words);
    match note {
        Noted::Ours { at_us, text, way } => ShownNote {
            ours: true,
            unread: false,
            head: fill(words.you, &[("time", &time(at_us))]),
            text,
            way: match way {
                Way::OnBoard => words.on_board.to_owned(),
                Way::Arrived => words.arrived.to_owned(),
                Way::Read { by, at_us } => {
                    fill(words.read_by, &[("by", &by), ("time", &time(at_us))])
                }
            },
        },
        Noted::Theirs {
            by,
            at_us,
            text,
            read,
        } => ShownNote {
            ours: false,
            unread: !read,
            head: format!("{by}, {}", time(at_us)),
            text,
            way: if read { words.read } else { words.new }.to_owned(),
        },
    }
}

/// An acknowledged alert, with the value that raised it, by whom and when.
fn seen(alert: &v1::Alert, language: Language) -> String {
    let words = language.words();
    let vital = catalogue().vital(Code(alert.code));
    let name = vital.map_or(alert.label.as_str(), |vital| language.name_of(vital));
    let phrase = match alert.kind() {
        v1::AlertKind::LimitLow => words.low,
        v1::AlertKind::LimitHigh => words.high,
        v1::AlertKind::Stale => words.stale,
        v1::AlertKind::SensorOff => words.sensor_off,
        v1::AlertKind::LinkLost => words.link_lost,
        v1::AlertKind::ClockWrong => words.clock_wrong,
        v1::AlertKind::SpoolFilling => words.spool_filling,
        v1::AlertKind::BatteryLow => words.battery_low,
        v1::AlertKind::HistoryIncomplete => words.history_incomplete,
        v1::AlertKind::Rule => "{what} {rule}",
        v1::AlertKind::Unspecified
        | v1::AlertKind::Conflict
        | v1::AlertKind::EngineDegraded
        | v1::AlertKind::NotRecorded
        | v1::AlertKind::NotAttended => words.technical,
    };
    // The words of the rule book's conditions are the hospital's; here is their id.
    let rule = alert.rule.replace('_', " ");
    let what = fill(phrase, &[("what", name), ("rule", &rule)]);
    let decimals = u8::try_from(alert.decimals).unwrap_or(0);
    let value = alert.value.and_then(|value| Decimal::new(value, decimals));
    let value = value.map_or_else(String::new, |value| format!(" {value}"));
    let by = alert.acknowledged.clone().unwrap_or_default();
    let what = format!("{}{value}", what.trim());
    let time = time_of_day(by.at_us, words);
    let places = [("what", what.as_str()), ("by", &by.by), ("time", &time)];
    fill(words.acknowledged, &places)
}

fn time_of_day(us: i64, words: &Words) -> String {
    let seconds = us.div_euclid(1_000_000).rem_euclid(86_400);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let time = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    fill(words.utc, &[("time", &time)])
}
