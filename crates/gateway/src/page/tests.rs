//! The page over real sockets, by requests written by hand.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use super::actions::{Action, parse};
use super::html::escape;
use super::*;
use crate::config::PageTls;
use crate::desk::Item;
use crate::spool::{Spool, Spooled};
use crate::stats::Stats;
use enroute_model::frame::{Body, CrewEvent, LinkReport};
use enroute_model::ids::TransferId;
use enroute_model::time::{Clock, Span};
use enroute_tls::authority::{Authority, Purpose};
use enroute_wire::{Message, v1};
use std::net::SocketAddr;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

struct Stopped;

impl Clock for Stopped {
    fn wall(&self) -> i64 {
        1_800_000_000_000_000
    }
    fn monotonic(&self) -> Span {
        Span(7)
    }
}

struct Box {
    addr: SocketAddr,
    desk: Arc<Desk>,
    recorded: mpsc::Receiver<Vec<Spooled>>,
    config: crate::config::SpoolConfig,
    _dir: tempfile::TempDir,
}

async fn start() -> Box {
    start_with(None).await
}

async fn start_with(pin: Option<&str>) -> Box {
    start_over(pin, None).await
}

async fn start_over(pin: Option<&str>, tls: Option<PageTls>) -> Box {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(GatewayId::new("gw-1").unwrap());
    config.spool.dir = dir.path().to_owned();
    config.page.pin = pin.map(ToOwned::to_owned);
    config.page.tls.clone_from(&tls);
    config.page.names = vec!["crew.example".to_owned()];
    let spool = Spool::open(&config.spool, None).unwrap();
    let (sender, recorded) = mpsc::channel(64);
    let desk = Arc::new(Desk::new(
        spool,
        sender,
        true,
        Arc::new(Stopped),
        Arc::new(Stats::default()),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        tls.map(|tls| Arc::new(Acceptor::new(tls.files()).unwrap())),
        router(Arc::clone(&desk), &config, Router::new()),
    ));
    Box {
        addr,
        desk,
        recorded,
        config: config.spool,
        _dir: dir,
    }
}

impl Box {
    async fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let length = body.len();
        let request =
            format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn post(&self, action: &str, form: &str) -> String {
        let host = self.addr;
        let head = format!(
            "POST /act/{action} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/x-www-form-urlencoded"
        );
        self.ask(&head, form).await
    }

    async fn get(&self, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}", self.addr);
        self.ask(&head, "").await
    }

    fn last(&mut self) -> CrewEvent {
        let mut last = None;
        while let Ok(frames) = self.recorded.try_recv() {
            last = frames.last().cloned();
        }
        match enroute_wire::frame::decode(&last.unwrap().payload)
            .unwrap()
            .body
        {
            Body::Crew(event) => event,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_page_says_what_matters() {
    let page = start().await;
    let html = page.get("/").await;
    for text in [
        "200 OK",
        "EXERCISE",
        "primary alarm",
        "NO CONNECTION",
        "default-src 'self'",
    ] {
        assert!(html.contains(text), "{text} is not in {html}");
    }
    let state = page.get("/api/state").await;
    assert!(
        state.contains("\"receiving\":false") && state.contains("\"transfer\":null"),
        "{state}"
    );
    assert!(page.get("/page.js").await.contains("poll"));
}

#[tokio::test]
async fn entries_are_recorded() {
    let mut page = start().await;
    let done = page
        .post("note", "text=Pupils+equal%2C+5%26nbsp%3Bmm")
        .await;
    assert!(done.starts_with("HTTP/1.1 303"), "{done}");
    assert_eq!(
        page.last(),
        CrewEvent::Note("Pupils equal, 5&nbsp;mm".to_owned())
    );
    page.post("join", "short_code=o1l-abc").await;
    assert_eq!(
        page.last(),
        CrewEvent::Join {
            short_code: "011ABC".to_owned()
        }
    );
    let json = format!(
        "POST /api/act/population HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json",
        page.addr
    );
    let answer = page
        .ask(&json, r#"{"age_band":"child","weight_kg":21.5}"#)
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"short_code\":\""),
        "{answer}"
    );
    let CrewEvent::Population(population) = page.last() else {
        panic!("no population")
    };
    assert_eq!(population.weight_g, Some(21_500));
    let first = page.desk.status().borrow().transfer.clone();
    page.post("start", "").await;
    assert_ne!(page.desk.status().borrow().transfer, first);
    page.post("end", "").await;
    assert_eq!(page.last(), CrewEvent::End);
    let refused = page.post("note", "text=late").await;
    assert!(
        refused.starts_with("HTTP/1.1 422") && refused.contains("No transfer is going on"),
        "{refused}"
    );
    // The monitor may still be attached: that patient has left.
    let body = Body::Link(LinkReport::default());
    page.desk
        .record_source(vec![Item {
            body,
            observed_at: None,
        }])
        .await
        .unwrap();
    assert_eq!(page.desk.status().borrow().transfer, None);
    assert_eq!(page.desk.stats.dropped_after_end.get(), 1);
}

#[tokio::test]
async fn with_a_pin_nobody_sees_or_acts_before_it_is_typed() {
    let mut page = start_with(Some("4711")).await;
    let locked = page.get("/").await;
    assert!(locked.starts_with("HTTP/1.1 401"), "{locked}");
    assert!(locked.contains("NO CONNECTION") && !locked.contains("id=notes"));
    assert!(page.get("/api/state").await.starts_with("HTTP/1.1 401"));
    assert!(page.get("/page.css").await.starts_with("HTTP/1.1 200"));
    assert!(
        page.post("note", "text=x")
            .await
            .starts_with("HTTP/1.1 401")
    );
    assert!(page.recorded.try_recv().is_err());
    let form = |path: &str, more: &str| {
        let host = page.addr;
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}{more}\r\nContent-Type: application/x-www-form-urlencoded"
        )
    };
    let wrong = page.ask(&form("/pin", ""), "pin=0000").await;
    assert!(wrong.contains("This is not the PIN"), "{wrong}");
    let right = page.ask(&form("/pin", ""), "pin=4711").await;
    assert!(right.starts_with("HTTP/1.1 303"), "{right}");
    assert!(right.contains("HttpOnly; SameSite=Strict"), "{right}");
    let cookie = right.split("set-cookie: ").nth(1).unwrap();
    let cookie = format!("\r\nCookie: a=b; {}", cookie.split(';').next().unwrap());
    let inside = page
        .ask(
            &format!("GET / HTTP/1.1\r\nHost: {}{cookie}", page.addr),
            "",
        )
        .await;
    assert!(inside.contains("id=notes") && inside.contains("Lock this page"));
    let done = page.ask(&form("/act/note", &cookie), "text=inside").await;
    assert!(done.starts_with("HTTP/1.1 303"), "{done}");
    page.ask(&form("/lock", &cookie), "").await;
    let done = page.ask(&form("/act/note", &cookie), "text=outside").await;
    assert!(done.starts_with("HTTP/1.1 401"), "{done}");
    assert_eq!(page.last(), CrewEvent::Note("inside".to_owned()));
}

/// What the hospital says, as it comes over the broker.
fn told(note: &v1::NoteToCrew, from_crew: Vec<v1::CrewEntry>) -> Vec<u8> {
    let notes = v1::Notes {
        to_crew: vec![note.clone()],
        from_crew,
        acknowledged: vec![v1::Alert {
            code: 147_842,
            kind: v1::AlertKind::LimitHigh.into(),
            value: Some(141),
            acknowledged: Some(v1::Attention {
                by: "Dr. Weber".to_owned(),
                at_us: 3_600_000_000,
            }),
            ..v1::Alert::default()
        }],
    };
    notes.encode_to_vec()
}

#[tokio::test]
async fn notes_go_both_ways_and_say_how_far_they_came() {
    let mut page = start().await;
    tokio::spawn(crate::notes::answer(Arc::clone(&page.desk)));
    page.post("note", "text=Two+more+hours").await;
    let html = page.get("/").await;
    assert!(html.contains("waits on board"), "{html}");
    let transfer = page.desk.status().borrow().transfer.clone().unwrap();
    let note = v1::NoteToCrew {
        id: "n1".to_owned(),
        from: Some(v1::Attention {
            by: "Dr. <Weber>".to_owned(),
            at_us: 60_000_000,
        }),
        text: "MAP above 65 & warm".to_owned(),
        ..v1::NoteToCrew::default()
    };
    page.last();
    // Of another transfer: kept for when it goes on, and not shown or answered.
    let other = TransferId::new("tx-other").unwrap();
    page.desk.hear_notes(other, &told(&note, Vec::new()));
    assert!(!page.get("/").await.contains("MAP above"));
    page.desk
        .hear_notes(transfer.clone(), &told(&note, Vec::new()));
    let taken = |read| CrewEvent::NotesTaken {
        notes: vec!["n1".to_owned()],
        read,
    };
    let delivered = page.recorded.recv().await.unwrap();
    let delivered = enroute_wire::frame::decode(&delivered[0].payload).unwrap();
    assert_eq!(delivered.body, Body::Crew(taken(false)));
    let html = page.get("/").await;
    for text in [
        "Dr. &lt;Weber&gt;, 00:01:00 UTC",
        "MAP above 65 &amp; warm",
        "<small>NEW</small>",
        "Heart rate (ECG) high 141: Dr. Weber, 01:00:00 UTC",
    ] {
        assert!(html.contains(text), "{text} is not in {html}");
    }
    page.post("read-notes", "").await;
    assert_eq!(page.last(), taken(true));
    page.post("read-notes", "").await;
    assert!(page.recorded.try_recv().is_err(), "said once");
    let html = page.get("/").await;
    assert!(html.contains("you have read it"), "{html}");
    let ours = v1::CrewEntry {
        captured_at_us: Stopped.wall(),
        event: Some(v1::CrewEvent {
            event: Some(v1::crew_event::Event::Note("Two more hours".to_owned())),
        }),
        read: note.from.clone(),
        ..v1::CrewEntry::default()
    };
    page.desk
        .hear_notes(transfer.clone(), &told(&note, vec![ours]));
    let html = page.get("/").await;
    assert_eq!(html.matches("Two more hours").count(), 1, "{html}");
    assert!(html.contains("read by Dr. &lt;Weber&gt;"), "{html}");
    page.desk.hear_notes(transfer, b"");
    assert!(!page.get("/").await.contains("MAP above"));
}

#[tokio::test]
async fn a_failed_disk_is_said_and_healed() {
    let mut page = start().await;
    page.post("start", "").await;
    page.desk
        .spool::<()>(|_| panic!("a test asked for it"))
        .await
        .unwrap_err();
    let html = page.get("/").await;
    assert!(html.contains("NOT RECORDING, NOT SENDING"), "{html}");
    assert!(html.contains("class=bad"), "{html}");
    let epoch = |frames: &[Spooled]| frames[0].life.0;
    let config = page.config.clone();
    page.desk.reopen(config).await.unwrap();
    let html = page.get("/").await;
    assert!(!html.contains("NOT RECORDING"), "{html}");
    page.post("note", "text=first").await;
    let first = epoch(&page.recorded.recv().await.unwrap());
    // Now its tail is unclean.
    page.desk.reopen(page.config.clone()).await.unwrap();
    page.post("note", "text=second").await;
    let second = epoch(&page.recorded.recv().await.unwrap());
    assert_ne!(first, second, "a new life");
    assert_eq!(page.desk.status().borrow().unconfirmed, 2);
}

#[tokio::test]
async fn other_sites_and_other_names_are_refused() {
    let mut page = start().await;
    let addr = page.addr;
    let form = "Content-Type: application/x-www-form-urlencoded";
    for head in [
        format!(
            "POST /act/start HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://evil.example\r\n{form}"
        ),
        format!("POST /act/start HTTP/1.1\r\nHost: {addr}\r\nOrigin: null\r\n{form}"),
        format!("POST /act/start HTTP/1.1\r\nHost: {addr}\r\nSec-Fetch-Site: cross-site\r\n{form}"),
        format!(
            "POST /act/start HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n{form}"
        ),
        "GET /api/state HTTP/1.1\r\nHost: evil.example:80".to_owned(),
    ] {
        let answer = page.ask(&head, "").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{head}: {answer}");
    }
    let simple =
        format!("POST /api/act/start HTTP/1.1\r\nHost: {addr}\r\nContent-Type: text/plain");
    assert!(page.ask(&simple, "{}").await.starts_with("HTTP/1.1 422"));
    assert!(page.recorded.try_recv().is_err());
    let named = page
        .ask("GET /api/state HTTP/1.1\r\nHost: crew.example:8090", "")
        .await;
    assert!(named.starts_with("HTTP/1.1 200"), "{named}");
    let huge = page
        .post("note", &format!("text={}", "x".repeat(40_000)))
        .await;
    assert!(huge.starts_with("HTTP/1.1 413"), "{huge}");
}

#[tokio::test]
async fn the_longest_note_fits_in_any_script() {
    let mut page = start().await;
    // U+1F691, four bytes, each sent as %XX.
    let note = "%F0%9F%9A%91".repeat(enroute_wire::limits::TEXT_CHARS_MAX);
    let answer = page.post("note", &format!("text={note}")).await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    match page.last() {
        CrewEvent::Note(text) => assert_eq!(text.chars().count(), 2_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_entries_are_explained() {
    let words = Language::En.words();
    let cases = [
        ("join", "short_code", "12345", "six letters or digits"),
        ("population", "age_band", "old", "age band"),
        ("population", "weight_kg", "0", "kilograms"),
        ("population", "weight_kg", "NaN", "kilograms"),
        ("acvpu", "value", "B", "A, C, V, P and U"),
        ("oxygen", "value", "", "air or oxygen"),
        ("intervention", "kind", "surgery", "from the list"),
        ("note", "text", "  ", "Write something"),
        ("note", "text", "a\u{7}b", "cannot be shown"),
        ("fly", "", "", "no such action"),
    ];
    for (action, field, value, message) in cases {
        let fields = BTreeMap::from([(field.to_owned(), value.to_owned())]);
        let error = parse(action, &fields, words).unwrap_err();
        assert!(error.contains(message), "{action} {value}: {error}");
    }
    let fields = BTreeMap::from([("value".to_owned(), "U".to_owned())]);
    let Ok(Action::Enter(CrewEvent::Observation { value, .. })) = parse("acvpu", &fields, words)
    else {
        panic!("no observation")
    };
    assert_eq!(value.mantissa(), 4);
}

#[tokio::test]
async fn the_page_speaks_the_readers_language() {
    let mut page = start_with(Some("4711")).await;
    let addr = page.addr;
    let get = |more: &str| format!("GET / HTTP/1.1\r\nHost: {addr}\r\n{more}");
    let chinese = page.ask(&get("Accept-Language: fr, zh-CN;q=0.9"), "").await;
    assert!(chinese.contains("<html lang=zh-Hans>"), "{chinese}");
    assert!(
        chinese.contains("无连接"),
        "before the PIN is typed too: {chinese}"
    );
    let post = |path: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}{more}\r\nContent-Type: application/x-www-form-urlencoded"
        )
    };
    let chosen = page.ask(&post("/language", ""), "to=zh-Hans").await;
    assert!(chosen.starts_with("HTTP/1.1 303"), "{chosen}");
    let cookie = chosen.split("set-cookie: ").nth(1).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    // What was chosen counts more than what the browser prefers.
    let with = format!("\r\nAccept-Language: en\r\nCookie: {cookie}");
    let wrong = page.ask(&post("/pin", &with), "pin=0").await;
    assert!(wrong.contains("PIN 不正确"), "{wrong}");
    let right = page.ask(&post("/pin", &with), "pin=4711").await;
    let token = right.split("set-cookie: ").nth(1).unwrap();
    let with = format!("{with}; {}", token.split(';').next().unwrap());
    let refused = page.ask(&post("/act/join", &with), "short_code=1").await;
    assert!(refused.contains("短码为六位"), "{refused}");
    let inside = page.ask(&get(with.trim_start()), "").await;
    for text in ["加入", "除颤", "对声音有反应", "锁定本页", ">English<"] {
        assert!(inside.contains(text), "{text} is not in {inside}");
    }
    let state = format!("GET /api/state HTTP/1.1\r\nHost: {addr}{with}");
    assert!(page.ask(&state, "").await.contains("\"headline\":\"无连接"));
    page.ask(&post("/act/note", &with), "text=ok").await;
    assert_eq!(page.last(), CrewEvent::Note("ok".to_owned()));
}

#[test]
fn text_is_escaped() {
    assert_eq!(
        escape("<a href=\"x\">'&"),
        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are checked against the wall clock"
)]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// An authority, and what it makes for a page.
fn certified(dir: &std::path::Path) -> (Authority, PageTls) {
    let authority = Authority::open(dir, "vehicles", now()).unwrap();
    let names = vec!["localhost".to_owned()];
    let issued = authority.issue("page", Purpose::Server(names)).unwrap();
    let tls = PageTls {
        certificate: issued.certificate,
        key: issued.key,
    };
    (authority, tls)
}

#[tokio::test]
async fn over_tls_the_page_is_shown_to_who_knows_its_authority_and_in_clear_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, tls) = certified(dir.path());
    let page = start_over(Some("4711"), Some(tls)).await;
    let port = page.addr.port();
    let ca = authority.certificate();
    let ask = async |request: &str| {
        let mut stream = enroute_tls::dial("localhost", port, Some(&ca))
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let entered = "POST /pin HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n\
                   Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\
                   Connection: close\r\n\r\npin=4711";
    let entered = ask(entered).await;
    let cookie = entered
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let look = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    assert!(ask(&look).await.starts_with("HTTP/1.1 200 "));
    let stranger = tempfile::tempdir().unwrap();
    let (stranger, _) = certified(stranger.path());
    let refused = enroute_tls::dial("localhost", port, Some(&stranger.certificate())).await;
    assert!(refused.is_err());
    let mut clear = TcpStream::connect(page.addr).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    clear.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // It may be cut off before all of it is read.
    drop(clear.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_shown_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, tls) = certified(dir.path());
    let page = start_over(None, Some(tls.clone())).await;
    let ca = authority.certificate();
    let shown = async || {
        let dialled = enroute_tls::dial("localhost", page.addr.port(), Some(&ca)).await;
        // Between the two files they do not go together, and what was read before stays.
        let dialled = dialled.unwrap();
        let chain = dialled.get_ref().1.peer_certificates().unwrap();
        chain[0].to_vec()
    };
    let first = shown().await;
    let names = vec!["localhost".to_owned()];
    let renewed = authority.issue("renewed", Purpose::Server(names)).unwrap();
    std::fs::rename(renewed.key, tls.key).unwrap();
    std::fs::rename(renewed.certificate, tls.certificate).unwrap();
    let renewed = async { while shown().await == first {} };
    let hang = std::time::Duration::from_mins(1);
    tokio::time::timeout(hang, renewed).await.unwrap();
}

#[tokio::test]
async fn what_is_on_disk_counts_as_produced_whether_or_not_somebody_still_waits() {
    let page = start().await;
    let item = Item {
        body: Body::Crew(CrewEvent::Note("on the way".to_owned())),
        observed_at: None,
    };
    let mut recording = std::boxed::Box::pin(page.desk.record(vec![item]));
    // It begins, and is stopped wherever it is.
    std::future::poll_fn(|cx| Poll::Ready(recording.as_mut().poll(cx).is_ready())).await;
    drop(recording);
    let mut status = page.desk.status();
    let is_there = |status: &crate::desk::Status| status.unconfirmed == 1;
    status.wait_for(is_there).await.unwrap();
    assert_eq!(page.desk.stats.produced_all(), 1);
}
