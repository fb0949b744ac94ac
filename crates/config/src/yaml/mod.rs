//! YAML as Synapse reads it: the 1.1 scalar rules of PyYAML on a 1.2 parser's events.
//!
//! Duplicate keys: the last one wins. Merge keys (`<<`) are resolved. Every node knows its line, so that
//! an error can point at it.

mod scalar;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
pub use scalar::{Scalar, resolve};

/// Deepest nesting of lists and maps in a file, in levels.
const DEPTH_MAX: usize = 64;
/// Most nodes in one document after aliases are copied in, so that nested aliases cannot fill the memory.
const NODES_MAX: usize = 200_000;

/// A value and the line (from 1) it starts on.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    /// The line in its file, from 1.
    pub line: usize,
}

/// A YAML value after the scalar rules of YAML 1.1.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The null value: `null`, `~` or nothing at all.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number; octal, hexadecimal, binary and sexagesimal forms are already resolved.
    Int(i64),
    /// A number that is no `Int`.
    Float(f64),
    /// A text.
    String(String),
    List(Vec<Node>),
    /// A map in the order of the file, each key once.
    Map(Vec<(String, Node)>),
}

impl Value {
    /// The name of the kind of value, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::String(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The value of a key, if this is a map and has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The same value as JSON. Numbers that JSON cannot hold (infinities) become null.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::String(value) => value.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
            ),
        }
    }
}

/// The reason why a text is not YAML that can be used.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("line {line}, column {column}: {text}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The fault at that place.
    pub text: String,
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        YamlError {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            text: error.info().to_owned(),
        }
    }
}

/// Reads the one document of a YAML text. An empty text is [`Value::Null`].
///
/// # Errors
///
/// It is not YAML; it holds a second document, which would be lost; or a tag that is not known (`!ENV`), whose value
/// would be taken for a text.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut document = None;
    let mut has_begun = false;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => {
                return Ok(document.unwrap_or(Node { value: Value::Null, line: 1 }));
            }
            Event::DocumentStart(_) if has_begun => {
                let text = "a second document (`---`) begins here, which Synapse refuses too; a file holds one";
                return Err(error_at(span, text.to_owned()));
            }
            Event::DocumentStart(_) => has_begun = true,
            event => document = Some(reader.node(event, span, 0)?),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(error.into()),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        let line = span.start.line();
        if depth > DEPTH_MAX {
            return Err(error_at(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let before = self.nodes;
        self.count(1, span)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = tag.as_deref().map(|tag| read_tag(tag, span)).transpose()?;
                (scalar_value(&text, style, kind, span)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), Kind::Seq, span)?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), Kind::Map, span)?;
                (self.map(depth)?, anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(error_at(span, "unknown alias".to_owned()));
                };
                let (node, size) = (node.clone(), *size);
                self.count(size, span)?;
                return Ok(node);
            }
            _ => return Err(error_at(span, "a value is missing here".to_owned())),
        };
        let node = Node { value, line };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), YamlError> {
        self.nodes += more;
        if self.nodes > NODES_MAX {
            return Err(error_at(span, format!("more than {NODES_MAX} values")));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut own: Vec<(String, Node)> = Vec::new();
        let mut merged: Vec<(String, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.key(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if key == "<<" {
                merge(&mut merged, value, span)?;
            } else if let Some(entry) = own.iter_mut().find(|(name, _)| *name == key) {
                entry.1 = value;
            } else {
                own.push((key, value));
            }
        }
        for (key, node) in merged {
            if !own.iter().any(|(name, _)| *name == key) {
                own.push((key, node));
            }
        }
        Ok(Value::Map(own))
    }

    /// Keys are kept as written: nothing in the config has a key that is not a text.
    fn key(&mut self, event: Event<'a>, span: Span) -> Result<String, YamlError> {
        match event {
            Event::Scalar(text, _, _, tag) => {
                tag.as_deref().map(|tag| read_tag(tag, span)).transpose()?;
                Ok(text.into_owned())
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((Node { value: Value::String(text), .. }, _)) => Ok(text.clone()),
                _ => Err(error_at(span, "a key must be a text".to_owned())),
            },
            _ => Err(error_at(span, "a key must be a text, not a list or a map".to_owned())),
        }
    }
}

/// Adds what `<<` names; what is there already stays.
fn merge(into: &mut Vec<(String, Node)>, from: Node, span: Span) -> Result<(), YamlError> {
    match from.value {
        Value::Map(entries) => {
            for (key, node) in entries {
                if !into.iter().any(|(name, _)| *name == key) {
                    into.push((key, node));
                }
            }
            Ok(())
        }
        Value::List(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Map(_) => merge(into, item, span),
            _ => Err(error_at(span, "`<<` takes a map or a list of maps".to_owned())),
        }),
        _ => Err(error_at(span, "`<<` takes a map or a list of maps".to_owned())),
    }
}

/// A tag that says of which kind a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Str,
    Null,
    Bool,
    Int,
    Float,
    Seq,
    Map,
}

/// The kind that a tag names. A tag that is not understood must not be passed over: its value means something else than
/// what is written there.
fn read_tag(tag: &Tag, span: Span) -> Result<Kind, YamlError> {
    let known = match tag.suffix.as_str() {
        _ if !tag.is_yaml_core_schema() => None,
        "str" => Some(Kind::Str),
        "null" => Some(Kind::Null),
        "bool" => Some(Kind::Bool),
        "int" => Some(Kind::Int),
        "float" => Some(Kind::Float),
        "seq" => Some(Kind::Seq),
        "map" => Some(Kind::Map),
        _ => None,
    };
    known.ok_or_else(|| {
        let text = format!(
            "the tag {tag} is not known, in Synapse neither (values of the environment are not filled in); write the value \
             itself, or name a file with `<key>_path` where there is such a key"
        );
        error_at(span, text)
    })
}

fn check_tag(tag: Option<&Tag>, kind: Kind, span: Span) -> Result<(), YamlError> {
    match tag.map(|tag| read_tag(tag, span)).transpose()? {
        Some(named) if named != kind => Err(mismatch(span)),
        _ => Ok(()),
    }
}

fn mismatch(span: Span) -> YamlError {
    error_at(span, "the value is not of the kind that its tag names".to_owned())
}

fn scalar_value(
    text: &str,
    style: ScalarStyle,
    kind: Option<Kind>,
    span: Span,
) -> Result<Value, YamlError> {
    if kind == Some(Kind::Str) || (kind.is_none() && style != ScalarStyle::Plain) {
        return Ok(Value::String(text.to_owned()));
    }
    match (resolve(text), kind) {
        (Scalar::Null, None | Some(Kind::Null)) => Ok(Value::Null),
        (Scalar::Bool(value), None | Some(Kind::Bool)) => Ok(Value::Bool(value)),
        (Scalar::Int(value), None | Some(Kind::Int)) => Ok(Value::Int(value)),
        (Scalar::Int(value), Some(Kind::Float)) => Ok(Value::Float(value as f64)),
        (Scalar::Float(value), None | Some(Kind::Float)) => Ok(Value::Float(value)),
        (Scalar::Text, None) => Ok(Value::String(text.to_owned())),
        _ => Err(mismatch(span)),
    }
}

fn error_at(span: Span, text: String) -> YamlError {
    YamlError { line: span.start.line(), column: span.start.col() + 1, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        parse(text).unwrap().to_json()
    }

    #[test]
    fn yaml_1_1_scalars() {
        let got = json(
            "a: yes\nb: off\nc: 0644\nd: 1:30\ne: ~\nf: 'yes'\ng: 1_000\nh: !!str 12\ni: 0x1F\nj: 1.5e+3\nk: N",
        );
        let want = serde_json::json!({"a": true, "b": false, "c": 420, "d": 90, "e": null, "f": "yes",
            "g": 1000, "h": "12", "i": 31, "j": 1500.0, "k": "N"});
        assert_eq!(got, want);
    }

    #[test]
    fn last_duplicate_wins_and_merge_keys_yield() {
        let got = json("base: &b {x: 1, y: 2}\na: 1\na: 2\nm:\n  <<: *b\n  y: 3\n");
        assert_eq!(
            got,
            serde_json::json!({"base": {"x": 1, "y": 2}, "a": 2, "m": {"y": 3, "x": 1}})
        );
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for (text, place, want) in [
            ("a: 1\nb: !ENV ${SECRET}\n", 2, "the tag !ENV is not known"),
            ("a: !secret b", 1, "the tag !secret is not known"),
            ("a: !vault |\n  x\n", 1, "the tag !vault is not known"),
            ("a: !join [x, y]\n", 1, "the tag !join is not known"),
            ("!include x: 1\n", 1, "the tag !include is not known"),
            ("a: !!python/object:os.system {x: 1}\n", 1, "is not known"),
            ("a: !!binary aGk=\n", 1, "is not known"),
            ("a: !!int many\n", 1, "not of the kind that its tag names"),
            ("a: !!map [x]\n", 1, "not of the kind that its tag names"),
            ("a: 1\n---\nb: 2\n", 2, "a second document"),
            ("---\n---\na: 1\n", 2, "a second document"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.text.contains(want) && error.line == place, "{text}: {error}");
        }
        assert_eq!(json("---\na: !!int '12'\n...\n"), serde_json::json!({"a": 12}));
    }

    #[test]
    fn an_error_names_its_place() {
        let error = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.line >= 2, "{error}");
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
        }
        assert!(parse(&text).unwrap_err().text.contains("more than"));
    }

    #[test]
    fn empty_and_commented_files_are_null() {
        assert_eq!(parse("").unwrap().value, Value::Null);
        assert_eq!(parse("# only a comment\n").unwrap().value, Value::Null);
    }
}
