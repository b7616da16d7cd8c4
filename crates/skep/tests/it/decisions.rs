//! An operator's decisions on the real daemon, with the real command line: a question is answered and its
//! agent goes on, two mails of one step are one decision, what takes pages is decided by its digest only, an
//! approval outlives kill -9.

use crate::hive::{Client, Hive, field, retry, run};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

const AGENT: &str = "---\nname: clerk\ndescription: Plays.\nmodel: scripted/clerk\ntools: [read, write, wait, \
    propose]\nneeds:\n  - read /integrations/mail/**\n  - write /data/**\n  - apply mail.send\n  - ask ask\n  - model any\n\
    ---\nYou are clerk.\n";
const MAIL: &str = "From: a@shop.example\nTo: anna@tiles.example\nSubject: order\n\nHello.\n";

fn tool(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

fn send(to: &str, body: &str) -> Value {
    let args = json!({"to": to, "subject": "Order", "body": body});
    tool("propose", &json!({"mount": "outbox", "kind": "mail.send", "args": args}))
}

fn rules() -> Value {
    let read = tool("read", &json!({"path": "/integrations/mail/inbox/order.md"}));
    let long: String = (1..=100).map(|line| format!("line {line}\n")).collect();
    let question = json!({"question": "Which colour?", "choice": ["red", "blue"]});
    let ask = tool("propose", &json!({"mount": "operator", "kind": "ask", "args": question}));
    let note = tool("write", &json!({"path": "/data/colour.md", "text": "{said}\n"}));
    let mut rules = Vec::new();
    let mut play = |task: &str, steps: Vec<Value>| {
        for (step, tools) in steps.into_iter().enumerate() {
            rules.push(
                json!({"when": {"task": task, "step": step}, "then": {"say": "Next.", "tools": tools}}),
            );
        }
    };
    play("two", vec![json!([read]), json!([send("b@x.example", "one\n"), send("c@x.example", "two\n")])]);
    play("long", vec![json!([read]), json!([send("d@x.example", &long)])]);
    play("ask", vec![json!([ask]), json!([tool("wait", &json!({"proposal": 1}))])]);
    let told = json!({"task": "ask", "step": 2, "says": "\"answer\":\"{said}\""});
    rules.push(json!({"when": told, "then": {"say": "I was told.", "tools": [note]}}));
    rules.push(json!({"then": {"say": "Done."}}));
    json!({"about": "Asks and sends.", "rules": rules})
}

/// A daemon with a mailbox that holds one mail, an outbox, and the agent.
pub fn desk() -> (Hive, Client, PathBuf) {
    let hive = Hive::new();
    let mut client = hive.client();
    let (mailbox, outbox) = (hive.around().join("mail"), hive.around().join("outbox"));
    for part in ["tmp", "cur", "new"] {
        fs::create_dir_all(mailbox.join(part)).unwrap();
    }
    fs::write(mailbox.join("new/order.eml"), MAIL).unwrap();
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    fs::write(hive.home().join("scripted/clerk.json"), rules().to_string()).unwrap();
    client.control(&format!("mount mail maildir {}", mailbox.display()));
    client.control(&format!("mount outbox outbox {}", outbox.display()));
    client.ok("write", json!({"path": "/agents/clerk/AGENT.md", "text": AGENT, "origin": "argument"}));
    let there = json!({"path": "/integrations/mail/inbox/order.md"});
    retry("the mail", || client.ask("read", &there)["error"].is_null().then_some(()));
    (hive, client, outbox)
}

pub fn spawn(client: &mut Client, task: &str) -> u64 {
    let answer = client.ok("spawn", json!({"agent": "clerk", "text": task, "origin": "argument"}));
    answer["pid"].as_u64().unwrap()
}

fn ended(client: &mut Client, pid: u64) {
    let answer = client.ok("wait", json!({"pid": pid, "timeout_ms": 20_000}));
    assert_eq!(answer["exit"], json!({"exited": 0}), "{answer}");
}

fn mails(outbox: &PathBuf) -> Vec<String> {
    let files = fs::read_dir(outbox).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ext| ext == "eml"));
    let mut mails: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    mails.sort();
    mails
}

/// The digest that `skep inbox ID` names in its command.
fn digest(hive: &Hive, id: &str) -> (String, String) {
    let shown = hive.cli(&["inbox", id]).fine().out;
    let digest = shown.split("--digest ").nth(1).unwrap_or_else(|| panic!("{shown}"));
    (digest.split_whitespace().next().unwrap().to_owned(), shown)
}

#[test]
fn a_question_is_answered_and_its_agent_goes_on() {
    let (hive, mut client, _) = desk();
    let pid = spawn(&mut client, "ask");
    retry("the agent to wait", || {
        (field(&client.text(&format!("/proc/{pid}/status")), "why") == "proposal 1").then_some(())
    });
    let list = hive.cli(&["inbox"]).fine().out;
    for said in ["1    question", "| question: Which colour?", "| choice 1: red", "| choice 2: blue"] {
        assert!(list.contains(said), "{said} in {list}");
    }
    let refused = hive.cli(&["approve", "1"]).failed(1);
    assert!(refused.err.contains("hint: skep answer 1 TEXT"), "{refused:?}");
    let ps = hive.cli(&["ps"]).fine();
    assert!(ps.out.contains("proposal 1"), "{ps:?}");
    assert!(ps.err.contains("1 proposal waits for your decision; skep inbox"), "{ps:?}");
    let answered = hive.cli(&["answer", "1", "2"]).fine();
    assert_eq!((answered.out.as_str(), answered.err.as_str()), ("proposal 1 answered\n", "choice 2: blue\n"));
    ended(&mut client, pid);
    assert_eq!(client.text("/data/colour.md"), "blue\n");
    let again = hive.cli(&["answer", "1", "red"]).failed(1);
    assert!(again.err.contains("proposal 1 was answered already"), "{again:?}");
    let past = hive.cli(&["inbox", "--past"]).fine().out;
    assert!(past.lines().nth(1).unwrap().contains("answered"), "{past}");
}

#[test]
fn two_mails_of_one_step_are_one_decision() {
    let (hive, mut client, outbox) = desk();
    let pid = spawn(&mut client, "two");
    ended(&mut client, pid);
    let why = hive.cli(&["why", "label", &pid.to_string()]).fine().out;
    assert!(why.lines().last().unwrap().contains("external"), "{why}");
    let list = hive.cli(&["inbox"]).fine().out;
    assert!(list.starts_with("1    mail.send at outbox   2 decided at once: 1, 2"), "{list}");
    // Nobody at a terminal has been shown both.
    let refused = hive.cli(&["approve", "2"]).failed(1);
    assert!(refused.err.contains("proposals 1, 2 are decided together"), "{refused:?}");
    assert!(mails(&outbox).is_empty());
    let stale = hive.cli(&["approve", "1", "--digest", &"a".repeat(64)]).failed(1);
    assert!(stale.err.contains("hint: look at it again: skep inbox 1"), "{stale:?}");
    let (digest, shown) = digest(&hive, "1");
    for said in ["| Send a mail to \"b@x.example\"", "| Send a mail to \"c@x.example\"", "proposal 2, 2 of 2"]
    {
        assert!(shown.contains(said), "{said} in {shown}");
    }
    let approved = hive.cli(&["approve", "1", "--digest", &digest]).fine();
    assert_eq!(approved.out, "proposal 1 approved\nproposal 2 approved\n");
    retry("both mails", || (mails(&outbox).len() == 2).then_some(()));
    // Once only, and for nothing else.
    let again = hive.cli(&["approve", "1", "--digest", &digest]).failed(1);
    assert!(again.err.contains("proposal 1 was approved already"), "{again:?}");
    // The same two again: another group. If one is gone, what was shown of both is not what waits.
    let pid = spawn(&mut client, "two");
    ended(&mut client, pid);
    let (both, _) = self::digest(&hive, "3");
    hive.cli(&["reject", "4", "--one", "--reason", "not c"]).fine();
    let stale = hive.cli(&["approve", "3", "--digest", &both]).failed(1);
    assert!(stale.err.contains("is not what was shown any more; nothing was decided"), "{stale:?}");
    hive.cli(&["approve", "3"]).fine();
    retry("the third mail", || (mails(&outbox).len() == 3).then_some(()));
    assert_eq!(mails(&outbox).iter().filter(|mail| mail.contains("b@x.example")).count(), 2);
}

#[test]
fn three_pages_are_approved_by_their_digest_and_the_approval_outlives_a_kill() {
    let (mut hive, mut client, outbox) = desk();
    let pid = spawn(&mut client, "long");
    ended(&mut client, pid);
    let status = client.text("/proposals/1/status");
    assert_eq!((field(&status, "pages"), field(&status, "class")), ("3", "irreversible"));
    let refused = hive.cli(&["approve", "1"]).failed(1);
    assert!(refused.err.contains("proposal 1 takes 3 pages, and nobody was shown them"), "{refused:?}");
    // The kernel says so itself, to whoever asks without the command line.
    let refused = client.refused("decide", json!({"proposal": 1, "verdict": "approve"}));
    assert_eq!(refused["data"]["code"], "Invalid", "{refused}");
    let (digest, shown) = digest(&hive, "1");
    assert!(shown.contains("| body: line 1\\n\n") && shown.contains("| body| line 100\\n\n"), "{shown}");
    assert_eq!(digest, field(&status, "digest"));
    // What the driver writes first is a pipe that nobody reads: the mail cannot go out before the kill.
    let name: String = field(&status, "effect").chars().take(16).collect();
    let pipe = outbox.join(format!("{name}.tmp"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    hive.cli(&["approve", "1", "--digest", &digest]).fine();
    hive.kill();
    assert!(mails(&outbox).is_empty());
    fs::remove_file(&pipe).unwrap();
    hive.start();
    let mut client = hive.client();
    retry("the mail", || (mails(&outbox).len() == 1).then_some(()));
    let again = client.refused("decide", json!({"proposal": 1, "verdict": "approve", "digest": digest}));
    assert_eq!(again["data"]["code"], "Dead", "{again}");
    retry("the outcome", || {
        let log = client.log("home");
        let count = |kind: &str| log.iter().filter(|record| !record["body"][kind].is_null()).count();
        let counts = (count("decided"), count("intended"), count("effect_ended"));
        (counts == (1, 1, 1)).then_some(())
    });
    assert_eq!(mails(&outbox).len(), 1);
    assert!(mails(&outbox)[0].contains("line 100"));
}

/// The digest that a modify without a terminal names.
fn changed(hive: &Hive, args: &[&str]) -> (String, String) {
    let ran = hive.cli(args).failed(1);
    let digest = ran.err.split("--digest ").nth(1).unwrap_or_else(|| panic!("{ran:#?}"));
    (digest.split_whitespace().next().unwrap().to_owned(), ran.out)
}

#[test]
fn what_is_held_is_changed_shown_and_done_once() {
    let (mut hive, mut client, outbox) = desk();
    let pid = spawn(&mut client, "two");
    ended(&mut client, pid);
    let (digest, shown) = changed(&hive, &["modify", "1", "to=anna@tiles.example"]);
    assert!(shown.starts_with("proposal 1 as changed: mail.send at outbox\n"), "{shown}");
    assert!(shown.contains("| Send a mail to \"anna@tiles.example\"") && shown.contains("one"), "{shown}");
    assert!(mails(&outbox).is_empty());
    assert!(client.log("home").iter().all(|row| row["body"]["decided"].is_null()));
    // What was shown binds: no other values, no digest of what was held, no approval of it.
    let stale = hive.cli(&["modify", "1", "to=eve@x.example", "--digest", &digest]).failed(1);
    assert!(stale.err.contains("is not what was shown\nhint: look at it again"), "{stale:?}");
    hive.cli(&["approve", "1", "--digest", &digest]).failed(1);
    let unknown = hive.cli(&["modify", "1", "too=x"]).failed(1);
    assert!(unknown.err.contains("has no argument \"too\"\nhint: did you mean to?"), "{unknown:?}");
    // The digest is the same after a restart; one of two that were asked together is decided alone.
    hive.kill();
    hive.start();
    let done = hive.cli(&["modify", "1", "to=anna@tiles.example", "--digest", &digest]).fine();
    assert_eq!(done.out, "proposal 1 modified\n");
    retry("the mail", || (mails(&outbox).len() == 1).then_some(()));
    let again = hive.cli(&["modify", "1", "to=anna@tiles.example", "--digest", &digest]).failed(1);
    assert!(again.err.contains("proposal 1 was modified already"), "{again:?}");
    assert!(
        mails(&outbox)[0].contains("To: anna@tiles.example") && !mails(&outbox)[0].contains("b@x.example")
    );
    assert!(hive.cli(&["inbox"]).fine().out.contains("c@x.example"));
    // The log has both: what was asked, and what was done instead.
    let past = hive.cli(&["inbox", "--past"]).fine().out;
    assert!(past.lines().nth(1).unwrap().contains("modified"), "{past}");
    let why = hive.cli(&["why", "1"]).fine().out;
    assert!(why.contains("modified and approved") && why.contains("to: anna@tiles.example"), "{why}");
    let log = hive.client().log("home");
    for (body, said) in [("proposed", "to: b@x.example"), ("decided", "to: anna@tiles.example")] {
        let row = log.iter().find(|row| row["body"][body]["proposal"] == 1).unwrap();
        assert!(row["texts"].to_string().contains(said), "{row}");
    }
}

#[test]
fn what_is_held_is_changed_in_a_file() {
    let (hive, mut client, outbox) = desk();
    let pid = spawn(&mut client, "two");
    ended(&mut client, pid);
    let here = |args: &[&str]| run(hive.command(args).current_dir(hive.around()));
    assert_eq!(here(&["modify", "2"]).fine().out, "./proposal-2.json\n");
    let file = hive.around().join("proposal-2.json");
    let text = fs::read_to_string(&file).unwrap();
    let args: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(args, json!({"to": "c@x.example", "subject": "Order", "body": "two\n"}));
    here(&["modify", "2"]).failed(1);
    // Unchanged, or emptied: nothing is decided.
    let hand_in = ["modify", "2", "--file", "proposal-2.json"];
    assert!(here(&hand_in).fine().err.contains("nothing was changed"));
    fs::write(&file, "\n").unwrap();
    assert!(here(&hand_in).fine().err.contains("nothing was changed"));
    fs::write(&file, "{").unwrap();
    assert!(here(&hand_in).failed(2).err.contains("is not JSON"));
    fs::write(&file, text.replace("c@x.example", "anna@tiles.example").replace("two", "zwei")).unwrap();
    let shown = here(&["--json", "modify", "2", "--file", "proposal-2.json"]).fine().out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["args"]["to"], json!(["anna@tiles.example"]));
    let digest = shown["digest"].as_str().unwrap().to_owned();
    here(&["modify", "2", "--file", "proposal-2.json", "--digest", &digest]).fine();
    retry("the mail", || (mails(&outbox).len() == 1).then_some(()));
    assert!(mails(&outbox)[0].contains("zwei"), "{:?}", mails(&outbox));
}

#[test]
fn a_question_is_not_modified() {
    let (hive, mut client, _) = desk();
    spawn(&mut client, "ask");
    retry("the question", || {
        (client.log("home").iter().any(|row| !row["body"]["proposed"].is_null())).then_some(())
    });
    let refused = hive.cli(&["modify", "1", "question=x"]).failed(1);
    assert!(refused.err.contains("a question is not modified\nhint: skep answer ID TEXT"), "{refused:?}");
    let gone = hive.cli(&["modify", "9", "to=x"]).failed(1);
    assert!(gone.err.contains("there is no proposal 9\nhint: skep inbox"), "{gone:?}");
}
