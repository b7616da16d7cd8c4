//! The one scanner of text that rules depend on: whole tokens, compared as a person would read them, and what
//! leads a reader elsewhere. All of it takes time in proportion to the text, whatever stands there.

use alloc::string::String;
use unicode_normalization::UnicodeNormalization;

mod link;
mod token;

pub use link::{has_markup, links, quotes_url};
pub use token::{Folded, has_token};

/// NFKC and lower case: so that a full-width or upper-case form of a word is the same word.
pub fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// Whether nobody sees the character, or it changes how others are seen: zero width, fillers, directions,
/// variation selectors, tags.
pub fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x3164 | 0xFFA0 | 0xFEFF
            | 0x2028 | 0x2029 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F
            | 0xFE00..=0xFE0F | 0xFFF0..=0xFFFB | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether the character is drawn onto the one before it.
pub fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Whether whoever looks sees the character as itself: no control or format, nothing hidden, private or
/// unassigned, no blank but the blank.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // Drawn as nothing, whatever their category says.
    let is_blank = matches!(c, '\u{2800}' | '\u{1d159}');
    // The standard library's own table, which judges a mark by itself only behind a letter.
    let behind_a_letter: String = ['a', c].iter().collect();
    !is_hidden(c) && !is_blank && behind_a_letter.escape_debug().count() == 2
}

/// The text as whoever looks sees it, folded: what is hidden parts no word and no name.
fn seen(text: &str) -> String {
    let line = |c| matches!(c, '\u{2028}' | '\u{2029}');
    let shown = |c: &char| !is_hidden(*c);
    fold(text).chars().map(|c| if line(c) { '\n' } else { c }).filter(shown).collect()
}

/// Whether it is a day, a time or a count, and no name: fewer than five digits and no letter. In `from 2 to 5
/// May` nobody has named event 5.
pub fn is_count(literal: &str) -> bool {
    let literal = fold(literal);
    let digits = literal.chars().filter(|c| c.is_numeric()).count();
    digits > 0 && digits < 5 && !literal.chars().any(char::is_alphabetic)
}

/// Whether a text is in its compatibility form (NFKC) already; its case may be any.
pub fn is_folded(text: &str) -> bool {
    text.nfkc().eq(text.chars())
}

/// Whether the text is one whole token: a word, an address, an identifier; nothing that could part it, and
/// nothing that nobody sees.
pub fn is_token(text: &str) -> bool {
    let parts =
        |c: char| c.is_whitespace() || c.is_control() || is_hidden(c) || "<>()[]{}\"`,;|\\".contains(c);
    let ends = |c: Option<char>| c.is_none_or(|c| ".:!?*_~…'".contains(c));
    let is_one = |text: &str| {
        !text.chars().any(parts) && !ends(text.chars().next()) && !ends(text.chars().next_back())
    };
    is_one(text) && is_one(&fold(text))
}

/// Where `literal` stands first in the text, by bytes. In one pass, whatever the two look like.
pub fn find_text(text: &[u8], literal: &[u8]) -> Option<usize> {
    if literal.is_empty() { None } else { memchr::memmem::find(text, literal) }
}

/// Whether `literal` stands anywhere in the text, by bytes.
pub fn has_text(text: &[u8], literal: &[u8]) -> bool {
    find_text(text, literal).is_some()
}

#[cfg(test)]
mod tests;
