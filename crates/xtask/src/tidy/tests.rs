//! Each rule with a text that breaks it and one that keeps it: a rule that cannot fail holds nothing.

use super::*;

fn rules(path: &str, text: &str) -> Vec<&'static str> {
    let source = Source::new(path, text.to_owned());
    let mut found = shape::check(&source);
    found.extend(words::check(&source));
    found.into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn sources() {
    let long = format!("//! a\n// {}\n", "x".repeat(120));
    let literal = format!("//! a\nconst A: &str = \"\n{}\n\";\n", "x".repeat(120));
    let body = "    let a = 1;\n".repeat(70);
    let function = format!("//! a\nfn f() {{\n{body}}}\n");
    let file = format!("//! a\n{}", "// b\n".repeat(800));
    let open = "//! a\n// TODO: later\n".to_owned();
    let rows: [(&str, &str, &[&str]); 20] = [
        ("crates/a/src/b.rs", "//! a\nfn f() {}\n", &[]),
        ("crates/a/src/b.rs", "fn f() {}\n", &["open-with-the-contract"]),
        ("crates/a/src/b.rs", &long, &["small-shapes"]),
        ("crates/a/src/b.rs", &literal, &[]),
        ("crates/a/src/b.rs", &function, &["small-shapes"]),
        ("crates/a/src/b.rs", &file, &["small-shapes"]),
        ("crates/a/src/b.rs", "//! a\nmod utils;\n", &["small-shapes"]),
        ("crates/a/src/b.rs", "//! a\nstruct FileManager;\n", &["small-shapes"]),
        ("crates/a/src/b.rs", &open, &["no-stubs"]),
        ("crates/a/src/b.rs", "//! a\nfn f() { todo!() }\n", &["no-stubs"]),
        ("crates/a/src/b.rs", "//! a\nfn f() { g(\"todo!()\") }\n", &[]),
        ("crates/a/tests/it/b.rs", "//! a\nfn f() { std::thread::sleep(d) }\n", &["tests-are-data"]),
        ("crates/a/src/b.rs", "//! a\nfn f() { std::thread::sleep(d) }\n", &[]),
        ("crates/a/src/b.rs", "//! a\n#[test]\n#[ignore]\nfn f() {}\n", &["tests-are-data"]),
        ("crates/a/src/b.rs", "//! a\nfn f() { unsafe { g() } }\n", &["unsafe-in-walls"]),
        ("crates/sim/src/vfs.rs", "//! a\nfn f() { unsafe { g() } }\n", &["unsafe-in-walls"]),
        ("crates/sim/src/vfs.rs", "//! a\n// SAFETY: b\nfn f() { unsafe { g() } }\n", &[]),
        ("crates/sim/src/lib.rs", "//! a\n#![deny(unsafe_code)]\n", &[]),
        ("crates/kernel/src/b.rs", "//! a\nuse x::HashMap;\n", &["kernel-decides"]),
        ("crates/kernel/src/lib.rs", "//! a\n#![forbid(unsafe_code)]\n", &["kernel-decides"]),
    ];
    for (path, text, expected) in rows {
        assert_eq!(rules(path, text), expected, "{path}: {text}");
    }
}

#[test]
fn licences() {
    let rows = [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT OR Apache-2.0 OR LGPL-2.1-or-later", true),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("MIT AND GPL-3.0", false),
        ("BlueOak-1.0.0", false),
        ("(MIT", false),
        ("", false),
    ];
    for (expression, expected) in rows {
        assert_eq!(licence::allowed(expression), expected, "{expression}");
    }
}

/// A tree in which kernel may use abi, kernel has four lines of code, and one promise is named.
fn tree(architecture: &str, spec: &str) -> Tree {
    let metadata = serde_json::json!({"packages": [
        {"name": "kernel", "source": null, "license": "MIT", "dependencies": [
            {"name": "abi", "path": "/x/abi", "kind": null},
            {"name": "sim", "path": "/x/sim", "kind": "dev"}]},
        {"name": "abi", "source": null, "license": "MIT", "dependencies": []}]});
    let text = "//! a\n\n// b\nfn boot() {\n    a();\n    b();\n}\n#[cfg(test)]\nmod tests {\n}\n".to_owned();
    let books = [("ARCHITECTURE.md", architecture), ("SPEC.md", spec)];
    let books = books.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec();
    Tree { sources: vec![Source::new("crates/kernel/src/a.rs", text)], metadata, books }
}

#[test]
fn the_map() {
    let map = |kernel: &str| {
        let head = "# Crates\n| c | i | m | l | io | u |\n| - | - | - | - | - | - |\n";
        format!("{head}| abi | words | — | 9 | no | forbid |\n{kernel}")
    };
    let rows = [
        ("| kernel | decisions | abi | 4 | no | forbid |\n", None),
        ("| kernel | decisions | abi | 3 | no | forbid |\n", Some("kernel has 4 lines")),
        ("| kernel | decisions | — | 4 | no | forbid |\n", Some("kernel uses abi")),
        ("", Some("crate kernel is not in the table")),
        (
            "| kernel | d | abi | 4 | n | forbid |\n| fs | d | abi | 4 | n | f |\n",
            Some("crate fs does not stand"),
        ),
        ("| kernel | decisions | abi | 4 | no | only `a.rs` |\n", Some("of `unsafe` in kernel")),
    ];
    for (row, expected) in rows {
        let found = map::check(&tree(&map(row), ""));
        let said: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        let agrees = match (said.as_slice(), expected) {
            ([], None) => true,
            ([one], Some(expected)) => one.starts_with(expected),
            _ => false,
        };
        assert!(agrees, "{row}: {said:?}");
    }
}

#[test]
fn promises_name_tests() {
    let head = "# Promises\n| p | t | h | t | m | m |\n| - | - | - | - | - | - |\n";
    let spec = |row: &str| format!("{head}{row}\n");
    let rows = [
        ("| boot | ≤ 20 ms | exec | `xtask::spec::boot` | 3 | box |", 0),
        ("| boot | ≤ 20 ms | exec | pending | 3 | box |", 0),
        ("| boot | ≤ 20 ms | exec | `nothing` | 3 | box |", 1),
        ("| boot | fast | exec | `boot` | 3 | box |", 1),
        ("| boot | ≤ 20 ms | exec |", 1),
    ];
    for (row, expected) in rows {
        let found = books::check(&tree("", &spec(row)));
        let promises = found.iter().filter(|finding| finding.rule == "promise-with-number").count();
        assert_eq!(promises, expected, "{row}");
    }
}
