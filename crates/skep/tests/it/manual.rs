//! What the manual says of places and formats, held against a real daemon: it lists the places, it takes the
//! examples, and it tells which keys it knows.

use crate::{
    decisions::{desk, spawn},
    hive::{Client, Hive, retry},
};
use serde_json::{Value, json};
use shell::manual::{FORMATS, Format, TREES};
use std::collections::BTreeSet;

/// Names in a directory.
fn names(client: &mut Client, path: &str) -> BTreeSet<String> {
    let answer = client.ok("list", json!({ "path": path }));
    let entries = answer["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// Names that the manual has directly below `path`.
fn told(tree: &str, path: &str) -> BTreeSet<String> {
    let tree = TREES.iter().find(|row| row.name == tree).unwrap();
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let below = tree.places.iter().filter_map(|(place, _)| place.strip_prefix(&prefix));
    below.map(|rest| rest.split('/').next().unwrap().to_owned()).collect()
}

#[test]
fn every_place_that_the_manual_names_is_there_and_no_other() {
    let (_hive, mut client, _) = desk();
    let pid = spawn(&mut client, "ask");
    retry("the question", || {
        client.ask("list", &json!({"path": "/proposals/1"}))["error"].is_null().then_some(())
    });
    assert_eq!(names(&mut client, "/"), told("tree", "/"));
    assert_eq!(names(&mut client, "/sys"), told("sys", "/sys"));
    assert_eq!(names(&mut client, &format!("/proc/{pid}")), told("proc", "/proc/PID"));
    assert_eq!(names(&mut client, "/proposals/1"), told("proposals", "/proposals/ID"));
}

/// Gives the daemon a file of this format; answers its error, if it has one.
fn give(client: &mut Client, format: &Format, text: &str) -> Value {
    let path = format.file.replace("NAME", "triage");
    client.ask("write", &json!({"path": path, "text": text, "origin": "argument"}))["error"].take()
}

/// What is wrong with an agent's file is told when the agent is started.
fn start(client: &mut Client) -> Value {
    client.ask("spawn", &json!({"agent": "triage", "text": "x", "origin": "argument"}))["error"].take()
}

#[test]
fn every_format_that_the_manual_shows_is_taken_and_every_key_is_known() {
    let hive = Hive::new();
    let mut client = hive.client();
    for format in FORMATS {
        let error = give(&mut client, &format, format.example);
        assert!(error.is_null(), "{}: {error}", format.file);
    }
    assert_eq!(start(&mut client), Value::Null);
    for format in FORMATS {
        // A key that is near to none: the error lists all.
        let (head, rest) = match format.example.strip_prefix("---\n") {
            Some(rest) => ("---\n", rest),
            None => ("", format.example),
        };
        let strange = format!("{head}qqqqqqqqqqqq: 1\n{rest}");
        let given = give(&mut client, &format, &strange);
        let error = if given.is_null() { start(&mut client) } else { given };
        let hint = error["data"]["hint"].as_str().unwrap_or_else(|| panic!("{}: {error}", format.file));
        let known: BTreeSet<&str> = hint.strip_prefix("known: ").expect(hint).split(' ').collect();
        let keys: BTreeSet<&str> = format.keys.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, known, "{}: left is the manual, right what the daemon knows", format.file);
    }
}

/// What bash offers behind these words, once it has read the script.
fn offered(hive: &Hive, words: &str) -> Vec<String> {
    let ask = format!(
        "source <({} completions bash) || exit 1\n\
         COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n\
         _skep skep \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        crate::hive::SKEP
    );
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", &ask]).env("SKEP_HOME", hive.home());
    let ran = crate::hive::run(&mut bash).fine();
    assert!(ran.err.is_empty(), "{ran:?}");
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_reads_the_completions_and_completes() {
    let hive = Hive::bare();
    assert_eq!(offered(&hive, "skep endor"), ["endorse"]);
    assert_eq!(offered(&hive, "skep run --det"), ["--detach"]);
    assert_eq!(offered(&hive, "skep completions z"), ["zsh"]);
    assert!(!hive.home().exists(), "completing makes nothing");
}
