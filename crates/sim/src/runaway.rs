//! Runs that do not get on, and honest ones that look like them: how many model calls are wasted until a run
//! that goes round and round is stopped, and whether one is stopped that does work.
//!
//! ```text
//! a case ─▶ files, a script: what the model asks for at each step ─▶ the production loop, simulated time
//! loop:   model calls from the one with which nothing new can come, until the freeze       honest: its end
//! ```
//!
//! The corpus (`cases`) is what agents do when they are left alone, as logs of them show it. Cases that this
//! ladder cannot see, since each call brings something new, say so; money stops them.

mod cases;

pub use cases::{HONEST, LOOPS};

use crate::office::{Office, words};
use abi::{
    Seq,
    effect::Role,
    event::Stop,
    money::{Nano, Price},
    record::{Entry, Freeze, Record},
};
use drivers::{Flow, Model, ModelError, Prompt, RawUsage, Said, Secret, ToolCall};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Model calls after which a script is told to end: whoever gets so far was not stopped.
const CALLS_MAX: usize = 100;
/// Times that are let pass: pauses of the ladder, sleeps.
const TIMES_MAX: usize = 400;
/// What a model call costs: an invented list price.
const PRICE: Price =
    Price { token_in: Nano(300), token_out: Nano(1500), token_cached: Nano(30), token_written: Nano(0) };
/// Tokens of a call that a script does not speak of.
const TOKENS: i64 = 2_000;
/// Calls that may be wasted.
const WASTED_MAX: usize = 12;

/// What a script is asked for.
pub struct Ask<'a> {
    /// By which agent.
    pub agent: &'a str,
    /// How many answers it has given.
    pub step: usize,
    /// What it was told last.
    pub last: &'a str,
}

/// Tool calls of one step; none: it is done.
pub type Tools = Option<Vec<(&'static str, Value)>>;

/// A run.
pub struct Case {
    /// What it does.
    pub name: &'static str,
    /// Of a loop: model calls before the first that is wasted.
    pub begins: usize,
    /// Input tokens of each call, where they matter.
    pub tokens: Option<i64>,
    /// Whether each call brings something new, so that only money can stop it.
    pub unseen: bool,
    /// What its model asks for.
    pub script: fn(&Ask<'_>) -> Tools,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Whether it was stopped for not getting on.
    pub stopped: bool,
    /// Model calls in all.
    pub calls: usize,
    /// Those of the process itself from the beginning of the loop on.
    pub wasted: usize,
    /// Those of the helpers that it started.
    pub helpers: usize,
    /// What all those cost, in nano-dollars.
    pub spent: i64,
}

impl Fate {
    /// Whether a loop ended in time: stopped, or by what it is made of, as children end with their parent.
    pub fn is_in_time(&self) -> bool {
        self.calls < CALLS_MAX && self.wasted <= WASTED_MAX
    }
}

struct Player {
    script: fn(&Ask<'_>) -> Tools,
    tokens: i64,
    calls: Arc<AtomicUsize>,
}

impl Model for Player {
    fn call(
        &self,
        prompt: &Prompt,
        _: Option<&Secret<'_>>,
        _: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let step = prompt.items.iter().filter(|(role, _)| *role == Role::Assistant).count();
        let system = prompt.items.first().map(|(_, bytes)| text(bytes)).unwrap_or_default();
        let agent = system.trim().trim_start_matches("You are ").trim_end_matches('.').to_owned();
        let last = prompt.items.last().map(|(_, bytes)| text(bytes)).unwrap_or_default();
        let asked = self.calls.fetch_add(1, Ordering::Relaxed);
        let ask = Ask { agent: &agent, step, last: &last };
        let tools = if asked >= CALLS_MAX { None } else { (self.script)(&ask) };
        let call =
            |(name, args): (&str, Value)| ToolCall { name: name.to_owned(), arguments: args.to_string() };
        let stop = if tools.is_some() { Stop::Tools } else { Stop::End };
        let tools = tools.unwrap_or_default().into_iter().map(call).collect();
        let usage = RawUsage { tokens_in: self.tokens, tokens_out: 50, tokens_cached: 0, tokens_written: 0 };
        Ok(Said { text: "On with it.".to_owned(), tools, stop, usage })
    }
}

/// Plays a case.
pub fn play(case: &Case) -> Result<Fate, String> {
    let calls = Arc::new(AtomicUsize::new(0));
    let tokens = case.tokens.unwrap_or(TOKENS);
    let player = Player { script: case.script, tokens, calls };
    let mut office = Office::new(Box::new(player), PRICE)?;
    for agent in ["worker", "ping", "pong", "child"] {
        office.write(
            &format!("/agents/{agent}/AGENT.md"),
            format!(
                "---\nname: {agent}\nmodel: sim\ntools: [list, read, write, move, remove, search, history, \
                 spawn, wait, dispatch, propose, trace]\nneeds:\n  - read /**\n  - write /data/**\n  \
                 - spawn any\n  - ask ask\n  - model any\n---\nYou are {agent}.\n"
            ),
        );
    }
    for (path, text) in cases::files() {
        office.write(&path, text);
    }
    office.work()?;
    office.task("worker", "Do what there is to do.");
    office.work()?;
    for _ in 0..TIMES_MAX {
        if is_over(&office)? || !office.pass() {
            break;
        }
        office.work()?;
    }
    fate(&office, case.begins)
}

/// Whether a process was stopped, or none is left.
fn is_over(office: &Office) -> Result<bool, String> {
    let (mut living, mut stopped) = (0, false);
    let mut look = |entry: &Entry| match entry {
        Entry::Spawned { .. } => living += 1,
        Entry::Exited { .. } => living -= 1,
        Entry::Frozen { .. } => stopped = true,
        _ => {}
    };
    office.room.store().replay(Seq(0), &mut |record| look(&record.body)).map_err(words)?;
    Ok(stopped || living == 0)
}

fn fate(office: &Office, begins: usize) -> Result<Fate, String> {
    let mut fate = Fate { stopped: false, calls: 0, wasted: 0, helpers: 0, spent: 0 };
    let mut own = 0;
    let mut look = |record: &Record| match &record.body {
        Entry::ModelAnswered { charged, bill, .. } if !fate.stopped => {
            fate.calls += 1;
            let is_own = bill.agent == "worker";
            own += usize::from(is_own);
            if own > begins {
                fate.wasted += usize::from(is_own);
                fate.helpers += usize::from(!is_own);
                fate.spent += charged.money.0;
            }
        }
        Entry::Frozen { why: Freeze::Loop { .. }, .. } => fate.stopped = true,
        _ => {}
    };
    office.room.store().replay(Seq(0), &mut |record| look(&record)).map_err(words)?;
    Ok(fate)
}

/// What the whole corpus comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Loops that the ladder can see.
    pub loops: usize,
    /// Those of them that were not stopped in time.
    pub late: Vec<&'static str>,
    /// The most calls that one of them wasted, and the helpers of one.
    pub wasted_max: usize,
    pub helpers_max: usize,
    /// The most that one of them wasted, in nano-dollars.
    pub spent_max: i64,
    /// Loops in which each call brings something new.
    pub unseen: usize,
    /// Honest runs.
    pub honest: usize,
    /// Those of them that were stopped.
    pub stopped: Vec<&'static str>,
}

impl Sum {
    /// One JSON object on one line.
    pub fn json(&self) -> String {
        serde_json::json!({
            "loops": self.loops, "late": self.late, "wasted_max": self.wasted_max,
            "helpers_max": self.helpers_max, "spent_max": Nano(self.spent_max).to_string(),
            "unseen": self.unseen,
            "honest": self.honest, "stopped": self.stopped,
        })
        .to_string()
    }
}

/// Plays all of it.
pub fn run() -> Result<Sum, String> {
    let mut sum = Sum { honest: HONEST.len(), ..Sum::default() };
    for case in &LOOPS {
        let fate = play(case)?;
        if case.unseen {
            sum.unseen += 1;
            continue;
        }
        sum.loops += 1;
        sum.wasted_max = sum.wasted_max.max(fate.wasted);
        sum.helpers_max = sum.helpers_max.max(fate.helpers);
        sum.spent_max = sum.spent_max.max(fate.spent);
        if !fate.is_in_time() {
            sum.late.push(case.name);
        }
    }
    for case in &HONEST {
        if play(case)?.stopped {
            sum.stopped.push(case.name);
        }
    }
    Ok(sum)
}
