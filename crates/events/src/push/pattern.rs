//! Patterns of push rules: `*` for any characters, `?` for one, whatever the case of letters.
//!
//! Whoever writes the patterns of their rules, and the texts that others' rules look at, is no friend of this server. So no pattern is
//! followed by recursion, and all rules together may take a bounded number of steps for one event.

/// The number of steps that all rules of a user may take for one event. It is enough for a hundred keywords in an event of the greatest
/// size, and takes about a millisecond.
const STEPS_MAX: usize = 500_000;

/// The bytes of a text that a search for a fixed word looks at in one step.
const SEARCHED_BYTES_PER_STEP: usize = 16;

/// The steps that are left. What would take more matches nothing.
#[derive(Debug)]
pub(super) struct Steps(usize);

impl Steps {
    /// As many as there are for one event.
    pub(super) fn of_event() -> Self {
        Self(STEPS_MAX)
    }

    /// Take some. `false`, from now on, if there are not so many left.
    fn take(&mut self, count: usize) -> bool {
        let has = self.0 >= count;
        self.0 = if has { self.0 - count } else { 0 };
        has
    }
}

/// Whether a pattern matches the whole text. Both are in lower case.
pub(super) fn matches(pattern: &str, text: &str, steps: &mut Steps) -> bool {
    if !has_wildcards(pattern) {
        return steps.take(1) && pattern == text;
    }
    Glob::new(pattern).matches_at(text, 0, |end| end == text.len(), steps)
}

/// Whether a text contains a pattern between the borders of words: a border is where not both sides are `A-Z`, `a-z`, `0-9` or `_`. Both
/// are in lower case.
pub(super) fn contains(pattern: &str, text: &str, steps: &mut Steps) -> bool {
    if pattern.is_empty() {
        return false;
    }
    let is_border = |place: usize| {
        let is_word = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let bytes = text.as_bytes();
        !is_word(place.checked_sub(1).and_then(|before| bytes.get(before)))
            || !is_word(bytes.get(place))
    };
    if !steps.take(1 + text.len() / SEARCHED_BYTES_PER_STEP) {
        return false;
    }
    if !has_wildcards(pattern) {
        return text
            .match_indices(pattern)
            .any(|(start, found)| is_border(start) && is_border(start + found.len()));
    }
    let glob = Glob::new(pattern);
    let starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    starts
        .filter(|start| is_border(*start))
        .any(|start| glob.matches_at(text, start, is_border, steps))
}

fn has_wildcards(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// A pattern, cut at its stars.
struct Glob<'p> {
    first: &'p str,
    /// The parts after each star.
    others: Vec<&'p str>,
}

impl<'p> Glob<'p> {
    fn new(pattern: &'p str) -> Self {
        let mut parts = pattern.split('*');
        Self { first: parts.next().unwrap_or_default(), others: parts.collect() }
    }

    /// Whether it matches what begins at a place of a text and ends at a place that `is_end` takes.
    ///
    /// Between two stars the first place that fits is as good as any later one, as a star takes whatever is left over. So only the last
    /// part is looked for more than once.
    fn matches_at(
        &self,
        text: &str,
        start: usize,
        is_end: impl Fn(usize) -> bool,
        steps: &mut Steps,
    ) -> bool {
        let Some(mut place) = end_of(self.first, text, start, steps) else { return false };
        let Some((last, between)) = self.others.split_last() else { return is_end(place) };
        for part in between {
            match ends_from(part, text, place, steps).next() {
                Some(end) => place = end,
                None => return false,
            }
        }
        ends_from(last, text, place, steps).any(is_end)
    }
}

/// The place after a part of a pattern without stars, if it stands at a place of the text.
fn end_of(part: &str, text: &str, start: usize, steps: &mut Steps) -> Option<usize> {
    let rest = text.get(start..)?;
    let mut left = rest.chars();
    for wanted in part.chars() {
        if !steps.take(1) {
            return None;
        }
        match left.next() {
            Some(found) if wanted == '?' || wanted == found => {}
            _ => return None,
        }
    }
    steps.take(1).then(|| text.len() - left.as_str().len())
}

/// The places after each place from `from` on at which a part stands.
fn ends_from<'a>(
    part: &'a str,
    text: &'a str,
    from: usize,
    steps: &'a mut Steps,
) -> impl Iterator<Item = usize> + 'a {
    let rest = text.get(from..).unwrap_or_default();
    let starts = rest.char_indices().map(move |(place, _)| from + place).chain([text.len()]);
    starts.filter_map(move |start| end_of(part, text, start, steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts() {
        for (pattern, text, expect) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.room.*", "m.room.", true),
            ("m.room.*", "m.room", false),
            ("*.message", "m.room.message", true),
            ("m.*.*e", "m.room.message", true),
            ("m.*.x*", "m.room.message", false),
            ("?.room", "é.room", true),
            ("?.room", ".room", false),
            ("a?", "a", false),
            ("*", "", true),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
            ("a*a", "a", false),
            ("*ab", "aab ab ac ab", true),
        ] {
            assert_eq!(matches(pattern, text, &mut Steps::of_event()), expect, "{pattern} {text}");
        }
    }

    #[test]
    fn words_in_texts() {
        for (pattern, text, expect) in [
            ("word", "word", true),
            ("word", "a word.", true),
            ("word", "a words", false),
            ("word", "sword word", true),
            ("word", "sword_word", false),
            ("word", "éword", true),
            ("@room", "hi @room!", true),
            ("cake", "cakes cakes cake", true),
            ("wor?", "some words", false),
            ("wor?", "some word", true),
            ("wor*", "some words", true),
            ("*ord", "some words", false),
            ("*ords", "some words", true),
            ("a*c", "ab bc", true),
            ("a*c", "ab bcd", false),
            ("lunc?*", "lunch plans", true),
            ("lunc?*", "lunc", false),
            ("", "x", false),
        ] {
            assert_eq!(contains(pattern, text, &mut Steps::of_event()), expect, "{pattern} {text}");
        }
    }

    #[test]
    fn steps_are_bounded_for_all_patterns_together() {
        let text = "a".repeat(60_000);
        let hostile = "*".to_owned() + &"a".repeat(1_000) + "b";
        let mut steps = Steps::of_event();
        assert!(matches("*a", &text, &mut steps));
        assert!(!matches(&hostile, &text, &mut steps));
        assert_eq!(steps.0, 0);
        assert!(!contains(&hostile, &text, &mut steps));
        assert!(!matches("a", "a", &mut steps), "nothing is left for others");
    }
}
