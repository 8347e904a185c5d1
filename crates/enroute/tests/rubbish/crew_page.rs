//! Rubbish for the crew's page. Nothing of it is recorded, nothing stops.

use crate::http::{ask, get, leave, raw};
use crate::random::Random;

pub(crate) async fn attack(page: &str, mut random: Random) {
    for (head, body, codes) in forms(page).into_iter().chain(strangers(page)) {
        let answer = ask(page, &head, &body).await;
        let fits = |code: &&str| {
            // A body that is refused unread may end in a reset.
            (code.is_empty() && answer.is_empty())
                || answer.starts_with(&format!("HTTP/1.1 {code}")) && !code.is_empty()
        };
        assert!(codes.iter().any(fits), "{head}: {answer}");
    }
    for _ in 0..50 {
        raw(page, &random.some_bytes(2_000)).await;
    }
    raw(
        page,
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(1 << 20)).as_bytes(),
    )
    .await;
    for _ in 0..100 {
        let head = post(page, "/act/note", FORM);
        leave(
            page,
            format!("{head}\r\nContent-Length: 99999999\r\n\r\ntext=").as_bytes(),
        )
        .await;
    }
    let state = get(page, "/api/state").await;
    assert!(state.starts_with("HTTP/1.1 200"), "{state}");
}

/// A request, its body, and the codes that may answer it; an empty one stands for
/// a connection that ended instead, as when a body is refused unread.
type Case = (String, Vec<u8>, &'static [&'static str]);

const FORM: &str = "\r\nContent-Type: application/x-www-form-urlencoded";
const JSON: &str = "\r\nContent-Type: application/json";

/// A request of the page itself.
fn post(page: &str, path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {page}\r\nOrigin: http://{page}{more}")
}

/// Wrong forms.
fn forms(page: &str) -> Vec<Case> {
    let post = |path: &str, more: &str| post(page, path, more);
    let huge = "x".repeat(1 << 20);
    vec![
        (
            post("/act/note", FORM),
            format!("text={huge}").into(),
            &["413", ""],
        ),
        (
            post("/api/act/note", JSON),
            huge.clone().into(),
            &["413", ""],
        ),
        (post("/act/note", FORM), b"text=%00%07".to_vec(), &["422"]),
        (
            post("/act/note", FORM),
            b"%%%&&&===".to_vec(),
            &["422", "400"],
        ),
        (post("/act/note", FORM), vec![0xff; 200], &["422", "400"]),
        (post("/act/note", ""), b"text=a".to_vec(), &["415"]),
        (post("/act/no-such", FORM), b"a=b".to_vec(), &["422"]),
        (post("/act/%ff%fe", FORM), b"a=b".to_vec(), &["400"]),
        (
            post("/act/population", FORM),
            b"weight_kg=1e999".to_vec(),
            &["422"],
        ),
        (
            post("/act/join", FORM),
            b"short_code=%F0%9F%9A%91".to_vec(),
            &["422"],
        ),
        (post("/api/act/note", JSON), b"[[[[".to_vec(), &["422"]),
        (
            post("/api/act/note", JSON),
            "[".repeat(30_000).into(),
            &["422"],
        ),
        (
            post("/api/act/note", JSON),
            b"{\"text\":{}}".to_vec(),
            &["422"],
        ),
    ]
}

/// Wrong methods, and requests that come from elsewhere.
fn strangers(page: &str) -> Vec<Case> {
    vec![
        (
            format!("DELETE / HTTP/1.1\r\nHost: {page}"),
            Vec::new(),
            &["405"],
        ),
        (
            format!("PUT /act/start HTTP/1.1\r\nHost: {page}"),
            Vec::new(),
            &["405"],
        ),
        (
            format!("GET /act/start HTTP/1.1\r\nHost: {page}"),
            Vec::new(),
            &["405"],
        ),
        (
            format!("GET /../../etc/passwd HTTP/1.1\r\nHost: {page}"),
            Vec::new(),
            &["404"],
        ),
        (
            "GET / HTTP/1.1\r\nHost: evil.example".to_owned(),
            Vec::new(),
            &["403"],
        ),
        (
            format!("POST /act/end HTTP/1.1\r\nHost: {page}\r\nOrigin: http://evil.example{FORM}"),
            Vec::new(),
            &["403"],
        ),
        (
            format!("POST /act/end HTTP/1.1\r\nHost: {page}\r\nSec-Fetch-Site: cross-site{FORM}"),
            Vec::new(),
            &["403"],
        ),
        (
            format!("POST /api/act/end HTTP/1.1\r\nHost: {page}\r\nOrigin: null{JSON}"),
            b"{}".to_vec(),
            &["403"],
        ),
    ]
}
