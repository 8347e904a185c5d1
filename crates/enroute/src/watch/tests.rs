//! The terminal view on a screen of characters, as text a person can judge.

mod attend;
mod rubbish;

use super::app::{Act, App, Stream};
use enroute_model::catalogue::catalogue;
use enroute_model::time::Span;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::{Message, v1};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};

/// 2026-03-01T14:30:00Z.
const NOON: i64 = 1_772_375_400_000_000;

fn code(id: &str) -> u32 {
    catalogue()
        .vital_by_id(id)
        .map(|vital| vital.code.0)
        .or_else(|| catalogue().waveform_by_id(id).map(|channel| channel.code.0))
        .unwrap()
}

fn value(id: &str, value: i64, decimals: u32) -> v1::Value {
    v1::Value {
        code: code(id),
        unit: catalogue().vital_by_id(id).unwrap().unit.clone(),
        value,
        decimals,
        heard_at_us: NOON - 400_000,
        captured_at_us: NOON - 500_000,
        interval_ms: 1_000,
        ..v1::Value::default()
    }
}

fn source() -> v1::Source {
    let mut hr = value("hr", 142, 0);
    (hr.warn_low, hr.warn_high) = (Some(50.0), Some(120.0));
    hr.slope_per_min = Some(4.0);
    let mut spo2 = value("spo2", 84, 0);
    (spo2.warn_low, spo2.slope_per_min) = (Some(90.0), Some(-2.0));
    let mut nibp = value("nibp_sys", 104, 0);
    (nibp.heard_at_us, nibp.interval_ms) = (NOON - 245_000_000, 300_000);
    let mut nibp_dia = value("nibp_dia", 61, 0);
    nibp_dia.heard_at_us = nibp.heard_at_us;
    let mut temp = value("temp1", 0, 0);
    temp.set_state(v1::ReadingState::SensorOff);
    v1::Source {
        gateway: "gw-amb-12".into(),
        active: true,
        link_up: true,
        last_heard_us: Some(NOON - 400_000),
        report: Some(v1::LinkReport {
            unconfirmed_frames: 3,
            battery_percent: Some(81),
            ..v1::LinkReport::default()
        }),
        clocks: Some(v1::ClockOffsets {
            monitor_us: Some(-93_000_000),
            monitor_uncertainty_us: 40_000,
            gateway_us: Some(12_000),
            gateway_uncertainty_us: 8_000,
        }),
        value: vec![
            hr,
            spo2,
            value("abp_sys", 96, 0),
            value("abp_dia", 52, 0),
            value("abp_mean", 67, 0),
            nibp,
            nibp_dia,
            value("rr_co2", 24, 0),
            value("etco2", 31, 0),
            temp,
            value("acvpu", 2, 0),
        ],
        completeness: vec![
            v1::StreamCompleteness {
                stream: v1::Stream::Numerics.into(),
                first: 1,
                highest: 1_216,
                sent: Some(1_210),
                received: 1_207,
                durable: 1_204,
                missing: 12,
                duplicates: 3,
                gap: vec![gap((31, 42), 900, v1::GapCause::Unspecified)],
                ..v1::StreamCompleteness::default()
            },
            v1::StreamCompleteness {
                stream: v1::Stream::Waveforms.into(),
                first: 1,
                highest: 2_500,
                received: 2_400,
                durable: 2_400,
                shed: 100,
                gap: vec![gap((1, 100), 2_000, v1::GapCause::SpoolFull)],
                more_gaps: 2,
                ..v1::StreamCompleteness::default()
            },
        ],
        clock_state: Some(v1::ClockState {
            monitor_wrong: true,
            ..v1::ClockState::default()
        }),
        rejected_publishes: 2,
        ..v1::Source::default()
    }
}

/// It began so many seconds ago, and lasted twelve.
fn gap((first, last): (u64, u64), ago: i64, cause: v1::GapCause) -> v1::Gap {
    let from = NOON - ago * 1_000_000;
    v1::Gap {
        first,
        last,
        from_us: Some(from),
        to_us: Some(from + 12_000_000),
        cause: cause.into(),
    }
}

fn alert(id: u64, kind: v1::AlertKind, priority: v1::Priority, vital: &str) -> v1::Alert {
    v1::Alert {
        alert_id: id,
        gateway: "gw-amb-12".into(),
        kind: kind.into(),
        code: code(vital),
        physiological: true,
        priority: priority.into(),
        phase: v1::AlertPhase::Active.into(),
        since_us: NOON - 73_000_000,
        ..v1::Alert::default()
    }
}

fn transfer() -> v1::TransferState {
    let mut low = alert(7, v1::AlertKind::LimitLow, v1::Priority::High, "spo2");
    (low.value, low.limit) = (Some(84), Some(90.0));
    let mut high = alert(8, v1::AlertKind::LimitHigh, v1::Priority::Medium, "hr");
    (high.value, high.limit) = (Some(142), Some(120.0));
    high.set_phase(v1::AlertPhase::Unknown);
    let place = |name: &str| {
        Some(v1::Place {
            name: name.into(),
            ..v1::Place::default()
        })
    };
    v1::TransferState {
        transfer: "tx-sepsis".into(),
        short_code: "4K7Q2M".into(),
        info: Some(v1::TransferInfo {
            hospital: "HUG Geneva".into(),
            region: Vec::new(),
            concern: "septic shock, ventilated".into(),
            condition: vec!["sepsis".into()],
            population: Some(v1::Population {
                age_band: v1::AgeBand::Adult.into(),
                weight_g: 81_500,
            }),
            leg: vec![
                v1::Leg {
                    vehicle: "AMB-12".into(),
                    mode: v1::Mode::Road.into(),
                    from: place("Aosta"),
                    to: place("Torino airport"),
                    ..v1::Leg::default()
                },
                v1::Leg {
                    vehicle: "HB-JWA".into(),
                    mode: v1::Mode::Air.into(),
                    from: place("Torino airport"),
                    to: place("Geneva airport"),
                    ..v1::Leg::default()
                },
            ],
        }),
        exercise: true,
        started_at_us: NOON - 4_000_000_000,
        source: vec![source()],
        alert: vec![low, high],
        travel: Some(v1::Travel {
            position: Some(v1::Position {
                latitude_e7: 457_370_000,
                longitude_e7: 73_200_000,
                altitude_m: Some(583),
                speed_cm_s: Some(2_300),
                course_cdeg: None,
            }),
            heard_at_us: Some(NOON - 3_000_000),
            leg: Some(0),
            distance_m: Some(212_000.0),
            eta_us: Some(NOON + 7_500_000_000),
            ..v1::Travel::default()
        }),
        crew_log: vec![v1::CrewEntry {
            captured_at_us: NOON - 600_000_000,
            gateway: "gw-amb-12".into(),
            event: Some(v1::CrewEvent {
                event: Some(v1::crew_event::Event::Note("second line placed".into())),
            }),
            read: None,
        }],
        ..v1::TransferState::default()
    }
}

/// A transfer that nobody assigned, whose values are old and whose link is lost.
fn silent_transfer() -> v1::TransferState {
    let mut source = source();
    source.gateway = "gw-heli-3".into();
    source.link_up = false;
    source.lost_since_us = Some(NOON - 180_000_000);
    source.last_heard_us = Some(NOON - 192_000_000);
    for value in &mut source.value {
        (value.stale, value.heard_at_us) = (true, NOON - 192_000_000);
    }
    let mut lost = alert(1, v1::AlertKind::LinkLost, v1::Priority::Low, "hr");
    (lost.physiological, lost.gateway) = (false, "gw-heli-3".into());
    v1::TransferState {
        transfer: "tx-silent".into(),
        short_code: "9ZZ001".into(),
        population_assumed: true,
        started_at_us: NOON - 900_000_000,
        source: vec![source],
        alert: vec![lost],
        exercise: true,
        ..v1::TransferState::default()
    }
}

fn response(update: Update) -> v1::WatchResponse {
    v1::WatchResponse {
        not_recorded: None,
        server_time_us: NOON,
        resume_token: vec![1],
        update: Some(update),
    }
}

fn snapshot(transfer: Vec<v1::TransferState>) -> v1::WatchResponse {
    response(Update::Snapshot(v1::Snapshot {
        transfer,
        missed: String::new(),
    }))
}

/// Half a second of a saw tooth from 0 to 1 mV with a gap of 20 samples.
fn waveform(first: i64) -> v1::WatchResponse {
    let run = |id: &str, period: i32, gain: f64| {
        let delta = (0..125)
            .map(|i| match (i, i % period) {
                (0, _) => 0,
                (_, 0) => -(period - 1) * 4,
                (_, _) => 4,
            })
            .collect();
        v1::Waveform {
            code: code(id),
            unit: if id == "abp" { "mm[Hg]" } else { "mV" }.into(),
            rate_hz: 250.0,
            gain,
            delta,
            missing: if id == "abp" {
                vec![60, 20]
            } else {
                Vec::new()
            },
            ..v1::Waveform::default()
        }
    };
    let frame = v1::Frame {
        header: Some(v1::Header {
            captured_at_us: NOON + first,
            ..v1::Header::default()
        }),
        body: Some(v1::frame::Body::Waveforms(v1::Waveforms {
            waveform: vec![run("ecg_ii", 62, 240.0), run("abp", 125, 4.0)],
        })),
    };
    response(Update::Samples(v1::Samples {
        transfer: "tx-sepsis".into(),
        gateway: "gw-amb-12".into(),
        lane: v1::Lane::Live.into(),
        frame: frame.encode_to_vec().into(),
        ..v1::Samples::default()
    }))
}

fn screen(app: &App, width: u16, height: u16, now: Span) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame, now)).unwrap();
    terminal.backend().to_string()
}

fn key(app: &mut App, code: KeyCode) -> Act {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

const BOARD: Stream = Stream::Board;

fn board() -> App {
    let mut app = App::new();
    app.heard(
        BOARD,
        snapshot(vec![silent_transfer(), transfer()]),
        Span::ZERO,
    );
    app
}

fn patient() -> (App, Span) {
    let mut app = board();
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-sepsis".into(), 1)
    );
    app.heard(Stream::Patient(1), snapshot(vec![transfer()]), Span::ZERO);
    for half in 0..12 {
        let at = half * 500_000;
        app.heard(Stream::Patient(1), waveform(at), Span(at));
    }
    (app, Span(5_900_000))
}

#[test]
fn the_board_puts_the_most_urgent_first() {
    insta::assert_snapshot!(screen(&board(), 160, 16, Span(1_200_000)));
}

#[test]
fn a_narrow_board_keeps_arrival_and_link() {
    insta::assert_snapshot!(screen(&board(), 120, 10, Span(1_200_000)));
    insta::assert_snapshot!(screen(&board(), 80, 10, Span(1_200_000)));
}

#[test]
fn nobody_on_the_way() {
    let mut app = App::new();
    app.heard(BOARD, snapshot(Vec::new()), Span::ZERO);
    insta::assert_snapshot!(screen(&app, 100, 10, Span(200_000)));
}

#[test]
fn a_patient_with_waveforms() {
    let (app, now) = patient();
    insta::assert_snapshot!(screen(&app, 160, 48, now));
}

#[test]
fn a_patient_on_a_small_screen() {
    let (app, now) = patient();
    insta::assert_snapshot!(screen(&app, 80, 24, now));
}

/// The transfer, its gateway on the last step of the ladder.
fn thin_transfer() -> v1::TransferState {
    let mut state = transfer();
    for source in &mut state.source {
        let report = source.report.get_or_insert_default();
        (report.degradation_level, report.numerics_interval_ms) = (3, 30_000);
        for value in &mut source.value {
            value.heard_at_us = NOON - 21_000_000;
            value.measured_at_us = Some(NOON - 22_000_000);
            value.measured_uncertainty_us = 3_000_000;
        }
    }
    state.unrecorded = vec![v1::Unrecorded {
        since_us: NOON - 700_000_000,
        until_us: NOON - 640_000_000,
        reason: "no space left on device".into(),
    }];
    state
}

#[test]
fn a_thin_link_is_said_on_the_board_and_beside_the_waveforms() {
    let mut app = App::new();
    let both = vec![silent_transfer(), thin_transfer()];
    app.heard(BOARD, snapshot(both), Span::ZERO);
    let shown = screen(&app, 160, 16, Span(1_200_000));
    assert!(
        shown.contains("link thin: alarms, summary every 30s"),
        "{shown}"
    );
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-sepsis".into(), 1)
    );
    app.heard(
        Stream::Patient(1),
        snapshot(vec![thin_transfer()]),
        Span::ZERO,
    );
    app.heard(Stream::Patient(1), waveform(0), Span::ZERO);
    insta::assert_snapshot!(screen(&app, 120, 40, Span(3_900_000)));
}

#[test]
fn what_every_frame_became_has_room_on_a_large_screen() {
    let mut app = board();
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-sepsis".into(), 1)
    );
    let mut state = thin_transfer();
    let mut before = source();
    (before.gateway, before.active) = ("gw-amb-7".into(), false);
    state.source.insert(0, before);
    app.heard(Stream::Patient(1), snapshot(vec![state]), Span::ZERO);
    insta::assert_snapshot!(screen(&app, 200, 50, Span(1_200_000)));
}

#[test]
fn a_ledger_in_full_for_the_command_line() {
    let mut told = source();
    told.completeness[1].epoch = 7;
    insta::assert_snapshot!(super::account::lines(&told).join("\n"));
}

#[test]
fn stale_values_leave_their_place_and_are_dated() {
    let mut app = board();
    assert_eq!(key(&mut app, KeyCode::Down), Act::Stay);
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-silent".into(), 1)
    );
    app.heard(
        Stream::Patient(1),
        snapshot(vec![silent_transfer()]),
        Span::ZERO,
    );
    let shown = screen(&app, 160, 40, Span(500_000));
    assert!(shown.contains("stale"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_lost_server_cannot_be_overlooked() {
    let mut app = board();
    app.lost(BOARD, "the connection ended".into());
    let shown = screen(&app, 160, 16, Span::from_secs(9));
    assert!(
        shown.contains("SERVER LOST") && shown.contains("9s ago"),
        "{shown}"
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn a_silent_server_is_noticed_without_an_end_of_the_stream() {
    let app = board();
    assert!(!screen(&app, 160, 16, Span::from_secs(3)).contains("SILENT"));
    assert!(screen(&app, 160, 16, Span::from_secs(5)).contains("THE SERVER IS SILENT"));
}

#[test]
fn the_bell_rings_for_a_silent_server_and_again() {
    let mut app = board();
    assert!(!app.ring(Span::from_secs(1)));
    assert!(app.ring(Span::from_secs(5)));
    assert!(!app.ring(Span::from_secs(7)));
    assert!(app.ring(Span::from_secs(10)));
    app.heard(BOARD, snapshot(Vec::new()), Span::from_secs(11));
    assert!(!app.ring(Span::from_secs(11)));
    assert!(app.ring(Span::from_secs(16)));
}

#[test]
fn waveforms_that_stop_are_taken_off_the_screen() {
    let (mut app, _) = patient();
    let later = Span::from_secs(12);
    app.heard(
        Stream::Patient(1),
        response(Update::Heartbeat(v1::Heartbeat::default())),
        later,
    );
    let shown = screen(&app, 160, 48, later);
    assert!(shown.contains("no samples since"), "{shown}");
    assert!(
        !shown
            .chars()
            .any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
        "{shown}"
    );
}

#[test]
fn late_samples_are_not_drawn_as_now() {
    let mut app = board();
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-sepsis".into(), 1)
    );
    app.heard(Stream::Patient(1), snapshot(vec![transfer()]), Span::ZERO);
    let mut late = waveform(0);
    if let Some(Update::Samples(samples)) = &mut late.update {
        samples.late = true;
    }
    app.heard(Stream::Patient(1), late, Span::ZERO);
    assert!(screen(&app, 160, 48, Span(100_000)).contains("no waveforms received"));
}

#[test]
fn values_and_alerts_change_the_picture() {
    let mut app = board();
    app.heard(
        BOARD,
        response(Update::Values(v1::Values {
            transfer: "tx-sepsis".into(),
            gateway: "gw-amb-12".into(),
            value: vec![value("spo2", 97, 0)],
        })),
        Span::ZERO,
    );
    let mut over = alert(7, v1::AlertKind::LimitLow, v1::Priority::High, "spo2");
    over.set_phase(v1::AlertPhase::Ended);
    app.heard(
        BOARD,
        response(Update::Alert(v1::AlertTransition {
            transfer: "tx-sepsis".into(),
            ordinal: 3,
            at_us: NOON,
            alert: Some(over),
        })),
        Span::ZERO,
    );
    let shown = screen(&app, 160, 16, Span::ZERO);
    assert!(
        shown.contains("97") && !shown.contains("SpO2 low"),
        "{shown}"
    );
}

#[test]
fn a_joined_transfer_leaves_the_board() {
    let mut app = board();
    let mut joined = transfer();
    joined.alias.push("tx-silent".into());
    app.heard(BOARD, response(Update::Transfer(joined)), Span::ZERO);
    assert!(!screen(&app, 160, 16, Span::ZERO).contains("9ZZ-001"));
}

#[test]
fn keys_move_between_board_and_patients() {
    let mut app = board();
    assert_eq!(key(&mut app, KeyCode::Up), Act::Stay);
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-sepsis".into(), 1)
    );
    assert_eq!(
        key(&mut app, KeyCode::Right),
        Act::Follow("tx-silent".into(), 2)
    );
    assert_eq!(
        key(&mut app, KeyCode::Right),
        Act::Follow("tx-sepsis".into(), 3)
    );
    app.heard(
        Stream::Patient(2),
        snapshot(vec![silent_transfer()]),
        Span::ZERO,
    );
    assert!(
        !screen(&app, 160, 40, Span::ZERO).contains("gw-heli-3"),
        "a straggler was taken"
    );
    assert_eq!(key(&mut app, KeyCode::Char('?')), Act::Stay);
    insta::assert_snapshot!(screen(&app, 100, 24, Span::ZERO));
    assert_eq!(
        key(&mut app, KeyCode::Char('q')),
        Act::Stay,
        "closes the help first"
    );
    assert_eq!(key(&mut app, KeyCode::Esc), Act::Unfollow);
    assert_eq!(key(&mut app, KeyCode::Char('q')), Act::Leave);
}

#[test]
fn json_lines_keep_their_shape() {
    let lines: Vec<String> = [
        snapshot(vec![silent_transfer()]),
        response(Update::Alert(v1::AlertTransition {
            transfer: "tx-sepsis".into(),
            ordinal: 3,
            at_us: NOON,
            alert: transfer().alert.first().cloned(),
        })),
        response(Update::Heartbeat(v1::Heartbeat { conflated: 4 })),
    ]
    .iter()
    .filter_map(super::json::response)
    .map(|line| serde_json::to_string_pretty(&line).unwrap())
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
