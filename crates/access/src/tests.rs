//! Tokens made, shown, revoked and damaged; scopes; who may what.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use crate::{Action, Refused, Role, SECRET_BYTES, Scope, Tokens, TokensError, Wanted};
use enroute_model::registry::ViewerRole::{OnCall, Viewer, Wall};
use enroute_model::time::ServerTime;

const NOW: ServerTime = ServerTime(1_700_000_000_000_000);

fn wanted(name: &str, role: Role) -> Wanted {
    Wanted {
        name: name.to_owned(),
        role,
        certificate: None,
        break_glass: false,
        region: None,
        expires_us: None,
        scope: Scope::default(),
    }
}

fn random(seed: u8) -> [u8; SECRET_BYTES] {
    std::array::from_fn(|i| seed.wrapping_add(u8::try_from(i).unwrap()))
}

#[test]
fn a_token_is_known_by_its_hash_and_gone_when_revoked() {
    let mut tokens = Tokens::default();
    let weber = tokens.add(wanted("Dr. Weber", Role::Clinician), &random(1));
    let weber = weber.unwrap();
    let other = tokens
        .add(wanted("wall-1", Role::Wall), &random(90))
        .unwrap();
    let text = tokens.to_text().unwrap();
    let (_, secret) = weber.rsplit_once('_').unwrap();
    assert!(!text.contains(secret), "{text}");
    let mut read = Tokens::parse(&text).unwrap();
    assert_eq!(read, tokens);
    let known = read.find(&weber, None, NOW).unwrap().clone();
    assert_eq!(
        (known.name.as_str(), known.role),
        ("Dr. Weber", Role::Clinician)
    );
    assert!(read.still_has(&known, NOW));
    // The id of one with the secret of the other.
    let (_, theirs) = other.rsplit_once('_').unwrap();
    let mixed = weber.replace(secret, theirs);
    for wrong in [
        mixed.as_str(),
        "",
        "enroute_",
        "enroute_01020304_",
        &weber[..70],
        "é",
    ] {
        assert_eq!(
            read.find(wrong, None, NOW),
            Err(Refused::Unknown),
            "{wrong}"
        );
    }
    read.revoke(&known.id).unwrap();
    assert_eq!(read.find(&weber, None, NOW), Err(Refused::Unknown));
    assert!(!read.still_has(&known, NOW));
    assert_eq!(
        read.revoke(&known.id),
        Err(TokensError::Unknown(known.id.clone()))
    );
    assert!(read.find(&other, None, NOW).is_ok());
}

#[test]
fn a_token_ends_in_time_and_works_with_its_certificate_alone() {
    let mut tokens = Tokens::default();
    let bound = Wanted {
        certificate: Some("wall-1".to_owned()),
        expires_us: Some(NOW.0),
        ..wanted("hall", Role::Wall)
    };
    let shown = tokens.add(bound, &random(7)).unwrap();
    let before = ServerTime(NOW.0 - 1);
    let token = tokens.find(&shown, Some("wall-1"), before).unwrap();
    assert!(tokens.still_has(token, before) && !tokens.still_has(token, NOW));
    let find = |certificate, at| tokens.find(&shown, certificate, at);
    assert_eq!(find(Some("wall-1"), NOW), Err(Refused::Expired));
    assert_eq!(find(Some("wall-2"), before), Err(Refused::Unbound));
    assert_eq!(find(None, before), Err(Refused::Unbound));
}

#[test]
fn a_token_whose_rights_change_is_another() {
    let mut tokens = Tokens::default();
    let shown = tokens.add(wanted("Ada", Role::Viewer), &random(3)).unwrap();
    let before = tokens.find(&shown, None, NOW).unwrap().clone();
    let text = tokens.to_text().unwrap();
    let changed = Tokens::parse(&text.replace("viewer", "operator")).unwrap();
    assert!(!changed.still_has(&before, NOW));
    let narrowed = text.replace("role = ", "hospitals = [\"HUG\"]\nrole = ");
    let narrowed = Tokens::parse(&narrowed).unwrap();
    assert!(!narrowed.still_has(&before, NOW));
}

#[test]
fn who_may_break_the_glass_is_said_by_the_token_and_is_never_a_wall() {
    let mut tokens = Tokens::default();
    let breaker = |name, role| Wanted {
        break_glass: true,
        ..wanted(name, role)
    };
    let shown = tokens.add(breaker("Ada", Role::Viewer), &random(3));
    let other = tokens.add(wanted("Bob", Role::Clinician), &random(60));
    let read = Tokens::parse(&tokens.to_text().unwrap()).unwrap();
    let breaks = |shown: &str| read.find(shown, None, NOW).unwrap().break_glass;
    assert!(breaks(&shown.unwrap()) && !breaks(&other.unwrap()));
    let wall = tokens.add(breaker("hall", Role::Wall), &random(90));
    assert!(matches!(wall, Err(TokensError::Content(_))));
    let text = tokens.to_text().unwrap().replace("viewer", "wall");
    assert!(matches!(Tokens::parse(&text), Err(TokensError::Content(_))));
}

#[test]
fn a_file_that_nobody_can_have_made_is_refused() {
    let mut tokens = Tokens::default();
    tokens.add(wanted("Ada", Role::Viewer), &random(3)).unwrap();
    let text = tokens.to_text().unwrap();
    let (head, entry) = text.split_once("[[token]]").unwrap();
    let twice = format!("{head}[[token]]{entry}\n[[token]]{entry}");
    let wrong = [
        twice,
        text.replace("viewer", "chief"),
        text.replace("hash = \"", "hash = \"x"),
        text.replace("id = \"", "id = \"../"),
        text.replace("Ada", " Ada"),
        text.replace("Ada", ""),
        text.replace("Ada", "A\\u0007da"),
        text.replace("name = ", "hospital = \"HUG\"\nname = "),
        "token = 1".to_owned(),
    ];
    for wrong in wrong {
        let refused = Tokens::parse(&wrong);
        assert!(matches!(refused, Err(TokensError::Content(_))), "{wrong}");
    }
    assert_eq!(Tokens::parse(""), Ok(Tokens::default()));
    let long = tokens.add(wanted(&"x".repeat(49), Role::Viewer), &random(9));
    assert!(matches!(long, Err(TokensError::Content(_))));
    let again = tokens.add(wanted("Bob", Role::Viewer), &random(3));
    assert!(matches!(again, Err(TokensError::Content(_))));
}

#[test]
fn a_scope_covers_what_goes_there_or_is_named() {
    let (a, b) = ("tx-a", "tx-b");
    let all = Scope::default();
    assert!(all.is_everything() && all.covers("", [a]));
    let hug = Scope {
        hospitals: vec!["HUG".to_owned()],
        ..Scope::default()
    };
    assert!(hug.covers("HUG", [a]));
    assert!(!hug.covers("CHUV", [a]) && !hug.covers("", [a]));
    let one = Scope {
        transfers: vec!["tx-a".to_owned()],
        ..Scope::default()
    };
    assert!(one.covers("HUG", [b, a]) && one.covers("", [a]));
    assert!(!one.covers("HUG", [b]) && !one.is_everything());
}

/// The whole table: what is not in it is refused.
#[test]
fn each_role_may_what_the_table_says() {
    let letters = |role: Role| -> String {
        let may = |action| if role.may(action) { 'x' } else { '.' };
        Action::ALL.map(may).iter().collect()
    };
    // Board, patient, report, treat, register, recordings, replay, delete, backup, export,
    // see identity, identify, forget, service.
    let table = [
        (Role::Wall, "x.x..........."),
        (Role::Viewer, "xxx......x...."),
        (Role::Clinician, "xxxxxxx..xxx.."),
        (Role::Operator, "xx..xxx..x...x"),
        (Role::Administrator, "x...xx.xx...xx"),
    ];
    assert_eq!(table.map(|(role, _)| role), Role::ALL);
    for (role, may) in table {
        assert_eq!(letters(role), may, "{}", role.as_str());
        assert_eq!(Role::named(role.as_str()), Some(role));
    }
    let claimed = Role::ALL.map(|role| role.looks_as(OnCall));
    assert_eq!(claimed, [Wall, Viewer, OnCall, Viewer, Viewer]);
}
