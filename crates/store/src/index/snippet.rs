//! The part of a text around what was found, on one line.
//!
//! ```text
//! "…\nUse the thin-set\tadhesive for…"  ─▶  "Use the thin-set adhesive for", marks [(8,16), (17,25)]
//! ```
//!
//! Marks are from byte to byte of the snippet; a face colours them. Never here: more than
//! `SNIPPET_BYTES_MAX` bytes, a control character, half a character.

use abi::{limits, query::Query};

/// Bytes of the text that stand before the first match.
const BEFORE: usize = 60;

/// A snippet and where in it something matches.
pub(super) fn cut(query: &Query, text: &str) -> (String, Vec<(u32, u32)>) {
    let at = query.first(text).map_or(0, |(from, _)| from);
    let mut from = text.floor_char_boundary(at.saturating_sub(BEFORE));
    // It begins with a word, if one begins on the way.
    if from > 0
        && let Some(space) = text.get(from..at).and_then(|before| before.find(char::is_whitespace))
    {
        from += space;
    }
    let mut line = String::with_capacity(limits::SNIPPET_BYTES_MAX);
    for c in text.get(from..).unwrap_or_default().chars() {
        let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
        if c == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if line.len() + c.len_utf8() > limits::SNIPPET_BYTES_MAX {
            break;
        }
        line.push(c);
    }
    line.truncate(line.trim_end().len());
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let marks = query.marks(&line).into_iter().map(|(from, to)| (place(from), place(to))).collect();
    (line, marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn around_the_first_match() {
        let long = format!("{} needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let rows = [
            ("adhesive", "Use the thin-set\n\tadhesive for it.\n", "Use the thin-set adhesive for it.", 1),
            ("nothing", "only the name matched", "only the name matched", 0),
            ("x", "", "", 0),
            ("b", "a\u{1b}[31mb", "a [31mb", 0),
            ("b", "a\u{1b} b\0c b", "a b c b", 2),
        ];
        for (query, text, snippet, marks) in rows {
            let (line, found) = cut(&Query::parse(query).unwrap(), text);
            assert_eq!((line.as_str(), found.len()), (snippet, marks), "{text:?}");
        }
        let (line, marks) = cut(&Query::parse("needle").unwrap(), &long);
        assert!(line.starts_with("hay hay") && line.contains(" needle straw"), "{line}");
        assert_eq!(marks.len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_line(text in "\\PC{0,600}|[a-c\n\t é中]{0,600}", word in "[a-c中é]{1,2}") {
            let (line, marks) = cut(&Query::parse(&word).unwrap(), &text);
            prop_assert!(line.len() <= limits::SNIPPET_BYTES_MAX);
            prop_assert!(!line.contains(char::is_control));
            for (from, to) in marks {
                prop_assert!(line.get(from as usize..to as usize).is_some_and(|part| !part.is_empty()));
            }
        }
    }
}
