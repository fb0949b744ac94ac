//! The NUL character in JSON. No name of Matrix has it, and the database takes no text with it.

/// The escape by which JSON writes it; it has no other spelling there.
const ESCAPE: &[u8] = br"\u0000";

/// Whether a JSON text has the NUL character in one of its strings. A backslash that is one itself begins no escape.
pub fn has_nul(json: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) =
        json.get(from..).and_then(|rest| rest.windows(ESCAPE.len()).position(|part| part == ESCAPE))
    {
        let at = from + found;
        let before = json.get(..at).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return true;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_backslash_begins_no_escape() {
        for (json, expect) in [
            (r#"{"a":"b"}"#, false),
            (r#"{"a":"\u0000"}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"\\u0000\u0000"}"#, true),
            (r#"{"a":"\u00001"}"#, true),
            (r#"{"a":"u0000"}"#, false),
        ] {
            assert_eq!(has_nul(json.as_bytes()), expect, "{json}");
        }
    }
}
