//! Citations in documents: the files and folders that Markdown names exist, and the documents that comments name.

use std::path::Path;

/// Endings by which a cited word is known as a file's path.
const FILE_ENDINGS: &[&str] =
    &[".rs", ".md", ".sql", ".tsv", ".toml", ".yaml", ".txt", ".sh", ".py", ".svg", ".json"];

/// Folders of the repository's root: a word that begins with one of them is a path.
const ROOT_FOLDERS: &[&str] =
    &["benches/", "config/", "crates/", "docs/", "migrations/", "scripts/", "tests/", "xtask/"];

/// Add a line for each path that a Markdown file cites and that does not exist.
pub(super) fn check_markdown(file: &Path, text: &str, files: &[String], errors: &mut Vec<String>) {
    let folder = file.parent().unwrap_or(Path::new(""));
    for (number, line) in text.lines().enumerate() {
        let cited = in_backticks(line).filter(|word| is_path(word));
        let linked = links(line).filter(|target| !target.contains("://"));
        for path in cited.chain(linked) {
            if !exists(folder, path, files) {
                errors.push(format!(
                    "{}:{}: cites `{path}`, which does not exist",
                    file.display(),
                    number + 1
                ));
            }
        }
    }
}

/// Add a line for each document that a comment in Rust cites and that does not exist.
pub(super) fn check_comments(file: &Path, text: &str, files: &[String], errors: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        let words = comment.split(|c: char| !(c.is_alphanumeric() || "/._-<>*".contains(c)));
        for word in words.map(|word| word.trim_end_matches('.')) {
            let is_cited = word.starts_with("docs/") && !is_pattern(word);
            if is_cited && !exists(Path::new(""), word, files) {
                errors.push(format!(
                    "{}:{}: cites `{word}`, which does not exist",
                    file.display(),
                    number + 1
                ));
            }
        }
    }
}

fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next())
}

fn is_path(word: &str) -> bool {
    let looks_like_one = ROOT_FOLDERS.iter().any(|folder| word.starts_with(folder))
        || word.contains('/') && FILE_ENDINGS.iter().any(|ending| word.ends_with(ending));
    looks_like_one && !is_pattern(word) && !word.starts_with("target/")
}

/// A word with a gap to be filled names many files or none.
fn is_pattern(word: &str) -> bool {
    word.contains(['*', '<', '{', ' ', '…', '$']) || word.contains("..")
}

/// A path may be told from the repository's root, from the document's folder, or by its last parts.
fn exists(folder: &Path, path: &str, files: &[String]) -> bool {
    let path = path.trim_end_matches('/');
    let beside = normal(&folder.join(path));
    files.iter().any(|file| {
        [path, beside.as_str()].into_iter().any(|path| {
            file == path
                || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
                || file.strip_suffix(path).is_some_and(|rest| rest.ends_with('/'))
        })
    })
}

/// `docs/../README.md` is `README.md`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> usize {
        let files = ["README.md", "docs/style.md", "crates/rooms/src/send.rs"].map(str::to_owned);
        let mut errors = vec![];
        check_markdown(Path::new("docs/style.md"), text, &files, &mut errors);
        check_comments(Path::new("a.rs"), text, &files, &mut errors);
        errors.len()
    }

    #[test]
    fn a_citation_of_what_is_not_there_is_found() {
        let cases = [
            ("see `crates/rooms/src/send.rs` and `rooms/src/send.rs`", 0),
            ("the folder `crates/rooms`, `/sync`, `a/b` and `crates/*/src/x.rs`", 0),
            ("see `crates/rooms/src/gone.rs`", 1),
            ("see `gone/send.rs`", 1),
            ("[the front page](../README.md) and [elsewhere](https://example.org/x.md)", 0),
            ("[nothing](gone.md)", 1),
            ("// docs/style.md says why.", 0),
            (concat!("/", "/ docs/gone.md says why."), 1),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text), expected, "{text}");
        }
    }
}
