//! A purge through the real daemon: an agent wrote the file and read it, so its bytes stood in arguments,
//! outcomes and in what a model was asked; after it, no file of the workspace holds them.

use crate::{
    disks::{fill, seen, small, write},
    hive::{Client, Hive, retry},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Quotes and a line end, so that every form of it differs.
const SECRET: &str = "the \"codeword\" is\nhydrangea-7741, never to be kept\n";
const AGENT: &str = "---\nname: leak\ndescription: Writes and reads.\nmodel: scripted/leak\ntools: [read, write]\n\
    needs:\n  - read /data/**\n  - write /data/**\n  - model any\n---\nYou are leak.\n";

fn rules() -> String {
    let wrote = json!([{ "name": "write", "arguments": { "path": "/data/secret.md", "text": SECRET } }]);
    let read = json!([{ "name": "read", "arguments": { "path": "/data/secret.md" } }]);
    json!({ "about": "leaks", "rules": [
        { "when": { "agent": "You are idle" }, "then": { "say": "at last", "takes_ms": 10_000 } },
        { "when": { "agent": "leak", "step": 0 }, "then": { "say": "writing", "tools": wrote } },
        { "when": { "agent": "leak", "step": 1 }, "then": { "say": "reading", "tools": read } },
        { "when": { "agent": "leak" }, "then": { "say": "I was told: {last}" } },
    ]})
    .to_string()
}

/// Files below a directory that hold this text, as it is or as JSON has it, once or twice quoted.
fn holders(dir: &Path, text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    for ix in 0..2 {
        let quoted = serde_json::to_string(&forms[ix]).unwrap();
        forms.push(quoted[1..quoted.len() - 1].to_owned());
    }
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            // One that has just been removed holds nothing.
            let bytes = fs::read(&path).unwrap_or_default();
            let holds = |form: &String| bytes.windows(form.len()).any(|window| window == form.as_bytes());
            found.extend(forms.iter().any(holds).then(|| path.display().to_string()));
        }
    }
    found
}

/// A daemon in which the agent has done it.
fn leaked() -> (Hive, Client) {
    let mut hive = Hive::bare();
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    fs::write(hive.home().join("scripted/leak.json"), rules()).unwrap();
    hive.start();
    let mut client = hive.client();
    client.ok("write", write("home", "/agents/leak/AGENT.md", AGENT));
    let pid = client.ok("spawn", json!({ "agent": "leak", "text": "do it", "origin": "argument" }));
    let ended = client.ok("wait", json!({ "pid": pid["pid"], "timeout_ms": 20_000 }));
    assert_eq!(ended["exit"], json!({ "exited": 0 }), "{ended}");
    assert!(ended.to_string().contains("hydrangea"), "it said what it read: {ended}");
    (hive, client)
}

#[test]
fn a_purge_takes_the_bytes_out_of_every_file() {
    let (mut hive, mut client) = leaked();
    let dir = hive.file("home").parent().unwrap().to_owned();
    assert!(!holders(&dir, SECRET).is_empty(), "the control: before, they are there");
    let first = client.ok("history", json!({ "path": "/data/secret.md" }))["versions"][0]["version"].clone();

    let kept = "what another file has as well";
    client.ok("write", write("home", "/data/secret.md", kept));
    client.ok("write", write("home", "/data/other.md", kept));

    let usage = hive.cli(&["purge", "/data/secret.md", "--reason", "x"]).failed(2);
    assert!(usage.err.contains("--all-versions"), "{usage:?}");
    let unasked = hive.cli(&["purge", "/data/secret.md", "--all-versions", "--reason", "x"]).failed(2);
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    assert!(!holders(&dir, SECRET).is_empty());
    let words = ["purge", "/data/secret.md", "--all-versions", "--reason", "a person asked for it", "--yes"];
    let purged = hive.cli(&words).fine();
    assert!(purged.out.contains("2 versions") && purged.out.contains("/data/other.md"), "{purged:?}");

    assert_eq!(holders(&dir, SECRET), [""; 0]);
    assert_eq!(holders(&dir, "hydrangea-7741"), [""; 0]);
    assert_eq!(client.text("/data/other.md"), kept);
    let error = client.refused("read", json!({ "path": "/data/secret.md", "version": first }));
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("were purged by operator:") && message.ends_with("a person asked for it"),
        "{error}"
    );
    let log = hive.cli(&["log", "/data/secret.md"]).fine();
    assert!(log.out.contains("a person asked for it"), "{log:?}");
    hive.cli(&["audit", "verify", dir.to_str().unwrap()]).fine();
    // The whole log is read and shown as before, but for the bytes.
    assert!(client.log("home").len() > 20);

    // A new daemon replays it; nothing comes back.
    hive.kill();
    hive.start();
    assert_eq!(hive.client().text("/data/other.md"), kept);
    assert_eq!(holders(&dir, "hydrangea-7741"), [""; 0]);
    hive.cli(&["audit", "verify", dir.to_str().unwrap()]).fine();
}

#[test]
fn what_came_in_by_edits_goes_as_well() {
    let hive = Hive::new();
    let mut client = hive.client();
    let dir = hive.file("home").parent().unwrap().to_owned();
    let path = "/data/edited.md";
    client.ok("write", write("home", path, "a first line\n"));
    let edit = |mode: &str, text: &str, find: Value| {
        let mut call = json!({ "path": path, "mode": mode, "text": text });
        call["find"] = find;
        call
    };
    client.ok("write", edit("append", "appended oleander-1234 here\n", Value::Null));
    client.ok("write", edit("patch", "patched in foxglove-5678", json!("a first line")));
    client.ok("write", edit("patch", "and out again", json!("patched in foxglove-5678")));
    for secret in ["oleander-1234", "foxglove-5678"] {
        assert!(!holders(&dir, secret).is_empty(), "the control: before, {secret} is there");
    }
    hive.cli(&["purge", path, "--all-versions", "--reason", "asked", "--yes"]).fine();
    for secret in ["oleander-1234", "foxglove-5678"] {
        assert_eq!(holders(&dir, secret), [""; 0], "{secret}");
    }
    hive.cli(&["audit", "verify", dir.to_str().unwrap()]).fine();
}

#[test]
fn only_an_operator_purges_or_sets_rules() {
    let (hive, mut client) = leaked();
    let idle = AGENT.replace("name: leak", "name: idle").replace("You are leak", "You are idle");
    client.ok("write", write("home", "/agents/idle/AGENT.md", &idle));
    let pid =
        client.ok("spawn", json!({ "agent": "idle", "text": "wait", "origin": "argument" }))["pid"].clone();
    let token = client.ask("read", &json!({ "path": format!("/proc/{pid}/token") }));
    let Some(token) = token["result"]["text"].as_str() else { panic!("no token: {token}") };
    for words in ["purge /data/secret.md I say so", "retain /data/** last 1"] {
        let params =
            json!({ "path": "/sys/ctl", "text": words, "token": token.trim(), "origin": "argument" });
        let error = client.refused("write", params);
        assert_eq!(error["data"]["code"], "Denied", "{words}: {error}");
    }
    let mut operator = hive.client();
    assert_eq!(operator.text("/data/secret.md"), SECRET);
    assert_eq!(operator.text("/sys/retain"), "");
}

#[test]
fn while_somebody_reads_an_older_state_the_bytes_wait() {
    let (hive, mut client) = leaked();
    let file = hive.file("home");
    let dir = file.parent().unwrap().to_owned();
    let reader = rusqlite::Connection::open(&file).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM records").unwrap();
    let error = client.refused("write", write("home", "/sys/ctl", "purge /data/secret.md it must go"));
    assert!(error["message"].as_str().unwrap().contains("not out of the files yet"), "{error}");
    assert!(!holders(&dir, SECRET).is_empty(), "the control: it is held");
    drop(reader);
    retry("the bytes to go", || holders(&dir, SECRET).is_empty().then_some(()));
}

#[test]
fn on_a_full_disk_the_record_stands_and_the_bytes_go_when_there_is_room() {
    let hive = small();
    let weight = |name: &str| seen(&hive).join(name);
    fs::remove_file(weight("weight-1")).unwrap();
    let mut client = hive.client();
    client.ok("write", write("home", "/data/secret.md", SECRET));
    // To write the file anew takes as much again as it has.
    for ix in 0..300 {
        client.ok(
            "write",
            write("home", &format!("/data/large-{ix}"), &format!("{ix} {}", "z".repeat(16_000))),
        );
    }
    // A workspace that sleeps has an empty write-ahead log, so the next daemon begins without that room.
    client.control("down");
    let mut client = retry("the next daemon", || {
        let mut client = hive.client();
        let answer = client.try_ask("read", &json!({ "path": "/data/secret.md" }))?;
        answer["error"].is_null().then_some(client)
    });
    take_room(&weight("weight-2"), 0);
    fill(&mut client, "a");
    take_room(&weight("weight-3"), 512 * 1024);
    let dir = seen(&hive).join("workspaces/home");
    let answer = client.ask("write", &write("home", "/sys/ctl", "purge /data/secret.md it must go"));
    let full = answer["error"]["message"].as_str().unwrap_or_default().contains("not out of the files yet");
    assert!(full, "{answer}");
    let first = version(&mut client);
    let error = client.refused("read", json!({ "path": "/data/secret.md", "version": first }));
    assert!(error["message"].as_str().unwrap().contains("were purged by"), "{error}");
    assert!(!holders(&dir, SECRET).is_empty(), "the control: there is no room to take them out");

    fs::remove_file(weight("weight-2")).unwrap();
    fs::remove_file(weight("weight-3")).unwrap();
    retry("the bytes to go", || holders(&dir, SECRET).is_empty().then_some(()));
}

/// Takes all room there is, but for so much.
fn take_room(file: &Path, but: u64) {
    let mut taken = fs::File::create(file).unwrap();
    while std::io::Write::write_all(&mut taken, &[0; 64 * 1024]).is_ok() {}
    let bytes = taken.metadata().unwrap().len();
    taken.set_len(bytes.saturating_sub(but)).unwrap();
}

/// The oldest version of the secret.
fn version(client: &mut Client) -> Value {
    let history = client.ok("history", json!({ "path": "/data/secret.md" }));
    history["versions"].as_array().unwrap().last().unwrap()["version"].clone()
}
