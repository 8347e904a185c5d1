//! What goes into the journal comes out as it was; wrong registry entries are refused.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use bytes::Bytes;
use enroute_model::frame::{Body, Code, CrewEvent, Frame, Header};
use enroute_model::ids::{BookHash, Epoch, GatewayId, Lane, Stream, TransferId};
use enroute_model::record::Entry;
use enroute_model::registry::{
    AgeBand, Leg, Mode, Place, Population, RegistryAction, TransferInfo,
};
use enroute_model::state::LimitsInForce;
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_wire::{frame, limits, record, registry, v1};
use prost::Message;

fn gateway() -> GatewayId {
    GatewayId::new("gw-1").unwrap()
}

fn info() -> TransferInfo {
    let place = |name: &str, latitude_e7| Place {
        name: name.into(),
        latitude_e7,
        longitude_e7: 871_000_000,
    };
    TransferInfo {
        hospital: "Ürümqi 1".into(),
        legs: vec![Leg {
            vehicle: "UP-LJ042".into(),
            mode: Mode::Air,
            gateway: Some(gateway()),
            from: place("Almaty", 432_000_000),
            to: place("Ürümqi", 438_000_000),
            departs_at: Some(ServerTime(1)),
            arrives_at: None,
        }],
        population: Population {
            age_band: Some(AgeBand::Adult),
            weight_g: Some(80_000),
        },
        conditions: vec!["sepsis".into()],
        concern: "septic shock on noradrenaline".into(),
        regions: vec!["KZ".into(), "CN".into()],
    }
}

#[test]
fn a_frame_is_kept_byte_for_byte() {
    let sent = Frame {
        header: Header {
            epoch: Epoch(7),
            stream: Stream::Events,
            sequence: 1,
            leg_first: 1,
            captured_at: GatewayTime(1),
            observed_at: None,
            boot: 1,
            monotonic: Span(1),
            clocks: None,
            exercise: false,
        },
        body: Body::Crew(CrewEvent::Note("ETA 14:05".into())),
    };
    let bytes = Bytes::from(frame::encode(&sent));
    let stored = record::of_frame(&gateway(), Lane::History, bytes.clone());
    assert!(stored.windows(bytes.len()).any(|window| window == bytes));
    let expected = Entry::Frame {
        gateway: gateway(),
        lane: Lane::History,
        digest: crc32fast::hash(&bytes),
        frame: Box::new(sent),
    };
    assert_eq!(record::decode(&stored), Ok(expected));
}

#[test]
fn the_steps_of_each_waveform_are_found() {
    let waveform = |delta: Vec<i32>| v1::Waveform {
        code: 131_330,
        whole_rate_hz: 360,
        whole_gain: 200,
        delta,
        missing: vec![1, 2],
        ..v1::Waveform::default()
    };
    let waveforms = vec![
        waveform(vec![975, 6, -6]),
        waveform(vec![]),
        waveform(vec![3]),
    ];
    let body = v1::frame::Body::Waveforms(v1::Waveforms {
        waveform: waveforms,
    });
    let frame = v1::Frame {
        header: Some(v1::Header::default()),
        body: Some(body),
    };
    let payload = record::of_frame(&gateway(), Lane::Live, frame.encode_to_vec().into());
    let found = record::steps(&payload).into_iter();
    let found: Vec<&[u8]> = found.map(|steps| &payload[steps]).collect();
    assert_eq!(found, [&[0x9e, 0x0f, 12, 11][..], &[6]]);
    for end in 0..payload.len() {
        assert_eq!(record::steps(&payload[..end]), []);
    }
    assert_eq!(record::steps(&record::of_presence(&gateway(), true)), []);
}

#[test]
fn presence_and_actions_come_back() {
    let presence = Entry::Presence {
        gateway: gateway(),
        online: true,
    };
    assert_eq!(
        record::decode(&record::of_presence(&gateway(), true)),
        Ok(presence)
    );
    for action in [
        RegistryAction::Put(info()),
        RegistryAction::JoinInto(TransferId::new("tx-2").unwrap()),
        RegistryAction::HandOverTo(gateway()),
        RegistryAction::Close,
        RegistryAction::Reopen,
        RegistryAction::SetLimits {
            code: Code(150_456),
            limits: Some(LimitsInForce {
                warn_low: Some(88.0),
                ..LimitsInForce::default()
            }),
            reason: "chronic".into(),
        },
        RegistryAction::SetLimits {
            code: Code(150_456),
            limits: None,
            reason: "over".into(),
        },
        RegistryAction::AutoLimits {
            codes: vec![Code(147_842)],
            reason: "stable like this".into(),
        },
    ] {
        let entry = Entry::Registry {
            action_id: "a-1".into(),
            actor: "desk".into(),
            action: action.clone(),
            happened_unrecorded: None,
        };
        assert_eq!(
            record::decode(&record::of_action("a-1", "desk", &action)),
            Ok(entry)
        );
    }
}

#[test]
fn a_rule_book_is_named_by_its_hash() {
    let hash = BookHash(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let read = record::decode(&record::of_rule_book(hash));
    assert_eq!(read, Ok(Entry::RuleBook { hash }));
}

#[test]
fn limits_need_finite_numbers_and_a_reason() {
    use v1::registry_action::Action;
    let refused = |action| {
        let action = Some(action);
        let action = registry::action_from(v1::RegistryAction { action });
        action.unwrap_err().to_string()
    };
    let set = |limit, reason: &str| {
        Action::SetLimits(v1::SetLimits {
            code: 1,
            limits: Some(v1::Limits {
                warn_low: Some(limit),
                ..v1::Limits::default()
            }),
            reason: reason.to_owned(),
        })
    };
    let auto = |codes: usize, reason: &str| {
        Action::AutoLimits(v1::AutoLimits {
            code: vec![1; codes],
            reason: reason.to_owned(),
        })
    };
    insta::assert_snapshot!(
        [
            refused(set(f64::NAN, "why")),
            refused(set(f64::INFINITY, "why")),
            refused(set(90.0, " ")),
            refused(auto(1, "")),
            refused(auto(limits::LIMIT_CODES_MAX + 1, "why")),
        ]
        .join("\n"),
        @"
    a limit is not a finite number
    a limit is not a finite number
    why the limits are set is missing
    why the limits are set is missing
    codes: 65 is more than 64
    "
    );
}

#[test]
fn a_wrong_registry_entry_is_refused_with_the_field() {
    let refused = |change: &dyn Fn(&mut v1::TransferInfo)| {
        let mut wrong = registry::info_to(&info());
        change(&mut wrong);
        registry::info_from(wrong).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            refused(&|i| i.hospital = "x".repeat(limits::LABEL_CHARS_MAX + 1)),
            refused(&|i| i.leg = vec![v1::Leg::default(); limits::LEGS_MAX + 1]),
            refused(&|i| i.condition = vec![String::new(); limits::CONDITIONS_MAX + 1]),
            refused(&|i| i.leg[0].mode = 0),
            refused(&|i| i.leg[0].gateway = "Not An Id".into()),
            refused(&|i| i.leg[0].from = None),
            refused(&|i| i.leg[0].to.as_mut().unwrap().latitude_e7 = i32::MIN),
        ]
        .join("\n"),
        @r"
    hospital: 65 is more than 64
    legs: 17 is more than 16
    conditions: 17 is more than 16
    the mode of a leg, road or air is missing
    the gateway of a leg is not a gateway id
    where a leg starts is missing
    a position is not on Earth: degrees times 10^7, at most ±90 and ±180
    "
    );
}

#[test]
fn a_record_that_says_nothing_is_refused() {
    assert_eq!(
        record::decode(&Bytes::new()).unwrap_err().word(),
        "missing_part"
    );
    assert_eq!(
        record::decode(&Bytes::from_static(b"\xff\xff"))
            .unwrap_err()
            .word(),
        "malformed"
    );
}
