//! Rule books as files, and what is printed of them.

use super::*;

fn book_in(dir: &Path) {
    for file in RuleBook::built_in().files() {
        std::fs::write(dir.join(&file.name), &file.text).unwrap();
    }
}

#[test]
fn the_limits_of_a_child_as_printed() {
    let book = RuleBook::built_in();
    let text = show::table(&book, Some(AgeBand::Child), &[]);
    insta::assert_snapshot!(without_hash(&text));
}

#[test]
fn the_limits_of_an_adult_with_two_conditions_as_printed() {
    let book = RuleBook::built_in();
    let conditions = ["traumatic_brain_injury", "ventilated", "measles"];
    let conditions = conditions.map(ToOwned::to_owned);
    let text = show::table(&book, None, &conditions);
    insta::assert_snapshot!(without_hash(&text));
}

/// It changes with every word of the book.
fn without_hash(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("sha256 "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_directory_is_read_as_the_book_that_was_exported() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("rules");
    export(&to).unwrap();
    let hash = RuleBook::built_in().hash();
    assert_eq!(load(&to).unwrap().hash(), hash);
    // What an editor leaves behind is no part of it.
    std::fs::write(to.join("adult.toml~"), "?").unwrap();
    std::fs::write(to.join(".adult.toml"), "?").unwrap();
    assert_eq!(load(&to).unwrap().hash(), hash);
    let again = export(&to).unwrap_err().to_string();
    assert!(
        again.ends_with("adolescent.toml exists; nothing was written"),
        "{again}"
    );
}

#[test]
fn one_file_may_be_a_whole_book() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.toml");
    let built_in = RuleBook::built_in();
    let all: Vec<_> = built_in
        .files()
        .iter()
        .map(|file| file.text.as_str())
        .collect();
    std::fs::write(&path, all.join("\n")).unwrap();
    let book = load(&path).unwrap();
    assert_eq!(book.population(None), built_in.population(None));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let reason = |path: &Path| {
        let text = load(path).unwrap_err().to_string();
        text.replace(&dir.path().display().to_string(), "DIR")
    };
    let nowhere = reason(&dir.path().join("nowhere"));
    assert!(nowhere.contains("DIR/nowhere: cannot be read"), "{nowhere}");
    let empty = reason(dir.path());
    assert!(
        empty.contains("a rule book has 1 to 32 .toml files, not 0"),
        "{empty}"
    );
    book_in(dir.path());
    std::fs::write(dir.path().join("x.toml"), b"\xff").unwrap();
    let binary = reason(dir.path());
    assert!(binary.contains("DIR/x.toml: is not UTF-8 text"), "{binary}");
    std::fs::write(dir.path().join("x.toml"), vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
    let large = reason(dir.path());
    assert!(large.contains("DIR/x.toml: has 262145 bytes"), "{large}");
}
