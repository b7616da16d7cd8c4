//! The one scanner of text that rules depend on: whole tokens, compared as a person would read them.

use alloc::{string::String, vec::Vec};
use unicode_normalization::UnicodeNormalization;

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

/// Whether `literal` stands in `text` as a whole token: not inside a longer word, address or host name.
pub fn has_token(text: &str, literal: &str) -> bool {
    Folded::of(text).has_token(literal)
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

/// A text folded once, to look for many tokens in it.
pub struct Folded(String);

impl Folded {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        Self(fold(text))
    }

    /// Whether the literal stands in it as a whole token.
    pub fn has_token(&self, literal: &str) -> bool {
        let (text, literal) = (self.0.as_str(), fold(literal));
        let literal = literal.trim();
        if literal.is_empty() {
            return false;
        }
        // What is shorter than an address of the web is another address.
        let is_url = literal.contains('/') || literal.starts_with("www.");
        let of_digits = (is_digit(literal.chars().next()), is_digit(literal.chars().next_back()));
        text.match_indices(literal).any(|(at, found)| {
            let mut before = text.get(..at).unwrap_or("").chars();
            let mut after = text.get(at + found.len()..).unwrap_or("").chars();
            let free = |c: Option<char>| c.is_none_or(|c| !continues(c) && !leads(c));
            // `0,99` and `1,000` are one number each: a part of one is another amount.
            if (parts_number(before.clone().next_back())
                && is_digit(before.clone().rev().nth(1))
                && of_digits.0)
                || (parts_number(after.clone().next()) && is_digit(after.clone().nth(1)) && of_digits.1)
            {
                return false;
            }
            let mut first = before.next_back();
            // Quotes around the whole of it are no part of it, though an address may hold such a mark.
            if let Some(mark @ ('\'' | '`')) = first
                && after.clone().next() == Some(mark)
            {
                first = before.next_back();
                after.next();
            }
            // A full stop at the end of a sentence ends a token; followed by more of a word it does not.
            let free_after = match after.next() {
                None => true,
                Some('.' | '-' | '\'') => after.next().is_none_or(|c| !continues(c)),
                Some('/' | '?' | '#' | '&' | '=') => !is_url,
                Some(c) => !continues(c),
            };
            free(first) && free_after
        })
    }

    /// Whether the literal stands in it as a person writes what has to be taken exactly: between quotes that
    /// hold nothing else, or as a whole token that no word of a sentence looks like: with a digit, an `@`, or
    /// a mark between letters. Marks that words have too (`e-mail`, `don't`, `and/or`, `e.g.`) are none.
    pub fn has_quoted(&self, literal: &str) -> bool {
        let folded = fold(literal);
        let folded = folded.trim();
        let in_quotes = || {
            self.0.match_indices(folded).any(|(at, found)| {
                let mut before = self.0.get(..at).unwrap_or("").chars();
                let mut after = self.0.get(at + found.len()..).unwrap_or("").chars();
                let (Some(open), Some(close)) = (before.next_back(), after.next()) else { return false };
                let parted = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                QUOTES.contains(&(open, close))
                    && !folded.contains([open, close])
                    && parted(before.next_back())
                    && parted(after.next())
            })
        };
        if !folded.contains(char::is_alphanumeric) {
            return false;
        }
        in_quotes() || (is_unlike_words(folded) && self.has_token(literal))
    }

    /// Whether a whole URL stands in it: a token that no path, query or fragment makes longer.
    pub fn has_url(&self, url: &str) -> bool {
        let url = fold(url);
        let url = url.trim();
        !url.is_empty() && pieces(&self.0).any(|piece| piece == url)
    }
}

/// What opens a quote and what closes it.
const QUOTES: [(char, char); 13] = [
    ('\'', '\''),
    ('"', '"'),
    ('`', '`'),
    ('‘', '’'),
    ('‚', '‘'),
    ('“', '”'),
    ('„', '“'),
    ('„', '”'),
    ('«', '»'),
    ('»', '«'),
    ('‹', '›'),
    ('›', '‹'),
    ('「', '」'),
];

/// Whether no word of a sentence looks so: see [`Folded::has_quoted`].
fn is_unlike_words(token: &str) -> bool {
    let mark = |c: char| "._:+#=~".contains(c);
    let marked = || {
        let ends = |text: &str| text.chars().count() >= 2 && text.chars().all(char::is_alphanumeric);
        token.contains(mark) && !token.split(mark).any(str::is_empty) && token.split(mark).any(ends)
    };
    token.contains(|c: char| c.is_numeric() || c == '@') || marked()
}

/// Whether a whole URL stands in the text byte for byte: in a choice between two ways to write it, or in its
/// capital letters, something could be told.
pub fn quotes_url(text: &str, url: &str) -> bool {
    !url.is_empty() && pieces(text).any(|piece| piece == url)
}

fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_digit())
}

/// A mark inside a number (and the line of a fraction).
fn parts_number(c: Option<char>) -> bool {
    c.is_some_and(|c| ",\u{2044}'".contains(c))
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

/// Every address of the web in a text, folded, as a reader's program would find it: with a scheme, with
/// `www.`, or a bare host name. Rather too many than too few: what it finds has to be vouched for.
pub fn links(text: &str) -> Vec<String> {
    // What nobody sees does not part a name: a reader's program drops it.
    let text: String = fold(text).chars().filter(|c| !is_hidden(*c)).collect();
    pieces(&text).filter(|piece| is_link(piece)).map(String::from).collect()
}

/// Whether the text holds markup by which a reader's program may fetch or run something: a tag, a Markdown
/// link or image, a data or script scheme. A plain link is not markup.
pub fn has_markup(text: &str) -> bool {
    let text = fold(text);
    let signs = ["](", "][", "data:", "javascript:", "vbscript:", "&#", "\\u{"];
    let tag = |(at, _): (usize, &str)| {
        let next = text.get(at + 1..).and_then(|rest| rest.chars().next());
        next.is_some_and(|c| c.is_alphabetic() || "/!?".contains(c))
    };
    signs.iter().any(|sign| text.contains(sign)) || text.match_indices('<').any(tag)
}

/// What stands between white space, quotes and brackets, without the marks that end a sentence. A dot is a
/// dot in every script that has one (UTS 46).
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "<>()[]{}\"'`,;|\\“”‘’«»".contains(c);
    text.split(ends)
        .map(|piece| piece.trim_matches(|c| ".:!?*_~…".contains(c)))
        .filter(|piece| !piece.is_empty())
}

/// Endings of file names that are no top-level domain.
const FILE_ENDINGS: [&str; 14] =
    ["csv", "docx", "eml", "html", "jpeg", "jpg", "json", "odt", "pdf", "png", "pptx", "txt", "xlsx", "yaml"];

fn is_link(piece: &str) -> bool {
    if piece.contains("://") || piece.starts_with("//") || piece.starts_with("www.") {
        return true;
    }
    if ["mailto:", "tel:", "data:", "javascript:"].iter().any(|scheme| piece.starts_with(scheme)) {
        return true;
    }
    // Also behind a mark that is no part of a host name: `see:x.example`, `a=x.example`. A path is none.
    let inner =
        piece.match_indices(|c: char| !is_host(c) && c != '/').map(|(at, mark)| (at + mark.len(), mark));
    [(0, "")].into_iter().chain(inner).any(|(at, mark)| {
        let rest = piece.get(at..).unwrap_or("");
        let end = rest.find(|c| !is_host(c)).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(end);
        // An address of mail is no link; with a path behind it, it may be.
        let mail = mark == "@" && !rest.contains(['/', '?', '#']);
        !mail && !rest.starts_with('@') && names_host(host)
    })
}

fn is_host(c: char) -> bool {
    c.is_alphanumeric() || "-_.。｡".contains(c)
}

fn names_host(host: &str) -> bool {
    let dot = |c| matches!(c, '.' | '。' | '｡');
    let labels = host.split(dot).count();
    let last = host.rsplit(dot).next().unwrap_or("");
    let whole = host
        .split(dot)
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)));
    let named = last.chars().count() >= 2 && last.chars().any(char::is_alphabetic);
    let numbered = labels == 4 && host.split(dot).all(|label| label.chars().all(|c| c.is_ascii_digit()));
    labels > 1 && whole && (numbered || (named && !FILE_ENDINGS.contains(&last)))
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

/// Whether `literal` stands anywhere in the text, by bytes.
pub fn has_text(text: &[u8], literal: &[u8]) -> bool {
    !literal.is_empty() && text.windows(literal.len()).any(|window| window == literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_whole() {
        for text in
            ["anna@tiles.example", "O'Neil@x.example", "DE12-3456", "https://x.example/a?b=1", "ａnna"]
        {
            assert!(is_token(text), "{text:?}");
        }
        for text in
            ["", " ", "a b", "a,b", "*", "a*", "\"a\"", "'a'", "a.", "<a@b>", "a\u{200b}b", "a\tb", "a；b"]
        {
            assert!(!is_token(text), "{text:?}");
        }
    }

    #[test]
    fn links_are_seen() {
        let rows: [(&str, &[&str]); 24] = [
            ("Thank you, see you on Monday.", &[]),
            ("It is 3.50 at 10 a.m., e.g. with v1.2", &[]),
            ("write to anna@tiles.example", &[]),
            ("see minutes.docx and a.b.pdf", &[]),
            ("https://x.example/?q=secret", &["https://x.example/?q=secret"]),
            ("ＨＴＴＰ：／／x.example", &["http://x.example"]),
            ("(//x.example/i.png)", &["//x.example/i.png"]),
            ("WWW.x.example", &["www.x.example"]),
            ("go to evil.com/a?b=c.", &["evil.com/a?b=c"]),
            ("go to evil.com.", &["evil.com"]),
            ("evil。com", &["evil。com"]),
            ("10.0.0.1/x", &["10.0.0.1/x"]),
            ("user@evil.com/x", &["user@evil.com/x"]),
            ("mailto:a@b.example", &["mailto:a@b.example"]),
            ("\u{200b}www.evil.com and evil\u{200b}.com", &["www.evil.com", "evil.com"]),
            ("пример.рф", &["пример.рф"]),
            ("link:evil.com/x?d=1", &["link:evil.com/x?d=1"]),
            ("u:p@evil.com/x", &["u:p@evil.com/x"]),
            ("user@evil.com:80/x", &["user@evil.com:80/x"]),
            ("q=evil.com", &["q=evil.com"]),
            ("a_b.evil.com", &["a_b.evil.com"]),
            ("→evil.com", &["→evil.com"]),
            ("mail:anna@tiles.example", &[]),
            ("at 10:30, see /data/notes.md and 3:1.5", &[]),
        ];
        for (text, want) in rows {
            assert_eq!(links(text), want, "{text:?}");
        }
    }

    #[test]
    fn markup_is_seen() {
        for (text, want) in [
            ("3 < 4 is so, and I <3 it", false),
            ("<img src=x>", true),
            ("a </b", true),
            ("![i](x)", true),
            ("[i][x]", true),
            ("&#x68;", true),
            ("DATA:text/html", true),
            ("plain", false),
        ] {
            assert_eq!(has_markup(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_url_is_quoted_whole_or_not_at_all() {
        let text = Folded::of("Look at https://x.example/a?b=1, (www.y.example) and z.example/long/path.");
        for (url, want) in [
            ("https://x.example/a?b=1", true),
            ("HTTPS://x.example/a?b=1", true),
            ("https://x.example/a", false),
            ("https://x.example/a?b=12", false),
            ("x.example", false),
            ("www.y.example", true),
            ("z.example/long/path", true),
            ("z.example/long", false),
            ("", false),
        ] {
            assert_eq!(text.has_url(url), want, "{url:?}");
        }
    }

    #[test]
    fn a_quote_is_byte_for_byte() {
        let text = "Look at https://x.example/aB?c=1.";
        let rows = [
            ("https://x.example/aB?c=1", true),
            ("https://x.example/ab?c=1", false),
            ("HTTPS://x.example/aB?c=1", false),
            (" https://x.example/aB?c=1", false),
            ("https://x.example/aB", false),
            ("", false),
        ];
        for (url, want) in rows {
            assert_eq!(quotes_url(text, url), want, "{url:?}");
        }
    }

    #[test]
    fn a_count_names_nothing() {
        for (literal, want) in [
            ("5", true),
            ("５", true),
            ("#33", true),
            ("10:00", true),
            (" 2-5 ", true),
            ("2026", true),
            ("55210", false),
            ("k5", false),
            ("2026-05-05", false),
            ("-", false),
            ("", false),
        ] {
            assert_eq!(is_count(literal), want, "{literal:?}");
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
            ("her address is 'anna@tiles.example'.", "anna@tiles.example", true),
            ("a room at 'Casa Lina', please", "casa lina", true),
            ("post it to `notes`", "notes", true),
            ("write to 'anna@tiles.example", "anna@tiles.example", false),
            ("write to o'anna@tiles.example' now", "anna@tiles.example", false),
            ("write to x'anna@tiles.example'", "anna@tiles.example", false),
            ("post to https://tiles.example/notes now", "https://tiles.example", false),
            ("post to www.tiles.example?x=1", "www.tiles.example", false),
            ("post to https://tiles.example/notes.", "https://tiles.example/notes", true),
            ("tell Mira/Jonas", "Mira", true),
            ("x", "", false),
            ("ａnna", "anna", true),
            ("pay 0,99 to bob", "99", false),
            ("pay 1,000 to bob", "1", false),
            ("pay 1,000 to bob", "1,000", true),
            ("pay 1\u{bd} to bob", "11", false),
            ("5, 6 and 7", "5", true),
        ];
        for (text, literal, want) in rows {
            assert_eq!(has_token(text, literal), want, "{literal:?} in {text:?}");
        }
    }

    #[test]
    fn what_is_to_be_taken_exactly_is_quoted_or_no_word() {
        let rows = [
            ("call me 'Casa Lina' from now on", "Casa Lina", true),
            ("call me \"Casa Lina\".", "casa lina", true),
            ("call me `lina`", "lina", true),
            ("call me “Lina”, please", "Lina", true),
            ("nenn mich „Lina“!", "Lina", true),
            ("nenn mich ‚Lina‘!", "Lina", true),
            ("appelle-moi «Lina»", "Lina", true),
            ("nenn mich »Lina«", "Lina", true),
            ("call me ＂Lina＂", "Lina", true),
            ("call me Lina from now on", "Lina", false),
            ("call me 'Casa Lina' from now on", "Lina", false),
            ("call me 'Lina", "Lina", false),
            ("call me \"Lina'", "Lina", false),
            ("the 'one' and 'two'", "and", false),
            ("the 'one' and 'two'", "one' and 'two", false),
            ("x'lina' y", "lina", false),
            ("'lina's", "lina", false),
            ("'-' and '*'", "-", false),
            ("'-' and '*'", "", false),
            ("use DE12-3456 now", "DE12-3456", true),
            ("use DE12-3456 now", "DE12", false),
            ("use anna@tiles.example.", "anna@tiles.example", true),
            ("use tiles.example", "tiles.example", true),
            ("user name lina_m", "lina_m", true),
            ("by e-mail, and/or by post, e.g. if they don't", "e-mail", false),
            ("by e-mail, and/or by post, e.g. if they don't", "and/or", false),
            ("by e-mail, and/or by post, e.g. if they don't", "e.g", false),
            ("by e-mail, and/or by post, e.g. if they don't", "don't", false),
            ("see: below", "see:", false),
        ];
        for (text, literal, want) in rows {
            assert_eq!(Folded::of(text).has_quoted(literal), want, "{literal:?} in {text:?}");
        }
    }
}
