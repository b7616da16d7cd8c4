//! `skep chat`: each line is dispatched into a session, and its turn is waited for as `run` waits.
//!
//! ```text
//! terminal   the last exchanges, then a prompt; the answer streams; Ctrl-C interrupts the turn and the
//!            prompt comes back; Ctrl-D leaves
//! pipe       each line a message, answers on stdout, all else on stderr; the end of the input is the end
//! ```
//! Never here: what is remembered. That is the daemon's, and goes on in the next `skep chat`.

use super::run::withheld;
use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{Follower, Heard},
    models,
    session::{Desk, Session, Tone},
    typed::{Got, Typed},
    watch::{self, Grip, Watch},
};
use abi::{Content, Pid, Seq, record::Entry, session::path_of, wire};
use serde_json::{Value, json};
use std::{
    io::{IsTerminal, Read},
    os::unix::net::UnixStream,
};

/// Sections of the past that are shown: two questions and their answers.
const PAST_SECTIONS: usize = 4;
/// Lines of each.
const PAST_LINES: usize = 12;
/// Columns of each line.
const PAST_WIDTH: usize = 400;

/// Talk with an agent; what was said is remembered and goes on in the next chat of that name
///
/// A line is a message. Ctrl-C interrupts the turn that answers it and so stops the bill; Ctrl-D or /quit
/// leaves; /new NAME goes to another conversation.
#[derive(Debug, clap::Args)]
pub struct Chat {
    /// Which agent
    #[arg(value_name = "AGENT", default_value = "helper")]
    agent: String,
    /// Which conversation
    #[arg(long, value_name = "NAME", default_value = "main")]
    session: String,
}

/// A conversation that is going on.
struct Talk {
    agent: String,
    slug: String,
    /// Where the words come from.
    origin: &'static str,
    /// One byte for each Ctrl-C.
    interrupts: Option<UnixStream>,
    /// Whether it was said what the agent asks for and does not get.
    told: bool,
}

impl Chat {
    pub fn run(self, session: &mut Session) -> Outcome {
        let slug = wire::word("session", &self.session)?;
        is_there(session, &self.agent)?;
        models::ready(session, &self.agent, true)?;
        let origin = if std::io::stdin().is_terminal() { "typed" } else { "pipe" };
        let interrupts = watch::interrupts().ok();
        let mut talk = Talk { agent: self.agent, slug, origin, interrupts, told: false };
        if session.desk == Desk::Terminal && !session.is_json() {
            talk.at_terminal(session)
        } else {
            talk.through_pipe(session)
        }
    }
}

/// Whether a line is meant for the prompt, which does not know it: one word, and no path.
fn is_unknown(line: &str) -> bool {
    line.strip_prefix('/')
        .is_some_and(|word| !word.is_empty() && word.chars().all(|sign| sign.is_alphanumeric()))
}

/// Who talks to nobody is told at once, not after the first line.
fn is_there(session: &mut Session, agent: &str) -> Result<(), Fail> {
    let path = format!("/agents/{}/AGENT.md", wire::word("agent", agent)?);
    match session.call("read", json!({"path": path, "length": 1})) {
        Err(fail) if fail.is(abi::Code::NotFound) => {
            Err(Fail::new(format!("there is no agent {agent}")).hint("skep ls /agents shows those there are"))
        }
        _ => Ok(()),
    }
}

impl Talk {
    fn through_pipe(&mut self, session: &mut Session) -> Outcome {
        let mut lines = Typed::new(std::io::stdin());
        let mut exit = Exit::Fine;
        loop {
            match lines.next(self.interrupts.as_ref())? {
                Got::Line(line) if line.trim().is_empty() => {}
                Got::Line(line) => {
                    if self.say(session, line.trim())? == Exit::Bad {
                        exit = Exit::Bad;
                    }
                }
                Got::Woken => return Ok(Exit::Bad),
                Got::End => return Ok(exit),
            }
        }
    }

    fn at_terminal(&mut self, session: &mut Session) -> Outcome {
        self.begin(session)?;
        let mut lines = Typed::new(std::io::stdin());
        loop {
            prompt(session)?;
            match lines.next(self.interrupts.as_ref())? {
                Got::Woken => {
                    self.drain()?;
                    session.note("\nCtrl-D leaves");
                }
                Got::End => {
                    session.note("");
                    return Ok(Exit::Fine);
                }
                Got::Line(line) => match line.trim() {
                    "" => {}
                    "/quit" => return Ok(Exit::Fine),
                    "/help" => session.note("/new NAME goes to another conversation, /quit leaves"),
                    line if is_unknown(line) => session.note(&format!("{line} is no command; /help")),
                    line if line.starts_with("/new ") => self.turn_to(session, line)?,
                    line => self.say_and_go_on(session, line)?,
                },
            }
        }
    }

    /// A refusal, or a daemon that went away, is no end of the conversation.
    fn say_and_go_on(&mut self, session: &mut Session, line: &str) -> Result<(), Fail> {
        let Err(fail) = self.say(session, line) else { return Ok(()) };
        if fail.is_quiet() {
            return Err(fail);
        }
        session.report(&fail);
        if fail.code.is_empty() {
            session.disconnect();
            models::ready(session, &self.agent, true)?;
            self.catch_up(session)?;
        }
        Ok(())
    }

    fn turn_to(&mut self, session: &mut Session, line: &str) -> Result<(), Fail> {
        match wire::word("session", line.trim_start_matches("/new ").trim()) {
            Ok(slug) => {
                self.slug = slug;
                self.begin(session)
            }
            Err(error) => {
                session.report(&error.into());
                Ok(())
            }
        }
    }

    /// Where one is, and what was said last.
    fn begin(&mut self, session: &mut Session) -> Result<(), Fail> {
        let text = self.past(session)?;
        for line in last(&text) {
            let line = escape::line(&figures::cut(&line, PAST_WIDTH));
            let who = line.strip_prefix("## ").map(|who| session.paint(who, Tone::Strong));
            session.note(&who.unwrap_or(line));
        }
        let (agent, slug) = (escape::line(&self.agent), &self.slug);
        session.note(&format!("{agent}, {slug}; Ctrl-C interrupts a turn, Ctrl-D leaves"));
        self.catch_up(session)
    }

    /// The conversation so far; nothing of one that has not begun, and where a file stands instead.
    fn past(&self, session: &mut Session) -> Result<String, Fail> {
        match session.call("read", json!({"path": path_of(&self.agent, &self.slug)})) {
            Ok(answer) if answer.get("version").is_none() => {
                Ok(answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned())
            }
            Ok(_) => Ok(String::new()),
            Err(fail) if fail.is(abi::Code::NotFound) || fail.is(abi::Code::Denied) => Ok(String::new()),
            Err(fail) => Err(fail),
        }
    }

    /// A turn that began before is waited for: its answer comes first.
    fn catch_up(&mut self, session: &mut Session) -> Result<(), Fail> {
        let text = self.past(session)?;
        let Some(pid) = text.lines().last().and_then(at_it) else { return Ok(()) };
        session.note(&format!("process {pid} is at it"));
        let watch = Watch::late(session, pid, Grip::Holds)?;
        watch.talking(self.ears()).run(session).map(drop)
    }

    fn ears(&self) -> Option<UnixStream> {
        self.interrupts.as_ref().and_then(|stream| stream.try_clone().ok())
    }

    fn drain(&mut self) -> Result<(), Fail> {
        if let Some(stream) = &mut self.interrupts {
            let _ = stream.read(&mut [0; 16])?;
        }
        Ok(())
    }

    /// One message and its answer.
    fn say(&mut self, session: &mut Session, text: &str) -> Outcome {
        // Before the process exists, so that nothing it does is missed.
        let seq = Seq(session.card("/sys/status")?.number("seq"));
        let params = json!({"agent": self.agent, "session": self.slug, "text": text, "origin": self.origin});
        let answer = session.call("dispatch", params)?;
        if !std::mem::replace(&mut self.told, true) {
            withheld(session, &answer);
        }
        let pid = match answer.get("pid").and_then(Value::as_u64) {
            Some(pid) => Pid(pid),
            None => match self.in_line(session, seq, text)? {
                Some(pid) => pid,
                None => return Ok(Exit::Bad),
            },
        };
        Watch::talk(session, (pid, seq), self.ears())?.run(session)
    }

    /// Somebody else's words are answered first; or a turn stands still, and an operator has to let it go on.
    fn in_line(&mut self, session: &mut Session, seq: Seq, text: &str) -> Result<Option<Pid>, Fail> {
        session.note("another turn of this conversation is at it; yours comes after it");
        let busy = self.past(session)?.lines().rev().find_map(at_it);
        if let Some(pid) = busy {
            session.hint(&format!(
                "skep attach {pid}, skep thaw {pid}, skep kill {pid}; Ctrl-C waits no longer"
            ));
        }
        let task = Content::of(text.as_bytes());
        let mut follower = Follower::new(session, seq)?;
        loop {
            match follower.next(None, self.interrupts.as_ref())? {
                Heard::Row(row) => {
                    if let Entry::Spawned { pid, agent, session: Some(name), task: its, .. } =
                        &row.record.body
                        && (agent, &name.slug, its) == (&self.agent, &self.slug, &task)
                    {
                        return Ok(Some(*pid));
                    }
                    // A program that hears more is told it when its turn has ended.
                    if let Entry::Steered { pid, item, .. } = &row.record.body
                        && (Some(*pid), item.content) == (busy, task)
                    {
                        return Ok(Some(*pid));
                    }
                }
                Heard::Woken => {
                    self.drain()?;
                    session.note("\nit stays in line, and its answer in the conversation");
                    return Ok(None);
                }
                Heard::Preview(..) | Heard::Late => {}
            }
        }
    }
}

fn prompt(session: &mut Session) -> Result<(), Fail> {
    let mark = session.paint("> ", Tone::Strong);
    write!(session.err, "{mark}")?;
    Ok(session.err.flush()?)
}

/// The process of a line as `*Process 12 is at it.*`.
fn at_it(line: &str) -> Option<Pid> {
    let number = line.strip_prefix("*Process ")?.strip_suffix(" is at it.*")?;
    number.parse().ok().map(Pid)
}

/// The last sections of a conversation, cut to some lines each.
fn last(text: &str) -> Vec<String> {
    let mut sections: Vec<Vec<String>> = Vec::new();
    for line in escape::escape(text, Keep::Lines).lines() {
        match (line.starts_with("## "), sections.last_mut()) {
            (true, _) => sections.push(vec![line.to_owned()]),
            // The heading's own blank line.
            (false, Some(section)) if line.is_empty() && section.len() == 1 => {}
            (false, Some(section)) => section.push(line.replacen("\\#", "#", 1)),
            (false, None) => {}
        }
    }
    let skip = sections.len().saturating_sub(PAST_SECTIONS);
    let cut = |mut section: Vec<String>| {
        let more = section.len().saturating_sub(PAST_LINES);
        section.truncate(PAST_LINES);
        while section.last().is_some_and(String::is_empty) {
            section.pop();
        }
        section.extend((more > 1).then(|| format!("… {more} lines more")));
        section
    };
    sections.into_iter().skip(skip).flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_command() {
        assert!(["/bogus", "/quit2"].into_iter().all(is_unknown));
        assert!(!["/data/a.md", "/etc is what?", "bogus", "/", "/new x"].into_iter().any(is_unknown));
    }

    #[test]
    fn the_last_sections_are_shown_and_cut() {
        assert_eq!(last("# helper, main\n"), [""; 0]);
        let text: String = (0..6).map(|ix| format!("\n## who {ix}\n\nwords {ix}\n")).collect();
        let shown = last(&format!("# helper, main\n{text}"));
        assert_eq!(shown.first().map(String::as_str), Some("## who 2"));
        assert_eq!(shown.last().map(String::as_str), Some("words 5"));
        let long: String = (0..30).map(|ix| format!("{ix}\n")).collect();
        assert_eq!(last(&format!("## who\n{long}")).last().map(String::as_str), Some("… 19 lines more"));
    }

    #[test]
    fn a_turn_that_runs_is_known() {
        let rows = [("*Process 12 is at it.*", Some(Pid(12))), ("Process 12 is at it.", None), ("", None)];
        for (line, pid) in rows {
            assert_eq!(at_it(line), pid, "{line}");
        }
    }
}
