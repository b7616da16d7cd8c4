//! Shapes: how a file opens, how long it, its lines and its functions are, what modules and types are called.

use super::{Finding, Source};
use crate::rust;

const LINE_CHARS_MAX: usize = 110;
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
/// Module names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] =
    ["utils", "util", "common", "helpers", "helper", "types", "manager", "managers", "misc", "shared"];
/// Endings that say nothing about what a type is.
const EMPTY_SUFFIXES: [&str; 5] = ["Manager", "Service", "Handler", "Impl", "Util"];

/// Every shape rule on one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    opening(source, &mut found);
    lengths(source, &mut found);
    functions(source, &mut found);
    names(source, &mut found);
    found
}

fn opening(source: &Source, found: &mut Vec<Finding>) {
    if !source.text.starts_with("//! ") {
        let what = "the first line is not `//! …`: say what the file is and what it never does";
        found.push(source.finding(0, "open-with-the-contract", what));
    }
}

fn lengths(source: &Source, found: &mut Vec<Finding>) {
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines, at most {FILE_LINES_MAX}: split it by what it is about");
        found.push(source.finding(lines - 1, "small-shapes", what));
    }
    for (number, line) in source.text.lines().enumerate() {
        let chars = line.chars().count();
        let literal = source.parts.literal_lines.iter().any(|range| range.contains(&number));
        if chars > LINE_CHARS_MAX && !literal {
            let what = format!("{chars} characters, at most {LINE_CHARS_MAX}");
            found.push(source.finding(number, "small-shapes", what));
        }
    }
}

fn functions(source: &Source, found: &mut Vec<Finding>) {
    for function in rust::functions(&source.parts.code) {
        let lines = function.last - function.first + 1;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("fn {} has {lines} lines, at most {FUNCTION_LINES_MAX}", function.name);
            found.push(source.finding(function.first, "small-shapes", what));
        }
    }
}

fn names(source: &Source, found: &mut Vec<Finding>) {
    let lines: Vec<&str> = source.parts.code.lines().collect();
    for (number, column) in rust::words(&source.parts.code, "mod") {
        let name = rust::name_after(lines[number], column + 3);
        if EMPTY_NAMES.contains(&name) {
            let what = format!("mod {name}: a module is one plain noun that says what is inside");
            found.push(source.finding(number, "small-shapes", what));
        }
    }
    for keyword in ["struct", "enum", "trait", "type"] {
        for (number, column) in rust::words(&source.parts.code, keyword) {
            let name = rust::name_after(lines[number], column + keyword.len());
            let suffix = EMPTY_SUFFIXES.iter().find(|suffix| name.ends_with(**suffix));
            if let Some(suffix) = suffix {
                let what = format!("{keyword} {name}: {suffix} says nothing; name what it is");
                found.push(source.finding(number, "small-shapes", what));
            }
        }
    }
}
