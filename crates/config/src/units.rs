//! Sizes and durations as Synapse writes them.

/// Bytes from `1000`, `"50M"`: one upper-case letter of K, M, G, T (powers of 1024) or none.
pub fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.chars().last()? {
        'K' => (text.strip_suffix('K')?, 1 << 10),
        'M' => (text.strip_suffix('M')?, 1 << 20),
        'G' => (text.strip_suffix('G')?, 1 << 30),
        'T' => (text.strip_suffix('T')?, 1_u64 << 40),
        _ => (text, 1),
    };
    whole(digits)?.checked_mul(unit)
}

/// Milliseconds from `1000`, `"30s"`: one letter of s, m, h, d, w, y (365 days) or none.
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    const SECOND: u64 = 1000;
    const DAY: u64 = 24 * 60 * 60 * SECOND;
    let (digits, unit) = match text.chars().last()? {
        's' => (text.strip_suffix('s')?, SECOND),
        'm' => (text.strip_suffix('m')?, 60 * SECOND),
        'h' => (text.strip_suffix('h')?, 60 * 60 * SECOND),
        'd' => (text.strip_suffix('d')?, DAY),
        'w' => (text.strip_suffix('w')?, 7 * DAY),
        'y' => (text.strip_suffix('y')?, 365 * DAY),
        _ => (text, 1),
    };
    whole(digits)?.checked_mul(unit)
}

fn whole(digits: &str) -> Option<u64> {
    let digits = digits.trim();
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in
            [("50M", Some(50 << 20)), ("1K", Some(1024)), ("7", Some(7)), ("2T", Some(2 << 40))]
        {
            assert_eq!(parse_size(text), want, "{text}");
        }
        for text in ["50MB", "50m", "M", "", "-1", "1.5G", "99999999999T"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, want) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1y", 31_536_000_000),
            ("12", 12),
            ("2w", 1_209_600_000),
        ] {
            assert_eq!(parse_duration_ms(text), Some(want), "{text}");
        }
        for text in ["1.5h", "5 min", "infinity", "", "-5s", "s"] {
            assert_eq!(parse_duration_ms(text), None, "{text}");
        }
    }
}
