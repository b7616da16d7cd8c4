//! The map is tested: ARCHITECTURE.md's crate table against the crates, the edges and the lines that stand;
//! and the number of calls.

use super::{Finding, Tree, table, words::UNSAFE_PLACES};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const BOOK: &str = "ARCHITECTURE.md";
const CALLS: usize = 24;

/// One row of the crate table.
struct Row {
    line: usize,
    may_use: String,
    lines_max: Option<usize>,
    /// `forbid`, or the one file that may hold it.
    unsafe_in: String,
}

impl Row {
    fn allows(&self, name: &str) -> bool {
        self.may_use == "any" || self.may_use.split_whitespace().any(|word| word == name)
    }
}

/// Crates, edges, budgets and calls.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let rows = rows(tree.book(BOOK));
    let edges = edges(&tree.metadata);
    for name in edges.keys().filter(|name| !rows.contains_key(*name)) {
        found.push(finding(0, format!("crate {name} is not in the table")));
    }
    for (name, row) in &rows {
        let Some(uses) = edges.get(name) else {
            found.push(finding(row.line, format!("crate {name} does not stand")));
            continue;
        };
        for used in uses.iter().filter(|used| !row.allows(used)) {
            found.push(finding(row.line, format!("{name} uses {used}, which the table does not allow")));
        }
        budget(tree, name, row, &mut found);
        found.extend(unsafe_place(name, row));
    }
    if abi::call::CALLS.len() != CALLS {
        let n = abi::call::CALLS.len();
        let what = format!("{n} calls, not {CALLS}: a new call needs a decision record");
        let file = String::from("crates/abi/src/call.rs");
        found.push(Finding { file, line: 1, rule: "few-calls", what });
    }
    found
}

fn finding(line: usize, what: String) -> Finding {
    Finding { file: BOOK.to_owned(), line: line + 1, rule: "map-is-tested", what }
}

fn rows(text: &str) -> BTreeMap<String, Row> {
    let rows = table(text, "crates").into_iter().filter(|(_, cells)| cells.len() == 6);
    rows.map(|(line, cells)| {
        let lines_max = cells[3].replace(',', "").parse().ok();
        let unsafe_in = cells[5].clone();
        (cells[0].clone(), Row { line, may_use: cells[2].clone(), lines_max, unsafe_in })
    })
    .collect()
}

/// The crates of the workspace and which of them each uses, tests not counted.
fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let ours = packages.iter().filter(|package| package["source"].is_null());
    ours.map(|package| {
        let all = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        let uses = all.iter().filter(|one| !one["path"].is_null() && one["kind"].is_null());
        (text(&package["name"]), uses.map(|dependency| text(&dependency["name"])).collect())
    })
    .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

/// Lines of code that are not tests: blank lines and lines of comment alone are free, so that nobody saves on
/// them.
pub fn code_lines(tree: &Tree, name: &str) -> usize {
    let prefix = format!("crates/{name}/src/");
    let sources = tree.sources.iter().filter(|source| source.path.starts_with(&prefix));
    sources
        .map(|source| {
            let literals = &source.parts.literal_lines;
            let spans = |number: usize| literals.iter().any(|range| range.contains(&number));
            let lines = source.parts.code.lines().zip(&source.tests).enumerate();
            let counts = |number, code: &str| !code.trim().is_empty() || spans(number);
            lines.filter(|(number, (code, test))| !**test && counts(*number, code)).count()
        })
        .sum()
}

/// What the table says of `unsafe` is what the rule on words holds.
fn unsafe_place(name: &str, row: &Row) -> Option<Finding> {
    let own = format!("crates/{name}/");
    let told = match UNSAFE_PLACES.iter().find_map(|place| place.strip_prefix(own.as_str())) {
        None => "forbid".to_owned(),
        Some("") => "allowed".to_owned(),
        Some(place) => format!("only `{}`", place.trim_start_matches("src/")),
    };
    let what = || format!("of `unsafe` in {name} the table says {:?}, not {told:?}", row.unsafe_in);
    (!row.unsafe_in.starts_with(&told)).then(|| finding(row.line, what()))
}

fn budget(tree: &Tree, name: &str, row: &Row, found: &mut Vec<Finding>) {
    let Some(lines_max) = row.lines_max else {
        found.push(finding(row.line, format!("{name} has no line budget")));
        return;
    };
    let lines = code_lines(tree, name);
    if lines > lines_max {
        let what = format!("{name} has {lines} lines, its budget is {lines_max}: delete, or say why");
        found.push(finding(row.line, what));
    }
}
