//! Policy from outside: a file is checked, refused with its line, put in force, and stands after a kill;
//! rules are added to it line by line and leave the rest as it was.

use crate::hive::{Hive, field};
use std::fs;

#[test]
fn policy_is_checked_set_and_in_force_after_a_kill() {
    let mut hive = Hive::new();
    let shipped = hive.client().text("/sys/policy.yaml");
    let before = hive.cli(&["policy"]).fine().out;
    assert!(before.contains("autonomy bounded\n") && before.contains("allow * ask any\n"), "{before}");
    let file = hive.around().join("policy.yaml");
    let name = file.to_str().unwrap();

    // Wrong: the line is said, and nothing of it is in force.
    let with = |operators: &str| shipped.replace("operators: {}\n", &format!("operators:\n{operators}\n"));
    let line = 2 + shipped.lines().position(|line| line == "operators: {}").unwrap();
    fs::write(&file, with("  anna: {role: amin}")).unwrap();
    for args in [&["policy", "check", name][..], &["policy", "set", name, "--yes"]] {
        let ran = hive.cli(args).failed(1);
        let place = format!("policy.yaml:{line}:16: \"amin\" is no role");
        assert!(ran.err.contains(&place) && ran.err.contains("hint: did you mean admin?"), "{ran:?}");
    }
    // It would lock out who writes it.
    fs::write(&file, with("  nobody-here: {role: admin}")).unwrap();
    let ran = hive.cli(&["policy", "set", name, "--yes"]).failed(1);
    assert!(ran.err.contains("would take the role of admin"), "{ran:?}");

    // Right: what changes is shown; through a pipe it has to be meant.
    fs::write(&file, shipped.replace("- apply mail.send", "- apply mail.send\n      - read /memory/**"))
        .unwrap();
    let check = hive.cli(&["policy", "check", name]).fine();
    assert_eq!(check.out, "+ *: read /memory/**\n", "{check:?}");
    hive.cli(&["policy", "set", name]).failed(2);
    assert_eq!(hive.cli(&["policy"]).fine().out, before);
    let set = hive.cli(&["policy", "set", name, "--yes"]).fine();
    assert_eq!(set.out, check.out);
    let after = hive.cli(&["policy"]).fine().out;
    assert!(after.contains("allow * read /memory/**\n"), "{after}");

    hive.kill();
    hive.start();
    assert_eq!(hive.cli(&["policy"]).fine().out, after);
    let digest = field(&after, "digest");
    let trace = hive.cli(&["trace"]).fine();
    assert!(trace.out.contains(&digest[..16]), "{digest}: {trace:?}");
}

#[test]
fn a_standing_rule_and_the_dial_are_lines_of_the_file() {
    let hive = Hive::new();
    let shipped = hive.client().text("/sys/policy.yaml");
    assert_eq!(hive.cli(&["allow"]).fine().out, "");
    for bad in ["anna@tiles.example bo@x", "*", "\"a\"", "a,b"] {
        let ran = hive.cli(&["allow", "mail.send", bad]).failed(2);
        assert!(ran.err.contains("not one whole word"), "{ran:?}");
    }
    let added = hive.cli(&["allow", "mail.send", "anna@tiles.example"]).fine();
    assert_eq!(added.out, "+ standing: mail.send anna@tiles.example\n");
    hive.cli(&["allow", "mail.send", "bo@tiles.example", "--mount", "outbox"]).fine();
    hive.cli(&["allow", "mail.send", "anna@tiles.example"]).fine();
    let listed = hive.cli(&["allow"]).fine().out;
    assert_eq!(listed, "mail.send anna@tiles.example\noutbox mail.send bo@tiles.example\n");
    // Every line of the shipped file stands as it stood.
    let text = hive.client().text("/sys/policy.yaml");
    let kept = |line: &&str| text.lines().any(|row| row == *line) || line.starts_with("standing");
    assert!(shipped.lines().all(|line| kept(&line)), "{text}");
    let removed = hive.cli(&["allow", "--remove", "mail.send", "anna@tiles.example"]).fine();
    assert_eq!(removed.out, "- standing: mail.send anna@tiles.example\n");
    hive.cli(&["allow", "--remove", "mail.send", "anna@tiles.example"]).failed(1);

    assert_eq!(hive.cli(&["autonomy"]).fine().out, "bounded\n");
    assert_eq!(hive.cli(&["autonomy", "manual"]).fine().out, "? autonomy: bounded -> manual\n");
    assert_eq!(hive.cli(&["autonomy"]).fine().out, "manual\n");
    assert_eq!(hive.cli(&["autonomy", "autonomous"]).fine().out, "+ autonomy: manual -> autonomous\n");
    hive.cli(&["autonomy", "sometimes"]).failed(2);
    assert_eq!(hive.cli(&["allow"]).fine().out, "outbox mail.send bo@tiles.example\n");
}
