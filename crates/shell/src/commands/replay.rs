//! `skep replay`.

use crate::{
    escape::{self, Keep},
    fail::{Exit, Fail, Outcome},
    figures,
    journal::{self, Row},
    leave::content,
    session::{Session, Tone},
    table::Table,
};
use abi::{
    Content, EffectId, Pid,
    effect::{Item, Role},
    limits,
    money::Usage,
    record::Entry,
};
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Read};

/// Bytes of an answer as it came, unpacked.
const BODY_BYTES_MAX: u64 = 2 * limits::BODY_BYTES_MAX;

/// Answer a process's model calls again, from the log: nothing is asked and nothing is paid
///
/// Every request is built up again from what its records name, every byte compared with its hash. With a
/// number, that call: what was asked, and the answer as it came.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Which process
    #[arg(value_name = "PID")]
    pid: u64,
    /// One call of it, by its number
    #[arg(value_name = "CALL")]
    call: Option<usize>,
}

/// A call as the log tells it.
struct Call {
    effect: EffectId,
    model: String,
    items: Vec<Item>,
    fresh: usize,
    step: u32,
    format: Option<&'static str>,
    end: End,
}

/// How a call ended.
enum End {
    Open,
    Answered { answer: Content, body: Vec<Content>, usage: Usage, stop: &'static str },
    Failed(Content),
    Lost,
}

impl Replay {
    pub fn run(self, session: &mut Session) -> Outcome {
        let calls = calls(&journal::all(session)?, Pid(self.pid));
        if calls.is_empty() {
            let fail = Fail::new(format!("process {} made no model call", self.pid));
            return Err(fail.hint("skep ps --all"));
        }
        match self.call {
            None => list(session, &calls),
            Some(number) => {
                let call = number.checked_sub(1).and_then(|at| calls.get(at)).ok_or_else(|| {
                    let plural = figures::plural(calls.len() as u64, "model call");
                    Fail::new(format!("process {} made {plural}", self.pid))
                })?;
                show(session, call)
            }
        }
    }
}

/// The calls of a process, in order. What a request holds is what the one before it held, as far as it says.
fn calls(rows: &[Row], pid: Pid) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut held: BTreeMap<EffectId, Vec<Item>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.record.pid == pid) {
        match &row.record.body {
            Entry::ModelIntended { effect, step, model, prev, keep, add, asked, .. } => {
                let before = prev.and_then(|prev| held.get(&prev)).map(Vec::as_slice).unwrap_or_default();
                let kept = before.iter().take(*keep as usize).copied();
                let items: Vec<Item> = kept.chain(add.iter().copied()).collect();
                held.insert(*effect, items.clone());
                let format = asked.map(|asked| asked.api.word());
                let (effect, step, fresh) = (*effect, *step, add.len());
                calls.push(Call { effect, model: model.clone(), items, fresh, step, format, end: End::Open });
            }
            Entry::ModelAnswered { effect, answer, body, usage, stop, .. } => {
                let stop = word(*stop);
                let end = End::Answered { answer: *answer, body: body.clone(), usage: *usage, stop };
                ended(&mut calls, effect, end);
            }
            Entry::ModelFailed { effect, message, .. } => ended(&mut calls, effect, End::Failed(*message)),
            Entry::ModelLost { effect, .. } => ended(&mut calls, effect, End::Lost),
            _ => {}
        }
    }
    calls
}

fn word(stop: abi::event::Stop) -> &'static str {
    match stop {
        abi::event::Stop::End => "end",
        abi::event::Stop::Tools => "tools",
        abi::event::Stop::Length => "length",
        abi::event::Stop::Cut => "cut",
    }
}

fn ended(calls: &mut [Call], effect: &EffectId, end: End) {
    if let Some(call) = calls.iter_mut().rev().find(|call| call.effect == *effect) {
        call.end = end;
    }
}

/// Every call on a line, with whether all of it is there.
fn list(session: &mut Session, calls: &[Call]) -> Outcome {
    let mut table = Table::new(&["call>", "format", "model", "parts>", "new>", "in>", "out>", "end", "log"]);
    let mut whole = true;
    for (at, call) in calls.iter().enumerate() {
        let named: Vec<Content> = named(call);
        let missing = fetch(session, &named)?.iter().filter(|found| found.is_none()).count();
        whole &= missing == 0;
        let (usage, end) = match &call.end {
            End::Open => (Usage::default(), "under way"),
            End::Answered { usage, stop, .. } => (*usage, *stop),
            End::Failed(_) => (Usage::default(), "failed"),
            End::Lost => (Usage::default(), "lost"),
        };
        let tokens_in = usage.tokens_in + usage.tokens_cached + usage.tokens_written;
        let (parts, fresh) = (call.items.len(), call.fresh);
        if session.is_json() {
            session.object(&json!({
                "call": at + 1, "step": call.step, "format": call.format, "model": call.model,
                "parts": parts, "new": fresh, "usage": usage, "end": end, "missing": missing,
            }))?;
            continue;
        }
        table.row([
            &(at + 1).to_string(),
            call.format.unwrap_or("turn"),
            &call.model,
            &parts.to_string(),
            &fresh.to_string(),
            &figures::count(tokens_in),
            &figures::count(usage.tokens_out),
            end,
            &if missing == 0 { "whole".to_owned() } else { format!("{missing} missing") },
        ]);
    }
    if !session.is_json() {
        session.print(&table.print())?;
    }
    Ok(if whole { Exit::Fine } else { Exit::Bad })
}

/// All contents that a call names.
fn named(call: &Call) -> Vec<Content> {
    let mut all: Vec<Content> = call.items.iter().map(|item| item.content).collect();
    match &call.end {
        End::Answered { answer, body, .. } => {
            all.push(*answer);
            all.extend(body);
        }
        End::Failed(message) => all.push(*message),
        End::Open | End::Lost => {}
    }
    all
}

/// One call: what was asked, and the answer.
fn show(session: &mut Session, call: &Call) -> Outcome {
    let contents: Vec<Content> = call.items.iter().map(|item| item.content).collect();
    let items = whole(session, &contents)?;
    let answer = match &call.end {
        End::Answered { body, .. } if !body.is_empty() => {
            let packed = whole(session, body)?.concat();
            let mut bytes = Vec::new();
            let read = ZlibDecoder::new(&packed[..]).take(BODY_BYTES_MAX).read_to_end(&mut bytes);
            read.map_err(|_| Fail::new("the answer that was kept cannot be unpacked"))?;
            bytes
        }
        End::Answered { answer, .. } | End::Failed(answer) => whole(session, &[*answer])?.concat(),
        End::Open | End::Lost => Vec::new(),
    };
    if session.is_json() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parts: Vec<Value> =
            call.items.iter().zip(&items).map(|(item, bytes)| json!([item.role, text(bytes)])).collect();
        let format = call.format;
        let object = json!({"format": format, "model": call.model, "parts": parts, "answer": text(&answer)});
        session.object(&object)?;
        return Ok(Exit::Fine);
    }
    for (item, bytes) in call.items.iter().zip(&items) {
        heading(session, if call.format.is_some() { "asked" } else { role(item.role) })?;
        session.say(&escape::escape(&String::from_utf8_lossy(bytes), Keep::Lines))?;
    }
    heading(session, "answer")?;
    session.say(&escape::escape(String::from_utf8_lossy(&answer).trim_end(), Keep::Lines))?;
    Ok(Exit::Fine)
}

fn heading(session: &mut Session, text: &str) -> Result<(), Fail> {
    let line = session.paint(&format!("── {text}"), Tone::Strong);
    session.say(&line)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool(_) => "tool",
    }
}

/// All of these bytes, or what is missing.
fn whole(session: &mut Session, contents: &[Content]) -> Result<Vec<Vec<u8>>, Fail> {
    let found = fetch(session, contents)?;
    let all: Option<Vec<Vec<u8>>> = found.into_iter().collect();
    all.ok_or_else(|| {
        Fail::new("bytes that this call names are gone").hint("skep trace says which record took them")
    })
}

/// Bytes in order, compared with their hashes; none where they are not kept any more.
fn fetch(session: &mut Session, contents: &[Content]) -> Result<Vec<Option<Vec<u8>>>, Fail> {
    let mut all = Vec::with_capacity(contents.len());
    content::small(session, contents, &mut |_, bytes| {
        all.push(bytes);
        Ok(())
    })?;
    Ok(all)
}
