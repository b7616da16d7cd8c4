//! The same against a server that is not ours (aimock, `../aimock`): every format, streams, tool calls,
//! limits of rate, streams that are cut, answers that are none, servers that go away.

use crate::aimock::Aimock;
use crate::server::{Stream, call, forward, prompt};
use abi::{effect::Role, event::Stop};
use drivers::{Prompt, Secret, Wire, provider};
use serde_json::json;
use std::path::Path;

fn start(key: Option<&str>) -> Aimock {
    Aimock::start(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aimock/plan.json"), key)
}

/// The body of a client's streamed request.
fn body(wire: Wire, text: &str) -> String {
    let message = json!([{ "role": "user", "content": text }]);
    let body = match wire {
        Wire::Messages => json!({ "model": "m-1", "max_tokens": 100, "stream": true, "messages": message }),
        Wire::Chat => json!({ "model": "m-1", "stream": true, "messages": message }),
        Wire::Responses => json!({ "model": "m-1", "stream": true, "input": message }),
        Wire::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] }),
    };
    body.to_string()
}

#[test]
fn a_turn_with_a_tool_call_goes_through_in_every_format() {
    let server = start(None);
    for wire in Wire::ALL {
        // With a version of its own, or with that of the format.
        let version = if wire == Wire::Gemini { "v1beta" } else { "v1" };
        let provider = provider(&[wire], &format!("{}/{version}", server.url)).unwrap();
        let first = Prompt { tools: vec!["list".to_owned()], ..prompt("look") };
        let (said, pieces) = call(&*provider, &first);
        let said = said.unwrap();
        assert_eq!(
            (pieces.concat(), said.text.as_str(), said.stop),
            ("I look.".into(), "I look.", Stop::Tools)
        );
        assert_eq!((said.usage.tokens_in, said.usage.tokens_out), (100, 7), "{wire}");
        let tools: Vec<(&str, &str)> =
            said.tools.iter().map(|tool| (tool.name.as_str(), tool.arguments.as_str())).collect();
        assert_eq!(tools, [("list", "{\"path\":\"/data\"}")], "{wire}");

        let answer = json!({ "text": said.text, "tools": [
            { "name": said.tools[0].name, "arguments": said.tools[0].arguments }] });
        let mut second = first.clone();
        second.items.push((Role::Assistant, answer.to_string().into_bytes()));
        second.items.push((Role::Tool(0), b"{\"entries\":[\"a.md\"]}".to_vec()));
        let (said, pieces) = call(&*provider, &second);
        let said = said.unwrap();
        assert!(said.text.starts_with("There is one file") && pieces.len() > 1, "{wire}: {pieces:?}");
        assert_eq!((said.stop, said.tools.len()), (Stop::End, 0), "{wire}");
    }
}

#[test]
fn thinking_and_limits_are_understood() {
    let server = start(None);
    for wire in Wire::ALL {
        let provider = provider(&[wire], &server.url).unwrap();
        let said = call(&*provider, &prompt("think")).0.unwrap();
        assert_eq!((said.text.as_str(), said.stop), ("Yes.", Stop::End), "{wire}");
        let said = call(&*provider, &prompt("long")).0.unwrap();
        assert_eq!(said.stop, Stop::Length, "{wire}");
    }
}

#[test]
fn what_goes_wrong_is_told_with_whether_to_come_back() {
    let server = start(None);
    for wire in Wire::ALL {
        let provider = provider(&[wire], &server.url).unwrap();
        for (text, why, again, after_us) in [
            ("limited", "answered 429: Rate limited", true, Some(7_000_000)),
            ("overloaded", "answered 529: Overloaded", true, None),
            ("wrong", "answered 404: No such model", false, None),
            ("unplanned", "answered 404: ", false, None),
            ("malformed", "what is not JSON", false, None),
            ("dropped", "answered 500: ", true, None),
            ("gone", "", true, None),
            ("cut", "broke the answer off", true, None),
        ] {
            let error = call(&*provider, &prompt(text)).0.unwrap_err();
            assert!(error.message.contains(why), "{wire} {text}: {error:?}");
            assert_eq!((error.again, error.after_us), (again, after_us), "{wire} {text}: {error:?}");
            let request = (wire, body(wire, text));
            let (said, got) = forward(&*provider, (request.0, &request.1, Stream::Yes), 1000);
            assert_eq!(said.unwrap_err().again, again, "{wire} {text}");
            let status = why.split(' ').nth(1).and_then(|word| word.trim_end_matches(':').parse().ok());
            assert!(status.is_none_or(|status: u16| status == got.status), "{wire} {text}: {}", got.status);
        }
    }
}

#[test]
fn a_stream_is_passed_on_and_counted() {
    let server = start(None);
    for wire in Wire::ALL {
        let provider = provider(&[wire], &server.url).unwrap();
        let (said, got) = forward(&*provider, (wire, &body(wire, "look"), Stream::Yes), 1000);
        let said = said.unwrap();
        assert_eq!((said.text.as_str(), said.stop, said.tools.len()), ("I look.", Stop::Tools, 1), "{wire}");
        assert_eq!((said.usage.tokens_in, said.usage.tokens_out), (100, 7), "{wire}");
        let words = "I look.".len() + "list".len() + "{\"path\":\"/data\"}".len();
        assert_eq!(got.said, words as u64, "{wire}");
        assert!(got.last > 0 && got.content_type.starts_with("text/event-stream"), "{wire}: {got:?}");
        // Nobody asked for usage in the chat stream, so nobody sees it.
        assert_eq!(got.text().contains("usage"), wire != Wire::Chat, "{wire}");
    }
}

#[test]
fn the_key_opens_the_door_and_another_does_not() {
    let server = start(Some("sk-right"));
    // It has no list in Gemini's words.
    for wire in Wire::ALL.into_iter().filter(|wire| *wire != Wire::Gemini) {
        let provider = provider(&[wire], &server.url).unwrap();
        assert!(!provider.models(Some(&Secret::lend("sk-right"))).unwrap().is_empty(), "{wire}");
        let error = provider.models(Some(&Secret::lend("sk-wrong"))).unwrap_err();
        assert!(!error.again && error.message.contains("answered 401"), "{wire}: {error:?}");
        assert!(!error.message.contains("sk-wrong"), "{error:?}");
    }
}

#[test]
fn the_lock_file_names_no_host() {
    let lock = include_str!("../aimock/package-lock.json");
    assert!(lock.contains("\"integrity\"") && !lock.contains("resolved") && !lock.contains("://"));
}
