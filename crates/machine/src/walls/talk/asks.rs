//! What an agent asks of its client is asked at the door.
//!
//! | it asks                    | the call                                                        |
//! | -------------------------- | --------------------------------------------------------------- |
//! | session/request_permission | propose operator permit, and wait for the decision              |
//! | fs/read_text_file          | read, when what it wrote as files is kept                       |
//! | fs/write_text_file         | write, and it sees that as a file                               |
//! | terminal/create            | exec in its own sandbox, beside it                              |
//! | terminal/kill, release     | whoever asked for the command leaves: it ends                   |

use super::{Talk, Wait, line::Line};
use crate::{
    guard::{guard, wait},
    spawn,
};
use abi::{agent::quoted, limits};
use drivers::acp::{self, Ask, Change, INTERNAL, METHOD_NOT_FOUND, NOT_FOUND, Offer, Permission, Wrong};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex},
};

/// It is looked again whether a command has ended; who ends it says so.
const LOOK_US: u64 = 1_000_000;

/// Commands that it has running, or had and asks for.
#[derive(Default)]
pub(super) struct Terminals {
    all: Mutex<BTreeMap<String, Arc<Terminal>>>,
    made: Mutex<u64>,
}

struct Terminal {
    said: Mutex<Said>,
    changed: Condvar,
    /// Cut, its command ends.
    line: UnixStream,
}

struct Said {
    text: String,
    keep: usize,
    cut: bool,
    /// Its status; the signal that ended it.
    exit: Option<(Option<i64>, Option<&'static str>)>,
}

impl Terminals {
    fn find(&self, name: &str) -> Result<Arc<Terminal>, Wrong> {
        let found = guard(&self.all).get(name).cloned();
        found.ok_or_else(|| Wrong::new(NOT_FOUND, "there is no such terminal"))
    }

    /// Every command ends.
    pub fn end(&self) {
        let all = std::mem::take(&mut *guard(&self.all));
        all.values().for_each(|terminal| terminal.kill());
    }
}

impl Terminal {
    fn kill(&self) {
        {
            let mut said = guard(&self.said);
            said.exit.get_or_insert((None, Some("SIGKILL")));
        }
        self.changed.notify_all();
        let _ = self.line.shutdown(Shutdown::Both);
    }

    /// Its command says this: the end of it is kept.
    fn push(&self, text: &str) {
        let mut said = guard(&self.said);
        said.text.push_str(text);
        if said.text.len() > said.keep {
            said.cut = true;
            let from = said.text.ceil_char_boundary(said.text.len() - said.keep);
            said.text.drain(..from);
        }
    }

    fn exited(&self, answer: Result<Value, Wrong>) {
        let status = match &answer {
            Ok(ran) => ran.get("status").and_then(Value::as_i64),
            Err(wrong) => {
                self.push(&wrong.message);
                Some(126)
            }
        };
        guard(&self.said).exit.get_or_insert((status, None));
        self.changed.notify_all();
    }

    fn output(&self) -> Value {
        let said = guard(&self.said);
        json!({ "output": said.text, "truncated": said.cut, "exitStatus": said.exit.map(status) })
    }

    fn wait(&self) -> Value {
        let mut said = guard(&self.said);
        loop {
            match said.exit {
                Some(exit) => return status(exit),
                None => said = wait(&self.changed, said, LOOK_US),
            }
        }
    }
}

fn status((code, signal): (Option<i64>, Option<&str>)) -> Value {
    json!({ "exitCode": code, "signal": signal })
}

impl Talk {
    /// Carries out what it asks for.
    pub(super) fn serve(self: &Arc<Self>, ask: Ask) -> Result<Value, Wrong> {
        match ask {
            Ask::Permission(asked) => Ok(self.permission(&asked)),
            _ if self.offer == Offer::Nothing => {
                Err(Wrong::new(METHOD_NOT_FOUND, "files and commands are its own here: its work is a draft"))
            }
            Ask::Read { path, line, limit } => self.read(&path, line, limit),
            Ask::Write { path, text } => self.write(&path, &text),
            Ask::Create { words, dir, env, keep } => self.create((&words, dir, &env), keep),
            Ask::Output { terminal } => self.terminals.find(&terminal).map(|terminal| terminal.output()),
            Ask::Wait { terminal } => self.terminals.find(&terminal).map(|terminal| terminal.wait()),
            Ask::Kill { terminal } => {
                self.terminals.find(&terminal)?.kill();
                Ok(json!({}))
            }
            Ask::Release { terminal } => {
                self.terminals.find(&terminal)?.kill();
                guard(&self.terminals.all).remove(&terminal);
                Ok(json!({}))
            }
        }
    }

    /// What the operator says, or policy did. Without an option that says it, and where nobody decided, the
    /// protocol has `cancelled`.
    fn permission(&self, asked: &Permission) -> Value {
        let title = acp::one_line(&asked.title);
        let (said, option) = match self.decision(asked, &title) {
            Ok("approved") => ("approved", asked.yes()),
            Ok("rejected") => ("rejected", asked.no()),
            Ok(other) => (other, None),
            Err(_) if guard(&self.state).cancelled.is_some() => ("cancelled", None),
            // What cannot be asked cannot be allowed.
            Err(wrong) => {
                self.note(&format!("[asks] {title}: {}", wrong.message));
                ("rejected", asked.no())
            }
        };
        self.note(&format!("[asks] {title}: {said}"));
        match option {
            Some(option) => json!({ "outcome": { "outcome": "selected", "optionId": option } }),
            None => json!({ "outcome": { "outcome": "cancelled" } }),
        }
    }

    fn decision(&self, asked: &Permission, title: &str) -> Result<&'static str, Wrong> {
        let mut line = Line::open(self, Wait::Decision)?;
        let params = json!({ "mount": "operator", "kind": "permit", "args": args_of(asked) });
        let answer = line.ask("propose", &params)?;
        let Some(proposal) = answer.get("proposal").and_then(Value::as_u64) else {
            // Policy has said that it need not ask.
            return Ok("approved");
        };
        self.note(&format!("[asks] {title}: held for you as proposal {proposal}: skep inbox {proposal}"));
        let answer = line.ask("wait", &json!({ "proposal": proposal }))?;
        Ok(match answer.get("state").and_then(Value::as_str) {
            Some("approved") => "approved",
            Some("rejected") => "rejected",
            _ => "expired",
        })
    }

    fn read(&self, path: &str, line: Option<u64>, limit: Option<u64>) -> Result<Value, Wrong> {
        let mut door = Line::open(self, Wait::Door)?;
        self.settle();
        let answer = door.ask("read", &json!({ "path": path }))?;
        let bytes = answer.get("bytes").and_then(Value::as_u64).unwrap_or(0);
        let text = answer.get("text").and_then(Value::as_str);
        if bytes > limits::VALUE_BYTES_MAX as u64 {
            return Err(Wrong::new(INTERNAL, "TooLarge: a file of more than 1 MiB is read by a command"));
        }
        let text = text.ok_or_else(|| Wrong::new(INTERNAL, "Invalid: it is no text"))?;
        Ok(json!({ "content": lines(text, line, limit) }))
    }

    fn write(&self, path: &str, text: &str) -> Result<Value, Wrong> {
        let mut door = Line::open(self, Wait::Door)?;
        // What it wrote as a file comes first, or this would be made from what stood there before.
        self.settle();
        let answer = door.ask("write", &json!({ "path": path, "text": text }))?;
        self.settle();
        let message = || answer.get("message").and_then(Value::as_str).unwrap_or_default();
        if answer.get("held").is_some() || answer.get("code").is_some() {
            return Err(Wrong::new(INTERNAL, message()));
        }
        Ok(json!({}))
    }

    fn create(
        self: &Arc<Self>,
        (words, dir, env): (&[String], Option<String>, &[(String, String)]),
        keep: Option<u64>,
    ) -> Result<Value, Wrong> {
        if guard(&self.terminals.all).len() >= limits::ACP_TERMINALS_MAX {
            let message = format!("{} terminals are not released", limits::ACP_TERMINALS_MAX);
            return Err(Wrong::new(INTERNAL, message));
        }
        let name = {
            let mut made = guard(&self.terminals.made);
            *made += 1;
            format!("t{made}")
        };
        let pairs = env.iter().map(|(name, value)| format!("{name}={} ", quoted(value)));
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let text = pairs.collect::<String>() + &words.join(" ");
        let dir = dir.unwrap_or_else(|| self.dir.clone());
        let most = limits::EXEC_US_MAX / 1000;
        let order = json!({ "text": text, "dir": dir, "wall": "native", "timeout_ms": most });
        let (told, begun) = std::sync::mpsc::sync_channel(1);
        let keep = keep.and_then(|keep| usize::try_from(keep).ok()).unwrap_or(usize::MAX);
        let keep = keep.min(limits::ACP_TERMINAL_BYTES_MAX);
        let talk = self.clone();
        let runs = spawn::thread("acp", move || {
            let opened = Line::open(&talk, Wait::Door).and_then(|line| {
                let end = line.end().map_err(|error| Wrong::new(INTERNAL, error.to_string()))?;
                Ok((line, end))
            });
            let (mut door, line) = match opened {
                Ok(opened) => opened,
                Err(wrong) => return drop(told.send(Err(wrong))),
            };
            let said = Said { text: String::new(), keep, cut: false, exit: None };
            let terminal = Arc::new(Terminal { said: Mutex::new(said), changed: Condvar::new(), line });
            let _ = told.send(Ok(terminal.clone()));
            let ran = door.hear("exec", &order, &mut |text| terminal.push(text));
            terminal.exited(ran);
        });
        let none = || Wrong::new(INTERNAL, "the system gives no thread for it");
        let terminal = if runs { begun.recv().map_err(|_| none())?? } else { return Err(none()) };
        guard(&self.terminals.all).insert(name.clone(), terminal);
        Ok(json!({ "terminalId": name }))
    }
}

/// What it asks for, as arguments of a proposal: every one is shown to who decides.
fn args_of(asked: &Permission) -> Map<String, Value> {
    let title = if asked.title.is_empty() { "-" } else { &asked.title };
    let one = |text: &str| if text.is_empty() { json!([]) } else { json!([text]) };
    let changes = |of: fn(&Change) -> &str| json!(asked.changes.iter().map(of).collect::<Vec<_>>());
    let all = [
        ("title", json!([title])),
        ("kind", one(&asked.kind)),
        ("input", one(&asked.input)),
        ("path", json!(asked.paths)),
        ("file", changes(|change| &change.path)),
        ("old", changes(|change| change.old.as_deref().unwrap_or_default())),
        ("new", changes(|change| &change.new)),
    ];
    let some = all.into_iter().filter(|(_, values)| values.as_array().is_some_and(|all| !all.is_empty()));
    some.map(|(name, values)| (name.to_owned(), values)).collect()
}

/// So many lines of a text from this one on, counted from 1.
fn lines(text: &str, line: Option<u64>, limit: Option<u64>) -> String {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let skip = count(line.unwrap_or(1)).saturating_sub(1);
    text.split_inclusive('\n').skip(skip).take(limit.map_or(usize::MAX, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        for (line, limit, want) in [
            (None, None, "a\nb\nc"),
            (Some(0), None, "a\nb\nc"),
            (Some(2), None, "b\nc"),
            (Some(2), Some(1), "b\n"),
            (Some(9), Some(1), ""),
            (Some(u64::MAX), Some(u64::MAX), ""),
            (None, Some(0), ""),
        ] {
            assert_eq!(lines("a\nb\nc", line, limit), want, "{line:?} {limit:?}");
        }
    }

    #[test]
    fn a_terminal_keeps_the_end_of_what_was_said() {
        let (line, _other) = UnixStream::pair().unwrap();
        let said = Said { text: String::new(), keep: 4, cut: false, exit: None };
        let terminal = Terminal { said: Mutex::new(said), changed: Condvar::new(), line };
        terminal.push("abc");
        assert_eq!(terminal.output(), json!({"output": "abc", "truncated": false, "exitStatus": null}));
        // Never from within a character.
        terminal.push("d\u{20ac}");
        assert_eq!(terminal.output()["output"], "d\u{20ac}");
        terminal.push("x");
        assert_eq!(
            (&terminal.output()["output"], &terminal.output()["truncated"]),
            (&json!("\u{20ac}x"), &json!(true))
        );
        terminal.kill();
        terminal.exited(Ok(json!({"status": 0})));
        assert_eq!(terminal.wait(), json!({"exitCode": null, "signal": "SIGKILL"}));
    }
}
