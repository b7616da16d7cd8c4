//! What stands still or is near a limit is said by every command that looks, in the same line, with the
//! command that gets out of it; and that command does.

use crate::hive::{Client, Hive, field, retry};
use serde_json::{Value, json};
use std::fs;

const AGENT: &str = "---\nname: clerk\ndescription: Plays.\nmodel: scripted/clerk\ntools: [read, write, wait, \
    propose]\nneeds:\n  - write /data/**\n  - ask ask\n  - model any\n---\nYou are clerk.\n";

/// `go` writes a file in each of eight steps; `ask` waits for an answer.
fn rules() -> Value {
    let tool = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    let step = |ix: usize| {
        let write = tool("write", json!({"path": format!("/data/{ix}.md"), "text": "x"}));
        json!({"when": {"task": "go", "step": ix}, "then": {"say": "Next.", "tools": [write]}})
    };
    let mut rules: Vec<Value> = (0..8).map(step).collect();
    let ask = tool("propose", json!({"mount": "operator", "kind": "ask", "args": {"question": "Well?"}}));
    let wait = tool("wait", json!({"proposal": 1}));
    rules.push(json!({"when": {"task": "ask", "step": 0}, "then": {"say": "Next.", "tools": [ask]}}));
    rules.push(json!({"when": {"task": "ask", "step": 1}, "then": {"say": "Next.", "tools": [wait]}}));
    rules.push(json!({"then": {"say": "Done."}}));
    json!({"about": "Plays.", "rules": rules})
}

/// A daemon with that agent.
pub fn desk() -> (Hive, Client) {
    let hive = Hive::new();
    let mut client = hive.client();
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    fs::write(hive.home().join("scripted/clerk.json"), rules().to_string()).unwrap();
    client.ok("write", json!({"path": "/agents/clerk/AGENT.md", "text": AGENT, "origin": "argument"}));
    (hive, client)
}

/// The lines about halts that each command prints: all say the same.
#[track_caller]
fn said(hive: &Hive) -> Vec<String> {
    let lines = |text: &str| -> Vec<String> {
        let is = |line: &&str| {
            ["frozen      ", "stopped     ", "near        ", "full        "]
                .iter()
                .any(|word| line.starts_with(word))
        };
        text.lines().filter(is).map(str::to_owned).collect()
    };
    let found = lines(&hive.cli(&["status"]).fine().out);
    for args in [&["inbox"][..], &[]] {
        assert_eq!(lines(&hive.cli(args).fine().out), found, "{args:?}");
    }
    assert_eq!(lines(&hive.cli(&["ps"]).fine().err), found);
    let objects = |args: &[&str]| -> Vec<Value> {
        let out = hive.cli(args).fine().out;
        let rows = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter(|row| row.get("halt").is_some()).collect()
    };
    let first = objects(&["status", "--json"]);
    for args in [&["ps", "--json"][..], &["inbox", "--json"], &["--json"]] {
        assert_eq!(objects(args), first, "{args:?}");
    }
    // A line is the object, put together.
    assert_eq!(first.len(), found.len());
    for (object, line) in first.iter().zip(&found) {
        let tail = format!("{} · {}", object["why"].as_str().unwrap(), object["way_out"].as_str().unwrap());
        assert!(
            line.starts_with(object["halt"].as_str().unwrap()) && line.ends_with(&tail),
            "{object} {line}"
        );
    }
    found
}

#[test]
fn a_limit_that_is_reached_is_said_everywhere_and_the_way_out_leads_out() {
    let (hive, mut client) = desk();
    assert_eq!(said(&hive), [""; 0], "control: nothing stands still");
    client.control("budget workspace calls day 5");
    let run = hive.cli(&["run", "clerk", "go"]).failed(1);
    let way_out = "skep budget set workspace calls day AMOUNT, then skep thaw 1; or skep kill 1";
    assert!(
        run.out.starts_with("frozen · limit of workspace: calls 5 a day; 5 used · 5 model calls"),
        "{run:?}"
    );
    assert!(run.err.ends_with(&format!("hint: {way_out}\n")), "{run:?}");
    assert!(
        run.err.contains("\nhint: skep budget set workspace calls day AMOUNT\n"),
        "it came near: {run:?}"
    );
    let frozen =
        |way_out: &str| format!("frozen      1 clerk: limit of workspace: calls 5 a day; 5 used · {way_out}");
    assert_eq!(said(&hive), [frozen(way_out)]);
    let attach = hive.cli(&["attach", "1", "--json"]).failed(1);
    let object = json!({"pid": 1, "frozen": "limit of workspace: calls 5 a day; 5 used", "way_out": way_out});
    assert_eq!(serde_json::from_str::<Value>(&attach.out).unwrap(), object);

    hive.cli(&["budget", "set", "workspace", "calls", "day", "9"]).fine();
    assert_eq!(said(&hive), [frozen("skep thaw 1, the limit is 9 now; or skep kill 1")]);
    hive.cli(&["thaw", "1"]).fine();
    let answer = client.ok("wait", json!({"pid": 1, "timeout_ms": 20_000}));
    assert_eq!(answer["exit"], json!({"exited": 0}), "{answer}");
    let full = "full        workspace: 9 of calls 9 a day used or reserved · \
                skep budget set workspace calls day AMOUNT";
    assert_eq!(said(&hive), [full]);
    hive.cli(&["budget", "set", "workspace", "calls", "day", "10"]).fine();
    assert_eq!(said(&hive), [full.replace("full", "near").replace("calls 9", "calls 10")]);
    hive.cli(&["budget", "set", "workspace", "calls", "day", "100"]).fine();
    assert_eq!(said(&hive), [""; 0]);
}

#[test]
fn a_freeze_and_an_emergency_stop_are_said_too() {
    let (hive, mut client) = desk();
    let pid =
        client.ok("spawn", json!({"agent": "clerk", "text": "ask", "origin": "argument"}))["pid"].clone();
    retry("the agent to wait", || {
        (field(&client.text(&format!("/proc/{pid}/status")), "why") == "proposal 1").then_some(())
    });
    hive.cli(&["freeze", "1"]).fine();
    let frozen = "frozen      1 clerk: by an operator or its parent · skep thaw 1; or skep kill 1";
    assert_eq!(said(&hive), [frozen]);
    hive.cli(&["estop"]).fine();
    let who = field(&client.text("/sys/status"), "stopped_by").to_owned();
    let stopped = format!("stopped     {who} has stopped everything in this workspace · skep thaw --all");
    assert_eq!(said(&hive), [&stopped, frozen]);
    hive.cli(&["thaw", "1"]).fine();
    assert_eq!(said(&hive), [stopped]);
    hive.cli(&["thaw", "--all"]).fine();
    assert_eq!(said(&hive), [""; 0]);
}
