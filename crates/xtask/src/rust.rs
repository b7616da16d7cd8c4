//! Just enough of Rust's grammar to check shapes: which bytes are code, which are comments, where a function
//! ends, which lines are tests. It never parses expressions and never resolves a name.
//!
//! before: `let a = "{ // no"; // fn x`      code: `let a =          ;         `      comments: `// fn x`

use std::ops::Range;

/// A source text taken apart. `code` and `comments` have the same length and line breaks as the text; what
/// belongs to the other is blank, and the contents of literals are blank in both.
pub struct Parts {
    /// Everything that is neither comment nor literal.
    pub code: String,
    /// Everything that is comment.
    pub comments: String,
    /// Line numbers (from 0) that a multi-line literal covers, for rules that must not judge its contents.
    pub literal_lines: Vec<Range<usize>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Takes a text apart.
pub fn parts(text: &str) -> Parts {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Parts { code: String::new(), comments: String::new(), literal_lines: Vec::new() };
    let (mut at, mut line) = (0, 0);
    while at < chars.len() {
        let (kind, end) = token(&chars, at);
        let start_line = line;
        for &c in &chars[at..end] {
            line += usize::from(c == '\n');
            let blank = if c == '\n' { '\n' } else { ' ' };
            parts.code.push(if kind == Kind::Code { c } else { blank });
            parts.comments.push(if kind == Kind::Comment { c } else { blank });
        }
        if kind == Kind::Literal && line > start_line {
            parts.literal_lines.push(start_line..line + 1);
        }
        at = end;
    }
    parts
}

/// The kind of what starts at `at`, and where it ends.
fn token(chars: &[char], at: usize) -> (Kind, usize) {
    let rest = &chars[at..];
    let before = if at == 0 { ' ' } else { chars[at - 1] };
    match rest {
        ['/', '/', ..] => (Kind::Comment, at + until(rest, |c| c == '\n')),
        ['/', '*', ..] => (Kind::Comment, at + block_comment(rest)),
        ['"', ..] => (Kind::Literal, at + quoted(rest, 1)),
        ['r', '"' | '#', ..] if !is_word(before) || before == 'b' => match raw(rest) {
            Some(length) => (Kind::Literal, at + length),
            None => (Kind::Code, at + 1),
        },
        ['\'', '\\', ..] => (Kind::Literal, at + 2 + until(&rest[2..], |c| c == '\'').max(1) + 1),
        ['\'', _, '\'', ..] => (Kind::Literal, at + 3),
        _ => (Kind::Code, at + 1),
    }
}

fn until(chars: &[char], stop: fn(char) -> bool) -> usize {
    chars.iter().position(|&c| stop(c)).unwrap_or(chars.len())
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(chars: &[char], open: usize) -> usize {
    let mut at = open;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Length of a raw string `r##"…"##`, if it is one.
fn raw(chars: &[char]) -> Option<usize> {
    let hashes = chars[1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let mut at = 2 + hashes;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

/// Whether the character may stand inside a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Positions (line from 0, column) of a whole word in a text.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    text.lines().enumerate().flat_map(move |(line, content)| {
        content.match_indices(word).filter_map(move |(column, _)| {
            let before = content[..column].chars().next_back().is_none_or(|c| !is_word(c));
            let after = content[column + word.len()..].chars().next().is_none_or(|c| !is_word(c));
            (before && after).then_some((line, column))
        })
    })
}

/// The name that follows a position, as in `fn NAME`.
pub fn name_after(line: &str, column: usize) -> &str {
    let rest = line.get(column..).unwrap_or("").trim_start();
    let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    &rest[..end]
}

/// A function: its name, its first line and the line of its closing brace, both from 0.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Line of `fn`.
    pub first: usize,
    /// Line of the closing brace, or of the `;` of a declaration.
    pub last: usize,
}

/// All functions of a text of which only the code is left.
pub fn functions(code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().collect();
    words(code, "fn")
        .filter_map(|(first, column)| {
            let name = name_after(lines[first], column + 2);
            let last = end_of_item(&lines, first, column)?;
            (!name.is_empty()).then(|| Function { name: name.to_owned(), first, last })
        })
        .collect()
}

/// The line on which the item that starts here ends: at the brace that closes its first one, or at a `;`.
pub fn end_of_item(lines: &[&str], first: usize, column: usize) -> Option<usize> {
    let (mut braces, mut others) = (0i32, 0i32);
    for (line, content) in lines.iter().enumerate().skip(first) {
        for c in content.chars().skip(if line == first { column } else { 0 }) {
            match c {
                '(' | '[' => others += 1,
                ')' | ']' => others -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                ';' if braces == 0 && others == 0 => return Some(line),
                _ => continue,
            }
            if c == '}' && braces == 0 && others == 0 {
                return Some(line);
            }
        }
    }
    None
}

/// Which lines (from 0) are tests: a whole file under `tests/` or named `tests.rs`, else what stands under a
/// `#[cfg(test)]`.
pub fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let lines: Vec<&str> = code.lines().collect();
    let whole = path.contains("/tests/") || path.ends_with("/tests.rs");
    let mut tests = vec![whole; lines.len()];
    for (first, content) in lines.iter().enumerate() {
        if let Some(column) = content.find("#[cfg(test)]")
            && let Some(last) = end_of_item(&lines, first, column + "#[cfg(test)]".len())
        {
            tests[first..=last].fill(true);
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let rows = [
            ("let a = \"{\"; // fn", "let a =    ; ", "// fn"),
            ("r#\"fn \"x\" \"# b", "b", ""),
            ("'{' 'a fn 'static", "'a fn 'static", ""),
            ("'\\'' x /* a /* b */ c */ y", "x  y", "/* a /* b */ c */"),
            ("br\"}\" \"\\\"}\" z", "b  z", ""),
            ("r#type for r", "r#type for r", ""),
        ];
        for (text, code, comments) in rows {
            let parts = parts(text);
            assert_eq!(squeeze(&parts.code), squeeze(code), "{text}");
            assert_eq!(squeeze(&parts.comments), squeeze(comments), "{text}");
            assert_eq!(parts.code.chars().count(), text.chars().count(), "{text}");
        }
    }

    fn squeeze(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn functions_end_at_their_brace() {
        let text = "fn a() -> [u8; 4] {\n  if x {\n  }\n}\ntrait T { fn b(); }\nfn c()\nwhere T: X\n{\n}\n";
        let found = functions(&parts(text).code);
        let rows: Vec<(&str, usize, usize)> =
            found.iter().map(|f| (f.name.as_str(), f.first, f.last)).collect();
        assert_eq!(rows, [("a", 0, 3), ("b", 4, 4), ("c", 5, 8)]);
    }

    #[test]
    fn tests_are_what_stands_under_cfg_test() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod x;\n";
        assert_eq!(test_lines("src/a.rs", text), [false, true, true, true, true, false, true, true]);
        assert_eq!(test_lines("crates/a/tests/it/main.rs", "x\n"), [true]);
    }
}
