//! The Responses format of OpenAI.
//!
//! ```text
//! response.created {response}
//!   · (response.output_item.added {output_index, item}
//!      · (content_part.added · output_text.delta … · output_text.done · content_part.done) …
//!        or function_call_arguments.delta … · function_call_arguments.done
//!      · response.output_item.done) …
//!   · response.completed | response.incomplete | response.failed {response, with usage}
//! ```
//! The answer is taken from the pieces, and from the whole response at the end only what no piece said.
//! Never here: a connection, a key.

use super::{
    super::{
        sse,
        talk::{self, Part, Talk, Turn},
        told::{Told, count, place, text},
    },
    Asked, Broke, Class, Reader,
};
use crate::Prompt;
use abi::event::Stop;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The least that the provider takes as a limit.
const LIMIT_MIN: u64 = 16;

/// The body of a streamed request. Nothing is kept at the provider (`store`): the log has it.
pub(super) fn body(prompt: &Prompt) -> Value {
    let talk = Talk::of(prompt);
    let mut input: Vec<Value> = Vec::new();
    for turn in &talk.turns {
        match turn {
            Turn::User(parts) => input.push(json!({ "role": "user", "content": content(parts) })),
            Turn::Assistant { text, uses } => {
                if !text.is_empty() {
                    let said = json!([{ "type": "output_text", "text": text }]);
                    input.push(json!({ "type": "message", "role": "assistant", "content": said }));
                }
                input.extend(uses.iter().map(|one| {
                    let arguments = Value::Object(one.arguments.clone()).to_string();
                    json!({ "type": "function_call", "call_id": one.id, "name": one.name,
                            "arguments": arguments })
                }));
            }
            Turn::Results(results) => input.extend(results.iter().map(result)),
        }
    }
    let mut body = json!({
        "model": prompt.model,
        "stream": true,
        "store": false,
        "input": input,
        "max_output_tokens": prompt.max_out.max(LIMIT_MIN),
    });
    if !talk.system.is_empty() {
        body["instructions"] = talk.system.into();
    }
    let tools: Vec<Value> = talk::tools(prompt)
        .map(|(name, meaning, schema)| {
            json!({ "type": "function", "name": name, "description": meaning, "parameters": schema,
                    "strict": false })
        })
        .collect();
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    body
}

fn content(parts: &[Part]) -> Value {
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => json!({ "type": "input_text", "text": text }),
        Part::Image { media, base64 } => json!({
            "type": "input_image", "detail": "auto", "image_url": format!("data:{media};base64,{base64}"),
        }),
    });
    parts.collect::<Vec<_>>().into()
}

/// Text as text; parts only where an image is among them.
fn result(outcome: &talk::Outcome) -> Value {
    let shown = outcome.parts.iter().any(|part| matches!(part, Part::Image { .. }));
    let output = if shown { content(&outcome.parts) } else { talk::text_of(&outcome.parts).into() };
    json!({ "type": "function_call_output", "call_id": outcome.id, "output": output })
}

/// Reads an answer.
pub(super) struct Reading {
    asked: Asked,
    told: Told,
    /// The response as it was created, without what it repeats of the request; none before it was.
    response: Option<Value>,
    items: BTreeMap<u64, Item>,
    sequence: u64,
    /// Bytes of items and parts as they were added.
    kept: usize,
}

/// An item of the output while it is said.
struct Item {
    /// As it was added.
    value: Value,
    open: bool,
    /// Its parts: what each is, its text so far, whether it is open.
    parts: BTreeMap<u64, (Value, String, bool)>,
    arguments: String,
}

/// Items that are followed for the closing events. The longest answers have a few dozen.
const ITEMS_MAX: usize = 256;
/// Parts of one item.
const PARTS_MAX: usize = 64;
/// Bytes of items and parts as they are added, which are empty then but for their names.
const ADDED_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the created response, which repeats instructions and tools.
const RESPONSE_BYTES_MAX: usize = 512 * 1024;
/// Bytes of text and arguments kept for the closing events.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

impl Reading {
    pub(super) fn new(asked: Asked) -> Self {
        Self { asked, told: Told::default(), response: None, items: BTreeMap::new(), sequence: 0, kept: 0 }
    }

    /// Whether the value may be kept: an object, within what is kept of all of them.
    fn fits(&mut self, value: &Value) -> bool {
        let bytes = value.to_string().len();
        let fits = value.is_object() && self.kept.saturating_add(bytes) <= ADDED_BYTES_MAX;
        self.kept += if fits { bytes } else { 0 };
        fits
    }

    fn usage(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage.filter(|usage| usage.is_object()) else { return };
        let details = usage.get("input_tokens_details");
        let cached = count(details.and_then(|details| details.get("cached_tokens"))).unwrap_or(0);
        if let Some(all) = count(usage.get("input_tokens")) {
            self.told.usage.tokens_in = all.saturating_sub(cached);
        }
        self.told.usage.tokens_cached = cached;
        if let Some(out) = count(usage.get("output_tokens")) {
            self.told.usage.tokens_out = out;
        }
    }

    fn added(&mut self, at: u64, item: &Value) {
        if text(item, "type") == "function_call" {
            self.told.name(at, text(item, "name"));
        }
        if self.items.len() < ITEMS_MAX && self.fits(item) {
            let value = item.clone();
            let item = Item { value, open: true, parts: BTreeMap::new(), arguments: String::new() };
            self.items.insert(at, item);
        }
    }

    /// An item that is whole; says what of it no piece said before.
    fn done(&mut self, at: u64, item: &Value) {
        match text(item, "type") {
            "function_call" => {
                if !self.items.contains_key(&at) {
                    self.told.name(at, text(item, "name"));
                }
                self.told.argue_whole(at, text(item, "arguments"));
            }
            "message" if !self.said_of(at) => self.message(item),
            _ => {}
        }
    }

    fn said_of(&self, at: u64) -> bool {
        let said = |item: &Item| item.parts.values().any(|(_, text, _)| !text.is_empty());
        self.items.get(&at).is_some_and(said)
    }

    fn message(&mut self, item: &Value) {
        let parts = item.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for part in parts {
            self.told.say(text(part, "text"));
            self.told.say(text(part, "refusal"));
        }
    }

    fn part(&mut self, event: &Value) {
        let Some(part) = event.get("part") else { return };
        if !self.fits(part) {
            return;
        }
        let known = self.items.get_mut(&place(event, "output_index"));
        if let Some(item) = known.filter(|item| item.parts.len() < PARTS_MAX) {
            let text = text(part, "text").to_owned();
            item.parts.insert(place(event, "content_index"), (part.clone(), text, true));
        }
    }

    /// Text or a refusal, piece by piece.
    fn delta(&mut self, event: &Value) {
        let delta = text(event, "delta");
        self.told.say(delta);
        let room = usize::try_from(self.told.said).unwrap_or(usize::MAX) <= TEXT_BYTES_MAX;
        let Some(item) = self.items.get_mut(&place(event, "output_index")) else { return };
        let at = place(event, "content_index");
        if room && (item.parts.contains_key(&at) || item.parts.len() < PARTS_MAX) {
            let empty =
                || (json!({ "type": "output_text", "text": "", "annotations": [] }), String::new(), true);
            item.parts.entry(at).or_insert_with(empty).1.push_str(delta);
        }
    }

    fn argument(&mut self, event: &Value) {
        let (at, delta) = (place(event, "output_index"), text(event, "delta"));
        self.told.argue(at, delta);
        let room = usize::try_from(self.told.said).unwrap_or(usize::MAX) <= TEXT_BYTES_MAX;
        if let Some(item) = self.items.get_mut(&at).filter(|_| room) {
            item.arguments.push_str(delta);
        }
    }

    /// The response at its end.
    fn ended(&mut self, response: &Value) -> Result<(), Broke> {
        self.usage(response.get("usage"));
        if self.items.is_empty() {
            let items =
                response.get("output").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for (at, item) in (0..).zip(items) {
                self.done(at, item);
            }
        }
        let reason = response.get("incomplete_details").map_or("", |details| text(details, "reason"));
        match (text(response, "status"), reason) {
            ("failed" | "cancelled", _) => return Err(Broke),
            ("incomplete", "content_filter") => self.told.refused(),
            ("incomplete", _) => self.told.stop = Some(Stop::Length),
            _ => self.told.stop = Some(if self.told.has_tools() { Stop::Tools } else { Stop::End }),
        }
        Ok(())
    }
}

impl Reader for Reading {
    fn event(&mut self, event: &Value) -> Result<Class, Broke> {
        let none = Value::Null;
        self.sequence = self.sequence.max(place(event, "sequence_number"));
        let (at, item) = (place(event, "output_index"), event.get("item").unwrap_or(&none));
        let response = event.get("response").unwrap_or(&none);
        match text(event, "type") {
            "error" | "response.failed" => return Err(Broke),
            "response.created" => {
                let small = response.to_string().len() <= RESPONSE_BYTES_MAX;
                let known = if small { response.clone() } else { json!({ "id": response["id"] }) };
                self.response = Some(known);
            }
            "response.output_item.added" => self.added(at, item),
            "response.output_item.done" => {
                self.done(at, item);
                if let Some(known) = self.items.get_mut(&at) {
                    known.open = false;
                }
            }
            "response.content_part.added" => self.part(event),
            "response.content_part.done" => {
                let part = self.items.get_mut(&at).map(|item| &mut item.parts);
                if let Some(part) = part.and_then(|parts| parts.get_mut(&place(event, "content_index"))) {
                    part.2 = false;
                }
            }
            "response.output_text.delta" | "response.refusal.delta" => self.delta(event),
            "response.function_call_arguments.delta" => self.argument(event),
            "response.completed" | "response.incomplete" => {
                self.ended(response)?;
                return Ok(Class::Last);
            }
            kind if kind.ends_with(".delta") => self.told.think(text(event, "delta")),
            _ => {}
        }
        Ok(Class::Body)
    }

    fn whole(&mut self, body: &Value) -> Result<(), Broke> {
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Broke);
        }
        self.ended(body)
    }

    fn close(&mut self) -> Vec<u8> {
        let mut closing = Closing { out: Vec::new(), sequence: self.sequence };
        let mut response = self.response.take().filter(Value::is_object).unwrap_or_else(|| {
            let begun = json!({
                "id": "resp_ended_before_it_began", "object": "response", "created_at": 0,
                "model": self.asked.model, "output": [], "parallel_tool_calls": true, "tools": [],
                "tool_choice": "auto", "status": "in_progress", "error": null, "metadata": {},
            });
            closing.say(json!({ "type": "response.created", "response": begun }));
            begun
        });
        let output: Vec<Value> = self.items.iter().map(|(at, item)| closing.item(*at, item)).collect();
        let (input, out) = (self.asked.tokens_in, self.told.tokens());
        response["status"] = "incomplete".into();
        response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        response["output"] = output.into();
        response["usage"] = json!({
            "input_tokens": input, "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": out, "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": input.saturating_add(out),
        });
        closing.say(json!({ "type": "response.incomplete", "response": response }));
        closing.out
    }

    fn told(&mut self) -> &mut Told {
        &mut self.told
    }
}

/// The closing events while they are written.
struct Closing {
    out: Vec<u8>,
    sequence: u64,
}

impl Closing {
    fn say(&mut self, mut event: Value) {
        self.sequence = self.sequence.saturating_add(1);
        event["sequence_number"] = self.sequence.into();
        self.out.extend(sse::event(text(&event, "type"), &event));
    }

    /// Closes what is open of an item; what it came to.
    fn item(&mut self, at: u64, item: &Item) -> Value {
        let mut value = item.value.clone();
        let id = value["id"].clone();
        let mut parts = Vec::new();
        for (ix, (part, said, open)) in &item.parts {
            let mut part = part.clone();
            let key = if text(&part, "type") == "refusal" { "refusal" } else { "text" };
            part[key] = said.as_str().into();
            if *open {
                let kind = if key == "refusal" { "refusal" } else { "output_text" };
                let mut done = json!({ "type": format!("response.{kind}.done"), "item_id": id,
                                       "output_index": at, "content_index": ix, "logprobs": [] });
                done[key] = said.as_str().into();
                self.say(done);
                self.say(json!({ "type": "response.content_part.done", "item_id": id,
                                 "output_index": at, "content_index": ix, "part": part }));
            }
            parts.push(part);
        }
        match text(&value, "type") {
            "message" => value["content"] = parts.into(),
            "function_call" => {
                value["arguments"] = item.arguments.as_str().into();
                if item.open {
                    self.say(json!({ "type": "response.function_call_arguments.done", "item_id": id,
                        "output_index": at, "name": value["name"], "arguments": item.arguments }));
                }
            }
            _ => {}
        }
        if item.open {
            value["status"] = "incomplete".into();
            self.say(json!({ "type": "response.output_item.done", "output_index": at, "item": value }));
        } else if value.get("status").is_some() {
            value["status"] = "completed".into();
        }
        value
    }
}
