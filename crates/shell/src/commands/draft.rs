//! `skep keep` and `skep drop`: what programs left as drafts.

use crate::{
    commands::exec,
    fail::{Exit, Fail, Outcome},
    figures,
    session::Session,
    settle::settle,
    table::Table,
};
use serde_json::{Value, json};

/// What a program left as a draft becomes part of the tree, as one operation; or which drafts there are
///
/// What others have changed since is merged line by line; where both touch the same lines, both are kept, and
/// nothing is lost. `skep diff PID` shows it before, `skep undo PID` takes it back after.
#[derive(Debug, clap::Args)]
pub struct Keep {
    /// Whose; none lists the drafts that wait
    #[arg(value_name = "PID")]
    pid: Option<u64>,
}

/// What a program left as a draft is thrown away
#[derive(Debug, clap::Args)]
pub struct Drop {
    /// Whose
    #[arg(value_name = "PID", required = true)]
    pids: Vec<u64>,
}

impl Keep {
    pub fn run(self, session: &mut Session) -> Outcome {
        let Some(pid) = self.pid else { return list(session) };
        let answer = say(session, pid, "keep")?;
        settle(session)?;
        if session.is_json() {
            session.object(&answer)?;
        } else {
            let rows = answer.get("changed").and_then(Value::as_array).into_iter().flatten();
            let mut table = Table::new(&["CHANGE", "PATH", "VERSION>"]);
            for row in rows {
                let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
                let version = row.get("version").map(Value::to_string).unwrap_or_default();
                table.row([text("change"), text("path"), &version]);
            }
            if !table.is_empty() {
                session.print(&table.print())?;
            }
            exec::came_of(session, &answer);
        }
        let clashed = answer.get("conflicts").and_then(Value::as_array).is_some_and(|rows| !rows.is_empty());
        if clashed {
            session.hint("skep inbox shows what is left to resolve");
        }
        Ok(Exit::Fine)
    }
}

impl Drop {
    pub fn run(self, session: &mut Session) -> Outcome {
        for pid in self.pids {
            say(session, pid, "drop")?;
            if session.is_json() {
                session.object(&json!({"dropped": pid}))?;
            } else {
                session.say(&format!("dropped  {pid}"))?;
            }
        }
        Ok(Exit::Fine)
    }
}

fn say(session: &mut Session, pid: u64, word: &str) -> Result<Value, Fail> {
    let words = json!({"path": format!("/proc/{pid}/ctl"), "text": word, "origin": "argument"});
    session.call("write", words)
}

/// The drafts, with what each changes: a row of `/sys/drafts`, `PID ACTOR works|waits CHANGES TIME`.
fn list(session: &mut Session) -> Outcome {
    if session.is_json() {
        let answer = session.call("read", json!({"path": "/sys/drafts"}))?;
        session.object(&answer)?;
        return Ok(Exit::Fine);
    }
    let (text, now) = (session.read("/sys/drafts")?, (session.clock)());
    let mut table = Table::new(&["PID>", "BY", "STATE", "CHANGES>", "LAST WRITTEN"]);
    for row in text.lines() {
        let words: Vec<&str> = row.split(' ').collect();
        let [pid, actor, state, changes, at] = words.as_slice() else { continue };
        table.row([pid, actor, state, changes, &figures::moment(at.parse().unwrap_or(0), now)]);
    }
    if table.is_empty() {
        session.note("no draft waits");
        session.hint("skep run --draft -- COMMAND");
        return Ok(Exit::Fine);
    }
    session.print(&table.print())?;
    session.hint("skep diff PID · skep keep PID · skep drop PID");
    Ok(Exit::Fine)
}
