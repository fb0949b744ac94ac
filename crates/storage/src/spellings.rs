//! Texts that are looked for whatever the case of their letters.

/// The spellings of a text by which it is looked for: as it is, small, large, and with a capital in front, each once. ASCII letters are
/// small in all of them, since the database knows their case; that of other letters it need not know.
pub fn spellings(text: &str) -> Vec<String> {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let title: String = first.chain(letters.as_str().to_lowercase().chars()).collect();
    let mut spellings: Vec<String> = Vec::new();
    for mut spelling in [text.to_owned(), text.to_lowercase(), text.to_uppercase(), title] {
        spelling.make_ascii_lowercase();
        if !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_beyond_ascii_have_their_capitals() {
        for (text, expect) in [
            ("bob", &["bob"][..]),
            ("Bob", &["bob"]),
            ("\u{e9}lan", &["\u{e9}lan", "\u{c9}lan"]),
            (
                "\u{436}\u{41e}",
                &["\u{436}\u{41e}", "\u{436}\u{43e}", "\u{416}\u{41e}", "\u{416}\u{43e}"],
            ),
        ] {
            assert_eq!(spellings(text), expect);
        }
    }
}
