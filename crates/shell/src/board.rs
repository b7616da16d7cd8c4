//! What `skep top` shows: a workspace and its living processes, as status files and records tell it. A look
//! reads files; records that come meanwhile say what each process just did.
//!
//! ```text
//! /sys/status /sys/halts            ▸ the line of the workspace, what stands still
//! /proc/PID/{status,budget}         ▸ a row each; of one that has ended, nothing more is read
//! records                           ▸ what it does now, model calls of the last minute
//! ```
//! Never here: where on a screen it stands, or a key.

use crate::{
    card::{self, Card},
    escape,
    fail::Fail,
    figures, halts,
    journal::{self, Row},
    session::Session,
    strace::{Strace, Weight},
};
use abi::{Code, Micros, Pid, Seq, money::Nano, record::Entry};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub mod draw;
pub mod live;

/// Records at the end of the log that are looked at first.
const PAST_RECORDS: u64 = 4000;
/// Lines that are kept of a process.
const LINES: usize = 200;
/// Model calls are counted over this.
const MINUTE_US: u64 = 60_000_000;

/// One living process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    pub pid: u64,
    pub parent: u64,
    /// How deep it stands below those that are shown.
    pub depth: usize,
    pub agent: String,
    pub state: String,
    /// Why it stands still, or what it waits for.
    pub why: String,
    pub way_out: String,
    pub model: String,
    pub calls: u64,
    pub tokens: u64,
    pub money: Nano,
    /// Money until the first limit above it; none where there is no limit.
    pub left: Option<Nano>,
    pub started: Micros,
}

/// By what the rows are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Children below their parents.
    #[default]
    Tree,
    Cost,
    Tokens,
    /// The oldest first.
    Age,
}

/// See the file's head.
#[derive(Default)]
pub struct Board {
    pub workspace: String,
    pub today: String,
    pub limit: String,
    pub running: u64,
    pub frozen: u64,
    pub inbox: u64,
    /// Lines about what stands still and which limits are near.
    pub halts: Vec<String>,
    pub stopped_by: String,
    pub tasks: Vec<Task>,
    calls: VecDeque<Micros>,
    lines: BTreeMap<u64, VecDeque<String>>,
    doing: BTreeMap<u64, String>,
    ended: BTreeSet<u64>,
    strace: Strace,
}

impl Board {
    /// As it is now; and the record after which it goes on.
    pub fn look(session: &mut Session) -> Result<(Self, Seq), Fail> {
        let mut board = Self { workspace: session.workspace.clone(), ..Self::default() };
        let seq = session.card("/sys/status")?.number("seq");
        let mut last = Seq(seq.saturating_sub(PAST_RECORDS));
        journal::read(session, last, &mut |row| {
            last = row.record.seq;
            board.take(&row);
            Ok(())
        })?;
        board.refresh(session)?;
        Ok((board, last))
    }

    /// Reads the status files again.
    pub fn refresh(&mut self, session: &mut Session) -> Result<(), Fail> {
        let sys = session.card("/sys/status")?;
        let text = |key: &str| escape::line(sys.get(key));
        self.today = figures::money_text(&text("money_today"));
        self.limit = figures::money_text(&text("money_limit"));
        (self.running, self.frozen) = (sys.number("running"), sys.number("frozen"));
        (self.inbox, self.stopped_by) = (sys.number("proposals"), text("stopped_by"));
        self.halts = halts::plain(session)?;
        let pids: Vec<u64> = session.names("/proc")?.iter().filter_map(|name| name.parse().ok()).collect();
        let pids: Vec<u64> = pids.into_iter().filter(|pid| !self.ended.contains(pid)).collect();
        let statuses = cards(session, &pids, "status")?;
        let living = |card: &Option<String>| card.as_ref().map(|text| Card::parse(text));
        let mut tasks = Vec::new();
        for (pid, card) in pids.iter().zip(statuses.iter().map(living)) {
            match card {
                Some(card) if card.get("exit").is_empty() => tasks.push(task(*pid, &card)),
                _ => _ = self.ended.insert(*pid),
            }
        }
        let pids: Vec<u64> = tasks.iter().map(|task| task.pid).collect();
        for (task, budget) in tasks.iter_mut().zip(cards(session, &pids, "budget")?) {
            task.left = left(&budget.unwrap_or_default());
        }
        self.lines.retain(|pid, _| pids.contains(pid));
        self.doing.retain(|pid, _| pids.contains(pid));
        self.tasks = tasks;
        Ok(())
    }

    /// The next record.
    pub fn take(&mut self, row: &Row) {
        let line = self.strace.line(row);
        if matches!(row.record.body, Entry::ModelIntended { .. }) {
            self.calls.push_back(row.record.at);
            while self.calls.front().is_some_and(|at| at + MINUTE_US < row.record.at) {
                self.calls.pop_front();
            }
        }
        if line.weight == Weight::Book {
            return;
        }
        let (args, verdict) = (escape::line(&line.args), escape::line(&line.verdict));
        let when = figures::time(line.at);
        let text = format!("{} {:8} {args} · {verdict}", when.get(..8).unwrap_or(&when), line.call);
        for Pid(pid) in row.concerns() {
            let lines = self.lines.entry(pid).or_default();
            lines.push_back(text.clone());
            lines.drain(..lines.len().saturating_sub(LINES));
            self.doing.insert(pid, format!("{} {args}", line.call).trim_end().to_owned());
        }
    }

    /// Model calls of the last minute.
    pub fn calls_minute(&self, now: Micros) -> usize {
        self.calls.iter().filter(|at| **at + MINUTE_US >= now).count()
    }

    /// What a process does now.
    pub fn doing(&self, task: &Task) -> String {
        match (task.state.as_str(), task.why.as_str()) {
            ("frozen" | "stopped", why) => why.to_owned(),
            ("waiting", "model") => format!("asks {}", task.model),
            ("waiting", why) if !why.is_empty() => format!("waits for {why}"),
            _ => self.doing.get(&task.pid).cloned().unwrap_or_default(),
        }
    }

    /// The last lines of a process.
    pub fn lines(&self, pid: u64) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.get(&pid).into_iter().flatten().map(String::as_str)
    }

    /// The rows in this order.
    pub fn sorted(&self, sort: Sort) -> Vec<Task> {
        let mut tasks = self.tasks.clone();
        match sort {
            Sort::Tree => return tree(&tasks),
            Sort::Cost => tasks.sort_by_key(|task| (-task.money.0, task.pid)),
            Sort::Tokens => tasks.sort_by_key(|task| (std::cmp::Reverse(task.tokens), task.pid)),
            Sort::Age => tasks.sort_by_key(|task| (task.started, task.pid)),
        }
        tasks
    }

    /// For `--json`: one object.
    pub fn object(&self, now: Micros) -> Value {
        let task = |task: &Task| {
            json!({
                "pid": task.pid, "parent": task.parent, "agent": task.agent, "state": task.state,
                "why": task.why, "way_out": task.way_out, "model": task.model, "calls": task.calls,
                "tokens": task.tokens, "money": task.money.to_string(),
                "left": task.left.map(|left| left.to_string()),
                "age_us": now.saturating_sub(task.started), "doing": self.doing(task),
            })
        };
        json!({
            "workspace": self.workspace, "money_today": self.today, "money_limit": self.limit,
            "calls_minute": self.calls_minute(now), "running": self.running, "frozen": self.frozen,
            "inbox": self.inbox, "stopped_by": self.stopped_by,
            "processes": self.sorted(Sort::Tree).iter().map(task).collect::<Vec<_>>(),
        })
    }
}

/// A file of each of these processes; none of one that has gone meanwhile.
fn cards(session: &mut Session, pids: &[u64], file: &str) -> Result<Vec<Option<String>>, Fail> {
    let params = pids.iter().map(|pid| json!({"path": format!("/proc/{pid}/{file}")})).collect();
    let text = |answer: Value| answer.get("text").and_then(Value::as_str).map(str::to_owned);
    let replies = session.calls("read", params)?.into_iter();
    let one = |reply: Result<Value, Fail>| match reply {
        Ok(answer) => Ok(text(answer)),
        Err(fail) if fail.is(Code::NotFound) || fail.is(Code::Dead) => Ok(None),
        Err(fail) => Err(fail),
    };
    replies.map(one).collect()
}

fn task(pid: u64, card: &Card) -> Task {
    let text = |key: &str| escape::line(card.get(key));
    Task {
        pid,
        parent: card.number("parent"),
        depth: 0,
        agent: text("agent"),
        state: text("state"),
        why: text("why"),
        way_out: text("way_out"),
        model: text("model"),
        calls: card.number("calls"),
        tokens: ["tokens_in", "tokens_out", "tokens_cached", "tokens_written"]
            .iter()
            .map(|key| card.number(key))
            .fold(0, u64::saturating_add),
        money: card.get("money").parse().unwrap_or_default(),
        left: None,
        started: card.number("started"),
    }
}

/// Money until the first limit: each line is account, resource, window, used, reserved, limit.
fn left(budget: &str) -> Option<Nano> {
    let rows = card::rows(budget);
    let money = rows.iter().filter(|row| row.get(1).is_some_and(|resource| resource == "money"));
    let left = money.filter_map(|row| {
        let amount = |ix: usize| row.get(ix)?.parse::<Nano>().ok();
        Some(Nano(amount(5)?.0.saturating_sub(amount(3)?.0).saturating_sub(amount(4)?.0).max(0)))
    });
    left.min_by_key(|left| left.0)
}

/// Children below their parents, each by number. One whose parent is not shown stands at the left.
fn tree(tasks: &[Task]) -> Vec<Task> {
    let known: BTreeSet<u64> = tasks.iter().map(|task| task.pid).collect();
    let mut out: Vec<Task> = Vec::new();
    let mut open: Vec<(u64, usize)> = Vec::new();
    let roots = tasks.iter().filter(|task| !known.contains(&task.parent) || task.parent >= task.pid);
    let mut roots: Vec<u64> = roots.map(|task| task.pid).collect();
    roots.sort_unstable_by_key(|pid| std::cmp::Reverse(*pid));
    open.extend(roots.into_iter().map(|pid| (pid, 0)));
    while let Some((pid, depth)) = open.pop() {
        out.extend(tasks.iter().find(|task| task.pid == pid).map(|task| Task { depth, ..task.clone() }));
        // A child is younger than its parent, so that this ends whatever the daemon says.
        let below = tasks.iter().filter(|task| task.parent == pid && task.pid > pid);
        let mut below: Vec<u64> = below.map(|task| task.pid).collect();
        below.sort_unstable_by_key(|pid| std::cmp::Reverse(*pid));
        open.extend(below.into_iter().map(|pid| (pid, depth + 1)));
    }
    out
}

#[cfg(test)]
mod tests;
