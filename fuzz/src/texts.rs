//! Files that an administrator gives: configuration, keys, tokens, rule books.

use crate::input::Input;
use enroute_access::{Role, Tokens};
use enroute_alert::book::{BookFile, RuleBook};
use enroute_config::address::is_this_machine;
use enroute_config::gateway::GatewayFile;
use enroute_config::server::{BrokerAt, ServerConfig};
use enroute_config::{Checked, parse};
use enroute_model::registry::{AgeBand, is_region};
use enroute_model::time::ServerTime;
use enroute_seal::{KeyId, Keys};
use std::path::Path;

/// `server.toml` or `gateway.toml`. What is taken is safe, whatever the checks looked at:
/// nothing is open to the network, or goes over it, that was not said aloud (I12), and
/// figures have their bounds. What is refused is told in so many printable words.
pub(crate) fn config(bytes: &[u8]) {
    let mut input = Input(bytes);
    let is_server = input.byte() & 1 == 0;
    let Ok(text) = std::str::from_utf8(input.0) else {
        return;
    };
    if is_server {
        let config: Option<ServerConfig> = parsed(text);
        config.iter().for_each(server);
    } else {
        let config: Option<GatewayFile> = parsed(text);
        config.iter().for_each(gateway);
    }
}

fn parsed<C: Checked>(text: &str) -> Option<C> {
    match parse(Path::new("file.toml"), text) {
        Ok(config) => Some(config),
        Err(error) => {
            let words = error.to_string();
            assert!(words.starts_with("file.toml:"), "{words}");
            assert!(words.contains("what to do: "), "{words}");
            let hidden = |c: char| c.is_control() && c != '\n';
            assert!(!words.contains(hidden), "{words:?}");
            None
        }
    }
}

fn server(config: &ServerConfig) {
    let (tls, access) = (config.tls.as_ref(), config.access.as_ref());
    let tls = tls.map(toml::Spanned::get_ref);
    if !config.allow_unprotected_network {
        if !config.listen.get_ref().ip().is_loopback() {
            assert!(tls.is_some_and(|tls| tls.viewers.is_some() || access.is_some()));
        }
        match config.broker.at() {
            BrokerAt::Embedded(at) => {
                let is_known = tls.is_some_and(|tls| tls.gateways.is_some());
                assert!(at.ip().is_loopback() || is_known);
            }
            BrokerAt::External { host, .. } => {
                assert!(is_this_machine(&host) || config.broker.tls.is_some());
            }
        }
    }
    assert!(config.identity.is_none() || access.is_some());
    let oidc = access.and_then(|access| access.oidc.as_ref());
    if let Some(oidc) = oidc {
        let issuing = oidc.get_ref().issuing();
        assert!(!issuing.audience.is_empty());
        assert!(!issuing.roles.values().any(|role| *role == Role::Wall));
        assert!(issuing.hospital_claim.is_some() || issuing.transfer_claim.is_some());
    }
    let regions = config.regions();
    let all = regions.hospitals.values().chain(regions.gateways.values());
    assert!(all.chain(&regions.own).all(|region| is_region(region)));
    let kept = config.recordings.retention();
    assert!(kept.age.is_none_or(|age| age.0 > 0));
    assert!(kept.bytes_max.is_none_or(|bytes| bytes > 0));
    let limits = &config.limits;
    let most = [
        &limits.transfers_max,
        &limits.viewers_max,
        &limits.connections_max,
    ];
    let most = most.into_iter().chain(&limits.per_address_max);
    assert!(
        most.map(toml::Spanned::get_ref)
            .all(|max| (1..=1_000_000).contains(max))
    );
}

fn gateway(file: &GatewayFile) {
    let config = file.gateway.get_ref();
    let is_near = is_this_machine(&config.broker.host);
    assert!(is_near || config.broker.tls.is_some() || file.allow_unprotected_network);
    let page = &config.page;
    let is_page_near = page.listen.is_none_or(|at| at.ip().is_loopback());
    let is_page_safe = page.tls.is_some() && page.pin.is_some();
    assert!(is_page_near || is_page_safe || file.allow_unprotected_network);
    assert!(config.spool.bytes_max >= 1 << 20);
    let source = file.source.get_ref();
    assert!(source.simulator.is_some() != source.wfdb.is_some());
    if let Some(simulator) = &source.simulator {
        let simulator = simulator.get_ref();
        assert_eq!(simulator.course.is_some(), simulator.course().is_some());
    }
}

/// Keys of a file or a command. What is taken goes on with a fresh one; what is refused
/// is told without a word of what stood there.
pub(crate) fn keys(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let keys = match Keys::parse(text) {
        Ok(keys) => keys,
        Err(words) => {
            // Numbers of lines and keys may be told; what is as long may be a key.
            let long = |word: &str| word.len() > 16 && words.contains(word);
            assert!(!text.split_whitespace().any(long), "{words}");
            return;
        }
    };
    let ids: Vec<KeyId> = keys.ids().collect();
    assert!(ids.is_sorted() && ids.iter().all(|id| id.0 > 0));
    assert_eq!(ids.last(), Some(&keys.current()));
    assert_eq!(Keys::parse(text).as_ref(), Ok(&keys));
    let Ok(fresh) = Keys::fresh(Some(&keys)) else {
        assert_eq!(keys.current(), KeyId(u32::MAX));
        return;
    };
    // The last line may lack its end, and there may be as many as there may be.
    if let Ok(more) = Keys::parse(&format!("{text}\n{}", fresh.as_str())) {
        assert_eq!(more.current(), KeyId(keys.current().0 + 1));
        assert!(ids.iter().all(|id| more.has(*id)));
    }
}

/// A file of tokens that is taken is the same when written and read again; nobody is
/// known by a text that no token is.
pub(crate) fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(tokens) = Tokens::parse(text) {
        let again = tokens.to_text().unwrap();
        assert_eq!(Tokens::parse(&again).unwrap(), tokens);
        for line in text.lines() {
            assert!(tokens.find(line, None, ServerTime(0)).is_err());
        }
    }
}

/// The built-in book with one file replaced, or a book as the journal holds it.
pub(crate) fn rule_book(bytes: &[u8]) {
    let mut input = Input(bytes);
    let built_in = RuleBook::built_in();
    let mut files = built_in.files().to_vec();
    let which = usize::from(input.byte());
    match files.get_mut(which) {
        Some(file) => {
            let Ok(text) = std::str::from_utf8(input.0) else {
                return;
            };
            text.clone_into(&mut file.text);
        }
        None => match BookFile::unpack(input.0) {
            Ok(unpacked) => {
                let again = BookFile::unpack(&BookFile::pack(&unpacked));
                assert_eq!(again.as_ref(), Ok(&unpacked));
                files = unpacked;
            }
            Err(_) => return,
        },
    }
    match RuleBook::parse(files) {
        Ok(book) => {
            let again = RuleBook::parse(book.files().to_vec()).unwrap();
            assert_eq!(again.hash(), book.hash());
            let conditions: Vec<_> = book.overlays().iter().map(|o| o.name.clone()).collect();
            for band in [None, Some(AgeBand::Adult), Some(AgeBand::Neonate)] {
                drop(book.profile(band, &conditions));
                drop(book.conditions(band));
            }
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
}
