//! A day of work: fifty agents, each given a task every quarter of an hour for 24 simulated hours, and a
//! letter now and then. What grows meanwhile, the disk and the kernel's state, is measured at every hour,
//! when the workspace has gone to sleep.
//!
//! ```text
//! task ─▶ read its notes ─▶ write them anew (2 KiB that were never there) ─▶ done      4,800 times
//! hour ─▶ snapshot, log cut off ─▶ bytes of the directory · kept content · log · state ─▶ load again
//! ```
//!
//! The production loop and store on a disk in memory where there is one; nothing fails here.

use crate::office::{Office, words};
use abi::{Hash, effect::Role, event::Stop, money::Price};
use drivers::{Flow, Model, ModelError, Prompt, RawUsage, Said, Secret, ToolCall};
use std::{fs, path::Path};

const AGENTS: u64 = 50;
const HOURS: u64 = 24;
const ROUNDS_AN_HOUR: u64 = 4;
const HOUR_US: u64 = 3_600_000_000;
/// Hours until the state has taken its shape: as many ended processes are remembered as may be.
const WARM: usize = 6;
const NOTE_BYTES: usize = 2048;

/// What a workspace holds at an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Bytes of all its files.
    pub disk: u64,
    /// Bytes of every content that can be read, each once: of files and of what records name.
    pub content: u64,
    /// Bytes of the pages that hold the records, with their indexes.
    pub log: u64,
    /// Bytes of the kernel's state.
    pub state: u64,
    /// Records.
    pub records: u64,
}

/// A day, hour by hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day(pub Vec<Hour>);

impl Day {
    /// How many times the kept content is what the disk holds beside the log.
    pub fn factor(&self) -> f64 {
        let last = self.0.last().copied().unwrap_or_default();
        last.disk.saturating_sub(last.log) as f64 / last.content.max(1) as f64
    }

    /// By how much of itself the state grows in an hour, once it has its shape.
    pub fn slope(&self) -> f64 {
        let warm = self.0.get(WARM).copied().unwrap_or_default();
        let last = self.0.last().copied().unwrap_or_default();
        let hours = self.0.len().saturating_sub(WARM + 1).max(1);
        (last.state as f64 - warm.state as f64) / warm.state.max(1) as f64 / hours as f64
    }

    /// One JSON object on one line.
    pub fn json(&self) -> String {
        let last = self.0.last().copied().unwrap_or_default();
        serde_json::json!({
            "hours": self.0.len(), "factor": self.factor(), "slope": self.slope(), "disk": last.disk,
            "content": last.content, "log": last.log, "state": last.state, "records": last.records,
        })
        .to_string()
    }
}

/// Works so many hours. In the default run one hour, so that it is known to run at all.
pub fn run(hours: u64) -> Result<Day, String> {
    let mut office = Office::new(Box::new(Clerk), Price::default())?;
    for agent in 0..AGENTS {
        let text = format!(
            "---\nname: a{agent}\nmodel: sim\ntools: [read, write]\nneeds:\n  - read /data/**\n  \
             - write /data/**\n  - model any\n---\nKeep your notes.\n"
        );
        office.write(&format!("/agents/a{agent}/AGENT.md"), text);
        office.write(&format!("/data/a{agent}.md"), note(agent));
    }
    office.work()?;
    let mut day = Vec::new();
    for hour in 0..hours {
        for round in 0..ROUNDS_AN_HOUR {
            for agent in 0..AGENTS {
                let nth = (hour * ROUNDS_AN_HOUR + round + 1) * AGENTS + agent;
                office.task(&format!("a{agent}"), &format!("Renew {agent} with {nth}"));
                office.work()?;
                office.clock.advance(HOUR_US / ROUNDS_AN_HOUR / AGENTS);
            }
            office.write(&format!("/data/letter-{}.md", (hour * ROUNDS_AN_HOUR + round) % 20), note(hour));
            office.work()?;
        }
        day.push(sleep(&mut office)?);
    }
    Ok(Day(day))
}

/// A whole day.
pub fn day() -> Result<Day, String> {
    run(HOURS)
}

/// Text that was never there before.
fn note(of: u64) -> String {
    let mut text = format!("note {of}\n");
    while text.len() < NOTE_BYTES {
        text.push_str(&Hash::of(text.as_bytes()).to_string());
        text.push('\n');
    }
    text
}

/// Reads its notes, writes them anew, is done.
struct Clerk;

impl Model for Clerk {
    fn call(
        &self,
        prompt: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let said = prompt.items.iter().filter(|(role, _)| *role == Role::Assistant).count();
        let task = prompt.items.iter().find(|(role, _)| *role == Role::User);
        let task = task.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        let words: Vec<u64> = task.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [agent, nth] = words[..] else {
            return Err(ModelError { message: format!("no task: {task:.80}"), ..ModelError::default() });
        };
        let path = format!("/data/a{agent}.md");
        let arguments = match said {
            0 => serde_json::json!({ "path": path }),
            _ => serde_json::json!({ "path": path, "text": note(nth) }),
        };
        let name = ["read", "write"].get(said).copied();
        let tools = name.map(|name| ToolCall { name: name.to_owned(), arguments: arguments.to_string() });
        let stop = if tools.is_some() { Stop::Tools } else { Stop::End };
        let usage = RawUsage { tokens_in: 100, tokens_out: 20, tokens_cached: 0, tokens_written: 0 };
        Ok(Said { text: "So be it.".to_owned(), tools: tools.into_iter().collect(), stop, usage })
    }
}

/// Goes to sleep, is measured, and wakes.
fn sleep(office: &mut Office) -> Result<Hour, String> {
    office.room.snapshot().map_err(words)?;
    office.room.cut_log().map_err(words)?;
    let hour = measure(office)?;
    office.sleep()?;
    Ok(hour)
}

fn measure(office: &Office) -> Result<Hour, String> {
    let db = rusqlite::Connection::open(office.dir().join("workspace.db")).map_err(words)?;
    let sum =
        |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).map_err(words);
    let pages = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN";
    Ok(Hour {
        disk: bytes_below(office.dir()).map_err(words)?,
        content: sum("SELECT sum(length(bytes)) FROM blobs")?,
        log: sum(&format!("{pages} (SELECT name FROM sqlite_schema WHERE tbl_name = 'records')"))?,
        state: office.room.kernel().snapshot().len() as u64,
        records: office.room.kernel().seq().0,
    })
}

fn bytes_below(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { bytes_below(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}
