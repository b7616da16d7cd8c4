//! call-read and call-write: the socket under one client, under clients that wait, and under clients that
//! keep many requests in flight. A wake-up across cores costs more than a read, so one client is measured
//! twice: as the system places it, and with both ends on one core.

use super::{
    Rig, Row, Target, Times, bare,
    client::{self, Client, Daemon},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const CLIENTS: usize = 8;
const IN_FLIGHT: usize = 32;
const WRITERS: usize = 64;
const ALONE: usize = 20_000;
const ALONE_WRITES: usize = 5_000;
const LASTING: Duration = Duration::from_secs(3);
const KILOBYTE: usize = 1024;

/// Measures `read`.
pub fn call_read(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    client.call("write", json!({"path": "/data/kb.txt", "text": "x".repeat(KILOBYTE)}))?;
    let params = json!({"path": "/data/kb.txt"});
    let mut alone = || {
        let mut times = Times::default();
        for _ in 0..ALONE {
            let begun = Instant::now();
            client.call("read", params.clone())?;
            times.push(begun.elapsed());
        }
        Ok::<_, String>(times)
    };
    let mut times = alone()?;
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let ends = [daemon.pid.as_raw_nonzero().get(), std::process::id().cast_signed()];
    ends.iter().try_for_each(|end| pin(*end, "0"))?;
    let mut pinned = alone()?;
    ends.iter().try_for_each(|end| pin(*end, &format!("0-{}", cores - 1)))?;
    let read = |_: usize, _: u64| ("read", params.clone());
    let waiting = many(home.path(), CLIENTS, 1, &read)?;
    let flying = many(home.path(), CLIENTS, IN_FLIGHT, &read)?;
    let row = |part, target, measured, unit, n| Row {
        name: "call-read",
        part,
        target,
        measured,
        unit,
        barriers: 0,
        n,
    };
    Ok(vec![
        row("1 KB, one client, p50", Target::AtMost(40.0), times.percentile_us(0.5), "µs", times.n()),
        row("the same on one core, p50", Target::AtMost(40.0), pinned.percentile_us(0.5), "µs", pinned.n()),
        row("8 waiting clients", Target::AtLeast(25_000.0), waiting.rate, "/s", waiting.n),
        row("8 clients, 32 in flight each", Target::AtLeast(60_000.0), flying.rate, "/s", flying.n),
    ])
}

/// Keeps every thread of a process on these cores (taskset of util-linux).
fn pin(pid: i32, cores: &str) -> Result<(), String> {
    let mut taskset = Command::new("taskset");
    taskset.args(["-a", "-p", "-c", cores, &pid.to_string()]).stdout(Stdio::null());
    match taskset.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("taskset: {status}")),
        Err(error) => Err(format!("taskset: {error}")),
    }
}

/// Measures `write`.
pub fn call_write(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    let mut times = Times::default();
    for ix in 0..ALONE_WRITES {
        let begun = Instant::now();
        client.call("write", write(WRITERS, ix as u64).1)?;
        times.push(begun.elapsed());
    }
    let all = many(home.path(), WRITERS, 1, &write)?;
    let row = |part, target, measured, unit, barriers, n| Row {
        name: "call-write",
        part,
        target,
        measured,
        unit,
        barriers,
        n,
    };
    // The same rows, once everything of them lies in the file.
    daemon.down()?;
    let file = home.path().join("workspaces/home/workspace.db");
    let writes = all.n + times.n();
    let bare = bare::rate(&file, home.path(), writes, WRITERS as u64)?;
    let alone_ms = times.percentile_us(0.5) / 1e3;
    Ok(vec![
        row("1 KB, 64 writers", Target::AtLeast(10_000.0), all.rate, "/s", 1, all.n),
        row("the same, to bare SQLite's rate", Target::AtLeast(0.4), all.rate / bare, "×", 1, writes),
        row("1 KB, one writer, p50", Target::AtMost(0.5), alone_ms, "ms", 1, times.n()),
    ])
}

/// A write of 1 KB that no other write equals.
fn write(writer: usize, ix: u64) -> (&'static str, Value) {
    let text = format!("{writer} {ix} {:x<KILOBYTE$}", "");
    ("write", json!({"path": format!("/data/{writer}.txt"), "text": &text[..KILOBYTE]}))
}

struct Rate {
    rate: f64,
    n: u64,
}

/// So many clients, each with so many requests in flight, for a while; how many answers came in a second.
fn many(
    home: &Path,
    clients: usize,
    in_flight: usize,
    request: &(dyn Fn(usize, u64) -> (&'static str, Value) + Sync),
) -> Result<Rate, String> {
    let begun = Instant::now();
    let counts: Result<Vec<u64>, String> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..clients).map(|ix| scope.spawn(move || one(home, ix, in_flight, begun, request))).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|count| count.unwrap_or_else(|_| Err("a client died".to_owned()))).collect()
    });
    let n = counts?.iter().sum();
    Ok(Rate { rate: n as f64 / begun.elapsed().as_secs_f64(), n })
}

fn one(
    home: &Path,
    ix: usize,
    in_flight: usize,
    begun: Instant,
    request: &(dyn Fn(usize, u64) -> (&'static str, Value) + Sync),
) -> Result<u64, String> {
    let mut client = Client::connect(home)?;
    let (mut sent, mut received) = (0, 0);
    while received < sent || begun.elapsed() < LASTING {
        while sent - received < in_flight as u64 && begun.elapsed() < LASTING {
            let (method, params) = request(ix, sent);
            client.send(method, params)?;
            sent += 1;
        }
        if received < sent {
            client.receive()?;
            received += 1;
        }
    }
    Ok(received)
}
