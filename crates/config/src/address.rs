//! Addresses: which ones somebody between could not read, and what a browser calls them.

use http::Uri;
use std::net::IpAddr;

/// Whether a host name never leaves this machine.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// Whether somebody may be asked for keys, or sent a password, there: over TLS, or
/// without leaving this machine.
#[must_use]
pub fn is_protected(address: &Uri) -> bool {
    match (address.scheme_str(), address.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_this_machine(host),
        _ => false,
    }
}

/// Scheme, host and port of an address, as a browser's policy names it.
#[must_use]
pub fn origin(address: &str) -> Option<String> {
    let address: Uri = address.parse().ok()?;
    let host = address.authority()?.as_str();
    // A policy is a line of words.
    let is_plain = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    is_plain.then(|| format!("{}://{host}", address.scheme_str().unwrap_or("https")))
}
