//! A match over the kinds of log entries names them all. Part of `cargo xtask tidy`.

use std::path::Path;

/// One line for each match over `Change` that has an arm `_`: a new kind of entry would be passed over there.
pub(crate) fn check(file: &Path, text: &str, errors: &mut Vec<String>) {
    let is_test = file.components().any(|part| part.as_os_str() == "tests");
    if !file.starts_with("crates") || is_test {
        return;
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
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
            ("if let Change::Event(e) = c {\n    match e {\n        _ => 0,\n    }\n}", 0),
            ("match c {\n    Change::Event(_) => 1,\n}\nmatch d {\n    _ => 0,\n}", 0),
            ("match c {\n    EphemeralChange::Typing(_) => 1,\n    _ => 0,\n}", 0),
        ] {
            let mut errors = vec![];
            check(Path::new("crates/sync/src/a.rs"), text, &mut errors);
            assert_eq!(errors.len(), expected, "{text}");
        }
    }
}
