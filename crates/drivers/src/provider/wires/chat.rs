//! The chat completions format of OpenAI, as its many speakers have it.
//!
//! ```text
//! data: {choices: [{index, delta: {content | tool_calls: [{index, id, function: {name, arguments}}]}}]} …
//! data: {choices: [{delta: {}, finish_reason}]} · data: {choices: [], usage} · data: [DONE]
//! ```
//! Usage stands in the last but one event, if it was asked for; some servers send it with the end, some with
//! every event, some never. Some leave `[DONE]` out, some the index of a tool call, some say `stop` when they
//! call tools. Never here: a connection, a key.

use super::{
    super::{
        sse,
        talk::{self, Part, Talk, Turn, text_of},
        told::{Told, count, place, text},
    },
    Asked, Broke, Class, Limit, Reader,
};
use crate::Prompt;
use abi::event::Stop;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The body of a streamed request.
pub(super) fn body(prompt: &Prompt, limit: Limit) -> Value {
    let talk = Talk::of(prompt);
    let mut messages: Vec<Value> = Vec::new();
    if !talk.system.is_empty() {
        messages.push(json!({ "role": "system", "content": talk.system }));
    }
    for turn in &talk.turns {
        match turn {
            Turn::User(parts) => messages.push(json!({ "role": "user", "content": content(parts) })),
            Turn::Assistant { text, uses } => {
                let calls: Vec<Value> = uses
                    .iter()
                    .map(|one| {
                        let arguments = Value::Object(one.arguments.clone()).to_string();
                        let function = json!({ "name": one.name, "arguments": arguments });
                        json!({ "id": one.id, "type": "function", "function": function })
                    })
                    .collect();
                let mut said = json!({ "role": "assistant", "content": text });
                if !calls.is_empty() {
                    said["tool_calls"] = calls.into();
                }
                messages.push(said);
            }
            Turn::Results(results) => messages.extend(told_of(results)),
        }
    }
    let mut body = json!({
        "model": prompt.model,
        "stream": true,
        "stream_options": { "include_usage": true },
        "messages": messages,
    });
    body[limit.name()] = prompt.max_out.max(1).into();
    let tools: Vec<Value> = talk::tools(prompt)
        .map(|(name, meaning, schema)| {
            let function = json!({ "name": name, "description": meaning, "parameters": schema });
            json!({ "type": "function", "function": function })
        })
        .collect();
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    body
}

/// A message for each result, and one of the user's with the images: a result is text in this format.
fn told_of(results: &[talk::Outcome]) -> Vec<Value> {
    let mut messages: Vec<Value> = results
        .iter()
        .map(|one| json!({ "role": "tool", "tool_call_id": one.id, "content": text_of(&one.parts) }))
        .collect();
    let shown = |part: &&Part| matches!(part, Part::Image { .. });
    let images: Vec<Part> = results.iter().flat_map(|one| one.parts.iter().filter(shown)).cloned().collect();
    if !images.is_empty() {
        messages.push(json!({ "role": "user", "content": content(&images) }));
    }
    messages
}

/// Text as text, which every server takes; parts only where an image is among them.
fn content(parts: &[Part]) -> Value {
    if !parts.iter().any(|part| matches!(part, Part::Image { .. })) {
        return text_of(parts).into();
    }
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image { media, base64 } => {
            json!({ "type": "image_url", "image_url": { "url": format!("data:{media};base64,{base64}") } })
        }
    });
    parts.collect::<Vec<_>>().into()
}

/// What of a client's body says whether usage is asked for.
#[derive(Deserialize)]
struct Peek {
    stream_options: Option<Value>,
}

/// The body with usage asked for, and whether it was changed. All other bytes stay what they are.
pub(super) fn with_usage(body: &[u8]) -> (Vec<u8>, bool) {
    let peek: Result<Peek, _> = serde_json::from_slice(body);
    let begins = body.iter().position(|byte| !byte.is_ascii_whitespace());
    match (peek.map(|peek| peek.stream_options), begins) {
        (Ok(None), Some(at)) if body.get(at) == Some(&b'{') => {
            let null = memchr::memmem::find(body, b"\"stream_options\"").is_some();
            if null {
                return asked_anew(body);
            }
            let (head, rest) = body.split_at(at + 1);
            let asks = br#""stream_options":{"include_usage":true},"#;
            ([head, asks, rest].concat(), true)
        }
        (Ok(Some(options)), _) if options.get("include_usage") != Some(&Value::Bool(true)) => {
            asked_anew(body)
        }
        // Usage is asked for; or it is no request, and the provider will say so.
        (Ok(_) | Err(_), _) => (body.to_vec(), false),
    }
}

/// The body read and written again, for the rare client that has options and does not ask for usage.
fn asked_anew(body: &[u8]) -> (Vec<u8>, bool) {
    let Ok(Value::Object(mut map)) = serde_json::from_slice(body) else { return (body.to_vec(), false) };
    let mut options = match map.remove("stream_options") {
        Some(Value::Object(options)) => options,
        _ => serde_json::Map::new(),
    };
    options.insert("include_usage".to_owned(), true.into());
    map.insert("stream_options".to_owned(), options.into());
    (Value::Object(map).to_string().into_bytes(), true)
}

/// Reads an answer.
pub(super) struct Reading {
    asked: Asked,
    told: Told,
    /// Choices that were begun, with whether they ended.
    choices: BTreeMap<u64, bool>,
    /// The last event without its choices: what ours look like.
    frame: Value,
    /// The call to which arguments without a place belong.
    last: u64,
}

/// Choices that are followed; a client asks for one.
const CHOICES_MAX: usize = 128;

impl Reading {
    pub(super) fn new(asked: Asked) -> Self {
        let frame = json!({
            "id": "chatcmpl-ended-before-it-began", "object": "chat.completion.chunk", "created": 0,
            "model": asked.model,
        });
        Self { asked, told: Told::default(), choices: BTreeMap::new(), frame, last: 0 }
    }

    fn usage(&mut self, usage: &Value) {
        let of = |key: &str, detail: &str| count(usage.get(key).and_then(|details| details.get(detail)));
        let cached = of("prompt_tokens_details", "cached_tokens")
            .or_else(|| count(usage.get("prompt_cache_hit_tokens")))
            .unwrap_or(0);
        let written = of("prompt_tokens_details", "cache_write_tokens").unwrap_or(0);
        if let Some(all) = count(usage.get("prompt_tokens")) {
            self.told.usage.tokens_in = all.saturating_sub(cached).saturating_sub(written);
        }
        self.told.usage.tokens_cached = cached;
        self.told.usage.tokens_written = written;
        if let Some(out) = count(usage.get("completion_tokens")) {
            self.told.usage.tokens_out = out;
        }
    }

    /// A choice's delta or message; only the first choice is the answer, all are said.
    fn choice(&mut self, at: u64, said: &Value) {
        for key in ["reasoning_content", "reasoning"] {
            self.told.think(text(said, key));
        }
        let parts = said.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let parts = parts.iter().map(|part| text(part, "text"));
        for text in parts.chain([text(said, "content"), text(said, "refusal")]) {
            match at {
                0 => self.told.say(text),
                _ => self.told.think(text),
            }
        }
        let calls = said.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (ix, call) in (0..).zip(calls) {
            self.call(at, ix, call);
        }
    }

    fn call(&mut self, choice: u64, ix: u64, call: &Value) {
        let none = Value::Null;
        let function = call.get("function").unwrap_or(&none);
        let (name, arguments) = (text(function, "name"), function.get("arguments").unwrap_or(&none));
        // Arguments are text; some servers send them as the object they are.
        let arguments = match arguments {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if choice != 0 {
            self.told.think(name);
            self.told.think(&arguments);
            return;
        }
        let at = match call.get("index").and_then(Value::as_u64) {
            Some(at) => at,
            // No index: a name begins the next call, anything else goes on with the last.
            None if !name.is_empty() && self.told.has_tools() => self.last.saturating_add(1),
            None if name.is_empty() => self.last,
            None => ix,
        };
        self.last = at;
        self.told.name(at, name);
        self.told.argue(at, &arguments);
    }

    fn finish(&mut self, at: u64, reason: &str) {
        if at != 0 {
            return;
        }
        self.told.stop = match reason {
            "length" => Some(Stop::Length),
            "tool_calls" | "function_call" => Some(Stop::Tools),
            "content_filter" => return self.told.refused(),
            _ => Some(Stop::End),
        };
    }
}

impl Reader for Reading {
    fn event(&mut self, event: &Value) -> Result<Class, Broke> {
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Broke);
        }
        for key in ["id", "created", "model", "object", "system_fingerprint"] {
            if let Some(value) = event.get(key).filter(|value| value.to_string().len() < 512) {
                self.frame[key] = value.clone();
            }
        }
        let usage = event.get("usage").filter(|usage| usage.is_object());
        if let Some(usage) = usage {
            self.usage(usage);
        }
        let choices = event.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for choice in choices {
            let at = place(choice, "index");
            if self.choices.len() < CHOICES_MAX {
                self.choices.entry(at).or_insert(false);
            }
            if let Some(delta) = choice.get("delta") {
                self.choice(at, delta);
            }
            let reason = text(choice, "finish_reason");
            if !reason.is_empty() {
                self.choices.entry(at).and_modify(|ended| *ended = true);
                self.finish(at, reason);
            }
        }
        if choices.is_empty() && usage.is_some() && self.asked.hides_usage {
            return Ok(Class::Hidden);
        }
        let over = !self.choices.is_empty() && self.choices.values().all(|ended| *ended);
        Ok(if over { Class::Closing } else { Class::Body })
    }

    fn whole(&mut self, body: &Value) -> Result<(), Broke> {
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Broke);
        }
        if let Some(usage) = body.get("usage") {
            self.usage(usage);
        }
        let choices = body.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for choice in choices {
            let at = place(choice, "index");
            if let Some(message) = choice.get("message") {
                self.choice(at, message);
            }
            self.finish(at, text(choice, "finish_reason"));
        }
        Ok(())
    }

    fn close(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        // Clients want to know whose words they are, even if there are none.
        let delta =
            if self.choices.is_empty() { json!({ "role": "assistant", "content": "" }) } else { json!({}) };
        if self.choices.is_empty() {
            self.choices.insert(0, false);
        }
        for (at, _) in self.choices.iter().filter(|(_, ended)| !**ended) {
            let mut chunk = self.frame.clone();
            chunk["choices"] =
                json!([{ "index": at, "delta": delta, "logprobs": null, "finish_reason": "length" }]);
            out.extend(sse::event("", &chunk));
        }
        if !self.asked.hides_usage {
            let mut chunk = self.frame.clone();
            let (input, output) = (self.asked.tokens_in, self.told.tokens());
            chunk["choices"] = json!([]);
            chunk["usage"] = json!({
                "prompt_tokens": input, "completion_tokens": output,
                "total_tokens": input.saturating_add(output),
            });
            out.extend(sse::event("", &chunk));
        }
        out.extend(b"data: [DONE]\n\n");
        out
    }

    fn told(&mut self) -> &mut Told {
        &mut self.told
    }
}
