//! The table of keys: what Synapse knows, what Myelin uses, and what is lost where it does not.
//!
//! `keys.tsv` beside this file is built into the program. Its columns: the key with its parents (`[]` for any
//! item of a list, `<key>` for any name), its status, Synapse's default, and a note for the admin.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use crate::{
    error::{Problem, Warning, Weight},
    source::Document,
    yaml::{Node, Value},
};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has its effect.
    Used,
    /// Synapse does something with it that Myelin does not do yet.
    Later,
    /// It switches off what cannot be switched off yet.
    Stays,
    /// It belongs to something that is not there yet; by itself it asks for nothing.
    Quiet,
    /// Myelin does not need it.
    Moot,
    /// Synapse itself takes no notice of it any more.
    Dead,
}

/// A key of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// With its parents: `listeners[].port`.
    pub name: &'static str,
    /// What becomes of it.
    pub status: Status,
    /// Synapse's default as JSON; empty if it has none.
    pub default: &'static str,
    /// What is lost, or what to use instead.
    pub note: &'static str,
}

/// All keys by name.
pub static KEYS: LazyLock<BTreeMap<&'static str, Key>> = LazyLock::new(|| {
    let mut keys = BTreeMap::new();
    for line in include_str!("keys.tsv").lines().skip(1) {
        let mut cells = line.split('\t');
        let (Some(name), Some(status)) = (cells.next(), cells.next()) else { continue };
        let status = match status {
            "used" => Status::Used,
            "stays" => Status::Stays,
            "quiet" => Status::Quiet,
            "moot" => Status::Moot,
            "dead" => Status::Dead,
            _ => Status::Later,
        };
        let (default, note) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        keys.insert(name, Key { name, status, default, note });
    }
    keys
});

/// Warns of every key in the document that has no effect, and of those that nobody knows.
pub(crate) fn check(document: &Document) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for entry in &document.entries {
        let mut walk = Walk { file: &entry.file, warnings: &mut warnings };
        walk.key("", "", &entry.key, &entry.node);
    }
    warnings
}

/// What to tell of a key that nobody knows.
pub(crate) fn unknown_text<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> String {
    match nearest(key, known) {
        Some(near) => format!("not a known key; did you mean `{near}`?"),
        None => "not a known key; it has no effect".to_owned(),
    }
}

/// The known key that a misspelt one most likely means.
fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let distance_max = (key.chars().count() / 4).max(2);
    known
        .map(|name| (strsim::damerau_levenshtein(key, name), name))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, name)| name)
}

struct Walk<'w> {
    file: &'w Path,
    warnings: &'w mut Vec<Warning>,
}

impl Walk<'_> {
    fn key(&mut self, path: &str, pattern: &str, name: &str, node: &Node) {
        let path = join(path, name);
        let Some(key) = find(pattern, name) else {
            let siblings = children(pattern);
            let text = unknown_text(name, siblings.iter().copied());
            self.warn(Weight::Warn, path, node, text);
            return;
        };
        let note =
            |empty: &str| if key.note.is_empty() { empty.to_owned() } else { key.note.to_owned() };
        match key.status {
            Status::Used | Status::Quiet => self.below(&path, key.name, node),
            Status::Later if is_idle(node, key) => {}
            Status::Later => {
                let text = format!("not supported yet: {}", note(parent_note(key.name)));
                self.warn(Weight::Warn, path, node, text);
            }
            Status::Stays if node.value != Value::Bool(false) => {}
            Status::Stays => {
                let text = format!("not supported yet: {}", note("it stays on"));
                self.warn(Weight::Warn, path, node, text);
            }
            Status::Moot => self.warn(
                Weight::Note,
                path,
                node,
                format!("has no effect: {}", note("not needed here")),
            ),
            Status::Dead => {
                let mut text = "has no effect, in Synapse neither".to_owned();
                if !key.note.is_empty() {
                    text = format!("{text}: {}", key.note);
                }
                self.warn(Weight::Warn, path, node, text);
            }
        }
    }

    fn below(&mut self, path: &str, pattern: &str, node: &Node) {
        match &node.value {
            Value::Map(entries) if has_children(pattern) => {
                for (name, node) in entries {
                    self.key(path, pattern, name, node);
                }
            }
            Value::List(items) => {
                let pattern = format!("{pattern}[]");
                for (index, item) in items.iter().enumerate() {
                    self.below(&format!("{path}[{index}]"), &pattern, item);
                }
            }
            _ => {}
        }
    }

    fn warn(&mut self, weight: Weight, key: String, node: &Node, text: String) {
        let problem = Problem { file: Some(self.file.to_owned()), line: node.line, key, text };
        self.warnings.push(Warning { weight, problem });
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn find(pattern: &str, name: &str) -> Option<&'static Key> {
    KEYS.get(join(pattern, name).as_str()).or_else(|| KEYS.get(join(pattern, "<key>").as_str()))
}

fn parent_note(name: &str) -> &'static str {
    let top = name.split(['.', '[']).next().unwrap_or(name);
    KEYS.get(top).map(|key| key.note).filter(|note| !note.is_empty()).unwrap_or("no effect")
}

fn has_children(pattern: &str) -> bool {
    let start = join(pattern, "");
    KEYS.range(start.as_str()..).next().is_some_and(|(name, _)| name.starts_with(&start))
}

/// The names of the keys directly below one (of the top-level keys if it is empty).
fn children(pattern: &str) -> Vec<&'static str> {
    let start = if pattern.is_empty() { String::new() } else { join(pattern, "") };
    KEYS.keys()
        .filter_map(|name| name.strip_prefix(start.as_str()))
        .filter(|rest| !rest.is_empty() && !rest.contains(['.', '[', '<']))
        .collect()
}

/// Whether a value asks for nothing: it is empty, off, or what Synapse does anyway.
fn is_idle(node: &Node, key: &Key) -> bool {
    let is_empty = match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.iter().all(|(name, node)| match find(key.name, name) {
            Some(key) => is_idle(node, key),
            None => false,
        }),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    let is_default = !key.default.is_empty()
        && serde_json::from_str::<serde_json::Value>(key.default)
            .is_ok_and(|default| default == node.to_json());
    is_empty || is_default
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(text: &str) -> Vec<String> {
        let mut document = Document::default();
        let Value::Map(entries) = crate::yaml::parse(text).unwrap().value else { panic!("no map") };
        document.lay_over(entries, Path::new("hs.yaml"));
        check(&document).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn misspelt_keys_name_the_nearest() {
        assert_eq!(
            warnings("enable_registraton: true\nrc_login:\n  adress: {}\nfrobnicate: 1\n"),
            [
                "hs.yaml:1: enable_registraton: not a known key; did you mean `enable_registration`?",
                "hs.yaml:3: rc_login.adress: not a known key; did you mean `address`?",
                "hs.yaml:4: frobnicate: not a known key; it has no effect",
            ]
        );
    }

    #[test]
    fn later_keys_say_what_is_lost_unless_they_are_off() {
        assert_eq!(
            warnings(
                "url_preview_enabled: true\noidc_providers: []\nenable_search: true\nweb_client: x\nredis: {}"
            ),
            [
                "hs.yaml:1: url_preview_enabled: not supported yet: links have no previews",
                "hs.yaml:4: web_client: has no effect, in Synapse neither",
                "hs.yaml:5: redis: has no effect: every node does all work; there are no workers to configure",
            ]
        );
    }

    #[test]
    fn names_the_admin_chooses_are_not_unknown() {
        assert_eq!(
            warnings(
                "old_signing_keys:\n  'ed25519:x': {key: a, expired_ts: 1}\nextra_well_known_client_content: {a: 1}"
            ),
            [""; 0]
        );
    }

    #[test]
    fn every_line_of_the_table_is_whole() {
        for line in include_str!("keys.tsv").lines() {
            assert_eq!(line.split('\t').count(), 4, "{line}");
        }
    }
}
