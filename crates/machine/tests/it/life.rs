//! Write, read, restart, follow, tokens: what a well-behaved client sees.

use crate::client::Rig;
use serde_json::json;

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    let wrote = client.ok("write", json!({ "path": "/data/note.md", "text": "one\n" }));
    assert_eq!(wrote["path"], "/data/note.md");
    let read = client.ok("read", json!({ "path": "/data/note.md" }));
    assert_eq!((&read["text"], &read["version"]), (&json!("one\n"), &wrote["version"]));
    rig.stop();
    rig.start();
    assert_eq!(rig.client().ok("read", json!({ "path": "/data/note.md" })), read);
}

#[test]
fn a_new_workspace_has_the_shipped_files_and_their_policy() {
    let rig = Rig::new();
    let mut client = rig.client();
    for path in ["/sys/policy.yaml", "/sys/budget.yaml", "/AGENTS.md", "/agents/helper/AGENT.md"] {
        let read = client.ok("read", json!({ "path": path }));
        assert!(read["actor"].as_str().unwrap().starts_with("operator:"), "{path}: {read}");
    }
    let trace = client.ok("trace", json!({}));
    let words: Vec<&str> = trace["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|record| record["body"].as_object()?.keys().next().map(String::as_str))
        .collect();
    assert_eq!(words.first(), Some(&"genesis"));
    assert_eq!(words.iter().filter(|word| **word == "policy_loaded").count(), 1, "{words:?}");
}

const LOOSE: &str = "format: 1\nagents: {\"*\": {allow: [read /data/**, model any]}}\n";

#[test]
fn an_edit_of_policy_is_taken_whole_or_refused_with_its_line() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    let budget = |text: &str| json!({ "path": "/sys/budget.yaml", "text": text });
    client.ok("write", budget("format: 1\nworkspace: {day: 7}\n"));
    let limits = client.ok("read", json!({ "path": "/sys/budget" }));
    assert!(limits["text"].as_str().unwrap().contains("7.00"), "{limits}");
    // Of two files that do not parse together neither changes.
    let answer = client.ask("write", budget("format: 1\nworkspace:\n  dya: 7\n"));
    let error = &answer["error"];
    assert_eq!(error["message"], "budget.yaml:3:3: workspace has no key \"dya\"", "{answer}");
    assert_eq!(error["data"]["hint"], "did you mean day?");
    assert_eq!(
        client.ok("read", json!({ "path": "/sys/budget.yaml" }))["text"],
        "format: 1\nworkspace: {day: 7}\n"
    );
    // What would change is answered without changing anything, and the bytes are not kept.
    let policy = |mode: &str| json!({ "path": "/sys/policy.yaml", "text": LOOSE, "mode": mode });
    let told = client.ok("write", policy("check"));
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("+ *: read /data/**\n") || text.contains("- *: apply mail.send\n"), "{text}");
    let hash = abi::Hash::of(LOOSE.as_bytes());
    let blob = json!({ "path": format!("/sys/blobs/{hash}") });
    assert_eq!(client.code("read", blob.clone()), "NotFound");
    client.ok("write", policy("whole"));
    client.ok("read", blob);
    let before = client.ok("read", json!({ "path": "/sys/policy" }));
    rig.stop();
    rig.start();
    assert_eq!(rig.client().ok("read", json!({ "path": "/sys/policy" })), before);
}

#[test]
fn bytes_that_are_not_text_come_back_as_base64() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.ok("write", json!({ "path": "/data/raw", "base64": "/wD+" }));
    assert_eq!(client.ok("read", json!({ "path": "/data/raw" }))["base64"], "/wD+");
}

#[test]
fn a_follower_hears_every_record_once() {
    let rig = Rig::new();
    let (mut writer, mut follower) = (rig.client(), rig.client());
    writer.ok("write", json!({ "path": "/data/a", "text": "a" }));
    let trace = follower.ok("trace", json!({ "follow": true }));
    let mut last = trace["next"].as_u64().unwrap();
    for text in ["b", "c", "d"] {
        writer.ok("write", json!({ "path": "/data/a", "text": text }));
        let notice = follower.line().unwrap();
        assert_eq!((&notice["method"], &notice["params"]["workspace"]), (&json!("record"), &json!("home")));
        last += 1;
        assert_eq!(notice["params"]["record"]["seq"], last, "{notice}");
    }
}

#[test]
fn a_follower_sees_an_answer_before_it_is_in_the_log() {
    let rig = Rig::new();
    let rules =
        json!({ "rules": [{ "then": { "say": "so it begins, and so it goes on", "takes_ms": 200 } }] });
    std::fs::create_dir_all(rig.home.path().join("scripted")).unwrap();
    std::fs::write(rig.home.path().join("scripted/default.json"), rules.to_string()).unwrap();
    let (mut operator, mut follower) = (rig.client(), rig.client());
    let teller = "---\nname: teller\nmodel: scripted\ntools: [read]\n---\nYou tell.\n";
    operator.ok("write", json!({ "path": "/agents/teller/AGENT.md", "text": teller, "origin": "argument" }));
    follower.ok("trace", json!({ "follow": true }));
    let born = operator.ok("spawn", json!({ "agent": "teller", "text": "say", "origin": "argument" }));
    let mut seen = Vec::new();
    let ended = loop {
        let notice = follower.line().unwrap();
        let params = &notice["params"];
        match notice["method"].as_str().unwrap() {
            "preview" => seen.push((params["pid"].clone(), params["text"].as_str().unwrap().to_owned())),
            _ if params["record"]["body"]["model_answered"].is_object() => break notice,
            _ => {}
        }
    };
    let (pid, text) = seen.first().unwrap();
    assert_eq!(*pid, born["pid"]);
    assert!("[scripted] so it begins, and so it goes on".starts_with(text), "{text:?} before {ended}");
}

#[test]
fn workspaces_are_apart() {
    let rig = Rig::new();
    let mut client = rig.client();
    assert_eq!(client.code("list", json!({ "path": "/", "workspace": "other" })), "NotFound");
    client.ok("write", json!({ "path": "/sys/ctl", "text": "workspace other" }));
    client.ok("write", json!({ "path": "/data/x", "text": "x", "workspace": "other" }));
    assert_eq!(client.code("read", json!({ "path": "/data/x" })), "NotFound");
    assert_eq!(client.code("write", json!({ "path": "/sys/ctl", "text": "workspace other" })), "Exists");
    let rows = client.ok("read", json!({ "path": "/sys/workspaces" }));
    let rows = rows["text"].as_str().unwrap();
    assert!(rows.contains("home awake") && rows.contains("other awake"), "{rows}");
}

#[test]
fn a_mount_brings_files_and_stays_over_a_restart() {
    let mut rig = Rig::new();
    let mail = tempfile::TempDir::new().unwrap();
    for dir in ["new", "cur", "tmp"] {
        std::fs::create_dir(mail.path().join(dir)).unwrap();
    }
    let mut client = rig.client();
    let mut follower = rig.client();
    follower.ok("trace", json!({ "follow": true }));
    let words = format!("mount mail maildir {}", mail.path().display());
    client.ok("write", json!({ "path": "/sys/ctl", "text": words }));
    assert_eq!(client.code("write", json!({ "path": "/sys/ctl", "text": words })), "Exists");
    let put = |name: &str| {
        let text = "From: a@example.com\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nhi\r\n";
        let tmp = mail.path().join("tmp").join(name);
        std::fs::write(&tmp, text).unwrap();
        std::fs::rename(&tmp, mail.path().join("new").join(name)).unwrap();
    };
    put("1.a.host");
    let arrived = |line: &serde_json::Value| {
        line["params"]["record"]["actor"] == "mount:mail"
            && !line["params"]["record"]["body"]["wrote"].is_null()
    };
    while !arrived(&follower.line().unwrap()) {}
    rig.stop();
    put("2.b.host");
    rig.start();
    let mut follower = rig.client();
    let told = follower.ok("trace", json!({ "follow": true }));
    let mut seen = told["records"].as_array().unwrap().len();
    // It may have come before we asked.
    let before = |record: &&serde_json::Value| arrived(&json!({ "params": { "record": record } }));
    let mut come = told["records"].as_array().unwrap().iter().filter(before).count() > 1;
    while !come {
        come = arrived(&follower.line().unwrap());
        seen += 1;
    }
    assert!(seen > 0);
    let mounts = rig.client().ok("read", json!({ "path": "/sys/mounts" }));
    assert!(mounts["text"].as_str().unwrap().contains("mail maildir"), "{mounts}");
}

#[test]
fn mail_that_was_refused_stays_where_it_is() {
    let rig = Rig::new();
    let mail = tempfile::TempDir::new().unwrap();
    for dir in ["new", "cur", "tmp"] {
        std::fs::create_dir(mail.path().join(dir)).unwrap();
    }
    let put = |name: &str| {
        let text = "From: a@example.com\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nhi\r\n";
        std::fs::write(mail.path().join("new").join(name), text).unwrap();
    };
    let mut client = rig.client();
    let mut follower = rig.client();
    // A directory stands where the first message would be kept.
    client.ok("write", json!({ "path": "/integrations/mail/inbox/1.a.host.eml/in", "text": "the way" }));
    follower.ok("trace", json!({ "follow": true }));
    put("1.a.host");
    put("2.b.host");
    let words = format!("mount mail maildir {}", mail.path().display());
    client.ok("write", json!({ "path": "/sys/ctl", "text": words }));
    let second = |line: &serde_json::Value| {
        let wrote = &line["params"]["record"]["body"]["wrote"]["changes"][0]["path"];
        wrote == "/integrations/mail/inbox/2.b.host.md"
    };
    while !second(&follower.line().unwrap()) {}
    // Asked for until the driver has been told of the second; the first is still there then.
    while mail.path().join("new/2.b.host").exists() {
        client.ok("list", json!({ "path": "/" }));
    }
    assert!(mail.path().join("new/1.a.host").exists());
}

#[test]
fn a_token_is_a_process_and_taints_its_connection() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.ok("list", json!({ "path": "/" }));
    assert_eq!(client.code("list", json!({ "path": "/", "token": "1.00" })), "Denied");
    assert_eq!(client.code("list", json!({ "path": "/" })), "Denied");
    assert_eq!(client.code("list", json!({ "path": "/", "token": 5 })), "Denied");
    rig.client().ok("list", json!({ "path": "/" }));
}

#[test]
fn down_answers_and_ends() {
    // As the real process does it: ended from elsewhere the moment it is asked for.
    for _ in 0..50 {
        let mut rig = Rig::new();
        let mut client = rig.client();
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| rig.stop_when_asked());
            client.ok("write", json!({ "path": "/sys/ctl", "text": "down" }));
            ended.join().unwrap();
        });
        assert_eq!(client.line(), None);
    }
}
