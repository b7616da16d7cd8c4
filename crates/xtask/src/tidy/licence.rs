//! Licences and reasons: what is linked may be linked, and somebody wrote down why it is there.
//!
//! An SPDX expression is `term (AND|OR term)*` with parentheses; `/` is an old OR; AND binds tighter.
//! `A WITH B` is a term of its own. before: `MIT OR (GPL-3.0 AND ISC)` → after: allowed, through MIT.

use super::{Finding, Tree, table};
use std::{collections::BTreeSet, iter::Peekable, vec::IntoIter};

const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
const REASONS: &str = "docs/decisions/0002-libraries.md";

/// Every package that could be linked, and the reason of every one we name ourselves.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let packages = tree.metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found = Vec::new();
    let mut direct = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or("");
        let licence = package["license"].as_str().unwrap_or("");
        if !allowed(licence) {
            let what = format!("{name}: licence {licence:?} is not on the list");
            found.push(finding("Cargo.lock", 1, what));
        }
        if package["source"].is_null() {
            let all = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
            let outside = all.iter().filter(|dependency| dependency["path"].is_null());
            direct.extend(outside.filter_map(|dependency| dependency["name"].as_str()));
        }
    }
    let reasons = table(tree.book(REASONS), "libraries");
    for name in &direct {
        if !reasons.iter().any(|(_, cells)| cells.first().is_some_and(|cell| cell == name)) {
            found.push(finding(REASONS, 1, format!("{name} is used, and no row says why")));
        }
    }
    for (line, cells) in &reasons {
        let name = cells.first().map_or("", String::as_str);
        if !direct.contains(name) {
            found.push(finding(REASONS, line + 1, format!("{name} is not used any more")));
        }
    }
    found
}

fn finding(file: &str, line: usize, what: String) -> Finding {
    Finding { file: file.to_owned(), line, rule: "map-is-tested", what }
}

/// Whether the expression leaves a choice that is on the list.
pub fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<String> = spaced.split_whitespace().map(String::from).collect();
    let mut words = words.into_iter().peekable();
    any(&mut words) && words.next().is_none()
}

type Words = Peekable<IntoIter<String>>;

fn any(words: &mut Words) -> bool {
    let mut ok = every(words);
    while words.next_if(|word| word == "OR").is_some() {
        ok |= every(words);
    }
    ok
}

fn every(words: &mut Words) -> bool {
    let mut ok = term(words);
    while words.next_if(|word| word == "AND").is_some() {
        ok &= term(words);
    }
    ok
}

fn term(words: &mut Words) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        let ok = any(words);
        return words.next().is_some_and(|word| word == ")") && ok;
    }
    if words.next_if(|word| word == "WITH").is_some() {
        words.next();
        return false;
    }
    ALLOWED.contains(&word.as_str())
}
