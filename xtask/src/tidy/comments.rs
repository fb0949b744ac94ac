//! Doc comments: each begins with a subject or a verb, and says more than a name. Public items have one.
//!
//! Fields and variants need none where their name and the comment of their type say all, so rustc's `missing_docs` does not fit.

use std::{collections::BTreeSet, path::Path};

/// Words that begin a clause without a subject, or half a sentence. A comment begins with something else.
const FORBIDDEN_BEGINNINGS: &[&str] = &[
    "By", "For", "From", "How", "Of", "On", "Since", "That", "Those", "Up", "What", "When",
    "Where", "Which", "Who", "Whoever", "Whom", "Whose", "Why", "With", "Without",
];

/// Comments that an error's source says already.
const FILLERS: &[&str] = &["The database failed."];

/// Words that add nothing to a name.
const EMPTY_WORDS: &[&str] = &["a", "an", "is", "it", "its", "nid", "of", "that", "the", "this"];

/// Keywords that may stand before the kind of an item.
const QUALIFIERS: &[&str] = &["async ", "const ", "unsafe "];

/// The kinds of items that are documented. Modules have their comment inside.
const ITEMS: &[&str] =
    &["const ", "enum ", "fn ", "static ", "struct ", "trait ", "type ", "union "];

/// Add a line for each doc comment that says too little, and for each public item of a crate that has none.
pub(super) fn check(file: &Path, text: &str, errors: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    for comment in list_comments(&lines) {
        if let Some(fault) = find_fault(&comment) {
            errors.push(format!("{}:{}: {fault}", file.display(), comment.line));
        }
    }
    let is_source =
        file.starts_with("crates") && file.iter().nth(2).is_some_and(|part| part == "src");
    if is_source {
        let undocumented = list_undocumented(&lines);
        errors.extend(
            undocumented.map(|line| {
                format!("{}:{line}: a public item needs a doc comment", file.display())
            }),
        );
    }
}

/// A doc comment and what it stands before.
struct Comment<'a> {
    /// The number of its first line, from 1.
    line: usize,
    text: String,
    /// The line of the item. `None` for a comment on the file.
    item: Option<&'a str>,
}

fn list_comments<'a>(lines: &[&'a str]) -> Vec<Comment<'a>> {
    let mut comments: Vec<Comment<'a>> = vec![];
    let mut is_open = false;
    for (number, line) in (1..).zip(lines) {
        let code = line.trim_start();
        let outer = code.strip_prefix("///").filter(|rest| !rest.starts_with('/'));
        let text = outer.or_else(|| code.strip_prefix("//!"));
        match (text, comments.last_mut()) {
            (Some(text), Some(comment)) if is_open => {
                comment.text.push(' ');
                comment.text.push_str(text.trim());
            }
            (Some(text), _) => {
                comments.push(Comment { line: number, text: text.trim().to_owned(), item: None });
                is_open = true;
            }
            (None, Some(comment)) if is_open && !code.starts_with(['#', '/']) => {
                comment.item = (!code.is_empty()).then_some(code);
                is_open = false;
            }
            (None, _) => {}
        }
    }
    comments
}

fn find_fault(comment: &Comment<'_>) -> Option<String> {
    let first = comment.text.split([' ', ',', ':', '.']).next().unwrap_or_default();
    if FORBIDDEN_BEGINNINGS.contains(&first) {
        return Some(format!("a comment that begins with `{first}` has no subject"));
    }
    if FILLERS.contains(&comment.text.as_str()) {
        return Some("this comment says nothing: leave it out".to_owned());
    }
    let name = field_name(comment.item?)?;
    let said = words(&comment.text);
    let is_filler = !said.is_empty() && said.is_subset(&words(name));
    is_filler.then(|| format!("this comment says no more than `{name}`: leave it out"))
}

/// The name of a field or a variant. `None` for other items, which have a comment in any case.
fn field_name(item: &str) -> Option<&str> {
    let item = without_visibility(item);
    if item_kind(item).is_some() || item.starts_with("impl") || item.starts_with("macro_rules!") {
        return None;
    }
    item.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().filter(|name| !name.is_empty())
}

fn without_visibility(item: &str) -> &str {
    let Some(rest) = item.strip_prefix("pub") else { return item };
    match rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((_, item)) => item,
        None => rest.trim_start(),
    }
}

/// The kind of an item that is to be documented, by its line without visibility.
fn item_kind(mut item: &str) -> Option<&'static str> {
    loop {
        if let Some(kind) = ITEMS.iter().copied().find(|kind| item.starts_with(kind)) {
            let rest = item.strip_prefix(kind)?;
            // `const fn` is a function.
            if !(QUALIFIERS.contains(&kind) && item_kind(rest).is_some()) {
                return Some(kind);
            }
        }
        item = QUALIFIERS.iter().find_map(|word| item.strip_prefix(word))?;
    }
}

/// The words of a comment or a name in lower case, without the ends of plurals. `StateKey` has two, and so has `state_key`.
fn words(text: &str) -> BTreeSet<String> {
    let mut spaced = String::new();
    for c in text.chars() {
        if c.is_uppercase() && spaced.ends_with(char::is_lowercase) {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
    }
    let words = spaced.split_whitespace().map(str::to_lowercase);
    let telling = words.filter(|word| !EMPTY_WORDS.contains(&word.as_str()));
    let singular = telling.map(|word| word.trim_end_matches('s').to_owned());
    singular.filter(|word| !word.is_empty()).collect()
}

/// The numbers of the lines of public items without a comment, tests aside.
fn list_undocumented<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    let tests = lines.windows(2).position(|two| matches!(two, ["#[cfg(test)]", "mod tests {"]));
    // How far the public trait is indented whose items are read.
    let mut within: Option<usize> = None;
    lines.iter().take(tests.unwrap_or(lines.len())).enumerate().filter_map(move |(at, line)| {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if within.is_some_and(|outer| indent <= outer && !code.is_empty()) {
            within = None;
        }
        let is_of_trait = within.is_some_and(|outer| indent == outer + 4);
        let item = code.strip_prefix("pub ").or_else(|| is_of_trait.then_some(code))?;
        let kind = item_kind(item)?;
        if kind == "trait " {
            within = Some(indent);
        }
        (!is_documented(lines.get(..at)?)).then_some(at + 1)
    })
}

/// Whether a comment stands at the end of these lines, attributes behind it aside. A macro hands comments on as `$(#[..])*`.
fn is_documented(before: &[&str]) -> bool {
    for line in before.iter().rev().map(|line| line.trim()) {
        if line.starts_with("///") || line.starts_with("$(#[") {
            return true;
        }
        if line.is_empty() || line.ends_with(['{', '}', ';']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_say_too_little_are_found() {
        let cases = [
            ("/// The user who sent it.\npub sender: OwnedUserId,", 0),
            ("/// Whether the user sent it.\nfn is_own() {}", 0),
            ("/// Who sent it.\npub sender: OwnedUserId,", 1),
            ("/// How many\n/// there are.\nconst MAX: usize = 1;", 1),
            ("//! What a room is.\n", 1),
            ("/// The database failed.\n#[error(transparent)]\nStorage(Error),", 1),
            ("/// The state key.\npub(crate) state_key: String,", 1),
            ("/// It is too large.\nTooLarge,", 1),
            ("/// The room's number, from the database.\nroom_nid: RoomNid,", 0),
            ("/// The room.\nfn room(&self) -> Room {}", 0),
            ("// Who writes such a comment knows why.\nlet a = 1;", 0),
        ];
        for (text, expected) in cases {
            let mut errors = vec![];
            check(Path::new("xtask/src/a.rs"), text, &mut errors);
            assert_eq!(errors.len(), expected, "{text}: {errors:?}");
        }
    }

    #[test]
    fn public_items_without_a_comment_are_found() {
        let cases = [
            ("pub fn join() {}", 1),
            ("/// Join.\n#[instrument(\n    err\n)]\npub async fn join() {}", 0),
            ("/// A room.\npub struct Room {\n    pub id: u8,\n}", 0),
            ("impl Room {\n    pub const fn id(&self) {}\n\n    fn own(&self) {}\n}", 1),
            (
                "/// Rules.\npub trait Rules {\n    fn a();\n    /// The second one.\n    fn b();\n}",
                1,
            ),
            ("pub(crate) fn join() {}\npub use a::b;\npub mod c;", 0),
            ("#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}", 0),
        ];
        for (text, expected) in cases {
            let mut errors = vec![];
            check(Path::new("crates/rooms/src/a.rs"), text, &mut errors);
            assert_eq!(errors.len(), expected, "{text}: {errors:?}");
        }
    }
}
