//! Records to spans. Fed with the records in order, from the first: a span needs what came before it.

use super::Texts;
use crate::journal::Row;
use abi::{
    Content, EffectId, Hash, Micros, Pid, Seq, WORKSPACE,
    event::Stop,
    money::{Amounts, Usage},
    record::{Entry, Exit},
};
use serde_json::json;
use std::collections::BTreeMap;

/// What a span says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// Dollars.
    Money(f64),
    /// Texts.
    Texts(Vec<String>),
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Within the workspace.
    Internal,
    /// A call of somebody outside.
    Client,
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The record that ended it.
    pub seq: Seq,
    /// 16 bytes as hexadecimal digits: the run.
    pub trace: String,
    /// 8 bytes: the span.
    pub id: String,
    /// 8 bytes; empty at the root.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// See there.
    pub kind: Kind,
    /// From when to when.
    pub time: (Micros, Micros),
    /// By the names of the conventions; ours begin with `skep.`.
    pub about: Vec<(&'static str, Value)>,
    /// Why it failed: a word, for `error.type`.
    pub error: Option<String>,
    /// Texts that may be exported if that is asked for: key, whether it is a message, content.
    pub texts: Vec<(&'static str, Role, Content)>,
}

/// As what a text is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A message of whoever gave the task.
    User,
    /// A message of the model.
    Assistant,
    /// Arguments or outcome of a tool, as they stand.
    Plain,
}

#[derive(Clone, Debug)]
struct Process {
    agent: String,
    model: String,
    run: Pid,
    above: Option<Pid>,
    began: Micros,
    task: Content,
    used: Amounts,
}

#[derive(Clone, Debug)]
struct Asked {
    pid: Pid,
    model: String,
    began: Micros,
    step: u32,
    attempt: u32,
    max_out: u64,
}

/// What the records so far have taught.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    workspace: String,
    processes: BTreeMap<Pid, Process>,
    calls: BTreeMap<EffectId, Asked>,
    waits: BTreeMap<(Pid, u32, u32), Micros>,
}

impl Spans {
    /// The workspace by its own id: 32 hexadecimal digits, once its first record was seen.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// The span that a record ends, if it ends one.
    pub fn take(&mut self, row: &Row) -> Option<Span> {
        let (at, pid) = (row.record.at, row.record.pid);
        match &row.record.body {
            Entry::Genesis { id, .. } => {
                self.workspace = id.iter().map(|byte| format!("{byte:02x}")).collect()
            }
            Entry::Spawned { pid, parent, run, agent, model, task, .. } => {
                let (agent, model) = (agent.clone(), model.clone());
                let above = Some(*parent).filter(|parent| self.processes.contains_key(parent));
                let (run, began, task) = (*run, at, *task);
                let process = Process { agent, model, run, above, began, task, used: Amounts::default() };
                self.processes.insert(*pid, process);
            }
            Entry::ModelIntended { effect, attempt, step, model, max_out, .. } => {
                let (model, step, attempt, max_out) = (model.clone(), *step, *attempt, *max_out);
                self.calls.insert(*effect, Asked { pid, model, began: at, step, attempt, max_out });
            }
            Entry::ToolWaits { step, index, .. } => drop(self.waits.insert((pid, *step, *index), at)),
            Entry::ModelAnswered { effect, stop, usage, charged, answer, .. } => {
                let said = (finish(*stop), usage, *answer);
                return self.called(row, effect, charged, Ok(said));
            }
            Entry::ModelFailed { effect, charged, .. } => {
                return self.called(row, effect, charged, Err("failed"));
            }
            Entry::ModelLost { effect, charged, .. } => {
                return self.called(row, effect, charged, Err("lost"));
            }
            Entry::Tool { .. } => return self.tool(row),
            Entry::Exited { pid, exit, verdict, result } => {
                let verdict = ("skep.verdict", Value::Text(verdict.word().to_owned()));
                return self.exited(row, *pid, (exit, verdict, *result));
            }
            _ => {}
        }
        None
    }

    /// A span of a process, with what all of them say.
    fn span(&self, row: &Row, pid: Pid, key: &str, name: String) -> Span {
        let run = self.processes.get(&pid).map_or(pid, |process| process.run);
        let mut about = vec![
            ("gen_ai.conversation.id", Value::Text(format!("{}/{run}", self.workspace))),
            ("skep.pid", Value::Number(pid.0)),
            ("skep.seq", Value::Number(row.record.seq.0)),
        ];
        if let Some(process) = self.processes.get(&pid) {
            about.push(("gen_ai.agent.name", Value::Text(process.agent.clone())));
        }
        Span {
            seq: row.record.seq,
            trace: self.id(&format!("run {run}"), 32),
            id: self.id(key, 16),
            parent: if pid == WORKSPACE { String::new() } else { self.of_process(pid) },
            name,
            kind: Kind::Internal,
            time: (row.record.at, row.record.at),
            about,
            error: None,
            texts: Vec::new(),
        }
    }

    fn of_process(&self, pid: Pid) -> String {
        self.id(&format!("process {pid}"), 16)
    }

    /// So many digits of the hash of a name within this workspace.
    fn id(&self, name: &str, digits: usize) -> String {
        let hash = Hash::of_fields("skep otel", &[self.workspace.as_bytes(), name.as_bytes()]);
        hash.to_string().chars().take(digits).collect()
    }

    fn called(
        &mut self,
        row: &Row,
        effect: &EffectId,
        charged: &Amounts,
        said: Result<(&str, &Usage, Content), &str>,
    ) -> Option<Span> {
        let call = self.calls.remove(effect)?;
        if let Some(process) = self.processes.get_mut(&call.pid) {
            process.used = process.used.plus(charged);
        }
        let (provider, model) = named(&call.model);
        let key = format!("model {effect} {}", call.attempt);
        let mut span = self.span(row, call.pid, &key, format!("chat {model}"));
        span.kind = Kind::Client;
        span.time.0 = call.began;
        span.about.extend([
            ("gen_ai.operation.name", Value::Text("chat".to_owned())),
            ("gen_ai.provider.name", Value::Text(provider)),
            ("gen_ai.request.model", Value::Text(model)),
            ("gen_ai.request.max_tokens", Value::Number(call.max_out)),
            ("skep.step", Value::Number(call.step.into())),
            ("skep.cost", money(charged)),
        ]);
        match said {
            Ok((finish, usage, answer)) => {
                span.about.extend(tokens(usage));
                span.about.push(("gen_ai.response.finish_reasons", Value::Texts(vec![finish.to_owned()])));
                span.texts.push(("gen_ai.output.messages", Role::Assistant, answer));
            }
            Err(why) => span.error = Some(why.to_owned()),
        }
        Some(span)
    }

    fn tool(&mut self, row: &Row) -> Option<Span> {
        let Entry::Tool { step, index, name, args, outcome, code, .. } = &row.record.body else {
            return None;
        };
        let pid = row.record.pid;
        let key = format!("tool {pid} {step} {index}");
        let mut span = self.span(row, pid, &key, format!("execute_tool {name}"));
        if let Some(began) = self.waits.remove(&(pid, *step, *index)) {
            span.time.0 = began;
        }
        span.about.extend([
            ("gen_ai.operation.name", Value::Text("execute_tool".to_owned())),
            ("gen_ai.tool.name", Value::Text(name.clone())),
            ("gen_ai.tool.type", Value::Text("function".to_owned())),
            ("skep.step", Value::Number((*step).into())),
        ]);
        span.error = code.map(|code| code.word().to_owned());
        span.texts.push(("gen_ai.tool.call.arguments", Role::Plain, *args));
        span.texts.push(("gen_ai.tool.call.result", Role::Plain, *outcome));
        Some(span)
    }

    fn exited(
        &mut self,
        row: &Row,
        pid: Pid,
        (exit, verdict, result): (&Exit, (&'static str, Value), Option<Content>),
    ) -> Option<Span> {
        let process = self.processes.get(&pid)?.clone();
        let (provider, model) = named(&process.model);
        let key = format!("process {pid}");
        let mut span = self.span(row, pid, &key, format!("invoke_agent {}", process.agent));
        span.parent = process.above.map_or_else(String::new, |above| self.of_process(above));
        span.time.0 = process.began;
        span.about.extend([
            ("gen_ai.operation.name", Value::Text("invoke_agent".to_owned())),
            ("gen_ai.provider.name", Value::Text(provider)),
            ("gen_ai.request.model", Value::Text(model)),
            verdict,
            ("skep.cost", money(&process.used)),
        ]);
        span.error = match exit {
            Exit::Exited(0) => None,
            Exit::Exited(_) => Some("exited".to_owned()),
            Exit::Killed(_) => Some("killed".to_owned()),
            Exit::Faulted(_) => Some("faulted".to_owned()),
        };
        span.texts.push(("gen_ai.input.messages", Role::User, process.task));
        span.texts.extend(result.map(|result| ("gen_ai.output.messages", Role::Assistant, result)));
        self.processes.remove(&pid);
        Some(span)
    }
}

impl Span {
    /// Adds the texts it names, read by their hash; a text that is not kept any more is left out.
    pub fn fill(&mut self, texts: Texts, read: &mut dyn FnMut(&Content) -> Option<String>) {
        if texts == Texts::Left {
            return;
        }
        for (key, role, content) in std::mem::take(&mut self.texts) {
            let Some(text) = read(&content) else { continue };
            let message = |role: &str| {
                json!([{ "role": role, "parts": [{ "type": "text", "content": text }] }]).to_string()
            };
            let value = match role {
                Role::User => message("user"),
                Role::Assistant => message("assistant"),
                Role::Plain => text.clone(),
            };
            self.about.push((key, Value::Text(value)));
        }
    }
}

/// Why a model ended, in the words of the conventions.
fn finish(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "stop",
        Stop::Tools => "tool_call",
        // A stream that we end is one that reached its limit.
        Stop::Length | Stop::Cut => "length",
    }
}

/// `openai/gpt-x` → provider and model; a name alone is both.
fn named(model: &str) -> (String, String) {
    match model.split_once('/') {
        Some((provider, model)) => (provider.to_owned(), model.to_owned()),
        None => (model.to_owned(), model.to_owned()),
    }
}

/// The conventions count cached and written tokens among those that went in.
fn tokens(usage: &Usage) -> [(&'static str, Value); 4] {
    let all = usage.tokens_in.saturating_add(usage.tokens_cached).saturating_add(usage.tokens_written);
    [
        ("gen_ai.usage.input_tokens", Value::Number(all)),
        ("gen_ai.usage.output_tokens", Value::Number(usage.tokens_out)),
        ("gen_ai.usage.cache_read.input_tokens", Value::Number(usage.tokens_cached)),
        ("gen_ai.usage.cache_creation.input_tokens", Value::Number(usage.tokens_written)),
    ]
}

/// Dollars, for dashboards; the ledger has it exactly.
#[allow(clippy::cast_precision_loss)]
fn money(amounts: &Amounts) -> Value {
    Value::Money(amounts.money.0 as f64 / 1e9)
}
