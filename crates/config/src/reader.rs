//! Typed reading of the keys. Wrong values are collected, not thrown, so that an admin sees all at once.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use crate::{
    Sources,
    error::{Problem, Warning, Weight},
    source::Document,
    units,
    yaml::{Node, Value},
};

/// One reading of a document: what was asked for and what was wrong.
pub(crate) struct Reader<'a> {
    pub document: &'a Document,
    pub sources: &'a Sources,
    pub problems: RefCell<Vec<Problem>>,
    pub warnings: RefCell<Vec<Warning>>,
    /// Every key that the code asked for, in the table's spelling: a test holds it against the table.
    pub asked: RefCell<BTreeSet<String>>,
}

/// A value with its place.
#[derive(Clone)]
pub(crate) struct Found<'a> {
    pub node: &'a Node,
    pub file: &'a Path,
    /// The path of the key, with list indexes: `listeners[0].port`.
    pub path: String,
}

/// The keys of one map: the whole document or a part of it.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    pub reader: &'a Reader<'a>,
    path: String,
    /// The path of the section as in the table of keys: `listeners[]`.
    pattern: String,
    place: Place<'a>,
}

#[derive(Clone)]
enum Place<'a> {
    Root,
    Map { node: &'a Node, file: &'a Path },
    Absent,
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

impl<'a> Reader<'a> {
    /// Begin to read a document. `warnings` are those that reading its files gave.
    pub fn new(document: &'a Document, sources: &'a Sources, warnings: Vec<Warning>) -> Self {
        Reader {
            document,
            sources,
            problems: RefCell::default(),
            warnings: RefCell::new(warnings),
            asked: RefCell::default(),
        }
    }

    /// The section that is the whole document.
    pub fn root(&'a self) -> Section<'a> {
        Section { reader: self, path: String::new(), pattern: String::new(), place: Place::Root }
    }

    /// The folder that relative default paths of secrets start from.
    pub fn config_directory(&self) -> PathBuf {
        match &self.sources.config_directory {
            Some(directory) => absolute(directory),
            None => {
                let last = self.document.files.last().map(|file| absolute(file));
                last.and_then(|file| file.parent().map(Path::to_owned))
                    .unwrap_or_else(|| absolute(Path::new(".")))
            }
        }
    }
}

/// The path from the root, without asking the disk whether it exists.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A value as an admin would recognise it, cut short.
pub(crate) fn show(node: &Node) -> String {
    let mut text = node.to_json().to_string();
    if text.len() > 60 {
        text = text.chars().take(57).collect::<String>() + "...";
    }
    text
}

/// Whether a value at this place may hold a secret, which must not reach a log.
fn may_be_secret(path: &str) -> bool {
    const WORDS: &[&str] =
        &["secret", "token", "pass", "pepper", "key", "headers", "database", "dsn"];
    WORDS.iter().any(|word| path.contains(word)) && !path.ends_with("_path")
}

impl<'a> Section<'a> {
    /// The value of a key; an empty value counts as absent.
    pub fn find(&self, key: &str) -> Option<Found<'a>> {
        self.find_nullable(key).filter(|found| found.node.value != Value::Null)
    }

    /// The value of a key, which may be null.
    pub fn find_nullable(&self, key: &str) -> Option<Found<'a>> {
        self.reader.asked.borrow_mut().insert(join(&self.pattern, key));
        let path = join(&self.path, key);
        match &self.place {
            Place::Root => {
                let entry = self.reader.document.entries.iter().find(|entry| entry.key == key)?;
                Some(Found { node: &entry.node, file: &entry.file, path })
            }
            Place::Map { node, file } => Some(Found { node: node.get(key)?, file, path }),
            Place::Absent => None,
        }
    }

    /// Whether the document has the section.
    pub fn is_present(&self) -> bool {
        !matches!(self.place, Place::Absent)
    }

    /// The names of the keys that are there.
    pub fn keys(&self) -> Vec<&'a str> {
        match &self.place {
            Place::Map { node: Node { value: Value::Map(entries), .. }, .. } => {
                entries.iter().map(|(key, _)| key.as_str()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Reports a wrong value, which is shown unless it may be a secret.
    pub fn wrong(&self, found: &Found<'_>, allowed: &str) {
        let kind = found.node.value.kind();
        let is_plain = matches!(found.node.value, Value::Bool(_) | Value::Int(_) | Value::Float(_));
        let text = if may_be_secret(&found.path) && !is_plain {
            format!("is {kind}; allowed: {allowed}")
        } else {
            format!("{} is {kind}; allowed: {allowed}", show(found.node))
        };
        self.wrong_text(found, text);
    }

    /// Reports a wrong value in the caller's own words.
    pub fn wrong_text(&self, found: &Found<'_>, text: String) {
        self.reader.problems.borrow_mut().push(Problem {
            file: Some(found.file.to_owned()),
            line: found.node.line,
            key: found.path.clone(),
            text,
        });
    }

    /// Reports what is wrong with a key that may not be there.
    pub fn wrong_key(&self, key: &str, text: String) {
        match self.find_nullable(key) {
            Some(found) => self.wrong_text(&found, text),
            None => self.reader.problems.borrow_mut().push(Problem {
                file: match &self.place {
                    Place::Map { file, .. } => Some(file.to_path_buf()),
                    _ => self.reader.document.files.last().cloned(),
                },
                line: match &self.place {
                    Place::Map { node, .. } => node.line,
                    _ => 0,
                },
                key: join(&self.path, key),
                text,
            }),
        }
    }

    /// Note a warning about a key, at its place if the document has it.
    pub fn warn(&self, key: &str, text: String) {
        let found = self.find_nullable(key);
        self.reader.warnings.borrow_mut().push(Warning {
            weight: Weight::Warn,
            problem: Problem {
                file: found.as_ref().map(|found| found.file.to_owned()),
                line: found.as_ref().map_or(0, |found| found.node.line),
                key: join(&self.path, key),
                text,
            },
        });
    }

    /// A truth value; text and numbers that Synapse takes for one count. A wrong value is noted as a fault and gives the default.
    #[must_use]
    pub fn bool(&self, key: &str, default: bool) -> bool {
        let Some(found) = self.find(key) else { return default };
        match &found.node.value {
            Value::Bool(value) => *value,
            // Templates quote it now and then, and Synapse takes it at least for some keys.
            Value::String(text) if text.eq_ignore_ascii_case("true") => true,
            Value::String(text) if text.eq_ignore_ascii_case("false") => false,
            Value::Int(0) => false,
            Value::Int(1) => true,
            _ => {
                self.wrong(&found, "true or false");
                default
            }
        }
    }

    /// A text. A wrong value is noted as a fault and gives `None`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        let found = self.find(key)?;
        match &found.node.value {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.wrong(&found, "a text (put it in quotes)");
                None
            }
        }
    }

    /// A text, or a whole number as text.
    #[must_use]
    pub fn text_or_number(&self, key: &str) -> Option<String> {
        match &self.find(key)?.node.value {
            Value::Int(number) => Some(number.to_string()),
            _ => self.text(key),
        }
    }

    /// A whole number in a range. A wrong value is noted as a fault and gives `None`.
    #[must_use]
    pub fn int(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let found = self.find(key)?;
        let number = match &found.node.value {
            Value::Int(number) => Some(*number),
            Value::Float(number) if number.fract() == 0.0 => Some(*number as i64),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = range.into_inner();
            let allowed = if to == i64::MAX {
                format!("a whole number, {from} or more")
            } else {
                format!("a whole number from {from} to {to}")
            };
            self.wrong(&found, &allowed);
        }
        number
    }

    /// A number, 0 or more.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        let found = self.find(key)?;
        match &found.node.value {
            Value::Int(number) if *number >= 0 => Some(*number as f64),
            Value::Float(number) if *number >= 0.0 => Some(*number),
            _ => {
                self.wrong(&found, "a number, 0 or more");
                None
            }
        }
    }

    /// A duration in milliseconds.
    #[must_use]
    pub fn duration_ms(&self, key: &str) -> Option<u64> {
        let found = self.find(key)?;
        let value = match &found.node.value {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::String(text) => units::parse_duration_ms(text),
            _ => None,
        };
        if value.is_none() {
            self.wrong(
                &found,
                "a whole number of milliseconds, or one with a unit of s, m, h, d, w, y (such as 30s or 2d)",
            );
        }
        value
    }

    /// A size in bytes.
    #[must_use]
    pub fn size_bytes(&self, key: &str) -> Option<u64> {
        let found = self.find(key)?;
        let value = match &found.node.value {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::String(text) => units::parse_size(text),
            _ => None,
        };
        if value.is_none() {
            self.wrong(
                &found,
                "a whole number of bytes, or one with a unit of K, M, G, T (such as 50M, not 50MB)",
            );
        }
        value
    }

    /// A list of texts. Each wrong item is noted as a fault and left out.
    #[must_use]
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        let found = self.find(key)?;
        let Value::List(items) = &found.node.value else {
            self.wrong(&found, "a list of texts");
            return None;
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match &item.value {
                Value::String(text) => texts.push(text.clone()),
                _ => {
                    let path = format!("{}[{index}]", found.path);
                    self.wrong(
                        &Found { node: item, file: found.file, path },
                        "a text (put it in quotes)",
                    );
                }
            }
        }
        Some(texts)
    }

    /// One of some names. Another one is noted as a fault and gives the default.
    #[must_use]
    pub fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(found) = self.find(key) else { return default };
        let text = match &found.node.value {
            Value::String(text) => text.as_str(),
            // `off` and `on` are booleans in YAML 1.1, and names of choices here.
            Value::Bool(false) => "off",
            Value::Bool(true) => "on",
            _ => "",
        };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => choice.clone(),
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                self.wrong(&found, &names.join(", "));
                default
            }
        }
    }

    /// The section below a key; one without keys if it is absent.
    pub fn section(&self, key: &str) -> Section<'a> {
        let place = match self.find(key) {
            None => Place::Absent,
            Some(found) => match &found.node.value {
                Value::Map(_) => Place::Map { node: found.node, file: found.file },
                _ => {
                    self.wrong(&found, "a map of keys and values");
                    Place::Absent
                }
            },
        };
        let (path, pattern) = (join(&self.path, key), join(&self.pattern, key));
        Section { reader: self.reader, path, pattern, place }
    }

    /// The section below a key that the admin names: `<key>` in the table.
    pub fn section_of_any(&self, key: &str) -> Section<'a> {
        Section { pattern: join(&self.pattern, "<key>"), ..self.section(key) }
    }

    /// The maps in the list below a key; none if it is absent.
    pub fn sections(&self, key: &str) -> Option<Vec<Section<'a>>> {
        let found = self.find(key)?;
        let Value::List(items) = &found.node.value else {
            self.wrong(&found, "a list of maps");
            return None;
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", found.path);
            if !matches!(item.value, Value::Map(_)) {
                self.wrong(
                    &Found { node: item, file: found.file, path },
                    "a map of keys and values",
                );
                continue;
            }
            let pattern = format!("{}[]", join(&self.pattern, key));
            let place = Place::Map { node: item, file: found.file };
            sections.push(Section { reader: self.reader, path, pattern, place });
        }
        Some(sections)
    }

    /// An absolute path: relative ones start from the working directory, as in Synapse.
    #[must_use]
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).filter(|text| !text.is_empty()).map(|text| absolute(Path::new(&text)))
    }
}
