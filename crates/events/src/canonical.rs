//! Canonical JSON: the one spelling of a JSON value that is hashed and signed (appendices, "Canonical JSON").
//!
//! Text in, text out. Objects are sorted on the way through, so no tree of values is built.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::number::{self, NumberTexts};

/// The largest integer that strict canonical JSON allows, and its negative the smallest.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// The reason why a text has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The text is no JSON, is nested deeper than 128 levels, or has numbers that strict canonical JSON refuses.
    #[error("no canonical JSON: {0}")]
    Invalid(#[from] serde_json::Error),
    /// An integer in an event of our own that other servers cannot read.
    #[error("no canonical JSON: an integer does not fit into 64 bits")]
    LargeInteger,
}

/// The canonical form of a JSON text.
///
/// `strict` refuses numbers that are not integers in ±(2^53 − 1) and negative zero, as room versions since 6 do. Otherwise such numbers
/// are written as `src/number.rs` says. Of repeated keys the last counts.
pub fn to_canonical(json: &str, strict: bool) -> Result<String, CanonicalError> {
    let mut out = String::with_capacity(json.len());
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let numbers = if strict { None } else { Some(NumberTexts::new(json)) };
    Writer { out: &mut out, numbers: &mut { numbers } }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// Write a string as canonical JSON does, quotes included.
pub fn write_string(out: &mut String, value: &str) {
    if needs_escape(value)
        // serde_json escapes exactly what canonical JSON asks for: quote, backslash, and control characters in their shortest form.
        && let Ok(quoted) = serde_json::to_string(value)
    {
        out.push_str(&quoted);
        return;
    }
    out.push('"');
    out.push_str(value);
    out.push('"');
}

fn needs_escape(value: &str) -> bool {
    value.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

/// The members of an object, in canonical order, with their values as they stand in the text.
pub(crate) type Members<'a> = BTreeMap<Key<'a>, &'a RawValue>;

/// A key that borrows from the text where it can.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl std::borrow::Borrow<str> for Key<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// Tell an explicit null from an absent field: null is a value of the wrong type.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Write the members of an object whose values are canonical already.
pub(crate) fn write_members<'a>(
    out: &mut String,
    members: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    out.push('{');
    let mut first = true;
    for (key, value) in members {
        if !first {
            out.push(',');
        }
        first = false;
        write_string(out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

struct Writer<'o, 'j> {
    out: &'o mut String,
    /// The texts of the numbers that are to come. `None` where it is strict: integers are then written by their value.
    numbers: &'o mut Option<NumberTexts<'j>>,
}

impl Writer<'_, '_> {
    fn write_integer<E: serde::de::Error>(self, value: impl Into<i128>) -> Result<(), E> {
        let Some(numbers) = self.numbers else {
            let value = value.into();
            if value.unsigned_abs() > INTEGER_MAX.unsigned_abs().into() {
                return Err(E::custom("an integer is outside of ±(2^53 - 1)"));
            }
            self.out.push_str(&value.to_string());
            return Ok(());
        };
        write_lax(self.out, numbers)
    }
}

/// Write the next number of a text that need not be strict.
fn write_lax<E: serde::de::Error>(
    out: &mut String,
    numbers: &mut NumberTexts<'_>,
) -> Result<(), E> {
    let text = numbers.next().ok_or_else(|| E::custom("a number without a text"))?;
    number::write_lax(out, text).map_err(E::custom)
}

impl<'de> DeserializeSeed<'de> for Writer<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.write_integer(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.write_integer(value)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        match self.numbers {
            Some(numbers) => write_lax(self.out, numbers),
            None => Err(E::custom("a number is not an integer")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        write_string(self.out, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.out.push('[');
        let start = self.out.len();
        loop {
            let before = self.out.len();
            if before > start {
                self.out.push(',');
            }
            let item = Writer { out: self.out, numbers: self.numbers };
            if items.next_element_seed(item)?.is_none() {
                self.out.truncate(before);
                break;
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut sorted: BTreeMap<Key<'de>, String> = BTreeMap::new();
        while let Some(key) = members.next_key::<Key<'de>>()? {
            let mut value = String::new();
            members.next_value_seed(Writer { out: &mut value, numbers: self.numbers })?;
            sorted.insert(key, value);
        }
        write_members(self.out, sorted.iter().map(|(key, value)| (&*key.0, value.as_str())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, strict: bool, expect: Option<&str>) {
        assert_eq!(to_canonical(input, strict).ok().as_deref(), expect, "{input}");
    }

    #[test]
    fn examples_of_the_spec() {
        for (input, expect) in [
            ("{}", "{}"),
            (r#"{"one": 1, "two": "Two"}"#, r#"{"one":1,"two":"Two"}"#),
            (r#"{"b": "2", "a": "1"}"#, r#"{"a":"1","b":"2"}"#),
            (
                r#"{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":
                [{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}"#,
                r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
            ),
            (r#"{"a":"日本語"}"#, r#"{"a":"日本語"}"#),
            (r#"{"本":2,"日":1}"#, r#"{"日":1,"本":2}"#),
            (r#"{"a":"\u65E5"}"#, r#"{"a":"日"}"#),
            (r#"{"a":null}"#, r#"{"a":null}"#),
        ] {
            check(input, true, Some(expect));
        }
    }

    #[test]
    fn strings_are_escaped_no_more_than_needed() {
        check(
            r#"{"\u0041\n":"\u0007\u000c\/\u001F\"\\\u007f"}"#,
            true,
            Some("{\"A\\n\":\"\\u0007\\f/\\u001f\\\"\\\\\u{7f}\"}"),
        );
        check(r#""\ud83d\ude00""#, true, Some("\"😀\""));
        check(r#""\ud83d""#, true, None);
    }

    #[test]
    fn keys_are_sorted_by_code_point_at_every_level() {
        check(
            r#"[{"😀":1,"ﬀ":2,"Z":[{"b":1,"a":2}],"a":{}}]"#,
            true,
            Some(r#"[{"Z":[{"a":2,"b":1}],"a":{},"ﬀ":2,"😀":1}]"#),
        );
        check(r#"{"a":1,"b":2,"a":3}"#, true, Some(r#"{"a":3,"b":2}"#));
    }

    #[test]
    fn numbers_are_integers_where_it_is_strict() {
        check(
            "[9007199254740991,-9007199254740991,0]",
            true,
            Some("[9007199254740991,-9007199254740991,0]"),
        );
        for refused in
            ["9007199254740992", "-9007199254740992", "1.0", "1e3", "-0", "18446744073709551616"]
        {
            check(refused, true, None);
        }
        check("[9007199254740992,1.5,-0]", false, Some("[9007199254740992,1.5,0]"));
        check(
            r#"{"b":1E5,"a":"7\"8","c":[1e-7]}"#,
            false,
            Some(r#"{"a":"7\"8","b":100000.0,"c":[1e-07]}"#),
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for refused in ["", "{", "{}x", "[1,]", "{'a':1}", "nul", "{\"a\"}"] {
            check(refused, false, None);
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        check(&deep(100), true, Some(&deep(100)));
        check(&deep(200), true, None);
    }
}
