//! Programs that people use already, as their registry has them, each by its recipe in a directory of this
//! host, on a scripted model: it repairs a program and runs its test, what it did is taken back, and its own
//! session goes on in the next run. They are large, so they are no part of `make test`: `cargo xtask guests`
//! builds with the feature that has them, installs them (clis/package-lock.json) and runs these.

use crate::{
    guests::{exchanged, installed, pid_in, scripted},
    hive::{Hive, place_of_work, retry, run},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

const TASK: &str = "repair add.sh";
const AGAIN: &str = "and once more";
const WRONG: &str = "echo $(($1 - $2))\n";
const RIGHT: &str = "echo $(($1 + $2))\n";

/// One of them.
struct Cli {
    name: &'static str,
    version: &'static str,
    /// How it is told to go on with its last session.
    again: &'static [&'static str],
}

/// The directories of their programs: npm links all but opencode's, whose package for this platform stands by
/// itself.
fn programs() -> String {
    let bin = installed("clis", None);
    format!("{0}:{0}/../opencode-linux-x64-baseline/bin:/usr/bin:/bin", bin.display())
}

/// The repair, in calls of one of them, and its words before, after and in its next run.
fn plan(calls: &Value) -> Value {
    let rule = |of: Value, response: Value| json!({"match": of, "response": response});
    json!([
        rule(json!({"userMessage": AGAIN}), json!({"content": "It stays green."})),
        rule(json!({"userMessage": TASK, "hasToolResult": false}), json!({"toolCalls": calls})),
        rule(json!({"hasToolResult": true}), json!({"content": "It is green."})),
        // Some ask for a title besides.
        rule(json!({"userMessage": ""}), json!({"content": "A repair"})),
    ])
}

fn repairs(cli: &Cli, calls: impl FnOnce(&Path) -> Value) {
    let (path, repo, hive) = (programs(), place_of_work("repaired-"), Hive::new());
    let add = repo.path().join("add.sh");
    fs::write(&add, WRONG).unwrap();
    fs::write(repo.path().join("test.sh"), "[ \"$(sh add.sh 2 3)\" = 5 ] && echo gre''en\n").unwrap();
    let _server = scripted(&hive, &plan(&calls(&add)));
    let skep = |args: &[&str]| run(hive.command(args).current_dir(repo.path()).env("PATH", &path));
    let ran = skep(&["run", "--", cli.name, "--version"]).fine();
    assert!(ran.out.contains(cli.version), "{ran:?}");
    let ran = skep(&["run", "--task", TASK, "--", cli.name]).fine();
    assert!(ran.err.contains(&format!("agent: {}", cli.name)), "{}", ran.err);
    assert!(ran.err.contains("1 file changed") && ran.err.contains("model call"), "{}", ran.err);
    let stands = |text: &str| retry(text, || (fs::read_to_string(&add).unwrap() == text).then_some(()));
    stands(RIGHT);
    let pid = pid_in(&ran);
    let sent = exchanged(&hive, &pid);
    assert!(sent.contains("green") && sent.contains("It is green."), "{sent}");
    println!("{} {}: {:.1} s", cli.name, cli.version, ran.took.as_secs_f64());
    hive.cli(&["undo", &pid]).fine();
    stands(WRONG);
    // Its HOME is there again: it knows what was said.
    let ran = skep(&[&["run", "--", cli.name], cli.again, &[AGAIN]].concat()).fine();
    let sent = exchanged(&hive, &pid_in(&ran));
    assert!(sent.contains(TASK) && sent.contains("It stays green."), "{sent}");
}

#[test]
fn codex() {
    let again = &["exec", "resume", "--last", "--skip-git-repo-check"];
    repairs(&Cli { name: "codex", version: "0.171.0", again }, |_| {
        let line = "printf 'echo $(($1 + $2))\\n' > add.sh; sh test.sh";
        json!([{"name": "exec_command", "arguments": {"cmd": line}}])
    });
}

#[test]
fn opencode() {
    repairs(&Cli { name: "opencode", version: "1.18.33", again: &["run", "--continue"] }, |add| {
        json!([
            {"name": "write", "arguments": {"filePath": add, "content": RIGHT}},
            {"name": "bash", "arguments": {"command": "sh test.sh", "description": "run the test"}},
        ])
    });
}

#[test]
fn goose() {
    let again = &["run", "--resume", "-t"];
    repairs(&Cli { name: "goose", version: "1.34.0", again }, |add| {
        json!([
            {"name": "write", "arguments": {"path": add, "content": RIGHT}},
            {"name": "shell", "arguments": {"command": "sh test.sh"}},
        ])
    });
}

#[test]
fn gemini() {
    let again = &["--yolo", "--resume", "latest", "-p"];
    repairs(&Cli { name: "gemini", version: "0.61.0", again }, |add| {
        json!([
            {"name": "write_file", "arguments": {"file_path": add, "content": RIGHT}},
            {"name": "run_shell_command", "arguments": {"command": "sh test.sh"}},
        ])
    });
}
