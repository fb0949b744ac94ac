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

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The key has its effect.
    Used,
    /// Synapse does something with it that Myelin does not do yet.
    Later,
    /// As [`Status::Later`], and on by itself in Synapse: an admin who sets the key is told, unless it is switched off.
    Lost,
    /// It keeps somebody out or something closed, and does not work yet: who asks for it may not start without it.
    Refused,
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
    /// The key with its parents: `listeners[].port`.
    pub name: &'static str,
    /// The effect of the key.
    pub status: Status,
    /// Synapse's default as JSON; empty if it has none.
    pub default: &'static str,
    /// The loss for an admin who sets the key, or the key to use instead.
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
            "lost" => Status::Lost,
            "refused" => Status::Refused,
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

/// The keys that say where the data are, with their parents. Without them the server would begin anew on empty data, so one that
/// is misspelt is refused.
const LEADS_TO_DATA: [(&str, &str); 4] =
    [("", "database"), ("", "myelin"), ("database", "args"), ("myelin", "data_directory")];

/// The keys of a document as the table judges them.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Keys that have no effect, and those that nobody knows.
    pub warnings: Vec<Warning>,
    /// Keys that protect something and do not work yet.
    pub problems: Vec<Problem>,
}

/// Looks every key of the document up in the table.
pub(crate) fn check(document: &Document) -> Checked {
    let mut checked = Checked::default();
    for entry in &document.entries {
        let mut walk = Walk { file: &entry.file, checked: &mut checked };
        walk.key("", "", &entry.key, &entry.node);
    }
    checked
}

/// The text that tells of a key that nobody knows.
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
    checked: &'w mut Checked,
}

impl Walk<'_> {
    fn key(&mut self, path: &str, pattern: &str, name: &str, node: &Node) {
        let path = join(path, name);
        let Some(key) = find(pattern, name) else {
            let siblings = children(pattern);
            let text = unknown_text(name, siblings.iter().copied());
            let near = nearest(name, siblings.iter().copied()).unwrap_or_default();
            if LEADS_TO_DATA.contains(&(pattern, near)) {
                self.checked.problems.push(self.problem(path, node, text));
            } else {
                self.warn(Weight::Warn, path, node, text);
            }
            return;
        };
        let note =
            |empty: &str| if key.note.is_empty() { empty.to_owned() } else { key.note.to_owned() };
        match key.status {
            Status::Used => self.below(&path, key.name, node),
            Status::Later | Status::Refused | Status::Quiet if is_idle(node, key) => {}
            Status::Lost if is_off(node) => {}
            Status::Quiet => {
                let text = format!("has no effect yet: {}", note(parent_note(key.name)));
                self.warn(Weight::Note, path.clone(), node, text);
                self.below(&path, key.name, node);
            }
            Status::Refused => {
                let text = format!("not supported yet, and not safe to pass over: {}", note(""));
                self.checked.problems.push(self.problem(path, node, text));
            }
            Status::Later | Status::Lost => {
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
        let problem = self.problem(key, node, text);
        self.checked.warnings.push(Warning { weight, problem });
    }

    fn problem(&self, key: String, node: &Node, text: String) -> Problem {
        Problem { file: Some(self.file.to_owned()), line: node.line, key, text }
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
        Value::Map(_) if is_switched_off(node, key) => true,
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

/// Whether a value says that there shall be nothing.
fn is_off(node: &Node) -> bool {
    let own = node.get("enabled").unwrap_or(node);
    matches!(own.value, Value::Null | Value::Bool(false))
}

/// Whether a section has `enabled: false`, or is off where it does not say.
fn is_switched_off(section: &Node, key: &Key) -> bool {
    match section.get("enabled").map(|node| &node.value) {
        Some(value) => *value == Value::Bool(false),
        None => find(key.name, "enabled").is_some_and(|enabled| enabled.default == "false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Checked {
        let mut document = Document::default();
        let Value::Map(entries) = crate::yaml::parse(text).unwrap().value else { panic!("no map") };
        document.lay_over(entries, Path::new("hs.yaml"));
        check(&document)
    }

    fn warnings(text: &str) -> Vec<String> {
        checked(text).warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_protects_and_does_not_work_yet_is_refused() {
        for (text, key) in [
            ("modules: [{module: a.B}]", "modules"),
            ("password_providers: [{module: a.B}]", "password_providers"),
            ("ldap_config: {enabled: true, uri: x}", "ldap_config"),
            ("spam_checker: {module: a.B}", "spam_checker"),
            ("third_party_event_rules: {module: a.B}", "third_party_event_rules"),
            ("presence: {presence_router: {module: a.B}}", "presence.presence_router"),
            ("matrix_authentication_service: {enabled: true}", "matrix_authentication_service"),
            ("experimental_features: {msc3861: {enabled: true}}", "experimental_features.msc3861"),
            ("account_validity: {enabled: true}", "account_validity"),
            ("limit_usage_by_mau: true", "limit_usage_by_mau"),
            ("user_consent: {block_events_error: agree}", "user_consent.block_events_error"),
        ] {
            let keys: Vec<_> = checked(text).problems.into_iter().map(|wrong| wrong.key).collect();
            assert_eq!(keys, [key], "{text}");
        }
        let off = "modules: []\nmatrix_authentication_service: {secret: x}\nlimit_usage_by_mau: false\n\
            account_validity: {enabled: false, period: 6w}\nldap_config: {enabled: false, uri: x}\n";
        assert_eq!(checked(off).problems, []);
    }

    #[test]
    fn a_misspelt_key_does_not_lead_to_empty_data() {
        for (text, key) in [
            ("databse: {name: psycopg2}", "databse"),
            ("Database: {name: psycopg2}", "Database"),
            ("mylein: {data_directory: x}", "mylein"),
            ("myelin: {data_direktory: x}", "myelin.data_direktory"),
            ("database: {name: psycopg2, arg: {host: x}}", "database.arg"),
        ] {
            let keys: Vec<_> = checked(text).problems.into_iter().map(|wrong| wrong.key).collect();
            assert_eq!(keys, [key], "{text}");
        }
        assert_eq!(checked("myelin: {frobnicate: x}\nfrobnicate: 1").problems, []);
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
                "hs.yaml:3: enable_search: not supported yet: messages cannot be searched",
                "hs.yaml:4: web_client: has no effect, in Synapse neither",
                "hs.yaml:5: redis: has no effect: every node does all work; there are no workers to configure",
            ]
        );
    }

    #[test]
    fn what_synapse_does_by_itself_is_told_though_it_is_set_to_the_default() {
        let told = warnings("redaction_retention_period: 7d\npush: {enabled: true}\n");
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(
            warnings(
                "redaction_retention_period: null\npush: {enabled: false}\nenable_search: false\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn what_federation_would_keep_out_is_told_while_it_is_off() {
        assert_eq!(
            warnings("federation_domain_whitelist: [a.org]\n"),
            [
                "hs.yaml:1: federation_domain_whitelist: not supported yet: federation is off: no other server is spoken \
                 to, those of the list neither"
            ]
        );
    }

    #[test]
    fn names_the_admin_chooses_are_not_unknown() {
        let told = warnings(
            "old_signing_keys:\n  'ed25519:x': {key: a, expired_ts: 1}\nextra_well_known_client_content: {a: 1}",
        );
        assert!(told.iter().all(|line| !line.contains("not a known key")), "{told:?}");
    }

    #[test]
    fn every_line_of_the_table_is_whole() {
        for line in include_str!("keys.tsv").lines() {
            assert_eq!(line.split('\t').count(), 4, "{line}");
        }
    }
}
