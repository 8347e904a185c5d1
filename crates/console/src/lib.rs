//! The browser console: the page that ICU staff leave open. `web/` holds it
//! (TypeScript and Svelte); `build.rs` builds it; this crate serves the files out
//! of the binary. The page speaks gRPC-Web to the feed on the same port and asks
//! nothing of any other host but the one at which people log in, if there is one; its
//! content security policy enforces that.
//!
//! Not here: any state, any patient data, the services themselves.
//!
//! Start with [`router`]; of the page, with `web/src/main.ts`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

/// All of it.
const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Files under here have a hash of their content in their name.
const HASHED: &str = "/assets/";

/// Only what this server gives: no script in the page itself, and no other host than
/// the `issuer` of tokens.
fn policy(issuer: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' {issuer}; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let strict = HeaderValue::from_static("default-src 'none'");
    HeaderValue::try_from(policy).unwrap_or(strict)
}

/// The page at `/`, and the files that it needs. `issuer`: the origin of the one host
/// besides this server that the page may ask, where people log in.
pub fn router(issuer: Option<&str>) -> Router {
    let mut router = Router::new();
    let policy = policy(issuer.unwrap_or_default());
    for file in FILES {
        let policy = policy.clone();
        let answer = get(move |headers: HeaderMap| async move { answer(file, &headers, policy) });
        if file.path == "/index.html" {
            router = router.route("/", answer);
        } else {
            router = router.route(file.path, answer);
        }
    }
    router
}

fn answer(file: &'static File, asked: &HeaderMap, policy: HeaderValue) -> Response {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|tags| {
        let tags = tags.to_str().unwrap_or_default().split(',');
        tags.map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == file.etag)
    });
    let gzip = file.gzip.filter(|_| takes_gzip(asked));
    let mut response = match gzip {
        _ if known => StatusCode::NOT_MODIFIED.into_response(),
        Some(gzip) => Body::from(gzip).into_response(),
        None => Body::from(file.plain).into_response(),
    };
    let kept = if file.path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = response.headers_mut();
    let mut say = |name, value| drop(headers.insert(name, HeaderValue::from_static(value)));
    say(header::CONTENT_TYPE, file.content_type);
    say(header::ETAG, file.etag);
    say(header::CACHE_CONTROL, kept);
    say(header::VARY, "accept-encoding");
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::REFERRER_POLICY, "no-referrer");
    if gzip.is_some() && !known {
        say(header::CONTENT_ENCODING, "gzip");
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let accepted = asked.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = accepted.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().trim_start_matches("q=").parse() == Ok(0.0_f32);
        name.trim() == "gzip" && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    fn said(response: &Response, name: header::HeaderName) -> String {
        let value = response.headers().get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    fn index() -> &'static File {
        let mut files = FILES.iter();
        files.find(|file| file.path == "/index.html").unwrap()
    }

    #[test]
    fn the_page_is_asked_for_again_and_its_parts_are_kept() {
        let page = answer(index(), &HeaderMap::new(), policy(""));
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(
            said(&page, header::CONTENT_TYPE),
            "text/html; charset=utf-8"
        );
        assert_eq!(said(&page, header::CACHE_CONTROL), "no-cache");
        let script = FILES
            .iter()
            .find(|file| file.path.starts_with(HASHED) && file.content_type.contains("javascript"))
            .unwrap();
        let script = answer(script, &HeaderMap::new(), policy(""));
        assert!(said(&script, header::CACHE_CONTROL).contains("immutable"));
        assert!(said(&script, header::CONTENT_TYPE).starts_with("text/javascript"));
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let etag = index().etag;
        let asked = asked(&[(header::IF_NONE_MATCH, etag)]);
        assert_eq!(
            answer(index(), &asked, policy("")).status(),
            StatusCode::NOT_MODIFIED
        );
        let other = self::asked(&[(header::IF_NONE_MATCH, "\"other\"")]);
        assert_eq!(answer(index(), &other, policy("")).status(), StatusCode::OK);
    }

    #[test]
    fn compressed_only_for_those_who_take_it() {
        for (accepted, compressed) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
        ] {
            let asked = asked(&[(header::ACCEPT_ENCODING, accepted)]);
            let page = answer(index(), &asked, policy(""));
            let coding = said(&page, header::CONTENT_ENCODING);
            assert_eq!(coding == "gzip", compressed, "{accepted}");
        }
    }

    #[test]
    fn nothing_in_the_page_runs_or_comes_from_elsewhere() {
        let page = answer(index(), &HeaderMap::new(), policy(""));
        let policy = said(&page, header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!policy.contains("://"), "{policy}");
        let known = super::policy("https://id.example.org");
        let known = known.to_str().unwrap();
        assert_eq!(known.matches("://").count(), 1, "{known}");
        assert!(
            known.contains("connect-src 'self' https://id.example.org;"),
            "{known}"
        );
        let html = std::str::from_utf8(index().plain).unwrap();
        assert!(!html.contains("<style") && !html.contains("://"), "{html}");
        for script in html.split("<script").skip(1) {
            assert!(script.contains("src=\"/assets/"), "{html}");
        }
    }
}
