//! `cargo xtask tidy`: the rules of layout and names that neither rustfmt nor clippy knows.

mod citations;
mod comments;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{changes, claims, migrations};

/// A file longer than this must be split.
const FILE_LINES_MAX: usize = 1000;

/// Words that say nothing: what such a file holds belongs where it is used.
const FORBIDDEN_FILES: &[&str] =
    &["utils", "util", "helpers", "helper", "common", "manager", "service", "misc"];

/// Functions named so tell that they do something, not what.
const FORBIDDEN_FUNCTIONS: &[&str] = &["process_", "handle_"];

/// Folders that are not ours to check.
const SKIPPED: &[&str] =
    &["target", "node_modules", ".git", ".venv", "data", ".sqlx", "__pycache__"];

/// One line for each breach.
pub(crate) fn check() -> Vec<String> {
    let root = crate::root();
    let mut files = vec![];
    list_files(&root, &mut files);
    let names: Vec<String> = files
        .iter()
        .filter_map(|file| Some(file.strip_prefix(&root).ok()?.to_str()?.to_owned()))
        .collect();
    let mut errors = vec![];
    for file in &files {
        let shown = file.strip_prefix(&root).unwrap_or(file);
        let Ok(text) = fs::read_to_string(file) else { continue };
        check_machine_paths(shown, &text, &mut errors);
        match shown.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                check_rust(shown, &text, &mut errors);
                check_spans(shown, &text, &mut errors);
                migrations::check_statements(shown, &text, &mut errors);
                changes::check(shown, &text, &mut errors);
                claims::check(shown, &text, &mut errors);
                citations::check_comments(shown, &text, &names, &mut errors);
                comments::check(shown, &text, &mut errors);
            }
            Some("md") => citations::check_markdown(shown, &text, &names, &mut errors),
            _ => {}
        }
    }
    check_architecture(&root, &mut errors);
    errors.extend(migrations::check(&root));
    errors
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if SKIPPED.contains(&name.to_string_lossy().as_ref()) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list_files(&path, files)
        } else {
            files.push(path)
        }
    }
}

fn check_rust(file: &Path, text: &str, errors: &mut Vec<String>) {
    let shown = file.display();
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if text.lines().count() > FILE_LINES_MAX {
        errors.push(format!(
            "{shown}: more than {FILE_LINES_MAX} lines: split it by what its parts do"
        ));
    }
    if !text.starts_with("//!") {
        errors.push(format!("{shown}: the first line must be `//!` and say what the file is"));
    }
    if FORBIDDEN_FILES.contains(&stem.as_str()) {
        errors.push(format!("{shown}: `{stem}` says nothing: name the file by what it holds"));
    }
    if file.with_extension("").is_dir() && stem != "mod" {
        errors.push(format!(
            "{shown}: has a folder beside it: call it {}/mod.rs",
            file.with_extension("").display()
        ));
    }
    for (number, line) in text.lines().enumerate() {
        let name = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let name = name.trim_start_matches("async ").strip_prefix("fn ").unwrap_or_default();
        if let Some(prefix) = FORBIDDEN_FUNCTIONS.iter().find(|prefix| name.starts_with(**prefix)) {
            errors.push(format!(
                "{shown}:{}: a function named `{prefix}..` does not say what it does",
                number + 1
            ));
        }
    }
}

/// A span that logs what its function returns has every failure logged again by each caller: who answers or gives up logs it.
fn check_spans(file: &Path, text: &str, errors: &mut Vec<String>) {
    // Written in two parts, so that this file passes its own check.
    let span = concat!("tracing::", "instrument(");
    for (at, start) in text.match_indices(span) {
        let rest = text.get(at + start.len()..).unwrap_or_default();
        let attribute = rest.split(")]").next().unwrap_or_default();
        let logs = |word: &str| matches!(word.trim(), "err" | "ret");
        if attribute.split(['(', ')', ',']).any(logs) {
            let number = text.get(..at).unwrap_or_default().lines().count();
            errors.push(format!("{}:{number}: a span must not log errors", file.display()));
        }
    }
}

/// A path of somebody's machine works nowhere else.
fn check_machine_paths(file: &Path, text: &str, errors: &mut Vec<String>) {
    // Written in two parts, so that this file passes its own check.
    let machine_paths = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/tm", "p/")];
    if !file.extension().is_some_and(|extension| extension == "rs" || extension == "md") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        for start in machine_paths.iter().filter_map(|path| line.find(path)) {
            let before = line.get(..start).and_then(|text| text.chars().next_back());
            if !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}')) {
                errors.push(format!("{}:{}: a path of one machine", file.display(), number + 1));
            }
        }
    }
}

/// Every crate stands in the map, and the map names no crate that is gone.
fn check_architecture(root: &Path, errors: &mut Vec<String>) {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let Ok(entries) = fs::read_dir(root.join("crates")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !map.contains(&format!("`crates/{name}`")) {
            errors.push(format!("ARCHITECTURE.md: `crates/{name}` is missing from the code map"));
        }
    }
    for named in map.split("`crates/").skip(1) {
        let path = named.split('`').next().unwrap_or_default();
        if !root.join("crates").join(path).exists() {
            errors.push(format!("ARCHITECTURE.md: names `crates/{path}`, which does not exist"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        assert_eq!(check(), Vec::<String>::new());
    }

    fn check_text(path: &str, text: &str) -> Vec<String> {
        let mut errors = vec![];
        check_rust(Path::new(path), text, &mut errors);
        check_spans(Path::new(path), text, &mut errors);
        check_machine_paths(Path::new(path), text, &mut errors);
        errors
    }

    #[test]
    fn breaches_are_found() {
        let cases = [
            ("src/join.rs", "//! Joins a room.\npub fn join() {}\n", 0),
            ("src/utils.rs", "//! Things.\n", 1),
            ("src/join.rs", "use std::fs;\n", 1),
            ("src/join.rs", "//! Joins.\npub async fn handle_join() {}\n", 1),
            ("src/join.rs", concat!("//! Joins.\nconst A: &str = \"/wo", "rk/x\";\n"), 1),
            ("src/join.rs", concat!("//! Joins.\n#[tracing::", "instrument(skip_all, err)]\n"), 1),
            (
                "src/join.rs",
                concat!("//! Joins.\n#[tracing::", "instrument(fields(err = %1))]\n"),
                0,
            ),
            ("src/join.rs", concat!("//! See frame", "/wo", "rk/x\n"), 0),
        ];
        for (path, text, expected) in cases {
            assert_eq!(check_text(path, text).len(), expected, "{path}: {text}");
        }
        let long = format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX));
        assert_eq!(check_text("src/long.rs", &long).len(), 1);
    }
}
