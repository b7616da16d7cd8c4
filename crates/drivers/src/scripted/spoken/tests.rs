//! What is told is what the readers of the formats hear, and a conversation is read as it was.

use super::*;
use crate::{RawUsage, ToolCall, fuzz};
use serde_json::json;

fn said(stop: Stop) -> Said {
    let tool =
        |name: &str, arguments: &str| ToolCall { name: name.to_owned(), arguments: arguments.to_owned() };
    let tools = vec![tool("Bash", r#"{"command":"ls \"x\""}"#), tool("Read", "{}")];
    let tools = if stop == Stop::Tools { tools } else { Vec::new() };
    let usage = RawUsage { tokens_in: 7, tokens_out: 5, tokens_cached: 3, tokens_written: 0 };
    Said { text: "[scripted] Grüß dich.".to_owned(), tools, stop, usage }
}

#[test]
fn a_stream_is_heard_as_it_was_said() {
    for wire in Wire::ALL {
        for stop in [Stop::End, Stop::Tools, Stop::Length] {
            let said = said(stop);
            let frame = wires::Frame { model: "scripted/x".to_owned(), step: 2, usage: true };
            let mut teller = wires::teller(wire, frame.clone());
            let mut bytes = teller.begin();
            for piece in ["[scripted] ", "Grüß ", "dich."] {
                bytes.extend(teller.text(piece));
            }
            bytes.extend(teller.tools(&said));
            bytes.extend(teller.end(&said));
            assert_eq!(fuzz::stream(wire, &[&bytes]).as_ref(), Some(&said), "{wire} {stop:?}");
            let whole = wires::teller(wire, frame).whole(&said);
            assert_eq!(fuzz::whole(wire, &whole).as_ref(), Some(&said), "{wire} {stop:?}: {whole}");
        }
    }
}

#[test]
fn a_conversation_is_read_the_same_in_every_format() {
    let messages = json!({"system": [{"type": "text", "text": "You are x."}], "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hint"}, {"type": "text", "text": "task"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "1", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "done"}]},
            {"type": "text", "text": "and mind this"}]},
        {"role": "assistant", "content": "Good."},
    ]});
    let responses = json!({"instructions": "You are x.", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hint"}]},
        {"type": "message", "role": "user", "content": "task"},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "1", "name": "Bash", "arguments": "{}"},
        {"role": "user", "content": "and mind this"},
        {"type": "function_call_output", "call_id": "1", "output": "done"},
        {"role": "assistant", "content": "Good."},
    ]});
    let chat = json!({"messages": [
        {"role": "developer", "content": "You are x."},
        {"role": "user", "content": "hint"},
        {"role": "user", "content": [{"type": "text", "text": "task"}]},
        {"role": "assistant", "content": "I look.", "tool_calls": [{"function": {"name": "Bash"}}]},
        {"role": "user", "content": "and mind this"},
        {"role": "tool", "tool_call_id": "1", "content": "done"},
        {"role": "assistant", "content": "Good."},
    ]});
    let gemini = json!({"systemInstruction": {"parts": [{"text": "You are x."}]}, "contents": [
        {"role": "user", "parts": [{"text": "hint"}, {"text": "task"}]},
        {"role": "model", "parts": [{"text": "I look."}, {"functionCall": {"name": "Bash", "args": {}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "Bash", "response": {"output": "done"}}},
            {"text": "and mind this"}]},
        {"role": "model", "parts": [{"text": "Good."}]},
    ]});
    let want = [
        (Role::System, "You are x."),
        (Role::User, "hint\ntask"),
        (Role::Assistant, "I look.\ncalls Bash"),
        (Role::User, "and mind this"),
        (Role::Tool(0), "done"),
        (Role::Assistant, "Good."),
    ];
    let want: Vec<(Role, Vec<u8>)> = want.map(|(role, text)| (role, text.as_bytes().to_vec())).to_vec();
    for (wire, body) in Wire::ALL.into_iter().zip([messages, responses, chat, gemini]) {
        assert_eq!(heard(wire, &body), want, "{wire}");
    }
    // Of what is no request nothing is heard.
    for body in [
        json!(null),
        json!([]),
        json!({"messages": 1, "input": {}}),
        json!({"messages": [[], 7], "contents": [7, {"parts": 7}]}),
    ] {
        assert!(Wire::ALL.iter().all(|wire| heard(*wire, &body).is_empty()), "{body}");
    }
}
