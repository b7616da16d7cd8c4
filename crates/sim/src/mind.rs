//! A model that is scripted by chance and means ill: calls with valid and invalid arguments, tools that do
//! not exist, paths at the limits, steering places, receivers out of mails, usage that lies, text without
//! end.
//!
//! One is made for each call, from the seed and the call's name: what it says does not depend on when it is
//! asked.

use crate::{chance::Chance, known::Known, known::RECEIVERS, world::SITES};
use abi::event::Stop;
use drivers::{Flow, Model, ModelError, Prompt, RawUsage, Said, Secret, ToolCall};
use std::sync::{Mutex, PoisonError};

/// Bytes of one piece of a stream.
const PIECE: &str =
    "so it goes on and on, and nobody has asked for it, but here is one more sentence of it. ";
/// Pieces after which an endless text ends all the same: far beyond what any limit lets pass.
const PIECES_MAX: usize = 20_000;

/// A model for one call.
pub struct Mind {
    chance: Mutex<Chance>,
    known: Known,
}

impl Mind {
    /// One that draws from this stream and knows this much.
    pub fn new(chance: Chance, known: Known) -> Self {
        Self { chance: Mutex::new(chance), known }
    }
}

impl Model for Mind {
    fn call(
        &self,
        prompt: &Prompt,
        _: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let failed =
            |message: &str, again| Err(ModelError { message: message.to_owned(), again, after_us: None });
        match chance.below(100) {
            0..4 => return failed("overloaded", true),
            4 => return failed("no such model", false),
            5 => std::panic::resume_unwind(Box::new("a driver that breaks")),
            _ => {}
        }
        let text = speak(&mut chance, stream);
        let tools = tools(&mut chance, &self.known, prompt);
        let out: usize = text.len() + tools.iter().map(|tool| tool.arguments.len()).sum::<usize>();
        let input: usize = prompt.items.iter().map(|(_, bytes)| bytes.len()).sum();
        let stop = if tools.is_empty() { Stop::End } else { Stop::Tools };
        Ok(Said { text, tools, stop, usage: claim(&mut chance, input, out) })
    }
}

fn speak(chance: &mut Chance, stream: &mut dyn FnMut(&str) -> Flow) -> String {
    let pieces = match chance.below(16) {
        0 => PIECES_MAX,
        1 => 60 + chance.index(200),
        _ => chance.index(4),
    };
    let mut text = String::new();
    for _ in 0..pieces {
        if stream(PIECE) == Flow::Stop {
            break;
        }
        text.push_str(PIECE);
    }
    text
}

/// What it says it used: the truth, nothing, less than nothing, three times too much, absurdly much.
fn claim(chance: &mut Chance, input: usize, out: usize) -> RawUsage {
    let tokens = |bytes: usize| i64::try_from(bytes / 4 + 1).unwrap_or(i64::MAX);
    let (tokens_in, tokens_out) = (tokens(input), tokens(out));
    match chance.below(200) {
        0..20 => RawUsage::default(),
        20..30 => {
            RawUsage { tokens_in: -tokens_in, tokens_out: i64::MIN, tokens_cached: -1, tokens_written: 0 }
        }
        30..50 => RawUsage {
            tokens_in: tokens_in * 3,
            tokens_out: tokens_out * 3,
            tokens_cached: tokens_in,
            tokens_written: 0,
        },
        50 => {
            RawUsage { tokens_in: i64::MAX, tokens_out: i64::MAX, tokens_cached: i64::MAX, tokens_written: 0 }
        }
        51..54 => RawUsage { tokens_in, tokens_out: 20_000, tokens_cached: 0, tokens_written: 0 },
        // What was cached, and what it has put there now, dearer than what is only read.
        54..90 => RawUsage {
            tokens_in: tokens_in / 4,
            tokens_out,
            tokens_cached: tokens_in / 4,
            tokens_written: tokens_in / 2,
        },
        90 => RawUsage { tokens_in, tokens_out, tokens_cached: 0, tokens_written: 300_000 },
        _ => RawUsage { tokens_in, tokens_out, tokens_cached: 0, tokens_written: 0 },
    }
}

fn tools(chance: &mut Chance, known: &Known, prompt: &Prompt) -> Vec<ToolCall> {
    let count = match chance.below(40) {
        0..6 => 0,
        6 => 70,
        _ => 1 + chance.index(4),
    };
    (0..count).map(|_| tool(chance, known, prompt)).collect()
}

fn tool(chance: &mut Chance, known: &Known, prompt: &Prompt) -> ToolCall {
    let call = |name: &str, arguments: String| ToolCall { name: name.to_owned(), arguments };
    match chance.below(30) {
        0 => return call("rm -rf", "{}".to_owned()),
        1 => return call("write", "{\"path\":\"/data/a\",\"text\":".to_owned()),
        2 => return call("read", "[".repeat(100)),
        3 => return call(&"w".repeat(300), "null".to_owned()),
        4 => return call("write", format!("{{\"path\":\"/data/big\",\"text\":\"{}\"}}", "x".repeat(70_000))),
        5 => return call("complete", "{\"model\":\"sim\",\"text\":\"more\"}".to_owned()),
        _ => {}
    }
    // Texts that others write as well, seen and written again and again.
    let texts =
        prompt.tools.iter().any(|tool| tool == "read") && prompt.tools.iter().any(|tool| tool == "write");
    if texts && chance.one_in(5) {
        let path = chance.word(&["/data/c.md", "/data/d/m.txt"]);
        return match chance.one_in(2) {
            true => call("read", format!("{{\"path\":\"{path}\"}}")),
            false => call("write", write(chance, known, path)),
        };
    }
    let allowed = chance.pick(&prompt.tools).cloned().unwrap_or_else(|| "read".to_owned());
    let arguments = arguments(chance, known, &allowed);
    ToolCall { name: allowed, arguments }
}

/// Arguments of a call, as a model would write them.
fn arguments(chance: &mut Chance, known: &Known, name: &str) -> String {
    let path = known.path(chance);
    match name {
        "list" => {
            let dir = chance.word(&["/data", "/data/d", "/integrations/keyed", "/home", "/proc", "/"]);
            format!("{{\"path\":\"{dir}\"}}")
        }
        "history" if chance.one_in(2) => {
            format!("{{\"operation\":{}}}", chance.below(known.op.0 + 2))
        }
        "search" => format!("{{\"query\":\"{}\"}}", chance.word(&["line", "1", "mallory"])),
        "read" | "history" | "remove" => format!("{{\"path\":\"{path}\"}}"),
        "write" => write(chance, known, &path),
        "move" => format!("{{\"from\":\"{path}\",\"to\":\"{}\"}}", known.path(chance)),
        "spawn" => {
            let post = chance.word(&["", ",\"post\":[{\"exists\":\"/data/a\"}]"]);
            let budget = chance.word(&["", ",\"budget\":\"0.05\"", ",\"budget\":\"-1\""]);
            let agent = chance.word(&["clerk", "rogue", "nobody"]);
            format!("{{\"agent\":\"{agent}\",\"text\":\"write to bob@example.org\"{post}{budget}}}")
        }
        "dispatch" => {
            let mode = chance.word(&["follow_up", "steer", "interrupt", "shout"]);
            format!("{{\"agent\":\"boss\",\"text\":\"go on\",\"mode\":\"{mode}\",\"origin\":\"typed\"}}")
        }
        "wait" => match chance.below(3) {
            0 => format!("{{\"pid\":{},\"timeout_ms\":{}}}", known.pid(chance), chance.below(9000)),
            1 => format!("{{\"proposal\":{},\"timeout_ms\":5000}}", known.proposal(chance)),
            _ => format!("{{\"timeout_ms\":{}}}", chance.below(2000)),
        },
        "propose" => {
            let (site, _) = chance.pick(&SITES).copied().unwrap_or(("keyed", abi::manifest::Recovery::Keyed));
            let kind = chance.word(&["mail.send", "mail.send", "note.put", "mail.burn"]);
            let to = chance.word(&RECEIVERS);
            let extra = chance.word(&["", "", "", ",\"bcc\":\"mallory@evil.example\""]);
            let body = chance.below(1000);
            let args = format!("{{\"to\":[\"{to}\"],\"body\":\"{body}\"{extra}}}");
            format!("{{\"mount\":\"{site}\",\"kind\":\"{kind}\",\"args\":{args}}}")
        }
        "exec" => {
            let dir = chance.word(&["", ",\"dir\":\"/data\"", ",\"dir\":\"nowhere\""]);
            let wall = chance.word(&["", ",\"wall\":\"native\"", ",\"wall\":\"shell\""]);
            format!("{{\"text\":\"make\"{dir}{wall}}}")
        }
        "grant" => format!("{{\"pid\":{},\"need\":\"{}\"}}", known.pid(chance), need(chance)),
        "revoke" => format!("{{\"cap\":{}}}", known.cap(chance)),
        "signal" => {
            let signal = chance.word(&["freeze", "thaw", "interrupt", "kill", "hug"]);
            format!("{{\"pid\":{},\"signal\":\"{signal}\"}}", known.pid(chance))
        }
        "decide" => format!("{{\"proposal\":{},\"verdict\":\"approve\"}}", known.proposal(chance)),
        "trace" => format!("{{\"from\":0,\"limit\":{}}}", chance.below(200)),
        _ => "{}".to_owned(),
    }
}

fn write(chance: &mut Chance, known: &Known, path: &str) -> String {
    let base = match chance.below(3) {
        0 => format!(",\"base\":{}", known.version(chance)),
        _ => String::new(),
    };
    let text = chance.below(100_000);
    // Of texts that are merged it names no base: what it saw last counts.
    if path.ends_with(".md") || path.ends_with(".txt") {
        let text = crate::crowd::lines(chance).replace('\n', "\\n");
        return format!("{{\"path\":\"{path}\",\"text\":\"{text}\"}}");
    }
    match chance.below(8) {
        0 => format!("{{\"path\":\"{path}\",\"mode\":\"append\",\"text\":\"{text}\\n\"}}"),
        1 => format!("{{\"path\":\"{path}\",\"mode\":\"patch\",\"find\":\"1\",\"text\":\"{text}\"{base}}}"),
        2 => format!("{{\"path\":\"{path}\",\"mode\":\"dir\"}}"),
        3 => format!("{{\"path\":\"{path}\",\"mode\":\"restore\",\"version\":{}}}", known.version(chance)),
        4 => format!("{{\"path\":\"{path}\",\"mode\":\"restore\",\"pid\":{}}}", known.pid(chance)),
        _ => format!("{{\"path\":\"{path}\",\"text\":\"{text}\"{base}}}"),
    }
}

/// Words of a grant.
pub fn need(chance: &mut Chance) -> &'static str {
    chance.word(&[
        "read /data/**",
        "write /data/**",
        "read /data/d/*",
        "write /data/d/x",
        "read /**/x",
        "write /sys/**",
        "apply mail.send",
        "ask mail.send",
        "model any",
        "spawn clerk",
        "read /data/d/**",
    ])
}
