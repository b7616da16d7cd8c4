//! The Messages format of Anthropic.
//!
//! ```text
//! message_start {usage: input} · (content_block_start · content_block_delta … · content_block_stop) …
//!   · message_delta {stop_reason, usage: output} · message_stop          ping and unknown events anywhere
//! ```
//! A request marks three places up to which the provider may keep what it read (`cache_control`): the system
//! text with the tools before it, and the ends of the last two turns of the user, so that each step reads
//! what the step before wrote. Never here: a connection, a key.

use super::{
    super::{
        sse,
        talk::{self, Part, Talk, Turn},
        told::{self, Told, count, place, text},
    },
    Asked, Broke, Class, Reader,
};
use crate::Prompt;
use abi::event::Stop;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Turns of the user whose end is marked.
const MARKED: usize = 2;

/// The body of a streamed request.
pub(super) fn body(prompt: &Prompt) -> Value {
    let talk = Talk::of(prompt);
    let mut messages: Vec<Value> = Vec::new();
    for turn in &talk.turns {
        let (role, blocks) = match turn {
            Turn::User(parts) => ("user", parts.iter().map(block).collect()),
            Turn::Results(results) => ("user", results.iter().map(result).collect()),
            Turn::Assistant { text, uses } => {
                let said = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
                let calls = uses.iter().map(|one| {
                    json!({ "type": "tool_use", "id": one.id, "name": one.name, "input": one.arguments })
                });
                ("assistant", said.into_iter().chain(calls).collect::<Vec<_>>())
            }
        };
        push(&mut messages, role, blocks);
    }
    let users = messages.iter_mut().rev().filter(|message| message["role"] == "user");
    for message in users.take(MARKED) {
        if let Some(last) = message["content"].as_array_mut().and_then(|blocks| blocks.last_mut()) {
            mark(last);
        }
    }
    let mut body = json!({
        "model": prompt.model,
        "max_tokens": prompt.max_out.max(1),
        "stream": true,
        "messages": messages,
    });
    let mut tools: Vec<Value> = talk::tools(prompt)
        .map(
            |(name, meaning, schema)| json!({ "name": name, "description": meaning, "input_schema": schema }),
        )
        .collect();
    if talk.system.is_empty() {
        tools.last_mut().into_iter().for_each(mark);
    } else {
        let mut system = json!({ "type": "text", "text": talk.system });
        mark(&mut system);
        body["system"] = json!([system]);
    }
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    body
}

/// Two turns of one role are one message.
fn push(messages: &mut Vec<Value>, role: &str, mut blocks: Vec<Value>) {
    let last = messages.last_mut().filter(|message| message["role"] == role);
    match last.and_then(|message| message["content"].as_array_mut()) {
        Some(there) => there.append(&mut blocks),
        None => messages.push(json!({ "role": role, "content": blocks })),
    }
}

fn mark(block: &mut Value) {
    block["cache_control"] = json!({ "type": "ephemeral" });
}

fn block(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image { media, base64 } => json!({
            "type": "image",
            "source": { "type": "base64", "media_type": media, "data": base64 },
        }),
    }
}

fn result(outcome: &talk::Outcome) -> Value {
    let mut made = json!({ "type": "tool_result", "tool_use_id": outcome.id });
    if !outcome.parts.is_empty() {
        made["content"] = outcome.parts.iter().map(block).collect::<Vec<_>>().into();
    }
    made
}

/// Reads an answer.
pub(super) struct Reading {
    asked: Asked,
    told: Told,
    started: bool,
    /// Blocks that were begun and not ended, with whether they are a tool call of ours.
    open: BTreeMap<u64, Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Tool,
    Other,
}

/// Blocks that may be open at once; the format has one.
const OPEN_MAX: usize = 64;

impl Reading {
    pub(super) fn new(asked: Asked) -> Self {
        Self { asked, told: Told::default(), started: false, open: BTreeMap::new() }
    }

    fn usage(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage else { return };
        // Each later value stands for the whole: they are sums, not parts.
        let set = |to: &mut i64, key: &str| *to = count(usage.get(key)).unwrap_or(*to);
        set(&mut self.told.usage.tokens_in, "input_tokens");
        set(&mut self.told.usage.tokens_out, "output_tokens");
        set(&mut self.told.usage.tokens_cached, "cache_read_input_tokens");
        set(&mut self.told.usage.tokens_written, "cache_creation_input_tokens");
    }

    fn stop(&mut self, reason: &str) {
        self.told.stop = match reason {
            "" => return,
            "max_tokens" | "model_context_window_exceeded" => Some(Stop::Length),
            "tool_use" => Some(Stop::Tools),
            "refusal" => return self.told.refused(),
            _ => Some(Stop::End),
        };
    }

    fn begin(&mut self, at: u64, block: &Value) {
        let kind = if text(block, "type") == "tool_use" { Block::Tool } else { Block::Other };
        if kind == Block::Tool {
            self.told.name(at, text(block, "name"));
        }
        if self.open.len() < OPEN_MAX {
            self.open.insert(at, kind);
        }
        match text(block, "type") {
            "text" => self.told.say(text(block, "text")),
            _ => self.told.think(text(block, "thinking")),
        }
    }

    fn delta(&mut self, at: u64, delta: &Value) {
        match text(delta, "type") {
            "text_delta" => self.told.say(text(delta, "text")),
            "thinking_delta" => self.told.think(text(delta, "thinking")),
            "input_json_delta" if self.open.get(&at) == Some(&Block::Tool) => {
                self.told.argue(at, text(delta, "partial_json"));
            }
            _ => self.told.think(text(delta, "partial_json")),
        }
    }
}

impl Reader for Reading {
    fn event(&mut self, event: &Value) -> Result<Class, Broke> {
        let none = Value::Null;
        let at = place(event, "index");
        match text(event, "type") {
            "error" => return Err(Broke),
            "message_start" => {
                self.started = true;
                self.usage(event.get("message").and_then(|message| message.get("usage")));
            }
            "content_block_start" => self.begin(at, event.get("content_block").unwrap_or(&none)),
            "content_block_delta" => self.delta(at, event.get("delta").unwrap_or(&none)),
            "content_block_stop" => {
                self.open.remove(&at);
            }
            "message_delta" => {
                self.usage(event.get("usage"));
                self.stop(event.get("delta").map_or("", |delta| text(delta, "stop_reason")));
                return Ok(if self.told.stop.is_some() { Class::Closing } else { Class::Body });
            }
            "message_stop" => return Ok(Class::Last),
            _ => {}
        }
        Ok(Class::Body)
    }

    fn whole(&mut self, body: &Value) -> Result<(), Broke> {
        if text(body, "type") == "error" || body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Broke);
        }
        let Some(blocks) = body.get("content").and_then(Value::as_array) else { return Ok(()) };
        self.told.stop = Some(Stop::End);
        for (at, block) in (0..).zip(blocks) {
            self.begin(at, block);
            if let (true, Some(input)) = (text(block, "type") == "tool_use", block.get("input")) {
                self.told.argue(at, &input.to_string());
            }
        }
        self.open.clear();
        self.usage(body.get("usage"));
        self.stop(text(body, "stop_reason"));
        Ok(())
    }

    fn close(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut say = |event: Value| out.extend(sse::event(told::text(&event, "type"), &event));
        if !self.started {
            say(json!({ "type": "message_start", "message": {
                "id": "msg_ended_before_it_began", "type": "message", "role": "assistant", "content": [],
                "model": self.asked.model, "stop_reason": null, "stop_sequence": null,
                "usage": { "input_tokens": self.asked.tokens_in, "output_tokens": 0 },
            }}));
        }
        for at in self.open.keys() {
            say(json!({ "type": "content_block_stop", "index": at }));
        }
        say(json!({
            "type": "message_delta",
            "delta": { "stop_reason": "max_tokens", "stop_sequence": null },
            "usage": { "output_tokens": self.told.tokens() },
        }));
        say(json!({ "type": "message_stop" }));
        self.open.clear();
        out
    }

    fn told(&mut self) -> &mut Told {
        &mut self.told
    }
}
