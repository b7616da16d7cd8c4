//! Every rule of the table of sinks matters: its script decides as it says, and otherwise in a workspace
//! that was made without the rule.
//!
//! A script `rule-*.txt` names its rule and the words of a decision that must be gone without it:
//! ```text
//! #! rule: 9
//! #! red: by rule 6b
//! ```
//! The rule is taken away as a workspace can lack it, by its genesis: every run of the tests proves it, and
//! no other build is needed.

use crate::script;
use abi::record::RULES;
use std::{collections::BTreeSet, fs, path::Path};

/// What the kernel decided: the script without its own remarks and events.
fn decided(script: &str) -> String {
    let shown = script.lines().filter(|line| !line.starts_with(['#', '.', '>']));
    shown.collect::<Vec<_>>().join("\n")
}

fn remark<'a>(script: &'a str, name: &str) -> &'a str {
    let mark = format!("#! {name}: ");
    script.lines().find_map(|line| line.strip_prefix(&mark)).unwrap_or_else(|| panic!("no {mark}"))
}

#[test]
fn every_rule_matters() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut tried = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("rule-") {
            continue;
        }
        let script = fs::read_to_string(&path).unwrap();
        let (number, red) = (remark(&script, "rule"), remark(&script, "red"));
        let with = decided(&script::run(&script));
        assert!(with.contains(red), "{name}: {red:?} is not decided");
        let lacking = script.replacen(". genesis\n", &format!(". genesis lacks={number}\n"), 1);
        let without = decided(&script::run(&lacking));
        assert!(!without.contains(red), "{name}: {red:?} is decided without rule {number} too");
        tried.insert(number.parse::<u8>().unwrap());
    }
    assert_eq!(tried, RULES.map(|(number, ..)| number).into(), "each rule has a script");
}
