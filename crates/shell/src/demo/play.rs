//! What every act does: print a paragraph, check a claim, start an agent, wait, read the log.

use crate::{
    clock::Deadline,
    fail::Fail,
    journal::{self, Follower, Heard, Row},
    session::Session,
};
use abi::{Pid, Seq, agent::Verdict, record::Entry};
use serde_json::{Value, json};
use std::time::Duration;

/// Columns of a paragraph.
const COLUMNS: usize = 100;
/// How long one run of the demo may take before it counts as hanging.
const RUN_MS_MAX: u64 = 15_000;
/// The same for what is waited for in the log.
pub const LOG_WAIT: Duration = Duration::from_secs(15);

/// A paragraph, wrapped.
pub fn tell(session: &mut Session, text: &str) -> Result<(), Fail> {
    session.say("")?;
    line(session, text)
}

/// The same without the empty line before it.
pub fn line(session: &mut Session, text: &str) -> Result<(), Fail> {
    let mut row = String::new();
    for word in text.split_whitespace() {
        if !row.is_empty() && row.chars().count() + word.chars().count() + 4 > COLUMNS {
            session.say(&format!("   {row}"))?;
            row.clear();
        }
        row.push_str(if row.is_empty() { "" } else { " " });
        row.push_str(word);
    }
    session.say(&format!("   {row}"))?;
    Ok(session.out.flush()?)
}

/// The head of an act.
pub fn act(session: &mut Session, number: u8, name: &str) -> Result<(), Fail> {
    session.say("")?;
    session.say(&format!("{number}  {name}"))
}

/// Ends the demo when a claim of it is not so.
pub fn expect(so: bool, claim: &str, found: &str) -> Result<(), Fail> {
    if so {
        return Ok(());
    }
    Err(Fail::new(format!("the demo expected: {claim}; found: {found}"))
        .hint("this is a defect of Skep, or of the demo; please report it"))
}

/// Does something in another workspace.
pub fn within<T>(
    session: &mut Session,
    workspace: &str,
    act: impl FnOnce(&mut Session) -> Result<T, Fail>,
) -> Result<T, Fail> {
    let before = std::mem::replace(&mut session.workspace, workspace.to_owned());
    let done = act(session);
    session.workspace = before;
    done
}

/// Starts an agent on a task in the operator's own words.
pub fn spawn(session: &mut Session, agent: &str, task: &str) -> Result<Pid, Fail> {
    spawn_with(session, agent, task, json!([]))
}

/// The same with what must be so at the end.
pub fn spawn_with(session: &mut Session, agent: &str, task: &str, post: Value) -> Result<Pid, Fail> {
    let params = json!({"agent": agent, "text": task, "origin": "argument", "post": post});
    let answer = session.call("spawn", params)?;
    let pid = answer.get("pid").and_then(Value::as_u64);
    pid.map(Pid).ok_or_else(|| Fail::new(format!("{agent} was not started: {answer}")))
}

/// Waits for a process; answers how it ended, in the daemon's words.
pub fn wait(session: &mut Session, pid: Pid) -> Result<Value, Fail> {
    let answer = session.call("wait", json!({"pid": pid, "timeout_ms": RUN_MS_MAX}))?;
    expect(answer.get("verdict").is_some(), &format!("process {pid} ends"), &answer.to_string())?;
    Ok(answer)
}

/// The place of the last record.
pub fn now(session: &mut Session) -> Result<Seq, Fail> {
    Ok(Seq(session.card("/sys/status")?.number("seq")))
}

/// Records of a process.
pub fn of(rows: &[Row], pid: Pid) -> impl Iterator<Item = &Row> {
    rows.iter().filter(move |row| row.concerns().contains(&pid))
}

/// Reads the log after a record until one is what is looked for.
pub fn until<T>(
    session: &mut Session,
    after: Seq,
    claim: &str,
    mut find: impl FnMut(&Row) -> Option<T>,
) -> Result<T, Fail> {
    let mut follower = Follower::new(session, after)?;
    let deadline = Deadline::after(LOG_WAIT);
    loop {
        match follower.next(Some(deadline), None)? {
            Heard::Row(row) => {
                if let Some(found) = find(&row) {
                    return Ok(found);
                }
            }
            Heard::Late => {
                return Err(expect(false, claim, "nothing of the kind within 15 s")
                    .err()
                    .unwrap_or_else(late));
            }
            Heard::Woken | Heard::Preview(..) => {}
        }
    }
}

fn late() -> Fail {
    Fail::new("it took too long")
}

/// How a process ended, out of the log.
pub fn verdict(rows: &[Row], pid: Pid) -> Option<Verdict> {
    rows.iter().find_map(|row| match &row.record.body {
        Entry::Exited { pid: it, verdict, .. } if *it == pid => Some(*verdict),
        _ => None,
    })
}

/// The whole log of the session's workspace.
pub fn log(session: &mut Session) -> Result<Vec<Row>, Fail> {
    journal::all(session)
}
