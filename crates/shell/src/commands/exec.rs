//! `skep exec` and what `skep sh` does with each line.

use crate::{
    client::{Got, Note},
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    session::Session,
    settle::settle,
    terminal::{self, Door, Left, Seat, Signals},
};
use serde_json::{Value, json};

/// Run a command in a sandbox: it sees the workspace as ordinary files, and nothing else
///
/// What it changes is one operation (skep undo), or, when it is ended, none of it happened. Its status is the
/// status of this command; 124 says that it took too long, 137 that nothing of it was kept.
#[derive(Debug, clap::Args)]
pub struct Exec {
    /// In the sandbox of this process, with what that may see and change [default: your own]
    #[arg(short, long)]
    pid: Option<u64>,
    /// In this directory of the workspace [default: /, with --pid the first where that may run programs]
    #[arg(short = 'C', long, value_name = "PATH")]
    dir: Option<String>,
    /// native (real programs), shell (bash in the daemon, no program of this host) or auto (shell if it can)
    #[arg(long, default_value = "native", value_parser = ["auto", "shell", "native"])]
    wall: String,
    /// End it after so long, as 30s or 10m
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = length)]
    timeout: u64,
    /// The command; several words are taken as they are, one is a line of a shell
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub fn run(self, session: &mut Session) -> Outcome {
        let text = match self.command.as_slice() {
            [line] => line.clone(),
            words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        };
        let order = Order { text, dir: self.dir, pid: self.pid, wall: self.wall, timeout_us: self.timeout };
        let ran = order.run(session, true)?;
        settle(session)?;
        if session.is_json() {
            session.object(&ran)?;
        } else {
            sum_up(session, &ran);
        }
        Ok(Exit::Status(status(&ran)))
    }
}

fn length(text: &str) -> Result<u64, String> {
    crate::figures::parse_length(text).ok_or_else(|| "a length of time, as 30s or 10m".to_owned())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-+=:@%,".contains(sign);
    let is_plain = !word.is_empty() && word.chars().all(plain);
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// What to run.
pub struct Order {
    pub text: String,
    /// None: where the process may run programs; the operator's own begins at the root.
    pub dir: Option<String>,
    pub pid: Option<u64>,
    pub wall: String,
    pub timeout_us: u64,
}

impl Order {
    /// Has it run, and answers what came of it; what it says is shown as it comes.
    pub fn run(&self, session: &mut Session, shows: bool) -> Result<Value, Fail> {
        let params = session.aim(self.params("null"));
        let id = session.client()?.send("exec", params)?;
        let shows = shows && !session.is_json();
        let mut shown = false;
        loop {
            match session.client()?.next(None, None)? {
                Got::Note(Note::Output(text)) if shows => {
                    shown = true;
                    session.print(&escape::escape(&text, Keep::Lines))?;
                    session.out.flush()?;
                }
                Got::Reply(of, reply) if of == id => {
                    let ran = reply?;
                    let output = ran.get("output").and_then(Value::as_str).unwrap_or_default();
                    if shows && !shown {
                        session.print(&escape::escape(output, Keep::Lines))?;
                    }
                    return Ok(ran);
                }
                Got::Note(_) | Got::Reply(..) | Got::Woken | Got::TimedOut => {}
            }
        }
    }
}

impl Order {
    /// Has it run before whoever sits here: keys go in, what it shows comes out. None: they left, and it
    /// ends.
    pub fn show(&self, session: &mut Session, signals: &Signals) -> Result<Option<Value>, Fail> {
        let (rows, cols) = terminal::size().unwrap_or((24, 80));
        let params = self.params(&format!("terminal:{rows}x{cols}"));
        let params = session.aim(params);
        let id = session.client()?.send("exec", params)?;
        match Seat::new(signals, Door::Shut).sit(session, id)? {
            Left::Ended(reply) => reply.map(Some),
            Left::Detached | Left::Interrupted => Ok(None),
        }
    }

    fn params(&self, stdio: &str) -> Value {
        let mut params = json!({
            "text": self.text, "wall": self.wall, "origin": "argument", "stdio": stdio,
            "timeout_ms": self.timeout_us.div_ceil(1000),
        });
        if let Some(map) = params.as_object_mut() {
            map.extend(self.dir.iter().map(|dir| ("dir".to_owned(), dir.as_str().into())));
            map.extend(self.pid.map(|pid| ("pid".to_owned(), pid.into())));
        }
        params
    }
}

/// Its status.
pub fn status(ran: &Value) -> u8 {
    let status = ran.get("status").and_then(Value::as_u64).unwrap_or(1);
    u8::try_from(status).unwrap_or(u8::MAX)
}

/// What it changed, and what became of that: beside its output, not in it.
pub fn sum_up(session: &mut Session, ran: &Value) {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let by_itself = ran.get("kept").and_then(Value::as_bool).unwrap_or(false);
    if !by_itself {
        session.note(&text(ran, "how"));
        return;
    }
    came_of(session, ran);
}

/// What came into the tree, and where somebody else had changed the same.
pub fn came_of(session: &mut Session, answer: &Value) {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let changed = rows("changed");
    let more = answer.get("more").and_then(Value::as_u64).unwrap_or(0);
    let count = changed.len() as u64 + more;
    if let Some(operation) = answer.get("operation").and_then(Value::as_u64) {
        let files = if count == 1 { "1 path".to_owned() } else { format!("{count} paths") };
        session.note(&format!("{files} changed · skep undo op:{operation}"));
    }
    for clash in rows("conflicts") {
        session.note(&format!("{}: {}", text(&clash, "path"), text(&clash, "message")));
    }
    let waits = rows("waits");
    if let Some(first) = waits.first() {
        let all: Vec<String> = waits.iter().map(Value::to_string).collect();
        let changes = figures::plural(all.len() as u64, "change");
        let noun = if all.len() == 1 { "proposal" } else { "proposals" };
        session.note(&format!(
            "held for you: {changes} where agents or your own tools obey, {noun} {}",
            all.join(", ")
        ));
        session.hint(&format!("skep inbox {first}, skep approve {first}, skep reject {first}"));
    }
}
