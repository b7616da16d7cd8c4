//! A label stays on what it was put on: through a new name, a copy, a merge, a memory file of an earlier
//! run, a kill -9, a backup and its restoration, an export and its import.

use crate::{
    hive::{Client, Hive, retry},
    search::waiting,
};
use serde_json::{Value, json};
use std::fs;

/// The label of an entry, in words.
pub fn label(client: &mut Client, dir: &str, name: &str) -> String {
    let listed = client.ok("list", json!({"path": dir}));
    let entries = listed["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["name"] == name);
    entry.map_or_else(
        || panic!("{name} in {dir}: {listed}"),
        |entry| entry["label"].as_str().unwrap().to_owned(),
    )
}

/// A call of a process.
fn act(agent: &mut Client, token: &str, method: &str, mut params: Value) -> Value {
    params["token"] = json!(token);
    agent.ok(method, params)
}

/// A mount that brings one external file and one for two readers.
fn mount(hive: &Hive, client: &mut Client) {
    let dir = hive.around().join("site");
    fs::create_dir_all(dir.join("items/private")).unwrap();
    let brings =
        json!([{"pattern": "/private/**", "integrity": "workspace", "readers": {"only": ["anna", "tom"]}}]);
    fs::write(dir.join("manifest.json"), json!({"kinds": [], "brings": brings}).to_string()).unwrap();
    fs::write(dir.join("items/note.md"), "from outside\n").unwrap();
    fs::write(dir.join("items/private/pin.md"), "4711\n").unwrap();
    client.control(&format!("mount site rehearse {}", dir.display()));
    retry("both deliveries", || {
        let read = |client: &mut Client, path: &str| {
            client.ask("read", &json!({"path": path}))["result"].is_object()
        };
        (read(client, "/integrations/site/note.md") && read(client, "/integrations/site/private/pin.md"))
            .then_some(())
    });
}

#[test]
fn a_label_outlives_names_copies_merges_crashes_and_copies_of_the_workspace() {
    let mut hive = Hive::new();
    let mut client = hive.client();
    mount(&hive, &mut client);
    assert_eq!(label(&mut client, "/integrations/site", "note.md"), "external mount:site");
    let pin = label(&mut client, "/integrations/site/private", "pin.md");
    assert_eq!(pin, "workspace mount:site readers=anna,tom");

    // Copies by an agent: what it read stays on what it writes, and on what it writes after that.
    let pid =
        waiting(&hive, &mut client, "  - read /integrations/**\n  - read /data/**\n  - write /data/**\n");
    let token = client.text(&format!("/proc/{pid}/token")).trim().to_owned();
    let mut agent = hive.client();
    act(&mut agent, &token, "read", json!({"path": "/integrations/site/note.md"}));
    act(&mut agent, &token, "write", json!({"path": "/data/memory.md", "text": "remember\n"}));
    act(&mut agent, &token, "read", json!({"path": "/integrations/site/private/pin.md"}));
    act(&mut agent, &token, "write", json!({"path": "/data/pin.md", "text": "a number\n"}));
    let noted = label(&mut client, "/data", "memory.md");
    assert!(noted.starts_with("external ") && noted.contains("mount:site"), "{noted}");
    let copied = label(&mut client, "/data", "pin.md");
    assert!(copied.starts_with("external ") && copied.ends_with("readers=anna,tom"), "{copied}");

    // A new name; and a later run that reads the memory of the first.
    client.ok("move", json!({"from": "/data/memory.md", "to": "/data/renamed.md"}));
    assert!(label(&mut client, "/data", "renamed.md").starts_with("external "));
    let second = waiting(&hive, &mut client, "  - read /data/**\n  - write /data/**\n");
    let token = client.text(&format!("/proc/{second}/token")).trim().to_owned();
    act(&mut agent, &token, "read", json!({"path": "/data/renamed.md"}));
    act(
        &mut agent,
        &token,
        "write",
        json!({"path": "/data/later.md", "text": "one\ntwo\nthree\nfour\nfive\n"}),
    );
    assert!(label(&mut client, "/data", "later.md").contains("mount:site"));

    // A merge of the operator's edit with the agent's: the joined label.
    client
        .ok("write", json!({"path": "/data/plan.md", "text": "1\n2\n3\n4\n5\n6\n7\n", "origin": "argument"}));
    let base = client.ok("read", json!({"path": "/data/plan.md"}))["version"].clone();
    act(
        &mut agent,
        &token,
        "write",
        json!({"path": "/data/plan.md", "text": "1\n2\n3\n4\n5\n6\nseven\n", "base": base}),
    );
    let merged = client.ok(
        "write",
        json!({"path": "/data/plan.md", "text": "one\n2\n3\n4\n5\n6\n7\n", "base": base,
        "origin": "argument"}),
    );
    assert_eq!(merged["merged"], true, "{merged}");
    assert!(label(&mut client, "/data", "plan.md").starts_with("external "), "the agent's line is in it");

    // kill -9, and all is as it was.
    hive.kill();
    hive.start();
    let mut client = hive.client();
    let names = ["renamed.md", "pin.md", "later.md", "plan.md"];
    let kept = names.map(|name| label(&mut client, "/data", name));
    assert!(kept.iter().all(|label| label.starts_with("external ")), "{kept:?}");
    assert!(kept[1].ends_with("readers=anna,tom"), "{kept:?}");

    leaves(&hive, &mut client, (&names, &kept));
}

/// A backup restored beside it keeps every label; what is exported and imported arrives external.
fn leaves(hive: &Hive, client: &mut Client, (names, kept): (&[&str; 4], &[String; 4])) {
    let file = hive.around().join("copy.skep");
    hive.cli(&["backup", file.to_str().unwrap()]).fine();
    hive.cli(&["restore", file.to_str().unwrap(), "--as", "copy"]).fine();
    let listed = hive.cli(&["-w", "copy", "ls", "/data", "--json"]).fine().out;
    for (name, label) in names.iter().zip(kept) {
        let row = listed.lines().find(|row| row.contains(name)).unwrap_or(&listed);
        assert!(row.contains(label.as_str()), "{name} {label}: {row}");
    }
    client.ok("write", json!({"path": "/data/mine/typed.md", "text": "typed\n", "origin": "argument"}));
    assert!(label(client, "/data/mine", "typed.md").starts_with("operator "));
    let out = hive.around().join("out");
    hive.cli(&["export", "--all", out.to_str().unwrap()]).fine();
    hive.cli(&["import", out.join("tree/data").to_str().unwrap(), "--to", "/data/back"]).fine();
    let back = ["renamed.md", "pin.md", "plan.md"].map(|name| label(client, "/data/back", name));
    assert!(back.iter().all(|label| label.starts_with("external ")), "{back:?}");
    assert!(
        label(client, "/data/back/mine", "typed.md").starts_with("external "),
        "also what was typed once"
    );
}
