//! Whole tokens in a text: what a person wrote there, and not a part of it.
//!
//! Never here: whether a token that stands there is enough. That is the kernel's.

use super::{fold, is_mark, link::pieces, seen};
use alloc::string::String;

/// Words that a person writes of nobody in particular: one who is told to answer `all of them` or `her` has
/// not been told to whom. Articles, pronouns, prepositions and the like of four languages.
const NOBODY: [&str; 167] = [
    "a",
    "about",
    "after",
    "all",
    "alle",
    "allen",
    "alles",
    "also",
    "am",
    "an",
    "and",
    "another",
    "any",
    "anybody",
    "anyone",
    "anything",
    "are",
    "as",
    "at",
    "au",
    "auf",
    "aus",
    "be",
    "bei",
    "both",
    "but",
    "by",
    "das",
    "de",
    "dem",
    "den",
    "der",
    "des",
    "dich",
    "die",
    "dir",
    "do",
    "du",
    "each",
    "ein",
    "eine",
    "einem",
    "einen",
    "einer",
    "el",
    "er",
    "es",
    "euch",
    "every",
    "everybody",
    "everyone",
    "everything",
    "for",
    "from",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "i",
    "ich",
    "if",
    "ihm",
    "ihn",
    "ihnen",
    "ihr",
    "il",
    "in",
    "is",
    "it",
    "its",
    "itself",
    "je",
    "jede",
    "jeder",
    "jemand",
    "la",
    "las",
    "le",
    "les",
    "lo",
    "los",
    "lui",
    "man",
    "me",
    "mein",
    "mich",
    "mine",
    "mir",
    "mit",
    "moi",
    "my",
    "myself",
    "nadie",
    "niemand",
    "no",
    "nobody",
    "none",
    "noone",
    "not",
    "nous",
    "nur",
    "of",
    "on",
    "one",
    "or",
    "os",
    "other",
    "others",
    "our",
    "ours",
    "ourselves",
    "please",
    "she",
    "sich",
    "sie",
    "so",
    "some",
    "somebody",
    "someone",
    "something",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "todos",
    "toi",
    "tous",
    "tout",
    "toute",
    "tu",
    "un",
    "una",
    "und",
    "une",
    "uns",
    "unser",
    "us",
    "von",
    "vor",
    "vous",
    "was",
    "we",
    "who",
    "whoever",
    "whom",
    "with",
    "yes",
    "you",
    "your",
    "yours",
    "yourself",
    "zu",
    "zum",
    "zur",
];

/// Whether `literal` stands in `text` as a whole token: not inside a longer word, address, number or host
/// name. Whoever asks whether somebody was meant asks [`Folded::has_token`].
pub fn has_token(text: &str, literal: &str) -> bool {
    Folded::of(text).stands(&fold(literal))
}

/// A text folded once, to look for many tokens in it.
pub struct Folded(String);

impl Folded {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        Self(seen(text))
    }

    /// Whether the literal stands in it as a whole token and means somebody or something: marks alone, single
    /// letters and the words of [`NOBODY`] do not.
    pub fn has_token(&self, literal: &str) -> bool {
        let literal = fold(literal);
        means_something(&literal) && self.stands(&literal)
    }

    fn stands(&self, literal: &str) -> bool {
        let literal = literal.trim();
        if literal.is_empty() {
            return false;
        }
        let shape = Shape::of(literal);
        self.0.match_indices(literal).any(|(at, found)| {
            let before = self.0.get(..at).unwrap_or("");
            let after = self.0.get(at + found.len()..).unwrap_or("");
            shape.is_whole(before, after)
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

/// What of a literal decides where it ends.
struct Shape {
    /// What is shorter than an address of the web is another address.
    is_url: bool,
    /// Nothing but a number: it is the whole of a written one, or it is another number.
    is_number: bool,
    /// Whether it begins and ends with a digit.
    digits: (bool, bool),
}

impl Shape {
    fn of(literal: &str) -> Self {
        let is_digit = |c: Option<char>| c.is_some_and(char::is_numeric);
        Self {
            is_url: literal.contains('/') || literal.starts_with("www."),
            is_number: literal.contains(char::is_numeric) && !literal.contains(char::is_alphabetic),
            digits: (is_digit(literal.chars().next()), is_digit(literal.chars().next_back())),
        }
    }

    /// Whether a literal ends where it begins and ends between these two.
    fn is_whole(&self, before: &str, after: &str) -> bool {
        if self.is_part_of_number(before, after) {
            return false;
        }
        let (mut before, mut after) = (before.chars(), after.chars());
        let free = |c: Option<char>| c.is_none_or(|c| !continues(c) && !leads(c));
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
            Some('/' | '?' | '#' | '&' | '=') => !self.is_url,
            Some(c) => !continues(c),
        };
        free(first) && free_after
    }

    /// `0,99`, `1 000`, `12:30` and `2–5` are one each: a part of one is another amount.
    fn is_part_of_number(&self, before: &str, after: &str) -> bool {
        let (mut back, mut on) = (before.chars().rev(), after.chars());
        let (left, right) = ((back.next(), back.next()), (on.next(), on.next()));
        let joins = |(mark, beyond): (Option<char>, Option<char>)| {
            let mark = mark.is_some_and(|c| !c.is_control());
            mark && beyond.is_some_and(char::is_numeric)
        };
        if !self.is_number {
            let parts = |side: (Option<char>, _)| side.0.is_some_and(|c| ",\u{2044}'".contains(c));
            return (self.digits.0 && parts(left) && joins(left))
                || (self.digits.1 && parts(right) && joins(right));
        }
        // A time, a date, a port. Behind a quote a colon is that of a table (`"id":55210`), before a blank
        // that of a sentence.
        let clock = |mark: Option<char>| matches!(mark, Some(':' | '/' | '\u{2236}'));
        let table = left.0 == Some(':') && matches!(left.1, Some('"' | '\''));
        let sentence = right.0 == Some(':') && right.1.is_none_or(char::is_whitespace);
        let percent = right.0 == Some(' ') && matches!(right.1, Some('%' | '‰'));
        joins(left) || joins(right) || percent || (clock(left.0) && !table) || (clock(right.0) && !sentence)
    }
}

/// Whether a person who writes it means somebody or something in particular.
fn means_something(literal: &str) -> bool {
    let part = |part: &str| {
        let is_word = part.chars().nth(1).is_some() && !NOBODY.contains(&part);
        is_word || part.contains(char::is_numeric)
    };
    literal.split(|c: char| !c.is_alphanumeric() && !is_mark(c)).any(part)
}

/// Characters that make a token go on: those of words, addresses and host names, and what is drawn onto them.
fn continues(c: char) -> bool {
    c.is_alphanumeric() || "._%+-@".contains(c) || is_mark(c)
}

/// Characters that an address may begin with or hold (`atext` of RFC 5322): after one of them a longer
/// address is under way.
fn leads(c: char) -> bool {
    "!#$&'*/=?^`{|}~".contains(c)
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
