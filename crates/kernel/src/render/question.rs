//! What an operator is shown of a proposal: rendered from the exact bytes that would be carried out, complete
//! and escaped, whatever an agent put there.
//!
//! A manifest's template says how; it is text with `{argument}` for values. What it leaves out stands below
//! it, every field by name, so that a template can hide nothing.

use super::*;
use crate::proposal::{ASK, OPERATOR};
use alloc::collections::BTreeSet;

/// The proposal as it is decided on.
pub fn shown(kernel: &Kernel, row: &Proposal, bytes: &[u8], content: Option<Vec<u8>>) -> String {
    let fields = musli::wire::from_slice::<Fields>(bytes).ok().filter(|_| !row.mount.is_empty());
    let kind = fields.as_ref().map(|fields| crate::effect::declared(kernel, &row.mount, &row.kind, fields));
    let (Some(fields), Some(Ok(kind))) = (fields, kind) else { return arguments(row, bytes, content) };
    let mut text = String::new();
    if row.mount == OPERATOR && row.kind == ASK {
        asked(&fields, &mut text);
        return text;
    }
    let mut told = BTreeSet::new();
    if !kind.template.is_empty() {
        by_template(&kind.template, &fields, (&mut text, &mut told));
    }
    let left: Fields = fields.into_iter().filter(|(name, _)| !told.contains(name)).collect();
    every_field(&left, &mut text);
    if let Some(content) = content {
        lines_of("content", content, &mut text);
    }
    text
}

/// A question, and its choices by number: the answer to it may be one of them.
fn asked(fields: &Fields, text: &mut String) {
    let values = |name: &str| fields.get(name).map(Vec::as_slice).unwrap_or_default();
    for value in values("question") {
        lines_of("question", value.clone().into_bytes(), text);
    }
    for (at, value) in values("choice").iter().enumerate() {
        let _ = writeln!(text, "choice {}: {}", at + 1, escaped(value));
    }
    let left = fields.iter().filter(|(name, _)| !["question", "choice"].contains(&name.as_str()));
    every_field(&left.map(|(name, values)| (name.clone(), values.clone())).collect(), text);
}

/// One line of the template a line, with each `{argument}` that was given in its place. A value never begins
/// a line of its own: its line ends are escaped.
fn by_template(template: &str, fields: &Fields, (text, told): (&mut String, &mut BTreeSet<String>)) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(&plain(before));
        let Some((name, after)) = after.split_once('}') else { break };
        let values = fields.get(name).map(Vec::as_slice).unwrap_or_default();
        let shown: Vec<String> = values.iter().map(|value| escaped(value)).collect();
        text.push_str(&shown.join(", "));
        if !values.is_empty() {
            told.insert(name.to_string());
        }
        rest = after;
    }
    text.push_str(&plain(rest));
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

/// A template's own text: its line ends stay.
fn plain(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(escaped).collect();
    lines.join("\n")
}

fn every_field(fields: &Fields, text: &mut String) {
    for (name, values) in fields {
        for value in values {
            lines_of(name, value.clone().into_bytes(), text);
        }
    }
}

/// Every line behind its name.
fn lines_of(name: &str, bytes: Vec<u8>, text: &mut String) {
    match String::from_utf8(bytes) {
        Ok(value) if value.is_empty() => _ = writeln!(text, "{name}: "),
        Ok(value) => value.split_inclusive('\n').for_each(|line| {
            let _ = writeln!(text, "{name}: {}", escaped(line));
        }),
        Err(raw) => {
            let _ = writeln!(text, "{name}: {} bytes that are not text", raw.as_bytes().len());
        }
    }
}

/// The exact arguments, every field, nothing cut; what is not plainly visible is escaped.
pub fn arguments(row: &Proposal, bytes: &[u8], content: Option<Vec<u8>>) -> String {
    let mut text = String::new();
    if row.mount.is_empty() {
        return held_write(bytes, content);
    }
    let Ok(fields) = musli::wire::from_slice::<Fields>(bytes) else {
        return String::from("arguments cannot be read\n");
    };
    for (name, values) in fields {
        for value in values {
            let _ = writeln!(text, "{name}: {}", escaped(&value));
        }
    }
    text
}

/// A held write: where, made from which version, and every byte it would put there.
fn held_write(bytes: &[u8], content: Option<Vec<u8>>) -> String {
    let Ok(Call::Write { path, write, base, .. }) = musli::wire::from_slice::<Call>(bytes) else {
        return String::from("the held call cannot be read\n");
    };
    let what = match write {
        Write::Whole { mode, .. } => format!("whole file, mode {mode:o}"),
        Write::Link(_) => String::from("symbolic link to"),
        Write::Dir => String::from("directory"),
        Write::Append(_) | Write::Patch { .. } | Write::Restore(_) => String::from("restored"),
        Write::Resolve { .. } | Write::Begin => String::from("-"),
    };
    let base = base.map_or_else(|| String::from("none: nothing stands there"), |base| base.to_string());
    let mut text = format!("path: {}\nwrite: {what}\nbase: {base}\n", escaped(path.as_str()));
    if let Some(content) = content {
        match String::from_utf8(content) {
            Ok(content) => content.split_inclusive('\n').for_each(|line| {
                let _ = writeln!(text, "content: {}", escaped(line));
            }),
            Err(raw) => {
                let _ = writeln!(text, "content: {} bytes that are not text", raw.as_bytes().len());
            }
        }
    }
    text
}

/// Printable text as it is; controls, bidirectional and zero-width characters, line ends as `\u{…}` or `\n`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\\' => shown.push_str("\\\\"),
            c if c.is_control() || abi::scan::is_hidden(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}
