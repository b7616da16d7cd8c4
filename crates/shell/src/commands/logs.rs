//! `skep logs`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Row},
    session::Session,
    strace,
};
use abi::{Pid, halt, record::Entry};

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
        Entry::ExecBegun { text: line, dir, .. } => ("runs", format!("{} (in {dir})", text(line))),
        Entry::ExecEnded { output, how, kept, .. } => {
            let kept = if *kept { "" } else { "; nothing of it was kept" };
            ("said", format!("{}\n({}{kept})", text(output).trim_end(), strace::finished(how)))
        }
        Entry::ExecSaid { output, .. } => ("said", text(output).trim_end().to_owned()),
        Entry::ExecChecked { why: None, .. } => ("works", String::new()),
        Entry::ExecChecked { why: Some(why), .. } => ("ill", text(why).to_owned()),
        Entry::PortOpened { port } => ("listens", format!("{} at {}", port.program, port.address)),
        Entry::PortClosed { address } => ("listens", format!("nobody at {address} any more")),
        Entry::ModelFailed { message, .. } => ("model", format!("failed: {}", text(message))),
        Entry::ModelLost { .. } => ("model", "its outcome was lost in a crash".to_owned()),
        Entry::Tool { name, args, outcome, .. } => {
            ("tool", format!("{name} {}\n{}", text(args), figures::cut(text(outcome), 300)))
        }
        Entry::Steered { item, .. } => ("told", text(&item.content).to_owned()),
        Entry::Stalled { repeats, .. } => ("kernel", format!("the same call {repeats} times")),
        Entry::Frozen { why, .. } => ("kernel", format!("frozen: {}", halt::why(why, None))),
        Entry::Thawed { .. } => ("kernel", "goes on".to_owned()),
        Entry::Proposed { proposal, kind, rule, .. } => {
            ("kernel", format!("{kind} held as proposal {proposal}: {}", rule.sentence()))
        }
        Entry::Exited { exit, verdict, result, .. } => {
            let result = result.as_ref().map(|result| journal::said(text(result)).0);
            let result = result.map(|result| format!(": {result}")).unwrap_or_default();
            ("end", format!("{}, {}{result}", strace::ended(exit), verdict.word()))
        }
        _ => return None,
    })
}

/// What a model said, and the tools it asked for.
fn answered(text: &str) -> String {
    match journal::said(text) {
        (said, tools) if tools.is_empty() => said,
        (said, tools) => format!("{said}\nasks for {}", tools.join(", ")),
    }
}
