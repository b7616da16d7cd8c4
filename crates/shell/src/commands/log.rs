//! `skep log`.

use crate::{
    fail::{Exit, Outcome},
    figures, journal,
    session::Session,
    strace,
    table::Table,
};
use abi::{call::Undo, record::Entry};
use serde_json::{Value, json};

/// Versions of a path, newest first; without a path, the workspace's operations
#[derive(Debug, clap::Args)]
pub struct Log {
    /// Which path
    path: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
    limit: u32,
}

impl Log {
    pub fn run(self, session: &mut Session) -> Outcome {
        match self.path {
            Some(path) => versions(session, &path, self.limit),
            None => operations(session, self.limit as usize),
        }
    }
}

fn versions(session: &mut Session, path: &str, limit: u32) -> Outcome {
    let answer = session.call("history", json!({"path": path, "limit": limit}))?;
    let rows = answer.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
    if session.is_json() {
        for row in &rows {
            session.object(row)?;
        }
        return Ok(Exit::Fine);
    }
    let now = (session.clock)();
    let mut table = Table::new(&[
        "VERSION>",
        "OPERATION",
        "CHANGED",
        "ACTOR",
        "PID>",
        "WHAT",
        "BYTES>",
        "LABEL",
        "MESSAGE",
    ]);
    let mut diverged = None;
    for row in &rows {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
        let what = match row.get("diverged").and_then(Value::as_bool) {
            Some(true) => {
                diverged = diverged.or(Some(number("version")));
                "diverged"
            }
            _ => text("node"),
        };
        let pid = if number("pid") == 0 { String::new() } else { number("pid").to_string() };
        table.row([
            &number("version").to_string(),
            &format!("op:{}", number("operation")),
            &figures::moment(number("mtime"), now),
            text("actor"),
            &pid,
            what,
            &figures::count(number("bytes")),
            &figures::cut(text("label"), 32),
            &figures::cut(text("message"), 40),
        ]);
    }
    session.print(&table.print())?;
    match diverged {
        Some(version) => session.hint(&format!(
            "version {version} is kept beside the head; write what both should be with skep write {path}"
        )),
        None => session.hint("skep undo op:OPERATION takes one back"),
    }
    Ok(Exit::Fine)
}

fn operations(session: &mut Session, limit: usize) -> Outcome {
    let now = (session.clock)();
    let rows = journal::all(session)?;
    let wrote = rows.iter().rev().filter(|row| matches!(row.record.body, Entry::Wrote { .. })).take(limit);
    let mut table = Table::new(&["OPERATION", "AT", "ACTOR", "PID>", "PATHS", "MESSAGE"]);
    for row in wrote {
        let Entry::Wrote { op, changes, message, undoes } = &row.record.body else { continue };
        if session.is_json() {
            session.object(&row.raw)?;
            continue;
        }
        let message = message.as_ref().and_then(|message| row.text(message)).unwrap_or_default();
        let message = match undoes {
            Some(undo) => format!("{} {message}", undone(*undo)),
            None => message.to_owned(),
        };
        let pid =
            if row.record.pid == abi::ids::WORKSPACE { String::new() } else { row.record.pid.to_string() };
        let diverged = changes.iter().any(|change| change.diverged);
        let paths = format!("{}{}", strace::changed(changes), if diverged { " (diverged)" } else { "" });
        table.row([
            &format!("op:{op}"),
            &figures::moment(row.record.at, now),
            &row.record.actor,
            &pid,
            &figures::cut(&paths, 60),
            &figures::cut(message.trim(), 40),
        ]);
    }
    if !session.is_json() {
        session.print(&table.print())?;
        session.hint("skep undo op:OPERATION takes one back; skep log PATH shows the versions of a path");
    }
    Ok(Exit::Fine)
}

fn undone(undo: Undo) -> String {
    match undo {
        Undo::Version(version) => format!("restores version {version}"),
        Undo::Operation(op) => format!("takes back op:{op}"),
        Undo::Process(pid) => format!("takes back process {pid}"),
    }
}
