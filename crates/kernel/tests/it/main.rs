//! The kernel from outside: scripts of events, and what it decides on each.

mod algebra;
mod approver;
mod bounds;
mod chance;
mod channel;
mod ledger;
mod rules;
mod script;
mod secret;
mod show;
mod shown;

mod words;
mod world;

use std::{fs, path::Path};

/// Every script decides as it says. `UPDATE=1 cargo test -p kernel` writes down what is decided now.
#[test]
#[allow(clippy::disallowed_methods)] // seam: the one variable that a test run may be given
fn check() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 25, "{} scripts", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let script = fs::read_to_string(&path).unwrap();
        println!("{}", path.display());
        let now = script::run(&script);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &now).unwrap();
        } else if now != script {
            wrong.push(format!("{}\n{}", path.display(), difference(&script, &now)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first lines that differ.
fn difference(want: &str, have: &str) -> String {
    let lines = want.lines().zip(have.lines()).enumerate();
    let first = lines.clone().find(|(_, (want, have))| want != have).map_or(0, |(ix, _)| ix);
    let cut = |text: &str| text.lines().skip(first).take(6).collect::<Vec<_>>().join("\n    ");
    format!("  line {}\n  expected:\n    {}\n  decided:\n    {}", first + 1, cut(want), cut(have))
}
