//! A match over the kinds of log entries names them all. Part of `cargo xtask tidy`.

use std::path::Path;

use regex::Regex;

/// The parts that make answers of entries and keep nothing of them: they may pick the kinds that an answer is about. Whoever keeps
/// something in memory has to say of each kind what it changes.
const ANSWERS: [&str; 4] = [
    "crates/sync/src/old_sync/",
    "crates/sync/src/reader/",
    "crates/sync/src/unread/",
    "crates/sync/src/v3/",
];

/// One line for each match over `Change` that has an arm `_`, and for each pattern that stands for itself outside of answers: a new kind
/// of entry would be passed over there.
pub(crate) fn check(file: &Path, text: &str, errors: &mut Vec<String>) {
    let is_test = file.components().any(|part| part.as_os_str() == "tests");
    if !file.starts_with("crates") || is_test {
        return;
    }
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    if !ANSWERS.iter().any(|folder| file.starts_with(folder)) {
        check_single_patterns(file, code, errors);
    }
    // How far the arms of the match are indented.
    let mut arms: Option<usize> = None;
    for (place, line) in (1..).zip(code.lines()) {
        let word = line.trim_start();
        let indent = line.len() - word.len();
        if word.is_empty() {
            continue;
        }
        if arms.is_some_and(|arms| indent < arms) {
            arms = None;
        }
        if word.trim_start_matches("| ").starts_with("Change::") {
            arms = Some(indent);
        } else if arms == Some(indent) && (word.starts_with("_ =>") || word.starts_with("_ if ")) {
            errors.push(format!(
                "{}:{place}: name the kinds of `Change` instead of `_`, so that a new one is not passed over",
                file.display()
            ));
        }
    }
}

/// `if let`, `let .. else` and `matches!` name one kind. Asking whether an entry is unknown passes none over.
fn check_single_patterns(file: &Path, code: &str, errors: &mut Vec<String>) {
    let Ok(pattern) = Regex::new(r"(?:\blet\b[^=;{]*?|\bmatches!\([^;]*?)\bChange::(\w+)") else {
        return;
    };
    for captures in pattern.captures_iter(code) {
        let (Some(whole), Some(kind)) = (captures.get(0), captures.get(1)) else { continue };
        if kind.as_str() != "Other" {
            let place = code.get(..whole.end()).unwrap_or_default().lines().count();
            errors.push(format!(
                "{}:{place}: match all kinds of `Change` by name, so that a new one is not passed over",
                file.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_pass_a_new_kind_over_is_told() {
        for (text, expected) in [
            ("match c {\n    Change::Event(_) => 1,\n    _ => 0,\n}", 1),
            (
                "match c {\n    Change::Event(_)\n    | Change::Account { .. } => 1,\n    _ if x => 0,\n}",
                1,
            ),
            (
                "match c {\n    Change::Event(e) => match e {\n        1 => 1,\n        _ => 0,\n    }\n}",
                0,
            ),
            ("if let Change::Event(e) = c {\n    match e {\n        _ => 0,\n    }\n}", 1),
            ("let Change::Event(event) = &entry.change else { continue };", 1),
            ("entries.any(|e| matches!(e.change, Change::Account { .. }))", 1),
            ("if let Change::Other { .. } = entry.change {", 0),
            ("let change = Change::Profile { user_id };", 0),
            ("#[cfg(test)]\nmod tests;\nmatch c {\n    Change::Event(_) => 1,\n    _ => 0,\n}", 1),
            ("#[cfg(test)]\nmod tests {\n    let Change::Event(e) = c else { return };\n}", 0),
            ("match c {\n    Change::Event(_) => 1,\n}\nmatch d {\n    _ => 0,\n}", 0),
            ("match c {\n    EphemeralChange::Typing(_) => 1,\n    _ => 0,\n}", 0),
        ] {
            let mut errors = vec![];
            check(Path::new("crates/sync/src/a.rs"), text, &mut errors);
            assert_eq!(errors.len(), expected, "{text}");
        }
    }

    #[test]
    fn answers_may_pick_a_kind() {
        let mut errors = vec![];
        let text = "if let Change::Event(event) = &entry.change {";
        check(Path::new("crates/sync/src/reader/a.rs"), text, &mut errors);
        assert!(errors.is_empty(), "{errors:?}");
    }
}
