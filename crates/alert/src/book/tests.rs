use super::*;

#[test]
fn the_built_in_book_is_in_order() {
    let book = RuleBook::built_in();
    assert!(!book.head().is_approved());
}
