//! Files that an administrator gives: tokens, rule books.

use crate::input::Input;
use enroute_access::Tokens;
use enroute_alert::book::{BookFile, RuleBook};
use enroute_model::registry::AgeBand;
use enroute_model::time::ServerTime;

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
