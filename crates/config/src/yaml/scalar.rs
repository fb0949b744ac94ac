//! The scalar rules of YAML 1.1 as PyYAML's safe loader applies them.

/// The value that a plain scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// The null value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// None of these: the text itself.
    Text,
}

/// Resolves a plain scalar. A whole number too large for 64 bits is left as text.
pub fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Scalar::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Scalar::Text;
    }
    if let Some(number) = whole(digits) {
        return Scalar::Int(if negative { -number } else { number });
    }
    match float(digits) {
        Some(number) => Scalar::Float(if negative { -number } else { number }),
        None => Scalar::Text,
    }
}

/// Binary `0b1`, hexadecimal `0x1f`, octal `017`, sexagesimal `1:30` and decimal `1_000`.
fn whole(digits: &str) -> Option<i64> {
    let plain: String = digits.chars().filter(|letter| *letter != '_').collect();
    if digits.starts_with('_') || plain.is_empty() {
        return None;
    }
    if let Some(rest) = plain.strip_prefix("0b") {
        return i64::from_str_radix(unsigned(rest)?, 2).ok();
    }
    if let Some(rest) = plain.strip_prefix("0x") {
        return i64::from_str_radix(unsigned(rest)?, 16).ok();
    }
    if plain.contains(':') {
        return sexagesimal(&plain);
    }
    if !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match plain.strip_prefix('0') {
        Some("") => Some(0),
        Some(rest) => i64::from_str_radix(rest, 8).ok(),
        None => plain.parse().ok(),
    }
}

fn unsigned(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(text)
}

fn sexagesimal(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    for (index, part) in text.split(':').enumerate() {
        let number: i64 =
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
        let leading_zero = index == 0 && (part.starts_with('0') || part.is_empty());
        if leading_zero || (index > 0 && (number > 59 || part.len() > 2)) {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(number)?;
    }
    Some(total)
}

/// PyYAML wants a point in every float, and a sign in every exponent: `1e3` is a text.
fn float(digits: &str) -> Option<f64> {
    let plain: String = digits.chars().filter(|letter| *letter != '_').collect();
    let allowed =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    if !plain.contains('.') || plain == "." || !plain.bytes().all(allowed) {
        return None;
    }
    if let Some((_, exponent)) = plain.split_once(['e', 'E'])
        && !exponent.starts_with(['+', '-'])
    {
        return None;
    }
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_pyyaml() {
        let cases = [
            ("y", Scalar::Text),
            ("on", Scalar::Bool(true)),
            ("0", Scalar::Int(0)),
            ("0666", Scalar::Int(0o666)),
            ("0o666", Scalar::Text),
            ("08", Scalar::Text),
            ("-12", Scalar::Int(-12)),
            ("1:30", Scalar::Int(90)),
            ("1:99", Scalar::Text),
            ("00:11:22", Scalar::Text),
            ("0b11", Scalar::Int(3)),
            ("1e3", Scalar::Text),
            ("1.e+3", Scalar::Float(1000.0)),
            (".5", Scalar::Float(0.5)),
            ("1.2.3", Scalar::Text),
            ("10M", Scalar::Text),
            ("127.0.0.1", Scalar::Text),
            ("::1", Scalar::Text),
            ("99999999999999999999", Scalar::Text),
            ("-.inf", Scalar::Float(f64::NEG_INFINITY)),
        ];
        for (text, want) in cases {
            assert_eq!(resolve(text), want, "{text}");
        }
    }
}
