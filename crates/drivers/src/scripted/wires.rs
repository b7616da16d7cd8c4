//! An answer of the scripted model in the words of each format: its events, and its body where no stream was
//! asked for. How these are read stands in `provider::wires`, which the tests hold against this.

use crate::{Said, ToolCall, Wire, provider::event};
use abi::event::Stop;
use serde_json::{Value, json};

/// What an answer is part of.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// As it was asked for.
    pub model: String,
    /// Answers before it, so that no two calls of a conversation have one name.
    pub step: usize,
    /// Whether the client of the chat format asked for usage.
    pub usage: bool,
}

impl Frame {
    fn id(&self, kind: &str, ix: usize) -> String {
        format!("{kind}_scripted_{}_{ix}", self.step)
    }
}

/// Tells one answer. Text comes first, and always does.
pub(super) trait Teller {
    fn begin(&mut self) -> Vec<u8>;
    fn text(&mut self, piece: &str) -> Vec<u8>;
    /// All that was asked for, behind the text.
    fn tools(&mut self, said: &Said) -> Vec<u8>;
    fn end(&mut self, said: &Said) -> Vec<u8>;
    fn whole(&mut self, said: &Said) -> Value;
}

pub(super) fn teller(wire: Wire, frame: Frame) -> Box<dyn Teller> {
    match wire {
        Wire::Messages => Box::new(Messages(frame)),
        Wire::Responses => Box::new(Responses { frame, said: 0, text: String::new(), output: Vec::new() }),
        Wire::Chat => Box::new(Chat(frame)),
        Wire::Gemini => Box::new(Gemini(frame)),
    }
}

/// Input, cached input and output of what it says it used.
fn counts(said: &Said) -> (i64, i64, i64) {
    (said.usage.tokens_in, said.usage.tokens_cached, said.usage.tokens_out)
}

/// Arguments as the object they are, where a format has them so.
fn input(tool: &ToolCall) -> Value {
    serde_json::from_str(&tool.arguments).unwrap_or_else(|_| tool.arguments.as_str().into())
}

/// Events that name their own type.
fn events(all: &[Value]) -> Vec<u8> {
    all.iter().flat_map(|one| event(one["type"].as_str().unwrap_or_default(), one)).collect()
}

struct Messages(Frame);

impl Messages {
    fn stop(said: &Said) -> &'static str {
        match said.stop {
            Stop::End => "end_turn",
            Stop::Tools => "tool_use",
            Stop::Length | Stop::Cut => "max_tokens",
        }
    }

    fn usage(said: &Said) -> Value {
        let (fresh, cached, out) = counts(said);
        json!({ "input_tokens": fresh, "cache_read_input_tokens": cached, "output_tokens": out })
    }

    fn message(&self, content: &[Value], (stop, usage): (Value, Value)) -> Value {
        json!({ "id": self.0.id("msg", 0), "type": "message", "role": "assistant", "model": self.0.model,
                "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage })
    }

    fn call(&self, ix: usize, tool: &ToolCall, input: &Value) -> Value {
        json!({ "type": "tool_use", "id": self.0.id("toolu", ix), "name": tool.name, "input": input })
    }
}

impl Teller for Messages {
    fn begin(&mut self) -> Vec<u8> {
        let usage = json!({ "input_tokens": 0, "output_tokens": 0 });
        events(&[
            json!({ "type": "message_start", "message": self.message(&[], (Value::Null, usage)) }),
            json!({ "type": "content_block_start", "index": 0,
                    "content_block": { "type": "text", "text": "" } }),
        ])
    }

    fn text(&mut self, piece: &str) -> Vec<u8> {
        let delta = json!({ "type": "text_delta", "text": piece });
        events(&[json!({ "type": "content_block_delta", "index": 0, "delta": delta })])
    }

    fn tools(&mut self, said: &Said) -> Vec<u8> {
        let mut all = vec![json!({ "type": "content_block_stop", "index": 0 })];
        for (ix, tool) in said.tools.iter().enumerate() {
            let (at, block) = (ix + 1, self.call(ix, tool, &json!({})));
            let delta = json!({ "type": "input_json_delta", "partial_json": tool.arguments });
            all.push(json!({ "type": "content_block_start", "index": at, "content_block": block }));
            all.push(json!({ "type": "content_block_delta", "index": at, "delta": delta }));
            all.push(json!({ "type": "content_block_stop", "index": at }));
        }
        events(&all)
    }

    fn end(&mut self, said: &Said) -> Vec<u8> {
        let delta = json!({ "stop_reason": Self::stop(said), "stop_sequence": null });
        events(&[
            json!({ "type": "message_delta", "delta": delta, "usage": Self::usage(said) }),
            json!({ "type": "message_stop" }),
        ])
    }

    fn whole(&mut self, said: &Said) -> Value {
        let text = json!({ "type": "text", "text": said.text });
        let calls = said.tools.iter().enumerate().map(|(ix, tool)| self.call(ix, tool, &input(tool)));
        let content: Vec<Value> = std::iter::once(text).chain(calls).collect();
        self.message(&content, (Self::stop(said).into(), Self::usage(said)))
    }
}

struct Responses {
    frame: Frame,
    /// Events so far.
    said: u64,
    text: String,
    /// Items that are whole.
    output: Vec<Value>,
}

impl Responses {
    fn events(&mut self, all: Vec<Value>) -> Vec<u8> {
        let mut out = Vec::new();
        for mut one in all {
            one["sequence_number"] = self.said.into();
            self.said += 1;
            out.extend(events(&[one]));
        }
        out
    }

    fn response(&self, status: &str) -> Value {
        json!({ "id": self.frame.id("resp", 0), "object": "response", "created_at": 0, "status": status,
                "model": self.frame.model, "output": self.output, "error": null,
                "incomplete_details": null, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
                "metadata": {} })
    }

    fn ended(&self, said: &Said) -> Value {
        let is_whole = matches!(said.stop, Stop::End | Stop::Tools);
        let mut response = self.response(if is_whole { "completed" } else { "incomplete" });
        if !is_whole {
            response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        let (fresh, cached, out) = counts(said);
        let input = fresh.saturating_add(cached);
        response["usage"] = json!({
            "input_tokens": input, "input_tokens_details": { "cached_tokens": cached },
            "output_tokens": out, "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": input.saturating_add(out),
        });
        response
    }

    fn part(text: &str) -> Value {
        json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
    }

    fn message(&self, status: &str, content: &[Value]) -> Value {
        json!({ "id": self.frame.id("msg", 0), "type": "message", "role": "assistant", "status": status,
                "content": content })
    }

    fn call(&self, ix: usize, tool: &ToolCall, (status, arguments): (&str, &str)) -> Value {
        json!({ "id": self.frame.id("fc", ix), "type": "function_call", "status": status,
                "call_id": self.frame.id("call", ix), "name": tool.name, "arguments": arguments })
    }
}

impl Teller for Responses {
    fn begin(&mut self) -> Vec<u8> {
        let (begun, item) = (self.response("in_progress"), self.message("in_progress", &[]));
        let id = item["id"].clone();
        self.events(vec![
            json!({ "type": "response.created", "response": begun }),
            json!({ "type": "response.in_progress", "response": begun }),
            json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
            json!({ "type": "response.content_part.added", "item_id": id, "output_index": 0,
                    "content_index": 0, "part": Self::part("") }),
        ])
    }

    fn text(&mut self, piece: &str) -> Vec<u8> {
        self.text.push_str(piece);
        let id = self.frame.id("msg", 0);
        self.events(vec![json!({ "type": "response.output_text.delta", "item_id": id, "output_index": 0,
                                 "content_index": 0, "delta": piece, "logprobs": [] })])
    }

    fn tools(&mut self, said: &Said) -> Vec<u8> {
        let (id, part) = (self.frame.id("msg", 0), Self::part(&self.text));
        let message = self.message("completed", std::slice::from_ref(&part));
        let mut all = vec![
            json!({ "type": "response.output_text.done", "item_id": id, "output_index": 0,
                    "content_index": 0, "text": self.text, "logprobs": [] }),
            json!({ "type": "response.content_part.done", "item_id": id, "output_index": 0,
                    "content_index": 0, "part": part }),
            json!({ "type": "response.output_item.done", "output_index": 0, "item": message }),
        ];
        self.output.push(message);
        for (ix, tool) in said.tools.iter().enumerate() {
            let (at, text) = (ix + 1, tool.arguments.as_str());
            let (open, done) =
                (self.call(ix, tool, ("in_progress", "")), self.call(ix, tool, ("completed", text)));
            let id = done["id"].clone();
            all.extend([
                json!({ "type": "response.output_item.added", "output_index": at, "item": open }),
                json!({ "type": "response.function_call_arguments.delta", "item_id": id,
                        "output_index": at, "delta": text }),
                json!({ "type": "response.function_call_arguments.done", "item_id": id,
                        "output_index": at, "name": tool.name, "arguments": text }),
                json!({ "type": "response.output_item.done", "output_index": at, "item": done }),
            ]);
            self.output.push(done);
        }
        self.events(all)
    }

    fn end(&mut self, said: &Said) -> Vec<u8> {
        let response = self.ended(said);
        let kind = format!("response.{}", response["status"].as_str().unwrap_or_default());
        self.events(vec![json!({ "type": kind, "response": response })])
    }

    fn whole(&mut self, said: &Said) -> Value {
        self.output.push(self.message("completed", &[Self::part(&said.text)]));
        for (ix, tool) in said.tools.iter().enumerate() {
            self.output.push(self.call(ix, tool, ("completed", &tool.arguments)));
        }
        self.ended(said)
    }
}

struct Chat(Frame);

impl Chat {
    fn stop(said: &Said) -> &'static str {
        match said.stop {
            Stop::End => "stop",
            Stop::Tools => "tool_calls",
            Stop::Length | Stop::Cut => "length",
        }
    }

    fn usage(said: &Said) -> Value {
        let (fresh, cached, out) = counts(said);
        let input = fresh.saturating_add(cached);
        json!({ "prompt_tokens": input, "prompt_tokens_details": { "cached_tokens": cached },
                "completion_tokens": out, "total_tokens": input.saturating_add(out) })
    }

    fn frame(&self, object: &str, choices: &[Value]) -> Value {
        json!({ "id": self.0.id("chatcmpl", 0), "object": object, "created": 0, "model": self.0.model,
                "choices": choices })
    }

    fn chunk(&self, delta: &Value, stop: Option<&str>) -> Vec<u8> {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": stop });
        event("", &self.frame("chat.completion.chunk", &[choice]))
    }

    fn calls(&self, said: &Said) -> Vec<Value> {
        let call = |(ix, tool): (usize, &ToolCall)| {
            json!({ "index": ix, "id": self.0.id("call", ix), "type": "function",
                    "function": { "name": tool.name, "arguments": tool.arguments } })
        };
        said.tools.iter().enumerate().map(call).collect()
    }
}

impl Teller for Chat {
    fn begin(&mut self) -> Vec<u8> {
        self.chunk(&json!({ "role": "assistant", "content": "" }), None)
    }

    fn text(&mut self, piece: &str) -> Vec<u8> {
        self.chunk(&json!({ "content": piece }), None)
    }

    fn tools(&mut self, said: &Said) -> Vec<u8> {
        let calls = self.calls(said);
        if calls.is_empty() { Vec::new() } else { self.chunk(&json!({ "tool_calls": calls }), None) }
    }

    fn end(&mut self, said: &Said) -> Vec<u8> {
        let mut out = self.chunk(&json!({}), Some(Self::stop(said)));
        if self.0.usage {
            let mut chunk = self.frame("chat.completion.chunk", &[]);
            chunk["usage"] = Self::usage(said);
            out.extend(event("", &chunk));
        }
        out.extend(b"data: [DONE]\n\n");
        out
    }

    fn whole(&mut self, said: &Said) -> Value {
        let mut message = json!({ "role": "assistant", "content": said.text });
        let calls = self.calls(said);
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let choice =
            json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": Self::stop(said) });
        let mut body = self.frame("chat.completion", &[choice]);
        body["usage"] = Self::usage(said);
        body
    }
}

struct Gemini(Frame);

impl Gemini {
    fn answer(&self, parts: &[Value], end: Option<&Said>) -> Value {
        let content = json!({ "role": "model", "parts": parts });
        let mut answer = json!({ "candidates": [{ "content": content, "index": 0 }],
                                 "modelVersion": self.0.model, "responseId": self.0.id("resp", 0) });
        let Some(said) = end else { return answer };
        let (fresh, cached, out) = counts(said);
        let input = fresh.saturating_add(cached);
        answer["candidates"][0]["finishReason"] = match said.stop {
            Stop::End | Stop::Tools => "STOP".into(),
            Stop::Length | Stop::Cut => "MAX_TOKENS".into(),
        };
        answer["usageMetadata"] = json!({
            "promptTokenCount": input, "cachedContentTokenCount": cached, "candidatesTokenCount": out,
            "totalTokenCount": input.saturating_add(out),
        });
        answer
    }

    fn calls(&self, said: &Said) -> Vec<Value> {
        let call = |(ix, tool): (usize, &ToolCall)| {
            let call = json!({ "id": self.0.id("call", ix), "name": tool.name, "args": input(tool) });
            json!({ "functionCall": call })
        };
        said.tools.iter().enumerate().map(call).collect()
    }
}

impl Teller for Gemini {
    fn begin(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn text(&mut self, piece: &str) -> Vec<u8> {
        event("", &self.answer(&[json!({ "text": piece })], None))
    }

    fn tools(&mut self, said: &Said) -> Vec<u8> {
        let calls = self.calls(said);
        if calls.is_empty() { Vec::new() } else { event("", &self.answer(&calls, None)) }
    }

    fn end(&mut self, said: &Said) -> Vec<u8> {
        event("", &self.answer(&[json!({ "text": "" })], Some(said)))
    }

    fn whole(&mut self, said: &Said) -> Value {
        let parts = [vec![json!({ "text": said.text })], self.calls(said)].concat();
        self.answer(&parts, Some(said))
    }
}
