//! Numbers of old rooms, which canonical JSON does not allow, as hashes are made of them (room versions 1 to 5).
//!
//! The specification leaves their spelling open, but hashes and event IDs depend on it. What they were made with is the
//! spelling of Synapse, which is that of Python's `json`: integers of any size by their digits, all else by the shortest digits that
//! read as the same binary64, with an exponent below 1e-4 and from 1e16 on.

/// Write the number that stands in this JSON text. Fails for a fraction beyond a binary64.
pub(crate) fn write_lax(out: &mut String, text: &str) -> Result<(), &'static str> {
    if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return write_fraction(out, text);
    }
    out.push_str(if text == "-0" { "0" } else { text });
    Ok(())
}

fn write_fraction(out: &mut String, text: &str) -> Result<(), &'static str> {
    let value: f64 = text.parse().map_err(|_| "no number")?;
    if !value.is_finite() {
        return Err("a number is too large");
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').ok_or("no number")?;
    let exponent: i32 = exponent.parse().map_err(|_| "no number")?;
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{digits}e{sign}{:02}", exponent.unsigned_abs()));
    }
    Ok(())
}

/// Whether a JSON text has an integer that does not fit into 64 bits with a sign. Hashes are made of such ones, too, in old rooms, but there
/// are servers that cannot read them.
pub(crate) fn has_large_integer(json: &str) -> bool {
    let is_integer = |text: &&str| !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    NumberTexts::new(json).filter(is_integer).any(|text| text.parse::<i64>().is_err())
}

/// The texts of the numbers in a JSON text, in their order.
pub(crate) struct NumberTexts<'a> {
    rest: &'a str,
}

impl<'a> NumberTexts<'a> {
    pub(crate) fn new(json: &'a str) -> Self {
        Self { rest: json }
    }
}

impl<'a> Iterator for NumberTexts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let start = self.rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            let rest = self.rest.get(start..)?;
            if let Some(string) = rest.strip_prefix('"') {
                self.rest = after_string(string)?;
                continue;
            }
            let end = rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
            let (number, rest) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            self.rest = rest;
            return Some(number);
        }
    }
}

/// The text that follows the string which the text begins within.
fn after_string(mut text: &str) -> Option<&str> {
    loop {
        let end = text.find(['"', '\\'])?;
        let is_end = text.as_bytes().get(end) == Some(&b'"');
        // A backslash and what it escapes are passed over together.
        text = text.get(end + 1..)?;
        if is_end {
            return Some(text);
        }
        text = text.get(text.chars().next()?.len_utf8()..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_they_were_hashed() {
        for (text, expect) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1.0", "1.0"),
            ("1E5", "100000.0"),
            ("1e-7", "1e-07"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("-1.5e300", "-1.5e+300"),
            ("123456789012345678", "123456789012345678"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e23", "1e+23"),
            ("5e-324", "5e-324"),
        ] {
            let mut out = String::new();
            write_lax(&mut out, text).unwrap();
            assert_eq!(out, expect);
        }
        assert!(write_lax(&mut String::new(), "1e400").is_err());
    }

    #[test]
    fn numbers_are_found_between_strings() {
        let json = r#"{"1":[-2.5e-3,"3\"4\\",5],"é\\":60 ,"7":null,"x":true}"#;
        assert_eq!(NumberTexts::new(json).collect::<Vec<_>>(), ["-2.5e-3", "5", "60"]);
        assert_eq!(NumberTexts::new(r#""a\"#).next(), None);
    }
}
