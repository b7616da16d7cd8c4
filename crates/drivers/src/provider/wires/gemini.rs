//! The Gemini format of Google: `generateContent`, whose request names neither model nor delivery, since both
//! stand in its path.
//!
//! ```text
//! data: {candidates: [{content: {parts: [{text} | {functionCall: {name, args}}]}}], usageMetadata} …
//! data: {candidates: [{content, finishReason}], usageMetadata}             and the stream is at its end
//! ```
//! A part with `thought` is thinking. Every event may bring usage, of which the last counts; there is no last
//! word after the event with the reason. What was refused has no candidate and a `promptFeedback`.
//!
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
use std::borrow::Cow;

/// Where a model is asked for something, below a base that ends before `/v1beta`.
pub(crate) fn path(model: &str, verb: &str) -> String {
    format!("/v1beta/models/{}:{verb}", model.strip_prefix("models/").unwrap_or(model))
}

/// Stands for the signature of a call that another model made, or that was not kept: models of the third
/// series refuse a call without one, and take this word for it (ai.google.dev, "Thought signatures").
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Whether it refuses calls without a signature.
fn wants_signatures(model: &str) -> bool {
    let series = |number: &str| model.contains(&format!("gemini-{number}"));
    model.contains("gemini-") && !series("1") && !series("2")
}

/// The body of a request.
pub(super) fn body(prompt: &Prompt) -> Value {
    let talk = Talk::of(prompt);
    let mut contents: Vec<Value> = Vec::new();
    // Results are told by the name of what was called.
    let mut called: Vec<&str> = Vec::new();
    for turn in &talk.turns {
        let (role, parts) = match turn {
            Turn::User(parts) => ("user", parts.iter().map(part).collect()),
            Turn::Results(results) => ("user", told_of(results, &called)),
            Turn::Assistant { text, uses } => {
                called = uses.iter().map(|one| one.name.as_str()).collect();
                let said = (!text.is_empty()).then(|| json!({ "text": text }));
                let mut calls: Vec<Value> = uses
                    .iter()
                    .map(|one| json!({ "functionCall": { "name": one.name, "args": one.arguments } }))
                    .collect();
                if let Some(first) = calls.first_mut().filter(|_| wants_signatures(&prompt.model)) {
                    first["thoughtSignature"] = UNSIGNED.into();
                }
                ("model", said.into_iter().chain(calls).collect::<Vec<_>>())
            }
        };
        contents.push(json!({ "role": role, "parts": parts }));
    }
    let limit = json!({ "maxOutputTokens": prompt.max_out.max(1) });
    let mut body = json!({ "contents": contents, "generationConfig": limit });
    if !talk.system.is_empty() {
        body["systemInstruction"] = json!({ "parts": [{ "text": talk.system }] });
    }
    let tools: Vec<Value> = talk::tools(prompt)
        .map(|(name, meaning, schema)| {
            json!({ "name": name, "description": meaning, "parametersJsonSchema": schema })
        })
        .collect();
    if !tools.is_empty() {
        body["tools"] = json!([{ "functionDeclarations": tools }]);
    }
    body
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Image { media, base64 } => json!({ "inlineData": { "mimeType": media, "data": base64 } }),
    }
}

/// A response for each result; its images stand behind them: a response is an object in this format.
fn told_of(results: &[talk::Outcome], called: &[&str]) -> Vec<Value> {
    let names = called.iter().copied().chain(std::iter::repeat("unknown"));
    let mut parts: Vec<Value> = results
        .iter()
        .zip(names)
        .map(|(one, name)| {
            let output = json!({ "output": talk::text_of(&one.parts) });
            json!({ "functionResponse": { "name": name, "response": output } })
        })
        .collect();
    let shown = |part: &&Part| matches!(part, Part::Image { .. });
    parts.extend(results.iter().flat_map(|one| one.parts.iter().filter(shown)).map(part));
    parts
}

/// The body of a request that counts: one that says nothing but its contents may stand as it is, any other
/// has to be wrapped, and this takes both.
pub(crate) fn counted(model: &str, body: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(mut request)) = serde_json::from_slice(body) else { return body.to_vec() };
    let name = format!("models/{}", model.strip_prefix("models/").unwrap_or(model));
    request.insert("model".to_owned(), name.into());
    json!({ "generateContentRequest": request }).to_string().into_bytes()
}

/// Reads an answer.
pub(super) struct Reading {
    asked: Asked,
    told: Told,
    /// Calls so far: they have no place of their own.
    calls: u64,
    /// What ours look like: the names of the answer.
    frame: Value,
}

impl Reading {
    pub(super) fn new(asked: Asked) -> Self {
        let frame = json!({ "modelVersion": asked.model });
        Self { asked, told: Told::default(), calls: 0, frame }
    }

    fn usage(&mut self, said: &Value) {
        // An event brings what is known by then; what it leaves out stands as it was.
        let (usage, of) = (&mut self.told.usage, |key: &str| count(said.get(key)));
        let cached = of("cachedContentTokenCount");
        if let Some(all) = of("promptTokenCount") {
            let tools = of("toolUsePromptTokenCount").unwrap_or(0);
            usage.tokens_cached = cached.unwrap_or(0);
            usage.tokens_in = all.saturating_add(tools).saturating_sub(usage.tokens_cached);
        }
        let out = [of("candidatesTokenCount"), of("thoughtsTokenCount")];
        if out.iter().any(Option::is_some) {
            usage.tokens_out = out.into_iter().flatten().fold(0, i64::saturating_add);
        }
    }

    /// A candidate; only the first is the answer, all are said.
    fn candidate(&mut self, candidate: &Value) {
        let first = place(candidate, "index") == 0;
        let parts = candidate.get("content").and_then(|content| content.get("parts"));
        for part in parts.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            let said = text(part, "text");
            match first && part.get("thought") != Some(&Value::Bool(true)) {
                true => self.told.say(said),
                false => self.told.think(said),
            }
            for (key, inner) in [("executableCode", "code"), ("codeExecutionResult", "output")] {
                self.told.think(part.get(key).map_or("", |value| text(value, inner)));
            }
            if let Some(call) = part.get("functionCall") {
                self.call(first, call);
            }
        }
        if first {
            self.finish(text(candidate, "finishReason"));
        }
    }

    fn call(&mut self, first: bool, call: &Value) {
        let arguments: Cow<'_, str> = match call.get("args") {
            None | Some(Value::Null) => "".into(),
            Some(arguments) => arguments.to_string().into(),
        };
        if !first {
            self.told.think(text(call, "name"));
            return self.told.think(&arguments);
        }
        self.told.name(self.calls, text(call, "name"));
        self.told.argue(self.calls, &arguments);
        self.calls = self.calls.saturating_add(1);
    }

    fn finish(&mut self, reason: &str) {
        self.told.stop = match reason {
            "" | "FINISH_REASON_UNSPECIFIED" => return,
            "MAX_TOKENS" => Some(Stop::Length),
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => {
                return self.told.refused();
            }
            _ => Some(Stop::End),
        };
    }

    /// Takes what stands in a body or an event alike.
    fn take(&mut self, value: &Value) -> Result<(), Broke> {
        if value.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Broke);
        }
        for key in ["modelVersion", "responseId", "createTime"] {
            if let Some(value) = value.get(key).filter(|value| value.to_string().len() < 512) {
                self.frame[key] = value.clone();
            }
        }
        if let Some(usage) = value.get("usageMetadata").filter(|usage| usage.is_object()) {
            self.usage(usage);
        }
        let candidates = value.get("candidates").and_then(Value::as_array);
        candidates.into_iter().flatten().for_each(|one| self.candidate(one));
        let feedback = value.get("promptFeedback").map_or("", |feedback| text(feedback, "blockReason"));
        if !feedback.is_empty() && self.told.stop.is_none() {
            self.told.refused();
        }
        Ok(())
    }
}

impl Reader for Reading {
    fn event(&mut self, event: &Value) -> Result<Class, Broke> {
        self.take(event)?;
        Ok(if self.told.stop.is_some() { Class::Closing } else { Class::Body })
    }

    fn whole(&mut self, body: &Value) -> Result<(), Broke> {
        self.take(body)?;
        let answers = body.get("candidates").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if answers && self.told.stop.is_none() {
            self.told.stop = Some(Stop::End);
        }
        Ok(())
    }

    fn close(&mut self) -> Vec<u8> {
        let (input, output) = (self.asked.tokens_in, self.told.tokens());
        let mut event = self.frame.clone();
        // A part without text: clients look for one.
        let content = json!({ "role": "model", "parts": [{ "text": "" }] });
        event["candidates"] = json!([{ "content": content, "finishReason": "MAX_TOKENS", "index": 0 }]);
        event["usageMetadata"] = json!({
            "promptTokenCount": input, "candidatesTokenCount": output,
            "totalTokenCount": input.saturating_add(output),
        });
        sse::event("", &event)
    }

    fn told(&mut self) -> &mut Told {
        &mut self.told
    }
}
