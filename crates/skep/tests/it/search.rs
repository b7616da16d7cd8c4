//! Search through the daemon: what is written is found soon, by the command line too; a process finds what
//! its view shows and its label rises by what it found; a lost index is made anew.

use crate::hive::{Client, Hive, field, retry};
use serde_json::{Value, json};
use std::fs;

/// Asks until the index has come as far as the log had when it was asked.
fn search(client: &mut Client, params: &Value) -> Value {
    retry("the index", || {
        let answer = client.ok("search", params.clone());
        (answer["indexed"] == answer["seq"]).then_some(answer)
    })
}

fn paths(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap().iter();
    let mut paths: Vec<&str> = hits.map(|hit| hit["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    paths
}

fn write(client: &mut Client, path: &str, text: &str) -> Value {
    client.ok("write", json!({"path": path, "text": text, "origin": "argument"}))
}

/// A process of an agent that only waits, with these needs.
pub fn waiting(hive: &Hive, client: &mut Client, needs: &str) -> u64 {
    let tool = json!({"name": "wait", "arguments": {"timeout_ms": 60_000}});
    let rules =
        json!([{"when": {"step": 0}, "then": {"say": "Wait.", "tools": [tool]}}, {"then": {"say": "."}}]);
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    let script = json!({"about": "It waits.", "rules": rules}).to_string();
    fs::write(hive.home().join("scripted/seeker.json"), script).unwrap();
    let text = format!(
        "---\nname: seeker\ndescription: Waits.\nmodel: scripted/seeker\ntools: [wait]\nneeds:\n{needs}  - \
         model any\n---\nYou wait.\n"
    );
    write(client, "/agents/seeker/AGENT.md", &text);
    let spawned = client.ok("spawn", json!({"agent": "seeker", "text": "Wait.", "origin": "argument"}));
    spawned["pid"].as_u64().unwrap()
}

#[test]
fn what_is_written_is_found_and_what_goes_is_not() {
    let mut hive = Hive::new();
    let mut client = hive.client();
    write(&mut client, "/data/tile.md", "Use the thin-set\nadhesive.");
    write(&mut client, "/data/other.md", "Nothing of the kind.");
    let answer = search(&mut client, &json!({"query": "\"thin set\" adhes*"}));
    assert_eq!(paths(&answer), ["/data/tile.md"]);
    let hit = &answer["hits"][0];
    assert_eq!(hit["snippet"], "Use the thin-set adhesive.");
    assert_eq!(hit["marks"], json!([[8, 16], [17, 25]]));
    assert_eq!((&answer["cut"], hit["label"].as_str()), (&json!(false), answer["label"].as_str()));
    let told = hive.cli(&["search", "thin-set", "adhesive"]).fine().out;
    assert!(told.starts_with("/data/tile.md") && told.contains("\n    Use the thin-set adhesive."), "{told}");

    // Longer than what is kept inline.
    let long = format!("beginning {} end", "filling ".repeat(20_000));
    write(&mut client, "/data/long.md", &long);
    assert_eq!(paths(&search(&mut client, &json!({"query": "filling beginning end"}))), ["/data/long.md"]);

    client.ok("move", json!({"from": "/data", "to": "/kept"}));
    assert_eq!(paths(&search(&mut client, &json!({"query": "adhesive"}))), ["/kept/tile.md"]);
    let seq = search(&mut client, &json!({"query": "adhesive"}))["seq"].as_u64().unwrap();
    client.ok("remove", json!({"path": "/kept/tile.md"}));
    assert_eq!(paths(&search(&mut client, &json!({"query": "adhesive"}))), [""; 0]);
    let then = search(&mut client, &json!({"query": "adhesive", "at": seq}));
    assert_eq!(paths(&then), ["/kept/tile.md"], "as it was then");
    let bad = client.refused("search", json!({"query": "a*"}));
    assert_eq!(bad["data"]["argument"], "query");

    // The index is a fold: without it all is found again.
    hive.stop();
    let dir = hive.home().join("workspaces/home");
    for name in ["index.db", "index.db-wal"] {
        fs::remove_file(dir.join(name)).ok();
    }
    hive.start();
    let mut client = hive.client();
    assert_eq!(paths(&search(&mut client, &json!({"query": "kind", "path": "/kept"}))), ["/kept/other.md"]);
    retry("the index", || dir.join("index.db").exists().then_some(()));
}

#[test]
fn a_process_finds_what_it_may_see_and_is_marked_by_it() {
    let hive = Hive::new();
    let mut client = hive.client();
    let mailbox = hive.around().join("mail");
    for part in ["tmp", "cur", "new"] {
        fs::create_dir_all(mailbox.join(part)).unwrap();
    }
    let mail = "From: a@shop.example\nTo: anna@tiles.example\nSubject: one\n\nA needle from outside.\n";
    fs::write(mailbox.join("new/one.eml"), mail).unwrap();
    client.control(&format!("mount mail maildir {}", mailbox.display()));
    write(&mut client, "/data/open/a.md", "A needle for all.");
    write(&mut client, "/data/closed/b.md", "A needle for nobody.");
    let mine = json!({"query": "needle", "path": "/data/open"});
    assert_eq!(paths(&search(&mut client, &mine)), ["/data/open/a.md"]);
    retry("the mail", || {
        let answer = client.ok("search", json!({"query": "needle outside"}));
        (paths(&answer).contains(&"/integrations/mail/inbox/one.md")).then_some(())
    });
    let all = search(&mut client, &json!({"query": "needle"}));
    assert!(paths(&all).contains(&"/data/closed/b.md"), "control: it is there to be hidden");

    let pid = waiting(&hive, &mut client, "  - read /data/open/**\n  - read /integrations/mail/**\n");
    let token = client.text(&format!("/proc/{pid}/token"));
    let label = |client: &mut Client| {
        let card = client.text(&format!("/proc/{pid}/status"));
        field(&card, "label").to_owned()
    };
    let mut process = hive.client();
    let mut ask = |mut params: Value| {
        params["token"] = token.trim().into();
        search(&mut process, &params)
    };
    assert_eq!(paths(&ask(json!({"query": "needle", "path": "/data/open"}))), ["/data/open/a.md"]);
    assert!(!label(&mut client).starts_with("external"), "{}", label(&mut client));
    // One hit at most: were the view applied after the limit, the newest one would hide it.
    assert_eq!(paths(&ask(json!({"query": "needle nobody"}))), [""; 0]);
    assert_eq!(paths(&ask(json!({"query": "needle for", "limit": 1}))), ["/data/open/a.md"]);
    let found = ask(json!({"query": "needle", "label": "external"}));
    assert!(paths(&found).contains(&"/integrations/mail/inbox/one.md"));
    assert!(found["label"].as_str().unwrap().starts_with("external mount:mail"), "{found}");
    assert!(label(&mut client).starts_with("external"), "it rose by what was found");
}
