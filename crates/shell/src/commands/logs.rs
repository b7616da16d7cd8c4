//! `skep logs`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Row},
    session::Session,
    strace,
};
use abi::{Pid, record::Entry};
use serde_json::Value;

/// What a process was told, said and did, as a conversation
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Which process
    #[arg(value_name = "PID")]
    pid: u64,
}

impl Logs {
    pub fn run(self, session: &mut Session) -> Outcome {
        let pid = Pid(self.pid);
        let rows = journal::all(session)?;
        let mine = rows.iter().filter(|row| row.concerns().contains(&pid));
        let mut found = 0_u64;
        for row in mine {
            found += 1;
            if session.is_json() {
                session.object(&row.raw)?;
            } else if let Some((who, text)) = told(row) {
                say(session, row, who, &text)?;
            }
        }
        if found == 0 {
            return Err(Fail::new(format!("there was never a process {pid} here")).hint("skep ps --all"));
        }
        Ok(Exit::Fine)
    }
}

fn say(session: &mut Session, row: &Row, who: &str, text: &str) -> Result<(), Fail> {
    let time = figures::time(row.record.at);
    let text = escape::escape(text.trim_end(), Keep::Lines);
    let mut lines = text.lines();
    session.say(&format!("{time}  {who:8}  {}", lines.next().unwrap_or_default()))?;
    for line in lines {
        session.say(&format!("{:24}{line}", ""))?;
    }
    Ok(())
}

/// Who spoke, and what was said; texts are the first 400 characters.
fn told(row: &Row) -> Option<(&'static str, String)> {
    let text = |content| row.text(content).unwrap_or_default();
    Some(match &row.record.body {
        Entry::Spawned { agent, task, model, .. } => ("task", format!("{} ({agent} on {model})", text(task))),
        Entry::ModelAnswered { answer, .. } => ("model", answered(text(answer))),
        Entry::ModelFailed { message, .. } => ("model", format!("failed: {}", text(message))),
        Entry::ModelLost { .. } => ("model", "its outcome was lost in a crash".to_owned()),
        Entry::Tool { name, args, outcome, .. } => {
            ("tool", format!("{name} {}\n{}", text(args), figures::cut(text(outcome), 300)))
        }
        Entry::Steered { item, .. } => ("told", text(&item.content).to_owned()),
        Entry::Stalled { repeats, .. } => ("kernel", format!("the same call {repeats} times")),
        Entry::Frozen { why, .. } => ("kernel", format!("frozen: {}", strace::frozen(why))),
        Entry::Thawed { .. } => ("kernel", "goes on".to_owned()),
        Entry::Proposed { proposal, kind, rule, .. } => {
            ("kernel", format!("{kind} held as proposal {proposal}: {}", rule.sentence()))
        }
        Entry::Exited { exit, verdict, result, .. } => {
            let result = result.as_ref().map(text).unwrap_or_default();
            ("end", format!("{}, {}: {result}", strace::ended(exit), verdict.word()))
        }
        _ => return None,
    })
}

/// What a model said, with the tools it asked for; as it is when its beginning is all there is.
fn answered(text: &str) -> String {
    let Ok(answer) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let said = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    let tools = answer.get("tools").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = tools.filter_map(|tool| tool.get("name").and_then(Value::as_str)).collect();
    match names.is_empty() {
        true => said.to_owned(),
        false => format!("{said}\nasks for {}", names.join(", ")),
    }
}
