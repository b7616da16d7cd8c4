//! The proof, end to end: the real daemon signs, somebody with the disk tampers, the command line finds it.

use crate::hive::{Hive, retry};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write(client: &mut crate::hive::Client, count: u32) {
    for ix in 0..count {
        let params =
            json!({"path": format!("/data/{ix}.md"), "text": format!("text {ix}\n"), "mode": "whole"});
        client.ok("write", params);
    }
}

/// A copy of a workspace's directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

struct Stage {
    hive: Hive,
    /// The workspace's directory.
    dir: PathBuf,
    /// An older copy of it.
    older: PathBuf,
    checkpoint: PathBuf,
    key: String,
}

/// A workspace with an older copy and a checkpoint of its end, and the daemon gone.
fn stage() -> Stage {
    let mut hive = Hive::new();
    write(&mut hive.client(), 20);
    let dir = hive.file("home").parent().unwrap().to_path_buf();
    let (older, checkpoint) = (hive.around().join("older"), hive.around().join("kept.jsonl"));
    hive.stop();
    copy(&dir, &older);
    hive.start();
    write(&mut hive.client(), 20);
    hive.cli(&["audit", "checkpoint", shown(&checkpoint)]).fine();
    let key = hive.cli(&["audit", "key"]).fine().out.trim().to_owned();
    Stage { hive, dir, older, checkpoint, key }
}

impl Stage {
    /// The exit code and what was found, with and without the checkpoint.
    fn verify(&self, dir: &Path) -> [(i32, Vec<String>); 2] {
        let dir = shown(dir);
        let bare = ["--json", "audit", "verify", dir];
        let held = [&bare[..], &["--checkpoint", shown(&self.checkpoint), "--key", &self.key]].concat();
        [&bare[..], &held].map(|words| {
            let ran = self.hive.cli(words);
            let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
            let found = report["findings"].as_array().unwrap();
            (ran.code, found.iter().map(|one| one["what"].as_str().unwrap().to_owned()).collect())
        })
    }
}

#[test]
fn what_is_true_passes_and_a_rolled_back_log_needs_the_checkpoint() {
    let mut stage = stage();
    let good = (0, Vec::new());
    assert_eq!(stage.verify(&stage.dir), [good.clone(), good.clone()], "while it is awake");
    stage.hive.stop();
    assert_eq!(stage.verify(&stage.dir), [good.clone(), good.clone()], "asleep");
    // The control: without the checkpoint an older copy is as good as the true one.
    let [bare, held] = stage.verify(&stage.older);
    assert_eq!(bare, good);
    assert_eq!((held.0, held.1.len()), (1, 1));
    assert!(held.1[0].contains("and a checkpoint signs record"), "{held:?}");
    let text = stage.hive.cli(&["audit", "verify", shown(&stage.dir)]).fine();
    assert!(text.out.contains("verdict      it holds\n") && text.err.is_empty(), "{text:?}");
    // Nobody started a daemon for that.
    assert!(crate::hive::holder(&stage.hive.home()).is_none());
}

#[test]
fn an_edit_of_the_file_is_found() {
    let mut stage = stage();
    stage.hive.stop();
    let rows = [
        (
            "UPDATE records SET body = CAST(body || x'00' AS BLOB) WHERE seq = 9",
            "are not those that its hash was made of",
        ),
        ("DELETE FROM records WHERE seq = 9", "record 9 is missing before it"),
        ("UPDATE versions SET actor = 'agent:eve' WHERE id = 3", "has another actor than it says"),
        ("UPDATE blobs SET bytes = x'00' WHERE id = 3", "are not those of its name"),
    ];
    for (sql, wanted) in rows {
        let place = stage.hive.around().join("edited");
        copy(&stage.dir, &place);
        Connection::open(place.join("workspace.db")).unwrap().execute_batch(sql).unwrap();
        for (code, found) in stage.verify(&place) {
            assert_eq!(code, 1, "{sql}");
            assert!(found.iter().any(|what| what.contains(wanted)), "{sql}: {found:?}");
        }
        fs::remove_dir_all(&place).unwrap();
    }
}

/// The node's own file: one at the latest after a thousand records, and one at each sleep.
#[test]
fn the_node_signs_in_time_and_before_it_sleeps() {
    let mut hive = Hive::new();
    let own = hive.home().join("checkpoints/home.jsonl");
    let mut client = hive.client();
    write(&mut client, 1000);
    let seqs = || -> Vec<u64> {
        let text = fs::read_to_string(&own).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["seq"].as_u64().unwrap()).collect()
    };
    let head = client.log("home").last().unwrap()["seq"].as_u64().unwrap();
    assert!(head >= 1000, "{head}");
    retry("a checkpoint in time", || seqs().last().filter(|last| head - **last < 1000).copied());
    drop(client);
    hive.stop();
    let seqs = seqs();
    assert!(seqs.windows(2).all(|two| two[0] < two[1] && two[1] - two[0] <= 1000), "{seqs:?}");
    let dir = hive.file("home").parent().unwrap().to_path_buf();
    let ran = hive.cli(&["--json", "audit", "verify", shown(&dir), "--checkpoint", shown(&own)]).fine();
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["head"], report["checkpoints"]["newest"], "the end is signed: {report}");
}

#[test]
fn the_log_leaves_as_lines_that_are_chained() {
    let hive = Hive::new();
    let mut client = hive.client();
    write(&mut client, 3);
    let file = hive.around().join("log.jsonl");
    hive.cli(&["audit", "export", shown(&file)]).fine();
    hive.cli(&["audit", "export", shown(&file)]).failed(1);
    let lines: Vec<Value> =
        fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), client.log("home").len());
    let mut prev = json!("0".repeat(64));
    for (line, seq) in lines.iter().zip(1..) {
        assert_eq!((&line["prev"], &line["seq"]), (&prev, &json!(seq)));
        prev = line["hash"].clone();
    }
    assert!(lines[0]["body"]["genesis"].is_object(), "{}", lines[0]);
    let report = hive.cli(&["--json", "audit", "verify"]).fine();
    assert_eq!(serde_json::from_str::<Value>(&report.out).unwrap()["hash"], prev);
    assert_eq!(hive.cli(&["audit", "export"]).fine().out, fs::read_to_string(&file).unwrap());
}

#[test]
fn a_checkpoint_goes_to_a_file_of_checkpoints_and_nowhere_else() {
    let hive = Hive::new();
    let mut client = hive.client();
    write(&mut client, 1);
    let other = hive.around().join("profile");
    fs::write(&other, "export PATH=1\n").unwrap();
    for file in [other.as_path(), hive.around(), Path::new("/nowhere/at/all")] {
        let words = format!("checkpoint {}", shown(file));
        let refused =
            client.refused("write", json!({"path": "/sys/ctl", "text": words, "origin": "argument"}));
        assert!(refused["data"]["hint"].as_str().unwrap().starts_with("name a file"), "{refused}");
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "export PATH=1\n");
    let refused = client.refused("write", json!({"path": "/sys/ctl", "text": "checkpoint x"}));
    assert_eq!(refused["data"]["hint"], "start it with /", "{refused}");
    let key = client.text("/sys/key");
    assert_eq!(key.trim().len(), 64, "{key}");
}
