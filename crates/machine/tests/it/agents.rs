//! An AGENT.md in a running daemon: inputs, skills, a subagent file as it is.

use crate::client::{Client, Rig};
use serde_json::{Value, json};

const TRIAGE: &str = "---\nname: triage\nmodel: scripted\ntools: [read]\nskills: [memory]\nneeds: [read \
                      /data/**]\ninputs: {since: {type: date, default: yesterday}, to: text}\n---\nYou sort.\n";

fn write(client: &mut Client, path: &str, text: &str) {
    client.ok("write", json!({ "path": path, "text": text, "origin": "argument" }));
}

fn task(agent: &str, inputs: Value) -> Value {
    json!({ "agent": agent, "text": "Sort it", "inputs": inputs, "origin": "argument" })
}

/// Task and prompt of a process, as the log names them.
fn told(client: &mut Client, pid: &Value) -> (String, String, Value) {
    let trace = client.ok("trace", json!({}));
    let mut born =
        trace["records"].as_array().unwrap().iter().filter_map(|record| record["body"].get("spawned"));
    let born = born.find(|born| born["pid"] == *pid).unwrap().clone();
    let mut blob = |key: &str| {
        let path = format!("/sys/blobs/{}", born[key]["hash"].as_str().unwrap());
        client.ok("read", json!({ "path": path }))["text"].as_str().unwrap().to_owned()
    };
    let (task, prompt) = (blob("task"), blob("prompt"));
    (task, prompt, born)
}

#[test]
fn inputs_that_are_given_are_of_the_task_and_defaults_of_the_prompt() {
    let rig = Rig::new();
    let mut client = rig.client();
    write(&mut client, "/agents/triage/AGENT.md", TRIAGE);
    let refused = |client: &mut Client, params: Value| client.ask("spawn", params)["error"].clone();
    let missing = refused(&mut client, task("triage", json!({ "to": "anna" })));
    assert!(missing["message"].as_str().unwrap().contains("there is no skill \"memory\""), "{missing}");
    write(&mut client, "/skills/memory/SKILL.md", "---\nname: memory\n---\nRemember.\n");
    let born = client.ok("spawn", task("triage", json!({ "to": "anna@x.example", "since": "2026-11-20" })));
    let (text, prompt, record) = told(&mut client, &born["pid"]);
    assert_eq!(text, "Sort it\n\ninputs: {\"since\":\"2026-11-20\",\"to\":\"anna@x.example\"}\n");
    assert!(prompt.starts_with("You sort.\n") && prompt.contains("/skills/memory/SKILL.md\n"), "{prompt}");
    assert!(prompt.contains("these hold: {\"since\":\"20"), "{prompt}");
    // Given as an argument they are the operator's words, as the text is.
    assert_eq!(record["own_words"], true);
    for (inputs, message, hint) in [
        (json!({}), "agent triage needs the input to, a text", "--input to=VALUE"),
        (json!({ "to": "x", "sinse": "today" }), "has no input \"sinse\"", "did you mean since?"),
        (json!({ "to": "x", "since": "soon" }), "input since is not a date", "yesterday"),
        (json!({ "to": ["x", "y"] }), "input to takes one value", ""),
    ] {
        for method in ["spawn", "dispatch"] {
            let answer = client.ask(method, task("triage", inputs.clone()));
            let error = &answer["error"];
            assert!(error["message"].as_str().unwrap().contains(message), "{method} {inputs}: {answer}");
            assert!(error["data"]["hint"].as_str().unwrap_or_default().contains(hint), "{inputs}: {answer}");
        }
    }
}

#[test]
fn a_subagent_file_runs_as_it_is_and_is_told_what_it_does_not_get() {
    let rig = Rig::new();
    let mut client = rig.client();
    let file = "---\nname: code-reviewer\ndescription: Reviews code.\ntools: Read, Grep, Glob, Bash(git:*)\nmodel: \
                inherit\npermissionMode: bypassPermissions\n---\nYou review.\n";
    write(&mut client, "/agents/code-reviewer/AGENT.md", file);
    let born = client.ok("spawn", task("code-reviewer", json!({})));
    let want =
        ["tool Bash(git:*): there is none of its kind here", "key permissionMode: it means nothing here"];
    assert_eq!(born["withheld"], json!(want));
    let (_, _, record) = told(&mut client, &born["pid"]);
    assert_eq!((&record["tools"], &record["model"]), (&json!(["read", "search", "list"]), &json!("smart")));
    // It holds what policy grants of reading /data, and nothing that writes.
    let trace = client.ok("trace", json!({}));
    let caps = trace["records"].as_array().unwrap().iter().filter_map(|record| record["body"].get("granted"));
    let caps: Vec<&Value> = caps.filter(|cap| cap["cap"]["holder"] == born["pid"]).collect();
    assert!(!caps.is_empty() && !json!(caps).to_string().contains("write"), "{caps:?}");
}

#[test]
fn who_is_no_operator_is_not_told_what_a_file_declares() {
    let rig = Rig::new();
    let rules = json!({ "rules": [{ "when": { "role": "user" }, "then": { "tools": [
        { "name": "spawn", "arguments": { "agent": "triage", "text": "x", "inputs": { "secret": "1" } } }
    ] } }, { "then": { "say": "done" } }] });
    std::fs::create_dir_all(rig.home.path().join("scripted")).unwrap();
    std::fs::write(rig.home.path().join("scripted/default.json"), rules.to_string()).unwrap();
    let mut client = rig.client();
    write(&mut client, "/skills/memory/SKILL.md", "m");
    write(&mut client, "/agents/triage/AGENT.md", TRIAGE);
    let boss = "---\nname: boss\nmodel: scripted\ntools: [spawn]\nneeds: [spawn any]\n---\n";
    write(&mut client, "/agents/boss/AGENT.md", boss);
    let born = client.ok("spawn", task("boss", json!({})));
    client.ok("wait", json!({ "pid": born["pid"] }));
    let trace = client.ok("trace", json!({})).to_string();
    assert!(trace.contains("the inputs are not what the agent takes"), "{trace}");
    assert!(!trace.contains("has no input"), "{trace}");
}
