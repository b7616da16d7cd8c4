//! Rows: what is granted, and what each mistake is told.

use super::*;
use crate::shipped;

#[test]
fn the_shipped_files_parse() {
    let policy = parse(shipped::POLICY, shipped::BUDGET).unwrap();
    let row = &policy.rows[0];
    assert_eq!((row.agent.as_str(), row.deny.len(), row.ask.len(), row.allow.len()), ("*", 2, 0, 9));
    let money = |window, max| vec![Limit { resource: Resource::Money, window, max }];
    assert_eq!(policy.workspace, money(Window::Day, 5_000_000_000));
    assert_eq!(policy.agent, money(Window::Day, 2_000_000_000));
    assert_eq!(policy.run, money(Window::Run, 1_000_000_000));
}

#[test]
fn money_is_text_and_never_a_float() {
    let budget = "format: 1\nworkspace: {day: 0.000000001, run: 123456789.123456789}\n";
    let policy = parse(shipped::POLICY, budget.as_bytes()).unwrap();
    let found: Vec<i64> = policy.workspace.iter().map(|limit| limit.max).collect();
    assert_eq!(found, [1, 123_456_789_123_456_789]);
}

#[test]
fn mistakes_are_named() {
    let good = "format: 1\nagents: {\"*\": {allow: [read /a]}}\n";
    for (policy, budget, message, hint) in [
        ("format: 2\nagents: {\"*\": {}}", "format: 1", "format 2", "newer skep"),
        ("format: 1\nagent: {}", "format: 1", "no key \"agent\"", "did you mean agents?"),
        ("format: 1", "format: 1", "has no row", "add agents"),
        ("format: 1\nagents: {\"*\": {alow: []}}", "format: 1", "no key \"alow\"", "did you mean allow?"),
        ("format: 1\nagents: {\"*\": {allow: [fly /x]}}", "format: 1", "is not a need", "read PATH"),
        ("- 1", "format: 1", "policy.yaml", ""),
        ("", "format: 1", "policy.yaml", ""),
        (good, "format: 1\nworkspace: {dya: 1}", "no key \"dya\"", "did you mean day?"),
        (good, "format: 1\nworkspace: {day: -1}", "is not an amount", "0.05"),
        (good, "format: 1\nworkspace: {day: 1e3}", "is not an amount", "0.05"),
        (good, "format: 1\nagents: {x: {day: 1}}", "agents has a row", "only \"*\""),
    ] {
        let error = parse(policy.as_bytes(), budget.as_bytes()).unwrap_err();
        assert!(error.message.contains(message), "{policy:?} {budget:?}: {error}");
        assert!(error.hint.contains(hint), "{policy:?} {budget:?}: hint {:?}", error.hint);
    }
}

#[test]
fn own_keys_are_free() {
    let policy = "format: 1\nx-note: [1, {a: b}]\nagents: {\"*\": {x-why: [y], allow: [read /a]}}\n";
    assert_eq!(parse(policy.as_bytes(), b"format: 1").unwrap().rows[0].allow.len(), 1);
}

#[test]
fn hostile_yaml_is_an_error() {
    let bomb =
        "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nagents: [*b,*b,*b,*b,*b,*b]\nformat: 1";
    let deep = format!("agents: {}{}", "[".repeat(5000), "]".repeat(5000));
    for text in [bomb.as_bytes(), deep.as_bytes(), b"\xff\xfe", b"agents: *x", b"%", b"{", b"\0"] {
        assert!(parse(text, b"format: 1").is_err());
    }
}
