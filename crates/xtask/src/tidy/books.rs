//! The documents: they stand, they are as short as they promise, and SPEC.md names tests that exist.

use super::{Finding, Tree, table};
use crate::rust;
use std::collections::BTreeSet;

/// Documents at the root, and the most lines each may have.
const BOOKS: [(&str, usize); 7] = [
    ("README.md", 120),
    ("AGENTS.md", 40),
    ("ARCHITECTURE.md", 400),
    ("SPEC.md", 200),
    ("STYLE.md", 200),
    ("SECURITY.md", 200),
    ("CHANGELOG.md", 2000),
];
const DECISION_LINES_MAX: usize = 60;

/// Every rule on documents.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, lines_max) in BOOKS {
        let lines = tree.book(path).lines().count();
        if lines == 0 {
            found.push(finding(path, 0, "open-with-the-contract", "it is missing".to_owned()));
        }
        if lines > lines_max {
            let what = format!("{lines} lines, at most {lines_max}");
            found.push(finding(path, lines - 1, "small-shapes", what));
        }
    }
    decisions(tree, &mut found);
    promises(tree, &mut found);
    found
}

fn finding(file: &str, line: usize, rule: &'static str, what: String) -> Finding {
    Finding { file: file.to_owned(), line: line + 1, rule, what }
}

/// A decision record has four parts, and an end.
fn decisions(tree: &Tree, found: &mut Vec<Finding>) {
    for (path, text) in tree.books.iter().filter(|(path, _)| path.starts_with("docs/decisions/")) {
        if text.lines().count() > DECISION_LINES_MAX {
            let what = format!("more than {DECISION_LINES_MAX} lines: a decision is one thing");
            found.push(finding(path, DECISION_LINES_MAX, "small-shapes", what));
        }
        for part in ["Context", "Choice", "Rejected", "How we would know it was wrong"] {
            if !text.contains(&format!("**{part}.**")) {
                let what = format!("it does not say **{part}.**");
                found.push(finding(path, 0, "open-with-the-contract", what));
            }
        }
    }
}

/// Every promise names a function that stands, or says `pending`.
fn promises(tree: &Tree, found: &mut Vec<Finding>) {
    let rows = table(tree.book("SPEC.md"), "promises");
    if rows.is_empty() {
        let what = "there is no table of promises".to_owned();
        found.push(finding("SPEC.md", 0, "promise-with-number", what));
    }
    let known: BTreeSet<String> = tree
        .sources
        .iter()
        .flat_map(|source| rust::functions(&source.parts.code))
        .map(|function| function.name)
        .collect();
    for (line, cells) in rows {
        for what in broken(&cells, &known) {
            found.push(finding("SPEC.md", line, "promise-with-number", what));
        }
    }
}

/// What is wrong with one row: promise, target, how, test, measured, machine.
fn broken(cells: &[String], known: &BTreeSet<String>) -> Vec<String> {
    let [_, target, _, test, _, _] = cells else {
        return vec![format!("{} cells, not 6", cells.len())];
    };
    let mut wrong = Vec::new();
    if !target.chars().any(|c| c.is_ascii_digit()) {
        wrong.push(format!("target {target:?} has no number"));
    }
    if test == "pending" {
        return wrong;
    }
    for name in test.split(',').map(|name| name.trim().trim_matches('`')) {
        let last = name.rsplit("::").next().unwrap_or(name);
        if !known.contains(last) {
            wrong.push(format!("no fn {last} stands in the tree; write `pending` until it does"));
        }
    }
    wrong
}
