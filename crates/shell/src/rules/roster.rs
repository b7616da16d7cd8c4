//! Rows of `operators` in `/sys/policy.yaml`: one more, or one less, as text.
//!
//! ```text
//! operators: {}            operators:
//!                     →      anna: {role: admin}
//!                            tom: {role: member, sees: ["/data/marketing/**"], decides: []}
//! ```

use super::{header, joined, lines};

const KEY: &str = "operators";

/// The text with these rows, `NAME: {…}` each.
pub fn add(text: &str, rows: &[String]) -> Option<String> {
    let all = lines(text);
    let block = |indent: &str| rows.iter().map(|row| format!("{indent}{row}\n")).collect::<String>();
    let Some((at, value)) = header(&all, KEY) else {
        return Some(joined(&all, all.len(), &format!("{KEY}:\n{}", block("  ")), 0));
    };
    let line = all[at];
    match value {
        "" => {
            let entries = entries(&all, at);
            let indent = entries.first().map_or("  ", |(first, _)| indent(all[*first]));
            let last = entries.last().map_or(at, |(_, end)| end - 1);
            Some(joined(&all, last + 1, &block(indent), 0))
        }
        "{}" => {
            let line = line.replacen("{}", "", 1).replacen(": \n", ":\n", 1);
            let end = if line.ends_with('\n') { "" } else { "\n" };
            Some(joined(&all, at, &format!("{line}{end}{}", block("  ")), 1))
        }
        map if map.starts_with('{') && map.ends_with('}') => {
            let inside = map.strip_suffix('}')?.trim_end().trim_end_matches(',');
            let more = format!("{inside}, {}}}", rows.join(", "));
            Some(joined(&all, at, &line.replacen(map, &more, 1), 1))
        }
        _ => None,
    }
}

/// The text without the row of this name.
pub fn remove(text: &str, name: &str) -> Option<String> {
    let all = lines(text);
    let (at, value) = header(&all, KEY)?;
    if value.is_empty() {
        let is = |(first, _): &(usize, usize)| key(all[*first]) == name;
        let (first, end) = entries(&all, at).into_iter().find(is)?;
        return Some(joined(&all, first, "", end - first));
    }
    let parts = parts(value.strip_prefix('{')?.strip_suffix('}')?);
    let kept: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| key(part) != name).collect();
    (kept.len() < parts.len())
        .then(|| joined(&all, at, &all[at].replacen(value, &format!("{{{}}}", kept.join(", ")), 1), 1))
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The name before the colon, in quotes or not.
fn key(entry: &str) -> &str {
    entry.split(':').next().unwrap_or_default().trim().trim_matches(['"', '\''])
}

/// The entries of the block below a line: its first line, and the one after its last.
fn entries(all: &[&str], header: usize) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut depth = None;
    for (at, line) in all.iter().enumerate().skip(header + 1) {
        let inside = line.trim();
        if inside.is_empty() || inside.starts_with('#') {
            continue;
        }
        let deep = indent(line).len();
        if deep == 0 {
            break;
        }
        match (found.last_mut(), *depth.get_or_insert(deep) < deep) {
            (Some(last), true) => last.1 = at + 1,
            _ => found.push((at, at + 1)),
        }
    }
    found
}

/// What stands between the commas that are in no bracket.
fn parts(inside: &str) -> Vec<&str> {
    let (mut found, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, sign) in inside.char_indices() {
        match sign {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[from..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go() {
        let row = "tom: {role: member}".to_owned();
        let both = ["anna: {role: admin}".to_owned(), row.clone()];
        let block = "operators:\n  anna: {role: admin}\n  tom: {role: member}\n";
        for (before, after) in [
            ("format: 1\noperators: {}\nx: 1\n", format!("format: 1\n{block}x: 1\n")),
            ("format: 1", format!("format: 1\n{block}")),
            ("operators: {}  # nobody\n", block.replacen(":\n", ":   # nobody\n", 1)),
        ] {
            assert_eq!(add(before, &both).as_deref(), Some(after.as_str()), "{before:?}");
        }
        for (with, without) in [
            (
                "operators:\n    # us\n    bo:\n      role: admin\n    tom: {role: member}\n\nx: 1\n",
                "operators:\n    # us\n    bo:\n      role: admin\n\nx: 1\n",
            ),
            (
                "operators: {bo: {role: admin}, tom: {role: member}} # us\n",
                "operators: {bo: {role: admin}} # us\n",
            ),
            ("operators:\n  bo: {role: admin}\n  tom: {role: member}\n", "operators:\n  bo: {role: admin}\n"),
        ] {
            assert_eq!(add(without, std::slice::from_ref(&row)).as_deref(), Some(with), "{without:?}");
            assert_eq!(remove(with, "tom").as_deref(), Some(without), "{with:?}");
        }
        let long = "operators:\n  tom:\n    role: member\n    sees:\n      - /a\n  bo: {role: admin}\n";
        assert_eq!(remove(long, "tom").as_deref(), Some("operators:\n  bo: {role: admin}\n"));
        assert_eq!(remove(long, "eve"), None);
        assert_eq!(remove("operators: {bo: {role: admin}}\n", "tom"), None);
        assert_eq!(add("operators: *all\n", &both), None);
    }
}
