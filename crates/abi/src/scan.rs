//! The one scanner of text that rules depend on: whole tokens, compared as a person would read them.

use alloc::string::String;
use unicode_normalization::UnicodeNormalization;

/// NFKC and lower case: so that a full-width or upper-case form of a word is the same word.
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// Whether `literal` stands in `text` as a whole token: not inside a longer word, address or host name.
pub fn has_token(text: &str, literal: &str) -> bool {
    let (text, literal) = (fold(text), fold(literal));
    let literal = literal.trim();
    if literal.is_empty() {
        return false;
    }
    text.match_indices(literal).any(|(at, found)| {
        let before = text.get(..at).and_then(|part| part.chars().next_back());
        let mut after = text.get(at + found.len()..).unwrap_or("").chars();
        let free_before = before.is_none_or(|c| !continues(c) && !leads(c));
        // A full stop at the end of a sentence ends a token; followed by more of a word it does not.
        let free_after = match after.next() {
            None => true,
            Some('.' | '-' | '\'') => after.next().is_none_or(|c| !continues(c)),
            Some(c) => !continues(c),
        };
        free_before && free_after
    })
}

/// Characters that make a token go on: those of words, addresses and host names.
fn continues(c: char) -> bool {
    c.is_alphanumeric() || "._%+-@".contains(c)
}

/// Characters that an address may begin with or hold (`atext` of RFC 5322): after one of them a longer
/// address is under way.
fn leads(c: char) -> bool {
    "!#$&'*/=?^`{|}~".contains(c)
}

/// Whether the text holds something that a reader's program may fetch, or that leads elsewhere: an address of
/// the web, markup, a data or script scheme. Rather too often than too rarely: what it finds is only asked
/// about.
pub fn may_lead_elsewhere(text: &str) -> bool {
    let text = fold(text);
    ["://", "www.", "](", "<", "data:", "javascript:", "mailto:"].iter().any(|sign| text.contains(sign))
}

/// Whether `literal` stands anywhere in the text, by bytes.
pub fn has_text(text: &[u8], literal: &[u8]) -> bool {
    !literal.is_empty() && text.windows(literal.len()).any(|window| window == literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_seen() {
        for (text, want) in [
            ("Thank you, see you on Monday.", false),
            ("3 < 4 is so", true),
            ("https://x.example/?q=secret", true),
            ("ＨＴＴＰ：／／x.example", true),
            ("![i](//x.example/i.png)", true),
            ("WWW.x.example", true),
        ] {
            assert_eq!(may_lead_elsewhere(text), want, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_whole() {
        let rows = [
            ("send it to anna@tiles.example.", "anna@tiles.example", true),
            ("send it to ANNA@tiles.example, now", "anna@tiles.example", true),
            ("send it to joanna@tiles.example", "anna@tiles.example", false),
            ("anna@tiles.example.evil.example", "anna@tiles.example", false),
            ("anna@tiles.example-evil.example", "anna@tiles.example", false),
            ("<anna@tiles.example>", "anna@tiles.example", true),
            ("anna@tiles.example,tom@tiles.example", "anna@tiles.example", true),
            ("sean.o'brien@x.example", "brien@x.example", false),
            ("x", "", false),
            ("ａnna", "anna", true),
        ];
        for (text, literal, want) in rows {
            assert_eq!(has_token(text, literal), want, "{literal:?} in {text:?}");
        }
    }
}
