//! What is not kept, as clients see it: rules thin, scratch paths keep what stands, a purge destroys.

use crate::bench::Bench;
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;

const DAY_US: u64 = 24 * 3600 * 1_000_000;

fn version(answer: &Value) -> u64 {
    answer["version"].as_u64().unwrap_or_else(|| panic!("no version in {answer}"))
}

/// Which of these versions can still be read.
fn kept(bench: &mut Bench, path: &str, versions: &[u64]) -> Vec<usize> {
    let readable = |(_, version): &(usize, &u64)| bench.read(path, Some(**version)).is_ok();
    versions.iter().enumerate().filter(readable).map(|(ix, _)| ix).collect()
}

#[test]
fn rules_keep_the_last_or_the_newest_days() {
    let rows: [(&str, &[usize]); 4] = [
        ("retain /data/** last 2", &[4, 5]),
        ("retain /data/a last 1", &[5]),
        // Version 4 was written three days ago, and was the head until 1.5 days ago.
        ("retain /data/** days 2", &[4, 5]),
        ("retain /other/** last 1", &[0, 1, 2, 3, 4, 5]),
    ];
    for (rule, want) in rows {
        let dir = TempDir::new().unwrap();
        let mut bench = Bench::open(dir.path(), None);
        let mut versions = Vec::new();
        for ix in 0..6 {
            versions.push(version(&bench.write("/data/a", &format!("text {ix}"))));
            bench.pass(DAY_US / 2 * 3);
        }
        // Same bytes as a version that goes; they stay with it.
        bench.write("/elsewhere", "text 0");
        bench.control(rule);
        bench.pass(1);
        bench.room.tend().unwrap();
        let stay = kept(&mut bench, "/data/a", &versions);
        let want: Vec<usize> = if want.contains(&0) { want.to_vec() } else { [&[0], want].concat() };
        assert_eq!(stay, want, "{rule}");
        let history = bench.ok("history", json!({"path": "/data/a"}));
        let rows = history["versions"].as_array().unwrap();
        assert_eq!(rows.len(), 6);
        assert!(rows.iter().all(|row| row["bytes"] == 6 && row["actor"] == "operator:op"), "{history}");
        assert_eq!(bench.read("/elsewhere", None).as_deref(), Ok("text 0"));
        if !stay.contains(&1) {
            let error = bench.read("/data/a", Some(versions[1])).unwrap_err();
            assert!(error.contains("went by a retention rule"), "{error}");
        }
    }
}

#[test]
fn rules_are_shown_replaced_and_taken_back() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path(), None);
    for rule in ["/a/** last 3", "/b days 9", "/a/** last 7"] {
        bench.control(&format!("retain {rule}"));
    }
    assert_eq!(bench.read("/sys/retain", None).as_deref(), Ok("/b days 9\n/a/** last 7\n"));
    bench.control("retain /b all");
    drop(bench);
    let mut bench = Bench::open(dir.path(), None);
    assert_eq!(bench.read("/sys/retain", None).as_deref(), Ok("/a/** last 7\n"));
    for bad in ["retain /a last 0", "retain /a last", "retain /a last -1", "retain last 3"] {
        let error = bench.ask("write", json!({"path": "/sys/ctl", "text": bad, "origin": "argument"}));
        assert!(error.is_err(), "{bad}");
    }
}

#[test]
fn scratch_paths_keep_what_stands() {
    for name in ["node_modules", "target", ".venv", "__pycache__", ".cache"] {
        let dir = TempDir::new().unwrap();
        let mut bench = Bench::open(dir.path(), None);
        let path = format!("/data/{name}/x");
        let all: Vec<u64> = (0..4).map(|ix| version(&bench.write(&path, &format!("build {ix}")))).collect();
        bench.room.tend().unwrap();
        assert_eq!(kept(&mut bench, &path, &all), [3], "{name}");
        assert_eq!(bench.read(&path, None).as_deref(), Ok("build 3"));
    }
}

/// A task that is the same bytes as a scratch file is a text of the log, and stays.
#[test]
fn a_text_of_the_log_is_never_swept() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path(), None);
    let message = "why this was written";
    bench.ok("write", json!({"path": "/data/a", "text": "a", "message": message, "origin": "argument"}));
    let all = [message, "another"].map(|text| version(&bench.write("/data/.cache/x", text)));
    bench.room.tend().unwrap();
    // Its bytes are those of the message, so they are there still.
    assert_eq!(kept(&mut bench, "/data/.cache/x", &all), [0, 1]);
    let history = bench.ok("history", json!({"path": "/data/a"}));
    assert_eq!(history["versions"][0]["message"], message);
}

#[test]
fn conflicts_and_what_they_were_made_from_stay() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path(), None);
    let base = version(&bench.write("/data/a.bin", "base"));
    bench.write("/data/a.bin", "theirs");
    let stale = json!({"path": "/data/a.bin", "text": "ours", "base": base, "origin": "argument"});
    let told = bench.ok("write", stale);
    assert_eq!(told["code"], "Conflict");
    for ix in 0..4 {
        bench.write("/data/a.bin", &format!("later {ix}"));
    }
    bench.control("retain /** last 1");
    bench.pass(1);
    bench.room.tend().unwrap();
    assert_eq!(bench.read("/data/a.bin", Some(base)).as_deref(), Ok("base"));
    let open = bench.read("/sys/conflicts", None).unwrap();
    let ours: u64 = open.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(bench.read("/data/a.bin", Some(ours)).as_deref(), Ok("ours"));
    bench.ok(
        "write",
        json!({
            "path": "/data/a.bin", "mode": "resolve", "version": ours, "take": "theirs",
            "origin": "argument",
        }),
    );
    bench.pass(DAY_US);
    bench.room.tend().unwrap();
    assert!(bench.read("/data/a.bin", Some(base)).is_err() && bench.read("/data/a.bin", Some(ours)).is_err());
    assert_eq!(bench.read("/data/a.bin", None).as_deref(), Ok("later 3"));
}

/// Whether any file below a directory holds these bytes, as they are or as JSON has them.
fn scan(dir: &Path, secret: &str) -> Vec<String> {
    let escaped = serde_json::to_string(secret).unwrap();
    let forms = [secret.as_bytes(), escaped.trim_matches('"').as_bytes()];
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                todo.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                let holds = |form: &&[u8]| bytes.windows(form.len()).any(|window| window == *form);
                found.extend(forms.iter().any(holds).then(|| path.display().to_string()));
            }
        }
    }
    found
}

#[test]
fn a_purge_leaves_who_and_why_and_no_byte() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path(), None);
    let secret = "line \"one\"\nof what nobody may know\n";
    let all = [secret, "shared by two files", "the third version"]
        .map(|text| version(&bench.write("/data/my secret.md", text)));
    bench.write("/other", "shared by two files");
    assert!(!scan(dir.path(), secret).is_empty());
    let answer = bench.control("purge \"/data/my secret.md\" asked for by the person");
    assert_eq!((&answer["versions"], &answer["kept"]), (&json!(3), &json!(["/other"])), "{answer}");
    assert_eq!(scan(dir.path(), secret), [""; 0]);
    assert_eq!(scan(dir.path(), "the third version"), [""; 0]);
    assert_eq!(bench.read("/other", None).as_deref(), Ok("shared by two files"));
    let error = bench.read("/data/my secret.md", Some(all[0])).unwrap_err();
    assert!(error.contains("purged by operator:op") && error.ends_with("asked for by the person"), "{error}");
    assert!(bench.read("/data/my secret.md", None).is_err());
    // Twice is no harm; what was moved is purged where it stands.
    bench.control("purge \"/data/my secret.md\" once more");
    bench.write("/data/here", "it will move away");
    bench.ok("move", json!({"from": "/data/here", "to": "/data/there"}));
    let moved =
        bench.ask("write", json!({"path": "/sys/ctl", "text": "purge /data/here x", "origin": "argument"}));
    assert!(moved.unwrap_err().message.contains("stands at /data/there now"));
    bench.control("purge /data/there x");
    bench.control("purge /data/here x");
    assert_eq!(scan(dir.path(), "it will move away"), [""; 0]);
    assert_eq!(bench.replayed().seq(), bench.room.kernel().seq());
}
