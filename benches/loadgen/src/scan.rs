//! Finds single values in answers by a search for their bytes: parsing all of every `/sync` would cost the generator
//! more than it leaves to the server.

use anyhow::Context as _;
use memchr::{memchr, memmem};

/// The text under the first `key`. For keys and values that need no escapes, such as ids and tokens.
pub(crate) fn find_text<'a>(answer: &'a [u8], key: &str) -> Option<&'a str> {
    let quoted = format!("\"{key}\"");
    let after_key = answer.get(memmem::find(answer, quoted.as_bytes())? + quoted.len()..)?;
    let value = after_key.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"")?;
    std::str::from_utf8(value.get(..memchr(b'"', value)?)?).ok()
}

/// Finds a text as [`find_text`] does. Fails if it is missing.
pub(crate) fn get_text(answer: &[u8], key: &str) -> anyhow::Result<String> {
    find_text(answer, key).map(str::to_owned).with_context(|| format!("the answer has no `{key}`"))
}

/// The number of times that `key` stands in the answer.
pub(crate) fn count_key(answer: &[u8], key: &str) -> usize {
    memmem::find_iter(answer, &format!("\"{key}\":")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_with_and_without_spaces() {
        let cases: [(&str, Option<&str>); 6] = [
            (r#"{"next_batch":"s1_2"}"#, Some("s1_2")),
            (r#"{"prev_batch":"p", "next_batch" : "s1_2", "x": "y"}"#, Some("s1_2")),
            (r#"{"next_batch":""}"#, Some("")),
            (r#"{"next_batch":7}"#, None),
            (r#"{"next_batch":"s1"#, None),
            (r#"{"prev_batch":"p"}"#, None),
        ];
        for (answer, expected) in cases {
            assert_eq!(find_text(answer.as_bytes(), "next_batch"), expected, "{answer}");
        }
    }

    #[test]
    fn keys_are_counted() {
        assert_eq!(count_key(br#"[{"a":1},{"a":2},{"b":"a"}]"#, "a"), 2);
    }
}
