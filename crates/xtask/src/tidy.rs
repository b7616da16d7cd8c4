//! `cargo xtask tidy`: the house rules that a rule in prose would not hold. Every violation is one line,
//! `file:line: rule-name: what`; the names are those of STYLE.md. It reads the tree and `cargo metadata`,
//! writes nothing, and takes less than a second.
//!
//! layers: `rust` (which bytes are code) → `shape` (files, lines, functions) and `words` (what may not stand
//! anywhere) · `map` (ARCHITECTURE.md against the crates) · `licence` · `books` (the documents)
//! · `printed` (command lines in texts)

mod books;
mod licence;
mod map;
mod printed;
mod shape;
#[cfg(test)]
mod tests;
mod words;

use crate::rust;
use serde_json::Value;
use std::{fmt, fs, path::Path, process::Command};

/// A file of the tree that a rule may look at.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The same, taken apart.
    pub parts: rust::Parts,
    /// Which of its lines are tests.
    pub tests: Vec<bool>,
}

impl Source {
    /// Takes a text apart.
    pub fn new(path: &str, text: String) -> Self {
        let parts = rust::parts(&text);
        let tests = rust::test_lines(path, &parts.code);
        Self { path: path.to_owned(), text, parts, tests }
    }

    /// The crate it belongs to: `crates/NAME/…`.
    pub fn crate_name(&self) -> &str {
        self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or("")
    }

    /// A finding in it; `line` counts from 0.
    pub fn finding(&self, line: usize, rule: &'static str, what: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line: line + 1, rule, what: what.into() }
    }
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the root.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Name of the rule in STYLE.md.
    pub rule: &'static str,
    /// What is wrong, and what to do when that is not plain.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.file, self.line, self.rule, self.what)
    }
}

/// Everything the rules look at.
pub struct Tree {
    /// Every `.rs` file.
    pub sources: Vec<Source>,
    /// `cargo metadata`.
    pub metadata: Value,
    /// Documents by path.
    pub books: Vec<(String, String)>,
}

impl Tree {
    /// Reads it.
    pub fn read(root: &Path) -> Result<Self, String> {
        let mut paths = Vec::new();
        walk(root, root, &mut paths)?;
        paths.sort();
        let mut tree = Self { sources: Vec::new(), metadata: metadata(root)?, books: Vec::new() };
        for path in paths {
            let text = fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
            match path.ends_with(".rs") {
                true => tree.sources.push(Source::new(&path, text)),
                false => tree.books.push((path, text)),
            }
        }
        Ok(tree)
    }

    /// A document; empty when it is missing, which `books` reports.
    pub fn book(&self, path: &str) -> &str {
        self.books.iter().find(|(name, _)| name == path).map_or("", |(_, text)| text)
    }

    /// Every violation, in the order of files.
    pub fn check(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.sources.iter().flat_map(shape::check).collect();
        found.extend(self.sources.iter().flat_map(words::check));
        found.extend(map::check(self));
        found.extend(licence::check(self));
        found.extend(books::check(self));
        found.extend(printed::check(self));
        found.sort();
        found
    }
}

/// Reads the tree below `root` and prints every violation.
pub fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let found = tree.check();
    for finding in &found {
        println!("{finding}");
    }
    match found.len() {
        0 => Ok(()),
        n => Err(format!("tidy: {n} violations in {} files", tree.sources.len())),
    }
}

fn walk(root: &Path, dir: &Path, paths: &mut Vec<String>) -> Result<(), String> {
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, paths)?;
        } else if name.ends_with(".rs") || name.ends_with(".md") {
            let relative = path.strip_prefix(root).map_err(|error| error.to_string())?;
            paths.push(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn metadata(root: &Path) -> Result<Value, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// Rows of the first table after a heading that contains `heading`: each cell trimmed, with its line from 0.
/// The header and the rule below it are not among them.
pub fn table(text: &str, heading: &str) -> Vec<(usize, Vec<String>)> {
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| {
        !(line.starts_with('#') && line.to_lowercase().contains(&heading.to_lowercase()))
    });
    lines.next();
    lines
        .skip_while(|(_, line)| !line.starts_with('|'))
        .take_while(|(_, line)| line.starts_with('|'))
        .skip(2)
        .map(|(number, line)| {
            let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
            (number, inner.split('|').map(|cell| cell.trim().to_owned()).collect())
        })
        .collect()
}
