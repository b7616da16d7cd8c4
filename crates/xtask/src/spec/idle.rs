//! idle: what the daemon keeps in memory and takes of a core when nobody asks it anything.

use super::{
    Rig, Row, Target,
    client::{self, Client, Daemon},
};
use rustix::process::Pid;
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};

/// Long enough that 0.1 % of a core is ten times what the scheduler's clock resolves.
const WATCHED: Duration = Duration::from_secs(10);
/// What a start leaves to do is over by then.
const SETTLED: Duration = Duration::from_secs(2);

/// Measures it.
pub fn idle(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    client.call("write", json!({"path": "/data/hello.md", "text": "hello"}))?;
    drop(client);
    std::thread::sleep(SETTLED);
    let (before, begun) = (cpu_ns(daemon.pid)?, Instant::now());
    std::thread::sleep(WATCHED);
    let share = (cpu_ns(daemon.pid)? - before) as f64 / begun.elapsed().as_nanos() as f64;
    let row = |part, target, measured, unit| Row {
        name: "idle",
        part,
        target: Target::AtMost(target),
        measured,
        unit,
        barriers: 0,
        n: 1,
    };
    Ok(vec![
        row("resident memory", 15.0, resident_mb(daemon.pid)?, "MB"),
        row("share of a core", 0.1, share * 100.0, "%"),
    ])
}

fn resident_mb(pid: Pid) -> Result<f64, String> {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kb.map(|kb| kb * 1024.0 / 1e6).ok_or_else(|| format!("{path} has no VmRSS"))
}

/// Time on a core of all threads that live, by the scheduler's own count.
fn cpu_ns(pid: Pid) -> Result<u64, String> {
    let path = format!("/proc/{}/task", pid.as_raw_nonzero());
    let tasks = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    let each = tasks.filter_map(Result::ok).filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(each.sum())
}
