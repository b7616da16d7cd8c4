//! `skep run`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Bill, Family, Follower, Heard, Row},
    session::{Session, Tone},
    strace::{self, Line, Strace, Weight},
};
use abi::{
    Pid, Seq,
    agent::Verdict,
    record::{Entry, Exit as End, WaitOn},
};
use serde_json::{Map, Value, json};
use std::{io::Read, os::unix::net::UnixStream};

/// Give an agent a task and wait for it; Ctrl-C interrupts the turn and so stops the bill
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Which agent; a task alone goes to the agent `helper`
    #[arg(value_name = "AGENT|TASK")]
    first: String,
    /// The task
    #[arg(value_name = "TASK")]
    second: Option<String>,
    /// Only done if this file stands at the end
    #[arg(long, value_name = "PATH")]
    post_exists: Vec<String>,
    /// Only done if this file contains this text at the end
    #[arg(long, value_name = "PATH=TEXT")]
    post_contains: Vec<String>,
    /// Money for this run; can only lower what the agent has
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<String>,
    /// Do not wait
    #[arg(short, long)]
    detach: bool,
}

impl Run {
    pub fn run(self, session: &mut Session) -> Outcome {
        let detach = self.detach;
        let params = self.params()?;
        // Before the process exists, so that nothing it does is missed.
        let seq = Seq(session.card("/sys/status")?.number("seq"));
        let answer = session.call("spawn", params)?;
        if session.is_json() && detach {
            session.object(&answer)?;
        }
        let withheld = answer.get("withheld").and_then(Value::as_array).into_iter().flatten();
        let withheld: Vec<&str> = withheld.filter_map(Value::as_str).collect();
        for need in withheld {
            session.note(&format!("not granted by policy: {}", escape::line(need)));
        }
        let Some(pid) = answer.get("pid").and_then(Value::as_u64).map(Pid) else {
            return other(session, &answer);
        };
        if detach {
            if !session.is_json() {
                session.say(&pid.to_string())?;
                session.hint(&format!("skep trace {pid} -f, skep logs {pid}"));
            }
            return Ok(Exit::Fine);
        }
        session.note(&format!("pid {pid}; Ctrl-C interrupts it"));
        Watch::new(session, pid, seq)?.run(session)
    }

    fn params(self) -> Result<Value, Fail> {
        let (agent, task) = match self.second {
            Some(task) => (self.first, task),
            None => ("helper".to_owned(), self.first),
        };
        let mut post: Vec<Value> = self.post_exists.iter().map(|path| json!({"exists": path})).collect();
        for pair in &self.post_contains {
            let (path, text) = pair.split_once('=').ok_or_else(|| {
                Fail::usage(format!("--post-contains {pair:?} names no text"))
                    .hint("write it as PATH=TEXT: --post-contains /data/a.md=hello")
            })?;
            post.push(json!({"contains": path, "text": text}));
        }
        let mut map = Map::new();
        map.insert("agent".into(), json!(agent));
        map.insert("text".into(), json!(task));
        map.insert("origin".into(), json!("argument"));
        if !post.is_empty() {
            map.insert("post".into(), json!(post));
        }
        if let Some(budget) = self.budget {
            let _: abi::money::Nano = budget.parse()?;
            map.insert("budget".into(), json!(budget));
        }
        Ok(Value::Object(map))
    }
}

/// A spawn that did not begin at once: held or queued.
fn other(session: &mut Session, answer: &Value) -> Outcome {
    if session.is_json() {
        session.object(answer)?;
    } else if let Some(proposal) = answer.get("proposal").and_then(Value::as_u64) {
        session.say(&format!("held as proposal {proposal}"))?;
        session.hint(&format!("skep inbox {proposal}"));
    } else {
        session.say("queued")?;
    }
    Ok(Exit::Bad)
}

/// A run that is waited for.
struct Watch {
    pid: Pid,
    family: Family,
    follower: Follower,
    strace: Strace,
    bill: Bill,
    /// One byte for each Ctrl-C.
    interrupts: Option<UnixStream>,
    interrupted: u32,
}

/// What a record means for who waits.
enum Step {
    On,
    Ended,
    Frozen(String),
}

impl Watch {
    fn new(session: &mut Session, pid: Pid, seq: Seq) -> Result<Self, Fail> {
        Ok(Self {
            pid,
            family: Family::of(Some(pid)),
            follower: Follower::new(session, seq)?,
            strace: Strace::default(),
            bill: Bill::default(),
            interrupts: interrupts().ok(),
            interrupted: 0,
        })
    }

    fn run(mut self, session: &mut Session) -> Outcome {
        loop {
            match self.follower.next(None, self.interrupts.as_ref())? {
                Heard::Row(row) => match self.take(session, &row) {
                    Step::On => {}
                    Step::Ended => return self.finish(session),
                    Step::Frozen(why) => return self.stands(session, &why),
                },
                Heard::Woken => {
                    if let Some(exit) = self.interrupt(session)? {
                        return Ok(exit);
                    }
                }
                Heard::Late => {}
            }
        }
    }

    fn take(&mut self, session: &mut Session, row: &Row) -> Step {
        let is_own = self.family.has(row);
        let line = self.strace.line(row);
        self.bill.decided(row);
        if !is_own {
            return Step::On;
        }
        self.bill.add(row);
        // What a turn writes stands in the line of its tool call, too.
        if line.weight == Weight::Act && line.call != "write" && !session.is_json() {
            let text = progress(session, &line);
            session.note(&text);
        }
        match &row.record.body {
            // It goes on when somebody decides: the one who waits here may not know.
            Entry::ToolWaits { on: WaitOn::Proposal(_), .. } if !session.is_json() => {
                self.waiting(session);
                Step::On
            }
            Entry::Exited { pid, exit, verdict, result } if *pid == self.pid => {
                self.bill.ended = Some((exit.clone(), *verdict, *result));
                Step::Ended
            }
            Entry::Frozen { pids, why } if pids.contains(&self.pid) => Step::Frozen(strace::frozen(why)),
            _ => Step::On,
        }
    }

    /// The first Ctrl-C interrupts the turn, the second leaves it to itself.
    fn interrupt(&mut self, session: &mut Session) -> Result<Option<Exit>, Fail> {
        if let Some(stream) = &mut self.interrupts {
            let mut bytes = [0; 16];
            let _ = stream.read(&mut bytes)?;
        }
        self.interrupted += 1;
        let pid = self.pid.0;
        if self.interrupted > 1 {
            session.note(&format!("\n{pid} was told to end and is left to it"));
            session.hint(&format!("skep kill {pid}"));
            return Ok(Some(Exit::Bad));
        }
        session.note("\ninterrupting; Ctrl-C again leaves without waiting");
        match session.call("signal", json!({"pid": pid, "signal": "interrupt"})) {
            // It ended by itself meanwhile; its last record is on the way.
            Err(fail) if fail.is(abi::Code::Dead) => Ok(None),
            other => other.map(|_| None),
        }
    }

    fn finish(self, session: &mut Session) -> Outcome {
        let answer = session.call("wait", json!({"pid": self.pid.0}))?;
        let Some((end, verdict, _)) = &self.bill.ended else { return Ok(Exit::Bad) };
        let is_fine = matches!(end, End::Exited(0)) && *verdict != Verdict::Failed;
        if session.is_json() {
            session.object(&answer)?;
        } else {
            let (text, _) = journal::said(answer.get("text").and_then(Value::as_str).unwrap_or_default());
            if !text.is_empty() {
                session.say(&escape::escape(text.trim_end(), Keep::Lines))?;
            }
            let word = session.paint(verdict.word(), if is_fine { Tone::Good } else { Tone::Bad });
            let how = if matches!(end, End::Exited(0)) {
                String::new()
            } else {
                format!(" · {}", strace::ended(end))
            };
            session.say(&format!("{word}{} · {}", escape::line(&how), sum(&self.bill)))?;
            if matches!(end, End::Faulted(_)) {
                session.hint(&format!("skep logs {} shows what went wrong", self.pid));
            }
            self.next(session);
        }
        Ok(if is_fine { Exit::Fine } else { Exit::Bad })
    }

    /// It was frozen: nothing more will happen before somebody acts.
    fn stands(self, session: &mut Session, why: &str) -> Outcome {
        let pid = self.pid;
        if session.is_json() {
            session.object(&json!({"pid": pid, "frozen": why}))?;
        } else {
            let word = session.paint("frozen", Tone::Held);
            session.say(&format!("{word} · {} · {}", escape::line(why), sum(&self.bill)))?;
        }
        self.waiting(session);
        session.hint(&format!(
            "skep budget set process:{pid} run AMOUNT, then skep thaw {pid}; or skep kill {pid}"
        ));
        Ok(Exit::Bad)
    }

    /// What waits for the operator, and how to decide it.
    fn waiting(&self, session: &mut Session) {
        for (ids, held) in self.bill.waiting() {
            let Some(id) = ids.first() else { continue };
            let what = escape::line(&figures::cut(&held.what, 60));
            if held.is_question {
                session.note(&format!("asks you: proposal {id}: {what}"));
                session.hint(&format!("skep inbox {id}, skep answer {id} TEXT"));
                continue;
            }
            let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let noun = if all.len() == 1 { "proposal" } else { "proposals" };
            session.note(&format!("held for you: {noun} {}, {what}", all.join(", ")));
            session.hint(&format!("skep inbox {id}, skep why {id}, skep approve {id}, skep reject {id}"));
        }
    }

    fn next(&self, session: &mut Session) {
        let pid = self.pid;
        self.waiting(session);
        if !self.bill.paths.is_empty() {
            session.hint(&format!("skep undo {pid} takes its changes back"));
        }
    }
}

/// What a run came to, in one line.
fn sum(bill: &Bill) -> String {
    format!(
        "{} · {} in, {} out · {} · {} changed",
        figures::plural(bill.calls, "model call"),
        figures::plural(bill.tokens_in, "token"),
        figures::count(bill.tokens_out),
        figures::money(bill.money),
        figures::plural(bill.paths.len() as u64, "path"),
    )
}

/// A step, short enough to glance at.
fn progress(session: &Session, line: &Line) -> String {
    let cost = line.charged.map(|charged| format!("  {}", figures::money(charged.money))).unwrap_or_default();
    let args = figures::cut(&escape::line(&line.args), 60);
    let verdict = session.paint(&escape::line(&line.verdict), line.tone);
    format!("  {:9} {args}  {verdict}{cost}", line.call)
}

/// A stream that can be read once Ctrl-C was pressed.
fn interrupts() -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, write)?;
    Ok(read)
}
