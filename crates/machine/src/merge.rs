//! Three-way merge of texts, line by line (crate `diffy`). A merge is used only if it is clean: no line was
//! changed on both sides. Of JSON and YAML the result must still parse as such.
//!
//! Never here: markers in a file, a guess, whether a merge is wanted.

use abi::{limits, path::TreePath};

/// Lines of one text: the time of a merge grows with their number times that of the changes.
const LINES_MAX: usize = 50_000;

/// The bytes in which both changes of the base are; none if they touch each other.
pub(crate) fn clean(path: &TreePath, [base, ours, theirs]: &[Vec<u8>; 3]) -> Option<Vec<u8>> {
    let most = usize::try_from(limits::MERGE_BYTES_MAX).unwrap_or(usize::MAX);
    let text = |bytes: &'_ Vec<u8>| -> Option<String> {
        let fits = bytes.len() <= most && bytes.iter().filter(|byte| **byte == b'\n').count() <= LINES_MAX;
        String::from_utf8(bytes.clone()).ok().filter(|_| fits)
    };
    let merged = diffy::merge(&text(base)?, &text(ours)?, &text(theirs)?).ok()?;
    (merged.len() <= most && parses(path.name(), &merged)).then(|| merged.into_bytes())
}

/// Whether it is still what its name says.
fn parses(name: &str, text: &str) -> bool {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("json") => serde_json::from_str::<serde_json::Value>(text).is_ok(),
        Some("yaml") => serde_saphyr::from_str::<serde_json::Value>(text).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(name: &str, base: &str, ours: &str, theirs: &str) -> Option<String> {
        let path = TreePath::parse(name).unwrap();
        let texts = [base, ours, theirs].map(|text| text.as_bytes().to_vec());
        clean(&path, &texts).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_what_goes_together_is_merged() {
        let rows = [
            ("/a.md", "1\n2\n3\n4\n", "one\n2\n3\n4\n", "1\n2\n3\nfour\n", Some("one\n2\n3\nfour\n")),
            ("/a.md", "1\n2\n3\n", "1\nx\n3\n", "1\ny\n3\n", None),
            ("/a.md", "1\n2\n3\n", "1\nx\n3\n", "1\nx\n3\n", Some("1\nx\n3\n")),
            ("/a.txt", "", "a\n", "b\n", None),
            ("/a.txt", "same", "same", "other", Some("other")),
        ];
        for (name, base, ours, theirs, expected) in rows {
            assert_eq!(merged(name, base, ours, theirs).as_deref(), expected, "{base:?} {ours:?} {theirs:?}");
        }
    }

    #[test]
    fn a_merge_that_is_no_json_any_more_is_none() {
        let base = "{\n\"a\": 1,\n\"b\": 2,\n\"c\": 3,\n\"d\": 4\n}\n";
        let ours = base.replace("\"a\": 1,", "\"a\": 9,");
        let good = base.replace("\"d\": 4", "\"d\": 5");
        let bad = base.replace("\"d\": 4", "\"d\": 5,");
        assert_eq!(merged("/a.json", base, &ours, &good), Some(good.replace("\"a\": 1", "\"a\": 9")));
        assert_eq!(merged("/a.json", base, &ours, &bad), None);
        assert!(merged("/a.txt", base, &ours, &bad).is_some(), "the control: as lines they go together");
    }

    #[test]
    fn what_is_no_text_or_too_long_is_not_merged() {
        let path = TreePath::parse("/a.txt").unwrap();
        assert_eq!(clean(&path, &[vec![0xFF], vec![0xFF], vec![0xFF]]), None);
        let long = vec![b'\n'; LINES_MAX + 1];
        assert_eq!(clean(&path, &[long.clone(), long.clone(), long]), None);
    }
}
