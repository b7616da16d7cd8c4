//! Requests that are passed on: what a client gets, and how a stream is ended.

use crate::server::{Answer, KEY, OPEN, Server, Stream, events, forward, json, stream};
use abi::event::Stop;
use drivers::Wire;
use serde_json::Value;

/// A stream of each format that says "one", then " two", then ends; and what of it is the end.
fn told(wire: Wire) -> (String, String) {
    match wire {
        Wire::Messages => (
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5}}}\n\n\
             : a comment\n\n\
             event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
             \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
             data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one\"}}\n\n\
             data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" two\"}}\n\n\
             data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                .to_owned(),
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
             event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n"
                .to_owned(),
        ),
        Wire::Chat => (
            events(&[
                r#"{"id":"c1","created":7,"model":"m-1","choices":[{"index":0,"delta":{"content":"one"}}]}"#,
                r#"{"id":"c1","created":7,"model":"m-1","choices":[{"index":0,"delta":{"content":" two"}}]}"#,
            ]),
            events(&[
                r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
                "[DONE]",
            ]),
        ),
        Wire::Responses => (
            events(&[
                r#"{"type":"response.created","sequence_number":0,"response":{"id":"r1","output":[]}}"#,
                r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,
                    "item":{"type":"message","id":"m1","status":"in_progress","role":"assistant","content":[]}}"#,
                r#"{"type":"response.content_part.added","sequence_number":2,"output_index":0,"content_index":0,
                    "item_id":"m1","part":{"type":"output_text","text":"","annotations":[]}}"#,
                r#"{"type":"response.output_text.delta","sequence_number":3,"output_index":0,"content_index":0,
                    "item_id":"m1","delta":"one"}"#,
                r#"{"type":"response.output_text.delta","sequence_number":4,"output_index":0,"content_index":0,
                    "item_id":"m1","delta":" two"}"#,
            ]),
            events(&[
                r#"{"type":"response.completed","sequence_number":5,
                    "response":{"status":"completed","usage":{"input_tokens":5,"output_tokens":2}}}"#,
            ]),
        ),
        Wire::Gemini => {
            let says = |text: &str| {
                let content = serde_json::json!({"role": "model", "parts": [{"text": text}]});
                serde_json::json!({"candidates": [{"content": content, "index": 0}], "responseId": "r1"})
            };
            let mut end = says("");
            end["candidates"][0]["finishReason"] = "STOP".into();
            end["usageMetadata"] = serde_json::json!({"promptTokenCount": 5, "candidatesTokenCount": 2});
            let begin = [says("one").to_string(), says(" two").to_string()];
            (events(&[&begin[0], &begin[1]]), events(&[&end.to_string()]))
        }
    }
}

/// A client's body that asks for usage, with odd white space that must arrive.
const BODY: &str = "{ \"model\":\"m-1\",  \"stream\":true,\"stream_options\":{\"include_usage\":true}}";

#[test]
fn bytes_go_through_as_they_are_and_the_end_is_one() {
    for wire in Wire::ALL {
        let (begin, end) = told(wire);
        let server = Server::says(vec![stream(&format!("{begin}{end}"))]);
        let (said, got) = forward(&*server.provider(wire), (wire, BODY, Stream::Yes), 1000);
        let said = said.unwrap();
        let asked = server.asked.recv().unwrap();
        assert_eq!(String::from_utf8(asked.body).unwrap(), BODY);
        assert_eq!((got.status, got.content_type.as_str()), (200, "text/event-stream"));
        assert_eq!(got.text(), format!("{begin}{end}"), "{wire}");
        assert_eq!(got.end(), end, "{wire}");
        assert_eq!((got.said, said.text.as_str(), said.stop), (7, "one two", Stop::End), "{wire}");
        assert_eq!((said.usage.tokens_in, said.usage.tokens_out), (5, 2), "{wire}");
    }
}

#[test]
fn headers_of_the_client_go_along_but_none_that_is_not_its_to_give() {
    let (begin, end) = told(Wire::Messages);
    let rows = "request-id: r-1\r\nx-ratelimit-left: 3\r\nset-cookie: no\r\nserver: no\r\n";
    let head = OPEN.replace("\r\n\r\n", &format!("\r\n{rows}\r\n"));
    let server = Server::says(vec![Answer::Ends(format!("{head}{begin}{end}").into_bytes())]);
    let (_, got) = forward(&*server.provider(Wire::Messages), (Wire::Messages, BODY, Stream::Yes), 1000);
    let asked = server.asked.recv().unwrap().head;
    assert!(asked.contains("anthropic-beta: x-1\r\n") && asked.contains("anthropic-version: 2023-06-01\r\n"));
    assert!(asked.contains(&format!("x-api-key: {KEY}\r\n")) && !asked.contains("cookie"), "{asked}");
    let names: Vec<&str> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["request-id", "x-ratelimit-left"]);
}

#[test]
fn usage_is_asked_for_where_the_client_did_not_and_kept_from_it() {
    let (begin, end) = told(Wire::Chat);
    for (body, want) in [
        ("{\"model\":\"m\"}", "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"}"),
        (" {\"stream_options\":null,\"a\":1}", "{\"a\":1,\"stream_options\":{\"include_usage\":true}}"),
        (
            "{\"stream_options\":{\"x\":1,\"include_usage\":false}}",
            "{\"stream_options\":{\"include_usage\":true,\"x\":1}}",
        ),
    ] {
        let server = Server::says(vec![stream(&format!("{begin}{end}"))]);
        let (said, got) = forward(&*server.provider(Wire::Chat), (Wire::Chat, body, Stream::Yes), 1000);
        assert_eq!(String::from_utf8(server.asked.recv().unwrap().body).unwrap(), want);
        assert_eq!(said.unwrap().usage.tokens_in, 5);
        assert!(!got.text().contains("usage") && got.end().ends_with("data: [DONE]\n\n"), "{}", got.text());
    }
}

/// The data of events.
fn data(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: ").filter(|data| *data != "[DONE]"));
    lines.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn a_stream_that_is_stopped_ends_as_the_provider_would_end_it() {
    for wire in Wire::ALL {
        let begin = format!("{OPEN}{}", told(wire).0);
        let server = Server::says(vec![Answer::Hangs(begin.into_bytes())]);
        let (said, got) = forward(&*server.provider(wire), (wire, BODY, Stream::Yes), 2);
        let said = said.unwrap();
        assert_eq!((said.text.as_str(), said.stop), ("one two", Stop::Length), "{wire}");
        let closing = data(&got.end());
        let kinds: Vec<&str> = closing.iter().filter_map(|event| event["type"].as_str()).collect();
        match wire {
            Wire::Messages => {
                // The block was closed by the provider already.
                assert_eq!(kinds, ["message_delta", "message_stop"]);
                assert_eq!(closing[0]["delta"]["stop_reason"], "max_tokens");
                assert_eq!(closing[0]["usage"]["output_tokens"], 2);
            }
            Wire::Chat => {
                assert_eq!((&closing[0]["id"], &closing[0]["created"]), (&"c1".into(), &7.into()));
                assert_eq!(closing[0]["choices"][0]["finish_reason"], "length");
                assert_eq!(closing[1]["usage"]["completion_tokens"], 2);
                assert!(got.end().ends_with("data: [DONE]\n\n"));
            }
            Wire::Responses => {
                assert_eq!(
                    kinds,
                    [
                        "response.output_text.done",
                        "response.content_part.done",
                        "response.output_item.done",
                        "response.incomplete"
                    ]
                );
                let numbers: Vec<u64> =
                    closing.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
                assert_eq!(numbers, [5, 6, 7, 8]);
                assert_eq!(closing[0]["text"], "one two");
                let response = &closing[3]["response"];
                assert_eq!((&response["id"], &response["status"]), (&"r1".into(), &"incomplete".into()));
                assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
                assert_eq!(response["output"][0]["content"][0]["text"], "one two");
            }
            Wire::Gemini => {
                assert_eq!((closing.len(), &closing[0]["responseId"]), (1, &"r1".into()));
                assert_eq!(closing[0]["candidates"][0]["finishReason"], "MAX_TOKENS");
                assert_eq!(closing[0]["usageMetadata"]["candidatesTokenCount"], 2);
            }
        }
    }
}

#[test]
fn a_stream_that_is_stopped_before_it_says_anything_is_still_a_whole_one() {
    for wire in Wire::ALL {
        let server = Server::says(vec![Answer::Hangs(OPEN.as_bytes().to_vec())]);
        let mut got = Vec::new();
        let request = drivers::Forward {
            wire,
            model: "m-1".to_owned(),
            headers: Vec::new(),
            body: BODY.as_bytes().to_vec(),
            streams: true,
            max_out: 10,
        };
        let said = server.provider(wire).forward(&request, None, &mut |piece| {
            if let drivers::Piece::Bytes { bytes, .. } = piece {
                got.extend_from_slice(bytes);
            }
            drivers::Flow::Stop
        });
        assert_eq!(said.unwrap().stop, Stop::Length, "{wire}");
        let events = data(&String::from_utf8(got).unwrap());
        match wire {
            Wire::Messages => assert_eq!(events[0]["message"]["model"], "m-1"),
            Wire::Chat => {
                assert_eq!(events[0]["model"], "m-1");
                assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
            }
            Wire::Responses => assert_eq!(events[0]["response"]["model"], "m-1"),
            Wire::Gemini => assert_eq!(events[0]["modelVersion"], "m-1"),
        }
    }
}

#[test]
fn an_answer_that_is_not_streamed_comes_as_one() {
    let body = r#"{"choices":[{"index":0,"message":{"content":"one two"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let server = Server::says(vec![json("200 OK", body)]);
    let (said, got) =
        forward(&*server.provider(Wire::Chat), (Wire::Chat, "{\"model\":\"m\"}", Stream::No), 0);
    assert_eq!(server.asked.recv().unwrap().body, b"{\"model\":\"m\"}");
    assert_eq!((got.text(), got.last, got.said), (body.to_owned(), body.len(), 7));
    let said = said.unwrap();
    assert_eq!((said.text.as_str(), said.stop, said.usage.tokens_out), ("one two", Stop::End, 2));
}

#[test]
fn an_error_is_passed_on_and_is_an_error() {
    let body = format!("{{\"error\":{{\"message\":\"the key {KEY} is slow\"}}}}");
    let status = "429 Slow\r\nretry-after: 7\r\nx-should-retry: true";
    let server = Server::says(vec![json(status, &body)]);
    let (said, got) = forward(&*server.provider(Wire::Chat), (Wire::Chat, BODY, Stream::Yes), 1000);
    let error = said.unwrap_err();
    assert!(error.message.ends_with("answered 429: the key [secret] is slow"), "{error:?}");
    assert_eq!((error.again, error.after_us), (true, Some(7_000_000)));
    assert_eq!((got.status, got.content_type.as_str()), (429, "application/json"));
    assert_eq!(got.text(), body.replace(KEY, &"*".repeat(KEY.len())));
    assert_eq!(got.last, body.len());
    assert_eq!(got.headers.len(), 2);
}

#[test]
fn an_error_in_the_middle_is_passed_on_as_the_last() {
    let (begin, _) = told(Wire::Messages);
    let broke = "event: error\ndata: {\"type\":\"error\",\
                 \"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let server = Server::says(vec![stream(&format!("{begin}{broke}"))]);
    let (said, got) = forward(&*server.provider(Wire::Messages), (Wire::Messages, BODY, Stream::Yes), 1000);
    assert!(said.unwrap_err().again);
    assert_eq!(got.text(), format!("{begin}{broke}"));
    assert!(got.last > 0);
}

#[test]
fn a_stream_that_breaks_off_has_no_last() {
    for wire in Wire::ALL {
        let server = Server::says(vec![Answer::Ends(format!("{OPEN}{}", told(wire).0).into_bytes())]);
        let (said, got) = forward(&*server.provider(wire), (wire, BODY, Stream::Yes), 1000);
        let error = said.unwrap_err();
        assert!(error.again && error.message.contains("in the middle"), "{error:?}");
        assert_eq!((got.text(), got.last), (told(wire).0, 0));
    }
}

#[test]
fn a_format_that_is_not_spoken_is_refused_at_once() {
    let server = Server::says(Vec::new());
    let (said, got) = forward(&*server.provider(Wire::Chat), (Wire::Messages, BODY, Stream::Yes), 1000);
    assert!(said.unwrap_err().message.ends_with("does not speak messages, but chat"));
    assert_eq!(got.status, 0);
}
