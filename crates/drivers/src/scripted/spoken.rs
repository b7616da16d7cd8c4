//! The scripted model asked by an agent program as it is: a request of any wire is read as a prompt, and the
//! answer is told in the events of that wire.
//!
//! ```text
//! body ─▶ heard ─▶ Prompt ─▶ rules ─▶ text, piece by piece ─▶ Teller ─▶ events, or one body
//! ```
//! Of one turn all text stands before the results of tools, so that a rule's last item is what a tool said,
//! whatever a program adds to it. Never here: what a rule answers.

use super::{Scripted, wires};
use crate::{Flow, Forward, Model, ModelError, Piece, Prompt, Provider, Said, Secret, Wire};
use abi::{effect::Role, event::Stop};
use serde_json::Value;

impl Provider for Scripted {
    fn call(
        &self,
        prompt: &Prompt,
        secret: Option<&Secret<'_>>,
        stream: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Said, ModelError> {
        Model::call(self, prompt, secret, stream)
    }

    fn forward(
        &self,
        request: &Forward,
        secret: Option<&Secret<'_>>,
        sink: &mut dyn FnMut(Piece<'_>) -> Flow,
    ) -> Result<Said, ModelError> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|error| ModelError {
            message: format!("the request is not JSON: {error}"),
            ..ModelError::default()
        })?;
        let prompt = Prompt {
            model: request.model.clone(),
            items: heard(request.wire, &body),
            tools: Vec::new(),
            max_out: request.max_out,
        };
        let step = prompt.items.iter().filter(|(role, _)| *role == Role::Assistant).count();
        let frame = wires::Frame { model: request.model.clone(), step, usage: wants_usage(&body) };
        let mut teller = wires::teller(request.wire, frame);
        if !request.streams {
            let mut alive = |_: &str| sink(Piece::Bytes { bytes: b"", said: 0, last: false });
            let said = Model::call(self, &prompt, secret, &mut alive)?;
            let text = teller.whole(&said).to_string();
            sink(Piece::Head { status: 200, content_type: "application/json", headers: &[] });
            sink(Piece::Bytes { bytes: text.as_bytes(), said: spoken(&said), last: true });
            return Ok(said);
        }
        let mut begun = false;
        let mut stream = |piece: &str| {
            let mut bytes = Vec::new();
            if !piece.is_empty() {
                bytes = if begun { Vec::new() } else { begin(&mut *sink, &mut *teller) };
                begun = true;
                bytes.extend(teller.text(piece));
            }
            sink(Piece::Bytes { bytes: &bytes, said: piece.len() as u64, last: false })
        };
        let said = Model::call(self, &prompt, secret, &mut stream)?;
        let mut bytes = if begun { Vec::new() } else { begin(&mut *sink, &mut *teller) };
        bytes.extend(teller.tools(&said));
        let asked = spoken(&said).saturating_sub(said.text.len() as u64);
        sink(Piece::Bytes { bytes: &bytes, said: asked, last: false });
        sink(Piece::Bytes { bytes: &teller.end(&said), said: 0, last: true });
        let stop = if said.stop == Stop::Cut { Stop::Length } else { said.stop };
        Ok(Said { stop, ..said })
    }

    fn models(&self, _: Option<&Secret<'_>>) -> Result<Vec<String>, ModelError> {
        Ok(Vec::new())
    }

    fn count(&self, _: &Forward, _: Option<&Secret<'_>>) -> Result<u64, ModelError> {
        Err(ModelError { message: "a scripted model does not count".to_owned(), ..ModelError::default() })
    }
}

fn begin(sink: &mut dyn FnMut(Piece<'_>) -> Flow, teller: &mut dyn wires::Teller) -> Vec<u8> {
    sink(Piece::Head { status: 200, content_type: "text/event-stream", headers: &[] });
    teller.begin()
}

/// Bytes that count as output.
fn spoken(said: &Said) -> u64 {
    let asked = said.tools.iter().map(|tool| tool.name.len() + tool.arguments.len()).sum::<usize>();
    (said.text.len() + asked) as u64
}

fn wants_usage(body: &Value) -> bool {
    body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false)
}

/// A conversation as it is read: neighbours of one role are one item, results stay apart.
#[derive(Default)]
struct Talk {
    items: Vec<(Role, Vec<u8>)>,
    results: u32,
}

impl Talk {
    fn add(&mut self, role: Role, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.items.last_mut().filter(|(last, _)| *last == role) {
            Some((_, bytes)) => {
                bytes.push(b'\n');
                bytes.extend(text.as_bytes());
            }
            None => self.items.push((role, text.as_bytes().to_vec())),
        }
    }

    fn result(&mut self, text: &str) {
        self.items.push((Role::Tool(self.results), text.as_bytes().to_vec()));
        self.results = self.results.saturating_add(1);
    }

    /// What a model asked for: a turn of its own, as short as it is said.
    fn asks(&mut self, name: &str) {
        self.results = 0;
        self.add(Role::Assistant, &format!("calls {name}"));
    }
}

/// Reads a request; what it does not know it passes over.
fn heard(wire: Wire, body: &Value) -> Vec<(Role, Vec<u8>)> {
    let mut talk = Talk::default();
    match wire {
        Wire::Messages => {
            talk.add(Role::System, &text_of(&body["system"]));
            list(&body["messages"]).for_each(|message| message_of(&mut talk, message));
        }
        Wire::Responses => {
            talk.add(Role::System, &text_of(&body["instructions"]));
            match &body["input"] {
                Value::String(text) => talk.add(Role::User, text),
                items => list(items).for_each(|item| item_of(&mut talk, item)),
            }
        }
        Wire::Chat => list(&body["messages"]).for_each(|message| chat_of(&mut talk, message)),
        Wire::Gemini => {
            talk.add(Role::System, &text_of(&body["systemInstruction"]["parts"]));
            list(&body["contents"]).for_each(|content| content_of(&mut talk, content));
        }
    }
    talk.items
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Text as text, or the text of its parts, a line each.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => {
            let all = list(parts).map(|part| word(part, "text")).filter(|text| !text.is_empty());
            all.collect::<Vec<_>>().join("\n")
        }
    }
}

fn role_of(message: &Value) -> Role {
    match word(message, "role") {
        "assistant" | "model" => Role::Assistant,
        "system" | "developer" => Role::System,
        _ => Role::User,
    }
}

fn message_of(talk: &mut Talk, message: &Value) {
    talk.add(role_of(message), &text_of(&message["content"]));
    for block in list(&message["content"]) {
        match word(block, "type") {
            "tool_use" => talk.asks(word(block, "name")),
            "tool_result" => talk.result(&text_of(&block["content"])),
            _ => {}
        }
    }
}

fn item_of(talk: &mut Talk, item: &Value) {
    match word(item, "type") {
        "function_call" | "custom_tool_call" | "local_shell_call" => talk.asks(word(item, "name")),
        "function_call_output" | "custom_tool_call_output" => talk.result(&text_of(&item["output"])),
        "message" | "" => talk.add(role_of(item), &text_of(&item["content"])),
        _ => {}
    }
}

fn chat_of(talk: &mut Talk, message: &Value) {
    if word(message, "role") == "tool" {
        return talk.result(&text_of(&message["content"]));
    }
    talk.add(role_of(message), &text_of(&message["content"]));
    for call in list(&message["tool_calls"]) {
        talk.asks(call.pointer("/function/name").and_then(Value::as_str).unwrap_or_default());
    }
}

fn content_of(talk: &mut Talk, content: &Value) {
    let parts = &content["parts"];
    talk.add(role_of(content), &text_of(parts));
    for part in list(parts) {
        if let Some(name) = part["functionCall"]["name"].as_str() {
            talk.asks(name);
        }
        match &part["functionResponse"]["response"] {
            Value::Null => {}
            // What a tool said stands under one of these, as the official clients put it.
            response => {
                let said = ["output", "result", "error"].iter().find_map(|key| response[*key].as_str());
                talk.result(&said.map_or_else(|| response.to_string(), str::to_owned));
            }
        }
    }
}

#[cfg(test)]
mod tests;
