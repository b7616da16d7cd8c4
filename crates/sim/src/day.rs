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

use abi::{
    Content, Hash, Micros, ReplyTo, TimerId,
    call::{Call, Origin, ProcessKind, Text, Write},
    effect::Role,
    event::{Body, Caller, Stop},
    label::Integrity,
    money::{Nano, Price},
    path::TreePath,
};
use drivers::{Flow, Model, ModelError, Prompt, RawUsage, Said, Secret, ToolCall};
use machine::{
    clock::{Clock, Given},
    job,
    render::Around,
    turn::{Input, Log, Out, Room, Sink},
    wake::{Begin, Birth, Setup},
};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Debug,
    fs,
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;

const AGENTS: u64 = 50;
const HOURS: u64 = 24;
const ROUNDS_AN_HOUR: u64 = 4;
const HOUR_US: u64 = 3_600_000_000;
const BEGIN: Micros = 1_790_000_000_000_000;
const OPERATOR: &str = "ada";
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
    let mut office = Office::new()?;
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
                office.task(agent, (hour * ROUNDS_AN_HOUR + round + 1) * AGENTS + agent);
                office.work()?;
                office.clock.advance(HOUR_US / ROUNDS_AN_HOUR / AGENTS);
            }
            office.write(&format!("/data/letter-{}.md", (hour * ROUNDS_AN_HOUR + round) % 20), note(hour));
            office.work()?;
        }
        day.push(office.sleep()?);
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

struct Alone;

impl Around for Alone {
    fn key(&self) -> String {
        String::new()
    }

    fn health(&self) -> String {
        String::new()
    }

    fn workspaces(&self) -> String {
        String::new()
    }
}

/// What left a turn.
#[derive(Default)]
struct Tray(Vec<Out>);

impl Sink for Tray {
    fn ordered(&mut self, out: Out) {
        self.0.push(out);
    }

    fn durable(&mut self, out: Out) {
        self.0.push(out);
    }

    fn follows(&self) -> bool {
        false
    }
}

/// A workspace at work.
struct Office {
    _home: TempDir,
    setup: Setup,
    clock: Arc<Given>,
    room: Room,
    inbox: VecDeque<Input>,
    timers: BTreeSet<(Micros, TimerId)>,
    replies: u64,
}

fn words(error: impl Debug) -> String {
    format!("{error:?}")
}

impl Office {
    fn new() -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let home = tempfile::Builder::new().prefix("skep-day-").tempdir_in(parent).map_err(words)?;
        let clock = Arc::new(Given::at(BEGIN, 1_000_000));
        let setup = Setup {
            name: "day".to_owned(),
            dir: home.path().to_owned(),
            options: store::Options::default(),
            pins: store::Pins::default(),
            clock: clock.clone(),
            around: Arc::new(Alone),
            secret: [7; 32],
            prices: vec![("sim".to_owned(), Price::default())],
            lease: Nano(i64::MAX / 4),
            set_aside: BTreeSet::new(),
        };
        let mut tray = Tray::default();
        let room = Room::open(&setup, Begin::May, birth(), &mut tray).map_err(words)?;
        let (inbox, timers) = (VecDeque::new(), BTreeSet::new());
        let mut office = Self { _home: home, setup, clock, room, inbox, timers, replies: 0 };
        office.take(tray)?;
        Ok(office)
    }

    fn call(&mut self, call: Call, bytes: Vec<u8>) {
        self.replies += 1;
        let caller = Caller::Operator(OPERATOR.to_owned());
        let body = Body::Call { caller, reply: ReplyTo(self.replies), call };
        self.push(body, vec![bytes]);
    }

    fn push(&mut self, body: Body, blobs: Vec<Vec<u8>>) {
        self.inbox.push_back(Input::now(&*self.clock, body, blobs));
    }

    fn write(&mut self, path: &str, text: String) {
        let Ok(path) = TreePath::parse(path) else { return };
        let write = Write::Whole { content: Content::of(text.as_bytes()), mode: 0o644 };
        let origin = Origin::Argument;
        self.call(Call::Write { path, write, base: None, message: None, origin }, text.into_bytes());
    }

    fn task(&mut self, agent: u64, nth: u64) {
        let words = format!("Renew {agent} with {nth}");
        let text = Text { content: Content::of(words.as_bytes()), origin: Origin::Argument };
        let call = Call::Spawn {
            agent: format!("a{agent}"),
            text,
            post: Vec::new(),
            budget: None,
            ceiling: Integrity::External,
            inputs: Default::default(),
            kind: ProcessKind::Turn,
        };
        self.call(call, words.into_bytes());
    }

    /// Decides until nothing is left to do.
    fn work(&mut self) -> Result<(), String> {
        self.fire();
        while !self.inbox.is_empty() {
            let batch: Vec<Input> = self.inbox.drain(..).collect();
            let mut tray = Tray::default();
            let turned = self.room.turn(batch, &mut tray).map_err(words)?;
            turned.rest.into_iter().rev().for_each(|input| self.inbox.push_front(input));
            self.take(tray)?;
            match self.room.log() {
                Log::Short => {}
                Log::Long => store::carry(&self.setup.dir).map_err(words)?,
                Log::TooLong => self.room.cut_log().map_err(words)?,
            }
            if self.room.snapshot_due() {
                self.room.snapshot().map_err(words)?;
            }
        }
        Ok(())
    }

    fn fire(&mut self) {
        let now = self.clock.mono();
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, timer));
            self.push(Body::TimerFired { timer }, Vec::new());
        }
    }

    fn take(&mut self, tray: Tray) -> Result<(), String> {
        for out in tray.0 {
            match out {
                Out::Model(job) => {
                    let (body, blobs) = job::run_model(&job, (&Clerk, None), &mut |_, _| Flow::Go);
                    self.push(body, blobs);
                }
                Out::Next(input) => self.inbox.push_back(input),
                Out::Timer { timer, after_us } => {
                    self.timers.insert((self.clock.mono().saturating_add(after_us), timer));
                }
                Out::Reply { answer: Err(error), .. } => return Err(format!("refused: {error}")),
                Out::Reply { .. } | Out::Extend { .. } | Out::Cut { .. } | Out::Alarm(_) => {}
                Out::Follow { .. } | Out::Records(_) | Out::Providers(..) => {}
                Out::Dispatch(_)
                | Out::Probe(_)
                | Out::Control { .. }
                | Out::Merge(_)
                | Out::Upload { .. } => {
                    return Err(format!("nobody asked for it: {out:.80?}"));
                }
            }
        }
        Ok(())
    }

    /// Goes to sleep, is measured, and wakes.
    fn sleep(&mut self) -> Result<Hour, String> {
        self.room.snapshot().map_err(words)?;
        self.room.cut_log().map_err(words)?;
        let hour = self.measure()?;
        let mut tray = Tray::default();
        self.room = Room::open(&self.setup, Begin::Never, birth(), &mut tray).map_err(words)?;
        self.timers.clear();
        self.take(tray)?;
        Ok(hour)
    }

    fn measure(&self) -> Result<Hour, String> {
        let db = rusqlite::Connection::open(self.setup.dir.join("workspace.db")).map_err(words)?;
        let sum = |sql: &str| {
            db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).map_err(words)
        };
        let pages = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN";
        Ok(Hour {
            disk: bytes_below(&self.setup.dir).map_err(words)?,
            content: sum("SELECT sum(length(bytes)) FROM blobs")?,
            log: sum(&format!("{pages} (SELECT name FROM sqlite_schema WHERE tbl_name = 'records')"))?,
            state: self.room.kernel().snapshot().len() as u64,
            records: self.room.kernel().seq().0,
        })
    }
}

fn birth() -> Birth {
    Birth { id: [3; 16], lacks: Vec::new(), operator: OPERATOR.to_owned() }
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
