//! Small edits of `/sys/policy.yaml` as text, so that its comments and its order stay.
//!
//! ```text
//! standing:                      standing:
//!   - mail.send a@x   # anna  →    - mail.send a@x   # anna
//! money: {}                        - "mail.send b@x"
//!                                money: {}
//! ```
//! Nothing here understands YAML: the daemon says what the new text would change, and whoever edits goes on
//! only if that is exactly what was meant. What is written too cleverly for this is left to a person.

pub mod roster;

/// Lines of a text with their ends.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// The line that begins a section, and what stands behind its colon without a comment.
fn header<'a>(lines: &[&'a str], key: &str) -> Option<(usize, &'a str)> {
    let value = |line: &&'a str| line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
    let at = lines.iter().position(|line| value(line).is_some())?;
    Some((at, plain(value(lines.get(at)?)?)))
}

/// Without the comment and the blanks around.
fn plain(text: &str) -> &str {
    let end = text.match_indices('#').find(|(at, _)| at == &0 || text[..*at].ends_with([' ', '\t']));
    text[..end.map_or(text.len(), |(at, _)| at)].trim()
}

/// The words of an item, in quotes or not.
fn words(item: &str) -> String {
    let item = plain(item);
    let bare = |mark: char| item.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    let bare = bare('"').or_else(|| bare('\'')).unwrap_or(item);
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The items of a block below a line: line numbers, and what stands behind each dash.
fn items<'a>(lines: &[&'a str], header: usize) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().skip(header + 1) {
        let inside = line.trim_start();
        if let Some(item) = inside.strip_prefix("- ") {
            found.push((at, item));
        } else if !inside.is_empty() && !inside.starts_with('#') && !line.starts_with([' ', '\t']) {
            break;
        }
    }
    found
}

/// One line in place of another, or beside it.
fn joined(lines: &[&str], at: usize, put: &str, skip: usize) -> String {
    let mut text: String = lines[..at].concat();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(put);
    text.push_str(&lines[at + skip..].concat());
    text
}

/// The text with this rule under `standing`.
pub fn add(text: &str, rule: &str) -> Option<String> {
    let all = lines(text);
    let Some((at, value)) = header(&all, "standing") else {
        return Some(joined(&all, all.len(), &format!("standing:\n  - \"{rule}\"\n"), 0));
    };
    let line = all[at];
    match value {
        "" => {
            let found = items(&all, at);
            let last = found.last().map_or((at, "  "), |(ix, _)| {
                let line = all[*ix];
                (*ix, &line[..line.len() - line.trim_start().len()])
            });
            Some(joined(&all, last.0 + 1, &format!("{}- \"{rule}\"\n", last.1), 0))
        }
        "[]" => {
            let header = line.replacen("[]", "", 1);
            let end = if header.ends_with('\n') { "" } else { "\n" };
            Some(joined(&all, at, &format!("{}{end}  - \"{rule}\"\n", header.replacen(": \n", ":\n", 1)), 1))
        }
        list if list.starts_with('[') && list.ends_with(']') => {
            let more =
                format!("{}, \"{rule}\"]", list.trim_end_matches(']').trim_end().trim_end_matches(','));
            Some(joined(&all, at, &line.replacen(list, &more, 1), 1))
        }
        _ => None,
    }
}

/// The text without this rule.
pub fn remove(text: &str, rule: &str) -> Option<String> {
    let all = lines(text);
    let (at, value) = header(&all, "standing")?;
    if value.is_empty() {
        let (ix, _) = items(&all, at).into_iter().find(|(_, item)| words(item) == rule)?;
        return Some(joined(&all, ix, "", 1));
    }
    let inside = value.strip_prefix('[')?.strip_suffix(']')?;
    let kept: Vec<&str> = inside.split(',').map(str::trim).filter(|item| words(item) != rule).collect();
    Some(joined(&all, at, &all[at].replacen(value, &format!("[{}]", kept.join(", ")), 1), 1))
}

/// The text with the autonomy dial at this word.
pub fn dial(text: &str, word: &str) -> Option<String> {
    let all = lines(text);
    if let Some((at, value)) = header(&all, "autonomy") {
        let (key, rest) = all[at].split_once(':')?;
        let put = match value {
            "" => format!("{key}: {word}{rest}"),
            value => format!("{key}:{}", rest.replacen(value, word, 1)),
        };
        return Some(joined(&all, at, &put, 1));
    }
    let (at, _) = header(&all, "format")?;
    Some(joined(&all, at + 1, &format!("autonomy: {word}\n"), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_added_where_they_belong() {
        let rule = "mail.send b@x";
        for (before, after) in [
            ("format: 1\n", "format: 1\nstanding:\n  - \"mail.send b@x\"\n"),
            ("format: 1", "format: 1\nstanding:\n  - \"mail.send b@x\"\n"),
            ("standing:\nmoney: {}\n", "standing:\n  - \"mail.send b@x\"\nmoney: {}\n"),
            ("standing: []  # none yet\n", "standing:   # none yet\n  - \"mail.send b@x\"\n"),
            ("standing: []\nx: 1\n", "standing:\n  - \"mail.send b@x\"\nx: 1\n"),
            (
                "standing:\n# anna\n- mail.send a@x # her\n\nmoney: {}\n",
                "standing:\n# anna\n- mail.send a@x # her\n- \"mail.send b@x\"\n\nmoney: {}\n",
            ),
            ("standing:\n    - mail.send a@x", "standing:\n    - mail.send a@x\n    - \"mail.send b@x\"\n"),
            ("standing: [mail.send a@x]\n", "standing: [mail.send a@x, \"mail.send b@x\"]\n"),
        ] {
            assert_eq!(add(before, rule).as_deref(), Some(after), "{before:?}");
        }
        assert_eq!(add("standing: [a b,\n  c d]\n", rule), None);
        assert_eq!(add("standing: *rules\n", rule), None);
    }

    #[test]
    fn rules_are_removed_and_nothing_else() {
        for (before, after) in [
            ("standing:\n  - \"mail.send b@x\"\nx: 1\n", Some("standing:\nx: 1\n")),
            ("standing:\n  - a b\n  - mail.send   b@x # him\n", Some("standing:\n  - a b\n")),
            ("standing: ['mail.send b@x', a b] # two\n", Some("standing: [a b] # two\n")),
            ("standing:\n  - mail.send b@xy\n", None),
            ("x: 1\n- mail.send b@x\n", None),
        ] {
            assert_eq!(remove(before, "mail.send b@x").as_deref(), after, "{before:?}");
        }
    }

    #[test]
    fn the_dial_turns_in_its_place() {
        for (before, after) in [
            ("format: 1\nagents: {}\n", "format: 1\nautonomy: manual\nagents: {}\n"),
            ("format: 1\nautonomy: bounded  # as below\n", "format: 1\nautonomy: manual  # as below\n"),
            ("autonomy:\nformat: 1\n", "autonomy: manual\nformat: 1\n"),
        ] {
            assert_eq!(dial(before, "manual").as_deref(), Some(after), "{before:?}");
        }
    }
}
