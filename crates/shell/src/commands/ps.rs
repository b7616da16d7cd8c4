//! `skep ps`.

use crate::{
    card::Card,
    fail::{Exit, Fail, Outcome},
    figures, halts, journal, past,
    session::Session,
    table::Table,
};
use abi::{Seq, record::Entry};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Ended processes that are shown without `--all`.
const ENDED_SHOWN: usize = 8;
/// Records at the end of the log in which the tasks of processes are looked for.
const TASK_RECORDS: u64 = 4000;

/// Processes: what runs, what it waits for, what it has cost
#[derive(Debug, clap::Args)]
pub struct Ps {
    /// Also all that ended lately
    #[arg(short, long)]
    all: bool,
}

impl Ps {
    pub fn run(self, session: &mut Session) -> Outcome {
        let statuses = statuses(session)?;
        if session.is_json() {
            for (_, raw) in &statuses {
                session.object(raw)?;
            }
            halts::note(session)?;
            return Ok(Exit::Fine);
        }
        let ended = statuses.iter().filter(|(card, _)| is_ended(card)).count();
        let mut hidden = if self.all { 0 } else { ended.saturating_sub(ENDED_SHOWN) };
        let left_out = hidden;
        let mut table = Table::new(&[
            "PID>", "PARENT>", "AGENT", "STATE", "WHY", "LABEL", "CALLS>", "TOKENS>", "MONEY>", "LIMIT>",
            "TASK",
        ]);
        let sys = session.card("/sys/status")?;
        let tasks = tasks(session, &sys)?;
        for (card, _) in &statuses {
            if hidden > 0 && is_ended(card) {
                hidden -= 1;
                continue;
            }
            add(&mut table, card, tasks.get(card.get("pid")).map_or("", String::as_str));
        }
        if table.is_empty() {
            halts::note(session)?;
            session.note("no process has run yet");
            session.hint("skep run \"task\"");
            return past::note_conflicts(session);
        }
        session.print(&table.print())?;
        if left_out > 0 {
            session.hint(&format!("{left_out} more that ended: skep ps --all"));
        }
        halts::note(session)?;
        let waiting = sys.number("proposals");
        if waiting > 0 {
            let wait = if waiting == 1 { "waits" } else { "wait" };
            let what = figures::plural(waiting, "proposal");
            session.note(&format!("{what} {wait} for your decision; skep inbox"));
        }
        past::note_conflicts(session)
    }
}

/// What processes were asked: only the log has texts, and only its end is looked at.
fn tasks(session: &mut Session, sys: &Card) -> Result<BTreeMap<String, String>, Fail> {
    let from = sys.number("seq").saturating_sub(TASK_RECORDS);
    let mut tasks = BTreeMap::new();
    journal::read(session, Seq(from), &mut |row| {
        if let Entry::Spawned { pid, task, .. } = &row.record.body {
            tasks.insert(pid.to_string(), row.text(task).unwrap_or_default().to_owned());
        }
        Ok(())
    })?;
    Ok(tasks)
}

/// The status files of all processes that still have one.
fn statuses(session: &mut Session) -> Result<Vec<(Card, Value)>, Fail> {
    let pids = session.names("/proc")?;
    let paths = pids.iter().filter(|pid| pid.parse::<u64>().is_ok());
    let params = paths.map(|pid| json!({"path": format!("/proc/{pid}/status")})).collect();
    let mut found = Vec::new();
    for reply in session.calls("read", params)? {
        match reply {
            Ok(raw) => {
                let text = raw.get("text").and_then(Value::as_str).unwrap_or_default();
                found.push((Card::parse(text), raw));
            }
            // It ended and was forgotten between the listing and now.
            Err(fail) if fail.is(abi::Code::NotFound) || fail.is(abi::Code::Dead) => {}
            Err(fail) => return Err(fail),
        }
    }
    Ok(found)
}

fn is_ended(card: &Card) -> bool {
    ["exited", "killed", "faulted", "ended"].iter().any(|word| card.get("state").starts_with(word))
}

fn add(table: &mut Table, card: &Card, task: &str) {
    let tokens = match (card.number("tokens_in"), card.number("tokens_out")) {
        (0, 0) => String::new(),
        (tokens_in, tokens_out) => format!("{}+{}", figures::count(tokens_in), figures::count(tokens_out)),
    };
    let why = match (card.get("verdict"), card.get("exit"), card.get("why")) {
        ("", "", why) => why.to_owned(),
        ("", exit, _) => exit.to_owned(),
        (verdict, _, _) => verdict.to_owned(),
    };
    table.row([
        card.get("pid"),
        card.get("parent"),
        card.get("agent"),
        card.get("state"),
        &figures::cut(&why, 32),
        &figures::cut(card.get("label"), 24),
        card.get("calls"),
        &tokens,
        &figures::money_text(card.get("money")),
        &figures::money_text(card.get("limit")),
        &figures::cut(task, 40),
    ]);
}
