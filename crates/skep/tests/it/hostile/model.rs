//! A model that does everything a model should not, through real runs: each ends as it must, what it cost is
//! booked, and the daemon goes on.

use crate::hive::{Client, Hive, field, retry};
use abi::money::Nano;
use serde_json::{Value, json};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/scripted/misbehave.json");
const ROGUE: &str = "---\nname: rogue\nmodel: scripted/misbehave\ntools: [list, read, write]\n\
    needs:\n  - read /data/**\n  - write /data/**\n  - model any\nbudget: {run: 0.20}\n---\nYou are rogue.\n";

/// A word of the task, how it ends, and what its last words are.
const RUNS: [(&str, &str, &str); 8] = [
    ("fail", r#"{"faulted":"#, "failed"),
    ("flaky", r#"{"exited":0}"#, "It went well the second time."),
    ("broken", r#"{"exited":0}"#, "the arguments are not JSON"),
    ("garbage", r#"{"exited":0}"#, "Excuse me."),
    ("liar", r#"{"exited":0}"#, "I cost nothing at all."),
    ("unknown", r#"{"exited":0}"#, "there is no call"),
    ("anything else", r#"{"exited":0}"#, "I have no rule for this."),
    ("endless", "", ""),
];

fn home() -> (Hive, Client) {
    let mut hive = Hive::bare();
    std::fs::create_dir_all(hive.home().join("scripted")).unwrap();
    std::fs::copy(RULES, hive.home().join("scripted/misbehave.json")).unwrap();
    hive.start();
    let mut client = hive.client();
    client.ok("write", json!({ "path": "/agents/rogue/AGENT.md", "text": ROGUE, "origin": "argument" }));
    (hive, client)
}

fn spawn(client: &mut Client, word: &str) -> u64 {
    let params = json!({ "agent": "rogue", "text": format!("please {word}"), "origin": "argument" });
    client.ok("spawn", params)["pid"].as_u64().unwrap()
}

fn status(client: &mut Client, pid: u64) -> String {
    client.text(&format!("/proc/{pid}/status"))
}

/// What the ledger holds of a process.
fn charged(log: &[Value], pid: u64) -> Vec<i64> {
    let of_pid = log.iter().filter(|record| record["pid"] == pid);
    let kinds = ["model_answered", "model_failed"];
    let charges = of_pid.filter_map(|record| kinds.iter().find_map(|kind| record["body"].get(*kind)));
    charges.map(|body| body["charged"]["money"].as_i64().unwrap()).collect()
}

#[test]
fn a_model_that_misbehaves_ends_as_it_must() {
    let (mut hive, mut client) = home();
    let pids = RUNS.map(|(word, ..)| spawn(&mut client, word));
    for ((word, exit, says), pid) in RUNS.into_iter().zip(pids) {
        if word == "endless" {
            retry("the limit", || (field(&status(&mut client, pid), "state") == "frozen").then_some(()));
            continue;
        }
        let ended = client.ok("wait", json!({ "pid": pid, "timeout_ms": 20_000 }));
        assert!(ended["exit"].to_string().starts_with(exit), "{word}: {ended}");
        assert!(ended.to_string().contains(says), "{word}: {ended}");
        let verdict = if word == "fail" { "failed" } else { "unverified" };
        assert_eq!(ended["verdict"], verdict, "{word}: never done, for nothing was to be checked");
    }
    assert!(hive.alive(), "{}", hive.said());

    let log = client.log("home");
    let [fail, _, broken, garbage, liar, unknown, _, endless] = pids;
    assert_eq!(charged(&log, fail), [0]);
    // It claimed a negative usage: our own count is charged, and the record says why.
    let answers = |pid: u64| {
        let of_pid = log.iter().filter(move |record| record["pid"] == pid);
        of_pid.filter_map(|record| record["body"].get("model_answered")).collect::<Vec<_>>()
    };
    assert_eq!(answers(liar).iter().map(|body| &body["disbelieved"]).collect::<Vec<_>>(), [true]);
    assert!(charged(&log, liar)[0] > 0, "{:?}", answers(liar));
    assert!(answers(broken).iter().all(|body| body["disbelieved"] == false));
    // What it called and is none was refused, and no more.
    for pid in [broken, garbage, unknown] {
        let tools = log.iter().filter(|record| record["pid"] == pid);
        let codes: Vec<_> = tools.filter_map(|record| Some(&record["body"].get("tool")?["code"])).collect();
        assert_eq!(codes, ["Invalid"], "process {pid}");
    }
    assert!(!log.iter().any(|record| record["actor"] == "agent:rogue" && !record["body"]["wrote"].is_null()));
    bounded(&mut client, &log, endless);
}

/// Endless text is cut at what a step may say, and the run stands frozen at its limit, paid for but not over
/// it.
fn bounded(client: &mut Client, log: &[Value], pid: u64) {
    let card = status(client, pid);
    assert_eq!(field(&card, "state"), "frozen", "{card}");
    assert!(field(&card, "why").contains("limit"), "{card}");
    let paid: i64 = charged(log, pid).iter().sum();
    assert!(paid > 0 && paid <= 200_000_000, "{paid}");
    let answers: Vec<_> = log
        .iter()
        .filter(|record| record["pid"] == pid)
        .filter_map(|record| record["body"].get("model_answered"))
        .collect();
    let most = i64::try_from(abi::limits::TURN_OUTPUT_TOKENS_MAX).unwrap();
    for answer in answers {
        assert_eq!(answer["stop"], "cut");
        // The piece of the stream that went over is counted too: it was bought.
        assert!(answer["usage"]["tokens_out"].as_i64().unwrap() <= most + 4, "{answer}");
    }
    client.ok("signal", json!({ "pid": pid, "signal": "kill" }));
    let ended = client.ok("wait", json!({ "pid": pid, "timeout_ms": 20_000 }));
    assert_eq!(ended["exit"], json!({ "killed": "signal" }), "{ended}");
}

#[test]
fn a_model_that_never_answers_can_be_killed() {
    let (mut hive, mut client) = home();
    let pid = spawn(&mut client, "silent");
    let intended = |client: &mut Client| {
        let log = client.log("home");
        log.iter()
            .any(|record| record["pid"] == pid && !record["body"]["model_intended"].is_null())
            .then_some(())
    };
    retry("its model call", || intended(&mut client));
    client.ok("signal", json!({ "pid": pid, "signal": "kill" }));
    let ended = client.ok("wait", json!({ "pid": pid, "timeout_ms": 5_000 }));
    assert_eq!(ended["exit"], json!({ "killed": "signal" }), "{ended}");
    retry("its reservation to be settled", || {
        let rows = client.text("/sys/budget");
        let mut reserved = rows.lines().filter_map(|row| row.split_whitespace().nth(4));
        reserved.all(|held| held.parse::<Nano>().is_ok_and(|held| held == Nano(0))).then_some(())
    });
    assert!(hive.alive());
}

#[test]
fn rules_that_are_broken_fail_the_call_and_nothing_else() {
    let (mut hive, mut client) = home();
    let rules = hive.home().join("scripted/misbehave.json");
    for text in
        ["", "[", "{\"rules\": 7}", &"[".repeat(100_000), "{\"rules\":[{\"when\":{},\"then\":{\"x\":1}}]}"]
    {
        std::fs::write(&rules, text).unwrap();
        let pid = spawn(&mut client, "anything");
        let ended = client.ok("wait", json!({ "pid": pid, "timeout_ms": 20_000 }));
        assert!(ended["exit"]["faulted"].is_string(), "{text:.20}: {ended}");
    }
    std::fs::remove_file(&rules).unwrap();
    let pid = spawn(&mut client, "anything");
    let ended = client.ok("wait", json!({ "pid": pid, "timeout_ms": 20_000 }));
    assert!(ended["exit"]["faulted"].is_string(), "{ended}");
    assert!(hive.alive());
}
