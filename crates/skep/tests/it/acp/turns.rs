//! One turn after the other: what is said while it works, what it knew in its last process.

use super::{asked, begin, coder, does, ended, install, install_with, models};
use crate::{
    guests::installed,
    hive::{Client, Hive, place_of_work, retry, run_on},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

/// One whose HOME lasts, so that it remembers its sessions there.
const KEPT: (&str, &str) = (", home: kept", "");

fn keeper(words: &str) -> (Hive, Client) {
    let (hive, mut client) = coder();
    install_with(&mut client, words, ", ask operator permit", KEPT);
    (hive, client)
}

/// Says something to it in a conversation, or in none.
fn say(client: &mut Client, text: &str, session: Option<&str>, mode: &str) -> Value {
    let mut params = json!({"agent": "coder", "text": text, "mode": mode, "origin": "argument"});
    if let Some(session) = session {
        params["session"] = json!(session);
    }
    client.ask("dispatch", &params)
}

fn pid_of(answer: &Value) -> u64 {
    answer["result"]["pid"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

/// A turn of a conversation: how its process ended, and what was said.
fn turn(client: &mut Client, text: &str) -> (Value, String) {
    let pid = pid_of(&say(client, text, Some("main"), "follow_up"));
    let end = ended(client, pid);
    (end["exit"].clone(), end["text"].as_str().unwrap_or_default().to_owned())
}

fn done() -> Value {
    json!({"exited": 0})
}

/// Processes that began so far.
fn begun(client: &mut Client) -> usize {
    client.log("home").iter().filter(|record| !record["body"]["spawned"].is_null()).count()
}

#[test]
fn what_is_said_meanwhile_is_its_next_turn() {
    let (hive, mut client) = coder();
    let pid = pid_of(&say(&mut client, "asks one", Some("main"), "follow_up"));
    let proposal = asked(&mut client).to_string();
    // In its conversation, or to itself: in order, told when the turn before has ended.
    assert_eq!(say(&mut client, "tells two", Some("main"), "follow_up")["result"], json!({"queued": 1}));
    assert_eq!(say(&mut client, "short", Some("main"), "steer")["result"], json!({"ok": true}));
    // Who asks at the command line hears the whole of it.
    let mut chat = hive.command(&["chat", "coder"]);
    chat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut chat = chat.spawn().unwrap();
    writeln!(chat.stdin.take().unwrap(), "tells three").unwrap();
    retry("the third", || {
        let said = client.text("/home/coder/chat/main.md");
        said.contains("tells three").then_some(())
    });
    // The control: another conversation is another process, and so is another mode of the lane.
    let other = pid_of(&say(&mut client, "tells other", Some("other"), "follow_up"));
    assert_eq!(ended(&mut client, other)["text"], json!("s-1: other\n"));
    let before = begun(&mut client);
    hive.cli(&["approve", &proposal]).fine();
    let end = ended(&mut client, pid);
    assert_eq!(end["exit"], done(), "{end}");
    let said = end["text"].as_str().unwrap();
    let told: Vec<&str> = said.lines().filter(|line| !line.starts_with("[asks]")).collect();
    assert_eq!(told, ["s-1: one", "s-1: one two", "[acp] it stopped: max_tokens", "s-1: one two three"]);
    let chat = chat.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&chat.stdout).contains("s-1: one two three"), "{chat:?}");
    assert_eq!(begun(&mut client), before, "each was told to the one that ran");
    // The log says what it was told, and when.
    let told: Vec<Value> = client.log("home").into_iter().filter(|record| record["pid"] == pid).collect();
    assert_eq!(told.iter().filter(|record| !record["body"]["exec_prompted"].is_null()).count(), 4);
    // Nothing waits: what comes now begins another, which knows nothing where nothing is kept.
    assert_eq!(turn(&mut client, "tells four"), (done(), "s-1: four\n".to_owned()));
}

#[test]
fn what_waits_is_bounded_and_goes_with_it() {
    let (hive, mut client) = coder();
    let pid = pid_of(&say(&mut client, "asks one", Some("main"), "follow_up"));
    let proposal = asked(&mut client).to_string();
    for _ in 0..64 {
        assert_eq!(say(&mut client, "tells more", Some("main"), "steer")["result"], json!({"ok": true}));
    }
    for mode in ["steer", "follow_up"] {
        let refused = say(&mut client, "tells more", Some("main"), mode);
        assert_eq!(refused["error"]["data"]["code"], "Busy", "{refused}");
    }
    // Told to stop, it hears nothing more; who goes first comes after it, and does not end it at once.
    let answer = say(&mut client, "tells after", Some("main"), "interrupt");
    assert_eq!(answer["result"], json!({"queued": 1}), "{answer}");
    let end = ended(&mut client, pid);
    let said = end["text"].as_str().unwrap_or_default();
    assert!(!said.contains("more"), "{end}");
    let after = retry("the one after it", || {
        let text = client.text("/home/coder/chat/main.md");
        text.ends_with("s-1: after\n").then_some(text)
    });
    assert_eq!(after.matches("tells more").count(), 64, "{after}");
    // What it had asked lapsed with it.
    assert_eq!(hive.cli(&["approve", &proposal]).code, 1);
}

#[test]
fn who_goes_on_goes_on_with_its_session() {
    let (hive, mut client) = keeper(", --loads");
    // What it tells of the past when it is loaded is not said again.
    assert_eq!(turn(&mut client, "tells one"), (done(), "s-1: one\n".to_owned()));
    assert_eq!(turn(&mut client, "tells two"), (done(), "s-1: one two\n".to_owned()));
    let mut command = hive.command(&["chat", "coder"]);
    let ran = run_on(&mut command, "tells three\ntells four\n").fine();
    assert!(ran.out.contains("s-1: one two three four") && !ran.out.contains("again"), "{ran:?}");
    // Another conversation, and none, have their own.
    let other = pid_of(&say(&mut client, "tells x", Some("other"), "follow_up"));
    assert_eq!(ended(&mut client, other)["text"], json!("s-2: x\n"));
    assert_eq!(does(&mut client, "tells y"), (done(), "s-3: y\n".to_owned()));
    assert_eq!(turn(&mut client, "tells five").1, "s-1: one two three four five\n");
    // Where it cannot be gone on with, it is said so and another begins.
    for (words, says) in [
        ("", "[acp] it loads no session: it begins anew\ns-4: six\n"),
        (", --loads, --forgets", "[acp] session/load: there is none [2J s-4: it begins anew\ns-5: six\n"),
    ] {
        install_with(&mut client, words, "", KEPT);
        assert_eq!(turn(&mut client, "tells six"), (done(), says.to_owned()), "{words}");
    }
    // One that falls when it is to load is not made to again.
    install_with(&mut client, ", --loads, --falls", "", KEPT);
    let fell = "[acp] it ended, and had not answered session/load\n";
    assert_eq!(turn(&mut client, "tells seven"), (json!({"exited": 1}), fell.to_owned()));
    assert_eq!(turn(&mut client, "tells seven"), (done(), "s-6: seven\n".to_owned()));
    // The control: without a HOME that lasts nothing is loaded.
    install(&mut client, ", --loads", "");
    assert_eq!(turn(&mut client, "tells eight"), (done(), "s-1: eight\n".to_owned()));
}

#[test]
fn what_is_begun_again_knows_what_it_did() {
    for (words, last) in [(", --loads", "s-1: w w\n"), ("", "s-2: w\n")] {
        let (mut hive, mut client) = coder();
        install_with(&mut client, words, "", (", home: kept", "restart: on-failure:1\n"));
        let pid = begin(&mut client, "once w");
        assert_eq!(ended(&mut client, pid)["exit"], json!({"exited": 1}));
        let again = retry("another", || {
            let log = client.log("home");
            let spawned = log.iter().filter_map(|record| record["body"]["spawned"]["pid"].as_u64());
            spawned.max().filter(|last| *last > pid)
        });
        let said = ended(&mut client, again)["text"].as_str().unwrap().to_owned();
        assert!(said.contains(last), "{words}: {said}");
        assert!(hive.alive(), "{}", hive.said());
    }
}

#[test]
fn it_is_told_of_the_servers_that_its_directory_names() {
    let (hive, mut client) = coder();
    let names =
        r#"{"mcpServers": {"a": {"command": "a", "args": ["b"]}, "c": {"type": "http", "url": "x"}}}"#;
    let told = r#"servers [{"args": ["b"], "command": "a", "env": [], "name": "a"}]"#;
    let skipped = "[acp] .mcp.json: c: only those are told of that speak on their standard streams";
    for (text, says) in [
        (names, format!("{skipped}\n{told}\n")),
        (
            "{",
            "[acp] .mcp.json: it is no JSON: EOF while parsing an object at line 1 column 1\nservers []\n"
                .into(),
        ),
        ("{}", "servers []\n".into()),
    ] {
        client.ok("write", json!({"path": "/data/.mcp.json", "text": text, "origin": "argument"}));
        assert_eq!(does(&mut client, "servers"), (done(), says), "{text}");
    }
    hive.cli(&["rm", "/data/.mcp.json"]).fine();
    assert_eq!(does(&mut client, "servers"), (done(), "servers []\n".to_owned()));
}

/// Claude Code behind its own ACP agent, in a directory of this host that is bound, on a scripted model: the
/// next process of the conversation goes on with its session. The control: another conversation does not.
#[test]
fn a_real_agent_goes_on_with_its_session() {
    let place = place_of_work("acp-");
    let modules = installed("acp", None);
    let modules = modules.parent().unwrap();
    let copied = Command::new("cp").args(["-al"]).arg(modules).arg(place.path()).status().unwrap();
    assert!(copied.success());
    fs::write(place.path().join(".gitignore"), "*\n").unwrap();
    let hive = Hive::new();
    let mut client = hive.client();
    let said = json!({"match": {}, "response": {"content": "I have heard you."}});
    let _server = models(&hive, &mut client, &json!([said]));
    hive.cli(&["bind", place.path().to_str().unwrap()]).fine();
    let at = place.path().display();
    let program = format!("{at}/node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js");
    let recipe = include_str!("../../../../../skills/guests/claude-agent-acp/AGENT.md");
    let sheet = recipe.replace("name: claude-agent-acp", "name: coder");
    let sheet = sheet.replace("command: [claude-agent-acp]", &format!("command: [node, {program}]"));
    let sheet = sheet.replace("needs:\n", &format!("needs:\n  - read {at}/**\n  - exec {at}/**\n"));
    let policy = client.text("/sys/policy.yaml");
    let row = format!("- read /data/**\n      - read {at}/**\n      - exec {at}/**\n");
    let granted = policy.replace("- read /data/**\n", &row);
    client.ok("write", json!({"path": "/sys/policy.yaml", "text": granted, "origin": "argument"}));
    client.ok("write", json!({"path": "/agents/coder/AGENT.md", "text": sheet, "origin": "argument"}));
    // Whether its models were told of the word, and what was said before was said again.
    for (session, text, knows) in
        [("main", "the word is heron", true), ("main", "which word", true), ("other", "which word", false)]
    {
        let pid = pid_of(&say(&mut client, text, Some(session), "follow_up"));
        let end = ended(&mut client, pid);
        assert_eq!(end["exit"], done(), "{end}");
        assert_eq!(end["text"].as_str().unwrap().matches("I have heard you.").count(), 1, "{end}");
        let calls = ["1", "2"].map(|call| hive.cli(&["replay", &pid.to_string(), call]).out);
        assert_eq!(calls.iter().any(|call| call.contains("heron")), knows, "{session} {text}: {calls:?}");
    }
    let log = client.log("home");
    let sessions =
        log.iter().filter_map(|record| record["body"]["exec_prompted"]["session"]["hash"].as_str());
    let sessions: Vec<&str> = sessions.collect();
    assert!(sessions.len() == 3 && sessions[0] == sessions[1] && sessions[1] != sessions[2], "{sessions:?}");
}
