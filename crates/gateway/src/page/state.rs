//! What the page shows, as data: the answer of `/api/state`.

use super::Page;
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
    pub(super) fn now(&self) -> Shown {
        let status = self.desk.status().borrow().clone();
        let now = self.desk.monotonic();
        let within = Span::from_secs(self.config.receiving_within_s.into());
        let receiving = status.link.is_receiving(now, within);
        let since = status.link.receiving_since.filter(|_| receiving);
        let age = |last: Span| now.0.saturating_sub(last.0) / 1_000_000;
        let board = self.desk.board().borrow().clone();
        let transfer = status.transfer.as_ref();
        Shown {
            notes: board.notes(transfer).into_iter().map(shown_note).collect(),
            acknowledged: board.acknowledged(transfer).iter().map(seen).collect(),
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
            receiving_since: since.map(|s| time_of_day(s.0)),
            last_receipt_s: status.link.receipt_at.map(age),
            unconfirmed_frames: status.unconfirmed,
            spool_bytes: status.bytes.0,
            spool_bytes_max: status.bytes.1,
            shed_frames: status.shed,
            level: status.link.level,
        }
    }
}

fn shown_note(note: Noted) -> ShownNote {
    match note {
        Noted::Ours { at_us, text, way } => ShownNote {
            ours: true,
            unread: false,
            head: format!("You, {}", time_of_day(at_us)),
            text,
            way: match way {
                Way::OnBoard => "waits on board".to_owned(),
                Way::Arrived => "at the hospital".to_owned(),
                Way::Read { by, at_us } => format!("read by {by}, {}", time_of_day(at_us)),
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
            head: format!("{by}, {}", time_of_day(at_us)),
            text,
            way: if read { "you have read it" } else { "NEW" }.to_owned(),
        },
    }
}

/// An acknowledged alert, with the value that raised it.
fn seen(alert: &v1::Alert) -> String {
    let vital = catalogue().vital(Code(alert.code));
    let name = vital.map_or(alert.label.as_str(), |vital| vital.label.as_str());
    let what = match alert.kind() {
        v1::AlertKind::LimitLow => "low",
        v1::AlertKind::LimitHigh => "high",
        v1::AlertKind::Stale => "no new value",
        v1::AlertKind::SensorOff => "sensor off",
        v1::AlertKind::LinkLost => "link lost",
        v1::AlertKind::ClockWrong => "clock wrong",
        v1::AlertKind::SpoolFilling => "the disk on board fills up",
        v1::AlertKind::BatteryLow => "battery low",
        v1::AlertKind::HistoryIncomplete => "history is missing",
        v1::AlertKind::Rule => alert.rule.as_str(),
        v1::AlertKind::Unspecified
        | v1::AlertKind::Conflict
        | v1::AlertKind::EngineDegraded
        | v1::AlertKind::NotRecorded
        | v1::AlertKind::NotAttended => "technical",
    };
    let decimals = u8::try_from(alert.decimals).unwrap_or(0);
    let value = alert.value.and_then(|value| Decimal::new(value, decimals));
    let value = value.map_or_else(String::new, |value| format!(" {value}"));
    let by = alert.acknowledged.clone().unwrap_or_default();
    let text = format!("{name} {what}{value}: {}, {}", by.by, time_of_day(by.at_us));
    text.trim_start().to_owned()
}

fn time_of_day(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000).rem_euclid(86_400);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}
