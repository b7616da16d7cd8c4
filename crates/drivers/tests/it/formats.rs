//! Turns: what each format makes of a prompt, and what comes of an answer.

use crate::server::{Answer, Server, call, events, json, prompt, stream};
use abi::{effect::Role, event::Stop};
use drivers::{Prompt, RawUsage, Said, ToolCall, Wire};
use serde_json::{Value, json};

const PNG: [u8; 12] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 1, 2, 3, 4];

/// What is asked of a server that says this.
fn asked(wire: Wire, prompt: &Prompt) -> (String, Value) {
    let server = Server::says(vec![json("500 No", "{}")]);
    let _ = call(&*server.provider(wire), prompt);
    let asked = server.asked.recv().unwrap();
    (asked.head.clone(), asked.json())
}

/// What comes of an answer, and the text that was streamed.
fn said(wire: Wire, answer: Answer) -> (Said, String) {
    let server = Server::says(vec![answer]);
    let (said, pieces) = call(&*server.provider(wire), &prompt("hi"));
    (said.unwrap(), pieces.concat())
}

/// Two steps, an image among the results, a call without its result.
fn long() -> Prompt {
    let answer = json!({ "text": "I look.", "tools": [
        { "name": "read", "arguments": "{\"path\":\"/a\"}" },
        { "name": "read", "arguments": "{broken" },
    ]});
    let items = vec![
        (Role::System, b"be brief".to_vec()),
        (Role::User, b"what is there?".to_vec()),
        (Role::Assistant, answer.to_string().into_bytes()),
        (Role::Tool(0), PNG.to_vec()),
    ];
    Prompt { items, ..prompt("") }
}

#[test]
fn messages_are_asked_with_a_stable_prefix_that_is_marked() {
    let (head, body) = asked(Wire::Messages, &long());
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    for line in
        ["x-api-key: sk-canary-0123456789", "anthropic-version: 2023-06-01", "accept-encoding: identity"]
    {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
    let mark = json!({ "type": "ephemeral" });
    assert_eq!(body["system"], json!([{ "type": "text", "text": "be brief", "cache_control": mark }]));
    assert_eq!(body["tools"][0]["name"], "read");
    assert_eq!(body["tools"][0]["input_schema"]["required"], json!(["path"]));
    assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(1000), &json!(true)));
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": [
                { "type": "text", "text": "what is there?", "cache_control": mark },
            ]},
            { "role": "assistant", "content": [
                { "type": "text", "text": "I look." },
                { "type": "tool_use", "id": "call_1_0", "name": "read", "input": { "path": "/a" } },
                { "type": "tool_use", "id": "call_1_1", "name": "read", "input": { "not_json": "{broken" } },
            ]},
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "call_1_0", "content": [
                    { "type": "image", "source": {
                        "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoBAgME" } },
                ]},
                { "type": "tool_result", "tool_use_id": "call_1_1", "cache_control": mark },
            ]},
        ])
    );
}

#[test]
fn chat_is_asked_with_the_limit_that_others_know_and_with_usage() {
    let (head, body) = asked(Wire::Chat, &long());
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer sk-canary-0123456789\r\n") && !head.contains("x-api-key"));
    assert_eq!(body["stream_options"], json!({ "include_usage": true }));
    assert_eq!((&body["max_tokens"], body.get("max_completion_tokens")), (&json!(1000), None));
    assert_eq!(body["tools"][0]["function"]["parameters"]["required"], json!(["path"]));
    let call = |id: &str, arguments: &str| {
        let function = json!({ "name": "read", "arguments": arguments });
        json!({ "id": id, "type": "function", "function": function })
    };
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": "what is there?" },
            { "role": "assistant", "content": "I look.", "tool_calls": [
                call("call_1_0", "{\"path\":\"/a\"}"), call("call_1_1", "{\"not_json\":\"{broken\"}"),
            ]},
            { "role": "tool", "tool_call_id": "call_1_0", "content": "(an image: it follows)" },
            { "role": "tool", "tool_call_id": "call_1_1", "content": "" },
            { "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgoBAgME" } },
            ]},
        ])
    );
}

#[test]
fn responses_are_asked_as_items_and_nothing_is_kept_there() {
    let (head, body) = asked(Wire::Responses, &long());
    assert!(head.starts_with("post /v1/responses http/1.1\r\n"), "{head}");
    assert_eq!(body["instructions"], "be brief");
    assert_eq!((&body["store"], &body["max_output_tokens"]), (&json!(false), &json!(1000)));
    assert_eq!(body["tools"][0]["parameters"]["required"], json!(["path"]));
    assert_eq!(
        body["input"],
        json!([
            { "role": "user", "content": [{ "type": "input_text", "text": "what is there?" }] },
            { "type": "message", "role": "assistant", "content": [
                { "type": "output_text", "text": "I look." }] },
            { "type": "function_call", "call_id": "call_1_0", "name": "read",
              "arguments": "{\"path\":\"/a\"}" },
            { "type": "function_call", "call_id": "call_1_1", "name": "read",
              "arguments": "{\"not_json\":\"{broken\"}" },
            { "type": "function_call_output", "call_id": "call_1_0", "output": [
                { "type": "input_image", "detail": "auto",
                  "image_url": "data:image/png;base64,iVBORw0KGgoBAgME" }] },
            { "type": "function_call_output", "call_id": "call_1_1", "output": "" },
        ])
    );
}

#[test]
fn gemini_is_asked_by_its_path_and_told_the_name_of_what_it_called() {
    let (head, body) = asked(Wire::Gemini, &long());
    assert!(head.starts_with("post /v1beta/models/m-1:streamgeneratecontent?alt=sse http/1.1\r\n"), "{head}");
    assert!(head.contains("x-goog-api-key: sk-canary-0123456789\r\n"), "{head}");
    assert_eq!(body["systemInstruction"], json!({ "parts": [{ "text": "be brief" }] }));
    assert_eq!(body["generationConfig"], json!({ "maxOutputTokens": 1000 }));
    let declared = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(declared["parametersJsonSchema"]["required"], json!(["path"]));
    let told = |text: &str| json!({ "functionResponse": { "name": "read", "response": { "output": text } } });
    assert_eq!(
        body["contents"],
        json!([
            { "role": "user", "parts": [{ "text": "what is there?" }] },
            { "role": "model", "parts": [
                { "text": "I look." },
                { "functionCall": { "name": "read", "args": { "path": "/a" } } },
                { "functionCall": { "name": "read", "args": { "not_json": "{broken" } } },
            ]},
            { "role": "user", "parts": [
                told("(an image: it follows)"), told(""),
                { "inlineData": { "mimeType": "image/png", "data": "iVBORw0KGgoBAgME" } },
            ]},
        ])
    );
    // Of the third series a call bears a signature, or a word for one that is not there.
    let signed = asked(Wire::Gemini, &Prompt { model: "gemini-3-pro".into(), ..long() }).1;
    let parts = &signed["contents"][1]["parts"];
    assert_eq!(parts[1]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(parts[2].get("thoughtSignature"), None);
}

#[test]
fn the_same_prompt_is_the_same_request() {
    for wire in Wire::ALL {
        assert_eq!(asked(wire, &long()).1, asked(wire, &long()).1);
    }
}

const MESSAGES: &[&str] = &[
    r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":5,
        "cache_creation_input_tokens":7,"cache_read_input_tokens":11,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"I "}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,
        "content_block":{"type":"tool_use","id":"toolu_1","name":"read","input":{}}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"pa"}}"#,
    r#"{"type":"content_block_delta","index":2,
        "delta":{"type":"input_json_delta","partial_json":"th\":\"/a\"}"}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"something_new","index":2}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":42}}"#,
    r#"{"type":"message_stop"}"#,
];

const CHAT: &[&str] = &[
    r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{"content":"I "}}]}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{"content":"look."}}],"usage":null}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[
        {"index":0,"id":"x","type":"function","function":{"name":"read","arguments":""}}]}}]}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[
        {"index":0,"function":{"arguments":"{\"path\":"}}]}}]}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[
        {"index":0,"function":{"arguments":"\"/a\"}"}}]}}]}"#,
    r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    r#"{"id":"c","choices":[],"usage":{"prompt_tokens":16,"completion_tokens":42,
        "prompt_tokens_details":{"cached_tokens":11}}}"#,
    "[DONE]",
];

const RESPONSES: &[&str] = &[
    r#"{"type":"response.created","response":{"id":"r","status":"in_progress","output":[]}}"#,
    r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs"}}"#,
    r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"hm"}"#,
    r#"{"type":"response.output_item.added","output_index":1,
        "item":{"type":"message","id":"m","content":[]}}"#,
    r#"{"type":"response.content_part.added","output_index":1,"content_index":0,
        "part":{"type":"output_text","text":"","annotations":[]}}"#,
    r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"I "}"#,
    r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"look."}"#,
    r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","id":"m",
        "content":[{"type":"output_text","text":"I look."}]}}"#,
    r#"{"type":"response.output_item.added","output_index":2,
        "item":{"type":"function_call","id":"f","call_id":"x","name":"read","arguments":""}}"#,
    r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"path\":"}"#,
    r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"\"/a\"}"}"#,
    r#"{"type":"response.output_item.done","output_index":2,
        "item":{"type":"function_call","name":"read","arguments":"{\"path\":\"/a\"}"}}"#,
    r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":16,
        "output_tokens":42,"input_tokens_details":{"cached_tokens":11}}}}"#,
];

const GEMINI: &[&str] = &[
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true}]},"index":0}],
        "usageMetadata":{"promptTokenCount":16,"totalTokenCount":16},"modelVersion":"m","responseId":"r"}"#,
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"I "}]},"index":0}]}"#,
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"look."}]},"index":0}],
        "usageMetadata":{"promptTokenCount":16,"candidatesTokenCount":1,"thoughtsTokenCount":2}}"#,
    r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"read",
        "args":{"path":"/a"}},"thoughtSignature":"AAAA"}]},"finishReason":"STOP","index":0}],
        "usageMetadata":{"promptTokenCount":16,"cachedContentTokenCount":11,"candidatesTokenCount":40,
        "thoughtsTokenCount":2,"totalTokenCount":58}}"#,
];

#[test]
fn a_stream_of_each_format_comes_to_the_same() {
    let tool = ToolCall { name: "read".to_owned(), arguments: "{\"path\":\"/a\"}".to_owned() };
    for (wire, data, tokens_written) in [
        (Wire::Messages, MESSAGES, 7),
        (Wire::Chat, CHAT, 0),
        (Wire::Responses, RESPONSES, 0),
        (Wire::Gemini, GEMINI, 0),
    ] {
        let (said, streamed) = said(wire, stream(&events(data)));
        let usage = RawUsage { tokens_in: 5, tokens_out: 42, tokens_cached: 11, tokens_written };
        let want = Said { text: "I look.".to_owned(), tools: vec![tool.clone()], stop: Stop::Tools, usage };
        assert_eq!((said, streamed), (want, "I look.".to_owned()), "{wire}");
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let tool = ToolCall { name: "read".to_owned(), arguments: "{\"path\":\"/a\"}".to_owned() };
    for (wire, body) in [
        (
            Wire::Messages,
            r#"{"type":"message","stop_reason":"tool_use","usage":{"input_tokens":5,"output_tokens":42},
            "content":[{"type":"text","text":"I look."},
            {"type":"tool_use","id":"x","name":"read","input":{"path":"/a"}}]}"#,
        ),
        (
            Wire::Chat,
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":42},"choices":[{"index":0,
            "finish_reason":"stop","message":{"content":"I look.","tool_calls":[
            {"function":{"name":"read","arguments":{"path":"/a"}}}]}}]}"#,
        ),
        (
            Wire::Responses,
            r#"{"status":"completed","usage":{"input_tokens":5,"output_tokens":42},"output":[
            {"type":"message","content":[{"type":"output_text","text":"I look."}]},
            {"type":"function_call","name":"read","arguments":"{\"path\":\"/a\"}"}]}"#,
        ),
        (
            Wire::Gemini,
            r#"{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":42},"candidates":[
            {"finishReason":"STOP","content":{"parts":[{"text":"I look."},
            {"functionCall":{"name":"read","args":{"path":"/a"}}}]}}]}"#,
        ),
    ] {
        let (said, streamed) = said(wire, json("200 OK", body));
        let usage = RawUsage { tokens_in: 5, tokens_out: 42, ..RawUsage::default() };
        let want = Said { text: "I look.".to_owned(), tools: vec![tool.clone()], stop: Stop::Tools, usage };
        assert_eq!((said, streamed), (want, "I look.".to_owned()), "{wire}");
    }
}

#[test]
fn why_it_stopped() {
    let messages = |why: &str| format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{why}"}}}}"#);
    let chat = |why: &str| {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":"{why}"}}]}}"#)
    };
    let responses = |why: &str| {
        format!(
            r#"{{"type":"response.incomplete","response":{{"status":"incomplete",
            "incomplete_details":{{"reason":"{why}"}}}}}}"#
        )
    };
    let gemini = |why: &str| {
        format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}]}},"finishReason":"{why}"}}]}}"#)
    };
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#.to_owned();
    for (wire, event, stop, refused) in [
        (Wire::Messages, messages("end_turn"), Stop::End, false),
        (Wire::Messages, messages("max_tokens"), Stop::Length, false),
        (Wire::Messages, messages("refusal"), Stop::End, true),
        (Wire::Chat, chat("stop"), Stop::End, false),
        (Wire::Chat, chat("length"), Stop::Length, false),
        (Wire::Chat, chat("content_filter"), Stop::End, true),
        (Wire::Responses, responses("max_output_tokens"), Stop::Length, false),
        (Wire::Responses, responses("content_filter"), Stop::End, true),
        (Wire::Gemini, gemini("STOP"), Stop::End, false),
        (Wire::Gemini, gemini("MAX_TOKENS"), Stop::Length, false),
        (Wire::Gemini, gemini("SAFETY"), Stop::End, true),
        (Wire::Gemini, blocked, Stop::End, true),
    ] {
        let (said, streamed) = said(wire, stream(&events(&[&event])));
        assert_eq!((said.stop, said.text.contains("refused")), (stop, refused), "{event}");
        assert_eq!(said.text, streamed, "{event}");
    }
}

#[test]
fn tool_calls_as_local_servers_write_them() {
    let whole = r#"{"choices":[{"index":0,"delta":{"tool_calls":[
        {"id":"a","function":{"name":"read","arguments":"{}"}},
        {"id":"b","function":{"name":"list","arguments":{"path":"/"}}}]},"finish_reason":"stop"}]}"#;
    let (said, _) = said(Wire::Chat, stream(&events(&[whole])));
    let names: Vec<(&str, &str)> =
        said.tools.iter().map(|tool| (tool.name.as_str(), tool.arguments.as_str())).collect();
    assert_eq!(names, [("read", "{}"), ("list", "{\"path\":\"/\"}")]);
    assert_eq!(said.stop, Stop::Tools);
}

#[test]
fn the_connection_is_kept_and_a_dead_one_is_no_error() {
    let whole = events(CHAT);
    let bare = |body: &str| crate::server::with_length("200 OK", "text/event-stream", body.as_bytes());
    let server =
        Server::says(vec![stream(&whole), Answer::Ends(bare(&whole)), stream(&whole), stream(&whole)]);
    // Whoever makes a provider for each call finds it too.
    for _ in 0..4 {
        call(&*server.provider(Wire::Chat), &prompt("hi")).0.unwrap();
    }
    let connections: Vec<usize> = (0..4).map(|_| server.asked.recv().unwrap().connection).collect();
    // The second answer closed the first connection; nobody was told.
    assert_eq!(connections, [0, 0, 1, 1]);
}

#[test]
fn a_server_that_wants_the_other_name_of_the_limit_gets_it() {
    let no = r#"{"error":{"message":"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."}}"#;
    let yes = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let answers = vec![json("400 Bad", no), json("200 OK", yes), json("200 OK", yes)];
    let server = Server::says(answers);
    let provider = server.provider(Wire::Chat);
    call(&*provider, &prompt("hi")).0.unwrap();
    call(&*provider, &prompt("hi")).0.unwrap();
    let names: Vec<bool> =
        (0..3).map(|_| server.asked.recv().unwrap().json().get("max_tokens").is_some()).collect();
    assert_eq!(names, [true, false, false]);
}

#[test]
fn models_are_listed_and_tokens_counted() {
    let list = r#"{"data":[{"id":"a"},{"id":"b\u0000"},{"name":"c"},7]}"#;
    let counted = r#"{"input_tokens":17}"#;
    let server = Server::says(vec![json("200 OK", list), json("200 OK", counted), json("401 No", "{}")]);
    let provider = server.provider(Wire::Messages);
    assert_eq!(provider.models(None).unwrap(), ["a", "c"]);
    let request = drivers::Forward {
        wire: Wire::Messages,
        model: "m".to_owned(),
        headers: Vec::new(),
        body: b"{\"model\":\"m\"}".to_vec(),
        streams: false,
        max_out: 1,
    };
    assert_eq!(provider.count(&request, None), Ok(17));
    let error = provider.models(None).unwrap_err();
    assert!(!error.again && error.message.contains("answered 401"), "{error:?}");
    let heads: Vec<String> = (0..3).map(|_| server.asked.recv().unwrap().head).collect();
    assert!(heads[0].starts_with("get /v1/models?limit=1000 "), "{heads:?}");
    assert!(heads[1].starts_with("post /v1/messages/count_tokens "), "{heads:?}");
    let error = Server::says(Vec::new()).provider(Wire::Chat).count(&request, None).unwrap_err();
    assert!(error.message.contains("does not count"), "{error:?}");
    let list = r#"{"models":[{"name":"models/a","displayName":"A"},{"name":"b"}]}"#;
    let server = Server::says(vec![json("200 OK", list), json("200 OK", r#"{"totalTokens":17}"#)]);
    let provider = server.provider(Wire::Gemini);
    assert_eq!(provider.models(None).unwrap(), ["a", "b"]);
    let body = b"{\"contents\":[]}".to_vec();
    let request = drivers::Forward { wire: Wire::Gemini, body, ..request };
    assert_eq!(provider.count(&request, None), Ok(17));
    let asked = [server.asked.recv().unwrap(), server.asked.recv().unwrap()];
    assert!(asked[0].head.starts_with("get /v1beta/models?pagesize=1000 "), "{asked:?}");
    assert!(asked[1].head.starts_with("post /v1beta/models/m:counttokens "), "{asked:?}");
    let wrapped = json!({ "generateContentRequest": { "model": "models/m", "contents": [] } });
    assert_eq!(asked[1].json(), wrapped);
}
