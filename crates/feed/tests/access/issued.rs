//! Tokens of an issuer, good and forged, over gRPC and gRPC-Web; what hangs on them.

use crate::bench::{Bench, Made, START, in_time, with};
use crate::matrix::{letter, native, web};
use crate::streams::{ids, next, snapshot};
use enroute_access::{ISSUED_BYTES_MAX, Issuing, KEYS_KEPT_US, Keys, Role, Scope};
use enroute_feed::Issuer;
use enroute_model::time::ServerTime;
use enroute_tests::issuer::{Key, encoded, hmac_signed, part, published};
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::watch_response::Update;
use enroute_wire::{Message, v1};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Code, Status, Streaming};

const ISSUER: &str = "https://id.example.org/realms/icu";
const NOW_S: i64 = START / 1_000_000;

fn issuing() -> Issuing {
    let roles = [
        ("icu-doctors", Role::Clinician),
        ("icu-seniors", Role::Clinician),
        ("it", Role::Administrator),
    ];
    Issuing {
        issuer: ISSUER.to_owned(),
        audience: "enroute".to_owned(),
        name_claim: "name".to_owned(),
        role_claim: "realm_access.roles".to_owned(),
        roles: roles.map(|(word, role)| (word.to_owned(), role)).into(),
        break_glass: Some("emergency".to_owned()),
        hospital_claim: Some("hospitals".to_owned()),
        transfer_claim: Some("transfers".to_owned()),
        region_claim: Some("region".to_owned()),
        all: Some("*".to_owned()),
    }
}

/// What a doctor of HUG has.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "enroute", "sub": "7f31", "name": "Dr. Weber",
        "iat": NOW_S - 10, "exp": NOW_S + 300,
        "realm_access": { "roles": ["offline_access", "icu-doctors"] },
        "hospitals": ["HUG"],
    })
}

/// The same but for these; `null` takes one away.
fn but(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else {
        panic!("no changes")
    };
    for (name, value) in changes {
        claims[&name] = value;
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn keys(keys: &[&Key]) -> Arc<Keys> {
    let published = published(keys).to_string();
    Arc::new(Keys::parse(published.as_bytes(), ServerTime(START)).unwrap())
}

struct Known {
    bench: Bench,
    keys: watch::Sender<Arc<Keys>>,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
}

async fn known(first: &[&Key]) -> Known {
    let (keys, known) = watch::channel(keys(first));
    let (again, asked) = mpsc::channel(16);
    let issuer = Issuer {
        issuing: Arc::new(issuing()),
        keys: known,
        again,
    };
    let mut made = Made::default();
    made.add("static", Role::Viewer, Scope::default());
    Known {
        bench: Bench::with_issuer(made, Some(issuer)).await,
        keys,
        asked,
    }
}

/// What becomes of a look at a transfer, over gRPC and over gRPC-Web.
async fn looked(bench: &Bench, token: &str, transfer: &str) -> (char, char) {
    let message = v1::WatchRequest {
        transfer: vec![transfer.to_owned()],
        ..Default::default()
    };
    let message = message.encode_to_vec();
    let over_grpc = native(bench, "Live/Watch", token, message.clone()).await;
    let over_web = web(bench, "Live/Watch", token, message).await;
    (letter(over_grpc), letter(over_web))
}

#[tokio::test]
async fn a_token_of_the_issuer_is_let_in_and_no_forgery_is() {
    let (p256, ed, rsa) = (Key::p256("p"), Key::ed25519("e"), Key::rsa("r"));
    let (stranger, other) = (Key::p256("stranger"), Key::p256("p"));
    let Known { bench, asked, .. } = known(&[&p256, &ed, &rsa]).await;
    // Whoever asks for other keys is told at once that there are none.
    drop(asked);
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let claims = claims();
    let good = p256.token(&claims);
    let (text, signature) = good.rsplit_once('.').unwrap();
    let swapped = part(&but(json!({"hospitals": ["CHUV"]})));
    let swapped = format!("{}.{swapped}.{signature}", good.split('.').next().unwrap());
    let public = rsa.public()["n"].as_str().unwrap().to_owned();
    let carried = json!({"alg": "ES256", "kid": "stranger", "jwk": stranger.public()});
    let looks = [
        ("ES256", 'y', good.clone()),
        ("EdDSA", 'y', ed.token(&claims)),
        ("RS256", 'y', rsa.token(&claims)),
        ("PS256", 'y', rsa.signed(&header("PS256", "r"), &claims)),
        (
            "no algorithm",
            'u',
            format!("{}.{}.", part(&header("none", "p")), part(&claims)),
        ),
        (
            "no algorithm, in capitals",
            'u',
            format!("{}.{}.", part(&header("NONE", "p")), part(&claims)),
        ),
        (
            "a shared secret: the public key",
            'u',
            hmac_signed(public.as_bytes(), &header("HS256", "r"), &claims),
        ),
        (
            "the algorithm of another key",
            'u',
            p256.signed(&header("ES256", "e"), &claims),
        ),
        (
            "another algorithm of the same key",
            'u',
            p256.signed(&header("ES384", "p"), &claims),
        ),
        ("PS256 signed as RS256", 'u', {
            let signed = rsa.token(&claims);
            let rest = signed.split_once('.').unwrap().1.to_owned();
            format!("{}.{rest}", part(&header("PS256", "r")))
        }),
        ("a key nobody knows", 'u', stranger.token(&claims)),
        (
            "a key that it brings along",
            'u',
            stranger.signed(&carried, &claims),
        ),
        ("another key of the same name", 'u', other.token(&claims)),
        (
            "no name of a key",
            'u',
            p256.signed(&json!({"alg": "ES256"}), &claims),
        ),
        (
            "words that we must understand",
            'u',
            p256.signed(
                &json!({"alg": "ES256", "kid": "p", "crit": ["b64"], "b64": false}),
                &claims,
            ),
        ),
        ("other claims under the signature", 'u', swapped),
        ("no signature", 'u', format!("{text}.")),
        ("half of it", 'u', good[..good.len() / 2].to_owned()),
        ("a part more", 'u', format!("{good}.{signature}")),
        ("garbage", 'u', "a.b.c".to_owned()),
        ("dots", 'u', "...".to_owned()),
        ("no JSON", 'u', p256.signed(&json!("no header"), &claims)),
        ("no claims", 'u', p256.token(&json!([]))),
        (
            "nearly too long",
            'y',
            p256.token(&but(json!({"x": "x".repeat(4_000)}))),
        ),
        (
            "too long",
            'u',
            p256.token(&but(json!({"x": "x".repeat(ISSUED_BYTES_MAX)}))),
        ),
        ("of a static token's form", 'u', format!("enroute_{good}")),
        ("a static one beside it", 'y', bench.shown["static"].clone()),
    ];
    for (what, expected, token) in looks {
        let seen = looked(&bench, &token, "tx-a").await;
        assert_eq!(seen, (expected, expected), "{what}");
    }
}

#[tokio::test]
async fn what_a_token_does_not_say_it_does_not_open() {
    let key = Key::ed25519("e");
    let Known { bench, .. } = known(&[&key]).await;
    let roles = |roles: Value| json!({"realm_access": {"roles": roles}});
    // Each claim that is wrong or missing, and what becomes of a look at tx-a (of HUG)
    // and tx-b (of CHUV).
    let looks = [
        (json!({}), "y-"),
        (json!({"iss": "https://id.example.org/realms/other"}), "uu"),
        (json!({"iss": format!("{ISSUER}/")}), "uu"),
        (json!({"iss": [ISSUER]}), "uu"),
        (json!({"iss": null}), "uu"),
        (json!({"aud": "billing"}), "uu"),
        (json!({"aud": ["billing", "enroute"]}), "y-"),
        (json!({"aud": []}), "uu"),
        (json!({"aud": {"enroute": true}}), "uu"),
        (json!({"aud": null}), "uu"),
        (json!({"exp": NOW_S - 31}), "uu"),
        (json!({"exp": NOW_S - 29, "iat": NOW_S - 100}), "y-"),
        (json!({"exp": null}), "uu"),
        (json!({"exp": "tomorrow"}), "uu"),
        (json!({"exp": i64::MAX}), "uu"),
        (json!({"exp": NOW_S + 25 * 3_600}), "uu"),
        (json!({"iat": NOW_S + 31}), "uu"),
        (json!({"iat": NOW_S + 29}), "y-"),
        (json!({"iat": null}), "uu"),
        (json!({"nbf": NOW_S + 31}), "uu"),
        (json!({"nbf": NOW_S + 29}), "y-"),
        (json!({"nbf": "now"}), "uu"),
        (json!({"sub": null}), "uu"),
        (json!({"name": null}), "uu"),
        (json!({"name": " "}), "uu"),
        (json!({"name": "x".repeat(49)}), "uu"),
        (json!({"name": "Dr.\nWeber"}), "uu"),
        (json!({"realm_access": null}), "uu"),
        (json!({"realm_access": ["icu-doctors"]}), "uu"),
        (roles(json!([])), "uu"),
        (roles(json!(["clinician"])), "uu"),
        (roles(json!(["icu-doctors", "icu-seniors"])), "y-"),
        (roles(json!(["icu-doctors", "it"])), "uu"),
        (roles(json!("icu-seniors")), "y-"),
        (roles(json!(["it"])), "--"),
        (json!({"hospitals": null}), "uu"),
        (json!({"hospitals": []}), "uu"),
        (json!({"hospitals": [""]}), "uu"),
        (json!({"hospitals": {"HUG": true}}), "uu"),
        (json!({"hospitals": ["HUG", 7]}), "uu"),
        (json!({"hospitals": vec!["HUG"; 65]}), "uu"),
        (json!({"hospitals": "CHUV"}), "-y"),
        (json!({"hospitals": ["*"]}), "yy"),
        (json!({"hospitals": null, "transfers": ["tx-b"]}), "-y"),
        (json!({"hospitals": ["HUG"], "transfers": "tx-b"}), "yy"),
        (json!({"hospitals": ["HUG"], "transfers": 1}), "uu"),
    ];
    for (changes, expected) in looks {
        let what = changes.to_string();
        let token = key.token(&but(changes));
        let (a, b) = (
            looked(&bench, &token, "tx-a").await,
            looked(&bench, &token, "tx-b").await,
        );
        let seen: String = [a.0, b.0].into_iter().collect();
        assert_eq!((a.0, b.0), (a.1, b.1), "{what}");
        assert_eq!(seen, expected, "{what}");
    }
}

async fn board(bench: &Bench, token: &str) -> Result<Streaming<v1::WatchResponse>, Status> {
    let mut live = LiveClient::new(bench.channel().await);
    let watch = live.watch(with(token, v1::WatchRequest::default()));
    in_time(watch).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_key_that_is_gone_ends_what_hung_on_it_and_nothing_else() {
    let (gone, stays) = (Key::p256("gone"), Key::rsa("stays"));
    let Known { bench, keys, .. } = known(&[&gone, &stays]).await;
    let mut ends = board(&bench, &gone.token(&claims())).await.unwrap();
    let mut lives = board(&bench, &stays.token(&claims())).await.unwrap();
    for stream in [&mut ends, &mut lives] {
        assert_eq!(ids(&snapshot(next(stream).await.unwrap())), ["tx-a"]);
    }
    keys.send_replace(self::keys(&[&stays]));
    let ended = next(&mut ends).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    bench.assign("tx-n", "HUG").await;
    assert!(matches!(next(&mut lives).await, Ok(Update::Transfer(_))));
    // Another key under its name is another key.
    keys.send_replace(self::keys(&[&Key::rsa("other"), &Key::p256("stays")]));
    let ended = next(&mut lives).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
}

#[tokio::test]
async fn a_new_key_is_fetched_before_its_first_token_is_refused() {
    let (old, new) = (Key::p256("old"), Key::p256("new"));
    let Known {
        bench,
        keys,
        mut asked,
    } = known(&[&old]).await;
    let token = new.token(&claims());
    let fetches = async {
        let asker = asked.recv().await.unwrap();
        keys.send_replace(self::keys(&[&old, &new]));
        drop(asker);
    };
    let (watched, ()) = tokio::join!(board(&bench, &token), fetches);
    let mut watched = watched.unwrap();
    assert_eq!(ids(&snapshot(next(&mut watched).await.unwrap())), ["tx-a"]);
    // What is known, and what is wrong for another reason, makes nobody ask.
    board(&bench, &old.token(&claims())).await.unwrap();
    let forged = old.token(&but(json!({"aud": "billing"})));
    board(&bench, &forged).await.unwrap_err();
    board(&bench, &encoded(b"garbage")).await.unwrap_err();
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn a_token_ends_its_streams_with_its_time_and_keys_with_theirs() {
    let key = Key::p256("p");
    let Known { bench, keys, asked } = known(&[&key]).await;
    drop(asked);
    let mut stream = board(&bench, &key.token(&claims())).await.unwrap();
    next(&mut stream).await.unwrap();
    // Its end, and the 30 s by which clocks may differ.
    bench.clock.set(330_000_000);
    // As each minute does.
    keys.send_modify(|_| {});
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    let later = |us: i64| {
        let now = NOW_S + us / 1_000_000;
        key.token(&but(json!({"iat": now, "exp": now + 300})))
    };
    bench.clock.set(KEYS_KEPT_US - 1);
    let mut stream = board(&bench, &later(KEYS_KEPT_US - 1)).await.unwrap();
    next(&mut stream).await.unwrap();
    bench.clock.set(KEYS_KEPT_US);
    keys.send_modify(|_| {});
    let ended = next(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    let refused = board(&bench, &later(KEYS_KEPT_US)).await.unwrap_err();
    assert!(
        refused.message().contains("issuer was not reached"),
        "{refused}"
    );
}

#[test]
fn a_set_of_keys_holds_what_can_be_used_and_is_bounded() {
    let parse = |value: &Value| Keys::parse(value.to_string().as_bytes(), ServerTime(START));
    let rsa = Key::rsa("r").public();
    let of = |change: Value| {
        let mut key = rsa.clone();
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        json!({ "keys": [key] })
    };
    let secret = json!({"keys": [{"kid": "s", "kty": "oct", "k": "c2VjcmV0"}]});
    let unusable = [
        secret,
        json!({"keys": []}),
        of(json!({"use": "enc"})),
        of(json!({"alg": "RS1"})),
        of(json!({"alg": "HS256"})),
        of(json!({"kid": ""})),
        of(json!({"key_ops": ["sign"]})),
        of(json!({"n": "?"})),
    ];
    for set in &unusable {
        assert!(parse(set).is_err(), "{set}");
    }
    assert!(parse(&of(json!({"alg": "RS256", "key_ops": ["verify"]}))).is_ok());
    let many: Vec<Value> = (0..65).map(|_| rsa.clone()).collect();
    assert!(parse(&json!({ "keys": many })).is_err());
    assert!(Keys::parse(b"<html>", ServerTime(START)).is_err());
}

#[tokio::test]
async fn a_word_beside_the_role_lets_its_bearer_break_the_glass_as_long_as_it_is_there() {
    let key = Key::ed25519("e");
    let Known { bench, .. } = known(&[&key]).await;
    let roles = |roles: Value| json!({"realm_access": {"roles": roles}});
    let may = |id: i64| {
        let mut changes = roles(json!(["icu-doctors", "emergency"]));
        changes["jti"] = json!(id);
        key.token(&but(changes))
    };
    let plain = key.token(&claims());
    let alone = key.token(&but(roles(json!(["emergency"]))));
    let message = crate::matrix::message("Access/BreakGlass tx-b", 0);
    let code = async |token: &str| {
        let code = native(&bench, "Access/BreakGlass", token, message.clone()).await;
        letter(code)
    };
    assert_eq!((code(&alone).await, code(&plain).await), ('u', '-'));
    assert_eq!(code(&may(1)).await, 'y');
    // A token that was renewed meanwhile is the same person's; one that lost the word
    // opens nothing.
    let seen = [may(1), may(2), plain];
    let mut letters = Vec::new();
    for token in seen {
        letters.push(looked(&bench, &token, "tx-b").await);
    }
    assert_eq!(letters, [('y', 'y'), ('y', 'y'), ('-', '-')]);
}
