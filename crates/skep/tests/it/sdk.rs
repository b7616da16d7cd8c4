//! The clients in other languages, unmodified, against a real daemon: as an operator and as a process; what
//! is refused is raised with its code; who follows misses nothing and sees a model while it speaks. Both play
//! the same piece and must say the same.

use crate::{
    decisions::{desk, spawn},
    hive::{Hive, retry, run},
};
use serde_json::{Value, json};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sdk");

/// Plays against a daemon with an agent that lives, since it waits for an answer.
fn play(program: &str, args: impl Fn(&Hive, u64) -> Vec<String>) -> Vec<(String, Value)> {
    let (hive, mut client, _) = desk();
    let pid = spawn(&mut client, "ask");
    let there = json!({"path": "/proposals/1"});
    retry("the question", || client.ask("list", &there)["error"].is_null().then_some(()));
    let mut command = Command::new(program);
    command.args(args(&hive, pid)).env("PYTHONPATH", format!("{ROOT}/sdk/python"));
    let ran = run(command.env("PYTHONDONTWRITEBYTECODE", "1")).fine();
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["what"].as_str().unwrap().to_owned(), value["value"].clone())
    };
    ran.out.lines().map(line).collect()
}

fn expected() -> Vec<(String, Value)> {
    let rows = json!([
        ["wrote", ["/data/a.md", ["operation", "path", "version"]]],
        ["read", "größe"],
        ["raw", "/wA="],
        ["listed", ["b.md", "raw"]],
        ["history", "first"],
        ["missing", ["NotFound", -33002, "", false]],
        ["unknown", ["Invalid", -33009, "method", true]],
        ["ended", [{"exited": 0}, "unverified", "[scripted] Done."]],
        ["traced", [true, true]],
        ["status", true],
        ["mine", "/data/note.md"],
        ["denied", ["Denied", -33001, "", true]],
        ["author", "agent:clerk"],
        ["first", ["record", "home", 1]],
        ["followed", [true, "[scripted] Done."]],
    ]);
    let row = |row: &Value| (row[0].as_str().unwrap().to_owned(), row[1].clone());
    rows.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn python_speaks_to_the_socket() {
    let said = play("python3", |hive, pid| {
        vec![format!("{HERE}/play.py"), hive.socket().display().to_string(), pid.to_string()]
    });
    assert_eq!(said, expected());
}

#[test]
fn javascript_speaks_to_the_socket() {
    let said = play("node", |hive, pid| {
        let packaged = format!("{ROOT}/sdk/typescript/index.mjs");
        vec![format!("{HERE}/play.mjs"), packaged, hive.socket().display().to_string(), pid.to_string()]
    });
    assert_eq!(said, expected());
}

/// Every file of both is one that its language can read, also where the play does not come by.
#[test]
fn both_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    python.args(["-W", "error", "-m", "compileall", "-q", "-f"]).arg(format!("{ROOT}/sdk/python/skep"));
    run(python.env("PYTHONPYCACHEPREFIX", dir.path())).fine();
    for file in ["index", "client", "calls"] {
        run(Command::new("node").args(["--check", &format!("{ROOT}/sdk/typescript/{file}.mjs")])).fine();
    }
}
