//! Act 7: real programs, walled off, on files that can be undone.

use super::play::{self, act, expect, line};
use crate::{commands, escape, fail::Fail, journal::Row, session::Session};
use abi::{
    Pid,
    record::{Entry, Finish},
};
use serde_json::{Value, json};

const DIR: &str = "/data/repo";
/// The repository, so that an installed binary has it.
pub const REPO: [(&str, &str); 3] = [
    ("README.md", include_str!("../../../../examples/repo/README.md")),
    ("boxes.sh", include_str!("../../../../examples/repo/boxes.sh")),
    ("test.sh", include_str!("../../../../examples/repo/test.sh")),
];
/// What nobody in the wall can see: a file of every host, and one of the demo's own home.
const OUTSIDE: &str = "cat /etc/shadow";

/// 7: an agent repairs a repository with real bash; one command brings it back.
pub fn walls(session: &mut Session) -> Result<(), Fail> {
    act(session, 7, "walls")?;
    if let Err(fail) = run_in(session, "/", "true") {
        let text = format!(
            "On this host no program runs: {}. A missing wall is never a thinner one. skep doctor names each \
             mechanism and the command that provides it.",
            escape::line(&fail.message)
        );
        return line(session, &text);
    }
    for (name, text) in REPO {
        let path = format!("{DIR}/{name}");
        session.call("write", json!({"path": path, "text": text, "origin": "argument"}))?;
    }
    let before = run(session, "sh test.sh")?;
    let fails = status(&before);
    expect(fails > 0, "the tests of the repository fail", &before.to_string())?;
    let pid = play::spawn(session, "coder", "The tests of /data/repo fail. Repair it.")?;
    play::wait(session, pid)?;
    let rows = play::log(session)?;
    let ran = ends(&rows, pid);
    expect(ran.len() == 3, "coder ran three commands", &ran.len().to_string())?;
    let first = ran.first().copied().unwrap_or_default();
    expect(first == fails, "it saw the tests fail", &first.to_string())?;
    expect(ran.last() == Some(&0), "and saw them pass", &format!("{ran:?}"))?;
    expect(status(&run(session, "sh test.sh")?) == 0, "they pass", "they do not")?;
    let outside = run(session, OUTSIDE)?;
    expect(status(&outside) != 0, "the host's files are not there", &outside.to_string())?;
    session.call("write", commands::undoing("pid", pid.0))?;
    let after = status(&run(session, "sh test.sh")?);
    expect(after == fails, "undone, they fail as before", &after.to_string())?;
    line(
        session,
        &format!(
            "coder (process {pid}) runs the tests of {DIR} with real bash, in a wall: {fails} fail. It changes \
             boxes.sh and runs them again: all pass. It saw the workspace and the programs of this host; of \
             /etc/shadow there was none, and no network. skep undo {pid} brought {DIR} back: {after} fail again.",
        ),
    )
}

/// Whether programs run here.
pub fn stand(session: &mut Session) -> bool {
    run_in(session, "/", "true").is_ok()
}

/// How many tests of the repository in that directory fail.
pub fn tests(session: &mut Session, dir: &str) -> Result<i64, Fail> {
    Ok(status(&run_in(session, dir, "sh test.sh")?))
}

fn run_in(session: &mut Session, dir: &str, text: &str) -> Result<Value, Fail> {
    session.call("exec", json!({"text": text, "dir": dir, "wall": "native"}))
}

fn run(session: &mut Session, text: &str) -> Result<Value, Fail> {
    run_in(session, DIR, text)
}

fn status(ran: &Value) -> i64 {
    ran.get("status").and_then(Value::as_i64).unwrap_or(-1)
}

/// How the commands of a process ended.
fn ends(rows: &[Row], pid: Pid) -> Vec<i64> {
    let mine = play::of(rows, pid).filter_map(|row| match &row.record.body {
        Entry::ExecEnded { how: Finish::Exited(status), kept: true, .. } => Some(i64::from(*status)),
        _ => None,
    });
    mine.collect()
}
