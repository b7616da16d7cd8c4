//! Two texts, line by line: a patch of what parts them, and which lines of one stand in the other (crate
//! `diffy`, the same that merges). Never here: where the texts come from.

use diffy::{DiffOptions, Line, Patch};

/// More lines than any text that is compared has: one hunk then tells of every line.
const ALL_LINES: usize = 10_000_000;

/// A unified patch between two texts; empty when they are the same.
pub fn patch(old: &str, new: &str) -> String {
    let patch = DiffOptions::new().set_context_len(3).create_patch(old, new);
    if patch.hunks().is_empty() {
        return String::new();
    }
    // The first two lines name the texts; who calls knows better names.
    patch.to_string().splitn(3, '\n').nth(2).unwrap_or_default().to_owned()
}

/// For each line of `new`, its place in `old` if it stood there already.
pub fn stood(old: &str, new: &str) -> Vec<Option<usize>> {
    let whole: Patch<'_, str> = DiffOptions::new().set_context_len(ALL_LINES).create_patch(old, new);
    if whole.hunks().is_empty() {
        return (0..new.lines().count()).map(Some).collect();
    }
    let mut at = 0;
    let mut found = Vec::new();
    for line in whole.hunks().iter().flat_map(|hunk| hunk.lines()) {
        match line {
            Line::Context(_) => {
                found.push(Some(at));
                at += 1;
            }
            Line::Delete(_) => at += 1,
            Line::Insert(_) => found.push(None),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_its_hunks() {
        assert_eq!(patch("a\nb\n", "a\nc\n"), "@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        assert_eq!(patch("a", "a"), "");
        assert_eq!(patch("", "a"), "@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n");
    }

    #[test]
    fn lines_that_stood_already() {
        let rows: [(&str, &str, &[Option<usize>]); 6] = [
            ("a\nb\nc\n", "a\nx\nc\n", &[Some(0), None, Some(2)]),
            ("a\nb\n", "a\nb\n", &[Some(0), Some(1)]),
            ("", "a\nb\n", &[None, None]),
            ("a\nb\n", "", &[]),
            ("b\nc\n", "a\nb\nc\n", &[None, Some(0), Some(1)]),
            ("a\nb", "a\nb\n", &[Some(0), None]),
        ];
        for (old, new, want) in rows {
            assert_eq!(stood(old, new), want, "{old:?} {new:?}");
        }
    }

    #[test]
    fn every_line_of_a_long_text_is_told() {
        let old: String = (0..5000).map(|ix| format!("line {ix}\n")).collect();
        let new = old.replace("line 2500\n", "another\n");
        let found = stood(&old, &new);
        assert_eq!(found.len(), 5000);
        assert_eq!(found.iter().filter(|place| place.is_none()).count(), 1);
        assert_eq!(found[4999], Some(4999));
    }
}
