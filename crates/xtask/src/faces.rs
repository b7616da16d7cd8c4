//! `cargo xtask gen [--check]`: the files that are made from the tables and stand in the tree for whoever has
//! no Rust at hand: the manual, the JSON schema, the clients' methods.
//!
//! ```text
//! man/man1 … man6              shell::manual         sdk/python/skep/calls.py           `python`
//! sdk/schema/skep.json         `schema`              sdk/typescript/calls.*             `script`
//! ```
//! `--check`, a part of `make test`, writes nothing and names the first file that differs, lacks or is too
//! many. Folders that are ours whole hold nothing else; beside what is written by hand only the named files
//! are ours.

mod python;
mod schema;
mod script;

use std::{collections::BTreeMap, fs, path::Path};

/// Folders in which every file is made.
const WHOLE: [&str; 2] = ["man", "sdk/schema"];

/// Makes the files, or with `--check` compares them.
pub fn run(root: &Path, args: &[String]) -> Result<(), String> {
    match args {
        [] => write(root),
        [word] if word == "--check" => check(root),
        _ => Err("hint: cargo xtask gen [--check]".to_owned()),
    }
}

/// Every file by its path from the root.
fn files() -> BTreeMap<String, String> {
    let pages = shell::manual::pages();
    let mut files: BTreeMap<String, String> =
        pages.iter().map(|page| (format!("man/{}", page.file()), page.roff())).collect();
    for (path, text) in [
        ("sdk/schema/skep.json", schema::text()),
        ("sdk/python/skep/calls.py", python::text()),
        ("sdk/typescript/calls.mjs", script::code()),
        ("sdk/typescript/calls.d.mts", script::types()),
    ] {
        files.insert(path.to_owned(), text);
    }
    files
}

/// A word of the tables as the name of a type: `timed_out` → `TimedOut`.
fn title(word: &str) -> String {
    let part = |part: &str| part.get(..1).unwrap_or("").to_uppercase() + part.get(1..).unwrap_or("");
    word.split('_').map(part).collect()
}

/// A meaning as a sentence of a comment.
fn sentence(meaning: &str) -> String {
    meaning.get(..1).unwrap_or("").to_uppercase() + meaning.get(1..).unwrap_or("") + "."
}

fn write(root: &Path) -> Result<(), String> {
    let files = files();
    for stale in strays(root, &files)? {
        fs::remove_file(root.join(&stale)).map_err(|error| format!("{stale}: {error}"))?;
    }
    for (path, text) in &files {
        let file = root.join(path);
        let said = |error: std::io::Error| format!("{path}: {error}");
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).map_err(said)?;
        }
        if fs::read_to_string(&file).ok().as_ref() != Some(text) {
            fs::write(&file, text).map_err(said)?;
            eprintln!("{path}");
        }
    }
    Ok(())
}

/// Whether the files are what the tables say.
pub fn check(root: &Path) -> Result<(), String> {
    let files = files();
    let differs =
        |(path, text): &(&String, &String)| fs::read_to_string(root.join(path)).ok().as_ref() != Some(*text);
    let stale = strays(root, &files)?;
    match files.iter().find(differs).map(|(path, _)| path).or(stale.first()) {
        None => Ok(()),
        Some(path) => Err(format!("{path} is not what the tables say\nhint: cargo xtask gen, and commit it")),
    }
}

/// Files in our folders that nobody makes any more.
fn strays(root: &Path, files: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for dir in WHOLE.map(|dir| root.join(dir)) {
        below(&dir, &mut found).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    let relative = |path: &std::path::PathBuf| Some(path.strip_prefix(root).ok()?.to_str()?.to_owned());
    let mut strays: Vec<String> = found.iter().filter_map(relative).collect();
    strays.retain(|path| !files.contains_key(path));
    strays.sort();
    Ok(strays)
}

fn below(dir: &Path, found: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => below(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_lacks_or_is_too_many_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(check(root).unwrap_err().starts_with("man/man1/skep"), "nothing is there");
        write(root).unwrap();
        check(root).unwrap();
        let page = root.join("man/man2/write.2");
        fs::write(&page, "changed by hand").unwrap();
        assert!(check(root).unwrap_err().starts_with("man/man2/write.2 is not"));
        write(root).unwrap();
        fs::write(root.join("man/man1/skep-fly.1"), "of no command").unwrap();
        assert!(check(root).unwrap_err().starts_with("man/man1/skep-fly.1 is not"));
        write(root).unwrap();
        check(root).unwrap();
        assert!(!root.join("man/man1/skep-fly.1").exists());
    }
}
