//! draft: programs whose work waits, in a directory with very many files that no version is kept of.

use super::{
    Rig, Row, Target, Times,
    client::{self, Client, Daemon},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DIRS: usize = 100;
const FILES: usize = 1_000;
const DRAFTS: usize = 50;
const AT_ONCE: usize = 5;

/// Measures how soon a draft's program begins, and what five of them take on disk before they write.
pub fn draft(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let io = |error: std::io::Error| error.to_string();
    let place = tempfile::TempDir::new_in(rig.root.join("target")).map_err(io)?;
    fs::write(place.path().join(".gitignore"), "/deps/\n").map_err(io)?;
    for dir in 0..DIRS {
        let dir = place.path().join(format!("deps/{dir}"));
        fs::create_dir_all(&dir).map_err(io)?;
        (0..FILES).try_for_each(|file| fs::write(dir.join(file.to_string()), "dependency\n")).map_err(io)?;
    }
    let home = client::home()?;
    let (_daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    let dir = place.path().canonicalize().map_err(io)?.display().to_string();
    let bind = json!({"path": "/sys/ctl", "text": format!("bind {dir}"), "origin": "argument"});
    client.call("write", bind)?;
    let mut times = Times::default();
    for _ in 0..DRAFTS {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let pid = begin(&mut client, &dir, "echo $EPOCHREALTIME > began")?;
        client.call("wait", json!({"pid": pid}))?;
        let began: f64 =
            written(&mut client, pid)?.trim().replace(',', ".").parse().map_err(|_| "no time")?;
        times.push(Duration::from_secs_f64((began - begun.as_secs_f64()).max(0.0)));
    }
    let before = disk(home.path());
    for _ in 0..AT_ONCE {
        let pid = begin(&mut client, &dir, "sleep 600")?;
        // It has looked at all there is, and waits.
        let line = json!({"text": "find . | wc -l", "wall": "native", "pid": pid, "dir": dir});
        let ran = client.call("exec", line)?;
        let seen: usize =
            ran.get("output").and_then(Value::as_str).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if seen < DIRS * FILES {
            return Err(format!("a draft shows {seen} files: {ran}"));
        }
    }
    let more = disk(home.path()).saturating_sub(before) as f64 / 1e6;
    let (p50, n) = (times.percentile_us(0.5) / 1e3, times.n());
    let row =
        |part, target, measured, unit, n| Row { name: "draft", part, target, measured, unit, barriers: 0, n };
    Ok(vec![
        row("call to first words, 100,000 ignored files, p50", Target::AtMost(20.0), p50, "ms", n),
        row("disk of five at once, before they write", Target::AtMost(1.0), more, "MB", AT_ONCE as u64),
    ])
}

fn begin(client: &mut Client, dir: &str, line: &str) -> Result<u64, String> {
    let program = json!({"command": ["bash", "-c", line], "dir": dir, "stdio": "null", "view": "draft"});
    let params = json!({"agent": "guest", "text": line, "origin": "argument", "program": program});
    let answer = client.call("spawn", params)?;
    answer.get("pid").and_then(Value::as_u64).ok_or_else(|| format!("no process: {answer}"))
}

/// What the first file of a draft holds.
fn written(client: &mut Client, pid: u64) -> Result<String, String> {
    let text = |value: &Value| value.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let changes = text(&client.call("read", json!({"path": format!("/proc/{pid}/draft")}))?);
    let first: Value =
        changes.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let hash = first.pointer("/content/hash").and_then(Value::as_str).ok_or("the draft holds nothing")?;
    Ok(text(&client.call("read", json!({"path": format!("/sys/blobs/{hash}")}))?))
}

/// Bytes that a directory takes.
fn disk(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => disk(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(of).sum()
}
