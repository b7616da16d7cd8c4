//! Two writers of one text, and what led to an effect, on the real daemon: lines that go together are merged
//! and labels joined, what contradicts is a conflict until somebody resolves it, a kill in between loses
//! nothing; `why` names the sources that are known by construction and no others.

use crate::hive::{Client, Hive, retry, run_on};
use serde_json::{Value, json};
use std::fs;

/// A file that two edit: `edit` changes one line of it.
const TEXT: &str = "# Plan\n\none: open\n\ntwo: open\n";

/// An agent whose model plays these tool calls in turn, then says that it is done.
fn agent(hive: &Hive, client: &mut Client, name: &str, needs: &[&str], tools: &[Value]) {
    let mut rules = Vec::new();
    for (step, tool) in tools.iter().enumerate() {
        rules.push(json!({"when": {"step": step}, "then": {"say": "Next.", "tools": [tool]}}));
    }
    rules.push(json!({"then": {"say": "Done."}}));
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    let file = hive.home().join(format!("scripted/{name}.json"));
    fs::write(file, json!({"about": "A play of a test.", "rules": rules}).to_string()).unwrap();
    let needs: String = needs.iter().map(|need| format!("  - {need}\n")).collect();
    let text = format!(
        "---\nname: {name}\ndescription: Plays.\nmodel: scripted/{name}\ntools: [list, read, write, wait, \
         propose]\nneeds:\n{needs}  - model any\n---\nYou are {name}.\n"
    );
    let path = format!("/agents/{name}/AGENT.md");
    client.ok("write", json!({"path": path, "text": text, "origin": "argument"}));
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

fn spawn(client: &mut Client, name: &str) -> u64 {
    let answer = client.ok("spawn", json!({"agent": name, "text": "Play.", "origin": "argument"}));
    answer["pid"].as_u64().unwrap()
}

fn ended(client: &mut Client, pid: u64) {
    let answer = client.ok("wait", json!({"pid": pid, "timeout_ms": 20_000}));
    assert_eq!(answer["exit"], json!({"exited": 0}), "{answer}");
}

/// Mails on the host, mounted, each read back under `/integrations/mail/inbox`.
fn mails(hive: &Hive, client: &mut Client, names: &[&str]) {
    let mailbox = hive.around().join("mail");
    for part in ["tmp", "cur", "new"] {
        fs::create_dir_all(mailbox.join(part)).unwrap();
    }
    for name in names {
        let mail = format!("From: {name}@shop.example\nTo: anna@tiles.example\nSubject: {name}\n\nHello.\n");
        fs::write(mailbox.join("new").join(format!("{name}.eml")), mail).unwrap();
    }
    client.control(&format!("mount mail maildir {}", mailbox.display()));
    for name in names {
        let there = json!({"path": mail(name)});
        retry("the mail", || client.ask("read", &there)["error"].is_null().then_some(()));
    }
}

fn mail(name: &str) -> String {
    format!("/integrations/mail/inbox/{name}.md")
}

/// What the tool `write` of a process was told.
fn told(client: &mut Client, pid: u64) -> Value {
    let log = client.log("home");
    let tool =
        log.iter().rev().find(|record| record["pid"] == pid && record["body"]["tool"]["name"] == "write");
    let tool = tool.unwrap_or_else(|| panic!("process {pid} wrote nothing"));
    let hash = tool["body"]["tool"]["outcome"]["hash"].as_str().unwrap();
    serde_json::from_str(tool["texts"][hash].as_str().unwrap()).unwrap()
}

/// Two agents that read the file, wait for each other, and write it with a line changed.
fn two_writers(edits: [&str; 2]) -> (Hive, Client, [u64; 2]) {
    let hive = Hive::new();
    let mut client = hive.client();
    mails(&hive, &mut client, &["offer"]);
    client.ok("write", json!({"path": "/data/plan.md", "text": TEXT, "origin": "argument"}));
    let read = call("read", &json!({"path": "/data/plan.md"}));
    let wait = call("wait", &json!({"timeout_ms": 400}));
    let write = |text: &str| call("write", &json!({"path": "/data/plan.md", "text": text}));
    let needs = ["read /integrations/mail/**", "read /data/**", "write /data/**"];
    let outside = call("read", &json!({"path": mail("offer")}));
    agent(&hive, &mut client, "one", &needs, &[read.clone(), outside, wait.clone(), write(edits[0])]);
    agent(&hive, &mut client, "two", &needs, &[read, wait, write(edits[1])]);
    let pids = ["one", "two"].map(|name| spawn(&mut client, name));
    pids.iter().for_each(|pid| ended(&mut client, *pid));
    (hive, client, pids)
}

#[test]
fn lines_that_go_together_are_merged_and_labels_joined() {
    let (hive, mut client, pids) =
        two_writers([&TEXT.replace("one: open", "one: done"), &TEXT.replace("two: open", "two: done")]);
    assert_eq!(client.text("/data/plan.md"), TEXT.replace("open", "done"));
    let answers = pids.map(|pid| told(&mut client, pid));
    let merged: Vec<&Value> = answers.iter().filter(|answer| answer["merged"] == true).collect();
    assert_eq!(merged.len(), 1, "the later one is told of the merge: {answers:?}");
    let answer = client.ok("read", json!({"path": "/data/plan.md"}));
    let label = answer["label"].as_str().unwrap();
    assert!(label.starts_with("external") && label.contains("mount:mail"), "{label}");
    assert_eq!(client.text("/sys/conflicts"), "");
    let blame = hive.cli(&["blame", "/data/plan.md"]).fine().out;
    let lines: Vec<&str> = blame.lines().collect();
    assert!(lines[2].contains("agent:one") && lines[2].ends_with("one: done"), "{blame}");
    assert!(lines[4].contains("agent:two") && lines[4].ends_with("two: done"), "{blame}");
    assert!(lines[0].contains("operator:"), "{blame}");
}

#[test]
fn the_same_line_is_a_conflict_until_it_is_resolved() {
    let (mut hive, mut client, pids) =
        two_writers([&TEXT.replace("one: open", "one: won"), &TEXT.replace("one: open", "one: lost")]);
    let answers = pids.map(|pid| told(&mut client, pid));
    let late: Vec<&Value> = answers.iter().filter(|answer| answer["code"] == "Conflict").collect();
    assert_eq!(late.len(), 1, "{answers:?}");
    let (ours, theirs) = (late[0]["ours"].as_u64().unwrap(), late[0]["theirs"].as_u64().unwrap());
    let listed = client.text("/sys/conflicts");
    assert!(listed.starts_with(&format!("{ours} /data/plan.md ")), "{listed}");
    hive.kill();
    hive.start();
    let mut client = hive.client();
    assert_eq!(client.text("/sys/conflicts"), listed);
    let inbox = hive.cli(&["inbox"]).fine().out;
    let command = format!("skep resolve /data/plan.md --version {ours} --take ours|theirs|edit");
    assert!(inbox.contains(&command), "{inbox}");
    assert!(hive.cli(&["ps"]).fine().err.contains("1 conflict is open"), "ps says so");
    assert!(hive.cli(&["status"]).fine().out.contains("conflicts   1 open"), "status says so");
    // Edited beside it: both texts in a file, which is not taken while a mark is left in it.
    let dir = hive.around().to_path_buf();
    let mut edit = hive.command(&["resolve", "/data/plan.md", "--take", "edit"]);
    let file = dir.join(crate::hive::run(edit.current_dir(&dir)).fine().out.trim());
    let marked = fs::read_to_string(&file).unwrap();
    assert!(marked.contains("one: won") && marked.contains("one: lost") && marked.contains("one: open"));
    let take = ["resolve", "/data/plan.md", "--take", file.to_str().unwrap()];
    let refused = hive.cli(&take).failed(1);
    assert!(refused.err.contains("still marks what contradicts"), "{refused:?}");
    let both = TEXT.replace("one: open", "one: won and lost");
    fs::write(&file, &both).unwrap();
    hive.cli(&take).fine();
    assert_eq!((client.text("/data/plan.md"), client.text("/sys/conflicts")), (both, String::new()));
    let versions = client.ok("history", json!({"path": "/data/plan.md", "limit": 1}));
    assert_eq!(versions["versions"][0]["parents"], json!([theirs, ours]));
    let diff = hive.cli(&["diff", "/data/plan.md"]).fine().out;
    assert!(diff.contains("\n+one: won and lost\n"), "{diff}");
}

#[test]
fn undo_goes_under_later_changes_and_blame_gives_lines_back() {
    let hive = Hive::new();
    let mut client = hive.client();
    let mut write = |text: &str| {
        let params = json!({"path": "/data/a.md", "text": text, "origin": "argument"});
        client.ok("write", params)["operation"].as_u64().unwrap()
    };
    write(TEXT);
    let first = write(&TEXT.replace("one: open", "one: wrong"));
    write(&TEXT.replace("one: open", "one: wrong").replace("two: open", "two: done"));
    let undo = hive.cli(&["undo", &format!("op:{first}")]).fine();
    assert_eq!(undo.out.lines().collect::<Vec<_>>(), ["merged    /data/a.md   (later changes stay)"]);
    assert_eq!(client.text("/data/a.md"), TEXT.replace("two: open", "two: done"));
    hive.cli(&["mv", "/data/a.md", "/data/b.md"]).fine();
    let versions = client.ok("history", json!({"path": "/data/b.md"}));
    let versions: Vec<u64> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|row| row["version"].as_u64().unwrap())
        .collect();
    let blame = hive.cli(&["--json", "blame", "/data/b.md"]).fine().out;
    let of: Vec<u64> = blame
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["version"].as_u64().unwrap())
        .collect();
    // Line three was taken back: it is the first version's again. Line five is the third's.
    assert_eq!(of, [versions[0], versions[0], versions[0], versions[0], versions[2]]);
    let log = hive.cli(&["log", "/data/b.md"]).fine().out;
    assert!(log.lines().nth(1).unwrap().contains("/data/b.md"), "the move is marked: {log}");
    // An undo of the undo.
    let again = undo.err.split("skep undo ").nth(1).unwrap().split(' ').next().unwrap();
    hive.cli(&["undo", again]).fine();
    assert_eq!(
        client.text("/data/b.md"),
        TEXT.replace("one: open", "one: wrong").replace("two: open", "two: done")
    );
    let then = hive.cli(&["diff", "/data/b.md", "--at", &format!("{}", client.log("home").len())]).fine().out;
    assert!(then.ends_with("no line differs\n"), "{then}");
}

#[test]
fn why_names_the_sources_and_no_others() {
    let hive = Hive::new();
    let mut client = hive.client();
    mails(&hive, &mut client, &["order", "detail", "unrelated"]);
    let outbox = hive.around().join("outbox");
    fs::create_dir_all(&outbox).unwrap();
    client.control(&format!("mount outbox outbox {}", outbox.display()));
    client.ok("write", json!({"path": "/data/other.md", "text": "x", "origin": "argument"}));
    let read = |path: &str| call("read", &json!({"path": path}));
    let note = call("write", &json!({"path": "/data/note.md", "text": "Anna's order.\n"}));
    let needs = ["read /integrations/mail/**", "read /data/**", "write /data/**", "apply mail.send"];
    agent(&hive, &mut client, "scribe", &needs, &[read(&mail("order")), read(&mail("detail")), note]);
    let args = json!({"to": "anna@shop.example", "subject": "Order", "body": "It is on its way.\n"});
    let send = call("propose", &json!({"mount": "outbox", "kind": "mail.send", "args": args}));
    agent(&hive, &mut client, "sender", &needs, &[read("/data/note.md"), send]);
    agent(&hive, &mut client, "reader", &needs, &[read(&mail("unrelated")), read("/data/other.md")]);
    for name in ["scribe", "reader", "sender"] {
        let pid = spawn(&mut client, name);
        ended(&mut client, pid);
    }
    let proposal = hive.cli(&["inbox"]).fine().out.split_whitespace().next().unwrap().to_owned();
    hive.cli(&["approve", &proposal]).fine();
    retry("the mail is out", || (fs::read_dir(&outbox).unwrap().count() > 0).then_some(()));
    // It lies there before its end is decided.
    let ended = |record: &Value| record["body"]["effect_ended"].is_object();
    retry("its end is in the log", || client.log("home").iter().any(ended).then_some(()));
    let intended = |log: &[Value]| {
        log.iter().find_map(|record| record["body"]["intended"]["effect"].as_str().map(str::to_owned))
    };
    let effect = intended(&client.log("home")).unwrap();
    let records = client.ok("trace", json!({"why": format!("effect:{effect}")}));
    assert_eq!(records["cut"], false);
    let mut wrote: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for record in records["records"].as_array().unwrap() {
        let body = record["body"].as_object().unwrap();
        words.extend(body.keys().cloned());
        let changes = body.values().next().and_then(|body| body["changes"].as_array());
        wrote.extend(changes.into_iter().flatten().map(|change| change["path"].as_str().unwrap().to_owned()));
    }
    wrote.retain(|path| path.ends_with(".md"));
    wrote.sort();
    wrote.dedup();
    assert_eq!(wrote, ["/data/note.md".to_owned(), mail("detail"), mail("order")]);
    for word in ["spawned", "proposed", "decided", "intended", "effect_ended"] {
        assert!(words.iter().any(|known| known == word), "{word} is not among {words:?}");
    }
    for what in [format!("effect:{}", &effect[..12]), proposal] {
        let shown = hive.cli(&["why", &what]).fine().out;
        for (name, is_source) in [("order", true), ("detail", true), ("unrelated", false), ("other", false)] {
            assert_eq!(shown.contains(&format!("/{name}.md")), is_source, "{name}: {shown}");
        }
        assert!(shown.contains("approved by operator:"), "{shown}");
    }
    let shown = hive.cli(&["why", "/data/note.md"]).fine().out;
    assert!(shown.starts_with("wrote  /data/note.md") && shown.contains("/detail.md"), "{shown}");
}

#[test]
fn a_dash_is_standard_input() {
    let hive = Hive::new();
    run_on(&mut hive.command(&["write", "/data/in.txt", "-"]), "from a pipe\n").fine();
    run_on(&mut hive.command(&["write", "/data/in.txt", "--append"]), "and more\n").fine();
    assert_eq!(hive.cli(&["cat", "/data/in.txt"]).fine().out, "from a pipe\nand more\n");
    hive.cli(&["write", "/data/in.txt", "-x"]).fine();
    assert_eq!(hive.cli(&["cat", "/data/in.txt"]).fine().out, "-x");
}
