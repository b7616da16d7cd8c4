//! Rows: what the questions of the kernel are answered.

use super::{leads, replaced};
use abi::path::{Pattern, TreePath};

#[test]
fn a_directory_is_shown_when_the_view_reaches_below_it() {
    let rows = [
        ("/a", "/a/b", true),
        ("/a", "/a", false),
        ("/a", "/**", true),
        ("/a", "/b/**", false),
        ("/a/b", "/*/b/c", true),
        ("/a/b", "/*/c/**", false),
        ("/a/b", "/a/**/z", true),
        ("/a/b/c", "/a/*", false),
        ("/", "/a", true),
    ];
    let got = rows.map(|(path, pattern, _)| {
        (path, pattern, leads(&TreePath::parse(path).unwrap(), &Pattern::parse(pattern).unwrap()))
    });
    assert_eq!(got, rows);
}

#[test]
fn a_patch_needs_its_text_exactly_once() {
    let rows: [(&str, &str, &str, Result<&str, &str>); 6] = [
        ("one two", "two", "three", Ok("one three")),
        ("one", "one", "", Ok("")),
        ("one", "two", "x", Err("the text to find is not in the file")),
        ("aa", "a", "x", Err("the text to find is in the file more than once")),
        ("aaa", "aa", "x", Err("the text to find is in the file more than once")),
        ("a", "", "x", Err("there is nothing to find")),
    ];
    for (text, find, put, want) in rows {
        let got = replaced(text.as_bytes(), find.as_bytes(), put.as_bytes());
        let got = got.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| error.message);
        assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{find:?} in {text:?}");
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // seam: measures
fn a_patch_is_found_in_one_pass() {
    let text = "a".repeat(1024 * 1024);
    let find = format!("{}b", "a".repeat(60 * 1024));
    let begun = std::time::Instant::now();
    let got = replaced(text.as_bytes(), find.as_bytes(), b"x").map_err(|error| error.message);
    let took = begun.elapsed();
    assert_eq!(got, Err("the text to find is not in the file".to_owned()));
    // Byte by byte it would be sixty thousand million steps.
    assert!(took.as_millis() < 500, "{took:?}");
}
