//! Patterns of a rules file: plain text with `{name}` for a run of characters that is caught.
//!
//! A run has at least one character and none that is a blank, a control, a backslash or one of `<>,;"'` (so
//! that it ends where a word, an address or a JSON string ends); dots at the end of a pattern's last run
//! are dropped. Compared byte by byte, upper and lower case apart, anywhere in the text; the first place
//! wins, there the longest run. `{` opens a name only when letters, digits or `_` and a `}` follow; else it
//! is itself.
//!
//! Never here: regular expressions; a search without a bound on its work.

use std::collections::BTreeMap;

/// What was caught, by name.
pub type Captures = BTreeMap<String, String>;

/// Parts of one pattern.
const PARTS_MAX: usize = 16;
/// Bytes of one run.
const RUN_BYTES_MAX: usize = 256;
/// Attempts of one search; a pattern that needs more does not match.
const WORK_MAX: u32 = 200_000;

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Run(&'a str),
}

/// Whether a pattern can be used; why not.
pub fn check(pattern: &str) -> Result<(), String> {
    let parts = parts(pattern);
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(format!("a pattern has 1 to {PARTS_MAX} parts"));
    }
    let mut names = Vec::new();
    for pair in parts.windows(2) {
        if let [Part::Run(first), Part::Run(second)] = pair {
            return Err(format!("nothing stands between {{{first}}} and {{{second}}}"));
        }
    }
    for part in &parts {
        if let Part::Run(name) = part {
            if names.contains(name) || matches!(*name, "n" | "last") {
                return Err(format!("{{{name}}} is taken"));
            }
            names.push(name);
        }
    }
    Ok(())
}

/// Finds a pattern in a text.
pub fn find(pattern: &str, text: &str) -> Option<Captures> {
    let parts = parts(pattern);
    let mut search = Search { text, work: WORK_MAX, caught: Vec::new() };
    let found = match parts.first()? {
        Part::Text(first) => text.match_indices(first).any(|(at, _)| search.here(&parts, at)),
        Part::Run(_) => starts(text).any(|at| search.here(&parts, at)),
    };
    found.then(|| {
        let owned = |(name, run): &(&str, &str)| ((*name).to_owned(), (*run).to_owned());
        search.caught.iter().map(owned).collect()
    })
}

/// Puts what was caught in place of its name. Names that were not caught stay as they are.
pub fn fill(text: &str, caught: &Captures) -> String {
    let mut out = String::new();
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Run(name) => match caught.get(name) {
                Some(run) => out.push_str(run),
                None => out.extend(["{", name, "}"]),
            },
        }
    }
    out
}

fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(open) = pattern.get(at..).and_then(|rest| rest.find('{')).map(|offset| at + offset) {
        at = open + 1;
        let rest = pattern.get(at..).unwrap_or("");
        let name = rest.split_once('}').map_or("", |(name, _)| name);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        if let Some(text) = pattern.get(from..open).filter(|text| !text.is_empty()) {
            parts.push(Part::Text(text));
        }
        parts.push(Part::Run(name));
        at += name.len() + 1;
        from = at;
    }
    if let Some(text) = pattern.get(from..).filter(|text| !text.is_empty()) {
        parts.push(Part::Text(text));
    }
    parts
}

fn runs(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"<>,;\"'\\".contains(c)
}

/// Places where a run can begin: its characters before it end a run.
fn starts(text: &str) -> impl Iterator<Item = usize> {
    let mut before = false;
    text.char_indices().filter_map(move |(at, c)| {
        let begins = runs(c) && !before;
        before = runs(c);
        begins.then_some(at)
    })
}

struct Search<'a> {
    text: &'a str,
    work: u32,
    caught: Vec<(&'a str, &'a str)>,
}

impl<'a> Search<'a> {
    /// Whether the parts stand at this place one after the other; leaves what they caught.
    fn here(&mut self, parts: &[Part<'a>], at: usize) -> bool {
        let Some((part, later)) = parts.split_first() else {
            return true;
        };
        let rest = self.text.get(at..).unwrap_or("");
        if self.work == 0 {
            return false;
        }
        self.work -= 1;
        match part {
            Part::Text(want) => rest.starts_with(want) && self.here(later, at + want.len()),
            Part::Run(name) => self.run(name, later, at, rest),
        }
    }

    fn run(&mut self, name: &'a str, later: &[Part<'a>], at: usize, rest: &'a str) -> bool {
        let near = rest.get(..rest.floor_char_boundary(RUN_BYTES_MAX)).unwrap_or("");
        let run = near.find(|c| !runs(c)).and_then(|end| near.get(..end)).unwrap_or(near);
        if later.is_empty() {
            let run = run.trim_end_matches('.');
            self.caught.push((name, run));
            return !run.is_empty() || self.drop_last();
        }
        // The longest first, shorter ones as long as the rest does not follow.
        for (end, c) in run.char_indices().rev() {
            let run = run.get(..end + c.len_utf8()).unwrap_or(run);
            self.caught.push((name, run));
            if self.here(later, at + run.len()) {
                return true;
            }
            self.drop_last();
        }
        false
    }

    fn drop_last(&mut self) -> bool {
        self.caught.pop();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pattern, text, what is caught.
    type Row<'a> = (&'a str, &'a str, Option<&'a [(&'a str, &'a str)]>);

    #[test]
    fn patterns_catch() {
        let rows: [Row<'_>; 15] = [
            ("abc", "xxabcxx", Some(&[])),
            ("abc", "xxABCxx", None),
            ("to {to}", "forward to a@b.example.\r\nnow", Some(&[("to", "a@b.example")])),
            ("to {to}", "forward to <a@b.example>", None),
            ("to <{to}>", "to <a@b.example>", Some(&[("to", "a@b.example")])),
            ("to {to}", r#"{"text":"to a@b.example\r\nincluding"}"#, Some(&[("to", "a@b.example")])),
            ("{user}@{host}", "mail a.b@c.example, please", Some(&[("user", "a.b"), ("host", "c.example")])),
            ("{file}.md", "list: 07-prices.md 08.md", Some(&[("file", "07-prices")])),
            ("a {x} b {y}", "a 1 c a 2 b 3", Some(&[("x", "2"), ("y", "3")])),
            ("{x}", "   ", None),
            ("to {x}", "to ...", None),
            ("{\"held\":true", "{\"held\":true}", Some(&[])),
            ("{} {", "say {} {", Some(&[])),
            ("grüße {x}", "grüße Zoë!", Some(&[("x", "Zoë!")])),
            ("", "x", None),
        ];
        for (pattern, text, want) in rows {
            let want = want.map(|rows| {
                let owned = |(name, run): &(&str, &str)| ((*name).to_owned(), (*run).to_owned());
                rows.iter().map(owned).collect::<Captures>()
            });
            assert_eq!(find(pattern, text), want, "{pattern:?} in {text:?}");
        }
    }

    #[test]
    fn what_was_caught_is_put_in_place() {
        let caught = find("to {to}", "to x").unwrap();
        for (text, want) in
            [("a {to} b", "a x b"), ("{to}{to}", "xx"), ("{other} {to", "{other} {to"), ("", "")]
        {
            assert_eq!(fill(text, &caught), want);
        }
    }

    #[test]
    fn a_hostile_search_ends() {
        let pattern = "{a}x{b}x{c}x{d}x{e}x{f}x{g}!";
        assert_eq!(find(pattern, &"x".repeat(200_000)), None);
    }

    #[test]
    fn bad_patterns_are_named() {
        for (pattern, want) in [
            ("", "a pattern has 1 to 16 parts"),
            ("{a}{b}", "nothing stands between {a} and {b}"),
            ("{a} {a}", "{a} is taken"),
            ("{n}", "{n} is taken"),
        ] {
            assert_eq!(check(pattern), Err(want.to_owned()));
        }
    }
}
