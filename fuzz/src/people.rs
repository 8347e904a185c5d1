//! What people and programs send: tokens of an issuer and what that issuer publishes,
//! requests, forms of the crew's page.

use crate::input::Input;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use enroute_access::{Description, Issuing, Keys, Role};
use enroute_config::address::{is_protected, origin};
use enroute_feed::simulation as asks;
use enroute_gateway::simulation::crew_asks;
use enroute_live::Token as Resume;
use enroute_live::replay::Command;
use enroute_model::frame::{Body, Frame, Header};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::registry::is_region;
use enroute_model::time::{GatewayTime, ServerTime, Span};
use enroute_wire::limits::FRAME_BYTES_MAX;
use enroute_wire::{Message, frame, record, registry, v1};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::sync::OnceLock;

const NOW: ServerTime = ServerTime(1_800_000_000_000_000);
const ISSUER: &str = "https://id.example.org";

fn issuing() -> Issuing {
    let claim = |name: &str| Some(name.to_owned());
    let roles = [("doctors", Role::Clinician), ("desk", Role::Viewer)];
    Issuing {
        issuer: ISSUER.to_owned(),
        audience: "enroute".to_owned(),
        name_claim: "name".to_owned(),
        role_claim: "realm.roles".to_owned(),
        roles: roles.map(|(word, role)| (word.to_owned(), role)).into(),
        break_glass: claim("emergency"),
        hospital_claim: claim("hospitals"),
        transfer_claim: claim("transfers"),
        region_claim: claim("region"),
        all: claim("*"),
    }
}

fn signer() -> &'static (Ed25519KeyPair, Keys) {
    static SIGNER: OnceLock<(Ed25519KeyPair, Keys)> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let set = format!(r#"{{"keys":[{{"kid":"k","kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
        (pair, Keys::parse(set.as_bytes(), NOW).unwrap())
    })
}

/// What an issuer publishes, what somebody shows without its key, and claims that it
/// signed: who is let in has what the claims spell out and no more.
pub(crate) fn issued(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (pair, keys) = signer();
    match input.byte() % 4 {
        0 => {
            if let Ok(keys) = Keys::parse(input.0, NOW) {
                assert!(keys.are_believed(NOW));
                assert_eq!(Keys::parse(input.0, NOW).as_ref(), Ok(&keys));
                // No key that it names makes this one anybody's.
                assert!(issuing().token(&keys, "e30.e30.e30", NOW).is_err());
            }
        }
        1 => {
            if let Ok(described) = Description::parse(input.0, ISSUER) {
                let more = [described.authorization_endpoint, described.token_endpoint];
                for address in more.into_iter().flatten().chain([described.jwks_uri]) {
                    endpoint(&address);
                }
            }
        }
        2 => {
            let Ok(shown) = std::str::from_utf8(input.0) else {
                return;
            };
            let refused = issuing().token(keys, shown, NOW).unwrap_err();
            assert!(!refused.to_string().is_empty());
        }
        _ => {
            let header = br#"{"alg":"EdDSA","kid":"k"}"#;
            let parts = [&header[..], input.0].map(|part| URL_SAFE_NO_PAD.encode(part));
            let signed = parts.join(".");
            let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
            taken(keys, input.0, &format!("{signed}.{signature}"));
        }
    }
}

/// A browser's policy is one line of words.
fn endpoint(address: &str) {
    if let Some(origin) = origin(address) {
        let is_apart = |c: char| c.is_whitespace() || c.is_control() || ",;'\"".contains(c);
        assert!(!origin.contains(is_apart), "{origin:?}");
    }
    if let Ok(uri) = address.parse::<http::Uri>()
        && is_protected(&uri)
    {
        assert!(uri.host().is_some());
    }
}

fn taken(keys: &Keys, claims: &[u8], shown: &str) {
    let Ok(token) = issuing().token(keys, shown, NOW) else {
        return;
    };
    assert!(token.is_issued() && token.holds_by(keys, NOW));
    assert!(!token.holds_by(&Keys::default(), NOW));
    assert!(!token.name.is_empty() && !token.name.contains(char::is_control));
    assert!(matches!(token.role, Role::Clinician | Role::Viewer));
    let until = ServerTime(token.expires_us.unwrap());
    assert!((NOW.0..NOW.0 + (24 * 60 + 2) * 60_000_000).contains(&until.0));
    assert!(!token.holds_by(keys, until));
    let text = String::from_utf8_lossy(claims);
    // An escape in the text may spell any of it.
    let says = |word: &str| text.contains(word) || text.contains('\\');
    assert!(says(ISSUER) && says("enroute") && says(&token.name));
    assert!(!token.break_glass || says("emergency"));
    assert!(
        token
            .region
            .iter()
            .all(|region| is_region(region) && says(region))
    );
    let scope = &token.scope;
    let named = scope.hospitals.iter().chain(&scope.transfers);
    assert!(named.clone().all(|name| says(name)));
    assert!(named.count() > 0 || says("*"));
}

/// A request as the services read it. What is taken has its bounds; what goes to the
/// journal is read from there as it was meant.
pub(crate) fn request(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.byte() % 7 {
        0 => read(input.0, act),
        1 => read(input.0, |info| {
            if let Ok(info) = registry::info_from(info) {
                assert_eq!(registry::info_from(registry::info_to(&info)), Ok(info));
            }
        }),
        2 => read(input.0, |asked| {
            if let Ok(watch) = asks::watch(asked) {
                assert!(watch.transfers.iter().all(|name| is_name(name)));
                assert!(!watch.samples || !watch.transfers.is_empty());
            }
        }),
        3 => read(input.0, |asked| {
            if let Ok(play) = asks::play(asked) {
                assert!(is_name(&play.transfer));
                let times = play.speed.as_times();
                assert!(times.is_none_or(|times| (0.1..=10_000.0).contains(&times)));
            }
        }),
        4 => read(input.0, |asked: v1::ControlRequest| {
            if let Ok(Command::Speed(speed)) = asks::command(asked.command) {
                let times = speed.as_times();
                assert!(times.is_none_or(|times| (0.1..=10_000.0).contains(&times)));
            }
        }),
        5 => read(input.0, |asked| {
            if let Ok(change) = asks::identity(asked) {
                assert!(change.person.is_some() || !change.statements.is_empty());
            }
        }),
        _ => {
            let token = Resume::new(input.0.to_vec().into());
            if let Some(again) = token.again() {
                assert_eq!(again.again().as_ref(), Some(&again));
            }
        }
    }
}

fn read<M: Message + Default>(bytes: &[u8], check: impl FnOnce(M)) {
    if let Ok(message) = M::decode(bytes) {
        check(message);
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
}

fn act(request: v1::ActRequest) {
    if let Ok(actor) = asks::actor(&request.actor) {
        assert!(!actor.is_empty() && !actor.contains(char::is_control));
    }
    let Ok(action) = registry::action_from(request.action.unwrap_or_default()) else {
        return;
    };
    let again = registry::action_from(registry::action_to(&action));
    assert_eq!(again.as_ref(), Ok(&action));
    let stored = record::of_action("id", "a", &action);
    let read = record::decode(&stored);
    let Ok(enroute_model::record::Entry::Registry { action: read, .. }) = read else {
        panic!("{read:?}");
    };
    assert_eq!(read, action);
}

/// A form of the crew's page, as JSON. What is taken is a frame that a server takes.
pub(crate) fn crew(bytes: &[u8]) {
    let mut input = Input(bytes);
    let Ok(action) = std::str::from_utf8(input.piece()) else {
        return;
    };
    let Some(Ok(Some(event))) = crew_asks(action, input.0) else {
        return;
    };
    let header = Header {
        epoch: Epoch(1),
        stream: Stream::Events,
        sequence: 1,
        leg_first: 1,
        captured_at: GatewayTime(1),
        observed_at: None,
        boot: 1,
        monotonic: Span(1),
        clocks: None,
        exercise: false,
    };
    let body = Body::Crew(event);
    let sent = Frame { header, body };
    let encoded = frame::encode(&sent);
    assert!(encoded.len() <= FRAME_BYTES_MAX);
    assert_eq!(frame::decode(&encoded), Ok(sent));
}
