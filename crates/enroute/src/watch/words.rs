//! Codes of the contract as words and colours for the terminal: labels, values
//! with their units, alerts, ages. Pure; every text a viewer reads comes from here.

use crate::utc;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::Code;
use enroute_wire::v1;
use ratatui::style::Color;

/// What a viewer calls a quantity where space is short.
const SHORT: [(&str, &str); 29] = [
    ("hr", "HR"),
    ("pr", "Pulse"),
    ("spo2", "SpO2"),
    ("pi", "PI"),
    ("rr_imp", "Resp"),
    ("rr_co2", "awRR"),
    ("nibp_sys", "NIBP sys"),
    ("nibp_dia", "NIBP dia"),
    ("nibp_mean", "NIBP mean"),
    ("abp_sys", "ABP sys"),
    ("abp_dia", "ABP dia"),
    ("abp_mean", "ABP mean"),
    ("etco2", "EtCO2"),
    ("fico2", "FiCO2"),
    ("fio2", "FiO2"),
    ("temp1", "Temp"),
    ("temp2", "Temp core"),
    ("gcs", "GCS"),
    ("acvpu", "ACVPU"),
    ("o2_supp", "Oxygen"),
    ("shock_index", "Shock index"),
    ("map_derived", "MAP derived"),
    ("ecg_i", "ECG I"),
    ("ecg_ii", "ECG II"),
    ("ecg_iii", "ECG III"),
    ("pleth", "Pleth"),
    ("abp", "ABP"),
    ("co2", "CO2"),
    ("resp", "Resp"),
];

/// The catalogue's short id of a code, empty for one that is not in it.
pub(crate) fn id(code: u32) -> &'static str {
    let code = Code(code);
    catalogue()
        .vital(code)
        .map(|vital| vital.id.as_str())
        .or_else(|| {
            catalogue()
                .waveform(code)
                .map(|channel| channel.id.as_str())
        })
        .unwrap_or_default()
}

/// What to call a quantity: its short name, the catalogue's label, the source's
/// own name, or its code.
pub(crate) fn name(code: u32, label: &str) -> String {
    let id = id(code);
    if let Some((_, short)) = SHORT.iter().find(|(known, _)| *known == id) {
        return (*short).to_owned();
    }
    let code = Code(code);
    if let Some(vital) = catalogue().vital(code) {
        return vital.label.clone();
    }
    if let Some(channel) = catalogue().waveform(code) {
        return channel.label.clone();
    }
    if label.is_empty() {
        format!("code {}", code.0)
    } else {
        printable(label)
    }
}

/// Text from the network with what could drive a terminal taken out.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A UCUM unit as people write it.
pub(crate) fn unit(ucum: &str) -> String {
    match ucum {
        "mm[Hg]" => "mmHg".into(),
        "cm[H2O]" => "cmH2O".into(),
        "Cel" => "°C".into(),
        "1" | "{score}" | "{ratio}" => String::new(),
        other => printable(other),
    }
}

/// The unit of a waveform: its own, else the catalogue's.
pub(crate) fn channel_unit(code: u32, own: &str) -> String {
    if !own.is_empty() {
        return unit(own);
    }
    let known = catalogue().waveform(Code(code));
    known.map_or_else(String::new, |channel| unit(&channel.unit))
}

/// A decimal of the contract.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(crate) fn number(mantissa: i64, decimals: u32) -> f64 {
    mantissa as f64 / 10f64.powi(i32::try_from(decimals.min(9)).unwrap_or(0))
}

/// A decimal of the contract with its places.
pub(crate) fn digits(mantissa: i64, decimals: u32) -> String {
    let places = usize::try_from(decimals.min(9)).unwrap_or(0);
    format!("{:.places$}", number(mantissa, decimals))
}

/// The value's digits, when there is a value.
pub(crate) fn value_digits(value: &v1::Value) -> Option<String> {
    match id(value.code) {
        _ if !has_value(value.state()) => None,
        "acvpu" => Some(
            match value.value {
                0 => "Alert",
                1 => "Confused",
                2 => "Voice",
                3 => "Pain",
                4 => "Unresp.",
                _ => "?",
            }
            .into(),
        ),
        "o2_supp" => Some(if value.value == 0 { "air" } else { "oxygen" }.into()),
        _ => Some(digits(value.value, value.decimals)),
    }
}

/// Whether a number comes with this state.
pub(crate) fn has_value(state: v1::ReadingState) -> bool {
    use v1::ReadingState as S;
    match state {
        S::Measured | S::Questionable | S::Calibrating | S::Test => true,
        S::NotAvailable | S::SensorOff | S::Invalid | S::Overflow | S::Underflow | S::Missing => {
            false
        }
    }
}

/// What is to be said about the state of a value; empty when all is well.
pub(crate) fn state(state: v1::ReadingState) -> &'static str {
    use v1::ReadingState as S;
    match state {
        S::Measured => "",
        S::Questionable => "doubtful",
        S::Calibrating => "calibrating",
        S::Test => "test mode",
        S::NotAvailable => "no value",
        S::SensorOff => "sensor off",
        S::Invalid => "invalid",
        S::Overflow => "above range",
        S::Underflow => "below range",
        S::Missing => "missing",
    }
}

/// The direction of a value over the trend window: an arrow when it moves by
/// more than a twentieth of itself in five minutes.
pub(crate) fn arrow(value: &v1::Value) -> &'static str {
    let Some(slope) = value.slope_per_min else {
        return " ";
    };
    let step = number(value.value, value.decimals).abs().max(1.0) / 20.0;
    match slope * 5.0 {
        change if change > step => "↑",
        change if change < -step => "↓",
        _ => "→",
    }
}

/// What an alert says, without its time.
pub(crate) fn alert(alert: &v1::Alert) -> String {
    use v1::AlertKind as K;
    let what = name(alert.code, &alert.label);
    let broke = |sign: &str| {
        let value = alert
            .value
            .map(|value| digits(value, alert.decimals))
            .unwrap_or_default();
        let limit = alert
            .limit
            .map(|limit| format!(" {sign} {limit}"))
            .unwrap_or_default();
        format!("{value}{limit}").trim().to_owned()
    };
    match alert.kind() {
        K::LimitLow => format!("{what} low {}", broke("<")).trim_end().to_owned(),
        K::LimitHigh => format!("{what} high {}", broke(">")).trim_end().to_owned(),
        K::Stale => format!("{what}: no fresh value"),
        K::LinkLost => format!("link lost to {}", printable(&alert.gateway)),
        K::Conflict => format!("{} frames contradict each other", stream(alert.stream())),
        K::EngineDegraded => "engine degraded: a record was skipped".into(),
        K::NotRecorded => "not recorded: the server's journal failed".into(),
        K::Rule => rule(&alert.rule, &what, &broke("·")),
        K::SensorOff => format!("{what}: sensor off"),
        K::ClockWrong => format!("a clock on board of {} is wrong", printable(&alert.gateway)),
        K::SpoolFilling => format!("the spool of {} is filling", printable(&alert.gateway)),
        K::BatteryLow => format!("{} is low on power", printable(&alert.gateway)),
        K::HistoryIncomplete => "history is incomplete".into(),
        K::NotAttended => "nobody has acknowledged an alert".into(),
        K::Unspecified => "alert of a kind that this version does not know".into(),
    }
}

/// What a condition of the rule book says, in the words of the catalogue of
/// messages; one of somebody's own book has none, and is named by its id.
fn rule(id: &str, what: &str, broke: &str) -> String {
    let words = enroute_alert::words::rule(id, enroute_alert::words::Language::English);
    let words = words.map_or_else(|| printable(id), str::to_owned);
    format!("{what}: {words} {broke}").trim_end().to_owned()
}

/// What people did about an alert; empty: nothing.
pub(crate) fn attention(alert: &v1::Alert) -> String {
    let mut parts = Vec::new();
    if let Some(seen) = &alert.acknowledged {
        let by = printable(&seen.by);
        parts.push(format!(
            "acknowledged by {by} at {}",
            utc::rfc3339(seen.at_us)
        ));
    }
    if let Some(until) = alert.paused_until_us {
        parts.push(format!("signals rest until {}", utc::rfc3339(until)));
    }
    if let Some(note) = &alert.note {
        let by = note.from.as_ref().map_or("", |from| from.by.as_str());
        parts.push(format!("{}: {}", printable(by), printable(&note.text)));
    }
    parts.join("; ")
}

/// Where an alert stands, in a word; empty while it is plainly active.
pub(crate) fn alert_phase(phase: v1::AlertPhase) -> &'static str {
    use v1::AlertPhase as P;
    match phase {
        P::Active | P::Unspecified => "",
        P::Unknown => "unknown: data stopped",
        P::Latched => "over, kept until seen",
        P::Ended => "over",
    }
}

/// The same with what is known of it: of an unknown one the last value and when
/// that came.
pub(crate) fn standing(alert: &v1::Alert) -> String {
    let word = alert_phase(alert.phase());
    let last = alert.value.zip(alert.value_at_us);
    match last.filter(|_| alert.phase() == v1::AlertPhase::Unknown) {
        Some((value, at)) => {
            let value = digits(value, alert.decimals);
            format!("{word}, last value {value} at {}", utc::time_of_day(at))
        }
        None => word.to_owned(),
    }
}

/// Whom it was passed on to; empty: nobody.
pub(crate) fn passed_on(alert: &v1::Alert) -> &'static str {
    match alert.escalation {
        0 => "",
        1 => "passed on to those on call",
        _ => "nobody attends",
    }
}

/// A breach that history brought to light.
pub(crate) fn past(found: &v1::Alert) -> String {
    let until = found.until_us.unwrap_or(found.since_us);
    let lasted = utc::span(until.saturating_sub(found.since_us));
    let at = utc::time_of_day(found.since_us);
    format!("past: {}, at {at} for {lasted}", alert(found))
}

/// The marks of IEC 60601-1-8 as characters, so that colour never stands alone.
pub(crate) fn priority_mark(priority: v1::Priority) -> &'static str {
    match priority {
        v1::Priority::High => "!!!",
        v1::Priority::Medium => "!! ",
        v1::Priority::Low => "!  ",
        v1::Priority::Unspecified => "   ",
    }
}

/// Colour of a priority.
pub(crate) fn priority_colour(priority: v1::Priority) -> Color {
    match priority {
        v1::Priority::High => Color::LightRed,
        v1::Priority::Medium => Color::LightYellow,
        v1::Priority::Low => Color::LightCyan,
        v1::Priority::Unspecified => Color::Gray,
    }
}

/// Colour of a quantity or channel, as bedside monitors have it.
pub(crate) fn colour(id: &str) -> Color {
    match id {
        "hr" => Color::LightGreen,
        "spo2" | "pr" | "pi" | "pleth" => Color::LightCyan,
        "etco2" | "fico2" | "co2" => Color::LightYellow,
        "rr_co2" | "rr_imp" | "resp" => Color::Yellow,
        _ if id.starts_with("ecg") => Color::LightGreen,
        _ if id.starts_with("abp") => Color::LightRed,
        _ if id.starts_with("nibp") => Color::LightMagenta,
        _ if id.starts_with("temp") => Color::LightBlue,
        _ => Color::White,
    }
}

/// A stream in a word.
pub(crate) fn stream(stream: v1::Stream) -> &'static str {
    match stream {
        v1::Stream::Events => "events",
        v1::Stream::Numerics => "numerics",
        v1::Stream::Waveforms => "waveforms",
        v1::Stream::Unspecified => "other",
    }
}

/// Age band and weight, and whether adult limits are only assumed.
pub(crate) fn population(transfer: &v1::TransferState) -> String {
    let known = transfer
        .info
        .as_ref()
        .and_then(|info| info.population)
        .unwrap_or_default();
    let band = match known.age_band() {
        v1::AgeBand::Unspecified => "age unknown",
        v1::AgeBand::Neonate => "neonate",
        v1::AgeBand::Infant => "infant",
        v1::AgeBand::Child => "child",
        v1::AgeBand::Adolescent => "adolescent",
        v1::AgeBand::Adult => "adult",
    };
    let weight = match known.weight_g {
        0 => String::new(),
        grams => format!(" {} kg", digits(i64::from(grams.div_ceil(100)), 1)),
    };
    let assumed = if transfer.population_assumed {
        " (adult limits ASSUMED)"
    } else {
        ""
    };
    format!("{band}{weight}{assumed}")
}

/// Metres as people say them.
pub(crate) fn distance(metres: f64) -> String {
    if metres < 10_000.0 {
        format!("{:.1} km", metres / 1_000.0)
    } else {
        format!("{:.0} km", metres / 1_000.0)
    }
}

/// A crew event in a line.
pub(crate) fn crew_event(event: &v1::CrewEvent) -> String {
    use v1::crew_event::Event as E;
    match &event.event {
        Some(E::Observation(seen)) => format!(
            "{} {}",
            name(seen.code, ""),
            digits(seen.value, seen.decimals)
        ),
        Some(E::Population(_)) => "age band or weight entered".into(),
        Some(E::Intervention(done)) => printable(format!("{} {}", done.kind, done.text).trim()),
        Some(E::Note(text)) => format!("“{}”", printable(text)),
        Some(E::Join(join)) => format!("joined {}", printable(&join.short_code)),
        Some(E::HandOver(_)) => "patient handed over to the next vehicle".into(),
        Some(E::NotesTaken(taken)) if taken.read => "has read the hospital's notes".into(),
        Some(E::NotesTaken(_)) => "the hospital's notes came".into(),
        Some(E::End(_)) => "transfer ended by the crew".into(),
        None => "event of a kind that this version does not know".into(),
    }
}

/// A short code with a dash in the middle, as read over a telephone.
pub(crate) fn short_code(code: &str) -> String {
    match (code.get(..3), code.get(3..)) {
        (Some(left), Some(right)) if !right.is_empty() => format!("{left}-{right}"),
        _ => printable(code),
    }
}

/// The age of something that happened at `at_us`.
pub(crate) fn age(now_us: i64, at_us: i64) -> String {
    utc::span(now_us.saturating_sub(at_us))
}

/// Whether a value lies outside its limits (an implausible or doubtful one never
/// counts).
pub(crate) fn outside_limits(value: &v1::Value) -> bool {
    if value.stale || value.implausible || value.state() != v1::ReadingState::Measured {
        return false;
    }
    let number = number(value.value, value.decimals);
    let below = |limit: Option<f64>| limit.is_some_and(|limit| number < limit);
    let above = |limit: Option<f64>| limit.is_some_and(|limit| number > limit);
    below(value.crit_low)
        || below(value.warn_low)
        || above(value.warn_high)
        || above(value.crit_high)
}
