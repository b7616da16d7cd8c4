//! Rows for the module above.
use super::*;
use alloc::string::ToString;

#[test]
fn paths_are_normal_or_refused() {
    for ok in ["/", "/a", "/a/b.md", "/ü", "/a b", "/.env", "/a/...", "/*"] {
        assert_eq!(TreePath::parse(ok).unwrap().as_str(), ok);
    }
    let nfd = "/u\u{308}".to_string();
    let long = alloc::format!("/{}", "x".repeat(256));
    let huge = "/x".repeat(2500);
    for bad in ["", "a", "//", "/a//b", "/a/", "/.", "/..", "/a/../b", "/a\0", &nfd, &long, &huge] {
        assert!(TreePath::parse(bad).is_err(), "{bad:?} must be refused");
    }
}

#[test]
fn patterns_match() {
    let rows = [
        ("/**", "/", true),
        ("/**", "/a/b", true),
        ("/a/**", "/a", true),
        ("/a/**", "/ab", false),
        ("/a/*", "/a", false),
        ("/a/*", "/a/b", true),
        ("/a/*", "/a/b/c", false),
        ("/**/.env", "/.env", true),
        ("/**/.env", "/x/y/.env", true),
        ("/**/.env", "/x/.envrc", false),
        ("/a/**/b/*", "/a/b/c", true),
        ("/a/**/b/*", "/a/x/b/b/c", true),
        ("/a/**/b/*", "/a/x/b", false),
    ];
    for (pattern, path, want) in rows {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(path), want, "{pattern} on {path}");
        assert_eq!(Pattern::parse(pattern).unwrap().matches_slow(path), want, "slow {pattern} on {path}");
    }
}

#[test]
fn inclusion_is_decided() {
    let rows = [
        ("/**", "/a/*/b", true),
        ("/a/**", "/a/*", true),
        ("/a/*", "/a/**", false),
        ("/a/*", "/a/b", true),
        ("/**/b", "/a/**/b", true),
        ("/a/**/b", "/**/b", false),
        ("/*/**", "/**", false),
        ("/**", "/*/**", true),
        ("/**/*", "/*/**", true),
        ("/*/**", "/**/*", true),
        ("/a", "/a", true),
        ("/a/**", "/a", true),
        ("/a", "/a/**", false),
    ];
    for (outer, inner, want) in rows {
        let (outer, inner) = (Pattern::parse(outer).unwrap(), Pattern::parse(inner).unwrap());
        assert_eq!(outer.includes(&inner), want, "{inner} inside {outer}");
    }
}

#[test]
fn words_are_whole() {
    let word = |text: &str| Pattern::word(text).unwrap();
    assert!(word("*").includes(&word("scripted/demo")) && word("*").matches("scripted/demo"));
    assert!(!word("scripted").includes(&word("scripted/demo")) && !word("scripted").matches("scripted/demo"));
    assert!(
        !word("*").includes(&Pattern::everything()) && !Pattern::everything().includes(&word("mail.send"))
    );
}

/// Two patterns whose automata have more states than there is time: found by the fuzz target `path`.
#[test]
fn an_inclusion_that_takes_too_long_is_refused() {
    let mine = Pattern::parse(&format!("/**/a{}", "/*".repeat(60))).unwrap();
    let theirs = Pattern::parse(&format!("{}/b", "/**/a".repeat(40))).unwrap();
    assert!(!mine.includes(&theirs));
    let long = Pattern::parse(&format!("{}/**", "/*".repeat(60))).unwrap();
    assert!(long.includes(&long) && Pattern::everything().includes(&theirs));
}
