//! What an operator is shown of a proposal: rendered from the exact bytes that would be carried out, complete
//! and escaped, whatever an agent put there. From what is shown those bytes can be read back.
//!
//! ```text
//! Send a mail to "bob@x.example"      the manifest's template; a value stands in quotes, `-` is none
//! body: Hello,\n                      every field that the template does not show whole, by name
//! body| until Monday                  a value goes on after a line end, or when a line is full
//! to: b\u{0430}nk.example  (U+0430)   beside a value that steers: what in it is not ASCII
//! ```
//! A template can hide nothing: what it leaves out, gives twice or cannot show on one line stands below it.
//! Never here: a character that is not seen as itself.

use super::*;
use crate::proposal::{ASK, OPERATOR};
use abi::{VersionId, manifest::Kind};
use alloc::collections::BTreeSet;

/// What is shown, and whether that is all there is to see. What is not whole cannot be approved.
pub struct Shown {
    pub text: String,
    pub whole: bool,
}

impl Shown {
    fn unreadable(what: &str) -> Self {
        Self { text: format!("{what}\n"), whole: false }
    }
}

/// How a value is looked at: where something goes is read letter by letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    Payload,
    Steering,
}

/// The proposal as it is decided on.
pub fn shown(kernel: &Kernel, row: &Proposal, bytes: &[u8], content: Option<Vec<u8>>) -> Shown {
    if row.mount.is_empty() {
        return held_write(bytes, content);
    }
    let Ok(fields) = musli::wire::from_slice::<Fields>(bytes) else {
        return Shown::unreadable("the arguments cannot be read");
    };
    if row.mount == OPERATOR && row.kind == ASK {
        let mut text = String::new();
        asked(&fields, &mut text);
        return Shown { text, whole: true };
    }
    let kind = crate::effect::declared(kernel, &row.mount, &row.kind, &fields);
    // Where its mount is gone, every value is looked at as one that steers.
    let kind = kind.unwrap_or_else(|_| Kind::undeclared(&row.kind, fields.keys().cloned().collect()));
    let mut text = effect(&kind, &fields);
    if let Some(content) = content {
        lines_of("content", &content, Care::Payload, &mut text);
    }
    Shown { text, whole: true }
}

/// An effect of this kind with these arguments: by its template, and every field that it does not show whole.
pub fn effect(kind: &Kind, fields: &Fields) -> String {
    let mut text = String::new();
    let mut told = BTreeSet::new();
    if !kind.template.is_empty() {
        by_template(kind, fields, (&mut text, &mut told));
    }
    for (name, values) in fields.iter().filter(|(name, _)| !told.contains(name.as_str())) {
        let steers = kind.steering.iter().any(|steers| steers == name);
        field(name, values, if steers { Care::Steering } else { Care::Payload }, &mut text);
    }
    text
}

/// The exact arguments, every field, without a template.
pub fn arguments(row: &Proposal, bytes: &[u8], content: Option<Vec<u8>>) -> String {
    if row.mount.is_empty() {
        return held_write(bytes, content).text;
    }
    let Ok(fields) = musli::wire::from_slice::<Fields>(bytes) else {
        return Shown::unreadable("the arguments cannot be read").text;
    };
    let mut text = String::new();
    fields.iter().for_each(|(name, values)| field(name, values, Care::Payload, &mut text));
    text
}

/// A question, and its choices by number: the answer to it may be one of them.
fn asked(fields: &Fields, text: &mut String) {
    let values = |name: &str| fields.get(name).map(Vec::as_slice).unwrap_or_default();
    field("question", values("question"), Care::Payload, text);
    for (at, value) in values("choice").iter().enumerate() {
        lines(&format!("choice {}", at + 1), value.as_bytes(), Care::Payload, text);
    }
    let left = fields.iter().filter(|(name, _)| !["question", "choice"].contains(&name.as_str()));
    left.for_each(|(name, values)| field(name, values, Care::Payload, text));
}

/// The template, with a value in each `{argument}`: one that was given once and fits a line in quotes, `-`
/// for none, and for all others where they stand. A value never begins a line.
fn by_template(kind: &Kind, fields: &Fields, (text, told): (&mut String, &mut BTreeSet<String>)) {
    let mut rest = kind.template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(&plain(before));
        let place = after.split_once('}').filter(|(name, _)| kind.arguments().any(|known| known == name));
        let Some((name, after)) = place else {
            text.push('{');
            rest = after;
            continue;
        };
        let care =
            if kind.steering.iter().any(|steers| steers == name) { Care::Steering } else { Care::Payload };
        match fields.get(name).map(Vec::as_slice) {
            None => text.push('-'),
            Some([value]) if fits(value) => {
                let mut line = Line::new(care);
                value.chars().enumerate().for_each(|(ix, c)| line.push(c, ix + 1 == value.chars().count()));
                let _ = write!(text, "\"{}\"{}", line.shown.replace('"', "\\\""), line.beside(""));
                told.insert(name.to_string());
            }
            Some(values) => {
                let _ = write!(text, "({} below)", values.len());
            }
        }
        rest = after;
    }
    text.push_str(&plain(rest));
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

fn fits(value: &str) -> bool {
    value.chars().count() <= abi::limits::SHOWN_LINE_CHARS && !value.contains('\n')
}

/// A template's own text: its line ends stay.
fn plain(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(escaped).collect();
    lines.join("\n")
}

fn field(name: &str, values: &[String], care: Care, text: &mut String) {
    if values.is_empty() {
        let _ = writeln!(text, "{}, given without a value", named(name));
    }
    values.iter().for_each(|value| lines_of(name, value.as_bytes(), care, text));
}

/// A field's name: what is no letter of a word is escaped, so that it ends where it seems to.
fn named(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            text.push(c);
        } else {
            let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
        }
    }
    text
}

/// Every byte behind the name: the first line after `: `, each further one after `| `.
fn lines_of(name: &str, bytes: &[u8], care: Care, text: &mut String) {
    lines(&named(name), bytes, care, text);
}

fn lines(name: &str, bytes: &[u8], care: Care, text: &mut String) {
    let mut line = Line::new(care);
    let mut mark = ": ";
    let mut flush = |line: &mut Line, mark: &mut &str| {
        let _ = writeln!(text, "{name}{mark}{}{}", line.shown, line.beside("  "));
        (*line, *mark) = (Line::new(care), "| ");
    };
    for chunk in bytes.utf8_chunks() {
        let mut chars = chunk.valid().chars().peekable();
        while let Some(c) = chars.next() {
            line.push(c, chars.peek().is_none());
            if c == '\n' || line.chars >= abi::limits::SHOWN_LINE_CHARS {
                flush(&mut line, &mut mark);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(line.shown, "\\x{{{byte:02x}}}");
            line.chars += 1;
        }
    }
    if line.chars > 0 || mark == ": " {
        flush(&mut line, &mut mark);
    }
}

/// A held write: where, made from which version, and every byte it would put there.
fn held_write(bytes: &[u8], content: Option<Vec<u8>>) -> Shown {
    if let Ok(Call::Grant { pid, grant, .. }) = musli::wire::from_slice::<Call>(bytes) {
        let Some(rows) = crate::net::shown(pid, &grant) else {
            return Shown::unreadable("what would be given cannot be shown");
        };
        let mut text = String::new();
        rows.iter().for_each(|(name, value)| lines(name, value.as_bytes(), Care::Steering, &mut text));
        return Shown { text, whole: true };
    }
    let base_of = |base: Option<VersionId>| {
        base.map_or_else(|| String::from("none: nothing stands there"), |base| base.to_string())
    };
    let (path, write, base) = match musli::wire::from_slice::<Call>(bytes) {
        Ok(Call::Write { path, write, base, .. }) => (path, write, base_of(base)),
        Ok(Call::Remove { path, base, tree: false }) => {
            let mut text = String::new();
            lines_of("path", path.as_str().as_bytes(), Care::Steering, &mut text);
            let _ = writeln!(text, "remove: it goes, and can be taken back\nbase: {}", base_of(base));
            return Shown { text, whole: true };
        }
        _ => return Shown::unreadable("the held call cannot be read"),
    };
    let what = match write {
        Write::Whole { mode, .. } => format!("whole file, mode {mode:o}"),
        Write::Link(_) => String::from("symbolic link to"),
        Write::Dir => String::from("directory"),
        Write::Append(_) | Write::Patch { .. } | Write::Restore(_) => String::from("restored"),
        Write::Resolve { .. } | Write::Begin | Write::Check(_) => {
            return Shown::unreadable("this call is never held");
        }
    };
    let mut text = String::new();
    lines_of("path", path.as_str().as_bytes(), Care::Steering, &mut text);
    let _ = writeln!(text, "write: {what}\nbase: {base}");
    if let Some(content) = content {
        lines_of("content", &content, Care::Payload, &mut text);
    }
    Shown { text, whole: true }
}

/// Text on one line: what is not plainly seen as itself is escaped.
pub fn escaped(text: &str) -> String {
    let mut line = Line::new(Care::Payload);
    text.chars().for_each(|c| line.push(c, false));
    line.shown
}

/// One line while it is made.
struct Line {
    care: Care,
    shown: String,
    /// Characters of the value in it.
    chars: usize,
    /// Marks and blanks in a row.
    marks: usize,
    blanks: usize,
    /// What in it is not ASCII, in order, each once.
    odd: Vec<char>,
}

impl Line {
    fn new(care: Care) -> Self {
        Self { care, shown: String::new(), chars: 0, marks: 0, blanks: 0, odd: Vec::new() }
    }

    /// One more character of the value; a blank at either end of where something goes is escaped.
    fn push(&mut self, c: char, is_last: bool) {
        let first = self.chars == 0;
        let steers = self.care == Care::Steering;
        self.chars += 1;
        self.marks = if abi::scan::is_mark(c) { self.marks + 1 } else { 0 };
        self.blanks = if c == ' ' { self.blanks + 1 } else { 0 };
        let blanks_max = if steers { 1 } else { abi::limits::SHOWN_BLANKS_MAX };
        let floods = self.marks > abi::limits::SHOWN_MARKS_MAX || self.blanks > blanks_max;
        let dangles = self.marks > 0 && first || self.blanks > 0 && steers && (first || is_last);
        match c {
            '\n' => self.shown.push_str("\\n"),
            '\\' => self.shown.push_str("\\\\"),
            c if floods || dangles || !abi::scan::is_printable(c) => {
                let _ = write!(self.shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => {
                if steers && !c.is_ascii() && !self.odd.contains(&c) {
                    self.odd.push(c);
                }
                self.shown.push(c);
            }
        }
    }

    /// The code points of what may be another letter than it seems.
    fn beside(&self, gap: &str) -> String {
        let points: Vec<String> = self.odd.iter().map(|c| format!("U+{:04X}", u32::from(*c))).collect();
        if points.is_empty() { String::new() } else { format!("{gap}({})", points.join(" ")) }
    }
}
