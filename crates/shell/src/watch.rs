//! A process that is waited for: its steps as they come, what waits for the operator, and what it came to in
//! one line. On a terminal the last words of what a model is just saying stand in one line that is written
//! over; elsewhere only whole lines are written. Never here: how the process came to be.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Bill, Family, Follower, Heard, Row},
    session::{Desk, Session, Tone},
    strace::{self, Line, Strace, Weight},
};
use abi::{
    Content, Micros, Pid, Seq,
    agent::Verdict,
    halt,
    record::{Entry, Exit as End, Freeze, Rule, WaitOn},
};
use serde_json::{Value, json};
use std::{collections::VecDeque, io::Read, os::unix::net::UnixStream};

/// Lines of the past that are shown to who comes later.
const PAST_LINES: usize = 10;
/// Columns of a step's arguments.
const ARGS_WIDTH: usize = 50;
/// Characters of what a model is just saying.
const LIVE_WIDTH: usize = 68;

/// What Ctrl-C does to what is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grip {
    /// The first interrupts it, the second leaves it to itself.
    Holds,
    /// It leaves it to itself at once.
    Looks,
}

/// What is said at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The last words, and below them the verdict and what it came to: the end of a command.
    Report,
    /// The last words; what it came to is beside the point.
    Talk,
}

/// See the file's head.
pub struct Watch {
    pid: Pid,
    family: Family,
    follower: Follower,
    strace: Strace,
    bill: Bill,
    /// One byte for each Ctrl-C.
    interrupts: Option<UnixStream>,
    interrupted: u32,
    grip: Grip,
    manner: Manner,
    /// When its first and its last record were written.
    span: Option<(Micros, Micros)>,
    /// Whether it stood still when it was first looked at.
    stood: bool,
    live: Live,
}

/// The one line that is written over.
#[derive(Default)]
struct Live {
    text: String,
    shown: bool,
}

impl Live {
    /// More words; only their end is shown.
    fn push(&mut self, session: &mut Session, words: &str) {
        if session.desk != Desk::Terminal {
            return;
        }
        self.text.push_str(words);
        let last = self.text.trim_end().rsplit('\n').next().unwrap_or_default();
        let skip = last.chars().count().saturating_sub(LIVE_WIDTH);
        let last: String = last.chars().skip(skip).collect();
        let _ = write!(session.err, "\r\u{1b}[K  {}", escape::line(&last));
        let _ = session.err.flush();
        let from = self.text.char_indices().rev().nth(4 * LIVE_WIDTH).map_or(0, |(at, _)| at);
        self.text.drain(..from);
        self.shown = true;
    }

    /// Before a whole line is written.
    fn clear(&mut self, session: &mut Session) {
        self.text.clear();
        if std::mem::take(&mut self.shown) {
            let _ = write!(session.err, "\r\u{1b}[K");
        }
    }
}

/// What a record means for who waits.
enum Step {
    On,
    Ended,
    Frozen(Freeze),
}

impl Watch {
    /// A process of which nothing has happened before this record.
    pub fn new(session: &mut Session, pid: Pid, seq: Seq) -> Result<Self, Fail> {
        Ok(Self { interrupts: interrupts().ok(), ..Self::deaf(session, pid, seq)? })
    }

    /// One of a conversation, which hears Ctrl-C by this stream.
    pub fn talk(
        session: &mut Session,
        (pid, seq): (Pid, Seq),
        interrupts: Option<UnixStream>,
    ) -> Result<Self, Fail> {
        Ok(Self { interrupts, manner: Manner::Talk, ..Self::deaf(session, pid, seq)? })
    }

    /// The same of one that has begun before.
    pub fn talking(self, interrupts: Option<UnixStream>) -> Self {
        Self { interrupts, manner: Manner::Talk, ..self }
    }

    fn deaf(session: &mut Session, pid: Pid, seq: Seq) -> Result<Self, Fail> {
        Ok(Self {
            pid,
            family: Family::of(Some(pid)),
            follower: Follower::new(session, seq)?,
            strace: Strace::default(),
            bill: Bill::default(),
            interrupts: None,
            interrupted: 0,
            grip: Grip::Holds,
            manner: Manner::Report,
            span: None,
            stood: false,
            live: Live::default(),
        })
    }

    /// One that has begun before: its last lines are shown.
    pub fn late(session: &mut Session, pid: Pid, grip: Grip) -> Result<Self, Fail> {
        let seq = Seq(session.card("/sys/status")?.number("seq"));
        let mut watch = Self { grip, ..Self::new(session, pid, seq)? };
        let card = session.card(&format!("/proc/{pid}/status")).map_err(|fail| {
            match fail.is(abi::Code::NotFound) {
                true => Fail::new(format!("there was never a process {pid} here")).hint("skep ps --all"),
                false => fail,
            }
        })?;
        if !card.get("exit").is_empty() {
            watch.bill.ended = Some(ended(&session.call("wait", json!({"pid": pid}))?));
        }
        watch.stood = card.get("state") == "frozen";
        let mut lines = VecDeque::new();
        journal::of(session, pid, &mut |row| {
            if row.record.seq <= seq {
                lines.extend(watch.recall(&row));
                lines.drain(..lines.len().saturating_sub(PAST_LINES));
            }
            Ok(())
        })?;
        let waits = session.names("/proposals")?;
        watch.bill.held.retain(|id, _| waits.contains(&id.to_string()));
        if !session.is_json() {
            for line in lines {
                let text = progress(session, &line);
                session.note(&text);
            }
            waiting(session, &watch.bill);
            if card.get("state") == "stopped" {
                halted(session, "stopped", (card.get("why"), card.get("way_out")));
            }
        }
        Ok(watch)
    }

    /// A record of the past; its line, if it has one.
    fn recall(&mut self, row: &Row) -> Option<Line> {
        let line = self.strace.line(row);
        self.family.has(row);
        self.bill.add(row);
        self.bill.decided(row);
        self.count(row);
        is_step(&line).then_some(line)
    }

    fn count(&mut self, row: &Row) {
        let first = self.span.map_or(row.record.at, |(first, _)| first);
        self.span = Some((first, row.record.at));
    }

    /// Whether it had not ended when it was first looked at.
    pub fn lives(&self) -> bool {
        self.bill.ended.is_none()
    }

    /// Waits for its end, or until nothing more will happen by itself.
    pub fn run(mut self, session: &mut Session) -> Outcome {
        if self.bill.ended.is_some() {
            return self.finish(session);
        }
        if self.stood {
            return self.stands(session, &Freeze::Asked);
        }
        loop {
            let heard = self.follower.next(None, self.interrupts.as_ref())?;
            if !matches!(heard, Heard::Preview(..)) {
                self.live.clear(session);
            }
            match heard {
                Heard::Preview(pid, text) if pid == self.pid => self.live.push(session, &text),
                Heard::Preview(..) => {}
                Heard::Row(row) => match self.take(session, &row) {
                    Step::On => {}
                    Step::Ended => return self.finish(session),
                    Step::Frozen(freeze) => return self.stands(session, &freeze),
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
        if !session.is_json() {
            self.tell(session, row);
        }
        if !is_own {
            return Step::On;
        }
        self.bill.add(row);
        self.count(row);
        // In a conversation tools are news, and what goes wrong; that somebody thinks and speaks is not.
        let is_plain =
            line.call == "exit" || (line.tone == Tone::Good && ["spawn", "model"].contains(&line.call));
        let is_news = self.manner == Manner::Report || !is_plain;
        if is_step(&line) && is_news && !session.is_json() {
            let text = progress(session, &line);
            session.note(&text);
        }
        match &row.record.body {
            // It goes on when somebody decides: the one who waits here may not know.
            Entry::ToolWaits { on: WaitOn::Proposal(_), .. } if !session.is_json() => {
                waiting(session, &self.bill);
                Step::On
            }
            // So does a program that asks before it goes on.
            Entry::Proposed { rule: Rule::Permit, .. } if !session.is_json() => {
                waiting(session, &self.bill);
                Step::On
            }
            Entry::Exited { pid, exit, verdict, result } if *pid == self.pid => {
                self.bill.ended = Some((exit.clone(), *verdict, *result));
                Step::Ended
            }
            Entry::Frozen { pids, why } if pids.contains(&self.pid) => Step::Frozen(why.clone()),
            Entry::Warned { account, limit } if !session.is_json() => {
                session.hint(&halt::raise(account, limit));
                Step::On
            }
            _ => Step::On,
        }
    }

    /// What stands still, beside the process itself: all of the workspace, or one that it started.
    fn tell(&self, session: &mut Session, row: &Row) {
        match &row.record.body {
            Entry::Stopped => halted(session, "stopped", (&halt::stopped(&row.record.actor), halt::LIFT)),
            Entry::Lifted => session.note("lifted   everything in this workspace goes on"),
            Entry::Frozen { pids, why } if !pids.contains(&self.pid) => {
                for pid in pids.iter().filter(|pid| self.family.holds(**pid)) {
                    let what = format!("{pid}: {}", halt::why(why, None));
                    halted(session, "frozen", (&what, &halt::way_out(why, *pid, None)));
                }
            }
            _ => {}
        }
    }

    /// See `Grip`.
    fn interrupt(&mut self, session: &mut Session) -> Result<Option<Exit>, Fail> {
        if let Some(stream) = &mut self.interrupts {
            let mut bytes = [0; 16];
            let _ = stream.read(&mut bytes)?;
        }
        self.interrupted += 1;
        let pid = self.pid.0;
        if self.grip == Grip::Looks {
            session.note(&format!("\n{pid} goes on"));
            session.hint(&format!("skep attach {pid}, skep kill {pid}"));
            return Ok(Some(Exit::Fine));
        }
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
            if self.manner == Manner::Talk {
                return Ok(self.talked(session, is_fine));
            }
            let word = session.paint(verdict.word(), if is_fine { Tone::Good } else { Tone::Bad });
            let how = if matches!(end, End::Exited(0)) {
                String::new()
            } else {
                format!(" · {}", strace::ended(end))
            };
            session.say(&format!("{word}{} · {}", escape::line(&how), self.sum()))?;
            if matches!(end, End::Faulted(_)) {
                session.hint(&format!(
                    "skep logs {} shows what went wrong, skep model check whether models answer",
                    self.pid
                ));
            }
            self.next(session);
        }
        Ok(if is_fine { Exit::Fine } else { Exit::Bad })
    }

    /// A turn of a conversation is over.
    fn talked(&self, session: &mut Session, is_fine: bool) -> Exit {
        let mut sum = self.sum();
        match &self.bill.ended {
            Some((End::Exited(0), ..)) | None => {}
            Some((end, ..)) => {
                let how = session.paint(&escape::line(&strace::ended(end)), Tone::Bad);
                sum = format!("{how} · {sum}");
                if matches!(end, End::Faulted(_)) {
                    sum.push_str(&format!(" · skep logs {}", self.pid));
                }
            }
        }
        if !self.bill.paths.is_empty() {
            sum.push_str(&format!(" · skep undo {}", self.pid));
        }
        session.note(&format!("  {sum}"));
        waiting(session, &self.bill);
        if is_fine { Exit::Fine } else { Exit::Bad }
    }

    /// It was frozen: nothing more will happen before somebody acts. Its status knows what is used.
    fn stands(self, session: &mut Session, freeze: &Freeze) -> Outcome {
        let pid = self.pid;
        let card = session.card(&format!("/proc/{pid}/status")).unwrap_or_default();
        let (why, way_out) = match card.get("state") {
            "frozen" => (card.get("why").to_owned(), card.get("way_out").to_owned()),
            _ => (halt::why(freeze, None), halt::way_out(freeze, pid, None)),
        };
        if session.is_json() {
            session.object(&json!({"pid": pid, "frozen": why, "way_out": way_out}))?;
        } else {
            let word = session.paint("frozen", Tone::Held);
            let line = format!("{word} · {} · {}", escape::line(&why), self.sum());
            match self.manner {
                Manner::Report => session.say(&line)?,
                Manner::Talk => session.note(&format!("  {line}")),
            }
        }
        waiting(session, &self.bill);
        session.hint(&escape::line(&way_out));
        Ok(Exit::Bad)
    }

    /// What it came to, in one line.
    fn sum(&self) -> String {
        let bill = &self.bill;
        let cached = match bill.tokens_cached {
            0 => String::new(),
            some => format!(" ({} cached)", figures::count(some)),
        };
        let took = self.span.map_or(0, |(first, last)| last.saturating_sub(first));
        format!(
            "{} · {} in{cached}, {} out · {} · {} · {} changed",
            figures::plural(bill.calls, "model call"),
            figures::plural(bill.tokens_in, "token"),
            figures::count(bill.tokens_out),
            figures::money(bill.money),
            figures::length(took),
            figures::plural(bill.paths.len() as u64, "path"),
        )
    }

    fn next(&self, session: &mut Session) {
        let pid = self.pid;
        waiting(session, &self.bill);
        if !self.bill.paths.is_empty() {
            session.hint(&format!("skep undo {pid} takes its changes back"));
        }
    }
}

/// One line about what stands still, and how it goes on.
fn halted(session: &mut Session, word: &str, (why, way_out): (&str, &str)) {
    let word = session.paint(&format!("{word:<9}"), Tone::Held);
    session.note(&format!("{word}{} · {}", escape::line(why), escape::line(way_out)));
}

/// How a process ended, as `wait` answers it.
fn ended(answer: &Value) -> (End, Verdict, Option<Content>) {
    let part = |key: &str| answer.get(key).cloned().unwrap_or_default();
    let end = serde_json::from_value(part("exit")).unwrap_or_else(|_| End::Killed("?".into()));
    (end, serde_json::from_value(part("verdict")).unwrap_or(Verdict::Unverified), None)
}

/// What a turn writes stands in the line of its tool call, too.
fn is_step(line: &Line) -> bool {
    line.weight == Weight::Act && line.call != "write"
}

/// A step, short enough to glance at.
fn progress(session: &Session, line: &Line) -> String {
    let cost = line.charged.map(|charged| format!("  {}", figures::money(charged.money))).unwrap_or_default();
    let args = figures::cut(&escape::line(&line.args), ARGS_WIDTH);
    let verdict = session.paint(&escape::line(&line.verdict), line.tone);
    format!("  {:8} {args:ARGS_WIDTH$}  {verdict}{cost}", line.call).trim_end().to_owned()
}

/// A stream that can be read once Ctrl-C was pressed.
pub fn interrupts() -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, write)?;
    Ok(read)
}

/// What waits for the operator, and how to decide it.
pub fn waiting(session: &mut Session, bill: &Bill) {
    for (ids, held) in bill.waiting() {
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
