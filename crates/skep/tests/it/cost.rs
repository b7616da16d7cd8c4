//! What calls cost, by agent, model and day: the sums of the log's own rows, after a kill -9 as before.

use crate::hive::{Client, Hive};
use serde_json::{Value, json};
use std::fs;

const RULES: &str = r#"{"about": "Plays.", "rules": [
    {"when": {"task": "go", "step": 0}, "then": {"say": "Next.", "tools": [
        {"name": "write", "arguments": {"path": "/data/a.md", "text": "x"}}]}},
    {"then": {"say": "Done."}}]}"#;

/// Two agents on two models.
fn desk() -> (Hive, Client) {
    let hive = Hive::new();
    let mut client = hive.client();
    fs::create_dir_all(hive.home().join("scripted")).unwrap();
    for name in ["clerk", "scribe"] {
        fs::write(hive.home().join(format!("scripted/{name}.json")), RULES).unwrap();
        let agent = format!(
            "---\nname: {name}\ndescription: Plays.\nmodel: scripted/{name}\ntools: [read, write]\nneeds:\n  \
             - write /data/**\n  - model any\n---\nYou are {name}.\n"
        );
        let path = format!("/agents/{name}/AGENT.md");
        client.ok("write", json!({"path": path, "text": agent, "origin": "argument"}));
    }
    (hive, client)
}

/// Calls and nano-dollars, by the rows of the log.
fn ledger(client: &mut Client) -> (u64, i64) {
    let mut sums = (0, 0);
    let mut from = 0;
    loop {
        let page = client.ok("trace", json!({"from": from, "limit": 1000}));
        let records = page["records"].as_array().unwrap();
        for record in records {
            let body = &record["body"];
            let ends = ["model_answered", "model_failed", "model_lost"].map(|word| &body[word]["charged"]);
            for charged in ends.into_iter().filter(|charged| charged.is_object()) {
                sums = (sums.0 + 1, sums.1 + charged["money"].as_i64().unwrap());
            }
        }
        match page["next"].as_u64() {
            Some(next) if next > from => from = next,
            _ => return sums,
        }
    }
}

fn cost(hive: &Hive, args: &[&str]) -> Value {
    let args = [&["cost", "--json"], args].concat();
    serde_json::from_str(&hive.cli(&args).fine().out).unwrap()
}

fn nano(cost: &Value) -> i64 {
    cost.as_str().unwrap().parse::<abi::money::Nano>().unwrap().0
}

/// Every way to sum comes to the ledger.
#[track_caller]
fn adds_up(hive: &Hive, client: &mut Client) -> Vec<(String, u64)> {
    let (calls, money) = ledger(client);
    for by in ["agent", "model", "day"] {
        let said = cost(hive, &["--by", by]);
        let rows = said["rows"].as_array().unwrap();
        let sum = rows.iter().map(|row| nano(&row["cost"])).sum::<i64>();
        let counted = rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum::<u64>();
        assert_eq!((counted, sum), (calls, money), "{by}: {said}");
        let total = &said["total"];
        assert_eq!((total["calls"].as_u64().unwrap(), nano(&total["cost"])), (calls, money));
    }
    // The account counts the same in its own way.
    let budget = client.text("/sys/budget");
    let row = budget.lines().find(|line| line.starts_with("workspace money day ")).unwrap();
    let used: abi::money::Nano = row.split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(used.0, money, "{budget}");
    let said = cost(hive, &["--by", "agent"]);
    let rows = said["rows"].as_array().unwrap().iter();
    let mut rows: Vec<(String, u64)> =
        rows.map(|row| (row["agent"].as_str().unwrap().into(), row["calls"].as_u64().unwrap())).collect();
    rows.sort();
    rows
}

#[test]
fn sums_are_those_of_the_ledger_after_a_crash_too() {
    let (mut hive, mut client) = desk();
    let none = hive.cli(&["cost"]).fine();
    assert!(none.out.is_empty() && none.err.starts_with("no model was called from "), "{none:?}");
    hive.cli(&["run", "clerk", "go"]).fine();
    hive.cli(&["run", "clerk", "stop"]).fine();
    hive.cli(&["run", "scribe", "go"]).fine();
    let rows = [("clerk".to_owned(), 3), ("scribe".to_owned(), 2)];
    assert_eq!(adds_up(&hive, &mut client), rows);

    hive.kill();
    hive.start();
    let mut client = hive.client();
    assert_eq!(adds_up(&hive, &mut client), rows);
    hive.cli(&["run", "scribe", "stop"]).fine();
    assert_eq!(adds_up(&hive, &mut client), [("clerk".to_owned(), 3), ("scribe".to_owned(), 3)]);

    let table = hive.cli(&["cost", "--by", "model"]).fine();
    let head = table.out.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(head, "MODEL CALLS FAILED TOKENS IN CACHED TOKENS OUT COST");
    let first = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let mut names: Vec<String> = table.out.lines().skip(1).map(first).collect();
    names.sort();
    assert_eq!(names, ["scripted/clerk 3", "scripted/scribe 3", "total 6"]);

    // Days before there was anything, and days that make no sense.
    let before = cost(&hive, &["--since", "2020-01-01", "--until", "2020-02-01"]);
    assert_eq!((&before["rows"], &before["from"]), (&json!([]), &json!("2020-01-01")));
    let all = cost(&hive, &["--since", "2020-01-01"]);
    assert_eq!(all["total"]["calls"], 6);
    let wrong = hive.cli(&["cost", "--since", "2020-02-01", "--until", "2020-01-01"]).failed(2);
    assert!(wrong.err.contains("2020-02-01 is after 2020-01-01\nhint: "), "{wrong:?}");
    hive.cli(&["cost", "--by", "colour"]).failed(2);
}

#[test]
fn it_is_a_file_a_month() {
    let (hive, mut client) = desk();
    assert_eq!(client.ok("list", json!({"path": "/sys/cost"}))["entries"], json!([]));
    hive.cli(&["run", "clerk", "go"]).fine();
    let months = client.ok("list", json!({"path": "/sys/cost"}));
    let month = months["entries"][0]["name"].as_str().unwrap().to_owned();
    let text = client.text(&format!("/sys/cost/{month}"));
    let day = text.split(' ').next().unwrap();
    assert!(
        text.starts_with(&format!("{month}-")) && text.contains(" clerk scripted/clerk 2 0 0 "),
        "{text}"
    );
    assert_eq!(client.text(&format!("/sys/cost/{day}")), text);
    for path in ["/sys/cost/2026-13", "/sys/cost/now", "/sys/cost/2026-11-31", "/sys/cost/2026-11/x"] {
        let refused = client.refused("read", json!({"path": path}));
        assert_eq!(refused["data"]["code"], "NotFound", "{path}: {refused}");
    }
    assert_eq!(client.refused("read", json!({"path": "/sys/cost"}))["data"]["code"], "Invalid");
}
