//! Agents that speak the Agent Client Protocol, through the real daemon and the real wall: one of ours that
//! does well or ill as its task says. What it may not do it cannot, whatever it asks for; beside each refusal
//! stands the same where it may.

use crate::{
    endpoint::aimock::Aimock,
    exec::running,
    guests::installed,
    hive::{Client, Hive, PATIENCE, place_of_work, retry, run},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

mod turns;

const AGENT: &str = include_str!("acp/agent.py");
const NEEDS: &str = "read /data/**, read /agents/coder/**, write /data/**, exec /data/**, model any";

/// An agent of this name and these words, with more needs.
fn install(client: &mut Client, words: &str, more: &str) {
    install_with(client, words, more, ("", ""));
}

/// The same, with more of how it is run, and another line.
fn install_with(client: &mut Client, words: &str, more: &str, (run, line): (&str, &str)) {
    let sheet = format!(
        "---\nname: coder\nrun: {{protocol: acp, command: [python3, /agents/coder/agent.py{words}]{run}}}\n\
         needs: [{NEEDS}{more}]\n{line}---\nIt is told what to do.\n"
    );
    for (name, text) in [("AGENT.md", sheet.as_str()), ("agent.py", AGENT)] {
        let path = format!("/agents/coder/{name}");
        client.ok("write", json!({"path": path, "text": text, "origin": "argument"}));
    }
}

fn coder() -> (Hive, Client) {
    let hive = Hive::new();
    let mut client = hive.client();
    install(&mut client, "", ", ask operator permit");
    (hive, client)
}

fn begin(client: &mut Client, task: &str) -> u64 {
    let born = client.ok("spawn", json!({"agent": "coder", "text": task, "origin": "argument"}));
    assert_eq!(born["withheld"], json!([]), "{born}");
    born["pid"].as_u64().unwrap()
}

fn ended(client: &mut Client, pid: u64) -> Value {
    client.ok("wait", json!({"pid": pid, "timeout_ms": u64::try_from(PATIENCE.as_millis()).unwrap()}))
}

/// What a task came to: how it ended, and what was said.
fn does(client: &mut Client, task: &str) -> (Value, String) {
    let pid = begin(client, task);
    let end = ended(client, pid);
    (end["exit"].clone(), end["text"].as_str().unwrap_or_default().to_owned())
}

/// A model that is called so, and answers by these rules.
fn models(hive: &Hive, client: &mut Client, rules: &Value) -> Aimock {
    let file = hive.around().join("plan.json");
    fs::write(&file, json!({"fixtures": rules}).to_string()).unwrap();
    let server = Aimock::start(&file, None);
    let models = json!({
        "format": 1,
        "providers": {"mock": {"url": server.url, "wires": ["messages"]}},
        "tiers": {"smart": ["mock/m"]},
        "prices": {"mock/*": {"in": "1.00", "out": "2.00"}},
    });
    let models = json!({"path": "/sys/models.yaml", "text": models.to_string(), "origin": "argument"});
    client.ok("write", models);
    server
}

/// The proposal that waits.
fn asked(client: &mut Client) -> u64 {
    retry("a question", || {
        let listed = client.ok("list", json!({"path": "/proposals"}));
        let names: Vec<u64> = listed["entries"]
            .as_array()?
            .iter()
            .filter_map(|one| one["name"].as_str()?.parse().ok())
            .collect();
        names.into_iter().max()
    })
}

#[test]
fn what_it_asks_is_decided_by_who_is_asked() {
    let (hive, mut client) = coder();
    let was = |hive: &Hive| hive.cli(&["cat", "/data/a.md"]).fine().out;
    hive.cli(&["write", "/data/a.md", "old\n"]).fine();
    for (decision, now, option) in [("approve", "new", "yes"), ("reject", "old\n", "no")] {
        hive.cli(&["write", "/data/a.md", "old\n"]).fine();
        let pid = begin(&mut client, "edit /data/a.md new");
        let proposal = asked(&mut client).to_string();
        let shown = client.text(&format!("/proposals/{proposal}/shown"));
        for line in
            ["May it: \"Edit /data/a.md\"", "path: /data/a.md", "file: /data/a.md", "old: old\\n", "new: new"]
        {
            assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        }
        assert_eq!(was(&hive), "old\n", "before anybody decided");
        hive.cli(&[decision, &proposal]).fine();
        let end = ended(&mut client, pid);
        assert_eq!(end["exit"], json!({"exited": 0}), "{end}");
        let said = end["text"].as_str().unwrap();
        assert!(
            said.contains(&format!("chosen {{\"optionId\": \"{option}\", \"outcome\": \"selected\"}}")),
            "{said}"
        );
        for line in ["[plan] pending: change it", "[tool] Edit /data/a.md"] {
            assert!(said.lines().any(|said| said == line), "{line}: {said}");
        }
        assert!(
            said.contains(&format!("held for you as proposal {proposal}: skep inbox {proposal}")),
            "{said}"
        );
        assert_eq!(was(&hive), now, "{decision}");
    }
    // Who wrote it is who asked.
    assert!(hive.cli(&["log", "/data/a.md"]).fine().out.contains("coder"));
    // The command line waits, and shows what it said.
    let mut command = hive.command(&["run", "coder", "files"]);
    let ran = run(&mut command).fine();
    assert!(ran.out.contains("sees other"), "{ran:?}");
}

#[test]
fn policy_may_answer_in_the_operators_place() {
    let (hive, mut client) = coder();
    hive.cli(&["write", "/data/a.md", "old\n"]).fine();
    install(&mut client, "", ", apply operator permit");
    let policy = client.text("/sys/policy.yaml");
    // Asked for and not granted, it is withheld, and the operator is asked as ever.
    let born =
        client.ok("spawn", json!({"agent": "coder", "text": "edit /data/a.md new", "origin": "argument"}));
    let proposal = asked(&mut client).to_string();
    hive.cli(&["reject", &proposal]).fine();
    ended(&mut client, born["pid"].as_u64().unwrap());
    assert_eq!(hive.cli(&["cat", "/data/a.md"]).fine().out, "old\n");
    let granted = policy.replace("- apply mail.send", "- apply mail.send\n      - apply operator permit");
    client.ok("write", json!({"path": "/sys/policy.yaml", "text": granted, "origin": "argument"}));
    let (exit, said) = does(&mut client, "edit /data/a.md new");
    assert!(exit == json!({"exited": 0}) && said.contains("[asks] Edit /data/a.md: approved"), "{said}");
    assert_eq!(hive.cli(&["cat", "/data/a.md"]).fine().out, "new");
}

#[test]
fn its_files_are_the_same_whichever_way_it_looks() {
    let (hive, mut client) = coder();
    let (exit, said) = does(&mut client, "files");
    assert_eq!(exit, json!({"exited": 0}), "{said}");
    for line in [r#"read {"content": "two\n"}"#, "write {}", "sees other"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert_eq!(hive.cli(&["cat", "/data/mine.md"]).fine().out, "other\n");
    let log = hive.cli(&["log", "/data/mine.md"]).fine().out;
    assert!(log.matches("coder").count() >= 2 && !log.contains("diverged"), "{log}");
}

#[test]
fn what_it_may_not_it_cannot_by_asking() {
    let (hive, mut client) = coder();
    let before = client.text("/agents/coder/AGENT.md");
    let (exit, said) = does(&mut client, "rights");
    assert_eq!(exit, json!({"exited": 0}), "{said}");
    for line in [
        "write /data/ok.md {}",
        "write /agents/coder/AGENT.md error Denied",
        "write /sys/policy.yaml error Denied",
        "write /etc/passwd error Denied",
        "write /data/../x error Invalid",
        "write no error Invalid",
        "read /sys/policy.yaml error Denied",
        "read /proc/1/token error ",
        "read /home/other/x error Denied",
        "read /data/none error NotFound",
        r#"read /data/ok.md {"content": "mine\n"}"#,
        "other session error there is no such session",
        "other method error fs/delete_everything is not served",
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{line}: {said}");
    }
    assert_eq!(client.text("/agents/coder/AGENT.md"), before);
    assert_eq!(hive.cli(&["cat", "/data/ok.md"]).fine().out, "mine\n");
}

#[test]
fn its_commands_run_beside_it() {
    let (hive, mut client) = coder();
    hive.cli(&["write", "/data/in.md", "in\n"]).fine();
    let (exit, said) = does(&mut client, "run");
    assert_eq!(exit, json!({"exited": 0}), "{said}");
    for line in [
        r#"ended {"exitCode": 3, "signal": null}"#,
        r#"said {"exitStatus": {"exitCode": 3, "signal": null}, "output": "it's\nin\n", "truncated": false}"#,
        "released {}",
        "gone error there is no such terminal",
        r#"runs {"exitStatus": null, "output": "", "truncated": false}"#,
        "killed {}",
        r#"ended {"exitCode": null, "signal": "SIGKILL"}"#,
        // It may run programs in /data only.
        r#"barred {"exitCode": 126, "signal": null}"#,
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    retry("the killed one to end", || (running("sleep\x008181.5") == 0).then_some(()));
}

#[test]
fn what_is_no_conversation_ends_it_and_nothing_else() {
    let (mut hive, mut client) = coder();
    for (task, exit, says) in [
        ("giant", json!({"killed": "a line of it is longer than 1500000 bytes"}), "longer than"),
        ("noise", json!({"killed": "it does not speak the protocol: it is no JSON object"}), "noise 63"),
        ("dies", json!({"exited": 1}), "[acp] it ended, and had not answered session/prompt"),
        ("odd", json!({"exited": 0}), "well after all"),
        ("large", json!({"exited": 0}), "TooLarge"),
        ("ends refusal", json!({"exited": 1}), "[acp] it stopped: refusal"),
        ("ends because", json!({"killed": "it does not say why it stopped"}), "[acp]"),
        ("ends end_turn", json!({"exited": 0}), ""),
    ] {
        let (how, said) = does(&mut client, task);
        assert_eq!(how, exit, "{task}: {said}");
        assert!(said.contains(says), "{task}: {said}");
        let drawn = said.contains('\x1b') || said.contains('\u{202e}') || said.contains("of another session");
        assert!(!drawn, "{task}: {said}");
    }
    // What it had written when it fell is kept.
    assert_eq!(hive.cli(&["cat", "/data/died.md"]).fine().out, "before\n");
    for (words, exit) in [
        (", --new", json!({"killed": "it speaks version 9 of the protocol, not 1"})),
        (", --login", json!({"exited": 0})),
    ] {
        install(&mut client, words, ", ask operator permit");
        assert_eq!(does(&mut client, "ends end_turn").0, exit, "{words}");
    }
    assert!(hive.alive(), "{}", hive.said());
}

#[test]
fn who_asks_and_asks_is_not_heard() {
    let (hive, mut client) = coder();
    let pid = begin(&mut client, "spam 100");
    // As many wait as may; the others are refused at once. All were asked before the first is decided.
    retry("its last question", || (hive.cli(&["cat", "/data/asked.md"]).out == "all").then_some(()));
    let listed = client.ok("list", json!({"path": "/proposals"}));
    let waiting = listed["entries"].as_array().unwrap();
    assert_eq!(waiting.len(), 16, "{listed}");
    for entry in waiting {
        hive.cli(&["reject", entry["name"].as_str().unwrap()]).fine();
    }
    let end = ended(&mut client, pid);
    let said = end["text"].as_str().unwrap();
    assert!(said.contains("refused 84 others {\"outcome\": {\"optionId\": \"no\""), "{said}");
    // Nothing that it could choose says yes.
    let pid = begin(&mut client, "bare");
    let proposal = asked(&mut client).to_string();
    hive.cli(&["approve", &proposal]).fine();
    let end = ended(&mut client, pid);
    assert!(
        end["text"].as_str().unwrap().contains(r#"chosen {"outcome": {"outcome": "cancelled"}}"#),
        "{end}"
    );
}

#[test]
fn it_is_told_to_stop_before_it_is_ended() {
    let (hive, mut client) = coder();
    let pid = begin(&mut client, "late");
    let proposal = asked(&mut client);
    client.ok("signal", json!({"pid": pid, "signal": "interrupt"}));
    let end = ended(&mut client, pid);
    assert_eq!(end["exit"], json!({"exited": 130}), "{end}");
    let said = end["text"].as_str().unwrap();
    let cancelled = r#"{"outcome": {"outcome": "cancelled"}}"#;
    assert!(said.contains(&format!("chosen {cancelled}")), "{said}");
    assert!(said.contains(&format!("asked again {cancelled}")), "{said}");
    // What it wrote until then is kept; what it had asked waits for nobody.
    assert_eq!(hive.cli(&["cat", "/data/late.md"]).fine().out, "late\n");
    let status = client.ask("read", &json!({"path": format!("/proposals/{proposal}/status")}));
    assert!(status["error"].is_object(), "{status}");
    // Who does not stop is ended.
    let pid = begin(&mut client, "deaf");
    retry("its first word", || hive.cli(&["logs", &pid.to_string()]).out.contains("listening").then_some(()));
    client.ok("signal", json!({"pid": pid, "signal": "interrupt"}));
    assert_eq!(ended(&mut client, pid)["exit"], json!({"exited": 130}));
    retry("its end", || (running("/agents/coder/agent.py") == 0).then_some(()));
    // And at once, where that is said.
    let pid = begin(&mut client, "deaf");
    client.ok("signal", json!({"pid": pid, "signal": "kill"}));
    assert_eq!(ended(&mut client, pid)["exit"], json!({"killed": "signal"}));
}

/// Each is silent in another way, and none is waited for without end: what waits for its start ends it, the
/// limit of its time stops it, whoever says so ends it. The control: one that speaks ends by itself.
#[test]
fn who_says_nothing_more_is_not_waited_for() {
    let (mut hive, mut client) = coder();
    install(&mut client, ", --mute, 8383.5", "");
    let never = begin(&mut client, "ends end_turn");
    retry("its start", || (running("8383.5") > 0).then_some(()));
    // In the middle of a message, limited.
    install_with(&mut client, "", "", ("", "budget: {wall: 1s}\n"));
    let limited = begin(&mut client, "half");
    retry("its limit", || hive.said().contains("(coder) has had its time: 1s").then_some(()));
    client.ok("signal", json!({"pid": limited, "signal": "kill"}));
    assert_eq!(ended(&mut client, limited)["exit"], json!({"killed": "signal"}));
    let spoke = begin(&mut client, "ends end_turn");
    assert_eq!(ended(&mut client, spoke)["exit"], json!({"exited": 0}));
    // The same without a limit is told to stop, and does not hear it.
    install(&mut client, "", "");
    let free = begin(&mut client, "half");
    retry("a word", || hive.cli(&["logs", &free.to_string()]).out.contains("begun").then_some(()));
    client.ok("signal", json!({"pid": free, "signal": "interrupt"}));
    assert_eq!(ended(&mut client, free)["exit"], json!({"exited": 130}));
    // Where nobody can hear it any more, it need not be asked.
    let gone = begin(&mut client, "mute");
    let end = ended(&mut client, gone);
    assert_eq!(end["exit"], json!({"exited": 1}), "{end}");
    let why = "the last\n[acp] it ended, and had not answered session/prompt\n";
    assert_eq!(end["text"], json!(why), "{end}");
    retry("its end", || (running("8282.5") == 0).then_some(()));
    // It is waited for as long as a program may take to start, which is a minute.
    let end = (0..3).map(|_| ended(&mut client, never)).find(|end| end["exit"].is_object());
    let how = end.map(|end| end["exit"].clone());
    assert_eq!(how, Some(json!({"killed": "it does not answer initialize"})));
    retry("its end", || (running("8383.5") == 0).then_some(()));
    assert!(hive.alive(), "{}", hive.said());
}

/// What calls would show and change stands beside a draft, so nothing is offered, nor done where it asks all
/// the same. What it writes itself waits for an operator. The control: the same that is no draft.
#[test]
fn in_a_draft_it_has_its_own_hands_only() {
    let (hive, mut client) = coder();
    let names = ["own", "asked", "ran"];
    let there = |hive: &Hive| names.map(|name| hive.cli(&["cat", &format!("/data/{name}.md")]).code == 0);
    let no = "error files and commands are its own here: its work is a draft";
    for (word, pattern) in [("keep", [true, false, false]), ("drop", [false; 3]), ("live", [true; 3])] {
        let view = if word == "live" { ", view: live" } else { ", view: draft" };
        hive.cli(&["rm", "/data/own.md"]);
        install_with(&mut client, "", "", (view, ""));
        let pid = begin(&mut client, "drafts");
        let end = ended(&mut client, pid);
        assert_eq!(end["exit"], json!({"exited": 0}), "{end}");
        let said = end["text"].as_str().unwrap();
        let lines: Vec<&str> = said.lines().collect();
        let live = word == "live";
        assert_eq!(lines[0].matches("true").count(), if live { 3 } else { 0 }, "{said}");
        let asked =
            [("read", r#"{"content": "own\n"}"#), ("write", "{}"), ("run", r#"{"terminalId": "t1"}"#)];
        for (line, (what, done)) in lines[1..].iter().zip(asked) {
            assert_eq!(*line, format!("{what} {}", if live { done } else { no }), "{said}");
        }
        assert_eq!(lines[4], "sees own", "{said}");
        if !live {
            assert_eq!(there(&hive), [false; 3], "before anybody decided");
            hive.cli(&[word, &pid.to_string()]).fine();
        }
        retry(word, || (there(&hive) == pattern).then_some(()));
    }
}

#[test]
fn what_it_says_it_used_is_held_against_the_ledger() {
    let (hive, mut client) = coder();
    let rules = json!([{"match": {}, "response": {"content": "hello ".repeat(60)}}]);
    let _server = models(&hive, &mut client, &rules);
    let mut charged = Vec::new();
    for (claim, disbelieved, alarm) in [
        ("3", true, "claims less than went through the endpoint"),
        ("100000", false, ""),
        ("none", false, "none went through the endpoint"),
    ] {
        let pid = begin(&mut client, &format!("claims {claim}"));
        let end = ended(&mut client, pid);
        assert_eq!(end["exit"], json!({"exited": 0}), "{end}");
        let log = client.log("home");
        let of = |kind: &str| {
            let own = log.iter().filter(|record| record["pid"] == pid);
            own.filter_map(|record| record["body"].get(kind).cloned()).collect::<Vec<_>>()
        };
        let claims = of("exec_claimed");
        assert_eq!(claims.len(), 1, "{claim}");
        assert_eq!(claims[0]["disbelieved"], disbelieved, "{claim}: {claims:?}");
        // What is charged is what went through the endpoint, whatever it says.
        let answers = of("model_answered");
        charged.push(answers.iter().map(|answer| answer["charged"]["money"].clone()).collect::<Vec<_>>());
        if !alarm.is_empty() {
            retry(alarm, || hive.said().contains(alarm).then_some(()));
        }
    }
    assert_eq!((charged[0].len(), charged[2].len()), (1, 0));
    assert_eq!(charged[0], charged[1]);
}

/// Claude Code behind its own ACP agent, as people install it, in a directory of this host, on a scripted
/// model: it changes a file when the operator has said yes. The control: where they said no, it is as it was.
#[test]
fn a_real_agent_edits_a_file_when_it_may() {
    let repo = place_of_work("acp-");
    let file = repo.path().join("add.sh");
    let edit = json!({"file_path": file, "content": "echo $(($1 + $2))\n"});
    let calls = json!([
        {"name": "Read", "arguments": {"file_path": file}},
        {"name": "Write", "arguments": edit},
    ]);
    let (first, then) = (json!({"toolCalls": calls}), json!({"content": "I have said what I have to say."}));
    let rule = |result: bool, response: &Value| {
        let of = json!({"userMessage": "repair add.sh", "hasToolResult": result});
        json!({"match": of, "response": response})
    };
    let hive = Hive::new();
    let mut client = hive.client();
    let more = json!({"match": {"userMessage": "say goodbye"}, "response": {"content": "Goodbye then."}});
    let _server = models(&hive, &mut client, &json!([more, rule(false, &first), rule(true, &then)]));
    let path = format!("{}:/usr/bin:/bin", installed("acp", None).display());
    let read = |file: &Path| fs::read_to_string(file).unwrap();
    let (old, new) = ("echo $(($1 - $2))\n", "echo $(($1 + $2))\n");
    for (decision, now) in [("reject", old), ("approve", new)] {
        fs::write(&file, old).unwrap();
        let line = ["run", "-d", "--live", "--task", "repair add.sh", "--", "claude-agent-acp"];
        let ran = run(hive.command(&line).current_dir(repo.path()).env("PATH", &path)).fine();
        let pid: u64 = ran.out.trim().parse().unwrap();
        let proposal = asked(&mut client).to_string();
        let shown = client.text(&format!("/proposals/{proposal}/shown"));
        assert!(shown.contains("add.sh") && shown.contains("echo $(($1 + $2))"), "{shown}");
        assert_eq!(read(&file), old, "before anybody decided");
        // What is said to it meanwhile is its next turn.
        let more = json!({"agent": "claude-agent-acp", "text": "say goodbye", "mode": "steer"});
        assert_eq!(client.ok("dispatch", more), json!({"ok": true}));
        hive.cli(&[decision, &proposal]).fine();
        let end = ended(&mut client, pid);
        assert_eq!(end["exit"], json!({"exited": 0}), "{decision}: {end}");
        let said = end["text"].as_str().unwrap();
        assert!(said.lines().any(|line| line.starts_with("Goodbye then.")), "{decision}: {said}");
        let log = client.log("home");
        let claims =
            log.iter().filter(|record| record["pid"] == pid && !record["body"]["exec_claimed"].is_null());
        let claims: Vec<&Value> = claims.map(|record| &record["body"]["exec_claimed"]).collect();
        assert_eq!(claims.len(), 2, "{decision}");
        retry("what was decided", || (read(&file) == now).then_some(()));
    }
}
