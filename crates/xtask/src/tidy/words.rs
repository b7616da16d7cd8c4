//! Words that may not stand in the code: what was left open, tests that sleep or are skipped, `unsafe`
//! outside its places, hash-ordered maps where order decides.

use super::{Finding, Source};
use crate::rust;

/// Crates whose roots carry `#![no_std]`: they compute and never act.
const PURE: [&str; 2] = ["abi", "kernel"];
/// Where `unsafe` may stand: the walls, and the simulator's SQLite VFS. The table of crates says the same.
pub const UNSAFE_PLACES: [&str; 2] = ["crates/sandbox/", "crates/sim/src/vfs.rs"];
/// Lines before an `unsafe` block within which it is said why it is needed and sound.
const SAFETY_LINES: usize = 5;

/// Every word rule on one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    left_open(source, &mut found);
    tests(source, &mut found);
    unsafe_places(source, &mut found);
    roots(source, &mut found);
    hash_order(source, &mut found);
    found
}

fn left_open(source: &Source, found: &mut Vec<Finding>) {
    for word in ["TODO", "FIXME", "XXX"] {
        for (line, _) in rust::words(&source.parts.comments, word) {
            let what = format!("{word}: do it, or write an issue");
            found.push(source.finding(line, "no-stubs", what));
        }
    }
    for word in ["todo", "unimplemented"] {
        for (line, column) in rust::words(&source.parts.code, word) {
            if rest(source, line, column + word.len()).starts_with('!') {
                found.push(source.finding(line, "no-stubs", format!("{word}! is left open")));
            }
        }
    }
}

fn tests(source: &Source, found: &mut Vec<Finding>) {
    for (line, column) in rust::words(&source.parts.code, "ignore") {
        let before = source.parts.code.lines().nth(line).and_then(|text| text.get(..column)).unwrap_or("");
        if before.trim_end().ends_with("#[") {
            let what = "#[ignore]: a test that does not run is no test";
            found.push(source.finding(line, "tests-are-data", what));
        }
    }
    for (line, column) in rust::words(&source.parts.code, "thread") {
        let sleeps = rest(source, line, column).starts_with("thread::sleep");
        if sleeps && source.tests.get(line).copied().unwrap_or(false) {
            let what = "a test that sleeps: wait for the thing itself, with a deadline";
            found.push(source.finding(line, "tests-are-data", what));
        }
    }
}

fn unsafe_places(source: &Source, found: &mut Vec<Finding>) {
    if UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place)) {
        unexplained(source, found);
        return;
    }
    for (line, _) in rust::words(&source.parts.code, "unsafe") {
        found.push(source.finding(line, "unsafe-in-walls", "`unsafe` outside the sandbox"));
    }
}

/// Every `unsafe` block says why.
fn unexplained(source: &Source, found: &mut Vec<Finding>) {
    let comments: Vec<&str> = source.parts.comments.lines().collect();
    for (line, column) in rust::words(&source.parts.code, "unsafe") {
        let block = rest(source, line, column + "unsafe".len()).trim_start().starts_with('{');
        let near = comments.get(line.saturating_sub(SAFETY_LINES)..=line).unwrap_or(&[]);
        if block && !near.iter().any(|text| text.contains("SAFETY:")) {
            let what = "an `unsafe` block without `// SAFETY:`: say why it is needed and why it is sound";
            found.push(source.finding(line, "unsafe-in-walls", what));
        }
    }
}

fn roots(source: &Source, found: &mut Vec<Finding>) {
    let name = source.crate_name();
    let is_root = ["lib.rs", "main.rs"].iter().any(|file| source.path == format!("crates/{name}/src/{file}"));
    if !is_root {
        return;
    }
    let has = |attribute: &str| source.parts.code.lines().any(|line| line.trim() == attribute);
    if PURE.contains(&name) && !has("#![no_std]") {
        found.push(source.finding(0, "kernel-decides", format!("{name} lacks #![no_std]")));
    }
    // A crate of which one file may hold it can only deny it, so that this file may allow it.
    let own = format!("crates/{name}/");
    let holds = UNSAFE_PLACES.iter().any(|place| place.starts_with(&own));
    if !(has("#![forbid(unsafe_code)]") || holds && has("#![deny(unsafe_code)]")) {
        found.push(source.finding(0, "unsafe-in-walls", format!("{name} lacks #![forbid(unsafe_code)]")));
    }
}

fn hash_order(source: &Source, found: &mut Vec<Finding>) {
    if !PURE.contains(&source.crate_name()) {
        return;
    }
    for word in ["HashMap", "HashSet"] {
        for (line, _) in rust::words(&source.parts.code, word) {
            let what = format!("{word} has no order: use BTreeMap or BTreeSet");
            found.push(source.finding(line, "kernel-decides", what));
        }
    }
}

/// The code of a line from a column on.
fn rest(source: &Source, line: usize, column: usize) -> &str {
    source.parts.code.lines().nth(line).and_then(|text| text.get(column..)).unwrap_or("")
}
