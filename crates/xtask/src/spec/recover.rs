//! recover: kill -9 with 1,000 turns under way in 100 workspaces, and start again. The model is the scripted
//! one, slow enough that every turn stands somewhere in the middle. What is counted afterwards is read from
//! the log.

use super::{
    Rig, Row, Target,
    client::{self, Client, Daemon},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

const WORKSPACES: u64 = 100;
const TURNS: u64 = 10;
/// A turn writes this often before it is done.
const STEPS: u64 = 3;
const MODEL_MS: u64 = 100;
const RESUMED_MAX: Duration = Duration::from_secs(60);
const ENDED_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);

/// Measures it.
pub fn recover(rig: &Rig<'_>) -> Result<Vec<Row>, String> {
    let home = client::home()?;
    rules(home.path())?;
    let (daemon, _) = Daemon::start(rig.skep, home.path())?;
    let mut logs = spawn(home.path())?;
    drop(daemon);
    let begun = Instant::now();
    let (_daemon, serving) = Daemon::start(rig.skep, home.path())?;
    let mut client = Client::connect(home.path())?;
    let resumed = until(begun, RESUMED_MAX, &mut client, &mut logs, Log::resumed)?;
    until(begun, ENDED_MAX, &mut client, &mut logs, Log::ended)?;
    let sum = |count: fn(&Log) -> u64| logs.iter().map(count).sum::<u64>() as f64;
    let row = |part, target, measured, unit| Row {
        name: "recover",
        part,
        target,
        measured,
        unit,
        barriers: 0,
        n: WORKSPACES * TURNS,
    };
    Ok(vec![
        row("serving again", Target::AtMost(1.0), serving.as_secs_f64(), "s"),
        row("all turns resumed", Target::AtMost(5.0), resumed.as_secs_f64(), "s"),
        row("turns failed because of it", Target::Exactly(0.0), sum(|log| log.failed), "turns"),
        row("completed calls bought twice", Target::Exactly(0.0), sum(|log| log.bought_twice), "calls"),
    ])
}

/// The scripted model: writes a file at each of the first steps, then is done.
fn rules(home: &Path) -> Result<(), String> {
    let mut rules: Vec<Value> = (0..STEPS)
        .map(|step| {
            let arguments = json!({"path": format!("/data/{step}.md"), "mode": "append", "text": "more\n"});
            let tools = json!([{"name": "write", "arguments": arguments}]);
            json!({"when": {"step": step}, "then": {"say": "writing", "tools": tools, "takes_ms": MODEL_MS}})
        })
        .collect();
    rules.push(json!({"then": {"say": "done", "takes_ms": MODEL_MS}}));
    let file = json!({"about": "three writes, then done", "rules": rules}).to_string();
    let dir = home.join("scripted");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    fs::write(dir.join("default.json"), file).map_err(|error| error.to_string())
}

/// Starts all turns and says what the logs hold by then.
fn spawn(home: &Path) -> Result<Vec<Log>, String> {
    let mut client = Client::connect(home)?;
    let mut logs = Vec::new();
    for ix in 0..WORKSPACES {
        let name = format!("w{ix}");
        client.call("write", json!({"path": "/sys/ctl", "text": format!("workspace {name}")}))?;
        let seed = json!({"workspace": name, "path": "/data/0.md", "text": "begin\n"});
        client.call("write", seed)?;
        let agent = "---\nname: writer\nmodel: scripted\ntools: [read, write]\nneeds: [read /data/**, write /data/**]\n\
                     ---\nYou write.\n";
        let path = "/agents/writer/AGENT.md";
        let file = json!({"workspace": name, "path": path, "text": agent, "origin": "argument"});
        client.call("write", file)?;
        logs.push(Log::new(name));
    }
    for log in &logs {
        for turn in 0..TURNS {
            let text = format!("task {turn}");
            let params =
                json!({"workspace": log.name, "agent": "writer", "text": text, "origin": "argument"});
            client.call("spawn", params)?;
        }
    }
    for log in &mut logs {
        log.read(&mut client)?;
        log.killed_at = log.seq;
    }
    Ok(logs)
}

/// Reads all logs again and again until each is so; says how long after `begun` that was.
fn until(
    begun: Instant,
    most: Duration,
    client: &mut Client,
    logs: &mut [Log],
    so: fn(&Log) -> bool,
) -> Result<Duration, String> {
    loop {
        for log in logs.iter_mut().filter(|log| !so(log)) {
            log.read(client)?;
        }
        let open = logs.iter().filter(|log| !so(log)).count();
        match begun.elapsed() {
            took if open == 0 => return Ok(took),
            took if took > most => return Err(format!("{open} workspaces are not there after {took:?}")),
            _ => std::thread::sleep(POLL),
        }
    }
}

/// What one workspace's log says.
struct Log {
    name: String,
    seq: u64,
    killed_at: u64,
    alive: BTreeSet<u64>,
    /// Of those alive: who has a record after the kill.
    moved: BTreeSet<u64>,
    spawned: u64,
    failed: u64,
    /// Model calls by name: how often an answer was recorded.
    answers: BTreeMap<String, u64>,
    bought_twice: u64,
}

impl Log {
    fn new(name: String) -> Self {
        Self {
            name,
            seq: 0,
            killed_at: u64::MAX,
            alive: BTreeSet::new(),
            moved: BTreeSet::new(),
            spawned: 0,
            failed: 0,
            answers: BTreeMap::new(),
            bought_twice: 0,
        }
    }

    fn resumed(&self) -> bool {
        self.seq > self.killed_at && self.alive.is_subset(&self.moved)
    }

    fn ended(&self) -> bool {
        self.spawned == TURNS && self.alive.is_empty()
    }

    /// Takes in what is new.
    fn read(&mut self, client: &mut Client) -> Result<(), String> {
        loop {
            let params = json!({"workspace": self.name, "from": self.seq, "limit": 1000});
            let answer = client.call("trace", params)?;
            let records = answer["records"].as_array().map_or(&[][..], Vec::as_slice);
            if records.is_empty() {
                return Ok(());
            }
            records.iter().for_each(|record| self.take(record));
        }
    }

    fn take(&mut self, record: &Value) {
        self.seq = record["seq"].as_u64().unwrap_or(self.seq);
        let body = &record["body"];
        if let Some(pid) = body["spawned"]["pid"].as_u64() {
            self.spawned += 1;
            self.alive.insert(pid);
        }
        if self.seq > self.killed_at {
            self.moved.extend(record["pid"].as_u64());
        }
        if let Some(pid) = body["exited"]["pid"].as_u64() {
            self.alive.remove(&pid);
            self.failed += u64::from(body["exited"]["exit"]["exited"] != 0);
        }
        if let Some(effect) = body["model_answered"]["effect"].as_str() {
            let count = self.answers.entry(effect.to_owned()).or_default();
            *count += 1;
            self.bought_twice += u64::from(*count > 1);
        }
        if let Some(effect) = body["model_intended"]["effect"].as_str() {
            self.bought_twice += u64::from(self.answers.contains_key(effect));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_counted() {
        let mut log = Log::new("w".to_owned());
        log.killed_at = 3;
        let bodies = [
            json!({"spawned": {"pid": 1}}),
            json!({"model_intended": {"effect": "a"}}),
            json!({"model_answered": {"effect": "a"}}),
            json!({"model_intended": {"effect": "a"}}),
            json!({"model_answered": {"effect": "a"}}),
            json!({"exited": {"pid": 1, "exit": {"faulted": "x"}}}),
        ];
        for (body, seq) in bodies.into_iter().zip(1..) {
            assert_eq!(log.resumed(), seq > 4, "before record {seq}");
            log.take(&json!({"seq": seq, "pid": 1, "body": body}));
        }
        assert_eq!((log.failed, log.bought_twice, log.alive.len()), (1, 2, 0));
    }
}
