//! What somebody looks for: words that must all stand, `"phrases"` and beginnings (`adhes*`); and whether,
//! and where, a text holds them.
//!
//! ```text
//! tile "thin set" adhes*   →   [tile] [thin set] [adhes*]
//! thin-set                 →   [thin set]                    what is no letter or digit parts words
//! ```
//!
//! Words are told apart and compared as the index does it (SQLite's `unicode61`, diacritics of Latin letters
//! removed): the kernel's, the store's and a face's idea of a match are one. Never here: operators, columns,
//! regular expressions; whoever types them finds those words.

use crate::{Error, limits};
use alloc::{borrow::ToOwned, collections::VecDeque, format, string::String, vec::Vec};
use core::iter;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Something that must stand: words one after the other, the last of them whole or only begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// As they were typed; none is empty, and there is at least one.
    pub words: Vec<String>,
    /// Whether the last one may go on.
    pub end: End,
}

/// How the last word of a term ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There.
    Whole,
    /// Anywhere: `adhes*`.
    Open,
}

/// All that must stand. Nothing is found by a query without terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// In the order they were typed.
    pub terms: Vec<Term>,
}

impl Query {
    /// Takes a text apart. It is bounded, since each term costs a walk of the index.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |what: &str| Error::invalid("query", what);
        if text.trim().is_empty() || text.len() > limits::QUERY_BYTES_MAX {
            return Err(bad("a query is 1 to 512 bytes of words")
                .hint("skep search 'tile adhesive' · '\"exactly this\"' · 'adhes*'"));
        }
        let mut terms: Vec<Term> = Vec::new();
        for (ix, part) in text.split('"').enumerate() {
            if ix % 2 == 1 {
                terms.extend(term(part, End::Whole));
                continue;
            }
            for word in part.split_whitespace() {
                let end = if word.ends_with('*') { End::Open } else { End::Whole };
                terms.extend(term(word, end));
            }
        }
        let open = terms.iter().filter(|term| term.end == End::Open);
        if terms.len() > limits::QUERY_TERMS_MAX || open.clone().count() > limits::QUERY_OPEN_MAX {
            let (terms, open) = (limits::QUERY_TERMS_MAX, limits::QUERY_OPEN_MAX);
            return Err(bad(&format!("a query has at most {terms} words, {open} of them with a *"))
                .hint("leave out common ones"));
        }
        if open.into_iter().any(|term| term.words.last().is_some_and(|word| word.len() < 2)) {
            return Err(
                bad("a single letter with a * would find nearly everything").hint("give more of the word")
            );
        }
        Ok(Self { terms })
    }

    /// Whether every term stands in one of the two: a name, and a text.
    pub fn holds(&self, name: &str, text: &str) -> bool {
        let mut missing: Vec<bool> = self.terms.iter().map(|_| true).collect();
        for text in [name, text] {
            let mut left = missing.iter().filter(|missing| **missing).count();
            if left == 0 {
                break;
            }
            self.each(text, |found| {
                if let Some(missing) = missing.get_mut(found.term).filter(|missing| **missing) {
                    *missing = false;
                    left -= 1;
                }
                left > 0
            });
        }
        !self.terms.is_empty() && !missing.contains(&true)
    }

    /// Where the first term stands that does: from byte to byte.
    pub fn first(&self, text: &str) -> Option<(usize, usize)> {
        let mut first = None;
        self.each(text, |found| {
            first = Some((found.from, found.to));
            false
        });
        first
    }

    /// Where terms stand, from byte to byte, in order and without overlaps.
    pub fn marks(&self, text: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        self.each(text, |found| {
            all.push((found.from, found.to));
            true
        });
        all.sort_unstable();
        let mut marks: Vec<(usize, usize)> = Vec::new();
        for (from, to) in all {
            match marks.last_mut() {
                Some(last) if from < last.1 => last.1 = last.1.max(to),
                _ => marks.push((from, to)),
            }
        }
        marks
    }

    /// Hands over each place where a term ends, until it is told that no more are wanted.
    fn each(&self, text: &str, mut wants_more: impl FnMut(Found) -> bool) {
        let longest = self.terms.iter().map(|term| term.words.len()).max().unwrap_or(0);
        let mut seen: VecDeque<(usize, usize)> = VecDeque::new();
        for place in words(text) {
            if seen.len() == longest {
                seen.pop_front();
            }
            seen.push_back(place);
            for (ix, term) in self.terms.iter().enumerate() {
                let Some(from) = term.begins(text, &seen) else { continue };
                if !wants_more(Found { term: ix, from, to: place.1 }) {
                    return;
                }
            }
        }
    }
}

/// A term in a text.
struct Found {
    term: usize,
    from: usize,
    to: usize,
}

impl Term {
    /// Where it begins, if it ends with the last of these words.
    fn begins(&self, text: &str, seen: &VecDeque<(usize, usize)>) -> Option<usize> {
        let mut begins = None;
        let mut places = seen.iter().rev();
        let mut end = self.end;
        for word in self.words.iter().rev() {
            let (from, to) = places.next()?;
            if !same(text.get(*from..*to)?, word, end) {
                return None;
            }
            (begins, end) = (Some(*from), End::Whole);
        }
        begins
    }
}

/// What stands between two quotes, or without a space between, as one term.
fn term(part: &str, end: End) -> Option<Term> {
    let words: Vec<String> =
        words(part).filter_map(|(from, to)| part.get(from..to)).map(ToOwned::to_owned).collect();
    (!words.is_empty()).then_some(Term { words, end })
}

/// Where the words of a text stand, from byte to byte.
pub fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut chars = text.char_indices().peekable();
    iter::from_fn(move || {
        let from = chars.by_ref().find(|(_, c)| begins(*c))?;
        let mut to = from.0 + from.1.len_utf8();
        while let Some((at, c)) = chars.next_if(|(_, c)| begins(*c) || diacritic(*c)) {
            to = at + c.len_utf8();
        }
        Some((from.0, to))
    })
}

fn begins(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() && !is_combining_mark(c) }
}

/// The marks that stand for themselves after a letter and count for nothing.
fn diacritic(c: char) -> bool {
    ('\u{300}'..='\u{331}').contains(&c)
}

/// Whether a word of a text is the one that is looked for, or begins so.
fn same(found: &str, sought: &str, end: End) -> bool {
    let (mut found, mut sought) = (folded(found), folded(sought));
    loop {
        match (found.next(), sought.next()) {
            (None, None) => return true,
            (Some(_), None) => return end == End::Open,
            (a, b) if a != b => return false,
            _ => {}
        }
    }
}

/// The letters of a word as they are compared.
fn folded(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter(|c| !diacritic(*c)).map(fold)
}

fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let base = iter::once(c).nfd().next().filter(char::is_ascii_alphabetic);
    match base {
        Some(base) => base.to_ascii_lowercase(),
        None if c == 'ς' => 'σ',
        None => c.to_lowercase().next().unwrap_or(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};

    /// `tile`, `thin set`, `adhes*` as one text.
    fn shown(text: &str) -> Vec<String> {
        let show = |term: &Term| {
            let star = if term.end == End::Open { "*" } else { "" };
            format!("{}{star}", term.words.join(" "))
        };
        Query::parse(text).unwrap().terms.iter().map(show).collect()
    }

    #[test]
    fn what_is_typed_is_words_and_nothing_else() {
        let rows: [(&str, &[&str]); 14] = [
            ("tile", &["tile"]),
            ("tile adhesive", &["tile", "adhesive"]),
            ("\"thin set\" x", &["thin set", "x"]),
            ("\"never closed again", &["never closed again"]),
            ("adhes* ad**", &["adhes*", "ad*"]),
            ("thin-set", &["thin set"]),
            ("thin-se*", &["thin se*"]),
            ("a OR b NOT c", &["a", "OR", "b", "NOT", "c"]),
            ("name:x", &["name x"]),
            ("{name body}:x ^y", &["name", "body x", "y"]),
            ("NEAR(a b, 5)", &["NEAR a", "b", "5"]),
            ("--- *** \"\"", &[]),
            ("it's \0 x;--", &["it s", "x"]),
            ("中* straße", &["中*", "straße"]),
        ];
        for (text, terms) in rows {
            assert_eq!(shown(text), terms, "{text}");
        }
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let many: String = "ab ".repeat(17);
        let stars = "ab* cd* ef* gh* ij*";
        let rows = ["", "  ", &"x".repeat(513), &many, stars, "a*", "thin-s*"];
        for text in rows {
            assert_eq!(Query::parse(text).unwrap_err().argument, "query", "{text}");
        }
        assert_eq!(Query::parse(&"ab ".repeat(16)).unwrap().terms.len(), 16);
    }

    #[test]
    fn a_text_holds_what_all_terms_find() {
        let text = "Zeměměřič maß die Thin-set an.\nAdhesive für Übermut, ΣΊΣΥΦΟΣ.";
        let rows = [
            ("adhesive", true),
            ("ADHESIVE", true),
            ("adhes", false),
            ("adhes*", true),
            ("zememeric", true),
            ("zeměměřič", true),
            ("ubermut fur", true),
            ("thin-set", true),
            ("\"set thin\"", false),
            ("\"set an adhesive\"", true),
            ("set adhesive note", true),
            ("note.md", true),
            ("\"an note\"", false),
            ("tile adhesive", false),
            ("σίσυφος", true),
            ("mass", false),
            ("---", false),
        ];
        for (query, holds) in rows {
            assert_eq!(Query::parse(query).unwrap().holds("note.md", text), holds, "{query}");
        }
    }

    #[test]
    fn marks_say_where() {
        let rows = [
            ("a", "A b a", vec!["A", "a"]),
            ("\"a b\" b", "a b c b", vec!["a b", "b"]),
            ("ub*", "über Übung", vec!["über", "Übung"]),
            ("cafe", "cafe\u{301}s cafe\u{301}!", vec!["cafe\u{301}"]),
            ("x", "", vec![]),
        ];
        for (query, text, marked) in rows {
            let query = Query::parse(query).unwrap();
            let found: Vec<String> =
                query.marks(text).into_iter().map(|(from, to)| text[from..to].to_string()).collect();
            assert_eq!(found, marked, "{text}");
            assert_eq!(query.first(text), query.marks(text).first().copied());
        }
    }
}
