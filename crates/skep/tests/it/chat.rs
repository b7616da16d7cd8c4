//! `skep chat` against a real daemon: what was said is remembered by the next turn and the next command, goes
//! on after kill -9, stands as a file, and Ctrl-C ends a turn and not the conversation.

use crate::hive::{Client, Hive, Ran, retry};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Instant,
};

const AGENT: &str = "---\nname: talker\ndescription: Talks.\nmodel: scripted/talker\ntools: [read, write]\n\
    needs:\n  - read /data/**\n  - write /data/**\n  - model any\n---\nYou are talker.\n";
const FILE: &str = "/home/talker/chat/main.md";

/// Rules of the scripted model: one that never comes to an end only with `hangs`.
fn rules(hive: &Hive, hangs: &[&str]) {
    let write = json!({"name": "write", "arguments": {"path": "/data/a.md", "text": "hello\n"}});
    let mut rules: Vec<Value> =
        hangs.iter().map(|word| json!({"when": {"says": word}, "then": {"misbehave": "hang"}})).collect();
    rules.extend([
        json!({"when": {"role": "tool"}, "then": {"say": "It is written."}}),
        json!({"when": {"says": "write it"}, "then": {"say": "I do.", "tools": [write]}}),
        json!({"when": {"says": "who am I", "seen": "my name is {name}."}, "then": {"say": "{name}."}}),
        json!({"when": {"says": "who am I"}, "then": {"say": "Nobody told me."}}),
        json!({"then": {"say": "I hear."}}),
    ]);
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    let text = json!({"about": "Talks.", "rules": rules}).to_string();
    fs::write(hive.home().join("scripted/talker.json"), text).unwrap();
}

fn talker() -> (Hive, Client) {
    let hive = Hive::new();
    let mut client = hive.client();
    rules(&hive, &[]);
    client.ok("write", json!({"path": "/agents/talker/AGENT.md", "text": AGENT, "origin": "argument"}));
    (hive, client)
}

/// A chat whose input is a pipe.
struct Chat {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Chat {
    fn begin(hive: &Hive, args: &[&str]) -> Self {
        let mut command = hive.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.to.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line
    }

    /// Ends the input and waits for the end.
    fn end(mut self) -> Ran {
        drop(self.to.take());
        let started = Instant::now();
        let (mut out, mut err) = (String::new(), String::new());
        self.from.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ran { code, out, err, took: started.elapsed() }
    }
}

fn chat(hive: &Hive, args: &[&str], lines: &[&str]) -> Ran {
    let mut chat = Chat::begin(hive, args);
    lines.iter().for_each(|line| chat.say(line));
    chat.end()
}

/// What a turn of the log began with, as texts.
fn history(client: &mut Client, pid: u64) -> Vec<String> {
    let log = client.log("home");
    let spawned = log.iter().map(|row| &row["body"]["spawned"]).find(|row| row["pid"] == pid).unwrap();
    let items = spawned["history"].as_array().cloned().unwrap_or_default();
    let mut text = |item: &Value| {
        let hash = item["content"]["hash"].as_str().unwrap();
        let text = client.text(&format!("/sys/blobs/{hash}"));
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        answer.map_or(text, |answer| answer["text"].as_str().unwrap().to_owned())
    };
    items.iter().map(&mut text).collect()
}

fn model_is_asked(client: &mut Client, pid: u64) {
    let asked = |row: &Value| row["pid"] == pid && !row["body"]["model_intended"].is_null();
    retry("a model that is asked", || client.log("home").iter().any(asked).then_some(()));
}

#[test]
fn a_conversation_goes_on_from_one_command_to_the_next() {
    let (hive, mut client) = talker();
    let ran = chat(&hive, &["chat", "talker"], &["my name is Anna.", "", "who am I?", "write it"]).fine();
    assert_eq!(ran.out, "[scripted] I hear.\n[scripted] Anna.\n[scripted] It is written.\n");
    assert!(ran.err.contains("tool     write /data/a.md") && ran.err.contains("skep undo 3"), "{}", ran.err);
    let told = chat(&hive, &["--json", "chat", "talker"], &["who am I?"]).fine().out;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["pid"], &told["text"]), (&json!(4), &json!("[scripted] Anna.")));
    // Control: another session knows nothing of it.
    let other = chat(&hive, &["chat", "talker", "--session", "other"], &["who am I?"]).fine().out;
    assert_eq!(other, "[scripted] Nobody told me.\n");
    let began = history(&mut client, 4);
    assert_eq!(began[..4], ["my name is Anna.", "[scripted] I hear.", "who am I?", "[scripted] Anna."]);
    assert_eq!(history(&mut client, 5), [""; 0]);
    // Why a file is as it is leads back through the conversation.
    let why = hive.cli(&["why", "/data/a.md"]).fine().out;
    for said in ["process 3 (talker)", "\"write it\"", "process 1 (talker)", "\"my name is Anna.\""] {
        assert!(why.contains(said), "{said} in {why}");
    }
    let raised = hive.cli(&["why", "label", "4"]).fine().out;
    assert!(raised.contains("began in session main, after process 3"), "{raised}");
    // What one turn changed is taken back, and the conversation stays.
    hive.cli(&["undo", "3"]).fine();
    client.refused("read", json!({"path": "/data/a.md"}));
    assert_eq!(chat(&hive, &["chat", "talker"], &["who am I?"]).fine().out, "[scripted] Anna.\n");
}

#[test]
fn a_conversation_is_a_file_that_can_be_appended_to() {
    let (hive, mut client) = talker();
    chat(&hive, &["chat", "talker"], &["my name is Anna."]).fine();
    let text = hive.cli(&["cat", FILE]).fine().out;
    let (before, after) = text.split_once("\n## talker, process 1\n\n").unwrap();
    assert!(
        before.starts_with("# talker, main\n\n## ") && before.ends_with("\n\nmy name is Anna.\n"),
        "{text}"
    );
    assert_eq!(after, "[scripted] I hear.\n");
    assert!(hive.cli(&["ls", "/home/talker/chat"]).fine().out.contains("main.md"));
    let said = hive.cli(&["write", "-a", FILE, "who am I?"]).fine();
    assert_eq!(said.out, "said; process 2 answers\n");
    client.ok("wait", json!({"pid": 2, "timeout_ms": 20_000}));
    assert!(
        client.text(FILE).ends_with("## talker, process 2\n\n[scripted] Anna.\n"),
        "{}",
        client.text(FILE)
    );
    let refused = hive.cli(&["write", FILE, "gone"]).failed(1).err;
    assert!(
        refused.contains("is the session main of talker") && refused.contains("hint: append"),
        "{refused}"
    );
    // A file that stands there comes first, and nothing of either is lost.
    client.ok("write", json!({"path": "/data/own.md", "text": "mine\n", "origin": "argument"}));
    for dir in ["/home/talker", "/home/talker/chat"] {
        client.ok("write", json!({"path": dir, "mode": "dir"}));
    }
    hive.cli(&["mv", "/data/own.md", FILE]).fine();
    hive.cli(&["write", "-a", FILE, "more\n"]).fine();
    assert_eq!(client.text(FILE), "mine\nmore\n");
    assert_eq!(chat(&hive, &["chat", "talker"], &["who am I?"]).fine().out, "[scripted] Anna.\n");
    hive.cli(&["rm", FILE]).fine();
    assert!(client.text(FILE).ends_with("## talker, process 3\n\n[scripted] Anna.\n"));
}

#[test]
fn a_conversation_goes_on_after_a_kill() {
    let (mut hive, mut client) = talker();
    rules(&hive, &["slowly"]);
    let mut one = Chat::begin(&hive, &["chat", "talker"]);
    one.say("my name is Anna.");
    assert_eq!(one.hear(), "[scripted] I hear.\n");
    one.say("think slowly");
    model_is_asked(&mut client, 2);
    hive.kill();
    let ran = one.end().failed(1);
    assert!(ran.err.contains("the daemon closed the connection"), "{}", ran.err);
    rules(&hive, &[]);
    hive.start();
    // The turn that was cut off is answered first, and stands in the history of the next.
    let ran = chat(&hive, &["chat", "talker"], &["who am I?"]).fine();
    assert_eq!(ran.out, "[scripted] Anna.\n");
    let mut client = hive.client();
    let began = history(&mut client, 3);
    assert_eq!(began, ["my name is Anna.", "[scripted] I hear.", "think slowly", "[scripted] I hear."]);
}

#[test]
fn ctrl_c_ends_a_turn_and_not_the_conversation() {
    let (hive, mut client) = talker();
    rules(&hive, &["slowly"]);
    let mut one = Chat::begin(&hive, &["chat", "talker"]);
    one.say("my name is Anna.");
    assert_eq!(one.hear(), "[scripted] I hear.\n");
    one.say("think slowly");
    model_is_asked(&mut client, 2);
    kill_process(Pid::from_child(&one.child), Signal::INT).unwrap();
    one.say("who am I?");
    assert_eq!(one.hear(), "[scripted] Anna.\n");
    let ran = one.end().failed(1);
    assert!(ran.err.contains("killed (interrupt)"), "{}", ran.err);
    let began = history(&mut client, 3);
    assert_eq!(began[..3], ["my name is Anna.", "[scripted] I hear.", "think slowly"]);
    assert!(began[3].starts_with("Note from the kernel: the turn ended without an answer"), "{began:?}");
}

#[test]
fn without_a_key_nothing_begins() {
    let hive = Hive::new();
    let nobody = chat(&hive, &["chat", "nobody"], &[]).failed(1);
    assert!(nobody.err.contains("there is no agent nobody\nhint: skep ls /agents"), "{}", nobody.err);
    let never = hive.cli(&["attach", "99"]).failed(1);
    assert!(never.err.contains("there was never a process 99 here\nhint: skep ps --all"), "{}", never.err);
    let ran = chat(&hive, &["chat"], &["hello"]).failed(1);
    assert!(ran.err.contains("there is no key for it\nhint: skep model add"), "{}", ran.err);
    assert_eq!(hive.client().log("home").iter().filter(|row| !row["body"]["spawned"].is_null()).count(), 0);
}
