//! command, wall, revoke, neighbour: programs behind the native wall, through the real daemon. The home lies
//! on a memory file system, so that no time contains a barrier.

use super::{
    Rig, Row, Target, Times, beside,
    client::{self, Client, Daemon},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const COMMANDS: usize = 300;
const WALLS: usize = 200;
const REVOKES: usize = 20;
const READS: usize = 5_000;
const ROUNDS: usize = 3;
/// Files that are held open when a capability is taken back: by four processes, as a limit of the wall asks.
const HANDLES: usize = 10_000;
const GONE_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_micros(200);
/// The agent whose sandboxes are made: a client's place, so that no model is asked.
const AGENT: &str =
    "---\nname: probe\ntools: [bash]\nneeds:\n  - read /data/**\n  - write /data/**\n  - exec\n---\nx\n";

fn row(
    name: &'static str,
    part: &'static str,
    target: Target,
    measured: f64,
    unit: &'static str,
    n: u64,
) -> Row {
    Row { name, part, target, measured, unit, barriers: 0, n }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn native(line: &str) -> Value {
    json!({"text": line, "wall": "native"})
}

fn kept(ran: &Value) -> Result<(), String> {
    match ran.get("kept").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(format!("a command was not kept: {ran}")),
    }
}

/// Measures a command in a sandbox that stands.
pub fn command(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (_daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    kept(&client.call("exec", native("true"))?)?;
    let mut times = Times::default();
    for ix in 0..COMMANDS {
        let begun = Instant::now();
        let ran = client.call("exec", native(&format!("echo {ix} > /data/x")))?;
        times.push(begun.elapsed());
        kept(&ran)?;
    }
    let host = tempfile::tempdir_in(rig.root.join("target")).map_err(|error| error.to_string())?;
    let mut bare = beside::bash("echo 1 > x", host.path(), COMMANDS)?;
    rig.beside("a program that writes a file", &mut bare, &mut times);
    let p50 = times.percentile_us(0.5) / 1e3;
    let p99 = times.percentile_us(0.99) / 1e3;
    let named = |part, target, measured| Row {
        barriers: 1,
        ..row("command", part, target, measured, "ms", times.n())
    };
    Ok(vec![
        named("echo in a standing sandbox, p50", Target::AtMost(5.0), p50),
        named("the same, p99", Target::AtMost(25.0), p99),
    ])
}

fn process(client: &mut Client) -> Result<u64, String> {
    let params = json!({"agent": "probe", "text": "x", "origin": "argument", "kind": "client"});
    let answer = client.call("spawn", params)?;
    answer.get("pid").and_then(Value::as_u64).ok_or_else(|| format!("no process: {answer}"))
}

fn agent(client: &mut Client) -> Result<(), String> {
    let path = "/agents/probe/AGENT.md";
    client.call("write", json!({"path": path, "text": AGENT, "origin": "argument"})).map(drop)
}

/// Measures a new sandbox: from the call to what a program in it says of the time.
pub fn wall(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (_daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    agent(&mut client)?;
    let mut times = Times::default();
    for _ in 0..WALLS {
        let pid = process(&mut client)?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Bash itself says when it began: nothing is started beyond it.
        let line = json!({"text": "echo $EPOCHREALTIME", "wall": "native", "pid": pid, "dir": "/data"});
        let ran = client.call("exec", line)?;
        let said = text(&ran, "output").trim().replace(',', ".");
        let said: f64 = said.parse().map_err(|_| format!("no time: {ran}"))?;
        times.push(Duration::from_secs_f64((said - begun.as_secs_f64()).max(0.0)));
        client.call("signal", json!({"pid": pid, "signal": "kill"}))?;
    }
    let mut bare = beside::bash("echo $EPOCHREALTIME", rig.root, WALLS)?;
    rig.beside("a program in a new wall", &mut bare, &mut times);
    let (p50, p99) = (times.percentile_us(0.5) / 1e3, times.percentile_us(0.99) / 1e3);
    Ok(vec![
        row("wall", "call to first words, p50", Target::AtMost(12.0), p50, "ms", times.n()),
        row("wall", "the same, p99", Target::AtMost(25.0), p99, "ms", times.n()),
    ])
}

/// Processes of this host that were started with this word.
fn alive(word: &str) -> bool {
    let lines = fs::read_dir("/proc").into_iter().flatten().flatten();
    lines
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.windows(word.len()).any(|part| part == word.as_bytes()))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<Duration, String> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > GONE_MAX {
            return Err(format!("waited in vain: {what}"));
        }
        std::thread::sleep(POLL);
    }
    Ok(begun.elapsed())
}

/// Measures a capability that is taken back while programs hold 10,000 files open on the strength of it.
pub fn revoke(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (_daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    agent(&mut client)?;
    let files = HANDLES / 4;
    let make = format!("mkdir /data/h && cd /data/h && seq {files} | split -l 1 -a 3 -");
    kept(&client.call("exec", native(&make))?)?;
    let (mut answered, mut gone) = (Times::default(), Times::default());
    for ix in 0..REVOKES {
        let pid = process(&mut client)?;
        let word = format!("held-by-{ix}-of-revoke");
        let code = "import glob,sys,time; h=[open(f) for f in glob.glob('/data/h/*')]; \
                    open(sys.argv[2],'w').close(); time.sleep(1000)";
        let line = format!("for n in 1 2 3 4; do python3 -c \"{code}\" {word} $HOME/{ix}-$n & done; wait",);
        let mut busy = Client::connect(home.path())?;
        let params = json!({"text": line, "wall": "native", "pid": pid, "dir": "/data"});
        let waiter = std::thread::spawn(move || busy.call("exec", params));
        let opened = |mine: &Path| (1..=4).all(|n| mine.join(format!("{ix}-{n}")).exists());
        until("files to be opened", || homes(home.path(), pid).iter().any(|mine| opened(mine)))?;
        let caps = client.call("read", json!({"path": format!("/proc/{pid}/caps")}))?;
        let cap = first_cap(&text(&caps, "text")).ok_or_else(|| format!("no capability: {caps}"))?;
        let begun = Instant::now();
        client.call("revoke", json!({"cap": cap}))?;
        answered.push(begun.elapsed());
        until("its programs to end", || !alive(&word))?;
        gone.push(begun.elapsed());
        let _ = waiter.join();
        client.call("signal", json!({"pid": pid, "signal": "kill"}))?;
    }
    let (p99, dead) = (answered.percentile_us(0.99) / 1e3, gone.percentile_us(0.99) / 1e3);
    Ok(vec![
        row("revoke", "10,000 open files: answered, p99", Target::AtMost(50.0), p99, "ms", answered.n()),
        row("revoke", "who held them is dead, p99", Target::AtMost(500.0), dead, "ms", gone.n()),
    ])
}

/// The directories that its sandboxes have as HOME.
fn homes(home: &Path, pid: u64) -> Vec<std::path::PathBuf> {
    let all = fs::read_dir(home.join("workspaces/home/homes")).into_iter().flatten().flatten();
    let own = |path: &std::path::PathBuf| path.file_stem().is_some_and(|stem| *stem == *pid.to_string());
    all.map(|entry| entry.path()).filter(own).collect()
}

fn first_cap(caps: &str) -> Option<u64> {
    caps.lines().find(|line| line.contains("read")).and_then(|line| {
        line.split(|sign: char| !sign.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()
    })
}

fn reads(home: &Path) -> Result<f64, String> {
    let mut client = Client::connect(home)?;
    client.call("write", json!({"path": "/data/kb", "text": "x".repeat(1024)}))?;
    let mut times = Times::default();
    for _ in 0..READS {
        let begun = Instant::now();
        client.call("read", json!({"path": "/data/kb"}))?;
        times.push(begun.elapsed());
    }
    Ok(times.percentile_us(0.99))
}

/// Measures a workspace's p99 while programs of another one flood processors, memory files and output.
pub fn neighbour(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    let (_daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    client.call("write", json!({"path": "/sys/ctl", "text": "workspace flood"}))?;
    reads(home.path())?;
    let (mut alone, mut beside) = (f64::INFINITY, f64::INFINITY);
    let began = home.path().join("workspaces/flood/homes/0");
    for round in 0..ROUNDS {
        alone = alone.min(reads(home.path())?);
        let line = format!(
            "for n in 1 2 3 4; do (while :; do :; done) & done; touch $HOME/{round}; \
             (while :; do dd if=/dev/zero of=/tmp/f bs=1M count=64 2>/dev/null; done) & yes"
        );
        let flood = flood(home.path(), &line)?;
        until("the flood", || began.join(round.to_string()).exists())?;
        beside = beside.min(reads(home.path())?);
        // Who asked for it goes, and the flood with it.
        drop(flood);
    }
    let n = (READS * ROUNDS) as u64;
    Ok(vec![row("neighbour", "p99 of a read beside a flood", Target::AtMost(1.3), beside / alone, "×", n)])
}

fn flood(home: &Path, line: &str) -> Result<UnixStream, String> {
    let mut stream = UnixStream::connect(home.join("sock")).map_err(|error| error.to_string())?;
    let params = json!({"workspace": "flood", "text": line, "wall": "native", "timeout_ms": 60_000});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "exec", "params": params});
    writeln!(stream, "{request}").map_err(|error| error.to_string())?;
    // What it says is read by nobody: it is bounded all the same.
    Ok(stream)
}
