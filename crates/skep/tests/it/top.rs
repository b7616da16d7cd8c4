//! `skep top` against a real daemon: one frame as text, where there is no terminal, and one object.

use crate::{
    halts::desk,
    hive::{field, retry},
};
use serde_json::{Value, json};

#[test]
fn one_frame_as_text_and_one_object() {
    let (hive, mut client) = desk();
    let empty = hive.cli(&["top"]).fine().out;
    assert!(
        empty.starts_with("home  $0.00 of $5.00 today · 0 calls/min · 0 awake, 0 frozen · inbox 0\n"),
        "{empty}"
    );
    assert!(empty.ends_with("  no process runs; skep run \"task\" starts one\n"), "{empty}");

    let task = json!({"agent": "clerk", "text": "ask", "origin": "argument"});
    let pid = client.ok("spawn", task)["pid"].clone();
    retry("the agent to wait", || {
        (field(&client.text(&format!("/proc/{pid}/status")), "why") == "proposal 1").then_some(())
    });
    hive.cli(&["run", "clerk", "ended"]).fine();
    let frame = hive.cli(&["top", "--once"]).fine().out;
    let lines: Vec<&str> = frame.lines().collect();
    assert!(lines[0].contains(" 3 calls/min · 1 awake, 0 frozen · inbox 1"), "{frame}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let heads = ["PID", "AGENT", "STATE", "MODEL", "CALLS", "TOKENS", "COST", "LEFT", "AGE", "NOW"];
    assert_eq!(words(lines[1]), heads);
    let row = words(lines[2]);
    assert_eq!(row[..5], ["1", "clerk", "waiting", "scripted/clerk", "2"], "{frame}");
    assert!(
        lines[2].ends_with("waits for proposal 1") && lines.len() == 3,
        "what has ended is not there: {frame}"
    );
    assert!(row[6].starts_with('$') && row[7].starts_with("$0.99"), "{frame}");

    hive.cli(&["freeze", "1"]).fine();
    hive.cli(&["estop"]).fine();
    let frame = hive.cli(&["top", "--once"]).fine().out;
    assert!(frame.lines().next().unwrap().contains("· STOPPED by operator:"), "{frame}");
    assert!(frame.contains("\nfrozen      1 clerk: by an operator or its parent · skep thaw 1"), "{frame}");
    assert!(frame.contains("\n *    1 clerk ") && !frame.contains('\u{1b}'), "{frame}");
    let out = hive.cli(&["top", "--json"]).fine().out;
    let object: Value = serde_json::from_str(&out).unwrap();
    let task = &object["processes"][0];
    assert_eq!(
        (&object["inbox"], &object["frozen"], &object["money_limit"]),
        (&json!(1), &json!(1), &json!("$5.00"))
    );
    assert_eq!((&task["pid"], &task["state"], &task["calls"]), (&json!(1), &json!("frozen"), &json!(2)));
    assert_eq!(task["way_out"], "skep thaw 1; or skep kill 1");
    assert_eq!(object["processes"].as_array().unwrap().len(), 1);
}
